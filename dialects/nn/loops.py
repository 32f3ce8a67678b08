"""What ops share whose body runs again on what it gave: the types of their states, and the results of all runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Region, SSAValue

from ...errors import CompileError, UnsupportedError
from .regions import RankError, RegionOp, Runner, Subgraph, covers, merge_types
from .types import Array, as_tensor, dims_of, dtype_of, format_dims, is_tensor, tensor

Types = list[Attribute]


class LoopLikeOp(RegionOp):
    """The base of ops whose body is given its states again: STATES is their field.

    In the body, FIRST_ARGUMENT is the argument of the first state, FIRST_YIELDED its new value; behind the new values
    of all states the body gives slices of the op's further results.
    """

    STATES: ClassVar[str]
    FIRST_ARGUMENT: ClassVar[int] = 0
    FIRST_YIELDED: ClassVar[int] = 0

    @property
    def initial(self) -> Sequence[SSAValue]:
        """The states before the first run."""
        return getattr(self, self.STATES)

    @property
    def slices(self) -> Sequence[SSAValue]:
        """What a run of the body gives besides the states; raises CompileError where it does not give all of those."""
        yielded, count = self.yielded(0), self.FIRST_YIELDED + len(self.initial)
        if len(yielded) < count:
            raise CompileError(f"the body gives {len(yielded)} values; it must give at least {count}")
        return yielded[count:]

    def argument_types(self, index: int) -> Types:
        """Those of the first run, with sizes that the body changes unknown."""
        yielded = [v.type for v in self.yielded(index)]
        return with_states(self.entry_types(index), yielded, len(self.initial), self.FIRST_ARGUMENT, self.FIRST_YIELDED)

    def state_types(self) -> Types:
        """The types of the states after any number of runs."""
        return [a.type for a in self.body(0).args[self.FIRST_ARGUMENT :][: len(self.initial)]]


def with_states(entry: Types, yielded: Types, count: int, argument: int, result: int) -> Types:
    """The types of a body's arguments that hold in every run: `count` states, from those numbers on."""
    if len(yielded) < result + count:
        raise CompileError(f"the body gives {len(yielded)} values; it must give at least {result + count}")
    types = list(entry)
    for number in range(count):
        what = f"state {number} before and after the body"
        types[argument + number] = merge_types(entry[argument + number], yielded[result + number], what)
    return types


def import_body(
    graph: Subgraph, entry: Types, count: int, argument: int, result: int
) -> tuple[Region, list[SSAValue], Types]:
    """The body of a graph, what it captures, and the types that it yields.

    It is imported for the types of the first run, and again with the sizes unknown that it changes. Raises CompileError
    where it changes an element type and UnsupportedError where it changes a rank.
    """
    types, failed = entry, None
    while True:
        try:
            region, captures = graph.body(types)
        except UnsupportedError:
            raise
        except CompileError as e:  # the sizes of the first run may be special: an empty list that grows
            loose = [_loosened(t) if argument <= n < argument + count else t for n, t in enumerate(types)]
            if loose == types:
                raise failed or e from None
            failed, types = e, loose
            continue
        last = region.block.last_op
        yielded = [v.type for v in last.operands] if last is not None else []
        try:
            needed = with_states(types, yielded, count, argument, result)
        except RankError as e:
            raise UnsupportedError(e.message, hint="ranks must be known before a network runs") from None
        if all(map(covers, types, needed)):
            return region, captures, yielded
        types = needed


def _loosened(type_: Attribute) -> Attribute:
    return tensor(type_.element_type, [None] * len(dims_of(type_))) if is_tensor(type_) else type_


class Collected:
    """The slices that the runs of a body give for a result, kept up to a limit together."""

    def __init__(self, slices: Sequence[SSAValue], run: Runner):
        self._types = [as_tensor(v.type) for v in slices]
        self._kept: list[list[Array]] = [[] for _ in slices]
        self._limit, self._bytes = run.max_bytes, 0

    def add(self, arrays: Sequence[Array]) -> None:
        """Keep what one run gave; raises CompileError beyond the limit."""
        for kept, array in zip(self._kept, arrays, strict=True):
            self._bytes += array.nbytes
            kept.append(array)
        if self._limit is not None and self._bytes > self._limit:
            raise CompileError(
                f"what its body gave in {len(self._kept[0])} runs needs {self._bytes} bytes, more than the limit of"
                f" {self._limit}",
                hint="--max-bytes",
            )

    def results(self, xp: Any) -> list[Array]:
        """Each result, stacked along a new first axis; an empty one where the body never ran (unknown sizes are 0)."""
        return [self._stacked(xp, kept, type_) for kept, type_ in zip(self._kept, self._types, strict=True)]

    def _stacked(self, xp: Any, kept: list[Array], type_: TensorType[Attribute]) -> Array:
        if not kept:
            return xp.empty((0, *(d or 0 for d in dims_of(type_))), dtype_of(type_.element_type))
        for array in kept:
            if array.shape != kept[0].shape:
                one, other = format_dims(kept[0].shape), format_dims(array.shape)
                raise CompileError(f"its body gives slices {one} and {other} of one result")
        return xp.stack(kept)
