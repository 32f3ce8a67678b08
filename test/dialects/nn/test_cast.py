"""nn.cast against ONNX Runtime."""

from __future__ import annotations

from types import SimpleNamespace

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from xdsl.dialects.builtin import ModuleOp, bf16, f32, i8
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.cast import ONNX_ELEMENTS, UNSUPPORTED_ELEMENTS, BitCastOp, CastOp
from nnfuse.dialects.nn.constant import ConstantOp
from nnfuse.dialects.nn.elementwise import AddOp
from nnfuse.dialects.nn.types import DTYPES, STORED_FLOATS, STORED_INTS, STORED_ONLY, dtype_of, element_of, i4, tensor
from nnfuse.errors import CompileError, UnsupportedError
from nnfuse.runtime.kernels import get_backend
from nnfuse.runtime.program import check_elements

NEWEST = onnx.defs.onnx_opset_version()
NATIVE = {n: e for n, e in ONNX_ELEMENTS.items() if e != bf16 and e not in STORED_ONLY}
STORED = {n: e for n, e in ONNX_ELEMENTS.items() if e in STORED_ONLY}
EVERY = np.arange(256, dtype=np.uint8)


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


def test_saturate_and_round_mode_change_nothing_elsewhere(check_node):
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
        check_node("Cast", [np.zeros(2, np.float32)], {"to": number}, opset=NEWEST)


# Floats of a byte or less, and integers of less than a byte


def every_value(element):
    """All values of a type."""
    dtype = dtype_of(element)
    if element in STORED_INTS:
        limits = ml_dtypes.iinfo(dtype)
        return np.arange(limits.min, limits.max + 1).astype(dtype)
    return EVERY[: 1 << element.bitwidth].view(dtype)


def assert_same(result, expected):
    """Equal bit by bit, but any NaN for any; a NaN's sign says nothing."""
    assert result.dtype == expected.dtype and result.shape == expected.shape
    wide, wide_expected = result.astype(np.float64), expected.astype(np.float64)
    np.testing.assert_array_equal(wide, wide_expected)
    np.testing.assert_array_equal(np.copysign(1, wide)[wide == wide], np.copysign(1, wide_expected)[wide == wide])


def cast(x, to, **fields):
    (result,) = CastOp(create_ssa_value(tensor(element_of(x.dtype), x.shape)), to=to, **fields).compute(np, [x])
    return result


@pytest.mark.parametrize("element", STORED.values(), ids=str)
def test_all_values_there_and_back(element):
    x = every_value(element)
    for through in (f32, bf16):
        wide = cast(x, through)
        assert_same(wide, x.astype(np.float32).astype(dtype_of(through)))
        assert_same(cast(wide, element, saturate=0, round_mode="down"), x)


@pytest.mark.parametrize("saturate", [1, 0])
@pytest.mark.parametrize("number", [17, 18, 19, 20])
def test_to_floats_of_a_byte(number, saturate):
    """By the table of ONNX's Cast: beyond the largest is the largest, or NaN (inf where there is one)."""
    dtype = dtype_of(STORED[number])
    limits = ml_dtypes.finfo(dtype)
    largest, has_inf = float(limits.max), np.isinf(np.array(np.inf, np.float32).astype(dtype).astype(np.float32))
    outside = np.array([largest * 2, -largest * 2, np.inf, -np.inf], np.float32)
    inside = np.array([0, 1, -1, 1 / 3, largest, largest * 1.001, float(limits.smallest_subnormal)], np.float32)
    result = cast(np.concatenate([outside, inside, [np.float32(np.nan)]]), STORED[number], saturate=saturate)
    values = result.astype(np.float32)
    beyond = largest if saturate else np.inf if has_inf else np.nan
    np.testing.assert_array_equal(np.abs(values[:4]), [beyond] * 4)
    if beyond == beyond:
        np.testing.assert_array_equal(np.sign(values[:4]), [1, -1, 1, -1])
    np.testing.assert_array_equal(values[4:-1], inside.astype(dtype).astype(np.float32))
    assert np.isnan(values[-1])
    assert has_inf == (number == 19)


@pytest.mark.parametrize("saturate", [True, False])
@pytest.mark.parametrize("round_mode", ["up", "down", "nearest"])
def test_to_powers_of_two(round_mode, saturate):
    x = np.array([0, 1e-40, 1, 1.2, 1.5, 1.75, 2, 3, -3, 0.3, 3e38, 1.7e38, np.inf, np.nan], np.float32)
    result = cast(x, STORED[24], saturate=int(saturate), round_mode=round_mode)
    assert_same(result, numpy_helper.to_float8e8m0(x, saturate, round_mode))
    assert result[3].astype(np.float32) == (2 if round_mode == "up" else 1)


