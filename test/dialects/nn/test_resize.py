"""Resize and Upsample against ONNX Runtime, and where the two differ against the standard's definition."""

import numpy as np
import onnx
import pytest
from xdsl.dialects.builtin import f32, i64
from xdsl.ir import Block

from nnfuse.dialects.nn.constant import ConstantOp
from nnfuse.dialects.nn.resize import ResizeOp
from nnfuse.dialects.nn.types import dims_of, tensor
from nnfuse.errors import CompileError, UnsupportedError
from nnfuse.runtime.session import Session

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(1, 2, 7, 9)).astype(np.float32)

SCALES = [(2, 2), (0.5, 0.5), (1.3, 2.6), (0.6, 0.8), (1 / 3, 5 / 3), (3, 1)]
MODES = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"]

CASES = [
    (coordinates, scales, by)
    for coordinates in MODES
    for scales in SCALES
    for by in ("scales", "sizes")
    if coordinates != "align_corners" or by == "sizes" or scales in ((2, 2), (3, 1))
]
"""Without align_corners by fractional scales, where ONNX Runtime differs: see test_align_corners_by_scales."""


def floats(*values):
    """An f32 operand."""
    return np.array(values, np.float32)


def inputs(scales, by="scales", x=X, roi=None):
    """x, roi, scales, sizes: by these scales, or by the sizes they give."""
    factors = floats(1, 1, *scales)
    if by == "scales":
        return [x, roi, factors]
    return [x, roi, None, np.floor(np.array(x.shape) * factors).astype(np.int64)]


def argument(*dims, element=f32):
    """An SSA value of this type; None is an unknown size."""
    return Block(arg_types=[tensor(element, dims)]).args[0]


def constant(*values, dtype=np.float32):
    """A constant operand."""
    return ConstantOp.of(np.array(values, dtype)).result


@pytest.mark.parametrize(("coordinates", "scales", "by"), CASES)
@pytest.mark.parametrize("nearest", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
def test_nearest(check_node, nearest, coordinates, scales, by):
    attributes = {"nearest_mode": nearest, "coordinate_transformation_mode": coordinates}
    check_node("Resize", inputs(scales, by), attributes, opset=19, constants=(2, 3))


@pytest.mark.parametrize(("coordinates", "scales", "by"), CASES)
@pytest.mark.parametrize(
    "how",
    [
        {"mode": "linear"},
        {"mode": "cubic"},
        {"mode": "cubic", "cubic_coeff_a": -0.5},
        {"mode": "cubic", "exclude_outside": 1},
    ],
)
def test_interpolation(check_node, how, coordinates, scales, by):
    attributes = {"coordinate_transformation_mode": coordinates, **how}
    x = X if how["mode"] == "linear" else X[:, :1]
    check_node("Resize", inputs(scales, by, x), attributes, opset=19, constants=(2, 3))


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("exclude_outside", [0, 1])
def test_antialias(check_node, mode, scales, exclude_outside):
    attributes = {"mode": mode, "antialias": 1, "exclude_outside": exclude_outside}
    check_node("Resize", inputs(scales), attributes, opset=18, constants=(2,))


@pytest.mark.parametrize("scales", [(2, 2), (0.6, 0.8), (1 / 7, 1 / 9)])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_crop_and_resize(check_node, mode, scales):
    roi = floats(0, 0, 0.1, 0.2, 1, 1, 1.1, 0.9)
    attributes = {"mode": mode, "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 7.5}
    check_node("Resize", inputs(scales, "scales", X[:, :1], roi), attributes, opset=13, constants=(1, 2))


def test_crop_without_a_change_of_size(check_node):
    """ONNX Runtime leaves such an axis alone; the standard crops it."""
    x = np.arange(5, dtype=np.float32)
    attributes = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}
    (y,) = check_node("Resize", [x, floats(0.5, 1), floats(1)], attributes, against_ort=False, constants=(1, 2))
    np.testing.assert_allclose(y, [2, 2.5, 3, 3.5, 4])


def test_align_corners_by_scales(check_node):
    """The resized length is scale * size, a fraction, as in the standard's own tests (ONNX Runtime rounds it)."""
    attributes = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
    x = floats(1, 2, 3, 4)
    (y,) = check_node("Resize", [x, None, floats(0.6)], attributes, against_ort=False, constants=(2,))
    np.testing.assert_allclose(y, [1, 1 + 3 / (2.4 - 1)], rtol=1e-6)


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller", "stretch"])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_keep_aspect_ratio(check_node, policy, mode):
    sizes = np.array([6, 12], np.int64)
    attributes = {"keep_aspect_ratio_policy": policy, "axes": [2, 3], "mode": mode}
    check_node("Resize", [X, None, None, sizes], attributes, opset=18, constants=(3,))


def test_axes_in_their_own_order(check_node):
    expected = check_node("Resize", inputs((2, 0.5)), {"mode": "linear"}, constants=(2,))
    attributes = {"mode": "linear", "axes": [3, -2]}
    check_node("Resize", [X, None, floats(0.5, 2)], attributes, constants=(2,), against_ort=False, expected=expected)


def test_operands_that_are_not_constant(check_node):
    check_node("Resize", [X, None, floats(1, 1, 2, 2)], symbolic=(0,))
    check_node("Resize", [X, None, None, np.array([1, 2, 5, 5])], symbolic=(0,))


def test_nothing_is_resized_to_nothing(check_node):
    check_node("Resize", [X, None, floats(1, 1, 0.1, 2)], {"mode": "linear"}, constants=(2,), against_ort=False)
    with pytest.raises(CompileError, match="no elements to resize"):
        ResizeOp(argument(2, 0), None, None, constant(2, 3, dtype=np.int64))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float16])
