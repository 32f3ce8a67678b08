"""GatherElements, GatherND, ScatterElements (and Scatter), ScatterND, TensorScatter."""

import numpy as np
import pytest
from xdsl.dialects.builtin import f32, i64
from xdsl.ir import Block

from nnfuse.dialects.nn.gather import GatherElementsOp, GatherNDOp
from nnfuse.dialects.nn.scatter import ScatterElementsOp, ScatterNDOp, TensorScatterOp, reduce_by_key
from nnfuse.dialects.nn.types import dims_of, tensor
from nnfuse.errors import CompileError

RANDOM = np.random.default_rng(0)


def data(*dims, dtype=np.float32):
    return RANDOM.integers(-50, 50, dims).astype(dtype)


def argument(*dims, element=f32):
    return Block(arg_types=[tensor(element, dims)]).args[0]


def distinct(size, *dims):
    """Random indices, negative ones among them, different along axis 0."""
    chosen = np.argsort(RANDOM.random((size, *dims[1:])), axis=0)[: dims[0]]
    return chosen - size * RANDOM.integers(0, 2, dims)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_gather_elements(check_node, axis, kind):
    x, size = data(3, 4, 5), (3, 4, 5)[axis]
    check_node("GatherElements", [x, RANDOM.integers(-size, size, (2, 4, 3)).astype(kind)], {"axis": axis})
    check_node("GatherElements", [x[:, :0], np.zeros((0, 0, 2), kind)], {"axis": 0})
    check_node("GatherElements", [x > 0, np.zeros((1, 1, 1), kind)], {"axis": axis}, opset=11)


@pytest.mark.parametrize("shape", [(1,), (2,), (5, 2), (2, 2, 3), (0, 2)])
def test_gather_nd(check_node, shape):
    x = data(3, 4, 5)
    bounds = np.array(x.shape[: shape[-1]])
    check_node("GatherND", [x, RANDOM.integers(-bounds, bounds, shape)], symbolic=[0])


def test_gather_nd_in_batches(check_node):
    x = data(2, 3, 4, 5)
    check_node("GatherND", [x, RANDOM.integers(-3, 3, (2, 6, 1))], {"batch_dims": 1}, symbolic=[0])
    check_node("GatherND", [x, RANDOM.integers(-4, 4, (2, 3, 1))], {"batch_dims": 2}, symbolic=[0])
    check_node("GatherND", [x[0, 0, 0], np.array([3])], opset=11, symbolic=[0])


@pytest.mark.parametrize("axis", [0, -2])
@pytest.mark.parametrize("operator, opset", [("Scatter", 9), ("ScatterElements", 11), ("ScatterElements", 21)])
def test_scatter_elements(check_node, operator, opset, axis):
    x, indices = data(5, 6), distinct(5, 3, 4)
    check_node(operator, [x, indices, data(3, 4)], {"axis": axis}, opset=opset)
    check_node(operator, [x, indices[:, :0], data(3, 0)], {"axis": axis}, opset=opset)


@pytest.mark.parametrize("reduction", ["add", "mul", "max", "min"])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.float16])
def test_scatter_with_reductions(check_node, reduction, dtype):
    """Indices that come again and again: each update counts. ONNX Runtime does not reduce f16."""
    against_ort = dtype != np.float16
    x = RANDOM.uniform(0.5, 1.5, (4, 3)).astype(dtype)
    updates = RANDOM.uniform(0.5, 2.5, (4, 9)).astype(dtype)
    options = {"reduction": reduction, "axis": 1}
    check_node("ScatterElements", [x, RANDOM.integers(-3, 3, (4, 9)), updates], options, 18, against_ort=against_ort)
    check_node("ScatterElements", [x, np.full((4, 9), 2), updates], options, 18, against_ort=against_ort)
    tuples = RANDOM.integers(0, (4, 3), (4, 9, 2))
    check_node("ScatterND", [x, tuples, updates], {"reduction": reduction}, 18, against_ort=against_ort)
    rows = RANDOM.integers(-4, 4, (6, 1))
    check_node(
        "ScatterND", [x, rows, np.tile(updates, (2, 1))[:6, :3]], {"reduction": reduction}, 18, against_ort=against_ort
    )
    check_node("ScatterND", [x, rows[:0], updates[:0, :3]], {"reduction": reduction}, 18, against_ort=against_ort)


def test_reduce_by_key_against_ufunc_at():
    keys = RANDOM.integers(0, 40, 500)
    values = RANDOM.integers(-9, 9, (500, 3))
    for ufunc, start in ((np.add, 0), (np.multiply, 1), (np.maximum, -100), (np.minimum, 100)):
        expected = np.full((40, 3), start)
        ufunc.at(expected, keys, values)
        found, totals = reduce_by_key(np, ufunc, keys, values)
        np.testing.assert_array_equal(found, np.unique(keys))
        np.testing.assert_array_equal(totals, expected[found])


