"""`lower-nn-to-cudnn`: convolutions that are no plain product become cuDNN graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from ..dialects.cudnn import CudnnConvOp
from ..dialects.cudnn.conv import SPELLINGS, may_end_with
from ..dialects.nn.activation import ActivationAttr
from ..dialects.nn.base import NNOp, integer
from ..dialects.nn.conv import ConvOp
from ..dialects.nn.elementwise import AddOp
from ..dialects.nn.types import Dims, dims_of, dtype_of, element_type
from .calls import Calls, apply_lowerings
from .nn_to_blas.products import call_for
from .tensor_cores import TensorCoreLowering, call_of, filled_operands, residual_fits


class LowerConvToCudnn(TensorCoreLowering):
    """`nn.conv x, w bias b residual r activation = relu` -> `cudnn.conv` of the same, with explicit pads

    In layout nhwc only. A plain product is better by cuBLASLt, unless that has no epilogue for its activation. f32 is
    rounded to TF32 by cuDNN's kernels, so it is lowered only where that is allowed. Input channels that are no multiple
    of 4 are padded with zeros, and so are the filters, as weights. Activations that cuDNN has no node for come after.
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
            return refuse_by_choice(chosen, ending_of(op))
        return refuse_by_shape(op, x, w)

    def lower(self, op: ConvOp, calls: Calls) -> SSAValue:
        """See the class."""
        x, w, window = filled_operands(op, calls)
        ending = ending_of(op)
        _, spelling, plan = parts_of(call_of(op))
        y = calls.add(
            CudnnConvOp(
                x,
                w,
                op.bias,
                op.residual if residual_fits(op) else None,
                group=op.group,
                **window,
                activation=ending,
                spelling=spelling or spellings(ending)[0],
                plan=plan or None,
            )
        )
        if not residual_fits(op):
            y = calls.add(AddOp(y, op.residual))
        return y if ending == op.activation else calls.activation(y, op.activation)


def parts_of(chosen: str) -> tuple[str, str, str]:
    """The library, spelling and plan of a call, "" for what it does not say."""
    library, spelling, plan = [*chosen.split(":", 2), "", ""][:3]
    return library, spelling, plan


def ending_of(op: ConvOp) -> ActivationAttr | None:
    """The activation that ends the graph."""
    return op.activation if residual_fits(op) and may_end_with(op.activation) else None


def spellings(activation: ActivationAttr | None) -> tuple[str, ...]:
    """The spellings that cuDNN has kernels for, the default first: its precompiled ones end with a ReLU or nothing."""
    return SPELLINGS if activation is None or activation.kind.data == "relu" else ("runtime",)


def refuse_by_choice(chosen: str, ending: ActivationAttr | None) -> str | None:
    """Another library, or a spelling without kernels."""
    library, spelling, _ = parts_of(chosen)
    if library != "cudnn":
        return f"{chosen} computes it"
    if spelling and spelling not in spellings(ending):
        return f"cuDNN has no {spelling} kernel for it"
    return None


def refuse_by_shape(op: ConvOp, x: Dims, w: Dims) -> str | None:
    """What another way computes better, where nothing was measured."""
    window = op.window(x, w)
    if integer(op.group) == 1 and {*window.kernel, *window.strides} == {1} and not any(window.before + window.after):
        _, apart = call_for(op.bias is not None, op.activation)
        if apart is None or ending_of(op) is None:
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
