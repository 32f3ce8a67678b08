"""A frame's calls as one graph of the device, over buffers that stay: a run copies its inputs in and launches it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..dialects.nn.types import Array, is_static

if TYPE_CHECKING:
    from .frame import Frame


class CapturedRun:
    """Made by the first run of a frame: that runs the calls one by one, which compiles them, then captures them."""

    def __init__(self, frame: Frame, inputs: Sequence[Array]):
        """Run `frame` on buffers of its own, then capture what it does. Nothing in it may allocate or wait."""
        self._frame = frame
        xp = frame.xp
        self.inputs: list[Array] = [xp.array(a) for a in inputs]
        assert frame.backend.capture is not None
        try:
            frame.bring(self.inputs)
            frame.run_steps()
            self._launch = frame.backend.capture(frame.run_steps)
            self._results: list[Array] = [xp.asarray(frame.arrays[v]) for v in frame.returned]
            # The graph holds addresses: what it writes beside the results must stay too.
            self._buffers: list[Array] = [frame.arrays[v] for v in frame.own]
        finally:
            frame.release()

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The results for `inputs`, as new arrays of the caller's."""
        copy = self._frame.backend.copy
        for own, given in zip(self.inputs, inputs, strict=True):
            copy(own, given)
        self._launch()
        xp, results = self._frame.xp, list[Array]()
        for result in self._results:
            results.append(xp.empty(result.shape, result.dtype))
            copy(results[-1], result)
        return results


def is_capturable(frame: Frame) -> bool:
    """Whether the device can capture a frame: nothing in it allocates, waits for the device, or depends on data."""
    fixed = frame.program.fixed
    if not all(is_static(a.type) for a in frame.program.func.args):
        return False  # a sequence
    return frame.backend.capture is not None and not any(
        step.default
        or step.op in frame.program.host
        or any(step.op.operands[i] not in fixed for i in step.op.host_operands())
        for step in frame.steps
    )
