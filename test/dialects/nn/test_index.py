"""Ops that join, divide and select along axes: Concat, Split, Slice, Gather, Pad."""

import numpy as np
import pytest
from xdsl.dialects.builtin import f32, i64
from xdsl.ir import Block

from nnfuse.dialects.nn.base import View
from nnfuse.dialects.nn.constant import ConstantOp
from nnfuse.dialects.nn.index import GatherOp, SliceOp
from nnfuse.dialects.nn.join import ConcatOp, SplitOp
from nnfuse.dialects.nn.pad import PadOp
from nnfuse.dialects.nn.types import dims_of, tensor
from nnfuse.errors import CompileError

RANDOM = np.random.default_rng(0)
MAX, MIN = np.iinfo(np.int64).max, np.iinfo(np.int64).min


def data(*dims, dtype=np.float32):
    """Random elements, all different."""
    return RANDOM.permutation(np.arange(np.prod(dims, dtype=int))).reshape(dims).astype(dtype)


def ints(*values):
    """An i64 operand."""
    return np.array(values, np.int64)


def argument(*dims, element=f32):
    """An SSA value of this type; None is an unknown size."""
    return Block(arg_types=[tensor(element, dims)]).args[0]


def constant(*values):
    """An i64 constant."""
    return ConstantOp.of(ints(*values)).result


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concat(check_node, axis):
    pieces = [data(2, 3, 4), data(*[5 if a == axis % 3 else d for a, d in enumerate((2, 3, 4))]), data(2, 3, 4)]
    check_node("Concat", pieces, {"axis": axis})
    check_node("Concat", [data(2, 0), data(2, 3)], {"axis": 1})
    check_node("Concat", [data(2)], {"axis": 0}, opset=7)


def test_concat_of_unknown_sizes():
    def dims(*shapes):
        return dims_of(ConcatOp([argument(*s) for s in shapes], axis=1).result.type)

    assert dims((None, 3), (2, 4)) == (2, 7)
    assert dims((2, None), (None, 4)) == (2, None)
    for shapes in ([(2, 3), (3, 3)], [(2, 3), (2, 3, 1)]):
        with pytest.raises(CompileError, match="cannot be concatenated along axis 1"):
            dims(*shapes)


def test_concat_views_are_contiguous_pieces():
    a, b = argument(1, 2, 3), argument(1, 4, 3)
    op = ConcatOp([a, b, a], axis=1)
    assert [(v.inner, v.outer, v.offset) for v in op.views()] == [(a, op.result, 0), (b, op.result, 24)]
    assert ConcatOp([argument(2, 2, 3), argument(2, 1, 3)], axis=1).views() == []
    assert ConcatOp([argument(None, 2), argument(2, 2)], axis=0).views() == []


def test_concat_views_are_pieces_of_rows():
    a, b = argument(2, 2), argument(2, 1)
    op = ConcatOp([a, b, a], axis=-1)
    assert op.views() == [View(a, op.result, 0, 20), View(b, op.result, 8, 20)]


@pytest.mark.parametrize(
    ("attributes", "opset", "outputs"),
    [
        ({"axis": 1}, 7, 3),
        ({"axis": -2, "split": [1, 3, 2]}, 11, 3),
        ({"axis": 1}, 13, 2),
        ({"axis": 1, "num_outputs": 4}, 18, 4),
        ({"axis": 2, "num_outputs": 1}, 18, 1),
        ({"num_outputs": 2}, 18, 2),
    ],
)
def test_split_without_sizes(check_node, attributes, opset, outputs):
    x = data(2, 6, 4) if "num_outputs" not in attributes else data(2, 7, 4)
    check_node("Split", [x], attributes, opset=opset, outputs=outputs)


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("constants", [(), (1,)])
def test_split_with_sizes(check_node, opset, constants):
    inputs = [data(2, 6), ints(4, 0, 2)]
    check_node("Split", inputs, {"axis": 1}, opset=opset, outputs=3, constants=constants, symbolic=(0,))


def test_split_of_a_bad_size():
    with pytest.raises(CompileError, match="size 6 cannot be split"):
        SplitOp(argument(6), constant(4, 4), num_outputs=2)
    with pytest.raises(CompileError, match="cannot be split"):
        SplitOp(argument(5), None, num_outputs=4)
    with pytest.raises(CompileError, match="do not fit"):
        SplitOp(argument(6), constant(4, 2), num_outputs=3)


def test_split_views_are_contiguous_pieces():
    op = SplitOp(argument(1, 6, 2), constant(2, 4), axis=1, num_outputs=2)
    assert [(v.inner, v.outer, v.offset) for v in op.views()] == [(op.pieces[0], op.x, 0), (op.pieces[1], op.x, 16)]
    assert SplitOp(argument(2, 6, 2), None, axis=1, num_outputs=2).views() == []