def test_other_types_to_the_nearest(check_node, dtype):
    x = RANDOM.integers(0, 255, (1, 1, 5, 6)).astype(dtype)
    check_node("Resize", inputs((1.3, 0.6), "scales", x), opset=19, constants=(2,))


def test_integers_are_rounded_and_saturate(check_node):
    x = np.array([0, 255, 255, 0], np.uint8)
    y = check_node("Resize", [x, None, floats(3)], {"mode": "cubic"}, against_ort=False, constants=(2,))[0]
    wide = check_node("Resize", [x.astype(np.float32), None, floats(3)], {"mode": "cubic"}, against_ort=False)[0]
    assert wide.max() > 255 and wide.min() < 0
    np.testing.assert_array_equal(y, np.clip(np.rint(wide), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("by", ["scales", "sizes"])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_opset_11_has_empty_operands(check_node, mode, by):
    """tf_half_pixel_for_nn was removed in opset 13."""
    given = [np.zeros(0, np.float32) if v is None else v for v in inputs((2, 3), by)]
    for coordinates in ("tf_half_pixel_for_nn", "half_pixel"):
        attributes = {"coordinate_transformation_mode": coordinates, "mode": mode}
        check_node("Resize", given, attributes, opset=11, constants=(1, 2, 3))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("scales", [(2, 3), (1.3, 1.7), (0.6, 0.5), (1, 0.3)])
def test_opset_10(check_node, mode, scales):
    check_node("Resize", [X, floats(1, 1, *scales)], {"mode": mode}, opset=10, constants=(1,))


def test_opset_10_refuses_what_it_does_not_define(check_node):
    for given in ([X, floats(1, 1, 0.5, 2)], [X, floats(1, 1, 2, 2)]):
        constants = (1,) if given[1][2] < 1 else ()
        with pytest.raises(UnsupportedError, match="opset 10 to the nearest pixel"):
            check_node("Resize", given, opset=10, constants=constants, symbolic=(0,))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_upsample(check_node, mode):
    scales = [1.0, 1.0, 1.3, 2.0]
    check_node("Upsample", [X], {"mode": mode, "scales": scales}, opset=7)
    check_node("Upsample", [X, floats(*scales)], {"mode": mode}, opset=9, symbolic=(0,))
    check_node("Upsample", [X, floats(*scales)], {"mode": mode}, opset=9, constants=(1,))


@pytest.mark.parametrize(
    ("fields", "operands", "message"),
    [
        ({}, (None, None), "either scales or sizes"),
        ({}, (constant(2, 2), constant(4, 4, dtype=np.int64)), "either scales or sizes"),
        ({}, (constant(2), None), "do not fit 2 axes"),
        ({}, (constant(2, 0), None), "cannot be the scales"),
        ({"mode": "area"}, (constant(2, 2), None), "mode 'area'"),
        ({"nearest_mode": "up"}, (constant(2, 2), None), "nearest_mode 'up'"),
        ({"coordinate_transformation_mode": "tf_crop_and_resize"}, (constant(2, 2), None), "needs a roi"),
    ],
)
def test_errors(fields, operands, message):
    with pytest.raises(CompileError, match=message):
        ResizeOp(argument(2, 3), None, *operands, **fields)


def test_unknown_sizes():
    assert dims_of(ResizeOp(argument(None, 3), None, constant(2, 2)).result.type) == (None, 6)
    assert dims_of(ResizeOp(argument(None, 3), None, None, constant(4, 5, dtype=np.int64)).result.type) == (4, 5)
    unknown = argument(1, element=i64)
    assert dims_of(ResizeOp(argument(2, 3), None, None, unknown, axes=[1]).result.type) == (2, None)
    kept = ResizeOp(
        argument(None, 4), None, None, constant(4, 8, dtype=np.int64), keep_aspect_ratio_policy="not_larger"
    )
    assert dims_of(kept.result.type) == (None, None)


@pytest.mark.parametrize(("value", "expected"), [(-3.0, 0), (2.5, 2), (300.0, 255), (float("inf"), 255)])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_what_is_outside_of_integers_saturates(mode: str, value: float, expected: int) -> None:
    """As what is interpolated does, and with a kernel for the bits of what is not."""
    model = onnx.parser.parse_model(
        f"""<ir_version: 9, opset_import: ["" : 19]> g (uint8[3] x) => (uint8[3] y)
        <float[2] roi = {{0.0, 2.0}}, float[1] scales = {{1.0}}> {{
          y = Resize <coordinate_transformation_mode="tf_crop_and_resize", mode="{mode}"> (x, roi, scales)
        }}"""
    )
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("extrapolation_value", value))
    (y,) = Session(model).run(None, {"x": np.array([1, 2, 3], np.uint8)})
    assert y.tolist() == [1, 3, expected]
