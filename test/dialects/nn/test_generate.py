"""Range, EyeLike, OneHot and Trilu against ONNX Runtime and NumPy."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from xdsl.dialects.builtin import f32, i1, i32, i64
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.constant import ConstantOp
from nnfuse.dialects.nn.generate import EyeLikeOp, OneHotOp, RangeOp, TriluOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.errors import CompileError, UnsupportedError

NEWEST = onnx.defs.onnx_opset_version()
RNG = np.random.default_rng(47)


def value(element, *dims):
    """An IR value of a tensor type."""
    return create_ssa_value(tensor(element, dims))


@pytest.mark.parametrize(
    ("bounds", "dtypes"),
    [
        ((3, 9, 3), ["int16", "int32", "int64", "float32", "float64"]),
        ((10, 4, -2), ["int16", "int32", "int64", "float32", "float64"]),
        ((0, 10, 3), ["int32", "float32"]),
        ((5, 5, 1), ["int64", "float32"]),
        ((5, 2, 1), ["int64", "float32"]),
        ((-7, 8, 4), ["int64"]),
        ((7, -8, -4), ["int64"]),
        ((0, 1, 0.1), ["float32", "float64"]),
        ((1.5, -2, -0.75), ["float32"]),
        ((-32768, 32767, 1000), ["int16"]),
        ((2**62, 2**62 + 9, 4), ["int64"]),
    ],
)
def test_range(check_node, bounds, dtypes):
    for dtype in dtypes:
        inputs = [np.asarray(v, dtype) for v in bounds]
        for constants in ((), (0, 1, 2), (2,)):
            (result,) = check_node("Range", inputs, opset=11, constants=constants)
        np.testing.assert_allclose(result, np.arange(*bounds).astype(dtype), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_range_of_narrow_floats_is_rounded_once(check_node, dtype):
    inputs = [np.asarray(v, dtype) for v in (1, 200, 0.75)]
    expected = (1 + np.arange(266) * 0.75).astype(dtype)
    for stash_type in (1, 11):
        (result,) = check_node("Range", inputs, {"stash_type": stash_type}, opset=27, against_ort=False)
        np.testing.assert_array_equal(result, expected)


def test_range_takes_vectors_of_one_element(check_node):
    inputs = [np.array([v], np.float32) for v in (1, 4, 1)]
    check_node("Range", inputs, expected=[np.array([1, 2, 3], np.float32)])


def test_range_refusals():
    def constants(*numbers, dtype=np.float32):
        return [ConstantOp.of(np.asarray(n, dtype)) for n in numbers]

    for numbers in ((0, 1, 0), (0, np.inf, 1), (0, 1, np.nan)):
        with pytest.raises(CompileError, match=r"nn.range from .* has no end"):
            RangeOp(*constants(*numbers))
    with pytest.raises(CompileError, match=r"nn.range from 0 to 1 in steps of 0 has no end"):
        RangeOp(*constants(0, 1, 0, dtype=np.int64))
    with pytest.raises(CompileError, match="has too many elements"):
        RangeOp(*constants(-1.7e308, 1.7e308, 1e-300, dtype=np.float64))
    with pytest.raises(CompileError, match="more elements than can be addressed"):
        RangeOp(*constants(0, 2**62, 1, dtype=np.int64))
    with pytest.raises(CompileError, match="more elements than can be addressed"):
        RangeOp(*[value(i64)] * 3).compute(np, [np.asarray(v) for v in (0, 2**62, 1)])
    with pytest.raises(CompileError, match=r"limit of nn.range must be one number, not 2"):
        RangeOp(value(f32), value(f32, 2), value(f32))
    with pytest.raises(CompileError, match="operands of one element type, not f32 and i64"):
        RangeOp(value(f32), value(i64), value(f32))


@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (5, 2), (0, 3), (1, 1)])
@pytest.mark.parametrize("k", [None, 0, 1, -2, 9, -(2**62)])
def test_eye_like(check_node, shape, k):
    x = np.full(shape, 7, np.float32)
    expected = [np.eye(*shape, k=max(k or 0, -9), dtype=np.float32)]
    check_node("EyeLike", [x], {} if k is None else {"k": k}, opset=9, expected=expected)
    if k in (None, 0, 1) and shape == (3, 3):
        check_node("EyeLike", [x], {} if k is None else {"k": k}, opset=9)


@pytest.mark.parametrize("dtype", ["float64", "int64", "int32", "uint8", "bool", "float16", "bfloat16"])
def test_eye_like_types(check_node, dtype):
    numpy_type = np.dtype(getattr(ml_dtypes, dtype, dtype) if dtype == "bfloat16" else dtype)
    number = onnx.helper.np_dtype_to_tensor_dtype(numpy_type)
    expected = [np.eye(2, 3, dtype=np.float32).astype(numpy_type)]
    check_node("EyeLike", [np.zeros((2, 3), np.int32)], {"dtype": number}, opset=22, expected=expected)
    check_node("EyeLike", [np.zeros((2, 3), numpy_type)], opset=22, expected=expected)


def test_eye_like_refusals(check_node):
    with pytest.raises(CompileError, match=r"nn.eye_like needs an operand of rank 2, not 2x3x4"):
        EyeLikeOp(value(f32, 2, 3, 4))
    with pytest.raises(UnsupportedError, match="EyeLike to the element type complex64 is not supported"):
        check_node("EyeLike", [np.zeros((2, 2), np.float32)], {"dtype": onnx.TensorProto.COMPLEX64}, opset=22)


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2), (2, 3, 4), (2, 0, 3, 3), (0, 4)])
@pytest.mark.parametrize("upper", [None, 0, 1])
@pytest.mark.parametrize("k", [None, 0, 1, -1, -2, 7, -7])
def test_trilu(check_node, shape, upper, k):
    x = RNG.standard_normal(shape).astype(np.float32)
    inputs = [x] if k is None else [x, np.asarray(k, np.int64)]
    attributes = {} if upper is None else {"upper": upper}
    for constants in ((), (1,)):
        (result,) = check_node("Trilu", inputs, attributes, opset=14, constants=constants if k is not None else ())
    np.testing.assert_array_equal(result, (np.tril if upper == 0 else np.triu)(x, k or 0))


@pytest.mark.parametrize("dtype", ["int64", "int8", "bool", "float64", "float16", "uint8"])
def test_trilu_types(check_node, dtype):
    x = np.arange(1, 13).reshape(3, 4).astype(dtype)
    check_node("Trilu", [x, np.array([1])], opset=14, expected=[np.triu(x, 1)])


def test_trilu_drops_what_it_masks(check_node):
    (result,) = check_node("Trilu", [np.full((2, 2), np.nan, np.float32)], {"upper": 0})
    assert np.isnan(result).tolist() == [[True, False], [True, True]] and result[0, 1] == 0


def test_trilu_refusals():
    with pytest.raises(CompileError, match=r"nn.trilu needs an operand of rank 2 or more, not 3"):
        TriluOp(value(f32, 3))
    with pytest.raises(CompileError, match="k must be one number, not 2"):
        TriluOp(value(f32, 3, 3), value(i64, 2))


@pytest.mark.parametrize("axis", [None, 0, 1, 2, -1, -3])
@pytest.mark.parametrize("constants", [(), (1, 2)])
def test_one_hot(check_node, axis, constants):
    indices = np.array([[0, 3, -1], [4, -5, -6]], np.int64)
    inputs = [indices, np.asarray(5, np.int64), np.array([2, 7], np.float32)]
    (result,) = check_node("OneHot", inputs, {} if axis is None else {"axis": axis}, opset=11, constants=constants)
    hot = np.where(np.arange(5) == np.where(indices < 0, indices + 5, indices)[..., None], 7, 2)
    np.testing.assert_array_equal(result, np.moveaxis(hot, -1, -1 if axis is None else axis))


@pytest.mark.parametrize("indices", ["int64", "int32", "float32", "uint8", "int8"])
@pytest.mark.parametrize("values", ["float32", "int64", "bool", "float16"])
def test_one_hot_types(check_node, indices, values):
    inputs = [np.array([0, 2, 9]).astype(indices), np.array([3], np.int32), np.array([0, 1]).astype(values)]
    expected = [np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0]]).astype(values)]
    check_node("OneHot", inputs, opset=11, expected=expected)


def test_one_hot_of_floats_cuts_them(check_node):
    inputs = [np.array([0.9, 1.5, -0.5, -1.9], np.float32), np.asarray(2.7, np.float32), np.array([0, 1])]
    expected = [np.array([[1, 0], [0, 1], [1, 0], [0, 1]])]
    check_node("OneHot", inputs, opset=11, constants=(1,), expected=expected)


def test_negative_indices_are_out_of_range_before_opset_11(check_node):
    for dtype in (np.int8, np.int64, np.float32):
        inputs = [np.array([-1, 127, 0], dtype), np.asarray(128, np.int64), np.array([0, 1], np.int32)]
        expected = np.zeros((3, 128), np.int32)
        expected[1, 127] = expected[2, 0] = 1
        check_node("OneHot", inputs, opset=9, constants=(1,), expected=[expected])


def test_one_hot_edges(check_node):
    values = np.array([0, 1], np.float32)
    expected = [np.array([0, 1, 0], np.float32)]  # ONNX Runtime refuses scalars
    check_node("OneHot", [np.asarray(1), np.asarray(3), values], opset=11, expected=expected)
    check_node("OneHot", [np.zeros((0, 2), np.int64), np.asarray(3), values], opset=11, constants=(1,))


def test_one_hot_refusals():
    depth, values = ConstantOp.of(np.asarray(3)), value(f32, 2)
    with pytest.raises(CompileError, match="axis 3 is out of range for rank 2"):
        OneHotOp(value(i64, 2), depth, values, axis=3)
    with pytest.raises(CompileError, match=r"values of nn.one_hot must be two numbers, not 3"):
        OneHotOp(value(i64, 2), depth, value(f32, 3))
    with pytest.raises(CompileError, match="depth must be one number, not 2"):
        OneHotOp(value(i64, 2), value(i64, 2), values)
    with pytest.raises(CompileError, match="a dimension would be negative"):
        OneHotOp(value(i64, 2), ConstantOp.of(np.asarray(-1)), values)
    with pytest.raises(CompileError, match="depth must be a finite number"):
        OneHotOp(value(i64, 2), ConstantOp.of(np.asarray(np.nan, np.float32)), values)
    with pytest.raises(CompileError, match="more elements than can be addressed"):
        op = OneHotOp(value(i64, 2), value(i64), values)
        op.compute(np, [np.zeros(2, np.int64), np.asarray(2**62), np.zeros(2, np.float32)])
    with pytest.raises(CompileError, match=r"nn.one_hot needs numbers, not i1"):
        OneHotOp(value(i1, 2), depth, values)
    assert OneHotOp(value(i64, None), value(i32), values).result.type == tensor(f32, [None, None])
