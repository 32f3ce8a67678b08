"""Element types, tensor types and what is known of a value at compile time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, TypeAlias, TypeGuard, cast

import ml_dtypes
import numpy as np
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    BFloat16Type,
    Float4E2M1FNType,
    Float6E2M3FNType,
    Float6E3M2FNType,
    Float8E4M3FNType,
    Float8E4M3FNUZType,
    Float8E5M2FNUZType,
    Float8E5M2Type,
    Float8E8M0FNUType,
    Float16Type,
    Float32Type,
    Float64Type,
    IntegerType,
    Signedness,
    TensorType,
    bf16,
    f16,
    f32,
    f64,
    i1,
    i8,
    i16,
    i32,
    i64,
)
from xdsl.ir import Attribute, SSAValue

from ...errors import CompileError, UnsupportedError

Array: TypeAlias = Any
"""A NumPy or CuPy array: the array module in use decides, so the type is open."""

Dims: TypeAlias = tuple[int | None, ...]
"""The sizes of a tensor's dimensions; None is a size that is not known at compile time."""

ui8, ui16, ui32, ui64 = (IntegerType(w, Signedness.UNSIGNED) for w in (8, 16, 32, 64))

i2, i4 = IntegerType(2), IntegerType(4)
ui2, ui4 = (IntegerType(w, Signedness.UNSIGNED) for w in (2, 4))
f8e8m0 = Float8E8M0FNUType()

STORED_INTS: dict[Attribute, np.dtype[Any]] = {
    i2: np.dtype(ml_dtypes.int2),
    i4: np.dtype(ml_dtypes.int4),
    ui2: np.dtype(ml_dtypes.uint2),
    ui4: np.dtype(ml_dtypes.uint4),
}
"""Integers of less than a byte, which are kept in a byte each."""

STORED_FLOATS: dict[Attribute, np.dtype[Any]] = {
    Float8E4M3FNType(): np.dtype(ml_dtypes.float8_e4m3fn),
    Float8E4M3FNUZType(): np.dtype(ml_dtypes.float8_e4m3fnuz),
    Float8E5M2Type(): np.dtype(ml_dtypes.float8_e5m2),
    Float8E5M2FNUZType(): np.dtype(ml_dtypes.float8_e5m2fnuz),
    f8e8m0: np.dtype(ml_dtypes.float8_e8m0fnu),
    Float6E2M3FNType(): np.dtype(ml_dtypes.float6_e2m3fn),
    Float6E3M2FNType(): np.dtype(ml_dtypes.float6_e3m2fn),
    Float4E2M1FNType(): np.dtype(ml_dtypes.float4_e2m1fn),
}
"""Floats of a byte or less, which are kept in a byte each."""

STORED_ONLY = STORED_INTS | STORED_FLOATS
"""The element types that are stored, moved and cast, but not computed with; NumPy only."""

DTYPES: dict[Attribute, np.dtype[Any]] = {
    f64: np.dtype(np.float64),
    f32: np.dtype(np.float32),
    f16: np.dtype(np.float16),
    bf16: np.dtype(ml_dtypes.bfloat16),
    i1: np.dtype(np.bool_),
    i8: np.dtype(np.int8),
    i16: np.dtype(np.int16),
    i32: np.dtype(np.int32),
    i64: np.dtype(np.int64),
    ui8: np.dtype(np.uint8),
    ui16: np.dtype(np.uint16),
    ui32: np.dtype(np.uint32),
    ui64: np.dtype(np.uint64),
    **STORED_ONLY,
}
"""The element types nnfuse has. Signless integers are ONNX's signed ones, as in MLIR's tosa and linalg."""

ELEMENTS: dict[np.dtype[Any], Attribute] = {dtype: element for element, dtype in DTYPES.items()}

MAX_RANK = 64
"""NumPy's limit on the number of dimensions."""

MAX_ELEMENTS = (1 << 60) - 1
"""The most elements of 8 bytes that a 64-bit address reaches."""

NARROW_FLOATS = (f16, bf16)
"""Float types whose operations are computed in f32 and rounded once."""


def is_float(element: Attribute) -> bool:
    """Whether an element type is a floating-point one that is computed with."""
    return isinstance(element, Float16Type | BFloat16Type | Float32Type | Float64Type)


def holds_floats(element: Attribute) -> bool:
    """Whether an element type is a floating-point one, those that are only stored included."""
    return is_float(element) or element in STORED_FLOATS


def dtype_of(element: Attribute) -> np.dtype[Any]:
    """The NumPy dtype of an element type; raises UnsupportedError for one that nnfuse does not have."""
    if (dtype := DTYPES.get(element)) is None:
        raise UnsupportedError(f"element type {element} is not supported")
    return dtype


def element_of(dtype: Any) -> Attribute:
    """The element type of a NumPy dtype."""
    if (element := ELEMENTS.get(np.dtype(dtype))) is None:
        raise UnsupportedError(f"element type {np.dtype(dtype)} is not supported")
    return element


def tensor(element: Attribute, dims: Iterable[int | None]) -> TensorType[Attribute]:
    """The tensor type with these dims; None becomes `?`.

    Raises CompileError on a negative size, and beyond MAX_RANK and MAX_ELEMENTS (a size of 0 counts as 1: the strides
    of an empty array must be computed too).
    """
    known = tuple(dims)
    if any(d is not None and d < 0 for d in known):
        raise CompileError(f"a dimension would be negative: {format_dims(known)}")
    if len(known) > MAX_RANK:
        raise CompileError(f"a tensor would have {len(known)} dimensions, more than the limit of {MAX_RANK}")
    if cast(int, product(d or 1 for d in known)) > MAX_ELEMENTS:
        raise CompileError(f"a tensor of the shape {format_dims(known)} would have more elements than can be addressed")
    return TensorType(element, [DYNAMIC_INDEX if d is None else int(d) for d in known])


