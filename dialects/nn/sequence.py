"""Ops that make, change and read sequences of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import TensorType, f32, i32, i64
from xdsl.ir import Attribute, SSAValue, TypeAttribute
from xdsl.irdl import BaseAttr, irdl_op_definition, operand_def, opt_operand_def, prop_def, result_def, var_operand_def
from xdsl.pattern_rewriter import RewritePattern

from ...errors import CompileError
from .base import AnyTensor, Onnx, OnnxNode
from .cast import onnx_element
from .constant import constant_array, constant_attribute
from .containers import ContainerOp, Operand, ranked, type_of
from .types import Abstract, Array, as_tensor, dtype_of, format_dims, tensor
from .value_types import SequenceType, join_types, scalar_type

Arrays = tuple[Array, ...]


def sequence_type(name: str, operand: Operand) -> SequenceType:
    """The type of an operand that must be a sequence."""
    if not isinstance(operand, SequenceType):
        raise CompileError(f"{name} needs a sequence, but is given {type_of(operand)}")
    return operand


def joined(types: Sequence[Attribute]) -> Attribute:
    """The element type of a sequence of tensors of these types."""
    element = types[0]
    for type_ in types[1:]:
        both = join_types(element, type_)
        if both is None:
            raise CompileError(f"a sequence has elements of one type, not {element} and {type_}")
        element = both
    return element


def check_position(position: Abstract | None) -> None:
    """Raise CompileError where `position` is not one integer."""
    if position is not None and (position.element not in (i32, i64) or position.dims not in ((), (1,), (None,))):
        raise CompileError(f"the position must be one i32 or i64, but is {position.type}")


def index_of(position: Array, count: int, end: int) -> int:
    """`position` from the front of `count` elements, below `end`; raises CompileError where it is out of range."""
    if position.size != 1:
        raise CompileError(f"the position must be one integer, but has the shape {format_dims(position.shape)}")
    index = int(position.reshape(-1)[0])
    if not -count <= index < end:
        raise CompileError(f"position {index} is out of range for a sequence of {count} elements")
    return index + count if index < 0 else index


def element_types_of(sequence: SSAValue) -> list[Attribute] | None:
    """The types of the elements of a sequence one by one, where the op that makes it says them; else None."""
    return sequence.owner.element_types() if isinstance(sequence.owner, ContainerOp) else None


def constant_index(position: SSAValue | None, count: int, end: int) -> int | None:
    """`index_of` a constant, None where it is none or out of range."""
    value = constant_array(position)
    try:
        return None if value is None else index_of(value, count, end)
    except CompileError:
        return None


@irdl_op_definition
class SequenceEmptyOp(ContainerOp):
    """A sequence without elements. ONNX SequenceEmpty, https://onnx.ai/onnx/operators/onnx__SequenceEmpty.html

    `dtype` is the element type of what may be inserted.
    """

    name = "nn.sequence_empty"
    ONNX: ClassVar = Onnx("SequenceEmpty", since=11)

    dtype = prop_def(BaseAttr(TypeAttribute), default_value=f32)
    result = result_def(SequenceType)

    def infer(self) -> SequenceType:
        """Nothing but the element type is known of its elements."""
        dtype_of(self.dtype)
        return SequenceType(self.dtype)

    def evaluate(self, xp: Any) -> Arrays:
        """No arrays."""
        return ()

    def element_types(self) -> list[Attribute]:
        """None are there."""
        return []

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """`dtype` is a number in ONNX."""
        onnx_element(node, "dtype")
        return super().import_node(node)


@irdl_op_definition
class SequenceConstructOp(ContainerOp):
    """The sequence of `inputs`. ONNX SequenceConstruct, https://onnx.ai/onnx/operators/onnx__SequenceConstruct.html"""

    name = "nn.sequence_construct"
    ONNX: ClassVar = Onnx("SequenceConstruct", since=11)

    inputs = var_operand_def(AnyTensor)
    result = result_def(SequenceType)

    def infer(self, inputs: tuple[Operand, ...]) -> SequenceType:
        """What the operands' types share."""
        if not inputs:
            raise CompileError(f"{self.name} needs an operand")
        for operand in inputs:
            if not isinstance(operand, Abstract):
                raise CompileError(f"the elements of a sequence are tensors, not {operand}")
        return SequenceType(joined([type_of(o) for o in inputs]))

    def evaluate(self, xp: Any, inputs: Arrays) -> Arrays:
        """The operands."""
        return inputs

    def element_types(self) -> list[Attribute]:
        """The operands' types."""
        return [v.type for v in self.inputs]


