"""Reductions of some axes to one element each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, TensorType, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_operand_def, prop_def, result_def

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, OnnxNode, integer
from .elementwise import require_number, truncating_divide
from .shape import as_ints, count_of, normalize_axes
from .types import Abstract, Array, Dims, tensor

Axes = tuple[int, ...]


class ReduceOp(NNOp):
    """Reduces the `axes` of `x`, which stay as dims of size 1 where `keepdims` is 1.

    No axes, or an empty list of them, means all; with `noop_with_empty_axes` none.
    """

    HOST: ClassVar = frozenset({"axes"})

    x = operand_def(AnyTensor)
    axes = opt_operand_def(AnyTensor)
    keepdims = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    noop_with_empty_axes = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    result = result_def(AnyTensor)

    def reduced(self, axes: Sequence[int], rank: int) -> Axes:
        """The axes that go, counted from the front."""
        if axes:
            return normalize_axes(axes, rank)
        return () if integer(self.noop_with_empty_axes) else tuple(range(rank))

    def check(self, element: Attribute) -> None:
        """Raise CompileError for element types that cannot be reduced so: by default bools."""
        require_number(self.name, element)

    def infer(self, x: Abstract, axes: Abstract | None) -> TensorType[Attribute]:
        """The dims that stay; unknown ones where `axes` is not a constant."""
        self.check(x.element)
        count = 0 if axes is None else count_of("axes", axes) if not integer(self.keepdims) else None
        values = () if axes is None or axes.dims == (0,) else axes.ints()
        if values is not None:
            return tensor(x.element, self.target(x.dims, self.reduced(values, x.rank)))
        if count is None:
            return tensor(x.element, [None] * x.rank)
        if count > x.rank:
            raise CompileError(f"{count} axes cannot be reduced in rank {x.rank}")
        return tensor(x.element, [None] * (x.rank - count))

    def target(self, dims: Dims, axes: Axes) -> Dims:
        """`dims` without `axes`, or with 1 in their place."""
        if integer(self.keepdims):
            return tuple(1 if a in axes else d for a, d in enumerate(dims))
        return tuple(d for a, d in enumerate(dims) if a not in axes)

    def evaluate(self, xp: Any, x: Array, axes: Array | None) -> Array:
        """The reduction by `reduce`."""
        reduced = self.reduced(() if axes is None else as_ints(axes), x.ndim)
        return self.reduce(xp, x, reduced).reshape(self.target(x.shape, reduced)) if reduced else self.each(xp, x)

    def each(self, xp: Any, x: Array) -> Array:
        """What the op makes of every element where no axes are reduced; by default nothing else."""
        return x

    @abstractmethod
    def reduce(self, xp: Any, x: Array, axes: Axes) -> Array:
        """`x` with `axes` reduced, in its dtype, kept as ones or not."""

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """`axes` as an attribute (below opset 18; of ReduceSum below 13) becomes a constant."""
        node.attribute_to_input("axes", 1)
        return super().import_node(node)


def _count(x: Array, axes: Axes) -> int:
    """How many elements of `x` make one of the result."""
    count = 1
    for a in axes:
        count *= x.shape[a]
    return count


@irdl_op_definition
class ReduceSumOp(ReduceOp):
    """The sum along axes; 0 of nothing. ONNX ReduceSum, https://onnx.ai/onnx/operators/onnx__ReduceSum.html"""

    name = "nn.reduce_sum"
    ONNX: ClassVar = Onnx("ReduceSum", since=1)

    def reduce(self, xp: Any, x: Array, axes: Axes) -> Array:
        """In the dtype of `x` (NumPy would widen integers)."""
        return x.sum(axis=axes, dtype=x.dtype)


@irdl_op_definition
class ReduceMeanOp(ReduceOp):
    """The mean along axes; NaN of nothing. ONNX ReduceMean, https://onnx.ai/onnx/operators/onnx__ReduceMean.html

    Integers are divided towards zero.
    """

    name = "nn.reduce_mean"
    ONNX: ClassVar = Onnx("ReduceMean", since=1)

    def reduce(self, xp: Any, x: Array, axes: Axes) -> Array:
        """The sum divided by the count."""
        total, count = x.sum(axis=axes, dtype=x.dtype, keepdims=True), _count(x, axes)
        return total / count if x.dtype.kind == "f" else truncating_divide(total, total.dtype.type(count))


class ReduceExtremeOp(ReduceOp):
    """The largest or smallest element along axes."""

    @abstractmethod
    def of_nothing(self, dtype: Any) -> Any:
        """The result of reducing no element."""

    def check(self, element: Attribute) -> None:
        """Bools are ordered too: false < true."""

    def empty(self, xp: Any, x: Array, axes: Axes) -> Array:
        """The result where there is nothing to reduce."""
        dims = [1 if a in axes else d for a, d in enumerate(x.shape)]
        return xp.full(dims, self.of_nothing(x.dtype), x.dtype)


@irdl_op_definition
class ReduceMaxOp(ReduceExtremeOp):
    """The largest along axes; the least value of nothing. ONNX ReduceMax,
    https://onnx.ai/onnx/operators/onnx__ReduceMax.html
    """

    name = "nn.reduce_max"
    ONNX: ClassVar = Onnx("ReduceMax", since=1)

    def of_nothing(self, dtype: Any) -> Any:
        """-inf, or the least value of the type."""
        return -np.inf if dtype.kind == "f" else False if dtype.kind == "b" else np.iinfo(dtype).min

    def reduce(self, xp: Any, x: Array, axes: Axes) -> Array:
        """A NaN wins."""
        return x.max(axis=axes) if _count(x, axes) else self.empty(xp, x, axes)


