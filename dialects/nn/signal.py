"""Fourier transforms: DFT, STFT. A complex number is a last dim of 2, real and imaginary part; a real one of 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from xdsl.dialects.builtin import IntegerAttr, TensorType, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    prop_def,
    result_def,
)

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, OnnxNode, integer
from .elementwise import require_float, same_element
from .shape import as_ints
from .types import Abstract, Array, Dims, dims_agree, format_dims, normalize_axis, tensor


def require_signal(name: str, x: Abstract, rank: int) -> None:
    """Raise CompileError where `x` is no signal of at least this rank."""
    require_float(name, x.element)
    if x.rank < rank or x.dims[-1] not in (1, 2, None):
        raise CompileError(
            f"{name} needs a signal whose last dim is 1 (real) or 2 (complex), not {format_dims(x.dims)}"
        )


def one_int(name: str, operand: Abstract | None) -> int | None:
    """The value of a HOST operand of one number; None where it is absent or not known."""
    if operand is None or (values := operand.ints()) is None:
        return None
    if len(values) != 1:
        raise CompileError(f"{name} must be one number, not {format_dims(operand.dims)}")
    return values[0]


def as_complex(x: Array) -> Array:
    """The numbers of a signal without its last dim: real ones where that is 1."""
    return x[..., 0] if x.shape[-1] == 1 else x[..., 0] + 1j * x[..., 1]


def as_pairs(xp: Any, y: Array) -> Array:
    """Complex numbers as a last dim of 2."""
    return xp.stack([y.real, y.imag], axis=-1)


def spectrum(xp: Any, x: Array, length: int, axis: int, onesided: bool) -> Array:
    """The DFT along an axis of numbers, its first `length // 2 + 1` frequencies where `onesided`, as pairs."""
    if onesided and x.dtype.kind != "c":
        return as_pairs(xp, xp.fft.rfft(x, n=length, axis=axis))
    y = xp.fft.fft(x, n=length, axis=axis)
    return as_pairs(xp, y[tuple([slice(None)] * axis + [slice(length // 2 + 1)])] if onesided else y)


@irdl_op_definition
class DFTOp(NNOp):
    """The discrete Fourier transform of `x` along `axis` (by default the one before the complex pairs).

    ONNX DFT, https://onnx.ai/onnx/operators/onnx__DFT.html. `x` is cut or padded with zeros to `dft_length`. With
    `onesided` only the first `dft_length // 2 + 1` frequencies are given; with `inverse` too, they are what is taken,
    and the result is real. The inverse divides by the length.
    """

    name = "nn.dft"
    ONNX: ClassVar = Onnx("DFT", since=17)
    HOST: ClassVar = frozenset({"dft_length", "axis"})

    x = operand_def(AnyTensor)
    dft_length = opt_operand_def(AnyTensor)
    axis = opt_operand_def(AnyTensor)
    inverse = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    onesided = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    result = result_def(AnyTensor)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    @property
    def real(self) -> bool:
        """Whether the result is real."""
        return bool(integer(self.inverse) and integer(self.onesided))

    def place(self, axis: int, rank: int) -> int:
        """The axis from the front; raises CompileError for that of the complex pairs."""
        if (place := normalize_axis(axis, rank)) == rank - 1:
            raise CompileError(f"{self.name} does not go along the last axis, that of the complex pairs")
        return place

    def length(self, size: int, given: int | None) -> int:
        """The number of points; raises CompileError where there is none."""
        length = given if given is not None else 2 * (size - 1) if self.real else size
        if length < 1:
            raise CompileError(f"{self.name} of {length} points")
        return length

    def infer(self, x: Abstract, dft_length: Abstract | None, axis: Abstract | None) -> TensorType[Attribute]:
        """The dims of `x` with the number of frequencies (or points) along the axis."""
        require_signal(self.name, x, 2)
        place = -2 if axis is None else one_int("axis", axis)
        last = 1 if self.real else 2
        if place is None:
            return tensor(x.element, (*[None] * (x.rank - 1), last))
        place = self.place(place, x.rank)
        given, size, count = one_int("dft_length", dft_length), x.dims[place], None
        if given is not None or (dft_length is None and size is not None):
            count = self.length(size or 0, given)
            if integer(self.onesided) and not self.real:
                count = count // 2 + 1
        return tensor(x.element, (*x.dims[:place], count, *x.dims[place + 1 : -1], last))

    def evaluate(self, xp: Any, x: Array, dft_length: Array | None, axis: Array | None) -> Array:
        """By the FFT, in the precision of `x`."""
        place = self.place(-2 if axis is None else as_ints(axis)[0], x.ndim)
        length = self.length(x.shape[place], None if dft_length is None else as_ints(dft_length)[0])
        signal = as_complex(x)
        if self.real:
            return xp.fft.irfft(signal, n=length, axis=place)[..., None].astype(x.dtype)
        if integer(self.inverse):
            return as_pairs(xp, xp.fft.ifft(signal, n=length, axis=place)).astype(x.dtype)
        return spectrum(xp, signal, length, place, bool(integer(self.onesided))).astype(x.dtype)

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """`axis` was an attribute, 1 by default, before opset 20."""
        if node.opset < 20:
            node.attributes.setdefault("axis", 1)
        node.attribute_to_input("axis", 2)
        return super().import_node(node)


@irdl_op_definition
class STFTOp(NNOp):
    """The DFTs of frames of `signal` [B, L, 1 or 2], one each `frame_step`: [B, frames, frequencies, 2].

    ONNX STFT, https://onnx.ai/onnx/operators/onnx__STFT.html. Each frame of `frame_length` points (those of the window,
    by default) is multiplied by the `window`; frames that would go beyond the signal are left out.
    """

    name = "nn.stft"
    ONNX: ClassVar = Onnx("STFT", since=17)
    HOST: ClassVar = frozenset({"frame_step", "frame_length"})

    signal = operand_def(AnyTensor)
    frame_step = operand_def(AnyTensor)
    window = opt_operand_def(AnyTensor)
    frame_length = opt_operand_def(AnyTensor)
    onesided = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    result = result_def(AnyTensor)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def frames(self, size: int, length: int, step: int) -> int:
        """How many frames there are; raises CompileError where the numbers do not fit."""
        if not 1 <= length <= size or step < 1:
            raise CompileError(f"{self.name} has no frames of {length} points each {step} in a signal of {size}")
        return 1 + (size - length) // step

    def infer(
        self, signal: Abstract, frame_step: Abstract, window: Abstract | None, frame_length: Abstract | None
    ) -> TensorType[Attribute]:
        """[B, frames, frequencies, 2], unknown where step, length or signal are."""
        require_signal(self.name, signal, 3)
        if signal.rank != 3:
            raise CompileError(f"{self.name} needs a signal [batch, length, 1 or 2], not {format_dims(signal.dims)}")
        length, step, size = one_int("frame_length", frame_length), one_int("frame_step", frame_step), signal.dims[1]
        if window is not None:
            same_element(self.name, signal, window)
            if not dims_agree(window.dims, (length,)):
                raise CompileError(f"a window {format_dims(window.dims)} for frames of {length} points")
        if length is None and frame_length is None:
            length = size if window is None else window.dims[0]
        dims: Dims = (None, None)
        if length is not None:
            count = None if size is None or step is None else self.frames(size, length, step)
            dims = (count, length // 2 + 1 if integer(self.onesided) else length)
        return tensor(signal.element, (signal.dims[0], *dims, 2))

    def evaluate(
        self, xp: Any, signal: Array, frame_step: Array, window: Array | None, frame_length: Array | None
    ) -> Array:
        """All frames at once."""
        size, step = signal.shape[1], as_ints(frame_step)[0]
        length = size if window is None else window.shape[0]
        length = length if frame_length is None else as_ints(frame_length)[0]
        starts = xp.arange(self.frames(size, length, step)) * step
        frames = as_complex(signal)[:, starts[:, None] + xp.arange(length)]
        frames = frames if window is None else frames * window
        return spectrum(xp, frames, length, 2, bool(integer(self.onesided))).astype(signal.dtype)
