"""`fuse-pack`: casts, transposes and pads one after another become one copy."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import DenseArrayBase, ModuleOp, i64
from xdsl.ir import Attribute, Operation
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter

from ..dialects.blas import PackOp
from ..dialects.nn.base import NNOp, ints
from ..dialects.nn.cast import CastOp
from ..dialects.nn.constant import is_weight
from ..dialects.nn.layout import TransposeOp
from ..dialects.nn.pad import PadOp
from ..dialects.nn.types import dims_of, element_type, is_float, is_static
from ..rewriting import FusePattern, apply_fusions, count_uses, replace
from .fold_pad import refuse_zeros, widths_of


@dataclass(frozen=True)
class Copy:
    """What a cast, transpose or pad does, in the terms of `blas.pack`."""

    perm: tuple[int, ...]
    ends: tuple[int, ...]
    source: Attribute
    to: Attribute

    def then(self, other: Copy) -> Copy:
        """Both, `other` last."""
        perm = tuple(self.perm[a] for a in other.perm)
        ends = tuple(self.ends[a] + end for a, end in zip(other.perm, other.ends, strict=True))
        return Copy(perm, ends, self.source, other.to)


def copy_of(op: Operation) -> Copy | None:
    """What `op` does, where it is a copy with zeros at the ends at most."""
    if not isinstance(op, CastOp | TransposeOp | PadOp | PackOp):
        return None
    rank, source, to = len(dims_of(op.x.type)), element_type(op.x.type), element_type(op.results[0].type)
    perm, ends = tuple(range(rank)), (0,) * rank
    if isinstance(op, TransposeOp):
        perm = op.permutation(rank)
    elif isinstance(op, PackOp):
        perm, ends = ints(op.perm), ints(op.ends)
    elif isinstance(op, PadOp):
        widths = widths_of(op)
        if widths is None or refuse_zeros(op) is not None or any(before for before, _ in widths):
            return None
        ends = tuple(after for _, after in widths)
    return Copy(perm, ends, source, to)


Match = tuple[NNOp, Copy, NNOp, Copy]
"""A copy, and the one that reads it."""


class FuseCopies(FusePattern[Match]):
    """`pad(transpose(cast(x)))` -> `blas.pack x`, of any two or three of them in any order, of floats."""

    def match(self, op: Operation) -> Match | None:
        """A copy of a copy; weights are packed once, however that is done."""
        last = copy_of(op)
        if last is None or not isinstance(op, NNOp) or not isinstance(before := op.operands[0].owner, NNOp):
            return None
        first = copy_of(before)
        return None if first is None or is_weight(op.results[0]) else (before, first, op, last)

    def refusal(self, match: Match) -> str | None:
        """Nothing else may read what is between, and nothing may be rounded twice."""
        before, first, op, last = match
        if (uses := count_uses(before)) != 1:
            return f"its result has {uses} uses"
        if not is_static(before.operands[0].type) or not is_static(op.results[0].type):
            return "its dims are not known"
        if not all(is_float(e) for e in (first.source, first.to, last.to)):
            return f"{first.source} to {last.to} is no conversion of floats"
        return "it would be converted twice" if first.source != first.to != last.to else None

    def fuse(self, match: Match, rewriter: PatternRewriter) -> None:
        """One copy that does both."""
        before, first, op, last = match
        both = first.then(last)
        perm, ends = (DenseArrayBase.from_list(i64, v) for v in (both.perm, both.ends))
        replace(rewriter, op, PackOp(before.operands[0], perm=perm, ends=ends, to=both.to), absorbed=[before])

    def ends(self, match: Match) -> tuple[Operation, Operation]:
        """The first, into the second."""
        return match[0], match[2]


@dataclass(frozen=True)
class FusePackPass(ModulePass):
    """Casts, transposes and pads that follow one another become `blas.pack`. Run it after the lowering."""

    name = "fuse-pack"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite `op` in place."""
        apply_fusions(op, [FuseCopies()])
