"""The branches of a program on several streams of the device, where one kernel alone leaves it idle.

Steps keep their order where one reads or overwrites what another writes, by the memory that they use: so the results
are those of one stream, whatever plan the text holds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from xdsl.ir import Operation, SSAValue

from ..dialects.nn.types import Array
from ..passes.branches import chains
from .kernels import Backend

if TYPE_CHECKING:
    from .frame import Frame
    from .program import Program

AWAY = 0.3
"""What it costs a step to wait for one on another stream, in steps: a kernel behind another on one starts early."""

Hazards = Sequence[set[int]]
"""For each step those before it that it must wait for, less those that these have waited for."""


def run_side_by_side(frame: Frame, streams: int) -> None:
    """Enqueue a frame's steps on as many streams, which begin and end with the current one."""
    assert frame.backend.streams is not None
    hazards = hazards_of(frame)
    chosen = assigned(hazards, streams)
    waits = _waits(hazards, chosen, streams)
    awaited = set[int]().union(*waits)
    with frame.backend.streams(streams) as device:
        for n, step in enumerate(frame.steps):
            for at in waits[n]:
                device.wait(chosen[n], at)
            device.enqueue(chosen[n], partial(frame.run_step, step))
            if n in awaited:
                device.mark(chosen[n], n)


def _waits(hazards: Hazards, chosen: Sequence[int], streams: int) -> list[list[int]]:
    """The steps on other streams that each must wait for, less those that its stream has waited for already."""
    known = [[-1] * streams for _ in range(streams)]
    waits: list[list[int]] = []
    for n, before in enumerate(hazards):
        mine = known[chosen[n]]
        latest = {chosen[at]: at for at in sorted(before)}
        waits.append([at for other, at in latest.items() if other != chosen[n] and at > mine[other]])
        for at in waits[n]:
            mine[chosen[at]] = at
    return waits


def has_branches(program: Program) -> bool:
    """Whether a program is one graph of the device, and some of its steps do not need one another."""
    frame = program.first_frame
    if not frame.capturable or frame.backend.streams is None:
        return False
    steps: set[Operation] = {s.op for s in frame.steps}
    return max(chains(program.plan.lifetimes.ops, steps.__contains__).values(), default=0) < len(steps)


def hazards_of(frame: Frame) -> Hazards:
    """What keeps steps in order: memory, and for calls of libraries the workspace that they share."""
    found: list[set[int]] = []
    backend, memory, shares = frame.backend, _Memory(), -1
    pieces, wholes = frame.program.plan.pieces, frame.program.plan.wholes()
    for n, step in enumerate(frame.steps):
        before = set[int]()
        for value, array in zip(step.op.operands, step.ins, strict=True):
            whole = wholes.get(value)
            before |= memory.read(n, *span_of(array if whole is None else frame.arrays[whole], backend))
        for value, array in zip(step.op.results, step.outs, strict=True):
            if value in pieces:
                continue  # it is there, as its whole is: the step leaves it alone
            shared = wholes.get(value)
            before |= memory.written(n, *span_of(array if shared is None else frame.arrays[shared], backend), shared)
        if type(step.op) not in backend.relocatable:
            before.add(shares)
            shares = n
        found.append(before - {n, -1})
    return found


@dataclass
class _Use:
    """Of a piece of memory: who wrote it last and for whom these had to wait, and who has read it since.

    Several wrote it where it is of a value, `shared`, whose rows they write parts of.
    """

    writers: set[int]
    before: set[int]
    readers: set[int]
    shared: SSAValue | None = None

    def copy(self) -> _Use:
        """The same, to be changed by itself."""
        return _Use(set(self.writers), self.before, set(self.readers), self.shared)


class _Memory:
    """Who has used each piece of memory."""

    def __init__(self) -> None:
        self._starts = [0]
        self._uses = [_Use({-1}, set(), set())]

    def read(self, n: int, start: int, end: int) -> set[int]:
        """Step `n` reads: who must have written before."""
        writers = set[int]()
        for use in self._uses[self._cut(start) : self._cut(end)]:
            writers |= use.writers
            use.readers.add(n)
        return writers

    def written(self, n: int, start: int, end: int, shared: SSAValue | None = None) -> set[int]:
        """Step `n` writes, or writes a part of each row of `shared`: who must have written and read before."""
        first, last = self._cut(start), self._cut(end)
        uses = self._uses[first:last]
        parts = shared is not None and all(use.shared is shared for use in uses)
        before = set[int]().union(*((use.before if parts else use.writers) | use.readers for use in uses))
        if parts:
            for use in uses:
                use.writers.add(n)
        elif first < last:
            self._starts[first:last], self._uses[first:last] = [start], [_Use({n}, before, set(), shared)]
        return before

    def _cut(self, address: int) -> int:
        """The number of the piece that starts at `address`, from now on."""
        at = bisect_right(self._starts, address) - 1
        if self._starts[at] == address:
            return at
        self._starts.insert(at + 1, address)
        self._uses.insert(at + 1, self._uses[at].copy())
        return at + 1


def assigned(hazards: Hazards, streams: int) -> list[int]:
    """A stream for each step: where it starts first if all take as long; there, behind what it waits for."""
    ends: list[float] = []
    chosen: list[int] = []
    last = [-1] * streams
    for before in hazards:

        def start(stream: int, before: set[int] = before) -> float:
            waits = [ends[at] + AWAY * (chosen[at] != stream) for at in before]
            return max([*waits, ends[last[stream]] if last[stream] >= 0 else 0.0])

        stream = min(range(streams), key=lambda s: (start(s), last[s] not in before, s))
        ends.append(start(stream) + 1)
        last[stream] = len(chosen)
        chosen.append(stream)
    return chosen


def span_of(array: Array, backend: Backend) -> tuple[int, int]:
    """Where an array lies, from its first byte to its last, gaps between its rows included."""
    if not array.nbytes:
        return 0, 0
    start = backend.address(array)
    last = sum((size - 1) * step for size, step in zip(array.shape, array.strides, strict=True))
    return start, start + last + array.itemsize
