"""Quantisation and products of quantised integers against ONNX Runtime and their definitions."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from onnx import helper
from xdsl.dialects.builtin import f32, i8, i16, i32
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.quantize import DequantizeLinearOp, DynamicQuantizeLinearOp, QuantizeLinearOp
from nnfuse.dialects.nn.quantized_conv import ConvIntegerOp, QLinearConvOp
from nnfuse.dialects.nn.quantized_matmul import MatMulIntegerOp, QLinearMatMulOp
from nnfuse.dialects.nn.types import tensor, ui8
from nnfuse.errors import CompileError

RNG = np.random.default_rng(3)
EIGHT = (np.int8, np.uint8)


def numbers(dtype, *shape):
    """Integers over the whole range of a type."""
    limits = np.iinfo(dtype)
    return np.asarray(RNG.integers(limits.min, limits.max, shape, dtype, endpoint=True))


def weights(*shape):
    """Signed integers of 7 bits: with 8, ONNX Runtime's sums of products with uint8 saturate on some CPUs."""
    return numbers(np.int8, *shape) // 2


def one(value, dtype=np.float32):
    """A scalar."""
    return np.asarray(value, dtype)


def scales(*shape, dtype=np.float32):
    return np.asarray(RNG.uniform(0.01, 0.1, shape), dtype)


def normal(*shape, scale=1.0):
    return (RNG.standard_normal(shape) * scale).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_quantize_and_dequantize(check_node, dtype, axis):
    shape = () if axis is None else ((2, 3, 4)[axis],)
    attributes, scale, zero = {} if axis is None else {"axis": axis}, scales(*shape), numbers(dtype, *shape)
    check_node("QuantizeLinear", [normal(2, 3, 4, scale=5), scale, zero], attributes)
    check_node("DequantizeLinear", [numbers(dtype, 2, 3, 4), scale, zero], attributes)