def test_split_views_are_pieces_of_rows():
    op = SplitOp(argument(2, 6), constant(4, 2), axis=-1, num_outputs=2)
    assert op.views() == [View(op.pieces[0], op.x, 0, 24), View(op.pieces[1], op.x, 16, 24)]


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [
        ((1, 0), (3, 4), None, None),
        ((1,), (MAX,), (2,), None),
        ((-3,), (-1,), (-1,), (1,)),
        ((0, 1), (100, -1), (1, 0), (2, 1)),
        ((-1,), (MIN,), (1,), (-1,)),
        ((MAX,), (MIN,), (2,), (-2,)),
        ((3,), (1,), (1,), (1,)),
        ((-100,), (-100,), (1,), (-1,)),
        ((4, 5), (0, -100), (1, 2), (-3, -2)),
        ((0,), (5,), (2,), (MAX,)),
    ],
)
@pytest.mark.parametrize("constants", [(), (1, 2, 3, 4)])
def test_slice(check_node, starts, ends, axes, steps, constants):
    given = [None if v is None else ints(*v) for v in (starts, ends, axes, steps)]
    while given[-1] is None:
        given.pop()
    check_node("Slice", [data(4, 5, 6), *given], opset=13, constants=constants, symbolic=(0,))


def test_slice_of_other_forms(check_node):
    check_node("Slice", [data(4, 5)], {"starts": [1, -2], "ends": [9, 5], "axes": [0, 1]}, opset=9)
    check_node("Slice", [data(4, 5)], {"starts": [1], "ends": [-1]}, opset=7)
    small = [np.array(v, np.int32) for v in ([1], [3], [0], [1])]
    check_node("Slice", [data(4, 5), *small], opset=10, symbolic=(0,))
    check_node("Slice", [data(0, 5), ints(5), ints(-9), ints(0), ints(-1)], symbolic=(0,))


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "dims"),
    [
        (constant(1), constant(3), constant(1), (None, 2, 6)),
        (argument(1, element=i64), constant(3), constant(1), (None, None, 6)),
        (argument(2, element=i64), constant(3, 3), None, (None, None, 6)),
        (constant(1), constant(3), argument(1, element=i64), (None, None, None)),
    ],
)
def test_slice_of_unknown_sizes(starts, ends, axes, dims):
    assert dims_of(SliceOp(argument(None, 5, 6), starts, ends, axes).result.type) == dims


def test_slice_errors():
    with pytest.raises(CompileError, match="no step 0"):
        SliceOp(argument(4), constant(0), constant(2), constant(0), constant(0))
    with pytest.raises(CompileError, match="of one length"):
        SliceOp(argument(4, 4), constant(0), constant(2, 3))
    with pytest.raises(CompileError, match="out of range"):
        SliceOp(argument(4), constant(0), constant(2), constant(1))


@pytest.mark.parametrize(
    ("bounds", "offset"),
    [
        (((0, 2, 0), (1, 4, 6), (0, 1, 2)), 2 * 6 * 4),
        (((1, 1, 3), (2, 2, 5), (0, 1, 2)), (30 + 6 + 3) * 4),
        (((1,), (2,), (0,)), 30 * 4),
        (((0,), (2,), (1,)), None),
        (((0,), (6,), (2,), (2,)), None),
        (((-1,), (MIN,), (0,), (-1,)), None),
        (((1,), (1,), (0,)), None),
        (((0, 5), (1, 6), (0, 2)), None),
        (((1, 4, 5), (2, 5, 6), (0, 1, 2)), (30 + 24 + 5) * 4),
    ],
)
def test_slice_views_are_contiguous_boxes(bounds, offset):
    op = SliceOp(argument(2, 5, 6), *(constant(*b) for b in bounds))
    assert [(v.inner, v.outer, v.offset) for v in op.views()] == ([] if offset is None else [(op.result, op.x, offset)])


@pytest.mark.parametrize(
    ("bounds", "offset"),
    [
        (((2,), (5,), (2,)), 8),
        (((0, -2), (5, 6), (1, 2)), 16),
        (((1, 2), (2, 5), (0, 2)), None),
        (((5,), (2,), (2,), (-1,)), None),
        (((0,), (5,), (2,), (2,)), None),
        (((3,), (3,), (2,)), None),
    ],
)
def test_slice_views_are_pieces_of_rows(bounds, offset):
    """Of all rows, one after another."""
    op = SliceOp(argument(2, 5, 6), *(constant(*b) for b in bounds))
    assert op.views() == ([] if offset is None else [View(op.result, op.x, offset, 24)])


