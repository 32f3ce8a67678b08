"""Ops that reduce rows to a number, or normalise each by its own: softmax, means, layer normalisation."""

from __future__ import annotations

from math import prod

from ....dialects.nn.base import NNOp, integer, number
from ....dialects.nn.channels import is_channels_last
from ....dialects.nn.constant import constant_array
from ....dialects.nn.norm import InstanceNormalizationOp, LayerNormalizationOp
from ....dialects.nn.pool import GlobalPoolOp
from ....dialects.nn.reduce import ReduceOp
from ....dialects.nn.shape import as_ints
from ....dialects.nn.softmax import SoftmaxLikeOp
from ....dialects.nn.types import normalize_axis
from .. import Kernel, KernelContext
from .operands import FLOATS, Tensor, all_floats, tensor_of, tensors
from .source import compute_type, literal, row_kernel

_EACH = "for (index j = t; j < length; j += GROUP)"
_X = "load(x[base + j * stride])"
_Y = "y[base + j * stride]"


def bind_softmax(op: SoftmaxLikeOp, context: KernelContext) -> Kernel | None:
    """Softmax and its logarithm, in three passes over each row, which the caches hold."""
    x = tensor_of(op.x)
    axis = normalize_axis(integer(op.axis), len(x.dims))
    result = f"{_X} - top - log(sum)" if op.name == "nn.log_softmax" else f"exp({_X} - top) / sum"
    body = f"""  A top = {literal(-float("inf"), x.dtype)}, sum = 0;
  {_EACH} top = larger(top, {_X});
  top = reduce<Max>(top);
  {_EACH} sum += exp({_X} - top);
  sum = reduce<Sum>(sum);
  {_EACH} store({_Y}, {result});"""
    rows = (prod(x.dims[:axis]), x.dims[axis], prod(x.dims[axis + 1 :]))
    return _bind(op, body, x, rows)


_REDUCTIONS = {
    "nn.global_average_pool": ("Sum", 0.0, " / A({length})"),
    "nn.reduce_mean": ("Sum", 0.0, " / A({length})"),
    "nn.reduce_sum": ("Sum", 0.0, ""),
    "nn.global_max_pool": ("Max", -float("inf"), ""),
    "nn.reduce_max": ("Max", -float("inf"), ""),
    "nn.reduce_min": ("Min", float("inf"), ""),
}
"""Op name -> how two elements join, the start, and what the result of a row is divided by."""


def bind_global_pool(op: GlobalPoolOp, context: KernelContext) -> Kernel | None:
    """The mean or the maximum of each channel."""
    x = tensor_of(op.x)
    if is_channels_last(op.layout):
        return _bind_reduction(op, x, (x.dims[0], prod(x.dims[1:-1]), x.dims[-1]))
    return _bind_reduction(op, x, (prod(x.dims[:2]), prod(x.dims[2:]), 1))


def bind_reduce(op: ReduceOp, context: KernelContext) -> Kernel | None:
    """Reductions of floats along neighbouring axes that are known."""
    x = tensor_of(op.x)
    given = () if op.axes is None else constant_array(op.axes)
    if x.dtype not in FLOATS or given is None:
        return None
    axes = sorted(op.reduced(() if op.axes is None else as_ints(given), len(x.dims)))
    if not axes or axes != list(range(axes[0], axes[-1] + 1)):
        return None
    first, last = axes[0], axes[-1] + 1
    return _bind_reduction(op, x, (prod(x.dims[:first]), prod(x.dims[first:last]), prod(x.dims[last:])))


def _bind_reduction(op: NNOp, x: Tensor, rows: tuple[int, int, int]) -> Kernel | None:
    join, start, divide = _REDUCTIONS[op.name]
    if 0 in rows:
        return None  # of nothing: what that is, `compute` knows
    body = f"""  A total = {literal(start, x.dtype)};
  {_EACH} total = {join}<A>::of(total, {_X});
  total = reduce<{join}>(total);
  if (live && t == 0) store(y[i], total{divide.format(length=rows[1])});"""
    return _bind(op, body, x, rows)


def _bind(op: NNOp, body: str, x: Tensor, rows: tuple[int, int, int], extras: tuple[str, ...] = ()) -> Kernel:
    declared = f"  typedef {compute_type(x.dtype)} A;\n{body}"
    names = ("x", *extras)
    kernel = row_kernel(op.name, declared, [("y", x.dtype)], [(name, x.dtype) for name in names], rows)
    return lambda outs, ins: kernel(outs[0], *ins[: len(names)])


def _standardize(epsilon: float, dtype: str, length: int, scaled: str) -> str:
    """Writes `scaled` of each element's `z`, which is it less the row's mean and divided by its deviation."""
    return f"""  A mean = 0, variance = 0;
  {_EACH} mean += {_X};
  mean = reduce<Sum>(mean) / A({length});
  {_EACH} {{ const A z = {_X} - mean; variance += z * z; }}
  variance = reduce<Sum>(variance) / A({length});
  const A inverse = A(1) / sqrt(variance + {literal(epsilon, dtype)});
  {_EACH} {{ const A z = ({_X} - mean) * inverse; store({_Y}, {scaled}); }}"""


def bind_instance_normalization(op: InstanceNormalizationOp, context: KernelContext) -> Kernel | None:
    """Each channel of each image is a row."""
    x = tensor_of(op.x)
    rows = (prod(x.dims[:2]), prod(x.dims[2:]), 1)
    channel = f"i % {x.dims[1]}"
    scaled = f"z * load(scale[{channel}]) + load(bias[{channel}])"
    return _bind(op, _standardize(number(op.epsilon), x.dtype, rows[1], scaled), x, rows, ("scale", "bias"))


def bind_layer_normalization(op: LayerNormalizationOp, context: KernelContext) -> Kernel | None:
    """With a scale (and bias) for each element of the normalised dims, and without the statistics as results."""
    ins, outs = tensors(op)
    x = ins[0]
    axis = normalize_axis(integer(op.axis), len(x.dims))
    rows = (prod(x.dims[:axis]), prod(x.dims[axis:]), 1)
    if len(outs) > 1 or not all_floats(*ins) or any(p.dims != x.dims[axis:] for p in ins[1:]):
        return None
    scaled = "z * load(scale[j])" + (" + load(bias[j])" if len(ins) > 2 else "")
    body = _standardize(number(op.epsilon), x.dtype, rows[1], scaled)
    return _bind(op, body, x, rows, ("scale", "bias")[: len(ins) - 1])
