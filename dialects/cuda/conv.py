"""A convolution with bias, residual and activation in one kernel of implicit GEMM."""

from __future__ import annotations

from xdsl.dialects.builtin import StringAttr, TensorType
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, opt_prop_def

from ...errors import CompileError
from ..nn.base import integer
from ..nn.conv import ConvCallOp
from ..nn.types import Abstract

MOST_ELEMENTS = 1 << 31
"""An image or result of so many is refused: the kernel says by 32 bits where elements lie."""


@irdl_op_definition
class CudaConvOp(ConvCallOp):
    """`activation(conv(x, w) + bias + residual)`, layout nhwc, two spatial dims, one group.

    The product [positions, kernel * C] by [kernel * C, K] is computed in tiles; where tiles are few, the blocks of a
    cluster share the sum of one (split K). `plan` is `<rows>x<filters>/<split>`, the tile and how many blocks share
    it, as a tuner found it; without it a model of the costs chooses. The residual has the result's dims.
    """

    name = "cuda.conv"

    plan = opt_prop_def(StringAttr)

    def writes_rows_apart(self) -> bool:
        """Yes."""
        return True

    def reads_rows_apart(self, operand: int) -> bool:
        """The image's: the rows of x are its pixels."""
        return operand == 0

    def infer(
        self, x: Abstract, w: Abstract, bias: Abstract | None, residual: Abstract | None
    ) -> TensorType[Attribute]:
        """[N, out..., K]"""
        if x.rank != 4 or integer(self.group) != 1:
            raise CompileError(f"{self.name} has two spatial dims and one group")
        return super().infer(x, w, bias, residual)
