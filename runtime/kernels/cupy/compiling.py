"""CUDA source compiled side by side: binding a program's calls only begins it, and `finish` waits for the last.

ResNet-50 has some 25 kernels of its own, a quarter of a second each.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache, lru_cache
from typing import Any

from . import library


class Compiling:
    """A kernel that is being compiled for a device, and loaded there."""

    def __init__(self, name: str, source: str, device: int):
        self.name, self._loaded = name, False
        self._raw: Any = library.cupy().RawKernel(source, name, options=("-std=c++17",))
        self._ahead: Future[None] = _workers().submit(self._compile, device)
        _unfinished.kernels.add(self)

    def _compile(self, device: int) -> None:
        with library.cupy().cuda.Device(device):
            self._raw.compile()

    def kernel(self) -> Any:
        """The `cupy.RawKernel`, loaded for its device, which is current; raises what CuPy says of it."""
        _unfinished.kernels.discard(self)
        if not self._loaded:
            wait([self._ahead])
            self._raw.compile()  # done already; what went wrong goes wrong again, for this caller to hear of
            self._loaded = True
        return self._raw


class _Unfinished(threading.local):
    """What a thread has asked for and not waited for."""

    def __init__(self) -> None:
        self.kernels: set[Compiling] = set()


_unfinished = _Unfinished()


@cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="nnfuse-compile")


@lru_cache(maxsize=4096)
def _known(name: str, source: str, device: int) -> Compiling:
    return Compiling(name, source, device)


def compiled(name: str, source: str) -> Compiling:
    """The kernel `name` that a source defines, for the current device; equal ones are compiled once for each."""
    return _known(name, source, library.current_device())


def finish() -> None:
    """Wait until all that this thread has asked for can be launched; raises what CuPy says of one that cannot."""
    for compiling in list(_unfinished.kernels):
        compiling.kernel()
