"""fuse-opt: what it prints, where it writes, and that output files are complete or not there."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., tuple[int, str, str]]
Writer = Callable[..., Path]

IR = """func.func @main(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %y = nn.relu %x : tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}
"""


def test_prints_the_module(run: Run) -> None:
    code, out, err = run(text=IR)
    assert (code, err) == (0, "")
    assert "nn.relu %x : tensor<2x3xf32>" in out
    assert run("-", text=IR) == (code, out, err)
    assert run(text=out) == (code, out, err)


def test_output_file(run: Run) -> None:
    expected = run(text=IR)[1]
    assert run("-o", "a.mlir", text=IR) == (0, "", "")
    assert Path("a.mlir").read_text() == expected
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(Path("a.mlir").stat().st_mode) == 0o666 & ~mask
    Path("a.mlir").chmod(0o640)
    Path("link.mlir").symlink_to("a.mlir")
    assert run("-o", "link.mlir", "-p", "cse", text=IR.replace("2x3", "5x7"))[0] == 0
    assert Path("link.mlir").is_symlink() and "5x7" in Path("a.mlir").read_text()
    assert stat.S_IMODE(Path("a.mlir").stat().st_mode) == 0o640
    assert sorted(os.listdir()) == ["a.mlir", "link.mlir"]


def test_a_failure_leaves_the_old_file(run: Run) -> None:
    Path("a.mlir").write_text("old")
    assert run("-o", "a.mlir", text="func.func @main( {")[0] == 1
    assert run("-o", "a.mlir", "absent.onnx")[0] == 1
    assert run("-o", "a.mlir", "--parsing-diagnostics", text="func.func @main( {")[0] == 0
    assert run("-o", "a.mlir", "--split-input-file", text=f"{IR}\n// -----\nfunc.func @main( {{")[0] == 1
    assert Path("a.mlir").read_text() == "old"
    assert os.listdir() == ["a.mlir"]
    code, _, err = run("-o", "no/such/folder/a.mlir", text=IR)
    assert (code, err) == (1, "fuse-opt: cannot write no/such/folder/a.mlir: No such file or directory\n")


def test_devices_are_written_not_replaced(run: Run) -> None:
    assert run("-o", "/dev/null", text=IR) == (0, "", "")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    code, out, err = run("-o", "/dev/full", text=IR)
    assert (code, out, err) == (1, "", "fuse-opt: No space left on device\n")


def test_parameter_path_follows_the_output(run: Run, write_model: Writer) -> None:
    """The path is relative to the IR file, and to the working directory where that is standard output."""
    Path("in").mkdir()
    Path("out/deep").mkdir(parents=True)
    size = write_model("in/net.onnx").stat().st_size

    def path_in(text: str) -> str:
        assert f"nn.parameters_size = {size} : i64" in text
        return text.split('nn.parameters = "')[1].split('"')[0]

    assert path_in(run("in/net.onnx")[1]) == "in/net.onnx"
    assert run("in/net.onnx", "-o", "out/a.mlir")[0] == 0
    assert path_in(Path("out/a.mlir").read_text()) == "../in/net.onnx"
    assert run("out/a.mlir", "-o", "out/deep/b.mlir")[0] == 0
    assert path_in(Path("out/deep/b.mlir").read_text()) == "../../in/net.onnx"
    assert path_in(run("out/deep/b.mlir")[1]) == "in/net.onnx"
    text = Path("out/deep/b.mlir").read_text().replace("../../in", "/abs")
    assert path_in(run(text=text)[1]) == "/abs/net.onnx"


def test_parameters_option(run: Run, write_model: Writer) -> None:
    write_model("net.onnx")
    Path("weights").mkdir()
    Path("weights/net.onnx").write_bytes(Path("net.onnx").read_bytes())
    text = run("net.onnx")[1]
    assert 'nn.parameters = "weights/net.onnx"' in run("--parameters", "weights/net.onnx", text=text)[1]
    Path("weights/other.onnx").write_bytes(b"123")
    size = Path("net.onnx").stat().st_size
    assert run("--parameters", "weights/other.onnx", text=text)[::2] == (
        1,
        f"fuse-opt: weights/other.onnx has 3 bytes, but the module's parameter file has {size} (it is another file)\n",
    )
    assert run("--parameters", "absent", text=text)[::2] == (
        1,
        "fuse-opt: absent: No such file or directory\n",
    )


def test_remarks_go_to_standard_error(run: Run) -> None:
    conv = """func.func @main(%x: tensor<1x3x8x8xf32>) -> (tensor<1x4x8x8xf32>) {
  %w = nn.parameter "w" : tensor<4x3x1x1xf32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %z = nn.relu %y : tensor<1x4x8x8xf32>
  func.return %z : tensor<1x4x8x8xf32>
}"""
    code, out, err = run("-p", "fuse-activation", "--remarks", text=conv)
    assert code == 0 and err == "remark: %z fused into %y\n"
    assert run("-p", "fuse-activation", text=conv) == (0, out, "")


def test_node_names_are_locations(run: Run, write_model: Writer) -> None:
    write_model("net.onnx")
    assert 'loc("last")' in run("net.onnx", "--print-debuginfo")[1]


def test_help_imports_little() -> None:
    """Without the heavy imports it is quick; bench/startup.py says how quick."""
    code = """if True:
        import sys
        from nnfuse.tools import fuse_opt
        assert fuse_opt.main(["--help"]) == 0
        heavy = {"onnx", "numpy", "cupy", "nnfuse.dialects.nn"} & set(sys.modules)
        sys.exit(f"imported {heavy}" if heavy else 0)"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_a_reader_that_stops_is_no_error() -> None:
    tool = Path(sys.executable).parent / "fuse-opt"
    command = f"(sleep 0.1; cat) < /dev/null | {tool} --help | head -c 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "u", "")


def test_a_file_keeps_the_node_names(run: Run, write_model: Writer) -> None:
    """So that what runs or lowers a saved program still speaks of ONNX nodes; standard output is for reading."""
    write_model("net.onnx")
    assert run("net.onnx", "-p", "canonicalize", "-o", "net.mlir") == (0, "", "")
    saved = Path("net.mlir").read_text()
    assert 'loc("last")' in saved
    assert "loc(" not in run("net.onnx", "-p", "canonicalize")[1]
    assert run("net.mlir", "-o", "again.mlir") == (0, "", "")
    assert Path("again.mlir").read_text() == saved


def test_a_file_without_names_has_no_locations(run: Run) -> None:
    text = "func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {\n  func.return %x : tensor<2xf32>\n}"
    assert run("-o", "out.mlir", text=text) == (0, "", "")
    assert "@main" in Path("out.mlir").read_text() and "loc(" not in Path("out.mlir").read_text()
