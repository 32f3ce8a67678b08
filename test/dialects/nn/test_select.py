"""NonZero, Compress and Unique against ONNX Runtime and NumPy."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from xdsl.dialects.builtin import f32, i1, i64
from xdsl.utils.test_value import create_ssa_value

from nnfuse import Session
from nnfuse.dialects.nn.constant import ConstantOp
from nnfuse.dialects.nn.select import CompressOp, NonZeroOp, UniqueOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.errors import CompileError

NEWEST = onnx.defs.onnx_opset_version()
RNG = np.random.default_rng(53)
DTYPES = ["float32", "float64", "int64", "int32", "int8", "uint8", "bool"]


def value(element, *dims):
    """An IR value of a tensor type."""
    return create_ssa_value(tensor(element, dims))


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 2), (0,), (2, 0, 3)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_non_zero(check_node, shape, dtype):
    x = RNG.integers(0, 2, shape).astype(dtype)
    for constants in ((), (0,)):
        inputs = [x]
        (result,) = check_node("NonZero", inputs, opset=13, constants=constants, expected=[np.array(np.nonzero(x))])
    assert result.shape == (len(shape), np.count_nonzero(x))


def test_non_zero_against_its_peer(check_node):
    x = np.array([[1, 0, -0.0], [np.nan, np.inf, 1e-40]], np.float32)
    (result,) = check_node("NonZero", [x], opset=9)
    assert result.tolist() == [[0, 1, 1, 1], [0, 0, 1, 2]]


def test_non_zero_of_a_scalar(check_node):
    """[0, count] by ONNX's text; ONNX Runtime gives [1, count]."""
    for number in (0, 5):
        expected = [np.zeros((0, number and 1), np.int64)]
        for constants in ((), (0,)):
            check_node("NonZero", [np.asarray(number, np.int32)], constants=constants, expected=expected)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("length", [0, 1, 2, 3])
@pytest.mark.parametrize("constants", [(), (1,)])
def test_compress(check_node, axis, length, constants):
    x = RNG.standard_normal((3, 4)).astype(np.float32)
    condition = np.array([False, True, True, False])[:length]
    attributes = {} if axis is None else {"axis": axis}
    (result,) = check_node("Compress", [x, condition], attributes, opset=11, constants=constants)
    np.testing.assert_array_equal(result, np.compress(condition, x, axis=axis))


@pytest.mark.parametrize("dtype", [*DTYPES, "float16"])
def test_compress_types(check_node, dtype):
    x = np.arange(6).reshape(2, 3).astype(dtype)
    condition = np.array([True, False, True])
    check_node("Compress", [x, condition], {"axis": 1}, opset=9, expected=[x[:, ::2]])


def test_compress_ignores_what_the_condition_is_too_long_for(check_node):
    x, condition = np.array([[1, 2], [3, 4]], np.float32), np.ones(9, bool)
    for constants in ((), (1,)):
        check_node("Compress", [x, condition], {"axis": 1}, constants=constants, expected=[x])
        check_node("Compress", [x, condition], constants=constants, expected=[x.reshape(-1)])


def test_compress_refusals():
    x = value(f32, 2, 3)
    with pytest.raises(CompileError, match=r"the condition of nn.compress must be a list of bools, not tensor<2xi64>"):
        CompressOp(x, value(i64, 2))
    with pytest.raises(CompileError, match="must be a list of bools"):
        CompressOp(x, value(i1, 2, 3))
    with pytest.raises(CompileError, match="axis 2 is out of range"):
        CompressOp(x, value(i1, 2), axis=2)
    with pytest.raises(CompileError, match="needs an operand of rank 1 or more"):
        CompressOp(value(f32), value(i1, 2))
    known = ConstantOp.of(np.array([True, False, True]))
    assert CompressOp(x, known, axis=1).result.type == tensor(f32, [2, 2])
    assert CompressOp(value(f32, None, 3), known, axis=0).result.type == tensor(f32, [None, 3])
    assert NonZeroOp(x).result.type == tensor(i64, [2, None])


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("in_order", [None, 0, 1])
@pytest.mark.parametrize("outputs", [1, 2, 3, 4])
def test_unique(check_node, axis, in_order, outputs):
    x = RNG.integers(0, 2, (4, 3)).astype(np.float32)
    x[3], x[:, 2] = x[1], x[:, 0]
    attributes = ({} if axis is None else {"axis": axis}) | ({} if in_order is None else {"sorted": in_order})
    for constants in ((), (0,)):
        results = check_node("Unique", [x], attributes, opset=11, outputs=outputs, constants=constants)
    size = x.size if axis is None else x.shape[axis]
    assert 0 < results[0].shape[axis or 0] < size
    if outputs == 4:
        slices = x.reshape(-1) if axis is None else x
        np.testing.assert_array_equal(slices.take(results[1], axis or 0), results[0])
        np.testing.assert_array_equal(results[0].take(results[2], axis or 0), slices)
        assert results[3].sum() == size
        assert in_order != 0 or (np.diff(results[1]) > 0).all()


