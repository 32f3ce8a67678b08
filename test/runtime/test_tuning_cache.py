"""Tuning results on disk: kept per machine, shared by processes, ignored with a note where they cannot be trusted."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnfuse.runtime import tuning_cache
from nnfuse.runtime.tuning_cache import TuningCache, cache_folder

MACHINE = {"device": "a GPU", "cudnn": "91900"}


def test_choices_are_kept(tmp_path: Path) -> None:
    cache = TuningCache(MACHINE, tmp_path)
    assert cache.get("f16 nn.conv 1") is None
    cache.put("f16 nn.conv 1", {"nn.call": "blas"})
    cache.save()
    assert TuningCache(MACHINE, tmp_path).get("f16 nn.conv 1") == {"nn.call": "blas"}
    assert [p.name for p in tmp_path.iterdir()] == [cache.path.name], "nothing temporary is left"


def test_another_machine_has_a_file_of_its_own(tmp_path: Path) -> None:
    cache = TuningCache(MACHINE, tmp_path)
    cache.put("k", {"plan": "a"})
    cache.save()
    assert TuningCache({**MACHINE, "cudnn": "92000"}, tmp_path).get("k") is None


def test_two_processes_at_once_keep_each_other_s(tmp_path: Path) -> None:
    first, second = TuningCache(MACHINE, tmp_path), TuningCache(MACHINE, tmp_path)
    first.put("a", {"plan": "1"})
    second.put("b", {"plan": "2"})
    first.save()
    second.save()
    both = TuningCache(MACHINE, tmp_path)
    assert (both.get("a"), both.get("b")) == ({"plan": "1"}, {"plan": "2"})


def written(folder: Path, choices: dict[str, dict[str, str]]) -> Path:
    """The file of a cache that holds `choices`."""
    cache = TuningCache(MACHINE, folder)
    for key, chosen in choices.items():
        cache.put(key, chosen)
    cache.save()
    return cache.path


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_loop(path: Path) -> None:
    """What no user can read, root neither."""
    path.unlink()
    path.symlink_to(path)


def edit(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda path: path.write_text(""), "Expecting value"),
    "truncated": (lambda path: path.write_text(path.read_text()[:-20]), "Expecting|Unterminated"),
    "a list": (lambda path: path.write_text("[]"), "list indices"),
    "a text": (lambda path: path.write_text('"text"'), "string indices"),
    "binary": (lambda path: path.write_bytes(bytes(range(256))), "'utf-8' codec can't decode"),
    "nested": (lambda path: path.write_text("[" * 200_000), "recursion"),
    "another machine's": (lambda path: edit(path, machine={"device": "another"}), "it is of another device or other"),
    "without choices": (lambda path: path.write_text(json.dumps({"machine": MACHINE})), "it has no 'choices'"),
    "no choice": (lambda path: edit(path, choices={"k": "no choice"}), "something else than choices"),
    "no text": (lambda path: edit(path, choices={"k": {"plan": 3}}), "something else than choices"),
    "a choice of another": (lambda path: edit(path, choices={"k": {"plan": "2"}}), "it was changed after it was"),
    "unreadable": (replace_by_loop, "symbolic links"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_cannot_be_trusted(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is ignored with one note of one line, and written whole again."""
    path = written(tmp_path, {"k": {"plan": "1"}})
    assert TuningCache(MACHINE, tmp_path).get("k") == {"plan": "1"} and not caplog.records
    make, reason = DAMAGES[damage]
    make(path)
    with caplog.at_level(logging.WARNING, "nnfuse"):
        cache = TuningCache(MACHINE, tmp_path)
        assert cache.get("k") is None
        cache.put("new", {"plan": "1"})
        cache.save()
    (line,) = caplog.messages
    assert line.startswith(f"the tuning results in {path} are ignored: ") and "\n" not in line
    assert re.search(reason, line)
    again = TuningCache(MACHINE, tmp_path)
    assert (again.get("new"), again.get("k")) == ({"plan": "1"}, None)
    assert [p.name for p in tmp_path.iterdir()] == [path.name] and path.is_file() and not path.is_symlink()


def test_a_folder_in_the_way_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path, {"k": {"plan": "1"}})
    replace_by_folder(path)
    with caplog.at_level(logging.WARNING, "nnfuse"):
        cache = TuningCache(MACHINE, tmp_path)
        cache.put("new", {"plan": "1"})
        cache.save()
    ignored, kept = caplog.messages
    assert "Is a directory" in ignored and "tuning results are not kept" in kept
    assert cache.get("new") == {"plan": "1"} and [p.name for p in tmp_path.iterdir()] == [path.name]


WRITER = """
import sys
from pathlib import Path
from nnfuse.runtime.tuning_cache import TuningCache
folder, who = sys.argv[1:]
cache = TuningCache({"device": "a GPU", "cudnn": "91900"}, Path(folder))
print("ready", flush=True)
sys.stdin.readline()
for n in range(60):
    cache.put(f"{who} {n}", {"plan": who * 200})
    cache.save()
    assert len(TuningCache({"device": "a GPU", "cudnn": "91900"}, Path(folder))._choices) > n
"""


def test_two_real_processes_at_once(tmp_path: Path) -> None:
    """Neither loses a choice of the other, and no reader meets half a file (it would be ignored with a warning)."""
    command = [sys.executable, "-W", "error", "-c", WRITER, str(tmp_path)]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    writers = [subprocess.Popen([*command, who], **pipes) for who in "ab"]
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    results = [writer.communicate(timeout=60) for writer in writers]
    assert [(w.returncode, err) for w, (_, err) in zip(writers, results, strict=True)] == [(0, "")] * 2
    cache = TuningCache(MACHINE, tmp_path)
    assert sorted(cache._choices) == sorted(f"{who} {n}" for who in "ab" for n in range(60))
    assert [p.name for p in tmp_path.iterdir()] == [cache.path.name]


def test_a_process_that_hangs_with_the_lock_hangs_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning_cache, "WAIT_SECONDS", 0.05)
    with tuning_cache._locked(tmp_path):
        written(tmp_path, {"k": {"plan": "1"}})
    assert TuningCache(MACHINE, tmp_path).get("k") == {"plan": "1"}


def test_where_nothing_can_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    cache = TuningCache(MACHINE, tmp_path / "file" / "folder")
    cache.put("k", {"plan": "1"})
    with caplog.at_level(logging.WARNING, "nnfuse"):
        cache.save()
    assert "tuning results are not kept" in caplog.text and cache.get("k") == {"plan": "1"}


def test_the_folder_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNFUSE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
