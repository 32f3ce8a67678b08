"""What a binder asks of an op's operands and results: their dims and element types, all static."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple, cast

from xdsl.ir import OpResult, SSAValue

from ....dialects.nn.base import NNOp
from ....dialects.nn.types import dims_of, dtype_of, element_type, static_dims
from ....passes.plan_memory import OWN_BUFFER, PITCH, PLACE
from .. import Bind, Kernel, KernelContext

FLOATS = frozenset({"float64", "float32", "float16", "bfloat16"})
"""The dtypes of floating-point elements."""


class Tensor(NamedTuple):
    """The dims and the dtype's name of a value, and how many elements after one another its rows begin, if apart."""

    dims: tuple[int, ...]
    dtype: str
    pitch: int | None = None

    @property
    def strides(self) -> tuple[int, ...]:
        """The distances between neighbours along each dim, in elements."""
        *outer, row = self.dims or (1,)
        step = row if self.pitch is None else self.pitch
        strides = [step * prod(outer[axis + 1 :]) for axis in range(len(outer))]
        return (*strides, 1)[: len(self.dims)]


def tensor_of(value: SSAValue) -> Tensor:
    """What is known of a value of static type."""
    dtype = dtype_of(element_type(value.type))
    pitch = _planned(value, PITCH, 0)
    return Tensor(static_dims(dims_of(value.type)), dtype.name, pitch // dtype.itemsize or None)


def place_of(value: SSAValue) -> int:
    """Where a value lies in the arena, in bytes; OWN_BUFFER where it does not."""
    return _planned(value, PLACE, OWN_BUFFER)


def _planned(value: SSAValue, attribute: str, default: int) -> int:
    """What plan-memory says of a value by an attribute of its op."""
    numbers: Any = value.op.attributes.get(attribute) if isinstance(value, OpResult) else None
    return default if numbers is None else int(numbers.get_values()[cast(OpResult, value).index])


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
