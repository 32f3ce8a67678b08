"""RoiAlign: regions of images, pooled to one size."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar

from xdsl.dialects.builtin import FloatAttr, IntegerAttr, StringAttr, TensorType, f32, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, OnnxNode, integer, number, text
from .elementwise import require_float, same_element
from .sampling import computed_itemsize
from .types import Abstract, Array, dims_agree, dims_of, element_type, format_dims, static_dims, tensor

MAX_SAMPLES = 1 << 12
"""The most samples along a side of a bin: a region of that many pixels per bin is no region of an image."""


@irdl_op_definition
class RoiAlignOp(NNOp):
    """The mean (or maximum) of bilinear samples in each bin of a region. ONNX RoiAlign,
    https://onnx.ai/onnx/operators/onnx__RoiAlign.html

    x [N, C, H, W], rois [R, 4] (x1, y1, x2, y2, times `spatial_scale`), batch_indices [R]; result [R, C, output_height,
    output_width]. A bin has sampling_ratio² samples or, with 0, one per pixel. A sample more than one pixel outside is
    0. As in ONNX Runtime, `max` is that of the four weighted pixels of each sample, and regions are at least 1 x 1 with
    output_half_pixel (opset 10's).
    """

    name = "nn.roi_align"
    ONNX: ClassVar = Onnx("RoiAlign", since=10)

    x = operand_def(AnyTensor)
    rois = operand_def(AnyTensor)
    batch_indices = operand_def(AnyTensor)
    coordinate_transformation_mode = prop_def(StringAttr, default_value=StringAttr("half_pixel"))
    mode = prop_def(StringAttr, default_value=StringAttr("avg"))
    output_height = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    output_width = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    sampling_ratio = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    spatial_scale = prop_def(FloatAttr, default_value=FloatAttr(1.0, f32))
    result = result_def(AnyTensor)

    def infer(self, x: Abstract, rois: Abstract, batch_indices: Abstract) -> TensorType[Attribute]:
        """[R, C, output_height, output_width]"""
        require_float(self.name, same_element(self.name, x, rois))
        for name, known in (
            ("mode", ("avg", "max")),
            ("coordinate_transformation_mode", ("half_pixel", "output_half_pixel")),
        ):
            if (value := text(getattr(self, name))) not in known:
                raise CompileError(f"{name} '{value}' of {self.name} is unknown; there are {', '.join(known)}")
        if x.rank != 4 or not dims_agree(rois.dims, (None, 4)):
            raise CompileError(f"{self.name} needs x [N, C, H, W] and rois [R, 4], not {x.type} and {rois.type}")
        if batch_indices.element != i64 or not dims_agree(batch_indices.dims, (rois.dims[0],)):
            raise CompileError(f"batch_indices must be i64, one per region, not {batch_indices.type}")
        if min(integer(self.output_height), integer(self.output_width)) < 1 or integer(self.sampling_ratio) < 0:
            raise CompileError(f"the sizes of {self.name} must be positive and the sampling ratio not negative")
        count = batch_indices.dims[0] if rois.dims[0] is None else rois.dims[0]
        return tensor(x.element, (count, x.dims[1], integer(self.output_height), integer(self.output_width)))

    def working_bytes(self) -> int:
        """The pixels of one sample of every bin, or their weights."""
        regions, channels, *bins = static_dims(dims_of(self.result.type))
        return regions * prod(bins) * max(channels, 1) * computed_itemsize(element_type(self.x.type))

    def evaluate(self, xp: Any, x: Array, rois: Array, batch_indices: Array) -> Array:
        """Each sample of all bins of all regions at once: the maximum of samples per bin is few."""
        if batch_indices.size and bool(((batch_indices < 0) | (batch_indices >= x.shape[0])).any()):
            raise CompileError(
                f"a number of batch_indices is not within the {x.shape[0]} images {format_dims(x.shape)}"
            )
        rows = self.bins(xp, rois, 1, integer(self.output_height))
        columns = self.bins(xp, rois, 0, integer(self.output_width))
        total = xp.zeros((rois.shape[0], integer(self.output_height), integer(self.output_width), x.shape[1]), x.dtype)
        largest, image = text(self.mode) == "max", x.transpose(0, 2, 3, 1)
        if largest:
            total -= xp.inf
        for i in range(self.most(rows[2])):
            for j in range(self.most(columns[2])):
                ys, xs = self.corners(xp, rows, i, x.shape[2]), self.corners(xp, columns, j, x.shape[3])
                counts = (i < rows[2]) & (j < columns[2])
                parts: list[Array] = []
                for y_index, y_weight in ys:
                    for x_index, x_weight in xs:
                        pixels = image[batch_indices[:, None, None], y_index[:, :, None], x_index[:, None, :]]
                        parts.append(pixels * (y_weight[:, :, None] * x_weight[:, None, :])[..., None])
                counted = counts[:, None, None, None]
                if largest:
                    best = xp.maximum(xp.maximum(parts[0], parts[1]), xp.maximum(parts[2], parts[3]))
                    total = xp.where(counted, xp.maximum(total, best), total)
                else:
                    total += xp.where(counted, parts[0] + parts[1] + parts[2] + parts[3], x.dtype.type(0))
        if largest:
            total = xp.where(total == -xp.inf, x.dtype.type(0), total)
        else:
            total /= xp.maximum(rows[2] * columns[2], 1).astype(x.dtype)[:, None, None, None]
        return total.transpose(0, 3, 1, 2)

    def bins(self, xp: Any, rois: Array, axis: int, count: int) -> tuple[Array, Array, Array]:
        """Along an axis: where each bin starts [R, count], its size [R], and its number of samples [R]."""
        half = text(self.coordinate_transformation_mode) == "half_pixel"
        scaled = rois * rois.dtype.type(number(self.spatial_scale)) - rois.dtype.type(0.5 if half else 0)
        start, extent = scaled[:, axis], scaled[:, axis + 2] - scaled[:, axis]
        if not half:
            extent = xp.maximum(extent, rois.dtype.type(1))
        size = extent / rois.dtype.type(count)
        ratio = integer(self.sampling_ratio)
        samples = xp.full(size.shape, ratio, xp.int64) if ratio else xp.ceil(xp.nan_to_num(size)).astype(xp.int64)
        return start[:, None] + xp.arange(count).astype(rois.dtype) * size[:, None], size, samples

    @staticmethod
    def most(samples: Array) -> int:
        """The largest number of samples; raises CompileError where it is not one of an image's."""
        most = int(samples.max()) if samples.size else 0
        if most > MAX_SAMPLES:
            raise CompileError(f"a bin of a region has {most} samples along a side, more than {MAX_SAMPLES}")
        return most

    @staticmethod
    def corners(xp: Any, bins: tuple[Array, Array, Array], sample: int, limit: int) -> list[tuple[Array, Array]]:
        """The two pixels [R, count] around sample number `sample` of each bin of an axis, with their weights."""
        starts, size, samples = bins
        dtype = starts.dtype
        step = size / xp.maximum(samples, 1).astype(dtype)
        place = starts + (dtype.type(sample + 0.5) * step)[:, None]
        inside = (place >= -1) & (place <= limit)
        place = xp.clip(xp.nan_to_num(place), 0, max(limit - 1, 0))
        low = xp.floor(place).astype(xp.int64)
        rest = place - low
        none = dtype.type(0)
        return [
            (low, xp.where(inside, 1 - rest, none).astype(dtype)),
            (xp.minimum(low + 1, max(limit - 1, 0)), xp.where(inside, rest, none).astype(dtype)),
        ]

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """Below opset 16, coordinates are not shifted by half a pixel."""
        if node.opset < 16:
            node.attributes["coordinate_transformation_mode"] = "output_half_pixel"
        return super().import_node(node)
