"""im2col: the windows of an image as the columns (NCHW) or the rows (NHWC) of a matrix."""

from __future__ import annotations

from math import prod

from ....dialects.blas.columns import Im2colOp
from ....dialects.nn.base import integer
from ....dialects.nn.types import static_dims
from .. import Kernel, KernelContext
from . import source
from .copies import as_bits
from .operands import tensor_of
from .source import c_type, index_type
from .strided import Aligned
from .windows import Geometry


def bind_im2col(op: Im2colOp, context: KernelContext) -> Kernel | None:
    """Each element of the matrix is written once, neighbours by neighbouring threads."""
    x, out = tensor_of(op.x), tensor_of(op.result)
    batch, channels, *spatial = static_dims(op.channels_first(x.dims))
    window = op.window(x.dims)
    geometry = Geometry.of(window, spatial, static_dims(window.output(tuple(spatial))))
    dtype = as_bits(x.dtype)
    sizes = (prod(x.dims), prod(out.dims))
    if op.channels_last:
        groups = (batch, integer(op.group), channels // integer(op.group))
        kernel = Aligned(lambda packed: _channels_last(geometry, groups, dtype, sizes, packed))
    else:
        kernel = Aligned(lambda packed: _channels_first(geometry, batch * channels, dtype, sizes, packed))
    return lambda outs, ins: kernel(outs[0], ins[0])


def _channels_first(g: Geometry, planes: int, dtype: str, sizes: tuple[int, int], packed: bool) -> source.Kernel:
    """Thread `i` writes a pack of neighbouring columns of all rows of one channel; groups do not change the order."""
    width = g.pack_width(dtype, planes, packed)
    pack = f"Pack<{c_type(dtype)}, {width}>"
    tap = f"(a * {g.kernel[1]} + b) * {g.kernel[2]} + c"
    write = f"*({pack}*)(y + (plane * {g.taps} + {tap}) * {g.positions} + q) = packed;"
    body = f"""{g.place(width)}
  {pack} packed;
{g.taps_loop(width, c_type(dtype), "x[at]", "0", "packed.v[v] = seen;", write)}"""
    count = planes * g.positions // width
    return source.thread_kernel(
        "blas.im2col", body, [("y", dtype)], [("x", dtype)], count, index_type(*sizes), restrict=True
    )


def _channels_last(
    g: Geometry, groups: tuple[int, int, int], dtype: str, sizes: tuple[int, int], packed: bool
) -> source.Kernel:
    """Thread `i` writes a pack of neighbouring channels of one position of the kernel."""
    _, group, channels = groups
    width = source.pack_width([dtype], [channels]) if packed else 1
    pack = f"Pack<{c_type(dtype)}, {width}>"
    height, row = g.out[1:]
    starts = [f"{s} - {b}" for s, b in zip(g.strides, g.before, strict=True)]
    body = f"""
  index rest = i;
  const int channel = (int)(rest % {channels // width}) * {width}; rest /= {channels // width};
  const int c = (int)(rest % {g.kernel[2]}); rest /= {g.kernel[2]};
  const int b = (int)(rest % {g.kernel[1]}); rest /= {g.kernel[1]};
  const int a = (int)(rest % {g.kernel[0]}); rest /= {g.kernel[0]};
  const int w = (int)(rest % {row}) * {starts[2]} + c * {g.dilations[2]}; rest /= {row};
  const int h = (int)(rest % {height}) * {starts[1]} + b * {g.dilations[1]}; rest /= {height};
  const int d = (int)(rest % {g.out[0]}) * {starts[0]} + a * {g.dilations[0]}; rest /= {g.out[0]};
  const int group = (int)(rest % {group});
  const index image = rest / {group};
  {pack} packed = {{}};
  if ({g.inside(0, "d")} && {g.inside(1, "h")} && {g.inside(2, "w")}) {{
    const index pixel = ((image * {g.sizes[0]} + d) * {g.sizes[1]} + h) * {g.sizes[2]} + w;
    packed = *(const {pack}*)(x + pixel * {group * channels} + group * {channels} + channel);
  }}
  *({pack}*)(y + i * {width}) = packed;"""
    return source.thread_kernel(
        "blas.im2col", body, [("y", dtype)], [("x", dtype)], sizes[1] // width, index_type(*sizes), restrict=True
    )
