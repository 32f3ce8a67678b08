"""How each op that is neither a convolution nor pointwise reads its operands channels last, for `convert-layout`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.ir import SSAValue

from ..dialects.nn.axes_norm import LpNormalizationOp, MeanVarianceNormalizationOp
from ..dialects.nn.base import NNOp, integer, ints
from ..dialects.nn.channels import CHANNELS_LAST, dims_in, is_channels_last
from ..dialects.nn.constant import constant_array
from ..dialects.nn.index import GatherOp, SliceOp
from ..dialects.nn.join import ConcatOp, SplitOp
from ..dialects.nn.layout import ExpandOp, TileOp, TransposeOp
from ..dialects.nn.norm import BatchNormalizationOp
from ..dialects.nn.order import ArgReduceOp, TopKOp
from ..dialects.nn.pad import PadOp
from ..dialects.nn.pool import GlobalPoolOp, MaxPoolOp, PoolOp
from ..dialects.nn.quantize import ScaledOp
from ..dialects.nn.rearrange import BlockOp
from ..dialects.nn.reduce import ReduceOp
from ..dialects.nn.reshape import ReshapingOp
from ..dialects.nn.resize import ResizeOp
from ..dialects.nn.shape import as_ints
from ..dialects.nn.softmax import SoftmaxLikeOp
from ..dialects.nn.types import dims_of, is_static, normalize_axis, product, static_dims
from .layouts import Axes, Layouts, channels_moved, to_last


def _moved(axes: Sequence[int], rank: int) -> list[int]:
    return [to_last(rank).index(normalize_axis(a, rank)) for a in axes]


def _pool(c: Layouts, op: PoolOp | GlobalPoolOp, rank: int) -> NNOp:
    return c.like(op, x=c.read(op.x), layout=CHANNELS_LAST)


def _max_pool(c: Layouts, op: MaxPoolOp, rank: int) -> NNOp | None:
    return _pool(c, op, rank) if op.indices is None else None


def _concat(c: Layouts, op: ConcatOp, rank: int) -> NNOp:
    return c.like(op, inputs=[c.read(v) for v in op.inputs], axis=_moved([integer(op.axis)], rank)[0])


OneAxisOp = SplitOp | SoftmaxLikeOp | LpNormalizationOp | ArgReduceOp | TopKOp | GatherOp | ScaledOp


def _one_axis(c: Layouts, op: OneAxisOp, rank: int) -> NNOp:
    return c.like(op, x=c.read(op.x), axis=_moved([integer(op.axis)], rank)[0])


def _gather(c: Layouts, op: GatherOp, rank: int) -> NNOp | None:
    return _one_axis(c, op, rank) if len(dims_of(op.indices.type)) == 1 else None


def _scaled(c: Layouts, op: ScaledOp, rank: int) -> NNOp | None:
    return None if integer(op.block_size) else _one_axis(c, op, rank)


def _reduced(op: ReduceOp) -> Axes | None:
    """The axes that go; None where they are no constant."""
    axes = constant_array(op.axes)
    if axes is None and op.axes is not None:
        return None
    return op.reduced(() if axes is None else as_ints(axes), len(dims_of(op.x.type)))


def _reduce(c: Layouts, op: ReduceOp, rank: int) -> NNOp | None:
    axes = _reduced(op)
    return None if axes is None else c.like(op, x=c.read(op.x), axes=c.ints(_moved(axes, rank)))


def _mean_variance(c: Layouts, op: MeanVarianceNormalizationOp, rank: int) -> NNOp:
    return c.like(op, x=c.read(op.x), axes=_moved(op.reduced(rank), rank))


def _slice(c: Layouts, op: SliceOp, rank: int) -> NNOp | None:
    if (given := op.given()) is None:
        return None
    starts, _, axes, _ = given
    assert starts is not None
    return c.like(op, x=c.read(op.x), axes=c.ints(_moved(range(len(starts)) if axes is None else axes, rank)))


def _expand(c: Layouts, op: ExpandOp, rank: int) -> NNOp | None:
    if (shape := constant_array(op.shape)) is None:
        return None
    sizes = (*[1] * (rank - shape.size), *as_ints(shape))
    return c.like(op, x=c.read(op.x), shape=c.ints([sizes[a] for a in to_last(rank)]))


def _tile(c: Layouts, op: TileOp, rank: int) -> NNOp | None:
    if (repeats := constant_array(op.repeats)) is None:
        return None
    return c.like(op, x=c.read(op.x), repeats=c.ints([as_ints(repeats)[a] for a in to_last(rank)]))


def _pad(c: Layouts, op: PadOp, rank: int) -> NNOp | None:
    pads, axes = constant_array(op.pads), constant_array(op.axes)
    if pads is None or (axes is None and op.axes is not None):
        return None
    widths = op.widths(as_ints(pads), None if axes is None else as_ints(axes), rank)
    moved = [widths[a] for a in to_last(rank)]
    values = c.ints([*(before for before, _ in moved), *(after for _, after in moved)])
    return c.like(op, x=c.read(op.x), pads=values, axes=None)


def _resize(c: Layouts, op: ResizeOp, rank: int) -> NNOp | None:
    return c.like(op, x=c.read(op.x), axes=_moved(range(rank) if op.axes is None else ints(op.axes), rank))


def _batch_norm(c: Layouts, op: BatchNormalizationOp, rank: int) -> NNOp | None:
    if len(dims_of(op.scale.type)) != 1 or is_channels_last(op.layout):
        return None
    return c.like(op, x=c.read(op.x), layout=CHANNELS_LAST)


def _blocks(c: Layouts, op: BlockOp, rank: int) -> NNOp | None:
    """A reshape, a transpose and a reshape: the channels of a block are its rows, its columns and the others."""
    if not is_static(op.x.type) or not product(dims_of(op.x.type)):
        return None
    dims, order = op.parts(static_dims(dims_of(op.x.type)))
    old = channels_moved(range(len(dims)), op.CHANNEL_PARTS)
    new = channels_moved(order, len(order) - 2 - op.CHANNEL_PARTS)
    split = c.emit(c.reshaped(c.read(op.x), tuple(dims[a] for a in old)))
    moved = c.emit(TransposeOp(split, perm=[old.index(a) for a in new]))
    return c.reshaped(moved, dims_in(CHANNELS_LAST, dims_of(op.infer_types()[0])))


CONVERSIONS: dict[type[NNOp], Callable[..., NNOp | None]] = {
    MaxPoolOp: _max_pool,
    PoolOp: _pool,
    GlobalPoolOp: _pool,
    ConcatOp: _concat,
    SplitOp: _one_axis,
    SliceOp: _slice,
    GatherOp: _gather,
    ExpandOp: _expand,
    TileOp: _tile,
    BlockOp: _blocks,
    PadOp: _pad,
    ResizeOp: _resize,
    SoftmaxLikeOp: _one_axis,
    LpNormalizationOp: _one_axis,
    MeanVarianceNormalizationOp: _mean_variance,
    BatchNormalizationOp: _batch_norm,
    ReduceOp: _reduce,
    ArgReduceOp: _one_axis,
    TopKOp: _one_axis,
    ScaledOp: _scaled,
}
"""How an op whose results have the rank of its operand carries the channels' move; None where it stays."""


def _in_order(rank: int, gone: Sequence[int]) -> bool:
    """Whether the dims of [N, spatial..., C] without the axes `gone` (of [N, C, spatial...]) are in their old order."""
    kept = [a for a in to_last(rank) if a not in gone]
    return kept == sorted(kept)


def _reduce_away(c: Layouts, op: ReduceOp) -> SSAValue | None:
    rank, axes = len(dims_of(op.x.type)), _reduced(op)
    if axes is None or not _in_order(rank, axes) or (new := _reduce(c, op, rank)) is None:
        return None
    return c.emit(new)


def _choose_away(c: Layouts, op: ArgReduceOp) -> SSAValue | None:
    rank = len(dims_of(op.x.type))
    gone = [normalize_axis(integer(op.axis), rank)]
    return c.emit(_one_axis(c, op, rank)) if _in_order(rank, gone) else None


ENDS: dict[type[NNOp], Callable[..., SSAValue | None]] = {
    ReshapingOp: Layouts.reshaped_last,
    ReduceOp: _reduce_away,
    ArgReduceOp: _choose_away,
}
"""How an op reads its operand channels last and gives its result as it was, where there is nothing to carry on."""