@irdl_op_definition
class SequenceInsertOp(ContainerOp):
    """`sequence` with `x` before `position`, or at its end without one.
    ONNX SequenceInsert, https://onnx.ai/onnx/operators/onnx__SequenceInsert.html

    Of n elements `position` is -n to n; a negative one counts from the end.
    """

    name = "nn.sequence_insert"
    ONNX: ClassVar = Onnx("SequenceInsert", since=11)
    HOST: ClassVar = frozenset({"position"})

    sequence = operand_def(SequenceType)
    x = operand_def(AnyTensor)
    position = opt_operand_def(AnyTensor)
    result = result_def(SequenceType)

    def infer(self, sequence: Operand, x: Operand, position: Abstract | None) -> SequenceType:
        """What the elements and `x` share."""
        element = sequence_type(self.name, sequence).element
        if not isinstance(x, Abstract) or x.element != scalar_type(element):
            raise CompileError(f"{type_of(x)} cannot be inserted into {type_of(sequence)}")
        check_position(position)
        return SequenceType(joined([element, x.type]))

    def evaluate(self, xp: Any, sequence: Arrays, x: Array, position: Array | None) -> Arrays:
        """The same elements, and `x` among them."""
        count = len(sequence)
        index = count if position is None else index_of(position, count, count + 1)
        return (*sequence[:index], x, *sequence[index:])

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """See sequence_patterns.py."""
        from .sequence_patterns import InsertIntoConstruct

        return (InsertIntoConstruct(),)


@irdl_op_definition
class SequenceEraseOp(ContainerOp):
    """`sequence` without the element at `position`, or without its last one.
    ONNX SequenceErase, https://onnx.ai/onnx/operators/onnx__SequenceErase.html
    """

    name = "nn.sequence_erase"
    ONNX: ClassVar = Onnx("SequenceErase", since=11)
    HOST: ClassVar = frozenset({"position"})

    sequence = operand_def(SequenceType)
    position = opt_operand_def(AnyTensor)
    result = result_def(SequenceType)

    def infer(self, sequence: Operand, position: Abstract | None) -> SequenceType:
        """The operand's type."""
        check_position(position)
        return sequence_type(self.name, sequence)

    def evaluate(self, xp: Any, sequence: Arrays, position: Array | None) -> Arrays:
        """The other elements."""
        count = len(sequence)
        if position is None and count == 0:
            raise CompileError("the sequence is empty: it has no element to erase")
        index = count - 1 if position is None else index_of(position, count, count)
        return (*sequence[:index], *sequence[index + 1 :])

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """See sequence_patterns.py."""
        from .sequence_patterns import EraseFromConstruct

        return (EraseFromConstruct(),)


@irdl_op_definition
class SequenceAtOp(ContainerOp):
    """The element of `sequence` at `position`, counted from the end where it is negative.
    ONNX SequenceAt, https://onnx.ai/onnx/operators/onnx__SequenceAt.html
    """

    name = "nn.sequence_at"
    ONNX: ClassVar = Onnx("SequenceAt", since=11)
    HOST: ClassVar = frozenset({"position"})

    sequence = operand_def(SequenceType)
    position = operand_def(AnyTensor)
    result = result_def(AnyTensor)

    def infer(self, sequence: Operand, position: Abstract) -> TensorType[Attribute]:
        """The elements' type, or that of this element where it is known."""
        element = sequence_type(self.name, sequence).element
        check_position(position)
        if (known := self.forwards()) is not None:
            return as_tensor(known.type)
        types = None if position.value is None else element_types_of(self.sequence)
        if types is not None and position.value is not None:
            return as_tensor(types[index_of(position.value, len(types), len(types))])
        if element == scalar_type(element):
            raise CompileError("the sequence is empty: it has no element at any position")
        return ranked(element, "the elements of the sequence")

    def evaluate(self, xp: Any, sequence: Arrays, position: Array) -> Array:
        """That element."""
        return sequence[index_of(position, len(sequence), len(sequence))]

    def run_bytes(self, operands: Sequence[Any]) -> int:
        """Nothing is made."""
        return 0

    def forwards(self) -> SSAValue | None:
        """The operand of a construct."""
        owner = self.sequence.owner
        if not isinstance(owner, SequenceConstructOp) or constant_array(self.position) is None:
            return None
        elements = owner.operands
        index = constant_index(self.position, len(elements), len(elements))
        return None if index is None else elements[index]


@irdl_op_definition
class SequenceLengthOp(ContainerOp):
    """The number of elements, an i64. ONNX SequenceLength, https://onnx.ai/onnx/operators/onnx__SequenceLength.html"""

    name = "nn.sequence_length"
    ONNX: ClassVar = Onnx("SequenceLength", since=11)

    sequence = operand_def(SequenceType)
    result = result_def(AnyTensor)

    def infer(self, sequence: Operand) -> TensorType[Attribute]:
        """An i64 scalar."""
        sequence_type(self.name, sequence)
        return tensor(i64, ())

    def evaluate(self, xp: Any, sequence: Arrays) -> Array:
        """`len(sequence)`"""
        return xp.asarray(len(sequence), dtype_of(i64))

    def run_bytes(self, operands: Sequence[Any]) -> int:
        """Nothing is made."""
        return 0

    def fold(self) -> Sequence[SSAValue | Attribute] | None:
        """The number of a construct's operands, or of the pieces of a split into a known number."""
        types = element_types_of(self.sequence)
        return None if types is None else [constant_attribute(np.asarray(len(types), np.int64))]
