"""What elementwise ops compute, as C expressions: `x` (or `x0`, `x1`, ...) in the type that they are computed in."""

from __future__ import annotations

from collections.abc import Callable

from .source import literal

FUNCTIONS = """
template <typename A> __device__ __forceinline__ A below(A x) { return x > A(0) ? A(0) : x; }
template <typename A> __device__ __forceinline__ A elu(A x, A alpha) { return relu(x) + alpha * expm1(below(x)); }
template <typename A> __device__ __forceinline__ A sigmoid(A x) { return A(1) / (A(1) + exp(-x)); }
template <typename A> __device__ __forceinline__ A hard_sigmoid(A x, A alpha, A beta) {
  return larger(smaller(alpha * x + beta, A(1)), A(0));
}
template <typename A> __device__ __forceinline__ A softplus(A x) { return relu(x) + log1p(exp(-abs(x))); }
template <typename A> __device__ __forceinline__ A shrink(A x, A lambd, A bias) {
  return x < -lambd ? x + bias : x > lambd ? x - bias : x != x ? x : A(0);
}
template <typename A> __device__ __forceinline__ A gelu(A x, A root_half) {
  return x * A(0.5) * (A(1) + erf(x * root_half));
}
template <typename A> __device__ __forceinline__ A gelu_tanh(A x, A root, A cubic) {
  return x * A(0.5) * (A(1) + tanh(root * x * (A(1) + cubic * x * x)));
}
"""
"""Device functions that the expressions call; each lets a NaN stay a NaN."""

_SQRT_HALF = 0.7071067811865476
_SQRT_2_BY_PI = 0.7978845608028654

ACTIVATIONS: dict[str, Callable[[str, str, tuple[float, ...]], str]] = {
    "relu": lambda x, t, p: f"relu({x})",
    "leaky_relu": lambda x, t, p: f"(relu({x}) + {literal(p[0], t)} * below({x}))",
    "elu": lambda x, t, p: f"elu({x}, {literal(p[0], t)})",
    "selu": lambda x, t, p: f"({literal(p[1], t)} * elu({x}, {literal(p[0], t)}))",
    "celu": lambda x, t, p: f"(relu({x}) + {literal(p[0], t)} * expm1(below({x}) / {literal(p[0], t)}))",
    "thresholded_relu": lambda x, t, p: f"({x} <= {literal(p[0], t)} ? {literal(0, t)} : {x})",
    "shrink": lambda x, t, p: f"shrink({x}, {literal(p[0], t)}, {literal(p[1], t)})",
    "softsign": lambda x, t, p: f"({x} / ({literal(1, t)} + abs({x})))",
    "sigmoid": lambda x, t, p: f"sigmoid({x})",
    "hard_sigmoid": lambda x, t, p: f"hard_sigmoid({x}, {literal(p[0], t)}, {literal(p[1], t)})",
    "hard_swish": lambda x, t, p: f"({x} * hard_sigmoid({x}, {literal(1 / 6, t)}, {literal(0.5, t)}))",
    "tanh": lambda x, t, p: f"tanh({x})",
    "softplus": lambda x, t, p: f"softplus({x})",
    "mish": lambda x, t, p: f"({x} * tanh(softplus({x})))",
    "gelu": lambda x, t, p: f"gelu({x}, {literal(_SQRT_HALF, t)})",
    "gelu_tanh": lambda x, t, p: f"gelu_tanh({x}, {literal(_SQRT_2_BY_PI, t)}, {literal(0.044715, t)})",
    "swish": lambda x, t, p: f"({x} * sigmoid({literal(p[0], t)} * {x}))",
    "clip": lambda x, t, p: f"smaller(larger({x}, {literal(p[0], t)}), {literal(p[1], t)})",
}
"""Activation -> expression of (x, dtype, parameters). `x` is a name."""

UNARY: dict[str, str] = {
    "nn.neg": "-x0",
    "nn.abs": "abs(x0)",
    "nn.exp": "exp(x0)",
    "nn.log": "log(x0)",
    "nn.sqrt": "sqrt(x0)",
    "nn.reciprocal": "1 / x0",
    "nn.erf": "erf(x0)",
    "nn.floor": "floor(x0)",
    "nn.ceil": "ceil(x0)",
}
"""Op name -> expression; of floats."""

BINARY: dict[str, str] = {
    "nn.add": "x0 + x1",
    "nn.sub": "x0 - x1",
    "nn.mul": "x0 * x1",
    "nn.div": "x0 / x1",
    "nn.prelu": "(x0 < 0 ? x1 * x0 : x0)",
    "nn.where": "(x0 ? x1 : x2)",
    "nn.equal": "x0 == x1",
    "nn.pow": "pow(x0, x1)",
}
"""Op name -> expression of two or three operands."""

FOLDS: dict[str, str] = {
    "nn.sum": "{} + {}",
    "nn.mean": "{} + {}",
    "nn.max": "larger({}, {})",
    "nn.min": "smaller({}, {})",
}
"""Op name -> the expression that joins two of any number of operands, from left to right."""
