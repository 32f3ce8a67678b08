"""The tuner on a device that computes by NumPy and whose clock goes by what a kernel is said to take."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_device import TIMES, Change, FakeDevice
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.parser import Parser

from nnfuse.dialects.blas.products import BlasMatmulOp
from nnfuse.errors import CompileError, OutOfMemoryError
from nnfuse.runtime import tuning
from nnfuse.runtime.kernels.numpy import BACKEND
from nnfuse.runtime.pipelines import lower_pipeline, new_context, run_passes
from nnfuse.runtime.program import Program
from nnfuse.runtime.reference import main_function
from nnfuse.runtime.tuning import Tuner
from nnfuse.runtime.tuning_cache import TuningCache

LAYERS = """
func.func @main(%x: tensor<1x8x8x16xf16>, %y: tensor<1x8x8x16xf16>, %z: tensor<1x8x8x16xf16>) -> tensor<1x8x8x16xf16> {
  %w = nn.parameter "w" : tensor<16x3x3x16xf16>
  %u = nn.parameter "u" : tensor<16x3x3x16xf16>
  %a = nn.conv %x, %w pads [1, 1, 1, 1] layout = "nhwc" activation = relu : (tensor<1x8x8x16xf16>, tensor<16x3x3x16xf16>) -> tensor<1x8x8x16xf16>
  %b = nn.conv %a, %u pads [1, 1, 1, 1] layout = "nhwc" activation = relu : (tensor<1x8x8x16xf16>, tensor<16x3x3x16xf16>) -> tensor<1x8x8x16xf16>
  %c = nn.conv %b, %u pads [1, 1, 1, 1] layout = "nhwc" : (tensor<1x8x8x16xf16>, tensor<16x3x3x16xf16>) -> tensor<1x8x8x16xf16>
  func.return %c : tensor<1x8x8x16xf16>
}
"""  # noqa: E501
"""Two layers alike, and one without an activation."""

PRODUCTS = """
func.func @main(%a: tensor<4x8xf32>, %b: tensor<8x6xf32>, %c: tensor<6x6xf32>) -> tensor<4x6xf32> {
  %d = blas.matmul %a, %b : (tensor<4x8xf32>, tensor<8x6xf32>) -> tensor<4x6xf32>
  %e = blas.matmul %d, %c : (tensor<4x6xf32>, tensor<6x6xf32>) -> tensor<4x6xf32>
  func.return %e : tensor<4x6xf32>
}
"""


def tuner(device: FakeDevice, folder: Path, precision: str, told: list[Any] | None = None) -> Tuner:
    def lower(module: ModuleOp) -> None:
        run_passes(module, f"{lower_pipeline(precision)},plan-memory")

    backend = device.backend()
    cache = TuningCache(backend.describe(), folder)
    return Tuner(backend, precision, cache, lower, lambda *told_: None if told is None else told.append(told_))


def calls(module: ModuleOp) -> list[str]:
    return [op.attributes["nn.call"].data for op in main_function(module).walk() if "nn.call" in op.attributes]


def wrong(out: Any) -> None:
    out *= out.dtype.type(1.01)


def not_a_number(out: Any) -> None:
    out.reshape(-1)[3] = np.nan


def fails(out: Any) -> None:
    raise CompileError("it cannot be launched")


@pytest.mark.parametrize(
    ("changed", "spoils", "fastest"),
    [
        ({}, {}, "cudnn:precompiled:eng2"),
        ({"cudnn:runtime:eng3": 4.0}, {}, "cudnn:runtime:eng3"),
        ({"cuda:64x64/1": 3.0}, {}, "cuda:64x64/1"),
        ({"blas:a": 1.0}, {}, "blas"),
        ({"blas:a": 4.8}, {}, "blas"),
        ({"blas:a": 4.9}, {}, "cudnn:precompiled:eng2"),  # im2col writes what the GEMM reads again
        ({}, {"cudnn:precompiled:eng2": wrong}, "cuda:32x32/1"),
        ({}, {"cudnn:precompiled:eng2": not_a_number}, "cuda:32x32/1"),
        ({}, {"cudnn:precompiled:eng2": fails}, "cuda:32x32/1"),
        ({}, {c: fails for c in TIMES if c.startswith("c")}, "blas"),
        ({}, dict.fromkeys(TIMES, fails), "blas"),  # what the program then says, it says itself
    ],
)
def test_the_fastest_that_is_right(
    changed: dict[str, float], spoils: dict[str, Change], fastest: str, tmp_path: Path
) -> None:
    device = FakeDevice(TIMES | changed, spoils)
    module = Parser(new_context(), LAYERS).parse_module()
    tuner(device, tmp_path, "f16").tune_calls(module)
    assert calls(module) == [fastest] * 3
    run_passes(module, lower_pipeline("f16"))
    module.verify()
    names = [op.name for op in main_function(module).walk()]
    assert names.count(f"{fastest.split(':')[0]}.conv") == (0 if fastest == "blas" else 3)


@pytest.mark.parametrize(("first", "chosen"), [(8.2, "cudnn:runtime:eng4"), (8.3, "cuda:32x32/1")])
def test_plans_after_a_hopeless_one_are_not_built(first: float, chosen: str, tmp_path: Path) -> None:
    """Each takes a while to compile; the ones before it took 5.5 us at best, and the one after it would take 1."""
    device = FakeDevice(
        {"cuda:64x64/1": 9.0, "cuda:32x32/1": 5.5, "cudnn:runtime:eng3": first, "cudnn:runtime:eng4": 1.0}
    )
    module = Parser(new_context(), LAYERS).parse_module()
    tuner(device, tmp_path, "f16").tune_calls(module)
    assert calls(module) == [chosen] * 3
    assert device.timed["cudnn:runtime:eng4"] == (2 if chosen.endswith("eng4") else 0)


def test_layers_alike_are_timed_once_and_once_only(tmp_path: Path) -> None:
    """In one network, in the next session, and by what is told of the progress."""
    device, told = FakeDevice(TIMES), list[Any]()
    first = tuner(device, tmp_path, "f16", told)
    module = Parser(new_context(), LAYERS).parse_module()
    with first.kept():
        first.tune_calls(module)
    assert set(device.timed.values()) == {2}, "three convolutions, two of them alike"
    assert told == [(0, 2, "nn.conv"), (1, 2, "nn.conv"), (2, 2, "")]
    for again in (first, tuner(device, tmp_path, "f16", told)):
        told.clear()
        module = Parser(new_context(), LAYERS).parse_module()
        again.tune_calls(module)
        assert calls(module) == ["cudnn:precompiled:eng2"] * 3
        assert set(device.timed.values()) == {2} and told == [(2, 2, "")]
    tuner(device, tmp_path, "bf16").tune_calls(Parser(new_context(), LAYERS).parse_module())
    assert set(device.timed.values()) == {4}, "another precision is measured anew"


def test_algorithms_of_products(tmp_path: Path) -> None:
    """Those that none is chosen for yet; the wrong one is the fastest, and is not chosen."""
    device = FakeDevice({"blas:a": 3.0, "blas:b": 2.0, "blas:c": 1.0}, {"blas:c": wrong})
    module = Parser(new_context(), PRODUCTS).parse_module()
    first, second = (op for op in main_function(module).walk() if isinstance(op, BlasMatmulOp))
    second.attributes["blas.algorithm"] = StringAttr("mine")
    tuner(device, tmp_path, "f32").tune_algorithms(module)
    assert first.attributes["blas.algorithm"] == StringAttr("b")
    assert second.attributes["blas.algorithm"] == StringAttr("mine")
    assert device.timed == {"blas:a": 1, "blas:b": 1, "blas:c": 1}


def test_an_interrupted_tuning_is_kept(tmp_path: Path) -> None:
    """Ctrl-C in the second layer: the first is not timed again."""
    device = FakeDevice(TIMES)
    interrupted = tuner(device, tmp_path, "f16")

    def stop(done: int, total: int, what: str) -> None:
        if done == 1:
            raise KeyboardInterrupt

    interrupted.progress = stop
    module = Parser(new_context(), LAYERS).parse_module()
    with pytest.raises(KeyboardInterrupt), interrupted.kept():
        interrupted.tune_calls(module)
    assert set(device.timed.values()) == {1}
    tuner(device, tmp_path, "f16").tune_calls(module)
    assert set(device.timed.values()) == {2}


def planned(text: str) -> ModuleOp:
    module = Parser(new_context(), text).parse_module()
    run_passes(module, "plan-memory")
    return module


class Timed:
    """A device on which a run takes what is said for the program's number of streams; it opens any number of them."""

    def __init__(self, takes: dict[int, float]):
        self.takes, self.runs, self.short = takes, list[int](), ""
        self.programs: list[weakref.ref[Program]] = []

    @property
    def backend(self) -> Any:
        return dataclasses.replace(BACKEND, streams=lambda count: nullcontext(), elapsed=self.elapsed)

    def load(self, module: ModuleOp) -> Any:
        program = Program(module, {}.__getitem__, self.backend, {})
        self.programs.append(weakref.ref(program))
        streams = program.plan.streams
        self.check_memory("load", streams)
        run = program.run
        program.run = lambda inputs: (self.check_memory("run", streams), self.runs.append(streams), run(inputs))[2]
        return program

    def check_memory(self, what: str, streams: int) -> None:
        if self.short == what and streams > 1:
            raise OutOfMemoryError("the arena does not fit")

    def elapsed(self, launch: Any, repeats: int) -> float:
        launch()
        return self.takes[self.runs[-1]]

    def tuner(self, folder: Path) -> Tuner:
        return Tuner(self.backend, "f32", TuningCache({"device": "fake"}, folder), lambda module: None)


