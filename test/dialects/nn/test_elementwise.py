"""nn.add, sub, mul, div, pow, sum, max, min, mean, equal, where against ONNX Runtime and float64."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import f32, i1, i32, i64
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.comparison import EqualOp
from nnfuse.dialects.nn.elementwise import AddOp, DivOp, PowOp, SumOp, WhereOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.errors import CompileError

RNG = np.random.default_rng(0)
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def normal(*shape, dtype=np.float32):
    """Standard normal numbers."""
    return np.asarray(RNG.standard_normal(shape), dtype)


def value(element, *dims):
    """An IR value of a tensor type."""
    return create_ssa_value(tensor(element, dims))


SHAPES = [((2, 3), (2, 3)), ((2, 3, 4), (3, 1)), ((), (4,)), ((5, 1), (1, 6)), ((2, 0), (1, 1)), ((), ())]


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_arithmetic_broadcasts(check_node, op, a, b):
    check_node(op, [normal(*a), np.asarray(normal(*b) + 3)])


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("opset", [7, 13, 14])
def test_arithmetic_in_older_opsets(check_node, op, opset):
    check_node(op, [normal(2, 3), normal(3) + 3], opset=opset)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "int64"])
def test_arithmetic_of_other_types(check_node, op, dtype):
    a, b = (RNG.integers(-50, 50, (4, 5)).astype(dtype) for _ in range(2))
    check_node(op, [a, b])


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_wrap_around(check_node, op, dtype):
    limits = np.iinfo(dtype)
    a = np.array([limits.max, limits.min, 3, 100], dtype)
    b = np.array([1, 2, 5, 7], dtype)
    with np.errstate(over="ignore"):
        expected = {"Add": a + b, "Sub": a - b, "Mul": a * b}[op]
    check_node(op, [a, b], expected=[expected])


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integer_division_is_towards_zero(check_node, dtype):
    a = np.array([7, -7, 7, -7, 6, -6, 0, 2**31 - 1, -(2**31)], dtype)
    b = np.array([2, 2, -2, -2, -3, 3, -5, 10, 3], dtype)
    (result,) = check_node("Div", [a, b])
    assert result.tolist()[:7] == [3, -3, -3, 3, -2, -2, 0]


def test_division_of_large_integers_is_exact(check_node):
    a = np.array([2**62 + 1, -(2**62) - 1, 2**63 - 1], np.int64)
    (result,) = check_node("Div", [a, np.array([1, 1, -1], np.int64)])
    assert result.tolist() == [2**62 + 1, -(2**62) - 1, -(2**63) + 1]


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint8", "uint16", "uint32", "uint64"])
def test_division_of_narrow_and_unsigned_integers(check_node, dtype):
    a, b = RNG.integers(0, 120, 20).astype(dtype), RNG.integers(1, 9, 20).astype(dtype)
    if dtype.startswith("i"):
        a[::2] = -a[::2]
    check_node("Div", [a, b], expected=[np.trunc(a / b).astype(dtype)])


def test_an_integer_divided_by_zero_is_zero():
    op = DivOp(value(i32, 3), value(i32, 3))
    with np.errstate(divide="ignore"):
        (result,) = op.compute(np, [np.array([5, -5, 0], np.int32), np.array([0, 0, 0], np.int32)])
    assert result.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("base", "exponent"),
    [
        ("float32", "float32"),
        ("float32", "int64"),
        ("float32", "float64"),
        ("float64", "float32"),
        ("int32", "int32"),
        ("int64", "int64"),
        ("int32", "float32"),
        ("int64", "float32"),
        ("float32", "int32"),
        ("int32", "int64"),
    ],
)
def test_pow_has_the_type_of_its_base(check_node, base, exponent):
    a, b = np.array([[1, 2, 3, 5]]).astype(base), np.array([[0], [1], [2], [3]]).astype(exponent)
    (result,) = check_node("Pow", [a, b], opset=15)
    assert result.dtype == base and result.shape == (4, 4)


def test_pow_of_negative_bases_and_fractions(check_node):
    a = np.array([-2, -2, 2, 0, 0, -8, np.inf], np.float32)
    check_node("Pow", [a, np.array([3, 0.5, -1.5, 0, -1, 2, -1], np.float32)], opset=7)


def test_pow_of_integers_to_negative_powers():
    a, b = np.array([1, -1, -1, 2, -3, 7], np.int32), np.array([-2, -2, -3, -1, -2, 2], np.int64)
    (result,) = PowOp(value(i32, 6), value(i64, 6)).compute(np, [a, b])
    assert result.tolist() == [1, 1, -1, 0, 0, 49] and result.dtype == np.int32


@pytest.mark.parametrize("op", ["Sum", "Max", "Min", "Mean"])
@pytest.mark.parametrize("opset", [7, 8, 13, 21])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_variadic(check_node, op, opset, count):
    check_node(op, [normal(2, 3) for _ in range(count)], opset=opset)


@pytest.mark.parametrize("op", ["Sum", "Max", "Min", "Mean"])
def test_variadic_broadcasts(check_node, op):
    (result,) = check_node(op, [normal(3, 1), normal(2, 1, 4), normal()], opset=13)
    assert result.shape == (2, 3, 4)


@pytest.mark.parametrize("op", ["Max", "Min"])
@pytest.mark.parametrize("dtype", [*INTEGERS, "float64", "float16"])
def test_extremes_of_other_types(check_node, op, dtype):
    a, b = (RNG.integers(0, 100, (4, 5)).astype(dtype) for _ in range(2))
    check_node(op, [a, b], expected=[{"Max": np.maximum, "Min": np.minimum}[op](a, b)])


@pytest.mark.parametrize("op", ["Max", "Min"])
def test_a_nan_wins(check_node, op):
    a, b = np.array([np.nan, 1, np.inf], np.float32), np.array([1, np.nan, -np.inf], np.float32)
    (result,) = check_node(op, [a, b])
    assert np.isnan(result).tolist() == [True, True, False]


@pytest.mark.parametrize("dtype", ["bool", "int32", "int64", "float32", "float64"])
def test_equal(check_node, dtype):
    a, b = RNG.integers(0, 2, (4, 1)).astype(dtype), np.array([0, 1, 1], dtype)
    (result,) = check_node("Equal", [a, b], opset=13)
    assert result.dtype == np.bool_ and result.any() and not result.all()


def test_equal_of_the_oldest_opset(check_node):
    check_node("Equal", [np.array([1, 2], np.int64), np.array([1, 3], np.int64)], opset=7)


def test_nan_is_not_equal_to_itself(check_node):
    x = np.array([np.nan, np.inf, -0.0], np.float32)
    (result,) = check_node("Equal", [x, np.array([np.nan, np.inf, 0], np.float32)], opset=11)
    assert result.tolist() == [False, True, True]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("opset", [9, 16])
def test_where(check_node, dtype, opset):
    condition = RNG.integers(0, 2, (3, 1)).astype(bool)
    x, y = (RNG.integers(0, 100, s).astype(dtype) for s in ((1, 4), (2, 1, 1)))
    expected = np.where(condition, x, y)
    (result,) = check_node("Where", [condition, x, y], opset=opset, expected=[expected])
    assert result.shape == (2, 3, 4)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Pow", "Max", "Sum", "Mean"])
def test_f16_is_computed_in_f32(check_node, op):
    a, b = (np.abs(normal(50, dtype=np.float16)) + np.float16(0.5) for _ in range(2))
    check_node(op, [a, b])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AddOp(value(f32, 2), value(i32, 2)), "one element type"),
        (lambda: AddOp(value(f32, 2), value(f32, 3)), "shapes 2 and 3 do not broadcast"),
        (lambda: AddOp(value(i1, 2), value(i1, 2)), "needs numbers"),
        (lambda: PowOp(value(i1, 2), value(f32, 2)), "needs numbers"),
        (lambda: SumOp([]), "at least one operand"),
        (lambda: SumOp([value(f32, 2), value(f32, 2, 3)]), "do not broadcast"),
        (lambda: EqualOp(value(f32, 2), value(i1, 2)), "one element type"),
        (lambda: WhereOp(value(f32, 2), value(f32, 2), value(f32, 2)), "must be i1"),
    ],
)
def test_operands_that_do_not_fit(build, message):
    with pytest.raises(CompileError, match=message):
        build()


def test_unknown_sizes_broadcast():
    assert AddOp(value(f32, None, 3), value(f32, 2, 1)).result.type == tensor(f32, [2, 3])
    assert AddOp(value(f32, None), value(f32, 1)).result.type == tensor(f32, [None])


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint64"])
@pytest.mark.parametrize("fmod", [0, 1])
def test_mod_of_integers(check_node, dtype, fmod):
    a, b = np.array([[7], [100], [9]]), np.array([3, 7, 1, 5])
    if dtype.startswith("i"):
        a, b = np.concatenate([a, -a]), np.concatenate([b, -b])
    (result,) = check_node("Mod", [a.astype(dtype), b.astype(dtype)], {"fmod": fmod}, opset=10)
    np.testing.assert_array_equal(result, (np.fmod if fmod else np.mod)(a, b))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_mod_of_floats(check_node, dtype):
    a, b = np.array([[-7.5], [7.5], [2.25], [-0.5]], dtype), np.array([2, -2, 0.75, 100], dtype)
    check_node("Mod", [a, b], {"fmod": 1}, opset=13)
    check_node("Mod", [a, b], {"fmod": 0}, opset=28, expected=[a - np.floor(a / b) * b])


def test_mod_of_special_floats(check_node):
    """By the table of opset 28."""
    nan, inf = np.nan, np.inf
    cases = {(0.0, -2.0): -0.0, (inf, 3): nan, (3, 0): nan, (2, inf): 2, (-2, inf): inf, (2, -inf): -inf, (nan, 1): nan}
    a, b = (np.array(v, np.float32) for v in zip(*cases, strict=True))
    (result,) = check_node("Mod", [a, b], {"fmod": 0}, opset=28, against_ort=False)
    np.testing.assert_array_equal(result, np.array(list(cases.values()), np.float32))
    assert np.signbit(result[0])
    (result,) = check_node("Mod", [a, b], {"fmod": 1}, opset=28, against_ort=False)
    np.testing.assert_array_equal(result, np.fmod(a, b))


def test_mod_of_floats_needs_fmod(check_node):
    x = np.ones(2, np.float32)
    with pytest.raises(CompileError, match=r"Mod of f32 needs fmod = 1 in opset 13"):
        check_node("Mod", [x, x], opset=13)


def test_mod_of_large_integers_is_exact(check_node):
    a, b = np.array([2**62 + 1, -(2**62) - 1], np.int64), np.array([10], np.int64)
    (result,) = check_node("Mod", [a, b], {"fmod": 1})
    assert result.tolist() == [5, -5]
