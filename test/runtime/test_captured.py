"""The captured run of a frame, on the CPU: what CUDA records as a graph is recorded here as a list of calls."""

from __future__ import annotations

import dataclasses
import gc
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import DenseArrayBase, ModuleOp, i64
from xdsl.parser import Parser

from nnfuse.dialects.nn.activations import ReluOp
from nnfuse.dialects.nn.elementwise import AddOp, MulOp
from nnfuse.errors import OutOfMemoryError
from nnfuse.runtime.captured import MOST_MOVES, CapturedRun, SegmentedRun
from nnfuse.runtime.kernels import Backend
from nnfuse.runtime.kernels.numpy import BACKEND
from nnfuse.runtime.pipelines import new_context, run_passes
from nnfuse.runtime.program import Program
from nnfuse.runtime.reference import main_function

TEXT = """
func.func @main(%x: tensor<4x6xf32>, %y: tensor<4x6xf32>) -> (tensor<4x6xf32>, tensor<4x6xf32>) {
  %a = nn.relu %x : tensor<4x6xf32>
  %b = nn.add %a, %y : tensor<4x6xf32>
  %c = nn.mul %b, %a : tensor<4x6xf32>
  func.return %c, %x : tensor<4x6xf32>, tensor<4x6xf32>
}
"""


class Recorded:
    """The calls of a frame on the arrays that they have now, whose memory nobody here keeps alive but they themselves.

    Addresses are what a CUDA graph holds, so the arrays are rebuilt from theirs.
    """

    def __init__(self, run: Callable[[], None]):
        self.steps, self.launches = run.args[0] if isinstance(run, partial) else run.__self__.steps, 0
        self.calls = [(s.kernel, list(map(interface, s.outs)), list(map(interface, s.ins))) for s in self.steps]
        self.places: dict[tuple[int, int], int] = {}
        self.moves: Counter[int] = Counter()

    def __call__(self) -> None:
        self.launches += 1
        for kernel, outs, ins in self.calls:
            kernel(list(map(self.array, outs)), list(map(self.array, ins)))

    def move(self, start: int, nbytes: int, to: int) -> None:
        self.places[start, start + nbytes] = to
        self.moves[start] += 1

    def array(self, held: dict[str, Any]) -> Any:
        address, readonly = held["data"]
        for (start, end), to in self.places.items():
            if start <= address < end:
                address += to - start
                break
        return np.asarray(type("Memory", (), {"__array_interface__": {**held, "data": (address, readonly)}})())


def interface(array: Any) -> dict[str, Any]:
    return {**array.__array_interface__, "strides": array.strides}


def backend(*relocatable: Any) -> Backend:
    return dataclasses.replace(BACKEND, capture=Recorded, relocatable=frozenset(relocatable))


def planned(own_buffers: bool, text: str = TEXT) -> ModuleOp:
    """The program; with `own_buffers`, nothing lives in the arena, as an edited plan may say."""
    module = Parser(new_context(), text).parse_module()
    run_passes(module, "plan-memory")
    if own_buffers:
        for op in main_function(module).body.block.ops:
            if "place" in op.attributes:
                op.attributes["place"] = DenseArrayBase.from_list(i64, [-1])
    return module


@pytest.mark.parametrize("own_buffers", [False, True])
def test_captured_runs(own_buffers: bool) -> None:
    program = Program(planned(own_buffers), {}.__getitem__, backend())
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


MOVING = """
func.func @main(%x: tensor<4x6xf32>, %y: tensor<4x6xf32>) -> (tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>) {
  %a = nn.relu %x : tensor<4x6xf32>
  %b = nn.add %a, %y : tensor<4x6xf32>
  %c = nn.mul %b, %a : tensor<4x6xf32>
  func.return %b, %c, %c : tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>
}
"""


