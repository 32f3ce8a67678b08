"""Images put together again: MaxUnpool from maxima and where they stood, Col2Im from overlapping blocks."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar

from xdsl.dialects.builtin import DenseArrayBase, TensorType, i64
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, opt_operand_def, opt_prop_def, prop_def, result_def

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, ints
from .elementwise import require_float, require_number
from .shape import as_ints, count_of
from .types import (
    Abstract,
    Array,
    Dims,
    dims_agree,
    dims_of,
    dtype_of,
    element_type,
    format_dims,
    is_static,
    product,
    static_dims,
    tensor,
)
from .windows import Window


@irdl_op_definition
class MaxUnpoolOp(NNOp):
    """Zeros, but `x` at the positions `indices`: what MaxPool took, put back. ONNX MaxUnpool,
    https://onnx.ai/onnx/operators/onnx__MaxUnpool.html

    x and indices [N, C, spatial...]. An index is a flat position in the result [N, C, out...] that the kernel, strides
    and pads give; an `output_shape` [rank] cuts that, or puts zeros at the ends of its dims.
    """

    name = "nn.max_unpool"
    ONNX: ClassVar = Onnx("MaxUnpool", since=9)
    HOST: ClassVar = frozenset({"output_shape"})

    x = operand_def(AnyTensor)
    indices = operand_def(AnyTensor)
    output_shape = opt_operand_def(AnyTensor)
    kernel_shape = prop_def(DenseArrayBase)
    strides = opt_prop_def(DenseArrayBase)
    pads = opt_prop_def(DenseArrayBase)
    result = result_def(AnyTensor)

    def unpooled(self, dims: Dims) -> Dims:
        """The dims [N, C, out...] in which indices count."""
        window = Window.of(ints(self.kernel_shape), dims[2:], ints(self.strides), (), ints(self.pads))
        sizes = [
            None if d is None else (d - 1) * s + k - b - a
            for d, s, k, b, a in zip(dims[2:], window.strides, window.kernel, window.before, window.after, strict=True)
        ]
        return (*dims[:2], *sizes)

    def infer(self, x: Abstract, indices: Abstract, output_shape: Abstract | None) -> TensorType[Attribute]:
        """[N, C, out...], or the output_shape."""
        require_float(self.name, x.element)
        if x.rank < 3 or indices.element != i64 or not dims_agree(indices.dims, x.dims):
            raise CompileError(f"indices must be i64 of the dims {format_dims(x.dims)}, not {indices.type}")
        dims = self.unpooled(x.dims)
        if output_shape is None:
            return tensor(x.element, dims)
        if product(output_shape.dims) not in (None, x.rank):
            raise CompileError(f"output_shape {format_dims(output_shape.dims)} must have {x.rank} sizes")
        return tensor(x.element, output_shape.ints() or (None,) * x.rank)

    def evaluate(self, xp: Any, x: Array, indices: Array, output_shape: Array | None) -> Array:
        """One scatter."""
        dims = static_dims(tensor_dims(self.unpooled(x.shape)))
        count = prod(dims)
        if indices.size and bool(((indices < 0) | (indices >= count)).any()):
            raise CompileError(f"an index of {self.name} is not within the {count} elements of {format_dims(dims)}")
        y = xp.zeros(count, x.dtype)
        y[indices.reshape(-1)] = x.reshape(-1)
        y = y.reshape(dims)
        if output_shape is None:
            return y
        target = as_ints(output_shape)
        whole = xp.zeros(target, x.dtype)
        shared = tuple(slice(0, min(a, b)) for a, b in zip(dims, target, strict=True))
        whole[shared] = y[shared]
        return whole


def tensor_dims(dims: Dims) -> Dims:
    """`dims`; raises CompileError where one is negative."""
    if any(d is not None and d < 0 for d in dims):
        raise CompileError(f"a dimension would be negative: {format_dims(dims)}")
    return dims


@irdl_op_definition
class Col2ImOp(NNOp):
    """An image as the sum of overlapping blocks, the adjoint of im2col. ONNX Col2Im,
    https://onnx.ai/onnx/operators/onnx__Col2Im.html

    x [N, C * prod(block_shape), L] with a column for each of the L positions of the block in the padded image; result
    [N, C, image_shape...].
    """

    name = "nn.col2im"
    ONNX: ClassVar = Onnx("Col2Im", since=18)
    HOST: ClassVar = frozenset({"image_shape", "block_shape"})

    x = operand_def(AnyTensor)
    image_shape = operand_def(AnyTensor)
    block_shape = operand_def(AnyTensor)
    dilations = opt_prop_def(DenseArrayBase)
    pads = opt_prop_def(DenseArrayBase)
    strides = opt_prop_def(DenseArrayBase)
    result = result_def(AnyTensor)

    def window(self, image: Sequence[int], block: Sequence[int]) -> Window:
        """The geometry of the blocks; raises CompileError on attributes that do not fit."""
        return Window.of(block, tuple(image), ints(self.strides), ints(self.dilations), ints(self.pads))

    def positions(self, dims: Dims, image: Sequence[int], block: Sequence[int]) -> tuple[int, ...]:
        """The number of blocks along each axis; raises CompileError where `dims` has not as many columns."""
        out = static_dims(self.window(image, block).output(tuple(image)))
        if (dims[1] or 0) % prod(block) or dims[2] not in (None, prod(out)):
            raise CompileError(
                f"{format_dims(dims)} is not a multiple of {prod(block)} rows by {prod(out)} columns, as blocks"
                f" {format_dims(block)} of an image {format_dims(image)} are"
            )
        return out

    def infer(self, x: Abstract, image_shape: Abstract, block_shape: Abstract) -> TensorType[Attribute]:
        """[N, C, image...]; unknown sizes where the shapes are not constants."""
        require_number(self.name, x.element)
        rank, image, block = count_of("image_shape", image_shape), image_shape.ints(), block_shape.ints()
        if x.rank != 3 or count_of("block_shape", block_shape) != rank:
            raise CompileError(f"{self.name} needs x of rank 3 and as many block sizes as image sizes")
        channels = None
        if block is not None:
            if image is not None:
                self.positions(x.dims, image, block)
            channels = None if x.dims[1] is None or not prod(block) else x.dims[1] // prod(block)
        return tensor(x.element, (x.dims[0], channels, *(image or (None,) * rank)))

    def evaluate(self, xp: Any, x: Array, image_shape: Array, block_shape: Array) -> Array:
        """One sum per place within the block."""
        image, block = as_ints(image_shape), as_ints(block_shape)
        out, window = self.positions(x.shape, image, block), self.window(image, block)
        columns = x.reshape(x.shape[0], x.shape[1] // prod(block), *block, *out)
        sizes = [d + b + a for d, b, a in zip(image, window.before, window.after, strict=True)]
        padded = xp.zeros((*columns.shape[:2], *sizes), x.dtype)
        for index, place in window.taps(padded, out):
            place += columns[(slice(None), slice(None), *index)]
        return padded[(..., *(slice(b, b + d) for b, d in zip(window.before, image, strict=True)))]

    def working_bytes(self) -> int:
        """The padded image's."""
        if not is_static(self.result.type):
            return 0
        batch, channels, *image = static_dims(dims_of(self.result.type))
        pads = ints(self.pads) or (0,) * (2 * len(image))
        padded = prod(d + pads[a] + pads[a + len(image)] for a, d in enumerate(image))
        return batch * channels * padded * dtype_of(element_type(self.x.type)).itemsize
