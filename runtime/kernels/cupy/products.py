"""A convolution as a product: its sizes, as the kernels of implicit GEMM know them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ROW_BYTES = 128
"""Bytes of k in a unit of work."""

MULTIPROCESSORS = 132
"""An H100's."""


@dataclass(frozen=True)
class Problem:
    """The product's sizes: `rows` positions, `filters`, `units` of k, bytes of an element; whether a residual is added.

    `sizes` are all that a kernel needs, by name.
    """

    rows: int
    filters: int
    units: int
    itemsize: int = 2
    residual: bool = False
    sizes: Mapping[str, int] = field(default_factory=dict[str, int], compare=False)
