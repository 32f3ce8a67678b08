"""GridSample AffineGrid RoiAlign MaxRoiPool NonMaxSuppression DeformConv against ONNX Runtime and their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import f32, i64
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.deform_conv import DeformConvOp
from nnfuse.dialects.nn.grid import AffineGridOp, GridSampleOp
from nnfuse.dialects.nn.max_roi_pool import MaxRoiPoolOp
from nnfuse.dialects.nn.non_max_suppression import NonMaxSuppressionOp
from nnfuse.dialects.nn.roi_align import RoiAlignOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.errors import CompileError

RNG = np.random.default_rng(12)


def normal(*shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_grid_sample_of_opset_16(check_node, mode, align, padding):
    grid = RNG.uniform(-1.6, 1.6, (2, 6, 7, 2)).astype(np.float32)
    fields = {"mode": mode, "align_corners": align, "padding_mode": padding}
    check_node("GridSample", [normal(2, 3, 5, 4), grid], fields, opset=16)


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_grid_sample_in_space(check_node, mode, align, padding):
    grid = RNG.uniform(-1.6, 1.6, (2, 3, 4, 5, 3)).astype(np.float32)
    fields = {"mode": mode, "align_corners": align, "padding_mode": padding}
    check_node("GridSample", [normal(2, 3, 3, 5, 4), grid], fields, opset=20)


def test_grid_sample_at_the_pixels_is_the_image(check_node):
    x = normal(1, 2, 3, 4)
    ys, xs = np.meshgrid(np.linspace(-1, 1, 3), np.linspace(-1, 1, 4), indexing="ij")
    grid = np.stack([xs, ys], axis=-1)[None].astype(np.float32)
    for mode in ("linear", "nearest", "cubic"):
        check_node("GridSample", [x, grid], {"mode": mode, "align_corners": 1}, opset=20, expected=[x])


def test_grid_sample_far_away(check_node):
    grid = np.array([[[[1e30, 0], [np.nan, 0], [-np.inf, np.inf]]]], np.float32)
    results = check_node("GridSample", [normal(1, 1, 3, 3), grid], {"mode": "nearest"}, opset=20, against_ort=False)
    assert not results[0].any()


@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("spatial", [(3, 4), (1, 5), (2, 3, 4)])
@pytest.mark.parametrize("constants", [(), (1,)])
def test_affine_grid(check_node, align, spatial, constants):
    rank = len(spatial)
    theta, size = normal(2, rank, rank + 1), np.array([2, 3, *spatial], np.int64)
    expected = np.zeros((2, *spatial, rank))
    for place in np.ndindex(*spatial):
        point = [
            (0 if n == 1 else 2 * i / (n - 1) - 1) if align else (2 * i + 1) / n - 1
            for i, n in zip(place, spatial, strict=True)
        ]
        expected[(slice(None), *place)] = theta.astype(np.float64) @ np.array([*point[::-1], 1])
    fields, symbolic = {"align_corners": align}, [] if constants else [1]
    check_node(
        "AffineGrid",
        [theta, size],
        fields,
        opset=20,
        constants=constants,
        symbolic=symbolic,
        expected=[expected.astype(np.float32)],
    )


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("ratio", [0, 1, 2])
@pytest.mark.parametrize("coordinates", ["half_pixel", "output_half_pixel", None])
def test_roi_align(check_node, mode, ratio, coordinates):
    rois = np.array([[1, 2, 9, 8], [0, 0, 3, 3], [-3, -2, 4, 20], [5, 5, 5.5, 5.2], [0, 0, 15, 15]], np.float32)
    fields = {"mode": mode, "sampling_ratio": ratio, "output_height": 3, "output_width": 2, "spatial_scale": 0.7}
    if coordinates is not None:
        fields["coordinate_transformation_mode"] = coordinates
    x = np.abs(normal(2, 3, 8, 9))
    inputs = [x, rois, np.array([0, 1, 0, 1, 1], np.int64)]
    check_node("RoiAlign", inputs, fields, opset=10 if coordinates is None else 16)


@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize("pooled", [[3, 2], [1, 1], [5, 4]])
def test_max_roi_pool(check_node, scale, pooled):
    """Regions within, of one pixel, with corners between pixels or the wrong way round, partly and wholly outside."""
    corners = [[1, 2, 6, 7], [3, 3, 3, 3], [1.4, 0.6, 4.6, 6.4], [5, 6, 2, 1], [-4, -2, 3, 20], [30, 30, 40, 40]]
    rois = np.array([[i % 2, *c] for i, c in enumerate(corners)], np.float32)
    rois[:, 1:] /= np.float32(scale)
    fields = {"pooled_shape": pooled, "spatial_scale": scale}
    (result,) = check_node("MaxRoiPool", [normal(2, 3, 8, 9) - 3, rois], fields, opset=13)
    assert not result[5].any() and result[:4].all()


def test_max_roi_pool_of_halves(check_node):
    """Corners of .5 are rounded away from 0, and f16 has no other regions than f32."""
    x, rois = normal(1, 2, 6, 6), np.array([[0, 0.5, 1.5, 2.5, 4.5], [0, -0.5, -1.5, 3.5, 2.5]], np.float32)
    (wide,) = check_node("MaxRoiPool", [x, rois], {"pooled_shape": [2, 2]}, opset=13)
    np.testing.assert_array_equal(wide[0, :, 0, 0], x[0, :, 2:4, 1:3].max((1, 2)))
    np.testing.assert_array_equal(wide[1, :, 1, 1], x[0, :, 1:4, 2:5].max((1, 2)))
    x, rois = x.astype(np.float16), rois.astype(np.float16)
    fields = {"pooled_shape": [2, 2]}
    check_node("MaxRoiPool", [x, rois], fields, opset=13, expected=[wide.astype(np.float16)], against_ort=False)


def test_max_roi_pool_of_another_image(check_node):
    with pytest.raises(CompileError, match="node: image 1 of a region is not within the 1x1x4x4"):
        check_node(
            "MaxRoiPool",
            [normal(1, 1, 4, 4), np.array([[1, 0, 0, 1, 1]], np.float32)],
            {"pooled_shape": [1, 1]},
            opset=13,
        )


def test_roi_align_refusals_at_run_time(check_node):
    x, rois = normal(1, 1, 4, 4), np.array([[0, 0, 1e9, 1]], np.float32)
    with pytest.raises(CompileError, match="node: a number of batch_indices is not within the 1 images"):
        check_node("RoiAlign", [x, rois, np.array([1])], opset=16)
    with pytest.raises(CompileError, match="node: a bin of a region has 1000000000 samples along a side"):
        check_node("RoiAlign", [x, rois, np.array([0])], opset=16)


@pytest.mark.parametrize("center", [0, 1])
@pytest.mark.parametrize("limit", [0, 2, 20])
@pytest.mark.parametrize("threshold", [None, 0.2, 0.6])
@pytest.mark.parametrize("least", [None, 0.4])
def test_non_max_suppression(check_node, center, limit, threshold, least):
    corners = RNG.uniform(0, 10, (2, 30, 4)).astype(np.float32)
    inputs = [corners, RNG.uniform(0, 1, (2, 3, 30)).astype(np.float32), np.array([limit], np.int64)]
    inputs += [None if v is None else np.array([v], np.float32) for v in (threshold, least)]
    while inputs[-1] is None:
        inputs.pop()
    (found,) = check_node("NonMaxSuppression", inputs, {"center_point_box": center}, opset=11)
    assert len(found) <= limit * 6 and (limit == 0) == (len(found) == 0)


def test_non_max_suppression_of_equal_and_empty_boxes(check_node):
    boxes = np.array([[[0, 0, 1, 1], [1, 1, 0, 0], [2, 2, 2, 2], [2, 2, 2, 2], [0, 0, 1, 0.5]]], np.float32)
    scores = np.array([[[0.5, 0.5, 0.9, 0.9, 0.1]]], np.float32)
    limits = [np.array([9], np.int64), np.array([0.5], np.float32)]
    check_node("NonMaxSuppression", [boxes, scores, *limits], opset=11)
    check_node("NonMaxSuppression", [boxes[:, :0], scores[..., :0], *limits], opset=11, against_ort=False)


@pytest.mark.parametrize("groups", [(1, 1), (2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("fields", [{}, {"strides": [2, 1], "pads": [1, 0, 1, 2]}, {"dilations": [2, 1]}])
@pytest.mark.parametrize("optional", [False, True])
def test_deform_conv(check_node, groups, fields, optional):
    group, offset_group = groups
    x, w = normal(2, 4, 6, 5), normal(6, 4 // group, 2, 3)
    strides, dilations = fields.get("strides", [1, 1]), fields.get("dilations", [1, 1])
    pads = fields.get("pads", [0] * 4)
    out = [
        (x.shape[2 + a] + pads[a] + pads[2 + a] - dilations[a] * (k - 1) - 1) // strides[a] + 1
        for a, k in ((0, 2), (1, 3))
    ]
    offset, bias = normal(2, offset_group * 12, *out), normal(6)
    mask = RNG.uniform(0, 1, (2, offset_group * 6, *out)).astype(np.float32)
    y = np.zeros((2, 6, *out))
    for n, k, i, j in np.ndindex(*y.shape):
        for c in range(4 // group):
            channel = k // (6 // group) * (4 // group) + c
            first = channel // (4 // offset_group) * 6
            for place, (a, b) in enumerate(np.ndindex(2, 3)):
                row = i * strides[0] - pads[0] + a * dilations[0] + offset[n, 2 * (first + place), i, j]
                column = j * strides[1] - pads[1] + b * dilations[1] + offset[n, 2 * (first + place) + 1, i, j]
                seen = bilinear(x[n, channel], float(row), float(column))
                y[n, k, i, j] += w[k, c, a, b] * seen * (mask[n, first + place, i, j] if optional else 1)
    if optional:
        y += bias[:, None, None]
    inputs = [x, w, offset, *([bias, mask] if optional else [])]
    fields = {**fields, "group": group, "offset_group": offset_group, "kernel_shape": [2, 3]}
    check_node("DeformConv", inputs, fields, opset=19, expected=[y.astype(np.float32)])


def bilinear(image, row, column):
    """An image between its pixels, 0 outside."""
    total = 0.0
    for r in (int(np.floor(row)), int(np.floor(row)) + 1):
        for c in (int(np.floor(column)), int(np.floor(column)) + 1):
            if 0 <= r < image.shape[0] and 0 <= c < image.shape[1]:
                total += image[r, c] * (1 - abs(row - r)) * (1 - abs(column - c))
    return total


def value(*dims, element=f32):
    return create_ssa_value(tensor(element, dims))


X, BOXES, SCORES = value(1, 2, 4, 4), value(1, 5, 4), value(1, 3, 5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GridSampleOp(X, value(1, 3, 3, 3)), "a grid 1x3x3x3 does not fit the input 1x2x4x4"),
        (lambda: GridSampleOp(X, value(1, 3, 3, 2), mode="bilinear"), "mode 'bilinear' of nn.grid_sample is unknown"),
        (lambda: AffineGridOp(value(1, 2, 2), value(4, element=i64)), r"theta 1x2x2 must be \?x2x3 for that size"),
        (lambda: AffineGridOp(value(1, 2, 3), value(3, element=i64)), "must have 4 or 5 numbers, not 3"),
        (lambda: RoiAlignOp(X, value(3, 5), value(3, element=i64)), r"rois \[R, 4\]"),
        (lambda: RoiAlignOp(X, value(3, 4), value(2, element=i64)), "one per region, not tensor<2xi64>"),
        (lambda: MaxRoiPoolOp(X, value(3, 4), pooled_shape=[1, 1]), r"rois \[R, 5\]"),
        (lambda: MaxRoiPoolOp(X, value(3, 5), pooled_shape=[1, 0]), r"two positive sizes, not \[1, 0\]"),
        (lambda: NonMaxSuppressionOp(BOXES, value(1, 3, 4)), "boxes 1x5x4 do not fit scores 1x3x4"),
        (lambda: NonMaxSuppressionOp(BOXES, SCORES, value(2, element=i64)), "must be one number each"),
        (lambda: DeformConvOp(X, value(3, 2, 2, 2), value(1, 8, 4, 4)), "offset is 1x8x4x4 where 1x8x3x3 is needed"),
        (lambda: DeformConvOp(X, value(3, 1, 2, 2), value(1, 8, 3, 3)), "does not fit filters 3x1x2x2"),
    ],
)
def test_operands_that_do_not_fit(build, message):
    with pytest.raises(CompileError, match=message):
        build()
