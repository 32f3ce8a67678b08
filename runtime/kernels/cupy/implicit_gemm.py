"""Implicit GEMM on tensor cores (implicit_gemm.cu), made for small convolutions: its plans.

Its time is that of a few trips to memory, so all loads are under way at once, the weights' before the kernel in front
has ended, and where tiles are few the blocks of a cluster share each sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path

from .products import MULTIPROCESSORS, ROW_BYTES, Plan, Problem
from .source import defines

SOURCE = Path(__file__).with_suffix(".cu")

MAIL_BYTES = 16
"""Where a block counts what it has received."""

SPLITS = (1, 2, 4, 8)
"""How many blocks share a tile's sum; 8 is the most that every GPU with clusters takes."""


@dataclass(frozen=True)
class SharedPlan(Plan):
    """A tile and how many blocks share its sum."""

    split: int

    WARPS = {(64, 64): (2, 2), (64, 32): (2, 2), (32, 64): (2, 2), (32, 32): (2, 2), (16, 64): (1, 4), (16, 32): (1, 2)}

    def __str__(self) -> str:
        return f"{self.tile[0]}x{self.tile[1]}/{self.split}"

    def stages(self, problem: Problem) -> int:
        """How many units are under way at once."""
        units = -(-problem.units // self.split)
        return 3 if units <= 2 else 5 if units <= 5 else 8

    def at_once(self, problem: Problem) -> int:
        """How many steps of a unit a warp reads before it multiplies; more take registers that blocks lack."""
        return 2 if problem.itemsize == 2 else 1

    def shared_bytes(self, problem: Problem) -> int:
        """The shared memory of a block: units under way, and the parts of the rows that it ends up with."""
        rows, filters = self.tile
        return self.stages(problem) * (rows + filters) * ROW_BYTES + rows * (filters + 8) * 4 + MAIL_BYTES

    def grid(self, problem: Problem) -> tuple[int, int, int]:
        """Blocks: those that share a tile, tiles across, tiles down."""
        return self.split, -(-problem.filters // self.tile[1]), -(-problem.rows // self.tile[0])

    def code(self, problem: Problem) -> str:
        """What stands behind the macros of the op."""
        stages = self.stages(problem)
        macros = {**self.tile_macros(), "SPLIT": self.split, "STAGES": stages, "AT_ONCE": self.at_once(problem)}
        return defines(macros) + SOURCE.read_text()

    def arguments(self, problem: Problem) -> tuple[int, ...]:
        """What the kernel is given behind the addresses."""
        return tuple(problem.sizes.values())

    def microseconds(self, problem: Problem) -> float:
        """An estimate: fitted to 1,470 timings of ResNet-50 and MobileNetV2 at batch 1 on an H100, a tenth off.

        The best by it takes 6 % more than the best of all, on average.
        """
        rows, filters = self.tile
        units, blocks = -(-problem.units // self.split), prod(self.grid(problem))
        turns = ceil(blocks / MULTIPROCESSORS)
        tiles = turns * units * (1e-3 * (rows + filters) + 4.1e-5 * rows * filters) + 2.63e-6 * blocks * rows * filters
        sharing = 0.27 + 0.078 * self.split if self.split > 1 else 0
        return 0.68 + 0.126 * units + tiles + sharing


def implicit_plans(problem: Problem, clusters: bool) -> list[SharedPlan]:
    """All tiles, by as many blocks as there are units."""
    splits = [s for s in SPLITS if s == 1 or (clusters and s <= problem.units)]
    return [SharedPlan(tile, split) for tile in SharedPlan.WARPS for split in splits]
