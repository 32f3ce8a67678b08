"""nn.clip against ONNX Runtime, and when it is an activation."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import f32, f64, i32
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.activation import ActivationAttr
from nnfuse.dialects.nn.clip import ClipOp
from nnfuse.dialects.nn.constant import ConstantOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.errors import CompileError

X = np.random.default_rng(3).standard_normal((3, 40)).astype(np.float32) * 3


def scalar(number, dtype=np.float32):
    """An array of rank 0."""
    return np.asarray(number, dtype)


def value(element, *dims):
    """An IR value of a tensor type."""
    return create_ssa_value(tensor(element, dims))


def constant(number, dtype=np.float32):
    """An inline constant."""
    return ConstantOp.of(np.asarray(number, dtype)).result


@pytest.mark.parametrize("bounds", [{"min": -1.0, "max": 2.0}, {"min": 0.0}, {"max": 1.5}, {}])
@pytest.mark.parametrize("opset", [7, 10])
def test_bounds_as_attributes(check_node, bounds, opset):
    check_node("Clip", [X], bounds, opset=opset)


def test_crossed_bounds_as_attributes_give_the_upper_one(check_node):
    check_node("Clip", [X], {"min": 2.0, "max": -1.0}, opset=7, expected=[np.full_like(X, -1)])


def test_attribute_bounds_of_f16(check_node):
    """1e6 is beyond f16: it bounds nothing."""
    x = np.array([-3, 0.5, 60000], np.float16)
    with np.errstate(over="raise"):
        check_node("Clip", [x], {"min": 0.0, "max": 1e6}, opset=7, expected=[np.maximum(x, np.float16(0))])


@pytest.mark.parametrize("opset", [11, 12, 13])
@pytest.mark.parametrize("constants", [(), (1, 2)])
@pytest.mark.parametrize("low_high", [(-1, 2), (0, None), (None, 1.5), (2, -1)])
def test_bounds_as_inputs(check_node, opset, constants, low_high):
    inputs = [X, *(None if b is None else scalar(b) for b in low_high)]
    while inputs[-1] is None:
        inputs.pop()
    check_node("Clip", inputs, opset=opset, constants=[c for c in constants if c < len(inputs)])


def test_without_bounds(check_node):
    check_node("Clip", [X], opset=13)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64", "float64"])
def test_other_types(check_node, dtype):
    x = np.array([0, 3, 50, 100], dtype)
    (result,) = check_node("Clip", [x, scalar(2, dtype), scalar(60, dtype)], opset=12)
    assert result.tolist() == [2, 3, 50, 60]


def test_nan_stays_nan_and_infinities_are_clipped(check_node):
    x = np.array([np.nan, np.inf, -np.inf, 0.5], np.float32)
    (result,) = check_node("Clip", [x, scalar(-1), scalar(1)], opset=13, against_ort=False)
    np.testing.assert_array_equal(result, [np.nan, 1, -1, 0.5])


def test_an_absent_bound_keeps_infinities(check_node):
    x = np.array([np.inf, -np.inf], np.float32)
    (result,) = check_node("Clip", [x, scalar(-1)], opset=13, against_ort=False)
    np.testing.assert_array_equal(result, [np.inf, -1])


def test_bounds_of_shape_1(check_node):
    check_node("Clip", [X, np.array([-1], np.float32), np.array([2], np.float32)], opset=13)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 6, ActivationAttr.of("clip", 0, 6)),
        (0, np.inf, ActivationAttr.of("relu")),
        (0, None, ActivationAttr.of("relu")),
        (-0.0, None, ActivationAttr.of("relu")),
        (None, 6, ActivationAttr.of("clip", -np.inf, 6)),
        (None, None, ActivationAttr.of("clip", -np.inf, np.inf)),
        (3, 1, ActivationAttr.of("clip", 3, 1)),
        (np.nan, 1, "its bounds nan and 1.0 are not f32 numbers"),
    ],
)
def test_activation(low, high, expected):
    op = ClipOp(value(f32, 2), *(None if b is None else constant(b) for b in (low, high)))
    assert op.activation() == expected
    if isinstance(expected, ActivationAttr):
        x = np.array([-2.5, 7.5], np.float32)
        bounds = [np.asarray(b, np.float32) for b in (low, high) if b is not None]
        np.testing.assert_array_equal(expected.apply(np, x), op.compute(np, [x, *bounds])[0])


def test_no_activation():
    assert ClipOp(value(f32, 2), value(f32)).activation() == "its bounds are not constant"
    assert ClipOp(value(f32, 2), None, value(f32)).activation() == "its bounds are not constant"
    integers = ClipOp(value(i32, 2), constant(0, np.int32))
    assert integers.activation() == "its operand is not of a float type"
    doubles = ClipOp(value(f64, 2), constant(0.1, np.float64))
    assert doubles.activation() == "its bounds 0.1 and inf are not f32 numbers"


def test_bounds_that_do_not_fit():
    with pytest.raises(CompileError, match="one element, not 2"):
        ClipOp(value(f32, 3), value(f32, 2))
    with pytest.raises(CompileError, match="one element type, not f32 and i32"):
        ClipOp(value(f32, 3), value(i32))
