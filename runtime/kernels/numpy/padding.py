"""Zeros around images, without a padded copy of them all: one at a time (or a part) in the scratch memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ....dialects.nn.types import Array
from .. import KernelContext


@dataclass(frozen=True)
class Padding:
    """Zeros before and after each axis of an array of the shape `dims`."""

    context: KernelContext
    dims: tuple[int, ...]
    widths: tuple[tuple[int, int], ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(
        cls, context: KernelContext, dims: Sequence[int], widths: Sequence[tuple[int, int]], dtype: np.dtype[Any]
    ) -> Padding:
        """The padding, with scratch memory for the padded array reserved."""
        padding = cls(context, tuple(dims), tuple(widths), dtype)
        if padding.needed:
            context.scratch.reserve(prod(padding.padded) * dtype.itemsize)
        return padding

    @property
    def needed(self) -> bool:
        """Whether there is any."""
        return any(before or after for before, after in self.widths)

    @property
    def padded(self) -> tuple[int, ...]:
        """The padded array's shape."""
        return tuple(before + size + after for size, (before, after) in zip(self.dims, self.widths, strict=True))

    def begin(self) -> Array:
        """The padded array in the scratch memory, its border zero and the rest to be filled."""
        array = self.context.scratch.view(self.padded, self.dtype)
        for axis, (size, (before, _)) in enumerate(zip(self.dims, self.widths, strict=True)):
            lead = (slice(None),) * axis
            array[(*lead, slice(0, before))] = 0
            array[(*lead, slice(before + size, None))] = 0
        return array

    def inside(self, array: Array) -> Array:
        """The part of the padded array that is not border."""
        return array[tuple(slice(b, b + size) for size, (b, _) in zip(self.dims, self.widths, strict=True))]
