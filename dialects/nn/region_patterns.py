"""Rewrites of all ops with bodies: constants go into the bodies, and captures that nothing reads are dropped."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import DenseArrayBase, i32
from xdsl.ir import Block, Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern
from xdsl.traits import IsTerminator

from ...errors import CompileError
from .assembly import SEGMENTS
from .constant import ConstantOp, ParameterOp
from .regions import RegionOp


def inline_block(block: Block, arguments: Sequence[SSAValue], before: Operation) -> list[SSAValue]:
    """Put a copy of `block`'s ops before an op, reading `arguments`; the values that it yields."""
    mapping: dict[SSAValue, SSAValue] = dict(zip(block.args, arguments, strict=True))
    assert before.parent is not None
    for op in block.ops:
        if op.has_trait(IsTerminator):
            return [mapping[v] for v in op.operands]
        copy = op.clone(mapping)
        before.parent.insert_op_before(copy, before)
    raise CompileError("a block has no terminator")


def inline_constants(op: RegionOp) -> bool:
    """Write the constants and parameters that bodies capture into them; whether there were any."""
    done = False
    for index in range(len(op.regions)):
        block = op.body(index)
        for operand, argument in op.captures_of(index):
            owner = op.operands[operand].owner
            if isinstance(owner, ConstantOp | ParameterOp) and argument.first_use is not None:
                copy = owner.clone()
                if (first := block.first_op) is None:
                    block.add_op(copy)
                else:
                    block.insert_op_before(copy, first)
                argument.replace_all_uses_with(copy.results[0])
                done = True
    return done


def drop_unused_captures(op: RegionOp) -> bool:
    """Remove the captures that their body does not read; whether there were any."""
    unused = [
        (index, operand, argument)
        for index in range(len(op.regions))
        for operand, argument in op.captures_of(index)
        if argument.first_use is None
    ]
    if not unused:
        return False
    names = op.operand_names()
    gone = {operand for _, operand, _ in unused}
    for index, _, argument in reversed(unused):
        op.body(index).erase_arg(argument)
    kept = [v for i, v in enumerate(op.operands) if i not in gone]
    sizes = [
        sum(n == name and i not in gone for i, n in enumerate(names)) for name, _ in op.get_irdl_definition().operands
    ]
    op.operands = kept
    if SEGMENTS[0] in op.properties:
        op.properties[SEGMENTS[0]] = DenseArrayBase.from_list(i32, sizes)
    return True


class InlineConstants(RewritePattern):
    """A captured constant or parameter -> one in the body, where it folds and fuses."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """Rewrite `op` where it captures a constant."""
        if isinstance(op, RegionOp) and inline_constants(op):
            rewriter.notify_op_modified(op)


class DropUnusedCaptures(RewritePattern):
    """A captured value that the body does not read -> no capture."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """Rewrite `op` where it captures what it does not read."""
        if isinstance(op, RegionOp) and drop_unused_captures(op):
            rewriter.notify_op_modified(op)
