"""Cast: conversion between element types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from xdsl.dialects.builtin import TensorType, bf16, f16, f32, f64, i1, i8, i16, i32, i64
from xdsl.ir import Attribute, SSAValue, TypeAttribute
from xdsl.irdl import BaseAttr, irdl_op_definition, prop_def

from ...errors import UnsupportedError
from .base import Onnx, OnnxNode
from .elementwise import UnaryOp
from .types import Abstract, Array, dtype_of, element_type, tensor, ui8, ui16, ui32, ui64

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
}
"""The element types by their numbers in ONNX's TensorProto.DataType."""

UNSUPPORTED_ELEMENTS: dict[int, str] = {
    8: "string",
    14: "complex64",
    15: "complex128",
    17: "float8e4m3fn",
    18: "float8e4m3fnuz",
    19: "float8e5m2",
    20: "float8e5m2fnuz",
    21: "uint4",
    22: "int4",
    23: "float4e2m1",
    24: "float8e8m0",
    25: "uint2",
    26: "int2",
    27: "float6e2m3",
    28: "float6e3m2",
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
    becomes true. `saturate` and `round_mode` concern 8-bit floats only, which are not supported.
    """

    name = "nn.cast"
    ONNX: ClassVar = Onnx("Cast", since=6, drop=frozenset({"saturate", "round_mode"}))

    to = prop_def(BaseAttr(TypeAttribute))

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The operand's dims, of the element type `to`."""
        dtype_of(self.to)
        return tensor(self.to, x.dims)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`x.astype(to)`; the operand itself where it has that type (in float64 too, for the float64 oracle)."""
        return x if element_type(self.x.type) == self.to else x.astype(dtype_of(self.to))

    def fold(self) -> Sequence[SSAValue | Attribute] | None:
        """To its own type: the operand."""
        return [self.x] if self.x.type == self.result.type else super().fold()

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """`to` is a number in ONNX."""
        onnx_element(node, "to")
        return super().import_node(node)
