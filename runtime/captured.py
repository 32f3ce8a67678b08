"""A frame's calls as one graph of the device, over buffers that stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xdsl.ir import SSAValue

from ..dialects.nn.types import Array

if TYPE_CHECKING:
    from .frame import Frame

ALIGNMENT = 16
"""Bytes that addresses which kernels are given must be multiples of: their widest loads."""


class CapturedRun:
    """Made by the first run of a frame: that runs the calls one by one, which compiles them, then captures them.

    A run copies its inputs in, launches the graph and copies the results out. Where only kernels that may be given
    other addresses touch an input or a result, these are given the caller's instead, and nothing is copied.
    """

    def __init__(self, frame: Frame, inputs: Sequence[Array]):
        """Run `frame` on buffers of its own, then capture what it does. Nothing in it may allocate or wait."""
        self._frame = frame
        xp, backend = frame.xp, frame.backend
        self.inputs: list[Array] = [xp.array(a) for a in inputs]
        assert backend.capture is not None
        try:
            frame.bring(self.inputs)
            frame.run_steps()
            self._graph = backend.capture(frame.run_steps)
            self._results: list[Array] = [xp.asarray(frame.arrays[v]) for v in frame.returned]
            # The graph holds addresses: what it writes beside the results must stay too.
            self._buffers: list[Array] = [frame.arrays[v] for v in frame.own]
            arguments = frame.program.func.body.block.args
            self.moved_inputs = [self._may_move(v, a) for v, a in zip(arguments, self.inputs, strict=True)]
            self.moved_results = [self._may_move(v, a) for v, a in zip(frame.returned, self._results, strict=True)]
        finally:
            frame.release()

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The results for `inputs`, as new arrays of the caller's."""
        backend, xp = self._frame.backend, self._frame.xp
        for own, given, moved in zip(self.inputs, inputs, self.moved_inputs, strict=True):
            if moved and backend.address(given) % ALIGNMENT == 0:
                self._move(own, given)
                continue
            if moved:
                self._move(own, own)
            backend.copy(own, given)
        results = [xp.empty(own.shape, own.dtype) for own in self._results]
        for own, result, moved in zip(self._results, results, self.moved_results, strict=True):
            if moved:
                self._move(own, result)
        self._graph()
        for own, result, moved in zip(self._results, results, self.moved_results, strict=True):
            if not moved:
                backend.copy(result, own)
        return results

    def _move(self, own: Array, to: Array) -> None:
        address = self._frame.backend.address
        self._graph.move(address(own), own.nbytes, address(to))

    def _may_move(self, value: SSAValue, own: Array) -> bool:
        """Whether every call that touches a buffer may be given another address, and one caller's array takes it."""
        frame, backend = self._frame, self._frame.backend
        inputs = frame.program.func.body.block.args
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
    return frame.backend.capture is not None and not any(
        step.default
        or step.op in frame.program.host
        or any(step.op.operands[i] not in fixed for i in step.op.host_operands())
        for step in frame.steps
    )
