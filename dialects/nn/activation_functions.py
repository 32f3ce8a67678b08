"""What each activation computes, by name: for the op of that name, and as the epilogue of a convolution or GEMM."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .special import erf
from .types import Array

ACTIVATIONS: dict[str, tuple[int, Callable[..., Array]]] = {}
"""Name -> (number of parameters, f(xp, x, *parameters, out=None)); the op of that name means the same."""

ActivationFunction = TypeVar("ActivationFunction", bound=Callable[..., Array])


def activation(parameters: int = 0) -> Callable[[ActivationFunction], ActivationFunction]:
    """Register a function under its own name: f(xp, x, *parameters, out=None), elementwise on a float array.

    The result is `out`, which may be `x` itself, or by default a new array of `x`'s dtype. A NaN stays a NaN, an
    overflow on the way warns nobody.
    """

    def register(function: ActivationFunction) -> ActivationFunction:
        quiet = np.errstate(all="ignore")(function)
        ACTIVATIONS[function.__name__] = (parameters, quiet)
        return quiet

    return register


def _like(xp: Any, x: Array, out: Array | None) -> Array:
    """`out`, or a new array for the result (ufuncs would give scalars for arrays of rank 0)."""
    return xp.empty_like(x) if out is None else out


@activation()
def relu(xp: Any, x: Array, out: Array | None = None) -> Array:
    """`max(x, 0)`"""
    return xp.maximum(x, x.dtype.type(0), out=_like(xp, x, out))


@activation(parameters=1)
def leaky_relu(xp: Any, x: Array, alpha: float, out: Array | None = None) -> Array:
    """`max(x, 0) + alpha * min(x, 0)`"""
    below = xp.minimum(x, 0, out=xp.empty_like(x))
    below *= alpha
    y = relu(xp, x, out)
    y += below
    return y


@activation(parameters=2)
def clip(xp: Any, x: Array, low: float, high: float, out: Array | None = None) -> Array:
    """`min(max(x, low), high)`, so `high` where low > high."""
    y = _like(xp, x, out)
    if low != -math.inf:
        x = xp.maximum(x, low, out=y)
    return xp.minimum(x, high, out=y)


@activation(parameters=1)
def elu(xp: Any, x: Array, alpha: float, out: Array | None = None) -> Array:
    """`max(x, 0) + alpha * (exp(min(x, 0)) - 1)`"""
    below = xp.minimum(x, 0, out=xp.empty_like(x))
    xp.expm1(below, out=below)
    below *= alpha
    y = relu(xp, x, out)
    y += below
    return y


@activation(parameters=2)
def selu(xp: Any, x: Array, alpha: float, gamma: float, out: Array | None = None) -> Array:
    """`gamma * elu(x, alpha)`"""
    y = elu(xp, x, alpha, out)
    y *= gamma
    return y


@activation(parameters=1)
def celu(xp: Any, x: Array, alpha: float, out: Array | None = None) -> Array:
    """`max(x, 0) + alpha * (exp(min(x, 0) / alpha) - 1)`"""
    below = xp.minimum(x, 0, out=xp.empty_like(x))
    below /= alpha
    xp.expm1(below, out=below)
    below *= alpha
    y = relu(xp, x, out)
    y += below
    return y


@activation(parameters=1)
def thresholded_relu(xp: Any, x: Array, alpha: float, out: Array | None = None) -> Array:
    """`x` where it is above alpha, else 0."""
    y = _like(xp, x, out)
    y[...] = xp.where(x <= alpha, x.dtype.type(0), x)
    return y


@activation(parameters=2)
def shrink(xp: Any, x: Array, lambd: float, bias: float, out: Array | None = None) -> Array:
    """`x + bias` below -lambd, `x - bias` above lambd, else 0; of integers too, rounded towards zero."""
    rest = xp.where(x != x, x, x.dtype.type(0))
    y = _like(xp, x, out)
    y[...] = xp.where(x < -lambd, x + bias, xp.where(x > lambd, x - bias, rest))
    return y


@activation()
def softsign(xp: Any, x: Array, out: Array | None = None) -> Array:
    """`x / (1 + |x|)`"""
    size = xp.abs(x, out=xp.empty_like(x))
    size += 1
    return xp.divide(x, size, out=_like(xp, x, out))


@activation()
def sigmoid(xp: Any, x: Array, out: Array | None = None) -> Array:
    """`1 / (1 + exp(-x))`; where exp(-x) overflows, the result is 0."""
    y = xp.negative(x, out=_like(xp, x, out))
    xp.exp(y, out=y)
    y += 1
    return xp.divide(1, y, out=y)


@activation(parameters=2)
def hard_sigmoid(xp: Any, x: Array, alpha: float, beta: float, out: Array | None = None) -> Array:
    """`max(0, min(1, alpha * x + beta))`"""
    y = xp.multiply(x, alpha, out=_like(xp, x, out))
    y += beta
    xp.minimum(y, 1, out=y)
    return xp.maximum(y, 0, out=y)


@activation()
def hard_swish(xp: Any, x: Array, out: Array | None = None) -> Array:
    """`x * hard_sigmoid(x, 1/6, 1/2)`"""
    return xp.multiply(x, hard_sigmoid(xp, x, 1 / 6, 0.5), out=_like(xp, x, out))


@activation()
def tanh(xp: Any, x: Array, out: Array | None = None) -> Array:
    """`tanh(x)`"""
    return xp.tanh(x, out=_like(xp, x, out))


@activation()
def softplus(xp: Any, x: Array, out: Array | None = None) -> Array:
    """`log(1 + exp(x))`, as `max(x, 0) + log1p(exp(-|x|))`, which does not overflow."""
    rest = xp.abs(x, out=xp.empty_like(x))
    xp.negative(rest, out=rest)
    xp.exp(rest, out=rest)
    xp.log1p(rest, out=rest)
    y = relu(xp, x, out)
    y += rest
    return y


@activation()
def mish(xp: Any, x: Array, out: Array | None = None) -> Array:
    """`x * tanh(softplus(x))`"""
    gate = softplus(xp, x)
    return xp.multiply(x, xp.tanh(gate, out=gate), out=_like(xp, x, out))


@activation()
def gelu(xp: Any, x: Array, out: Array | None = None) -> Array:
    """`x / 2 * (1 + erf(x / sqrt(2)))`"""
    return _half_of(xp, x, erf(xp, x * math.sqrt(0.5)), out)


@activation()
def gelu_tanh(xp: Any, x: Array, out: Array | None = None) -> Array:
    """`x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))`"""
    inner = xp.multiply(x, x, out=xp.empty_like(x))
    inner *= 0.044715
    inner += 1
    inner *= x
    inner *= math.sqrt(2 / math.pi)
    return _half_of(xp, x, xp.tanh(inner, out=inner), out)


def _half_of(xp: Any, x: Array, gate: Array, out: Array | None) -> Array:
    gate += 1
    gate *= 0.5
    return xp.multiply(x, gate, out=_like(xp, x, out))


@activation(parameters=1)
def swish(xp: Any, x: Array, alpha: float, out: Array | None = None) -> Array:
    """`x * sigmoid(alpha * x)`"""
    gate = xp.multiply(x, alpha, out=xp.empty_like(x))
    return xp.multiply(x, sigmoid(xp, gate, out=gate), out=_like(xp, x, out))
