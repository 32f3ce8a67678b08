"""Cast: conversion between element types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

import ml_dtypes
import numpy as np
from xdsl.dialects.builtin import (
    Float4E2M1FNType,
    Float6E2M3FNType,
    Float6E3M2FNType,
    Float8E4M3FNType,
    Float8E4M3FNUZType,
    Float8E5M2FNUZType,
    Float8E5M2Type,
    IntegerAttr,
    StringAttr,
    TensorType,
    bf16,
    f16,
    f32,
    f64,
    i1,
    i8,
    i16,
    i32,
    i64,
)
from xdsl.ir import Attribute, SSAValue, TypeAttribute
from xdsl.irdl import BaseAttr, irdl_op_definition, operand_def, prop_def, result_def

from ...errors import CompileError, UnsupportedError
from .base import AnyTensor, NNOp, Onnx, OnnxNode, integer, text
from .elementwise import UnaryOp
from .types import (
    STORED_FLOATS,
    STORED_ONLY,
    Abstract,
    Array,
    dtype_of,
    element_type,
    f8e8m0,
    i2,
    i4,
    tensor,
    ui2,
    ui4,
    ui8,
    ui16,
    ui32,
    ui64,
)

ONNX_ELEMENTS: dict[int, Attribute] = {
    1: f32,
    2: ui8,
    3: i8,
    4: ui16,
    5: i16,
    6: i32,
    7: i64,
    9: i1,
    10: f16,
    11: f64,
    12: ui32,
    13: ui64,
    16: bf16,
    17: Float8E4M3FNType(),
    18: Float8E4M3FNUZType(),
    19: Float8E5M2Type(),
    20: Float8E5M2FNUZType(),
    21: ui4,
    22: i4,
    23: Float4E2M1FNType(),
    24: f8e8m0,
    25: ui2,
    26: i2,
    27: Float6E2M3FNType(),
    28: Float6E3M2FNType(),
}
"""The element types by their numbers in ONNX's TensorProto.DataType."""

UNSUPPORTED_ELEMENTS: dict[int, str] = {
    8: "string",
    14: "complex64",
    15: "complex128",
}
"""ONNX's other element types, by number."""


def onnx_element(node: OnnxNode, name: str) -> None:
    """Turn the attribute `name` of a node, a number in ONNX, into the element type, where it is there.

    Raises UnsupportedError for element types that nnfuse does not have.
    """
    if (number := node.attributes.get(name)) is None:
        return
    if (element := ONNX_ELEMENTS.get(number)) is None:
        what = UNSUPPORTED_ELEMENTS.get(number, f"number {number}")
        raise UnsupportedError(f"{node.op_type} to the element type {what} is not supported")
    node.attributes[name] = element


@irdl_op_definition
class CastOp(UnaryOp):
    """`x` in the element type `to`. ONNX Cast, https://onnx.ai/onnx/operators/onnx__Cast.html

    Floats become integers towards zero (NaN and what the integer type does not hold give any value), anything but zero
    becomes true. Floats of 8 bits take what they do not hold as their largest value where `saturate` is 1, else as NaN
    or inf; `round_mode` (up, down, nearest) is that of the powers of two in f8E8M0FNU, which have no sign and no zero.
    """

    name = "nn.cast"
    ONNX: ClassVar = Onnx("Cast", since=6)

    to = prop_def(BaseAttr(TypeAttribute))
    saturate = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    round_mode = prop_def(StringAttr, default_value=StringAttr("up"))

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The operand's dims, of the element type `to`."""
        dtype_of(self.to)
        if text(self.round_mode) not in ("up", "down", "nearest"):
            raise CompileError(f"{self.name} has no round_mode '{text(self.round_mode)}', only up, down and nearest")
        return tensor(self.to, x.dims)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`x.astype(to)`; the operand itself where it has that type (in float64 too, for the float64 oracle)."""
        source, dtype = element_type(self.x.type), dtype_of(self.to)
        if source == self.to:
            return x
        if source in STORED_ONLY:
            x = x.astype(np.float32)  # which holds all of them; there is no way from each to each
        if self.to == f8e8m0:
            return to_powers_of_two(xp, x, bool(integer(self.saturate)), text(self.round_mode))
        return saturated(xp, x, self.to) if self.to in STORED_FLOATS and integer(self.saturate) else x.astype(dtype)

    def fold(self) -> Sequence[SSAValue | Attribute] | None:
        """To its own type: the operand."""
        return [self.x] if self.x.type == self.result.type else super().fold()

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """`to` is a number in ONNX; `saturate` and `round_mode` say something about some types only."""
        onnx_element(node, "to")
        if node.attributes.get("to") not in STORED_FLOATS:
            node.attributes.pop("saturate", None)
        if node.attributes.get("to") != f8e8m0:
            node.attributes.pop("round_mode", None)
        return super().import_node(node)


def saturated(xp: Any, x: Array, element: Attribute) -> Array:
    """`x` rounded to a float type of a byte or less; what lies beyond it (inf too) is its largest value, NaN stays."""
    dtype = dtype_of(element)
    limits = cast(Any, ml_dtypes.finfo)(dtype)
    return xp.clip(x, float(limits.min), float(limits.max)).astype(dtype)


def to_powers_of_two(xp: Any, x: Array, saturate: bool, round_mode: str) -> Array:
    """The powers of two next to the sizes of `x`, in f8E8M0FNU: their exponents alone, inf and NaN as NaN.

    As in ONNX's reference, which counts f32's subnormals as the least power, 2**-127.
    """
    bits = x.astype(np.float32).view(np.uint32)
    exponent, fraction, half = (bits >> 23) & 0xFF, bits & 0x7FFFFF, 0x400000
    up = fraction > (0 if round_mode == "up" else half if round_mode == "nearest" else 0x7FFFFF)
    if round_mode == "nearest":
        up = up | ((fraction == half) & (exponent > 0))
    rounded = xp.minimum(exponent + up.astype(np.uint32), 0xFE if saturate else 0xFF)
    return xp.where(exponent == 0xFF, exponent, rounded).astype(np.uint8).view(dtype_of(f8e8m0))


@irdl_op_definition
class BitCastOp(NNOp):
    """The bits of `x`, read as elements of the type `to`, which has as many. ONNX BitCast,
    https://onnx.ai/onnx/operators/onnx__BitCast.html
    """

    name = "nn.bit_cast"
    ONNX: ClassVar = Onnx("BitCast", since=26)

    x = operand_def(AnyTensor)
    to = prop_def(BaseAttr(TypeAttribute))
    result = result_def(AnyTensor)

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The operand's dims, of the element type `to`."""
        dtype_of(self.to)
        if bit_width(x.element) != bit_width(self.to):
            raise CompileError(f"{self.name} needs types of one size, not {x.element} and {self.to}")
        return tensor(self.to, x.dims)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """A view; the float64 oracle's wide values are narrowed first."""
        return x.astype(dtype_of(element_type(self.x.type)), copy=False).view(dtype_of(self.to))

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """`to` is a number in ONNX."""
        onnx_element(node, "to")
        return super().import_node(node)


def bit_width(element: Attribute) -> int:
    """The number of bits of an element in ONNX, where a bool has 8."""
    return 8 if element == i1 else int(getattr(element, "bitwidth", 0))
