"""Activations as ops. Their meanings are in activation_functions.py, so that they serve as epilogues too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from xdsl.dialects.builtin import FloatAttr, StringAttr, TensorType, f32
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def
from xdsl.pattern_rewriter import RewritePattern

from ...errors import CompileError
from .activation import ActivationAttr
from .activation_functions import ACTIVATIONS
from .base import AnyTensor, NNOp, Onnx, OnnxNode, number, text
from .elementwise import UnaryOp, append_ones, require_float, require_number, same_element
from .types import Abstract, Array, broadcasts_to, dims_of, format_dims


class ActivationOp(UnaryOp):
    """A unary op that a convolution or GEMM may apply to its result."""

    def activation(self) -> ActivationAttr | str:
        """This op as an activation attribute, or why it is not one."""
        return ActivationAttr.of(self.kind(), *self.parameters())

    def kind(self) -> str:
        """The attribute's name: this op's."""
        return self.name.removeprefix("nn.")

    def parameters(self) -> tuple[float, ...]:
        """The attribute's parameters."""
        return ()

    @classmethod
    def written(cls, x: SSAValue, activation: ActivationAttr) -> list[NNOp] | None:
        """`activation` of `x` as operations, or None where it is not one of this class."""
        if activation.kind.data != cls.name.removeprefix("nn."):
            return None
        names = cls.get_irdl_definition().properties
        fields: dict[str, Any] = dict(zip(names, activation.values, strict=True))
        return [cls(x, **fields)]

    def infer(self, x: Abstract, *args: Any, **kwargs: Any) -> TensorType[Attribute]:
        """The operand's type, of floats."""
        require_float(self.name, x.element)
        return x.type

    def evaluate(self, xp: Any, x: Array, *args: Any, **kwargs: Any) -> Array:
        """The registered function of this op's kind."""
        return ACTIVATIONS[self.kind()][1](xp, x, *self.parameters())


def spelled(x: SSAValue, activation: ActivationAttr) -> list[NNOp]:
    """`activation` of `x` as operations; the last one's result is it."""
    for op_class in ActivationOp.__subclasses__():
        if (ops := op_class.written(x, activation)) is not None:
            return ops
    raise RuntimeError(f"no operation computes {activation}")


@irdl_op_definition
class ReluOp(ActivationOp):
    """`max(x, 0)`, of floats or integers. ONNX Relu, https://onnx.ai/onnx/operators/onnx__Relu.html"""

    name = "nn.relu"
    ONNX: ClassVar = Onnx("Relu", since=6)

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The operand's type, of numbers."""
        require_number(self.name, x.element)
        return x.type

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """After another Relu or Clip: one of them."""
        from .clip import MergeClamps

        return (MergeClamps(),)


@irdl_op_definition
class LeakyReluOp(ActivationOp):
    """`x` where positive, else `alpha * x`. ONNX LeakyRelu, https://onnx.ai/onnx/operators/onnx__LeakyRelu.html"""

    name = "nn.leaky_relu"
    ONNX: ClassVar = Onnx("LeakyRelu", since=6)

    alpha = prop_def(FloatAttr, default_value=FloatAttr(0.01, f32))

    def parameters(self) -> tuple[float, ...]:
        """alpha"""
        return (number(self.alpha),)


