"""Canonicalisation of the ops in shape.py and layout.py. See also `forwards` and `fold` on the op classes."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from xdsl.ir import Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern

from ...rewriting import replace
from .base import integer
from .constant import ConstantOp, constant_array
from .elementwise import UnaryOp
from .index import GatherOp, SliceOp
from .join import ConcatOp
from .layout import TransposeOp
from .reshape import ReshapeOp, ReshapingOp, SqueezeOp
from .shape import DropoutOp, ShapeOp, as_ints, known_sizes
from .types import dims_of, product


class CollapseReshapes(RewritePattern):
    """`reshape(reshape(x))` -> `reshape(x)`, for any two of Reshape, Flatten, Squeeze and Unsqueeze.

    Only where the dims of the result can be written without the dims between: each one known, or among the
    leading ones that both ops keep (0, for "copy"), or the only other one (-1).
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """Rewrite where `op` and its operand's producer both keep the elements in their order."""
        inner = op.operands[0].owner
        if not isinstance(op, ReshapingOp) or not isinstance(inner, ReshapingOp):
            return
        if _assumes(op) or (_assumes(inner) and not (isinstance(op, ReshapeOp) and _says_all(op))):
            return
        x = inner.operands[0]
        if (sizes := _written(op, min(op.kept(), inner.kept()))) is not None:
            shape = ConstantOp.of(np.array(sizes, np.int64))
            allowzero = int(0 in dims_of(op.results[0].type))
            new = ReshapeOp(x, shape.result, allowzero=allowzero, result_types=op.result_types)
            replace(rewriter, op, [shape, new], absorbed=_only_use(inner))
        elif isinstance(op, ReshapeOp) and _says_all(op):
            new = ReshapeOp(x, op.shape, allowzero=op.allowzero, result_types=op.result_types)
            replace(rewriter, op, new, absorbed=_only_use(inner))


def _written(op: ReshapingOp, kept: int) -> list[int] | None:
    """The result's dims as a Reshape's shape, the first `kept` ones copied where unknown; None where not."""
    dims = dims_of(op.results[0].type)
    if 0 in dims:
        return None if None in dims else [d for d in dims if d is not None]
    sizes = [d if d is not None else 0 if axis < kept else -1 for axis, d in enumerate(dims)]
    return None if sizes.count(-1) > 1 else sizes


def _assumes(op: ReshapingOp) -> bool:
    """Whether an op is there to check what was assumed of its operand, too."""
    return isinstance(op, SqueezeOp) and bool(integer(op.assumed))


def _says_all(op: ReshapeOp) -> bool:
    """Whether the result's dims do not depend on how the operand's elements are divided into dims."""
    shape = constant_array(op.shape)
    return bool(integer(op.allowzero)) or (shape is not None and 0 not in shape)


class CopySizes(RewritePattern):
    """`reshape(x, concat(gather(shape(x), 0), -1))` -> `reshape(x, [0, -1])`: sizes taken from `x` itself.

    Only where every other number of the shape is a constant, and each size stays at its place.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """Rewrite a Reshape whose shape is computed from its operand's."""
        if not isinstance(op, ReshapeOp) or integer(op.allowzero) or constant_array(op.shape) is not None:
            return
        entries = size_entries(op.shape)
        if entries is None:
            return
        source = _origin(op.x)
        copied = [0 if entry == (source, place) else entry for place, entry in enumerate(entries)]
        sizes = [entry for entry in copied if isinstance(entry, int)]
        if len(sizes) < len(copied):
            return
        shape = ConstantOp.of(np.array(sizes, np.int64))
        replace(rewriter, op, [shape, ReshapeOp(op.x, shape.result, result_types=op.result_types)])


def _only_use(op: Operation) -> list[Operation]:
    """`op`, if nothing else reads its result: then its name goes with it."""
    return [op] if op.results[0].has_one_use() else []


Entry: TypeAlias = "int | tuple[SSAValue, int] | None"
"""One number of a computed shape: known, the size of a value along an axis, or anything."""


def size_entries(value: SSAValue) -> list[Entry] | None:
    """The elements of an integer tensor in row-major order, as far as shape arithmetic says what they are."""
    if (array := constant_array(value)) is not None:
        return list(as_ints(array))
    op = value.owner
    if isinstance(op, ShapeOp):
        sizes = known_sizes(value) or ()
        return [(_origin(op.x), a) if s is None else s for a, s in zip(op.axes, sizes, strict=True)]
    if isinstance(op, ReshapingOp):
        return size_entries(op.operands[0])
    if isinstance(op, ConcatOp) and len(dims_of(value.type)) == 1:
        parts = [size_entries(v) for v in op.inputs]
        return None if None in parts else [entry for part in parts for entry in part or ()]
    if isinstance(op, GatherOp | SliceOp) and len(dims_of(op.x.type)) == 1:
        return _picked(op)
    count = product(dims_of(value.type))
    return None if count is None else list[Entry]([None]) * count


def _picked(op: GatherOp | SliceOp) -> list[Entry] | None:
    """What a Gather or Slice with constant indices takes from a list of numbers."""
    entries = size_entries(op.x)
    if entries is None:
        return None
    if isinstance(op, GatherOp):
        indices = constant_array(op.indices)
        return None if indices is None else [entries[i] for i in as_ints(indices)]
    given = op.given()
    taken = None if given is None else op.ranges((len(entries),), given)[0]
    return None if taken is None else [entries[i] for i in taken]


def _origin(value: SSAValue) -> SSAValue:
    """The value through whose dims `value` has its own: past unary ops."""
    while isinstance(op := value.owner, UnaryOp | DropoutOp):
        value = op.x
    return value


class ComposeTransposes(RewritePattern):
    """`transpose(transpose(x))` -> `transpose(x)`"""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """Rewrite with the composed permutation."""
        if not isinstance(op, TransposeOp) or not isinstance(inner := op.x.owner, TransposeOp):
            return
        rank = len(dims_of(op.x.type))
        first = inner.permutation(rank)
        perm = [first[a] for a in op.permutation(rank)]
        new = TransposeOp(inner.x, perm=perm, result_types=op.result_types)
        replace(rewriter, op, new, absorbed=_only_use(inner))


class RemoveDropout(RewritePattern):
    """`dropout(x)` -> `x`; the op stays for a mask that is used."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """Rewrite where the types are equal."""
        if not isinstance(op, DropoutOp) or op.x.type != op.result.type:
            return
        if op.mask is None or op.mask.first_use is None:
            replace(rewriter, op, [], [op.x, None][: len(op.results)])
        elif op.result.first_use is not None:
            rewriter.replace_all_uses_with(op.result, op.x)
