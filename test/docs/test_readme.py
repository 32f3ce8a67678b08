"""The blocks of README.md and docs/ are true: commands print what stands there, Python runs, IR is read.

A page's blocks run in their order, in one folder that holds examples/, as a checkout does:

- console: what stands after `$ ` runs in a shell; standard output and error must be the lines below it, where `...`
  stands for anything (as in doctest). A command without such lines may print what it likes. Each must exit with 0;
- python: runs in this process, in one namespace per page; after a first line `# PATH.py` it stands in that file;
- mlir: is parsed by fuse-opt; a first line `// NAME.mlir` names the file that later commands read.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from nnfuse.tools import fuse_opt, fuse_run
from nnfuse.universe import NNFUSE_UNIVERSE

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.S | re.M)
TOOLS: dict[str, Callable[[list[str]], int]] = {"fuse-opt": fuse_opt.main, "fuse-run": fuse_run.main}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, language and content of each fenced block."""
    for match in BLOCK.finditer(text):
        yield text[: match.start()].count("\n") + 2, match[1], match[2]


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block and the output that follows it."""
    _, *parts = re.split(r"^\$ ", block, flags=re.M)
    for part in parts:
        command, _, output = part.partition("\n")
        yield command, output


def run_command(command: str, folder: Path) -> tuple[int, str]:
    """Exit code and output, standard error included; in this process, if it is one of our tools, without a shell."""
    tool, *arguments = shlex.split(command)
    if tool in TOOLS and not set(command) & set("|;&<>$*"):
        with redirect_stdout(StringIO()) as printed, redirect_stderr(printed), chdir(folder):
            return TOOLS[tool](arguments), printed.getvalue()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    shell = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=os.environ | {"PATH": path, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return shell.returncode, shell.stdout


def run_console(block: str, folder: Path) -> None:
    """Raise AssertionError where a command fails or prints something else."""
    for command, expected in commands(block):
        code, printed = run_command(command, folder)
        assert code == 0, f"$ {command}\n{printed}"
        if expected.strip():
            check = doctest.OutputChecker().check_output(expected, printed, FLAGS)
            assert check, f"$ {command}\n--- expected\n{expected}--- printed\n{printed}"


def run_mlir(block: str, folder: Path) -> None:
    """Raise AssertionError where fuse-opt does not read the text."""
    named = re.match(r"// ([\w-]+\.mlir)\n", block)
    file = folder / (named[1] if named else "block.mlir")
    file.write_text(block)
    assert fuse_opt.main([str(file), "-o", str(folder / "out.mlir")]) == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": page.stem}
    for line, language, content in blocks(page.read_text()):
        where = f"{page.name}:{line}"
        match language:
            case "console":
                run_console(content, tmp_path)
            case "python":
                if quoted := re.match(r"# ([\w/]+\.py)\n", content):
                    source = (ROOT / quoted[1]).read_text()
                    assert content[quoted.end() :] in source, f"{where}: {quoted[1]} says something else"
                else:
                    exec(compile("\n" * (line - 1) + content, str(page), "exec"), namespace)
            case "mlir":
                run_mlir(content, tmp_path)
            case "text":
                pass
            case _:
                pytest.fail(f"{where}: a block of the language '{language}' is not tried: write text")


def test_readme_has_every_kind_of_block() -> None:
    languages = {language for _, language, _ in blocks((ROOT / "README.md").read_text())}
    assert {"console", "python", "mlir"} <= languages


def test_readme_names_every_pass() -> None:
    rows = re.findall(r"^\| `([a-z-]+)", (ROOT / "README.md").read_text(), flags=re.M)
    assert set(rows) == {"canonicalize", *NNFUSE_UNIVERSE.all_passes}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page: Path) -> None:
    """What a page links to, and the files it names in code, are there."""
    text = BLOCK.sub("", page.read_text())
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
    for name in re.findall(r"`((?:bench|dialects|docs|examples|lowering|passes|runtime|test|tools)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), f"{page.name} names {name}"


@pytest.mark.parametrize(
    "block",
    ["$ echo one\ntwo\n", "$ false\n", "$ false | cat\n", "$ fuse-opt nothing.mlir\n"],
)
def test_the_harness_fails(block: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        run_console(block, tmp_path)
    with pytest.raises(AssertionError):
        run_mlir("func.func @f( {\n", tmp_path)


def test_the_harness_passes(tmp_path: Path) -> None:
    run_console("$ echo it took 3 ms\nit took ... ms\n$ echo anything\n", tmp_path)
    run_mlir("// one.mlir\nfunc.func @f() {\n  func.return\n}\n", tmp_path)
    assert (tmp_path / "one.mlir").exists()
