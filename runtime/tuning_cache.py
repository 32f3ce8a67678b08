"""What tuning found, kept on disk: one file per device and versions of its libraries."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, cast

LOG = logging.getLogger("nnfuse")

VARIABLE = "NNFUSE_CACHE"
"""The environment variable that names the folder; by default `nnfuse` in the user's cache folder."""

WAIT_SECONDS = 2.0
"""How long to wait while other processes write: each takes milliseconds."""

Choices: TypeAlias = dict[str, dict[str, str]]


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
        self._noted = False
        self._choices = self._read()
        self._new: Choices = {}

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
        temporary: str | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self.path.parent):
                choices = self._read() | self._new
                handle, temporary = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
                with os.fdopen(handle, "w") as stream:
                    content = {"machine": self._machine, "digest": _digest(choices), "choices": choices}
                    json.dump(content, stream, indent=1)
                os.replace(temporary, self.path)
        except OSError as e:
            LOG.warning("tuning results are not kept: %s", e)
            if temporary is not None and os.path.exists(temporary):
                os.unlink(temporary)
            return
        self._choices, self._new = choices, {}

    def _read(self) -> Choices:
        try:
            content: Any = json.loads(self.path.read_text())
            if content["machine"] != self._machine:
                raise ValueError("it is of another device or other versions")
            choices: dict[Any, Any] = dict(content["choices"])
            if not all(isinstance(k, str) and _is_choice(v) for k, v in choices.items()):
                raise ValueError("it holds something else than choices")
            if content["digest"] != _digest(choices):
                raise ValueError("it was changed after it was written")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as e:
            if not self._noted:
                what = f"it has no {e}" if isinstance(e, KeyError) else e
                LOG.warning("the tuning results in %s are ignored: %s", self.path, what)
            self._noted = True
            return {}
        return cast(Choices, choices)


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    """While open, no other process merges into a file of `folder`.

    Where the lock cannot be had, or not soon, it goes on without: at worst another's choices are measured once more.
    """
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.002)
            except OSError:  # a file system without locks
                break
        yield
    finally:
        os.close(handle)


def _digest(choices: Mapping[str, Any]) -> str:
    """What a file must say of its choices: a library is given them as they stand."""
    return hashlib.sha256(json.dumps(choices, sort_keys=True).encode()).hexdigest()


def _is_choice(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(k, str) and isinstance(v, str) for k, v in cast(dict[Any, Any], value).items()
    )
