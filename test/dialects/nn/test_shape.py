"""Ops on dims and order: Reshape, Flatten, Squeeze, Unsqueeze, Transpose, Expand, Tile, Shape, ConstantOfShape, ..."""

import numpy as np
import onnx
import pytest
from xdsl.dialects.builtin import f32, i64
from xdsl.ir import Block

from nnfuse.dialects.nn.constant import ConstantOp, constant_array
from nnfuse.dialects.nn.layout import ExpandOp, TileOp, TransposeOp
from nnfuse.dialects.nn.reshape import FlattenOp, ReshapeOp, SqueezeOp, UnsqueezeOp
from nnfuse.dialects.nn.shape import ConstantOfShapeOp, ShapeOp, SizeOp
from nnfuse.dialects.nn.types import dims_of, tensor
from nnfuse.errors import CompileError, UnsupportedError
from nnfuse.lowering.onnx_to_nn import import_model
from nnfuse.runtime.session import Session

RANDOM = np.random.default_rng(0)


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


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        (data(2, 3, 4), (6, 4)),
        (data(2, 3, 4), (0, -1)),
        (data(2, 3, 4), (4, 0, -1)),
        (data(2, 3, 4), (-1,)),
        (data(1, 1), ()),
        (data(), (1, 1, 1)),
        (data(0, 3), (0, 3, 1)),
        (data(0, 3), (3, -1)),
        (data(2, 3, 4, dtype=np.float16), (4, 6)),
        (data(2, 3, 4, dtype=np.uint8), (24,)),
    ],
)
@pytest.mark.parametrize("constants", [(), (1,)])
def test_reshape(check_node, x, shape, constants):
    check_node("Reshape", [x, ints(*shape)], opset=13, constants=constants, symbolic=(0,))


def test_reshape_with_allowzero(check_node):
    check_node("Reshape", [data(0, 4), ints(3, 0)], {"allowzero": 1}, opset=14, symbolic=(0,), constants=(1,))


def test_copied_sizes_cancel_before_minus_one(check_node):
    x = data(0, 4, 5)
    check_node("Reshape", [x, ints(0, -1)], constants=(1,), expected=[x.reshape(0, 20)])


@pytest.mark.parametrize(
    ("dims", "shape", "result"),
    [
        ((None, 8, 2), (0, -1), (None, 16)),
        ((None, 8, 2), (-1, 16), (None, 16)),
        ((None, None, 2), (0, 0, 2), (None, None, 2)),
        ((None, 8, 2), (4, -1), (4, None)),
        ((None, 0), (-1, 3), (0, 3)),
        ((0, 3), (-1, 0), (0, 3)),
    ],
)
def test_reshape_of_unknown_sizes(dims, shape, result):
    assert dims_of(ReshapeOp(argument(*dims), constant(*shape)).result.type) == result


@pytest.mark.parametrize(
    ("dims", "shape", "message"),
    [
        ((2, 3), (7,), "2x3 cannot be reshaped to"),
        ((2, 3), (-1, 4), "6 elements do not fit"),
        ((2, 3), (-1, -1), "once -1"),
        ((2, 3), (2, -2), "sizes must be"),
        ((6,), (2, 0), "no dimension 1 to copy"),
        ((0, 3), (0, -1, 0), "no dimension 2 to copy"),
    ],
)
def test_reshape_that_does_not_fit(dims, shape, message):
    with pytest.raises(CompileError, match=message):
        ReshapeOp(argument(*dims), constant(*shape))


@pytest.mark.parametrize("axis", [-3, -1, 0, 1, 2, 3])
def test_flatten(check_node, axis):
    check_node("Flatten", [data(2, 3, 4)], {"axis": axis})


def test_flatten_defaults_and_errors(check_node):
    check_node("Flatten", [data(0, 3, 4)], opset=9)
    assert dims_of(FlattenOp(argument(None, 3, 4), axis=1).result.type) == (None, 12)
    with pytest.raises(CompileError, match="out of range"):
        FlattenOp(argument(2, 3), axis=3)


@pytest.mark.parametrize("axes", [(0,), (-1,), (0, 2), (2, -4)])
@pytest.mark.parametrize("constants", [(), (1,)])
def test_squeeze(check_node, axes, constants):
    check_node("Squeeze", [data(1, 3, 1, 1), ints(*axes)], opset=13, constants=constants, symbolic=(0,))


