"""Which values share memory: views, pieces of a concatenation, and results written over a dying operand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import cast

from xdsl.ir import Block, BlockArgument, Operation, SSAValue
from xdsl.traits import IsTerminator

from ..dialects.nn.base import NNOp, View
from ..dialects.nn.constant import ConstantOp, ParameterOp
from ..dialects.nn.types import dims_of, num_bytes

ROW_ALIGNMENT = 16
"""Rows that lie apart begin at multiples of this many bytes: the widest access of one thread."""


@dataclass(eq=False)
class Group:
    """Values that live in one buffer of `size` bytes; `members` maps each to its offset in it.

    `external` buffers belong to somebody else (arguments, parameters, constants) and are never written;
    `returned` ones hold a result of the block. Both lie outside the arena. `last` is the last read of a member.
    """

    size: int
    members: dict[SSAValue, int]
    last: int
    external: bool = False
    returned: bool = False


@dataclass
class Lifetimes:
    """Per value, the position of the op that defines it and of the last that reads it."""

    ops: list[Operation]
    position: dict[Operation, int] = field(default_factory=dict[Operation, int])
    last: dict[SSAValue, int] = field(default_factory=dict[SSAValue, int])

    @classmethod
    def of(cls, block: Block) -> Lifetimes:
        """The lifetimes in a block."""
        ops = list(block.ops)
        lifetimes = cls(ops)
        for argument in block.args:
            lifetimes.last[argument] = -1
        for index, op in enumerate(ops):
            lifetimes.position[op] = index
            for value in (*op.operands, *op.results):
                lifetimes.last[value] = index
        return lifetimes

    def define(self, value: SSAValue) -> int:
        """Where a value comes to life; -1 for an argument."""
        return -1 if isinstance(value, BlockArgument) else self.position[cast(Operation, value.owner)]


def returned_values(block: Block) -> list[SSAValue]:
    """What a block's terminator reads: a function's or a body's results."""
    last = block.last_op
    return list(last.operands) if last is not None and last.has_trait(IsTerminator) else []


class AliasGroups:
    """The groups of a block's statically sized values, and the rules by which they join.

    `pitch` says of values whose rows lie apart how many bytes after one another these begin.
    """

    def __init__(self, block: Block):
        self.lifetimes = Lifetimes.of(block)
        self.pitch: dict[SSAValue, int] = {}
        self.returned = set(returned_values(block))
        self.of: dict[SSAValue, Group] = {}
        for value in (*block.args, *(r for op in self.lifetimes.ops for r in op.results)):
            if (size := num_bytes(value.type)) is not None:
                external = isinstance(value, BlockArgument) or isinstance(value.owner, ParameterOp | ConstantOp)
                self.of[value] = Group(
                    size, {value: 0}, self.lifetimes.last[value], external, not external and value in self.returned
                )

    @property
    def groups(self) -> Iterable[Group]:
        """Each group once, in the order of first definition."""
        return dict.fromkeys(self.of.values())

    def join_views(self) -> list[View]:
        """Join what the ops' `views()` allow; the views that were taken."""
        taken: list[View] = []
        for op in self.lifetimes.ops:
            if not isinstance(op, NNOp) or not all(v in self.of for v in (*op.operands, *op.results)):
                continue
            for view in op.views():
                forward = view.inner.owner is op
                if self._joins_operand(view) if forward else self._joins_result(view):
                    if view.pitch:
                        self.pitch |= dict.fromkeys(self.of[view.inner].members, view.pitch)
                    self._merge(
                        self.of[view.inner],
                        self.of[view.outer],
                        self.of[view.outer].members[view.outer] + view.offset - self.of[view.inner].members[view.inner],
                    )
                    taken.append(view)
        return taken

    def _joins_operand(self, view: View) -> bool:
        """A result may look into its operand's buffer, unless it is to be returned in a buffer of its own."""
        inner, outer = self.of[view.inner], self.of[view.outer]
        if inner is outer or len(inner.members) > 1:
            return False
        if not inner.returned:
            return True
        return (
            not outer.external
            and not outer.returned
            and outer.size == inner.size
            and not any(m in self.pitch for m in outer.members)  # what is returned lies outside the arena
        )

    def _joins_result(self, view: View) -> bool:
        """An operand may be written where the result wants it, if its buffer is all its own and stands nowhere else."""
        inner, outer = self.of[view.inner], self.of[view.outer]
        if inner is outer or inner.external or inner.returned or outer.returned:
            return False
        if view.pitch and not self._may_lie_apart(view, inner):
            return False
        if not self._keeps_rows_aligned(inner, outer.members[view.outer] + view.offset):
            return False
        return inner.size == num_bytes(view.inner.type)  # a larger one is that of what it is a piece of already

    def _keeps_rows_aligned(self, group: Group, offset: int) -> bool:
        """Whether rows of the group's that lie apart begin where they may, if it is put `offset` bytes into another."""
        return not offset % ROW_ALIGNMENT or not any(m in self.pitch for m in group.members)

    def _may_lie_apart(self, view: View, inner: Group) -> bool:
        """Whether the rows of a concatenation's operand, which nothing else reads, may be written with gaps."""
        if not inner.size or view.offset % ROW_ALIGNMENT or view.pitch % ROW_ALIGNMENT:
            return False
        readers = (u.operation for m in inner.members for u in m.uses)
        others = (op for op in readers if not any(r in inner.members for r in op.results))
        return list(islice(others, 2)) == [view.outer.owner] and all(
            not offset
            and dims_of(m.type)[-1:] == dims_of(view.inner.type)[-1:]
            and isinstance(m.owner, NNOp)
            and (m.owner.writes_rows_apart() or any(v.inner is m and v.outer in inner.members for v in m.owner.views()))
            for m, offset in inner.members.items()
        )

    def join_in_place(self) -> None:
        """Let results take over the buffer of an INPLACE operand that dies with the op."""
        for index, op in enumerate(self.lifetimes.ops):
            if not isinstance(op, NNOp) or not op.results or op.results[0] not in self.of:
                continue
            for operand in op.inplace_operands():
                if self._may_overwrite(op, operand, index):
                    inner, result = self.of[op.operands[operand]], self.of[op.results[0]]
                    self._merge(inner, result, result.members[op.results[0]])
                    break

    def _may_overwrite(self, op: NNOp, operand: int, index: int) -> bool:
        value, result = op.operands[operand], op.results[0]
        group = self.of.get(value)
        if group is None or group.external or group.returned or group is self.of[result] or self.of[result].returned:
            return False  # a returned buffer is the caller's: it holds results, and what they are views of, only
        if result in self.pitch:
            return False  # its rows are not where the operand's are
        if not self._keeps_rows_aligned(group, self.of[result].members[result]):
            return False
        others = [v for i, v in enumerate(op.operands) if i != operand]
        return (
            value.type == result.type
            and group.size == num_bytes(value.type)
            and group.last <= index
            and not any(self.of.get(v) in (group, self.of[result]) for v in others)
        )

    def _merge(self, inner: Group, outer: Group, offset: int) -> None:
        """Put `inner`'s buffer `offset` bytes into `outer`'s."""
        alike = (inner.size, inner.external, inner.returned) == (outer.size, outer.external, outer.returned)
        if alike and not offset and len(inner.members) > len(outer.members):
            inner, outer = outer, inner  # or a chain of n operations in one place would take n^2 steps
        outer.last = max(inner.last, outer.last)
        for member, place in inner.members.items():
            outer.members[member] = place + offset
            self.of[member] = outer
        outer.returned |= inner.returned
