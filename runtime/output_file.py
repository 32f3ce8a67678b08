"""Files that are complete or not there."""

from __future__ import annotations

import os
import tempfile
from typing import IO, Any, Self

from ..errors import CompileError


class OutputFile:
    """A file that is complete or not there: written under a temporary name beside `path`, then renamed.

    What is no regular file (/dev/stdout, a pipe) is written directly. A symbolic link stays one. At the end of a
    `with` block, what was not committed is discarded.
    """

    def __init__(self, path: str, mode: str = "w"):
        self.path = os.path.realpath(path)
        self.temporary: str | None = None
        self.stream: IO[Any]
        if os.path.lexists(self.path) and not os.path.isfile(self.path):
            self.stream = open(self.path, mode)  # noqa: SIM115
            return
        folder, name = os.path.split(self.path)
        try:
            handle, self.temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=folder)
        except OSError as e:
            raise CompileError(f"cannot write {path}: {e.strerror}") from None
        self.stream = os.fdopen(handle, mode)
        os.chmod(self.temporary, self._permissions())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def _permissions(self) -> int:
        if os.path.exists(self.path):
            return os.stat(self.path).st_mode & 0o777
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask

    def commit(self) -> None:
        """Close the file and give it its name."""
        self.stream.close()
        if self.temporary is not None:
            os.replace(self.temporary, self.path)
            self.temporary = None

    def discard(self) -> None:
        """Close the file and remove it, unless it was committed; what was at `path` stays."""
        self.stream.close()
        if self.temporary is not None:
            os.unlink(self.temporary)
            self.temporary = None
