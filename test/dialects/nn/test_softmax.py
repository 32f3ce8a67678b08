"""nn.softmax, nn.log_softmax and nn.hardmax against ONNX Runtime, in their old and new meaning."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from xdsl.dialects.builtin import f32, i32
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.softmax import LogSoftmaxOp, SoftmaxOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.errors import CompileError

RNG = np.random.default_rng(4)


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize("opset", [7, 11, 12, 13])
@pytest.mark.parametrize("axis", [None, -1, 0, 1, 2, -3])
@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 5, 1, 1), (1, 1, 1), (3, 0, 2)])
def test_axes(check_node, op, opset, axis, shape):
    if opset == 7 and axis is not None and axis < 0:
        axis += len(shape)  # negative axes came with opset 11
    x = RNG.standard_normal(shape).astype(np.float32)
    (result,) = check_node(op, [x], {} if axis is None else {"axis": axis}, opset=opset)
    assert result.shape == shape


def test_old_and_new_meanings_differ(check_node):
    x = RNG.standard_normal((2, 3, 4)).astype(np.float32)
    (old,) = check_node("Softmax", [x], {"axis": 1}, opset=12)
    (new,) = check_node("Softmax", [x], {"axis": 1}, opset=13)
    np.testing.assert_allclose(old.sum((1, 2)), 1, rtol=1e-6)
    np.testing.assert_allclose(new.sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_large_values_do_not_overflow(check_node, op):
    x = np.array([[1e4, 1e4 + 1, -1e4], [3e38, -3e38, 0], [-1e4, -1e4 - 2, -1e4 - 1]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        op_class = {"Softmax": SoftmaxOp, "LogSoftmax": LogSoftmaxOp}[op]
        op_class(create_ssa_value(tensor(f32, x.shape))).compute(np, [x[::2].copy()])
    check_node(op, [x[::2].copy()])


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_other_types(check_node, op, dtype):
    check_node(op, [RNG.standard_normal((3, 10)).astype(dtype)], against_ort=dtype == "float64")


def test_hardmax_marks_the_first_of_equals(check_node):
    x = np.array([[1, 3, 3], [2, 0, 2]], np.float32)
    assert check_node("Hardmax", [x])[0].tolist() == [[0, 1, 0], [1, 0, 0]]
    assert check_node("Hardmax", [x], {"axis": 0})[0].tolist() == [[0, 1, 1], [1, 0, 0]]
    assert check_node("Hardmax", [x.astype(np.float16)], against_ort=False)[0].dtype == np.float16


def test_operands_that_do_not_fit():
    with pytest.raises(CompileError, match="axis 2 is out of range"):
        SoftmaxOp(create_ssa_value(tensor(f32, [2, 3])), axis=2)
    with pytest.raises(CompileError, match="needs operands of a float type"):
        LogSoftmaxOp(create_ssa_value(tensor(i32, [2, 3])))
