"""Values at run time: arrays, sequences (tuples of arrays) and optionals (a value or None), and what callers feed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from xdsl.ir import Attribute

from ..dialects.nn.types import Array, dims_agree, dims_of, dtype_of, format_dims, is_tensor
from ..dialects.nn.value_types import OptionalType, SequenceType, arrays_in, scalar_type
from ..errors import CompileError


def map_arrays(value: Any, change: Callable[[Array], Array]) -> Any:
    """`value` with each of its arrays changed; a sequence stays a tuple, and an empty optional None."""
    if value is None:
        return None
    return tuple(change(a) for a in cast(Sequence[Array], value)) if isinstance(value, tuple) else change(value)


def type_name(type_: Attribute) -> str:
    """How a type is written for users, by its NumPy dtype: `float32`, `seq(float32)`, `optional(seq(float32))`."""
    if isinstance(type_, SequenceType):
        return f"seq({type_name(type_.element)})"
    if isinstance(type_, OptionalType):
        return f"optional({type_name(type_.element)})"
    return dtype_of(scalar_type(type_)).name


def as_value(given: Any, type_: Attribute, xp: Any, name: str) -> Any:
    """What is fed for the input `name`, as the program takes it; see `map_arrays`.

    A sequence is a list or tuple of arrays, an empty optional None. Raises CompileError where it does not fit `type_`.
    """
    if isinstance(type_, OptionalType):
        return None if given is None else as_value(given, type_.element, xp, name)
    if not isinstance(type_, SequenceType):
        return _as_array_of(given, type_, xp, name, "the input")
    if not isinstance(given, list | tuple):
        what = type(given).__name__
        raise CompileError(f"the input is a sequence, but a {what} is given", name, "feed a list of arrays")
    elements = enumerate(cast(Sequence[Any], given))
    return tuple(_as_array_of(a, type_.element, xp, name, f"element {i} of the input") for i, a in elements)


def _as_array_of(given: Any, type_: Attribute, xp: Any, name: str, what: str) -> Array:
    """An array of the type's dtype, of which the dims are not looked at, in this machine's byte order."""
    array = as_array(given, xp, name)
    dtype = dtype_of(scalar_type(type_)).name
    if array.dtype.name != dtype:
        raise CompileError(f"{what} has the dtype {dtype}, but {array.dtype.name} is given", name)
    if not array.dtype.isnative:
        raise CompileError("the array is not in this machine's byte order", name, "astype converts it")
    return array


def check_held_dims(value: Any, type_: Attribute, name: str) -> None:
    """Raise CompileError where an array in a sequence or optional has other dims than `type_` says.

    Of a tensor there is nothing to check: `Session.bind_dims` does.
    """
    if is_tensor(type_):
        return
    while isinstance(type_, SequenceType | OptionalType):
        type_ = type_.element
    for array in arrays_in(value) if is_tensor(type_) else ():
        if not dims_agree(array.shape, dims_of(type_)):
            dims, given = format_dims(dims_of(type_)), format_dims(array.shape)
            raise CompileError(f"the input holds arrays of the shape {dims}, but one of {given} is given", name)


def as_array(value: Any, xp: Any, name: str) -> Array:
    """`value` as a NumPy array, or as an array of the device; raises CompileError where it is neither.

    Whatever speaks DLPack is accepted; an array on a GPU needs a session on that GPU.
    """
    if isinstance(value, np.ndarray) or (xp is not np and isinstance(value, xp.ndarray)):
        return cast(Array, value)
    device = getattr(value, "__dlpack_device__", None)
    if device is not None:
        on_host = int(device()[0]) == 1
        if not on_host and xp is np:
            raise CompileError("the array is on a GPU, but the session runs on the CPU", name, "use device='cuda'")
        try:
            return np.from_dlpack(value) if on_host else xp.from_dlpack(value)
        except Exception as e:  # whatever its library raises: a tensor that needs a gradient, an unknown element type
            raise CompileError(f"the {type(value).__name__} cannot be taken over by DLPack: {e}", name) from None
    try:
        return np.asarray(value)
    except (ValueError, TypeError):
        raise CompileError(f"a {type(value).__name__} is given, which is no array", name) from None
