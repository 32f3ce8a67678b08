"""What fusing passes share: finding the operation behind a value that may absorb more, and rebuilding it so."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from xdsl.ir import Operation, OpResult, SSAValue
from xdsl.pattern_rewriter import PatternRewriter

from ..dialects.nn.activation import ActivationAttr
from ..dialects.nn.assembly import SEGMENTS
from ..dialects.nn.base import NNOp
from ..dialects.nn.cast import CastOp
from ..dialects.nn.channels import is_channels_last
from ..dialects.nn.constant import is_weight
from ..dialects.nn.conv import ConvOp, ConvTransposeOp
from ..dialects.nn.gemm import GemmOp, MatMulOp
from ..dialects.nn.layout import TransposeOp
from ..dialects.nn.norm import BatchNormalizationOp
from ..dialects.nn.reshape import ReshapingOp
from ..dialects.nn.shape import DropoutOp, IdentityOp
from ..dialects.nn.types import Dims, dims_of, element_type, is_float, product
from ..rewriting import FusePattern, count_uses, fuse_locations, node_name, replace

NOUNS: dict[type[Operation], str] = {
    ConvOp: "the convolution",
    ConvTransposeOp: "the transposed convolution",
    GemmOp: "the Gemm",
    MatMulOp: "the MatMul",
    BatchNormalizationOp: "the batch-norm",
}
"""The operations that may absorb what follows them, and how remarks call them; a batch-norm has weights too."""


def is_layout(op: Operation) -> bool:
    """Whether the first result of `op` holds the elements of its first operand, each once, in some order and shape."""
    if isinstance(op, CastOp):
        return op.x.type == op.result.type
    return isinstance(op, TransposeOp | ReshapingOp | IdentityOp | DropoutOp)


def rebuild(op: NNOp, **changes: Any) -> NNOp:
    """A copy of `op`, without a location, with some operands or properties changed (None: left out)."""
    definition = op.get_irdl_definition()
    operands = [changes.pop(name) if name in changes else getattr(op, name) for name, _ in definition.operands]
    fields: dict[str, Any] = {name: value for name, value in op.properties.items() if name not in SEGMENTS}
    new = type(op)(*operands, result_types=list(op.result_types), **(fields | changes))
    new.attributes |= op.attributes
    return new


@dataclass(frozen=True)
class Site:
    """`consumer` reads, as its operand `index`, the result of `producer` through the layout operations `layouts`."""

    consumer: NNOp
    index: int
    producer: NNOp
    layouts: tuple[NNOp, ...] = ()

    @property
    def noun(self) -> str:
        """How remarks call the producer."""
        return NOUNS[type(self.producer)]

    @property
    def dims(self) -> Dims:
        """The dims of what the consumer reads."""
        return dims_of(self.consumer.operands[self.index].type)

    @property
    def axis(self) -> int | None:
        """Which axis of what the consumer reads holds the producer's channels; None where none does."""
        rank = len(dims_of(self.producer.results[0].type))
        last = isinstance(self.producer, GemmOp | MatMulOp) or (
            isinstance(self.producer, ConvOp | BatchNormalizationOp) and is_channels_last(self.producer.layout)
        )
        axis = rank - 1 if last else 1
        moved = axis if 0 <= axis < rank else None
        for layout in self.layouts:
            moved = None if moved is None else axis_after(layout, moved)
        return moved

    def refusal(self) -> str | None:
        """Why nothing at all may be folded into the producer from here, or None."""
        if (shared := self._shared()) is not None:
            return shared
        activation = getattr(self.producer, "activation", None)
        if isinstance(activation, ActivationAttr):
            return f"{self.noun} already has the activation {activation.kind.data}"
        element = element_type(self.producer.results[0].type)
        if not is_float(element):
            return f"the element type {element} is not a float"
        before, after = self.consumer.operands[self.index].type, self.consumer.results[0].type
        if before != after:
            return f"it makes a {after} of {self.noun}'s {before}"
        if self.consumer.parent is not self.producer.parent:
            return f"{self.noun} stands in another region"
        return None

    def _shared(self) -> str | None:
        for op in (self.producer, *self.layouts):
            if (uses := count_uses(op)) != 1:
                return f"{self.noun if op is self.producer else node_name(op)}'s result has {uses} uses"
        return None

    def substitute(self, rewriter: PatternRewriter, new: NNOp, weights: Sequence[NNOp] = ()) -> None:
        """Put `weights`, `new` and the layout operations in the consumer's place; producer and consumer are gone."""
        location = fuse_locations([self.producer.location, self.consumer.location])
        for op in (*weights, new):
            op.location = location
        new.results[0].name_hint = self.producer.results[0].name_hint
        moved: dict[SSAValue, SSAValue] = {self.producer.results[0]: new.results[0]}
        copies = [layout.clone(moved) for layout in self.layouts]
        result = (copies[-1] if copies else new).results[0]
        absorbed = (self.producer, *self.layouts)
        replace(rewriter, self.consumer, [*weights, new, *copies], [result], absorbed=absorbed)


def find_site(consumer: Operation, index: int = 0) -> Site | None:
    """The producer behind operand `index` of `consumer`, or None."""
    layouts: list[NNOp] = []
    value = consumer.operands[index]
    while isinstance(value, OpResult) and value.index == 0:
        owner = value.op
        if type(owner) in NOUNS:
            return Site(cast(NNOp, consumer), index, cast(NNOp, owner), tuple(reversed(layouts)))
        if not is_layout(owner):
            return None
        layouts.append(cast(NNOp, owner))
        value = owner.operands[0]
    return None


def find_site_beside_weight(consumer: Operation, commutes: bool) -> Site | None:
    """The producer behind one operand of a binary operation whose other operand is a weight, or None.

    Unless the operation `commutes`, the producer must be behind the first operand.
    """
    for index in (0, 1) if commutes else (0,):
        site = find_site(consumer, index)
        if site is not None and is_weight(consumer.operands[1 - index]):
            return site
    return None


def axis_after(layout: NNOp, axis: int) -> int | None:
    """Where a layout operation puts an axis of its operand; None where that is no axis of the result any more."""
    before, after = dims_of(layout.operands[0].type), dims_of(layout.results[0].type)
    if isinstance(layout, TransposeOp):
        return layout.permutation(len(before)).index(axis)
    if before == after:
        return axis
    size, inner, outer = before[axis], product(before[axis + 1 :]), product(before[:axis])
    for place, other in enumerate(after):
        # The element count stays, so equal sizes on one side of the axis mean equal sizes on the other.
        same_inner = inner is not None and product(after[place + 1 :]) == inner
        same_outer = outer is not None and product(after[:place]) == outer
        if size is not None and other == size and (same_inner or same_outer) and 0 not in (inner, outer, size):
            return place
    return None


class ProducerPattern(FusePattern[Site]):
    """A pattern that folds an operation into the producer whose result it reads."""

    def refusal(self, match: Site) -> str | None:
        """What every such fusion requires, then what this one does."""
        return match.refusal() or self.condition(match)

    @abstractmethod
    def condition(self, site: Site) -> str | None:
        """Why this fusion in particular must not be done, or None."""

    def ends(self, match: Site) -> tuple[Operation, Operation]:
        """The consumer, into the producer."""
        return match.consumer, match.producer
