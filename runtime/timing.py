"""How long the calls of a frame take on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from ..dialects.nn.base import NNOp
from ..dialects.nn.types import Array, dims_of, dtype_of, element_type, num_bytes, static_dims
from .frame import Frame, Step
from .reference import evaluate

COLD_BYTES = 96 << 20
"""Weights come from memory in a network, not from the cache: they are rotated among copies of this size together."""

MOST_COPIES = 16


def bytes_moved(*ops: NNOp) -> int:
    """What ops read and write by their types."""
    return sum(num_bytes(v.type) or 0 for op in ops for v in (*op.operands, *op.results))


def no_parameters(name: str) -> Array:
    """A fragment has arguments only."""
    raise KeyError(name)


class Timing:
    """Times a frame's calls on random data, in a captured graph of several launches with weights that rotate."""

    def __init__(self, func: FuncOp, frame: Frame, weights: Sequence[int]):
        """`weights` are the arguments that a network would read from memory; what only they need runs once."""
        assert frame.backend.capture is not None and frame.backend.elapsed is not None
        self.neighbour = frame.backend.neighbour()
        self.func, self.frame, self.capture, self.elapsed = func, frame, frame.backend.capture, frame.backend.elapsed
        rng = frame.xp.random.default_rng(0)
        arguments = list(frame.program.plan.block.args)
        frame.bring([random_array(rng, a) for a in arguments])
        rotating = [arguments[i] for i in weights]
        size = sum(num_bytes(w.type) or 0 for w in rotating)
        copies = min(MOST_COPIES, max(1, COLD_BYTES // max(size, 1)))
        self.weights = [{w: random_array(rng, w) for w in rotating} for _ in range(copies)]
        self._fill(0)
        fixed: set[SSAValue] = set(rotating)
        self.steps: list[Step] = []
        for step in frame.steps:
            if all(v in fixed or v in frame.program.fixed for v in step.op.operands):
                fixed.update(step.op.results)
            else:
                self.steps.append(step)

    @property
    def moved(self) -> int:
        """The bytes that one run reads and writes."""
        return bytes_moved(*(step.op for step in self.steps))

    def truth(self) -> Array:
        """The frame's result in float64, by the ops' own meaning, for the first weights."""
        frame = self.frame
        arrays = [frame.arrays[a].astype(np.float64) for a in frame.program.plan.block.args]
        (result,) = evaluate(self.func, arrays, no_parameters, frame.xp, wide=True)
        return result

    def result(self) -> Array:
        """What the frame computes now, for the weights it has now."""
        self.frame.run_steps()
        return self.frame.arrays[self.frame.returned[0]]

    def microseconds(self, repeats: int = 5) -> float:
        """The median time of one run of the frame."""
        launches = max(len(self.weights), 8)
        self.frame.run_steps()
        taken = self.elapsed(self.capture(lambda: self._run(launches)), repeats) / launches
        self._fill(0)
        return taken

    def _run(self, launches: int) -> None:
        for n in range(launches):
            self._fill(n % len(self.weights))
            for step in self.steps:
                step.kernel(step.outs, step.ins)
            # What does not let the next kernel start early is slower in a network than alone.
            self.neighbour()

    def _fill(self, n: int) -> None:
        for value, array in self.weights[n].items():
            self.frame.fill(value, array)


def random_array(rng: Any, value: SSAValue) -> Array:
    """Normal numbers of a value's type, a tenth in size."""
    dims, dtype = static_dims(dims_of(value.type)), dtype_of(element_type(value.type))
    return (rng.standard_normal(dims, dtype=np.float32) * np.float32(0.1)).astype(dtype)
