"""Elements moved to other places: between channels and space, along time, to the centre."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, StringAttr, TensorType, i64
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, integer, ints, text
from .elementwise import UnaryOp
from .shape import as_ints, normalize_axes
from .types import (
    Abstract,
    Array,
    Dims,
    dims_agree,
    dims_of,
    element_type,
    format_dims,
    product,
    static_dims,
    tensor,
)


class BlockOp(UnaryOp):
    """Square blocks of `blocksize` x `blocksize` pixels of x [N, C, H, W] against channels.

    In mode DCR, the channels that make a block are C apart, in mode CRD they are neighbours.
    """

    INPLACE: ClassVar = ()
    POINTWISE: ClassVar = False
    CHANNEL_PARTS: ClassVar[int]

    blocksize = prop_def(IntegerAttr)
    mode = prop_def(StringAttr, default_value=StringAttr("DCR"))

    def check(self, x: Abstract, divided: tuple[tuple[int, int], ...]) -> int:
        """The block size; raises CompileError unless x has rank 4 and the (axis, divisor) pairs fit."""
        block = integer(self.blocksize)
        if text(self.mode) not in ("DCR", "CRD"):
            raise CompileError(f"mode '{text(self.mode)}' of {self.name} is unknown; it is DCR or CRD")
        if x.rank != 4 or block < 1 or any((x.dims[axis] or 0) % divisor for axis, divisor in divided):
            raise CompileError(f"{self.name} with blocksize {block} does not fit {format_dims(x.dims)}")
        return block

    def parts(self, dims: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The six dims that an operand of these is seen with, and their order in the result.

        The batch comes first, then the channels, of which there are CHANNEL_PARTS in the operand, 4 - CHANNEL_PARTS in
        the result.
        """
        raise NotImplementedError

    def evaluate(self, xp: Any, x: Array) -> Array:
        """Two reshapes and a transpose."""
        dims, order = self.parts(x.shape)
        known = Abstract(tensor(element_type(self.x.type), x.shape))
        return x.reshape(dims).transpose(order).reshape(static_dims(dims_of(self.infer(known))))


def _times(size: int | None, factor: int) -> int | None:
    return None if size is None else size * factor


def _over(size: int | None, divisor: int) -> int | None:
    return None if size is None else size // divisor


