"""Plans of cuDNN with the kernels it compiled for them, on disk beside what the tuner found: no load compiles twice."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from functools import cache
from pathlib import Path

from ....dialects.cudnn import CudnnConvOp
from ....errors import CompileError
from ...output_file import OutputFile
from ...tuning_cache import cache_folder
from . import library
from .operands import tensor_of

LOG = logging.getLogger("nnfuse")

WRITTEN = "1"
"""Changed with how an op is written as a graph: plans of graphs written otherwise are not used."""

MOST_BYTES = 16 << 20
"""A larger file is none of ours: plans have some 80 kB."""

_DIGEST = hashlib.sha256().digest_size


def plan_path(op: CudnnConvOp) -> Path:
    """The file for an op's plan, on the current GPU by the versions of the libraries here."""
    fields = sorted(f"{name}={value}" for name, value in op.properties.items())
    types = ", ".join(f"{value.type} {tensor_of(value).pitch or ''}" for value in (*op.operands, *op.results))
    key = f"{WRITTEN} {_machine(library.current_device())} {op.name} {' '.join(fields)} {types}"
    return cache_folder() / f"cudnn-{hashlib.sha256(key.encode()).hexdigest()[:32]}.plan"


@cache
def _machine(ordinal: int) -> str:
    """The GPU of that number, which is current, and the versions."""
    return f"{sorted(library.describe().items())} {library.cudnn().__version__}"


def read_plan(path: Path) -> bytes | None:
    """The plan in a file, or None. It is machine code: what others may write is ignored, with a note."""
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise ValueError("others can write it")
            content = stream.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES or content[:_DIGEST] != _digest(content[_DIGEST:]):
            raise ValueError("it was changed after it was written")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as e:
        LOG.warning("the cuDNN plan in %s is ignored: %s", path, e)
        return None
    return content[_DIGEST:]


def write_plan(path: Path, plan: bytes) -> None:
    """Keep a plan, whole or not at all; where it cannot be written, with a note."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with OutputFile(str(path), "wb") as file:
            if file.temporary is not None:
                os.chmod(file.temporary, stat.S_IRUSR | stat.S_IWUSR)
            file.stream.write(_digest(plan) + plan)
            file.commit()
    except (CompileError, OSError) as e:
        LOG.warning("a cuDNN plan is not kept: %s", e)


def _digest(plan: bytes) -> bytes:
    return hashlib.sha256(plan).digest()