@pytest.mark.parametrize("opset", [11, 13, 21])
def test_scatter_nd(check_node, opset):
    x = data(4, 5, 6)
    check_node("ScatterND", [x, distinct(4, 3, 1), data(3, 5, 6)], opset=opset)
    check_node("ScatterND", [x > 0, np.array([[0, -1, 2], [1, 1, 1]]), np.array([True, False])], opset=opset)
    check_node("ScatterND", [x, np.array([1, -2]), data(6)], opset=opset)


def tensor_scatter(cache, update, indices, axis, circular):
    """By the loops of the specification, over batch and positions."""
    result = cache.copy()
    for b in range(len(cache)):
        for i in range(update.shape[axis]):
            at = (0 if indices is None else indices[b]) + i
            at = at % cache.shape[axis] if circular else at
            np.moveaxis(result[b], axis - 1 if axis > 0 else axis, 0)[at] = np.moveaxis(
                update[b], axis - 1 if axis > 0 else axis, 0
            )[i]
    return result


@pytest.mark.parametrize("axis", [1, -2, -1])
def test_tensor_scatter(check_node, axis):
    cache = data(2, 3, 6, 5)
    update = np.take(data(2, 3, 6, 5), range(2), axis=axis)
    for indices, mode in ((None, "linear"), ([1, 0], "linear"), ([4, 2], "circular")):
        given = None if indices is None else np.array(indices)
        expected = tensor_scatter(cache, update, given, axis, mode == "circular")
        options = {"axis": axis, "mode": mode}
        check_node("TensorScatter", [cache, update, given][: 2 + (given is not None)], options, 24, expected=[expected])


REFUSALS = {
    "needs indices of its operand's rank": lambda: GatherElementsOp(argument(2, 3), argument(2, element=i64)),
    "must be i32 or i64, not f32": lambda: GatherElementsOp(argument(2, 3), argument(2, 3)),
    "do not fit 2x3": lambda: GatherElementsOp(argument(2, 3), argument(4, 4, element=i64)),
    "index tuples of 3 do not fit 2x3 behind 0": lambda: GatherNDOp(argument(2, 3), argument(4, 3, element=i64)),
    "the batch dims of": lambda: GatherNDOp(argument(2, 3), argument(4, 1, element=i64), batch_dims=1),
    "unknown last size": lambda: GatherNDOp(argument(2, 3), argument(4, None, element=i64)),
    "updates must be 4x3, not 4x2": lambda: ScatterNDOp(argument(2, 3), argument(4, 1, element=i64), argument(4, 2)),
    "no reduction 'mean'": lambda: ScatterNDOp(
        argument(2, 3), argument(4, 1, element=i64), argument(4, 3), reduction="mean"
    ),
    "2x1 updates for 1x2 indices": lambda: ScatterElementsOp(
        argument(2, 3), argument(1, 2, element=i64), argument(2, 1)
    ),
    "along axis 1": lambda: TensorScatterOp(argument(2, 3, 4), argument(2, 5, 4)),
    "does not write along the batch axis": lambda: TensorScatterOp(argument(2, 3), argument(2, 3)),
}


@pytest.mark.parametrize("message", REFUSALS)
def test_refusals(message):
    with pytest.raises(CompileError, match=message):
        REFUSALS[message]()


def test_indices_out_of_range_are_refused(check_node):
    x = data(3, 4)
    for operator, inputs in (
        ("GatherElements", [x, np.array([[3]])]),
        ("GatherND", [x, np.array([[0, -5]])]),
        ("ScatterElements", [x, np.array([[-4]]), x[:1, :1]]),
        ("ScatterND", [x, np.array([[3]]), x[:1]]),
    ):
        for constants in ((), (1,)):
            with pytest.raises(CompileError, match="is out of range for the size"):
                check_node(operator, inputs, constants=constants)
    with pytest.raises(CompileError, match="writes beyond the size 3"):
        check_node("TensorScatter", [data(1, 3, 2), data(1, 2, 2), np.array([2])], opset=24)


def test_unknown_sizes():
    op = GatherNDOp(argument(None, 3, 4), argument(2, None, 1, element=i64), batch_dims=1)
    assert dims_of(op.result.type) == (2, None, 4)
    op = ScatterNDOp(argument(None, 3), argument(5, None, element=i64), argument(5, 3))
    assert dims_of(op.result.type) == (None, 3)


def test_scatter_of_opset_11_is_deprecated(check_node):
    with pytest.raises(CompileError, match="Scatter is deprecated in opset 11"):
        check_node("Scatter", [data(3), np.array([0]), data(1)], opset=11)
