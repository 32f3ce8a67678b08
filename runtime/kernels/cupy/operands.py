"""What a binder asks of an op's operands and results: their dims and element types, all static."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from xdsl.ir import SSAValue

from ....dialects.nn.base import NNOp
from ....dialects.nn.types import dims_of, dtype_of, element_type, static_dims
from .. import Bind, Kernel, KernelContext

FLOATS = frozenset({"float64", "float32", "float16", "bfloat16"})
"""The dtypes of floating-point elements."""


class Tensor(NamedTuple):
    """The dims and the dtype's name of a value."""

    dims: tuple[int, ...]
    dtype: str


def tensor_of(value: SSAValue) -> Tensor:
    """What is known of a value of static type."""
    return Tensor(static_dims(dims_of(value.type)), dtype_of(element_type(value.type)).name)


def tensors(op: NNOp) -> tuple[list[Tensor], list[Tensor]]:
    """The operands and the results of an op of static types."""
    return [tensor_of(v) for v in op.operands], [tensor_of(v) for v in op.results]


def all_floats(*values: Tensor) -> bool:
    """Whether all have floating-point elements."""
    return all(v.dtype in FLOATS for v in values)


def guarded(bind: Callable[[Any, KernelContext], Kernel | None]) -> Bind:
    """`bind` for ops with something to compute; nothing to do where all results are empty."""

    def guarded_bind(op: NNOp, context: KernelContext) -> Kernel | None:
        if all(0 in dims_of(v.type) for v in op.results):
            return lambda outs, ins: None
        return bind(op, context)

    return guarded_bind
