"""`lower-nn-to-blas`: convolutions and matrix products become the library calls that compute them."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr, f32
from xdsl.passes import ModulePass

from ...dialects.blas.products import TF32, ProductOp
from ...dialects.nn.types import element_type
from ..calls import apply_lowerings
from .conv import LowerConv
from .gemm import LowerGemm, LowerMatMul


@dataclass(frozen=True)
class LowerNnToBlasPass(ModulePass):
    """Lower nn.conv, nn.gemm and nn.matmul to `blas` calls and views.

    Left as they are (`--remarks` says why): depthwise convolutions, integer products, and what `?` dims other than
    the batch leave open. Raises RuntimeError where anything else is left.
    """

    name = "lower-nn-to-blas"

    im2col_budget: int = 256 * 2**20
    """The most bytes the columns of one blas.im2col may take; one image's are always allowed."""

    tf32: bool = False
    """Whether f32 may be rounded to TF32."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite `op` in place."""
        apply_lowerings(op, [LowerConv(self.im2col_budget), LowerGemm(), LowerMatMul()])
        if self.tf32:
            for call in op.walk():
                if isinstance(call, ProductOp) and element_type(call.result.type) == f32:
                    call.compute_type = StringAttr(TF32)
