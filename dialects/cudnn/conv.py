"""A convolution with bias, residual and activation in one cuDNN graph."""

from __future__ import annotations

from math import inf

from xdsl.dialects.builtin import StringAttr, TensorType
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, opt_prop_def, prop_def

from ...errors import CompileError
from ..nn.activation import ActivationAttr
from ..nn.base import text
from ..nn.conv import ConvCallOp
from ..nn.types import Abstract

ACTIVATIONS: dict[str, tuple[float, ...] | None] = {
    **dict.fromkeys(("relu", "leaky_relu", "sigmoid", "tanh", "softplus", "mish", "gelu", "gelu_tanh", "hard_swish")),
    "elu": (1.0,),
    "swish": (1.0,),
}
"""The activations that a graph may end with; and their parameters, where those of cuDNN's node are fixed."""


def may_end_with(activation: ActivationAttr | None) -> bool:
    """Whether a graph may end with this activation."""
    if activation is None:
        return True
    kind, values = activation.kind.data, activation.values
    if kind == "clip":
        return -inf < values[0] <= values[1]
    return kind in ACTIVATIONS and ACTIVATIONS[kind] in (None, values)


SPELLINGS = ("precompiled", "runtime")

PACKED_ENGINES = ("eng8",)
"""The engines that compile kernels for pixels that follow one another only: with a residual they err (cuDNN 9.19)."""


def engine_of(plan: str) -> str:
    """The engine of a plan, with which its name begins."""
    return plan.partition("_")[0]


@irdl_op_definition
class CudnnConvOp(ConvCallOp):
    """`activation(conv(x, w) + bias + residual)` as one cuDNN graph, layout nhwc. The residual has the result's dims.

    `spelling` is how the graph is written, which decides the kernels that cuDNN considers: precompiled is conv,
    residual, bias, activation, as its ready kernels want it; runtime is conv, identity, bias, residual, activation,
    which none of them is, and so a kernel is compiled for it. `plan` is the execution plan's name, as a tuner found it
    for one version of cuDNN; without it, the first of cuDNN's own ranking that can be built.
    """

    name = "cudnn.conv"

    spelling = prop_def(StringAttr, default_value=StringAttr("precompiled"))
    plan = opt_prop_def(StringAttr)

    def writes_rows_apart(self) -> bool:
        """What is compiled for a graph: cuDNN's ready kernels write together, and what they wrote is copied."""
        packed = self.plan is not None and engine_of(text(self.plan)) in PACKED_ENGINES
        return text(self.spelling) == "runtime" and not packed

    def reads_rows_apart(self, operand: int) -> bool:
        """The image's, the rows of which are its pixels, where those of the result are written so."""
        return operand == 0 and self.writes_rows_apart()

    def infer(
        self, x: Abstract, w: Abstract, bias: Abstract | None, residual: Abstract | None
    ) -> TensorType[Attribute]:
        """[N, out..., K]"""
        if text(self.spelling) not in SPELLINGS:
            raise CompileError(f"spelling '{text(self.spelling)}' is unknown; it is {' or '.join(SPELLINGS)}")
        if self.activation is not None and not may_end_with(self.activation):
            raise CompileError(f"{self.name} has no activation {self.activation.kind.data}")
        return super().infer(x, w, bias, residual)
