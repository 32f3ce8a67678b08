"""Pooling: one number from each window of [N, C, spatial...], or from all of a channel."""

from __future__ import annotations

from functools import reduce
from math import prod
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, StringAttr, TensorType, i8, i64
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, opt_result_def, prop_def, result_def

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, integer, ints, text
from .channels import CHANNELS_FIRST, array_first, array_in, dims_first, dims_in, is_channels_last
from .elementwise import require_float
from .types import (
    Abstract,
    Array,
    Dims,
    dims_of,
    dtype_of,
    element_type,
    format_dims,
    is_float,
    static_dims,
    tensor,
    ui8,
)
from .windows import Window


class PoolOp(NNOp):
    """A window that moves over the spatial dims of x [N, C, spatial...]; the result is [N, C, out...].

    With layout nhwc, x is [N, spatial..., C] and the result [N, out..., C].
    """

    x = operand_def(AnyTensor)
    kernel_shape = prop_def(DenseArrayBase)
    strides = opt_prop_def(DenseArrayBase)
    pads = opt_prop_def(DenseArrayBase)
    dilations = opt_prop_def(DenseArrayBase)
    auto_pad = prop_def(StringAttr, default_value=StringAttr("NOTSET"))
    ceil_mode = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    layout = prop_def(StringAttr, default_value=CHANNELS_FIRST)
    result = result_def(AnyTensor)

    def writes_rows_apart(self) -> bool:
        """Where the rows are pixels, without a second result."""
        return is_channels_last(self.layout) and len(self.results) == 1

    def reads_rows_apart(self, operand: int) -> bool:
        """Where the rows are pixels."""
        return self.writes_rows_apart()

    def window(self, x: Dims) -> Window:
        """The geometry for an input of these dims; raises CompileError on attributes that do not fit."""
        return Window.of(
            ints(self.kernel_shape),
            dims_first(self.layout, x)[2:],
            ints(self.strides),
            ints(self.dilations),
            ints(self.pads),
            text(self.auto_pad),
            ceil=bool(integer(self.ceil_mode)),
        )

    def working_bytes(self) -> int:
        """The padded input's, or the positions' of its elements."""
        dims = static_dims(dims_of(self.x.type))
        batch, channels, *spatial = dims_first(self.layout, dims)
        itemsize = max(dtype_of(element_type(v.type)).itemsize for v in self.results)
        return batch * channels * self.window(dims).padded(spatial) * itemsize

    def pooled(self, x: Abstract) -> Dims:
        """The result's dims; raises CompileError where the window does not fit."""
        _check_rank(x)
        first = dims_first(self.layout, x.dims)
        return dims_in(self.layout, (*first[:2], *self.window(x.dims).output(first[2:])))


def _check_rank(x: Abstract) -> None:
    if x.rank < 3:
        raise CompileError(f"the input {format_dims(x.dims)} has no spatial dims")


@irdl_op_definition
class MaxPoolOp(PoolOp):
    """The greatest element of each window; a NaN wins. ONNX MaxPool, https://onnx.ai/onnx/operators/onnx__MaxPool.html

    The optional second result is where it stands (first): a flat position in the input, channels first in either
    layout, for which the spatial dims count row-major (`storage_order` 0) or column-major (1). A window that sees
    padding only has the least value of its type, and the position -1.
    """

    name = "nn.max_pool"
    ONNX: ClassVar = Onnx("MaxPool", since=1)

    storage_order = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    result = result_def(AnyTensor)
    indices = opt_result_def(AnyTensor)

    def infer(self, x: Abstract) -> tuple[TensorType[Attribute], ...]:
        """[N, C, out...], and the same of i64 where the positions are asked for."""
        if not is_float(x.element) and x.element not in (i8, ui8):
            raise CompileError(f"{self.name} needs floats, i8 or ui8, not {x.element}")
        dims = self.pooled(x)
        return (tensor(x.element, dims), tensor(i64, dims))[: len(self.results)]

    def evaluate(self, xp: Any, x: Array) -> tuple[Array, ...]:
        """The maximum over the kernel's positions."""
        window = self.window(x.shape)
        x = array_first(xp, self.layout, x)
        out = static_dims(window.output(x.shape[2:]))
        least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        values = window.taps(window.pad(xp, x, least, out), out)
        if self.indices is None:
            return (array_in(xp, self.layout, reduce(xp.maximum, (seen for _, seen in values))),)
        positions = window.taps(window.pad(xp, self.positions(xp, x.shape[2:]), -1, out), out)
        best = xp.full((*x.shape[:2], *out), least, x.dtype)
        where = xp.full(best.shape, -1, np.int64)
        for (_, seen), (_, place) in zip(values, positions, strict=True):
            better = (seen > best) | ((seen != seen) & (best == best)) | (where < 0)
            best, where = xp.where(better, seen, best), xp.where(better, place, where)
        starts = xp.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], *[1] * len(out)) * prod(x.shape[2:])
        places = xp.where(where < 0, where, where + starts)
        return array_in(xp, self.layout, best), array_in(xp, self.layout, places)

    def positions(self, xp: Any, spatial: tuple[int, ...]) -> Array:
        """The flat position of each element of a channel in `storage_order`: [1, 1, spatial...]."""
        flat = xp.arange(prod(spatial))
        if integer(self.storage_order) == 0:
            return flat.reshape(1, 1, *spatial)
        return flat.reshape(*spatial[::-1], 1, 1).transpose()


