"""The captured run of a frame, on the CPU: what CUDA records as a graph is recorded here as a list of calls."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import DenseArrayBase, ModuleOp, i64
from xdsl.parser import Parser

from nnfuse.runtime.kernels.numpy import BACKEND
from nnfuse.runtime.program import Program
from nnfuse.runtime.reference import main_function
from nnfuse.runtime.session import new_context, run_passes

TEXT = """
func.func @main(%x: tensor<4x6xf32>, %y: tensor<4x6xf32>) -> (tensor<4x6xf32>, tensor<4x6xf32>) {
  %a = nn.relu %x : tensor<4x6xf32>
  %b = nn.add %a, %y : tensor<4x6xf32>
  %c = nn.mul %b, %a : tensor<4x6xf32>
  func.return %c, %x : tensor<4x6xf32>, tensor<4x6xf32>
}
"""


def capture(run: Callable[[], None]) -> Callable[[], None]:
    """The calls of a frame on the arrays that they have now, whose memory nobody here keeps alive but they themselves.

    Addresses are what a CUDA graph holds, so the arrays are rebuilt from theirs.
    """
    calls = [(s.kernel, list(map(by_address, s.outs)), list(map(by_address, s.ins))) for s in run.__self__.steps]
    return lambda: [kernel(outs, ins) for kernel, outs, ins in calls] and None


def by_address(array: Any) -> Any:
    held = type("Memory", (), {"__array_interface__": {**array.__array_interface__, "strides": array.strides}})()
    return np.asarray(held)


def planned(own_buffers: bool) -> ModuleOp:
    """The program; with `own_buffers`, nothing lives in the arena, as an edited plan may say."""
    module = Parser(new_context(), TEXT).parse_module()
    run_passes(module, "plan-memory")
    if own_buffers:
        for op in main_function(module).body.block.ops:
            if "place" in op.attributes:
                op.attributes["place"] = DenseArrayBase.from_list(i64, [-1])
    return module


@pytest.mark.parametrize("own_buffers", [False, True])
def test_captured_runs(own_buffers: bool) -> None:
    program = Program(planned(own_buffers), {}.__getitem__, dataclasses.replace(BACKEND, capture=capture))
    rng = np.random.default_rng(5)
    kept: list[tuple[Any, Any]] = []
    for _ in range(4):
        x, y = (rng.standard_normal((4, 6), dtype=np.float32) for _ in range(2))
        before = x.copy()
        c, same = program.run([x, y])
        gc.collect()
        rng.standard_normal(1 << 12)  # takes over what was freed
        a = np.maximum(before, 0)
        kept.append((c, (a + y) * a))
        np.testing.assert_array_equal(same, before)
        np.testing.assert_array_equal(x, before)
        assert not np.shares_memory(same, x)
    for result, expected in kept:  # outputs are the caller's: later runs do not change them
        np.testing.assert_array_equal(result, expected)


def test_what_a_graph_writes_stays() -> None:
    """Buffers outside the arena live as long as the graph that holds their addresses."""
    program = Program(planned(True), {}.__getitem__, dataclasses.replace(BACKEND, capture=capture))
    program.run([np.ones((4, 6), np.float32), np.ones((4, 6), np.float32)])
    (frame,) = program._frames
    written = {out.__array_interface__["data"][0] for step in frame.steps for out in step.outs if out is not None}
    assert frame.captured is not None and not written, "a released frame holds nothing"
    assert len(frame.captured._buffers) == len(frame.own) == 3


def test_a_failed_first_run_leaves_nothing() -> None:
    def fails(run: Callable[[], None]) -> Callable[[], None]:
        raise MemoryError("no graph")

    program = Program(planned(False), {}.__getitem__, dataclasses.replace(BACKEND, capture=fails))
    with pytest.raises(MemoryError, match="no graph"):
        program.run([np.ones((4, 6), np.float32), np.ones((4, 6), np.float32)])
    (frame,) = program._frames
    assert frame.captured is None
    assert all(target[index] is None for slots in frame.slots.values() for target, index, _ in slots)
