"""Branches on several streams, on the CPU: whatever a device does first of what it may, the results are the same."""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import light_network
from test_random_programs import INPUTS, WEIGHT, graphs
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from nnfuse.errors import CompileError
from nnfuse.runtime.kernels import Backend
from nnfuse.runtime.kernels.numpy import BACKEND
from nnfuse.runtime.pipelines import new_context, run_passes
from nnfuse.runtime.program import Program
from nnfuse.runtime.reference import evaluate, main_function
from nnfuse.runtime.session import Session
from nnfuse.runtime.side_by_side import assigned, has_branches, hazards_of, run_side_by_side


class AnyOrder:
    """Streams whose work is done when they are left: each in its own order, which of them goes on is drawn."""

    def __init__(self, seed: int, count: int):
        self.draw, self.queues = random.Random(seed), [list[tuple[str, Any]]() for _ in range(count)]
        self.marked, self.turns = set[int](), list[int]()

    def __enter__(self) -> AnyOrder:
        return self

    def __exit__(self, *error: object) -> None:
        if error != (None, None, None):
            return
        while any(self.queues):
            ready = [n for n, queue in enumerate(self.queues) if queue and self.may_go_on(*queue[0])]
            assert ready, "streams wait for one another"
            number = self.draw.choice(ready)
            what, given = self.queues[number].pop(0)
            if what == "run":
                self.turns.append(number)
                given()
            elif what == "mark":
                self.marked.add(given)

    def may_go_on(self, what: str, given: Any) -> bool:
        return what != "wait" or given in self.marked

    def enqueue(self, stream: int, run: Callable[[], None]) -> None:
        self.queues[stream].append(("run", run))

    def mark(self, stream: int, number: int) -> None:
        self.queues[stream].append(("mark", number))

    def wait(self, stream: int, number: int) -> None:
        self.queues[stream].append(("wait", number))


def program(module: ModuleOp, seed: int, streams: int) -> tuple[Program, list[AnyOrder]]:
    """A planned program, and the streams that are opened for it. No call shares a workspace with another."""
    opened: list[AnyOrder] = []

    def open_streams(count: int) -> AnyOrder:
        opened.append(AnyOrder(seed, count))
        return opened[-1]

    planned = module.clone()
    run_passes(planned, f"plan-memory{{streams={streams}}}")
    classes = frozenset(type(op) for op in main_function(planned).walk())
    backend: Backend = dataclasses.replace(
        BACKEND, streams=open_streams, relocatable=classes, capture=lambda run: run, fence=BACKEND.fence
    )
    return Program(planned, {"w": WEIGHT}.__getitem__, backend, {}), opened


def run(program_: Program, inputs: list[Any], streams: int) -> list[Any]:
    frame = program_.first_frame
    frame.bring(inputs)
    with np.errstate(all="ignore"):
        run_side_by_side(frame, streams)
    return [np.array(result) for result in frame.results()]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(graphs(), st.integers(0, 99), st.integers(1, 3), st.integers(2, 3))
def test_any_order_gives_the_same(module: ModuleOp, seed: int, planned: int, streams: int) -> None:
    """However many streams the places were planned for."""
    made, _ = program(module, seed, planned)
    for inputs in INPUTS:
        expected = evaluate(main_function(module), inputs, {"w": WEIGHT}.__getitem__)
        for result, truth in zip(run(made, inputs, streams), expected, strict=True):
            np.testing.assert_allclose(result, truth, rtol=1e-4, atol=1e-5, err_msg=str(made.module))


def parsed(body: str) -> ModuleOp:
    type_ = "tensor<2x4x4xf32>"
    text = re.sub(r"\bT\b", type_, f"func.func @main(%x: T, %y: T) -> T {{\n{body}\n}}")
    return Parser(new_context(), text).parse_module()


