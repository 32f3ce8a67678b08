"""Matrix products with an epilogue: one GEMM call each."""

from __future__ import annotations

from typing import Any, ClassVar

from xdsl.dialects.builtin import FloatAttr, IntegerAttr, StringAttr, TensorType, f32, i64
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, opt_operand_def, opt_prop_def, prop_def, result_def

from ...errors import CompileError
from ..nn.activation import ActivationAttr
from ..nn.base import AnyTensor, NNOp, integer, number, text
from ..nn.elementwise import require_float, same_element
from ..nn.gemm import product_dims, swap_last
from ..nn.types import Abstract, Array, Dims, dims_agree, format_dims, tensor

TF32 = "tf32"
"""The one `compute_type` that is known: without it, an f32 product is computed in f32."""


class ProductOp(NNOp):
    """`epilogue(alpha * op(a) @ op(b) + beta * c)`

    op(a) [batch..., M, K] and op(b) [batch..., K, N] have their last two dims swapped where transA, transB are 1.
    Their batch dims broadcast: a missing one, or one of size 1, is a batch stride of 0. c has the last dims of the
    result [batch..., M, N], two or more of them: those it lacks have a batch stride of 0. It is there where beta is
    not 0, and may be the result's buffer. A NaN stays a NaN in every epilogue. `compute_type = "tf32"` lets a device
    round the operands of an f32 product to TF32.
    """

    INPLACE: ClassVar = ("c",)
    EPILOGUE: ClassVar[ActivationAttr | None] = None
    """What is applied to the sum."""

    alpha = prop_def(FloatAttr, default_value=FloatAttr(1.0, f32))
    beta = prop_def(FloatAttr, default_value=FloatAttr(0.0, f32))
    transA = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    transB = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    compute_type = opt_prop_def(StringAttr)
    result = result_def(AnyTensor)

    def writes_rows_apart(self) -> bool:
        """Yes: BLAS calls it the leading dimension."""
        return True

    def reads_rows_apart(self, operand: int) -> bool:
        """a's, where they are the rows of the product."""
        return operand == 0 and not self.transposed()[0]

    def transposed(self) -> tuple[bool, bool]:
        """Whether the last two dims of a, and of b, are swapped."""
        return integer(self.transA) != 0, integer(self.transB) != 0

    def product_type(
        self, a: Abstract, b: Abstract, c: Abstract | None, bias: Abstract | None = None
    ) -> TensorType[Attribute]:
        """[batch..., M, N]; raises CompileError where the operands do not fit."""
        element = same_element(self.name, *(o for o in (a, b, bias, c) if o is not None))
        require_float(self.name, element)
        if self.compute_type is not None and (text(self.compute_type), element) != (TF32, f32):
            raise CompileError(f"compute_type '{text(self.compute_type)}' of {element} is unknown; it is {TF32} of f32")
        if a.rank < 2 or b.rank < 2:
            raise CompileError(f"a {format_dims(a.dims)} and b {format_dims(b.dims)} must be matrices")
        trans_a, trans_b = self.transposed()
        dims = product_dims(swap_last(a.dims, trans_a), swap_last(b.dims, trans_b))
        if bias is not None and not dims_agree(bias.dims, dims[-1:]):
            raise CompileError(f"bias {format_dims(bias.dims)} does not fit {format_dims(dims)}")
        self.check_c(c, dims)
        return tensor(element, dims)

    def check_c(self, c: Abstract | None, dims: Dims) -> None:
        """Raise CompileError unless c is there just where beta is not 0, with the last of the result's `dims`."""
        if (c is None) != (number(self.beta) == 0):
            raise CompileError(f"beta = {number(self.beta)} {'needs' if c is None else 'does not read'} c")
        if c is not None and (c.rank < 2 or not dims_agree(c.dims, dims[-c.rank :])):
            raise CompileError(f"c {format_dims(c.dims)} does not have the last dims of {format_dims(dims)}")

    def product(self, xp: Any, a: Array, b: Array, c: Array | None, bias: Array | None = None) -> Array:
        """As the equation says, plus the bias."""
        trans_a, trans_b = self.transposed()
        y = xp.matmul(a.swapaxes(-1, -2) if trans_a else a, b.swapaxes(-1, -2) if trans_b else b)
        if (alpha := number(self.alpha)) != 1:
            y *= y.dtype.type(alpha)
        if c is not None:
            y += c if (beta := number(self.beta)) == 1 else c * c.dtype.type(beta)
        if bias is not None:
            y += bias
        return y if self.EPILOGUE is None else self.EPILOGUE.apply(xp, y)


class MatmulOp(ProductOp):
    """A product without a bias vector."""

    a = operand_def(AnyTensor)
    b = operand_def(AnyTensor)
    c = opt_operand_def(AnyTensor)

    def infer(self, a: Abstract, b: Abstract, c: Abstract | None) -> TensorType[Attribute]:
        """[batch..., M, N]"""
        return self.product_type(a, b, c)

    def evaluate(self, xp: Any, a: Array, b: Array, c: Array | None) -> Array:
        """As the equation says."""
        return self.product(xp, a, b, c)


class BiasedOp(ProductOp):
    """A product with a bias vector [N] along the last axis, added before the epilogue."""

    a = operand_def(AnyTensor)
    b = operand_def(AnyTensor)
    bias = operand_def(AnyTensor)
    c = opt_operand_def(AnyTensor)

    def infer(self, a: Abstract, b: Abstract, bias: Abstract, c: Abstract | None) -> TensorType[Attribute]:
        """[batch..., M, N]"""
        return self.product_type(a, b, c, bias)

    def evaluate(self, xp: Any, a: Array, b: Array, bias: Array, c: Array | None) -> Array:
        """As the equation says."""
        return self.product(xp, a, b, c, bias)


@irdl_op_definition
class BlasMatmulOp(MatmulOp):
    """`alpha * op(a) @ op(b) + beta * c`: a GEMM without an epilogue. See `ProductOp`."""

    name = "blas.matmul"


@irdl_op_definition
class BlasMatmulReluOp(MatmulOp):
    """`relu(alpha * op(a) @ op(b) + beta * c)`: cuBLASLt's RELU epilogue. See `ProductOp`."""

    name = "blas.matmulrelu"
    EPILOGUE: ClassVar = ActivationAttr.of("relu")


@irdl_op_definition
class BlasGemmOp(BiasedOp):
    """`alpha * op(a) @ op(b) + beta * c + bias`: cuBLASLt's BIAS epilogue (transposed problem). See `ProductOp`."""

    name = "blas.gemm"


@irdl_op_definition
class BlasGemmReluOp(BiasedOp):
    """`relu(alpha * op(a) @ op(b) + beta * c + bias)`: cuBLASLt's RELU_BIAS epilogue. See `ProductOp`."""

    name = "blas.gemmrelu"
    EPILOGUE: ClassVar = ActivationAttr.of("relu")


@irdl_op_definition
class BlasGemmGeluOp(BiasedOp):
    """`gelu_tanh(alpha * op(a) @ op(b) + beta * c + bias)`: cuBLASLt's GELU_BIAS epilogue. See `ProductOp`.

    GELU in its tanh form, which is cuBLASLt's.
    """

    name = "blas.gemmgelu"
    EPILOGUE: ClassVar = ActivationAttr.of("gelu_tanh")
