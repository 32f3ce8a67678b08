"""fuse-run on networks with sequences and optionals: outputs of those, inputs refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from nnfuse.errors import CompileError
from nnfuse.runtime.session import Value
from nnfuse.tools.arrays import split_outputs

Run = Callable[..., tuple[int, str, str]]

OUTPUTS = """g (float[N,3] x) => (seq(float[N,2]) s, optional(float[N,3]) o, seq(float[N]) e, float[N,3] y) {
    l = Constant <value = int64 {2}> ()  s = SplitToSequence <axis=1> (x, l)  y = Relu(x)  o = Optional(x)
    e = SequenceEmpty() }"""
INPUTS = "g (seq(float[N]) s, float[2] x) => (seq(float[N]) t) { t = SequenceInsert(s, x) }"


def save(text: str) -> str:
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> {text}'), "net.onnx")
    return "net.onnx"


def test_outputs_are_printed_by_element(run_fuse_run: Run) -> None:
    """Each element has a row; what holds nothing says so."""
    code, out, _ = run_fuse_run(save(OUTPUTS), "--dim", "N=4")
    rows = [line.split()[:3] for line in out.splitlines()[1:]]
    assert code == 0 and rows == [
        ["s[0]", "4x2", "float32"],
        ["s[1]", "4x1", "float32"],
        ["o", "4x3", "float32"],
        ["y", "4x3", "float32"],
        ["e", "empty", "seq(float32)"],
    ]


def test_outputs_are_written_by_element(run_fuse_run: Run) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.savez("in.npz", x=x)
    assert run_fuse_run(save(OUTPUTS), "--input", "in.npz", "--output", "out.npz")[0] == 0
    with np.load("out.npz") as results:
        assert set(results) == {"s[0]", "s[1]", "o", "y"}
        np.testing.assert_array_equal(np.concatenate([results["s[0]"], results["s[1]"]], 1), x)


def test_compare_by_element(run_fuse_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each element is compared; a sequence of another length differs."""
    text = "g (float[4,3] x) => (seq(float[1,3]) s, float[4,3] y) { s = SplitToSequence(x)  y = Relu(x) }"
    code, out, err = run_fuse_run(save(text), "--compare")
    rows = [line.split() for line in out.splitlines()[1:6]]
    assert (code, [r[0] for r in rows]) == (0, ["s[0]", "s[1]", "s[2]", "s[3]", "y"]), err
    assert all(r[-1] == "ok" for r in rows)
    whole = [np.zeros((1, 3), np.float32)]
    monkeypatch.setattr("nnfuse.tools.compare.run_onnxruntime", lambda *unused: [whole, np.zeros((4, 3), np.float32)])
    code, _, err = run_fuse_run("net.onnx", "--compare")
    assert code == 3
    assert "the outputs are s[0], y for ONNX Runtime, but s[0], s[1], s[2], s[3], y here" in err


@pytest.mark.parametrize("options", [(), ("--input", "s=x.npy"), ("--input", "in.npz"), ("--shape", "s=2")])
def test_inputs_are_refused(run_fuse_run: Run, options: tuple[str, ...]) -> None:
    """Neither made nor read from files: in one line that says what does it."""
    np.save("x.npy", np.zeros(2, np.float32))
    np.savez("in.npz", s=np.zeros(2, np.float32), x=np.zeros(2, np.float32))
    what = "fuse-run neither reads nor makes an input of the type seq(float32) (run it in Python, by Session)"
    assert run_fuse_run(save(INPUTS), *options) == (2, "", f"fuse-run: s: {what}\n")


def test_check_and_pipeline(run_fuse_run: Run) -> None:
    """What runs nothing needs no sequence."""
    code, out, _ = run_fuse_run(save(INPUTS), "--check")
    assert code == 0 and out.splitlines()[-1] == (
        "net.onnx: 1 node: 1 supported, 0 expanded, 0 unsupported;"
        " compiled for s seq(float32), x 2: 1 operations in an arena of 0 bytes"
    )
    assert run_fuse_run("net.onnx", "--print-pipeline")[0] == 0


def test_elements_and_outputs_have_different_names() -> None:
    sequence, tensor = Value("s", (), "seq(float32)"), Value("s[0]", (1,), "float32")
    with pytest.raises(CompileError, match=r"an element of a sequence and another output are both called 's\[0\]'"):
        split_outputs([sequence, tensor], [[np.zeros(1)], np.zeros(1)])
