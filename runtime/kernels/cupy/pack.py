"""Packing: cast, transpose and zeros at the ends in one kernel."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ....dialects.blas.pack import PackOp
from ....dialects.nn.base import ints
from .. import Kernel, KernelContext
from . import source
from .operands import FLOATS, tensor_of
from .strided import Access, Aligned, coordinates, extent, offset_of


def bind_pack(op: PackOp, context: KernelContext) -> Kernel | None:
    """Of floats; f64 is narrowed by way of no other type, so not here."""
    x, out, perm = tensor_of(op.x), tensor_of(op.result), ints(op.perm)
    if (
        not out.dims
        or x.dtype not in FLOATS
        or out.dtype not in FLOATS
        or (x.dtype != out.dtype and "float64" in (x.dtype, out.dtype))
    ):
        return None
    strides = Access.broadcast(x.dtype, x.dims, x.dims).strides
    walk = Access(x.dtype, tuple(strides[a] for a in perm))
    inside = tuple(x.dims[a] for a in perm)
    kernel = Aligned(lambda packed: _pack_kernel(op.name, out.dims, out.dtype, walk, inside, packed))
    return lambda outs, ins: kernel(outs[0], ins[0])


def _pack_kernel(
    op: str, dims: Sequence[int], dtype: str, x: Access, inside: Sequence[int], packed: bool
) -> source.Kernel:
    """Thread `i` writes a pack of neighbours along the last dim; `inside` are the dims that x has of `dims`."""
    last = len(dims) - 1
    width = source.pack_width([dtype], [dims[-1]]) if packed else 1
    lines = coordinates(dims, width)
    whole = [f"c{axis} < {inside[axis]}" for axis in range(last) if inside[axis] < dims[axis]]
    y, compute = source.c_type(dtype), source.compute_type(x.dtype)
    step = x.strides[-1]
    body = (
        "\n".join(lines)
        + f"""
  const index at = {offset_of(x, len(dims))};
  const bool row = {" && ".join(whole) or "true"};
  Pack<{y}, {width}> packed;
#pragma unroll
  for (int v = 0; v < {width}; v++) {{
    const {compute} seen = row && c{last} + v < {inside[-1]} ? load(x[at + v * {step}]) : ({compute})0;
    store(packed.v[v], seen);
  }}
  ((Pack<{y}, {width}>*)y)[i] = packed;"""
    )
    index = source.index_type(prod(dims), extent(dims, x))
    return source.thread_kernel(op, body, [("y", dtype)], [("x", x.dtype)], prod(dims) // width, index, restrict=True)
