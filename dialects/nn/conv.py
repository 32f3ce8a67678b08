"""Convolutions of [N, C, spatial...] with filters of the same rank, and their transposes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, StringAttr, TensorType, i64
from xdsl.ir import Attribute
from xdsl.irdl import (
    AttrSizedOperandSegments,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
)

from ...errors import CompileError
from .activation import ActivationAttr
from .base import AnyTensor, NNOp, Onnx, integer, ints, text
from .channels import CHANNELS_FIRST, abstract_first, array_first, array_in, dims_first, dims_in, is_channels_last
from .elementwise import require_float, same_element
from .types import (
    Abstract,
    Array,
    Dims,
    broadcasts_to,
    dims_agree,
    dims_of,
    dtype_of,
    element_type,
    format_dims,
    merge_dims,
    static_dims,
    tensor,
)
from .windows import Window


def convolve(xp: Any, x: Array, w: Array, window: Window, group: int) -> Array:
    """x [N, C, spatial...] with the filters w [K, C/group, kernel...]: [N, K, out...], in the dtype of `x`."""
    out = static_dims(window.output(x.shape[2:]))
    batch, filters = x.shape[0], w.shape[0]
    padded = window.pad(xp, x, 0, out)
    result = xp.zeros((batch, group, filters // group, prod(out)), x.dtype)
    grouped = w.reshape(group, filters // group, *w.shape[1:])
    for index, seen in window.taps(padded, out):
        columns = seen.reshape(batch, group, x.shape[1] // group, prod(out))
        result += xp.matmul(grouped[(..., *index)], columns)
    return result.reshape(batch, filters, *out)


class ConvolutionOp(NNOp):
    """What convolutions and transposed convolutions share: their attributes and how filters fit an input."""

    x = operand_def(AnyTensor)
    w = operand_def(AnyTensor)
    bias = opt_operand_def(AnyTensor)
    kernel_shape = opt_prop_def(DenseArrayBase)
    strides = opt_prop_def(DenseArrayBase)
    pads = opt_prop_def(DenseArrayBase)
    dilations = opt_prop_def(DenseArrayBase)
    group = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    auto_pad = prop_def(StringAttr, default_value=StringAttr("NOTSET"))
    activation = opt_prop_def(ActivationAttr)
    result = result_def(AnyTensor)

    def kernel(self, w: Dims) -> Dims:
        """The kernel's size by the filters' dims and `kernel_shape`; raises CompileError if they differ."""
        kernel = w[2:]
        declared = ints(self.kernel_shape)
        if not declared:
            return kernel
        if not dims_agree(kernel, declared):
            raise CompileError(f"kernel_shape {list(declared)} differs from the filters' {format_dims(kernel)}")
        return merge_dims(kernel, declared)

    def check(self, x: Abstract, w: Abstract, channels: int | None, outer: int | None) -> None:
        """Raise CompileError unless x has `channels` channels and the `outer` filters split into groups."""
        group = integer(self.group)
        require_float(self.name, x.element)
        if not 3 <= x.rank <= 5 or w.rank != x.rank:
            raise CompileError(
                f"input {format_dims(x.dims)} and filters {format_dims(w.dims)} must have one rank, 3 to 5"
            )
        if group < 1 or (outer is not None and outer % group):
            raise CompileError(f"filters {format_dims(w.dims)} do not split into {group} groups")
        if channels is not None and x.dims[1] not in (None, channels):
            raise CompileError(
                f"input {format_dims(x.dims)} has {x.dims[1]} channels, but filters {format_dims(w.dims)}"
                f" in {group} group(s) take {channels}"
            )

    def check_bias(self, bias: Abstract | None, filters: int | None) -> None:
        """Raise CompileError unless the bias, if there is one, has one element per filter."""
        if bias is not None and not dims_agree(bias.dims, (filters,)):
            raise CompileError(f"bias {format_dims(bias.dims)} does not fit {filters} filters")


class DirectConvOp(ConvolutionOp):
    """`activation(conv(x, w) + bias + residual)`, in either layout.

    layout nchw: x [N, C, spatial...], w [K, C/group, kernel...], result [N, K, out...]; nhwc: x [N, spatial..., C],
    w [K, kernel..., C/group], result [N, out..., K]. 1 to 3 spatial dims. bias [K]; the residual broadcasts to the
    result.
    """

    INPLACE: ClassVar = ("residual",)

    x = operand_def(AnyTensor)
    w = operand_def(AnyTensor)
    bias = opt_operand_def(AnyTensor)
    residual = opt_operand_def(AnyTensor)
    layout = prop_def(StringAttr, default_value=CHANNELS_FIRST)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def window(self, x: Dims, w: Dims) -> Window:
        """The geometry for these input and filter dims; raises CompileError where the kernel is unknown."""
        return Window.of(
            static_dims(self.kernel(dims_first(self.layout, w))),
            dims_first(self.layout, x)[2:],
            ints(self.strides),
            ints(self.dilations),
            ints(self.pads),
            text(self.auto_pad),
        )

    def working_bytes(self) -> int:
        """The padded input's."""
        x, w = (static_dims(dims_of(v.type)) for v in (self.x, self.w))
        batch, channels, *spatial = dims_first(self.layout, x)
        return batch * channels * self.window(x, w).padded(spatial) * dtype_of(element_type(self.x.type)).itemsize

    def infer(
        self, x: Abstract, w: Abstract, bias: Abstract | None, residual: Abstract | None
    ) -> TensorType[Attribute]:
        """[N, K, out...] or [N, out..., K]"""
        element = same_element(self.name, *(o for o in (x, w, bias, residual) if o is not None))
        filters = w.dims[0] if w.rank else None
        dims = dims_in(self.layout, self._result(abstract_first(self.layout, x), abstract_first(self.layout, w)))
        self.check_bias(bias, filters)
        if residual is not None and not broadcasts_to(residual.dims, dims):
            raise CompileError(f"residual {format_dims(residual.dims)} does not fit {format_dims(dims)}")
        return tensor(element, dims)

    def _result(self, x: Abstract, w: Abstract) -> Dims:
        """[N, K, out...] for operands with their channels first."""
        inner, filters = (w.dims[1], w.dims[0]) if w.rank > 1 else (None, None)
        self.check(x, w, None if inner is None else inner * integer(self.group), filters)
        spatial = x.dims[2:]
        if None in self.kernel(w.dims):
            return (x.dims[0], filters, *(None,) * len(spatial))
        window = self.window(dims_in(self.layout, x.dims), dims_in(self.layout, w.dims))
        return (x.dims[0], filters, *window.output(spatial))

    def evaluate(self, xp: Any, x: Array, w: Array, bias: Array | None, residual: Array | None) -> Array:
        """One GEMM per kernel position, summed."""
        group, window = integer(self.group), self.window(x.shape, w.shape)
        x, w = array_first(xp, self.layout, x), array_first(xp, self.layout, w)
        y = convolve(xp, x, w, window, group)
        if bias is not None:
            y += bias.reshape(-1, *[1] * (y.ndim - 2))
        y = array_in(xp, self.layout, y)
        if residual is not None:
            y += residual
        return y if self.activation is None else self.activation.apply(xp, y)


