"""Kernels that compute each result element from one element of each operand: arithmetic, broadcasts and copies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

from . import source
from .source import Kernel, c_type, compute_type
from .strided import Access, Aligned, Pieces, collapse, coordinates, extent, offset_of

Operand: TypeAlias = Access | Pieces
"""Where an operand of an expression lies."""

ENOUGH_THREADS = 1 << 17
"""About half of what an H100 holds: below, a thread takes on no second row."""


def map_kernel(
    op: str,
    dims: Sequence[int],
    out: Access,
    ins: Sequence[Operand],
    expression: str,
    declarations: str = "",
    prepare: str = "",
) -> Aligned:
    """`y = expression`, in `x0`, `x1`, ..., for each index of `dims`; takes the result, then the operands.

    `op` names it; `prepare` declares what the expression names besides.

    Each operand comes in the type it is computed in (float for f16 and bf16). The result may be an operand's
    memory where both are accessed in the same way.
    """
    return Map(op, dims, [out], ins, [expression], declarations, prepare).kernel()


@dataclass(frozen=True)
class Map:
    """What `map_kernel` takes, for several results and with up to `rows` indices of the outermost dim for a thread.

    The kernel takes the results, then the operands, each piece of one in pieces by itself. What does not depend on the
    outermost dim (a vector along the others, the piece to read) a thread finds once for all its rows.
    """

    op: str
    dims: Sequence[int]
    outs: Sequence[Access]
    ins: Sequence[Operand]
    expressions: Sequence[str]
    declarations: str = ""
    prepare: str = ""
    rows: int = 1

    def kernel(self) -> Aligned:
        """The kernel, compiled."""
        return Aligned(self._build)

    def _build(self, packed: bool) -> Kernel:
        walk = Walk.of(self, packed)
        outs = [(f"y{n}", a.dtype) for n, a in enumerate(walk.outs)]
        ins = [(name, a.dtype) for n, operand in enumerate(walk.ins) for name, a in _parameters(n, operand)]
        body = walk.body(self.expressions, self.prepare)
        return source.thread_kernel(self.op, body, outs, ins, walk.threads, walk.index, declarations=self.declarations)


def _parameters(n: int, operand: Operand) -> list[tuple[str, Access]]:
    """The kernel's parameters that operand `n` comes by."""
    if isinstance(operand, Access):
        return [(f"p{n}", operand)]
    return [(f"p{n}_{k}", piece) for k, piece in enumerate(operand.pieces)]


