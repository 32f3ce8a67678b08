"""Saved programs: they run without the model, give the same bits, and are not tuned again; nothing is half written."""

from __future__ import annotations

import dataclasses
import errno
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401 (its types by name)
import numpy as np
import onnx
import pytest
from fake_device import TIMES, FakeDevice
from onnx import TensorProto, helper, parser

from nnfuse.errors import CompileError, UnsupportedError
from nnfuse.runtime import saved, session
from nnfuse.runtime.kernels import get_backend
from nnfuse.runtime.session import Session

HEADER = '<ir_version: 10, opset_import: ["": 21]> '
NETWORK = """g (float[N,4,8,8] x, float[16,4,3,3] w, float[16] b, float[16,16,3,3] u, float[16,5] d, float[5] e)
  => (float[N,5] z)
  { c = Conv <pads = [1, 1, 1, 1]> (x, w, b)  r = Relu(c)  s = Conv <pads = [1, 1, 1, 1]> (r, u)  t = Add(s, r)
    y = Relu(t)  p = GlobalAveragePool(y)  f = Flatten(p)  z = Gemm(f, d, e) }"""
BRANCHES = """g (bool x1, float[2,3] x, float[3,4] w, float[4] v) => (float[2,4] y) {
    y = If (x1) <
      then_branch = t () => (float[2,4] p) { k = Constant <value_float = 2.0> ()  q = MatMul (x, w)  p = Mul (q, k) },
      else_branch = e () => (float[2,4] q) { m = MatMul (x, w)  q = Add (m, v) }
    >
  }"""


@pytest.fixture
def network(model_of: Callable[..., Any]) -> tuple[onnx.ModelProto, Any]:
    """The model and an input."""
    model, feeds = model_of(NETWORK)
    return model, feeds["x"]


def save(model: onnx.ModelProto, folder: Path, shapes: list[Any], **options: Any) -> Session:
    """The session of a model whose file is gone, after it was saved in `folder` as p.mlir."""
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    made = Session(folder / "m.onnx", **options)
    made.save(folder / "p.mlir", shapes)
    (folder / "m.onnx").unlink()
    return made


def forbid_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: Any) -> None:
        raise AssertionError("a pass runs on a saved program")

    monkeypatch.setattr(session, "run_passes", forbidden)


