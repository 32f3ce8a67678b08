"""Ops that make tensors by rule: Range, EyeLike, OneHot, and the mask of Trilu."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, TensorType, i64
from xdsl.ir import Attribute, SSAValue, TypeAttribute
from xdsl.irdl import BaseAttr, irdl_op_definition, operand_def, opt_operand_def, opt_prop_def, prop_def, result_def

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, OnnxNode, integer
from .cast import CastOp, onnx_element
from .comparison import LessOp
from .elementwise import WhereOp, require_number, same_element
from .shape import as_ints, one_int
from .types import Abstract, Array, dtype_of, element_type, format_dims, is_float, normalize_axis, product, tensor

Number = int | float


@irdl_op_definition
class RangeOp(NNOp):
    """`start`, `start + delta`, ... up to `limit` (exclusive). ONNX Range,
    https://onnx.ai/onnx/operators/onnx__Range.html

    Three operands of one number each, of one element type. Each element is rounded once, from float64, so that
    `stash_type` (what f16 and bf16 are computed in) says nothing. A `delta` of 0 is a CompileError.
    """

    name = "nn.range"
    ONNX: ClassVar = Onnx("Range", since=11, drop=frozenset({"stash_type"}))
    HOST: ClassVar = frozenset({"start", "limit", "delta"})

    start = operand_def(AnyTensor)
    limit = operand_def(AnyTensor)
    delta = operand_def(AnyTensor)
    result = result_def(AnyTensor)

    def count(self, start: Number, limit: Number, delta: Number) -> int:
        """The number of elements; raises CompileError where there is none such."""
        if delta == 0 or not all(math.isfinite(v) for v in (start, limit, delta)):
            raise CompileError(f"{self.name} from {start} to {limit} in steps of {delta} has no end")
        if isinstance(start, int):
            return max(-int((start - limit) // delta), 0)  # rounded up
        steps = (limit - start) / delta
        if not math.isfinite(steps):
            raise CompileError(f"{self.name} from {start} to {limit} in steps of {delta} has too many elements")
        return max(math.ceil(steps), 0)

    def infer(self, start: Abstract, limit: Abstract, delta: Abstract) -> TensorType[Attribute]:
        """As many elements as the operands' values say; unknown where one is not a constant."""
        operands = (start, limit, delta)
        element = same_element(self.name, *operands)
        require_number(self.name, element)
        for name, operand in zip(("start", "limit", "delta"), operands, strict=True):
            if product(operand.dims) not in (1, None):
                raise CompileError(f"{name} of {self.name} must be one number, not {format_dims(operand.dims)}")
        values = [o.value for o in operands]
        known = [_number(v, element) for v in values if v is not None]
        return tensor(element, [self.count(*known) if len(known) == len(values) else None])

    def evaluate(self, xp: Any, start: Array, limit: Array, delta: Array) -> Array:
        """`start + i * delta`, of integers modulo the type's range."""
        element = element_type(self.result.type)
        first, last, step = (_number(v, element) for v in (start, limit, delta))
        count = self.count(first, last, step)
        tensor(element, [count])  # refuses what cannot be addressed
        if isinstance(first, int):
            base, by = (v.astype(np.uint64).reshape(())[()] for v in (start, delta))
            return (xp.arange(count, dtype=np.uint64) * by + base).astype(start.dtype)
        return (first + xp.arange(count, dtype=np.float64) * step).astype(start.dtype)


def _number(value: Array, element: Attribute) -> Number:
    """The Python number of an array of one element; raises CompileError where it has more or none."""
    if value.size != 1:
        raise CompileError(f"one number is needed, not {format_dims(value.shape)}")
    number = value.reshape(()).item()
    return float(number) if is_float(element) else int(number)


