"""`expand-conv-transpose`: a transposed convolution becomes a convolution whose channels are moved into space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter, PatternRewriteWalker, RewritePattern

from ..dialects.nn.base import NNOp, integer
from ..dialects.nn.constant import ConstantOp, is_weight
from ..dialects.nn.conv import ConvOp, ConvTransposeOp
from ..dialects.nn.index import SliceOp
from ..dialects.nn.join import ConcatOp
from ..dialects.nn.layout import TransposeOp
from ..dialects.nn.pad import PadOp
from ..dialects.nn.rearrange import DepthToSpaceOp
from ..dialects.nn.types import dims_of, element_type, format_dims, static_dims
from ..rewriting import node_name, remark, replace
from .weights import Weights


@dataclass(frozen=True)
class Axis:
    """One spatial axis of the convolution: its kernel of `taps`, its pads, and what is kept of its result in space.

    Input i adds w[t] to position i * stride + t of the full result. With t = q * stride + r, the positions
    m * stride + r of one phase r hold the sum over q of x[m - q] * w[q * stride + r]: a convolution along m.
    """

    stride: int
    taps: int
    before: int
    after: int
    start: int
    size: int
    full: int

    @classmethod
    def of(cls, size: int, kernel: int, stride: int, cut: int, out: int) -> Axis:
        """The axis for `size` inputs, of whose full result `out` positions after the first `cut` are wanted."""
        taps = -(-kernel // stride)
        # pads must not be negative: what they would cut off is computed, and cut off in space
        first = min(cut // stride, taps - 1)
        last = max(-(-(cut + out) // stride), size) - 1
        full = (last - first + 1) * stride
        return cls(stride, taps, taps - 1 - first, last - (size - 1), cut - first * stride, out, full)


def axes_of(op: ConvTransposeOp) -> list[Axis]:
    """The axes of the convolution for `op`, which is not refused."""
    spatial = static_dims(dims_of(op.x.type)[2:])
    window, cut, out = op.geometry(spatial, static_dims(dims_of(op.w.type)[2:]))
    each = zip(spatial, window.kernel, window.strides, static_dims(cut), static_dims(out), strict=True)
    return [Axis.of(*axis) for axis in each]


class ExpandConvTranspose(RewritePattern):
    """`conv_transpose(x, w, b) {stride s}` -> `slice(depth_to_space(conv(x, w', b')))`.

    The filters w' are w, rearranged: a group of s * s filters for each one, one filter for each phase. Where s does
    not divide the kernel, they are filled up with zeros, which an infinite x would make NaN.
    """

    def __init__(self, growth: float):
        """`growth` is how many times as many filters there may be then, with the zeros."""
        self._growth = growth

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """Rewrite `op` where it is a transposed convolution that is not refused."""
        if not isinstance(op, ConvTransposeOp) or self.refusal(op) is not None:
            return
        name, axes, weights = node_name(op), axes_of(op), Weights(element_type(op.w.type))
        conv = _convolution(op, axes, weights)
        ops = [conv, *_in_space(conv.result, axes, _mode(op))]
        ops[-1].results[0]._type = op.result.type  # as declared (it may know less): so does a func.return
        replace(rewriter, op, [*weights.ops, *ops])
        remark(f"{name} expanded to a convolution")

    def refusal(self, op: ConvTransposeOp) -> str | None:
        """Why `op` must stay as it is, or None."""
        if not is_weight(op.w):
            return "its filters are computed at run time"
        spatial, filters, out = dims_of(op.x.type)[2:], dims_of(op.w.type), dims_of(op.result.type)[2:]
        if None in (*spatial, *filters, *out):
            return f"not all sizes of {format_dims(spatial)}, {format_dims(filters)} and {format_dims(out)} are known"
        if 0 in (*spatial, *out):
            return f"{format_dims(spatial)} or {format_dims(out)} is empty"
        if 0 in filters:
            return f"its filters of {format_dims(filters)} are empty"
        window = op.geometry(spatial, static_dims(filters[2:]))[0]
        kernel, strides = window.kernel, window.strides
        if set(window.dilations) != {1}:
            return f"its dilations are {format_dims(window.dilations)}"
        if set(strides) != {1} and (len(strides) != 2 or len(set(strides)) != 1):
            return f"its strides are {format_dims(strides)}, but channels become square blocks only"
        growth = prod(-(-k // s) * s for k, s in zip(kernel, strides, strict=True)) / prod(kernel)
        if growth > self._growth:
            return f"strides of {format_dims(strides)} fill its kernel of {format_dims(kernel)} up with too many zeros"
        return None


def _mode(op: ConvTransposeOp) -> str:
    """Which channels become a block: those of a phase stand together, which copies best, except in groups."""
    return "DCR" if integer(op.group) == 1 else "CRD"


def _convolution(op: ConvTransposeOp, axes: Sequence[Axis], weights: Weights) -> ConvOp:
    """The convolution that computes every phase of `op` in channels of its own."""
    filters = _filters(weights, op.w, axes, integer(op.group))
    bias = None if op.bias is None else _bias(weights, op.bias, prod(a.stride for a in axes), _mode(op))
    pads = [*(a.before for a in axes), *(a.after for a in axes)]
    return ConvOp(op.x, filters, bias, pads=pads, group=op.group, activation=op.activation)


def _in_space(y: SSAValue, axes: Sequence[Axis], mode: str) -> list[NNOp]:
    """What puts the phases where they belong, and cuts off what is not wanted."""
    ops: list[NNOp] = []
    if axes[0].stride > 1:
        ops.append(DepthToSpaceOp(y, blocksize=axes[0].stride, mode=mode))
        y = ops[-1].results[0]
    if any(a.size < a.full for a in axes):
        places = [[a.start for a in axes], [a.start + a.size for a in axes], range(2, 2 + len(axes))]
        bounds = [ConstantOp.of(np.asarray(values, np.int64)) for values in places]
        ops += [*bounds, SliceOp(y, *bounds)]
    return ops


def _filters(weights: Weights, w: SSAValue, axes: Sequence[Axis], group: int) -> SSAValue:
    """w [C, K/group, kernel...] as the filters [K * phases, C/group, taps...] that `_mode` needs."""
    channels, filters, *kernel = static_dims(dims_of(w.type))
    ends = [a.taps * a.stride - k for a, k in zip(axes, kernel, strict=True)]
    if any(ends):
        w = weights.emit(PadOp(w, weights.ints([0] * (len(kernel) + 4) + ends)))
    w = weights.reshape(w, [group, channels // group, filters, *(n for a in axes for n in (a.taps, a.stride))])
    taps, phases = (range(first, first + 2 * len(axes), 2) for first in (3, 4))
    if any(a.taps > 1 for a in axes):
        step = weights.ints([-1] * len(axes))
        ends = weights.ints([-1 - a.taps for a in axes])
        w = weights.emit(SliceOp(w, step, ends, weights.ints(taps), step))
    outer = (*phases, 0, 2) if group == 1 else (0, 2, *phases)
    w = weights.emit(TransposeOp(w, perm=[*outer, 1, *taps]))
    count = group * filters * prod(a.stride for a in axes)
    return weights.reshape(w, [count, channels // group, *(a.taps for a in axes)])


def _bias(weights: Weights, bias: SSAValue, phases: int, mode: str) -> SSAValue:
    """The bias of each filter: a concatenation, as what only repeats a weight is not prepared at load."""
    if phases == 1:
        return bias
    if mode == "DCR":
        return weights.emit(ConcatOp([bias] * phases, axis=0))
    (count,) = static_dims(dims_of(bias.type))
    column = weights.reshape(bias, [count, 1])
    return weights.reshape(weights.emit(ConcatOp([column] * phases, axis=1)), [count * phases])


@dataclass(frozen=True)
class ExpandConvTransposePass(ModulePass):
    """Transposed convolutions by weights become convolutions, which all later passes know. Needs static shapes.

    Where strides do not divide a kernel, zeros fill it up, to `growth` times its size at most.
    """

    name = "expand-conv-transpose"

    growth: float = 9.0

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite `op` in place."""
        pattern = ExpandConvTranspose(self.growth)
        PatternRewriteWalker(pattern, apply_recursively=False).rewrite_module(op)
        for kept in op.walk():
            if isinstance(kept, ConvTransposeOp) and (reason := pattern.refusal(kept)) is not None:
                remark(f"{node_name(kept)} not expanded: {reason}")
