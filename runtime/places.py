"""Reading a memory plan from IR, and refusing one that would give wrong results: a plan is text that people edit."""

from __future__ import annotations

import heapq
from typing import Any, cast

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, SSAValue, Use

from ..dialects.nn.base import NNOp, View
from ..dialects.nn.constant import ConstantOp, ParameterOp
from ..dialects.nn.regions import RegionOp
from ..dialects.nn.types import dtype_of, element_type, num_bytes
from ..errors import CompileError
from ..passes.alias_groups import ROW_ALIGNMENT, AliasGroups, Lifetimes, returned_values, row_bytes
from ..passes.plan_memory import MOST_STREAMS, OWN_BUFFER, PITCH, PLACE, STREAMS
from ..rewriting import node_name

HINT = "run plan-memory last"


def streams_of(func: FuncOp) -> int:
    """How many branches of a function a device may run side by side; raises CompileError for no such number."""
    streams = func.attributes.get(STREAMS)
    if streams is None:
        return 1
    if not isinstance(streams, IntegerAttr) or not 1 <= streams.value.data <= MOST_STREAMS:
        raise CompileError(f"{STREAMS} = {streams} is no number of streams", hint=f"1 to {MOST_STREAMS}")
    return int(streams.value.data)


class Plan:
    """A block's places: `offset[value]` in the arena of `arena` bytes, and the `views` that need no copy.

    `pitch` is there for values whose rows lie apart: how many bytes after one another these begin; `pieces` are those
    of them that are pieces of an operand's rows, and not written by themselves, each with that operand.
    `bodies` are the plans of the bodies of the ops that have some; `streams` is how many branches may run side by side.
    """

    def __init__(self, block: Block, arena: int, streams: int = 1):
        self.block, self.arena, self.streams = block, arena, streams
        if self.arena < 0:
            raise CompileError(f"the arena of {self.arena} bytes is no size", hint=HINT)
        self.offset: dict[SSAValue, int] = {}
        self.pitch: dict[SSAValue, int] = {}
        self.pieces: dict[SSAValue, SSAValue] = {}
        self.bodies: dict[RegionOp, list[Plan]] = {}
        self.lifetimes = Lifetimes.of(block)
        for op in self.lifetimes.ops:
            if isinstance(op, NNOp):
                self._read(op)
            if isinstance(op, RegionOp):
                self.bodies[op] = _plans_of_bodies(op)
        self.views = self._views(block)
        _check_rows(self)
        _check_overlaps(self)

    @classmethod
    def of(cls, func: FuncOp) -> Plan:
        """The plan of a function of one block."""
        arena = func.attributes.get("nn.arena")
        if not isinstance(arena, IntegerAttr):
            raise CompileError("the program has no memory plan", hint=HINT)
        return cls(func.body.block, int(arena.value.data), streams_of(func))

    @property
    def total(self) -> int:
        """The bytes of the arena and of those of all bodies."""
        return self.arena + sum(plan.total for plans in self.bodies.values() for plan in plans)

    def _read(self, op: NNOp) -> None:
        pitches = _numbers(op, PITCH) if PITCH in op.attributes else [0] * len(op.results)
        for value, offset, pitch in zip(op.results, _numbers(op, PLACE), pitches, strict=True):
            if pitch:
                self.pitch[value] = pitch
            if offset == OWN_BUFFER:
                continue
            if isinstance(op, ParameterOp | ConstantOp) or num_bytes(value.type) is None:
                raise CompileError("the value cannot live in the arena", node_name(op), HINT)
            size = self.extent(value)
            if offset < 0 or offset + size > self.arena:
                raise CompileError(
                    f"the place {offset} of {size} bytes lies outside the arena of {self.arena} bytes",
                    node_name(op),
                    HINT,
                )
            itemsize = dtype_of(element_type(value.type)).itemsize
            if offset % itemsize:
                raise CompileError(
                    f"the place {offset} is not a multiple of the {itemsize} bytes of an element", node_name(op), HINT
                )
            self.offset[value] = offset

    def extent(self, value: SSAValue) -> int:
        """The bytes from the start of a value of static type to its end, gaps between its rows included."""
        size, pitch = cast(int, num_bytes(value.type)), self.pitch.get(value)
        if pitch is None or not size:
            return size
        row = row_bytes(value)
        return (size // row - 1) * pitch + row

    def wholes(self) -> dict[SSAValue, SSAValue]:
        """For values whose rows lie apart, the value whose rows these are parts of."""
        wholes = {**self.pieces, **{view.inner: view.outer for view in self.views if view.pitch}}
        for view in reversed(self.views):  # what a part is a view of, by another shape
            if not view.pitch and view.inner in wholes and view.outer in self.pitch:
                wholes[view.outer] = wholes[view.inner]
        for part in list(wholes):
            while (whole := wholes.get(wholes[part])) is not None:  # of a part of a larger one
                wholes[part] = whole
        return wholes

    def _views(self, block: Block) -> list[View]:
        """The views that the places make free: inner at its place in outer, or both outside the arena in one buffer."""
        returned = set(returned_values(block))
        outside = [
            v
            for v in AliasGroups(block).join_views()
            if v.inner not in self.offset and v.outer not in self.offset and not v.pitch
        ]
        first: dict[SSAValue, View] = {}  # a value is in one buffer: what wants it in a second copies
        for view in outside:
            if view.inner not in returned or view.outer not in returned:
                first.setdefault(view.inner, view)
        views = list(first.values())
        for op in self.lifetimes.ops:
            if isinstance(op, NNOp) and any(v in self.offset for v in op.results):
                for view in op.views():
                    outer = self.offset.get(view.outer)
                    if outer is not None and self.offset.get(view.inner) == outer + view.offset and self._fits(view):
                        views.append(view)
                        self._note_piece(view, op)
        return views

    def _note_piece(self, view: View, op: NNOp) -> None:
        """Enter the result of a view in `pieces` if its rows are pieces of those of its operand, or are a piece's."""
        if view.inner.owner is op and view.inner in self.pitch:
            whole = view.outer if view.pitch else self.pieces.get(view.outer)
            if whole is not None:
                self.pieces[view.inner] = whole

    def _fits(self, view: View) -> bool:
        """Whether the rows of both values lie as the view says."""
        inner, outer = self.pitch.get(view.inner, 0), self.pitch.get(view.outer, 0)
        if view.pitch and view.inner in self.pieces:
            return False  # it stays a piece of one value only: what else has its place overwrites that
        if view.pitch or not outer:
            return inner == (outer or view.pitch)
        return inner == outer and not view.offset and row_bytes(view.inner) == row_bytes(view.outer)


def _numbers(op: NNOp, attribute: str) -> list[int]:
    """What an attribute holds for each result."""
    numbers: Any = op.attributes.get(attribute)
    if not isinstance(numbers, DenseArrayBase) or len(cast(Any, numbers)) != len(op.results):
        raise CompileError(f"the operation has no {attribute} for each result", node_name(op), HINT)
    return list(cast(Any, numbers).get_values())


def _check_rows(plan: Plan) -> None:
    """Refuse rows that lie apart where they cannot, or where what reads them reads on."""
    views = {(v.inner, v.outer) for v in plan.views}
    for value, pitch in plan.pitch.items():
        op = cast(NNOp, value.owner)
        size = num_bytes(value.type)
        if not size or value not in plan.offset:
            raise CompileError("rows lie apart in the arena only", node_name(op), HINT)
        if pitch < row_bytes(value) or pitch % ROW_ALIGNMENT or plan.offset[value] % ROW_ALIGNMENT:
            raise CompileError(
                f"rows of {row_bytes(value)} bytes cannot begin {pitch} bytes apart from {plan.offset[value]} on",
                node_name(op),
                HINT,
            )
        if not op.writes_rows_apart() and not any((value, v) in views for v in op.operands):
            raise CompileError("the rows of the result cannot lie apart", node_name(op), HINT)
        for use in value.uses:
            if not _reads_rows(use) and not any((r, value) in views for r in use.operation.results):
                raise CompileError("an operand's rows lie apart", node_name(use.operation), HINT)


def _reads_rows(use: Use) -> bool:
    """Whether an operation reads the rows of an operand as they lie."""
    return isinstance(use.operation, NNOp) and use.operation.reads_rows_apart(use.index)


def _plans_of_bodies(op: RegionOp) -> list[Plan]:
    arenas: Any = op.attributes.get("arenas")
    if not isinstance(arenas, DenseArrayBase) or len(cast(Any, arenas)) != len(op.regions):
        raise CompileError("the operation has no arena for each body", node_name(op), HINT)
    return [
        Plan(region.block, int(size)) for region, size in zip(op.regions, cast(Any, arenas).get_values(), strict=True)
    ]


def _check_overlaps(plan: Plan) -> None:
    """Refuse a plan in which two values that are alive together overlap without being declared aliases."""
    lifetimes = plan.lifetimes
    roots = _alias_roots(plan)
    by_start = sorted(plan.offset, key=lambda v: lifetimes.define(v))
    alive: list[tuple[int, int, SSAValue]] = []
    for count, value in enumerate(by_start):
        start = lifetimes.define(value)
        while alive and alive[0][0] < start:
            heapq.heappop(alive)
        for _, _, other in alive:
            if roots[value] is not roots[other] and _overlap(plan, value, other) and not _in_place(plan, value, other):
                raise CompileError(
                    f"its place overlaps that of {node_name(cast(Any, other.owner))}, which is still alive",
                    node_name(cast(Any, value.owner)),
                    HINT,
                )
        heapq.heappush(alive, (lifetimes.last[value], count, value))


def _alias_roots(plan: Plan) -> dict[SSAValue, SSAValue]:
    """Each placed value's representative among the values joined to it by views.

    A value is a part of one larger one only: by a second, what else is in the one would be thought to be in the other.
    """
    parent: dict[SSAValue, SSAValue] = {v: v for v in plan.offset}

    def find(value: SSAValue) -> SSAValue:
        while parent[value] is not value:
            parent[value] = parent[parent[value]]
            value = parent[value]
        return value

    views = [v for v in plan.views if v.inner in parent and v.outer in parent]
    for view in views:
        if num_bytes(view.inner.type) == num_bytes(view.outer.type):
            parent[find(view.inner)] = find(view.outer)
    same = {v: find(v) for v in plan.offset}
    wholes: dict[SSAValue, SSAValue] = {}
    for view in views:
        inner, outer = same[view.inner], same[view.outer]
        if inner is not outer and wholes.setdefault(inner, outer) is outer:
            parent[find(inner)] = find(outer)
    return {v: find(v) for v in plan.offset}


def _overlap(plan: Plan, a: SSAValue, b: SSAValue) -> bool:
    start, other = plan.offset[a], plan.offset[b]
    return start < other + plan.extent(b) and other < start + plan.extent(a)


def _in_place(plan: Plan, result: SSAValue, operand: SSAValue) -> bool:
    """Whether `result` is written over `operand`, which its op reads last and allows to be overwritten."""
    op = result.owner
    if not isinstance(op, NNOp) or result is not op.results[0]:
        return False
    return (
        plan.offset[result] == plan.offset[operand]
        and plan.lifetimes.last[operand] <= plan.lifetimes.position[op]
        and any(op.operands[i] is operand for i in op.inplace_operands())
        and sum(v is operand for v in op.operands) == 1  # what else reads it may do so after it is overwritten
        and operand.type == result.type
        and plan.pitch.get(result) == plan.pitch.get(operand)
    )
