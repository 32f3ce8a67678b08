"""Passes on `nn` and on lowered programs: one file each, imported when the pass is first used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..registry import lazy

if TYPE_CHECKING:
    from xdsl.passes import ModulePass

PASSES: dict[str, Callable[[], type[ModulePass]]] = {
    "convert-layout": lazy(__name__, "convert_layout", "ConvertLayoutPass"),
    "convert-precision": lazy(__name__, "convert_precision", "ConvertPrecisionPass"),
    "expand-conv-transpose": lazy(__name__, "expand_conv_transpose", "ExpandConvTransposePass"),
    "fold-affine": lazy(__name__, "fold_affine", "FoldAffinePass"),
    "fold-batch-norm": lazy(__name__, "fold_batch_norm", "FoldBatchNormPass"),
    "fold-pad": lazy(__name__, "fold_pad", "FoldPadPass"),
    "fold-scale": lazy(__name__, "fold_scale", "FoldScalePass"),
    "fuse-activation": lazy(__name__, "fuse_activation", "FuseActivationPass"),
    "fuse-bias": lazy(__name__, "fuse_bias", "FuseBiasPass"),
    "fuse-pack": lazy(__name__, "fuse_pack", "FusePackPass"),
    "fuse-pointwise": lazy(__name__, "fuse_pointwise", "FusePointwisePass"),
    "fuse-residual": lazy(__name__, "fuse_residual", "FuseResidualPass"),
    "hoist-parameters": lazy(__name__, "hoist_parameters", "HoistParametersPass"),
    "plan-memory": lazy(__name__, "plan_memory", "PlanMemoryPass"),
    "specialize-shapes": lazy(__name__, "specialize_shapes", "SpecializeShapesPass"),
}
"""Pass name -> function that imports and returns the pass."""
