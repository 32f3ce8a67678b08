"""What prepares the operands of a GEMM: windows as columns, and a vector repeated into a matrix."""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, StringAttr, TensorType, i64
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def

from ...errors import CompileError
from ..nn.base import AnyTensor, NNOp, integer, ints
from ..nn.channels import CHANNELS_FIRST, array_first, dims_first, is_channels_last
from ..nn.types import (
    Abstract,
    Array,
    Dims,
    dims_agree,
    dims_of,
    dtype_of,
    element_type,
    format_dims,
    product,
    static_dims,
    tensor,
)
from ..nn.windows import Window


@irdl_op_definition
class Im2colOp(NNOp):
    """The windows of `x` as the columns (or rows) of a matrix per image, and per group of channels.

    layout nchw: x [N, C, spatial...] to [N, C*k, P] or, with groups, [N, G, C/G*k, P]: k kernel positions, P output
    positions; rows go through the channels, and for each through the kernel, row-major, as filters [K, C/G, kernel...]
    do. layout nhwc: x [N, spatial..., C] to [N, P, k*C] or [N, G, P, k*C/G], whose columns go through the kernel, and
    for each position through the channels. Padding (`pads`: before each axis, then after each) is 0.
    """

    name = "blas.im2col"

    x = operand_def(AnyTensor)
    kernel = prop_def(DenseArrayBase)
    strides = opt_prop_def(DenseArrayBase)
    pads = opt_prop_def(DenseArrayBase)
    dilations = opt_prop_def(DenseArrayBase)
    group = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    layout = prop_def(StringAttr, default_value=CHANNELS_FIRST)
    result = result_def(AnyTensor)

    @property
    def channels_last(self) -> bool:
        """Whether the layout is nhwc; raises CompileError where it is neither."""
        return is_channels_last(self.layout)

    def channels_first(self, x: Dims) -> Dims:
        """The dims [N, C, spatial...] of an input of these dims."""
        return dims_first(self.layout, x)

    def window(self, x: Dims) -> Window:
        """The geometry for an input of these dims; raises CompileError on attributes that do not fit."""
        spatial = self.channels_first(x)[2:]
        return Window.of(ints(self.kernel), spatial, ints(self.strides), ints(self.dilations), ints(self.pads))

    def working_bytes(self) -> int:
        """The padded input's."""
        dims = static_dims(dims_of(self.x.type))
        batch, channels, *spatial = dims_first(self.layout, dims)
        return batch * channels * self.window(dims).padded(spatial) * dtype_of(element_type(self.x.type)).itemsize

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """One matrix per image (and group)."""
        if x.rank < 3:
            raise CompileError(f"the input {format_dims(x.dims)} has no spatial dims")
        batch, channels, *spatial = self.channels_first(x.dims)
        group = integer(self.group)
        if group < 1 or (channels is not None and channels % group):
            raise CompileError(f"{channels} channels do not split into {group} groups")
        rows = None if channels is None else channels // group * prod(ints(self.kernel))
        positions = product(self.window(x.dims).output(tuple(spatial)))
        matrix = (positions, rows) if self.channels_last else (rows, positions)
        return tensor(x.element, (batch, *((group,) if group > 1 else ()), *matrix))

    def evaluate(self, xp: Any, x: Array) -> Array:
        """A copy of each kernel position's view."""
        window, group = self.window(x.shape), integer(self.group)
        x = array_first(xp, self.layout, x)
        out = static_dims(window.output(x.shape[2:]))
        taps = window.taps(window.pad(xp, x, 0, out), out)
        batch, channels, size = x.shape[0], x.shape[1], prod(window.kernel)
        groups = (batch, group) if group > 1 else (batch,)
        if not self.channels_last:
            result = xp.empty((batch, channels, size, *out), x.dtype)
            for position, (_, seen) in enumerate(taps):
                result[:, :, position] = seen
            return result.reshape(*groups, channels // group * size, prod(out))
        result = xp.empty((batch, group, *out, size, channels // group), x.dtype)
        for position, (_, seen) in enumerate(taps):
            result[..., position, :] = xp.moveaxis(seen.reshape(batch, group, channels // group, *out), 2, -1)
        return result.reshape(*groups, prod(out), size * (channels // group))


@irdl_op_definition
class BroadcastOp(NNOp):
    """`v` repeated into a tensor of the dims `shape`: v's own dims stand there from `axis` on.

    A bias [K] into C [K, P] is `axis = 0 shape [K, P]`; a bias [G, K/G] into C [G, K/G, P] is the same with
    `shape [G, K/G, P]`. A `v` of one element is repeated everywhere.
    """

    name = "blas.broadcast"
    REPEATS: ClassVar = True

    v = operand_def(AnyTensor)
    axis = prop_def(IntegerAttr)
    shape = prop_def(DenseArrayBase)
    result = result_def(AnyTensor)

    def spread(self, v: Dims) -> Dims:
        """The dims, of the result's rank, with which a `v` of these dims broadcasts to the result."""
        axis, rank = integer(self.axis), len(ints(self.shape))
        if product(v) == 1:
            return (1,) * rank
        return (*[1] * axis, *v, *[1] * (rank - axis - len(v)))

    def infer(self, v: Abstract) -> TensorType[Attribute]:
        """`shape`"""
        axis, shape = integer(self.axis), ints(self.shape)
        if product(v.dims) != 1 and (axis < 0 or not dims_agree(v.dims, shape[axis : axis + v.rank])):
            raise CompileError(f"{format_dims(v.dims)} does not stand at axis {axis} of {list(shape)}")
        return tensor(v.element, shape)

    def evaluate(self, xp: Any, v: Array) -> Array:
        """A view of `v` with strides of 0."""
        return xp.broadcast_to(v.reshape(self.spread(v.shape)), ints(self.shape))
