"""Sliding windows over [N, C, spatial...]: what convolutions, pools and im2col share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from ...errors import CompileError
from .types import Array, Dims, static_dims

MAX_STEP = (1 << 31) - 1
"""The largest size of a kernel, stride, dilation or pad: times a row's bytes, it is a stride that an array can have."""


@dataclass(frozen=True)
class Window:
    """A window's geometry per spatial axis: kernel, strides, dilations, and padding before and after.

    `ceil` rounds the number of output positions up; a window that would start in the padding after the data
    is left out.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    ceil: bool = False

    @classmethod
    def of(
        cls,
        kernel: Sequence[int],
        spatial: Dims,
        strides: Sequence[int] = (),
        dilations: Sequence[int] = (),
        pads: Sequence[int] = (),
        auto_pad: str = "NOTSET",
        ceil: bool = False,
    ) -> Window:
        """The geometry ONNX's attributes give for these `spatial` dims; absent ones have their defaults.

        Raises CompileError on attributes of wrong length or values. Where SAME padding depends on an unknown
        size, that axis has none; the number of positions along it is unknown as well.
        """
        rank = len(kernel)
        strides, dilations = tuple(strides) or (1,) * rank, tuple(dilations) or (1,) * rank
        pads = tuple(pads) or (0,) * (2 * rank)
        lengths = (len(spatial), len(strides), len(dilations), len(pads) / 2)
        if any(n != rank for n in lengths):
            raise CompileError(
                f"kernel {list(kernel)}, strides {list(strides)}, dilations {list(dilations)} and pads"
                f" {list(pads)} do not fit {len(spatial)} spatial dims"
            )
        if any(v < 1 for v in (*kernel, *strides, *dilations)) or any(p < 0 for p in pads):
            raise CompileError("kernel, strides and dilations must be positive, and pads not negative")
        if max((*kernel, *strides, *dilations, *pads), default=0) > MAX_STEP:
            raise CompileError(f"kernel, strides, dilations and pads must be {MAX_STEP} at most")
        if auto_pad not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
            raise CompileError(f"auto_pad '{auto_pad}' is unknown")
        before, after = pads[:rank], pads[rank:]
        if auto_pad == "VALID":
            before = after = (0,) * rank
        elif auto_pad != "NOTSET":
            totals = [_same_padding(*axis) for axis in zip(spatial, kernel, strides, dilations, strict=True)]
            small, large = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
            before, after = (small, large) if auto_pad == "SAME_UPPER" else (large, small)
        return cls(tuple(kernel), strides, dilations, before, after, ceil)

    def extent(self, axis: int) -> int:
        """How many input positions one window spans along a spatial axis."""
        return self.dilations[axis] * (self.kernel[axis] - 1) + 1

    def output(self, spatial: Dims) -> Dims:
        """The number of windows along each axis; raises CompileError where the kernel does not fit."""
        return tuple(None if d is None else self._positions(axis, d) for axis, d in enumerate(spatial))

    def _positions(self, axis: int, size: int) -> int:
        padded = size + self.before[axis] + self.after[axis]
        room = padded - self.extent(axis)
        if room < 0:
            raise CompileError(
                f"a window of {self.extent(axis)} does not fit the padded size {padded} of axis {axis + 2}"
            )
        stride = self.strides[axis]
        if not self.ceil:
            return room // stride + 1
        count = -(-room // stride) + 1
        return count - ((count - 1) * stride >= size + self.before[axis])

    def padding(self, spatial: Sequence[int], out: Sequence[int]) -> list[tuple[int, int]]:
        """Per axis, the positions before and after the data that the windows of the `out` positions reach."""
        return [
            (self.before[a], max((n - 1) * s + self.extent(a) - size - self.before[a], 0))
            for a, (size, n, s) in enumerate(zip(spatial, out, self.strides, strict=True))
        ]

    def padded(self, spatial: Sequence[int]) -> int:
        """The number of positions of the padded data, over all axes."""
        out = static_dims(self.output(tuple(spatial)))
        return prod(size + sum(pads) for size, pads in zip(spatial, self.padding(spatial, out), strict=True))

    def pad(self, xp: Any, x: Array, value: float, out: Sequence[int]) -> Array:
        """`x` [N, C, spatial...] with `value` around it, as far as the windows of the `out` positions reach."""
        widths = self.padding(x.shape[2:], out)
        if not any(before or after for before, after in widths):
            return x
        return xp.pad(x, [(0, 0), (0, 0), *widths], constant_values=value)

    def taps(self, padded: Array, out: Sequence[int]) -> Iterator[tuple[tuple[int, ...], Array]]:
        """For each kernel position, row-major: its index, and the view [N, C, out...] of what it sees."""
        for index in product(*(range(k) for k in self.kernel)):
            starts = [i * d for i, d in zip(index, self.dilations, strict=True)]
            slices = tuple(
                slice(b, b + (n - 1) * s + 1 if n else b, s) for b, n, s in zip(starts, out, self.strides, strict=True)
            )
            yield index, padded[(slice(None), slice(None), *slices)]


def _same_padding(size: int | None, kernel: int, stride: int, dilation: int) -> int:
    if stride == 1:
        return dilation * (kernel - 1)
    if size is None:
        return 0
    return max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
