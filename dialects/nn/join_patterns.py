"""Canonicalisation of the ops in join.py. See also `forwards` and `fold` on the op classes."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern

from ...rewriting import replace
from .base import integer
from .join import ConcatOp, SplitOp
from .types import dims_of, normalize_axis


def _axis(op: ConcatOp | SplitOp) -> int:
    return normalize_axis(integer(op.axis), len(dims_of(op.results[0].type)))


class FlattenConcat(RewritePattern):
    """`concat(concat(a, b), c)` -> `concat(a, b, c)`, where the inner one has no other use."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """Splice the operands of inner concats along the same axis."""
        if not isinstance(op, ConcatOp):
            return
        pieces: list[SSAValue] = []
        inner: list[Operation] = []
        for value in op.inputs:
            owner = value.owner
            if isinstance(owner, ConcatOp) and value.has_one_use() and _axis(owner) == _axis(op):
                inner.append(owner)
                pieces += owner.inputs
            else:
                pieces.append(value)
        if inner:
            new = ConcatOp(pieces, axis=op.axis, result_types=op.result_types)
            replace(rewriter, op, new, absorbed=inner)


class DropEmptyPieces(RewritePattern):
    """`concat(a, empty)` -> `concat(a)`"""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """Leave out operands whose size along the axis is 0, except the last one left."""
        if not isinstance(op, ConcatOp):
            return
        axis = _axis(op)
        pieces = [v for v in op.inputs if dims_of(v.type)[axis] != 0]
        if 0 < len(pieces) < len(op.inputs):
            replace(rewriter, op, ConcatOp(pieces, axis=op.axis, result_types=op.result_types))


class JoinPieces(RewritePattern):
    """`concat(a, p, q, b)` -> `concat(a, x, b)`, where `p, q = split(x)` along the same axis."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """Rewrite each run of all the pieces of one split, in their order; other readers keep the split."""
        if not isinstance(op, ConcatOp):
            return
        rest, joined = list(op.inputs), list[SSAValue]()
        splits: list[Operation] = []
        while rest:
            owner = rest[0].owner
            if isinstance(owner, SplitOp) and _axis(owner) == _axis(op) and _starts_with(rest, owner.pieces):
                joined.append(owner.x)
                splits.append(owner)
                del rest[: len(owner.pieces)]
            else:
                joined.append(rest.pop(0))
        if splits:
            absorbed = [s for s in splits if all(u.operation is op for piece in s.results for u in piece.uses)]
            replace(rewriter, op, ConcatOp(joined, axis=op.axis, result_types=op.result_types), absorbed=absorbed)


def _starts_with(values: Sequence[SSAValue], first: Sequence[SSAValue]) -> bool:
    return list(values[: len(first)]) == list(first)
