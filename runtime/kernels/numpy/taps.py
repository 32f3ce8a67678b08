"""Which outputs of a sliding window each of its positions reaches, per axis: windows without a padded copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from ....dialects.nn.types import Array
from ....dialects.nn.windows import Window

Tap: TypeAlias = tuple[slice, slice]
"""The outputs that a kernel position sees data for, and that data, along one axis."""


def taps_along(window: Window, axis: int, size: int, out: int) -> list[Tap]:
    """The taps of the kernel's positions along `axis`, in order; a position that sees only padding has empty slices."""
    stride, taps = window.strides[axis], list[Tap]()
    for position in range(window.kernel[axis]):
        offset = position * window.dilations[axis] - window.before[axis]
        first = max(-(offset // stride), 0)
        last = min((size - 1 - offset) // stride + 1, out)
        start = first * stride + offset
        count = max(last - first, 0)
        taps.append(
            (slice(first, first + count), slice(start, start + count * stride, stride) if count else slice(0, 0))
        )
    return taps


def reduce_along(
    taps: Sequence[Tap], axis: int, combine: Callable[..., Array], fill: float
) -> Callable[[Array, Array], None]:
    """`f(x, out)`: each output along `axis` combines what the taps see there; `fill` is combined with nothing.

    The first tap that reaches every output saves the filling.
    """
    lead = (slice(None),) * axis

    def run(x: Array, out: Array) -> None:
        whole = slice(0, out.shape[axis])
        seen = [((*lead, o), (*lead, i)) for o, i in taps if o.stop > o.start]
        full = [s for s in seen if s[0][-1] == whole]
        rest = [s for s in seen if s[0][-1] != whole]
        if len(full) > 1:
            combine(x[full[0][1]], x[full[1][1]], out=out)
            rest = full[2:] + rest
        elif full:
            out[...] = x[full[0][1]]
        else:
            out[...] = fill
        for o, i in rest:
            combine(out[o], x[i], out=out[o])

    return run
