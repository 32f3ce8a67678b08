"""Reductions against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from xdsl.dialects.builtin import f32, i1, i64
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn import NN
from nnfuse.dialects.nn.constant import ConstantOp
from nnfuse.dialects.nn.reduce import ReduceMaxOp, ReduceMeanOp, ReduceSumOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.errors import CompileError

RNG = np.random.default_rng(5)
X = RNG.standard_normal((2, 3, 4, 5)).astype(np.float32)
OPS = ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"]
NUMPY = {"ReduceMean": np.mean, "ReduceSum": np.sum, "ReduceMax": np.max, "ReduceMin": np.min}
NEWEST = onnx.defs.onnx_opset_version()


def takes_input(op, opset):
    """Whether `axes` is an input."""
    return opset >= (13 if op == "ReduceSum" else 18)


def reduce(check_node, op, x, axes, opset, constants=(1,), **attributes):
    """Run with `axes` where the opset has them."""
    if axes is None:
        return check_node(op, [x], attributes, opset=opset)[0]
    if takes_input(op, opset):
        inputs = [x, np.array(axes, np.int64)]
        return check_node(op, inputs, attributes, opset=opset, constants=constants)[0]
    return check_node(op, [x], attributes | {"axes": list(axes)}, opset=opset)[0]


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("opset", [7, 11, 13, 18, 21])
@pytest.mark.parametrize("axes", [None, (1,), (2, 3), (0, 1, 2, 3)])
@pytest.mark.parametrize("keepdims", [None, 0, 1])
def test_axes(check_node, op, opset, axes, keepdims):
    attributes = {} if keepdims is None else {"keepdims": keepdims}
    result = reduce(check_node, op, X, axes, opset, **attributes)
    np.testing.assert_allclose(result, NUMPY[op](X, axis=axes, keepdims=keepdims != 0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("axes", [(-1,), (-2, 0), (3, 1)])
def test_negative_and_unsorted_axes(check_node, op, axes):
    for keepdims in (0, 1):
        reduce(check_node, op, X, axes, 18, keepdims=keepdims)


@pytest.mark.parametrize("op", OPS)
def test_axes_computed_at_run_time(check_node, op):
    """Their number must be known where it decides the rank; check_node makes every size unknown too."""
    reduce(check_node, op, X, (-1, 1), 18, constants=())
    op_class = next(c for c in NN.operations if c.name == f"nn.reduce_{op[6:].lower()}")
    (result,) = op_class(value(f32, *X.shape), value(i64, 2), keepdims=0).compute(np, [X, np.array([-1, 1])])
    np.testing.assert_allclose(result, NUMPY[op](X, axis=(-1, 1)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("noop", [0, 1])
@pytest.mark.parametrize("constants", [(), (1,)])
def test_empty_axes(check_node, op, noop, constants):
    inputs, attributes = [X, np.zeros(0, np.int64)], {"noop_with_empty_axes": noop}
    (result,) = check_node(op, inputs, attributes, opset=18, constants=constants)
    assert result.shape == (X.shape if noop else (1, 1, 1, 1))
    (result,) = check_node(op, [X], attributes, opset=18)
    assert result.shape == (X.shape if noop else (1, 1, 1, 1))


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("keepdims", [0, 1])
def test_scalars(check_node, op, keepdims):
    x = np.asarray(2.5, np.float32)
    assert check_node(op, [x], {"keepdims": keepdims}, opset=18)[0] == 2.5


@pytest.mark.parametrize(
    ("op", "expected"), [("ReduceSum", 0), ("ReduceMax", -np.inf), ("ReduceMin", np.inf), ("ReduceMean", np.nan)]
)
def test_nothing_to_reduce(check_node, op, expected):
    x = np.zeros((2, 0, 3), np.float32)
    for keepdims in (0, 1):
        shape = (2, 1, 3) if keepdims else (2, 3)
        arrays = [np.full(shape, expected, np.float32)]
        attributes = {"keepdims": keepdims}
        check_node(op, [x, np.array([1])], attributes, opset=20, constants=(1,), expected=arrays)


@pytest.mark.parametrize("dtype", ["int32", "int64", "int8", "uint8", "uint32", "uint64"])
def test_nothing_to_reduce_in_integers(check_node, dtype):
    x, limits = np.zeros((0, 3), dtype), np.iinfo(dtype)
    for op, expected in (("ReduceSum", 0), ("ReduceMax", limits.min), ("ReduceMin", limits.max)):
        arrays = [np.full((1, 3), expected, dtype)]
        check_node(op, [x, np.array([0])], opset=20, constants=(1,), expected=arrays)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", ["int32", "int64", "float64", "float16"])
def test_other_types(check_node, op, dtype):
    x = RNG.integers(-100, 100, (3, 7)).astype(dtype)
    reduce(check_node, op, x, (1,), 18)


@pytest.mark.parametrize("op", OPS)
def test_integer_sums_keep_their_type(check_node, op):
    x = np.array([[2**31 - 1, 2**31 - 1], [1, 2]], np.int32)
    if op in ("ReduceMax", "ReduceMin"):
        reduce(check_node, op, x, (1,), 18)
    else:
        with np.errstate(over="ignore"):
            total = x.sum(axis=1, dtype=np.int32, keepdims=True)
        expected = total if op == "ReduceSum" else np.trunc(total / 2).astype(np.int32)
        check_node(op, [x, np.array([1])], opset=18, constants=(1,), expected=[expected])


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMin"])
def test_bools(check_node, op):
    x = np.array([[True, False], [True, True], [False, False]])
    result = reduce(check_node, op, x, (1,), 20)
    assert result.reshape(-1).tolist() == ([True, True, False] if op == "ReduceMax" else [False, True, False])
    expected = [np.full((1,), op == "ReduceMin")]
    check_node(op, [np.zeros(0, bool)], opset=20, expected=expected)


@pytest.mark.parametrize("op", OPS)
def test_the_newest_opset(check_node, op):
    expected = [NUMPY[op](X, axis=(1,), keepdims=True)]
    check_node(op, [X, np.array([1])], opset=NEWEST, constants=(1,), expected=expected)


def value(element, *dims):
    """An IR value of a tensor type."""
    return create_ssa_value(tensor(element, dims))


def test_axes_that_do_not_fit():
    x = value(f32, 2, 3)
    for axes, message in (([2], "axis 2 is out of range"), ([0, -2], "do not name different axes")):
        with pytest.raises(CompileError, match=message):
            ReduceSumOp(x, ConstantOp.of(np.array(axes)))
    with pytest.raises(CompileError, match="3 axes cannot be reduced in rank 2"):
        ReduceMeanOp(x, value(i64, 3), keepdims=0)
    with pytest.raises(CompileError, match="the length of axes must be known"):
        ReduceMeanOp(x, value(i64, None), keepdims=0)
    with pytest.raises(CompileError, match=r"nn.reduce_sum needs numbers, not i1"):
        ReduceSumOp(value(i1, 2))


def test_axes_of_unknown_value():
    x = value(f32, 2, 3)
    assert ReduceMaxOp(x, value(i64, None)).result.type == tensor(f32, [None, None])
    assert ReduceMaxOp(x, value(i64, 1), keepdims=0).result.type == tensor(f32, [None])
    assert ReduceMaxOp(x, value(i64, 0)).result.type == tensor(f32, [1, 1])
    assert ReduceMaxOp(x, value(i64, 0), noop_with_empty_axes=1).result.type == x.type
