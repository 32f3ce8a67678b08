"""DeformConv: a convolution whose kernel reads the image at shifted places."""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, TensorType, i64
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
from .base import AnyTensor, NNOp, Onnx, integer, ints
from .elementwise import require_float, same_element
from .sampling import INDEX_BYTES, computed_itemsize, linear_taps, sample
from .types import (
    Abstract,
    Array,
    Dims,
    dims_agree,
    dims_of,
    element_type,
    format_dims,
    merge_dims,
    static_dims,
    tensor,
)
from .windows import Window


@irdl_op_definition
class DeformConvOp(NNOp):
    """A convolution that reads the image, linearly between pixels, at places shifted by `offset`, times `mask`.

    ONNX DeformConv, https://onnx.ai/onnx/operators/onnx__DeformConv.html. x [N, C, spatial...], w [K, C/group,
    kernel...], offset [N, offset_group * prod(kernel) * D, out...] (D shifts per kernel place, first axis first), bias
    [K], mask [N, offset_group * prod(kernel), out...]; result [N, K, out...]. Pixels outside are 0.
    """

    name = "nn.deform_conv"
    ONNX: ClassVar = Onnx("DeformConv", since=19)

    x = operand_def(AnyTensor)
    w = operand_def(AnyTensor)
    offset = operand_def(AnyTensor)
    bias = opt_operand_def(AnyTensor)
    mask = opt_operand_def(AnyTensor)
    kernel_shape = opt_prop_def(DenseArrayBase)
    strides = opt_prop_def(DenseArrayBase)
    pads = opt_prop_def(DenseArrayBase)
    dilations = opt_prop_def(DenseArrayBase)
    group = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    offset_group = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    result = result_def(AnyTensor)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def window(self, x: Dims, w: Dims) -> Window:
        """The geometry for these input and filter dims; raises CompileError where the kernel is unknown."""
        kernel, declared = w[2:], ints(self.kernel_shape)
        if declared and not dims_agree(kernel, declared):
            raise CompileError(f"kernel_shape {list(declared)} differs from the filters' {format_dims(kernel)}")
        kernel = static_dims(merge_dims(kernel, declared) if declared else kernel)
        return Window.of(kernel, x[2:], ints(self.strides), ints(self.dilations), ints(self.pads))

    def infer(
        self, x: Abstract, w: Abstract, offset: Abstract, bias: Abstract | None, mask: Abstract | None
    ) -> TensorType[Attribute]:
        """[N, K, out...]"""
        element = same_element(self.name, *(o for o in (x, w, offset, bias, mask) if o is not None))
        require_float(self.name, element)
        group, groups, rank = integer(self.group), integer(self.offset_group), x.rank - 2
        if rank < 1 or w.rank != x.rank or min(group, groups) < 1:
            raise CompileError(f"input {format_dims(x.dims)} and filters {format_dims(w.dims)} must have one rank")
        if (w.dims[0] or 0) % group or (x.dims[1] or 0) % groups:
            raise CompileError(f"{format_dims(x.dims)} and {format_dims(w.dims)} do not split into their groups")
        if w.dims[1] is not None and x.dims[1] not in (None, w.dims[1] * group):
            raise CompileError(f"input {format_dims(x.dims)} does not fit filters {format_dims(w.dims)}")
        if None in w.dims[2:] and not ints(self.kernel_shape):
            return tensor(element, (x.dims[0], w.dims[0], *offset.dims[2:]))
        window = self.window(x.dims, w.dims)
        out, places = window.output(x.dims[2:]), groups * prod(window.kernel)
        for name, operand, count in (("offset", offset, places * rank), ("mask", mask, places)):
            if operand is not None and not dims_agree(operand.dims, (x.dims[0], count, *out)):
                expected = format_dims((x.dims[0], count, *out))
                raise CompileError(f"{name} is {format_dims(operand.dims)} where {expected} is needed")
        if bias is not None and not dims_agree(bias.dims, (w.dims[0],)):
            raise CompileError(f"bias {format_dims(bias.dims)} does not fit {w.dims[0]} filters")
        return tensor(element, (x.dims[0], w.dims[0], *merge_dims(out, offset.dims[2:])))

    def working_bytes(self) -> int:
        """What is seen from one kernel position, or which pixels those are."""
        batch, channels = static_dims(dims_of(self.x.type))[:2]
        places = batch * prod(static_dims(dims_of(self.result.type))[2:])
        seen = channels * computed_itemsize(element_type(self.x.type))
        return places * max(seen, integer(self.offset_group) * INDEX_BYTES)

    def evaluate(self, xp: Any, x: Array, w: Array, offset: Array, bias: Array | None, mask: Array | None) -> Array:
        """One sampling and one GEMM per kernel position, summed."""
        window, group, groups = self.window(x.shape, w.shape), integer(self.group), integer(self.offset_group)
        (batch, channels), spatial, filters, count = x.shape[:2], x.shape[2:], w.shape[0], prod(window.kernel)
        out = static_dims(window.output(spatial))
        shifts = offset.reshape(batch * groups, count, len(spatial), prod(out))
        factors = None if mask is None else mask.reshape(batch * groups, count, 1, prod(out))
        image = x.reshape(batch * groups, channels // groups, *spatial)
        result = xp.zeros((batch, group, filters // group, prod(out)), x.dtype)
        weights = w.reshape(group, filters // group, w.shape[1], count)
        steps = [xp.arange(n) * s - b for n, s, b in zip(out, window.strides, window.before, strict=True)]
        corners = [g.reshape(-1) for g in xp.meshgrid(*steps, indexing="ij")]
        strides = [prod(window.kernel[a + 1 :]) for a in range(len(spatial))]
        for place in range(count):
            taps: list[Any] = []
            for axis, corner in enumerate(corners):
                inner = place // strides[axis] % window.kernel[axis] * window.dilations[axis]
                taps.append(linear_taps(xp, shifts[:, place, axis] + (corner + inner).astype(x.dtype)))
            seen = sample(xp, image, taps)
            if factors is not None:
                seen = seen * factors[:, place]
            result += xp.matmul(weights[..., place], seen.reshape(batch, group, channels // group, prod(out)))
        y = result.reshape(batch, filters, *out)
        return y if bias is None else y + bias.reshape(-1, *[1] * len(out))
