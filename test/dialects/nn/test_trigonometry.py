"""Trigonometric and hyperbolic functions against ONNX Runtime, float64 and Python's math."""

from __future__ import annotations

import cmath
import math

import ml_dtypes
import numpy as np
import pytest
from xdsl.dialects.builtin import bf16, i32
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.trigonometry import SinOp, TanOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.errors import CompileError

RNG = np.random.default_rng(31)
DOMAINS = {
    "Sin": (-9, 9),
    "Cos": (-9, 9),
    "Tan": (-1.4, 1.4),
    "Asin": (-1, 1),
    "Acos": (-1, 1),
    "Atan": (-20, 20),
    "Sinh": (-5, 5),
    "Cosh": (-5, 5),
    "Asinh": (-50, 50),
    "Acosh": (1.01, 50),
    "Atanh": (-0.99, 0.99),
}
every = pytest.mark.parametrize("op", DOMAINS)


@every
@pytest.mark.parametrize("opset", [9, 22])
@pytest.mark.parametrize("shape", [(3, 40), (), (0, 3)])
def test_f32(check_node, op, opset, shape):
    x = np.asarray(RNG.uniform(*DOMAINS[op], shape), np.float32)
    (result,) = check_node(op, [x], opset=opset)
    exact = np.array([getattr(math, op.lower())(float(v)) for v in x.reshape(-1)]).reshape(shape)
    np.testing.assert_allclose(result, exact, rtol=2e-6, atol=1e-6)


@every
def test_other_floats(check_node, op):
    x = RNG.uniform(*DOMAINS[op], 50)
    (result,) = check_node(op, [x], against_ort=False)
    np.testing.assert_allclose(result, [getattr(math, op.lower())(v) for v in x.tolist()], rtol=1e-12)
    check_node(op, [x.astype(np.float16)], against_ort=False)


@every
def test_special_values(check_node, op):
    """NaN outside the domain; Python's complex functions say where that is."""
    x = np.array([np.nan, np.inf, -np.inf, 0, -0.0, 2, -2, 0.5], np.float32)
    (result,) = check_node(op, [x], against_ort=False)
    reals = [getattr(cmath, op.lower())(complex(v)) for v in (0.5, 2.0, -2.0)]
    assert [bool(np.isnan(v)) for v in result[[7, 5, 6]]] == [abs(r.imag) > 1e-12 for r in reals]
    assert np.isnan(result[0])


def test_bf16_is_rounded_once():
    x = RNG.uniform(-4, 4, 200).astype(ml_dtypes.bfloat16)
    (result,) = SinOp(create_ssa_value(tensor(bf16, [200]))).compute(np, [x])
    np.testing.assert_array_equal(result, np.sin(x.astype(np.float32)).astype(ml_dtypes.bfloat16))


def test_integers_are_refused():
    with pytest.raises(CompileError, match=r"nn.tan needs operands of a float type, not i32"):
        TanOp(create_ssa_value(tensor(i32, [2])))
