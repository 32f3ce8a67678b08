"""Kernels that compute each result element from one element of each operand: arithmetic, broadcasts and copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from ....dialects.nn.types import Array
from . import source
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


def map_kernel(
    op: str,
    dims: Sequence[int],
    out: Access,
    ins: Sequence[Access],
    expression: str,
    declarations: str = "",
    prepare: str = "",
) -> Aligned:
    """`y = expression`, in `x0`, `x1`, ..., for each index of `dims`; takes the result, then the operands.

    `op` names it; `prepare` declares what the expression names besides.

    Each operand comes in the type it is computed in (float for f16 and bf16). The result may be an operand's
    memory where both are accessed in the same way.
    """
    return Aligned(lambda packed: _map_kernel(op, dims, out, ins, expression, declarations, prepare, packed))


def _map_kernel(
    op: str,
    dims: Sequence[int],
    out: Access,
    ins: Sequence[Access],
    expression: str,
    declarations: str,
    prepare: str,
    packed: bool,
) -> Kernel:
    sizes, strides = collapse(dims, [a.strides for a in (out, *ins)])
    accesses = [Access(a.dtype, s, a.offset) for a, s in zip((out, *ins), strides, strict=True)]
    width = _pack_width(sizes, accesses) if packed else 1
    index = source.index_type(prod(sizes), *(extent(sizes, a) for a in accesses))
    lines = coordinates(sizes, width)
    lines += [f"  const index o{n} = {offset_of(a, len(sizes))};" for n, a in enumerate(accesses)]
    loads, inner = _loads(accesses[1:], width)
    y = source.c_type(out.dtype)
    body = (
        "\n".join([*lines, *loads])
        + f"""
  Pack<{y}, {width}> packed;
#pragma unroll
  for (int v = 0; v < {width}; v++) {{
{inner}    {prepare}
    store(packed.v[v], {expression});
  }}
  *(Pack<{y}, {width}>*)(y + o0) = packed;"""
    )
    variables = [(f"p{n}", a.dtype) for n, a in enumerate(ins)]
    return source.thread_kernel(
        op, body, [("y", out.dtype)], variables, prod(sizes) // width, index, declarations=declarations
    )


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


def _pack_width(sizes: Sequence[int], accesses: Sequence[Access]) -> int:
    """How many neighbours along the last dim one thread moves: every array must have them together, or repeated."""
    multiples = [sizes[-1]]
    for a in accesses:
        if a.strides[-1] == 1:
            multiples += [a.offset, *a.strides[:-1]]
        elif a.strides[-1] != 0 or a is accesses[0]:
            multiples.append(1)
    return source.pack_width([a.dtype for a in accesses], multiples)


def extent(sizes: Sequence[int], access: Access) -> int:
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
    terms = [f"c{axis} * {access.strides[axis]}" for axis in range(rank) if access.strides[axis]]
    return " + ".join([str(access.offset), *terms])


def _loads(ins: Sequence[Access], width: int) -> tuple[list[str], str]:
    """The loads before the loop over a pack's elements, and the declarations of `x0`, `x1`, ... inside it."""
    loads: list[str] = []
    inner = ""
    for n, a in enumerate(ins):
        type_, compute = source.c_type(a.dtype), source.compute_type(a.dtype)
        if a.strides[-1] == 1:
            loads.append(f"  const Pack<{type_}, {width}> l{n} = *(const Pack<{type_}, {width}>*)(p{n} + o{n + 1});")
            inner += f"    const {compute} x{n} = load(l{n}.v[v]);\n"
        else:
            loads.append(f"  const {compute} x{n} = load(p{n}[o{n + 1}]);")
    return loads, inner
