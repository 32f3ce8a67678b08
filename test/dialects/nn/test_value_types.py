"""The types of sequences and optionals: what two of them say together, and what the ops on them infer."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import UnrankedTensorType, f32, i64
from xdsl.ir.core import Block

from nnfuse.dialects.nn.constant import ConstantOp
from nnfuse.dialects.nn.optional import OptionalGetElementOp
from nnfuse.dialects.nn.sequence import SequenceAtOp, SequenceConstructOp, SequenceEmptyOp, SequenceInsertOp
from nnfuse.dialects.nn.sequence_split import ConcatFromSequenceOp, SplitToSequenceOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.dialects.nn.value_types import OptionalType, SequenceType, compatible, join_types, merge_types
from nnfuse.errors import CompileError


def values_of(*types):
    return list(Block(arg_types=types).args)


ANY, NONE, VECTOR, THREE = UnrankedTensorType(f32), f32, tensor(f32, [None]), tensor(f32, [3])


@pytest.mark.parametrize(
    ("one", "other", "both", "either"),
    [
        (THREE, VECTOR, THREE, VECTOR),
        (THREE, ANY, THREE, ANY),
        (VECTOR, NONE, NONE, VECTOR),
        (ANY, NONE, NONE, ANY),
        (THREE, tensor(f32, [4]), None, VECTOR),
        (THREE, tensor(f32, [3, 3]), None, ANY),
        (THREE, tensor(i64, [3]), None, None),
        (NONE, i64, None, None),
    ],
)
def test_what_types_say_together(one, other, both, either):
    """What holds of a value of both types, and of a value of one of them; the same in optionals."""
    for wrap in (SequenceType, lambda e: OptionalType(SequenceType(e))):
        for a, b in ((wrap(one), wrap(other)), (wrap(other), wrap(one))):
            assert compatible(a, b) == (both is not None)
            assert both is None or merge_types(a, b) == wrap(both)
            assert join_types(a, b) == (None if either is None else wrap(either))
    assert not compatible(SequenceType(THREE), THREE) and join_types(SequenceType(THREE), THREE) is None
    assert join_types(OptionalType(THREE), VECTOR) == join_types(VECTOR, OptionalType(THREE)) == OptionalType(VECTOR)
    assert join_types(OptionalType(THREE), SequenceType(THREE)) is None


def test_inferred_types():
    """Elements that are known one by one say more than the sequence's type."""
    a, b = values_of(tensor(f32, [2, 3]), tensor(f32, [None, 3]))
    both = SequenceConstructOp([a, b]).result
    assert both.type == SequenceType(tensor(f32, [None, 3]))
    assert SequenceAtOp(both, ConstantOp.of(np.array(0))).result.type == a.type
    assert ConcatFromSequenceOp(SequenceConstructOp([a, a]), axis=0).result.type == tensor(f32, [4, 3])
    assert ConcatFromSequenceOp(both, axis=0, new_axis=1).result.type == tensor(f32, [2, None, 3])
    assert SequenceInsertOp(SequenceEmptyOp(), a).result.type == SequenceType(a.type)
    pieces = SplitToSequenceOp(a, ConstantOp.of(np.array(2)), axis=1)
    assert pieces.result.type == SequenceType(tensor(f32, [2, None]))
    assert SequenceAtOp(pieces, ConstantOp.of(np.array(-1))).result.type == tensor(f32, [2, 1])
    with pytest.raises(CompileError, match="position 2 is out of range for a sequence of 2 elements"):
        SequenceAtOp(pieces, ConstantOp.of(np.array(2)))
    with pytest.raises(CompileError, match="needs an optional, but is given"):
        OptionalGetElementOp(both)
