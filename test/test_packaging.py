"""The package: its wheel holds every module, and importing it costs little."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("dialects", "passes", "lowering", "runtime", "tools")


def modules() -> set[str]:
    """Every module of the package, as its path in the wheel."""
    files = [*ROOT.glob("*.py"), *(f for folder in FOLDERS for f in (ROOT / folder).rglob("*.py"))]
    return {f"nnfuse/{f.relative_to(ROOT).as_posix()}" for f in files}


def test_the_wheel_holds_every_module(tmp_path: Path) -> None:
    """A new folder that pyproject.toml's list of packages lacks fails here, by name."""
    source = tmp_path / "source"
    source.mkdir()
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    tracked = {name for name in listing.stdout.split("\0") if name and not name.startswith(".import/")}
    for name in tracked | {m.removeprefix("nnfuse/") for m in modules()}:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", str(tmp_path), str(source)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(next(n for n in names if n.endswith("/METADATA"))).decode()
    packaged = {n for n in names if n.endswith(".py")}
    assert packaged == modules()
    assert "nnfuse/py.typed" in names
    assert any(n.endswith("licenses/LICENSE") for n in names)
    assert "Apache-2.0 WITH LLVM-exception" in metadata


def test_import_is_cheap() -> None:
    """`import nnfuse` and its errors load neither NumPy, nor xDSL, nor onnx, nor CUDA."""
    code = """if True:
        import sys, nnfuse
        nnfuse.CompileError, nnfuse.UnsupportedError
        loaded = {"numpy", "xdsl", "onnx", "cupy", "nvmath"} & set(sys.modules)
        assert not loaded, loaded"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_session_does_not_load_cuda() -> None:
    code = """if True:
        import sys, nnfuse
        nnfuse.Session
        loaded = {"cupy", "nvmath", "cuda"} & set(sys.modules)
        assert not loaded, loaded"""
    subprocess.run([sys.executable, "-c", code], check=True)