class ConvCallOp(DirectConvOp):
    """What one kernel computes: layout nhwc, and a residual has the result's dims."""

    ONNX: ClassVar = None

    def infer(
        self, x: Abstract, w: Abstract, bias: Abstract | None, residual: Abstract | None
    ) -> TensorType[Attribute]:
        """[N, out..., K]"""
        if not is_channels_last(self.layout):
            raise CompileError(f"{self.name} needs the layout nhwc")
        result = super().infer(x, w, bias, residual)
        if residual is not None and residual.dims != dims_of(result):
            raise CompileError(f"the residual {residual.type} of {self.name} must be a {result}")
        return result


@irdl_op_definition
class ConvOp(DirectConvOp):
    """A convolution. ONNX Conv, https://onnx.ai/onnx/operators/onnx__Conv.html, which is layout nchw."""

    name = "nn.conv"
    ONNX: ClassVar = Onnx("Conv", since=1)


@irdl_op_definition
class ConvTransposeOp(ConvolutionOp):
    """`activation(conv_transpose(x, w) + bias)`, the adjoint of a convolution with these filters and strides.

    ONNX ConvTranspose, https://onnx.ai/onnx/operators/onnx__ConvTranspose.html. x [N, C, spatial...],
    w [C, K/group, kernel...], bias [K], result [N, K, out...]; 1 to 3 spatial dims. Where `output_shape` asks
    for more than the windows reach, the rest at the end holds the bias, as in ONNX Runtime.
    """

    name = "nn.conv_transpose"
    ONNX: ClassVar = Onnx("ConvTranspose", since=1)

    output_padding = opt_prop_def(DenseArrayBase)
    output_shape = opt_prop_def(DenseArrayBase)

    def geometry(self, spatial: Dims, kernel: tuple[int, ...]) -> tuple[Window, Dims, Dims]:
        """The window, how many positions of the full result are cut off before the result, and its sizes.

        Raises CompileError on attributes of wrong length or values.
        """
        window = Window.of(kernel, spatial, ints(self.strides), ints(self.dilations), ints(self.pads))
        rank, auto_pad = len(kernel), text(self.auto_pad)
        extra = ints(self.output_padding) or (0,) * rank
        wanted: Dims = ints(self.output_shape) or (None,) * rank
        if len(extra) != rank or len(wanted) != rank:
            raise CompileError(f"output_padding {list(extra)} and output_shape {list(wanted)} must have {rank} sizes")
        if any(not 0 <= e < max(s, d) for e, s, d in zip(extra, window.strides, window.dilations, strict=True)):
            raise CompileError(f"output_padding {list(extra)} must be less than the stride or the dilation")
        if auto_pad not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
            raise CompileError(f"auto_pad '{auto_pad}' is unknown")
        before: list[int | None] = []
        out: list[int | None] = []
        for axis, size in enumerate(spatial):
            head, result = self._axis(window, axis, size, extra[axis], wanted[axis], auto_pad)
            before.append(head)
            out.append(result)
        return window, tuple(before), tuple(out)

    @staticmethod
    def reached(window: Window, spatial: Sequence[int], before: Sequence[int], out: Sequence[int]) -> list[int]:
        """The sizes of the full result, and of what is asked for beyond it, before anything is cut off."""
        reach = [(n - 1) * s + window.extent(a) for a, (n, s) in enumerate(zip(spatial, window.strides, strict=True))]
        return [max(r, b + n, 0) for r, b, n in zip(reach, before, out, strict=True)]

    def working_bytes(self) -> int:
        """The full result's."""
        spatial = static_dims(dims_of(self.x.type))[2:]
        window, before, out = self.geometry(spatial, static_dims(self.kernel(dims_of(self.w.type))))
        full = prod(self.reached(window, spatial, static_dims(before), static_dims(out)))
        batch, filters, *_ = static_dims(dims_of(self.result.type))
        return batch * filters * full * dtype_of(element_type(self.x.type)).itemsize

    @staticmethod
    def _axis(
        window: Window, axis: int, size: int | None, extra: int, wanted: int | None, auto_pad: str
    ) -> tuple[int | None, int | None]:
        if size is None:
            return None, wanted
        stride = window.strides[axis]
        full = (size - 1) * stride + window.extent(axis) + extra
        if wanted is None and auto_pad == "VALID":
            return 0, full
        if wanted is None and auto_pad == "NOTSET":
            return window.before[axis], full - window.before[axis] - window.after[axis]
        total = max(full - (size * stride if wanted is None else wanted), 0)
        before = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
        return before, full - total if wanted is None else wanted

    def infer(self, x: Abstract, w: Abstract, bias: Abstract | None) -> TensorType[Attribute]:
        """[N, K, out...]"""
        element = same_element(self.name, *(o for o in (x, w, bias) if o is not None))
        channels, inner = (w.dims[0], w.dims[1]) if w.rank > 1 else (None, None)
        self.check(x, w, channels, channels)
        filters = None if inner is None else inner * integer(self.group)
        self.check_bias(bias, filters)
        spatial, kernel = x.dims[2:], self.kernel(w.dims)
        if None in kernel:
            out: Dims = ints(self.output_shape) or (None,) * len(spatial)
        else:
            _, _, out = self.geometry(spatial, static_dims(kernel))
        return tensor(element, (x.dims[0], filters, *out))

    def evaluate(self, xp: Any, x: Array, w: Array, bias: Array | None) -> Array:
        """One GEMM per kernel position, added where that position's strided window stands."""
        group, batch = integer(self.group), x.shape[0]
        spatial, filters = x.shape[2:], w.shape[1]
        window, before, out = self.geometry(spatial, static_dims(self.kernel(w.shape)))
        before, out = static_dims(before), static_dims(out)
        result = xp.zeros((batch, group * filters, *self.reached(window, spatial, before, out)), x.dtype)
        columns = x.reshape(batch, group, x.shape[1] // group, prod(spatial))
        grouped = w.reshape(group, x.shape[1] // group, *w.shape[1:])
        for index, seen in window.taps(result, spatial):
            product = xp.matmul(grouped[(..., *index)].swapaxes(1, 2), columns)
            seen += product.reshape(batch, group * filters, *spatial)
        y = result[(..., *(slice(b, b + n) for b, n in zip(before, out, strict=True)))]
        if bias is not None:
            y = y + bias.reshape(-1, *[1] * len(out))
        return y if self.activation is None else self.activation.apply(xp, y)
