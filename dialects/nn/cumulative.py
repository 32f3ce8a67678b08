"""Running sums and products along an axis."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from xdsl.dialects.builtin import IntegerAttr, TensorType, i64
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, integer
from .elementwise import require_number
from .shape import as_ints, one_int
from .types import Abstract, Array, normalize_axis


class CumulativeOp(NNOp):
    """What the elements of `x` up to each place along `axis` make together.

    `exclusive` leaves out the element at the place itself; `reverse` starts at the end.
    """

    HOST: ClassVar = frozenset({"axis"})
    INPLACE: ClassVar = ("x",)

    x = operand_def(AnyTensor)
    axis = operand_def(AnyTensor)
    exclusive = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    reverse = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    result = result_def(AnyTensor)

    def infer(self, x: Abstract, axis: Abstract) -> TensorType[Attribute]:
        """The type of `x`."""
        require_number(self.name, x.element)
        if not x.rank:
            raise CompileError(f"{self.name} needs an operand of rank 1 or more")
        if (value := one_int("axis", axis)) is not None:
            normalize_axis(value, x.rank)
        return x.type

    def evaluate(self, xp: Any, x: Array, axis: Array) -> Array:
        """In the dtype of `x` (NumPy would widen integers)."""
        (value,) = as_ints(axis)
        place = normalize_axis(value, x.ndim)
        y = xp.moveaxis(x, place, 0)
        if integer(self.reverse):
            y = y[::-1]
        y = self.accumulate(xp, y)
        if integer(self.exclusive):
            y = xp.concatenate([xp.full_like(y[:1], self.of_nothing()), y[:-1]])
        if integer(self.reverse):
            y = y[::-1]
        return xp.moveaxis(y, 0, place)

    @abstractmethod
    def accumulate(self, xp: Any, x: Array) -> Array:
        """The running result along axis 0."""

    @abstractmethod
    def of_nothing(self) -> int:
        """The result of no element."""


@irdl_op_definition
class CumSumOp(CumulativeOp):
    """The running sum along `axis`. ONNX CumSum, https://onnx.ai/onnx/operators/onnx__CumSum.html"""

    name = "nn.cum_sum"
    ONNX: ClassVar = Onnx("CumSum", since=11)

    def accumulate(self, xp: Any, x: Array) -> Array:
        """`cumsum`"""
        return xp.cumsum(x, axis=0, dtype=x.dtype)

    def of_nothing(self) -> int:
        """0"""
        return 0


@irdl_op_definition
class CumProdOp(CumulativeOp):
    """The running product along `axis`. ONNX CumProd, https://onnx.ai/onnx/operators/onnx__CumProd.html"""

    name = "nn.cum_prod"
    ONNX: ClassVar = Onnx("CumProd", since=26)

    def accumulate(self, xp: Any, x: Array) -> Array:
        """`cumprod`"""
        return xp.cumprod(x, axis=0, dtype=x.dtype)

    def of_nothing(self) -> int:
        """1"""
        return 1
