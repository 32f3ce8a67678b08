"""Trigonometric and hyperbolic functions, and their inverses. Tanh, which may be fused, is in activations.py."""

from __future__ import annotations

from typing import Any, ClassVar

from xdsl.irdl import irdl_op_definition

from .base import Onnx
from .types import Array
from .unary import FloatOp


@irdl_op_definition
class SinOp(FloatOp):
    """The sine of radians. ONNX Sin, https://onnx.ai/onnx/operators/onnx__Sin.html"""

    name = "nn.sin"
    ONNX: ClassVar = Onnx("Sin", since=7)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`sin(x)`"""
        return xp.sin(x)


@irdl_op_definition
class CosOp(FloatOp):
    """The cosine of radians. ONNX Cos, https://onnx.ai/onnx/operators/onnx__Cos.html"""

    name = "nn.cos"
    ONNX: ClassVar = Onnx("Cos", since=7)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`cos(x)`"""
        return xp.cos(x)


@irdl_op_definition
class TanOp(FloatOp):
    """The tangent of radians. ONNX Tan, https://onnx.ai/onnx/operators/onnx__Tan.html"""

    name = "nn.tan"
    ONNX: ClassVar = Onnx("Tan", since=7)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`tan(x)`"""
        return xp.tan(x)


@irdl_op_definition
class AsinOp(FloatOp):
    """The inverse sine, in radians; NaN outside [-1, 1].

    ONNX Asin, https://onnx.ai/onnx/operators/onnx__Asin.html
    """

    name = "nn.asin"
    ONNX: ClassVar = Onnx("Asin", since=7)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`asin(x)`"""
        return xp.arcsin(x)


@irdl_op_definition
class AcosOp(FloatOp):
    """The inverse cosine, in radians; NaN outside [-1, 1].

    ONNX Acos, https://onnx.ai/onnx/operators/onnx__Acos.html
    """

    name = "nn.acos"
    ONNX: ClassVar = Onnx("Acos", since=7)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`acos(x)`"""
        return xp.arccos(x)


@irdl_op_definition
class AtanOp(FloatOp):
    """The inverse tangent, in radians. ONNX Atan, https://onnx.ai/onnx/operators/onnx__Atan.html"""

    name = "nn.atan"
    ONNX: ClassVar = Onnx("Atan", since=7)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`atan(x)`"""
        return xp.arctan(x)


@irdl_op_definition
class SinhOp(FloatOp):
    """The hyperbolic sine. ONNX Sinh, https://onnx.ai/onnx/operators/onnx__Sinh.html"""

    name = "nn.sinh"
    ONNX: ClassVar = Onnx("Sinh", since=9)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`sinh(x)`"""
        return xp.sinh(x)


@irdl_op_definition
class CoshOp(FloatOp):
    """The hyperbolic cosine. ONNX Cosh, https://onnx.ai/onnx/operators/onnx__Cosh.html"""

    name = "nn.cosh"
    ONNX: ClassVar = Onnx("Cosh", since=9)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`cosh(x)`"""
        return xp.cosh(x)


@irdl_op_definition
class AsinhOp(FloatOp):
    """The inverse hyperbolic sine. ONNX Asinh, https://onnx.ai/onnx/operators/onnx__Asinh.html"""

    name = "nn.asinh"
    ONNX: ClassVar = Onnx("Asinh", since=9)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`asinh(x)`"""
        return xp.arcsinh(x)


@irdl_op_definition
class AcoshOp(FloatOp):
    """The inverse hyperbolic cosine; NaN below 1. ONNX Acosh, https://onnx.ai/onnx/operators/onnx__Acosh.html"""

    name = "nn.acosh"
    ONNX: ClassVar = Onnx("Acosh", since=9)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`acosh(x)`"""
        return xp.arccosh(x)


@irdl_op_definition
class AtanhOp(FloatOp):
    """The inverse hyperbolic tangent; NaN outside [-1, 1].

    ONNX Atanh, https://onnx.ai/onnx/operators/onnx__Atanh.html
    """

    name = "nn.atanh"
    ONNX: ClassVar = Onnx("Atanh", since=9)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`atanh(x)`"""
        return xp.arctanh(x)
