"""MaxRoiPool: the maxima of the bins of regions of images."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import DenseArrayBase, FloatAttr, TensorType, f32
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, ints, number
from .elementwise import require_float, same_element
from .types import Abstract, Array, dims_agree, format_dims, tensor

FAR = 1 << 30
"""Where coordinates beyond are taken to be: an image has no pixel there."""


@irdl_op_definition
class MaxRoiPoolOp(NNOp):
    """The largest pixel in each bin of a region. ONNX MaxRoiPool, https://onnx.ai/onnx/operators/onnx__MaxRoiPool.html

    x [N, C, H, W], rois [R, 5] (the number of the image, then x1, y1, x2, y2 times `spatial_scale`, rounded; the last
    ones are within); result [R, C, pooled_shape...]. ONNX does not say where bins end: as in ONNX Runtime, they overlap
    where they share a pixel, their size is an f32 number, a region is at least 1 x 1, and a bin outside is 0.
    """

    name = "nn.max_roi_pool"
    ONNX: ClassVar = Onnx("MaxRoiPool", since=1)

    x = operand_def(AnyTensor)
    rois = operand_def(AnyTensor)
    pooled_shape = prop_def(DenseArrayBase)
    spatial_scale = prop_def(FloatAttr, default_value=FloatAttr(1.0, f32))
    result = result_def(AnyTensor)

    def infer(self, x: Abstract, rois: Abstract) -> TensorType[Attribute]:
        """[R, C, pooled_shape...]"""
        require_float(self.name, same_element(self.name, x, rois))
        if x.rank != 4 or not dims_agree(rois.dims, (None, 5)):
            raise CompileError(f"{self.name} needs x [N, C, H, W] and rois [R, 5], not {x.type} and {rois.type}")
        pooled = ints(self.pooled_shape)
        if len(pooled) != 2 or min(pooled) < 1:
            raise CompileError(f"pooled_shape must be two positive sizes, not {list(pooled)}")
        return tensor(x.element, (rois.dims[0], x.dims[1], *pooled))

    def evaluate(self, xp: Any, x: Array, rois: Array) -> Array:
        """Region by region: the maxima of the rows of each bin, and of those the maxima of its columns."""
        height, width = ints(self.pooled_shape)
        result = xp.zeros((rois.shape[0], x.shape[1], height, width), x.dtype)
        for region, (image, left, top, right, bottom) in enumerate(self.places(xp, rois)):
            if not 0 <= image < x.shape[0]:
                raise CompileError(f"image {image} of a region is not within the {format_dims(x.shape)}")
            columns = bins(left, right, width, x.shape[3])
            for i, (y1, y2) in enumerate(bins(top, bottom, height, x.shape[2])):
                if y1 == y2:
                    continue
                row = x[image, :, y1:y2].max(1)
                for j, (x1, x2) in enumerate(columns):
                    if x1 < x2:
                        result[region, :, i, j] = row[:, x1:x2].max(1)
        return result

    def places(self, xp: Any, rois: Array) -> list[list[int]]:
        """The number of the image and the rounded corners of each region; halves are rounded away from 0."""
        corners = rois[:, 1:] * rois.dtype.type(number(self.spatial_scale))
        corners = xp.copysign(xp.floor(xp.abs(corners) + rois.dtype.type(0.5)), corners)
        places = xp.concatenate([xp.trunc(rois[:, :1]), corners], axis=1)
        return xp.clip(xp.nan_to_num(places), -FAR, FAR).astype(np.int64).tolist()


def bins(first: int, last: int, count: int, limit: int) -> list[tuple[int, int]]:
    """Where each of `count` bins of the pixels from `first` to `last` starts and ends, within `limit` pixels."""
    size = np.float32(max(last - first + 1, 1)) / np.float32(count)
    index = np.arange(count + 1, dtype=np.float32)
    starts, ends = np.floor(index[:-1] * size), np.ceil(index[1:] * size)
    starts, ends = (np.clip(e.astype(np.int64) + first, 0, limit).tolist() for e in (starts, ends))
    return list(zip(starts, ends, strict=True))
