"""Lists of things that are imported when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy(package: str, module: str, name: str) -> Callable[[], Any]:
    """A function without arguments that returns `name` of `package.module`, importing it on the call."""

    def load() -> Any:
        return getattr(import_module(f"{package}.{module}"), name)

    return load
