"""Linear quantisation: floats to integers of few bits with a scale and a zero point, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import ml_dtypes
import numpy as np
from xdsl.dialects.builtin import IntegerAttr, TensorType, f32, i1, i8, i16, i32, i64
from xdsl.ir import Attribute, SSAValue, TypeAttribute
from xdsl.irdl import BaseAttr, irdl_op_definition, operand_def, opt_operand_def, opt_prop_def, prop_def, result_def

from ...errors import CompileError, UnsupportedError
from .base import AnyTensor, NNOp, Onnx, OnnxNode, integer
from .cast import ONNX_ELEMENTS, UNSUPPORTED_ELEMENTS, saturated
from .elementwise import require_float
from .types import (
    STORED_FLOATS,
    STORED_INTS,
    Abstract,
    Array,
    Dims,
    dims_agree,
    dtype_of,
    element_type,
    f8e8m0,
    format_dims,
    is_float,
    normalize_axis,
    tensor,
    ui8,
    ui16,
)

QUANTIZED = (i8, ui8, i16, ui16, *STORED_INTS, *(e for e in STORED_FLOATS if e != f8e8m0))
"""The element types that floats are quantised to."""


def saturate(xp: Any, rounded: Array, zero_point: Array | None, dtype: np.dtype[Any]) -> Array:
    """`rounded + zero_point` in an integer `dtype`, or its nearest value there; NaN becomes the zero point."""
    y = xp.where(rounded == rounded, rounded, rounded.dtype.type(0))
    if zero_point is not None:
        y = y + zero_point.astype(y.dtype)
    limits = ml_dtypes.iinfo(dtype)
    return xp.clip(y, limits.min, limits.max).astype(dtype)


def quantize_dynamically(xp: Any, x: Array) -> tuple[Array, Array, Array]:
    """`x` as ui8, the scale, and the zero point as a float; on the device throughout: no value is looked at."""
    zero = xp.zeros((1,), x.dtype)
    flat = xp.concatenate([x.reshape(-1), zero])
    low, high = flat.min(), flat.max()
    width = xp.where(high == low, x.dtype.type(1), high - low)
    scale = width / x.dtype.type(255)
    zero_point = xp.rint(xp.clip(-low / scale, 0, 255))
    return saturate(xp, xp.rint(x / scale), zero_point, np.dtype(np.uint8)), scale, zero_point


def element_numbered(name: str, number: int) -> Attribute:
    """The element type of ONNX's number; raises UnsupportedError for one that nnfuse does not have."""
    if (element := ONNX_ELEMENTS.get(number)) is None:
        raise UnsupportedError(
            f"{name} to {UNSUPPORTED_ELEMENTS.get(number, f'element type {number}')} is not supported"
        )
    return element


class ScaledOp(NNOp):
    """`x` with a scale and a zero point of the same dims: one number, one per index of `axis`, or one per block.

    A block is `block_size` indices of `axis` (the last one may have fewer); the scale then has the rank of `x`.
    """

    x = operand_def(AnyTensor)
    scale = operand_def(AnyTensor)
    zero_point = opt_operand_def(AnyTensor)
    axis = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    block_size = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    output_dtype = opt_prop_def(BaseAttr(TypeAttribute))
    result = result_def(AnyTensor)

    def check(self, x: Abstract, scale: Abstract, zero_point: Abstract | None) -> None:
        """Raise CompileError where the scale or the zero point does not fit."""
        single = ((), (1,), (None,))  # one number may be a scalar or a list; ONNX's own tests mix them
        pair = scale.dims in single and zero_point is not None and zero_point.dims in single
        if zero_point is not None and not pair and not dims_agree(scale.dims, zero_point.dims):
            raise CompileError(
                f"the zero point {format_dims(zero_point.dims)} must have the scale's shape {format_dims(scale.dims)}"
            )
        if not dims_agree(scale.dims, self.expected(x.dims, scale.dims)):
            raise CompileError(
                f"a scale {format_dims(scale.dims)} does not fit {format_dims(x.dims)} along axis {integer(self.axis)}"
                f" with block_size {integer(self.block_size)}"
            )

    def expected(self, x: Dims, scale: Dims) -> Dims:
        """The dims of a scale of that rank."""
        block = integer(self.block_size)
        if block < 0:
            raise CompileError(f"block_size must not be negative, but is {block}")
        if block:
            axis = normalize_axis(integer(self.axis), len(x))
            return tuple(d if a != axis or d is None else -(-d // block) for a, d in enumerate(x))
        if scale in ((), (1,)):
            return scale
        return (x[normalize_axis(integer(self.axis), len(x))],)

    def spread(self, xp: Any, parameter: Array, shape: tuple[int, ...]) -> Array:
        """A scale or zero point as it broadcasts to `shape`."""
        if block := integer(self.block_size):
            axis = normalize_axis(integer(self.axis), len(shape))
            indices = xp.arange(shape[axis]) // block
            return xp.take(parameter, indices, axis=axis)
        if parameter.size == 1:
            return parameter.reshape(())
        return parameter.reshape(-1, *[1] * (len(shape) - normalize_axis(integer(self.axis), len(shape)) - 1))

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """Element types are numbers in ONNX, 0 where they are left out."""
        for name in ("output_dtype", "precision"):
            if number := node.attributes.pop(name, 0):
                node.attributes[name] = element_numbered(node.op_type, number)
        return super().import_node(node)


@irdl_op_definition
class QuantizeLinearOp(ScaledOp):
    """`saturate(round(x / scale) + zero_point)`, halves to even; NaN becomes the zero point.

    ONNX QuantizeLinear, https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html. Shapes as in `ScaledOp`. x of floats
    or i32; the result has the type of the zero point, else `output_dtype`, else ui8. The division is in the type of the
    scale, or in `precision`. Floats of 8 bits are not rounded to integers; `saturate` is as in nn.cast.
    """

    name = "nn.quantize_linear"
    ONNX: ClassVar = Onnx("QuantizeLinear", since=10)

    precision = opt_prop_def(BaseAttr(TypeAttribute))
    saturate = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))

    def infer(self, x: Abstract, scale: Abstract, zero_point: Abstract | None) -> TensorType[Attribute]:
        """The dims of `x`, of the quantised type."""
        if not is_float(x.element) and x.element != i32:
            raise CompileError(f"{self.name} quantises floats or i32, not {x.element}")
        if not is_float(scale.element) and scale.element != i32:
            raise CompileError(f"the scale must be floats or i32, not {scale.element}")
        declared = None if zero_point is None else zero_point.element
        if None not in (declared, self.output_dtype) and declared != self.output_dtype:
            raise CompileError(f"output_dtype is {self.output_dtype}, but the zero point {declared}")
        element = declared or self.output_dtype or ui8
        if element not in QUANTIZED:
            raise CompileError(f"{self.name} gives {', '.join(map(str, QUANTIZED))}, not {element}")
        if self.precision is not None:
            require_float(self.name, self.precision)
        self.check(x, scale, zero_point)
        return tensor(element, x.dims)

    def evaluate(self, xp: Any, x: Array, scale: Array, zero_point: Array | None) -> Array:
        """Divided as `precision` says (in float64 for the float64 oracle), the quotient rounded once."""
        element = self.precision or element_type(self.scale.type)
        division = dtype_of(element if is_float(element) else f32)
        if division == np.float32 and np.float64 in (x.dtype, scale.dtype):
            division = np.dtype(np.float64)
        work = np.float32 if division.itemsize < 4 else division
        dividend, divisor = (v.astype(division).astype(work) for v in (x, scale))
        quotient = (dividend / self.spread(xp, divisor, x.shape)).astype(division).astype(work)
        zero = None if zero_point is None else self.spread(xp, zero_point, x.shape)
        target = element_type(self.result.type)
        if target not in STORED_FLOATS:
            return saturate(xp, xp.rint(quotient), zero, dtype_of(target))
        y = quotient if zero is None else quotient + zero.astype(quotient.dtype)
        return saturated(xp, y, target) if integer(self.saturate) else y.astype(dtype_of(target))


