"""`fuse-activation`: activations become a property of the convolution or GEMM whose result they are applied to."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter

from ..dialects.nn.activations import ActivationOp
from ..rewriting import apply_fusions
from .producers import ProducerPattern, Site, find_site, rebuild


class FuseActivationIntoProducer(ProducerPattern):
    """`act(layout(conv(x, w, b)))` -> `layout(conv(x, w, b) {activation = act})`; so the other producers."""

    def match(self, op: Operation) -> Site | None:
        """Any activation whose operand comes from a producer."""
        return find_site(op) if isinstance(op, ActivationOp) else None

    def condition(self, site: Site) -> str | None:
        """Some activations have no attribute form (bounds that are computed at run time)."""
        assert isinstance(site.consumer, ActivationOp)
        activation = site.consumer.activation()
        return activation if isinstance(activation, str) else None

    def fuse(self, match: Site, rewriter: PatternRewriter) -> None:
        """The producer applies the activation; layout operations stay behind it."""
        assert isinstance(match.consumer, ActivationOp)
        match.substitute(rewriter, rebuild(match.producer, activation=match.consumer.activation()))


@dataclass(frozen=True)
class FuseActivationPass(ModulePass):
    """Fold Relu, Clip, LeakyRelu, Sigmoid ... into the Conv, ConvTranspose, Gemm, MatMul or batch-norm before them."""

    name = "fuse-activation"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite `op` in place."""
        apply_fusions(op, [FuseActivationIntoProducer()])