@pytest.mark.parametrize(("takes", "streams"), [({1: 5.0, 2: 4.0}, 2), ({1: 4.0, 2: 5.0}, 1), ({1: 5.0, 2: 4.95}, 1)])
def test_branches_run_side_by_side_where_that_is_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, takes: dict[int, float], streams: int
) -> None:
    """And not for the hundredth that two measurements of one thing differ by."""
    monkeypatch.setattr(tuning, "has_branches", lambda program: True)
    timed = Timed(takes)
    for measured in (True, False):  # then it is known
        timed.programs.clear()
        timed.runs.clear()
        tuner = timed.tuner(tmp_path)
        with tuner.kept():
            kept = tuner.load(planned(PRODUCTS), timed.load)
        assert kept.plan.streams == streams
        assert (set(timed.runs), len(timed.programs)) == (({1, 2}, 2) if measured else (set(), 1))
        assert [p() for p in timed.programs if p() is not None] == [kept]  # the other's memory is free
        del kept
        gc.collect()


@pytest.mark.parametrize("when", ["load", "run"])
def test_one_stream_where_memory_is_short(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tuning, "has_branches", lambda program: True)
    timed = Timed({1: 5.0})
    timed.short = when
    assert timed.tuner(tmp_path).load(planned(PRODUCTS), timed.load).plan.streams == 1
    assert caplog.messages == ["branches are not tried side by side: the arena does not fit"]


def test_a_chain_is_not_timed(tmp_path: Path) -> None:
    timed = Timed({})
    assert timed.tuner(tmp_path).load(planned(PRODUCTS), timed.load).plan.streams == 1 and not timed.runs
