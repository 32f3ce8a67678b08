"""The arena is at most 1.1 times the bytes that are alive together; see bench/arena.py."""

from __future__ import annotations

from typing import Any

import arena
import pytest

from nnfuse.passes.plan_memory import ALIGNMENT, pack


@pytest.mark.parametrize("network", ["resnet50", "vgg19", "densenet121", "shufflenet"])
def test_the_arena_is_hardly_larger_than_what_is_alive(network: str) -> None:
    figures: dict[str, Any] = arena.measure(network)
    assert figures["arena"] <= arena.LIMIT * figures["live"]
    assert figures["arena"] <= arena.LIMIT * figures["occupied"]
    assert figures["arena"] >= figures["occupied"] > 1 << 20


def test_largest_counts_what_is_alive() -> None:
    """Three values, two of them in one place after the other; a view inside the third."""
    values = [(0, 1, 0, 100), (1, 3, 256, 50), (2, 4, 0, 80), (3, 4, 10, 20)]
    assert arena.largest(values) == (150, 150)
    assert arena.largest([*values, (3, 3, 0, 80)]) == (230, 150)
    assert arena.largest([]) == (0, 0)


# (sizes, spans, what is alive together): the first fits there only by size times span, the second only by size
PACKED = [
    ([2, 2, 4, 3], [(3, 6), (4, 4), (3, 3), (4, 5)], 7),
    ([2, 4, 2, 3], [(1, 1), (0, 0), (0, 3), (2, 4)], 6),
]


@pytest.mark.parametrize(("units", "spans", "alive"), PACKED)
def test_pack_takes_the_better_of_two_orders(units: list[int], spans: list[tuple[int, int]], alive: int) -> None:
    offsets, size = pack([u * ALIGNMENT for u in units], spans)
    assert size == alive * ALIGNMENT
    buffers = list(zip(offsets, units, spans, strict=True))
    for i, (a, unit, (begin, end)) in enumerate(buffers):
        for b, other, (first, last) in buffers[:i]:
            apart = a >= b + other * ALIGNMENT or b >= a + unit * ALIGNMENT
            assert apart or end < first or last < begin


def test_pack_rounds_up() -> None:
    assert pack([], []) == ([], 0)
    assert pack([0, 1], [(0, 1), (0, 1)])[1] == ALIGNMENT
