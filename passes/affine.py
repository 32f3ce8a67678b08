"""Scaling and shifting a producer's channels: the algebra that folds a batch-norm, a Mul or an Add into weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue

from ..dialects.nn.base import NNOp, integer, number
from ..dialects.nn.cast import CastOp
from ..dialects.nn.channels import is_channels_last
from ..dialects.nn.constant import is_weight
from ..dialects.nn.conv import ConvOp, ConvTransposeOp
from ..dialects.nn.gemm import GemmOp, MatMulOp
from ..dialects.nn.norm import BatchNormalizationOp
from ..dialects.nn.types import dims_of, element_type, format_dims, static_dims
from .producers import Site
from .weights import Weights

Combine = Callable[[SSAValue, SSAValue], SSAValue]
"""`Weights.mul` or `Weights.div`."""


def filters_of(producer: NNOp) -> SSAValue:
    """The operand that scales the result: a convolution's filters, a GEMM's right side, a batch-norm's scale."""
    value: SSAValue = getattr(producer, _filters_field(producer))
    return value


def bias_of(producer: NNOp) -> SSAValue | None:
    """The operand that is added to the product, if there is one that counts."""
    if isinstance(producer, GemmOp) and number(producer.beta) == 0:
        return None
    value: SSAValue | None = getattr(producer, _bias_field(producer))
    return value


def _filters_field(producer: NNOp) -> str:
    if isinstance(producer, BatchNormalizationOp):
        return "scale"
    return "w" if isinstance(producer, ConvOp | ConvTransposeOp) else "b"


def _bias_field(producer: NNOp) -> str:
    return "c" if isinstance(producer, GemmOp) else "bias"


def weights_for(producer: NNOp) -> Weights:
    """The builder of new weights for a producer, of the element type of its own."""
    return Weights(element_type(filters_of(producer).type))


def refuse_shift(site: Site) -> str | None:
    """Why no per-channel constant may be added to the producer, or None."""
    if getattr(site.producer, "residual", None) is not None:
        return f"{site.noun} already adds a residual"
    bias = bias_of(site.producer)
    if bias is not None and not is_weight(bias):
        return f"the bias of {site.noun} is computed at run time"
    if isinstance(site.producer, BatchNormalizationOp) and len(dims_of(site.producer.bias.type)) != 1:
        return f"{site.noun} is per element, not per channel"
    if site.axis is None:
        return f"the channels of {site.noun} are not one axis of {format_dims(site.dims)}"
    if site.dims[site.axis] is None:
        return f"the number of channels of {site.noun} is not known"
    return None


def refuse_scale(site: Site) -> str | None:
    """Why the producer must not be multiplied by a constant per channel, or None."""
    filters = filters_of(site.producer)
    if not is_weight(filters):
        return f"the weights of {site.noun} are computed at run time"
    if None in dims_of(filters.type):
        return f"the weights {format_dims(dims_of(filters.type))} of {site.noun} have an unknown size"
    if isinstance(site.producer, MatMulOp) and len(dims_of(filters.type)) < 2:
        return f"the right operand of {site.noun} is a vector"
    return refuse_shift(site)


def refuse_channels(site: Site, value: SSAValue, what: str) -> str | None:
    """Why `value`, which is broadcast to what the consumer reads, is not one number per channel (or just one)."""
    dims, axis = dims_of(value.type), site.axis
    aligned = (1,) * (len(site.dims) - len(dims)) + dims
    wrong = [a for a, d in enumerate(aligned) if d != 1 and a != axis]
    if axis is None or (not wrong and aligned[axis] in (1, site.dims[axis])):
        return None
    return f"{what} {format_dims(dims)} is not one value per channel (axis {axis} of {format_dims(site.dims)})"


def scaled_filters(weights: Weights, producer: NNOp, vector: SSAValue, combine: Combine) -> dict[str, Any]:
    """The filters multiplied or divided by `vector` (one element, or one per channel), as a change for `rebuild`."""
    filters = filters_of(producer)
    dims = static_dims(dims_of(filters.type))
    (count,) = static_dims(dims_of(vector.type))
    shape, scaled = [count], dims
    if count > 1 and isinstance(producer, ConvOp):
        shape = [count, *[1] * (len(dims) - 1)]
    elif count > 1 and isinstance(producer, ConvTransposeOp):
        # [C, K/group, kernel...]: each group of input channels has output channels of its own.
        group, kernel = integer(producer.group), dims[2:]
        shape = [group, 1, dims[1], *[1] * len(kernel)] if group > 1 else [1, count, *[1] * len(kernel)]
        scaled = (group, dims[0] // group, *dims[1:]) if group > 1 else dims
    elif count > 1 and isinstance(producer, GemmOp) and integer(producer.transB):
        shape = [count, 1]
    product = combine(weights.reshape(filters, scaled), weights.reshape(vector, shape))
    return {_filters_field(producer): weights.narrow(weights.reshape(product, dims))}


def current_bias(weights: Weights, producer: NNOp) -> SSAValue | None:
    """What the producer adds, wide: its bias, for a Gemm `beta * c`."""
    bias = bias_of(producer)
    if bias is not None and isinstance(producer, GemmOp) and number(producer.beta) != 1:
        return weights.mul(bias, weights.constant(number(producer.beta)))
    return None if bias is None else weights.widen(bias)


def new_bias(weights: Weights, site: Site, value: SSAValue) -> dict[str, Any]:
    """`value` as the producer's bias, as a change for `rebuild`; a vector, except that a Gemm's c may be any shape."""
    if isinstance(site.producer, GemmOp):
        return {"c": weights.narrow(value), "beta": 1.0}
    channels = None if site.axis is None else site.dims[site.axis]
    assert channels is not None
    return {"bias": weights.narrow(weights.repeated(value, channels))}


def as_scale_and_shift(op: BatchNormalizationOp) -> tuple[Weights, SSAValue, SSAValue]:
    """Of a batch-norm of weights: what it multiplies and adds in f32, as they broadcast to x, and the ops for them.

    Weights that were f32 before they were rounded are taken as they were.
    """
    weights = Weights(f32)
    scale, bias, mean, var = (_unrounded(v) for v in (op.scale, op.bias, op.mean, op.var))
    deviation = weights.sqrt(weights.add(var, weights.constant(number(op.epsilon))))
    factor = weights.div(scale, deviation)
    shift = weights.sub(bias, weights.mul(mean, factor))
    dims, rank = static_dims(dims_of(op.scale.type)), len(dims_of(op.x.type))
    if len(dims) == 1 and not is_channels_last(op.layout):
        dims = (*dims, *[1] * (rank - 2))
    return weights, weights.reshape(factor, dims), weights.reshape(shift, dims)


def _unrounded(value: SSAValue) -> SSAValue:
    owner = value.owner
    return owner.x if isinstance(owner, CastOp) and element_type(owner.x.type) == f32 else value
