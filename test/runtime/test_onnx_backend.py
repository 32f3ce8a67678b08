"""ONNX's backend interface, beyond what onnx's own suite (test/onnx) asks of it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from nnfuse.errors import CompileError, UnsupportedError
from nnfuse.runtime import onnx_backend as backend

X = np.float32([[-1, 2], [3, -4]])
MODEL = onnx.parser.parse_model(
    """<ir_version: 10, opset_import: ["": 21]> g (float[N,2] x, float[2] b) => (float[N,2] y)
    { s = Add(x, b)  y = Relu(s) }"""
)
NODE = helper.make_node("Unknown", [], ["y"], domain="made.up")
OUTSIDE = helper.make_model(
    helper.make_graph([NODE], "g", [], [onnx.ValueInfoProto(name="y")]),
    opset_imports=[helper.make_opsetid("made.up", 1)],
)


def test_inputs_in_order_or_by_name():
    rep = backend.prepare(MODEL)
    b = np.float32([1, 3])
    expected = np.float32([[0, 5], [4, 0]])
    results = rep.run([X, b])
    assert results._fields == ("y",)
    np.testing.assert_array_equal(results.y, expected)
    np.testing.assert_array_equal(rep.run({"b": b, "x": X}).y, expected)
    np.testing.assert_array_equal(backend.run_model(MODEL, (X, b)).y, expected)
    with pytest.raises(CompileError, match=r"the model has 2 inputs \(x, b\), but 1 are given"):
        rep.run(X)


def test_one_node():
    node = helper.make_node("Gemm", ["a", "a"], ["y"], alpha=2.0)
    np.testing.assert_array_equal(backend.run_node(node, [X])[0], 2 * X @ X)
    clip = helper.make_node("Clip", ["a"], ["y"], min=-1.0, max=2.0)
    np.testing.assert_array_equal(backend.run_node(clip, [X], opset_version=6)[0], np.clip(X, -1, 2))
    with pytest.raises(CompileError, match="y: Clip has no attribute 'max' in opset"):
        backend.run_node(clip, [X])
    with pytest.raises(CompileError, match="Gemm reads 1 values, but 2 are given"):
        backend.run_node(node, [X, X])


def test_one_node_of_a_sequence():
    """The element type is that of the elements, whose rank is known where they share one."""
    at = helper.make_node("SequenceAt", ["s", "i"], ["y"], name="at")
    np.testing.assert_array_equal(backend.run_node(at, [[X, X[:1]], np.array(1)])[0], X[:1])
    length = helper.make_node("SequenceLength", ["s"], ["n"])
    assert backend.run_node(length, [[X, X[0]]])[0] == 2
    with pytest.raises(CompileError, match=r"^s: the type of an empty sequence cannot be told"):
        backend.run_node(length, [[]])
    with pytest.raises(UnsupportedError, match="at: the elements of the sequence have no known rank"):
        backend.run_node(at, [[X, X[0]], np.array(1)])


def test_devices_and_models_that_are_not_supported():
    assert backend.supports_device("CPU")
    assert not backend.supports_device("TPU")
    with pytest.raises(CompileError, match=r"unknown device 'TPU' \(CPU or CUDA\)"):
        backend.prepare(MODEL, "TPU")
    with pytest.raises(CompileError, match="device 'CUDA:1' is not supported"):
        backend.prepare(MODEL, "CUDA:1")
    assert backend.is_compatible(MODEL)
    assert not backend.is_compatible(OUTSIDE)
    with pytest.raises(UnsupportedError, match=r"made.up.Unknown \(1, first y\)"):
        backend.prepare(OUTSIDE)
