"""What the lowerings to convolutions on tensor cores share: who was chosen, what they read, and how it is prepared."""

from __future__ import annotations

from typing import Any

from xdsl.dialects.builtin import StringAttr, bf16, f16, f32
from xdsl.ir import SSAValue

from ..dialects.nn.base import NNOp, integer
from ..dialects.nn.channels import is_channels_last
from ..dialects.nn.conv import ConvOp
from ..dialects.nn.pad import PadOp
from ..dialects.nn.types import dims_of, element_type, static_dims
from .calls import Calls, Lowering

CALL = "nn.call"
"""The attribute of an op that says what computes it: `blas`, `cuda`, `cuda:<plan>`, `cudnn:<spelling>:<plan>`, ..."""

CHANNELS = 4
"""A product's few input channels (an image's 3) are padded to a multiple of this: fast kernels want so."""


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


def padded_operands(op: ConvOp, calls: Calls) -> tuple[SSAValue, SSAValue]:
    """x and w of a convolution; zeros fill up the input channels of both, unless they are in groups."""
    x, w = op.x, op.w
    if integer(op.group) == 1 and (missing := -static_dims(dims_of(x.type))[-1] % CHANNELS):
        return _padded(x, missing, calls), _padded(w, missing, calls)
    return x, w


def explicit_window(op: ConvOp) -> dict[str, Any]:
    """The fields of a convolution that say where its windows lie, pads by number."""
    window = op.window(dims_of(op.x.type), dims_of(op.w.type))
    return {
        "layout": op.layout,
        "pads": [*window.before, *window.after],
        "strides": window.strides,
        "dilations": window.dilations,
    }


def _padded(value: SSAValue, count: int, calls: Calls) -> SSAValue:
    """`value` with `count` zeros at the end of its last dim."""
    rank = len(dims_of(value.type))
    return calls.add(PadOp(value, calls.ints([*[0] * (2 * rank - 1), count]), None, None))
