"""The types of values in ONNX, and ours: tensors, sequences and optionals."""

from __future__ import annotations

from onnx import TypeProto, helper
from xdsl.dialects.builtin import UnrankedTensorType
from xdsl.ir import Attribute

from ..dialects.nn.types import dims_of, dtype_of, is_tensor
from ..dialects.nn.value_types import OptionalType, SequenceType, scalar_type
from ..errors import UnsupportedError
from .onnx_files import tensor_type


def declared_dims(type_: TypeProto.Tensor) -> list[int | None]:
    """The sizes that a tensor's type says; None for those with a name or nothing, and for what is no size."""
    return [d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None for d in type_.shape.dim]


def value_type(proto: TypeProto, name: str) -> Attribute:
    """The type of the value `name` as a model declares it; a tensor that is declared without a shape has no rank.

    Raises CompileError for element types that ONNX has not, and UnsupportedError for what nnfuse has not.
    """
    kind = proto.WhichOneof("value")
    held = proto.optional_type.elem_type.WhichOneof("value")
    if kind == "tensor_type":
        type_ = tensor_type(proto.tensor_type.elem_type, declared_dims(proto.tensor_type), name)
        return type_ if proto.tensor_type.HasField("shape") else UnrankedTensorType(type_.element_type)
    if kind == "sequence_type" and proto.sequence_type.elem_type.WhichOneof("value") == "tensor_type":
        return SequenceType(value_type(proto.sequence_type.elem_type, name))
    if kind == "optional_type" and held in ("tensor_type", "sequence_type"):
        return OptionalType(value_type(proto.optional_type.elem_type, name))
    if kind in ("sequence_type", "optional_type"):
        what = "a sequence" if kind == "sequence_type" else "an optional"
        raise UnsupportedError(f"a value that is {what} of no tensors is not supported", name)
    raise UnsupportedError(f"a value of the kind {kind or 'unknown'} is not supported", name)


def onnx_type(type_: Attribute) -> TypeProto:
    """ONNX's form of a type."""
    if isinstance(type_, SequenceType):
        return helper.make_sequence_type_proto(onnx_type(type_.element))
    if isinstance(type_, OptionalType):
        return helper.make_optional_type_proto(onnx_type(type_.element))
    element = helper.np_dtype_to_tensor_dtype(dtype_of(scalar_type(type_)))
    return helper.make_tensor_type_proto(element, dims_of(type_) if is_tensor(type_) else None)
