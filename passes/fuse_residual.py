"""`fuse-residual`: what is added to a convolution's result becomes the convolution's residual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter

from ..dialects.nn.conv import ConvOp
from ..dialects.nn.elementwise import AddOp
from ..dialects.nn.types import is_static
from ..rewriting import apply_fusions
from .branches import chains
from .producers import ProducerPattern, Site, find_site, rebuild


class FuseResidualIntoConv(ProducerPattern):
    """`conv(x, w, b) + r` -> `conv(x, w, b) residual r`, in either order of the sum.

    Of two convolutions that are added, the one computed last takes the other as its residual: the one with more
    operations in a row before it, whatever the order of the text. So neither branch has to wait for the other.
    """

    def __init__(self, order: Mapping[Operation, tuple[int, int]]):
        """`order` says how many operations in a row each one ends, and where it stands."""
        self._order = order

    def match(self, op: Operation) -> Site | None:
        """The convolutions right before an Add, the last one first; the first that is not refused, if any."""
        if not isinstance(op, AddOp):
            return None
        found = [site for index in (0, 1) if (site := find_site(op, index)) and isinstance(site.producer, ConvOp)]
        found.sort(key=lambda site: self._order.get(site.producer, (0, 0)), reverse=True)
        return next((site for site in found if self.refusal(site) is None), found[0] if found else None)

    def condition(self, site: Site) -> str | None:
        """The other addend must have the result's very shape, and the convolution no residual yet."""
        assert isinstance(site.producer, ConvOp)
        other = site.consumer.operands[1 - site.index]
        if site.layouts:
            return "the convolution's result is laid out in another way before it is added"
        if site.producer.residual is not None:
            return "the convolution already has a residual"
        if not is_static(other.type) or other.type != site.producer.result.type:
            return f"the other addend is a {other.type}, the convolution's result a {site.producer.result.type}"
        return None

    def fuse(self, match: Site, rewriter: PatternRewriter) -> None:
        """The sum's other operand becomes the residual."""
        residual = match.consumer.operands[1 - match.index]
        match.substitute(rewriter, rebuild(match.producer, residual=residual))


@dataclass(frozen=True)
class FuseResidualPass(ModulePass):
    """Fold Add of two tensors into the Conv that computes one of them. Needs static shapes: a size of 1 broadcasts."""

    name = "fuse-residual"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite `op` in place."""
        lengths = chains(op.walk())
        apply_fusions(op, [FuseResidualIntoConv({o: (n, at) for at, (o, n) in enumerate(lengths.items())})])
