"""The CPU's activations must say what the activation itself says, wherever a row of constants or an array ends."""

from __future__ import annotations

import numpy as np
import pytest

from nnfuse.dialects.nn.activation import ActivationAttr
from nnfuse.runtime.kernels.numpy.activation import ROW, apply_activation

INF = float("inf")
ACTIVATIONS = [
    ActivationAttr.of("relu"),
    ActivationAttr.of("clip", 0.0, 6.0),
    ActivationAttr.of("clip", -INF, 0.5),
    ActivationAttr.of("clip", -0.5, INF),
    ActivationAttr.of("clip", -INF, INF),
    ActivationAttr.of("clip", 1.0, -1.0),
    ActivationAttr.of("leaky_relu", 0.25),
    ActivationAttr.of("tanh"),
]
SIZES = [(), (0,), (1,), (ROW - 1,), (ROW,), (ROW + 1,), (5, ROW + 3)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: f"{a.kind.data}{a.values}")
def test_as_the_activation_says(activation: ActivationAttr, size: tuple[int, ...], dtype: str) -> None:
    if dtype == "int32" and activation.kind.data != "relu":
        pytest.skip("of floats only")
    x = np.asarray(8 * np.random.default_rng(0).standard_normal(size)).astype(dtype)
    if dtype != "int32" and x.size > 4:
        x.reshape(-1)[[0, 1, -2, -1]] = np.nan, -INF, INF, np.nan
    expected = activation.apply(np, x)
    apart, inside = np.empty_like(x), x.copy()
    rows = np.concatenate([x, x], -1)[..., : x.shape[-1]] if x.ndim else x.copy()
    with np.errstate(all="ignore"):
        apply_activation(activation, x, apart)
        apply_activation(activation, inside, inside)
        apply_activation(activation, rows, rows)
    np.testing.assert_array_equal(apart, expected)
    np.testing.assert_array_equal(inside, expected)
    np.testing.assert_array_equal(rows, expected)
