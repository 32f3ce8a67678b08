"""ONNX files: loading them, and checking the tensors in them before their data are used."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any, cast

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, external_data_helper, helper, numpy_helper
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute

from ..dialects.nn.types import Array, dtype_of, element_of, format_dims, product, tensor
from ..errors import CompileError, UnsupportedError

PACKED_BITS = {21: 4, 22: 4, 23: 4, 25: 2, 26: 2, 27: 6, 28: 6}
"""The bits of an element of the types (by ONNX's numbers) of which a tensor stores several in a byte."""


def load_model(path: str | PathLike[str]) -> ModelProto:
    """The model in a file, external data included (through onnx's own checks of their paths and sizes).

    Raises CompileError where the file is not an ONNX model.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            start = stream.read(64)
    except OSError as e:
        raise CompileError(f"cannot read '{file}': {e.strerror}") from None
    except ValueError as e:  # a zero byte in the path
        raise CompileError(f"cannot read '{file}': {e}") from None
    if not start:
        raise CompileError(f"'{file}' is empty")
    if start.startswith(b"version https://git-lfs"):
        raise CompileError(f"'{file}' is a Git LFS pointer, not the model", hint="fetch it with 'git lfs pull'")
    try:
        return cast(Any, onnx).load_model(str(file), format="protobuf")
    except DecodeError:
        raise CompileError(f"'{file}' is not an ONNX model, or is cut short") from None
    except UnicodeDecodeError:
        raise not_utf8() from None
    except (onnx.checker.ValidationError, ValueError, OSError) as e:
        raise CompileError(f"the external data of '{file}' cannot be read: {e}") from None


def parse_model(data: bytes) -> ModelProto:
    """The model in memory; raises CompileError where it is not one."""
    try:
        return onnx.load_model_from_string(data)
    except (DecodeError, ValueError):
        raise CompileError("the bytes are not an ONNX model, or are cut short") from None


def not_utf8() -> CompileError:
    """The error of a model with a string that protobuf cannot decode; it does so when the string is first read."""
    return CompileError("a name or text in the model is not UTF-8")


def to_array(proto: TensorProto) -> Array:
    """The value of a tensor; raises CompileError where its data do not fit its dims and type."""
    check_tensor(proto)
    try:
        return numpy_helper.to_array(proto)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as e:
        raise CompileError(f"the tensor's data cannot be read: {e}", proto.name) from None


def check_tensor(proto: TensorProto) -> TensorType[Attribute]:
    """The type of a tensor; raises CompileError where its data are not as many as its dims and type say."""
    type_ = tensor_type(proto.data_type, proto.dims, proto.name)
    if external_data_helper.uses_external_data(proto):
        raise CompileError("the tensor's data are in another file", proto.name, "load the model by its path")
    if proto.HasField("segment"):
        raise UnsupportedError("tensors in segments are not supported", proto.name)
    count = cast(int, product(proto.dims))
    bits = PACKED_BITS.get(proto.data_type)
    packed = None if bits is None else (count * bits + 7) // 8
    if proto.HasField("raw_data"):
        needed = count * dtype_of(type_.element_type).itemsize if packed is None else packed
        given, unit = len(proto.raw_data), "bytes"
    else:
        field = helper.tensor_dtype_to_field(proto.data_type)
        needed = count if packed is None or bits == 6 else packed  # int32_data holds 6 bits in a number each
        given, unit = len(getattr(proto, field)), f"elements in {field}"
    if needed != given:
        raise CompileError(f"the tensor {format_dims(proto.dims)} needs {needed} {unit}, but has {given}", proto.name)
    return type_


def tensor_type(data_type: int, dims: Iterable[int | None], name: str) -> TensorType[Attribute]:
    """The tensor type with the element type of ONNX's number `data_type`; errors name the value `name`."""
    try:
        return tensor(element_of(helper.tensor_dtype_to_np_dtype(data_type)), dims)
    except (KeyError, TypeError, ValueError):
        raise CompileError(f"unknown element type {data_type}", name) from None
    except CompileError as e:
        raise e.at(name) from None