@pytest.mark.parametrize("source", STORED, ids=lambda n: str(STORED[n]))
def test_from_each_to_each(source):
    """What both types hold comes through unchanged."""
    x = every_value(STORED[source])
    for target in ONNX_ELEMENTS.values():
        dtype = dtype_of(target)
        known = x.astype(np.float32).astype(dtype).astype(np.float32) == x.astype(np.float32)
        if target in STORED_INTS:
            limits = ml_dtypes.iinfo(dtype)
            known &= (x.astype(np.float32) >= limits.min) & (x.astype(np.float32) <= limits.max)
        result = cast(x, target)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result.astype(np.float32)[known], x.astype(np.float32)[known])


@pytest.mark.parametrize("number", STORED, ids=lambda n: str(STORED[n]))
@pytest.mark.parametrize("constants", [(), (0,)])
def test_values_are_stored_and_moved(check_node, number, constants):
    """As inputs and as initializers, which ONNX packs; moving them changes no bit."""
    x = every_value(STORED[number])
    x = np.concatenate([x, x[:3]])
    for operator, attributes, expected in (
        ("Identity", {}, x),
        ("Concat", {"axis": 0}, x),
        ("Flatten", {"axis": 1}, x[:, None]),
        ("Transpose", {}, x),
        ("Cast", {"to": TensorProto.FLOAT}, x.astype(np.float32)),
    ):
        for result in check_node(operator, [x], attributes, NEWEST, constants=constants, against_ort=False):
            assert_same(np.asarray(result), expected)


@pytest.mark.parametrize("number", STORED, ids=lambda n: str(STORED[n]))
@pytest.mark.parametrize("raw", [True, False])
def test_packed_tensors_are_checked_and_read(check_node, number, raw):
    values = [1.0, 2.0, 1.0] if STORED[number] != i4 else [-1.0, 2.0, -8.0]
    dtype = dtype_of(STORED[number])
    if number == 26:
        values = [1.0, -2.0, -1.0]
    array = np.array(values, np.float32).astype(dtype)
    proto = numpy_helper.from_array(array, "v") if raw else helper.make_tensor("v", number, [3], values)
    for result in check_node("Constant", [], {"value": proto}, NEWEST, against_ort=False):
        assert_same(np.asarray(result), array)
    proto.dims[0] = 9
    with pytest.raises(CompileError, match=r"needs \d+ .*, but has \d"):
        check_node("Constant", [], {"value": proto}, NEWEST)


@pytest.mark.parametrize("element", STORED_ONLY, ids=str)
def test_constants_in_the_text(element):
    for array in (every_value(element)[:3], every_value(element)[-2:-1].reshape(())):
        assert_same(ConstantOp.of(array).literal(), array)


def test_they_are_not_computed_with():
    for element in STORED_ONLY:
        x = create_ssa_value(tensor(element, [2]))
        with pytest.raises(CompileError, match=r"nn\.add needs numbers"):
            AddOp(x, x)
    assert not STORED_FLOATS.keys() & {f32, bf16}


def test_they_are_refused_on_devices_without_them():
    x = ConstantOp.of(np.array([1.5, 2], ml_dtypes.float8_e4m3fn))
    module = ModuleOp([x])
    check_elements(module, get_backend("cpu"))
    with pytest.raises(UnsupportedError, match="the element type f8E4M3FN is not supported on cuda"):
        check_elements(module, SimpleNamespace(xp=None, name="cuda"))


def test_bit_cast(check_node):
    x = np.array([[1.5, -0.0, np.inf], [np.nan, 1e-40, -2]], np.float32)
    check_node("BitCast", [x], {"to": TensorProto.INT32}, 26, expected=[x.view(np.int32)])
    check_node("BitCast", [x.view(np.uint32)], {"to": TensorProto.FLOAT}, 26, expected=[x])
    check_node("BitCast", [EVERY.view(np.int8)], {"to": TensorProto.UINT8}, 26, expected=[EVERY])
    check_node("BitCast", [np.zeros((0, 2))], {"to": TensorProto.INT64}, 26, expected=[np.zeros((0, 2), np.int64)])
    with pytest.raises(CompileError, match=r"nn\.bit_cast needs types of one size, not f32 and i8"):
        BitCastOp(create_ssa_value(tensor(f32, [1])), to=i8)


def test_round_mode_is_checked():
    with pytest.raises(CompileError, match=r"nn\.cast has no round_mode 'odd'"):
        CastOp(create_ssa_value(tensor(f32, [1])), to=STORED[24], round_mode="odd")
