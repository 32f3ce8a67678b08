"""Comparisons against ONNX Runtime and NumPy."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from xdsl.dialects.builtin import f32, i1, i32, i64
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.comparison import IsInfOp, IsNaNOp, LessOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.errors import CompileError

NEWEST = onnx.defs.onnx_opset_version()
RELATIONS = {
    "Less": (np.less, 7),
    "LessOrEqual": (np.less_equal, 12),
    "Greater": (np.greater, 7),
    "GreaterOrEqual": (np.greater_equal, 12),
    "Equal": (np.equal, 7),
}
every = pytest.mark.parametrize("op", RELATIONS)
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0, -0.0, 1.5, 3e38], np.float32)


def value(element, *dims):
    """An IR value of a tensor type."""
    return create_ssa_value(tensor(element, dims))


@every
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32", "int64", "int8", "uint8", "uint64"])
def test_types(check_node, op, dtype):
    a, b = (np.arange(12).reshape(3, 4) % 5).astype(dtype), np.array([2, 0, 3, 1], dtype)
    (result,) = check_node(op, [a, b], opset=16, against_ort=dtype not in ("float16",))
    np.testing.assert_array_equal(result, RELATIONS[op][0](a, b))
    assert result.any() and not result.all()


@every
def test_oldest_opset(check_node, op):
    dtype = np.int32 if op == "Equal" else np.float32
    check_node(op, [np.arange(4, dtype=dtype), np.array([[2], [0]], dtype)], opset=RELATIONS[op][1])


@every
@pytest.mark.parametrize("shapes", [((), ()), ((0, 3), (3,)), ((2, 1, 3), (4, 1))])
def test_shapes(check_node, op, shapes):
    a, b = (np.asarray(np.random.default_rng(3).integers(0, 3, s), np.float32) for s in shapes)
    (result,) = check_node(op, [a, b], opset=16)
    assert result.shape == np.broadcast_shapes(*shapes)


@every
def test_nan_compares_with_nothing(check_node, op):
    (result,) = check_node(op, [SPECIAL[:, None], SPECIAL], opset=16)
    assert not result[0].any() and not result[:, 0].any() and result.any()


@every
def test_large_integers_are_compared_exactly(check_node, op):
    a = np.array([2**62, 2**62 + 1], np.int64)
    (result,) = check_node(op, [a[:, None], a], opset=16)
    np.testing.assert_array_equal(result, RELATIONS[op][0](a[:, None], a))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("opset", [9, 20])
def test_is_nan(check_node, dtype, opset):
    x = SPECIAL.astype(dtype)
    (result,) = check_node("IsNaN", [x], opset=opset, against_ort=opset == 20 or dtype != "float64")
    assert result.tolist() == [True] + [False] * 6
    assert check_node("IsNaN", [np.asarray(np.nan, dtype)], opset=20)[0].shape == ()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("opset", [10, 20])
@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, [1, 2]),
        ({"detect_negative": 0}, [1]),
        ({"detect_positive": 0}, [2]),
        ({"detect_negative": 0, "detect_positive": 0}, []),
    ],
)
def test_is_inf(check_node, dtype, opset, attributes, expected):
    (result,) = check_node("IsInf", [SPECIAL[:6].astype(dtype)], attributes, opset=opset)
    assert np.flatnonzero(result).tolist() == expected


def test_is_inf_of_f16_and_scalars(check_node):
    x = np.array([1, np.inf, -np.inf, 65504], np.float16)
    assert check_node("IsInf", [x], opset=20, against_ort=False)[0].tolist() == [False, True, True, False]
    assert check_node("IsInf", [np.asarray(np.inf, np.float32)], opset=20)[0].shape == ()


@every
def test_the_newest_opset(check_node, op):
    a = np.array([1, 2, 3], np.float32)
    check_node(op, [a, a[::-1].copy()], opset=NEWEST, expected=[RELATIONS[op][0](a, a[::-1])])


def test_operands_that_do_not_fit():
    with pytest.raises(CompileError, match=r"nn.less needs operands of one element type, not f32 and i64"):
        LessOp(value(f32, 2), value(i64, 2))
    with pytest.raises(CompileError, match=r"nn.less needs numbers, not i1"):
        LessOp(value(i1, 2), value(i1, 2))
    for op_class in (IsNaNOp, IsInfOp):
        with pytest.raises(CompileError, match="needs operands of a float type, not i32"):
            op_class(value(i32, 2))
