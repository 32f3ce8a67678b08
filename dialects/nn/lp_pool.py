"""Pooling by the p-norm."""

from __future__ import annotations

from typing import Any, ClassVar

from xdsl.dialects.builtin import IntegerAttr, TensorType, i64
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, prop_def

from ...errors import CompileError
from .base import Onnx, integer
from .channels import array_first, array_in
from .elementwise import require_float
from .pool import GlobalPoolOp, PoolOp
from .types import Abstract, Array, static_dims, tensor


def _power(xp: Any, x: Array, p: int) -> Array:
    """`|x| ** p`"""
    return xp.square(x) if p == 2 else xp.abs(x) ** x.dtype.type(p)


def _root(xp: Any, total: Array, p: int) -> Array:
    """`total ** (1 / p)`"""
    return xp.sqrt(total) if p == 2 else total ** total.dtype.type(1 / p)


def _require_positive(name: str, p: int) -> None:
    if p < 1:
        raise CompileError(f"p of {name} must be 1 or more, not {p}")


@irdl_op_definition
class LpPoolOp(PoolOp):
    """The p-norm of each window, `sum(|x| ** p) ** (1 / p)`; padding is 0. ONNX LpPool,
    https://onnx.ai/onnx/operators/onnx__LpPool.html
    """

    name = "nn.lp_pool"
    ONNX: ClassVar = Onnx("LpPool", since=2)

    p = prop_def(IntegerAttr, default_value=IntegerAttr(2, i64))

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """[N, C, out...]"""
        require_float(self.name, x.element)
        _require_positive(self.name, integer(self.p))
        return tensor(x.element, self.pooled(x))

    def evaluate(self, xp: Any, x: Array) -> Array:
        """The sum over the kernel's positions."""
        window, p = self.window(x.shape), integer(self.p)
        x = array_first(xp, self.layout, x)
        out = static_dims(window.output(x.shape[2:]))
        total = xp.zeros((*x.shape[:2], *out), x.dtype)
        for _, seen in window.taps(window.pad(xp, _power(xp, x, p), 0, out), out):
            total += seen
        return array_in(xp, self.layout, _root(xp, total, p))


@irdl_op_definition
class GlobalLpPoolOp(GlobalPoolOp):
    """The p-norm of each channel. ONNX GlobalLpPool, https://onnx.ai/onnx/operators/onnx__GlobalLpPool.html"""

    name = "nn.global_lp_pool"
    ONNX: ClassVar = Onnx("GlobalLpPool", since=2)

    p = prop_def(IntegerAttr, default_value=IntegerAttr(2, i64))

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """[N, C, 1...]"""
        _require_positive(self.name, integer(self.p))
        return super().infer(x)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """The root of the sum over all spatial dims."""
        p = integer(self.p)
        return _root(xp, _power(xp, x, p).sum(axis=self.axes(x.ndim), keepdims=True), p)
