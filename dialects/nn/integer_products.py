"""What products of 8-bit integers share: exact sums in floats, and quantising them again."""

from __future__ import annotations

from typing import Any

import numpy as np
from xdsl.dialects.builtin import i8

from ...errors import CompileError
from .quantize import saturate
from .types import Abstract, Array, format_dims, ui8


def require_8_bits(name: str, *operands: Abstract) -> None:
    """Raise CompileError unless the operands are i8 or ui8."""
    for operand in operands:
        if operand.element not in (i8, ui8):
            raise CompileError(f"{name} multiplies i8 and ui8, not {operand.element}")


def require_zero_point(name: str, x: Abstract, zero_point: Abstract | None) -> None:
    """Raise CompileError where a zero point has not the element type of its operand."""
    if zero_point is not None and zero_point.element != x.element:
        raise CompileError(f"{name} is {x.element}, but its zero point {zero_point.element}")


def require_one(name: str, parameter: Abstract | None) -> None:
    """Raise CompileError where a parameter is not one number."""
    if parameter is not None and parameter.dims not in ((), (1,), (None,)):
        raise CompileError(f"{name} must be one number, not {format_dims(parameter.dims)}")


def exact_float(terms: int) -> np.dtype[Any]:
    """The float type whose GEMM adds `terms` products of differences of 8-bit numbers without rounding."""
    return np.dtype(np.float32 if terms * 255 * 255 < 1 << 24 else np.float64)


def shifted(x: Array, zero_point: Array | None, dtype: np.dtype[Any]) -> Array:
    """`x - zero_point` in a float type that holds it exactly."""
    return x.astype(dtype) if zero_point is None else x.astype(dtype) - zero_point.astype(dtype)


def as_i32(total: Array) -> Array:
    """Whole floats as i32; an accumulator beyond 32 bits wraps around."""
    return total.astype(np.int64).astype(np.int32)


def requantize(xp: Any, total: Array, factor: Array, zero_point: Array) -> Array:
    """`saturate(round(total * factor) + zero_point)` in the type of the zero point, total in i32."""
    scaled = total.astype(factor.dtype) * factor
    return saturate(xp, xp.rint(scaled), zero_point, zero_point.dtype)


def per_filter(parameter: Array, rank: int, axis: int) -> Array:
    """One number, or one per index of `axis`, as it broadcasts to `rank` dims."""
    return parameter.reshape(()) if parameter.size == 1 else parameter.reshape(-1, *[1] * (rank - axis - 1))