@irdl_op_definition
class EyeLikeOp(NNOp):
    """A matrix of the dims of `x`, 1 on its diagonal `k` (above the main one where positive), else 0.

    ONNX EyeLike, https://onnx.ai/onnx/operators/onnx__EyeLike.html. Its element type is `dtype`, by default that of x.
    """

    name = "nn.eye_like"
    ONNX: ClassVar = Onnx("EyeLike", since=9)

    x = operand_def(AnyTensor)
    dtype = opt_prop_def(BaseAttr(TypeAttribute))
    k = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    result = result_def(AnyTensor)

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The dims of `x`, a matrix."""
        if x.rank != 2:
            raise CompileError(f"{self.name} needs an operand of rank 2, not {format_dims(x.dims)}")
        element = x.element if self.dtype is None else self.dtype
        dtype_of(element)
        return tensor(element, x.dims)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """Whether an element is on the diagonal."""
        return (_diagonals(xp, x) == integer(self.k)).astype(dtype_of(element_type(self.result.type)))

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """`dtype` is a number in ONNX."""
        onnx_element(node, "dtype")
        return super().import_node(node)


def _diagonals(xp: Any, x: Array) -> Array:
    """The number of the diagonal of each element of matrices [..., N, M]: [N, M]."""
    rows, columns = x.shape[-2:]
    return xp.arange(columns) - xp.arange(rows)[:, None]


@irdl_op_definition
class TriluOp(NNOp):
    """The triangle of matrices `x` [..., N, M] on and above (not `upper`: below) the diagonal `k` (0), else 0.

    ONNX Trilu, https://onnx.ai/onnx/operators/onnx__Trilu.html
    """

    name = "nn.trilu"
    ONNX: ClassVar = Onnx("Trilu", since=14)
    INPLACE: ClassVar = ("x",)

    x = operand_def(AnyTensor)
    k = opt_operand_def(AnyTensor)
    upper = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    result = result_def(AnyTensor)

    def infer(self, x: Abstract, k: Abstract | None) -> TensorType[Attribute]:
        """The type of `x`."""
        if x.rank < 2:
            raise CompileError(f"{self.name} needs an operand of rank 2 or more, not {format_dims(x.dims)}")
        if k is not None:
            one_int("k", k)
        return x.type

    def evaluate(self, xp: Any, x: Array, k: Array | None) -> Array:
        """`x` where its diagonal is on the side of `k` that stays."""
        diagonals, first = _diagonals(xp, x), 0 if k is None else k.reshape(())
        kept = diagonals >= first if integer(self.upper) else diagonals <= first
        return xp.where(kept, x, x.dtype.type(0))


@irdl_op_definition
class OneHotOp(NNOp):
    """`values[1]` where the place along a new `axis` of size `depth` is the element of `indices`, else `values[0]`.

    ONNX OneHot, https://onnx.ai/onnx/operators/onnx__OneHot.html. `indices` [...], `depth` one number, `values` [2] =
    off, on. Negative indices count from the end; those out of range are off everywhere. Floats are cut to integers.
    """

    name = "nn.one_hot"
    ONNX: ClassVar = Onnx("OneHot", since=9)
    HOST: ClassVar = frozenset({"depth"})

    indices = operand_def(AnyTensor)
    depth = operand_def(AnyTensor)
    values = operand_def(AnyTensor)
    axis = prop_def(IntegerAttr, default_value=IntegerAttr(-1, i64))
    result = result_def(AnyTensor)

    def infer(self, indices: Abstract, depth: Abstract, values: Abstract) -> TensorType[Attribute]:
        """The dims of `indices` with `depth` between; unknown where that is not a constant."""
        require_number(self.name, indices.element)
        if len(values.dims) != 1 or values.dims[0] not in (2, None):
            raise CompileError(f"values of {self.name} must be two numbers, not {format_dims(values.dims)}")
        axis = normalize_axis(integer(self.axis), indices.rank + 1)
        size = one_int("depth", depth)
        return tensor(values.element, (*indices.dims[:axis], size, *indices.dims[axis:]))

    def evaluate(self, xp: Any, indices: Array, depth: Array, values: Array) -> Array:
        """By a comparison of every index with every place."""
        (size,) = as_ints(depth)
        axis = normalize_axis(integer(self.axis), indices.ndim + 1)
        tensor(element_type(self.result.type), (*indices.shape[:axis], size, *indices.shape[axis:]))
        wanted = indices.astype(xp.int64)
        wanted = xp.expand_dims(xp.where(wanted < 0, wanted + size, wanted), axis)
        places = xp.arange(size).reshape([-1 if a == axis else 1 for a in range(wanted.ndim)])
        return xp.where(wanted == places, values[1], values[0])

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """Before opset 11 negative indices were out of range: they become an index that is so for every depth."""
        if node.opset < 11:
            (indices,) = node.build(CastOp, node.required(0), to=i64)
            (negative,) = node.build(LessOp, indices, node.constant(np.int64(0)))
            (node.inputs[0],) = node.build(WhereOp, negative, node.constant(np.iinfo(np.int64).max), indices)
        return super().import_node(node)
