"""Ops that make and read optionals: a tensor or a sequence, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import TensorType, i1
from xdsl.ir import Attribute, SSAValue, TypeAttribute
from xdsl.irdl import BaseAttr, irdl_op_definition, operand_def, opt_operand_def, opt_prop_def, result_def
from xdsl.utils.exceptions import VerifyException

from ...errors import CompileError
from .base import Onnx, OnnxNode
from .constant import constant_attribute
from .containers import ContainerOp, Operand, ranked, type_of
from .types import Array, tensor
from .value_types import OptionalType, SequenceType, compatible, merge_types


def optional_type(name: str, operand: Operand) -> OptionalType:
    """The type of an operand that must be an optional."""
    if not isinstance(operand, OptionalType):
        raise CompileError(f"{name} needs an optional, but is given {type_of(operand)}")
    return operand


@irdl_op_definition
class OptionalOp(ContainerOp):
    """The optional that holds `x`, or the empty one of the type `type`.
    ONNX Optional, https://onnx.ai/onnx/operators/onnx__Optional.html
    """

    name = "nn.optional"
    ONNX: ClassVar = Onnx("Optional", since=15)

    x = opt_operand_def(TensorType[Attribute] | SequenceType)
    type = opt_prop_def(BaseAttr(TypeAttribute))
    result = result_def(OptionalType)

    def infer(self, x: Operand | None) -> OptionalType:
        """An optional of the operand's type, with what `type` says too."""
        if isinstance(x, OptionalType):
            raise CompileError(f"an optional holds a tensor or a sequence, not {x}")
        if x is None and self.type is None:
            raise CompileError(f"{self.name} needs a value, or the type of the one that it does not hold")
        known = self.type if x is None else type_of(x)
        assert known is not None
        if self.type is not None and not compatible(known, self.type):
            raise CompileError(f"{self.name} is said to hold {self.type}, but is given {known}")
        try:
            return OptionalType(known if self.type is None else merge_types(known, self.type))
        except VerifyException as e:
            raise CompileError(str(e)) from None

    def evaluate(self, xp: Any, x: Any) -> Any:
        """The operand, or None."""
        return x


@irdl_op_definition
class OptionalHasElementOp(ContainerOp):
    """Whether `x` holds a value. ONNX OptionalHasElement, https://onnx.ai/onnx/operators/onnx__OptionalHasElement.html

    Unlike there, `x` is an optional: of a tensor, a sequence and no operand at all the answer is a constant.
    """

    name = "nn.optional_has_element"
    ONNX: ClassVar = Onnx("OptionalHasElement", since=15)

    x = operand_def(OptionalType)
    result = result_def(TensorType[Attribute])

    def infer(self, x: Operand) -> TensorType[Attribute]:
        """An i1 scalar."""
        optional_type(self.name, x)
        return tensor(i1, ())

    def evaluate(self, xp: Any, x: Any) -> Array:
        """`x is not None`"""
        return xp.asarray(x is not None)

    def run_bytes(self, operands: Sequence[Any]) -> int:
        """Nothing is made."""
        return 0

    def fold(self) -> Sequence[SSAValue | Attribute] | None:
        """What the op that makes the optional says."""
        made = self.x.owner
        return [constant_attribute(np.asarray(made.x is not None))] if isinstance(made, OptionalOp) else None

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """No operand (opset 18) holds nothing, a tensor or a sequence is there."""
        x = node.input(0)
        if x is None or not isinstance(x.type, OptionalType):
            return [node.constant(np.asarray(x is not None))]
        return super().import_node(node)


@irdl_op_definition
class OptionalGetElementOp(ContainerOp):
    """The value that `x` holds. ONNX OptionalGetElement, https://onnx.ai/onnx/operators/onnx__OptionalGetElement.html

    An empty one is refused when the op runs. Unlike there, `x` is an optional: a tensor or a sequence is its own value.
    """

    name = "nn.optional_get_element"
    ONNX: ClassVar = Onnx("OptionalGetElement", since=15)

    x = operand_def(OptionalType)
    result = result_def(TensorType[Attribute] | SequenceType)

    def infer(self, x: Operand) -> Attribute:
        """The type of what it holds."""
        element = optional_type(self.name, x).element
        return element if isinstance(element, SequenceType) else ranked(element, "tensors in the optional")

    def evaluate(self, xp: Any, x: Any) -> Any:
        """`x`, which must not be None."""
        if x is None:
            raise CompileError("the optional is empty: it has no element")
        return x

    def run_bytes(self, operands: Sequence[Any]) -> int:
        """Nothing is made."""
        return 0

    def forwards(self) -> SSAValue | None:
        """What the op that makes the optional puts in."""
        return self.x.owner.x if isinstance(self.x.owner, OptionalOp) else None

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """A tensor or a sequence (opset 18) is its own value."""
        x = node.required(0)
        return super().import_node(node) if isinstance(x.type, OptionalType) else [x]