@pytest.mark.parametrize("opset", [10, 13, 19, 21, 23])
def test_quantize_forms_of_old(check_node, opset):
    x = normal(2, 3, scale=3)
    for zero in (None, one(7, np.uint8), one(-3, np.int8)):
        inputs = [x, one(0.05), *([] if zero is None else [zero])]
        check_node("QuantizeLinear", inputs, opset=opset)
        check_node(
            "DequantizeLinear", [numbers(np.uint8 if zero is None else zero.dtype, 2, 3), *inputs[1:]], opset=opset
        )
    check_node("DequantizeLinear", [numbers(np.int32, 5) // 1000, one(0.5)], opset=opset)


@pytest.mark.parametrize("block", [2, 3, 4])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_blocks(check_node, block, axis):
    x = normal(4, 6, 5, scale=4)
    shape = [-(-d // block) if a == axis % 3 else d for a, d in enumerate(x.shape)]
    scale, zero = scales(*shape), numbers(np.int8, *shape) // 4
    wide_scale, wide_zero = (
        np.repeat(p, block, axis)[tuple(slice(d) for d in x.shape)] for p in (scale, zero.astype(np.float64))
    )
    expected = np.clip(np.rint(x / wide_scale) + wide_zero, -128, 127).astype(np.int8)
    attributes = {"axis": axis, "block_size": block}
    (y,) = check_node("QuantizeLinear", [x, scale, zero], attributes, expected=[expected])
    back = ((y - wide_zero) * wide_scale).astype(np.float32)
    check_node("DequantizeLinear", [y, scale, zero], attributes, expected=[back])


def test_halves_round_to_even_and_out_of_range_saturates(check_node):
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 1000, -1000, np.inf, -np.inf], np.float32)
    zero = np.array(1, np.int8)
    expected = np.array([1, 3, 3, 1, -1, 127, -128, 127, -128], np.int8)
    check_node("QuantizeLinear", [x, one(1), zero], expected=[expected])


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_the_division_is_in_the_type_of_the_scale(check_node, dtype):
    x, scale = normal(200, scale=3).astype(dtype), np.asarray(0.03, dtype)
    quotient = (x.astype(np.float32) / scale.astype(np.float32)).astype(dtype).astype(np.float32)
    expected = np.clip(np.rint(quotient) + 9, 0, 255).astype(np.uint8)
    check_node("QuantizeLinear", [x, scale, one(9, np.uint8)], expected=[expected])
    other = np.clip(np.rint(x.astype(np.float32) / scale.astype(np.float32)), 0, 255).astype(np.uint8)
    check_node("QuantizeLinear", [x, scale], {"precision": 1}, opset=23, expected=[other])


def test_output_dtype(check_node):
    x, y = normal(4, scale=5), numbers(np.int16, 4)
    check_node("QuantizeLinear", [x, one(0.1)], {"output_dtype": 3})
    expected = (y * one(0.5)).astype(np.float16)
    check_node("DequantizeLinear", [y, one(0.5)], {"output_dtype": 10}, opset=23, expected=[expected])
    with pytest.raises(CompileError, match=r"node: nn\.quantize_linear gives .*, not f8E8M0FNU"):
        check_node("QuantizeLinear", [x, one(0.1)], {"output_dtype": 24}, opset=25)


@pytest.mark.parametrize("number", [17, 18, 19, 20, 21, 22, 23, 25, 26])
def test_types_of_a_byte_or_less(check_node, number):
    """By the formula: integers are rounded and saturate, floats are cast."""
    dtype = helper.tensor_dtype_to_np_dtype(number)
    x, scale = (
        np.tile(np.linspace(-9, 9, 10, dtype=np.float32), (4, 1)),
        np.array([[0.3], [0.01], [1], [2]], np.float32),
    )
    if number > 20 and number != 23:
        limits, zero = ml_dtypes.iinfo(dtype), np.array([1, 0, 1, 0]).astype(dtype)
        shifted = np.rint(x / scale) + zero.astype(np.float32)[:, None]
        expected = np.clip(shifted, int(limits.min), int(limits.max)).astype(dtype)
    else:
        limits, zero = ml_dtypes.finfo(dtype), np.zeros(4, dtype)
        expected = np.clip(x / scale, float(limits.min), float(limits.max)).astype(dtype)
    (y,) = check_node("QuantizeLinear", [x, scale[:, 0], zero], {"axis": 0}, opset=25, against_ort=False)
    np.testing.assert_array_equal(y.astype(np.float32), expected.astype(np.float32))
    assert y.dtype == dtype and len(np.unique(y.astype(np.float32))) >= 3
    back = (expected.astype(np.float32) - zero.astype(np.float32)[:, None]) * scale
    check_node("DequantizeLinear", [expected, scale[:, 0], zero], {"axis": 0}, opset=25, expected=[back])


def test_one_number_is_a_scalar_or_a_list(check_node):
    x, expected = (np.arange(n, n + 12).reshape(3, 4) for n in (-6, -5))
    x, expected = x.astype(np.float32), expected.astype(np.int8)
    for scale, zero in ((one(1), np.array([1], np.int8)), (np.ones(1, np.float32), np.array(1, np.int8))):
        check_node("QuantizeLinear", [x, scale, zero], opset=25, expected=[expected])
        check_node("DequantizeLinear", [expected, scale, zero], opset=25, expected=[x])


def test_floats_of_a_byte_that_do_not_saturate(check_node):
    x = np.array([1e6, -1e6, 1], np.float32)
    for saturate, beyond in ((1, 448), (0, np.nan)):
        options = {"output_dtype": 17, "saturate": saturate}
        (y,) = check_node("QuantizeLinear", [x, one(0.5)], options, opset=25, against_ort=False)
        np.testing.assert_array_equal(np.abs(y.astype(np.float32)), [beyond, beyond, 2])


def test_nothing_to_quantize(check_node):
    check_node("QuantizeLinear", [normal(0, 3), one(0.1)])
    check_node("DequantizeLinear", [numbers(np.int8, 0, 3), scales(3), numbers(np.int8, 3)])


@pytest.mark.parametrize(
    "x",
    [
        normal(3, 4, scale=4),
        np.abs(normal(5)),
        -np.abs(normal(5)),
        np.zeros((2, 2), np.float32),
        one(3.5),
        np.array([1.0, 2.1, 1.3, 2.5, 3.34, 4.0], np.float32),
    ],
)
def test_dynamic_quantize(check_node, x):
    """All-zero x has the scale 1/255 by ONNX's words and reference; ONNX Runtime gives it 1."""
    y, scale, zero = check_node("DynamicQuantizeLinear", [x], outputs=3, against_ort=bool(x.any()))
    low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    assert scale == pytest.approx((high - low or 1) / 255, rel=1e-6)
    np.testing.assert_allclose((y.astype(np.float64) - zero) * scale, x, atol=float(scale) * 0.51)


@pytest.mark.parametrize("x_type", EIGHT)
@pytest.mark.parametrize("w_type", EIGHT)
@pytest.mark.parametrize("per_filter", [False, True])
@pytest.mark.parametrize("group", [1, 2])
def test_conv_integer(check_node, x_type, w_type, per_filter, group):
    x, w = numbers(x_type, 2, 4, 7, 6), numbers(w_type, 6, 4 // group, 3, 2)
    zeros = numbers(x_type), numbers(w_type, *((6,) if per_filter else ()))
    fields = {"group": group, "strides": [2, 1], "pads": [1, 0, 2, 1], "dilations": [1, 2]}
    padded = np.pad(x.astype(np.int64) - zeros[0].astype(np.int64), [(0, 0), (0, 0), (1, 2), (0, 1)])
    shifted = w.astype(np.int64) - zeros[1].reshape(-1, 1, 1, 1)
    rows, columns = (padded.shape[2] - 3) // 2 + 1, padded.shape[3] - 2
    expected = np.zeros((2, 6, rows, columns), np.int32)
    for k in range(6):
        first = k // (6 // group) * (4 // group)
        for i in range(rows):
            for j in range(columns):
                seen = padded[:, first : first + 4 // group, 2 * i : 2 * i + 3, j : j + 3 : 2]
                expected[:, k, i, j] = (seen * shifted[k]).sum((1, 2, 3))
    check_node("ConvInteger", [x, w, *map(np.asarray, zeros)], fields, expected=[expected])


def test_conv_integer_without_zero_points(check_node):
    check_node("ConvInteger", [numbers(np.uint8, 1, 3, 9), numbers(np.uint8, 4, 3, 3)], {"auto_pad": "SAME_UPPER"})
    many = [np.full((1, 600, 3, 3), 255, np.uint8), np.full((1, 600, 3, 3), 255, np.uint8)]
    (y,) = check_node("ConvInteger", many, expected=[np.full((1, 1, 1, 1), 600 * 9 * 255 * 255, np.int32)])
    assert y.item() > 1 << 28  # beyond what f32 holds exactly


@pytest.mark.parametrize("x_type", EIGHT)
@pytest.mark.parametrize("per_filter", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_qlinear_conv(check_node, x_type, per_filter, bias):
    x, w = numbers(x_type, 2, 4, 7, 6), weights(6, 2, 3, 3)
    many = (6,) if per_filter else ()
    inputs = [x, one(0.02), np.asarray(x_type(3)), w, scales(*many), np.zeros(many, np.int8)]
    inputs += [one(0.9), np.asarray(x_type(20)), *([numbers(np.int32, 6) // 100000] if bias else [])]
    (y,) = check_node("QLinearConv", inputs, {"group": 2, "pads": [1, 1, 1, 1]})
    assert len(np.unique(y)) > 20 and (y == np.iinfo(x_type).max).mean() < 0.9


@pytest.mark.parametrize("a_type", EIGHT)
@pytest.mark.parametrize("b_type", EIGHT)
@pytest.mark.parametrize("zeros", ["none", "one", "columns", "rows"])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_matmul_integer(check_node, a_type, b_type, zeros, batch):
    a, b = numbers(a_type, *batch, 3, 5), numbers(b_type, *batch, 5, 4)
    a_zero = numbers(a_type, *{"rows": (*batch, 3, 1) if batch else (3,)}.get(zeros, ()))
    b_zero = numbers(b_type, *{"columns": (*batch, 1, 4) if batch else (4,)}.get(zeros, ()))
    inputs = [a, b, *([] if zeros == "none" else map(np.asarray, (a_zero, b_zero)))]
    wide_a, wide_b = a.astype(np.int64), b.astype(np.int64)
    if zeros != "none":
        wide_a = wide_a - (a_zero[:, None] if a_zero.ndim == 1 else a_zero)
        wide_b = wide_b - b_zero
    check_node("MatMulInteger", inputs, expected=[(wide_a @ wide_b).astype(np.int32)])
    check_node("MatMulInteger", [np.full((1, 30000), 255, np.uint8), np.full((30000, 1), 255, np.uint8)])


@pytest.mark.parametrize("a_type", EIGHT)
@pytest.mark.parametrize("per_column", [False, True])
def test_qlinear_matmul(check_node, a_type, per_column):
    many = (6,) if per_column else ()
    inputs = [numbers(a_type, 2, 4, 8), one(0.02), np.asarray(a_type(5)), weights(8, 6)]
    inputs += [scales(*many), np.zeros(many, np.int8), one(0.3), np.asarray(a_type(11))]
    (y,) = check_node("QLinearMatMul", inputs)
    assert len(np.unique(y)) > 8


def value(element, *dims):
    """An IR value of a tensor type."""
    return create_ssa_value(tensor(element, dims))


X, SCALE, ONE = value(f32, 2, 6), value(f32), value(i8)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: QuantizeLinearOp(ONE, SCALE), "quantises floats or i32, not i8"),
        (lambda: QuantizeLinearOp(X, SCALE, value(i32)), "gives i8, ui8, i16, .*, not i32"),
        (lambda: QuantizeLinearOp(X, SCALE, ONE, output_dtype=ui8), "output_dtype is ui8, but the zero point i8"),
        (lambda: QuantizeLinearOp(X, value(f32, 3)), "a scale 3 does not fit 2x6 along axis 1 with block_size 0"),
        (lambda: QuantizeLinearOp(X, value(f32, 2, 4), block_size=2), "a scale 2x4 does not fit 2x6 along axis 1"),
        (lambda: QuantizeLinearOp(X, value(f32, 6), value(i8, 2)), "the zero point 2 must have the scale's shape 6"),
        (lambda: QuantizeLinearOp(X, SCALE, block_size=-1), "block_size must not be negative, but is -1"),
        (lambda: DequantizeLinearOp(X, SCALE), "takes integers, not f32"),
        (lambda: DequantizeLinearOp(ONE, SCALE, value(i16)), "the zero point must be i8, not i16"),
        (lambda: DynamicQuantizeLinearOp(ONE), "quantises f32, not i8"),
        (lambda: ConvIntegerOp(X, X), "multiplies i8 and ui8, not f32"),
        (lambda: ConvIntegerOp(value(i8, 1, 3, 5), value(i8, 2, 2, 3)), "has 3 channels, but filters 2x2x3"),
        (lambda: ConvIntegerOp(value(i8, 1, 3, 5), value(i8, 2, 3, 3), value(i8, 3)), "zero point of x must be one nu"),
        (lambda: ConvIntegerOp(value(i8, 1, 3, 5), value(i8, 2, 3, 3), None, value(i8, 3)), "3 does not fit 2 filters"),
        (
            lambda: QLinearConvOp(
                *(value(i8, 1, 3, 5), SCALE, ONE, value(i8, 2, 3, 3), SCALE, ONE, SCALE, ONE, value(i32, 3))
            ),
            "bias must be i32, one per filter, not tensor<3xi32>",
        ),
        (lambda: MatMulIntegerOp(value(i8, 2, 3), value(i8, 4, 2)), "the inner sizes of 2x3 and 4x2 differ"),
        (lambda: MatMulIntegerOp(value(i8, 2, 3), value(i8, 3, 2), value(ui8)), "a is i8, but its zero point ui8"),
        (lambda: MatMulIntegerOp(value(i8, 2, 3), value(i8, 3, 2), value(i8, 3)), "does not fit the rows of 2x3"),
        (
            lambda: QLinearMatMulOp(value(i8, 2, 3), SCALE, ONE, value(i8, 3, 2), value(f32, 3), ONE, SCALE, ONE),
            "a parameter 3 does not fit the columns of 3x2",
        ),
    ],
)
def test_operands_that_do_not_fit(build, message):
    with pytest.raises(CompileError, match=message):
        build()
