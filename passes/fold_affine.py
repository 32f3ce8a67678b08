"""`fold-affine`: batch-norms, scales and biases in any order become part of the weights before them."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from ..rewriting import apply_fusions
from .fold_batch_norm import FoldBatchNormIntoProducer
from .fold_scale import FoldScaleIntoProducer
from .fuse_bias import FuseBiasIntoProducer


@dataclass(frozen=True)
class FoldAffinePass(ModulePass):
    """`fold-batch-norm`, `fold-scale` and `fuse-bias` to their common fixpoint.

    Applied one after the other they miss chains in another order, such as Conv, Add, BatchNormalization (which
    PaddlePaddle exports): the Add stands between the batch-norm and its producer until `fuse-bias` has run.
    """

    name = "fold-affine"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite `op` in place."""
        apply_fusions(op, [FoldBatchNormIntoProducer(), FoldScaleIntoProducer(), FuseBiasIntoProducer()])
