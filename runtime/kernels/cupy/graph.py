"""CUDA graphs, what a program enqueues recorded once and launched in one call; and order between streams."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from statistics import median
from typing import Any

from .. import CAPTURING
from . import library, source
from .compiling import compiled
from .launch import ADDRESS, Launch, OverlappedKernel, recorded


class Fence:
    """Keeps uses of one piece of memory in order where they are enqueued on different streams."""

    def __init__(self) -> None:
        self._event: Any = library.cupy().cuda.Event(disable_timing=True)
        self._stream: Any = None  # kept, as a new stream may get the address of one that is gone

    def __enter__(self) -> None:
        stream = library.cupy().cuda.get_current_stream()
        if self._stream is not None and self._stream.ptr != stream.ptr:
            stream.wait_event(self._event)
        self._stream = stream

    def __exit__(self, *_: object) -> None:
        self._event.record(library.cupy().cuda.get_current_stream())


class Graph:
    """What `run` enqueues on CuPy's current stream, recorded; a call launches it on the stream current then."""

    def __init__(self, run: Callable[[], None]):
        """`run` has run before, so that everything is compiled and planned."""
        self._xp: Any = library.cupy()
        stream = self._xp.cuda.Stream(non_blocking=True)
        with CAPTURING, stream, recorded() as launches:
            self._xp.cuda.Device().synchronize()
            stream.begin_capture()
            try:
                run()
            except BaseException:
                with suppress(self._xp.cuda.runtime.CUDARuntimeError):  # what went wrong has ended the capture
                    stream.end_capture()
                raise
            self._graph = stream.end_capture()
        self._graph.upload(stream)
        stream.synchronize()
        self._launches: list[Launch] = launches
        self._moved: dict[tuple[int, int], int] = {}

    def __call__(self) -> None:
        """Enqueue it."""
        self._graph.launch(self._xp.cuda.get_current_stream())

    def move(self, start: int, nbytes: int, to: int) -> None:
        """From the next launch on, kernels of ours find at `to` what lay in the `nbytes` bytes from `start` on."""
        if self._moved.get((start, nbytes), start) == to:
            return
        self._moved[start, nbytes] = to
        for launch in self._launches:
            typed = list(zip(launch.arguments, launch.types, strict=True))
            if any(type_ is ADDRESS and start <= value < start + nbytes for value, type_ in typed):
                arguments = tuple(self._place(value) if type_ is ADDRESS else value for value, type_ in typed)
                launch.set_arguments(self._graph.graphExec, arguments)

    def _place(self, address: int) -> int:
        for (start, nbytes), to in self._moved.items():
            if start <= address < start + nbytes:
                return to + address - start
        return address


def elapsed(launch: Callable[[], None], repeats: int) -> float:
    """The median duration of a launch on the device, in microseconds, after one that does not count."""
    xp: Any = library.cupy()
    launch()
    times: list[float] = []
    start, stop = xp.cuda.Event(), xp.cuda.Event()
    for _ in range(repeats):
        start.record()
        launch()
        stop.record()
        stop.synchronize()
        times.append(1e3 * float(xp.cuda.get_elapsed_time(start, stop)))
    return median(times)


class Neighbour:
    """A kernel that starts early, lets the next one start early, and loads weights before it waits, as ours do."""

    NAME = "nnfuse_neighbour"
    BODY = f"""
extern "C" __global__ void {NAME}(const char* weights) {{
  START_NEXT;
  unsigned a, b, c, d;
  const char* at = weights + 16 * (blockIdx.x * blockDim.x + threadIdx.x);
  asm volatile("ld.global.v4.u32 {{%0, %1, %2, %3}}, [%4];" : "=r"(a), "=r"(b), "=r"(c), "=r"(d) : "l"(at));
  WAIT_FOR_LAST;
}}"""
    BLOCKS, THREADS, TURNS = 132, 256, 31

    def __init__(self) -> None:
        compiling = compiled(self.NAME, source.PROLOGUE + self.BODY)
        self._kernel = OverlappedKernel(compiling, (self.BLOCKS, 1, 1), self.THREADS)
        size = 16 * self.BLOCKS * self.THREADS
        self._weights: Any = library.cupy().empty(self.TURNS * size, "u1")
        self._places = cycle(range(self._weights.data.ptr, self._weights.data.ptr + self.TURNS * size, size))

    def __call__(self) -> None:
        """Enqueue it."""
        self._kernel((next(self._places),), (ADDRESS,))
