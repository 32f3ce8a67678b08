"""Inferring the types of a block's values again, bodies included, and folding what became constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from xdsl.ir import Attribute, Block, Operation, SSAValue

from ..dialects.nn import value_types
from ..dialects.nn.base import NNOp
from ..dialects.nn.constant import ConstantOp, constant_array
from ..dialects.nn.if_op import IfOp, taken_branch
from ..dialects.nn.region_patterns import inline_constants
from ..dialects.nn.regions import RegionOp, covers, merge_types
from ..dialects.nn.value_types import compatible
from ..errors import AssumptionError, CompileError
from ..rewriting import node_name

MAX_INFERRED = 200_000
"""The most operations in loops whose types are inferred: those of a loop in a loop are walked several times."""


class Inference:
    """One forward walk; `budget` is what is left of MAX_INFERRED."""

    def __init__(self) -> None:
        self.budget = MAX_INFERRED

    def walk(self, block: Block) -> None:
        """Infer every type again, and fold."""
        op = block.first_op
        while op is not None:
            if isinstance(op, RegionOp):
                inline_constants(op)
            if isinstance(op, IfOp) and (branch := self._inlined(op)) is not None:
                op = branch
                continue
            if isinstance(op, IfOp) and constant_array(op.cond) is not None:
                op = op.next_op  # the branch that is taken cannot run: running it says so
                continue
            if isinstance(op, RegionOp):
                for index in range(len(op.regions)):
                    self._body(op, index)
            if isinstance(op, NNOp):
                reinfer(op)
                fold(op)
            op = op.next_op

    def _inlined(self, op: IfOp) -> Operation | None:
        """Put the branch that is taken in the place of `op`, where that is known; the op to go on with."""
        before, block = op.prev_op, cast(Block, op.parent)
        if (results := taken_branch(op)) is None:
            return None
        for old, new in zip(op.results, results, strict=True):
            old.replace_all_uses_with(new)
        op.detach()
        op.erase()
        return block.first_op if before is None else before.next_op

    def _body(self, op: RegionOp, index: int) -> None:
        """Give a body's arguments the narrowest types found that hold for every run of it, and infer from them."""
        declared = list(op.body(index).arg_types)
        types = [narrowed(d, t) for d, t in zip(declared, op.entry_types(index), strict=True)]
        if isinstance(op, IfOp):
            self._branch(op, index, types)
            return
        original = op.regions[index].clone()
        while not self._holds(op, index, types, final=types == declared):
            try:
                wanted = op.argument_types(index)
                wider = [narrowed(d, merge_types(t, w)) for d, t, w in zip(declared, types, wanted, strict=True)]
                types = declared if wider == types else wider  # else the body cannot run on these
            except CompileError:
                types = declared
            region = op.regions[index]
            region.erase_block(region.block, safe_erase=False)
            original.clone().move_blocks(region)

    def _branch(self, op: IfOp, index: int, types: Sequence[Attribute]) -> None:
        """Infer a branch; one that cannot run on these shapes is not taken with them, unless it is the only one."""
        try:
            self._walk_from(op, index, types)
        except AssumptionError:
            raise
        except CompileError as e:
            if op.assumed is not None:
                raise
            op.assume(1 - index, str(e))

    def _holds(self, op: RegionOp, index: int, types: Sequence[Attribute], final: bool) -> bool:
        """Whether a body that starts with these types gives such again; a `final` attempt raises its errors."""
        self.budget -= sum(1 for _ in op.body(index).walk())
        if self.budget < 0:
            raise CompileError("the types in loops within loops take too long to infer", node_name(op))
        try:
            self._walk_from(op, index, types)
            return final or all(map(covers, types, op.argument_types(index)))
        except CompileError:
            if final:
                raise
            return False

    def _walk_from(self, op: RegionOp, index: int, types: Sequence[Attribute]) -> None:
        block = op.body(index)
        for argument, type_ in zip(block.args, types, strict=True):
            argument._type = type_
        self.walk(block)


def narrowed(declared: Attribute, type_: Attribute) -> Attribute:
    """What two types of one value say together; the first one where they do not fit."""
    return (
        declared if declared == type_ or not compatible(declared, type_) else value_types.merge_types(type_, declared)
    )


def reinfer(op: NNOp) -> None:
    """Give `op`'s results the types inferred from its operands, merged with the declared ones."""
    for result, inferred in zip(op.results, op.infer_types(), strict=True):
        declared: Attribute = result.type
        if inferred != declared:
            if not compatible(declared, inferred):
                raise CompileError(f"the result is declared {declared}, but is {inferred}", node_name(op))
            result._type = value_types.merge_types(inferred, declared)


def fold(op: NNOp) -> None:
    """Give the uses of what `op` folds to to that, a constant or another value."""
    folded = op.fold()
    if folded is None:
        return
    block = cast(Any, op.parent)
    for result, value in zip(op.results, folded, strict=True):
        if isinstance(value, SSAValue):
            new = value
        else:
            constant = ConstantOp(value=value, result_types=[result.type])
            constant.location = op.location
            block.insert_op_before(constant, op)
            new = constant.result
        result.replace_all_uses_with(new)