@irdl_op_definition
class DepthToSpaceOp(BlockOp):
    """Channels to blocks of pixels: [N, C, H, W] to [N, C / b², H * b, W * b]. ONNX DepthToSpace,
    https://onnx.ai/onnx/operators/onnx__DepthToSpace.html. See `BlockOp`.
    """

    name = "nn.depth_to_space"
    ONNX: ClassVar = Onnx("DepthToSpace", since=1)
    CHANNEL_PARTS: ClassVar = 3

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """[N, C / b², H * b, W * b]"""
        b = self.check(x, ((1, integer(self.blocksize) ** 2),))
        n, c, h, w = x.dims
        return tensor(x.element, (n, _over(c, b * b), _times(h, b), _times(w, b)))

    def parts(self, dims: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The rows and the columns of a block before or after what is left of the channels."""
        (n, c, h, w), b = dims, integer(self.blocksize)
        if text(self.mode) == "DCR":
            return (n, b, b, c // (b * b), h, w), (0, 3, 4, 1, 5, 2)
        return (n, c // (b * b), b, b, h, w), (0, 1, 4, 2, 5, 3)


@irdl_op_definition
class SpaceToDepthOp(BlockOp):
    """Blocks of pixels to channels: [N, C, H, W] to [N, C * b², H / b, W / b]. ONNX SpaceToDepth,
    https://onnx.ai/onnx/operators/onnx__SpaceToDepth.html. See `BlockOp`.
    """

    name = "nn.space_to_depth"
    ONNX: ClassVar = Onnx("SpaceToDepth", since=1)
    CHANNEL_PARTS: ClassVar = 1

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """[N, C * b², H / b, W / b]"""
        b = self.check(x, ((2, integer(self.blocksize)), (3, integer(self.blocksize))))
        n, c, h, w = x.dims
        return tensor(x.element, (n, _times(c, b * b), _over(h, b), _over(w, b)))

    def parts(self, dims: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The rows and the columns of a block after those of blocks."""
        (n, c, h, w), b = dims, integer(self.blocksize)
        order = (0, 3, 5, 1, 2, 4) if text(self.mode) == "DCR" else (0, 1, 3, 5, 2, 4)
        return (n, c, h // b, b, w // b, b), order


@irdl_op_definition
class ReverseSequenceOp(NNOp):
    """The first sequence_lens[n] elements along `time_axis` of each sequence n of `batch_axis`, reversed.

    ONNX ReverseSequence, https://onnx.ai/onnx/operators/onnx__ReverseSequence.html. The axes are 0 and 1, in some
    order; those beyond a sequence's length stay.
    """

    name = "nn.reverse_sequence"
    ONNX: ClassVar = Onnx("ReverseSequence", since=10)

    x = operand_def(AnyTensor)
    sequence_lens = operand_def(AnyTensor)
    batch_axis = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    time_axis = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    result = result_def(AnyTensor)

    def infer(self, x: Abstract, sequence_lens: Abstract) -> TensorType[Attribute]:
        """The type of `x`."""
        axes = [integer(self.batch_axis), integer(self.time_axis)]
        if sorted(axes) != [0, 1] or x.rank < 2:
            raise CompileError(f"batch_axis and time_axis {axes} must be 0 and 1 of {format_dims(x.dims)}")
        if sequence_lens.element != i64 or not dims_agree(sequence_lens.dims, (x.dims[axes[0]],)):
            raise CompileError(f"sequence_lens must be i64, one per sequence, not {sequence_lens.type}")
        return x.type

    def evaluate(self, xp: Any, x: Array, sequence_lens: Array) -> Array:
        """One gather along the time axis."""
        swap = integer(self.time_axis) == 1
        steps = x.shape[integer(self.time_axis)]
        if sequence_lens.size and bool(((sequence_lens < 0) | (sequence_lens > steps)).any()):
            raise CompileError(f"a number of sequence_lens is not within 0 and the {steps} steps of {self.name}")
        time = xp.arange(steps)[:, None]
        source = xp.where(time < sequence_lens, sequence_lens - 1 - time, time)
        source = source.T if swap else source
        index = xp.broadcast_to(source.reshape(*source.shape, *[1] * (x.ndim - 2)), x.shape)
        return xp.take_along_axis(x, index, axis=integer(self.time_axis))


@irdl_op_definition
class CenterCropPadOp(NNOp):
    """`x` cut or padded with zeros to the sizes `shape` of `axes` (all by default), around its centre.

    ONNX CenterCropPad, https://onnx.ai/onnx/operators/onnx__CenterCropPad.html. Where the difference is odd, the end
    gets one more.
    """

    name = "nn.center_crop_pad"
    ONNX: ClassVar = Onnx("CenterCropPad", since=18)
    HOST: ClassVar = frozenset({"shape"})

    x = operand_def(AnyTensor)
    shape = operand_def(AnyTensor)
    axes = opt_prop_def(DenseArrayBase)
    result = result_def(AnyTensor)

    def target(self, dims: Dims, sizes: Sequence[int | None]) -> Dims:
        """The result's dims; raises CompileError where there is not one size per axis."""
        axes = tuple(range(len(dims))) if self.axes is None else normalize_axes(ints(self.axes), len(dims))
        if len(sizes) != len(axes):
            raise CompileError(f"{len(sizes)} sizes do not fit {len(axes)} axes of {self.name}")
        chosen = dict(zip(axes, sizes, strict=True))
        return tuple(chosen.get(a, d) for a, d in enumerate(dims))

    def infer(self, x: Abstract, shape: Abstract) -> TensorType[Attribute]:
        """The dims with those sizes; unknown ones where `shape` is not a constant."""
        count = len(ints(self.axes)) if self.axes is not None else x.rank
        known = product(shape.dims) if shape.value is None else len(shape.ints() or ())
        sizes = shape.ints() or (None,) * (count if known is None else known)
        return tensor(x.element, self.target(x.dims, sizes))

    def evaluate(self, xp: Any, x: Array, shape: Array) -> Array:
        """A slice, and zeros around it."""
        target = self.target(x.shape, as_ints(shape))
        taken: list[slice] = []
        widths: list[tuple[int, int]] = []
        for old, new in zip(x.shape, target, strict=True):
            assert new is not None
            before = abs(new - old) // 2
            taken.append(slice(before, before + new) if new < old else slice(None))
            widths.append((before, new - old - before) if new > old else (0, 0))
        return xp.pad(x[tuple(taken)], widths)
