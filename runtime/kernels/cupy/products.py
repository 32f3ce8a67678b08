"""A convolution as a product: its sizes, and the tiles in which the kernels of implicit GEMM compute it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

Tile = tuple[int, int]
"""Rows by filters."""

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


@dataclass(frozen=True)
class Plan(ABC):
    """How a kernel computes a product, tile by tile; as text it is the `plan` of an op."""

    tile: Tile

    WARPS: ClassVar[Mapping[Tile, tuple[int, int]]]
    """The tiles of this kind, and the warps that compute one, down and across it."""

    @property
    def warps(self) -> tuple[int, int]:
        """Down and across the tile."""
        return self.WARPS[self.tile]

    def tile_macros(self) -> dict[str, int]:
        """What every kernel knows of its tile."""
        return dict(zip(("BM", "BN", "WARPS_M", "WARPS_N"), (*self.tile, *self.warps), strict=True))

    @abstractmethod
    def shared_bytes(self, problem: Problem) -> int:
        """The shared memory of a block."""

    @abstractmethod
    def grid(self, problem: Problem) -> tuple[int, int, int]:
        """The blocks."""

    @abstractmethod
    def code(self, problem: Problem) -> str:
        """What stands behind the macros of the op."""

    @abstractmethod
    def arguments(self, problem: Problem) -> tuple[int, ...]:
        """What the kernel is given behind the addresses."""

    @abstractmethod
    def microseconds(self, problem: Problem) -> float:
        """An estimate."""
