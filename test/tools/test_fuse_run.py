"""fuse-run: what each option does, on ONNX models and on IR of several levels."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from nnfuse.dialects.nn.activations import ReluOp
from nnfuse.dialects.nn.trigonometry import CosOp, SinOp
from nnfuse.runtime import session as session_module
from nnfuse.runtime.kernels.numpy import BACKEND
from nnfuse.runtime.loading import parse_file
from nnfuse.runtime.pipelines import new_context
from nnfuse.runtime.session import Session
from nnfuse.tools import arrays, fuse_opt, measure
from nnfuse.tools.report import print_table
from nnfuse.tools.threads import blas_threads

Run = Callable[..., tuple[int, str, str]]
Writer = Callable[..., Path]

RELU = """func.func @main(%x: tensor<?x3xf32>) -> tensor<?x3xf32> {
  %y = nn.relu %x : tensor<?x3xf32>
  func.return %y : tensor<?x3xf32>
}
"""


@pytest.fixture
def conv_model(run_fuse_run: Run) -> str:
    """The name of a new model relu(conv(x) + bias), x [N, 2, 6, 6], with a second output of integers."""
    random = np.random.default_rng(7)
    weights = [
        numpy_helper.from_array(random.standard_normal((4, 2, 3, 3), np.float32), "w"),
        numpy_helper.from_array(random.standard_normal(4, np.float32), "b"),
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], name="conv1"),
        helper.make_node("Relu", ["c"], ["y"], name="relu1"),
        helper.make_node("Shape", ["y"], ["s"], name="shape1"),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 6, 6])]
    outputs = [
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4, 4, 4]),
        helper.make_tensor_value_info("s", TensorProto.INT64, [4]),
    ]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), "conv.onnx")
    return "conv.onnx"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measures for a moment only."""
    for name in ("WARM_UP_SECONDS", "BENCH_SECONDS", "PROFILE_SECONDS"):
        monkeypatch.setattr(measure, name, 0.0)


def ort_outputs(path: str, x: Any, ort: Callable[..., list[Any]]) -> list[Any]:
    return ort(onnx.load(path), {"x": x})


def test_prints_the_outputs(run_fuse_run: Run, write_model: Writer) -> None:
    write_model("net.onnx")
    np.save("x.npy", np.zeros((2, 4, 8), np.float32))
    code, out, err = run_fuse_run("net.onnx", "--input", "x=x.npy")
    assert (code, err) == (0, "")
    header, row = out.splitlines()
    assert header.split() == ["output", "shape", "dtype", "min", "mean", "max"]
    weights = np.maximum(np.linspace(-1, 1, 32, dtype=np.float32), 0)
    assert row.split() == ["y", "2x4x8", "float32", "0", f"{weights.mean(dtype=np.float64):.6g}", "1"]


def test_input_files(run_fuse_run: Run, conv_model: str, ort: Callable[..., list[Any]]) -> None:
    """.npy, .npz by array name, .npz by input name, other orders of bytes and axes: all the same outputs."""
    x = np.random.default_rng(1).standard_normal((3, 2, 6, 6), np.float32)
    np.save("x.npy", x)
    np.save("fortran.npy", np.asfortranarray(x))
    np.save("big.npy", x.astype(">f4"))
    np.savez("x.npz", x=x)
    np.savez_compressed("two.npz", x=x, other=x)
    np.savez("one.npz", something=x)
    truth = ort_outputs(conv_model, x, ort)
    for option in ("x=x.npy", "x=fortran.npy", "x=big.npy", "x.npz", "x=x.npz", "x=two.npz", "x=one.npz"):
        assert run_fuse_run(conv_model, "--input", option, "--output", "out.npz") == (0, "", ""), option
        with np.load("out.npz", allow_pickle=False) as result:
            assert sorted(result) == ["s", "y"]
            np.testing.assert_allclose(result["y"], truth[0], rtol=1e-5, atol=1e-5)
            np.testing.assert_array_equal(result["s"], [3, 4, 4, 4])