@pytest.mark.parametrize(
    ("relocatable", "inputs", "results"),
    [
        ((ReluOp, AddOp, MulOp), [True, True], [True, False, False]),  # a result named twice is copied
        ((ReluOp, MulOp), [True, False], [False, False, False]),
        ((AddOp, MulOp), [False, True], [True, False, False]),
        ((), [False, False], [False, False, False]),
    ],
)
def test_kernels_are_given_the_callers_arrays(relocatable: Any, inputs: list[bool], results: list[bool]) -> None:
    """Where all that touch an input or a result may be; else, and for a misaligned input, it is copied."""
    module = Parser(new_context(), MOVING).parse_module()
    run_passes(module, "plan-memory")
    program = Program(module, {}.__getitem__, backend(*relocatable))
    rng, kept = np.random.default_rng(6), list[Any]()
    for misaligned in (0, 1, 0):
        x, y = (aligned(rng.standard_normal((4, 6)), misaligned) for _ in range(2))
        found = program.run([x, y])
        a = np.maximum(x, 0)
        kept.append((x, y, found, [a + y, (a + y) * a, (a + y) * a]))
    (frame,) = program._frames
    captured = frame.captured
    assert isinstance(captured, CapturedRun)
    assert [p._left < MOST_MOVES and p._at != p._start for p in captured.inputs] == inputs
    assert [p._left < MOST_MOVES and p._at != p._start for p in captured.results] == results
    for *_, found, expected in kept:
        for result, truth in zip(found, expected, strict=True):
            np.testing.assert_array_equal(result, truth)


def test_kernels_are_not_given_another_array_each_time() -> None:
    """After a few, all is copied, whatever comes: the callers' arrays are neither read nor written any more."""
    module = Parser(new_context(), MOVING).parse_module()
    run_passes(module, "plan-memory")
    recordings: list[Recorded] = []

    def capture(run: Callable[[], None]) -> Recorded:
        recordings.append(Recorded(run))
        return recordings[-1]

    ops = frozenset({ReluOp, AddOp, MulOp})
    program = Program(module, {}.__getitem__, dataclasses.replace(BACKEND, capture=capture, relocatable=ops))
    kept: list[Any] = []
    for n in range(MOST_MOVES + 4):
        x, y = aligned(np.full((4, 6), n), 0), aligned(np.ones((4, 6)), 0)
        kept.append((x, y, program.run([x, y]), n + 1))
    for _, _, found, expected in kept:
        np.testing.assert_array_equal(found[0], np.full((4, 6), expected, np.float32))
    (recording,) = recordings
    assert set(recording.moves.values()) == {MOST_MOVES + 1}, "there, and to a buffer of its own in the end"
    given = {a.ctypes.data for x, y, found, _ in kept for a in (x, y, *found)}
    assert len(recording.places) == 3 and not given & set(recording.places.values())


def test_a_buffer_that_the_caller_stands_in_for_is_given_up() -> None:
    """And made anew where an array comes that the graph cannot take."""
    module = Parser(new_context(), MOVING).parse_module()
    run_passes(module, "plan-memory")
    program = Program(module, {}.__getitem__, backend(ReluOp, AddOp, MulOp))
    x, y = aligned(np.ones((4, 6)), 0), aligned(np.ones((4, 6)), 0)
    program.run([x, y])
    (frame,) = program._frames
    assert isinstance(frame.captured, CapturedRun)
    assert [p._own is None for p in frame.captured.inputs] == [True, True]
    found = program.run([aligned(np.full((4, 6), 3), 1), y])
    assert [p._own is None for p in frame.captured.inputs] == [False, True]
    np.testing.assert_array_equal(found[0], np.full((4, 6), 4, np.float32))


def test_callers_arrays_that_share_memory() -> None:
    """One array for both inputs, overlapping ones, and the last run's results: kernels are given them directly."""
    module = Parser(new_context(), MOVING).parse_module()
    run_passes(module, "plan-memory")
    program = Program(module, {}.__getitem__, backend(ReluOp, AddOp, MulOp))
    memory = aligned(np.random.default_rng(9).standard_normal((10, 6)), 0)
    last: list[Any] = [memory[:4], memory[:4]]
    for x, y in ((0, 0), (1, 0), (0, 2), (None, None), (1, 0), (0, 0)):
        fed = [memory[2:6], memory[:4]] if x is None or y is None else [last[x], last[y]]
        before = [a.copy() for a in fed]
        last = program.run(fed)
        a = np.maximum(before[0], 0)
        for result, truth in zip(last, (a + before[1], (a + before[1]) * a, (a + before[1]) * a), strict=True):
            np.testing.assert_array_equal(result, truth)
        for array, kept in zip(fed, before, strict=True):
            np.testing.assert_array_equal(array, kept)


