"""Matrix products: Gemm on matrices, MatMul on stacks of them."""

from __future__ import annotations

from typing import Any, ClassVar

from xdsl.dialects.builtin import FloatAttr, IntegerAttr, TensorType, f32, i32, i64
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, opt_operand_def, opt_prop_def, prop_def, result_def

from ...errors import CompileError
from .activation import ActivationAttr
from .base import AnyTensor, NNOp, Onnx, integer, number
from .elementwise import same_element
from .types import (
    Abstract,
    Array,
    Dims,
    broadcast_dims,
    broadcasts_to,
    dims_agree,
    format_dims,
    is_float,
    tensor,
    ui32,
    ui64,
)


def product_element(name: str, *operands: Abstract | None) -> Attribute:
    """The operands' one element type; raises CompileError where ONNX has no matrix product of it."""
    element = same_element(name, *(o for o in operands if o is not None))
    if not is_float(element) and element not in (i32, i64, ui32, ui64):
        raise CompileError(f"{name} needs floats or integers of 32 or 64 bits, not {element}")
    return element


def swap_last(dims: Dims, swap: bool) -> Dims:
    """`dims` of a matrix (or a stack), transposed if `swap`."""
    return (*dims[:-2], dims[-1], dims[-2]) if swap else dims


def product_dims(a: Dims, b: Dims) -> Dims:
    """The dims of `a @ b`, both of rank 2 or more, batch dims broadcast; raises CompileError on a misfit."""
    if None not in (a[-1], b[-2]) and a[-1] != b[-2]:
        raise CompileError(f"the inner sizes of {format_dims(a)} and {format_dims(b)} differ")
    return (*broadcast_dims(a[:-2], b[:-2]), a[-2], b[-1])


@irdl_op_definition
class GemmOp(NNOp):
    """`activation(alpha * op(a) @ op(b) + beta * c)`. ONNX Gemm, https://onnx.ai/onnx/operators/onnx__Gemm.html

    op(a) [M, K] and op(b) [K, N] are transposed where transA, transB are 1; c broadcasts to the result [M, N]. As
    in BLAS, c is not read where beta is 0. For integers, alpha and beta must be whole numbers.
    Opset 6's `broadcast` says nothing that the dims of c do not say.
    """

    name = "nn.gemm"
    ONNX: ClassVar = Onnx("Gemm", since=6, drop=frozenset({"broadcast"}))

    a = operand_def(AnyTensor)
    b = operand_def(AnyTensor)
    c = opt_operand_def(AnyTensor)
    alpha = prop_def(FloatAttr, default_value=FloatAttr(1.0, f32))
    beta = prop_def(FloatAttr, default_value=FloatAttr(1.0, f32))
    transA = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    transB = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    activation = opt_prop_def(ActivationAttr)
    result = result_def(AnyTensor)

    def infer(self, a: Abstract, b: Abstract, c: Abstract | None) -> TensorType[Attribute]:
        """[M, N]"""
        element = product_element(self.name, a, b, c)
        if a.rank != 2 or b.rank != 2:
            raise CompileError(f"a {format_dims(a.dims)} and b {format_dims(b.dims)} must be matrices")
        trans_a, trans_b = self.transposed()
        dims = product_dims(swap_last(a.dims, trans_a), swap_last(b.dims, trans_b))
        if c is not None and not broadcasts_to(c.dims, dims):
            raise CompileError(f"c {format_dims(c.dims)} does not broadcast to {format_dims(dims)}")
        whole = all(number(v).is_integer() for v in (self.alpha, self.beta))
        if not is_float(element) and not whole:
            raise CompileError(f"alpha and beta must be whole numbers for {element}")
        return tensor(element, dims)

    def transposed(self) -> tuple[bool, bool]:
        """Whether a and b are transposed."""
        return integer(self.transA) != 0, integer(self.transB) != 0

    def evaluate(self, xp: Any, a: Array, b: Array, c: Array | None) -> Array:
        """As the equation says."""
        trans_a, trans_b = self.transposed()
        y = xp.matmul(a.T if trans_a else a, b.T if trans_b else b)
        if (alpha := number(self.alpha)) != 1:
            y = y * y.dtype.type(alpha)
        if c is not None and (beta := number(self.beta)) != 0:
            y = y + (c if beta == 1 else c * c.dtype.type(beta))
        return y if self.activation is None else self.activation.apply(xp, y)


@irdl_op_definition
class MatMulOp(NNOp):
    """`activation(a @ b + bias)`, as numpy.matmul. ONNX MatMul, https://onnx.ai/onnx/operators/onnx__MatMul.html

    a [batch..., M, K] or [K], b [batch..., K, N] or [K]; the batch dims broadcast, and the dim M or N of a vector
    is left out of the result. The bias has the size of the result's last dim and is added along it.
    """

    name = "nn.matmul"
    ONNX: ClassVar = Onnx("MatMul", since=1)

    a = operand_def(AnyTensor)
    b = operand_def(AnyTensor)
    bias = opt_operand_def(AnyTensor)
    activation = opt_prop_def(ActivationAttr)
    result = result_def(AnyTensor)

    def infer(self, a: Abstract, b: Abstract, bias: Abstract | None) -> TensorType[Attribute]:
        """[batch..., M, N]"""
        element = product_element(self.name, a, b, bias)
        if 0 in (a.rank, b.rank):
            raise CompileError("a matrix product needs vectors or matrices, not scalars")
        rows, columns = (1, *a.dims) if a.rank == 1 else a.dims, (*b.dims, 1) if b.rank == 1 else b.dims
        *batch, m, n = product_dims(rows, columns)
        dims = (*batch, *((m,) if a.rank > 1 else ()), *((n,) if b.rank > 1 else ()))
        if bias is not None and not dims_agree(bias.dims, dims[-1:]):
            raise CompileError(f"bias {format_dims(bias.dims)} does not fit {format_dims(dims)}")
        return tensor(element, dims)

    def evaluate(self, xp: Any, a: Array, b: Array, bias: Array | None) -> Array:
        """As the equation says."""
        y = xp.asarray(xp.matmul(a, b))
        if bias is not None:
            y = y + bias
        return y if self.activation is None else self.activation.apply(xp, y)
