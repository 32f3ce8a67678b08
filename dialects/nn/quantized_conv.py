"""Convolutions of 8-bit integers, to i32 or quantised again."""

from __future__ import annotations

from typing import Any, ClassVar

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, StringAttr, TensorType, i32, i64
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
from .base import AnyTensor, NNOp, Onnx, integer, ints, text
from .conv import convolve
from .elementwise import require_float, same_element
from .integer_products import (
    as_i32,
    exact_float,
    per_filter,
    requantize,
    require_8_bits,
    require_one,
    require_zero_point,
    shifted,
)
from .types import (
    Abstract,
    Array,
    Dims,
    dims_agree,
    dims_of,
    format_dims,
    merge_dims,
    static_dims,
    tensor,
)
from .windows import Window


class IntegerConvOp(NNOp):
    """A convolution of 8-bit integers less their zero points. x [N, C, spatial...], w [K, C/group, kernel...]; x's
    zero point is one number, w's one or [K]. Padding is x's zero point. 1 to 3 spatial dims, result [N, K, out...].
    """

    x = operand_def(AnyTensor)
    w = operand_def(AnyTensor)
    kernel_shape = opt_prop_def(DenseArrayBase)
    strides = opt_prop_def(DenseArrayBase)
    pads = opt_prop_def(DenseArrayBase)
    dilations = opt_prop_def(DenseArrayBase)
    group = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    auto_pad = prop_def(StringAttr, default_value=StringAttr("NOTSET"))
    result = result_def(AnyTensor)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def window(self, x: Dims, w: Dims) -> Window:
        """The geometry for these input and filter dims; raises CompileError where the kernel is unknown."""
        kernel, declared = w[2:], ints(self.kernel_shape)
        if declared and not dims_agree(kernel, declared):
            raise CompileError(f"kernel_shape {list(declared)} differs from the filters' {format_dims(kernel)}")
        kernel = static_dims(merge_dims(kernel, declared) if declared else kernel)
        return Window.of(kernel, x[2:], ints(self.strides), ints(self.dilations), ints(self.pads), text(self.auto_pad))

    def convolved(self, x: Abstract, w: Abstract, x_zero: Abstract | None, w_zero: Abstract | None) -> Dims:
        """The result's dims; raises CompileError where the operands do not fit."""
        require_8_bits(self.name, x, w)
        require_zero_point("x", x, x_zero)
        require_zero_point("w", w, w_zero)
        require_one("the zero point of x", x_zero)
        if not 3 <= x.rank <= 5 or w.rank != x.rank:
            raise CompileError(
                f"input {format_dims(x.dims)} and filters {format_dims(w.dims)} must have one rank, 3 to 5"
            )
        group, filters, inner = integer(self.group), w.dims[0], w.dims[1]
        if group < 1 or (filters is not None and filters % group):
            raise CompileError(f"filters {format_dims(w.dims)} do not split into {group} groups")
        if inner is not None and x.dims[1] not in (None, inner * group):
            raise CompileError(
                f"input {format_dims(x.dims)} has {x.dims[1]} channels, but filters {format_dims(w.dims)}"
                f" in {group} group(s) take {inner * group}"
            )
        self.require_per_filter("the zero point of w", w_zero, filters)
        if None in w.dims[2:] and not ints(self.kernel_shape):
            return (x.dims[0], filters, *(None,) * (x.rank - 2))
        return (x.dims[0], filters, *self.window(x.dims, w.dims).output(x.dims[2:]))

    @staticmethod
    def require_per_filter(name: str, parameter: Abstract | None, filters: int | None) -> None:
        """Raise CompileError where a parameter is neither one number nor one per filter."""
        if parameter is not None and parameter.dims not in ((), (1,)) and not dims_agree(parameter.dims, (filters,)):
            raise CompileError(f"{name} {format_dims(parameter.dims)} does not fit {filters} filters")

    def accumulate(self, xp: Any, x: Array, w: Array, x_zero: Array | None, w_zero: Array | None) -> Array:
        """The convolution in i32."""
        dtype = exact_float(w[0].size if len(w) else 0)
        filters = shifted(w, None if w_zero is None else per_filter(w_zero, w.ndim, 0), dtype)
        x_zero = None if x_zero is None else x_zero.reshape(())
        return as_i32(
            convolve(xp, shifted(x, x_zero, dtype), filters, self.window(x.shape, w.shape), integer(self.group))
        )

    def working_bytes(self) -> int:
        """The padded input's, as floats of 8 bytes."""
        x, w = (static_dims(dims_of(v.type)) for v in (self.x, self.w))
        return x[0] * x[1] * self.window(x, w).padded(x[2:]) * 8


