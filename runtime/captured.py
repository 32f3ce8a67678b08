"""A frame's calls as one graph of the device, or as several and what lies between them, over buffers that stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from xdsl.ir import SSAValue

from ..dialects.nn.regions import RegionOp
from ..dialects.nn.types import Array, is_static
from .side_by_side import run_side_by_side, span_of

if TYPE_CHECKING:
    from .frame import Frame, Step
    from .kernels import Backend, Recording

ALIGNMENT = 16
"""Bytes that addresses which kernels are given must be multiples of: their widest loads."""

MOST_MOVES = 4
"""How often a graph's kernels are given another array: it takes as long as copying megabytes."""


class Place:
    """Where a graph finds an input or puts a result: a buffer of its own, or the caller's array in its stead.

    The buffer that it was captured with is given up for the first of these; another is made where one is needed again.
    """

    def __init__(self, backend: Backend, own: Array, moves: int):
        """`moves` is 0 where `own` may not be given up."""
        self.shape, self.dtype, self.nbytes = own.shape, own.dtype, own.nbytes
        self._backend, self._left = backend, moves
        self._own: Array | None = own
        self._unused = True
        self._start = self._at = backend.address(own)

    def is_now_at(self, graph: Recording, address: int) -> bool:
        """Whether the graph's next launch uses the memory at `address`, having been told so."""
        if self._at == address:
            return True
        if not self._left or address % ALIGNMENT:
            return False
        if self._unused:
            # only the capture has used it, on the stream that it was allocated for
            self._own, self._unused = None, False
            self._backend.trim()  # before a small array takes a piece of it
        self._left -= 1
        self._move(graph, address)
        return True

    def own(self, graph: Recording) -> Array:
        """The buffer of its own, which the graph's next launch uses."""
        self._unused = False
        if self._own is None:
            with self._backend.needing("a buffer for an input or a result", self.nbytes):
                self._own = self._backend.xp.empty(self.shape, self.dtype)
        if self._at != (home := self._backend.address(self._own)):
            self._move(graph, home)
        return self._own

    def _move(self, graph: Recording, address: int) -> None:
        graph.move(self._start, self.nbytes, address)
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
        with backend.needing("a copy of the inputs", sum(a.nbytes for a in inputs)):
            own = [xp.array(a) for a in inputs]
        assert backend.capture is not None
        try:
            frame.bring(own)
            frame.run_steps()
            with backend.needing("the captured graph"):
                side_by_side = partial(run_side_by_side, frame, frame.streams)
                self._graph = backend.capture(frame.run_steps if frame.streams == 1 else side_by_side)
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
                backend.copy(place.own(graph), given)
        try:
            results: list[Array] = [xp.empty(place.shape, place.dtype) for place in self.results]
        except Exception as e:
            raise backend.explained(e, "the results", sum(place.nbytes for place in self.results)) from None
        left = [
            (place.own(graph), result)
            for place, result in zip(self.results, results, strict=True)
            if not place.is_now_at(graph, backend.address(result))
        ]
        graph()
        for own, result in left:
            backend.copy(result, own)
        return results

    def _place(self, value: SSAValue, own: Array) -> Place:
        return Place(self._frame.backend, own, MOST_MOVES * self._may_move(value, own))

    def _may_move(self, value: SSAValue, own: Array) -> bool:
        """Whether every call that touches a buffer may be given another address, and one caller's array takes it."""
        frame, backend = self._frame, self._frame.backend
        inputs = frame.program.plan.block.args
        if not own.nbytes or (value not in inputs and value not in frame.own):
            return False
        others = dict.fromkeys([*frame.returned, *inputs])
        if sum(_shares(backend, own, [frame.arrays[v]]) for v in others) > 1 or frame.returned.count(value) > 1:
            return False
        touching = [s for s in frame.steps if _shares(backend, own, (*s.ins, *s.outs))]
        return bool(touching) and all(type(s.op) in backend.relocatable for s in touching)


class SegmentedRun:
    """As `CapturedRun`, of a frame the device can capture in part: a graph for each run of such steps.

    What lies between them is called step by step: what has no kernel, chooses what to run, or whose size is in data.
    """

    def __init__(self, frame: Frame, inputs: Sequence[Array]):
        """Run `frame` on buffers of its own, then capture what can be."""
        self._frame = frame
        xp, backend = frame.xp, frame.backend
        assert backend.capture is not None
        args = frame.program.plan.block.args
        static = [is_static(a.type) for a in args]
        with backend.needing("a copy of the inputs", sum(x.nbytes for x, s in zip(inputs, static, strict=True) if s)):
            own = [xp.array(x) if s else x for x, s in zip(inputs, static, strict=True)]
        try:
            frame.bring(own)
            frame.run_steps()
            frame.bodies_run = 0  # that was for the kernels
            stretches = groupby(frame.steps, lambda step: is_capturable_step(frame, step))
            self._calls: list[Callable[[], None]] = []
            captured: list[Array] = []
            with backend.needing("the captured graphs"):
                for able, group in stretches:
                    steps = list(group)
                    run = partial(frame.run_steps, steps)
                    self._calls.append(backend.capture(run) if able else run)
                    captured += [a for step in steps if able for a in (*step.ins, *step.outs)]
            self._buffers: list[Array] = [frame.arrays[v] for v in frame.own]
            self._kept = frame.with_views(frame.own)
            self._inputs = [
                x if s and _shares(backend, x, captured) else None for x, s in zip(own, static, strict=True)
            ]
        finally:
            frame.release()

    def run(self, inputs: Sequence[Array]) -> list[Any]:
        """The results for `inputs`, as new arrays of the caller's."""
        frame = self._frame
        try:
            for arg, own, given in zip(frame.program.plan.block.args, self._inputs, inputs, strict=True):
                if own is not None:
                    frame.backend.copy(own, given)
                frame.fill(arg, given if own is None else own)
            for value, buffer in zip(frame.own, self._buffers, strict=True):
                frame.fill(value, buffer)
            for call in self._calls:
                call()
            return frame.results(self._kept)
        finally:
            frame.release()


def _shares(backend: Backend, array: Array, others: Sequence[Array]) -> bool:
    """Whether an array's memory is that of one of others, or a part of it is."""
    start, end = span_of(array, backend)
    return any(first < end and start < last for first, last in (span_of(o, backend) for o in others))


def is_capturable_step(frame: Frame, step: Step) -> bool:
    """Whether a step allocates nothing, does not wait for the device, and does not depend on data.

    What it reads and writes then is of static size: in the arena, or in a buffer that a captured run keeps.
    """
    return not (
        step.default
        or isinstance(step.op, RegionOp)
        or step.op in frame.program.host
        or any(step.op.operands[i] not in frame.program.fixed for i in step.op.host_operands())
    )


def is_capturable(frame: Frame) -> bool:
    """Whether the device can capture all of a frame."""
    if not all(is_static(a.type) for a in frame.program.plan.block.args):
        return False  # a sequence
    return frame.backend.capture is not None and all(is_capturable_step(frame, step) for step in frame.steps)


def is_capturable_in_part(frame: Frame) -> bool:
    """Whether the device can capture some of a frame."""
    return frame.backend.capture is not None and any(is_capturable_step(frame, step) for step in frame.steps)
