"""`fuse-run --bench` and `--profile`: how long a program takes, as a whole and step by step."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from ..dialects.nn.types import dims_of, format_dims
from ..rewriting import node_name
from ..runtime.frame import Step
from ..runtime.program import Program
from .report import milliseconds, print_table

WARM_UP_RUNS, WARM_UP_SECONDS = 3, 0.3
"""What runs before anything counts: as many runs, and at least as long."""

BENCH_RUNS, BENCH_SECONDS = 10, 3.0
PROFILE_RUNS, PROFILE_SECONDS = 5, 1.0


def bench(program: Program, inputs: Sequence[Any], where: str) -> None:
    """Print the median and the least time of many runs, and how many items (first dim of the first input) that is."""
    warm_up = _warm_up(program, inputs)
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < BENCH_RUNS or time.perf_counter() - began < BENCH_SECONDS:
        start = time.perf_counter()
        program.run(inputs)
        program.backend.synchronize()
        times.append(time.perf_counter() - start)
    middle = median(times)
    print(
        f"median {milliseconds(middle)} ms, min {milliseconds(min(times))} ms of {len(times)} runs"
        f" (after {warm_up} to warm up) on {where}"
    )
    if inputs and inputs[0].ndim and middle:
        batch = inputs[0].shape[0]
        print(
            f"{batch / middle:.1f} items per second at the median, batch {batch}"
            f" (the first dimension of '{program.input_names[0]}')"
        )


def profile(program: Program, inputs: Sequence[Any], where: str) -> None:
    """Print each step in program order with the median of its times, then the totals by op."""
    _warm_up(program, inputs)
    runs: list[list[tuple[Step, float]]] = []
    began = time.perf_counter()
    while len(runs) < PROFILE_RUNS or time.perf_counter() - began < PROFILE_SECONDS:
        runs.append(program.profile(inputs)[1])
    steps = [step for step, _ in runs[0]]
    times = [median(run[i][1] for run in runs) for i in range(len(steps))]
    total = sum(times) or 1.0
    rows = [
        (node_name(step.op), step.op.name, _shapes(step), _kernel(step), milliseconds(t), f"{100 * t / total:.1f}%")
        for step, t in zip(steps, times, strict=True)
    ]
    numbers = ("ms", "share")
    print_table(("node", "op", "shapes", "kernel", "ms", "share"), rows, numbers)
    print()
    print_table(("op", "kernel", "steps", "ms", "share"), _totals(steps, times, total), ("steps", *numbers))
    print(f"times are medians of {len(runs)} runs on {where}")


def _warm_up(program: Program, inputs: Sequence[Any]) -> int:
    """The number of runs it took."""
    began, count = time.perf_counter(), 0
    while count < WARM_UP_RUNS or time.perf_counter() - began < WARM_UP_SECONDS:
        program.run(inputs)
        count += 1
    program.backend.synchronize()
    return count


def _totals(steps: Sequence[Step], times: Sequence[float], total: float) -> list[tuple[str, ...]]:
    """A row for each op and kernel, the slowest first, and one for all."""
    sums: dict[tuple[str, str], float] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for step, t in zip(steps, times, strict=True):
        key = step.op.name, _kernel(step)
        sums[key] = sums.get(key, 0.0) + t
        counts[key] += 1
    rows = [
        (*key, str(counts[key]), milliseconds(t), f"{100 * t / total:.1f}%")
        for key, t in sorted(sums.items(), key=lambda item: -item[1])
    ]
    return [*rows, ("total", "", str(len(steps)), milliseconds(sum(times)), "100.0%")]


def _kernel(step: Step) -> str:
    return "evaluate" if step.default else "own"


def _shapes(step: Step) -> str:
    """`1x3x8x8, 4x3x3x3 -> 1x4x6x6`."""
    sides = [", ".join(format_dims(dims_of(v.type)) for v in values) for values in (step.op.operands, step.op.results)]
    return " -> ".join(sides).strip()
