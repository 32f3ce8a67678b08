"""Depthwise convolution: kernel position by kernel position, over blocks of channels that stay in cache."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

import numpy as np

from ....dialects.nn.base import NNOp, integer
from ....dialects.nn.channels import is_channels_last
from ....dialects.nn.conv import ConvOp
from ....dialects.nn.types import Array
from .. import Bind, Kernel, KernelContext
from .blocks import blocks, dtype_at, is_blas, rows_per_block, shape_of
from .taps import taps_along


def bind_depthwise(op: ConvOp, context: KernelContext) -> Kernel | None:
    """A convolution with as many groups as channels, in f32 or f64; bias, residual and activation in the same block."""
    if is_channels_last(op.layout):
        return None
    x_dims, w_dims, out_dims = shape_of(op.x), shape_of(op.w), shape_of(op.result)
    group = integer(op.group)
    if not is_blas(op) or w_dims[1] != 1 or group != x_dims[1] or 0 in (*x_dims, *out_dims):
        return None
    window, multiplier, dtype = op.window(x_dims, w_dims), w_dims[0] // group, dtype_at(op.x)
    along = [taps_along(window, a, x_dims[a + 2], out_dims[a + 2]) for a in range(len(w_dims) - 2)]
    taps = [
        (index, (slice(None), *(o for o, _ in tap)), (slice(None), *(i for _, i in tap)))
        for index, tap in zip(product(*map(range, window.kernel)), product(*along), strict=True)
        if all(o.stop > o.start for o, _ in tap)
    ]
    step = min(rows_per_block(x_dims[2:], dtype.itemsize), group)
    context.scratch.reserve(step * prod(out_dims[2:]) * dtype.itemsize)
    has_bias, activation, ones = op.bias is not None, op.activation, (1,) * (len(w_dims) - 2)

    def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        x, filters = ins[0], ins[1].reshape(group, multiplier, *w_dims[2:])
        bias = ins[2].reshape(group, multiplier, *ones) if has_bias else None
        residual = ins[-1] if op.residual is not None else None
        term = context.scratch.view((step, *out_dims[2:]), dtype)
        grouped = (x_dims[0], group, multiplier, *out_dims[2:])
        y = outs[0].reshape(grouped)
        if residual is not None:
            residual = np.broadcast_to(residual, out_dims).reshape(grouped)
        for image, block, m in product(range(x_dims[0]), list(blocks(group, step)), range(multiplier)):
            source, target = x[image, block], y[image, block, m]
            # The residual may be the result's own buffer: it is read before that is written.
            kept = None if residual is None else residual[image, block, m].copy()
            target[...] = 0 if bias is None else bias[block, m]
            for index, to, at in taps:
                weights = filters[(block, m, *index)].reshape(-1, *ones)
                part = term[: len(source)][to]
                np.multiply(source[at], weights, out=part)
                target[to] += part
            if kept is not None:
                target += kept
            if activation is not None:
                activation.apply(np, target, out=target)

    return run


KERNELS: dict[type[NNOp], Bind] = {ConvOp: bind_depthwise}
