"""A frame's calls as one graph of the device, over buffers that stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xdsl.ir import SSAValue

from ..dialects.nn.regions import RegionOp
from ..dialects.nn.types import Array, is_static

if TYPE_CHECKING:
    from .frame import Frame
    from .kernels import Recording

ALIGNMENT = 16
"""Bytes that addresses which kernels are given must be multiples of: their widest loads."""

MOST_MOVES = 4
"""How often a graph's kernels are given another array: it takes as long as copying megabytes."""


class Place:
    """A buffer that the graph was captured with, and the array that its kernels are given in its stead, if any."""

    def __init__(self, own: Array, start: int, moves: int):
        """`own` lies at the address `start`; `moves` is 0 where it may not be given another."""
        self.own, self._start, self._at, self._left = own, start, start, moves

    def is_now_at(self, graph: Recording, address: int) -> bool:
        """Whether the graph's next launch uses the memory at `address`, not the own buffer, having been told so."""
        if self._at == address:
            return True
        if self._left and address % ALIGNMENT == 0:
            self._left -= 1
            self._move(graph, address)
            return True
        if self._at != self._start:
            self._move(graph, self._start)
        return False

    def _move(self, graph: Recording, address: int) -> None:
        graph.move(self._start, self.own.nbytes, address)
        self._at = address


class CapturedRun:
    """Made by the first run of a frame: that runs the calls one by one, which compiles them, then captures them.

    A run copies its inputs in, launches the graph and copies the results out. Where only kernels that may be given
    other addresses touch an input or a result, these are given the caller's instead, and nothing is copied, as long as
    the caller's arrays stay where they are: the same input array filled anew, results that are freed before the next.
    """

    def __init__(self, frame: Frame, inputs: Sequence[Array]):
        """Run `frame` on buffers of its own, then capture what it does. Nothing in it may allocate or wait."""
        self._frame = frame
        xp, backend = frame.xp, frame.backend
        own = [xp.array(a) for a in inputs]
        assert backend.capture is not None
        try:
            frame.bring(own)
            frame.run_steps()
            self._graph = backend.capture(frame.run_steps)
            # The graph holds addresses: what it writes beside the results must stay too.
            self._buffers: list[Array] = [frame.arrays[v] for v in frame.own]
            self.inputs = list(map(self._place, frame.program.plan.block.args, own))
            self.results = [self._place(v, xp.asarray(frame.arrays[v])) for v in frame.returned]
        finally:
            frame.release()

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The results for `inputs`, as new arrays of the caller's."""
        backend, xp, graph = self._frame.backend, self._frame.xp, self._graph
        for place, given in zip(self.inputs, inputs, strict=True):
            if not place.is_now_at(graph, backend.address(given)):
                backend.copy(place.own, given)
        results: list[Array] = [xp.empty(place.own.shape, place.own.dtype) for place in self.results]
        left = [
            (place.own, result)
            for place, result in zip(self.results, results, strict=True)
            if not place.is_now_at(graph, backend.address(result))
        ]
        graph()
        for own, result in left:
            backend.copy(result, own)
        return results

    def _place(self, value: SSAValue, own: Array) -> Place:
        return Place(own, self._frame.backend.address(own), MOST_MOVES * self._may_move(value, own))

    def _may_move(self, value: SSAValue, own: Array) -> bool:
        """Whether every call that touches a buffer may be given another address, and one caller's array takes it."""
        frame, backend = self._frame, self._frame.backend
        inputs = frame.program.plan.block.args
        if not own.nbytes or (value not in inputs and value not in frame.own):
            return False
        start, end = backend.address(own), backend.address(own) + own.nbytes

        def overlaps(array: Array) -> bool:
            return backend.address(array) < end and start < backend.address(array) + array.nbytes

        others = [*frame.returned, *inputs]
        if sum(overlaps(frame.arrays[v]) for v in dict.fromkeys(others)) > 1 or frame.returned.count(value) > 1:
            return False
        touching = [s for s in frame.steps if any(overlaps(a) for a in (*s.ins, *s.outs))]
        return bool(touching) and all(type(s.op) in backend.relocatable for s in touching)


def is_capturable(frame: Frame) -> bool:
    """Whether the device can capture a frame: nothing in it allocates, waits for the device, or depends on data."""
    fixed = frame.program.fixed
    if not all(is_static(a.type) for a in frame.program.plan.block.args):
        return False  # a sequence
    return frame.backend.capture is not None and not any(
        step.default
        or isinstance(step.op, RegionOp)
        or step.op in frame.program.host
        or any(step.op.operands[i] not in fixed for i in step.op.host_operands())
        for step in frame.steps
    )
