"""Ops that gather single elements, or slices at tuples of indices: GatherElements, GatherND."""

from __future__ import annotations

from typing import Any, ClassVar

from xdsl.dialects.builtin import IntegerAttr, TensorType, i32, i64
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from ...errors import CompileError, UnsupportedError
from .base import AnyTensor, NNOp, Onnx, integer
from .types import Abstract, Array, Dims, dims_agree, format_dims, normalize_axis, tensor


def require_indices(name: str, indices: Abstract) -> None:
    """Raise CompileError where the indices are not of an integer type that ONNX has for them."""
    if indices.element not in (i32, i64):
        raise CompileError(f"indices of {name} must be i32 or i64, not {indices.element}")


def from_front(name: str, indices: Array, size: int) -> Array:
    """Indices counted from the front; raises CompileError where one is out of range (CuPy would wrap it around)."""
    if indices.size and bool(((indices < -size) | (indices >= size)).any()):
        raise CompileError(f"an index of {name} is out of range for the size {size}")
    return indices + size * (indices < 0).astype(indices.dtype)


def check_elements(name: str, x: Abstract, indices: Abstract, axis: int) -> int:
    """The axis from the front along which `indices`, one per element, go; raises CompileError where they do not fit."""
    require_indices(name, indices)
    if x.rank == 0 or indices.rank != x.rank:
        raise CompileError(
            f"{name} needs indices of its operand's rank (1 or more), not"
            f" {format_dims(indices.dims)} for {format_dims(x.dims)}"
        )
    axis = normalize_axis(axis, x.rank)
    for at, (i, d) in enumerate(zip(indices.dims, x.dims, strict=True)):
        if at != axis and i is not None and d is not None and i > d:
            raise CompileError(f"indices {format_dims(indices.dims)} of {name} do not fit {format_dims(x.dims)}")
    if indices.value is not None and (size := x.dims[axis]) is not None:
        from_front(name, indices.value, size)
    return axis


def element_places(xp: Any, indices: Array, axis: int) -> tuple[Array, ...]:
    """The index tuple of the elements that `indices` along `axis` stand for, each at its own place elsewhere."""
    places: list[Array] = []
    for at, size in enumerate(indices.shape):
        dims = [size if a == at else 1 for a in range(indices.ndim)]
        places.append(indices if at == axis else xp.arange(size).reshape(dims))
    return tuple(places)


def tuple_length(name: str, x: Abstract, indices: Abstract, batch_dims: int, default: int | None = None) -> int:
    """How many axes of `x` an index tuple covers: the last dim of `indices`, `default` where that is not known.

    Raises CompileError where they do not fit.
    """
    require_indices(name, indices)
    if not 0 <= batch_dims < max(indices.rank, 1) or not indices.rank or not x.rank:
        raise CompileError(
            f"{name} with batch_dims {batch_dims} does not take operands {format_dims(x.dims)} and"
            f" {format_dims(indices.dims)}"
        )
    if not dims_agree(x.dims[:batch_dims], indices.dims[:batch_dims]):
        raise CompileError(f"the batch dims of {format_dims(x.dims)} and {format_dims(indices.dims)} differ")
    length = default if indices.dims[-1] is None else indices.dims[-1]
    if length is None:
        raise UnsupportedError(f"an unknown last size of the indices is not supported: it decides the rank of {name}")
    if not 1 <= length <= x.rank - batch_dims:
        raise CompileError(f"index tuples of {length} do not fit {format_dims(x.dims)} behind {batch_dims} batch dims")
    if indices.value is not None:
        checked_tuples(name, indices.value, x.dims[batch_dims : batch_dims + length])
    return length


def checked_tuples(name: str, indices: Array, dims: Dims) -> tuple[Array, ...]:
    """The indices along each axis, from the front where its size is known; raises CompileError out of range."""
    parts = [indices[..., k] for k in range(indices.shape[-1])]
    return tuple(p if d is None else from_front(name, p, d) for p, d in zip(parts, dims, strict=True))


@irdl_op_definition
class GatherElementsOp(NNOp):
    """The element of `x` at each of `indices` along `axis`, and at the index's own place along the other axes.

    ONNX GatherElements, https://onnx.ai/onnx/operators/onnx__GatherElements.html. Negative indices count from the
    end; an index out of range is a CompileError.
    """

    name = "nn.gather_elements"
    ONNX: ClassVar = Onnx("GatherElements", since=11)

    x = operand_def(AnyTensor)
    indices = operand_def(AnyTensor)
    axis = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    result = result_def(AnyTensor)

    def infer(self, x: Abstract, indices: Abstract) -> TensorType[Attribute]:
        """The dims of `indices`."""
        check_elements(self.name, x, indices, integer(self.axis))
        return tensor(x.element, indices.dims)

    def evaluate(self, xp: Any, x: Array, indices: Array) -> Array:
        """One index tuple per element."""
        axis = normalize_axis(integer(self.axis), x.ndim)
        return x[element_places(xp, from_front(self.name, indices, x.shape[axis]), axis)]


@irdl_op_definition
class GatherNDOp(NNOp):
    """The slices of `x` at the index tuples along the last axis of `indices`, behind `batch_dims` common axes.

    ONNX GatherND, https://onnx.ai/onnx/operators/onnx__GatherND.html. [B.., I.., k] tuples of [B.., d1..dk, S..] give
    [B.., I.., S..]. Negative indices count from the end; an index out of range is a CompileError.
    """

    name = "nn.gather_nd"
    ONNX: ClassVar = Onnx("GatherND", since=11)

    x = operand_def(AnyTensor)
    indices = operand_def(AnyTensor)
    batch_dims = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    result = result_def(AnyTensor)

    def infer(self, x: Abstract, indices: Abstract) -> TensorType[Attribute]:
        """The dims of the tuples, then those of `x` that they do not cover."""
        batch = integer(self.batch_dims)
        length = tuple_length(self.name, x, indices, batch)
        common = tuple(i if d is None else d for d, i in zip(x.dims[:batch], indices.dims[:batch], strict=True))
        return tensor(x.element, (*common, *indices.dims[batch:-1], *x.dims[batch + length :]))

    def evaluate(self, xp: Any, x: Array, indices: Array) -> Array:
        """One index tuple per slice; the batch dims are counted along."""
        batch, length = integer(self.batch_dims), indices.shape[-1]
        places = checked_tuples(self.name, indices, x.shape[batch : batch + length])
        counted = [
            xp.arange(size).reshape([size if a == at else 1 for a in range(indices.ndim - 1)])
            for at, size in enumerate(x.shape[:batch])
        ]
        return x[(*counted, *places)].reshape((*indices.shape[:-1], *x.shape[batch + length :]))
