"""Logic on bools and bits against ONNX Runtime, NumPy and Python's integers."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from xdsl.dialects.builtin import f32, i1, i32
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.logic import AndOp, BitShiftOp, BitwiseNotOp, BitwiseOrOp, NotOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.errors import CompileError

NEWEST = onnx.defs.onnx_opset_version()
LOGICAL = {"And": np.logical_and, "Or": np.logical_or, "Xor": np.logical_xor}
BITWISE = {"BitwiseAnd": np.bitwise_and, "BitwiseOr": np.bitwise_or, "BitwiseXor": np.bitwise_xor}
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def value(element, *dims):
    """An IR value of a tensor type."""
    return create_ssa_value(tensor(element, dims))


@pytest.mark.parametrize("op", LOGICAL)
@pytest.mark.parametrize("shapes", [((), ()), ((0, 2), (2,)), ((3, 1), (3,))])
def test_connectives(check_node, op, shapes):
    rng = np.random.default_rng(9)
    a, b = (np.asarray(rng.integers(0, 2, s), np.bool_) for s in shapes)
    check_node(op, [a, b], opset=7)


@pytest.mark.parametrize("op", LOGICAL)
def test_truth_tables(check_node, op):
    a = np.array([[False], [True]])
    (result,) = check_node(op, [a, a[:, 0]], opset=NEWEST, expected=[LOGICAL[op](a, a[:, 0])])
    assert result.sum() == {"And": 1, "Or": 3, "Xor": 2}[op]


@pytest.mark.parametrize("shape", [(), (0,), (2, 2)])
def test_not(check_node, shape):
    x = np.asarray(np.arange(np.prod(shape, dtype=int)) % 2, np.bool_).reshape(shape)
    (result,) = check_node("Not", [x], opset=7)
    np.testing.assert_array_equal(result, x == np.False_)


@pytest.mark.parametrize("op", BITWISE)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_bitwise(check_node, op, dtype):
    limits = np.iinfo(dtype)
    a = np.array([[limits.min], [limits.max], [0b1100]], dtype)
    b = np.array([limits.max, 0b1010, 1], dtype)
    (result,) = check_node(op, [a, b], opset=18)
    np.testing.assert_array_equal(result, BITWISE[op](a, b))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_bitwise_not(check_node, dtype):
    limits = np.iinfo(dtype)
    (result,) = check_node("BitwiseNot", [np.array([limits.min, limits.max, 5], dtype)], opset=18)
    assert result[:2].tolist() == [limits.max, limits.min]


def shifted(x: int, by: int, direction: str, dtype: str) -> int:
    """BitShift's definition, in Python's unbounded integers."""
    bits, signed = 8 * np.dtype(dtype).itemsize, dtype.startswith("i")
    if not 0 <= by < bits:
        return -1 if direction == "RIGHT" and x < 0 else 0
    wide = (x >> by) if direction == "RIGHT" else (x << by) % 2**bits
    return wide - 2**bits if signed and wide >= 2 ** (bits - 1) else wide


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
def test_bit_shift(check_node, dtype, direction):
    limits, bits = np.iinfo(dtype), 8 * np.dtype(dtype).itemsize
    x = np.array([[limits.min], [limits.max], [limits.max // 3], [1], [0]], dtype)
    by = np.array([0, 1, 3, bits - 1, bits, bits + 5, *([-1, limits.min] if limits.min else [])]).astype(dtype)
    expected = [[shifted(int(v), int(b), direction, dtype) for b in by] for v in x[:, 0]]
    opset = NEWEST if limits.min else 11
    check_node("BitShift", [x, by], {"direction": direction}, opset=opset, expected=[np.array(expected, dtype)])


@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
@pytest.mark.parametrize("dtype", ["uint8", "uint32", "uint64"])  # those that ONNX Runtime has
def test_bit_shift_against_its_peer(check_node, direction, dtype):
    x, by = np.array([200, 100, 3], dtype), np.array([[1], [2], [0]], dtype)
    check_node("BitShift", [x, by], {"direction": direction}, opset=11)
    check_node("BitShift", [np.asarray(9, dtype), np.asarray(1, dtype)], {"direction": direction}, opset=11)


def test_operands_that_do_not_fit():
    with pytest.raises(CompileError, match=r"nn.and needs operands of type i1, not i32"):
        AndOp(value(i32, 2), value(i32, 2))
    with pytest.raises(CompileError, match=r"nn.not needs operands of type i1, not f32"):
        NotOp(value(f32, 2))
    for element in (f32, i1):
        with pytest.raises(CompileError, match="needs operands of an integer type"):
            BitwiseOrOp(value(element, 2), value(element, 2))
        with pytest.raises(CompileError, match="needs operands of an integer type"):
            BitwiseNotOp(value(element, 2))
    with pytest.raises(CompileError, match="direction 'UP' is unknown"):
        BitShiftOp(value(i32, 2), value(i32, 2), direction="UP")
