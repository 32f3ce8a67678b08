"""Softmax, its logarithm, and its limit Hardmax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from xdsl.dialects.builtin import IntegerAttr, TensorType, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, prop_def

from .base import Onnx, OnnxNode, integer
from .elementwise import UnaryOp, require_float
from .reshape import FlattenOp, ReshapeOp
from .shape import ShapeOp
from .types import Abstract, Array, dims_of, normalize_axis


class SoftmaxLikeOp(UnaryOp):
    """A function of the elements along `axis`, to as many."""

    POINTWISE: ClassVar = False

    axis = prop_def(IntegerAttr, default_value=IntegerAttr(-1, i64))

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The operand's type, of floats."""
        require_float(self.name, x.element)
        normalize_axis(integer(self.axis), x.rank)
        return x.type

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """Below opset 13, `axis` (by default 1) starts the dims that are normalised together."""
        if node.opset >= 13:
            return super().import_node(node)
        x = node.required(0)
        dims = dims_of(x.type)
        first = normalize_axis(node.attributes.get("axis", 1), len(dims))
        long = [a for a in range(first, len(dims)) if dims[a] != 1]
        if len(long) <= 1:
            return node.build(cls, x, axis=long[0] if long else first)
        flat = node.build(FlattenOp, x, axis=first)[0]
        return node.build(ReshapeOp, node.build(cls, flat, axis=-1)[0], node.build(ShapeOp, x)[0])


def _shifted(xp: Any, x: Array, axis: int) -> Array:
    """`x` less its maximum along `axis`, so that exponentials do not overflow; a new array."""
    return xp.subtract(x, x.max(axis=axis, keepdims=True), out=xp.empty_like(x))


@irdl_op_definition
class SoftmaxOp(SoftmaxLikeOp):
    """`exp(x) / sum(exp(x))` along `axis`. ONNX Softmax, https://onnx.ai/onnx/operators/onnx__Softmax.html"""

    name = "nn.softmax"
    ONNX: ClassVar = Onnx("Softmax", since=1)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """In one new array."""
        if not x.size:
            return x
        axis = normalize_axis(integer(self.axis), x.ndim)
        y = _shifted(xp, x, axis)
        xp.exp(y, out=y)
        y /= y.sum(axis=axis, keepdims=True)
        return y


@irdl_op_definition
class LogSoftmaxOp(SoftmaxLikeOp):
    """`log(softmax(x))` along `axis`. ONNX LogSoftmax, https://onnx.ai/onnx/operators/onnx__LogSoftmax.html"""

    name = "nn.log_softmax"
    ONNX: ClassVar = Onnx("LogSoftmax", since=1)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`x - max - log(sum(exp(x - max)))`"""
        if not x.size:
            return x
        axis = normalize_axis(integer(self.axis), x.ndim)
        y = _shifted(xp, x, axis)
        y -= xp.log(xp.exp(y).sum(axis=axis, keepdims=True))
        return y


@irdl_op_definition
class HardmaxOp(SoftmaxLikeOp):
    """1 for the first largest element along `axis`, else 0. ONNX Hardmax,
    https://onnx.ai/onnx/operators/onnx__Hardmax.html
    """

    name = "nn.hardmax"
    ONNX: ClassVar = Onnx("Hardmax", since=1)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """Whether an index is that of the largest."""
        if not x.size:
            return x
        axis = normalize_axis(integer(self.axis), x.ndim)
        rows = xp.moveaxis(xp.atleast_1d(x), axis, -1)
        first = rows.argmax(axis=-1)[..., None] == xp.arange(rows.shape[-1])
        return xp.moveaxis(first, -1, axis).reshape(x.shape).astype(x.dtype)
