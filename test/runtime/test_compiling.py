"""Kernels are compiled side by side, and what is wrong with one is said where it is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest

from nnfuse.runtime.kernels.cupy import compiling, library


@pytest.fixture
def compiles(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], None]], None]:
    """`compiles(compile)` makes that CuPy's compiler, of each source."""

    class RawKernel:
        def __init__(self, source: str, name: str, options: tuple[str, ...]):
            self.compile = lambda: compile_one(source)

    compile_one: Callable[[str], None] = print

    def set_compiler(compile_: Callable[[str], None]) -> None:
        nonlocal compile_one
        compile_one = compile_

    cupy = SimpleNamespace(RawKernel=RawKernel, cuda=SimpleNamespace(Device=nullcontext))
    monkeypatch.setattr(library, "cupy", lambda: cupy)
    monkeypatch.setattr(library, "current_device", lambda: 0)
    monkeypatch.setattr(compiling, "_known", compiling.Compiling)
    return set_compiler


def test_side_by_side(compiles: Any) -> None:
    """Two compilations that wait for each other both end."""
    both = threading.Barrier(2, timeout=20)
    done: set[str] = set()

    def compile_(source: str) -> None:
        if source not in done:
            both.wait()
        done.add(source)

    compiles(compile_)
    kernels = [compiling.compiled("k", source) for source in ("a", "b")]
    compiling.finish()
    assert done == {"a", "b"}
    assert [k.kernel() is not None for k in kernels] == [True, True]


def test_what_fails_is_said_once_waited_for(compiles: Any) -> None:
    """And not again by those who wait for other kernels; where it can be compiled after all, it is."""
    fails = True

    def compile_(source: str) -> None:
        if source == "bad" and fails:
            raise ValueError("no such type")

    compiles(compile_)
    good, bad = (compiling.compiled("k", source) for source in ("good", "bad"))
    with pytest.raises(ValueError, match="no such type"):
        compiling.finish()
    compiling.finish()
    assert good.kernel() is not None
    with pytest.raises(ValueError, match="no such type"):
        bad.kernel()
    fails = False
    assert bad.kernel() is not None


def test_a_thread_waits_for_its_own(compiles: Any) -> None:
    def compile_(source: str) -> None:
        if source == "bad":
            raise ValueError("no such type")

    compiles(compile_)
    other = threading.Thread(target=compiling.compiled, args=("k", "bad"))
    other.start()
    other.join()
    compiling.compiled("k", "good")
    compiling.finish()


def test_once_for_each_device(compiles: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that comes later has all compiled ahead of its first run too."""
    compiled: list[tuple[int, str]] = []
    monkeypatch.setattr(compiling, "_known", cache(compiling.Compiling))
    monkeypatch.setattr(compiling.Compiling, "_compile", lambda self, device: compiled.append((device, self.name)))
    compiles(lambda source: None)
    for device in (0, 1, 0):
        monkeypatch.setattr(library, "current_device", lambda device=device: device)
        kernel = compiling.compiled("k", "a")
        assert compiling.compiled("k", "a") is kernel
        compiling.finish()
    assert compiled == [(0, "k"), (1, "k")]
