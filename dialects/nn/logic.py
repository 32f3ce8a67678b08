"""Logic on bools, and on the bits of integers."""

from __future__ import annotations

from typing import Any, ClassVar

from xdsl.dialects.builtin import IntegerType, StringAttr, TensorType, i1
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, prop_def

from ...errors import CompileError
from .base import Onnx, text
from .elementwise import BinaryOp, UnaryOp, same_element
from .types import Abstract, Array, broadcast_dims, tensor


def require_bool(name: str, element: Attribute) -> None:
    """Raise CompileError where an element type is not bool (i1)."""
    if element != i1:
        raise CompileError(f"{name} needs operands of type i1, not {element}")


def require_integer(name: str, element: Attribute) -> None:
    """Raise CompileError where an element type is not an integer one; i1 is a bool."""
    if not isinstance(element, IntegerType) or element == i1:
        raise CompileError(f"{name} needs operands of an integer type, not {element}")


class LogicalOp(BinaryOp):
    """A connective of two bools."""

    def infer(self, a: Abstract, b: Abstract) -> TensorType[Attribute]:
        """Bools of the broadcast dims."""
        require_bool(self.name, same_element(self.name, a, b))
        return tensor(i1, broadcast_dims(a.dims, b.dims))


class BitwiseOp(BinaryOp):
    """A function of two integers, bit by bit."""

    def infer(self, a: Abstract, b: Abstract) -> TensorType[Attribute]:
        """The operands' element type, an integer one, and broadcast dims."""
        require_integer(self.name, same_element(self.name, a, b))
        return super().infer(a, b)


@irdl_op_definition
class NotOp(UnaryOp):
    """Whether a bool is false. ONNX Not, https://onnx.ai/onnx/operators/onnx__Not.html"""

    name = "nn.not"
    ONNX: ClassVar = Onnx("Not", since=1)

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The operand's type, of bools."""
        require_bool(self.name, x.element)
        return x.type

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`not x`"""
        return xp.logical_not(x)


@irdl_op_definition
class AndOp(LogicalOp):
    """Whether both are true. ONNX And, https://onnx.ai/onnx/operators/onnx__And.html"""

    name = "nn.and"
    ONNX: ClassVar = Onnx("And", since=1)

    def evaluate(self, xp: Any, a: Array, b: Array) -> Array:
        """`a and b`"""
        return xp.logical_and(a, b)


@irdl_op_definition
class OrOp(LogicalOp):
    """Whether one or both are true. ONNX Or, https://onnx.ai/onnx/operators/onnx__Or.html"""

    name = "nn.or"
    ONNX: ClassVar = Onnx("Or", since=1)

    def evaluate(self, xp: Any, a: Array, b: Array) -> Array:
        """`a or b`"""
        return xp.logical_or(a, b)


@irdl_op_definition
class XorOp(LogicalOp):
    """Whether just one is true. ONNX Xor, https://onnx.ai/onnx/operators/onnx__Xor.html"""

    name = "nn.xor"
    ONNX: ClassVar = Onnx("Xor", since=1)

    def evaluate(self, xp: Any, a: Array, b: Array) -> Array:
        """`a != b`"""
        return xp.logical_xor(a, b)


@irdl_op_definition
class BitwiseNotOp(UnaryOp):
    """Every bit turned. ONNX BitwiseNot, https://onnx.ai/onnx/operators/onnx__BitwiseNot.html"""

    name = "nn.bitwise_not"
    ONNX: ClassVar = Onnx("BitwiseNot", since=18)

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The operand's type, of integers."""
        require_integer(self.name, x.element)
        return x.type

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`~x`"""
        return xp.invert(x)


@irdl_op_definition
class BitwiseAndOp(BitwiseOp):
    """The bits that both have. ONNX BitwiseAnd, https://onnx.ai/onnx/operators/onnx__BitwiseAnd.html"""

    name = "nn.bitwise_and"
    ONNX: ClassVar = Onnx("BitwiseAnd", since=18)

    def evaluate(self, xp: Any, a: Array, b: Array) -> Array:
        """`a & b`"""
        return xp.bitwise_and(a, b)


@irdl_op_definition
class BitwiseOrOp(BitwiseOp):
    """The bits that one or both have. ONNX BitwiseOr, https://onnx.ai/onnx/operators/onnx__BitwiseOr.html"""

    name = "nn.bitwise_or"
    ONNX: ClassVar = Onnx("BitwiseOr", since=18)

    def evaluate(self, xp: Any, a: Array, b: Array) -> Array:
        """`a | b`"""
        return xp.bitwise_or(a, b)


@irdl_op_definition
class BitwiseXorOp(BitwiseOp):
    """The bits that just one has. ONNX BitwiseXor, https://onnx.ai/onnx/operators/onnx__BitwiseXor.html"""

    name = "nn.bitwise_xor"
    ONNX: ClassVar = Onnx("BitwiseXor", since=18)

    def evaluate(self, xp: Any, a: Array, b: Array) -> Array:
        """`a ^ b`"""
        return xp.bitwise_xor(a, b)


@irdl_op_definition
class BitShiftOp(BitwiseOp):
    """`a` shifted by `b` bits to the `direction` LEFT or RIGHT.

    ONNX BitShift, https://onnx.ai/onnx/operators/onnx__BitShift.html. To the right, copies of the sign bit come in. A
    shift by a negative number, or by as many bits as there are or more, leaves what comes in: 0, or -1.
    """

    name = "nn.bit_shift"
    ONNX: ClassVar = Onnx("BitShift", since=11)

    direction = prop_def(StringAttr)

    def infer(self, a: Abstract, b: Abstract) -> TensorType[Attribute]:
        """The operands' element type, an integer one, and broadcast dims."""
        if text(self.direction) not in ("LEFT", "RIGHT"):
            raise CompileError(f"direction '{text(self.direction)}' is unknown; it is LEFT or RIGHT")
        return super().infer(a, b)

    def evaluate(self, xp: Any, a: Array, b: Array) -> Array:
        """Shifts by all bits or more apart: C leaves them undefined, and CUDA does otherwise than NumPy."""
        bits, right = 8 * a.dtype.itemsize, text(self.direction) == "RIGHT"
        whole = (b < 0) | (b >= bits)
        by = xp.where(whole, b.dtype.type(bits - 1), b)
        shifted = xp.right_shift(a, by) if right else xp.left_shift(a, by)
        return shifted if right and a.dtype.kind == "i" else xp.where(whole, a.dtype.type(0), shifted)
