"""Comparisons: bools from numbers."""

from __future__ import annotations

from typing import Any, ClassVar

from xdsl.dialects.builtin import IntegerAttr, TensorType, i1, i64
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, prop_def

from .base import Onnx, integer
from .elementwise import BinaryOp, UnaryOp, require_float, require_number, same_element
from .types import Abstract, Array, broadcast_dims, tensor


class CompareOp(BinaryOp):
    """A relation between two operands of one element type; false where one is NaN."""

    INPLACE: ClassVar = ()

    def infer(self, a: Abstract, b: Abstract) -> TensorType[Attribute]:
        """Bools of the broadcast dims."""
        require_number(self.name, same_element(self.name, a, b))
        return tensor(i1, broadcast_dims(a.dims, b.dims))


@irdl_op_definition
class EqualOp(CompareOp):
    """`a == b`, of bools (i1) too. ONNX Equal, https://onnx.ai/onnx/operators/onnx__Equal.html"""

    name = "nn.equal"
    ONNX: ClassVar = Onnx("Equal", since=1)

    def infer(self, a: Abstract, b: Abstract) -> TensorType[Attribute]:
        """Bools of the broadcast dims."""
        same_element(self.name, a, b)
        return tensor(i1, broadcast_dims(a.dims, b.dims))

    def evaluate(self, xp: Any, a: Array, b: Array) -> Array:
        """`a == b`"""
        return xp.equal(a, b)


@irdl_op_definition
class LessOp(CompareOp):
    """`a < b`. ONNX Less, https://onnx.ai/onnx/operators/onnx__Less.html"""

    name = "nn.less"
    ONNX: ClassVar = Onnx("Less", since=1)

    def evaluate(self, xp: Any, a: Array, b: Array) -> Array:
        """`a < b`"""
        return xp.less(a, b)


@irdl_op_definition
class LessOrEqualOp(CompareOp):
    """`a <= b`. ONNX LessOrEqual, https://onnx.ai/onnx/operators/onnx__LessOrEqual.html"""

    name = "nn.less_or_equal"
    ONNX: ClassVar = Onnx("LessOrEqual", since=12)

    def evaluate(self, xp: Any, a: Array, b: Array) -> Array:
        """`a <= b`"""
        return xp.less_equal(a, b)


@irdl_op_definition
class GreaterOp(CompareOp):
    """`a > b`. ONNX Greater, https://onnx.ai/onnx/operators/onnx__Greater.html"""

    name = "nn.greater"
    ONNX: ClassVar = Onnx("Greater", since=1)

    def evaluate(self, xp: Any, a: Array, b: Array) -> Array:
        """`a > b`"""
        return xp.greater(a, b)


@irdl_op_definition
class GreaterOrEqualOp(CompareOp):
    """`a >= b`. ONNX GreaterOrEqual, https://onnx.ai/onnx/operators/onnx__GreaterOrEqual.html"""

    name = "nn.greater_or_equal"
    ONNX: ClassVar = Onnx("GreaterOrEqual", since=12)

    def evaluate(self, xp: Any, a: Array, b: Array) -> Array:
        """`a >= b`"""
        return xp.greater_equal(a, b)


class PredicateOp(UnaryOp):
    """A property of floats: bools of the operand's dims."""

    INPLACE: ClassVar = ()

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """Bools of the operand's dims."""
        require_float(self.name, x.element)
        return tensor(i1, x.dims)


@irdl_op_definition
class IsNaNOp(PredicateOp):
    """Whether an element is NaN. ONNX IsNaN, https://onnx.ai/onnx/operators/onnx__IsNaN.html"""

    name = "nn.is_nan"
    ONNX: ClassVar = Onnx("IsNaN", since=9)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`x != x`"""
        return xp.isnan(x)


@irdl_op_definition
class IsInfOp(PredicateOp):
    """Whether an element is an infinity of a sign that is asked for.

    ONNX IsInf, https://onnx.ai/onnx/operators/onnx__IsInf.html
    """

    name = "nn.is_inf"
    ONNX: ClassVar = Onnx("IsInf", since=10)

    detect_negative = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    detect_positive = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))

    def evaluate(self, xp: Any, x: Array) -> Array:
        """Infinite, and not of a sign that is not asked for."""
        result = xp.isinf(x)
        if not integer(self.detect_negative):
            result &= x > 0
        if not integer(self.detect_positive):
            result &= x < 0
        return result
