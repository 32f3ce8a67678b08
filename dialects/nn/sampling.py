"""Images read between their pixels, at coordinates that are data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any, TypeAlias

from xdsl.ir import Attribute

from .types import Array, dtype_of

Tap: TypeAlias = tuple[Array, Array | None]
"""The index of a pixel along an axis, and its weight (None: 1), both of the dims of the coordinates."""


INDEX_BYTES = 8
"""The size of a pixel's index."""


def computed_itemsize(element: Attribute) -> int:
    """The bytes of a number at work: narrower ones than f32 are computed in f32."""
    return max(4, dtype_of(element).itemsize)


def linear_taps(xp: Any, places: Array) -> list[Tap]:
    """The two pixels around each coordinate."""
    low = xp.floor(places)
    return [(low, 1 - (places - low)), (low + 1, places - low)]


def cubic_taps(xp: Any, places: Array) -> list[Tap]:
    """The four pixels around each coordinate, by cubic convolution with the slope -0.75 (Keys 1981)."""
    low, a = xp.floor(places), -0.75

    def near(t: Array) -> Array:
        return ((a + 2) * t - (a + 3)) * t * t + 1

    def far(t: Array) -> Array:
        return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a

    t = places - low
    return [(low - 1, far(t + 1)), (low, near(t)), (low + 1, near(1 - t)), (low + 2, far(2 - t))]


def combinations(taps: Sequence[Sequence[Tap]]) -> Iterator[tuple[list[Array], Array | None]]:
    """Every choice of one tap per axis: its indices, and the product of its weights."""
    for chosen in product(*taps):
        weight = None
        for _, factor in chosen:
            weight = factor if weight is None or factor is None else weight * factor
        yield [index for index, _ in chosen], weight


def gather(xp: Any, x: Array, indices: Sequence[Array]) -> Array:
    """The pixels of x [B, C, spatial...] at the indices [B, P] along each spatial axis: [B, C, P]; 0 outside."""
    flat: Array = 0
    inside: Array = True
    for index, size in zip(indices, x.shape[2:], strict=True):
        inside = inside & (index >= 0) & (index <= size - 1)
        flat = flat * size + xp.clip(xp.nan_to_num(index), 0, max(size - 1, 0)).astype(xp.int64)
    pixels = x.reshape(*x.shape[:2], -1)
    seen = xp.take_along_axis(pixels, xp.broadcast_to(flat[:, None], (*x.shape[:2], flat.shape[1])), axis=2)
    return xp.where(inside[:, None], seen, x.dtype.type(0))


def sample(
    xp: Any, x: Array, taps: Sequence[Sequence[Tap]], inward: Callable[[int, Array], Array] | None = None
) -> Array:
    """x [B, C, spatial...] at coordinates given by the taps of each axis: [B, C, P].

    `inward` maps the indices of an axis to those of pixels that exist; without it, pixels outside are 0.
    """
    total: Array = None
    for indices, weight in combinations(taps):
        if inward is not None:
            indices = [inward(axis, index) for axis, index in enumerate(indices)]
        seen = gather(xp, x, indices)
        if weight is not None:
            seen = seen * weight[:, None].astype(seen.dtype)
        total = seen if total is None else total + seen
    return total
