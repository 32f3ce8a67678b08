"""What the CPU kernels share: which ops NumPy computes as they are, and how to stay in a core's cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
from xdsl.dialects.builtin import f32, f64
from xdsl.ir import SSAValue

from ....dialects.nn.base import NNOp
from ....dialects.nn.types import NARROW_FLOATS, Array, dims_of, dtype_of, element_type, static_dims

BLOCK_BYTES = 1 << 18
"""How much a kernel of several passes works on at a time: with its scratch, it fits a core's second-level cache."""


def shape_of(value: SSAValue) -> tuple[int, ...]:
    """The dims of a value of static type."""
    return static_dims(dims_of(value.type))


def dtype_at(value: SSAValue) -> np.dtype[Any]:
    """The NumPy dtype of a value."""
    return dtype_of(element_type(value.type))


def is_native(op: NNOp) -> bool:
    """Whether NumPy computes in the op's element types themselves; `compute` widens f16 and bf16, and rounds once."""
    return not any(element_type(v.type) in NARROW_FLOATS for v in (*op.operands, *op.results))


def is_blas(op: NNOp) -> bool:
    """Whether all operands and results are f32, or all f64."""
    return {element_type(v.type) for v in (*op.operands, *op.results)} in ({f32}, {f64})


def rows_per_block(row: Sequence[int], itemsize: int) -> int:
    """How many rows of these dims make a block, at least one."""
    return max(1, BLOCK_BYTES // max(1, prod(row) * itemsize))


def blocks(count: int, step: int) -> Iterator[slice]:
    """`range(count)` in slices of `step`."""
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def overlap(a: Array, b: Array) -> bool:
    """Whether two arrays share memory. Values of a plan do so entirely or not at all."""
    return np.may_share_memory(a, b)