def test_an_npz_may_hold_more_than_inputs(run_fuse_run: Run, conv_model: str, ort: Callable[..., list[Any]]) -> None:
    """Expected outputs, for one: they are named on standard error, and not even read."""
    x = np.random.default_rng(1).standard_normal((3, 2, 6, 6), np.float32)
    np.savez("case.npz", **{"x": x, "y": np.array([None]), "new\nline": x})
    code, out, err = run_fuse_run(conv_model, "--input", "case.npz", "--output", "out.npz")
    assert (code, out) == (0, "")
    assert err == "fuse-run: warning: 'case.npz' holds y, new\\nline too, which are no inputs: not read\n"
    np.testing.assert_allclose(np.load("out.npz")["y"], ort_outputs(conv_model, x, ort)[0], rtol=1e-5, atol=1e-5)


def test_an_output_file_is_whole_or_not_there(
    run_fuse_run: Run, conv_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("out.npz").write_text("old")
    np.save("bad.npy", np.zeros((1, 2, 6, 7), np.float32))
    before = sorted([*os.listdir(), "x.npz"])
    assert run_fuse_run(conv_model, "--output", "out.npz")[0] == 1
    assert run_fuse_run(conv_model, "--input", "x=bad.npy", "--output", "out.npz")[0] == 1
    write = arrays.npy.write_array
    written: list[Any] = []

    def fail_at_the_second(stream: Any, array: Any, **options: Any) -> None:
        written.append(array)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        write(stream, array, **options)

    monkeypatch.setattr(arrays.npy, "write_array", fail_at_the_second)
    code, out, err = run_fuse_run(conv_model, "--dim", "N=1", "--output", "out.npz")
    assert (code, out, err.splitlines()[1:]) == (1, "", ["fuse-run: No space left on device"]) and len(written) == 2
    assert Path("out.npz").read_text() == "old"
    assert sorted([*os.listdir(), "x.npz"]) == before


def test_any_output_name_can_be_written() -> None:
    stream = io.BytesIO()
    values = {"file": np.arange(3), "allow_pickle": np.float32(2), "a/b:0": np.zeros((0, 2), np.int8)}
    arrays.write_npz(stream, values)
    stream.seek(0)
    with np.load(stream, allow_pickle=False) as result:
        assert {name: result[name].tolist() for name in result} == {k: v.tolist() for k, v in values.items()}


def test_shapes_and_dims(run_fuse_run: Run, conv_model: str) -> None:
    for options in (["--dim", "N=3"], ["--shape", "x=3x2x6x6"], ["--shape", "x=3x2x6x6", "--dim", "N=3"]):
        code, out, err = run_fuse_run(conv_model, *options)
        assert (code, err) == (0, "fuse-run: generated from seed 0: x (3x2x6x6 float32)\n")
        assert re.search(r"^y +3x4x4x4 +float32 ", out, re.M)
    assert re.search(r"^y +0x4x4x4 +float32 +- +- +-$", run_fuse_run(conv_model, "--dim", "N=0")[1], re.M)


def test_two_inputs_share_a_dim(run_fuse_run: Run) -> None:
    """A fed array gives the size of a dim to the inputs that are generated."""
    text = """func.func @main(%a: tensor<?x3xf32> {nn.name = "a", nn.dims = ["N", ""]},
                              %b: tensor<?x3xf32> {nn.name = "b", nn.dims = ["N", ""]}) -> tensor<?x3xf32> {
      %y = nn.add %a, %b : tensor<?x3xf32>
      func.return %y : tensor<?x3xf32>
    }"""
    np.save("a.npy", np.zeros((5, 3), np.float32))
    code, out, err = run_fuse_run("-", "--input", "a=a.npy", text=text)
    assert (code, err) == (0, "fuse-run: generated from seed 0: b (5x3 float32)\n")
    assert " 5x3 " in out
    code, out, err = run_fuse_run("-", "--input", "a=a.npy", "--dim", "N=4", text=text)
    assert (code, err) == (1, "fuse-run: a: dimension 0 ('N') of the input is 4, but 5x3 is given\n")


def test_generated_inputs(run_fuse_run: Run, conv_model: str) -> None:
    """Normal floats, small non-negative integers, booleans; one seed, one array, whatever else is fed."""
    session = Session(conv_model)
    x = session.get_inputs()[0]
    kinds = [type(x)(t, (64,), t) for t in ("float32", "float16", "bfloat16", "int64", "uint8", "bool")]
    shapes = [(64,)] * len(kinds)
    made = arrays.generate(kinds, shapes, {}, 0, 1 << 20)
    assert [a.dtype.name for a in made.values()] == [v.type for v in kinds]
    assert all(0.5 < made[t].astype(np.float64).std() < 1.5 for t in ("float32", "float16", "bfloat16"))
    assert set(made["int64"].tolist()) == {0, 1, 2, 3} and set(made["bool"].tolist()) == {False, True}
    again = arrays.generate(kinds, shapes, {"float32": made["float32"]}, 0, 1 << 20)
    assert "float32" not in again and all(np.array_equal(again[k], made[k]) for k in again)
    other = arrays.generate(kinds, shapes, {}, 1, 1 << 20)
    assert not np.array_equal(other["float32"], made["float32"])
    outputs = [run_fuse_run(conv_model, "--dim", "N=1", "--seed", seed)[1] for seed in "001"]
    assert outputs[0] == outputs[1] != outputs[2]


@pytest.mark.parametrize("level", ["nn", "fused", "specialised", "blas", "hoisted", "planned"])
def test_levels_of_ir(run_fuse_run: Run, conv_model: str, level: str, ort: Callable[..., list[Any]]) -> None:
    x = np.random.default_rng(2).standard_normal((3, 2, 6, 6), np.float32)
    np.save("x.npy", x)
    whole = run_fuse_run(conv_model, "--dim", "N=3", "--print-pipeline")[1].strip()
    until = {
        "nn": "",
        "fused": whole.partition(",specialize")[0],
        "specialised": whole.partition(",canonicalize,expand")[0],
        "blas": whole.partition(",hoist")[0],
        "hoisted": whole.partition(",plan")[0],
        "planned": whole,
    }[level]
    Path("ir").mkdir()
    assert fuse_opt.main([conv_model, "-p", until, "-o", "ir/net.mlir"]) == 0
    assert ("arena" in Path("ir/net.mlir").read_text()) == (level == "planned")
    assert run_fuse_run("ir/net.mlir", "--input", "x=x.npy", "--output", "out.npz") == (0, "", "")
    truth = ort_outputs(conv_model, x, ort)
    np.testing.assert_allclose(np.load("out.npz")["y"], truth[0], rtol=1e-5, atol=1e-5)


def test_ir_on_standard_input(run_fuse_run: Run) -> None:
    code, out, err = run_fuse_run("-", "--dim", "value_0_dim_0=2", text=RELU)
    assert (code, err) == (0, "fuse-run: generated from seed 0: value_0 (2x3 float32)\n")
    assert " 2x3 " in out


def test_print_pipeline(run_fuse_run: Run, conv_model: str) -> None:
    """Pasted into fuse-opt -p, it makes the very program that Session runs."""
    for model, dims, shape in ((conv_model, "N=3", (3, 2, 6, 6)), ("relu.mlir", "value_0_dim_0=3", (3, 3))):
        Path("relu.mlir").write_text(RELU)
        for options in ([], ["--no-fuse"]):
            code, out, err = run_fuse_run(model, "--dim", dims, "--print-pipeline", *options)
            assert (code, err) == (0, "") and out.count("\n") == 1
            assert f'specialize-shapes{{dims="{dims}"}}' in out
            assert ("fuse-activation" in out) == (not options)
            assert fuse_opt.main([model, "-p", out.strip(), "-o", "planned.mlir"]) == 0
            expected = Session(model, fuse=not options).compile([shape])
            text = str(parse_file(Path("planned.mlir"), new_context()))
            assert text[text.index("func.func") :].strip() == str(expected)[str(expected).index("func.func") :].strip()
    assert fuse_opt.main([conv_model, "-p", out.strip().replace("value_0_dim_0", "N"), "-o", "planned.mlir"]) == 0
    assert run_fuse_run("planned.mlir", "--print-pipeline") == (0, "\n", "")


def test_no_fuse(run_fuse_run: Run, conv_model: str, quick: None) -> None:
    fused = run_fuse_run(conv_model, "--dim", "N=1", "--profile")[1]
    apart = run_fuse_run(conv_model, "--dim", "N=1", "--profile", "--no-fuse")[1]
    assert re.search(r"^conv1\+relu1 +blas.matmulrelu ", fused, re.M) and "nn.relu" not in fused
    assert re.search(r"^relu1 +nn.relu ", apart, re.M) and "matmulrelu" not in apart


def test_profile(run_fuse_run: Run, conv_model: str, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In program order, with shapes, shares that make 100%, totals by op, and the steps on the default kernel."""
    monkeypatch.delitem(BACKEND.kernels, ReluOp)
    code, out, _ = run_fuse_run(conv_model, "--dim", "N=2", "--profile", "--no-fuse")
    steps, totals = (block.splitlines() for block in out.split("\n\n"))
    assert code == 0
    rows = [re.split(r"  +", line.strip()) for line in steps]
    assert rows[0] == ["node", "op", "shapes", "kernel", "ms", "share"]
    assert [r[:2] for r in rows[1:]] == [["conv1", "blas.im2col"], ["conv1", "blas.matmul"], ["relu1", "nn.relu"]]
    assert [r[3] for r in rows[1:]] == ["own", "own", "evaluate"]
    assert rows[1][2] == "2x2x6x6 -> 2x18x16" and rows[3][2] == "2x4x4x4 -> 2x4x4x4"
    assert sum(float(r[5].rstrip("%")) for r in rows[1:]) == pytest.approx(100, abs=0.2)
    assert re.search(r"^nn.relu +evaluate +1 ", "\n".join(totals), re.M)
    total = totals[-2].split()
    assert total[:2] == ["total", "3"] and total[-1] == "100.0%"
    assert float(total[2]) == pytest.approx(sum(float(r[4]) for r in rows[1:]), abs=0.002)
    assert re.fullmatch(r"times are medians of \d+ runs on cpu, \d+ threads?", totals[-1])


def test_save_program(run_fuse_run: Run, conv_model: str) -> None:
    """From the model, and from what fuse-opt planned: either runs when the model is gone."""
    pipeline = run_fuse_run(conv_model, "--dim", "N=2", "--print-pipeline")[1].strip()
    assert fuse_opt.main([conv_model, "-p", pipeline, "-o", "planned.mlir"]) == 0
    made = ["--save-program", "made.mlir", "--output", "made.npz"]
    assert run_fuse_run(conv_model, "--dim", "N=2", *made)[0] == 0
    assert run_fuse_run("planned.mlir", "--save-program", "packed.mlir", "--output", "packed.npz")[0] == 0
    os.unlink(conv_model)
    for name in ("made", "packed"):
        code, _, err = run_fuse_run(f"{name}.mlir", "--output", "loaded.npz")
        assert (code, err) == (0, "fuse-run: generated from seed 0: x (2x2x6x6 float32)\n")
        loaded, saved = np.load("loaded.npz"), np.load(f"{name}.npz")
        assert sorted(loaded) == sorted(saved) == ["s", "y"] and np.ptp(loaded["y"]) > 0.1
        for output in loaded:
            np.testing.assert_array_equal(loaded[output], saved[output])


def test_bench(run_fuse_run: Run, conv_model: str, quick: None) -> None:
    code, out, err = run_fuse_run(conv_model, "--dim", "N=4", "--bench", "--threads", "1")
    assert code == 0 and err.count("\n") == 1
    first, second = out.splitlines()
    times = re.fullmatch(r"median (\S+) ms, min (\S+) ms of (\d+) runs \(after 3 to warm up\) on cpu, 1 thread", first)
    assert times is not None and int(times[3]) >= 10 and 0 < float(times[2]) <= float(times[1])
    rate = re.fullmatch(r"(\S+) items per second at the median, batch 4 \(the first dimension of 'x'\)", second)
    assert rate is not None and float(rate[1]) == pytest.approx(4e3 / float(times[1]), rel=0.1)


def test_threads(run_fuse_run: Run, conv_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int | None] = []
    run = Session.run

    def spy(self: Session, *arguments: Any) -> list[Any]:
        seen.append(blas_threads())
        return run(self, *arguments)

    monkeypatch.setattr(Session, "run", spy)
    before = blas_threads()
    for count in ("1", "2"):
        assert run_fuse_run(conv_model, "--dim", "N=1", "--threads", count)[0] == 0
    assert seen == [1, 2] and blas_threads() == before


def test_compare(run_fuse_run: Run, conv_model: str) -> None:
    code, out, _ = run_fuse_run(conv_model, "--dim", "N=2", "--compare")
    header, y, s, _, rules = out.splitlines()
    assert code == 0 and header.split("  ")[0] == "output" and "tolerance needed" in header
    assert y.split()[:3] == ["y", "2x4x4x4", "float32"] and y.split()[-1] == "ok"
    assert 0 < float(y.split()[3]) < 1e-5 and 0 < float(y.split()[6].rstrip("x")) <= 1
    assert s.split() == ["s", "4", "int64", "0", "0", "0", "0x", "ok"]
    assert "1e-05 + 0.0001*|f64|" in rules and "integers" in rules


def test_compare_says_what_differs(run_fuse_run: Run, conv_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Session.run
    monkeypatch.setattr(Session, "run", lambda self, *a: [r + r.dtype.type(1) for r in run(self, *a)])
    code, out, err = run_fuse_run(conv_model, "--dim", "N=2", "--compare", "--output", "out.npz")
    assert code == 3 and err.splitlines()[-1] == "fuse-run: beyond tolerance: y, s"
    y, s = (line.split() for line in out.splitlines()[1:3])
    assert y[-1] == s[-1] == "DIFFERS" and float(y[3]) == pytest.approx(1, rel=1e-4) and s[-2] == "infx"
    assert Path("out.npz").exists()


def test_compare_does_not_trust_its_own_truth(
    run_fuse_run: Run, write_model: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operation that means something else is wrong in float64, too, and ONNX Runtime far from both."""
    write_model("net.onnx", "Sin")
    assert run_fuse_run("net.onnx", "--dim", "N=2", "--compare")[0] == 0
    monkeypatch.setattr(SinOp, "evaluate", CosOp.evaluate)
    code, out, err = run_fuse_run("net.onnx", "--dim", "N=2", "--compare")
    assert code == 3 and "DIFFERS" in out
    assert "fuse-run: 'y' of ONNX Runtime is far from float64: one of them is wrong\n" in err


def test_compare_warns_of_constant_outputs(run_fuse_run: Run, write_model: Writer) -> None:
    write_model("net.onnx")
    np.save("x.npy", np.full((1, 4, 8), -9, np.float32))
    code, _, err = run_fuse_run("net.onnx", "--input", "x=x.npy", "--compare")
    assert (code, err) == (
        0,
        "fuse-run: warning: the elements of 'y' are all equal: that they agree says little\n",
    )


def test_compare_of_a_network_that_rounds_to_integers(run_fuse_run: Run) -> None:
    """It is judged by its relative L2 error: a value rounded the other way is far beyond the tolerance of f32."""
    graph = """g (float[4,8] x) => (float[4,8] y)
    { q, s, z = DynamicQuantizeLinear(x) d = DequantizeLinear(q, s, z) y = Sin(d) }"""
    onnx.save(parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {graph}'), "net.onnx")
    code, out, err = run_fuse_run("net.onnx", "--compare")
    assert (code, out.splitlines()[1].split()[-1]) == (0, "ok"), err
    assert "the relative L2 error of float32 is at most 0.02" in out


def test_check_of_a_good_model(run_fuse_run: Run, conv_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A summary; nothing runs, and no weight is read."""
    monkeypatch.setattr(session_module, "Program", None)
    code, out, err = run_fuse_run(conv_model, "--dim", "N=2", "--check")
    assert (code, err) == (0, "")
    counts = "conv.onnx: 3 nodes: 3 supported, 0 expanded, 0 unsupported"
    first, last = out.splitlines()
    assert first == "supported: Conv 1, Relu 1, Shape 1"
    compiled = r"compiled for x 2x2x6x6: \d+ operations in an arena of \d+ bytes"
    assert re.fullmatch(f"{counts}; {compiled}", last)
    hint = "(--dim N=SIZE, or --shape, or --input)"
    summary = f"not compiled: x: the input is Nx2x6x6: no size is given for N {hint}"
    assert run_fuse_run(conv_model, "--check") == (0, f"{first}\n{counts}; {summary}\n", "")
    assert run_fuse_run("-", "--check", "--dim", "value_0_dim_0=2", text=RELU)[1].startswith("-: IR; compiled for ")


def test_check_lists_everything(run_fuse_run: Run) -> None:
    """Unknown operators, unsupported forms of known ones behind them, and the options."""
    nodes = [
        helper.make_node("Strange", ["x"], ["a"], name="strange1", domain="my.domain"),
        helper.make_node("Strange", ["a"], ["b"], name="strange2", domain="my.domain"),
        helper.make_node("Dropout", ["b", "", "yes"], ["c"], name="drop1"),
        helper.make_node("Dropout", ["x", "", "yes"], ["d"], name="drop2"),
        helper.make_node("StringNormalizer", ["d"], ["e"], name="strings1"),
        helper.make_node("Relu", ["e"], ["f"], name="relu1"),
    ]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 3]) for n in "xbcf"]
    true = numpy_helper.from_array(np.array(True), "yes")
    graph = helper.make_graph(nodes, "g", values[:1], [values[-1]], [true], value_info=values[1:3])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("my.domain", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), "net.onnx")
    code, out, err = run_fuse_run("net.onnx", "--check", "--precision", "bf16")
    assert out.splitlines() == [
        "supported: Relu 1",
        "not supported: precision 'bf16' needs the device cuda",
        "not supported: the operator my.domain.Strange is not supported: 2 nodes: strange1, strange2",
        "not supported: the operator StringNormalizer is not supported: strings1",
        "not supported: Dropout in training_mode is not supported (export it for inference): 2 nodes: drop1, drop2",
    ]
    counts = "6 nodes: 1 supported, 0 expanded, 5 unsupported (1 read from those, and were checked in part)"
    assert (code, err) == (2, f"fuse-run: net.onnx: {counts}; 4 things are not supported\n")


def test_check_of_functions(run_fuse_run: Run) -> None:
    """Calls are expanded, by the model's functions or ONNX's bodies, unless a node of the body is not supported."""
    graph = """<ir_version: 10, opset_import: ["": 18, "my": 1]>
    g (float[2,4] x) => (float[2,4] y)
    { [r1] a = my.twice(x) [r2] b = my.twice(a) [n] c = NegativeLogLikelihoodLoss<reduction="none">(b, t)
      d = Relu(b) [s] y = my.text(d) }
    <opset_import: ["": 18], domain: "my"> twice (v) => (w) { w = Add(v, v) }
    <opset_import: ["": 18], domain: "my"> text (v) => (w) { u = Add(v, v) [inner] w = StringNormalizer(u) }"""
    model = parser.parse_model(graph)
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((2,), np.int64), "t"))
    onnx.save(model, "net.onnx")
    code, out, err = run_fuse_run("net.onnx", "--check")
    assert out.splitlines() == [
        "supported: Relu 1",
        "expanded: my.twice by a function of the model: 2 nodes: r1, r2",
        "expanded: NegativeLogLikelihoodLoss by its function body in ONNX: n",
        "not supported: the operator StringNormalizer is not supported: s/inner",
    ]
    counts = "5 nodes: 1 supported, 3 expanded, 1 unsupported"
    assert (code, err) == (2, f"fuse-run: net.onnx: {counts}; 1 thing is not supported\n")


def test_check_names_a_few_nodes_of_many(run_fuse_run: Run) -> None:
    """Of more than five the others are counted."""
    nodes = [helper.make_node("Strange", ["x"], [f"y{i}"], domain="my") for i in range(7)]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in ("x", "y0")]
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("my", 1)]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), "net.onnx")
    listed = "7 nodes: y0, y1, y2, y3, y4 and 2 more"
    assert (
        run_fuse_run("net.onnx", "--check")[1] == f"not supported: the operator my.Strange is not supported: {listed}\n"
    )


def test_tables_are_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is cut or folded in a pipe; names are neither markup nor control characters."""
    long = "x" * 500
    print_table(("name", "n"), [("[red]a[/red] :smile:", "1"), (long, "2"), ("a\x1b[31m\nb\u202ec", "3")], ("n",))
    lines = capsys.readouterr().out.splitlines()
    assert [line.rsplit(maxsplit=1)[0].rstrip() for line in lines[1:]] == [
        "[red]a[/red] :smile:",
        long,
        r"a\x1b[31m\nb\u202ec",
    ]


def test_version(run_fuse_run: Run) -> None:
    code, out, err = run_fuse_run("--version")
    assert (code, err) == (0, "") and re.fullmatch(r"fuse-run of nnfuse \d+\.\d+\S*\n", out)


def test_help_imports_little() -> None:
    """Without the heavy imports it is quick; bench/startup.py says how quick."""
    code = """if True:
        import sys
        from nnfuse.tools import fuse_run
        assert fuse_run.main(["--help"]) == 0
        heavy = {"onnx", "numpy", "cupy", "rich", "nnfuse.dialects.nn"} & set(sys.modules)
        sys.exit(f"imported {heavy}" if heavy else 0)"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