@irdl_op_definition
class DequantizeLinearOp(ScaledOp):
    """`(x - zero_point) * scale`. ONNX DequantizeLinear,
    https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html

    Shapes as in `ScaledOp`; the result has the type of the scale, or `output_dtype`.
    """

    name = "nn.dequantize_linear"
    ONNX: ClassVar = Onnx("DequantizeLinear", since=10)

    def infer(self, x: Abstract, scale: Abstract, zero_point: Abstract | None) -> TensorType[Attribute]:
        """The dims of `x`, of the scale's type or `output_dtype`."""
        if is_float(x.element) or x.element == i1:
            raise CompileError(f"{self.name} takes integers, not {x.element}")
        if zero_point is not None and zero_point.element != x.element:
            raise CompileError(f"the zero point must be {x.element}, not {zero_point.element}")
        element = self.output_dtype or scale.element
        for float_ in (scale.element, element):
            require_float(self.name, float_)
        self.check(x, scale, zero_point)
        return tensor(element, x.dims)

    def evaluate(self, xp: Any, x: Array, scale: Array, zero_point: Array | None) -> Array:
        """The difference is exact: integers in i64, floats of a byte in f32."""
        exact = np.float32 if element_type(self.x.type) in STORED_FLOATS else np.int64
        if zero_point is not None:
            x = x.astype(exact) - self.spread(xp, zero_point.astype(exact), x.shape)
        return x.astype(scale.dtype) * self.spread(xp, scale, x.shape)


@irdl_op_definition
class DynamicQuantizeLinearOp(NNOp):
    """`x` as ui8, with the scale and zero point that make its range, and 0, fit. ONNX DynamicQuantizeLinear,
    https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html

    `scale = (max(x, 0) - min(x, 0)) / 255` (1 / 255 where that is 0, as all values are), `zero_point = round(-min /
    scale)`, both scalars.
    """

    name = "nn.dynamic_quantize_linear"
    ONNX: ClassVar = Onnx("DynamicQuantizeLinear", since=11)

    x = operand_def(AnyTensor)
    result = result_def(AnyTensor)
    scale = result_def(AnyTensor)
    zero_point = result_def(AnyTensor)

    def infer(self, x: Abstract) -> tuple[TensorType[Attribute], ...]:
        """The dims of `x` and two scalars."""
        if x.element != f32:
            raise CompileError(f"{self.name} quantises f32, not {x.element}")
        return tensor(ui8, x.dims), tensor(f32, ()), tensor(ui8, ())

    def evaluate(self, xp: Any, x: Array) -> tuple[Array, ...]:
        """See `quantize_dynamically`."""
        y, scale, zero_point = quantize_dynamically(xp, x)
        return y, xp.asarray(scale), xp.asarray(zero_point).astype(np.uint8)
