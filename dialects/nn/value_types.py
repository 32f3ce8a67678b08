"""The types of values that are no tensors, sequences and optionals, and what two types of one value say together.

At run time a sequence is a tuple of arrays, and an optional the value that it holds, or None.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard, cast

from xdsl.dialects.builtin import TensorType, UnrankedTensorType
from xdsl.ir import Attribute, ParametrizedAttribute, TypeAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.utils.exceptions import VerifyException

from .types import DTYPES, Array, compatible_tensors, dims_of, element_type, is_tensor, merge_dims, tensor


@irdl_attr_definition
class SequenceType(ParametrizedAttribute, TypeAttribute):
    """`!nn.sequence<tensor<?x3xf32>>`: tensors of one element type in a row, in ONNX `seq(tensor(float))`.

    The dims are those that all elements share, `?` elsewhere. `tensor<*xf32>` are elements that have, or may have,
    different ranks; `!nn.sequence<f32>` is a sequence that is known to have no elements.
    """

    name = "nn.sequence"

    element: Attribute

    def verify(self) -> None:
        """The element is a tensor type, or an element type alone."""
        if scalar_type(self.element) not in DTYPES:
            raise VerifyException(f"a sequence of {self.element} is not supported")


@irdl_attr_definition
class OptionalType(ParametrizedAttribute, TypeAttribute):
    """`!nn.optional<tensor<2xf32>>`, `!nn.optional<!nn.sequence<tensor<2xf32>>>`: a value of that type, or none."""

    name = "nn.optional"

    element: Attribute

    def verify(self) -> None:
        """The element is a tensor or a sequence type."""
        held = isinstance(self.element, TensorType | UnrankedTensorType | SequenceType)
        if not held or scalar_type(self.element) not in DTYPES:
            raise VerifyException(f"an optional of {self.element} is not supported")


def scalar_type(type_: Attribute) -> Attribute:
    """The element type of the tensors that a value of `type_` is, or holds."""
    while isinstance(type_, SequenceType | OptionalType):
        type_ = type_.element
    return cast(Any, type_).element_type if isinstance(type_, TensorType | UnrankedTensorType) else type_


def is_unranked(type_: Attribute) -> TypeGuard[UnrankedTensorType[Attribute]]:
    """Whether `type_` is that of a tensor of unknown rank."""
    return isinstance(type_, UnrankedTensorType)


def compatible(a: Attribute, b: Attribute) -> bool:
    """Whether two types can describe one value: equal, or one says less, by `?` or `*`, or has no elements."""
    if is_tensor(a) and is_tensor(b):
        return compatible_tensors(a, b)
    if isinstance(a, SequenceType | OptionalType) and type(a) is type(b):
        return compatible(a.element, cast(Any, b).element)
    return not any(isinstance(t, SequenceType | OptionalType) for t in (a, b)) and scalar_type(a) == scalar_type(b)


def merge_types(a: Attribute, b: Attribute) -> Attribute:
    """What two compatible types say of one value together."""
    if is_tensor(a) and is_tensor(b):
        return tensor(element_type(a), merge_dims(dims_of(a), dims_of(b)))
    if isinstance(a, SequenceType | OptionalType):
        return type(a)(merge_types(a.element, cast(Any, b).element))
    if is_unranked(a) or is_unranked(b):
        return b if is_unranked(a) else a
    return b if is_tensor(a) else a  # the element type alone, of a sequence without elements, says more


def join_types(a: Attribute, b: Attribute) -> Attribute | None:
    """The type that says what both say: of a value that is one or the other. None where there is none.

    A value that may be absent, and one of that kind which is there, are an optional together.
    """
    if a == b:
        return a
    if isinstance(a, OptionalType) != isinstance(b, OptionalType):
        element = join_types(*(t.element if isinstance(t, OptionalType) else t for t in (a, b)))
        return None if element is None else OptionalType(element)
    if isinstance(a, SequenceType | OptionalType) and type(a) is type(b):
        element = join_types(a.element, cast(Any, b).element)
        return None if element is None else type(a)(element)
    if any(isinstance(t, SequenceType | OptionalType) for t in (a, b)) or scalar_type(a) != scalar_type(b):
        return None
    for empty, other in ((a, b), (b, a)):
        if not is_tensor(empty) and not is_unranked(empty):
            return other
    if is_tensor(a) and is_tensor(b) and len(dims_of(a)) == len(dims_of(b)):
        pairs = zip(dims_of(a), dims_of(b), strict=True)
        return tensor(element_type(a), [m if m == n else None for m, n in pairs])
    return UnrankedTensorType(scalar_type(a))


def arrays_in(value: Any) -> Iterator[Array]:
    """The arrays of a value at run time: of an array itself, of a sequence its elements, of an empty optional none."""
    if isinstance(value, tuple):
        yield from cast(tuple[Array, ...], value)
    elif value is not None:
        yield value
