"""Kernels: how an op runs on a backend where `compute` would be slower, found by op class.

A backend has a dict `KERNELS` from op class to `bind(op, context)`, which runs once per program and returns
`kernel(outs, ins)`, or None where it does not do this op's case. `ins` are the operand arrays, `outs` the arrays to
write: static shapes, row-major (with gaps between rows where `pitch` says so, for results of ops of the backend's
`rows_apart` and operands of those of its `reads_rows_apart`); an in-place op gets `outs[0]` with the memory of one of
its INPLACE operands. `VIEWS` maps an op class to a function that makes its result from fixed operands when the program
is loaded, without copying.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Protocol, TypeAlias

import numpy as np

from ...dialects.nn.base import NNOp
from ...dialects.nn.types import Array
from ...errors import CompileError, OutOfMemoryError
from ...passes.plan_memory import ALIGNMENT

CAPTURING = threading.Lock()
"""Held while a device is captured, and while it is waited for: CUDA lets no thread wait while another one captures."""

SHORTAGE_HINT = "a smaller batch needs less; other programs and arrays may be freed"

Kernel: TypeAlias = Callable[[Sequence[Array], Sequence[Array]], None]
"""`kernel(outs, ins)` writes `outs`."""


class Scratch:
    """Memory that a kernel may use during one call: as large as the largest reservation of a program."""

    def __init__(self, xp: Any):
        self._xp = xp
        self._size = 0
        self._buffer: Array | None = None

    def reserve(self, nbytes: int) -> None:
        """At bind: make sure that `view` can hold `nbytes` bytes."""
        self._size = max(self._size, nbytes)

    @property
    def size(self) -> int:
        """The bytes reserved."""
        return self._size

    def allocate(self) -> None:
        """Take the memory, once every kernel is bound."""
        self._buffer = self._xp.empty(self._size, np.uint8)

    def view(self, shape: Sequence[int], dtype: Any) -> Array:
        """Inside a kernel: an array over the start of the scratch memory, its content undefined."""
        count = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        assert self._buffer is not None and count <= self._size, "a kernel did not reserve its scratch"
        return self._buffer[:count].view(dtype).reshape(shape)


@dataclass
class KernelContext:
    """What `bind` may ask of the program it binds for."""

    xp: Any
    scratch: Scratch


Bind: TypeAlias = Callable[[Any, KernelContext], Kernel | None]


class Recording(Protocol):
    """What `run` enqueued on the device, recorded: a call enqueues it all at once."""

    def __call__(self) -> None:
        """Enqueue it."""
        ...

    def move(self, start: int, nbytes: int, to: int) -> None:
        """From the next call on, use the memory at `to` for that at `start`; for calls of RELOCATABLE ops only."""
        ...


class Streams(Protocol):
    """Several streams of the device, the first of them the current one; open, the others begin and end with it."""

    def __enter__(self) -> Streams: ...

    def __exit__(self, *_: object) -> None: ...

    def enqueue(self, stream: int, run: Callable[[], None]) -> None:
        """Call `run`, which enqueues something, for the stream of this number."""
        ...

    def mark(self, stream: int, number: int) -> None:
        """What has been enqueued on a stream so far gets a number."""
        ...

    def wait(self, stream: int, number: int) -> None:
        """What follows on a stream waits for what was marked with a number."""
        ...


Capture: TypeAlias = Callable[[Callable[[], None]], Recording]
"""`capture(run)` records what `run` enqueues on the device."""

Attributes: TypeAlias = dict[str, str]
"""Attributes of an op that choose one of several kernels."""

Alternatives: TypeAlias = Callable[[Any, KernelContext], Iterator[tuple[Attributes, Kernel]]]
"""`alternatives(op, context)`: every kernel that does an op, with what chooses it."""

ViewFunction: TypeAlias = Callable[[Any, Sequence[Array]], Array | None]


def _nothing() -> None:
    """Frees, enqueues or waits for nothing."""


def _no_neighbour() -> Callable[[], None]:
    """Stands nowhere."""
    return _nothing


def _one_device(*_: Any) -> int:
    """The number of the only device there is."""
    return 0


def _any_caller(ordinal: int) -> None:
    """Refuses none."""


def _unknown() -> None:
    """Not known."""


def _is_memory_error(error: BaseException) -> bool:
    return isinstance(error, MemoryError)


@dataclass(frozen=True)
class Backend:
    """A device to run on: its array module, its kernels, and how arrays come and go."""

    name: str
    xp: Any
    kernels: dict[type[NNOp], Bind]
    views: dict[type[NNOp], ViewFunction] = field(default_factory=dict[type[NNOp], ViewFunction])
    alternatives: dict[type[NNOp], Alternatives] = field(default_factory=dict[type[NNOp], Alternatives])
    capture: Capture | None = None
    streams: Callable[[int], Streams] | None = None
    """`streams(count)` for use within what is captured."""
    relocatable: frozenset[type[NNOp]] = frozenset()
    """The ops whose kernels in a recording may be given other addresses; see `Recording.move`."""
    rows_apart: frozenset[type[NNOp]] = frozenset()
    """The ops whose kernels write rows that lie apart; another's result is copied to where it belongs."""
    reads_rows_apart: frozenset[type[NNOp]] = frozenset()
    """The ops whose kernels read rows that lie apart; another is computed by its own meaning, `compute`."""
    elapsed: Callable[[Callable[[], None], int], float] | None = None
    """`elapsed(launch, repeats)`: the median duration on the device of a captured launch, in microseconds."""
    neighbour: Callable[[], Callable[[], None]] = _no_neighbour
    """Makes what enqueues a kernel like those that stand around a call in a network."""
    finish_binding: Callable[[], None] = _nothing
    """Waits until all that this thread has bound can be launched: `bind` may only begin to compile it."""
    describe: Callable[[], dict[str, str]] = dict[str, str]
    """The device and the versions of its libraries."""
    fence: Callable[[], AbstractContextManager[None]] = nullcontext
    """Around each use of a frame: keeps those on different streams of the device in order."""
    current: Callable[[], int] = _one_device
    """The number of the device that is current, of those of this kind."""
    device_of: Callable[[Array], int] = _one_device
    """The number of the device that holds an array."""
    trim: Callable[[], None] = _nothing
    """Gives memory that nothing uses back to the device."""
    check_caller: Callable[[int], None] = _any_caller
    """Raises CompileError where a caller is in no state to run something on the device of that number."""
    free_bytes: Callable[[], int | None] = _unknown
    """How much memory can be had."""
    is_shortage: Callable[[BaseException], bool] = _is_memory_error
    """Whether an error says that there is no memory left."""

    def explained(self, error: Exception, what: str, nbytes: int | None = None, node: str | None = None) -> Exception:
        """OutOfMemoryError for `what` where there is no memory left, else `error` itself.

        `nbytes` is what it needs; where that is not known, what was asked for last is named.
        """
        if isinstance(error, OutOfMemoryError) or not self.is_shortage(error):
            return error
        asked = re.search(r"allocat\w+ ([\d,]+) bytes", str(error))
        if nbytes is None and asked:
            nbytes = int(asked[1].replace(",", ""))
        needs = f"{what} needs {'more than there is' if nbytes is None else f'{nbytes} bytes'}"
        free = self.free_bytes()
        left = "" if free is None else f", {free} {'bytes ' if nbytes is None else ''}are free"
        return OutOfMemoryError(f"out of memory on {self.name}: {needs}{left}", node, SHORTAGE_HINT)

    @contextmanager
    def needing(self, what: str, nbytes: int | None = None, node: str | None = None) -> Generator[None]:
        """While open, a lack of memory is one for `what`; see `explained`."""
        try:
            yield
        except Exception as e:
            raise self.explained(e, what, nbytes, node) from None

    def asarray(self, array: Array) -> Array:
        """`array` on this device, row-major."""
        if type(array) is self.xp.ndarray and array.flags.c_contiguous:
            return array
        return self.xp.asarray(array, order="C")  # ascontiguousarray would make a scalar a vector

    def packed(self, arrays: Sequence[Array]) -> list[Array]:
        """`arrays` on this device, row-major; those of a device with a pool of memory in one piece, without holes."""
        if self.xp is np:
            return list(map(self.asarray, arrays))
        *starts, size = accumulate((-(-a.nbytes // ALIGNMENT) * ALIGNMENT for a in arrays), initial=0)
        memory, packed = self.arena(size), list[Array]()
        for array, start in zip(arrays, starts, strict=True):
            packed.append(memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape))
            packed[-1][...] = array
        return packed

    def arena(self, size: int) -> Array:
        """`size` bytes of uninitialised memory, aligned as plan-memory's offsets are."""
        memory = self.xp.empty(size + ALIGNMENT, np.uint8)
        start = -self.address(memory) % ALIGNMENT
        return memory[start : start + size]

    def copy(self, target: Array, source: Array) -> None:
        """`target[...] = source`, two row-major arrays of this device, equal in shape and dtype, in as few calls."""
        if self.xp is np:
            np.copyto(target, source)
        elif source.nbytes:
            target.data.copy_from_device_async(source.data, source.nbytes)

    def address(self, array: Array) -> int:
        """Where an array begins."""
        return int(array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr)

    def synchronize(self) -> None:
        """Wait until the device has done what it was asked to do."""
        if self.xp is not np:
            with CAPTURING:
                self.xp.cuda.Device().synchronize()

    def bind(self, op: NNOp, context: KernelContext) -> Kernel | None:
        """The kernel for `op`, or None where `compute` serves."""
        binder = self.kernels.get(type(op))
        return None if binder is None else binder(op, context)


def get_backend(device: str) -> Backend:
    """The backend of `cpu` or `cuda`; raises CompileError where it cannot be had."""
    if device == "cpu":
        from .numpy import BACKEND

        return BACKEND
    if device == "cuda":
        from .cupy import get_cuda_backend

        return get_cuda_backend()
    raise CompileError(f"unknown device '{device}'", hint="cpu or cuda")
