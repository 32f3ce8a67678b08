"""Elementary functions against ONNX Runtime and float64, and erf against its exact values."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from xdsl.dialects.builtin import bf16, i1, i32
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.special import erf
from nnfuse.dialects.nn.types import tensor
from nnfuse.dialects.nn.unary import AbsOp, ErfOp, ExpOp
from nnfuse.errors import CompileError

RNG = np.random.default_rng(1)
FUNCTIONS = ["Neg", "Abs", "Exp", "Log", "Sqrt", "Reciprocal", "Erf", "Floor", "Ceil", "Round", "Sign"]


@pytest.mark.parametrize("op", FUNCTIONS)
@pytest.mark.parametrize("opset", [11, 13])
def test_f32(check_node, op, opset):
    x = RNG.standard_normal((3, 40)).astype(np.float32) * 3
    check_node(op, [np.abs(x) + 0.1 if op in ("Log", "Sqrt") else x], opset=opset)


@pytest.mark.parametrize("op", FUNCTIONS)
@pytest.mark.parametrize("shape", [(), (0, 3), (1,)])
def test_small_shapes(check_node, op, shape):
    (result,) = check_node(op, [np.full(shape, 0.7, np.float32)])
    assert result.shape == shape


@pytest.mark.parametrize("op", [f for f in FUNCTIONS if f != "Erf"])  # ONNX Runtime has no Erf of doubles
def test_f64(check_node, op):
    check_node(op, [RNG.uniform(0.5, 4, 50)])


@pytest.mark.parametrize("op", FUNCTIONS)
def test_f16(check_node, op):
    x = (RNG.integers(1, 40, 50) / 8).astype(np.float16)  # f16 numbers: floors and ceilings are exact
    check_node(op, [x], against_ort=op != "Erf")


@pytest.mark.parametrize("op", ["Neg", "Abs", "Sign"])
@pytest.mark.parametrize("dtype", ["int8", "int32", "int64"])
def test_integers(check_node, op, dtype):
    check_node(op, [np.array([-100, -1, 0, 100], dtype)])


@pytest.mark.parametrize("op", ["Exp", "Sqrt", "Reciprocal", "Erf", "Floor", "Ceil", "Log", "Round"])
def test_special_values(check_node, op):
    x = np.array([np.nan, np.inf, -np.inf, 0, -0.0, -1.5, 1e-30, 80, -104], np.float32)
    check_node(op, [x])


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_round_to_even(check_node, dtype):
    x = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49, -1.51], dtype)
    (result,) = check_node("Round", [x], opset=22, against_ort=dtype != "float16")
    assert result.tolist() == [-2, -2, 0, 0, 2, 2, 0, -2]


def test_sign(check_node):
    x = np.array([-np.inf, -3, -0.0, 0, 1e-40, np.inf], np.float32)
    assert check_node("Sign", [x], opset=13)[0].tolist() == [-1, -1, 0, 0, 1, 1]
    assert np.isnan(check_node("Sign", [np.array([np.nan], np.float32)], opset=13, against_ort=False)[0]).all()
    assert check_node("Sign", [np.array([0, 255], np.uint8)])[0].tolist() == [0, 1]


def test_bf16_is_rounded_once():
    x = RNG.uniform(0.5, 4, 200).astype(ml_dtypes.bfloat16)
    (result,) = ExpOp(create_ssa_value(tensor(bf16, [200]))).compute(np, [x])
    np.testing.assert_array_equal(result, np.exp(x.astype(np.float32)).astype(ml_dtypes.bfloat16))


@pytest.mark.parametrize(("dtype", "limit"), [(np.float64, 5e-16), (np.float32, 6.1e-8)])
def test_erf_is_accurate(dtype, limit):
    x = np.concatenate([np.linspace(-7, 7, 4001), np.logspace(-30, 0, 500), np.linspace(0.99, 1.01, 201)]).astype(dtype)
    x = x[x != 0]
    result = erf(np, x)
    exact = np.array([math.erf(float(v)) for v in x])
    assert result.dtype == dtype
    assert np.abs(result.astype(np.float64) / exact - 1).max() <= limit


def test_erf_of_many_elements_in_blocks():
    x = RNG.standard_normal((3, 50_001)).astype(np.float32)[:, ::2]
    exact = np.vectorize(math.erf)(x.astype(np.float64))
    np.testing.assert_allclose(erf(np, x), exact, rtol=1e-7)


def test_erf_of_the_ends():
    for dtype in (np.float32, np.float64):
        x = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30], dtype)
        with np.errstate(all="raise", under="ignore"):
            np.testing.assert_array_equal(erf(np, x), np.array([0, 0, 1, -1, np.nan, 1, -1], dtype))


@pytest.mark.parametrize(("op", "element"), [(ExpOp, i32), (ErfOp, i32), (AbsOp, i1)])
def test_other_element_types_are_refused(op, element):
    with pytest.raises(CompileError, match=f"nn.{op.name[3:]} needs"):
        op(create_ssa_value(tensor(element, [2])))
