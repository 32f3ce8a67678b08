"""Normalisations along axes: by the root mean square, by mean and variance, by a vector norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from xdsl.dialects.builtin import DenseArrayBase, FloatAttr, IntegerAttr, TensorType, f32, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, OnnxNode, integer, ints, number
from .elementwise import UnaryOp, require_float
from .norm import require_f32_statistics
from .shape import normalize_axes
from .types import Abstract, Array, broadcasts_to, format_dims, normalize_axis, tensor


@irdl_op_definition
class RMSNormalizationOp(NNOp):
    """`x / sqrt(mean(x * x) + epsilon) * scale` with the mean of the dims from `axis` on.

    ONNX RMSNormalization, https://onnx.ai/onnx/operators/onnx__RMSNormalization.html. scale broadcasts to x and decides
    the result's element type. f16 and bf16 are computed in f32 (ONNX's stash_type = 1, the only one supported).
    """

    name = "nn.rms_normalization"
    ONNX: ClassVar = Onnx("RMSNormalization", since=23, drop=frozenset({"stash_type"}))
    INPLACE: ClassVar = ("x",)

    x = operand_def(AnyTensor)
    scale = operand_def(AnyTensor)
    axis = prop_def(IntegerAttr, default_value=IntegerAttr(-1, i64))
    epsilon = prop_def(FloatAttr, default_value=FloatAttr(1e-5, f32))
    result = result_def(AnyTensor)

    def infer(self, x: Abstract, scale: Abstract) -> TensorType[Attribute]:
        """The dims of `x`, of the element type of `scale`."""
        for operand in (x, scale):
            require_float(self.name, operand.element)
        normalize_axis(integer(self.axis), x.rank)
        if not broadcasts_to(scale.dims, x.dims):
            raise CompileError(f"scale {format_dims(scale.dims)} does not broadcast to {format_dims(x.dims)}")
        return tensor(scale.element, x.dims)

    def evaluate(self, xp: Any, x: Array, scale: Array) -> Array:
        """In one new array and its squares."""
        axes = tuple(range(normalize_axis(integer(self.axis), x.ndim), x.ndim))
        y = x / xp.sqrt(xp.square(x).mean(axis=axes, keepdims=True) + number(self.epsilon))
        return y * scale

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """Statistics in another type than f32 are refused."""
        require_f32_statistics(node)
        return super().import_node(node)


@irdl_op_definition
class MeanVarianceNormalizationOp(UnaryOp):
    """`(x - mean) / (sqrt(variance) + 1e-9)` with the statistics along `axes` (0, 2 and 3 by default).

    ONNX MeanVarianceNormalization, https://onnx.ai/onnx/operators/onnx__MeanVarianceNormalization.html
    """

    name = "nn.mean_variance_normalization"
    ONNX: ClassVar = Onnx("MeanVarianceNormalization", since=9)
    POINTWISE: ClassVar = False

    axes = opt_prop_def(DenseArrayBase)

    def reduced(self, rank: int) -> tuple[int, ...]:
        """The axes of the statistics, counted from the front."""
        return normalize_axes((0, 2, 3) if self.axes is None else ints(self.axes), rank)

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The operand's type, of floats."""
        require_float(self.name, x.element)
        self.reduced(x.rank)
        return x.type

    def evaluate(self, xp: Any, x: Array) -> Array:
        """In one new array and its squares."""
        axes = self.reduced(x.ndim)
        y = x - x.mean(axis=axes, keepdims=True)
        y /= xp.sqrt(xp.square(y).mean(axis=axes, keepdims=True)) + 1e-9
        return y


@irdl_op_definition
class LpNormalizationOp(UnaryOp):
    """`x / norm(x)` along `axis`: the sum of absolute values (p = 1) or the root of the sum of squares (p = 2).

    ONNX LpNormalization, https://onnx.ai/onnx/operators/onnx__LpNormalization.html. Where the norm is 0, so is the
    result.
    """

    name = "nn.lp_normalization"
    ONNX: ClassVar = Onnx("LpNormalization", since=1)
    POINTWISE: ClassVar = False

    axis = prop_def(IntegerAttr, default_value=IntegerAttr(-1, i64))
    p = prop_def(IntegerAttr, default_value=IntegerAttr(2, i64))

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The operand's type, of floats."""
        require_float(self.name, x.element)
        normalize_axis(integer(self.axis), x.rank)
        if integer(self.p) not in (1, 2):
            raise CompileError(f"p of {self.name} must be 1 or 2, not {integer(self.p)}")
        return x.type

    def evaluate(self, xp: Any, x: Array) -> Array:
        """The elements over their norm."""
        if not x.ndim:
            return xp.sign(x)
        sizes = xp.abs(x) if integer(self.p) == 1 else xp.square(x)
        norm = sizes.sum(axis=integer(self.axis), keepdims=True)
        norm = norm if integer(self.p) == 1 else xp.sqrt(norm)
        return x / xp.where(norm == 0, norm.dtype.type(1), norm)
