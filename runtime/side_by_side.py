"""The branches of a program on several streams of the device, where one kernel alone leaves it idle.

Steps keep their order where one reads or overwrites what another writes, by the memory that they use: so the results
are those of one stream, whatever plan the text holds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from xdsl.ir import Operation

from ..dialects.nn.types import Array
from ..passes.branches import chains
from .kernels import Backend

if TYPE_CHECKING:
    from .frame import Frame, Step
    from .program import Program

AWAY = 0.3
"""What it costs a step to wait for one on another stream, in steps: a kernel behind another on one starts early."""

Hazards = Sequence[set[int]]
"""For each step those before it that it must wait for, less those that these have waited for."""


def run_side_by_side(frame: Frame, streams: int) -> None:
    """Enqueue a frame's steps on as many streams, which begin and end with the current one."""
    assert frame.backend.streams is not None
    hazards = hazards_of(frame.steps, frame.backend)
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


def hazards_of(steps: Sequence[Step], backend: Backend) -> Hazards:
    """What keeps steps in order: memory, and for calls of libraries the workspace that they share."""
    found: list[set[int]] = []
    memory, shares = _Memory(), -1
    for n, step in enumerate(steps):
        before = set[int]()
        for array in step.ins:
            before |= memory.read(n, *_span(array, backend))
        for array in step.outs:
            before |= memory.written(n, *_span(array, backend))
        if type(step.op) not in backend.relocatable:
            before.add(shares)
            shares = n
        found.append(before - {n, -1})
    return found


class _Memory:
    """Who wrote each piece of memory last, and who has read it since."""

    def __init__(self) -> None:
        self._starts = [0]
        self._users: list[tuple[int, set[int]]] = [(-1, set())]

    def read(self, n: int, start: int, end: int) -> set[int]:
        """Step `n` reads: who must have written before."""
        writers = set[int]()
        for at in range(self._cut(start), self._cut(end)):
            writer, readers = self._users[at]
            writers.add(writer)
            readers.add(n)
        return writers

    def written(self, n: int, start: int, end: int) -> set[int]:
        """Step `n` writes: who must have written and read before."""
        first, last = self._cut(start), self._cut(end)
        before = set[int]().union(*({writer, *readers} for writer, readers in self._users[first:last]))
        if first < last:
            self._starts[first:last], self._users[first:last] = [start], [(n, set())]
        return before

    def _cut(self, address: int) -> int:
        """The number of the piece that starts at `address`, from now on."""
        at = bisect_right(self._starts, address) - 1
        if self._starts[at] == address:
            return at
        writer, readers = self._users[at]
        self._starts.insert(at + 1, address)
        self._users.insert(at + 1, (writer, set(readers)))
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


def _span(array: Array, backend: Backend) -> tuple[int, int]:
    start = backend.address(array) if array.nbytes else 0
    return start, start + array.nbytes
