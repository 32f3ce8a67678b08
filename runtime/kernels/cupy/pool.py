"""Pools: one kernel reads each window and writes its result."""

from __future__ import annotations

from math import prod

from ....dialects.nn.base import integer
from ....dialects.nn.channels import dims_first, is_channels_last
from ....dialects.nn.pool import AveragePoolOp, MaxPoolOp, PoolOp
from ....dialects.nn.windows import Window
from .. import Kernel, KernelContext
from . import source
from .operands import FLOATS, Tensor, tensors
from .source import compute_type, index_type, literal
from .strided import Aligned
from .windows import Geometry


def bind_max_pool(op: MaxPoolOp, context: KernelContext) -> Kernel | None:
    """MaxPool of floats, without its second result."""
    (x,), outs = tensors(op)
    if len(outs) > 1 or x.dtype not in FLOATS:
        return None
    start, step = literal(-float("inf"), x.dtype), "acc[v] = larger(acc[v], seen);"
    return _bind_window(op, x, outs[0], start, step, "acc[v]")


def bind_average_pool(op: AveragePoolOp, context: KernelContext) -> Kernel | None:
    """AveragePool with every way of counting."""
    (x,), (out,) = tensors(op)
    window, spatial = op.window(x.dims), dims_first(op.layout, x.dims)[2:]
    reach = [(n - 1) * s for n, s in zip(dims_first(op.layout, out.dims)[2:], window.strides, strict=True)]
    include, packs = bool(integer(op.count_include_pad)), not is_channels_last(op.layout)
    counts = [_count(window, axis, spatial[axis], reach[axis], include, packs) for axis in range(len(spatial))]
    divisor = " * ".join(f"({c})" for c in counts)
    return _bind_window(op, x, out, "A(0)", "acc[v] += seen;", f"acc[v] / A(larger({divisor}, 1))")


def _count(window: Window, axis: int, size: int, reach: int, include_pad: bool, packs: bool) -> str:
    """How many of a window's positions along an axis count: a number where it is always the same.

    With `packs`, element `v` of a pack is the v-th of neighbouring windows.
    """
    kernel, dilation, before = window.kernel[axis], window.dilations[axis], window.before[axis]
    first, last = (-before, size + window.after[axis]) if include_pad else (0, size)
    if -before >= first and reach - before + (kernel - 1) * dilation < last:
        return str(kernel)
    start = "dhw"[axis + 3 - len(window.kernel)] + "0"
    if packs and axis == len(window.kernel) - 1:
        start += f" + v * {window.strides[axis]}"
    return f"counted({start}, {kernel}, {dilation}, {first}, {last})"


_COUNTED = """
__device__ __forceinline__ int counted(int start, int kernel, int dilation, int first, int last) {
  int n = 0;
  for (int k = 0; k < kernel; k++) n += start + k * dilation >= first && start + k * dilation < last;
  return n;
}
"""


def _bind_window(op: PoolOp, x: Tensor, out: Tensor, start: str, step: str, result: str) -> Kernel:
    spatial, positions = (dims_first(op.layout, t.dims)[2:] for t in (x, out))
    geometry = Geometry.of(op.window(x.dims), spatial, positions)
    last = is_channels_last(op.layout)
    kernel = Aligned(lambda packed: _window_kernel(op.name, geometry, x, out, last, start, step, result, packed))
    return lambda outs, ins: kernel(outs[0], ins[0])


def _window_kernel(
    op: str, g: Geometry, x: Tensor, out: Tensor, last: bool, start: str, step: str, result: str, packed: bool
) -> source.Kernel:
    """Thread `i` reduces a pack of windows: neighbours in a row or, channels `last`, neighbouring channels of one."""
    planes, channels, type_ = prod(x.dims) // g.pixels, x.dims[-1], source.c_type(x.dtype)
    if last:
        apart = [t.pitch or channels for t in (x, out)]
        width = source.pack_width([x.dtype], [channels, *apart]) if packed else 1
        place = f"\n{g.place_channels_last(width, channels)}"
        taps = g.taps_channels_last(width, x.dtype, apart[0], step)
        target = f"y + i / {channels // width} * {apart[1]} + k"
    else:
        width = g.pack_width(x.dtype, planes, packed)
        place, taps = g.place(width), g.taps_loop(width, "A", "load(x[at])", start, step)
        target = f"y + i * {width}"
    body = f"""
  typedef {compute_type(x.dtype)} A;{place}
  A acc[{width}];
#pragma unroll
  for (int v = 0; v < {width}; v++) acc[v] = {start};
{taps}
  Pack<{type_}, {width}> packed;
#pragma unroll
  for (int v = 0; v < {width}; v++) store(packed.v[v], {result});
  *(Pack<{type_}, {width}>*)({target}) = packed;"""
    results = planes * g.positions
    return source.thread_kernel(
        op,
        body,
        [("y", x.dtype)],
        [("x", x.dtype)],
        results // width,
        index_type(*(t.dims[0] * t.strides[0] for t in (x, out))),
        restrict=True,
        declarations=_COUNTED,
    )
