"""Activations as ops. Each registers its meaning under its own name, so that the same function serves as an epilogue."""

from __future__ import annotations

from typing import Any, ClassVar

from xdsl.irdl import irdl_op_definition

from .activation import ACTIVATIONS, ActivationAttr
from .base import Onnx
from .elementwise import UnaryOp
from .types import Array


class ActivationOp(UnaryOp):
    """A unary op that a convolution or GEMM may apply to its result."""

    def activation(self) -> ActivationAttr | str:
        """This op as an activation attribute, or why it is not one."""
        return ActivationAttr.of(self.name.removeprefix("nn."), *self.parameters())

    def parameters(self) -> tuple[float, ...]:
        """The attribute's parameters."""
        return ()

    def evaluate(self, xp: Any, x: Array) -> Array:
        """The registered function of this op's name."""
        return ACTIVATIONS[self.name.removeprefix("nn.")][1](xp, x, *self.parameters())


def relu(xp: Any, x: Array) -> Array:
    """max(x, 0); a NaN stays a NaN."""
    return xp.maximum(x, x.dtype.type(0))


ACTIVATIONS["relu"] = (0, relu)


@irdl_op_definition
class ReluOp(ActivationOp):
    """`max(x, 0)`. ONNX Relu, https://onnx.ai/onnx/operators/onnx__Relu.html"""

    name = "nn.relu"
    ONNX: ClassVar = Onnx("Relu", since=6)
