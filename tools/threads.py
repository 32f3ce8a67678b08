"""The threads of NumPy's BLAS. The environment's OMP_NUM_THREADS is read when NumPy is loaded, so it comes too late."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..errors import UnsupportedError


def limit_threads(count: int) -> Any:
    """A context in which NumPy's BLAS uses `count` threads; raises UnsupportedError where it does not."""
    libraries = _threadpoolctl()
    limits = libraries.threadpool_limits(count, "blas")
    if (threads := blas_threads()) != count:
        limits.restore_original_limits()
        what = "cannot be told how many" if threads is None else f"uses {threads} at most"
        raise UnsupportedError(f"--threads {count}: NumPy's BLAS {what}")
    return limits


def blas_threads() -> int | None:
    """How many threads NumPy's BLAS uses; None where it does not tell."""
    pools: list[dict[str, Any]] = _threadpoolctl().threadpool_info()
    return max((int(p["num_threads"]) for p in pools if p["user_api"] == "blas"), default=None)


def _threadpoolctl() -> Any:
    """The module, once NumPy's BLAS is loaded: it finds what is there."""
    import_module("numpy")
    return import_module("threadpoolctl")
