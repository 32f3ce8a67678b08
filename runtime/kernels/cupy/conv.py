"""Depthwise convolution: one kernel, its bias, residual and activation included."""

from __future__ import annotations

from math import prod

from ....dialects.nn.base import integer
from ....dialects.nn.channels import dims_first, is_channels_last
from ....dialects.nn.conv import ConvOp
from .. import Kernel, KernelContext
from . import expressions, source
from .elementwise import activation_expression
from .operands import FLOATS, Tensor, tensor_of
from .source import Variable, compute_type, index_type
from .strided import Aligned
from .windows import Geometry

MOST_TAPS_HELD = 25
"""Kernel positions whose weights a thread keeps in registers."""


def bind_depthwise(op: ConvOp, context: KernelContext) -> Kernel | None:
    """A convolution with as many groups as channels; a residual must have the result's dims."""
    x, w, out = tensor_of(op.x), tensor_of(op.w), tensor_of(op.result)
    activation = activation_expression(op.activation, "value", x.dtype)
    channels, inner = dims_first(op.layout, x.dims)[1], dims_first(op.layout, w.dims)[1]
    depthwise = inner == 1 and integer(op.group) == channels
    residual = op.residual is None or tensor_of(op.residual) == out
    if not depthwise or not residual or activation is None or x.dtype not in FLOATS:
        return None
    spatial, positions = (dims_first(op.layout, t.dims)[2:] for t in (x, out))
    geometry = Geometry.of(op.window(x.dims, w.dims), spatial, positions)
    extras = [name for name in ("bias", "residual") if getattr(op, name) is not None]
    make = _depthwise_channels_last if is_channels_last(op.layout) else _depthwise
    kernel = Aligned(lambda packed: make(geometry, x, out, extras, activation, packed))
    return lambda outs, ins: kernel(outs[0], *ins)


def _depthwise(g: Geometry, x: Tensor, out: Tensor, extras: list[str], activation: str, packed: bool) -> source.Kernel:
    """Thread `i` computes a pack of neighbours of one channel of the result."""
    type_, filters = source.c_type(x.dtype), out.dims[1]
    planes = prod(out.dims[:2])
    width = g.pack_width(x.dtype, planes, packed)
    step = f"acc[v] += load(filter[(a * {g.kernel[1]} + b) * {g.kernel[2]} + c]) * seen;"
    before = f"""{g.place(width)}
  const int k = (int)(plane % {filters});
  const {type_}* filter = w_ + k * {g.taps};"""
    taps = f"""    const index result_plane = plane;
    const index plane = result_plane / {filters} * {x.dims[1]} + k / {filters // x.dims[1]};
{g.taps_loop(width, "A", "load(x[at])", "A(0)", step)}"""
    return _kernel(x, out, extras, width, before, "bias[k]", taps, activation)


def _depthwise_channels_last(
    g: Geometry, x: Tensor, out: Tensor, extras: list[str], activation: str, packed: bool
) -> source.Kernel:
    """Thread `i` computes a pack of neighbouring filters of one position of the result."""
    filters, channels = out.dims[-1], x.dims[-1]
    # With several filters per channel a pack of filters does not see a pack of channels.
    width = source.pack_width([x.dtype], [channels]) if packed and filters == channels else 1
    pack = f"Pack<{source.c_type(x.dtype)}, {width}>"
    place = f"v * {g.taps} + (a * {g.kernel[1]} + b) * {g.kernel[2]} + c"
    # A pack of filters lies together: it is read in packs too, and picked from registers.
    held = width > 1 and g.taps <= MOST_TAPS_HELD
    weight = f"weights[({place}) / {width}].v[({place}) % {width}]" if held else f"w_[filter * {g.taps} + {place}]"
    loads = f"""  {pack} weights[{g.taps}];
#pragma unroll
  for (int t = 0; t < {g.taps}; t++) weights[t] = ((const {pack}*)(w_ + filter * {g.taps}))[t];"""
    before = f"""
{g.place_channels_last(width, filters)}
  const int filter = k;
{loads if held else ""}"""
    taps = f"""    const int k = filter / {filters // channels};
{g.taps_channels_last(width, x.dtype, channels, f"acc[v] += load({weight}) * seen;")}"""
    return _kernel(x, out, extras, width, before, "bias[k + v]", taps, activation)


def _kernel(
    x: Tensor, out: Tensor, extras: list[str], width: int, before: str, bias: str, taps: str, activation: str
) -> source.Kernel:
    """A pack of `width` results per thread: `taps` adds up in `acc`, which starts as `bias`; then what follows."""
    pack = f"Pack<{source.c_type(x.dtype)}, {width}>"
    add_residual = "value += load(more.v[v]);" if "residual" in extras else ""
    body = f"""
  typedef {compute_type(x.dtype)} A;{before}
  A acc[{width}];
#pragma unroll
  for (int v = 0; v < {width}; v++) acc[v] = {f"load({bias})" if "bias" in extras else "A(0)"};
  {{
{taps}
  }}
  {pack} packed;
  {f"const {pack} more = *(const {pack}*)(residual + i * {width});" if "residual" in extras else ""}
#pragma unroll
  for (int v = 0; v < {width}; v++) {{
    A value = acc[v];
    {add_residual}
    store(packed.v[v], {activation});
  }}
  *({pack}*)(y + i * {width}) = packed;"""
    ins: list[Variable] = [(name, x.dtype) for name in ("x", "w_", *extras)]
    count = prod(out.dims)
    return source.thread_kernel(
        "nn.conv",
        body,
        [("y", x.dtype)],
        ins,
        count // width,
        index_type(count, prod(x.dims)),
        declarations=expressions.FUNCTIONS,
    )
