"""`fold-scale`: a multiplication by one constant per channel becomes part of the weights before it."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter

from ..dialects.nn.elementwise import DivOp, MulOp
from ..rewriting import apply_fusions
from .affine import current_bias, new_bias, refuse_channels, refuse_scale, scaled_filters, weights_for
from .producers import ProducerPattern, Site, find_site_beside_weight, rebuild


class FoldScaleIntoProducer(ProducerPattern):
    """`conv(x, w, b) * s` -> `conv(x, w * s, b * s)`, and the same of `/`; so the other producers."""

    def match(self, op: Operation) -> Site | None:
        """A product of a producer's result and a weight, in either order, or their quotient."""
        return find_site_beside_weight(op, commutes=isinstance(op, MulOp)) if isinstance(op, MulOp | DivOp) else None

    def condition(self, site: Site) -> str | None:
        """The weight must be one number, or one per channel."""
        factor = site.consumer.operands[1 - site.index]
        what = "the factor" if isinstance(site.consumer, MulOp) else "the divisor"
        return refuse_scale(site) or refuse_channels(site, factor, what)

    def fuse(self, match: Site, rewriter: PatternRewriter) -> None:
        """New filters and, where there is a bias, a new bias."""
        producer = match.producer
        weights = weights_for(producer)
        combine = weights.mul if isinstance(match.consumer, MulOp) else weights.div
        factor = weights.vector(match.consumer.operands[1 - match.index])
        changes = scaled_filters(weights, producer, factor, combine)
        bias = current_bias(weights, producer)
        if bias is not None:
            changes |= new_bias(weights, match, combine(bias, factor))
        match.substitute(rewriter, rebuild(producer, **changes), weights.ops)


@dataclass(frozen=True)
class FoldScalePass(ModulePass):
    """Fold Mul and Div by per-channel weights into the Conv, ConvTranspose, Gemm or MatMul before them."""

    name = "fold-scale"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite `op` in place."""
        apply_fusions(op, [FoldScaleIntoProducer()])