@pytest.mark.parametrize("dtype", ["float64", "int64", "int8"])
def test_unique_types(check_node, dtype):
    check_node("Unique", [np.array([3, -1, 3, 2, -1]).astype(dtype)], outputs=4)


@pytest.mark.parametrize("dtype", ["bool", "float16", "uint8", "int32"])
def test_unique_types_that_onnx_runtime_lacks(check_node, dtype):
    x = np.array([1, 0, 1, 1]).astype(dtype)
    expected = [np.array([0, 1]).astype(dtype), np.array([1, 0]), np.array([1, 0, 1, 1]), np.array([1, 3])]
    check_node("Unique", [x], outputs=4, expected=expected)


def test_unique_edges(check_node):
    empty = np.zeros(0, np.int64)
    check_node("Unique", [np.zeros((0, 3), np.float32)], outputs=4, expected=[empty.astype("f4"), empty, empty, empty])
    expected = [np.array([5], np.float32), np.array([0]), np.array([0]), np.array([1])]
    check_node("Unique", [np.asarray(5, np.float32)], outputs=4, expected=expected)
    x = np.array([np.nan, 1, np.nan], np.float32)
    expected = [np.array([1, np.nan], np.float32), np.array([1, 0]), np.array([1, 0, 1]), np.array([1, 2])]
    check_node("Unique", [x], outputs=4, expected=expected)


def test_unique_along_empty_axes(check_node):
    for shape, axis, count in (((0, 3), 0, 0), ((3, 0), 0, 1)):
        x = np.zeros(shape, np.float32)
        (result, *_) = check_node("Unique", [x], {"axis": axis}, outputs=4, against_ort=False)
        assert result.shape == (count, shape[1])


def test_unique_refusals():
    with pytest.raises(CompileError, match="axis 2 is out of range"):
        UniqueOp(value(f32, 2, 3), axis=2)
    with pytest.raises(CompileError, match=r"nn.unique along an axis needs an operand of rank 1 or more"):
        UniqueOp(value(f32), axis=0)
    types = UniqueOp(value(f32, 2, 3), axis=1, outputs=4).result_types
    assert list(types) == [tensor(f32, [2, None]), tensor(i64, [None]), tensor(i64, [3]), tensor(i64, [None])]


def test_results_of_unknown_size_go_through_a_program(ort, close):
    """Sizes that only the data know, one after the other, and back to a known one."""
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["": 21]> g (float[N, 4] x) => (float[M] y, float[4] z, int64[K, 2] w) {
          zero = Constant <value_float = 0.0> ()
          rows = Constant <value_ints = [0]> ()
          positive = Greater (x, zero)
          shape = Constant <value_ints = [-1]> ()
          flat = Reshape (positive, shape)
          chosen = Compress (x, flat)
          y = Relu (chosen)
          found = NonZero (positive)
          w = Transpose <perm = [1, 0]> (found)
          row = Gather <axis = 0> (found, rows)
          index = Reshape (row, shape)
          picked = Gather <axis = 0> (x, index)
          z = ReduceSum <keepdims = 0> (picked, rows)
        }"""
    )
    session = Session(model)
    for rows in (3, 3, 5):
        feeds = {"x": RNG.standard_normal((rows, 4)).astype(np.float32)}
        for result, peer in zip(session.run(None, feeds), ort(model, feeds), strict=True):
            assert result.shape == peer.shape
            close(result, peer)
