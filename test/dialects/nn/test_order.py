"""ArgMax, ArgMin and TopK against ONNX Runtime and NumPy."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from xdsl.dialects.builtin import f32, i1, i64
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.constant import ConstantOp
from nnfuse.dialects.nn.order import ArgMaxOp, ArgMinOp, TopKOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.errors import CompileError

NEWEST = onnx.defs.onnx_opset_version()
RNG = np.random.default_rng(41)
TIES = RNG.integers(0, 4, (3, 4, 5))
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
arg_ops = pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])


def value(element, *dims):
    """An IR value of a tensor type."""
    return create_ssa_value(tensor(element, dims))


def extreme(op, x, axis, last):
    """NumPy's index of the extreme element, the first or the last of equals."""
    find = np.argmax if op == "ArgMax" else np.argmin
    return x.shape[axis] - 1 - find(np.flip(x, axis), axis) if last else find(x, axis)


@arg_ops
@pytest.mark.parametrize("axis", [None, 0, 1, -1, -3])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("last", [None, 0, 1])
def test_arg(check_node, op, axis, keepdims, last):
    x = TIES.astype(np.float32)
    attributes = {"keepdims": keepdims} | ({} if axis is None else {"axis": axis})
    attributes |= {} if last is None else {"select_last_index": last}
    (result,) = check_node(op, [x], attributes, opset=13)
    expected = extreme(op, x, axis or 0, last)
    np.testing.assert_array_equal(result, np.expand_dims(expected, axis or 0) if keepdims else expected)


@arg_ops
@pytest.mark.parametrize("opset", [7, 11, 12])
def test_arg_of_older_opsets(check_node, op, opset):
    check_node(op, [TIES.astype(np.float32)], {"axis": 1, "keepdims": 0}, opset=opset)


@arg_ops
@pytest.mark.parametrize("dtype", [*INTEGERS, "float64", "float16"])
def test_arg_types(check_node, op, dtype):
    x = TIES.astype(dtype) if dtype.startswith("u") else (TIES - 2).astype(dtype)
    check_node(op, [x], {"axis": 2}, opset=13, expected=[extreme(op, x, 2, 0)[..., None]])


@arg_ops
def test_arg_edges(check_node, op):
    nan = np.array([[1, np.nan, 3, np.nan]], np.float32)
    assert check_node(op, [nan], {"axis": 1}, against_ort=False)[0].tolist() == [[1]]
    assert check_node(op, [nan], {"axis": 1, "select_last_index": 1}, against_ort=False)[0].tolist() == [[3]]
    for keepdims in (0, 1):
        x = np.asarray(3, np.float32)
        assert check_node(op, [x], {"keepdims": keepdims}, expected=[np.asarray(0)])[0].shape == ()
    big = np.array([2**62, 2**62 + 1, 2**62 - 1], np.int64)
    check_node(op, [big], expected=[np.array([1 if op == "ArgMax" else 2])])
    check_node(op, [np.zeros((0, 3), np.float32)], {"axis": 1}, expected=[np.zeros((0, 1), np.int64)])


@pytest.mark.parametrize("op_class", [ArgMaxOp, ArgMinOp])
def test_arg_refusals(op_class):
    with pytest.raises(CompileError, match=f"{op_class.name} has no element to choose"):
        op_class(value(f32, 0, 3))
    with pytest.raises(CompileError, match="has no element to choose"):
        op_class(value(f32, None, 3)).compute(np, [np.zeros((0, 3), np.float32)])
    with pytest.raises(CompileError, match="axis 2 is out of range"):
        op_class(value(f32, 2, 3), axis=2)
    with pytest.raises(CompileError, match=f"{op_class.name} needs numbers, not i1"):
        op_class(value(i1, 3))


