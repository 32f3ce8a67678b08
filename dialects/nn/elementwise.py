"""Elementwise operations: one result element from the operand elements at its (broadcast) place."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, TensorType, i1, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, var_operand_def
from xdsl.pattern_rewriter import RewritePattern

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, OnnxNode, integer
from .types import (
    STORED_ONLY,
    Abstract,
    Array,
    broadcast_dims,
    dims_agree,
    dims_of,
    element_type,
    format_dims,
    is_float,
    normalize_axis,
    tensor,
)


def same_element(name: str, *operands: Abstract) -> Attribute:
    """The element type all operands share; raises CompileError where they differ."""
    elements = dict.fromkeys(o.element for o in operands)
    if len(elements) > 1:
        raise CompileError(f"{name} needs operands of one element type, not {' and '.join(map(str, elements))}")
    return next(iter(elements))


def require_float(name: str, element: Attribute) -> None:
    """Raise CompileError where an element type is not a floating-point one."""
    if not is_float(element):
        raise CompileError(f"{name} needs operands of a float type, not {element}")


def require_number(name: str, element: Attribute) -> None:
    """Raise CompileError where an element type has no arithmetic: bool (i1), and those that are only stored."""
    if element == i1 or element in STORED_ONLY:
        raise CompileError(f"{name} needs numbers, not {element}")


class UnaryOp(NNOp):
    """One operand, and a result of its type."""

    INPLACE: ClassVar = ("x",)
    POINTWISE: ClassVar = True

    x = operand_def(AnyTensor)
    result = result_def(AnyTensor)

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The operand's type."""
        return x.type


class BinaryOp(NNOp):
    """Two operands of one element type, broadcast against each other as in NumPy.

    In ONNX's opset 6, where `broadcast` = 1, the dims of `b` are those of `a` from `axis` on, by default its last ones.
    """

    INPLACE: ClassVar = ("a", "b")
    POINTWISE: ClassVar = True

    a = operand_def(AnyTensor)
    b = operand_def(AnyTensor)
    result = result_def(AnyTensor)

    def infer(self, a: Abstract, b: Abstract) -> TensorType[Attribute]:
        """The operands' element type and broadcast dims."""
        element = same_element(self.name, a, b)
        require_number(self.name, element)
        return tensor(element, broadcast_dims(a.dims, b.dims))

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """Opset 6's `broadcast` and `axis` become ones behind the dims of `b`."""
        if node.opset < 7:
            a, b = (dims_of(node.required(i).type) for i in (0, 1))
            axis, broadcast = node.attributes.pop("axis", None), node.attributes.pop("broadcast", 0)
            first = len(a) - len(b) if axis is None else normalize_axis(axis, len(a))
            if not broadcast and not dims_agree(a, b):
                raise CompileError(f"{format_dims(a)} and {format_dims(b)} differ, and broadcast is not 1")
            if broadcast and not 0 <= first <= len(a) - len(b):
                raise CompileError(f"{format_dims(b)} does not fit {format_dims(a)} from axis {first} on")
            append_ones(node, 1, len(a) - len(b) - first if broadcast else 0)
        return super().import_node(node)


def append_ones(node: OnnxNode, index: int, count: int) -> None:
    """Give input `index` of `node` `count` more dims of size 1 at its end."""
    from .reshape import UnsqueezeOp

    if count > 0:
        value = node.required(index)
        rank = len(dims_of(value.type))
        node.inputs[index] = node.build(UnsqueezeOp, value, node.constant(np.arange(rank, rank + count)))[0]


class VariadicOp(NNOp):
    """One or more operands of one element type, broadcast against each other as in NumPy."""

    POINTWISE: ClassVar = True

    inputs = var_operand_def(AnyTensor)
    result = result_def(AnyTensor)

    def infer(self, inputs: Sequence[Abstract]) -> TensorType[Attribute]:
        """The operands' element type and broadcast dims."""
        if not inputs:
            raise CompileError(f"{self.name} needs at least one operand")
        element = same_element(self.name, *inputs)
        require_number(self.name, element)
        return tensor(element, broadcast_dims(*(i.dims for i in inputs)))

    def fold(self) -> Sequence[SSAValue | Attribute] | None:
        """Of one operand: that operand."""
        only = self.inputs[0] if len(self.inputs) == 1 else None
        return [only] if only is not None and only.type == self.result.type else super().fold()