def test_squeeze_of_old_opsets_and_without_axes(check_node):
    check_node("Squeeze", [data(1, 3, 1)], {"axes": [0, 2]}, opset=11)
    check_node("Squeeze", [data(1, 3, 1)], opset=11, symbolic=())
    check_node("Squeeze", [data(1, 3, 1)], opset=13, symbolic=())


@pytest.mark.parametrize("then", ["", "s = Constant <value_ints=[0, -1]> () y = Reshape(h, s)", "y = Relu(h)"])
def test_squeeze_of_sizes_that_are_not_known(then, ort):
    """They are assumed not to be 1; where one is, the model is imported again for it."""
    body = f"h = Squeeze(x) {then}" if then else "y = Squeeze(x)"
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 17]> g (float[N,3,1] x) => (float y) {{{body}}}'
    )
    model.graph.output[0].type.tensor_type.ClearField("shape")
    session = Session(model)
    for size in (2, 1, 5, 1):
        x = data(size, 3, 1)
        np.testing.assert_array_equal(session.run(None, {"x": x})[0], ort(model, {"x": x})[0])
    (squeeze,) = [op for op in import_model(model).walk() if isinstance(op, SqueezeOp)]
    with pytest.raises(
        UnsupportedError, match=r"^without axes, more dims of 1x3x1 are removed than \[2\] \(ranks must"
    ):
        squeeze.evaluate(np, data(1, 3, 1), np.array([2]))


def test_squeeze_of_a_size_that_data_decide():
    """There is nothing to import again for."""
    text = "g (float[3] x) => (float y) { n = NonZero(x) y = Squeeze(n) }"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {text}')
    model.graph.output[0].type.tensor_type.ClearField("shape")
    session = Session(model)
    assert session.run(None, {"x": np.array([1, 0, 2], np.float32)})[0].tolist() == [0, 2]
    with pytest.raises(UnsupportedError, match=r"^y: without axes, more dims of 1x1 are removed than \[0\]"):
        session.run(None, {"x": np.array([1, 0, 0], np.float32)})


def test_squeeze_errors():
    with pytest.raises(CompileError, match="not all of size 1"):
        SqueezeOp(argument(2, 3), constant(0))
    with pytest.raises(CompileError, match="different axes"):
        SqueezeOp(argument(1, 3), constant(0, -2))
    with pytest.raises(UnsupportedError, match=r"depends on the sizes of \?x3 \(give axes"):
        SqueezeOp(argument(None, 3), None)


@pytest.mark.parametrize("axes", [(0,), (-1,), (3, 0), (1, 2, -1)])
@pytest.mark.parametrize("constants", [(), (1,)])
def test_unsqueeze(check_node, axes, constants):
    check_node("Unsqueeze", [data(3, 4), ints(*axes)], opset=13, constants=constants, symbolic=(0,))


def test_unsqueeze_of_old_opsets(check_node):
    check_node("Unsqueeze", [data(3, 4)], {"axes": [0, 3]}, opset=11)
    with pytest.raises(CompileError, match="different axes"):
        UnsqueezeOp(argument(3, 4), constant(0, -4))


@pytest.mark.parametrize("perm", [None, [0, 1, 2], [2, 0, 1], [0, 2, 1]])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.bool_])
def test_transpose(check_node, perm, dtype):
    check_node("Transpose", [data(2, 3, 4, dtype=dtype)], {} if perm is None else {"perm": perm})


def test_transpose_is_a_view_where_only_ones_move():
    op = TransposeOp(argument(1, 3, 1, 4), perm=[2, 1, 3, 0])
    assert [(v.inner, v.outer, v.offset) for v in op.views()] == [(op.result, op.x, 0)]
    assert TransposeOp(argument(1, 3, 1, 4), perm=[0, 3, 2, 1]).views() == []
    assert TransposeOp(argument(1, None, 4), perm=[1, 0, 2]).views() == []
    with pytest.raises(CompileError, match="not a permutation"):
        TransposeOp(argument(2, 3), perm=[0, 0])


@pytest.mark.parametrize(
    ("dims", "shape"), [((3, 1), (2, 3, 4)), ((3, 1), (1,)), ((2, 3), (1, 1)), ((), (2, 2)), ((1, 0), (3, 1))]
)
@pytest.mark.parametrize("constants", [(), (1,)])
def test_expand(check_node, dims, shape, constants):
    check_node("Expand", [data(*dims), ints(*shape)], constants=constants, symbolic=(0,))


