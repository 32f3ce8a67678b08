"""What spectra are weighted by: HannWindow, HammingWindow, BlackmanWindow, MelWeightMatrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, TensorType, f32, i1, i32, i64
from xdsl.ir import Attribute, SSAValue, TypeAttribute
from xdsl.irdl import BaseAttr, irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, OnnxNode, integer
from .cast import onnx_element
from .elementwise import require_float
from .shape import as_ints
from .signal import one_int
from .types import STORED_ONLY, Abstract, Array, dtype_of, tensor


class WeightsOp(NNOp):
    """Weights computed from a few numbers, in the type `output_datatype` (f32)."""

    output_datatype = opt_prop_def(BaseAttr(TypeAttribute))
    result = result_def(AnyTensor)

    @property
    def element(self) -> Attribute:
        """The result's element type; raises CompileError where it is not one of numbers."""
        element = self.output_datatype or f32
        if element == i1 or element in STORED_ONLY:
            raise CompileError(f"{self.name} gives numbers, not {element}")
        return element

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """`output_datatype` is a number in ONNX."""
        onnx_element(node, "output_datatype")
        return super().import_node(node)


class WindowOp(WeightsOp):
    """`a[0] + a[1] cos(2 pi n / N) + a[2] cos(4 pi n / N)` for n < size; N = size where `periodic`, else size - 1."""

    HOST: ClassVar = frozenset({"size"})
    COEFFICIENTS: ClassVar[tuple[float, ...]] = ()

    size = operand_def(AnyTensor)
    periodic = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))

    def infer(self, size: Abstract) -> TensorType[Attribute]:
        """`size` numbers."""
        if size.element not in (i32, i64):
            raise CompileError(f"the size of {self.name} must be i32 or i64, not {size.element}")
        return tensor(self.element, [one_int("size", size)])

    def evaluate(self, xp: Any, size: Array) -> Array:
        """In float64, rounded once; one point that is not periodic is NaN, as in ONNX's own body."""
        count = as_ints(size)[0]
        with np.errstate(invalid="ignore"):
            angle = 2 * np.pi * xp.arange(count) / xp.float64(count if integer(self.periodic) else count - 1)
        y = xp.zeros(count) + self.COEFFICIENTS[0]
        for k, a in enumerate(self.COEFFICIENTS[1:], 1):
            y = y + a * xp.cos(k * angle)
        return y.astype(dtype_of(self.element))


@irdl_op_definition
class HannWindowOp(WindowOp):
    """`0.5 - 0.5 cos(2 pi n / N)`. ONNX HannWindow, https://onnx.ai/onnx/operators/onnx__HannWindow.html"""

    name = "nn.hann_window"
    ONNX: ClassVar = Onnx("HannWindow", since=17)
    COEFFICIENTS: ClassVar = (0.5, -0.5)


@irdl_op_definition
class HammingWindowOp(WindowOp):
    """`25/46 - 21/46 cos(2 pi n / N)`. ONNX HammingWindow,
    https://onnx.ai/onnx/operators/onnx__HammingWindow.html
    """

    name = "nn.hamming_window"
    ONNX: ClassVar = Onnx("HammingWindow", since=17)
    COEFFICIENTS: ClassVar = (25 / 46, -21 / 46)


@irdl_op_definition
class BlackmanWindowOp(WindowOp):
    """`0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)`. ONNX BlackmanWindow,
    https://onnx.ai/onnx/operators/onnx__BlackmanWindow.html
    """

    name = "nn.blackman_window"
    ONNX: ClassVar = Onnx("BlackmanWindow", since=17)
    COEFFICIENTS: ClassVar = (0.42, -0.5, 0.08)


@irdl_op_definition
class MelWeightMatrixOp(WeightsOp):
    """Weights [dft_length // 2 + 1, num_mel_bins] from linear frequencies to mel ones, a triangle for each mel bin.

    ONNX MelWeightMatrix, https://onnx.ai/onnx/operators/onnx__MelWeightMatrix.html. Triangles stand between
    `lower_edge_hertz` and `upper_edge_hertz`, of signals with `sample_rate` points a second. All operands are scalars.
    """

    name = "nn.mel_weight_matrix"
    ONNX: ClassVar = Onnx("MelWeightMatrix", since=17)
    HOST: ClassVar = frozenset({"num_mel_bins", "dft_length", "sample_rate", "lower_edge_hertz", "upper_edge_hertz"})

    num_mel_bins = operand_def(AnyTensor)
    dft_length = operand_def(AnyTensor)
    sample_rate = operand_def(AnyTensor)
    lower_edge_hertz = operand_def(AnyTensor)
    upper_edge_hertz = operand_def(AnyTensor)

    def infer(
        self,
        num_mel_bins: Abstract,
        dft_length: Abstract,
        sample_rate: Abstract,
        lower_edge_hertz: Abstract,
        upper_edge_hertz: Abstract,
    ) -> TensorType[Attribute]:
        """[frequencies, mel bins], where their numbers are constants."""
        for edge in (lower_edge_hertz, upper_edge_hertz):
            require_float(self.name, edge.element)
        if one_int("sample_rate", sample_rate) == 0:
            raise CompileError("sample_rate must not be 0")
        points = one_int("dft_length", dft_length)
        bins = one_int("num_mel_bins", num_mel_bins)
        return tensor(self.element, [None if points is None else points // 2 + 1, bins])

    def evaluate(
        self,
        xp: Any,
        num_mel_bins: Array,
        dft_length: Array,
        sample_rate: Array,
        lower_edge_hertz: Array,
        upper_edge_hertz: Array,
    ) -> Array:
        """Both slopes of all triangles at once, in float64."""
        bins, points, rate = (as_ints(v)[0] for v in (num_mel_bins, dft_length, sample_rate))
        if rate == 0 or bins < 0:
            raise CompileError(f"{self.name} of {bins} bins at a sample_rate of {rate}")
        lowest, highest = (
            2595 * np.log10(1 + float(v.reshape(-1)[0]) / 700) for v in (lower_edge_hertz, upper_edge_hertz)
        )
        mels = np.arange(bins + 2) * (highest - lowest) / (bins + 2) + lowest
        corners = ((points + 1) * 700 * (10 ** (mels / 2595) - 1) // rate).astype(np.int64)
        left, centre, right = corners[:-2], corners[1:-1], corners[2:]
        j = np.arange(points // 2 + 1)[:, None]
        rising = (j - left) / np.maximum(centre - left, 1) * ((left <= j) & (j < centre))
        falling = (right - j) / np.maximum(right - centre, 1) * ((centre < j) & (j < right))
        weights = rising + falling + (j == centre)
        return xp.asarray(weights.astype(dtype_of(self.element)))
