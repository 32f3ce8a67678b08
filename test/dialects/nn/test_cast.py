"""nn.cast against ONNX Runtime."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from xdsl.dialects.builtin import bf16, f32
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.cast import ONNX_ELEMENTS, UNSUPPORTED_ELEMENTS, CastOp
from nnfuse.dialects.nn.types import DTYPES, dtype_of, tensor
from nnfuse.errors import UnsupportedError

NATIVE = {number: element for number, element in ONNX_ELEMENTS.items() if element != bf16}


def test_every_onnx_type_is_known():
    assert ONNX_ELEMENTS.keys() | UNSUPPORTED_ELEMENTS.keys() == set(TensorProto.DataType.values()) - {0}
    for number, element in ONNX_ELEMENTS.items():
        assert helper.tensor_dtype_to_np_dtype(number) == dtype_of(element)
    for number, name in UNSUPPORTED_ELEMENTS.items():
        assert TensorProto.DataType.Name(number).lower() == name
    assert set(ONNX_ELEMENTS.values()) == set(DTYPES)


@pytest.mark.parametrize("source", NATIVE.values(), ids=str)
@pytest.mark.parametrize("target", NATIVE, ids=lambda n: str(NATIVE[n]))
def test_every_pair(check_node, source, target):
    signed = dtype_of(source).kind in "fi" and dtype_of(NATIVE[target]).kind != "u"
    x = np.array([0, 1, -3.7 if signed else 3.7, 100.9, 5]).astype(dtype_of(source))
    check_node("Cast", [x], {"to": target}, opset=13)


@pytest.mark.parametrize("opset", [7, 9, 19])
def test_opsets(check_node, opset):
    check_node("Cast", [np.array([[1.5, -2.5]], np.float32)], {"to": TensorProto.INT64}, opset=opset)


def test_saturate_and_round_mode_change_nothing(check_node):
    x = np.array([1.5, -2.5, 2049.0], np.float32)
    attributes = {"to": TensorProto.FLOAT16, "saturate": 0}
    check_node("Cast", [x], attributes, opset=19, expected=[np.array([1.5, -2.5, 2048], np.float16)])
    attributes |= {"round_mode": "down"}
    check_node("Cast", [x], attributes, opset=24, expected=[np.array([1.5, -2.5, 2048], np.float16)])


def test_bf16_rounds_to_even():
    x = np.array([1.0, 1.00390625, 1.01171875, 3.14159265, -1e-40, np.inf], np.float32)
    op = CastOp(create_ssa_value(tensor(f32, [6])), to=bf16)
    (result,) = op.compute(np, [x])
    np.testing.assert_array_equal(result, x.astype(ml_dtypes.bfloat16))
    assert result[1] == 1.0 and result[2] == ml_dtypes.bfloat16(1.015625)


def test_to_its_own_type_keeps_float64_for_the_oracle():
    op = CastOp(create_ssa_value(tensor(f32, [1])), to=f32)
    (result,) = op.compute(np, [np.array([0.1])])
    assert result[0] == 0.1


@pytest.mark.parametrize("number", sorted(UNSUPPORTED_ELEMENTS))
def test_unsupported_types_are_refused(check_node, number):
    message = f"node: Cast to the element type {UNSUPPORTED_ELEMENTS[number]} is not supported"
    with pytest.raises(UnsupportedError, match=message):
        check_node("Cast", [np.zeros(2, np.float32)], {"to": number}, opset=onnx.defs.onnx_opset_version())
