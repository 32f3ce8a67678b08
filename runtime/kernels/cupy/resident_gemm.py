"""Implicit GEMM whose filters stay with a block (resident_gemm.cu), for an image network's first layers: its plans.

Few channels make little k, and many positions: what the libraries' kernels spend there on loads, or on channels that
are not there, is several times what the result takes to be written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .products import MULTIPROCESSORS, ROW_BYTES, Plan, Problem
from .source import defines

SOURCE = Path(__file__).with_suffix(".cu")

MOST_UNITS = 8
"""More of k would neither stay in shared memory nor be unrolled."""

MULTIPROCESSOR_BYTES, MULTIPROCESSOR_REGISTERS = 227 << 10, 1 << 16
"""Shared memory and registers of an H100's multiprocessor; a block takes a KiB beside what it asks for."""

MOST_KEPT, OTHER_REGISTERS = 128, 100
"""The registers of a thread that filters may take, and those that it needs besides, about."""


@dataclass(frozen=True)
class ResidentPlan(Plan):
    """A tile: all filters by a number of positions."""

    WARPS = {(64, 64): (2, 2), (64, 32): (2, 2), (128, 64): (4, 2), (128, 32): (4, 1)}

    def __str__(self) -> str:
        return f"{self.tile[0]}x{self.tile[1]}/resident"

    def shared_bytes(self, problem: Problem) -> int:
        """The filters, and two tiles of images; a tile of the result takes the place of one of these."""
        rows, filters = self.tile
        images = rows * max(problem.units * ROW_BYTES, filters * problem.itemsize + 16)
        return problem.units * filters * ROW_BYTES + 2 * images

    def grid(self, problem: Problem) -> tuple[int, int, int]:
        """As many blocks as the multiprocessors hold at once."""
        tiles = -(-problem.rows // self.tile[0])
        return min(tiles, self._held(problem) * MULTIPROCESSORS), 1, 1

    def _held(self, problem: Problem) -> int:
        """The blocks on a multiprocessor."""
        down, across = self.warps
        registers = OTHER_REGISTERS + self._kept(problem)
        by_registers = MULTIPROCESSOR_REGISTERS // (registers * 32 * down * across)
        return max(1, min(MULTIPROCESSOR_BYTES // (self.shared_bytes(problem) + 1024), by_registers))

    def _kept(self, problem: Problem) -> int:
        """The registers of a thread that hold filters: those of its warp, or none where they are too many."""
        filters = problem.units * self.tile[1] // self.warps[1]
        return filters if filters <= MOST_KEPT else 0

    def code(self, problem: Problem) -> str:
        """What stands behind the macros of the op."""
        macros = {**self.tile_macros(), "UNITS": problem.units, "IN_REGISTERS": int(self._kept(problem) > 0)}
        sizes = ", ".join(f"{name} = {value}" for name, value in problem.sizes.items())
        return f"{defines(macros)}constexpr int {sizes};\n{SOURCE.read_text()}"

    def arguments(self, problem: Problem) -> tuple[int, ...]:
        """The sizes stand in the code."""
        return ()

    def microseconds(self, problem: Problem) -> float:
        """An estimate, from ResNet-50's first layer on an H100."""
        return 4 + problem.rows / 64 / MULTIPROCESSORS * 1.3 * problem.units / 4


def resident_plans(problem: Problem) -> list[ResidentPlan]:
    """The tiles that hold all filters and no half of them empty; there is no kernel that adds a residual."""
    if problem.units > MOST_UNITS or problem.residual:
        return []
    return [ResidentPlan(tile) for tile in ResidentPlan.WARPS if tile[1] // 2 < max(problem.filters, 17) <= tile[1]]
