"""Arithmetic on weights, as IR: how a pass scales filters and computes a new bias without reading either."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import f32
from xdsl.ir import Attribute, SSAValue

from ..dialects.nn.base import NNOp
from ..dialects.nn.cast import CastOp
from ..dialects.nn.constant import ConstantOp, constant_attribute
from ..dialects.nn.elementwise import AddOp, BinaryOp, DivOp, MulOp, SubOp
from ..dialects.nn.reshape import ReshapeOp
from ..dialects.nn.shape import ConstantOfShapeOp
from ..dialects.nn.types import NARROW_FLOATS, dims_of, dtype_of, element_type, static_dims
from ..dialects.nn.unary import NegOp, SqrtOp


class Weights:
    """Builds operations on weights, in order, in `ops`; every method returns the value it made.

    Arithmetic is done in `element`, or in f32 where that is f16 or bf16: operands are widened as they come, and
    `narrow` rounds a finished weight once.
    """

    def __init__(self, element: Attribute):
        self.element = element
        self.wide = f32 if element in NARROW_FLOATS else element
        self.ops: list[NNOp] = []

    def emit(self, op: NNOp) -> SSAValue:
        """Add `op`; its first result."""
        self.ops.append(op)
        op.results[0].name_hint = "weight"
        return op.results[0]

    def widen(self, value: SSAValue) -> SSAValue:
        """`value` in the element type that is computed in."""
        return self._cast(value, self.wide)

    def narrow(self, value: SSAValue) -> SSAValue:
        """A finished weight in the element type that is stored."""
        return self._cast(value, self.element)

    def _cast(self, value: SSAValue, to: Attribute) -> SSAValue:
        return value if element_type(value.type) == to else self.emit(CastOp(value, to=to))

    def _binary(self, op: type[BinaryOp], a: SSAValue, b: SSAValue) -> SSAValue:
        return self.emit(op(self.widen(a), self.widen(b)))

    def add(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """`a + b`"""
        return self._binary(AddOp, a, b)

    def sub(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """`a - b`"""
        return self._binary(SubOp, a, b)

    def mul(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """`a * b`"""
        return self._binary(MulOp, a, b)

    def div(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """`a / b`"""
        return self._binary(DivOp, a, b)

    def neg(self, a: SSAValue) -> SSAValue:
        """`-a`"""
        return self.emit(NegOp(self.widen(a)))

    def sqrt(self, a: SSAValue) -> SSAValue:
        """The square root of `a`."""
        return self.emit(SqrtOp(self.widen(a)))

    def constant(self, value: float) -> SSAValue:
        """A scalar."""
        return self.emit(ConstantOp.of(np.asarray(value, dtype_of(self.wide))))

    def reshape(self, value: SSAValue, dims: Sequence[int]) -> SSAValue:
        """`value` with other dims; itself where it has them."""
        if dims_of(value.type) == tuple(dims):
            return value
        return self.emit(ReshapeOp(value, self.ints(dims)))

    def vector(self, value: SSAValue) -> SSAValue:
        """`value`, of which at most one dim is not 1, as a vector."""
        count = int(np.prod(static_dims(dims_of(value.type)), dtype=np.int64))
        return self.reshape(value, [count])

    def repeated(self, value: SSAValue, count: int) -> SSAValue:
        """A vector of `count` elements, from one of as many or of one."""
        if dims_of(value.type) == (count,):
            return value
        ones = ConstantOfShapeOp(self.ints([count]), value=constant_attribute(np.ones(1, dtype_of(self.wide))))
        return self.mul(value, self.emit(ones))

    def ints(self, values: Sequence[int]) -> SSAValue:
        """A constant list of integers."""
        return self.emit(ConstantOp.of(np.asarray(values, np.int64)))