BRANCHES = parsed("""
  %a = nn.transpose %x perm [0, 2, 1] : T
  %b = nn.transpose %a perm [0, 2, 1] : T
  %c = nn.transpose %y perm [0, 2, 1] : T
  %d = nn.transpose %c perm [0, 2, 1] : T
  %e = nn.add %b, %d : T
  func.return %e : T
""")
CHAIN = parsed("""
  %a = nn.transpose %x perm [0, 2, 1] : T
  %b = nn.add %a, %y : T
  %c = nn.transpose %b perm [0, 2, 1] : T
  func.return %c : T
""")


def test_branches_are_kept_apart() -> None:
    made, opened = program(BRANCHES, 0, 2)
    frame = made.first_frame
    frame.bring(INPUTS[0])
    hazards = hazards_of(frame)
    assert hazards == [set(), {0}, set(), {2}, {1, 3}]
    assert assigned(hazards, 2) == [0, 0, 1, 1, 0]
    run(made, INPUTS[0], 2)
    assert sorted(opened[0].turns) == [0, 0, 0, 1, 1]


ROWS = parsed("""
  %a = blas.matmul %x, %y : T
  %b = blas.matmul %y, %x : T
  %c = nn.concat [%a, %b] axis = 2 : (tensor<2x4x4xf32>, tensor<2x4x4xf32>) -> tensor<2x4x8xf32>
  %d = nn.reduce_sum %c : (tensor<2x4x8xf32>) -> tensor<1x1x1xf32>
  %e = nn.add %x, %d : (tensor<2x4x4xf32>, tensor<1x1x1xf32>) -> tensor<2x4x4xf32>
  func.return %e : T
""")


def test_parts_of_the_same_rows_do_not_wait_for_one_another() -> None:
    """What reads the whole waits for both."""
    made, _ = program(ROWS, 0, 2)
    frame = made.first_frame
    frame.bring(INPUTS[0])
    assert [step.op.name for step in frame.steps] == ["blas.matmul", "blas.matmul", "nn.reduce_sum", "nn.add"]
    assert hazards_of(frame) == [set(), set(), {0, 1}, {2}]


PIECES = parsed(
    """
  %a = blas.matmul %x, %y : T
  %c = nn.concat [%a, %x, %y, %x] axis = 2 : (T, T, T, T) -> tensor<2x4x16xf32>
  %p, %q, %r, %s = nn.split %c axis = 2 num_outputs = 4 : (tensor<2x4x16xf32>) -> (T, T, T, T)
  %m = blas.matmul %p, %y : T
  %n = blas.matmul %s, %y : T
  %o = blas.matmul %y, %y : T
  %u = blas.matmul %x, %x : T
  %e = nn.sum [%m, %n, %o, %u] : (T, T, T, T) -> T
  func.return %e : T
"""
)


def test_pieces_of_rows_are_read_after_the_whole_and_before_it_is_written_over() -> None:
    """Planned for one stream, %o and %u take places in %c: of the rows of each piece, the first and the last."""
    made, _ = program(PIECES, 0, 1)
    frame = made.first_frame
    frame.bring(INPUTS[0])
    assert [step.op.name for step in frame.steps] == ["blas.matmul", "nn.concat", *["blas.matmul"] * 4, "nn.sum"]
    whole, first, last = (frame.backend.address(frame.steps[n].outs[0]) for n in (1, 4, 5))
    assert (first - whole, last - whole) == (0, 256)
    assert hazards_of(frame)[2:6] == [{1}, {1}, {1, 2, 3}, {1, 2, 3}]


APART = """
func.func @main(%x: tensor<16x4xf32>, %y: tensor<4x4xf32>) -> (tensor<1x1xf32>, tensor<2x8x4xf32>, tensor<16x4xf32>) {
  %v = blas.matmul %x, %y : (tensor<16x4xf32>, tensor<4x4xf32>) -> tensor<16x4xf32>
  %b = blas.matmulrelu %x, %y : (tensor<16x4xf32>, tensor<4x4xf32>) -> tensor<16x4xf32>
  %k = nn.concat [%v, %b] axis = 1 : (tensor<16x4xf32>, tensor<16x4xf32>) -> tensor<16x8xf32>
  %d = nn.reduce_sum %k : (tensor<16x8xf32>) -> tensor<1x1xf32>
  %s = nn.constant dense<[2, 8, 4]> : tensor<3xi64>
  %r = nn.reshape %v, %s : (tensor<16x4xf32>, tensor<3xi64>) -> tensor<2x8x4xf32>
  %m = blas.matmul %r, %y : (tensor<2x8x4xf32>, tensor<4x4xf32>) -> tensor<2x8x4xf32>
  %z = nn.neg %x : tensor<16x4xf32>
  %t = nn.exp %x : tensor<16x4xf32>
  %e = nn.sub %z, %t : tensor<16x4xf32>
  func.return %d, %m, %e : tensor<1x1xf32>, tensor<2x8x4xf32>, tensor<16x4xf32>
}
"""


