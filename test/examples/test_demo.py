"""`make demo` says what it should, in process."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def demo() -> ModuleType:
    """The module examples/demo.py, which is in no package."""
    spec = importlib.util.spec_from_file_location("demo", EXAMPLES / "demo.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sections(demo: ModuleType, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What the demo prints under each of its headings."""
    demo.main(effort=0)
    return capsys.readouterr().out.split("\n== ")[1:]


def test_what_is_printed(sections: list[str], demo: ModuleType) -> None:
    imported, fused, lowered, run = sections
    assert imported.count("nn.relu") == 6 and "activation = relu" not in imported
    assert fused.count("activation = relu") == 5 and fused.count("nn.relu") == 1
    assert fused.count("remark: relu") == 5 and fused.count("remark: bn") == 5
    assert lowered.count(" blas.matmulrelu ") == 4 and lowered.count(" blas.gemmrelu ") == 1
    match = re.search(r"accuracy on 450 held-out digits: ([\d.]+) \((\d+) right\)", run)
    assert match and 0.97 <= float(match[1]) <= 1 and float(match[1]) == round(int(match[2]) / 450, 4)
    assert "predictions equal to ONNX Runtime's: 450 of 450\n" in run
    assert re.findall(r"batch +(\d+): fused +[\d.]+ ms, unfused +[\d.]+ ms", run) == ["1", "32", "450"]
    for section in sections:
        assert "dense" not in section and "nn.parameter" not in section, "weights"
        assert max(map(len, section.splitlines())) <= 100


def test_accuracy_is_checked(demo: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    test = np.load(EXAMPLES / "digits_test.npz")
    session = demo.nnfuse.Session(demo.MODEL)
    with pytest.raises(SystemExit, match="accuracy is below"):
        demo.check_accuracy(session, test["x"], (test["labels"] + 1) % 10)


def test_predictions_are_compared(demo: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A network with other logits than the file that ONNX Runtime reads."""
    model = onnx.load(EXAMPLES / "digits.onnx")
    bias = next(t for t in model.graph.initializer if t.name == "fc2.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.eye(10, dtype=np.float32)[3] * 1e4, "fc2.bias"))
    images = np.load(EXAMPLES / "digits_test.npz")["x"]
    with pytest.raises(SystemExit, match="predictions differ"):
        demo.check_accuracy(demo.nnfuse.Session(model), images, np.full(len(images), 3))


def test_the_network_is_small() -> None:
    assert sum((EXAMPLES / name).stat().st_size for name in ("digits.onnx", "digits_test.npz")) < 1_000_000
