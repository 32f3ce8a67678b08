"""Fixtures of the tools' tests: a tool run in process, and small files for it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from nnfuse.tools import fuse_opt, fuse_run

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_main(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """`run_main(main, *arguments, text="")`: exit code, standard output and error, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(main: Callable[[list[str]], int], *arguments: str, text: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        code = main(list(arguments))
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def run(run_main: Run) -> Run:
    """`run(*arguments, text="")` of fuse-opt; see `run_main`."""
    return lambda *arguments, text="": run_main(fuse_opt.main, *arguments, text=text)


@pytest.fixture
def run_fuse_run(run_main: Run) -> Run:
    """`run_fuse_run(*arguments, text="")` of fuse-run; see `run_main`."""
    return lambda *arguments, text="": run_main(fuse_run.main, *arguments, text=text)


@pytest.fixture
def write_model() -> Callable[..., Path]:
    """`write_model(path, op_type="Relu", domain="")`: the path of a new `last(x + weight)`, x [N, 4, 8]."""

    def write(name: str, op_type: str = "Relu", domain: str = "") -> Path:
        weight = numpy_helper.from_array(np.linspace(-1, 1, 32, dtype=np.float32).reshape(4, 8), "weight")
        nodes = [
            helper.make_node("Add", ["x", "weight"], ["sum"], name="add1"),
            helper.make_node(op_type, ["sum"], ["y"], name="last", domain=domain),
        ]
        values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 4, 8]) for n in "xy"]
        graph = helper.make_graph(nodes, "g", values[:1], values[1:], [weight])
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid("my.domain", 1)]
        save(helper.make_model(graph, opset_imports=opsets, ir_version=10), name)
        return Path(name)

    return write