@irdl_op_definition
class ReduceMinOp(ReduceExtremeOp):
    """The smallest along axes; the greatest value of nothing. ONNX ReduceMin,
    https://onnx.ai/onnx/operators/onnx__ReduceMin.html
    """

    name = "nn.reduce_min"
    ONNX: ClassVar = Onnx("ReduceMin", since=1)

    def of_nothing(self, dtype: Any) -> Any:
        """inf, or the greatest value of the type."""
        return np.inf if dtype.kind == "f" else True if dtype.kind == "b" else np.iinfo(dtype).max

    def reduce(self, xp: Any, x: Array, axes: Axes) -> Array:
        """A NaN wins."""
        return x.min(axis=axes) if _count(x, axes) else self.empty(xp, x, axes)


@irdl_op_definition
class ReduceProdOp(ReduceOp):
    """The product along axes; 1 of nothing. ONNX ReduceProd, https://onnx.ai/onnx/operators/onnx__ReduceProd.html"""

    name = "nn.reduce_prod"
    ONNX: ClassVar = Onnx("ReduceProd", since=1)

    def reduce(self, xp: Any, x: Array, axes: Axes) -> Array:
        """In the dtype of `x` (NumPy would widen integers)."""
        return x.prod(axis=axes, dtype=x.dtype)


class ReduceMappedSumOp(ReduceOp):
    """A function of the sum of a function (`term`) of the elements along axes."""

    def term(self, xp: Any, x: Array) -> Array:
        """What is added up, for every element."""
        return x

    def finish(self, xp: Any, total: Array) -> Array:
        """The result from the sum; by default the sum."""
        return total

    def reduce(self, xp: Any, x: Array, axes: Axes) -> Array:
        """In the dtype of `x`."""
        return self.finish(xp, self.term(xp, x).sum(axis=axes, dtype=x.dtype, keepdims=True))

    def each(self, xp: Any, x: Array) -> Array:
        """Of sums of one element."""
        return self.finish(xp, self.term(xp, x))


@irdl_op_definition
class ReduceL1Op(ReduceMappedSumOp):
    """The sum of sizes along axes. ONNX ReduceL1, https://onnx.ai/onnx/operators/onnx__ReduceL1.html"""

    name = "nn.reduce_l1"
    ONNX: ClassVar = Onnx("ReduceL1", since=1)

    def term(self, xp: Any, x: Array) -> Array:
        """`|x|`"""
        return xp.abs(x)


@irdl_op_definition
class ReduceSumSquareOp(ReduceMappedSumOp):
    """The sum of squares along axes. ONNX ReduceSumSquare,
    https://onnx.ai/onnx/operators/onnx__ReduceSumSquare.html
    """

    name = "nn.reduce_sum_square"
    ONNX: ClassVar = Onnx("ReduceSumSquare", since=1)

    def term(self, xp: Any, x: Array) -> Array:
        """`x * x`"""
        return x * x


@irdl_op_definition
class ReduceL2Op(ReduceMappedSumOp):
    """The root of the sum of squares along axes. ONNX ReduceL2, https://onnx.ai/onnx/operators/onnx__ReduceL2.html

    Of integers it is rounded towards zero.
    """

    name = "nn.reduce_l2"
    ONNX: ClassVar = Onnx("ReduceL2", since=1)

    def term(self, xp: Any, x: Array) -> Array:
        """`x * x`"""
        return x * x

    def finish(self, xp: Any, total: Array) -> Array:
        """The root."""
        return xp.sqrt(total).astype(total.dtype)


@irdl_op_definition
class ReduceLogSumOp(ReduceMappedSumOp):
    """The logarithm of the sum along axes; -inf of nothing. ONNX ReduceLogSum,
    https://onnx.ai/onnx/operators/onnx__ReduceLogSum.html

    Of integers (below opset 28) it is rounded towards zero.
    """

    name = "nn.reduce_log_sum"
    ONNX: ClassVar = Onnx("ReduceLogSum", since=1)

    def finish(self, xp: Any, total: Array) -> Array:
        """The logarithm."""
        return xp.log(total).astype(total.dtype)


@irdl_op_definition
class ReduceLogSumExpOp(ReduceOp):
    """The logarithm of the sum of exponentials along axes; -inf of nothing. ONNX ReduceLogSumExp,
    https://onnx.ai/onnx/operators/onnx__ReduceLogSumExp.html

    Of integers (below opset 28) it is rounded towards zero.
    """

    name = "nn.reduce_log_sum_exp"
    ONNX: ClassVar = Onnx("ReduceLogSumExp", since=1)

    def reduce(self, xp: Any, x: Array, axes: Axes) -> Array:
        """Exponentials relative to the largest, which do not overflow."""
        if not _count(x, axes):
            return xp.full(x.sum(axis=axes).shape, -np.inf).astype(x.dtype)
        exponents = x if x.dtype.kind == "f" else x.astype(np.float64)
        largest = exponents.max(axis=axes, keepdims=True)
        shift = xp.where(xp.isinf(largest), largest.dtype.type(0), largest)
        return (xp.log(xp.exp(exponents - shift).sum(axis=axes, keepdims=True)) + shift).astype(x.dtype)
