"""`fold-batch-norm`: batch-norms with constant statistics become part of the weights before them."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter

from ..dialects.nn.base import number
from ..dialects.nn.constant import is_weight
from ..dialects.nn.norm import BatchNormalizationOp
from ..dialects.nn.types import dims_of
from ..rewriting import apply_fusions
from .affine import current_bias, new_bias, refuse_scale, scaled_filters, weights_for
from .producers import ProducerPattern, Site, find_site, rebuild


class FoldBatchNormIntoProducer(ProducerPattern):
    """`batch_norm(conv(x, w, b), scale, beta, mean, var)` -> `conv(x, w * s, (b - mean) * s + beta)`

    with `s = scale / sqrt(var + epsilon)`, one number per output channel; so the other producers. The activation of
    the batch-norm becomes the producer's.
    """

    def match(self, op: Operation) -> Site | None:
        """Any batch-norm of a producer's result."""
        return find_site(op) if isinstance(op, BatchNormalizationOp) else None

    def condition(self, site: Site) -> str | None:
        """Its parameters must be weights, one number per channel of the producer."""
        op = site.consumer
        for name, value in zip(op.operand_names()[1:], op.operands[1:], strict=True):
            if not is_weight(value):
                return f"its {name} is computed at run time"
            if len(dims_of(value.type)) != 1:
                return f"its {name} is per element, not per channel"
        if (reason := refuse_scale(site)) is not None:
            return reason
        return None if site.axis == 1 else f"its channels, axis 1, are not those of {site.noun}, axis {site.axis}"

    def fuse(self, match: Site, rewriter: PatternRewriter) -> None:
        """New filters and a new bias, as IR on the parameters of both."""
        op, producer = match.consumer, match.producer
        assert isinstance(op, BatchNormalizationOp)
        weights = weights_for(producer)
        deviation = weights.sqrt(weights.add(op.var, weights.constant(number(op.epsilon))))
        scale = weights.div(op.scale, deviation)
        bias = current_bias(weights, producer)
        if bias is None:
            shift = weights.sub(op.bias, weights.mul(op.mean, scale))
        else:
            shift = weights.add(weights.mul(weights.sub(bias, op.mean), scale), op.bias)
        changes = scaled_filters(weights, producer, scale, weights.mul) | new_bias(weights, match, shift)
        changes |= {} if op.activation is None else {"activation": op.activation}
        match.substitute(rewriter, rebuild(producer, **changes), weights.ops)


@dataclass(frozen=True)
class FoldBatchNormPass(ModulePass):
    """Fold batch-norms into the Conv, ConvTranspose, Gemm or MatMul before them."""

    name = "fold-batch-norm"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite `op` in place."""
        apply_fusions(op, [FoldBatchNormIntoProducer()])
