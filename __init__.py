"""nnfuse: an ONNX compiler on xDSL. `nnfuse.Session(model).run(None, feeds)` runs a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import CompileError, OutOfMemoryError, UnsupportedError
    from .runtime.session import Session

__all__ = ["CompileError", "OutOfMemoryError", "Session", "UnsupportedError"]


def __getattr__(name: str) -> Any:
    """Lazy re-exports: `import nnfuse` loads neither NumPy nor xDSL."""
    if name == "Session":
        from .runtime.session import Session

        return Session
    if name in ("CompileError", "OutOfMemoryError", "UnsupportedError"):
        from . import errors

        return getattr(errors, name)
    raise AttributeError(f"module 'nnfuse' has no attribute {name!r}")