@irdl_op_definition
class ConvIntegerOp(IntegerConvOp):
    """A convolution of 8-bit integers to i32. ONNX ConvInteger,
    https://onnx.ai/onnx/operators/onnx__ConvInteger.html. Shapes as in `IntegerConvOp`.
    """

    name = "nn.conv_integer"
    ONNX: ClassVar = Onnx("ConvInteger", since=10)

    x = operand_def(AnyTensor)
    w = operand_def(AnyTensor)
    x_zero_point = opt_operand_def(AnyTensor)
    w_zero_point = opt_operand_def(AnyTensor)

    def infer(
        self, x: Abstract, w: Abstract, x_zero_point: Abstract | None, w_zero_point: Abstract | None
    ) -> TensorType[Attribute]:
        """[N, K, out...] of i32"""
        return tensor(i32, self.convolved(x, w, x_zero_point, w_zero_point))

    def evaluate(self, xp: Any, x: Array, w: Array, x_zero_point: Array | None, w_zero_point: Array | None) -> Array:
        """By GEMMs of floats, which are exact."""
        return self.accumulate(xp, x, w, x_zero_point, w_zero_point)


@irdl_op_definition
class QLinearConvOp(IntegerConvOp):
    """A convolution of 8-bit integers, quantised again. ONNX QLinearConv,
    https://onnx.ai/onnx/operators/onnx__QLinearConv.html

    Shapes as in `IntegerConvOp`; `(conv + bias) * (x_scale * w_scale / y_scale)`, rounded (halves to even), plus
    y_zero_point, saturated. w_scale is one number or [K], the others one, bias [K] of i32.
    """

    name = "nn.qlinear_conv"
    ONNX: ClassVar = Onnx("QLinearConv", since=10)

    x = operand_def(AnyTensor)
    x_scale = operand_def(AnyTensor)
    x_zero_point = operand_def(AnyTensor)
    w = operand_def(AnyTensor)
    w_scale = operand_def(AnyTensor)
    w_zero_point = operand_def(AnyTensor)
    y_scale = operand_def(AnyTensor)
    y_zero_point = operand_def(AnyTensor)
    bias = opt_operand_def(AnyTensor)

    irdl_options = ()

    def infer(
        self,
        x: Abstract,
        x_scale: Abstract,
        x_zero_point: Abstract,
        w: Abstract,
        w_scale: Abstract,
        w_zero_point: Abstract,
        y_scale: Abstract,
        y_zero_point: Abstract,
        bias: Abstract | None,
    ) -> TensorType[Attribute]:
        """[N, K, out...] of the type of y_zero_point."""
        dims = self.convolved(x, w, x_zero_point, w_zero_point)
        require_8_bits(self.name, y_zero_point)
        require_float(self.name, same_element(self.name, x_scale, w_scale, y_scale))
        for name, one in (("x_scale", x_scale), ("y_scale", y_scale), ("y_zero_point", y_zero_point)):
            require_one(name, one)
        self.require_per_filter("w_scale", w_scale, w.dims[0])
        if bias is not None and (bias.element != i32 or not dims_agree(bias.dims, (w.dims[0],))):
            raise CompileError(f"bias must be i32, one per filter, not {bias.type}")
        return tensor(y_zero_point.element, dims)

    def evaluate(
        self,
        xp: Any,
        x: Array,
        x_scale: Array,
        x_zero_point: Array,
        w: Array,
        w_scale: Array,
        w_zero_point: Array,
        y_scale: Array,
        y_zero_point: Array,
        bias: Array | None,
    ) -> Array:
        """By GEMMs of floats, which are exact, then the scales."""
        total = self.accumulate(xp, x, w, x_zero_point, w_zero_point)
        if bias is not None:
            total += per_filter(bias, x.ndim, 1)
        factor = x_scale.reshape(()) * per_filter(w_scale, x.ndim, 1) / y_scale.reshape(())
        return requantize(xp, total, xp.asarray(factor), y_zero_point.reshape(()))