def aligned(array: Any, off: int) -> Any:
    """A copy in f32 that starts `off` elements after a multiple of 64 bytes."""
    memory = np.empty(array.size + 32, np.float32)
    start = -memory.ctypes.data % 64 // 4 + off
    copy = memory[start : start + array.size].reshape(array.shape)
    copy[...] = array
    return copy


def test_what_a_graph_writes_stays() -> None:
    """Buffers outside the arena live as long as the graph that holds their addresses."""
    program = Program(planned(True), {}.__getitem__, backend())
    program.run([np.ones((4, 6), np.float32), np.ones((4, 6), np.float32)])
    (frame,) = program._frames
    written = {out.__array_interface__["data"][0] for step in frame.steps for out in step.outs if out is not None}
    assert isinstance(frame.captured, CapturedRun) and not written, "a released frame holds nothing"
    assert len(frame.captured._buffers) == len(frame.own) == 3


def test_a_failed_first_run_leaves_nothing() -> None:
    def fails(run: Callable[[], None]) -> Callable[[], None]:
        raise MemoryError("no graph")

    program = Program(planned(False), {}.__getitem__, dataclasses.replace(BACKEND, capture=fails))
    with pytest.raises(OutOfMemoryError, match="out of memory on cpu: the captured graph needs more than there is"):
        program.run([np.ones((4, 6), np.float32), np.ones((4, 6), np.float32)])
    (frame,) = program._frames
    assert frame.captured is None
    assert all(target[index] is None for slots in frame.slots.values() for target, index, _ in slots)


SEGMENTS = """
func.func @main(%x: tensor<4x6xf32>, %y: tensor<4x6xf32>, %k: tensor<1xi64>, %s: !nn.sequence<tensor<4x6xf32>>)
    -> (tensor<4x6xf32>, tensor<2x?xi64>, tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>, tensor<?x6xf32>) {
  %a = nn.relu %x : tensor<4x6xf32>
  %b = nn.add %a, %y : tensor<4x6xf32>
  %one = nn.constant 1 : i64 as tensor<i64>
  %c = nn.cum_sum %b, %one : (tensor<4x6xf32>, tensor<i64>) -> tensor<4x6xf32>
  %d = nn.mul %c, %a : tensor<4x6xf32>
  %e = nn.neg %d : tensor<4x6xf32>
  %n = nn.non_zero %a : (tensor<4x6xf32>) -> tensor<2x?xi64>
  %zero = nn.constant 0 : i64 as tensor<i64>
  %t = nn.sequence_at %s, %zero : (!nn.sequence<tensor<4x6xf32>>, tensor<i64>) -> tensor<4x6xf32>
  %f = nn.add %e, %t : tensor<4x6xf32>
  %g = nn.abs %f : tensor<4x6xf32>
  %z = nn.constant 0 : i64 as tensor<1xi64>
  %h = nn.slice %g, %z, %k axes %z : (tensor<4x6xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x6xf32>
  func.return %e, %n, %g, %x, %e, %h
      : tensor<4x6xf32>, tensor<2x?xi64>, tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>, tensor<?x6xf32>
}
"""
"""Between relu and add, and mul and neg, and add and abs: an op without a kernel, one whose size is in data, one of a
sequence; and one whose size is an input.
"""


