"""What tuning found, kept on disk: one file per device and versions of its libraries."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

LOG = logging.getLogger("nnfuse")

VARIABLE = "NNFUSE_CACHE"
"""The environment variable that names the folder; by default `nnfuse` in the user's cache folder."""


def cache_folder() -> Path:
    """Where tuning results are kept."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nnfuse"


class TuningCache:
    """Choices by what was tuned. A file that cannot be read, or is another machine's, is ignored with a note."""

    def __init__(self, machine: Mapping[str, str], folder: Path | None = None):
        """`machine` is the device and the versions that a choice holds for."""
        self._machine = dict(machine)
        name = hashlib.sha256(json.dumps(self._machine, sort_keys=True).encode()).hexdigest()[:16]
        self.path = (folder or cache_folder()) / f"tuning-{name}.json"
        self._choices = self._read()
        self._new: dict[str, dict[str, str]] = {}

    def get(self, key: str) -> dict[str, str] | None:
        """What was chosen, if anything."""
        return self._choices.get(key)

    def put(self, key: str, chosen: Mapping[str, str]) -> None:
        """Remember a choice; `save` writes it."""
        self._choices[key] = self._new[key] = dict(chosen)

    def save(self) -> None:
        """Write what is new, with what another process wrote meanwhile; whole, by rename. A full disk costs a note."""
        if not self._new:
            return
        choices = self._read() | self._new
        temporary: str | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            with os.fdopen(handle, "w") as stream:
                json.dump({"machine": self._machine, "choices": choices}, stream, indent=1)
            os.replace(temporary, self.path)
        except OSError as e:
            LOG.warning("tuning results are not kept: %s", e)
            if temporary is not None and os.path.exists(temporary):
                os.unlink(temporary)
            return
        self._new = {}

    def _read(self) -> dict[str, dict[str, str]]:
        if not self.path.exists():
            return {}
        try:
            content: Any = json.loads(self.path.read_text())
            if content["machine"] != self._machine:
                raise ValueError("it is of another device or other versions")
            choices: dict[Any, Any] = dict(content["choices"])
            if not all(isinstance(k, str) and _is_choice(v) for k, v in choices.items()):
                raise ValueError("it holds something else than choices")
        except (OSError, ValueError, KeyError, TypeError) as e:
            LOG.warning("the tuning results in %s are ignored: %s", self.path, e)
            return {}
        return cast(dict[str, dict[str, str]], choices)


def _is_choice(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(k, str) and isinstance(v, str) for k, v in cast(dict[Any, Any], value).items()
    )
