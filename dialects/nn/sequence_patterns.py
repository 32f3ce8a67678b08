"""Canonicalisation of the ops on sequences: what is known of each element becomes ops on tensors."""

from __future__ import annotations

import numpy as np
from xdsl.ir import Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern
from xdsl.rewriter import InsertPoint

from ...rewriting import replace
from .base import NNOp, integer
from .constant import ConstantOp
from .join import ConcatOp, SplitOp
from .reshape import SqueezeOp, UnsqueezeOp
from .sequence import (
    SequenceAtOp,
    SequenceConstructOp,
    SequenceEmptyOp,
    SequenceEraseOp,
    SequenceInsertOp,
    constant_index,
)
from .sequence_split import ConcatFromSequenceOp, SplitToSequenceOp

MAX_ELEMENTS = 256
"""The longest list of elements that inserts are collected in: each costs as much as the list is long."""


def _elements(sequence: SSAValue) -> list[SSAValue] | None:
    """The elements of a sequence that is made of them and used once; None where it is another."""
    owner = sequence.owner
    if isinstance(owner, SequenceEmptyOp):
        return []
    if isinstance(owner, SequenceConstructOp) and sequence.has_one_use() and len(owner.inputs) < MAX_ELEMENTS:
        return list(owner.inputs)
    return None


def _replace_by_elements(rewriter: PatternRewriter, op: NNOp, sequence: SSAValue, elements: list[SSAValue]) -> None:
    made = sequence.owner
    assert isinstance(made, Operation)
    new = SequenceConstructOp(elements, result_types=op.result_types)
    replace(rewriter, op, new, absorbed=[made] if sequence.has_one_use() else [])


class InsertIntoConstruct(RewritePattern):
    """`sequence_insert(sequence_construct(a, c), b, 1)` -> `sequence_construct(a, b, c)`"""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """At a constant position, or at the end."""
        if not isinstance(op, SequenceInsertOp) or (elements := _elements(op.sequence)) is None:
            return
        count = len(elements)
        index = count if op.position is None else constant_index(op.position, count, count + 1)
        if index is not None:
            _replace_by_elements(rewriter, op, op.sequence, [*elements[:index], op.x, *elements[index:]])


class EraseFromConstruct(RewritePattern):
    """`sequence_erase(sequence_construct(a, b, c), 1)` -> `sequence_construct(a, c)`"""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """At a constant position, or the last; the only element stays."""
        if not isinstance(op, SequenceEraseOp) or (elements := _elements(op.sequence)) is None:
            return
        count = len(elements)
        index = count - 1 if op.position is None else constant_index(op.position, count, count)
        if index is not None and count > 1:
            _replace_by_elements(rewriter, op, op.sequence, [*elements[:index], *elements[index + 1 :]])


class ConcatConstruct(RewritePattern):
    """`concat_from_sequence(sequence_construct(a, b))` -> `concat(a, b)`, each behind an `unsqueeze` for a new axis."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """Whatever else reads the sequence."""
        if not isinstance(op, ConcatFromSequenceOp) or not isinstance(op.sequence.owner, SequenceConstructOp):
            return
        made, new_ops = op.sequence.owner, list[Operation]()
        pieces = list(made.inputs)
        if integer(op.new_axis):
            new_ops.append(axes := ConstantOp.of(np.asarray([integer(op.axis)], np.int64)))
            unsqueezed = [UnsqueezeOp(v, axes.result) for v in pieces]
            new_ops += unsqueezed
            pieces = [u.results[0] for u in unsqueezed]
        new_ops.append(ConcatOp(pieces, axis=op.axis, result_types=op.result_types))
        replace(rewriter, op, new_ops, absorbed=[made] if op.sequence.has_one_use() else [])


class ReadSplit(RewritePattern):
    """`sequence_at(split_to_sequence(x), i)` -> piece i of `split(x)`, without its axis where the sequence drops it.

    Only where every piece, of a known number, is read at a constant position, and nothing else uses the sequence.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """All reads become those of one `split`."""
        if not isinstance(op, SplitToSequenceOp) or not (sizes := op.known_sizes()):
            return
        types, reads = op.element_types() or [], dict[SequenceAtOp, int]()
        for use in op.result.uses:
            reader = use.operation
            if not isinstance(reader, SequenceAtOp):
                return
            index = constant_index(reader.position, len(sizes), len(sizes))
            if index is None or reader.result.type != types[index]:
                return
            reads[reader] = index
        if len(set(reads.values())) < len(sizes):
            return
        split = ConstantOp.of(np.asarray(sizes, np.int64))
        pieces = SplitOp(op.x, split.result, axis=op.axis, num_outputs=len(sizes))
        axes = ConstantOp.of(np.asarray([integer(op.axis)], np.int64))
        for new in (split, pieces, *([axes] if op.drops_axis else ())):
            new.location = op.location
            rewriter.insert(new, InsertPoint.before(op))
        for reader, index in reads.items():
            if op.drops_axis:
                replace(rewriter, reader, SqueezeOp(pieces.results[index], axes.result))
            else:
                replace(rewriter, reader, [], [pieces.results[index]])
        rewriter.erase(op)