def test_expand_of_unknown_sizes():
    assert dims_of(ExpandOp(argument(None, 3), constant(2, 1, 1)).result.type) == (2, None, 3)
    assert dims_of(ExpandOp(argument(1, 3), argument(2, element=i64)).result.type) == (None, 3)
    with pytest.raises(CompileError, match="do not broadcast"):
        ExpandOp(argument(2, 3), constant(4))


@pytest.mark.parametrize("repeats", [(1, 1), (2, 3), (0, 2)])
@pytest.mark.parametrize("constants", [(), (1,)])
def test_tile(check_node, repeats, constants):
    check_node("Tile", [data(2, 3), ints(*repeats)], constants=constants, symbolic=(0,))


def test_tile_needs_one_number_per_axis():
    with pytest.raises(CompileError, match="do not fit"):
        TileOp(argument(2, 3), constant(2))


@pytest.mark.parametrize("attributes", [{}, {"start": 1}, {"end": -1}, {"start": -2, "end": 9}, {"start": 2, "end": 1}])
def test_shape(check_node, attributes):
    check_node("Shape", [data(2, 3, 4)], attributes, opset=15)


@pytest.mark.parametrize("dims", [(2, 3, 4), (), (0, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.bool_])
def test_size(check_node, dims, dtype):
    (result,) = check_node("Size", [np.zeros(dims, dtype)], opset=7)
    assert result.shape == () and result == np.prod(dims)


def test_size_folds_where_the_sizes_are_known():
    assert SizeOp(argument(None, 3)).fold() is None
    (folded,) = SizeOp(argument(2, 3)).fold()
    assert constant_array(ConstantOp(value=folded, result_types=[tensor(i64, [])]).result) == 6


def test_shape_folds_where_its_own_sizes_are_known():
    def folded(**fields):
        result = ShapeOp(argument(None, 3, 4), **fields).fold()
        if result is None:
            return None
        return constant_array(ConstantOp(value=result[0], result_types=[tensor(i64, [2])]).result)

    assert folded() is None
    assert folded(end=2) is None
    np.testing.assert_array_equal(folded(start=1), [3, 4])


@pytest.mark.parametrize(
    "value",
    [
        None,
        np.array([2.5], np.float32),
        np.array([-3], np.int64),
        np.array([True]),
        np.array([7], np.uint8),
        np.array([np.inf], np.float64),
        np.array([1.5], np.float16),
    ],
)
@pytest.mark.parametrize("constants", [(), (0,)])
def test_constant_of_shape(check_node, value, constants):
    from onnx import numpy_helper

    attributes = {} if value is None else {"value": numpy_helper.from_array(value)}
    check_node("ConstantOfShape", [ints(2, 0, 3)], attributes, opset=20, constants=constants, symbolic=())
    check_node("ConstantOfShape", [ints(2, 3)], attributes, opset=20, constants=constants, symbolic=())


def test_constant_of_shape_errors():
    with pytest.raises(CompileError, match="negative"):
        ConstantOfShapeOp(constant(2, -3))
    with pytest.raises(CompileError, match="unknown length of shape is not supported"):
        ConstantOfShapeOp(argument(None, element=i64))


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_])
def test_identity(check_node, dtype):
    check_node("Identity", [data(2, 3, dtype=dtype)])


@pytest.mark.parametrize("opset", [7, 10, 12, 13, 22])
def test_dropout(check_node, opset):
    check_node("Dropout", [data(2, 3)], {"ratio": 0.3} if opset < 12 else {}, opset=opset)


def test_dropout_with_a_mask(check_node):
    _, mask = check_node("Dropout", [data(2, 3), np.array(0.7, np.float32)], opset=13, outputs=2)
    assert mask.all()


def test_dropout_refuses_training_and_undefined_masks(check_node):
    training = [data(2, 3), np.array(0.5, np.float32), np.array(True)]
    check_node("Dropout", [*training[:2], np.array(False)], opset=13, constants=(1, 2))
    with pytest.raises(UnsupportedError, match="training_mode"):
        check_node("Dropout", training, opset=13, constants=(1, 2))
    with pytest.raises(UnsupportedError, match="training_mode"):
        check_node("Dropout", training, opset=13)
    with pytest.raises(UnsupportedError, match="mask of Dropout"):
        check_node("Dropout", [data(2, 3)], opset=10, outputs=2)