def test_same_bits_without_the_model(network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = network
    made = save(model, tmp_path, [x.shape])
    (expected,) = made.run(None, {"x": x})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.mlir", "p.safetensors"]
    text = (tmp_path / "p.mlir").read_text()
    assert "@prepare" not in text and "m.onnx" not in text
    folder = tmp_path.with_name("moved")
    tmp_path.rename(folder)
    forbid_passes(monkeypatch)
    loaded = Session(folder / "p.mlir")
    (result,) = loaded.run(None, {"x": x})
    np.testing.assert_array_equal(result, expected)
    assert np.ptp(result) > 0.1
    with pytest.raises(CompileError, match="dimension 0 of the input is"):
        loaded.run(None, {"x": x[:1]})
    loaded.save(folder / "p.mlir", [x.shape])  # over itself
    assert (folder / "p.mlir").read_text() == text
    np.testing.assert_array_equal(Session(folder / "p.mlir").run(None, {"x": x})[0], expected)


def test_parameters_of_branches(model_of: Callable[..., Any], tmp_path: Path) -> None:
    model, feeds = model_of(BRANCHES)
    shapes = [feeds[v.name].shape for v in Session(model).get_inputs()]
    made = save(model, tmp_path, shapes)
    loaded = Session(tmp_path / "p.mlir")
    for chosen in (True, False):
        fed = feeds | {"x1": np.array(chosen)}
        np.testing.assert_array_equal(loaded.run(None, fed)[0], made.run(None, fed)[0])


def test_node_names_and_no_parameters(tmp_path: Path) -> None:
    model = parser.parse_model(HEADER + "g (float[N] x) => (float[N] y) { y = Sin (x) }")
    model.graph.node[0].name = "the sine"
    save(model, tmp_path, [(3,)])
    assert [p.name for p in tmp_path.iterdir()] == ["p.mlir"]
    loaded = Session(tmp_path / "p.mlir")
    assert 'loc("the sine")' in (tmp_path / "p.mlir").read_text()
    np.testing.assert_allclose(loaded.run(None, {"x": np.ones(3, np.float32)})[0], np.sin(1), rtol=1e-6)


# Tuned, on a device that NumPy computes for


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeDevice:
    """What `device="cuda"` is."""
    fake = FakeDevice(TIMES | {"cuda:64x64/1": 3.0})
    monkeypatch.setattr(session, "get_backend", lambda name: fake.backend())
    monkeypatch.setenv("NNFUSE_CACHE", str(tmp_path / "cache"))
    return fake


@pytest.mark.parametrize("precision", ["tf32", "f16", "bf16"])
def test_tuned_choices_are_kept(
    precision: str, device: FakeDevice, network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = network
    made = save(model, tmp_path, [x.shape], device="cuda", precision=precision, tune=True)
    (expected,) = made.run(None, {"x": x})
    text, timed = (tmp_path / "p.mlir").read_text(), dict(device.timed)
    assert 'plan = "64x64/1"' in text and 'nn.tuned_on = {device = "fake", cudnn = "1"}' in text
    assert ('compute_type = "tf32"' in text) == (precision == "tf32" and "blas.gemm" in text)
    forbid_passes(monkeypatch)
    for path in (tmp_path / "cache").iterdir():
        path.unlink()
    loaded = Session(tmp_path / "p.mlir", device="cuda")
    (result,) = loaded.run(None, {"x": x})
    np.testing.assert_array_equal(result, expected)
    assert timed and dict(device.timed) == timed, "nothing is timed again"
    loaded.save(tmp_path / "again.mlir", [x.shape])
    assert (tmp_path / "again.mlir").read_text().replace("again.", "p.") == text, "nothing is undone"


def test_choices_of_another_machine_are_not_used(
    device: FakeDevice, network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model, x = network
    made = save(model, tmp_path, [x.shape], device="cuda", precision="f16", tune=True)
    with caplog.at_level(logging.WARNING, "nnfuse"):
        Session(tmp_path / "p.mlir", device="cuda")
        Session(tmp_path / "p.mlir")  # where nothing is chosen from
    assert not caplog.records
    other = dataclasses.replace(device.backend(), describe=lambda: {"device": "fake", "cudnn": "2"})
    monkeypatch.setattr(session, "get_backend", lambda name: other)
    with caplog.at_level(logging.WARNING, "nnfuse"):
        loaded = Session(tmp_path / "p.mlir", device="cuda")
    assert caplog.messages == [
        "the program was tuned for cudnn 1, device fake, but here is cudnn 2, device fake: its algorithms are not used,"
        " tune and save it again"
    ]
    assert "plan = " not in str(loaded.module) and "plan = " in str(made.compile([x.shape]))
    np.testing.assert_array_equal(loaded.run(None, {"x": x})[0], made.run(None, {"x": x})[0])


def test_a_planned_program_is_as_it_stands(device: FakeDevice, network: Any, tmp_path: Path) -> None:
    model, x = network
    save(model, tmp_path, [x.shape])
    hint = "its precision and algorithms stand in it (ask for it when the program is made)"
    for options, what in (({"precision": "f16"}, "computed in f16"), ({"tune": True}, "tuned")):
        with pytest.raises(CompileError) as error:
            Session(tmp_path / "p.mlir", device="cuda", **options)
        assert str(error.value) == f"a planned program cannot be {what}: {hint}"


# What cannot be saved


def test_a_name_that_is_none(network: Any, tmp_path: Path) -> None:
    made = Session(network[0])
    for name, line in (
        ("p.onnx", f"a program is saved as IR, but '{tmp_path}/p.onnx' is no name for it (name it FILE.mlir)"),
        ("none/p.mlir", f"cannot write '{tmp_path}/none/p.mlir': there is no folder '{tmp_path}/none'"),
    ):
        with pytest.raises(CompileError) as error:
            made.save(tmp_path / name, [network[1].shape])
        assert str(error.value) == line
    (tmp_path / "p.mlir").mkdir()
    with pytest.raises(CompileError, match=r"cannot write .*: Is a directory"):
        made.save(tmp_path / "p.mlir", [network[1].shape])
    assert [p.name for p in tmp_path.iterdir()] == ["p.mlir"]


def test_a_full_disk_leaves_what_was_there(network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = network
    made = save(model, tmp_path, [x.shape])
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for where, name in ((saved.Printer, "print_op"), (saved, "write_parameters")):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, full)
            with pytest.raises(CompileError, match=r"cannot write .*p\.mlir' and 'p\.safetensors': No space left"):
                made.save(tmp_path / "p.mlir", [x.shape])
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize(("kind", "dtype"), [(TensorProto.INT4, "int4"), (TensorProto.FLOAT8E4M3FN, "float8_e4m3fn")])
def test_a_parameter_that_cannot_be_stored(kind: int, dtype: str, tmp_path: Path) -> None:
    """Others are cast in @prepare, but what an index picks is there as it is."""
    values = (np.arange(2000) % 8).astype(dtype).reshape(1000, 2)
    weight = helper.make_tensor("w", kind, [1000, 2], np.arange(2000) % 8)
    nodes = [
        helper.make_node("Gather", ["w", "i"], ["v"]),
        helper.make_node("Cast", ["v"], ["y"], to=TensorProto.FLOAT),
    ]
    inputs = [helper.make_tensor_value_info("i", TensorProto.INT64, [3])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3, 2])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [weight])
    made = Session(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))
    i = np.array([3, 0, 2])
    np.testing.assert_array_equal(made.run(None, {"i": i})[0], values.astype(np.float32)[i])
    with pytest.raises(UnsupportedError) as error:
        made.save(tmp_path / "p.mlir", [(3,)])
    assert str(error.value) == f"the parameter 'w' of {dtype} cannot be saved"
    assert not list(tmp_path.iterdir())


# On a GPU


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["f32", "tf32", "f16", "bf16"])
def test_tuned_on_a_gpu(precision: str, network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saved as tuned: the same bits, in a session that may neither tune nor run a pass, and reads no cache."""
    try:
        get_backend("cuda")
    except CompileError as e:
        pytest.skip(str(e))
    model, x = network
    monkeypatch.setenv("NNFUSE_CACHE", str(tmp_path / "cache"))
    made = save(model, tmp_path, [x.shape], device="cuda", precision=precision, tune=True)
    (expected,) = made.run(None, {"x": x})
    text = (tmp_path / "p.mlir").read_text()
    assert ".algorithm" in text or "plan = " in text
    forbid_passes(monkeypatch)
    monkeypatch.setenv("NNFUSE_CACHE", str(tmp_path / "no cache"))
    loaded = Session(tmp_path / "p.mlir", device="cuda")
    (result,) = loaded.run(None, {"x": x})
    np.testing.assert_array_equal(result, expected)
    loaded.save(tmp_path / "again.mlir", [x.shape])
    assert (tmp_path / "again.mlir").read_text().replace("again.", "p.") == text
    assert not (tmp_path / "no cache").exists()
