"""Pools axis by axis: a 3x3 window costs 2 + 2 passes instead of 8, over blocks of channels that stay in cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod

import numpy as np

from ....dialects.nn.base import NNOp
from ....dialects.nn.channels import is_channels_last
from ....dialects.nn.pool import AveragePoolOp, MaxPoolOp, PoolOp
from ....dialects.nn.types import Array
from .. import Bind, Kernel, KernelContext
from .blocks import blocks, dtype_at, is_native, rows_per_block, shape_of
from .taps import reduce_along, taps_along


def bind_max_pool(op: MaxPoolOp, context: KernelContext) -> Kernel | None:
    """Without positions as a second result."""
    if op.indices is not None or not is_native(op) or is_channels_last(op.layout):
        return None
    dtype = dtype_at(op.x)
    return separable(op, context, np.maximum, -np.inf if dtype.kind == "f" else np.iinfo(dtype).min)


def bind_average_pool(op: AveragePoolOp, context: KernelContext) -> Kernel | None:
    """The sums, divided in place."""
    if not is_native(op) or is_channels_last(op.layout):
        return None
    x, out = shape_of(op.x), shape_of(op.result)
    divisor = op.divisor(op.window(x), x[2:], out[2:]).astype(dtype_at(op.x))
    return separable(op, context, np.add, 0, divisor)


def separable(
    op: PoolOp, context: KernelContext, combine: Callable[..., Array], fill: float, divisor: Array | None = None
) -> Kernel:
    """The windows reduced along one spatial axis after another, the innermost last: its passes are the strided ones."""
    dims, out, dtype = shape_of(op.x), shape_of(op.result), dtype_at(op.x)
    planes, window = prod(dims[:2]), op.window(dims)
    stages = [(*out[2:axis], *dims[axis:]) for axis in range(2, len(dims))] + [out[2:]]
    passes = [
        reduce_along(taps_along(window, axis, dims[axis + 2], out[axis + 2]), axis + 1, combine, fill)
        for axis in range(len(stages) - 1)
    ]
    step = min(rows_per_block(dims[2:], dtype.itemsize), max(planes, 1))
    between = [step * prod(stage) for stage in stages[1:-1]]
    context.scratch.reserve(sum(between) * dtype.itemsize)
    ends = list(pairwise([sum(between[:n]) for n in range(len(between) + 1)]))

    def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        x, y = ins[0].reshape(planes, *dims[2:]), outs[0].reshape(planes, *out[2:])
        memory = context.scratch.view((sum(between),), dtype)
        kept = [memory[a:b].reshape(step, *stage) for (a, b), stage in zip(ends, stages[1:-1], strict=True)]
        for block in blocks(planes, step):
            count = block.stop - block.start
            chain = [x[block], *(k[:count] for k in kept), y[block]]
            for reduce_axis, (source, target) in zip(passes, pairwise(chain), strict=True):
                reduce_axis(source, target)
            if divisor is not None:
                np.divide(chain[-1], divisor, out=chain[-1])

    return run


KERNELS: dict[type[NNOp], Bind] = {MaxPoolOp: bind_max_pool, AveragePoolOp: bind_average_pool}
