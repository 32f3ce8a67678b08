"""Pooling against ONNX Runtime."""

from itertools import product

import numpy as np
import pytest
from xdsl.dialects.builtin import f32, i32
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.pool import AveragePoolOp, GlobalMaxPoolOp, MaxPoolOp
from nnfuse.dialects.nn.types import dims_of, tensor
from nnfuse.errors import CompileError

RNG = np.random.default_rng(0)
SPATIAL = {1: (11,), 2: (9, 8), 3: (6, 5, 7)}


def random(*shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


def value(*dims, element=f32):
    return create_ssa_value(tensor(element, dims))


def geometries(rank):
    kernel = [3, 2, 2][:rank]
    asymmetric = [*([1] * rank), *([0] * (rank - 1)), 1]
    for strides, pads, dilations in product((None, 2, 3), (None, asymmetric), (None, 2)):
        given = {"strides": strides and [strides] * rank, "pads": pads, "dilations": dilations and [dilations] * rank}
        yield {"kernel_shape": kernel} | {k: v for k, v in given.items() if v}
    for auto_pad, strides in product(("SAME_UPPER", "SAME_LOWER", "VALID"), (1, 2, 3)):
        yield {"kernel_shape": kernel, "strides": [strides] * rank, "auto_pad": auto_pad}


CASES = [(rank, geometry, ceil) for rank in SPATIAL for geometry in geometries(rank) for ceil in (0, 1)]


@pytest.mark.parametrize(("rank", "geometry", "ceil"), CASES, ids=str)
def test_max_pool(check_node, rank, geometry, ceil):
    check_node("MaxPool", [random(2, 3, *SPATIAL[rank])], geometry | {"ceil_mode": ceil}, opset=22)


@pytest.mark.parametrize(("rank", "geometry", "ceil"), CASES, ids=str)
@pytest.mark.parametrize("include_pad", [0, 1])
def test_average_pool(check_node, rank, geometry, ceil, include_pad):
    attributes = geometry | {"ceil_mode": ceil, "count_include_pad": include_pad}
    check_node("AveragePool", [random(2, 3, *SPATIAL[rank])], attributes, opset=22)


@pytest.mark.parametrize("storage_order", [0, 1])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_max_pool_indices(check_node, rank, storage_order):
    """Rounded values, so that windows hold ties: the first one counts."""
    x = np.round(random(2, 3, *SPATIAL[rank]))
    attributes = {"kernel_shape": [3] * rank, "strides": [2] * rank, "pads": [1] * (2 * rank)}
    for more in ({}, {"ceil_mode": 1}, {"dilations": [2] * rank}):
        attributes |= more | {"storage_order": storage_order}
        check_node("MaxPool", [x], attributes, opset=12, outputs=2)


def test_max_pool_indices_of_minus_infinity_are_in_the_data(check_node):
    x = np.full((1, 1, 3, 3), -np.inf, np.float32)
    y, where = check_node("MaxPool", [x], {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0]}, outputs=2, against_ort=False)
    assert (y == -np.inf).all()
    np.testing.assert_array_equal(where[0, 0], [[0, 0, 1], [0, 0, 1], [3, 3, 4]])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float16, np.float64])
def test_max_pool_of_other_types(check_node, dtype):
    x = (random(1, 2, 6, 6) * 50).astype(np.int8).astype(dtype)
    check_node("MaxPool", [x], {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]}, outputs=2, opset=12)


def test_max_pool_of_nan():
    x = np.array([[[1, np.nan, 3, 0]]], np.float32)
    op = MaxPoolOp(value(1, 1, 4), kernel_shape=[2], outputs=2)
    y, where = op.compute(np, [x])
    np.testing.assert_array_equal(y, [[[np.nan, np.nan, 3]]])
    np.testing.assert_array_equal(where, [[[1, 1, 2]]])
    (y,) = MaxPoolOp(value(1, 1, 4), kernel_shape=[2]).compute(np, [x])
    np.testing.assert_array_equal(y, [[[np.nan, np.nan, 3]]])


def test_windows_on_padding_only():
    """ONNX Runtime refuses such padding; the empty maximum is -inf, the empty mean 0."""
    x = np.array([[[1, 2]]], np.float32)
    y, where = MaxPoolOp(value(1, 1, 2), kernel_shape=[2], pads=[2, 2], outputs=2).compute(np, [x])
    np.testing.assert_array_equal(y, [[[-np.inf, 1, 2, 2, -np.inf]]])
    np.testing.assert_array_equal(where, [[[-1, 0, 1, 1, -1]]])
    (y,) = AveragePoolOp(value(1, 1, 2), kernel_shape=[2], pads=[2, 2]).compute(np, [x])
    np.testing.assert_array_equal(y, [[[0, 1, 1.5, 2, 0]]])


@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool"])
def test_older_opsets(check_node, op_type):
    for opset in (7, 10, 11, 19):
        attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        check_node(op_type, [random(1, 2, 7, 8)], attributes, opset=opset)


@pytest.mark.parametrize("op_type", ["GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_global_pools(check_node, op_type, rank):
    check_node(op_type, [random(2, 3, *SPATIAL[rank])])


def test_pools_of_no_images(check_node):
    for op_type in ("MaxPool", "AveragePool"):
        (y,) = check_node(op_type, [random(0, 3, 4, 4)], {"kernel_shape": [2, 2]}, against_ort=False)
        assert y.shape == (0, 3, 3, 3)
    for op_type in ("GlobalAveragePool", "GlobalMaxPool"):
        (y,) = check_node(op_type, [random(0, 3, 4, 4)], against_ort=False)
        assert y.shape == (0, 3, 1, 1)


def test_unknown_sizes():
    op = MaxPoolOp(value(None, 3, None, 8), kernel_shape=[3, 3], auto_pad="SAME_UPPER", strides=[2, 2], outputs=2)
    assert [dims_of(r.type) for r in op.results] == [(None, 3, None, 4)] * 2
    assert dims_of(GlobalMaxPoolOp(value(None, 3, None, 8)).result.type) == (None, 3, 1, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaxPoolOp(value(1, 3, 8, 8), kernel_shape=[3]), "do not fit 2 spatial dims"),
        (lambda: MaxPoolOp(value(1, 3, 2, 8), kernel_shape=[3, 3]), "a window of 3 does not fit"),
        (lambda: MaxPoolOp(value(1, 3), kernel_shape=[]), "no spatial dims"),
        (lambda: GlobalMaxPoolOp(value(1, 3)), "no spatial dims"),
        (lambda: MaxPoolOp(value(1, 3, 8, element=i32), kernel_shape=[3]), "i8 or ui8"),
        (lambda: AveragePoolOp(value(1, 3, 8, element=i32), kernel_shape=[3]), "float"),
        (lambda: AveragePoolOp(value(1, 3, 8), kernel_shape=[3], outputs=2), "does not have 2 results"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_refuses(make, message):
    with pytest.raises(CompileError, match=message):
        make()
