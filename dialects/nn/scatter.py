"""Ops that write elements or slices into a copy of a tensor: ScatterElements, ScatterND, TensorScatter."""

from __future__ import annotations

from typing import Any, ClassVar

from xdsl.dialects.builtin import IntegerAttr, StringAttr, TensorType, i1, i64
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, opt_operand_def, prop_def, result_def

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, integer, text
from .elementwise import same_element
from .gather import check_elements, checked_tuples, element_places, from_front, require_indices, tuple_length
from .types import Abstract, Array, dims_agree, format_dims, normalize_axis

REDUCTIONS = {"none": None, "add": "add", "mul": "multiply", "max": "maximum", "min": "minimum"}
"""ONNX's reductions, and the ufuncs that they are."""


class ScatterOp(NNOp):
    """Writes `updates` at `indices` into `x`; `reduction` (none, add, mul, max, min) joins them with what is there.

    Without a reduction the indices must differ: which of two updates stays is not said by ONNX.
    """

    INPLACE: ClassVar = ("x",)

    x = operand_def(AnyTensor)
    indices = operand_def(AnyTensor)
    updates = operand_def(AnyTensor)
    reduction = prop_def(StringAttr, default_value=StringAttr("none"))
    result = result_def(AnyTensor)

    def check(self, x: Abstract, updates: Abstract) -> None:
        """Raise CompileError where the reduction or the element types do not fit."""
        reduction = text(self.reduction)
        if reduction not in REDUCTIONS:
            raise CompileError(f"{self.name} has no reduction '{reduction}', only {', '.join(REDUCTIONS)}")
        if same_element(self.name, x, updates) == i1 and reduction != "none":
            raise CompileError(f"{self.name} does not reduce bools")

    def write(self, xp: Any, x: Array, places: tuple[Array, ...], updates: Array) -> Array:
        """A copy of `x` with `updates` at the index tuples `places` (along its first axes, from the front)."""
        result = xp.array(x, order="C")
        if (ufunc := REDUCTIONS[text(self.reduction)]) is None:
            result[places] = updates
            return result
        covered, rest = result.shape[: len(places)], result.shape[len(places) :]
        linear = xp.zeros(updates.shape[: updates.ndim - len(rest)], xp.int64)
        count = 1
        for size, place in zip(covered, places, strict=True):
            linear, count = linear * size + place, count * size
        if linear.size == 0 or result.size == 0:
            return result
        rows = result.reshape(count, -1)
        keys, totals = reduce_by_key(xp, getattr(xp, ufunc), linear.reshape(-1), updates.reshape(linear.size, -1))
        rows[keys] = getattr(xp, ufunc)(rows[keys], totals)
        return rows.reshape(result.shape)


def reduce_by_key(xp: Any, ufunc: Any, keys: Array, values: Array) -> tuple[Array, Array]:
    """The different `keys`, and the rows of `values` of each reduced to one: [n], [n, m] -> [k], [k, m].

    Rows are sorted by key; then each takes in what is 1, 2, 4, ... rows before it and has its key, as often as the
    longest run needs. So no row is visited in Python, and the order of additions is the same on every device.
    """
    order = xp.argsort(keys)
    keys, values = keys[order], values[order]
    first = xp.concatenate([xp.ones(1, xp.bool_), keys[1:] != keys[:-1]])
    starts = xp.flatnonzero(first)
    position = xp.arange(keys.size) - starts[xp.cumsum(first) - 1]
    longest, step = int(position.max()) + 1, 1
    while step < longest:
        joined = ufunc(values[step:], values[:-step])
        values = xp.concatenate([values[:step], xp.where((position >= step)[step:, None], joined, values[step:])])
        step *= 2
    last = xp.concatenate([starts[1:] - 1, xp.full(1, keys.size - 1, starts.dtype)])
    return keys[last], values[last]


@irdl_op_definition
class ScatterElementsOp(ScatterOp):
    """`x` with each of `updates` at its index along `axis`, and at its own place along the other axes.

    ONNX ScatterElements, https://onnx.ai/onnx/operators/onnx__ScatterElements.html, and the older Scatter. Negative
    indices count from the end; an index out of range is a CompileError.
    """

    name = "nn.scatter_elements"
    ONNX: ClassVar = Onnx("ScatterElements", since=11, older=("Scatter",))

    axis = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))

    def infer(self, x: Abstract, indices: Abstract, updates: Abstract) -> TensorType[Attribute]:
        """The operand's type."""
        self.check(x, updates)
        check_elements(self.name, x, indices, integer(self.axis))
        if not dims_agree(indices.dims, updates.dims):
            raise CompileError(f"{format_dims(updates.dims)} updates for {format_dims(indices.dims)} indices")
        return x.type

    def evaluate(self, xp: Any, x: Array, indices: Array, updates: Array) -> Array:
        """One index tuple per update."""
        axis = normalize_axis(integer(self.axis), x.ndim)
        places = element_places(xp, from_front(self.name, indices, x.shape[axis]), axis)
        return self.write(xp, x, places, updates)


