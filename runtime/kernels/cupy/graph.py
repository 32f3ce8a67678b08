"""CUDA graphs, what a program enqueues recorded once and launched in one call; and order between streams."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from . import library


class Fence:
    """Keeps uses of one piece of memory in order where they are enqueued on different streams."""

    def __init__(self) -> None:
        self._event: Any = library.cupy().cuda.Event(disable_timing=True)
        self._stream: int | None = None

    def __enter__(self) -> None:
        stream = library.cupy().cuda.get_current_stream()
        if self._stream not in (None, stream.ptr):
            stream.wait_event(self._event)
        self._stream = stream.ptr

    def __exit__(self, *_: object) -> None:
        self._event.record(library.cupy().cuda.get_current_stream())


def capture(run: Callable[[], None]) -> Callable[[], None]:
    """Record what `run` enqueues on CuPy's current stream; the result launches it on the stream current then.

    `run` has run before, so that everything is compiled and planned.
    """
    xp: Any = library.cupy()
    stream = xp.cuda.Stream(non_blocking=True)
    xp.cuda.Device().synchronize()
    with stream:
        stream.begin_capture()
        try:
            run()
        finally:
            graph = stream.end_capture()
    graph.upload(stream)
    stream.synchronize()

    def launch() -> None:
        graph.launch(xp.cuda.get_current_stream())

    return launch


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
