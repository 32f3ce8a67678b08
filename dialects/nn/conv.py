"""Convolutions: cross-correlation of [N, C, spatial...] with filters [K, C/group, kernel...]."""

from __future__ import annotations

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
from .elementwise import same_element
from .types import Abstract, Array, Dims, broadcast_dims, format_dims, static_dims, tensor
from .windows import Window


@irdl_op_definition
class ConvOp(NNOp):
    """`activation(conv(x, w) + bias + residual)`. ONNX Conv, https://onnx.ai/onnx/operators/onnx__Conv.html

    x [N, C, spatial...], w [K, C/group, kernel...], bias [K], residual and result [N, K, out...]; 1 to 3 spatial dims.
    """

    name = "nn.conv"
    ONNX: ClassVar = Onnx("Conv", since=1)
    INPLACE: ClassVar = ("residual",)

    x = operand_def(AnyTensor)
    w = operand_def(AnyTensor)
    bias = opt_operand_def(AnyTensor)
    residual = opt_operand_def(AnyTensor)
    kernel_shape = opt_prop_def(DenseArrayBase)
    strides = opt_prop_def(DenseArrayBase)
    pads = opt_prop_def(DenseArrayBase)
    dilations = opt_prop_def(DenseArrayBase)
    group = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    auto_pad = prop_def(StringAttr, default_value=StringAttr("NOTSET"))
    activation = opt_prop_def(ActivationAttr)
    result = result_def(AnyTensor)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def window(self, x: Dims, w: Dims) -> Window:
        """The geometry for an input and filters of these dims; the kernel's size is the filters'."""
        kernel = static_dims(w[2:])
        declared = ints(self.kernel_shape)
        if declared and declared != kernel:
            raise CompileError(f"kernel_shape {list(declared)} differs from the filters' {list(kernel)}")
        return Window.of(
            kernel, x[2:], ints(self.strides), ints(self.dilations), ints(self.pads), text(self.auto_pad)
        )

    def infer(
        self, x: Abstract, w: Abstract, bias: Abstract | None, residual: Abstract | None
    ) -> TensorType[Attribute]:
        """[N, K, out...]"""
        present = [o for o in (x, w, bias, residual) if o is not None]
        element = same_element(self.name, *present)
        group = integer(self.group)
        if x.rank < 3 or w.rank != x.rank:
            raise CompileError(f"input {format_dims(x.dims)} and filters {format_dims(w.dims)} must have one rank, 3 or more")
        channels, filters = w.dims[1], w.dims[0]
        if group < 1 or (filters is not None and filters % group):
            raise CompileError(f"{filters} filters do not split into {group} groups")
        if None not in (x.dims[1], channels) and x.dims[1] != channels * group:  # type: ignore[operator]
            raise CompileError(
                f"input {format_dims(x.dims)} has {x.dims[1]} channels, but filters {format_dims(w.dims)} in {group}"
                f" group(s) take {channels * group}"  # type: ignore[operator]
            )
        if bias is not None and (bias.rank != 1 or None not in (bias.dims[0], filters) and bias.dims[0] != filters):
            raise CompileError(f"bias {format_dims(bias.dims)} does not fit {filters} filters")
        dims = (x.dims[0], filters, *self.window(x.dims, w.dims).output(x.dims[2:]))
        if residual is not None and broadcast_dims(residual.dims, dims) != dims:
            raise CompileError(f"residual {format_dims(residual.dims)} does not fit {format_dims(dims)}")
        return tensor(element, dims)

    def evaluate(self, xp: Any, x: Array, w: Array, bias: Array | None, residual: Array | None) -> Array:
        """One GEMM per kernel position, summed."""
        group = integer(self.group)
        window = self.window(x.shape, w.shape)
        out = static_dims(window.output(x.shape[2:]))
        batch, filters = x.shape[0], w.shape[0]
        padded = window.pad(xp, x, 0, out)
        result = xp.zeros((batch, group, filters // group, _count(out)), x.dtype)
        grouped = w.reshape(group, filters // group, *w.shape[1:])
        for index, seen in window.taps(padded, out):
            columns = seen.reshape(batch, group, x.shape[1] // group, _count(out))
            result += xp.matmul(grouped[(..., *index)], columns)
        y = result.reshape(batch, filters, *out)
        if bias is not None:
            y += bias.reshape(-1, *[1] * len(out))
        if residual is not None:
            y += residual
        return y if self.activation is None else self.activation.apply(xp, y)


def _count(dims: tuple[int, ...]) -> int:
    total = 1
    for d in dims:
        total *= d
    return total