@irdl_op_definition
class PReluOp(NNOp):
    """`x` where positive, else `slope * x`. ONNX PRelu, https://onnx.ai/onnx/operators/onnx__PRelu.html

    `slope` broadcasts to `x` (in opset 6 it is one number, or one for each channel). One that is a single constant
    makes it an nn.leaky_relu, which can be fused.
    """

    name = "nn.prelu"
    ONNX: ClassVar = Onnx("PRelu", since=6)
    INPLACE: ClassVar = ("x",)
    POINTWISE: ClassVar = True

    x = operand_def(AnyTensor)
    slope = operand_def(AnyTensor)
    result = result_def(AnyTensor)

    def infer(self, x: Abstract, slope: Abstract) -> TensorType[Attribute]:
        """The type of `x`."""
        require_number(self.name, same_element(self.name, x, slope))
        if not broadcasts_to(slope.dims, x.dims):
            raise CompileError(f"slope {format_dims(slope.dims)} does not broadcast to {format_dims(x.dims)}")
        return x.type

    def evaluate(self, xp: Any, x: Array, slope: Array) -> Array:
        """`x < 0 ? slope * x : x`"""
        return xp.where(x < 0, slope * x, x)

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """Opset 6's slopes are those of the channels [N, C, ...], not of the last dim."""
        x, slope = (dims_of(node.required(i).type) for i in (0, 1))
        if node.opset < 7 and len(slope) == 1 and slope != (1,):
            append_ones(node, 1, len(x) - 2)
        return super().import_node(node)

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """Of one constant slope: nn.leaky_relu."""
        from .arithmetic_patterns import PReluOfOneSlope

        return (PReluOfOneSlope(),)


@irdl_op_definition
class EluOp(ActivationOp):
    """`x` where positive, else `alpha * (exp(x) - 1)`. ONNX Elu, https://onnx.ai/onnx/operators/onnx__Elu.html"""

    name = "nn.elu"
    ONNX: ClassVar = Onnx("Elu", since=6)

    alpha = prop_def(FloatAttr, default_value=FloatAttr(1.0, f32))

    def parameters(self) -> tuple[float, ...]:
        """alpha"""
        return (number(self.alpha),)


@irdl_op_definition
class SeluOp(ActivationOp):
    """`gamma * elu(x, alpha)`. ONNX Selu, https://onnx.ai/onnx/operators/onnx__Selu.html"""

    name = "nn.selu"
    ONNX: ClassVar = Onnx("Selu", since=6)

    alpha = prop_def(FloatAttr, default_value=FloatAttr(1.6732631921768188, f32))
    gamma = prop_def(FloatAttr, default_value=FloatAttr(1.0507010221481323, f32))

    def parameters(self) -> tuple[float, ...]:
        """alpha, gamma"""
        return number(self.alpha), number(self.gamma)


@irdl_op_definition
class CeluOp(ActivationOp):
    """`max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))`. ONNX Celu, https://onnx.ai/onnx/operators/onnx__Celu.html"""

    name = "nn.celu"
    ONNX: ClassVar = Onnx("Celu", since=12)

    alpha = prop_def(FloatAttr, default_value=FloatAttr(1.0, f32))

    def parameters(self) -> tuple[float, ...]:
        """alpha"""
        return (number(self.alpha),)


@irdl_op_definition
class ThresholdedReluOp(ActivationOp):
    """`x` where it is above `alpha`, else 0; a NaN stays a NaN.

    ONNX ThresholdedRelu, https://onnx.ai/onnx/operators/onnx__ThresholdedRelu.html
    """

    name = "nn.thresholded_relu"
    ONNX: ClassVar = Onnx("ThresholdedRelu", since=10)

    alpha = prop_def(FloatAttr, default_value=FloatAttr(1.0, f32))

    def parameters(self) -> tuple[float, ...]:
        """alpha"""
        return (number(self.alpha),)


@irdl_op_definition
class ShrinkOp(ActivationOp):
    """`x + bias` below `-lambd`, `x - bias` above `lambd`, else 0; of floats or integers; a NaN stays a NaN.

    ONNX Shrink, https://onnx.ai/onnx/operators/onnx__Shrink.html
    """

    name = "nn.shrink"
    ONNX: ClassVar = Onnx("Shrink", since=9)

    lambd = prop_def(FloatAttr, default_value=FloatAttr(0.5, f32))
    bias = prop_def(FloatAttr, default_value=FloatAttr(0.0, f32))

    def parameters(self) -> tuple[float, ...]:
        """lambd, bias"""
        return number(self.lambd), number(self.bias)

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The operand's type, of numbers."""
        require_number(self.name, x.element)
        return x.type


