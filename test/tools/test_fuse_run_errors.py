"""fuse-run: the exact line and exit code for each kind of error, and that nothing is written then."""

from __future__ import annotations

import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from nnfuse.runtime.session import Session

Run = Callable[..., tuple[int, str, str]]
Writer = Callable[..., Path]

INPUTS = "(inputs: x)"
SIZES = "(write sizes with x between them, 8x3x224x224, or scalar)"

ERRORS: dict[str, tuple[list[str], int, str]] = {
    "no model": ([], 1, "the following arguments are required: MODEL (see --help)"),
    "no file": (["absent.onnx"], 1, "cannot read 'absent.onnx': No such file or directory"),
    "no IR file": (["absent.mlir"], 1, "cannot read 'absent.mlir': No such file or directory"),
    "no ONNX": (["x.npy"], 1, "'x.npy' is not an ONNX model, or is cut short"),
    "option": (["net.onnx", "--fast"], 1, "unrecognized arguments: --fast (see --help)"),
    "abbreviated": (["net.onnx", "--prof"], 1, "unrecognized arguments: --prof (see --help)"),
    "two modes": (
        ["net.onnx", "--bench", "--compare"],
        1,
        "argument --compare: not allowed with argument --bench (see --help)",
    ),
    "seed": (["net.onnx", "--seed", "x"], 1, "argument --seed: 'x' is no number from 0 (see --help)"),
    "threads": (["net.onnx", "--threads", "0"], 1, "argument --threads: 0 is too small (see --help)"),
    "device": (
        ["net.onnx", "--device", "tpu"],
        1,
        "argument --device: invalid choice: 'tpu' (choose from 'cpu', 'cuda') (see --help)",
    ),
    "f16": (["net.onnx", "--precision", "f16"], 2, "precision 'f16' needs the device cuda"),
    "bf16": (["net.onnx", "--precision", "bf16"], 2, "precision 'bf16' needs the device cuda"),
    "tune": (["net.onnx", "--tune"], 2, "there is nothing to tune on the device cpu (device cuda)"),
    "tf32": (["net.onnx", "--precision", "tf32"], 2, "precision 'tf32' needs the device cuda"),
    "dim unbound": (
        ["net.onnx"],
        1,
        "x: the input is Nx4x8: no size is given for N (--dim N=SIZE, or --shape, or --input)",
    ),
    "dim unknown": (["net.onnx", "--dim", "M=1"], 1, "no input has a dimension 'M' (symbolic dimensions: N)"),
    "dim form": (["net.onnx", "--dim", "N"], 1, "--dim N: no dimension and size (write NAME=8)"),
    "dim negative": (["net.onnx", "--dim", "N=-1"], 1, "--dim N=-1: no dimension and size (write NAME=8)"),
    "dim twice": (
        ["net.onnx", "--dim", "N=1", "--dim", "N=2"],
        1,
        "--dim gives the dimension 'N' twice, as 1 and 2",
    ),
    "dim and shape": (
        ["net.onnx", "--dim", "N=1", "--shape", "x=2x4x8"],
        1,
        "x: dimension 0 ('N') of the input is 1, but 2x4x8 is given",
    ),
    "shape form": (["net.onnx", "--shape", "x=2xN"], 1, f"'2xN' is no shape {SIZES}"),
    "shape name": (["net.onnx", "--shape", "y=2"], 1, f"'y' is no input {INPUTS}"),
    "shape no name": (["net.onnx", "--shape", "2x4"], 1, "--shape 2x4: no name is given (write NAME=8x3x224x224)"),
    "shape rank": (["net.onnx", "--shape", "x=2x4"], 1, "x: the input has rank 3, but 2x4 is given"),
    "shape and feed": (
        ["net.onnx", "--shape", "x=3x4x8", "--input", "x=x.npy"],
        1,
        "x: the input is given as 2x4x8, but --shape says 3x4x8",
    ),
    "feed name": (["net.onnx", "--input", "y=x.npy"], 1, f"'y' is no input {INPUTS}"),
    "feed parameter": (
        ["net.onnx", "--input", "weight=x.npy"],
        1,
        f"'weight' is a parameter of the model, which cannot be fed {INPUTS}",
    ),
    "feed name in npz": (["net.onnx", "--input", "y.npz"], 1, f"'y' is no input {INPUTS}"),
    "feed not in npz": (
        ["net.onnx", "--input", "x=two.npz"],
        1,
        "'two.npz' holds no array 'x' (it holds: a, b)",
    ),
    "feed without name": (
        ["net.onnx", "--input", "x.npy"],
        1,
        "--input x.npy: the input's name is missing (write NAME=FILE.npy)",
    ),
    "feed twice": (
        ["net.onnx", "--input", "x=x.npy", "--input", "x=x.npy"],
        1,
        "x: --input gives the input twice",
    ),
    "feed kind": (
        ["net.onnx", "--input", "x=x.txt"],
        1,
        "--input x.txt: not a .npy or .npz file (write NAME=FILE.npy, or FILE.npz)",
    ),
    "feed missing": (["net.onnx", "--input", "x=absent.npy"], 1, "cannot read 'absent.npy': No such file or directory"),
    "feed folder": (["net.onnx", "--input", "x=folder.npy"], 1, "cannot read 'folder.npy': Is a directory"),
    "feed rank": (["net.onnx", "--input", "x=rank.npy"], 1, "x: the input has rank 3, but 4x8 is given"),
    "feed size": (
        ["net.onnx", "--input", "x=size.npy"],
        1,
        "x: dimension 2 of the input is 8, but 2x4x9 is given",
    ),
    "feed dtype": (
        ["net.onnx", "--input", "x=f64.npy"],
        1,
        "x: the input has the dtype float32, but float64 is given",
    ),
    "feed pickled": (
        ["net.onnx", "--input", "x=pickle.npy"],
        1,
        "'pickle.npy' holds elements of the type object, not numbers",
    ),
    "feed text": (
        ["net.onnx", "--input", "x=text.npz"],
        1,
        "'text.npz' is not a whole .npz file: File is not a zip file",
    ),
    "feed cut": (
        ["net.onnx", "--input", "x=cut.npy"],
        1,
        "'cut.npy' is cut short: its header says 256 bytes, but it has 200",
    ),
    "feed huge": (
        ["net.onnx", "--input", "huge.npz"],
        1,
        "'huge.npz:x.npy' is cut short: its header says 4000000000000000000 bytes, but it has 84",
    ),
    "feed limit": (
        ["net.onnx", "--input", "x=x.npy", "--max-bytes", "200"],
        1,
        "'x.npy' has 256 bytes, more than the limit of 200 (--max-bytes)",
    ),
    "value limit": (
        ["net.onnx", "--dim", "N=1000000000000"],
        1,
        "add1: a value of shape 1000000000000x4x8 needs 128000000000000 bytes, more than the limit of 17179869184"
        " (--max-bytes)",
    ),
    "output kind": (
        ["net.onnx", "--dim", "N=1", "--output", "y.npy"],
        1,
        "--output y.npy: outputs are written as .npz (name it FILE.npz)",
    ),
    "output folder": (
        ["net.onnx", "--dim", "N=1", "--output", "no/y.npz"],
        1,
        "cannot write no/y.npz: No such file or directory",
    ),
    "output of check": (
        ["net.onnx", "--check", "--output", "y.npz"],
        1,
        "--check runs nothing, so --output has nothing to write",
    ),
    "program of check": (
        ["net.onnx", "--check", "--save-program", "y.mlir"],
        1,
        "--check runs nothing, so --save-program has nothing to write",
    ),
    "program name": (
        ["net.onnx", "--dim", "N=1", "--save-program", "y.onnx"],
        1,
        "a program is saved as IR, but 'y.onnx' is no name for it (name it FILE.mlir)",
    ),
    "program folder": (
        ["net.onnx", "--dim", "N=1", "--save-program", "none/y.mlir"],
        1,
        "cannot write 'none/y.mlir': there is no folder 'none'",
    ),
    "parameters of ONNX": (
        ["net.onnx", "--dim", "N=1", "--parameters", "x.npy"],
        1,
        "an ONNX model holds its parameters itself (parameter files are for IR)",
    ),
    "compare IR": (["-", "--compare"], 1, "--compare needs an ONNX model: ONNX Runtime reads no IR"),
    "malformed IR": (["-"], 1, "stdin:1:1: "),
    "operator": (
        ["strange.onnx", "--dim", "N=1", "--output", "y.npz"],
        2,
        "1 operator(s) are not supported: my.domain.Strange (1, first last)",
    ),
}


