"""Which operations of a block need which, whatever their order in the text: what is left free may run side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from xdsl.ir import Operation, SSAValue

from .alias_groups import Lifetimes

Matrix: TypeAlias = npt.NDArray[np.bool_]


class Branches:
    """The partial order of a block's operations; sets of positions are bits of an int."""

    def __init__(self, lifetimes: Lifetimes):
        self._position = lifetimes.position
        self._needs: list[int] = []
        self._reads: dict[SSAValue, int] = {}
        for index, op in enumerate(lifetimes.ops):
            needs = 0
            for value in op.operands:
                self._reads[value] = self._reads.get(value, 0) | 1 << index
                if isinstance(value.owner, Operation):
                    at = self._position[value.owner]
                    needs |= self._needs[at] | 1 << at
            self._needs.append(needs)

    def meetings(self, buffers: Sequence[Sequence[SSAValue]]) -> Matrix:
        """Which buffers, each that of some values, may be in use at once: neither is done with where the other begins.

        One is where everything that reads or writes it is needed for whatever writes the other.
        """
        defined = [[self._position[o] for v in b if isinstance(o := v.owner, Operation)] for b in buffers]
        used = [
            _union(1 << at for at in at_) | _union(self._reads.get(v, 0) for v in b)
            for at_, b in zip(defined, buffers, strict=True)
        ]
        begins = [_common([self._needs[at] for at in at_]) for at_ in defined]
        done: Any = np.array([[not use & ~begin for begin in begins] for use in used], bool)
        return ~(done | done.T)


def chains(ops: Iterable[Operation], counts: Callable[[Operation], bool] = lambda op: True) -> dict[Operation, int]:
    """How many of the operations that count are in the longest chain that each one ends; in the order of the text."""
    lengths: dict[Operation, int] = {}
    for op in ops:
        before = [lengths[o] for v in op.operands if isinstance(o := v.owner, Operation) and o in lengths]
        lengths[op] = max(before, default=0) + counts(op)
    return lengths


def _union(sets: Iterable[int]) -> int:
    result = 0
    for each in sets:
        result |= each
    return result


def _common(sets: Sequence[int]) -> int:
    result = sets[0]
    for each in sets[1:]:
        result &= each
    return result