@irdl_op_definition
class AveragePoolOp(PoolOp):
    """The mean of each window. ONNX AveragePool, https://onnx.ai/onnx/operators/onnx__AveragePool.html

    The sum is divided by the number of the window's positions in the data or, with `count_include_pad`, in
    the data and the padding; those that `ceil_mode` adds beyond never count. With none, the result is 0.
    """

    name = "nn.average_pool"
    ONNX: ClassVar = Onnx("AveragePool", since=1)

    count_include_pad = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """[N, C, out...]"""
        require_float(self.name, x.element)
        return tensor(x.element, self.pooled(x))

    def evaluate(self, xp: Any, x: Array) -> Array:
        """The sum over the kernel's positions, divided by their number."""
        window = self.window(x.shape)
        x = array_first(xp, self.layout, x)
        out = static_dims(window.output(x.shape[2:]))
        total = xp.zeros((*x.shape[:2], *out), x.dtype)
        for _, seen in window.taps(window.pad(xp, x, 0, out), out):
            total += seen
        total /= xp.asarray(self.divisor(window, x.shape[2:], out), x.dtype)
        return array_in(xp, self.layout, total)

    def divisor(self, window: Window, spatial: tuple[int, ...], out: tuple[int, ...]) -> Array:
        """How many positions count in each window, at least 1: a NumPy array [out...]."""
        include_pad = bool(integer(self.count_include_pad))
        counts: list[Array] = []
        for axis, size in enumerate(spatial):
            first = 0 if not include_pad else -window.before[axis]
            last = size if not include_pad else size + window.after[axis]
            starts = np.arange(out[axis]) * window.strides[axis] - window.before[axis]
            # how many of a window's positions, `dilation` apart, are before each limit
            passed = (-((starts - limit) // window.dilations[axis]) for limit in (first, last))
            before, inside = (np.clip(p, 0, window.kernel[axis]) for p in passed)
            counts.append(inside - before)
        return np.maximum(reduce(np.multiply.outer, counts), 1)


class GlobalPoolOp(NNOp):
    """One number per channel: x [N, C, spatial...] to [N, C, 1...].

    With layout nhwc, x is [N, spatial..., C] and the result [N, 1..., C].
    """

    x = operand_def(AnyTensor)
    layout = prop_def(StringAttr, default_value=CHANNELS_FIRST)
    result = result_def(AnyTensor)

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """[N, C, 1...]"""
        require_float(self.name, x.element)
        _check_rank(x)
        first = dims_first(self.layout, x.dims)
        return tensor(x.element, dims_in(self.layout, (*first[:2], *[1] * (x.rank - 2))))

    def axes(self, rank: int) -> tuple[int, ...]:
        """The spatial axes."""
        return tuple(range(1, rank - 1) if is_channels_last(self.layout) else range(2, rank))


@irdl_op_definition
class GlobalAveragePoolOp(GlobalPoolOp):
    """The mean of each channel. ONNX GlobalAveragePool, https://onnx.ai/onnx/operators/onnx__GlobalAveragePool.html"""

    name = "nn.global_average_pool"
    ONNX: ClassVar = Onnx("GlobalAveragePool", since=1)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """The mean over all spatial dims."""
        return x.mean(axis=self.axes(x.ndim), keepdims=True)


@irdl_op_definition
class GlobalMaxPoolOp(GlobalPoolOp):
    """The greatest element of each channel; a NaN wins.

    ONNX GlobalMaxPool, https://onnx.ai/onnx/operators/onnx__GlobalMaxPool.html
    """

    name = "nn.global_max_pool"
    ONNX: ClassVar = Onnx("GlobalMaxPool", since=1)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """The maximum over all spatial dims."""
        return x.max(axis=self.axes(x.ndim), keepdims=True)