@pytest.mark.parametrize("own_buffers", [False, True])
def test_what_can_be_captured_is(own_buffers: bool) -> None:
    """The steps between the others, as graphs over buffers that stay; results are the caller's, inputs too."""
    recordings: list[Recorded] = []

    def capture(run: Callable[[], None]) -> Recorded:
        recordings.append(Recorded(run))
        return recordings[-1]

    module = planned(own_buffers, SEGMENTS)
    program = Program(module, {}.__getitem__, dataclasses.replace(BACKEND, capture=capture))
    rng, kept = np.random.default_rng(5), list[Any]()
    for count in (1, 3, 0, 2):
        x, y, t = (rng.standard_normal((4, 6), dtype=np.float32) for _ in range(3))
        k, before = np.array([count]), [x.copy(), y.copy(), t.copy()]
        found = program.run([x, y, k, (t,)])
        gc.collect()
        rng.standard_normal(1 << 12)  # takes over what was freed
        a = np.maximum(x, 0)
        e = -np.cumsum(a + y, 1) * a
        kept.append((found, [e, np.stack(np.nonzero(a)), abs(e + t), x, e, abs(e + t)[:count]]))
        np.testing.assert_array_equal([x, y, t], before)
        assert not any(np.shares_memory(result, given) for result in found for given in (x, y, t))
        assert not any(np.shares_memory(a, b) for n, a in enumerate(found) for b in found[:n])
    for found, expected in kept:
        for result, truth in zip(found, expected, strict=True):
            np.testing.assert_allclose(result, truth, rtol=1e-6)
    (frame,) = program._frames
    assert isinstance(frame.captured, SegmentedRun)
    names = [[s.op.name for s in r.steps] for r in recordings]
    assert names == [["nn.relu", "nn.add"], ["nn.mul", "nn.neg"], ["nn.add", "nn.abs"]]
    assert [r.launches for r in recordings] == [4, 4, 4]
    assert [own is not None for own in frame.captured._inputs] == [True, True, False, False]
    assert all(target[index] is None for slots in frame.slots.values() for target, index, _ in slots)


RETURNED_VIEW = """
func.func @main(%x: tensor<2x3xf32>) -> (tensor<3x2xf32>, tensor<2x3xf32>) {
  %one = nn.constant 1 : i64 as tensor<i64>
  %six = nn.constant 6 : i64 as tensor<1xi64>
  %a = nn.relu %x : tensor<2x3xf32>
  %r = nn.reshape %a, %six : (tensor<2x3xf32>, tensor<1xi64>) -> tensor<6xf32>
  %turned = nn.constant dense<[3, 2]> : tensor<2xi64>
  %q = nn.reshape %r, %turned : (tensor<6xf32>, tensor<2xi64>) -> tensor<3x2xf32>
  %c = nn.cum_sum %x, %one : (tensor<2x3xf32>, tensor<i64>) -> tensor<2x3xf32>
  func.return %q, %c : tensor<3x2xf32>, tensor<2x3xf32>
}
"""


def test_a_view_of_what_stays_is_copied() -> None:
    """%q is a view of %r, a view of %a, whose buffer a graph writes in the next run too."""
    program = Program(planned(False, RETURNED_VIEW), {}.__getitem__, backend())
    kept = [program.run([np.full((2, 3), n, np.float32)])[0] for n in (1, 5)]
    np.testing.assert_array_equal(kept, np.repeat([1, 5], 6).reshape(2, 3, 2))


@pytest.mark.gpu
def test_what_can_be_captured_is_on_a_gpu(cuda: Backend) -> None:
    """The same, its graphs those of CUDA."""
    program, xp, kept = Program(planned(False, SEGMENTS), {}.__getitem__, cuda), cuda.xp, list[Any]()
    for count in (1, 3, 0, 2):
        x, y, t = (np.random.default_rng(count + n).standard_normal((4, 6), dtype=np.float32) for n in range(3))
        found = program.run([*map(xp.asarray, (x, y, [count])), (xp.asarray(t),)])
        a = np.maximum(x, 0)
        e = -np.cumsum(a + y, 1) * a
        kept.append((found, [e, np.stack(np.nonzero(a)), abs(e + t), x, e, abs(e + t)[:count]]))
    for found, expected in kept:
        for result, truth in zip(found, expected, strict=True):
            np.testing.assert_allclose(xp.asnumpy(result), truth, rtol=1e-5, atol=1e-6)
    assert isinstance(program.first_frame.captured, SegmentedRun)
