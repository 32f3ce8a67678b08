"""`lower-nn-to-cuda`: small convolutions and products become one kernel of our own, made for them."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from ..dialects.cuda import CudaConvOp
from ..dialects.cuda.conv import MOST_ELEMENTS
from ..dialects.nn.base import NNOp, integer, number
from ..dialects.nn.channels import CHANNELS_LAST
from ..dialects.nn.constant import is_weight
from ..dialects.nn.conv import ConvOp
from ..dialects.nn.elementwise import AddOp
from ..dialects.nn.gemm import GemmOp
from ..dialects.nn.layout import TransposeOp
from ..dialects.nn.types import dims_of, dtype_of, element_type, static_dims
from .calls import Calls, apply_lowerings
from .tensor_cores import CHANNELS, PACK_BYTES, TensorCoreLowering, call_of, filled_operands, residual_fits

TILE = 64
"""Rows and filters of the kernel's largest tile."""

MOST_TILES = 264
"""More tiles than this (two for each multiprocessor of an H100) keep the GPU busy by a library's larger ones."""

MOST_WORK = 10**9
"""Floating-point operations that the kernel's small tiles do in about 5 us; a library's larger ones are faster."""

FEW_FILTERS, LITTLE_K = 64, 1024
"""Filters, and bytes of each, that stay in shared memory: then any number of positions is better than by a library."""


class LowerConvToCuda(TensorCoreLowering):
    """`nn.conv x, w bias b residual r activation = relu` -> `cuda.conv` of the same, with explicit pads

    In layout nhwc only, with two spatial dims and one group, and where the result has few tiles (batch 1, late
    layers): larger ones are better by a library, unless few filters see few channels (the first layer). f32 is rounded
    to TF32, so it is lowered only where that is allowed. Input channels that are no multiple of 4 are padded with
    zeros, and so are the filters, as weights.
    """

    OP: ClassVar[type[NNOp]] = ConvOp

    def refusal(self, op: ConvOp) -> str | None:
        """Another layout, element type, rank or number of groups; unknown dims; too large, or chosen otherwise."""
        x, w = dims_of(op.x.type), dims_of(op.w.type)
        if (reason := self.refuse_input(op)) is not None:
            return reason
        if len(x) != 4 or integer(op.group) != 1:
            return f"it has {len(x) - 2} spatial dim(s) and {integer(op.group)} group(s)"
        if None in (*x, *w) or 0 in (*x, *w):
            return "its dims are not known, or 0"
        if max(prod(static_dims(x)), prod(static_dims(dims_of(op.result.type)))) >= MOST_ELEMENTS:
            return f"{MOST_ELEMENTS} elements are too many for the kernel's numbers"
        if _stays_in_shared_memory(op):
            return refuse_by_choice(op)
        return refuse_by_size(op, prod(static_dims(dims_of(op.result.type))[:3]), w[0] or 0, prod(static_dims(w[1:])))

    def lower(self, op: ConvOp, calls: Calls) -> SSAValue:
        """See the class."""
        x, w, window = filled_operands(op, calls)
        fits = residual_fits(op)
        y = calls.add(
            CudaConvOp(
                x,
                w,
                op.bias,
                op.residual if fits else None,
                **window,
                activation=op.activation if fits else None,
                plan=plan_of(op),
            )
        )
        if op.residual is None or fits:
            return y
        return calls.activation(calls.add(AddOp(y, op.residual)), op.activation)


class LowerGemmToCuda(TensorCoreLowering):
    """`nn.gemm a, b c {transB = 1} activation = relu` -> `cuda.conv` of 1x1 filters on an image of one column

    The last layers of networks. c is a vector, alpha and beta are 1; a b that is not transposed must be a weight.
    """

    OP: ClassVar[type[NNOp]] = GemmOp

    def refusal(self, op: GemmOp) -> str | None:
        """Another equation, element type or size."""
        a, dims = dims_of(op.a.type), dims_of(op.result.type)
        if (reason := self.refuse_element(op)) is not None:
            return reason
        if None in (*a, *dims, *dims_of(op.b.type)) or 0 in (*a, *dims):
            return "its dims are not known, or 0"
        trans_a, trans_b = op.transposed()
        if trans_a or not (trans_b or is_weight(op.b)) or number(op.alpha) != 1:
            return "its operands are not as the kernel reads them"
        if op.c is not None and (number(op.beta) != 1 or dims_of(op.c.type) != dims[1:]):
            return "its c is no bias"
        rows, filters = static_dims(dims)
        if (a[1] or 0) % CHANNELS:
            return f"{a[1]} columns are no multiple of {CHANNELS}"
        return refuse_by_size(op, rows, filters, a[1] or 0)

    def lower(self, op: GemmOp, calls: Calls) -> SSAValue:
        """See the class."""
        rows, filters = static_dims(dims_of(op.result.type))
        b = op.b if op.transposed()[1] else calls.add(TransposeOp(op.b, perm=[1, 0]))
        inner = dims_of(op.a.type)[1]
        x, w = calls.reshape(op.a, (1, rows, 1, inner)), calls.reshape(b, (filters, 1, 1, inner))
        y = calls.add(CudaConvOp(x, w, op.c, None, layout=CHANNELS_LAST, activation=op.activation, plan=plan_of(op)))
        return calls.reshape(y, (rows, filters))


def plan_of(op: NNOp) -> str | None:
    """The plan that was chosen, if one was."""
    return call_of(op).partition(":")[2] or None


def _stays_in_shared_memory(op: ConvOp) -> bool:
    """Whether few filters see few channels; a column of zeros may be added to the filters."""
    filters, height, width, channels = static_dims(dims_of(op.w.type))
    itemsize = dtype_of(element_type(op.w.type)).itemsize
    filled = -(-channels // CHANNELS) * CHANNELS
    little = height * (width + 1) * filled * itemsize <= LITTLE_K
    return (
        filters <= FEW_FILTERS and channels * itemsize <= PACK_BYTES and little and not filters * itemsize % PACK_BYTES
    )


def refuse_by_choice(op: NNOp) -> str | None:
    """What a tuner chose otherwise."""
    chosen = call_of(op)
    return f"{chosen} computes it" if chosen and not chosen.startswith("cuda") else None


def refuse_by_size(op: NNOp, rows: int, filters: int, inner: int) -> str | None:
    """What was chosen otherwise, or is larger than the kernel is made for."""
    if filters * dtype_of(element_type(op.results[0].type)).itemsize % PACK_BYTES:
        return f"{filters} filters are no multiple of {PACK_BYTES} bytes"
    if call_of(op):
        return refuse_by_choice(op)
    tiles = -(-rows // TILE) * -(-filters // TILE)
    if tiles > MOST_TILES:
        return f"{tiles} tiles are better by a library"
    work = 2 * rows * filters * inner
    return f"{work / 1e9:.1f} GFLOP are better by a library" if work > MOST_WORK else None


@dataclass(frozen=True)
class LowerNnToCudaPass(ModulePass):
    """Lower nn.conv with its channels last, and nn.gemm, to cuda.conv where small; `--remarks` says why others stay."""

    name = "lower-nn-to-cuda"

    tf32: bool = False
    """Whether f32 may be rounded to TF32."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite `op` in place."""
        apply_lowerings(op, [LowerConvToCuda(self.tf32), LowerGemmToCuda(self.tf32)])
