"""Streams that a captured graph's branches come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import library


class CudaStreams:
    """See `Streams`. What they enqueue is ordered by events, which a capture turns into edges of its graph."""

    def __init__(self, count: int):
        cuda: Any = library.cupy().cuda
        self._streams = [cuda.get_current_stream(), *(cuda.Stream(non_blocking=True) for _ in range(count - 1))]
        self._marks: dict[int, Any] = {}

    def __enter__(self) -> CudaStreams:
        begin = self._recorded(0)
        for stream in self._streams[1:]:
            stream.wait_event(begin)
        return self

    def __exit__(self, *_: object) -> None:
        for number in range(1, len(self._streams)):
            self._streams[0].wait_event(self._recorded(number))

    def enqueue(self, stream: int, run: Callable[[], None]) -> None:
        """Call `run` while a stream is the current one."""
        with self._streams[stream]:
            run()

    def mark(self, stream: int, number: int) -> None:
        """Keep an event of what a stream has been given."""
        self._marks[number] = self._recorded(stream)

    def wait(self, stream: int, number: int) -> None:
        """Let a stream wait for such an event."""
        self._streams[stream].wait_event(self._marks[number])

    def _recorded(self, stream: int) -> Any:
        event = library.cupy().cuda.Event(disable_timing=True)
        event.record(self._streams[stream])
        return event
