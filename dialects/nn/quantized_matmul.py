"""Matrix products of 8-bit integers, to i32 or quantised again."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import TensorType, i32
from xdsl.ir import Attribute
from xdsl.irdl import (
    AttrSizedOperandSegments,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    result_def,
)

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx
from .elementwise import require_float, same_element
from .gemm import product_dims
from .integer_products import (
    as_i32,
    exact_float,
    requantize,
    require_8_bits,
    require_zero_point,
    shifted,
)
from .types import (
    Abstract,
    Array,
    Dims,
    broadcasts_to,
    dims_of,
    format_dims,
    static_dims,
    tensor,
)


class IntegerMatMulOp(NNOp):
    """`a @ b` of 8-bit integers less their zero points, as numpy.matmul. A parameter of a is one number or one per row
    ([M] or [batch..., M, 1]), one of b one number or one per column ([N] or [batch..., 1, N]).
    """

    a = operand_def(AnyTensor)
    b = operand_def(AnyTensor)
    result = result_def(AnyTensor)

    def multiplied(self, a: Abstract, b: Abstract, a_zero: Abstract | None, b_zero: Abstract | None) -> Dims:
        """The result's dims; raises CompileError where the operands do not fit."""
        require_8_bits(self.name, a, b)
        require_zero_point("a", a, a_zero)
        require_zero_point("b", b, b_zero)
        if 0 in (a.rank, b.rank):
            raise CompileError("a matrix product needs vectors or matrices, not scalars")
        rows, columns = (1, *a.dims) if a.rank == 1 else a.dims, (*b.dims, 1) if b.rank == 1 else b.dims
        *batch, m, n = product_dims(rows, columns)
        self.require_fit(a, b, a_zero, b_zero)
        return (*batch, *((m,) if a.rank > 1 else ()), *((n,) if b.rank > 1 else ()))

    @staticmethod
    def require_fit(a: Abstract, b: Abstract, of_a: Abstract | None, of_b: Abstract | None) -> None:
        """Raise CompileError where parameters of a and b are not of the shapes the class names."""
        if of_a is not None and not broadcasts_to(_by_row(of_a.dims, a.rank), a.dims):
            raise CompileError(f"a parameter {format_dims(of_a.dims)} does not fit the rows of {format_dims(a.dims)}")
        if of_b is not None and not broadcasts_to(of_b.dims, b.dims):
            raise CompileError(
                f"a parameter {format_dims(of_b.dims)} does not fit the columns of {format_dims(b.dims)}"
            )

    def accumulate(self, xp: Any, a: Array, b: Array, a_zero: Array | None, b_zero: Array | None) -> Array:
        """The product in i32."""
        dtype = exact_float(a.shape[-1])
        a_zero = None if a_zero is None else by_row(a_zero, a.ndim)
        return as_i32(xp.asarray(xp.matmul(shifted(a, a_zero, dtype), shifted(b, b_zero, dtype))))

    def working_bytes(self) -> int:
        """The operands' and the result's as floats of 8 bytes."""
        values = (self.a, self.b, self.result)
        return max(8 * int(np.prod(static_dims(dims_of(v.type)), dtype=object)) for v in values)


def _by_row(dims: Dims, rank: int) -> Dims:
    return (*dims, 1) if len(dims) == 1 and dims != (1,) and rank > 1 else dims


def by_row(parameter: Array, rank: int) -> Array:
    """A parameter of a, [M], as it broadcasts to a matrix of rows."""
    return parameter.reshape(_by_row(parameter.shape, rank))


@irdl_op_definition
class MatMulIntegerOp(IntegerMatMulOp):
    """`a @ b` of 8-bit integers, to i32. ONNX MatMulInteger,
    https://onnx.ai/onnx/operators/onnx__MatMulInteger.html. Shapes as in `IntegerMatMulOp`.
    """

    name = "nn.matmul_integer"
    ONNX: ClassVar = Onnx("MatMulInteger", since=10)

    a = operand_def(AnyTensor)
    b = operand_def(AnyTensor)
    a_zero_point = opt_operand_def(AnyTensor)
    b_zero_point = opt_operand_def(AnyTensor)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def infer(
        self, a: Abstract, b: Abstract, a_zero_point: Abstract | None, b_zero_point: Abstract | None
    ) -> TensorType[Attribute]:
        """[batch..., M, N] of i32"""
        return tensor(i32, self.multiplied(a, b, a_zero_point, b_zero_point))

    def evaluate(self, xp: Any, a: Array, b: Array, a_zero_point: Array | None, b_zero_point: Array | None) -> Array:
        """By a GEMM of floats, which is exact."""
        return self.accumulate(xp, a, b, a_zero_point, b_zero_point)


@irdl_op_definition
class QLinearMatMulOp(IntegerMatMulOp):
    """`a @ b` of 8-bit integers, quantised again. ONNX QLinearMatMul,
    https://onnx.ai/onnx/operators/onnx__QLinearMatMul.html

    Shapes as in `IntegerMatMulOp`; the product times `a_scale * b_scale / y_scale`, rounded (halves to even), plus
    y_zero_point, saturated. Those of y are one number, or broadcast to the result.
    """

    name = "nn.qlinear_matmul"
    ONNX: ClassVar = Onnx("QLinearMatMul", since=10)

    a = operand_def(AnyTensor)
    a_scale = operand_def(AnyTensor)
    a_zero_point = operand_def(AnyTensor)
    b = operand_def(AnyTensor)
    b_scale = operand_def(AnyTensor)
    b_zero_point = operand_def(AnyTensor)
    y_scale = operand_def(AnyTensor)
    y_zero_point = operand_def(AnyTensor)

    def infer(
        self,
        a: Abstract,
        a_scale: Abstract,
        a_zero_point: Abstract,
        b: Abstract,
        b_scale: Abstract,
        b_zero_point: Abstract,
        y_scale: Abstract,
        y_zero_point: Abstract,
    ) -> TensorType[Attribute]:
        """[batch..., M, N] of the type of y_zero_point."""
        dims = self.multiplied(a, b, a_zero_point, b_zero_point)
        require_8_bits(self.name, y_zero_point)
        require_float(self.name, same_element(self.name, a_scale, b_scale, y_scale))
        self.require_fit(a, b, a_scale, b_scale)
        for parameter in (y_scale, y_zero_point):
            if parameter.dims != (1,) and not broadcasts_to(parameter.dims, dims):
                raise CompileError(
                    f"a parameter {format_dims(parameter.dims)} does not fit the result {format_dims(dims)}"
                )
        return tensor(y_zero_point.element, dims)

    def evaluate(
        self,
        xp: Any,
        a: Array,
        a_scale: Array,
        a_zero_point: Array,
        b: Array,
        b_scale: Array,
        b_zero_point: Array,
        y_scale: Array,
        y_zero_point: Array,
    ) -> Array:
        """By a GEMM of floats, which is exact, then the scales."""
        total = self.accumulate(xp, a, b, a_zero_point, b_zero_point)
        factor = xp.asarray(by_row(a_scale, a.ndim) * b_scale / y_scale)
        if factor.size == 1:
            factor = factor.reshape(())
        zero_point = y_zero_point.reshape(()) if y_zero_point.size == 1 else y_zero_point
        return requantize(xp, total, factor, zero_point)