@pytest.fixture
def files(run_fuse_run: Run, write_model: Writer) -> list[str]:
    """Models and arrays, good and bad; returns the names of everything there."""
    write_model("net.onnx")
    write_model("strange.onnx", "Strange", "my.domain")
    x = np.zeros((2, 4, 8), np.float32)
    np.save("x.npy", x)
    np.save("rank.npy", x[0])
    np.save("size.npy", np.zeros((2, 4, 9), np.float32))
    np.save("f64.npy", x.astype(np.float64))
    np.save("pickle.npy", np.array([print]), allow_pickle=True)
    np.savez("y.npz", y=x)
    np.savez("two.npz", a=x, b=x)
    Path("x.txt").write_text("1")
    Path("text.npz").write_text("1")
    Path("folder.npy").mkdir()
    Path("cut.npy").write_bytes(Path("x.npy").read_bytes()[:200])
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000000,)}\n"
    with zipfile.ZipFile("huge.npz", "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    return sorted(os.listdir())


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_one_line(run_fuse_run: Run, files: list[str], case: str) -> None:
    arguments, code, line = ERRORS[case]
    result, out, err = run_fuse_run(*arguments, text="module {")
    assert (result, out, err.count("\n")) == (code, "", 1), err
    assert err == f"fuse-run: {line}\n" or (case == "malformed IR" and err.startswith("fuse-run: stdin:1:")), err
    assert sorted(os.listdir()) == files


def test_nothing_is_unpickled(run_fuse_run: Run, files: list[str]) -> None:
    class Bomb:
        def __reduce__(self) -> object:
            return os.mkdir, ("unpickled",)

    np.save("bomb.npy", np.array([Bomb()]), allow_pickle=True)
    Path("raw.npy").write_bytes(pickle.dumps(Bomb()))
    for name in ("bomb.npy", "raw.npy"):
        assert run_fuse_run("net.onnx", "--input", f"x={name}")[0] == 1
    assert not Path("unpickled").exists()


def test_damaged_arrays(run_fuse_run: Run, files: list[str]) -> None:
    """Every byte of a .npy header and of a .npz changed, and every length: never a crash, a line at most."""
    np.savez_compressed("x.npz", x=np.ones((1, 4, 8), np.float32))
    for name in ("x.npy", "x.npz"):
        whole = Path(name).read_bytes()
        limit = len(whole) if name == "x.npz" else 128
        for position in range(0, limit, 3):
            for data in (whole[:position], whole[:position] + bytes([whole[position] ^ 0x41]) + whole[position + 1 :]):
                Path(f"bad{name[1:]}").write_bytes(data)
                code, _, err = run_fuse_run("net.onnx", "--check", "--input", f"x=bad{name[1:]}")
                assert code in (0, 1) and err.count("\n") == code, (name, position, err)


def test_cuda_without_cupy(run_fuse_run: Run, files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from nnfuse.runtime.kernels.cupy import get_cuda_backend, library

    for cached in (get_cuda_backend, library.cupy):
        cached.cache_clear()
    monkeypatch.setitem(sys.modules, "cupy", None)
    code, out, err = run_fuse_run("net.onnx", "--dim", "N=1", "--device", "cuda")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("fuse-run: device 'cuda' needs CuPy, which cannot be imported")
    assert err.endswith("(pip install 'nnfuse[cuda13]')\n")
    code, out, err = run_fuse_run("net.onnx", "--check", "--device", "cuda")
    assert code == 2 and "\nnot supported: device 'cuda' needs CuPy" in out


def test_compare_without_onnxruntime(run_fuse_run: Run, files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, out, err = run_fuse_run("net.onnx", "--input", "x=x.npy", "--compare")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("fuse-run: --compare needs ONNX Runtime, which cannot be imported")
    assert err.endswith("(pip install onnxruntime)\n")


def test_compare_where_onnxruntime_fails(run_fuse_run: Run, files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise RuntimeError("no kernel\nfor it")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    code, out, err = run_fuse_run("net.onnx", "--input", "x=x.npy", "--compare")
    assert (code, out, err) == (1, "", "fuse-run: ONNX Runtime cannot run the model: no kernel for it\n")


def test_a_bug_of_ours_is_70(run_fuse_run: Run, files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Session, *arguments: object) -> None:
        raise KeyError("conv3")

    monkeypatch.setattr(Session, "run", broken)
    code, out, err = run_fuse_run("net.onnx", "--input", "x=x.npy", "--output", "y2.npz")
    what = "internal error, please report it: KeyError: 'conv3'"
    assert (code, out, err) == (70, "", f"fuse-run: {what} (set NNFUSE_TRACEBACK=1 to see where)\n")
    assert sorted(os.listdir()) == files


def test_too_many_threads(run_fuse_run: Run, files: list[str]) -> None:
    code, out, err = run_fuse_run("net.onnx", "--dim", "N=1", "--threads", "100000")
    assert (code, out) == (2, "") and err.startswith("fuse-run: --threads 100000: NumPy's BLAS ")


def test_bytes_that_are_no_text(run_fuse_run: Run, files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    Path("bytes.mlir").write_bytes(b'builtin.module attributes {a = "\xff\xfe"} {}')
    code, out, err = run_fuse_run("bytes.mlir")
    assert (code, out, err.count("\n")) == (1, "", 1) and err.startswith("fuse-run: cannot read 'bytes.mlir': ")
    code, out, err = run_fuse_run("-", text="builtin.module attributes {a = " + "[" * 100_000)
    assert (code, out, err.count("\n")) == (1, "", 1) and "RecursionError" in err