def test_rows_apart_are_waited_for_to_the_last() -> None:
    """%r, which is %v in another shape, ends at 496, not after the 256 bytes it has: %t at 256 waits for %m."""
    made, _ = program(Parser(new_context(), APART).parse_module(), 0, 1)
    frame = made.first_frame
    frame.bring([np.ones((16, 4), np.float32), np.ones((4, 4), np.float32)])
    product, exp = frame.steps[3], frame.steps[5]
    assert (product.op.name, exp.op.name) == ("blas.matmul", "nn.exp")
    assert frame.backend.address(exp.outs[0]) - frame.backend.address(product.ins[0]) == 256
    assert hazards_of(frame)[5] == {0, 1, 2, 3}


def test_places_that_were_planned_for_one_stream_keep_steps_in_order() -> None:
    """%c takes the place of %a, which %b must have read."""
    made, _ = program(BRANCHES, 0, 1)
    frame = made.first_frame
    frame.bring(INPUTS[0])
    assert 1 in hazards_of(frame)[2]


def test_calls_that_share_a_workspace_keep_their_order() -> None:
    made, _ = program(BRANCHES, 0, 2)
    frame = made.first_frame
    frame.bring(INPUTS[0])
    frame.backend = dataclasses.replace(frame.backend, relocatable=frozenset())
    hazards = hazards_of(frame)
    assert all(n - 1 in before for n, before in enumerate(hazards) if n)


@pytest.mark.parametrize(("module", "found"), [(BRANCHES, True), (CHAIN, False)])
def test_a_chain_has_no_branches(module: ModuleOp, found: bool) -> None:
    made, _ = program(module, 0, 1)
    assert not has_branches(made)  # it is not captured: by `compute`, results are new arrays
    made.first_frame.capturable = True
    assert has_branches(made) is found


@pytest.mark.parametrize("streams", ["0 : i64", "17 : i64", '"2"', "2.0 : f32"])
def test_no_number_of_streams(streams: str) -> None:
    """Texts are edited by hand."""
    planned = BRANCHES.clone()
    run_passes(planned, "plan-memory{streams=2}")
    text = str(planned).replace("nn.streams = 2 : i64", f"nn.streams = {streams}")
    module = Parser(new_context(), text).parse_module()
    with pytest.raises(CompileError, match=r"^nn.streams = .* is no number of streams \(1 to 16\)$"):
        Program(module, {}.__getitem__, BACKEND, {})


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["f32", "tf32", "f16"])
def test_on_a_gpu(cuda: Backend, precision: str) -> None:
    """A network of branches, with kernels of ours and of libraries: the bits of one stream, time after time."""
    made = Session(light_network("squeezenet", logits=True), device="cuda", precision=precision)
    shape = made.get_inputs()[0].shape
    x = cuda.xp.asarray(np.random.default_rng(0).standard_normal(shape, dtype=np.float32))
    programs: list[Program] = []
    for streams in (1, 2, 4):
        module = made.compile([shape])
        run_passes(module, f"plan-memory{{streams={streams}}}")
        programs.append(Program(module, made._parameters.__getitem__, cuda, {}))
    assert has_branches(programs[0])
    (expected,) = programs[0].run([x])
    for _ in range(20):
        for other in programs[1:]:
            (result,) = other.run([x])
            cuda.xp.testing.assert_array_equal(result, expected)
