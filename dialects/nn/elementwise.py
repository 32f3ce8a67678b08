"""Elementwise arithmetic: one result element from the operand elements at its (broadcast) place."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, ClassVar

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, result_def

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx
from .types import Abstract, Array, broadcast_dims, tensor


def same_element(name: str, *operands: Abstract) -> Attribute:
    """The element type all operands share; raises CompileError where they differ."""
    elements = dict.fromkeys(o.element for o in operands)
    if len(elements) > 1:
        raise CompileError(f"{name} needs operands of one element type, not {' and '.join(map(str, elements))}")
    return next(iter(elements))


class UnaryOp(NNOp):
    """One operand, and a result of its type."""

    INPLACE: ClassVar = ("x",)

    x = operand_def(AnyTensor)
    result = result_def(AnyTensor)

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The operand's type."""
        return x.type


class BinaryOp(NNOp):
    """Two operands of one element type, broadcast against each other as in NumPy."""

    INPLACE: ClassVar = ("a", "b")

    a = operand_def(AnyTensor)
    b = operand_def(AnyTensor)
    result = result_def(AnyTensor)

    def infer(self, a: Abstract, b: Abstract) -> TensorType[Attribute]:
        """The operands' element type and broadcast dims."""
        return tensor(same_element(self.name, a, b), broadcast_dims(a.dims, b.dims))


@irdl_op_definition
class AddOp(BinaryOp):
    """`a + b`. ONNX Add, https://onnx.ai/onnx/operators/onnx__Add.html"""

    name = "nn.add"
    ONNX: ClassVar = Onnx("Add", since=7)

    def evaluate(self, xp: Any, a: Array, b: Array) -> Array:
        """`a + b`"""
        return a + b