def top_k(x, k, axis, largest):
    """The definition, element by element: by value, then by index."""
    rows = np.moveaxis(x, axis, -1)
    indices = np.empty((*rows.shape[:-1], k), np.int64)
    for place in np.ndindex(*rows.shape[:-1]):
        row = rows[place].tolist()
        indices[place] = sorted(range(len(row)), key=lambda i: ((-row[i] if largest else row[i]), i))[:k]
    indices = np.moveaxis(indices, -1, axis)
    return np.take_along_axis(x, indices, axis), indices


@pytest.mark.parametrize("opset", [7, 10, 11, 24])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("k", [0, 1, 3])
def test_top_k(check_node, opset, axis, k):
    x = TIES.astype(np.float32)
    attributes = {} if axis is None else {"axis": axis}
    inputs = [x, np.array([k], np.int64)] if opset >= 10 else [x]
    attributes |= {} if opset >= 10 else {"k": k}
    expected = top_k(x, k, -1 if axis is None else axis, True)
    for constants in ((1,), ()) if opset >= 10 else ((),):
        check_node("TopK", inputs, attributes, opset=opset, outputs=2, constants=constants, expected=expected)


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("in_order", [0, 1])
def test_top_k_against_its_peer(check_node, largest, in_order):
    x = RNG.permutation(60).reshape(3, 4, 5).astype(np.float32)
    inputs, attributes = [x, np.array([4])], {"largest": largest, "sorted": in_order}
    values, indices = check_node("TopK", inputs, attributes, opset=11, outputs=2, against_ort=bool(in_order))
    np.testing.assert_array_equal(np.take_along_axis(x, indices, -1), values)
    np.testing.assert_array_equal(values, top_k(x, 4, -1, largest)[0])


@pytest.mark.parametrize("dtype", [*INTEGERS, "float64", "float16"])
@pytest.mark.parametrize("largest", [0, 1])
def test_top_k_types_and_ties(check_node, dtype, largest):
    x = TIES.astype(dtype)
    if dtype in INTEGERS:  # negating these would overflow
        x[0, 0, :2] = np.iinfo(dtype).min, np.iinfo(dtype).max
    expected = top_k(x, 4, 1, largest)
    attributes = {"axis": 1, "largest": largest}
    check_node("TopK", [x, np.array([4])], attributes, opset=24, outputs=2, constants=(1,), expected=expected)


def test_top_k_of_nan(check_node):
    x = np.array([1, np.nan, 3, np.inf, -np.inf], np.float32)
    values, _ = check_node("TopK", [x, np.array([2])], outputs=2, against_ort=False)
    np.testing.assert_array_equal(values, np.array([np.nan, np.inf], np.float32))
    _, indices = check_node("TopK", [x, np.array([5])], {"largest": 0}, outputs=2, against_ort=False)
    assert indices.tolist() == [4, 0, 2, 3, 1]


def test_top_k_of_nothing(check_node):
    x = np.zeros((0, 4), np.float32)
    check_node("TopK", [x, np.array([2])], outputs=2, expected=[x[:, :2], np.zeros((0, 2), np.int64)])


def test_top_k_refusals():
    x, k = value(f32, 2, 3), ConstantOp.of(np.array([4]))
    with pytest.raises(CompileError, match=r"nn.top_k cannot take 4 elements of 3"):
        TopKOp(x, k)
    with pytest.raises(CompileError, match=r"nn.top_k cannot take -1 elements of \?"):
        TopKOp(value(f32, None), ConstantOp.of(np.array([-1])))
    with pytest.raises(CompileError, match=r"cannot take 4 elements of 3"):
        TopKOp(x, value(i64, 1)).compute(np, [np.zeros((2, 3), np.float32), np.array([4])])
    with pytest.raises(CompileError, match="k must be one number, not 2"):
        TopKOp(x, ConstantOp.of(np.array([1, 2])))
    with pytest.raises(CompileError, match="needs an operand of rank 1 or more"):
        TopKOp(value(f32), k)
    assert TopKOp(x, value(i64, 1)).values.type == tensor(f32, [2, None])
