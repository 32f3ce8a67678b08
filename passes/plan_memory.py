"""plan-memory: where every value lives, written into the IR as `place`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from xdsl.context import Context
from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, ModuleOp, i64
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block
from xdsl.passes import ModulePass

from ..dialects.nn.base import NNOp
from ..dialects.nn.regions import RegionOp
from ..errors import CompileError
from .alias_groups import AliasGroups, Group
from .branches import Branches, Matrix

Ints: TypeAlias = npt.NDArray[np.int64]

ALIGNMENT = 256
"""Offsets in the arena are multiples of this many bytes, cuBLASLt's and CUDA's widest requirement."""

MAX_ARENA = 1 << 62
"""Sums of sizes up to this many bytes, rounded up to ALIGNMENT, fit an i64."""

STREAMS, MOST_STREAMS = "nn.streams", 16
"""How many branches run side by side."""

PLACE = "place"
"""The attribute that says where results lie in the arena, in bytes, or OWN_BUFFER."""

PITCH = "pitch"
"""The attribute that says how far apart the rows of results begin."""

OWN_BUFFER = -1
"""The place of a value outside the arena: arguments' views, parameters, constants, results, data-dependent sizes."""


@dataclass(frozen=True)
class PlanMemoryPass(ModulePass):
    """`%y = nn.relu %x : T` -> `%y = nn.relu %x {place = array<i64: 0>} : T`

    `place` holds, for each result, its offset in bytes in the program's one arena, or -1 for a buffer of its own. The
    function's attribute `nn.arena` is the arena's size. Each body has an arena of its own, whose size is in `arenas` of
    its op. Views and pieces of concatenations lie inside one another, and a result overwrites an operand that
    dies with the op where the op class allows it. A piece along the last dim, as of images channels last, is written
    where it belongs in each row, if its op's class allows that and those of all its readers: then `pitch` holds how
    many bytes apart its rows (its last dim) begin, 0 for a result whose rows follow one another. A piece of an operand
    along the last dim stays in the operand's rows so, where all that reads it can read it there. Run it last.

    With `streams` above 1 the function's attribute `nn.streams` says that a device may run as many branches side by
    side, and what they compute shares no place: values do only where the one is needed for the other, and done with.
    """

    name = "plan-memory"

    streams: int = 1

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Plan `func @main`; raises CompileError for a number of streams that no device is asked for."""
        if not 1 <= self.streams <= MOST_STREAMS:
            raise CompileError(f"{self.streams} is no number of streams", hint=f"1 to {MOST_STREAMS}")
        for func in op.ops:
            if isinstance(func, FuncOp) and func.sym_name.data == "main":
                func.attributes["nn.arena"] = IntegerAttr(plan(func.body.block, self.streams > 1), i64)
                func.attributes.pop(STREAMS, None)
                if self.streams > 1:
                    func.attributes[STREAMS] = IntegerAttr(self.streams, i64)


def plan(block: Block, side_by_side: bool = False) -> int:
    """Write the places of a block's results, and of those in bodies in it; the arena's size in bytes."""
    aliases = AliasGroups(block)
    aliases.join_views()
    aliases.join_in_place()
    groups = [g for g in aliases.groups if not g.external and not g.returned]
    if (total := sum(g.size for g in groups)) > MAX_ARENA:
        raise CompileError(f"the program's values need {total} bytes together, more than can be addressed")
    spans = [_span(aliases, g) for g in groups]
    meets = Branches(aliases.lifetimes).meetings([list(g.members) for g in groups]) if side_by_side else None
    offsets, arena = pack([g.size for g in groups], spans, meets)
    base = {id(g): offset for g, offset in zip(groups, offsets, strict=True)}
    for op in aliases.lifetimes.ops:
        if isinstance(op, NNOp):
            places: list[int] = []
            for value in op.results:
                group = aliases.of.get(value)
                if group is None or id(group) not in base:
                    places.append(OWN_BUFFER)
                else:
                    places.append(base[id(group)] + group.members[value])
            op.attributes[PLACE] = DenseArrayBase.from_list(i64, places)
            op.attributes.pop(PITCH, None)
            if any(value in aliases.pitch for value in op.results):
                pitches = [aliases.pitch.get(value, 0) for value in op.results]
                op.attributes[PITCH] = DenseArrayBase.from_list(i64, pitches)
        if isinstance(op, RegionOp):
            arenas = [plan(op.body(index)) for index in range(len(op.regions))]
            op.attributes["arenas"] = DenseArrayBase.from_list(i64, arenas)
    return arena


def _span(aliases: AliasGroups, group: Group) -> tuple[int, int]:
    """The first definition and the last read of a group's values."""
    lifetimes = aliases.lifetimes
    return min(lifetimes.define(m) for m in group.members), max(lifetimes.last[m] for m in group.members)


def pack(sizes: Sequence[int], spans: Sequence[tuple[int, int]], meets: Matrix | None = None) -> tuple[list[int], int]:
    """Offsets at which buffers whose spans meet (or that `meets` tells to) do not overlap, and the end of the highest.

    Greedy, the largest first, each at the lowest gap that holds it (Pisarchyk and Lee,
    https://arxiv.org/abs/2001.03288); and again by size times span. The smaller of both arenas is taken.
    """
    rounded = np.array([-(-s // ALIGNMENT) * ALIGNMENT for s in sizes], np.int64)
    begin, end = (np.array([s[k] for s in spans], np.int64) for k in (0, 1))
    orders = [-rounded.astype(np.float64), -rounded.astype(np.float64) * (end - begin + 1)]

    def meeting(index: int) -> Any:
        return (begin <= end[index]) & (end >= begin[index]) if meets is None else meets[index]

    packed = [_pack_in_order(np.argsort(order, kind="stable"), rounded, meeting) for order in orders]
    offsets, arena = min(packed, key=lambda p: p[1])
    return [int(o) for o in offsets], arena


def _pack_in_order(order: Ints, rounded: Ints, meets: Callable[[int], Any]) -> tuple[Ints, int]:
    """Buffer by buffer in `order`, each at the lowest gap among those placed that meet it."""
    offsets = np.full(len(rounded), -1, np.int64)
    for index in order:
        meeting = np.flatnonzero((offsets >= 0) & meets(index))
        place = 0
        for other in meeting[np.argsort(offsets[meeting], kind="stable")]:
            if offsets[other] - place >= rounded[index]:
                break
            place = max(place, int(offsets[other] + rounded[other]))
        offsets[index] = place
    return offsets, int((offsets + rounded).max(initial=0))
