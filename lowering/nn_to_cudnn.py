"""`lower-nn-to-cudnn`: convolutions that are no plain product become cuDNN graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from ..dialects.cudnn import CudnnConvOp
from ..dialects.cudnn.conv import may_end_with
from ..dialects.nn.base import NNOp, integer
from ..dialects.nn.conv import ConvOp
from ..dialects.nn.elementwise import AddOp
from ..dialects.nn.types import Dims, dims_of, dtype_of, element_type
from .calls import Calls, apply_lowerings
from .tensor_cores import TensorCoreLowering, call_of, filled_operands


class LowerConvToCudnn(TensorCoreLowering):
    """`nn.conv x, w bias b residual r activation = relu` -> `cudnn.conv` of the same, with explicit pads

    In layout nhwc only, and where the convolution is not a plain product: that is better by cuBLASLt. f32 is rounded to
    TF32 by cuDNN's kernels, so it is lowered only where that is allowed. Input channels that are no multiple of 4 are
    padded with zeros, and so are the filters, as weights. Activations that cuDNN has no node for come after it.
    """

    OP: ClassVar[type[NNOp]] = ConvOp

    def refusal(self, op: ConvOp) -> str | None:
        """Another layout, element type or rank; unknown dims; a plain product, or one that another library does."""
        x, w = dims_of(op.x.type), dims_of(op.w.type)
        if (reason := self.refuse_input(op)) is not None:
            return reason
        if len(x) not in (4, 5):
            return f"it has {len(x) - 2} spatial dim(s)"
        if None in (*x, *w) or 0 in (*x, *w):
            return "its dims are not known, or 0"
        if chosen := call_of(op):
            return None if chosen.startswith("cudnn") else f"{chosen} computes it"
        return refuse_by_shape(op, x, w)

    def lower(self, op: ConvOp, calls: Calls) -> SSAValue:
        """See the class."""
        x, w, window = filled_operands(op, calls)
        fits = op.residual is None or op.residual.type == op.result.type
        ends = fits and may_end_with(op.activation)
        _, spelling, plan = [*call_of(op).split(":", 2), "", ""][:3]
        y = calls.add(
            CudnnConvOp(
                x,
                w,
                op.bias,
                op.residual if fits else None,
                group=op.group,
                **window,
                activation=op.activation if ends else None,
                spelling=spelling or default_spelling(op, ends),
                plan=plan or None,
            )
        )
        if op.residual is not None and not fits:
            y = calls.add(AddOp(y, op.residual))
        return y if ends else calls.activation(y, op.activation)


def default_spelling(op: ConvOp, ends: bool) -> str:
    """cuDNN has hardly a precompiled kernel that ends with a clip."""
    clips = ends and op.activation is not None and op.activation.kind.data == "clip"
    return "runtime" if clips else "precompiled"


def refuse_by_shape(op: ConvOp, x: Dims, w: Dims) -> str | None:
    """What another way computes better, where nothing was measured."""
    window = op.window(x, w)
    if integer(op.group) == 1 and {*window.kernel, *window.strides} == {1} and not any(window.before + window.after):
        return "it is a plain product"
    if 1 < integer(op.group) == x[-1]:
        return "it is depthwise"
    itemsize = dtype_of(element_type(op.x.type)).itemsize
    if (w[0] or 0) * itemsize % 8:
        return f"{w[0]} filters are no multiple of 8 bytes"
    return None


@dataclass(frozen=True)
class LowerNnToCudnnPass(ModulePass):
    """Lower nn.conv with its channels last to cudnn.conv where that is better; `--remarks` says why others stay."""

    name = "lower-nn-to-cudnn"

    tf32: bool = False
    """Whether f32 may be rounded to TF32."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite `op` in place."""
        apply_lowerings(op, [LowerConvToCudnn(self.tf32)])
