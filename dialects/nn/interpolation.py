"""Resampling along one axis: where each new element lies among the old ones, and what of them it is made of.

Coordinates are computed in f32, step by step as ONNX Runtime does: they decide which pixel is the nearest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from .types import Array

Float: TypeAlias = np.float32


@dataclass(frozen=True)
class Axis:
    """One resized axis: sizes before and after, the scale, and the cropped region as parts of the axis."""

    old: int
    new: int
    scale: float
    start: float = 0.0
    end: float = 1.0

    @property
    def width(self) -> Any:
        """The new size before it is rounded: an integer where it is one but for the rounding of the scale."""
        width = Float(self.scale) * Float(self.old)
        return Float(self.new) if abs(width - Float(self.new)) < 1e-6 * self.new else width

    @property
    def kept(self) -> bool:
        """Whether the axis stays as it is: scaled by 1 and not cropped."""
        return self.old == self.new and self.scale == 1 and (self.start, self.end) == (0, 1)


def _half_pixel(x: Array, axis: Axis) -> Array:
    return (x + Float(0.5)) / Float(axis.scale) - Float(0.5)


def _half_pixel_symmetric(x: Array, axis: Axis) -> Array:
    center = Float(axis.old) / Float(2)
    return center * (Float(1) - Float(axis.new) / axis.width) + _half_pixel(x, axis)


def _pytorch_half_pixel(x: Array, axis: Axis) -> Array:
    return _half_pixel(x, axis) if axis.new > 1 else np.zeros_like(x)


def _align_corners(x: Array, axis: Axis) -> Array:
    # onnx's backend cases divide by the size before it is rounded; ONNX Runtime and torch by the rounded one. The two
    # differ where a scale gives no whole size (torch's interpolate of a scale_factor without recompute_scale_factor).
    return x * Float(axis.old - 1) / (axis.width - Float(1)) if axis.new > 1 else np.zeros_like(x)


def _asymmetric(x: Array, axis: Axis) -> Array:
    return x / Float(axis.scale)


def _tf_half_pixel_for_nn(x: Array, axis: Axis) -> Array:
    return (x + Float(0.5)) / Float(axis.scale)


def _tf_crop_and_resize(x: Array, axis: Axis) -> Array:
    last, start, end = Float(axis.old - 1), Float(axis.start), Float(axis.end)
    if axis.new == 1:
        return np.full_like(x, Float(0.5) * (start + end) * last)
    return start * last + x * (end - start) * last / Float(axis.new - 1)


COORDINATES: dict[str, Callable[[Array, Axis], Array]] = {
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "align_corners": _align_corners,
    "asymmetric": _asymmetric,
    "tf_half_pixel_for_nn": _tf_half_pixel_for_nn,
    "tf_crop_and_resize": _tf_crop_and_resize,
}
"""coordinate_transformation_mode -> f(new places, axis), the old coordinates."""

HALF = 0.5 + 1e-6
"""What is rounded as a half: f32 coordinates miss it by a rounding error, which ONNX Runtime forgives likewise."""

NEAREST: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - HALF),
    "round_prefer_ceil": lambda x: np.floor(x + HALF),
    "floor": np.floor,
    "ceil": np.ceil,
}
"""nearest_mode -> f(old coordinates), the nearest old places."""


def coordinates(axis: Axis, mode: str) -> Array:
    """The old coordinate of each new element, as float64 holding f32 values."""
    with np.errstate(all="ignore"):
        return COORDINATES[mode](np.arange(axis.new, dtype=Float), axis).astype(np.float64)


def nearest(axis: Axis, places: Array, mode: str) -> Array:
    """[new] The index of the element nearest to each of `places`."""
    return np.clip(NEAREST[mode](places), 0, axis.old - 1).astype(np.int64)


def triangle(t: Array) -> Array:
    """Linear interpolation's weight at the distance `t`."""
    return np.maximum(1 - np.abs(t), 0)


def cubic(t: Array, a: float) -> Array:
    """Cubic convolution's weight at the distance `t` (Keys 1981), with `a` its slope at 1."""
    t = np.abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0))


def taps(
    axis: Axis, places: Array, weight: Callable[[Array], Array], support: int, antialias: bool, exclude_outside: bool
) -> tuple[Array, Array]:
    """[taps, new] The indices and weights of the elements that each new one is made of.

    Elements outside are those at the edge, or nothing where `exclude_outside`. With `antialias`, the weight function
    (of width `support` to each side) is stretched where the axis shrinks. A tap that counts nowhere is left out.
    """
    stretch = min(axis.scale, 1.0) if antialias else 1.0
    reach = int(np.ceil(support / stretch))
    indices = np.floor(places).astype(np.int64) + np.arange(1 - reach, reach + 1)[:, None]
    weights = weight((indices - places) * stretch)
    if exclude_outside:
        weights = np.where((indices < 0) | (indices >= axis.old), 0, weights)
    if antialias or exclude_outside:
        total = weights.sum(axis=0)
        weights = weights / np.where(total == 0, 1, total)
    counting = np.flatnonzero(weights.any(axis=1)) if weights.any() else [0]
    return np.clip(indices, 0, axis.old - 1)[counting], weights[counting]


@dataclass(frozen=True)
class Resampling:
    """How the elements along one axis are made of the old ones.

    Element n is the sum of `weights[:, n]` times the elements at `indices[:, n]`, both [taps, new]; without `weights`
    it is the one at `indices[0, n]`, as it is. Where `outside[n]` it is no element's, but a constant.
    """

    axis: int
    indices: Array
    weights: Array | None
    outside: Array

    def apply(self, xp: Any, x: Array) -> Array:
        """`x` with the axis resampled; what is outside holds anything."""
        if self.weights is None:
            return xp.take(x, xp.asarray(self.indices[0]), axis=self.axis)
        shape = (-1, *[1] * (x.ndim - self.axis - 1))
        result: Array = None
        for places, factors in zip(self.indices, self.weights, strict=True):
            part = xp.take(x, xp.asarray(places), axis=self.axis) * xp.asarray(factors, x.dtype).reshape(shape)
            result = part if result is None else result + part
        return result
