"""CumSum and CumProd against ONNX Runtime and NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import f32, i1, i64
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.constant import ConstantOp
from nnfuse.dialects.nn.cumulative import CumProdOp, CumSumOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.errors import CompileError

X = np.random.default_rng(43).uniform(0.5, 1.5, (2, 3, 4))
NUMPY = {"CumSum": (np.add, 0, 14), "CumProd": (np.multiply, 1, 26)}
ops = pytest.mark.parametrize("op", NUMPY)
modes = pytest.mark.parametrize(("exclusive", "reverse"), [(0, 0), (0, 1), (1, 0), (1, 1)])


def value(element, *dims):
    """An IR value of a tensor type."""
    return create_ssa_value(tensor(element, dims))


def running(op, x, axis, exclusive, reverse):
    """The definition: for each place what the elements before it make."""
    ufunc, nothing, _ = NUMPY[op]
    x = np.moveaxis(x, axis, 0)
    result = np.empty_like(x)
    for i in range(len(x)):
        part = x[i + exclusive :] if reverse else x[: i + 1 - exclusive]
        result[i] = ufunc.reduce(part, axis=0, initial=nothing, dtype=x.dtype)
    return np.moveaxis(result, 0, axis)


@ops
@modes
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_modes(check_node, op, exclusive, reverse, axis):
    x = X.astype(np.float32)
    attributes = {"exclusive": exclusive, "reverse": reverse}
    expected = None if op == "CumSum" else [running(op, x, axis, exclusive, reverse)]
    for constants in ((1,), ()):
        inputs = [x, np.asarray(axis, np.int32)]
        results = check_node(op, inputs, attributes, opset=NUMPY[op][2], constants=constants, expected=expected)
        np.testing.assert_allclose(results[0], running(op, x, axis, exclusive, reverse), rtol=1e-5)


@modes
def test_oldest_opset(check_node, exclusive, reverse):
    attributes = {"exclusive": exclusive, "reverse": reverse}
    check_node("CumSum", [X.astype(np.float32), np.array([1], np.int64)], attributes, opset=11)


@ops
@modes
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32", "uint64", "float64", "float16"])
def test_types(check_node, op, exclusive, reverse, dtype):
    x = np.random.default_rng(2).integers(1, 4, (3, 4)).astype(dtype)
    expected = [running(op, x, 1, exclusive, reverse)]
    attributes = {"exclusive": exclusive, "reverse": reverse}
    check_node(op, [x, np.asarray(1)], attributes, opset=NUMPY[op][2], constants=(1,), expected=expected)


@ops
@modes
def test_special_values_do_not_spread_backwards(check_node, op, exclusive, reverse):
    """An exclusive sum is no difference: inf - inf would be NaN."""
    x = np.array([1, np.inf, 2, np.nan, 3], np.float32)
    attributes = {"exclusive": exclusive, "reverse": reverse}
    (result,) = check_node(op, [x, np.asarray(0)], attributes, opset=NUMPY[op][2], against_ort=False)
    np.testing.assert_array_equal(result, running(op, x, 0, exclusive, reverse))


@ops
@modes
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (1,)])
def test_small_shapes(check_node, op, exclusive, reverse, shape):
    x = np.ones(shape, np.float32)
    attributes = {"exclusive": exclusive, "reverse": reverse}
    expected = [running(op, x, 0, exclusive, reverse)]
    check_node(op, [x, np.asarray(0)], attributes, opset=NUMPY[op][2], expected=expected)


@pytest.mark.parametrize("op_class", [CumSumOp, CumProdOp])
def test_refusals(op_class):
    with pytest.raises(CompileError, match="axis 2 is out of range for rank 2"):
        op_class(value(f32, 2, 3), ConstantOp.of(np.asarray(2)))
    with pytest.raises(CompileError, match="axis must be one number, not 3"):
        op_class(value(f32, 2, 3), value(i64, 3))
    with pytest.raises(CompileError, match=f"{op_class.name} needs an operand of rank 1 or more"):
        op_class(value(f32), value(i64))
    with pytest.raises(CompileError, match=f"{op_class.name} needs numbers, not i1"):
        op_class(value(i1, 3), value(i64))
