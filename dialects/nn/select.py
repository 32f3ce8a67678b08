"""Ops whose results are as long as the data says: NonZero, Compress, Unique."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, TensorType, i1, i64
from xdsl.ir import Attribute
from xdsl.irdl import (
    AttrSizedResultSegments,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    opt_result_def,
    prop_def,
    result_def,
)

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, integer
from .special import to_host
from .types import Abstract, Array, normalize_axis, product, tensor


@irdl_op_definition
class NonZeroOp(NNOp):
    """The indices (i64) of the elements that are not 0, row-major: [rank, count]. ONNX NonZero,
    https://onnx.ai/onnx/operators/onnx__NonZero.html

    Of a scalar it is [0, count], as ONNX says.
    """

    name = "nn.non_zero"
    ONNX: ClassVar = Onnx("NonZero", since=9)

    x = operand_def(AnyTensor)
    result = result_def(AnyTensor)

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The count is known of a constant only."""
        return tensor(i64, [x.rank, None if x.value is None else int(np.count_nonzero(x.value))])

    def evaluate(self, xp: Any, x: Array) -> Array:
        """The indices axis by axis, stacked."""
        return xp.stack(xp.nonzero(xp.atleast_1d(x)))[: x.ndim].astype(xp.int64)


@irdl_op_definition
class CompressOp(NNOp):
    """The slices of `x` along `axis` (none: its elements) for which `condition` (i1, [length]) holds.

    ONNX Compress, https://onnx.ai/onnx/operators/onnx__Compress.html. What the condition is too short for is left out;
    what it is too long for is ignored.
    """

    name = "nn.compress"
    ONNX: ClassVar = Onnx("Compress", since=9)

    x = operand_def(AnyTensor)
    condition = operand_def(AnyTensor)
    axis = opt_prop_def(IntegerAttr)
    result = result_def(AnyTensor)

    def infer(self, x: Abstract, condition: Abstract) -> TensorType[Attribute]:
        """The count is known of a constant condition only."""
        if condition.element != i1 or condition.rank != 1:
            raise CompileError(f"the condition of {self.name} must be a list of bools, not {condition.type}")
        if not x.rank:
            raise CompileError(f"{self.name} needs an operand of rank 1 or more")
        axis = None if self.axis is None else normalize_axis(integer(self.axis), x.rank)
        length, count = product(x.dims) if axis is None else x.dims[axis], None
        if condition.value is not None and length is not None:
            count = int(np.count_nonzero(condition.value[:length]))
        return tensor(x.element, [count] if axis is None else (*x.dims[:axis], count, *x.dims[axis + 1 :]))

    def evaluate(self, xp: Any, x: Array, condition: Array) -> Array:
        """The slices at the indices where the condition holds."""
        if self.axis is None:
            x, axis = x.reshape(-1), 0
        else:
            axis = normalize_axis(integer(self.axis), x.ndim)
        return xp.take(x, xp.nonzero(condition[: x.shape[axis]])[0], axis=axis)


@irdl_op_definition
class UniqueOp(NNOp):
    """The different slices of `x` along `axis` (none: its elements, flattened), each once.

    ONNX Unique, https://onnx.ai/onnx/operators/onnx__Unique.html. In ascending order, or not `sorted`, in that of their
    first occurrence. The optional results (i64) are, for each of them, the index of its first occurrence in `x`; for
    each slice of `x` its index in the result; and how often each occurs. All NaNs are one element. NumPy computes it on
    every device.
    """

    name = "nn.unique"
    ONNX: ClassVar = Onnx("Unique", since=11)

    x = operand_def(AnyTensor)
    axis = opt_prop_def(IntegerAttr)
    sorted = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    result = result_def(AnyTensor)
    indices = opt_result_def(AnyTensor)
    inverse_indices = opt_result_def(AnyTensor)
    counts = opt_result_def(AnyTensor)

    irdl_options = (AttrSizedResultSegments(as_property=True),)

    def infer(self, x: Abstract) -> tuple[TensorType[Attribute], ...]:
        """The number of different ones is known of a constant only."""
        axis = None if self.axis is None else normalize_axis(integer(self.axis), x.rank)
        if axis is not None and not x.rank:
            raise CompileError(f"{self.name} along an axis needs an operand of rank 1 or more")
        count = None if x.value is None else len(self.unique(x.value)[1])
        length = product(x.dims) if axis is None else x.dims[axis]
        dims = [count] if axis is None else [*x.dims[:axis], count, *x.dims[axis + 1 :]]
        types = tensor(x.element, dims), tensor(i64, [count]), tensor(i64, [length]), tensor(i64, [count])
        return types[: len(self.results)]

    def evaluate(self, xp: Any, x: Array) -> tuple[Array, ...]:
        """On the host: CuPy has no `unique` along an axis with all its results."""
        return tuple(xp.asarray(r) for r in self.unique(to_host(x))[: len(self.results)])

    def unique(self, x: Array) -> tuple[Array, ...]:
        """All four results, of a NumPy array."""
        axis = None if self.axis is None else normalize_axis(integer(self.axis), x.ndim)
        found = np.unique(x, return_index=True, return_inverse=True, return_counts=True, axis=axis)
        result, first, inverse, counts = found
        inverse = inverse.reshape(-1)
        if not integer(self.sorted):
            order = first.argsort()
            place = order.argsort()
            result, first, inverse, counts = result.take(order, axis or 0), first[order], place[inverse], counts[order]
        return result, first.astype(np.int64), inverse.astype(np.int64), counts.astype(np.int64)