@irdl_op_definition
class AddOp(BinaryOp):
    """`a + b`. ONNX Add, https://onnx.ai/onnx/operators/onnx__Add.html"""

    name = "nn.add"
    ONNX: ClassVar = Onnx("Add", since=6)

    def evaluate(self, xp: Any, a: Array, b: Array) -> Array:
        """`a + b`"""
        return a + b

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """The bias of a layer normalisation."""
        from .norm_patterns import BiasOfLayerNormalization

        return (BiasOfLayerNormalization(),)


@irdl_op_definition
class SubOp(BinaryOp):
    """`a - b`. ONNX Sub, https://onnx.ai/onnx/operators/onnx__Sub.html"""

    name = "nn.sub"
    ONNX: ClassVar = Onnx("Sub", since=6)

    def evaluate(self, xp: Any, a: Array, b: Array) -> Array:
        """`a - b`"""
        return a - b


@irdl_op_definition
class MulOp(BinaryOp):
    """`a * b`. ONNX Mul, https://onnx.ai/onnx/operators/onnx__Mul.html"""

    name = "nn.mul"
    ONNX: ClassVar = Onnx("Mul", since=6)

    def evaluate(self, xp: Any, a: Array, b: Array) -> Array:
        """`a * b`"""
        return a * b

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """SiLU, HardSwish, Mish, GELU and layer normalisation, as exporters write them."""
        from .gate_patterns import FuseGate
        from .norm_patterns import FuseLayerNormalization

        return FuseGate(), FuseLayerNormalization()


@irdl_op_definition
class DivOp(BinaryOp):
    """`a / b`; integers are divided towards zero. ONNX Div, https://onnx.ai/onnx/operators/onnx__Div.html

    An integer divided by zero is 0 on NumPy, as NumPy has it; ONNX leaves it undefined.
    """

    name = "nn.div"
    ONNX: ClassVar = Onnx("Div", since=6)

    def evaluate(self, xp: Any, a: Array, b: Array) -> Array:
        """`a / b`"""
        return a / b if a.dtype.kind == "f" else truncating_divide(a, b)

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """HardSwish and GELU, as exporters write them."""
        from .gate_patterns import FuseGate

        return (FuseGate(),)


def truncating_divide(a: Array, b: Array) -> Array:
    """The quotient of integers, rounded towards zero (`//` rounds down)."""
    quotient = a // b
    if a.dtype.kind == "u":
        return quotient
    return quotient + ((quotient * b != a) & ((a < 0) != (b < 0)) & (b != 0))


@irdl_op_definition
class PowOp(BinaryOp):
    """`a ** b`, in the element type of `a`. ONNX Pow, https://onnx.ai/onnx/operators/onnx__Pow.html

    The exponent may have another element type. An integer to a negative integer power is rounded towards zero.
    """

    name = "nn.pow"
    ONNX: ClassVar = Onnx("Pow", since=6)
    INPLACE: ClassVar = ("a",)
    POINTWISE: ClassVar = True

    def infer(self, a: Abstract, b: Abstract) -> TensorType[Attribute]:
        """The base's element type and the broadcast dims."""
        require_number(self.name, a.element)
        require_number(self.name, b.element)
        return tensor(a.element, broadcast_dims(a.dims, b.dims))

    def evaluate(self, xp: Any, a: Array, b: Array) -> Array:
        """`a ** b`, computed in the wider of both types."""
        if a.dtype.kind == "f":
            return xp.power(a, b)
        if b.dtype.kind == "i":
            return _integer_power(xp, a, b).astype(a.dtype)
        return xp.power(a, b).astype(a.dtype)

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """Squares."""
        from .arithmetic_patterns import PowOfTwo

        return (PowOfTwo(),)


def _integer_power(xp: Any, a: Array, b: Array) -> Array:
    # 1 and -1 have integer reciprocals: their powers depend on whether the exponent is odd. Others' round to 0.
    power = xp.power(a, xp.where(b < 0, b & 1, b))
    return xp.where((b < 0) & (xp.abs(a) != 1), power.dtype.type(0), power)


@irdl_op_definition
class SumOp(VariadicOp):
    """The sum of all operands. ONNX Sum, https://onnx.ai/onnx/operators/onnx__Sum.html"""

    name = "nn.sum"
    ONNX: ClassVar = Onnx("Sum", since=6)

    def evaluate(self, xp: Any, inputs: Sequence[Array]) -> Array:
        """From left to right."""
        return reduce(xp.add, inputs)

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """Of two operands: nn.add."""
        from .arithmetic_patterns import SumOfTwo

        return (SumOfTwo(),)


