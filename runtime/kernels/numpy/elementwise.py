"""Elementwise ops: into the result at once, which may be an operand's buffer; several passes block by block."""

from __future__ import annotations

import numpy as np

from ....dialects.nn.activation import ActivationAttr
from ....dialects.nn.types import Array
from .blocks import BLOCK_BYTES, blocks

ONE_PASS = frozenset({"relu", "tanh"})
"""Activations without temporaries: they need no blocks."""


def apply_activation(activation: ActivationAttr, x: Array, out: Array) -> None:
    """`out = activation(x)`; out is row-major, and may be x."""
    if activation.kind.data in ONE_PASS or x.nbytes <= BLOCK_BYTES:
        activation.apply(np, x, out=out)
        return
    flat, result = x.reshape(-1), out.reshape(-1)
    for block in blocks(flat.size, BLOCK_BYTES // flat.itemsize):
        activation.apply(np, flat[block], out=result[block])
