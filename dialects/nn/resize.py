"""Resize: resampling by interpolation, one axis after another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import DenseArrayBase, FloatAttr, IntegerAttr, StringAttr, TensorType, f32, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
)

from ...errors import CompileError, UnsupportedError
from .base import AnyTensor, NNOp, Onnx, OnnxNode, integer, ints, number, text
from .constant import constant_array
from .interpolation import COORDINATES, NEAREST, Axis, Resampling, coordinates, cubic, nearest, taps, triangle
from .shape import as_ints, normalize_axes
from .types import Abstract, Array, Dims, dims_of, format_dims, product, static_dims, tensor

POLICIES = {"not_larger": min, "not_smaller": max}


@irdl_op_definition
class ResizeOp(NNOp):
    """`x` resampled along `axes` (all by default) by `scales`, or to `sizes`. One of the two is given.

    ONNX Resize, https://onnx.ai/onnx/operators/onnx__Resize.html, and Upsample. `roi` (starts, then ends, as parts of
    each axis) counts for tf_crop_and_resize only. Integers are rounded to the nearest, and saturate.
    """

    name = "nn.resize"
    ONNX: ClassVar = Onnx("Resize", since=10, older=("Upsample",))
    HOST: ClassVar = frozenset({"roi", "scales", "sizes"})

    x = operand_def(AnyTensor)
    roi = opt_operand_def(AnyTensor)
    scales = opt_operand_def(AnyTensor)
    sizes = opt_operand_def(AnyTensor)
    mode = prop_def(StringAttr, default_value=StringAttr("nearest"))
    coordinate_transformation_mode = prop_def(StringAttr, default_value=StringAttr("half_pixel"))
    nearest_mode = prop_def(StringAttr, default_value=StringAttr("round_prefer_floor"))
    cubic_coeff_a = prop_def(FloatAttr, default_value=FloatAttr(-0.75, f32))
    exclude_outside = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    extrapolation_value = prop_def(FloatAttr, default_value=FloatAttr(0.0, f32))
    antialias = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    axes = opt_prop_def(DenseArrayBase)
    keep_aspect_ratio_policy = prop_def(StringAttr, default_value=StringAttr("stretch"))
    result = result_def(AnyTensor)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def writes_rows_apart(self) -> bool:
        """Yes."""
        return True

    def reads_rows_apart(self, operand: int) -> bool:
        """Those of `x`."""
        return operand == 0

    def resized(self, rank: int) -> tuple[int, ...]:
        """The resized axes, in the order of the operands' numbers."""
        return tuple(range(rank)) if self.axes is None else normalize_axes(ints(self.axes), rank)

    def target(self, dims: Dims, scales: Array | None, sizes: Sequence[int] | None) -> tuple[Dims, list[float | None]]:
        """The result's dims and the scale along each axis; None where it depends on an unknown size.

        Raises CompileError where the operands do not fit.
        """
        axes = self.resized(len(dims))
        given: Any = scales if sizes is None else sizes
        if (
            len(given) != len(axes)
            or not all(0 <= v < np.inf for v in given)
            or (scales is not None and not scales.all())
        ):
            raise CompileError(f"{np.asarray(given).tolist()} cannot be the scales or sizes of axes {list(axes)}")
        factors: list[float | None] = [1.0] * len(dims)
        result = list(dims)
        for axis, value in zip(axes, given, strict=True):
            size = dims[axis]
            if scales is not None:
                factors[axis] = float(value)
                result[axis] = None if size is None else int(np.float32(size) * np.float32(value))
            else:
                factors[axis] = float(np.float32(value) / np.float32(size)) if size else None
                result[axis] = value
                if size == 0 and value > 0:
                    raise CompileError(f"{format_dims(dims)} has no elements to resize")
        return self.keep_aspect(dims, tuple(result), factors) if sizes is not None else (tuple(result), factors)

    def keep_aspect(self, dims: Dims, sizes: Dims, factors: list[float | None]) -> tuple[Dims, list[float | None]]:
        """`sizes` and scales by the policy: one scale for all axes, the least or the greatest."""
        policy = POLICIES.get(text(self.keep_aspect_ratio_policy))
        if policy is None:
            return sizes, factors
        axes = self.resized(len(dims))
        known = [f for f in (factors[a] for a in axes) if f is not None]
        scale = policy(known) if known and len(known) == len(axes) else None
        result, scales = list(sizes), list(factors)
        for axis in axes:
            size, scales[axis] = dims[axis], scale
            result[axis] = None if size is None or scale is None else int(np.floor(size * scale + 0.5))
        return tuple(result), scales

    def infer(
        self, x: Abstract, roi: Abstract | None, scales: Abstract | None, sizes: Abstract | None
    ) -> TensorType[Attribute]:
        """The resized dims; unknown along `axes` where `scales` or `sizes` is not a constant."""
        self.check_modes()
        if (scales is None) == (sizes is None):
            raise CompileError("nn.resize needs either scales or sizes")
        if self.crops and roi is None:
            raise CompileError("tf_crop_and_resize needs a roi")
        axes, given = self.resized(x.rank), scales if sizes is None else sizes
        assert given is not None
        if product(given.dims) not in (len(axes), None):
            raise CompileError(f"{format_dims(given.dims)} scales or sizes do not fit {len(axes)} axes")
        if given.value is None:
            return tensor(x.element, [None if a in axes else d for a, d in enumerate(x.dims)])
        dims, _ = self.target(x.dims, None if scales is None else scales.value, None if sizes is None else sizes.ints())
        return tensor(x.element, dims)

    def check_modes(self) -> None:
        """Raise CompileError on an unknown mode."""
        for name, known in (
            ("mode", ("nearest", "linear", "cubic")),
            ("coordinate_transformation_mode", COORDINATES),
            ("nearest_mode", NEAREST),
            ("keep_aspect_ratio_policy", ("stretch", *POLICIES)),
        ):
            if (value := text(getattr(self, name))) not in known:
                raise CompileError(f"{name} '{value}' of nn.resize is unknown")

    def evaluate(self, xp: Any, x: Array, roi: Array | None, scales: Array | None, sizes: Array | None) -> Array:
        """Interpolate along each axis in turn; integers are computed in f32."""
        resamplings = self.resamplings(x.shape, roi, scales, sizes)
        element = x.dtype
        if element.kind in "iu" and text(self.mode) != "nearest":
            x = x.astype(np.float32)
        for resampling in resamplings:
            x = resampling.apply(xp, x)
        for resampling in resamplings:
            if resampling.outside.any():
                indices = xp.asarray(np.flatnonzero(resampling.outside))
                x[(slice(None),) * resampling.axis + (indices,)] = self.outside(x.dtype)
        if x.dtype.kind == "f" and element.kind in "iu":
            limits = np.iinfo(element)
            x = xp.clip(xp.rint(x), limits.min, limits.max).astype(element)
        return x

    def outside(self, dtype: np.dtype[Any]) -> float:
        """What lies outside, for elements of `dtype`: rounded, and saturated, where these are integers."""
        value = number(self.extrapolation_value)
        if dtype.kind not in "iu":
            return value
        limits = np.iinfo(dtype)
        return max(limits.min, min(limits.max, round(float(np.nan_to_num(value)))))

    def resamplings(
        self, dims: tuple[int, ...], roi: Array | None, scales: Array | None, sizes: Array | None
    ) -> list[Resampling]:
        """What is done to an `x` of `dims`, axis by axis; those that stay as they are are left out.

        Raises CompileError where the operands do not fit.
        """
        target, factors = self.target(dims, scales, None if sizes is None else as_ints(sizes))
        axes = enumerate(self.geometry(dims, target, factors, roi))
        return [self.resampling(axis, geometry) for axis, geometry in axes if not geometry.kept]

    def known_resamplings(self) -> list[Resampling] | None:
        """`resamplings` of the operand, which is of static dims; None where an operand that counts is no constant."""
        operands = (self.roi if self.crops else None, self.scales, self.sizes)
        values = [constant_array(v) for v in operands]
        if any(a is None and v is not None for a, v in zip(values, operands, strict=True)):
            return None
        return self.resamplings(static_dims(dims_of(self.x.type)), *values)

    @property
    def crops(self) -> bool:
        """Whether `roi` counts."""
        return text(self.coordinate_transformation_mode) == "tf_crop_and_resize"

    def resampling(self, axis: int, geometry: Axis) -> Resampling:
        """What is done along an axis."""
        places = coordinates(geometry, text(self.coordinate_transformation_mode))
        outside = self.crops & ((places < 0) | (places > geometry.old - 1))
        mode = text(self.mode)
        if mode == "nearest":
            return Resampling(axis, nearest(geometry, places, text(self.nearest_mode))[None], None, outside)
        weight = triangle if mode == "linear" else partial(cubic, a=number(self.cubic_coeff_a))
        support = 1 if mode == "linear" else 2
        antialias, exclude = bool(integer(self.antialias)), bool(integer(self.exclude_outside))
        return Resampling(axis, *taps(geometry, places, weight, support, antialias, exclude), outside)

    def geometry(
        self, old: tuple[int, ...], new: Dims, factors: Sequence[float | None], roi: Array | None
    ) -> list[Axis]:
        """Every axis of `x`."""
        axes = self.resized(len(old))
        if not self.crops:
            roi = None
        result: list[Axis] = []
        for axis, (size, target, factor) in enumerate(zip(old, new, factors, strict=True)):
            start, end = 0.0, 1.0
            if roi is not None and axis in axes:
                start, end = (float(roi[axes.index(axis) + i * len(axes)]) for i in range(2))
            result.append(Axis(size, target or 0, factor or 1.0, start, end))
        return result

    def forwards(self) -> SSAValue | None:
        """The operand scaled by 1 and not cropped."""
        scales = constant_array(self.scales)
        return self.x if scales is not None and (scales == 1).all() and not self.crops else None

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """Upsample and opset 10 have scales only, and no way to say where pixels lie: asymmetric.

        The nearest one is then, as in ONNX Runtime, below where the tensor grows and above where it shrinks.
        """
        if node.op_type == "Upsample" or node.opset == 10:
            if node.opset < 7:
                node.attributes["scales"] = [1, 1, *(node.attributes.pop(f"{n}_scale") for n in ("height", "width"))]
            node.attribute_to_input("scales", 1, np.float32)
            scales, fields = node.required(1), {**node.attributes, "coordinate_transformation_mode": "asymmetric"}
            if fields.get("mode", "nearest") == "nearest":
                fields["nearest_mode"] = _nearest_mode(node, scales)
            return node.build(cls, node.required(0), None, scales, None, **fields)
        operands = [node.required(0), *(_unless_empty(node.input(i)) for i in (1, 2, 3))]
        return node.build(cls, *operands, **node.attributes)


def _unless_empty(value: SSAValue | None) -> SSAValue | None:
    """Before opset 13, an absent operand was an empty one."""
    return None if value is None or 0 in dims_of(value.type) else value


def _nearest_mode(node: OnnxNode, scales: SSAValue) -> str:
    if node.op_type == "Upsample":
        return "floor"
    factors = constant_array(scales)
    if factors is None or ((factors < 1).any() and (factors > 1).any()):
        raise UnsupportedError(
            "Resize of opset 10 to the nearest pixel needs constant scales, all at least or all at most 1",
            hint="convert the model to opset 11 or later",
        )
    return "ceil" if (factors < 1).any() else "floor"