@irdl_op_definition
class MaxOp(VariadicOp):
    """The largest operand element; a NaN wins. ONNX Max, https://onnx.ai/onnx/operators/onnx__Max.html"""

    name = "nn.max"
    ONNX: ClassVar = Onnx("Max", since=6)

    def evaluate(self, xp: Any, inputs: Sequence[Array]) -> Array:
        """From left to right."""
        return reduce(xp.maximum, inputs)

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """Max with zero: nn.relu."""
        from .arithmetic_patterns import MaxWithZero

        return (MaxWithZero(),)


@irdl_op_definition
class MinOp(VariadicOp):
    """The smallest operand element; a NaN wins. ONNX Min, https://onnx.ai/onnx/operators/onnx__Min.html"""

    name = "nn.min"
    ONNX: ClassVar = Onnx("Min", since=6)

    def evaluate(self, xp: Any, inputs: Sequence[Array]) -> Array:
        """From left to right."""
        return reduce(xp.minimum, inputs)


@irdl_op_definition
class MeanOp(VariadicOp):
    """The mean of all operands. ONNX Mean, https://onnx.ai/onnx/operators/onnx__Mean.html"""

    name = "nn.mean"
    ONNX: ClassVar = Onnx("Mean", since=6)

    def infer(self, inputs: Sequence[Abstract]) -> TensorType[Attribute]:
        """The operands' element type, a float one, and broadcast dims."""
        require_float(self.name, same_element(self.name, *inputs))
        return super().infer(inputs)

    def evaluate(self, xp: Any, inputs: Sequence[Array]) -> Array:
        """The sum divided by the number of operands."""
        return reduce(xp.add, inputs) / len(inputs)


@irdl_op_definition
class ModOp(BinaryOp):
    """The remainder of `a / b`, with the sign of `b`; with `fmod` = 1 that of `a`.

    ONNX Mod, https://onnx.ai/onnx/operators/onnx__Mod.html. Floats need `fmod` = 1 before opset 28. An integer's
    remainder by zero is undefined.
    """

    name = "nn.mod"
    ONNX: ClassVar = Onnx("Mod", since=10)

    fmod = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))

    def evaluate(self, xp: Any, a: Array, b: Array) -> Array:
        """By `fmod` or `mod`. CuPy has no `fmod` of integers; its `mod` of floats loses infinities and signs of 0."""
        if a.dtype.kind != "f":
            return a - truncating_divide(a, b) * b if integer(self.fmod) else xp.mod(a, b)
        rest = xp.fmod(a, b)
        if integer(self.fmod):
            return rest
        follows = xp.where((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest)
        return xp.where(rest == 0, xp.copysign(rest, b), follows)

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """Refuses floats with `fmod` = 0 in the opsets that do not define it."""
        element = element_type(node.required(0).type)
        if node.opset < 28 and is_float(element) and not node.attributes.get("fmod", 0):
            raise CompileError(f"Mod of {element} needs fmod = 1 in opset {node.opset}")
        return super().import_node(node)


@irdl_op_definition
class WhereOp(NNOp):
    """`x` where `condition` (i1) holds, else `y`. ONNX Where, https://onnx.ai/onnx/operators/onnx__Where.html"""

    name = "nn.where"
    ONNX: ClassVar = Onnx("Where", since=9)
    INPLACE: ClassVar = ("x", "y")
    POINTWISE: ClassVar = True

    condition = operand_def(AnyTensor)
    x = operand_def(AnyTensor)
    y = operand_def(AnyTensor)
    result = result_def(AnyTensor)

    def infer(self, condition: Abstract, x: Abstract, y: Abstract) -> TensorType[Attribute]:
        """The element type of `x` and `y`, and the dims of all three, broadcast."""
        if condition.element != i1:
            raise CompileError(f"the condition of {self.name} must be i1, not {condition.element}")
        return tensor(same_element(self.name, x, y), broadcast_dims(condition.dims, x.dims, y.dims))

    def evaluate(self, xp: Any, condition: Array, x: Array, y: Array) -> Array:
        """`condition ? x : y`"""
        return xp.where(condition, x, y)
