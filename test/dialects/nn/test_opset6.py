"""The forms that operators had before opset 7, against NumPy: ONNX Runtime does not read them."""

from __future__ import annotations

import numpy as np
import pytest

from nnfuse.errors import CompileError, UnsupportedError

X = np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype(np.float32)

BINARY = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Pow": np.power}
COMPARISONS = {"Equal": np.equal, "Less": np.less, "Greater": np.greater}
LOGIC = {"And": np.logical_and, "Or": np.logical_or, "Xor": np.logical_xor}


@pytest.mark.parametrize("op", [*BINARY, *COMPARISONS, *LOGIC])
@pytest.mark.parametrize(
    ("b", "axis"),
    [((3,), 1), ((3, 4), 1), ((3, 4), -3), ((2,), 0), ((4,), None), ((4, 4), None), ((4,), 2), ((), None)],
)
def test_broadcast_from_an_axis(check_node, op, b, axis):
    a = X.round() != X if op in LOGIC else np.trunc(2 * X) if op in COMPARISONS else np.abs(X) + 0.5
    dims = X.shape[1:][: len(b)] if axis in (1, -3) else b
    b = np.asarray(a[0].ravel()[: int(np.prod(dims))].reshape(dims))
    first = 4 - b.ndim if axis is None else axis % 4
    function = {**BINARY, **COMPARISONS, **LOGIC}[op]
    expected = function(a, b.reshape([*b.shape, *[1] * (4 - first - b.ndim)]))
    attributes = {"broadcast": 1} | ({} if axis is None else {"axis": axis})
    check_node(op, [a, b], attributes, opset=6, expected=[expected])


@pytest.mark.parametrize(
    ("shape", "attributes", "message"),
    [
        ((4,), {}, r"2x3x4x4 and 4 differ, and broadcast is not 1"),
        ((4, 4), {"broadcast": 1, "axis": 3}, "4x4 does not fit 2x3x4x4 from axis 3 on"),
        ((4,), {"broadcast": 1, "axis": 4}, "axis 4 is out of range"),
        ((3,), {"broadcast": 1}, "2x3x4x4 and 3"),
    ],
)
def test_broadcasts_that_do_not_fit(check_node, shape, attributes, message):
    with pytest.raises(CompileError, match=message):
        check_node("Add", [X, np.ones(shape, np.float32)], attributes, opset=6)


@pytest.mark.parametrize("rank", [2, 3, 4])
def test_prelu_of_channels(check_node, rank):
    x, slope = X[(0,) * (4 - rank)], np.linspace(0.1, 0.7, X[(0,) * (4 - rank)].shape[1], dtype=np.float32)
    channels = slope.reshape(-1, *[1] * (rank - 2))
    check_node("PRelu", [x, slope], opset=6, expected=[np.where(x < 0, x * channels, x)])
    check_node("PRelu", [x, slope[:1]], opset=6, expected=[np.where(x < 0, x * slope[0], x)])


def test_gemm_broadcast(check_node):
    a, b, c = X[0, 0], X[0, 1], X[0, 2, 0]
    check_node("Gemm", [a, b, c], {"broadcast": 1, "alpha": 0.5}, opset=6, expected=[0.5 * (a @ b) + c])


def test_training_is_the_default(check_node):
    scale, bias, mean, var = np.float32([[1, 2, 3], [4, 5, 6], [0.1, 0.2, 0.3], [0.5, 1, 2]])
    s, b, m, v = (p.reshape(3, 1, 1) for p in (scale, bias, mean, var))
    inputs = [X, scale, bias, mean, var]
    check_node("BatchNormalization", inputs, {"is_test": 1}, 6, expected=[(X - m) / np.sqrt(v + 1e-5) * s + b])
    check_node("Dropout", [X], {"is_test": 1}, opset=6, expected=[X])
    with pytest.raises(UnsupportedError, match="BatchNormalization with is_test = 0"):
        check_node("BatchNormalization", inputs, opset=6)
    with pytest.raises(UnsupportedError, match="Dropout in training_mode"):
        check_node("Dropout", [X], opset=6)


def test_upsample_height_and_width(check_node):
    attributes = {"height_scale": 2.0, "width_scale": 3.0}
    check_node("Upsample", [X], attributes, opset=6, expected=[X.repeat(2, 2).repeat(3, 3)])


def test_forms_that_are_older_than_the_class_reads(check_node):
    with pytest.raises(UnsupportedError, match=r"node: Relu of opset 5 is not supported \(opset 6 is: convert"):
        check_node("Relu", [X], {"consumed_inputs": [0]}, opset=5)
    check_node("Transpose", [X], opset=1, expected=[X.T])
