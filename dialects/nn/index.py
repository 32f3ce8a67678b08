"""Ops that select elements of a tensor by their places along axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, TensorType, i32, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    prop_def,
    result_def,
)

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, OnnxNode, View, integer
from .constant import constant_array, constant_attribute
from .shape import as_ints, known_sizes, normalize_axes
from .types import (
    Abstract,
    Array,
    Dims,
    dims_of,
    dtype_of,
    element_type,
    is_static,
    normalize_axis,
    product,
    static_dims,
    tensor,
)

Given = tuple[Sequence[int] | None, ...]
"""The values of a Slice's starts, ends, axes and steps; None for an absent one."""


@irdl_op_definition
class SliceOp(NNOp):
    """`x` from `starts` to `ends` (exclusive) in `steps` (of 1) along `axes` (the first ones).

    ONNX Slice, https://onnx.ai/onnx/operators/onnx__Slice.html. Negative bounds count from the end; bounds out
    of range are clamped, for a negative step to the last index and to just before the first.
    """

    name = "nn.slice"
    ONNX: ClassVar = Onnx("Slice", since=1)
    HOST: ClassVar = frozenset({"starts", "ends", "axes", "steps"})

    x = operand_def(AnyTensor)
    starts = operand_def(AnyTensor)
    ends = operand_def(AnyTensor)
    axes = opt_operand_def(AnyTensor)
    steps = opt_operand_def(AnyTensor)
    result = result_def(AnyTensor)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def ranges(self, dims: Dims, given: Given) -> list[range | None]:
        """The indices taken along each axis; None where its size is unknown.

        Raises CompileError where the operands do not fit `dims`.
        """
        starts, ends = given[0] or (), given[1] or ()
        axes = range(len(starts)) if given[2] is None else given[2]
        steps = (1,) * len(starts) if given[3] is None else given[3]
        if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
            raise CompileError(
                f"starts {list(starts)}, ends {list(ends)}, axes {list(axes)} and steps {list(steps)} must be"
                " of one length, and no step 0"
            )
        taken = [None if d is None else range(d) for d in dims]
        for axis, *bounds in zip(normalize_axes(axes, len(dims)), starts, ends, steps, strict=True):
            size = dims[axis]
            taken[axis] = None if size is None else taken_range(size, *bounds)
        return taken

    def given(self) -> Given | None:
        """The operands' values, None where one is not a constant."""
        values = (self.starts, self.ends, self.axes, self.steps)
        arrays = [constant_array(v) for v in values]
        if any(a is None and v is not None for a, v in zip(arrays, values, strict=True)):
            return None
        return tuple(None if a is None else as_ints(a) for a in arrays)

    def infer(
        self, x: Abstract, starts: Abstract, ends: Abstract, axes: Abstract | None, steps: Abstract | None
    ) -> TensorType[Attribute]:
        """The number of indices taken along each axis; unknown along `axes` where an operand is no constant."""
        operands = (starts, ends, axes, steps)
        given = tuple(None if o is None else o.ints() for o in operands)
        if all(v is not None or o is None for o, v in zip(operands, given, strict=True)):
            return tensor(x.element, [None if r is None else len(r) for r in self.ranges(x.dims, given)])
        count = product(starts.dims)
        touched: Sequence[int] = range(x.rank)
        if given[2] is not None:
            touched = normalize_axes(given[2], x.rank)
        elif axes is None and count is not None:
            touched = range(count)
        return tensor(x.element, [None if a in touched else d for a, d in enumerate(x.dims)])

    def evaluate(self, xp: Any, x: Array, starts: Array, ends: Array, axes: Array | None, steps: Array | None) -> Array:
        """A strided slice of `x` (without a copy)."""
        given = tuple(None if o is None else as_ints(o) for o in (starts, ends, axes, steps))
        return x[tuple(as_slice(r) for r in self.ranges(x.shape, given) if r is not None)]

    def fold(self) -> Sequence[SSAValue | Attribute] | None:
        """Also the part of a Shape whose sizes are known."""
        sizes, given = known_sizes(self.x), self.given()
        if sizes is not None and given is not None and (taken := self.ranges((len(sizes),), given)[0]) is not None:
            picked = [sizes[i] for i in taken]
            return None if None in picked else [constant_attribute(np.array(picked, np.int64))]
        return super().fold()

    def forwards(self) -> SSAValue | None:
        """The operand, where everything is taken in its order."""
        if (given := self.given()) is None:
            return None
        dims = dims_of(self.x.type)
        taken = self.ranges(dims, given)
        axes = range(len(given[0] or ())) if given[2] is None else normalize_axes(given[2], len(dims))
        steps = (1,) * len(axes) if given[3] is None else given[3]
        for axis, start, end, step in zip(axes, given[0] or (), given[1] or (), steps, strict=True):
            size = dims[axis]
            unbounded = start == 0 and end >= np.iinfo(np.int32).max and step == 1
            if not unbounded if size is None else taken[axis] != range(size):
                return None
        return self.x

    def reads_rows_apart(self, operand: int) -> bool:
        """Those of `x`."""
        return operand == 0

    def views(self) -> list[View]:
        """The result inside the operand, where it is one contiguous piece of it or of each of its rows."""
        given = self.given()
        if given is None or not is_static(self.x.type):
            return []
        taken = [r for r in self.ranges(dims_of(self.x.type), given) if r is not None]
        return box_view(self.result, self.x, taken) or piece_of_rows(self.result, self.x, taken)

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """`starts`, `ends` and `axes` were attributes before opset 10."""
        for index, name in enumerate(("starts", "ends", "axes")):
            node.attribute_to_input(name, index + 1)
        return super().import_node(node)


