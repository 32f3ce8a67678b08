"""Timing on the GPU: CUDA graphs of many launches, so that no Python call and no launch gap is in a figure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from statistics import median
from typing import Any

L2_FLUSH_BYTES = 160 << 20
"""Written between launches of a cold timing: three times the L2 cache of an H100."""

GEMM_KERNELS = re.compile(r"(?i)gemm|gemv|gemmSN|splitK|xmma|cutlass|MEMSET")
"""How cuBLASLt's kernels are called: products, the reduction of split-K, and the clearing of its workspace."""


def capture(xp: Any, work: Callable[[], None]) -> Any:
    """A CUDA graph of what `work` enqueues on the current stream; `work` has run once before, uncaptured."""
    stream = xp.cuda.Stream(non_blocking=True)
    work()
    xp.cuda.Device().synchronize()
    with stream:
        stream.begin_capture()
        work()
        return stream.end_capture()


def graph_time(xp: Any, graph: Any, repeats: int = 30) -> float:
    """The median duration of a graph's launches, in microseconds, by events; the first three do not count."""
    stream = xp.cuda.Stream(non_blocking=True)
    start, stop = xp.cuda.Event(), xp.cuda.Event()
    times: list[float] = []
    for n in range(repeats + 3):
        start.record(stream)
        graph.launch(stream)
        stop.record(stream)
        stop.synchronize()
        if n >= 3:
            times.append(1e3 * xp.cuda.get_elapsed_time(start, stop))
    return median(times)


def warm_time(xp: Any, work: Callable[[], None], launches: int = 20) -> float:
    """Microseconds per call in a graph of `launches` calls on the same memory: what fits the caches is in them."""
    graph = capture(xp, lambda: [work() for _ in range(launches)] and None)
    return graph_time(xp, graph) / launches


def cold_time(xp: Any, work: Callable[[], None], launches: int = 10) -> float:
    """Microseconds per call where the L2 cache is overwritten before each: with the overwriting minus without."""
    buffer = xp.empty(L2_FLUSH_BYTES, xp.uint8)

    def flush() -> None:
        xp.cuda.runtime.memsetAsync(buffer.data.ptr, 0, buffer.nbytes, xp.cuda.get_current_stream().ptr)

    def both() -> None:
        flush()
        work()

    flushes = graph_time(xp, capture(xp, lambda: [flush() for _ in range(launches)] and None))
    return (graph_time(xp, capture(xp, lambda: [both() for _ in range(launches)] and None)) - flushes) / launches


def kernel_names(graph: Any) -> list[str]:
    """The kernels (and copies and fills) of a captured graph, in order, from its dot print."""
    dot = graph.debug_dot_str(flags=1)  # cudaGraphDebugDotFlagsVerbose
    names: list[str] = []
    # A node stands at the start of a line; behind an arrow the same words are an edge.
    for node in re.findall(r'^\s*"graph_\d+_node_\d+"\s*\[(.*?)\];', dot, flags=re.S | re.M):
        kernel = re.search(r"([^\s|{}\"]+)\s*\\<\\<\\<", node)
        if kernel is not None:
            names.append(kernel.group(1))
        elif kind := re.search(r"MEMCPY|MEMSET|HOST|EMPTY", node):
            names.append(kind.group())
        else:
            names.append("?" + " ".join(node.split())[:80])
    return names


def unexpected(names: Sequence[str], named: Collection[str]) -> list[str]:
    """The kernels that are neither cuBLASLt's nor of the ops `named` (`blas.im2col` runs as `nnfuse_blas_im2col`)."""
    ours = {f"nnfuse_{name.replace('.', '_')}" for name in named}
    return [n for n in names if n not in ours and (n.startswith("nnfuse") or not GEMM_KERNELS.search(n))]


def summary(names: Sequence[str]) -> str:
    """Each name with how often it is there, the generated kernels first."""
    counts = Counter(names)
    ordered = sorted(counts, key=lambda n: (not n.startswith("nnfuse"), n))
    return "\n".join(f"  {counts[n]:4d}  {n[:110]}" for n in ordered)
