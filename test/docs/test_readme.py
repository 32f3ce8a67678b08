"""README.md's blocks: its commands run, its Python runs, its IR parses."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from nnfuse.tools import fuse_opt, fuse_run

ROOT = Path(__file__).parents[2]
TOOLS: dict[str, Callable[[list[str]], int]] = {"fuse-opt": fuse_opt.main, "fuse-run": fuse_run.main}


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, of which there must be one."""
    found = re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "README.md").read_text(), flags=re.S | re.M)
    assert found, f"README.md has no {language} block"
    return found


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds examples/, as a checkout does."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", [line[2:] for b in blocks("console") for line in b.splitlines()])
def test_command(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tool, *arguments = shlex.split(command)
    assert TOOLS[tool](arguments) == 0, capsys.readouterr().err
    if "-o" in arguments:
        assert "activation = relu" in (folder / arguments[arguments.index("-o") + 1]).read_text()


@pytest.mark.parametrize("code", blocks("python"))
def test_python(code: str) -> None:
    exec(compile(code, "README.md", "exec"), {})


@pytest.mark.parametrize("text", blocks("mlir"))
def test_ir(text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "block.mlir").write_text(text)
    assert fuse_opt.main(["block.mlir", "-p", "fuse-activation,lower-nn-to-blas"]) == 0
    assert "blas.matmulrelu" in capsys.readouterr().out
