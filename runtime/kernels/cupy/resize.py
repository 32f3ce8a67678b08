"""Resampling: one kernel makes each element of the result of the old ones, along all resampled axes at once.

Where those lie and what they count it reads in tables, which are the op's own: what Resize means is said there only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from ....dialects.nn.base import number
from ....dialects.nn.interpolation import Resampling
from ....dialects.nn.resize import ResizeOp
from ....dialects.nn.types import Array, dtype_of, element_type
from .. import Kernel, KernelContext
from . import source
from .copies import as_bits
from .operands import FLOATS, Tensor, tensor_of
from .source import Variable, c_type, compute_type, index_type, literal
from .strided import Access, Aligned, collapse, coordinates, extent, offset_of
from .windows import MANY_THREADS

MOST_TAPS = 1 << 14
"""What a thread sums up at most: beyond, resampling one axis after another is far less work."""


def bind_resize(op: ResizeOp, context: KernelContext) -> Kernel | None:
    """Every mode, by constant scales or sizes (and roi, where it counts).

    Not where integers are interpolated, which are rounded and saturate, and not where antialiasing makes an element of
    more than MOST_TAPS.
    """
    x, out = tensor_of(op.x), tensor_of(op.result)
    resamplings = op.known_resamplings()
    if resamplings is None or prod(len(r.indices) for r in resamplings) > MOST_TAPS:
        return None
    value = number(op.extrapolation_value)
    if all(r.weights is None for r in resamplings):
        bits = as_bits(x.dtype)
        dtype = dtype_of(element_type(op.x.type))
        value = int(np.full(1, op.outside(dtype)).astype(dtype).view(bits)[0])
        x, out = x._replace(dtype=bits), out._replace(dtype=bits)
    elif x.dtype not in FLOATS:
        return None
    walk = _Walk.of(x, out, resamplings)
    listed, outside = walk.tables.arrays(x.dtype, walk.index), literal(value, x.dtype)
    kernel = Aligned(lambda packed: _resize_kernel(op.name, walk, outside, [v for v, _ in listed], packed))
    tables = [context.xp.asarray(table) for _, table in listed]
    return lambda outs, ins: kernel(outs[0], ins[0], *tables)


@dataclass(frozen=True)
class _Line:
    """A resampled axis: dim `at` of the walk (None where one element is left), with the elements of x `stride` apart.

    Element n is made of `taps` old ones, listed in the tables from `start + n * taps` on, or is the old one
    `n / repeats`. Whether it is outside is listed from `flags` on; None where none is.
    """

    at: int | None
    stride: int
    taps: int
    start: int
    repeats: int | None
    flags: int | None
    grows: bool

    def position(self, last: int) -> str:
        """Which element along the axis, in C: of a pack along the `last` dim the one of number `v`."""
        return "0" if self.at is None else f"(c{self.at} + v)" if self.at == last else f"c{self.at}"


@dataclass
class _Tables:
    """Numbers of one axis after another: places along an axis (or flags), and beside each what it counts."""

    places: list[Array] = field(default_factory=list[Array])
    weights: list[Array] = field(default_factory=list[Array])
    weighted: bool = False
    size: int = 0

    def add(self, places: Array, weights: Array | None = None) -> int:
        """Append numbers; where they start."""
        start = self.size
        self.places.append(places.reshape(-1))
        self.weights.append(np.zeros(places.size) if weights is None else weights.reshape(-1))
        self.weighted |= weights is not None
        self.size += places.size
        return start

    def line(self, resampling: Resampling, old: int, at: int | None, stride: int) -> _Line:
        """An axis of `old` elements, with what must be listed of it."""
        indices, weights, outside = resampling.indices, resampling.weights, resampling.outside
        repeats, start = _repeats(resampling, old), 0
        if repeats is None:
            start = self.add(indices.T, None if weights is None else weights.T)
        flags = self.add(outside) if outside.any() else None
        return _Line(at, stride, len(indices), start, repeats, flags, len(outside) >= old)

    def arrays(self, dtype: str, index: str) -> list[tuple[Variable, Array]]:
        """What the kernel reads, if anything, by names: its places and weights for elements of `dtype`."""
        if not self.size:
            return []
        places, weights = "int32" if index == "int" else "int64", "float64" if dtype == "float64" else "float32"
        arrays = [(("places", places), np.concatenate(self.places).astype(places))]
        if self.weighted:
            arrays.append((("weights", weights), np.concatenate(self.weights).astype(weights)))
        return arrays


def _repeats(resampling: Resampling, old: int) -> int | None:
    """How often each of `old` elements is repeated, where that is all."""
    new = len(resampling.outside)
    if resampling.weights is not None or new % old:
        return None
    times = new // old
    return times if np.array_equal(resampling.indices[0], np.arange(new) // times) else None


@dataclass(frozen=True)
class _Walk:
    """The dims of the result, merged where neighbours stay as they are; `x` is walked along those that do."""

    sizes: tuple[int, ...]
    y: Access
    x: Access
    lines: list[_Line]
    tables: _Tables
    index: str

    @classmethod
    def of(cls, x: Tensor, out: Tensor, resamplings: Sequence[Resampling]) -> _Walk:
        """The walk for tensors, the rows of which may lie apart."""
        marks = [0] * len(out.dims)  # as strides, which mark a resampled axis, and no neighbours can be merged by
        for r in resamplings:
            marks[r.axis] = r.axis + 1
        kept = [0 if mark else s for mark, s in zip(marks, x.strides, strict=True)]
        sizes, (y_strides, x_strides, left) = collapse(out.dims, [out.strides, kept, marks])
        tables, lines = _Tables(), list[_Line]()
        for r in resamplings:
            at = left.index(r.axis + 1) if r.axis + 1 in left else None
            lines.append(tables.line(r, x.dims[r.axis], at, x.strides[r.axis]))
        y = Access(out.dtype, y_strides)
        index = index_type(prod(sizes), extent(sizes, y), extent(x.dims, Access.of(x)), tables.size)
        return cls(sizes, y, Access(x.dtype, x_strides), lines, tables, index)

    @property
    def last(self) -> int:
        """The last dim."""
        return len(self.sizes) - 1

    @property
    def across(self) -> _Line | None:
        """The last dim's line: None where it stays as it is, and neighbours along it are made of neighbours."""
        return next((line for line in self.lines if line.at == self.last), None)

    def width(self) -> int:
        """How many neighbours along the last dim one thread makes."""
        if self.y.strides[-1] != 1:
            return 1
        multiples = [self.sizes[-1], *self.y.strides[:-1]]
        if self.across is None:
            multiples += [*self.x.strides[:-1], *(line.stride for line in self.lines)]
            return source.pack_width([self.y.dtype], [*multiples, *([] if self.x.strides[-1] == 1 else [1])])
        width = source.pack_width([self.y.dtype], multiples)
        # What a pack is made of is read one by one: where the axis shrinks, neighbouring threads would read far apart.
        while width > 1 and (not self.across.grows or prod(self.sizes) // width < MANY_THREADS):
            width //= 2
        return width


def _resize_kernel(op: str, walk: _Walk, outside: str, tables: Sequence[Variable], packed: bool) -> source.Kernel:
    """Thread `i` makes a pack of neighbours along the last dim, or a single element."""
    width, rank = walk.width() if packed else 1, len(walk.sizes)
    pack = f"Pack<{c_type(walk.y.dtype)}, {width}>"
    flags = [f"places[{line.flags} + {line.position(walk.last)}]" for line in walk.lines if line.flags is not None]
    result = f"{' || '.join(flags)} ? {outside} : sum[v]" if flags else "sum[v]"
    body = "\n".join(
        [
            f"  typedef {compute_type(walk.y.dtype)} A;",
            *coordinates(walk.sizes, width),
            f"  A sum[{width}];",
            "#pragma unroll",
            f"  for (int v = 0; v < {width}; v++) sum[v] = 0;",
            f"  const index a0 = {offset_of(walk.x, rank)};",
            *_sums(walk, pack, width),
            f"  {pack} packed;",
            "#pragma unroll",
            f"  for (int v = 0; v < {width}; v++) store(packed.v[v], {result});",
            f"  *({pack}*)(y + ({offset_of(walk.y, rank)})) = packed;",
        ]
    )
    outs, ins = [("y", walk.y.dtype)], [("x", walk.x.dtype), *tables]
    return source.thread_kernel(op, body, outs, ins, prod(walk.sizes) // width, walk.index, restrict=True)


def _sums(walk: _Walk, pack: str, width: int) -> list[str]:
    """Adds up `sum[v]`, for each `v` of the thread: a loop for each line, in it the place and the weight so far."""
    lines: list[str] = []
    across, each = walk.across, ["#pragma unroll", f"  for (int v = 0; v < {width}; v++) {{"]
    ordered = sorted(walk.lines, key=lambda line: line is across)
    for n, line in enumerate(ordered):
        lines += [*(each if line is across else []), *_taps(n, line, walk)]
    weight = f"w{len(ordered)} * " if walk.tables.weighted else ""
    if across is None:
        lines += [f"  const {pack} read = *(const {pack}*)(x + a{len(ordered)});", *each]
    value = "read.v[v]" if across is None else f"x[a{len(ordered)}]"
    return [*lines, f"  sum[v] += {weight}load({value});", "  " + "}" * (len(ordered) + 1)]


def _taps(n: int, line: _Line, walk: _Walk) -> list[str]:
    """Opens the loop over the old elements along a line, the n-th: from `a<n>` to the place in it, and the weight."""
    position = line.position(walk.last)
    tap = f"{line.start} + {position} * {line.taps} + t{n}"
    place = f"places[{tap}]" if line.repeats is None else f"{position} / {line.repeats}"
    lines = [f"  for (int t{n} = 0; t{n} < {line.taps}; t{n}++) {{"]
    lines.append(f"  const index a{n + 1} = a{n} + (index)({place}) * {line.stride};")
    if walk.tables.weighted:
        lines.append(f"  const A w{n + 1} = {f'w{n} * ' if n else ''}weights[{tap}];")
    return lines
