"""Which values share memory: views, pieces of a concatenation, and results written over a dying operand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

from xdsl.ir import Block, BlockArgument, Operation, SSAValue
from xdsl.traits import IsTerminator

from ..dialects.nn.base import NNOp, View
from ..dialects.nn.constant import ConstantOp, ParameterOp
from ..dialects.nn.types import dims_of, dtype_of, element_type, num_bytes, product, static_dims

ROW_ALIGNMENT = 16
"""Rows that lie apart begin at multiples of this many bytes: the widest access of one thread."""

MOST_READ_APART = 1 << 31
"""A value of this many bytes is not read in pieces of its rows: kernels say by 32 bits where elements lie."""


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


def row_bytes(value: SSAValue) -> int:
    """The bytes of a row, the last dim of a value of static type."""
    return static_dims(dims_of(value.type)[-1:] or (1,))[0] * dtype_of(element_type(value.type)).itemsize


def keeps_rows(view: View) -> bool:
    """Whether a view is of all the rows of the outer value, one by one."""
    inner, outer = dims_of(view.inner.type), dims_of(view.outer.type)
    return not view.offset and not view.pitch and inner[-1:] == outer[-1:] and product(inner) == product(outer)


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
            for view in self._views(op):
                forward = view.inner.owner is op
                if self._joins_operand(view) if forward else self._joins_result(view):
                    self._merge(
                        self.of[view.inner],
                        self.of[view.outer],
                        self.of[view.outer].members[view.outer] + view.offset - self.of[view.inner].members[view.inner],
                    )
                    taken.append(view)
        return taken

    def _views(self, op: Operation) -> list[View]:
        """The views of an op whose values are all of static size."""
        sized = isinstance(op, NNOp) and all(v in self.of for v in (*op.operands, *op.results))
        return cast(NNOp, op).views() if sized else []

    def _joins_operand(self, view: View) -> bool:
        """A result may look into its operand's buffer, unless it is to be returned in a buffer of its own."""
        inner, outer = self.of[view.inner], self.of[view.outer]
        if inner is outer or len(inner.members) > 1:
            return False
        if view.pitch:
            return self._lies_apart(view, inner, outer)
        if view.outer in self.pitch:
            return view.inner in self.pitch  # it was looked at when its operand was
        if not inner.returned:
            return True
        return (
            not outer.external
            and not outer.returned
            and outer.size == inner.size
            and not any(m in self.pitch for m in outer.members)  # what is returned lies outside the arena
        )

    def _lies_apart(self, view: View, inner: Group, outer: Group) -> bool:
        """Whether a piece of each of its operand's rows need not be copied: then it has its pitch from now on."""
        if outer.external or outer.returned:
            return False
        if not inner.size or inner.size == num_bytes(view.outer.type) or outer.size >= MOST_READ_APART:
            return False
        pitch = self.pitch.get(view.outer, view.pitch)
        if pitch % ROW_ALIGNMENT or (outer.members[view.outer] + view.offset) % ROW_ALIGNMENT:
            return False
        if (read := self._read_apart(view.inner)) is None:
            return False
        self.pitch |= dict.fromkeys(read, pitch)
        return True

    def _read_apart(self, value: SSAValue) -> list[SSAValue] | None:
        """The value and its views of the same rows, if all that reads these can read them with gaps; else None."""
        found = [value]
        for member in found:
            for use in member.uses:
                op = use.operation
                if isinstance(op, NNOp) and op.reads_rows_apart(use.index):
                    continue
                views = self._views(op) if len(op.results) == 1 else []
                if not (same := [v.inner for v in views if v.outer is member and keeps_rows(v)]):
                    return None
                found += same
        return found

    def _joins_result(self, view: View) -> bool:
        """An operand may be written where the result wants it, if its buffer is all its own and stands nowhere else."""
        inner, outer = self.of[view.inner], self.of[view.outer]
        if inner is outer or inner.external or inner.returned or outer.returned:
            return False
        if inner.size != num_bytes(view.inner.type):
            return False  # it is that of what it is a piece of already
        if not self._keeps_rows_aligned(inner, outer.members[view.outer] + view.offset):
            return False
        return not view.pitch or self._may_lie_apart(view, inner, outer)

    def _keeps_rows_aligned(self, group: Group, offset: int) -> bool:
        """Whether rows of the group's that lie apart begin where they may, if it is put `offset` bytes into another."""
        return not offset % ROW_ALIGNMENT or not any(m in self.pitch for m in group.members)

    def _may_lie_apart(self, view: View, inner: Group, outer: Group) -> bool:
        """Whether the rows of a concatenation's operand may be written, and read, with gaps: they are from now on."""
        if not inner.size or view.offset % ROW_ALIGNMENT or view.pitch % ROW_ALIGNMENT:
            return False
        if outer.size >= MOST_READ_APART or not all(self._is_of_rows(m, view.inner) for m in inner.members):
            return False
        found: list[SSAValue] = []
        for member in inner.members:
            if (read := self._read_apart(member)) is None:
                return False
            found += read
        self.pitch |= dict.fromkeys(found, view.pitch)
        return True

    def _is_of_rows(self, member: SSAValue, whole: SSAValue) -> bool:
        """Whether a value in the buffer of `whole` is all of its rows, or a part of each, and is written as such."""
        group, row = self.of[member], dims_of(member.type)[-1:]
        if member in self.pitch:
            apart = self.pitch[member] == row_bytes(whole)
        else:
            apart = not group.members[member] and row == dims_of(whole.type)[-1:]
        op = member.owner
        if not apart or not isinstance(op, NNOp):
            return False
        return op.writes_rows_apart() or any(v.inner is member and self.of[v.outer] is group for v in self._views(op))

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
        if result in self.pitch or value in self.pitch:
            return False  # the rows of the one are not where the other's are
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
