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
NUMPY = {
    "ReduceMean": np.mean,
    "ReduceSum": np.sum,
    "ReduceMax": np.max,
    "ReduceMin": np.min,
    "ReduceProd": np.prod,
    "ReduceL1": lambda x, **k: np.sum(np.abs(x), **k),
    "ReduceL2": lambda x, **k: np.sqrt(np.sum(x * x, **k)),
    "ReduceSumSquare": lambda x, **k: np.sum(x * x, **k),
    "ReduceLogSum": lambda x, **k: np.log(np.sum(x, **k)),
    "ReduceLogSumExp": lambda x, **k: np.log(np.sum(np.exp(x), **k)),
}
OPS = list(NUMPY)
PLAIN = ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd"]
LOGS = ["ReduceLogSum", "ReduceLogSumExp"]
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
    x = np.abs(X) if op == "ReduceLogSum" else X
    result = reduce(check_node, op, x, axes, opset, **attributes)
    np.testing.assert_allclose(result, NUMPY[op](x, axis=axes, keepdims=keepdims != 0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("axes", [(-1,), (-2, 0), (3, 1)])
def test_negative_and_unsorted_axes(check_node, op, axes):
    for keepdims in (0, 1):
        reduce(check_node, op, X, axes, 18, keepdims=keepdims)


@pytest.mark.parametrize("op", OPS)
def test_axes_computed_at_run_time(check_node, op):
    """Their number must be known where it decides the rank; check_node makes every size unknown too."""
    reduce(check_node, op, X, (-1, 1), 18, constants=())
    op_class = next(c for c in NN.operations if c.ONNX is not None and c.ONNX.name == op)
    x = np.abs(X)
    (result,) = op_class(value(f32, *X.shape), value(i64, 2), keepdims=0).compute(np, [x, np.array([-1, 1])])
    np.testing.assert_allclose(result, NUMPY[op](x, axis=(-1, 1)), rtol=1e-5, atol=1e-6)


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
    expected = {"ReduceSumSquare": 6.25, "ReduceLogSum": np.log(2.5)}.get(op, 2.5)
    np.testing.assert_allclose(check_node(op, [x], {"keepdims": keepdims}, opset=18)[0], expected, rtol=1e-6)
    assert check_node(op, [x], {"keepdims": keepdims}, opset=11)[0].shape == ()


@pytest.mark.parametrize("op", OPS)
def test_no_axes_leave_what_is_made_of_each_element(check_node, op):
    """ReduceL1 is |x| then."""
    x = np.array([[-2, 3], [0.5, -1]], np.float32)
    x = np.abs(x) if op == "ReduceLogSum" else x
    each = {"ReduceL1": np.abs(x), "ReduceL2": np.abs(x), "ReduceSumSquare": x * x, "ReduceLogSum": np.log(np.abs(x))}
    (result,) = check_node(op, [x], {"noop_with_empty_axes": 1}, opset=18)
    np.testing.assert_allclose(result, each.get(op, x), rtol=1e-6)


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("ReduceSum", 0),
        ("ReduceMax", -np.inf),
        ("ReduceMin", np.inf),
        ("ReduceMean", np.nan),
        ("ReduceProd", 1),
        ("ReduceL1", 0),
        ("ReduceL2", 0),
        ("ReduceSumSquare", 0),
        ("ReduceLogSum", -np.inf),
        ("ReduceLogSumExp", -np.inf),
    ],
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
    x = RNG.integers(1, 10, (3, 4)) if op in ("ReduceProd", *LOGS) else RNG.integers(-100, 100, (3, 7))
    reduce(check_node, op, x.astype(dtype), (1,), 18)


@pytest.mark.parametrize("op", LOGS)
@pytest.mark.parametrize("dtype", ["uint32", "int32", "int64", "uint64"])
def test_logarithms_of_integers(check_node, op, dtype):
    """Rounded towards zero; differences of unsigned numbers must not wrap around."""
    x = np.array([[1, 5, 90], [7, 3, 2]], dtype)
    expected = [np.trunc(NUMPY[op](x.astype(float), axis=1, keepdims=True)).astype(dtype)]
    check_node(op, [x, np.array([1])], opset=18, constants=(1,), expected=expected)


def test_log_sum_exp_of_special_values(check_node):
    inf, nan = np.inf, np.nan
    x = np.array([[inf, 1], [-inf, -inf], [nan, 1], [1e3, 1e3], [-1e3, -1e3], [-inf, 2]], np.float32)
    (result,) = check_node("ReduceLogSumExp", [x], {"axes": [1], "keepdims": 0}, opset=13, against_ort=False)
    np.testing.assert_allclose(result, [inf, -inf, nan, 1e3 + np.log(2), -1e3 + np.log(2), 2], rtol=1e-6)


@pytest.mark.parametrize("op", [*PLAIN, "ReduceSumSquare"])
def test_integer_sums_keep_their_type(check_node, op):
    x = np.array([[2**31 - 1, 2**31 - 1], [1, 2]], np.int32)
    if op in ("ReduceMax", "ReduceMin"):
        reduce(check_node, op, x, (1,), 18)
    elif op in ("ReduceProd", "ReduceSumSquare"):
        with np.errstate(over="ignore"):
            expected = NUMPY[op](x, axis=1, dtype=np.int32, keepdims=True)
        check_node(op, [x, np.array([1])], opset=18, constants=(1,), expected=[expected])
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
    x = np.abs(X)
    expected = [NUMPY[op](x, axis=(1,), keepdims=True)]
    check_node(op, [x, np.array([1])], opset=NEWEST, constants=(1,), expected=expected)


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
    with pytest.raises(CompileError, match="unknown length of axes is not supported"):
        ReduceMeanOp(x, value(i64, None), keepdims=0)
    with pytest.raises(CompileError, match=r"nn.reduce_sum needs numbers, not i1"):
        ReduceSumOp(value(i1, 2))


def test_axes_of_unknown_value():
    x = value(f32, 2, 3)
    assert ReduceMaxOp(x, value(i64, None)).result.type == tensor(f32, [None, None])
    assert ReduceMaxOp(x, value(i64, 1), keepdims=0).result.type == tensor(f32, [None])
    assert ReduceMaxOp(x, value(i64, 0)).result.type == tensor(f32, [1, 1])
    assert ReduceMaxOp(x, value(i64, 0), noop_with_empty_axes=1).result.type == x.type
