"""Activations in place or into the result: in one pass, or block by block while the block is in cache."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from ....dialects.nn.activation import ActivationAttr
from ....dialects.nn.types import Array
from .blocks import BLOCK_BYTES, blocks

ONE_PASS = frozenset({"relu", "tanh"})
"""Activations without temporaries: they need no blocks."""

ROW = 1 << 14
"""How many equal values stand in a row of `constants`. Rows of 1024 to 4096 are slower: ten times where the addresses
of what a pass reads and writes are equal in their last twelve bits."""


def apply_activation(activation: ActivationAttr, x: Array, out: Array) -> None:
    """`out = activation(x)`; out is row-major, perhaps with gaps between rows, and may be x."""
    if not out.flags.c_contiguous:
        activation.apply(np, x, out=out)
        return
    flat, result = x.reshape(-1), out.reshape(-1)
    step = max(1, flat.size) if activation.kind.data in ONE_PASS else BLOCK_BYTES // flat.itemsize
    bounds = bounds_of(activation) if flat.dtype.kind == "f" else None
    for block in blocks(flat.size, step):
        if bounds is None:
            activation.apply(np, flat[block], out=result[block])
        else:
            clamp(flat[block], *bounds, out=result[block])


def bounds_of(activation: ActivationAttr) -> tuple[float, float] | None:
    """What the activation keeps values between, where that is all it does."""
    if activation.kind.data == "relu":
        return 0.0, math.inf
    if activation.kind.data == "clip":
        low, high = activation.values
        return low, high
    return None


def clamp(x: Array, low: float, high: float, out: Array) -> None:
    """`out = min(max(x, low), high)` for vectors of floats."""
    if low != -math.inf:
        pair_with(np.maximum, x, low, out)
        x = out
    if high != math.inf or x is not out:
        pair_with(np.minimum, x, high, out)


def pair_with(ufunc: np.ufunc, x: Array, value: float, out: Array) -> None:
    """`out = ufunc(x, value)` for vectors of floats.

    NumPy's maximum and minimum have vector loops for two arrays only: with a row of equal values, they take a sixth of
    the time that they take with one value.
    """
    row = constants(value, x.dtype)
    whole = x.size - x.size % ROW
    if whole:
        ufunc(x[:whole].reshape(-1, ROW), row, out=out[:whole].reshape(-1, ROW))
    if whole < x.size:
        ufunc(x[whole:], row[: x.size - whole], out=out[whole:])


@lru_cache(maxsize=64)
def constants(value: float, dtype: np.dtype[Any]) -> Array:
    """A row of equal values."""
    row = np.full(ROW, value, dtype)
    row.flags.writeable = False
    return row