@irdl_op_definition
class SoftsignOp(ActivationOp):
    """`x / (1 + |x|)`. ONNX Softsign, https://onnx.ai/onnx/operators/onnx__Softsign.html"""

    name = "nn.softsign"
    ONNX: ClassVar = Onnx("Softsign", since=1)


@irdl_op_definition
class MishOp(ActivationOp):
    """`x * tanh(softplus(x))`. ONNX Mish, https://onnx.ai/onnx/operators/onnx__Mish.html"""

    name = "nn.mish"
    ONNX: ClassVar = Onnx("Mish", since=18)


@irdl_op_definition
class SigmoidOp(ActivationOp):
    """`1 / (1 + exp(-x))`. ONNX Sigmoid, https://onnx.ai/onnx/operators/onnx__Sigmoid.html"""

    name = "nn.sigmoid"
    ONNX: ClassVar = Onnx("Sigmoid", since=6)


@irdl_op_definition
class HardSigmoidOp(ActivationOp):
    """`max(0, min(1, alpha * x + beta))`. ONNX HardSigmoid, https://onnx.ai/onnx/operators/onnx__HardSigmoid.html"""

    name = "nn.hard_sigmoid"
    ONNX: ClassVar = Onnx("HardSigmoid", since=6)

    alpha = prop_def(FloatAttr, default_value=FloatAttr(0.2, f32))
    beta = prop_def(FloatAttr, default_value=FloatAttr(0.5, f32))

    def parameters(self) -> tuple[float, ...]:
        """alpha, beta"""
        return number(self.alpha), number(self.beta)


@irdl_op_definition
class HardSwishOp(ActivationOp):
    """`x * hard_sigmoid(x, 1/6, 1/2)`. ONNX HardSwish, https://onnx.ai/onnx/operators/onnx__HardSwish.html"""

    name = "nn.hard_swish"
    ONNX: ClassVar = Onnx("HardSwish", since=14)


@irdl_op_definition
class TanhOp(ActivationOp):
    """The hyperbolic tangent. ONNX Tanh, https://onnx.ai/onnx/operators/onnx__Tanh.html"""

    name = "nn.tanh"
    ONNX: ClassVar = Onnx("Tanh", since=6)


@irdl_op_definition
class SoftplusOp(ActivationOp):
    """`log(1 + exp(x))`. ONNX Softplus, https://onnx.ai/onnx/operators/onnx__Softplus.html"""

    name = "nn.softplus"
    ONNX: ClassVar = Onnx("Softplus", since=1)


@irdl_op_definition
class GeluOp(ActivationOp):
    """`x * P(normal < x)`, or its `approximate = "tanh"`. ONNX Gelu, https://onnx.ai/onnx/operators/onnx__Gelu.html"""

    name = "nn.gelu"
    ONNX: ClassVar = Onnx("Gelu", since=20)

    approximate = prop_def(StringAttr, default_value=StringAttr("none"))

    def kind(self) -> str:
        """`gelu` or `gelu_tanh`"""
        return "gelu" if text(self.approximate) == "none" else "gelu_tanh"

    @classmethod
    def written(cls, x: SSAValue, activation: ActivationAttr) -> list[NNOp] | None:
        """`gelu` and `gelu_tanh`"""
        approximate = {"gelu": "none", "gelu_tanh": "tanh"}.get(activation.kind.data)
        return None if approximate is None else [cls(x, approximate=approximate)]

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The operand's type, of floats."""
        if text(self.approximate) not in ("none", "tanh"):
            raise CompileError(f"approximate '{text(self.approximate)}' is unknown; it is none or tanh")
        return super().infer(x)


@irdl_op_definition
class SwishOp(ActivationOp):
    """`x * sigmoid(alpha * x)`; SiLU with alpha = 1. ONNX Swish, https://onnx.ai/onnx/operators/onnx__Swish.html"""

    name = "nn.swish"
    ONNX: ClassVar = Onnx("Swish", since=24)

    alpha = prop_def(FloatAttr, default_value=FloatAttr(1.0, f32))

    def parameters(self) -> tuple[float, ...]:
        """alpha"""
        return (number(self.alpha),)
