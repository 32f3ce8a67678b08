"""Sampling grids: GridSample reads an image at a grid's points, AffineGrid makes such a grid."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, StringAttr, TensorType, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, OnnxNode, integer, text
from .elementwise import require_float
from .sampling import INDEX_BYTES, computed_itemsize, cubic_taps, linear_taps, sample
from .shape import as_ints
from .types import Abstract, Array, Dims, dims_agree, dims_of, element_type, format_dims, product, static_dims, tensor

MODES = {"bilinear": "linear", "bicubic": "cubic"}
"""The names of modes in opset 16 -> those of later ones."""


@irdl_op_definition
class GridSampleOp(NNOp):
    """`x` at the points of a grid. ONNX GridSample, https://onnx.ai/onnx/operators/onnx__GridSample.html

    x [N, C, spatial...], grid [N, out..., D] with D coordinates, the last spatial axis first; result [N, C, out...].
    -1 and 1 are the centres of the outermost pixels with `align_corners`, else their outer edges. `mode` linear,
    nearest or cubic; beyond the edges there are zeros, the border, or the image reflected, by `padding_mode`.
    """

    name = "nn.grid_sample"
    ONNX: ClassVar = Onnx("GridSample", since=16)

    x = operand_def(AnyTensor)
    grid = operand_def(AnyTensor)
    align_corners = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    mode = prop_def(StringAttr, default_value=StringAttr("linear"))
    padding_mode = prop_def(StringAttr, default_value=StringAttr("zeros"))
    result = result_def(AnyTensor)

    def infer(self, x: Abstract, grid: Abstract) -> TensorType[Attribute]:
        """[N, C, out...]"""
        require_float(self.name, grid.element)
        for name, known in (
            ("mode", ("linear", "nearest", "cubic")),
            ("padding_mode", ("zeros", "border", "reflection")),
        ):
            if (value := text(getattr(self, name))) not in known:
                raise CompileError(f"{name} '{value}' of {self.name} is unknown; there are {', '.join(known)}")
        spatial = x.rank - 2
        fits = grid.rank == x.rank and dims_agree((grid.dims[0], grid.dims[-1]), (x.dims[0], spatial))
        if spatial < 1 or not fits:
            raise CompileError(f"a grid {format_dims(grid.dims)} does not fit the input {format_dims(x.dims)}")
        return tensor(x.element, (*x.dims[:2], *grid.dims[1:-1]))

    def working_bytes(self) -> int:
        """The pixels of one tap, or their indices, or an image of integers as floats."""
        x, grid = (static_dims(dims_of(v.type)) for v in (self.x, self.grid))
        points = prod(grid[:-1])
        itemsize = max(computed_itemsize(element_type(v.type)) for v in (self.x, self.grid))
        return max(points * max(x[1] * itemsize, INDEX_BYTES), prod(x) * itemsize)

    def evaluate(self, xp: Any, x: Array, grid: Array) -> Array:
        """The sum over the pixels around each point; integers are computed in the type of the grid."""
        mode, element = text(self.mode), x.dtype
        out, spatial = grid.shape[1:-1], x.shape[2:]
        points = grid.reshape(grid.shape[0], -1, len(spatial))
        places = [self.denormalize(points[..., -1 - a], size) for a, size in enumerate(spatial)]
        if mode == "nearest":
            places = [xp.rint(p) for p in places]
        elif element.kind != "f":
            x = x.astype(grid.dtype)
        if mode == "nearest":
            taps = [[(p, None)] for p in places]
        else:
            taps = [(linear_taps if mode == "linear" else cubic_taps)(xp, p) for p in places]
        padded = text(self.padding_mode) != "zeros"
        y = sample(xp, x, taps, (lambda axis, index: self.inward(xp, index, spatial[axis])) if padded else None)
        return y.reshape(*x.shape[:2], *out).astype(element)

    def denormalize(self, points: Array, size: int) -> Array:
        """Coordinates among `size` pixels, from -1 to 1."""
        if integer(self.align_corners):
            return (points + 1) / 2 * (size - 1)
        return ((points + 1) * size - 1) / 2

    def edges(self, size: int) -> tuple[float, float]:
        """Where an axis ends, in pixels."""
        return (0.0, size - 1.0) if integer(self.align_corners) else (-0.5, size - 0.5)

    def inward(self, xp: Any, index: Array, size: int) -> Array:
        """Indices on the border or reflected into the image."""
        if text(self.padding_mode) == "border":
            return xp.clip(index, 0, size - 1)
        low, high = self.edges(size)
        width = high - low
        if width <= 0:
            return xp.zeros_like(index)
        distance = xp.abs(index - low)
        turns = xp.floor(distance / width)
        rest = distance - turns * width
        return xp.where(turns % 2 == 0, low + rest, high - rest)

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """The modes of opset 16 have other names."""
        if (mode := node.attributes.get("mode")) is not None and node.opset < 20:
            node.attributes["mode"] = MODES.get(mode, mode)
        return super().import_node(node)


@irdl_op_definition
class AffineGridOp(NNOp):
    """The grid for GridSample that an affine map makes of the pixels of a result. ONNX AffineGrid,
    https://onnx.ai/onnx/operators/onnx__AffineGrid.html

    theta [N, D, D + 1], size = (N, C, spatial...) with D = 2 or 3 spatial sizes; result [N, spatial..., D].
    """

    name = "nn.affine_grid"
    ONNX: ClassVar = Onnx("AffineGrid", since=20)
    HOST: ClassVar = frozenset({"size"})

    theta = operand_def(AnyTensor)
    size = operand_def(AnyTensor)
    align_corners = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    result = result_def(AnyTensor)

    def infer(self, theta: Abstract, size: Abstract) -> TensorType[Attribute]:
        """[N, spatial..., D]"""
        require_float(self.name, theta.element)
        sizes = size.ints()
        count = product(size.dims) if sizes is None else len(sizes)
        if count is None and theta.rank == 3 and theta.dims[1] is not None:
            count = theta.dims[1] + 2
        if count not in (4, 5):
            raise CompileError(f"size of {self.name} must have 4 or 5 numbers, not {count}")
        batch = None if sizes is None else sizes[0]
        if not dims_agree(theta.dims, (batch, count - 2, count - 1)):
            raise CompileError(
                f"theta {format_dims(theta.dims)} must be {format_dims((batch, count - 2, count - 1))} for that size"
            )
        spatial: Dims = (None,) * (count - 2) if sizes is None else sizes[2:]
        return tensor(theta.element, (theta.dims[0] if batch is None else batch, *spatial, count - 2))

    def evaluate(self, xp: Any, theta: Array, size: Array) -> Array:
        """The pixels' normalised coordinates times theta."""
        spatial = as_ints(size)[2:]
        axes: list[Array] = []
        for n in spatial:
            if integer(self.align_corners):
                axes.append(np.linspace(-1, 1, n) if n > 1 else np.zeros(n))
            else:
                axes.append((2 * np.arange(n) + 1) / n - 1 if n else np.zeros(0))
        mesh = np.meshgrid(*axes, indexing="ij")
        points = np.stack([*(m.reshape(-1) for m in reversed(mesh)), np.ones(mesh[0].size)], axis=-1)
        grid = xp.matmul(xp.asarray(points.astype(theta.dtype)), theta.swapaxes(1, 2))
        return grid.reshape(theta.shape[0], *spatial, len(spatial))
