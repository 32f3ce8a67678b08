"""Plans of cuDNN on disk: found again, and ignored with a note where they are not what was written."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from xdsl.parser import Parser

from nnfuse.dialects.cudnn import CudnnConvOp
from nnfuse.runtime.kernels import Backend
from nnfuse.runtime.kernels.cupy import library, plan_cache
from nnfuse.runtime.kernels.cupy.cudnn import ConvGraph, Plan
from nnfuse.runtime.kernels.cupy.plan_cache import plan_path, read_plan, write_plan
from nnfuse.runtime.pipelines import new_context, run_passes
from nnfuse.runtime.program import Program
from nnfuse.runtime.reference import evaluate, main_function
from nnfuse.runtime.timing import no_parameters
from nnfuse.runtime.tolerance import RELATIVE_L2, relative_l2

TEXT = """
func.func @main(%x: tensor<2x6x6x8xf16>, %w: tensor<16x3x3x8xf16>) -> tensor<2x4x4x16xf16> {
  %y = cudnn.conv %x, %w spelling = "runtime" strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] layout = "nhwc" activation = swish<1.0> : (tensor<2x6x6x8xf16>, tensor<16x3x3x8xf16>) -> tensor<2x4x4x16xf16>
  func.return %y : tensor<2x4x4x16xf16>
}
"""  # noqa: E501


def convolution(text: str = TEXT) -> CudnnConvOp:
    """The op of a module, which it keeps alive."""
    op = main_function(Parser(new_context(), text).parse_module()).body.block.first_op
    assert isinstance(op, CudnnConvOp)
    return op


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """A machine without a GPU, and an empty cache folder."""
    said = {"device": "fake", "cudnn": "1"}
    monkeypatch.setenv("NNFUSE_CACHE", str(tmp_path))
    monkeypatch.setattr(library, "describe", lambda: said)
    monkeypatch.setattr(library, "current_device", lambda: 0)
    monkeypatch.setattr(library, "cudnn", lambda: SimpleNamespace(__version__="1"))
    plan_cache._machine.cache_clear()
    return said


def test_a_plan_is_found_again_by_what_it_is_for(machine: dict[str, str], tmp_path: Path) -> None:
    path = plan_path(convolution())
    assert path.parent == tmp_path and path == plan_path(convolution())
    others = [
        TEXT.replace("swish<1.0>", "relu"),
        TEXT.replace('spelling = "runtime"', 'spelling = "runtime" plan = "eng4"'),
        TEXT.replace("2x6x6", "3x6x6").replace("2x4x4", "3x4x4"),
        TEXT.replace("f16", "bf16"),
    ]
    paths = {path, *(plan_path(convolution(text)) for text in others)}
    machine["cudnn"] = "2"
    plan_cache._machine.cache_clear()
    assert len(paths | {plan_path(convolution())}) == 6
    planned = TEXT.replace("swish<1.0>", "swish<1.0> {place = array<i64: 512>}")
    assert plan_path(convolution(planned)) == plan_path(convolution()), "where the result lies is no matter"


def test_what_is_written_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "new folder" / "a.plan"
    assert read_plan(path) is None
    write_plan(path, b"compiled")
    write_plan(path, b"compiled anew")
    assert read_plan(path) == b"compiled anew" and os.listdir(path.parent) == ["a.plan"] and not caplog.messages


@pytest.mark.parametrize("change", ["cut", "bit", "empty", "large", "writable", "folder"])
def test_others_are_ignored_with_a_note(
    change: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.plan"
    write_plan(path, b"compiled")
    content = path.read_bytes()
    if change == "writable":
        path.chmod(0o620)
    elif change == "folder":
        path.unlink()
        path.mkdir()
    elif change == "large":
        monkeypatch.setattr(plan_cache, "MOST_BYTES", 39)
    else:
        path.write_bytes({"cut": content[:-1], "bit": content[:-1] + b"D", "empty": b""}[change])
    assert read_plan(path) is None
    (message,) = caplog.messages
    assert message.startswith(f"the cuDNN plan in {path} is ignored: ")


def test_a_folder_that_cannot_be_written_costs_a_note(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    write_plan(tmp_path / "file" / "a.plan", b"compiled")
    assert len(caplog.messages) == 1 and caplog.messages[0].startswith("a cuDNN plan is not kept: ")


def fake_graph(built: list[str | None], restores: Any) -> Any:
    """A graph whose plans are built by a list that remembers it, and restored by `restores`."""
    graph = SimpleNamespace(op=convolution(), graph=SimpleNamespace(serialize=lambda as_bytes: b"compiled"))
    graph.plan = lambda name: built.append(name) or Plan("eng4", 0, lambda buffers, scratch: None)
    graph._restored = restores
    return graph


def test_the_second_load_compiles_nothing(machine: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    built: list[str | None] = []
    graph = fake_graph(built, lambda content, name: (content, name))
    assert ConvGraph.kept_plan(graph, "eng4").name == "eng4" and built == ["eng4"]
    assert ConvGraph.kept_plan(graph, "eng4") == (b"compiled", "eng4") and built == ["eng4"]
    assert not caplog.messages


def test_a_plan_that_cudnn_refuses_is_built_anew(machine: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    def refuses(content: bytes, name: str) -> Plan:
        raise RuntimeError("another architecture")

    built: list[str | None] = []
    graph = fake_graph(built, refuses)
    for _ in range(2):
        assert ConvGraph.kept_plan(graph, None).name == "eng4"
    assert built == [None, None]
    (message,) = caplog.messages
    assert message.endswith("is ignored: another architecture")


@pytest.mark.gpu
@pytest.mark.parametrize("activation", ["swish<1.0>", "hard_swish", "clip<0.0, 6.0>"])
def test_on_the_device(
    cuda: Backend, activation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Built, restored, and restored from a file that cuDNN does not understand; the numbers of hard_swish included."""
    monkeypatch.setenv("NNFUSE_CACHE", str(tmp_path))
    plan_cache._machine.cache_clear()  # another test's machine
    module = Parser(new_context(), TEXT.replace("swish<1.0>", activation)).parse_module()
    func = main_function(module.clone())
    run_passes(module, "plan-memory")
    rng = np.random.default_rng(3)
    inputs = [(rng.standard_normal(d) * 2).astype(np.float16) for d in ((2, 6, 6, 8), (16, 3, 3, 8))]
    (expected,) = evaluate(func, [i.astype(np.float64) for i in inputs], no_parameters, np, wide=True)
    restored: list[str] = []
    restore = ConvGraph._restored
    monkeypatch.setattr(ConvGraph, "_restored", lambda self, *a: (restored.append(a[1]), restore(self, *a))[1])

    def result() -> Any:
        (y,) = Program(module, no_parameters, cuda, {}).run([cuda.xp.asarray(i) for i in inputs])
        return y.get()

    first = result()
    assert relative_l2(first.astype(np.float64), expected) <= RELATIVE_L2["f16"]
    assert not restored and len(os.listdir(tmp_path)) == 1
    np.testing.assert_array_equal(result(), first)
    assert restored == ["kept"] and not caplog.messages
    (path,) = tmp_path.iterdir()
    write_plan(path, b"something else")
    np.testing.assert_array_equal(result(), first)
    assert len(caplog.messages) == 1 and read_plan(path) not in (None, b"something else")