@dataclass(frozen=True)
class Walk:
    """A map over as few dims as possible: thread `i` moves `width` neighbours at `rows` places of the outermost dim.

    Those places are `step` apart, so that neighbouring threads read neighbours at each.
    """

    sizes: tuple[int, ...]
    outs: list[Access]
    ins: list[Operand]
    width: int
    rows: int

    @classmethod
    def of(cls, kernel: Map, packed: bool) -> Walk:
        """The walk of a map, in packs as wide as all arrays allow or of single elements."""
        flat = [*kernel.outs, *(a for operand in kernel.ins for a in _accesses(operand))]
        sizes, strides = collapse(kernel.dims, [a.strides for a in flat])
        rebuilt = iter([Access(a.dtype, s, a.offset) for a, s in zip(flat, strides, strict=True)])
        outs = [next(rebuilt) for _ in kernel.outs]
        ins = [_rebuilt(operand, rebuilt) for operand in kernel.ins]
        width = _pack_width(sizes, outs, ins) if packed else 1
        return cls(sizes, outs, ins, width, _rows(sizes, ins, width, kernel.rows))

    @property
    def step(self) -> int:
        """How far apart a thread's rows are."""
        return -(-self.sizes[0] // self.rows)

    @property
    def threads(self) -> int:
        """How many threads have something to do."""
        return prod(self.sizes) // self.width if len(self.sizes) == 1 else self.step * self._row_packs

    @property
    def _row_packs(self) -> int:
        return prod(self.sizes[1:]) // self.width

    @property
    def index(self) -> str:
        """The C type of offsets."""
        accesses = [*self.outs, *(a for operand in self.ins for a in _accesses(operand))]
        return source.index_type(prod(self.sizes), *(extent(self.sizes, a) for a in accesses))

    def body(self, expressions: Sequence[str], prepare: str) -> str:
        """What thread `i` does: all its loads, then for each row the arithmetic and the stores."""
        head = [*coordinates(self.sizes, self.width)[:-1]]
        loads: list[str] = []
        values: list[str] = []
        for n, operand in enumerate(self.ins):
            before, inside, value = self._load(n, operand)
            head += before
            loads += inside
            values.append(f"const {compute_type(_dtype(operand))} x{n} = load({value});")
        stores = [f"    Pack<{c_type(a.dtype)}, {self.width}> packed{n};" for n, a in enumerate(self.outs)]
        stores += ["#pragma unroll", f"    for (int v = 0; v < {self.width}; v++) {{"]
        stores += [f"      {line}" for line in (*values, prepare) if line]
        stores += [f"      store(packed{n}.v[v], {e});" for n, e in enumerate(expressions)]
        stores.append("    }")
        for n, a in enumerate(self.outs):
            stores.append(f"    *(Pack<{c_type(a.dtype)}, {self.width}>*)(y{n} + ({self._offset(a)})) = packed{n};")
        return "\n".join([*head, *self._each_row(loads), *self._each_row(stores)])

    def _each_row(self, lines: Sequence[str]) -> list[str]:
        """`lines` for each row `u` of the thread, with its index `c0` of the outermost dim."""
        if not lines:
            return []
        scale = self.width if len(self.sizes) == 1 else 1
        full = self.step * self.rows == self.sizes[0]
        return [
            "#pragma unroll",
            f"  for (int u = 0; u < {self.rows}; u++) {{",
            f"    const index c0 = r0 * {scale} + u * {self.step};",
            *([] if full else [f"    if (c0 >= {self.sizes[0]}) break;"]),
            *lines,
            "  }",
        ]

    def _offset(self, access: Access) -> str:
        return offset_of(access, len(self.sizes))

    def _load(self, n: int, operand: Operand) -> tuple[list[str], list[str], str]:
        """Declarations before the rows, what is done for each row, and the C name of element `v` of row `u`."""
        access = operand if isinstance(operand, Access) else operand.pieces[0]
        together = access.strides[-1] == 1
        type_ = f"Pack<{c_type(access.dtype)}, {self.width}>" if together else c_type(access.dtype)
        once = isinstance(operand, Access) and access.strides[0] == 0
        before, choice, address = ([], [], f"p{n} + ({self._offset(access)})")
        if isinstance(operand, Pieces):
            choice, address = self._choose(n, operand)
        read = f"*(const {type_}*)({address})"
        if once:
            return [f"  const {type_} l{n} = {read};"], [], f"l{n}.v[v]" if together else f"l{n}"
        before = [f"  {type_} l{n}[{self.rows}];"]
        inside = [f"    l{n}[u] = {read};"]
        if isinstance(operand, Pieces) and operand.position.strides[0] == 0:
            before += choice
        else:
            inside = [*choice, *inside]
        return before, inside, f"l{n}[u].v[v]" if together else f"l{n}[u]"

    def _choose(self, n: int, operand: Pieces) -> tuple[list[str], str]:
        """Which piece the thread reads, by comparisons with constants, and the address in it."""
        differing = [
            axis for axis in range(len(self.sizes)) if len({piece.strides[axis] for piece in operand.pieces}) > 1
        ]
        leaves: list[str] = []
        for k, piece in enumerate(operand.pieces):
            strides = "".join(f" s{n}_{axis} = {piece.strides[axis]};" for axis in differing)
            leaves.append(f"b{n} = p{n}_{k}; d{n} = {piece.offset};{strides}")
        names = ", ".join([f"d{n}", *(f"s{n}_{axis}" for axis in differing)])
        lines = [
            f"  const {c_type(_dtype(operand))}* b{n};",
            f"  index {names};",
            f"  const index q{n} = {self._offset(operand.position)};",
            *_decide(f"q{n}", operand.ends, leaves, "  "),
        ]
        strides = operand.pieces[0].strides
        terms = [
            f"c{axis} * {f's{n}_{axis}' if axis in differing else stride}"
            for axis, stride in enumerate(strides)
            if stride or axis in differing
        ]
        return lines, " + ".join([f"b{n} + (d{n}", *terms]) + ")"


def _decide(name: str, ends: Sequence[int], leaves: Sequence[str], indent: str) -> list[str]:
    """The leaf of the first end above `name`, by as few comparisons as possible."""
    if len(leaves) == 1:
        return [indent + leaves[0]]
    half = len(leaves) // 2
    return [
        f"{indent}if ({name} < {ends[half - 1]}) {{",
        *_decide(name, ends[:half], leaves[:half], indent + "  "),
        f"{indent}}} else {{",
        *_decide(name, ends[half:], leaves[half:], indent + "  "),
        f"{indent}}}",
    ]


def _dtype(operand: Operand) -> str:
    return operand.dtype if isinstance(operand, Access) else operand.position.dtype


def _accesses(operand: Operand) -> list[Access]:
    """All that is walked of an operand."""
    return [operand] if isinstance(operand, Access) else [*operand.pieces, operand.position]


def _rebuilt(operand: Operand, accesses: Iterator[Access]) -> Operand:
    """The operand, walked in other dims: by the next of `accesses`."""
    if isinstance(operand, Access):
        return next(accesses)
    return Pieces(tuple(next(accesses) for _ in operand.pieces), operand.ends, next(accesses))


def _pack_width(sizes: Sequence[int], outs: Sequence[Access], ins: Sequence[Operand]) -> int:
    """How many neighbours along the last dim one thread moves: every array must have them together, or repeated."""
    multiples = [sizes[-1]]
    arrays = [*outs, *(a for operand in ins for a in _accesses(operand))]
    for n, a in enumerate(arrays):
        if a.strides[-1] == 1:
            multiples += [a.offset, *a.strides[:-1]]
        elif a.strides[-1] != 0 or n < len(outs):
            multiples.append(1)
    moved = {a.dtype for a in arrays if a.strides[0]}  # a vector that is read once a row may take two loads
    return source.pack_width(moved or {a.dtype for a in outs}, multiples)


def _rows(sizes: Sequence[int], ins: Sequence[Operand], width: int, most: int) -> int:
    """How many rows a thread computes: more than one where it saves something and enough threads are left."""
    shared = any(_is_shared(operand) for operand in ins)
    rows = 1
    while shared and len(sizes) > 1 and rows < most and prod(sizes) // width // (2 * rows) >= ENOUGH_THREADS:
        rows *= 2
    return min(rows, sizes[0])


def _is_shared(operand: Operand) -> bool:
    """Whether the rows of a thread have something of an operand in common."""
    access = operand if isinstance(operand, Access) else operand.position
    return not access.strides[0] and any(access.strides)
