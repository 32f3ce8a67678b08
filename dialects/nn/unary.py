"""Elementary functions of one operand. Those that may be fused as activations are in activations.py."""

from __future__ import annotations

from typing import Any, ClassVar

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition

from .base import Onnx
from .elementwise import UnaryOp, require_float, require_number
from .special import erf
from .types import Abstract, Array


class NumericOp(UnaryOp):
    """A function of integers or floats."""

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The operand's type, of numbers."""
        require_number(self.name, x.element)
        return x.type


class FloatOp(UnaryOp):
    """A function of floats."""

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The operand's type, of floats."""
        require_float(self.name, x.element)
        return x.type


@irdl_op_definition
class NegOp(NumericOp):
    """`-x`. ONNX Neg, https://onnx.ai/onnx/operators/onnx__Neg.html"""

    name = "nn.neg"
    ONNX: ClassVar = Onnx("Neg", since=6)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`-x`"""
        return -x


@irdl_op_definition
class AbsOp(NumericOp):
    """`|x|`. ONNX Abs, https://onnx.ai/onnx/operators/onnx__Abs.html"""

    name = "nn.abs"
    ONNX: ClassVar = Onnx("Abs", since=6)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`|x|`"""
        return xp.abs(x)


@irdl_op_definition
class ExpOp(FloatOp):
    """`e ** x`. ONNX Exp, https://onnx.ai/onnx/operators/onnx__Exp.html"""

    name = "nn.exp"
    ONNX: ClassVar = Onnx("Exp", since=6)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`e ** x`"""
        return xp.exp(x)


@irdl_op_definition
class LogOp(FloatOp):
    """The natural logarithm. ONNX Log, https://onnx.ai/onnx/operators/onnx__Log.html"""

    name = "nn.log"
    ONNX: ClassVar = Onnx("Log", since=6)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`log(x)`"""
        return xp.log(x)


@irdl_op_definition
class SqrtOp(FloatOp):
    """The square root. ONNX Sqrt, https://onnx.ai/onnx/operators/onnx__Sqrt.html"""

    name = "nn.sqrt"
    ONNX: ClassVar = Onnx("Sqrt", since=6)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`sqrt(x)`"""
        return xp.sqrt(x)


@irdl_op_definition
class ReciprocalOp(FloatOp):
    """`1 / x`. ONNX Reciprocal, https://onnx.ai/onnx/operators/onnx__Reciprocal.html"""

    name = "nn.reciprocal"
    ONNX: ClassVar = Onnx("Reciprocal", since=6)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`1 / x`"""
        return 1 / x


@irdl_op_definition
class ErfOp(FloatOp):
    """The error function. ONNX Erf, https://onnx.ai/onnx/operators/onnx__Erf.html"""

    name = "nn.erf"
    ONNX: ClassVar = Onnx("Erf", since=9)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`2 / sqrt(pi) * integral of exp(-t*t) from 0 to x`"""
        return erf(xp, x)


@irdl_op_definition
class FloorOp(FloatOp):
    """The next integer below. ONNX Floor, https://onnx.ai/onnx/operators/onnx__Floor.html"""

    name = "nn.floor"
    ONNX: ClassVar = Onnx("Floor", since=6)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`floor(x)`"""
        return xp.floor(x)


@irdl_op_definition
class CeilOp(FloatOp):
    """The next integer above. ONNX Ceil, https://onnx.ai/onnx/operators/onnx__Ceil.html"""

    name = "nn.ceil"
    ONNX: ClassVar = Onnx("Ceil", since=6)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`ceil(x)`"""
        return xp.ceil(x)


@irdl_op_definition
class RoundOp(FloatOp):
    """The nearest integer; of two, the even one. ONNX Round, https://onnx.ai/onnx/operators/onnx__Round.html"""

    name = "nn.round"
    ONNX: ClassVar = Onnx("Round", since=11)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`rint(x)`"""
        return xp.rint(x)


@irdl_op_definition
class SignOp(NumericOp):
    """-1, 0 or 1; a NaN stays a NaN. ONNX Sign, https://onnx.ai/onnx/operators/onnx__Sign.html"""

    name = "nn.sign"
    ONNX: ClassVar = Onnx("Sign", since=9)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`sign(x)`; CuPy's of a NaN is 0."""
        return xp.where(x != x, x, xp.sign(x)) if x.dtype.kind == "f" else xp.sign(x)
