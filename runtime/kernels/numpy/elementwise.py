"""Elementwise ops: into the result at once, which may be an operand's buffer; several passes block by block."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ....dialects.nn import NN, elementwise, unary
from ....dialects.nn.activation import ActivationAttr
from ....dialects.nn.activations import ActivationOp
from ....dialects.nn.base import NNOp, number
from ....dialects.nn.channels import is_channels_last
from ....dialects.nn.norm import BatchNormalizationOp
from ....dialects.nn.types import Array
from .. import Bind, Kernel, KernelContext
from .activation import apply_activation
from .blocks import blocks, dtype_at, is_blas, is_native, rows_per_block, shape_of

UFUNCS: dict[type[NNOp], Any] = {
    elementwise.AddOp: np.add,
    elementwise.SubOp: np.subtract,
    elementwise.MulOp: np.multiply,
    elementwise.DivOp: np.divide,
    elementwise.SumOp: np.add,
    elementwise.MaxOp: np.maximum,
    elementwise.MinOp: np.minimum,
    unary.NegOp: np.negative,
    unary.AbsOp: np.abs,
    unary.ExpOp: np.exp,
    unary.LogOp: np.log,
    unary.SqrtOp: np.sqrt,
    unary.FloorOp: np.floor,
    unary.CeilOp: np.ceil,
}
"""Ops that one NumPy function computes, pair by pair from left to right where there are more operands."""


def bind_ufunc(op: NNOp, context: KernelContext) -> Kernel | None:
    """One pass per pair of operands, where NumPy computes the op in its own element type."""
    ufunc, dtype = UFUNCS[type(op)], dtype_at(op.results[0])
    computed = ufunc.resolve_dtypes((dtype,) * ufunc.nin + (None,))[-1]
    if computed != dtype or not is_native(op) or len(op.operands) < ufunc.nin:
        return None

    def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        ufunc(*ins[: ufunc.nin], out=outs[0])
        for more in ins[ufunc.nin :]:
            ufunc(outs[0], more, out=outs[0])

    return run


def bind_activation(op: ActivationOp, context: KernelContext) -> Kernel | None:
    """Into the result, block by block."""
    activation = op.activation()
    if not isinstance(activation, ActivationAttr) or not is_native(op):
        return None
    return lambda outs, ins: apply_activation(activation, ins[0], outs[0])


def bind_batch_normalization(op: BatchNormalizationOp, context: KernelContext) -> Kernel | None:
    """Three passes over a block of channels, and the activation, while it is in cache."""
    dims, epsilon = shape_of(op.x), number(op.epsilon)
    if not is_blas(op) or len(shape_of(op.scale)) != 1 or len(dims) < 2 or is_channels_last(op.layout):
        return None
    batch, channels, size, activation = dims[0], dims[1], prod(dims[2:]), op.activation
    step = rows_per_block((size,), dtype_at(op.x).itemsize)

    def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        x, y = ins[0].reshape(batch, channels, size), outs[0].reshape(batch, channels, size)
        scale, bias, mean, var = (p.reshape(channels, 1) for p in ins[1:])
        factor = scale / np.sqrt(var + var.dtype.type(epsilon))
        for image in range(batch):
            for block in blocks(channels, step):
                part = np.subtract(x[image, block], mean[block], out=y[image, block])
                part *= factor[block]
                part += bias[block]
                if activation is not None:
                    apply_activation(activation, part, part)

    return run


KERNELS: dict[type[NNOp], Bind] = {
    **dict.fromkeys(UFUNCS, bind_ufunc),
    **{op: bind_activation for op in NN.operations if issubclass(op, ActivationOp)},
    BatchNormalizationOp: bind_batch_normalization,
}