@irdl_op_definition
class ScatterNDOp(ScatterOp):
    """`x` with each slice of `updates` at its index tuple, the last axis of `indices`.

    ONNX ScatterND, https://onnx.ai/onnx/operators/onnx__ScatterND.html. [I.., k] tuples into [d1..dk, S..] take
    updates [I.., S..]. Negative indices count from the end; an index out of range is a CompileError.
    """

    name = "nn.scatter_nd"
    ONNX: ClassVar = Onnx("ScatterND", since=11)

    def infer(self, x: Abstract, indices: Abstract, updates: Abstract) -> TensorType[Attribute]:
        """The operand's type."""
        self.check(x, updates)
        length = tuple_length(self.name, x, indices, 0, indices.rank - 1 + x.rank - updates.rank)
        needed = (*indices.dims[:-1], *x.dims[length:])
        if not dims_agree(needed, updates.dims):
            raise CompileError(f"updates must be {format_dims(needed)}, not {format_dims(updates.dims)}")
        return x.type

    def evaluate(self, xp: Any, x: Array, indices: Array, updates: Array) -> Array:
        """One index tuple per slice."""
        return self.write(xp, x, checked_tuples(self.name, indices, x.shape[: indices.shape[-1]]), updates)


@irdl_op_definition
class TensorScatterOp(NNOp):
    """A cache `x` [B, ..] with `updates` written along `axis` from each batch item's `write_indices` ([B], 0) on.

    ONNX TensorScatter, https://onnx.ai/onnx/operators/onnx__TensorScatter.html. `mode` linear wants all to fit;
    circular goes on at the front.
    """

    name = "nn.tensor_scatter"
    ONNX: ClassVar = Onnx("TensorScatter", since=24)
    INPLACE: ClassVar = ("x",)

    x = operand_def(AnyTensor)
    updates = operand_def(AnyTensor)
    write_indices = opt_operand_def(AnyTensor)
    axis = prop_def(IntegerAttr, default_value=IntegerAttr(-2, i64))
    mode = prop_def(StringAttr, default_value=StringAttr("linear"))
    result = result_def(AnyTensor)

    def infer(self, x: Abstract, updates: Abstract, write_indices: Abstract | None) -> TensorType[Attribute]:
        """The operand's type."""
        same_element(self.name, x, updates)
        if text(self.mode) not in ("linear", "circular"):
            raise CompileError(f"{self.name} has no mode '{text(self.mode)}', only linear and circular")
        axis = normalize_axis(integer(self.axis), x.rank)
        if axis == 0:
            raise CompileError(f"{self.name} does not write along the batch axis")
        expected = tuple(None if a == axis else d for a, d in enumerate(x.dims))
        size, count = x.dims[axis], updates.dims[axis] if updates.rank == x.rank else None
        if not dims_agree(expected, updates.dims) or (size is not None and count is not None and count > size):
            raise CompileError(
                f"updates {format_dims(updates.dims)} do not fit {format_dims(x.dims)} along axis {axis}"
            )
        if write_indices is not None:
            require_indices(self.name, write_indices)
            if not dims_agree(write_indices.dims, x.dims[:1]):
                raise CompileError(f"{format_dims(write_indices.dims)} write indices for {format_dims(x.dims)}")
        return x.type

    def evaluate(self, xp: Any, x: Array, updates: Array, write_indices: Array | None) -> Array:
        """The written axis moved behind the batch, one index pair per slice."""
        axis = normalize_axis(integer(self.axis), x.ndim)
        size, count = x.shape[axis], updates.shape[axis]
        first = xp.zeros(x.shape[0], xp.int64) if write_indices is None else write_indices.astype(xp.int64)
        places = first[:, None] + xp.arange(count)
        if text(self.mode) == "circular":
            places = places % max(size, 1)
        elif places.size and bool(((places < 0) | (places >= size)).any()):
            raise CompileError(f"{self.name} writes beyond the size {size}", hint="mode circular would go on in front")
        result = xp.array(x, order="C")
        moved = xp.moveaxis(result, axis, 1)
        moved[xp.arange(x.shape[0])[:, None], places] = xp.moveaxis(updates, axis, 1)
        return result
