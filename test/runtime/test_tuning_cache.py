"""Tuning results on disk: kept per machine, shared by processes, ignored with a note where they cannot be trusted."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '"text"',
        json.dumps({"machine": {"device": "another"}, "choices": {}}),
        json.dumps({"machine": MACHINE}),
        json.dumps({"machine": MACHINE, "choices": {"k": "no choice"}}),
        json.dumps({"machine": MACHINE, "choices": {"k": {"plan": 3}}}),
    ],
)
def test_a_file_that_cannot_be_trusted(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    path = TuningCache(MACHINE, tmp_path).path
    path.write_text(content)
    with caplog.at_level(logging.WARNING, "nnfuse"):
        cache = TuningCache(MACHINE, tmp_path)
    assert cache.get("k") is None
    assert f"the tuning results in {path} are ignored" in caplog.text
    cache.put("new", {"plan": "1"})
    cache.save()
    assert TuningCache(MACHINE, tmp_path).get("new") == {"plan": "1"}, "it is written whole again"


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
