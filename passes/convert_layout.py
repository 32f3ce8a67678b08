"""`convert-layout`: convolutions with their channels last, and everything between them that can follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects.nn.base import NNOp, integer, ints
from ..dialects.nn.channels import CHANNELS_LAST, dims_first, dims_in, is_channels_last
from ..dialects.nn.constant import ConstantOp, constant_array, weights_of
from ..dialects.nn.conv import ConvOp
from ..dialects.nn.join import ConcatOp, SplitOp
from ..dialects.nn.layout import TransposeOp
from ..dialects.nn.norm import BatchNormalizationOp
from ..dialects.nn.pad import PadOp
from ..dialects.nn.pool import AveragePoolOp, GlobalPoolOp, MaxPoolOp, PoolOp
from ..dialects.nn.reduce import ReduceOp
from ..dialects.nn.regions import blocks_of
from ..dialects.nn.reshape import ReshapeOp
from ..dialects.nn.resize import ResizeOp
from ..dialects.nn.shape import as_ints
from ..dialects.nn.softmax import SoftmaxLikeOp
from ..dialects.nn.types import dims_of, is_static, is_tensor, normalize_axis, product, static_dims
from ..errors import CompileError
from .producers import rebuild

Axes = tuple[int, ...]


def to_last(rank: int) -> Axes:
    """The permutation that puts the channels of [N, C, spatial...] last."""
    return dims_in(CHANNELS_LAST, tuple(range(rank)))


def to_first(rank: int) -> Axes:
    """The permutation that puts the channels of [N, spatial..., C] second."""
    return dims_first(CHANNELS_LAST, tuple(range(rank)))


@dataclass
class Conversion:
    """One walk over a block: `last` holds, for each value that there is channels last, that one."""

    last: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    converted: set[SSAValue] = field(default_factory=set[SSAValue])
    first: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    ops: list[NNOp] = field(default_factory=list[NNOp])
    weights: set[SSAValue] = field(default_factory=set[SSAValue])

    def run(self, block: Block) -> None:
        """Convert what can be; the rest reads its operands channels first, by a transpose where there is none."""
        replaced: list[Operation] = []
        self.weights = weights_of(block)
        for op in list(block.ops):
            self.ops = []
            new = self.convert(op) if isinstance(op, NNOp) and len(op.results) else None
            if new is None:
                self._read_first(op)
                self._insert(op, self.ops)
                continue
            self.ops.append(new)
            self._insert(op, self.ops)
            for old, result in zip(op.results, new.results, strict=True):
                result.name_hint = old.name_hint
                self.last[old] = result
                self.converted.add(old)
            replaced.append(op)
        for op in reversed(replaced):
            op.detach()
            op.erase()

    def _insert(self, op: Operation, new_ops: Sequence[NNOp]) -> None:
        assert op.parent is not None
        for new in new_ops:
            new.location = op.location
            op.parent.insert_op_before(new, op)

    def _read_first(self, op: Operation) -> None:
        for index, value in enumerate(op.operands):
            if value in self.converted:
                if value not in self.first:
                    self.first[value] = self.emit(
                        TransposeOp(self.last[value], perm=to_first(len(dims_of(value.type))))
                    )
                op.operands[index] = self.first[value]

    # Values

    def emit(self, op: NNOp) -> SSAValue:
        """Add `op`; its first result."""
        self.ops.append(op)
        return op.results[0]

    def ints(self, values: Sequence[int]) -> SSAValue:
        """A constant list of integers."""
        return self.emit(ConstantOp.of(np.asarray(values, np.int64)))

    def read(self, value: SSAValue) -> SSAValue:
        """`value` channels last."""
        if value not in self.last:
            self.last[value] = self.emit(TransposeOp(value, perm=to_last(len(dims_of(value.type)))))
        return self.last[value]

    def beside(self, value: SSAValue, rank: int) -> SSAValue | None:
        """`value` as it broadcasts to values of this rank channels last; None where it does not without a copy."""
        dims = dims_of(value.type)
        if len(dims) == rank and value not in self.weights:
            return self.read(value)
        if product(dims) == 1 and len(dims) <= rank:
            return value
        if value not in self.weights or not is_static(value.type):
            return None
        full = (*[1] * (rank - len(dims)), *static_dims(dims))
        if len(dims) < rank:
            value = self.emit(ReshapeOp(value, self.ints(full)))
        return self.read(value)

    # Operations

    def convert(self, op: NNOp) -> NNOp | None:
        """`op` on values with their channels last, or None where it stays."""
        if isinstance(op, ConvOp):
            return self._convolution(op)
        if not all(is_tensor(v.type) for v in (*op.operands, *op.results)):
            return None
        rank = len(dims_of(op.results[0].type))
        if not any(v in self.converted and len(dims_of(v.type)) == rank for v in op.operands):
            return None
        if op.POINTWISE:
            return self._pointwise(op, rank)
        for op_class, convert in CONVERSIONS.items():
            if isinstance(op, op_class):
                return convert(self, op, rank)
        return None

    def _convolution(self, op: ConvOp) -> NNOp | None:
        rank = len(dims_of(op.x.type))
        if is_channels_last(op.layout):
            return None
        residual = None if op.residual is None else self.beside(op.residual, rank)
        if op.residual is not None and residual is None:
            return None
        return self.like(op, x=self.read(op.x), w=self.read(op.w), residual=residual, layout=CHANNELS_LAST)

    def _pointwise(self, op: NNOp, rank: int) -> NNOp | None:
        operands = [self.beside(v, rank) for v in op.operands]
        if None in operands:
            return None
        new = op.clone(value_mapper={})
        for index, value in enumerate(operands):
            assert value is not None
            new.operands[index] = value
        return with_inferred_types(new)

    def like(self, op: NNOp, **changes: object) -> NNOp:
        """`op` with some operands or properties changed, and its result types inferred."""
        return with_inferred_types(rebuild(op, **changes))


def with_inferred_types(op: NNOp) -> NNOp:
    """`op` with the types that it infers for its operands."""
    for result, type_ in zip(op.results, op.infer_types(), strict=True):
        result._type = type_
    return op


def _pool(c: Conversion, op: PoolOp | GlobalPoolOp, rank: int) -> NNOp:
    return c.like(op, x=c.read(op.x), layout=CHANNELS_LAST)


def _max_pool(c: Conversion, op: MaxPoolOp, rank: int) -> NNOp | None:
    return _pool(c, op, rank) if op.indices is None else None


def _moved(op: NNOp, axis: int, rank: int) -> int:
    return to_last(rank).index(normalize_axis(axis, rank))


def _concat(c: Conversion, op: ConcatOp, rank: int) -> NNOp:
    return c.like(op, inputs=[c.read(v) for v in op.inputs], axis=_moved(op, integer(op.axis), rank))


def _one_axis(c: Conversion, op: SplitOp | SoftmaxLikeOp, rank: int) -> NNOp:
    return c.like(op, x=c.read(op.x), axis=_moved(op, integer(op.axis), rank))


def _reduce(c: Conversion, op: ReduceOp, rank: int) -> NNOp | None:
    axes = constant_array(op.axes)
    if not integer(op.keepdims) or axes is None:
        return None
    return c.like(op, x=c.read(op.x), axes=c.ints([_moved(op, a, rank) for a in as_ints(axes)]))


def _pad(c: Conversion, op: PadOp, rank: int) -> NNOp | None:
    pads, axes = constant_array(op.pads), constant_array(op.axes)
    if pads is None or (axes is None and op.axes is not None):
        return None
    widths = op.widths(as_ints(pads), None if axes is None else as_ints(axes), rank)
    moved = [widths[a] for a in to_last(rank)]
    values = c.ints([*(before for before, _ in moved), *(after for _, after in moved)])
    return c.like(op, x=c.read(op.x), pads=values, axes=None)


def _resize(c: Conversion, op: ResizeOp, rank: int) -> NNOp | None:
    axes = range(rank) if op.axes is None else [normalize_axis(a, rank) for a in ints(op.axes)]
    return c.like(op, x=c.read(op.x), axes=[_moved(op, a, rank) for a in axes])


def _batch_norm(c: Conversion, op: BatchNormalizationOp, rank: int) -> NNOp | None:
    if len(dims_of(op.scale.type)) != 1 or is_channels_last(op.layout):
        return None
    return c.like(op, x=c.read(op.x), layout=CHANNELS_LAST)


CONVERSIONS: dict[type[NNOp], Callable[..., NNOp | None]] = {
    MaxPoolOp: _max_pool,
    AveragePoolOp: _pool,
    GlobalPoolOp: _pool,
    ConcatOp: _concat,
    SplitOp: _one_axis,
    SoftmaxLikeOp: _one_axis,
    ReduceOp: _reduce,
    PadOp: _pad,
    ResizeOp: _resize,
    BatchNormalizationOp: _batch_norm,
}
"""How an op that is not pointwise carries the channels' move; None where it stays."""


@dataclass(frozen=True)
class ConvertLayoutPass(ModulePass):
    """`nn.conv %x, %w` -> `nn.conv %xt, %wt layout = "nhwc"` between transposes where the layout changes.

    Pools, pointwise ops and ops along axes follow a convolution; filters are transposed as weights (once, in
    @prepare). What cannot follow reads its operands channels first again.
    """

    name = "convert-layout"

    to: str = "nhwc"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Convert every function of one block."""
        if self.to != "nhwc":
            raise CompileError(f"layout '{self.to}' is unknown", hint="nhwc")
        for func in op.ops:
            if isinstance(func, FuncOp) and len(func.body.blocks) == 1:
                for block in blocks_of(func):
                    Conversion().run(block)
