"""What the lowerings to convolutions on tensor cores share: who was chosen, what they read, and how it is prepared."""

from __future__ import annotations

from typing import Any

from xdsl.dialects.builtin import StringAttr, bf16, f16, f32
from xdsl.ir import SSAValue

from ..dialects.nn.base import NNOp, integer
from ..dialects.nn.channels import is_channels_last
from ..dialects.nn.conv import ConvOp
from ..dialects.nn.pad import PadOp
from ..dialects.nn.types import dims_of, dtype_of, element_type, static_dims
from ..dialects.nn.windows import Window
from .calls import Calls, Lowering

CALL = "nn.call"
"""The attribute of an op that says what computes it: `blas`, `cuda`, `cuda:<plan>`, `cudnn:<spelling>:<plan>`, ..."""

CHANNELS = 4
"""A product's few input channels (an image's 3) are padded to a multiple of this: fast kernels want so."""

PACK_BYTES = 16
"""What a kernel loads at once: a position's channels, and the filters of one of the result, are best a multiple."""


class TensorCoreLowering(Lowering):
    """A lowering to kernels of f16 and bf16, and of f32 where that may be rounded to TF32."""

    def __init__(self, tf32: bool):
        self.elements = {f16, bf16, f32} if tf32 else {f16, bf16}

    def refuse_element(self, op: NNOp) -> str | None:
        """An element type that would be rounded."""
        element = element_type(op.operands[0].type)
        return None if element in self.elements else f"{element} would lose precision"

    def refuse_input(self, op: ConvOp) -> str | None:
        """Another layout or element type of a convolution."""
        return self.refuse_element(op) if is_channels_last(op.layout) else "its channels are first"


def call_of(op: NNOp) -> str:
    """What was chosen to compute `op`, "" where nothing was."""
    chosen = op.attributes.get(CALL)
    return chosen.data if isinstance(chosen, StringAttr) else ""


def residual_fits(op: ConvOp) -> bool:
    """Whether the residual, if there is one, has the result's dims, as the kernels want it."""
    return op.residual is None or op.residual.type == op.result.type


def filled_operands(op: ConvOp, calls: Calls) -> tuple[SSAValue, SSAValue, dict[str, Any]]:
    """x and w of a convolution, of enough channels, and the fields that say where its windows lie, pads by number.

    Zeros fill up the input channels of both, unless they are in groups; a pair of columns that windows pass two at a
    time is then one column of all its channels, where that makes a pack of them.
    """
    window = op.window(dims_of(op.x.type), dims_of(op.w.type))
    x, w = op.x, op.w
    if integer(op.group) == 1 and (missing := -static_dims(dims_of(x.type))[-1] % CHANNELS):
        x, w = _padded(x, missing, calls), _padded(w, missing, calls)
    if integer(op.group) == 1 and (pairs := _pairs(window, x)) is not None:
        x, w = _paired(x, calls), _paired(_widened(w, *_halves(window), calls), calls)
        window = pairs
    fields = {"pads": [*window.before, *window.after], "strides": window.strides, "dilations": window.dilations}
    return x, w, {"layout": op.layout, **fields}


def _halves(window: Window) -> tuple[int, int]:
    """The columns of zeros before and after a filter with which it starts, and ends, between pairs of columns."""
    before = window.before[-1] % 2
    return before, (window.kernel[-1] + before) % 2


def _pairs(window: Window, x: SSAValue) -> Window | None:
    """The window over pairs of columns, where they make a pack, it passes them pair by pair, and none is cut in two."""
    dims = static_dims(dims_of(x.type))
    width, channels = dims[-2:]
    fills = 2 * channels * dtype_of(element_type(x.type)).itemsize == PACK_BYTES
    if not fills or len(window.kernel) != 2 or window.strides[1] != 2 or window.dilations[1] != 1 or width % 2:
        return None
    _, positions = static_dims(window.output(dims[1:3]))
    kernel, before = (window.kernel[1] + sum(_halves(window))) // 2, (window.before[1] + 1) // 2
    after = positions - 1 + kernel - width // 2 - before  # not negative: a window leaves out one column at most
    return Window(
        kernel=(window.kernel[0], kernel),
        strides=(window.strides[0], 1),
        dilations=window.dilations,
        before=(window.before[0], before),
        after=(window.after[0], after),
    )


def _paired(value: SSAValue, calls: Calls) -> SSAValue:
    """A tensor [.., columns, channels] as [.., columns / 2, 2 * channels]."""
    *outer, columns, channels = static_dims(dims_of(value.type))
    return calls.reshape(value, (*outer, columns // 2, 2 * channels))


def _widened(w: SSAValue, before: int, after: int, calls: Calls) -> SSAValue:
    """Filters with columns of zeros."""
    if not before + after:
        return w
    return calls.add(PadOp(w, calls.ints([0, 0, before, 0, 0, 0, after, 0]), None, None))


def _padded(value: SSAValue, count: int, calls: Calls) -> SSAValue:
    """`value` with `count` zeros at the end of its last dim."""
    rank = len(dims_of(value.type))
    return calls.add(PadOp(value, calls.ints([*[0] * (2 * rank - 1), count]), None, None))
