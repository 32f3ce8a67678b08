"""The base of the ops on sequences and optionals."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, TypeAlias

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, SSAValue

from ...errors import CompileError, UnsupportedError
from .base import NNOp
from .types import Abstract, as_tensor
from .value_types import OptionalType, SequenceType, arrays_in, is_unranked

BYTES_PER_ELEMENT = 128
"""What an array takes besides its data: a sequence of empty tensors takes memory too."""

Operand: TypeAlias = Abstract | SequenceType | OptionalType
"""What the ops on containers infer from: an `Abstract` for a tensor, the type for everything else."""


def operand_of(value: SSAValue) -> Operand:
    """What `infer` is given for an operand."""
    type_ = value.type
    return type_ if isinstance(type_, SequenceType | OptionalType) else Abstract(value)


def type_of(operand: Operand) -> Attribute:
    """The type of an operand of `infer`."""
    return operand.type if isinstance(operand, Abstract) else operand


def ranked(element: Attribute, what: str) -> TensorType[Attribute]:
    """The type of the tensors `what`, which must have a known rank; raises UnsupportedError."""
    if is_unranked(element):
        raise UnsupportedError(f"{what} have no known rank", hint="declare their shape; its sizes may be symbolic")
    return as_tensor(element)


class ContainerOp(NNOp):
    """The base of the ops with operands or results that are no tensors; each has one result."""

    def _inferred(self) -> tuple[Attribute, ...]:
        inferred = self.infer(*self.arguments([operand_of(v) for v in self.operands]))
        return inferred if isinstance(inferred, tuple) else (inferred,)

    def compute(self, xp: Any, operands: Sequence[Any]) -> tuple[Any, ...]:
        """`evaluate`, in whatever the operands' elements are: nothing is computed, and nothing rounded."""
        try:
            return (self.evaluate(xp, *self.arguments(operands)),)
        except CompileError:
            raise
        except (ValueError, TypeError) as e:
            raise CompileError(f"{self.name} cannot be computed: {e}") from None

    def element_types(self) -> list[Attribute] | None:
        """The types of the result's elements one by one, where it is a sequence of a known number; else None."""
        return None

    def run_bytes(self, operands: Sequence[Any]) -> int:
        """The bytes that the result takes for these operands, those of an array itself included.

        By default those of all operands, which no op here but SplitToSequence can take more than.
        """
        arrays = [a for operand in operands for a in arrays_in(operand)]
        return sum(map(attrgetter("nbytes"), arrays)) + len(arrays) * BYTES_PER_ELEMENT
