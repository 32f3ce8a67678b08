"""How arrays are walked over dims: their strides, the index arithmetic of a thread, and kernels for packs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from ....dialects.nn.types import Array
from . import source
from .operands import Tensor
from .source import Kernel


@dataclass(frozen=True)
class Access:
    """How an array is walked over some dims: per dim the distance in elements, from `offset` on."""

    dtype: str
    strides: tuple[int, ...]
    offset: int = 0

    @classmethod
    def broadcast(cls, dtype: str, shape: Sequence[int], dims: Sequence[int]) -> Access:
        """A row-major array of `shape`, broadcast to `dims` as in NumPy."""
        strides = [0] * (len(dims) - len(shape))
        for axis, size in enumerate(shape):
            strides.append(0 if size == 1 else prod(shape[axis + 1 :]))
        return cls(dtype, tuple(strides))

    @classmethod
    def of(cls, tensor: Tensor) -> Access:
        """A tensor over its own dims, the rows of which may lie apart."""
        return cls(tensor.dtype, tensor.strides)


class Aligned:
    """A kernel that moves packs of elements, and the one that moves single ones where an address is not aligned.

    `make(packed)` builds them; the second is built when first needed (CuPy callers may pass any slice).
    """

    def __init__(self, make: Callable[[bool], Kernel]):
        self._make = make
        self._packed = make(True)
        self._single: Kernel | None = None

    def __call__(self, *arrays: Array) -> None:
        """Enqueue it on CuPy's current stream, with the arrays in the order of its parameters."""
        if all(a.data.ptr % source.PACK_BYTES == 0 for a in arrays):
            self._packed(*arrays)
        else:
            self._single = self._single or self._make(False)
            self._single(*arrays)


@dataclass(frozen=True)
class Pieces:
    """An array that lies in pieces, one after another along an axis of the dims that are walked.

    `pieces` are the accesses of each as if it were the whole, from a negative offset on; `position` says how far along
    the axis an index is, in elements, and piece n ends before `ends[n]`.
    """

    pieces: tuple[Access, ...]
    ends: tuple[int, ...]
    position: Access

    @classmethod
    def concatenated(cls, dtype: str, shapes: Sequence[Sequence[int]], dims: Sequence[int], axis: int) -> Pieces:
        """Row-major arrays of `shapes`, none of them empty, that make up `dims` along `axis`."""
        inner, start = prod(dims[axis + 1 :]), 0
        pieces: list[Access] = []
        ends: list[int] = []
        for shape in shapes:
            strides = tuple(prod(shape[a + 1 :]) for a in range(len(dims)))
            pieces.append(Access(dtype, strides, -start))
            start += shape[axis] * inner
            ends.append(start)
        along = tuple(prod(dims[a + 1 :]) if a >= axis else 0 for a in range(len(dims)))
        return cls(tuple(pieces), tuple(ends), Access(dtype, along))


def collapse(dims: Sequence[int], strides: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """The same walk over as few dims as possible: sizes of 1 dropped, neighbours merged where all arrays allow it."""
    kept = [(d, [s[axis] for s in strides]) for axis, d in enumerate(dims) if d != 1]
    merged: list[tuple[int, list[int]]] = []
    for size, steps in kept:
        if merged and all(m == s * size for m, s in zip(merged[-1][1], steps, strict=True)):
            merged[-1] = (merged[-1][0] * size, steps)
        else:
            merged.append((size, steps))
    merged = merged or [(1, [0] * len(strides))]
    return tuple(d for d, _ in merged), [tuple(s[n] for _, s in merged) for n in range(len(strides))]


def extent(sizes: Sequence[int], access: Access) -> int:
    """No offset in a walk over `sizes` is larger than this."""
    return abs(access.offset) + sum(d * abs(s) for d, s in zip(sizes, access.strides, strict=True))


def coordinates(sizes: Sequence[int], width: int) -> list[str]:
    """Declarations of `c0`, `c1`, ...: the element index of pack `i`, per dim. The outermost size is not in them."""
    lines = [f"  const index r{len(sizes) - 1} = i;"]
    for axis in range(len(sizes) - 1, 0, -1):
        size, scale = (sizes[axis] // width, width) if axis == len(sizes) - 1 else (sizes[axis], 1)
        lines.append(f"  const index c{axis} = r{axis} % {size} * {scale}, r{axis - 1} = r{axis} / {size};")
    scale = width if len(sizes) == 1 else 1
    return [*lines, f"  const index c0 = r0 * {scale};"]


def offset_of(access: Access, rank: int) -> str:
    """The offset of the element at `c0`, `c1`, ... in C."""
    terms = [f"c{axis} * {access.strides[axis]}" for axis in range(rank) if access.strides[axis]]
    return " + ".join([str(access.offset), *terms])