def test_slice_views_hold_the_same_elements():
    x = data(3, 4, 5)
    for _ in range(200):
        starts, ends, steps = (RANDOM.integers(-6, 6, 3) for _ in range(3))
        steps = np.where(steps == 0, 1, np.where(np.abs(steps) > 3, 1, steps))
        op = SliceOp(argument(3, 4, 5), constant(*starts), constant(*ends), constant(0, 1, 2), constant(*steps))
        (taken,) = op.compute(np, [x, starts, ends, ints(0, 1, 2), steps])
        for view in op.views():
            first = view.offset // 4
            if view.pitch:
                rows = np.lib.stride_tricks.as_strided(x.reshape(-1)[first:], taken.shape, (80, view.pitch, 4))
                np.testing.assert_array_equal(rows, taken)
                continue
            np.testing.assert_array_equal(x.reshape(-1)[first : first + taken.size], taken.reshape(-1))


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize(
    "indices", [np.array(1), np.array([0, -1, 1]), np.array([[0, 1], [-2, 1]], np.int32), np.zeros((0,), np.int64)]
)
@pytest.mark.parametrize("constants", [(), (1,)])
def test_gather(check_node, axis, indices, constants):
    check_node("Gather", [data(2, 3, 4), indices], {"axis": axis}, constants=constants)
    check_node("Gather", [data(3, dtype=np.int64), indices], constants=constants, opset=11)


def test_gather_out_of_range(check_node):
    with pytest.raises(CompileError, match=r"node: .*out of range for the size 3"):
        check_node("Gather", [data(3), ints(3)])
    with pytest.raises(CompileError, match="out of range for the size 3"):
        GatherOp(argument(3), constant(-4))
    with pytest.raises(CompileError, match="i32 or i64"):
        GatherOp(argument(3), argument(2))


def test_gather_views_are_single_pieces():
    op = GatherOp(argument(1, 3, 4), constant(-1), axis=1)
    assert [(v.inner, v.outer, v.offset) for v in op.views()] == [(op.result, op.x, 32)]
    assert GatherOp(argument(2, 3, 4), constant(1), axis=1).views() == []
    assert GatherOp(argument(3, 4), constant(0, 1)).views() == []


PADS = [(0, 0, 0, 0), (1, 2, 0, 1), (0, -1, -1, 0), (-2, 1, 1, -1), (2, 3, 2, 3)]


@pytest.mark.parametrize("pads", [*PADS, (-5, 0, 4, 0), (-4, 0, 0, 0), (2, 0, -5, 0)])
@pytest.mark.parametrize("value", [None, np.array(2.5, np.float32), np.array([np.inf], np.float32)])
@pytest.mark.parametrize("constants", [(), (1,)])
def test_pad_with_a_constant(check_node, pads, value, constants):
    inputs = [data(4, 5), ints(*pads)] + ([] if value is None else [value])
    check_node("Pad", inputs, opset=13, constants=constants, symbolic=(0,))


@pytest.mark.parametrize("pads", PADS)
@pytest.mark.parametrize("mode", ["reflect", "edge", "wrap"])
def test_pad_with_elements(check_node, pads, mode):
    check_node("Pad", [data(4, 5), ints(*pads)], {"mode": mode}, opset=19, constants=(1,))


@pytest.mark.parametrize("mode", ["reflect", "wrap"])
def test_pads_wider_than_the_axis(check_node, mode):
    x = data(3, 4)
    check_node(
        "Pad", [x, ints(0, 9, 0, 7)], {"mode": mode}, constants=(1,), expected=[np.pad(x, [(0, 0), (9, 7)], mode)]
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int64, np.uint8, np.bool_])
def test_pad_of_other_types(check_node, dtype):
    value = np.array(1, dtype)
    check_node("Pad", [data(2, 3, dtype=dtype), ints(1, 0, 0, 1), value], opset=13, symbolic=(0,))


def test_pad_of_other_forms(check_node):
    check_node("Pad", [data(2, 3)], {"pads": [1, 0, 0, 2], "value": 1.5}, opset=10)
    check_node("Pad", [data(2, 3)], {"pads": [1, 0, 0, 2], "mode": "edge"}, opset=7)
    check_node("Pad", [data(2, 3, 4), ints(1, 2), None, ints(-1)], opset=18, constants=(1, 3))
    check_node("Pad", [data(2, 3, 4), ints(1, 2, 0, -1), None, ints(2, 0)], opset=18, symbolic=(0,))


def test_pad_errors():
    with pytest.raises(CompileError, match="2 axes need 4 pads"):
        PadOp(argument(2, 3), constant(1, 1))
    with pytest.raises(CompileError, match="no elements to pad with"):
        PadOp(argument(2), constant(-2, 3), mode="edge")
    with pytest.raises(CompileError, match="mode 'symmetric'"):
        PadOp(argument(2), constant(1, 1), mode="symmetric")
    with pytest.raises(CompileError, match="negative"):
        PadOp(argument(2), constant(-2, -1))


def test_pad_of_unknown_sizes():
    assert dims_of(PadOp(argument(None, 3), constant(1, 1, 0, 2)).result.type) == (None, 6)
    unknown = argument(2, element=i64)
    assert dims_of(PadOp(argument(2, 3), unknown, None, constant(1)).result.type) == (2, None)
    assert dims_of(PadOp(argument(2, 3), argument(4, element=i64)).result.type) == (None, None)