def as_tensor(type_: Attribute) -> TensorType[Attribute]:
    """`type_`, which must be a tensor type; raises CompileError where it is not."""
    if not isinstance(type_, TensorType):
        raise CompileError(f"a value has the type {type_}; a tensor is needed")
    return cast(TensorType[Attribute], type_)


def dims_of(type_: Attribute) -> Dims:
    """The dims of a tensor type, None for `?`."""
    return tuple(None if d.data == DYNAMIC_INDEX else d.data for d in as_tensor(type_).shape.data)


def element_type(type_: Attribute) -> Attribute:
    """The element type of a tensor type."""
    return as_tensor(type_).element_type


def is_tensor(type_: Attribute) -> TypeGuard[TensorType[Attribute]]:
    """Whether a type is that of a tensor of known rank, not of a sequence or an optional."""
    return isinstance(type_, TensorType)


def is_static(type_: Attribute) -> bool:
    """Whether every size of a value is known: of a tensor without `?`, never of a sequence or an optional."""
    return is_tensor(type_) and None not in dims_of(type_)


def static_dims(dims: Dims) -> tuple[int, ...]:
    """`dims`, all known; raises CompileError where one is not."""
    known = tuple(d for d in dims if d is not None)
    if len(known) != len(dims):
        raise CompileError(f"the shape {format_dims(dims)} must be known here", hint="bind it with specialize-shapes")
    return known


def product(dims: Iterable[int | None]) -> int | None:
    """The number of elements as an exact Python int; None where a size is unknown (unless another is 0)."""
    sizes = list(dims)
    if 0 in sizes:
        return 0
    result = 1
    for d in sizes:
        if d is None:
            return None
        result *= d
    return result


def num_bytes(type_: Attribute) -> int | None:
    """The size of a value in bytes, as an exact Python int; None where it is not known, as of all that is no tensor."""
    count = product(dims_of(type_)) if is_tensor(type_) else None
    return None if count is None else count * dtype_of(element_type(type_)).itemsize


def format_dims(dims: Iterable[int | None]) -> str:
    """`2x?x3` for messages; `scalar` for rank 0."""
    return "x".join("?" if d is None else str(d) for d in dims) or "scalar"


def compatible_tensors(a: TensorType[Attribute], b: TensorType[Attribute]) -> bool:
    """Whether two tensor types can describe one value: equal, or `?` on one side."""
    return a == b or (a.element_type == b.element_type and dims_agree(dims_of(a), dims_of(b)))


def dims_agree(a: Dims, b: Dims) -> bool:
    """Whether two shapes can be those of one value: of one rank, each size equal or unknown on a side."""
    return len(a) == len(b) and all(m is None or n is None or m == n for m, n in zip(a, b, strict=True))


def merge_dims(a: Dims, b: Dims) -> Dims:
    """What two compatible shapes know together."""
    return tuple(n if m is None else m for m, n in zip(a, b, strict=True))


def broadcast_dims(*shapes: Sequence[int | None]) -> Dims:
    """NumPy's (and ONNX's multidirectional) broadcasting on possibly unknown dims; raises CompileError."""
    rank = max((len(s) for s in shapes), default=0)
    result: list[int | None] = []
    for axis in range(-rank, 0):
        sizes = {s[axis] for s in shapes if -axis <= len(s)} - {1}
        known = sizes - {None}
        if len(known) > 1:
            listed = " and ".join(format_dims(s) for s in shapes)
            raise CompileError(f"shapes {listed} do not broadcast")
        result.append(known.pop() if known else (None if sizes else 1))
    return tuple(result)


def broadcasts_to(dims: Dims, target: Dims) -> bool:
    """Whether a tensor of `dims` broadcasts to `target` without enlarging it; unknown sizes may fit."""
    pairs = zip(reversed(dims), reversed(target), strict=False)
    return len(dims) <= len(target) and all(d in (1, t) or None in (d, t) for d, t in pairs)


def normalize_axis(axis: int, rank: int) -> int:
    """`axis` counted from the front; raises CompileError when it is out of range."""
    if not -rank <= axis < max(rank, 1) or (rank == 0 and axis not in (-1, 0)):
        raise CompileError(f"axis {axis} is out of range for rank {rank}")
    return axis % rank if rank else 0


class Abstract:
    """What the compiler knows of an operand: its element type, its dims, and its value where it is a constant."""

    def __init__(self, source: SSAValue | TensorType[Attribute], value: Array | None = None):
        self._source = source
        self.type = as_tensor(source.type if isinstance(source, SSAValue) else source)
        if value is not None:
            self.value = value

    @property
    def element(self) -> Attribute:
        """The element type."""
        return self.type.element_type

    @cached_property
    def dims(self) -> Dims:
        """The sizes; None is unknown."""
        return dims_of(self.type)

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.dims)

    @cached_property
    def value(self) -> Array | None:
        """The value as a NumPy array where an inline constant defines it, else None."""
        owner = self._source.owner if isinstance(self._source, SSAValue) else None
        literal = getattr(owner, "literal", None)
        return None if literal is None else literal()

    def ints(self) -> tuple[int, ...] | None:
        """The value as Python ints, flattened; None where it is not a constant."""
        return None if self.value is None else tuple(int(v) for v in self.value.reshape(-1))
