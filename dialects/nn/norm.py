"""Normalisations at inference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from xdsl.dialects.builtin import FloatAttr, IntegerAttr, StringAttr, TensorType, f32, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    AttrSizedResultSegments,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    opt_result_def,
    prop_def,
    result_def,
)

from ...errors import CompileError, UnsupportedError
from .activation import ActivationAttr
from .base import AnyTensor, NNOp, Onnx, OnnxNode, integer, number
from .channels import CHANNELS_FIRST, abstract_first, is_channels_last
from .elementwise import UnaryOp, require_float, same_element
from .types import Abstract, Array, Dims, broadcasts_to, dims_of, format_dims, normalize_axis, tensor


def _require_per_channel(x: Abstract, **parameters: Abstract) -> None:
    """Raise CompileError where a parameter is not [C] for `x` [N, C, ...]."""
    channels: Dims = (x.dims[1] if x.rank > 1 else 1,)
    for name, parameter in parameters.items():
        if (
            parameter.rank != 1
            or not broadcasts_to(channels, parameter.dims)
            or not broadcasts_to(parameter.dims, channels)
        ):
            raise CompileError(
                f"{name} {format_dims(parameter.dims)} does not fit the channels of {format_dims(x.dims)}"
            )


def _per_channel(parameter: Array, rank: int) -> Array:
    """[C] as it broadcasts to [N, C, ...] of `rank` dims; [C, ...], a parameter per element, does so as it is."""
    return parameter.reshape(-1, *[1] * (rank - 2)) if parameter.ndim == 1 and rank > 1 else parameter


@irdl_op_definition
class BatchNormalizationOp(NNOp):
    """`activation((x - mean) / sqrt(var + epsilon) * scale + bias)`, per channel, with given statistics.

    ONNX BatchNormalization, https://onnx.ai/onnx/operators/onnx__BatchNormalization.html, at inference only: `momentum`
    is of training. x [N, C, ...], with layout nhwc [N, ..., C]; the others [C] (or, in nchw, [C, ...], per element:
    spatial = 0 up to opset 8).
    """

    name = "nn.batch_normalization"
    ONNX: ClassVar = Onnx(
        "BatchNormalization", since=6, drop=frozenset({"momentum", "training_mode", "spatial", "is_test"})
    )
    INPLACE: ClassVar = ("x",)

    x = operand_def(AnyTensor)
    scale = operand_def(AnyTensor)
    bias = operand_def(AnyTensor)
    mean = operand_def(AnyTensor)
    var = operand_def(AnyTensor)
    epsilon = prop_def(FloatAttr, default_value=FloatAttr(1e-5, f32))
    layout = prop_def(StringAttr, default_value=CHANNELS_FIRST)
    activation = opt_prop_def(ActivationAttr)
    result = result_def(AnyTensor)

    def infer(
        self, x: Abstract, scale: Abstract, bias: Abstract, mean: Abstract, var: Abstract
    ) -> TensorType[Attribute]:
        """The type of `x`; scale and bias may have another float type, and mean and var a third one."""
        for element in (x.element, same_element(self.name, scale, bias), same_element(self.name, mean, var)):
            require_float(self.name, element)
        if scale.rank == 1:
            _require_per_channel(abstract_first(self.layout, x), scale=scale, bias=bias, mean=mean, var=var)
            return x.type
        if is_channels_last(self.layout):
            raise CompileError("a batch-norm per element has its channels first")
        for parameter in (scale, bias, mean, var):
            if parameter.rank != x.rank - 1 or not broadcasts_to(parameter.dims, x.dims[1:]):
                raise CompileError(f"{format_dims(parameter.dims)} does not fit the elements of {format_dims(x.dims)}")
        return x.type

    def evaluate(self, xp: Any, x: Array, scale: Array, bias: Array, mean: Array, var: Array) -> Array:
        """In one new array."""
        if not is_channels_last(self.layout):
            scale, bias, mean, var = (_per_channel(p, x.ndim) for p in (scale, bias, mean, var))
        y = x - mean
        y *= scale / xp.sqrt(var + number(self.epsilon))
        y += bias
        return y if self.activation is None else self.activation.apply(xp, y, out=y)

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """Training is refused (it is opset 6's default); whether `spatial` is 0 shows in the rank of the parameters."""
        if node.attributes.get("training_mode", 0) or (node.opset < 7 and not node.attributes.get("is_test", 0)):
            mode = "is_test = 0" if node.opset < 7 else "training_mode = 1"
            raise UnsupportedError(f"BatchNormalization with {mode} is not supported", hint="export it for inference")
        rank, parameter = (len(dims_of(node.required(i).type)) for i in (0, 1))
        if node.attributes.get("spatial", 1) == 0 and parameter != rank - 1:
            raise CompileError(
                f"BatchNormalization with spatial = 0 needs parameters of rank {rank - 1}, not {parameter}"
            )
        return super().import_node(node)


@irdl_op_definition
class InstanceNormalizationOp(NNOp):
    """`(x - mean) / sqrt(var + epsilon) * scale + bias` with the statistics of each image and channel.

    ONNX InstanceNormalization, https://onnx.ai/onnx/operators/onnx__InstanceNormalization.html. x [N, C, spatial...],
    scale and bias [C].
    """

    name = "nn.instance_normalization"
    ONNX: ClassVar = Onnx("InstanceNormalization", since=6)
    INPLACE: ClassVar = ("x",)

    x = operand_def(AnyTensor)
    scale = operand_def(AnyTensor)
    bias = operand_def(AnyTensor)
    epsilon = prop_def(FloatAttr, default_value=FloatAttr(1e-5, f32))
    result = result_def(AnyTensor)

    def infer(self, x: Abstract, scale: Abstract, bias: Abstract) -> TensorType[Attribute]:
        """The type of `x`."""
        require_float(self.name, same_element(self.name, x, scale, bias))
        if x.rank < 3:
            raise CompileError(f"{self.name} needs [N, C, spatial...], not {format_dims(x.dims)}")
        _require_per_channel(x, scale=scale, bias=bias)
        return x.type

    def evaluate(self, xp: Any, x: Array, scale: Array, bias: Array) -> Array:
        """In one new array and its squares."""
        y, _, deviation = standardized(xp, x, tuple(range(2, x.ndim)), number(self.epsilon))
        y *= _per_channel(scale, x.ndim) * deviation
        y += _per_channel(bias, x.ndim)
        return y


def standardized(xp: Any, x: Array, axes: tuple[int, ...], epsilon: float) -> tuple[Array, Array, Array]:
    """`x` less its mean along `axes` (a new array), that mean, and `1 / sqrt(variance + epsilon)`."""
    mean = x.mean(axis=axes, keepdims=True)
    centred = x - mean
    variance = xp.square(centred).mean(axis=axes, keepdims=True)
    return centred, mean, 1 / xp.sqrt(variance + epsilon)


@irdl_op_definition
class LayerNormalizationOp(NNOp):
    """`(x - mean) / sqrt(var + epsilon) * scale + bias` with the statistics of the dims from `axis` on.

    ONNX LayerNormalization, https://onnx.ai/onnx/operators/onnx__LayerNormalization.html. scale and bias broadcast to
    x; the optional results mean and inv_std_dev have ones for the normalised dims. f16 and bf16 are computed in f32
    (ONNX's stash_type = 1, the only one supported), and so these two are f32.
    """

    name = "nn.layer_normalization"
    ONNX: ClassVar = Onnx("LayerNormalization", since=17, drop=frozenset({"stash_type"}))
    INPLACE: ClassVar = ("x",)

    x = operand_def(AnyTensor)
    scale = operand_def(AnyTensor)
    bias = opt_operand_def(AnyTensor)
    axis = prop_def(IntegerAttr, default_value=IntegerAttr(-1, i64))
    epsilon = prop_def(FloatAttr, default_value=FloatAttr(1e-5, f32))
    result = result_def(AnyTensor)
    mean = opt_result_def(AnyTensor)
    inv_std_dev = opt_result_def(AnyTensor)

    irdl_options = (AttrSizedResultSegments(as_property=True),)

    def infer(self, x: Abstract, scale: Abstract, bias: Abstract | None) -> tuple[TensorType[Attribute], ...]:
        """The type of `x`, and twice its dims before `axis`, then ones."""
        parameters = [p for p in (scale, bias) if p is not None]
        require_float(self.name, same_element(self.name, x, *parameters))
        axis = normalize_axis(integer(self.axis), x.rank)
        for p in parameters:
            if not broadcasts_to(p.dims, x.dims):
                raise CompileError(f"scale or bias {format_dims(p.dims)} does not broadcast to {format_dims(x.dims)}")
        statistics = tensor(f32, (*x.dims[:axis], *[1] * (x.rank - axis)))
        return (x.type, statistics, statistics)[: len(self.results)]

    def evaluate(self, xp: Any, x: Array, scale: Array, bias: Array | None) -> tuple[Array, ...]:
        """In one new array and its squares."""
        axes = tuple(range(normalize_axis(integer(self.axis), x.ndim), x.ndim))
        y, mean, deviation = standardized(xp, x, axes, number(self.epsilon))
        y *= deviation
        y *= scale
        if bias is not None:
            y += bias
        return (y, mean, deviation)[: len(self.results)]

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """Statistics in another type than f32 are refused."""
        require_f32_statistics(node)
        return super().import_node(node)


def require_f32_statistics(node: OnnxNode) -> None:
    """Raise UnsupportedError where `stash_type` asks for statistics in another type than f32."""
    if node.attributes.get("stash_type", 1) != 1:
        raise UnsupportedError(f"{node.op_type} with a stash_type other than 1 (f32) is not supported")


@irdl_op_definition
class LRNOp(UnaryOp):
    """`x / (bias + alpha / size * sum of x*x over `size` channels around) ** beta`: local response normalisation.

    ONNX LRN, https://onnx.ai/onnx/operators/onnx__LRN.html. x [N, C, ...]. Around channel c are those from
    c - floor((size - 1) / 2) to c + ceil((size - 1) / 2), as far as they exist.
    """

    name = "nn.lrn"
    ONNX: ClassVar = Onnx("LRN", since=1)
    INPLACE: ClassVar = ()
    POINTWISE: ClassVar = False

    size = prop_def(IntegerAttr)
    alpha = prop_def(FloatAttr, default_value=FloatAttr(1e-4, f32))
    beta = prop_def(FloatAttr, default_value=FloatAttr(0.75, f32))
    bias = prop_def(FloatAttr, default_value=FloatAttr(1.0, f32))

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The operand's type, of floats."""
        require_float(self.name, x.element)
        if x.rank < 2 or integer(self.size) < 1:
            raise CompileError(f"{self.name} of size {integer(self.size)} does not fit {format_dims(x.dims)}")
        return x.type

    def evaluate(self, xp: Any, x: Array) -> Array:
        """One sum of shifted squares."""
        channels, size = x.shape[1], integer(self.size)
        squares, total = x * x, xp.zeros_like(x)
        before = (size - 1) // 2
        for shift in range(max(-before, 1 - channels), min(size - before, channels)):
            here, there = (
                slice(max(-shift, 0), channels - max(shift, 0)),
                slice(max(shift, 0), channels + min(shift, 0)),
            )
            total[:, here] += squares[:, there]
        total *= number(self.alpha) / size
        total += number(self.bias)
        total **= -number(self.beta)
        total *= x
        return total
