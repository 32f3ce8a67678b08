"""Normalisations by given statistics (batch-norm that did not fold) and across channels (LRN)."""

from __future__ import annotations

from math import prod

from ....dialects.nn.base import integer, number
from ....dialects.nn.channels import is_channels_last
from ....dialects.nn.norm import BatchNormalizationOp, LRNOp
from .. import Kernel, KernelContext
from . import expressions, source
from .elementwise import activation_expression
from .maps import map_kernel
from .operands import Tensor, tensor_of, tensors
from .source import compute_type, index_type, literal
from .strided import Access, Aligned


def bind_batch_normalization(op: BatchNormalizationOp, context: KernelContext) -> Kernel | None:
    """`activation((x - mean) * (scale / sqrt(var + epsilon)) + bias)` in one kernel."""
    ins, (out,) = tensors(op)
    activation = activation_expression(op.activation, "z", out.dtype)
    if any(i.dtype != out.dtype for i in ins) or activation is None:
        return None
    rank = len(out.dims)
    per_channel = len(ins[1].dims) == 1 and rank > 1 and not is_channels_last(op.layout)
    trailing = rank - 2 if per_channel else 0
    shapes = [ins[0].dims, *((*p.dims, *[1] * trailing) for p in ins[1:])]
    accesses = [Access.broadcast(out.dtype, shape, out.dims) for shape in shapes]
    expression = f"(x0 - x3) * (x1 / sqrt(x4 + {literal(number(op.epsilon), out.dtype)})) + x2"
    declared = f"const {compute_type(out.dtype)} z = {expression};"
    result = Access.broadcast(out.dtype, out.dims, out.dims)
    kernel = map_kernel(op.name, out.dims, result, accesses, activation, expressions.FUNCTIONS, prepare=declared)
    return lambda outs, ins: kernel(outs[0], *ins)


def bind_lrn(op: LRNOp, context: KernelContext) -> Kernel | None:
    """Each thread sums the squares of the channels around its elements."""
    x = tensor_of(op.x)
    kernel = Aligned(lambda packed: _lrn(op, x, packed))
    return lambda outs, ins: kernel(outs[0], ins[0])


def _lrn(op: LRNOp, x: Tensor, packed: bool) -> source.Kernel:
    channels, inner, count = x.dims[1], prod(x.dims[2:]), prod(x.dims)
    width = source.pack_width([x.dtype], [inner]) if packed else 1
    size, type_ = integer(op.size), f"Pack<{source.c_type(x.dtype)}, {width}>"
    before = (size - 1) // 2
    alpha, beta, bias = (literal(v, x.dtype) for v in (number(op.alpha) / size, -number(op.beta), number(op.bias)))
    body = f"""
  typedef {compute_type(x.dtype)} A;
  const int c = (int)(i / {inner // width} % {channels});
  A total[{width}] = {{}};
  for (int k = c - {before}; k < c + {size - before}; k++) {{
    if ((unsigned int)k >= {channels}u) continue;
    const {type_} there = *(const {type_}*)(x + i * {width} + (index)(k - c) * {inner});
#pragma unroll
    for (int v = 0; v < {width}; v++) total[v] += load(there.v[v]) * load(there.v[v]);
  }}
  const {type_} here = *(const {type_}*)(x + i * {width});
  {type_} packed;
#pragma unroll
  for (int v = 0; v < {width}; v++)
    store(packed.v[v], load(here.v[v]) * pow({bias} + {alpha} * total[v], {beta}));
  *({type_}*)(y + i * {width}) = packed;"""
    return source.thread_kernel(
        op.name, body, [("y", x.dtype)], [("x", x.dtype)], count // width, index_type(count), restrict=True
    )
