"""`fuse-bias`: an addition of one constant per channel becomes the bias of the convolution or GEMM before it."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter

from ..dialects.nn.elementwise import AddOp, SubOp
from ..rewriting import apply_fusions
from .affine import current_bias, new_bias, refuse_channels, refuse_shift, weights_for
from .producers import ProducerPattern, Site, find_site_beside_weight, rebuild


class FuseBiasIntoProducer(ProducerPattern):
    """`conv(x, w, b) + c` -> `conv(x, w, b + c)`, and the same of `-`; so the other producers."""

    def match(self, op: Operation) -> Site | None:
        """A sum of a producer's result and a weight, in either order, or their difference."""
        return find_site_beside_weight(op, commutes=isinstance(op, AddOp)) if isinstance(op, AddOp | SubOp) else None

    def condition(self, site: Site) -> str | None:
        """The weight must be one number, or one per channel."""
        return refuse_shift(site) or refuse_channels(site, site.consumer.operands[1 - site.index], "the addend")

    def fuse(self, match: Site, rewriter: PatternRewriter) -> None:
        """A bias, or a new one in place of the old."""
        producer = match.producer
        weights = weights_for(producer)
        addend = weights.vector(match.consumer.operands[1 - match.index])
        bias, negative = current_bias(weights, producer), isinstance(match.consumer, SubOp)
        if bias is None:
            value = weights.neg(addend) if negative else addend
        else:
            value = weights.sub(bias, addend) if negative else weights.add(bias, addend)
        match.substitute(rewriter, rebuild(producer, **new_bias(weights, match, value)), weights.ops)


@dataclass(frozen=True)
class FuseBiasPass(ModulePass):
    """Fold Add and Sub of per-channel weights into the Conv, ConvTranspose, Gemm or MatMul before them."""

    name = "fuse-bias"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite `op` in place."""
        apply_fusions(op, [FuseBiasIntoProducer()])
