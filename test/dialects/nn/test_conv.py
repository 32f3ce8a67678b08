"""nn.conv and nn.conv_transpose against ONNX Runtime, and what they refuse."""

import numpy as np
import pytest
from xdsl.dialects.builtin import f32, i64
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn import NN  # noqa: F401 (registers the activations)
from nnfuse.dialects.nn.activation import ActivationAttr
from nnfuse.dialects.nn.conv import ConvOp, ConvTransposeOp
from nnfuse.dialects.nn.types import dims_of, tensor
from nnfuse.errors import CompileError

RNG = np.random.default_rng(0)
SPATIAL = {1: (9,), 2: (9, 8), 3: (6, 5, 7)}


def random(*shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


def value(*dims, element=f32):
    return create_ssa_value(tensor(element, dims))


GEOMETRIES = [
    {},
    {"strides": 2},
    {"dilations": 2},
    {"pads": "same"},
    {"pads": "asymmetric"},
    {"strides": 3, "dilations": 2, "pads": "asymmetric"},
    {"auto_pad": "SAME_UPPER"},
    {"auto_pad": "SAME_LOWER"},
    {"auto_pad": "SAME_UPPER", "strides": 2},
    {"auto_pad": "SAME_LOWER", "strides": 2},
    {"auto_pad": "VALID", "strides": 2},
]


def attributes(rank, geometry):
    result = dict(geometry)
    for name in ("strides", "dilations", "output_padding"):
        if name in result:
            result[name] = [result[name]] * rank
    if result.get("pads") == "same":
        result["pads"] = [1] * (2 * rank)
    elif result.get("pads") == "asymmetric":
        result["pads"] = [*range(rank), *range(1, rank + 1)]
    return result


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_conv(check_node, rank, geometry):
    kernel = (3, 2, 2)[:rank]
    attrs = attributes(rank, geometry)
    check_node("Conv", [random(2, 4, *SPATIAL[rank]), random(5, 4, *kernel), random(5)], attrs)
    grouped = [random(2, 4, *SPATIAL[rank]), random(6, 2, *kernel)]
    check_node("Conv", grouped, attrs | {"group": 2, "kernel_shape": list(kernel)}, constants=[1])


@pytest.mark.parametrize("opset", [7, 11, 22])
@pytest.mark.parametrize("multiplier", [1, 3])
def test_conv_depthwise(check_node, opset, multiplier):
    attrs = {"group": 4, "pads": [1, 1, 1, 1]}
    check_node("Conv", [random(1, 4, 5, 5), random(4 * multiplier, 1, 3, 3)], attrs, opset=opset)


def test_conv_of_no_images(check_node):
    (y,) = check_node("Conv", [random(0, 3, 5, 5), random(2, 3, 3, 3), random(2)])
    assert y.shape == (0, 2, 3, 3)


def test_conv_of_padding_only(check_node):
    check_node("Conv", [random(1, 2, 0, 3), random(2, 2, 3, 3), random(2)], {"pads": [2, 1, 2, 1]}, against_ort=False)


def test_conv_of_the_whole_image(check_node):
    check_node("Conv", [random(3, 2, 4, 5), random(3, 2, 4, 5)])


def test_conv_adds_residual_before_activation():
    x, w, bias, residual = random(2, 3, 5, 5), random(4, 3, 3, 3), random(4), random(2, 4, 3, 3)
    op = ConvOp(*(value(*a.shape) for a in (x, w, bias, residual)), activation=ActivationAttr.of("relu"))
    op.verify()
    plain = ConvOp(value(*x.shape), value(*w.shape), value(*bias.shape))
    (expected,) = plain.compute(np, [x, w, bias])
    (y,) = op.compute(np, [x, w, bias, residual])
    np.testing.assert_array_equal(y, np.maximum(expected + residual, 0))
    assert (y == 0).any() and (y > 0).any()


def test_conv_propagates_nan():
    x = np.zeros((1, 1, 3, 3), np.float32)
    x[0, 0, 0, 0] = np.nan
    op = ConvOp(value(1, 1, 3, 3), value(1, 1, 2, 2), activation=ActivationAttr.of("relu"))
    (y,) = op.compute(np, [x, np.ones((1, 1, 2, 2), np.float32)])
    np.testing.assert_array_equal(np.isnan(y[0, 0]), [[True, False], [False, False]])


@pytest.mark.parametrize(
    ("x", "w", "fields", "dims"),
    [
        ((None, 3, 8, 8), (4, 3, 3, 3), {}, (None, 4, 6, 6)),
        ((None, None, None, 8), (4, 3, 3, 3), {"pads": [1] * 4}, (None, 4, None, 8)),
        ((1, 3, None, None), (4, 3, 3, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (1, 4, None, None)),
        ((1, 3, 8, 8), (None, 3, None, 3), {}, (1, None, None, None)),
        ((1, 3, 8, 8), (None, 3, None, 3), {"kernel_shape": [3, 3]}, (1, None, 6, 6)),
    ],
)
def test_conv_infers_unknown_sizes(x, w, fields, dims):
    assert dims_of(ConvOp(value(*x), value(*w), **fields).result.type) == dims


@pytest.mark.parametrize(
    ("operands", "fields", "message"),
    [
        ([(1, 3, 8, 8), (4, 2, 3, 3)], {}, "has 3 channels"),
        ([(1, 3, 8, 8), (4, 3, 3)], {}, "one rank"),
        ([(1, 3), (4, 3)], {}, "one rank"),
        ([(1, 4, 8, 8), (5, 2, 3, 3)], {"group": 2}, "do not split"),
        ([(1, 4, 8, 8), (5, 2, 3, 3)], {"group": 0}, "do not split"),
        ([(1, 3, 8, 8), (4, 3, 3, 3), (3,)], {}, "bias 3 does not fit"),
        ([(1, 3, 8, 8), (4, 3, 3, 3), None, (2, 4, 6, 6)], {}, "residual 2x4x6x6 does not fit"),
        ([(1, 3, 2, 8), (4, 3, 3, 3)], {}, "a window of 3 does not fit the padded size 2 of axis 2"),
        ([(1, 3, 8, 8), (4, 3, 3, 3)], {"strides": [2]}, "do not fit 2 spatial dims"),
        ([(1, 3, 8, 8), (4, 3, 3, 3)], {"strides": [0, 1]}, "must be positive"),
        ([(1, 3, 8, 8), (4, 3, 3, 3)], {"pads": [-1, 0, 0, 0]}, "not negative"),
        ([(1, 3, 8, 8), (4, 3, 3, 3)], {"auto_pad": "SAME"}, "auto_pad 'SAME' is unknown"),
        ([(1, 3, 8, 8), (4, 3, 3, 3)], {"kernel_shape": [3, 2]}, "kernel_shape"),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_conv_refuses(operands, fields, message):
    with pytest.raises(CompileError, match=message):
        ConvOp(*(None if dims is None else value(*dims) for dims in operands), **fields)


def test_conv_refuses_other_element_types():
    with pytest.raises(CompileError, match="float type"):
        ConvOp(value(1, 3, 8, 8, element=i64), value(4, 3, 3, 3, element=i64))
    with pytest.raises(CompileError, match="one element type"):
        ConvOp(value(1, 3, 8, 8), value(4, 3, 3, 3, element=i64))


TRANSPOSES = [
    {},
    {"strides": 2},
    {"dilations": 2},
    {"strides": 3, "output_padding": 2},
    {"strides": 2, "pads": "same"},
    {"strides": 2, "dilations": 2, "pads": "asymmetric"},
    {"strides": 2, "pads": "asymmetric", "output_padding": 1},
    {"strides": 2, "auto_pad": "SAME_UPPER"},
    {"strides": 2, "auto_pad": "SAME_LOWER"},
    {"strides": 2, "auto_pad": "SAME_UPPER", "output_padding": 1},
    {"strides": 4, "auto_pad": "SAME_LOWER"},
    {"strides": 2, "auto_pad": "VALID"},
]


@pytest.mark.parametrize("geometry", TRANSPOSES, ids=str)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_conv_transpose(check_node, rank, geometry):
    kernel, spatial = (3, 2, 2)[:rank], (4, 5, 3)[:rank]
    attrs = attributes(rank, geometry)
    check_node("ConvTranspose", [random(2, 4, *spatial), random(4, 5, *kernel), random(5)], attrs)
    grouped = [random(2, 4, *spatial), random(4, 3, *kernel)]
    check_node("ConvTranspose", grouped, attrs | {"group": 2, "kernel_shape": list(kernel)})


@pytest.mark.parametrize("auto_pad", ["NOTSET", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("shape", [[10, 8], [9, 7], [8, 7], [7, 6]])
def test_conv_transpose_output_shape(check_node, auto_pad, shape):
    attrs = {"strides": [3, 2], "output_shape": shape, "auto_pad": auto_pad}
    check_node("ConvTranspose", [random(1, 1, 3, 3), random(1, 2, 3, 3), random(2)], attrs)


def test_conv_transpose_output_shape_ignores_pads(check_node):
    attrs = {"strides": [2], "output_shape": [9], "pads": [2, 2]}
    check_node("ConvTranspose", [random(1, 1, 5), random(1, 2, 3)], attrs)


def test_conv_transpose_is_the_adjoint_of_conv():
    """<conv(x, w), y> = <x, conv_transpose(y, w)>"""
    x, w, y = random(2, 4, 9, 8), random(6, 2, 3, 2), random(2, 6, 4, 4)
    fields = {"strides": [2, 2], "pads": [1, 0, 0, 1], "dilations": [1, 2], "group": 2}
    conv = ConvOp(value(*x.shape), value(*w.shape), **fields)
    (forward,) = conv.compute(np, [x.astype(np.float64), w.astype(np.float64)])
    assert forward.shape == y.shape
    transpose = ConvTransposeOp(value(*y.shape), value(*w.shape), output_padding=[1, 0], **fields)
    (back,) = transpose.compute(np, [y.astype(np.float64), w.astype(np.float64)])
    assert back.shape == x.shape
    np.testing.assert_allclose(np.vdot(forward, y), np.vdot(x, back), rtol=1e-12)


def test_conv_transpose_of_no_images(check_node):
    (y,) = check_node("ConvTranspose", [random(0, 3, 5, 5), random(3, 2, 3, 3), random(2)], against_ort=False)
    assert y.shape == (0, 2, 7, 7)


def test_conv_transpose_applies_its_activation():
    x, w = random(1, 2, 3), random(2, 3, 2)
    op = ConvTransposeOp(value(1, 2, 3), value(2, 3, 2), activation=ActivationAttr.of("relu"))
    (y,) = op.compute(np, [x, w])
    (plain,) = ConvTransposeOp(value(1, 2, 3), value(2, 3, 2)).compute(np, [x, w])
    assert (plain < 0).any()
    np.testing.assert_array_equal(y, np.maximum(plain, 0))


@pytest.mark.parametrize(
    ("operands", "fields", "message"),
    [
        ([(1, 3, 8), (2, 4, 3)], {}, "has 3 channels"),
        ([(1, 3, 8), (3, 4, 3)], {"group": 2}, "do not split"),
        ([(1, 4, 8), (4, 3, 3), (3,)], {"group": 2}, "bias 3 does not fit 6 filters"),
        ([(1, 4, 8), (4, 3, 3)], {"output_padding": [1]}, "must be less than"),
        ([(1, 4, 8), (4, 3, 3)], {"output_padding": [0, 0]}, "must have 1 sizes"),
        ([(1, 4, 8), (4, 3, 3)], {"output_shape": [1, 3, 9]}, "must have 1 sizes"),
        ([(1, 4, 1), (4, 3, 3)], {"pads": [2, 2]}, "negative"),
        ([(1, 4, 8), (4, 3, 3)], {"auto_pad": "SAME"}, "auto_pad 'SAME' is unknown"),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_conv_transpose_refuses(operands, fields, message):
    with pytest.raises(CompileError, match=message):
        ConvTransposeOp(*(value(*dims) for dims in operands), **fields)
