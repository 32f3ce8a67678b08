"""Values with their channels last: what `convert-layout` keeps of a block while it walks over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, SSAValue

from ..dialects.nn.base import NNOp
from ..dialects.nn.channels import CHANNELS_LAST, dims_first, dims_in
from ..dialects.nn.constant import ConstantOp
from ..dialects.nn.layout import TransposeOp
from ..dialects.nn.reshape import ReshapeOp, ReshapingOp
from ..dialects.nn.types import Dims, dims_of, element_type, is_static, product, static_dims, tensor
from .producers import rebuild

T = TypeVar("T")
Axes = tuple[int, ...]


def to_last(rank: int) -> Axes:
    """The permutation that puts the channels of [N, C, spatial...] last."""
    return dims_in(CHANNELS_LAST, tuple(range(rank)))


def to_first(rank: int) -> Axes:
    """The permutation that puts the channels of [N, spatial..., C] second."""
    return dims_first(CHANNELS_LAST, tuple(range(rank)))


def last_type(type_: Attribute) -> TensorType[Attribute]:
    """The type, channels last, of a tensor of `type_`."""
    return tensor(element_type(type_), dims_in(CHANNELS_LAST, dims_of(type_)))


def channels_moved(dims: Sequence[T], count: int) -> tuple[T, ...]:
    """[N, channels..., positions...], of which `count` are channels, with these last."""
    return (dims[0], *dims[count + 1 :], *dims[1 : count + 1])


def grouped_channels(image: Dims, reshaped: Dims) -> int | None:
    """How many dims of `reshaped` [N, channels..., positions...] are the channels of `image` [N, C, spatial...].

    None where one of them holds both, or images too; and where a size is 0 or not known.
    """
    if len(image) < 2 or image[:1] != reshaped[:1] or not product((*image, *reshaped)):
        return None
    counts = range(len(reshaped))
    return next((k for k in counts if product(reshaped[1 : k + 1]) == image[1]), None)


@dataclass
class Layouts:
    """The values of a block that there are channels last, and the ops to stand before the one that is looked at.

    `last` holds each value that there is channels last; `converted` are those that there are only so, and `first` what
    they are transposed back. `apart` holds the dims of what was reshaped channels last to read it channels first.
    """

    last: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    converted: set[SSAValue] = field(default_factory=set[SSAValue])
    first: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    ops: list[NNOp] = field(default_factory=list[NNOp])
    weights: set[SSAValue] = field(default_factory=set[SSAValue])
    apart: dict[SSAValue, Dims] = field(default_factory=dict[SSAValue, Dims])

    def emit(self, op: NNOp) -> SSAValue:
        """Add `op`; its first result."""
        self.ops.append(op)
        return op.results[0]

    def ints(self, values: Sequence[int]) -> SSAValue:
        """A constant list of integers."""
        return self.emit(ConstantOp.of(np.asarray(values, np.int64)))

    def reshaped(self, value: SSAValue, dims: Dims) -> ReshapeOp:
        """`value` with other dims, none of them 0."""
        return ReshapeOp(value, self.ints(static_dims(dims)))

    def like(self, op: NNOp, **changes: object) -> NNOp:
        """`op` with some operands or properties changed, and its result types inferred."""
        return with_inferred_types(rebuild(op, **changes))

    def read(self, value: SSAValue) -> SSAValue:
        """`value` channels last."""
        if value not in self.last:
            grouped = self.grouped_last(value)
            perm = to_last(len(dims_of(value.type)))
            self.last[value] = self.emit(TransposeOp(value, perm=perm) if grouped is None else grouped)
        return self.last[value]

    def read_first(self, value: SSAValue) -> SSAValue:
        """`value` channels first."""
        if value not in self.converted:
            return value
        if value not in self.first:
            grouped, last = self._grouped_first(value), self.last[value]
            perm = to_first(len(dims_of(value.type)))
            self.first[value] = self.emit(TransposeOp(last, perm=perm) if grouped is None else grouped)
            self.first[value]._type = value.type
        return self.first[value]

    def beside(self, value: SSAValue, rank: int) -> SSAValue | None:
        """`value` as it broadcasts to values of this rank channels last; None where it does not without a copy."""
        dims = dims_of(value.type)
        if len(dims) == rank and value not in self.weights:
            return self.read(value)
        if product(dims) == 1 and len(dims) <= rank:
            return value
        if value not in self.weights or not is_static(value.type):
            return None
        if len(dims) < rank:
            value = self.emit(self.reshaped(value, (*[1] * (rank - len(dims)), *dims)))
        return self.read(value)

    # A reshape that leaves channels and positions apart does so in both layouts. A transpose on its other side meets
    # the network's own (a channel shuffle's, a transformer's), with which it becomes one, or none.

    def grouped_last(self, value: SSAValue) -> NNOp | None:
        """`value` channels last as the reshape of what it is a reshape of, transposed."""
        op, image = value.owner, dims_of(value.type)
        if not isinstance(op, ReshapingOp) or value in self.weights:
            return None
        rank, count = len(dims_of(op.operands[0].type)), grouped_channels(image, dims_of(op.operands[0].type))
        if count is None:
            return None
        perm = channels_moved(range(rank), count)
        return self.reshaped(self.emit(TransposeOp(op.operands[0], perm=perm)), dims_in(CHANNELS_LAST, image))

    def _grouped_first(self, value: SSAValue) -> NNOp | None:
        """`value`, which is a reshape channels last, channels first in the same way."""
        op, image = self.last[value].owner, dims_of(value.type)
        if not isinstance(op, ReshapeOp):
            return None
        batch, *others = dims_of(op.x.type)
        if (count := grouped_channels(image, (batch, *reversed(others)))) is None:
            return None
        perm = channels_moved(range(len(others) + 1), len(others) - count)
        return self.reshaped(self.emit(TransposeOp(op.x, perm=perm)), image)

    def reshaped_last(self, op: ReshapingOp) -> SSAValue | None:
        """The result of `op`, channels first, as the transpose of a reshape of its operand channels last."""
        x, dims = op.operands[0], dims_of(op.results[0].type)
        count = grouped_channels(dims_of(x.type), dims)
        if count is None or x in self.first:
            return None
        rank = len(dims)
        grouped = self.emit(self.reshaped(self.read(x), channels_moved(dims, count)))
        self.apart[grouped] = dims_of(x.type)
        return self.emit(TransposeOp(grouped, perm=channels_moved(range(rank), rank - 1 - count)))

    def reordered(self, op: ReshapingOp) -> NNOp | None:
        """The result of `op` channels last, where `op` undoes a reshape of what is so, with transposes between."""
        value = op.operands[0]
        while isinstance(value.owner, TransposeOp):
            value = value.owner.x
        if self.apart.get(value) != dims_of(op.results[0].type):
            return None
        return self.grouped_last(op.results[0])


def with_inferred_types(op: NNOp) -> NNOp:
    """`op` with the types that it infers for its operands."""
    for result, type_ in zip(op.results, op.infer_types(), strict=True):
        result._type = type_
    return op