@irdl_op_definition
class GatherOp(NNOp):
    """The slices of `x` at `indices` along `axis`, in place of that axis.

    ONNX Gather, https://onnx.ai/onnx/operators/onnx__Gather.html. Negative indices count from the end; an index
    out of range is a CompileError.
    """

    name = "nn.gather"
    ONNX: ClassVar = Onnx("Gather", since=1)

    x = operand_def(AnyTensor)
    indices = operand_def(AnyTensor)
    axis = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    result = result_def(AnyTensor)

    def check(self, indices: Array, size: int) -> None:
        """Raise CompileError where an index is out of range."""
        if indices.size and bool(((indices < -size) | (indices >= size)).any()):
            raise CompileError(f"an index of nn.gather is out of range for the size {size}")

    def infer(self, x: Abstract, indices: Abstract) -> TensorType[Attribute]:
        """`x`'s dims with those of `indices` in place of `axis`."""
        if indices.element not in (i32, i64):
            raise CompileError(f"indices must be i32 or i64, not {indices.element}")
        if x.rank == 0:
            raise CompileError("nn.gather needs an operand of rank 1 or more")
        axis = normalize_axis(integer(self.axis), x.rank)
        if indices.value is not None and (size := x.dims[axis]) is not None:
            self.check(indices.value, size)
        return tensor(x.element, (*x.dims[:axis], *indices.dims, *x.dims[axis + 1 :]))

    def evaluate(self, xp: Any, x: Array, indices: Array) -> Array:
        """The slices. Indices are looked at before they are used: CuPy's `take` would wrap them around."""
        axis = normalize_axis(integer(self.axis), x.ndim)
        if constant_array(self.indices) is None or not is_static(self.x.type):
            self.check(indices, x.shape[axis])
        return xp.take(x, indices, axis=axis)

    def fold(self) -> Sequence[SSAValue | Attribute] | None:
        """Also the sizes picked from a Shape that are known."""
        sizes, indices = known_sizes(self.x), constant_array(self.indices)
        if sizes is not None and indices is not None:
            picked = [sizes[i] for i in as_ints(indices)]
            return None if None in picked else [constant_attribute(np.array(picked, np.int64).reshape(indices.shape))]
        return super().fold()

    def views(self) -> list[View]:
        """The result inside the operand, where one constant index takes a contiguous piece of it."""
        indices = constant_array(self.indices)
        if indices is None or indices.size != 1 or not is_static(self.x.type):
            return []
        dims = static_dims(dims_of(self.x.type))
        axis = normalize_axis(integer(self.axis), len(dims))
        taken = [range(d) for d in dims]
        index = as_ints(indices)[0] % dims[axis]
        taken[axis] = range(index, index + 1)
        return box_view(self.result, self.x, taken)


def taken_range(size: int, start: int, end: int, step: int) -> range:
    """The indices that ONNX's Slice takes along an axis of this size."""
    start, end = (b + size if b < 0 else b for b in (start, end))
    last, before = (size, 0) if step > 0 else (size - 1, -1)
    start, end = min(max(start, 0), last), min(max(end, before), last)
    return range(start, end, step) if size else range(0)


def as_slice(taken: range) -> slice:
    """The indices of a range as a Python slice."""
    if len(taken) < 2:
        return slice(taken.start, taken.start + len(taken))
    stop = taken[-1] + (1 if taken.step > 0 else -1)
    return slice(taken.start, None if stop < 0 else stop, taken.step)


def box_view(inner: SSAValue, outer: SSAValue, taken: Sequence[range]) -> list[View]:
    """`inner`, the box `taken` of a static `outer`, as a view where it is contiguous and not empty."""
    dims = static_dims(dims_of(outer.type))
    if not all(len(r) for r in taken):
        return []
    outermost = next((a for a, r in enumerate(taken) if len(r) > 1), len(dims) - 1)
    whole = all(taken[a] == range(dims[a]) for a in range(outermost + 1, len(dims)))
    if not whole or any(r.step != 1 and len(r) > 1 for r in taken):
        return []
    offset = 0
    for size, r in zip(dims, taken, strict=True):
        offset = offset * size + r.start
    return [View(inner, outer, offset * dtype_of(element_type(outer.type)).itemsize)]


def piece_of_rows(inner: SSAValue, outer: SSAValue, taken: Sequence[range]) -> list[View]:
    """`inner`, the box `taken` of a static `outer`, as a view where it is one contiguous piece of every row."""
    *others, size = static_dims(dims_of(outer.type)) or (1,)
    whole = all(r == range(d) for r, d in zip(taken, others, strict=False))
    if not taken or not whole or not product(others) or not len(taken[-1]) or taken[-1].step != 1:
        return []
    itemsize = dtype_of(element_type(outer.type)).itemsize
    return [View(inner, outer, taken[-1].start * itemsize, size * itemsize)]
