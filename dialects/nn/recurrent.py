"""Recurrent layers: RNN, GRU and LSTM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, TensorType, f32, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    AttrSizedResultSegments,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_result_def,
    prop_def,
    result_def,
)

from .base import AnyTensor, Onnx, OnnxNode, integer
from .cast import CastOp
from .elementwise import MulOp, SubOp
from .gate_functions import GateFunction
from .layout import TransposeOp
from .quantize import DequantizeLinearOp, DynamicQuantizeLinearOp, quantize_dynamically
from .recurrence import RecurrentOp, State, Step, Weights
from .reshape import UnsqueezeOp
from .types import Abstract, Array, dims_of


def without_clip_of_0(node: OnnxNode) -> OnnxNode:
    """`node` without a clip of 0, which models have that mean none.

    ONNX Runtime refuses it in GRU and LSTM, and ONNX's reference does not clip at all; in RNN, ONNX Runtime clips.
    """
    if node.attributes.get("clip") == 0:
        del node.attributes["clip"]
    return node


def without_quantization(node: OnnxNode) -> OnnxNode:
    """An LSTM node for ONNX Runtime's DynamicQuantizeLSTM, https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md

    Of its inputs, w [D, I, 4*H] and r [D, H, 4*H] are i8 or ui8, and 8 to 11 are w's scale and zero point ([D] or
    [D, 4*H]) and r's.
    """
    quantized = node.build(DynamicQuantizeLinearOp, node.required(0))
    (x,) = node.build(DequantizeLinearOp, *quantized)
    w, r = (dequantized(node, index, scale) for index, scale in ((1, 8), (2, 10)))
    node.inputs = [x, w, r, *node.inputs[3:8]]
    node.attributes["quantize_state"] = 1
    return node


def dequantized(node: OnnxNode, index: int, scale: int) -> SSAValue:
    """Input `index` as floats, its last two dims swapped; its scale is input `scale`, its zero point the next one."""

    def along_directions(value: SSAValue) -> SSAValue:
        axes = np.arange(1, 4 - len(dims_of(value.type)))
        return node.build(UnsqueezeOp, value, node.constant(axes))[0]

    (weight,) = node.build(CastOp, node.required(index), to=f32)
    if (zero := node.input(scale + 1)) is not None:
        (zero,) = node.build(CastOp, along_directions(zero), to=f32)
        (weight,) = node.build(SubOp, weight, zero)
    (weight,) = node.build(MulOp, weight, along_directions(node.required(scale)))
    return node.build(TransposeOp, weight, perm=[0, 2, 1])[0]


class OneStateOp(RecurrentOp):
    """A recurrent layer whose state is its output."""

    def infer(
        self,
        x: Abstract,
        w: Abstract,
        r: Abstract,
        bias: Abstract | None,
        sequence_lens: Abstract | None,
        initial_h: Abstract | None,
    ) -> tuple[TensorType[Attribute], ...]:
        """The outputs of all steps, and of the last."""
        return self.infer_with(x, w, r, bias, sequence_lens, [initial_h])

    def evaluate(
        self,
        xp: Any,
        x: Array,
        w: Array,
        r: Array,
        bias: Array | None,
        sequence_lens: Array | None,
        initial_h: Array | None,
    ) -> tuple[Array, ...]:
        """Step by step."""
        return self.run(xp, x, w, r, bias, sequence_lens, [initial_h])


@irdl_op_definition
class RNNOp(OneStateOp):
    """`h = f(w x + r h + bias)` at each step. ONNX RNN, https://onnx.ai/onnx/operators/onnx__RNN.html

    Shapes as in `RecurrentOp`, with one gate. `output_sequence` of opsets below 7 says only whether the result is used.
    """

    name = "nn.rnn"
    ONNX: ClassVar = Onnx("RNN", since=1, drop=frozenset({"output_sequence"}))

    def cell(self, xp: Any, weights: Weights, functions: Sequence[GateFunction]) -> Step:
        """`f(gates + r h)`"""
        (f,) = functions

        def step(gates: Array, state: State) -> State:
            return (f(xp, self.clipped(xp, gates + weights.recur(xp, state[0], 0, 1))),)

        return step


@irdl_op_definition
class GRUOp(OneStateOp):
    """Gated recurrent units. ONNX GRU, https://onnx.ai/onnx/operators/onnx__GRU.html

    Shapes as in `RecurrentOp`, with the gates z, r, h: `z = f(w x + r h + b)`, `r` alike, then
    `h' = g(w x + r (r * h) + b)` or, with `linear_before_reset`, `g(w x + r * (r h + b) + b)`, and
    `h = (1 - z) h' + z h`.
    `output_sequence` of opsets below 7 says only whether the result is used.
    """

    name = "nn.gru"
    ONNX: ClassVar = Onnx("GRU", since=1, drop=frozenset({"output_sequence"}))
    GATES: ClassVar = 3
    DEFAULTS: ClassVar = ("Sigmoid", "Tanh")

    linear_before_reset = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """A clip of 0 is none."""
        return super().import_node(without_clip_of_0(node))

    def cell(self, xp: Any, weights: Weights, functions: Sequence[GateFunction]) -> Step:
        """The update gate z and the reset gate r, the new value, and a mean of it and the state."""
        f, g = functions
        hidden = weights.r.shape[1]
        linear = bool(integer(self.linear_before_reset))

        def step(gates: Array, state: State) -> State:
            (h,) = state
            zr = f(xp, self.clipped(xp, gates[:, : 2 * hidden] + weights.recur(xp, h, 0, 2)))
            z, reset = zr[:, :hidden], zr[:, hidden:]
            recurrent = reset * weights.recur(xp, h, 2, 3) if linear else weights.recur(xp, reset * h, 2, 3)
            new = g(xp, self.clipped(xp, gates[:, 2 * hidden :] + recurrent))
            return (new + z * (h - new),)

        return step


@irdl_op_definition
class LSTMOp(RecurrentOp):
    """Long short-term memory. ONNX LSTM, https://onnx.ai/onnx/operators/onnx__LSTM.html

    Shapes as in `RecurrentOp`, with the gates i, o, f, c and a second state c, with initial_c and final_c like those of
    h; peepholes [D, 3*H] (of i, o, f). `i = f(w x + r h + p c + b)`, `f` alike (1 - i with `input_forget`),
    `c = f * c + i * g(w x + r h + b)`, `o = f(w x + r h + p c + b)` of the new c, `h = o * h(c)`.
    `output_sequence` of opsets below 7 says only whether the result is used.

    With `quantize_state`, h is rounded in each step to what DynamicQuantizeLinear makes of it, over all sequences,
    those that have ended too. So ONNX Runtime's DynamicQuantizeLSTM is this op, x rounded likewise and the weights
    dequantised; its own rounding is over as many sequences as each of its threads has.
    """

    name = "nn.lstm"
    ONNX: ClassVar = Onnx(
        "LSTM", drop=frozenset({"output_sequence"}), variants=(("com.microsoft", "DynamicQuantizeLSTM"),)
    )
    GATES: ClassVar = 4
    DEFAULTS: ClassVar = ("Sigmoid", "Tanh", "Tanh")

    x = operand_def(AnyTensor)
    w = operand_def(AnyTensor)
    r = operand_def(AnyTensor)
    bias = opt_operand_def(AnyTensor)
    sequence_lens = opt_operand_def(AnyTensor)
    initial_h = opt_operand_def(AnyTensor)
    initial_c = opt_operand_def(AnyTensor)
    peepholes = opt_operand_def(AnyTensor)
    input_forget = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    quantize_state = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    result = result_def(AnyTensor)
    final_h = opt_result_def(AnyTensor)
    final_c = opt_result_def(AnyTensor)

    irdl_options = (AttrSizedResultSegments(as_property=True),)

    def infer(
        self,
        x: Abstract,
        w: Abstract,
        r: Abstract,
        bias: Abstract | None,
        sequence_lens: Abstract | None,
        initial_h: Abstract | None,
        initial_c: Abstract | None,
        peepholes: Abstract | None,
    ) -> tuple[TensorType[Attribute], ...]:
        """The outputs of all steps, and h and c of the last."""
        return self.infer_with(x, w, r, bias, sequence_lens, [initial_h, initial_c], peepholes)

    def evaluate(
        self,
        xp: Any,
        x: Array,
        w: Array,
        r: Array,
        bias: Array | None,
        sequence_lens: Array | None,
        initial_h: Array | None,
        initial_c: Array | None,
        peepholes: Array | None,
    ) -> tuple[Array, ...]:
        """Step by step."""
        return self.run(xp, x, w, r, bias, sequence_lens, [initial_h, initial_c], peepholes)

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """A clip of 0 is none; the quantised form has scales and zero points behind its inputs."""
        if node.op_type == "DynamicQuantizeLSTM":
            node = without_quantization(node)
        return super().import_node(without_clip_of_0(node))

    def cell(self, xp: Any, weights: Weights, functions: Sequence[GateFunction]) -> Step:
        """The gates i, f and the new value, then c, then the gate o and h."""
        f, g, h_of = functions
        coupled, rounded = bool(integer(self.input_forget)), bool(integer(self.quantize_state))

        def step(gates: Array, state: State) -> State:
            h, c = state
            if rounded:
                y, scale, zero_point = quantize_dynamically(xp, h)
                h = (y.astype(h.dtype) - zero_point) * scale
            i, o, forget, new = xp.split(gates + weights.recur(xp, h, 0, 4), 4, axis=1)
            i = f(xp, self.clipped(xp, i + weights.peep(c, 0)))
            forget = 1 - i if coupled else f(xp, self.clipped(xp, forget + weights.peep(c, 2)))
            c = forget * c + i * g(xp, self.clipped(xp, new))
            o = f(xp, self.clipped(xp, o + weights.peep(c, 1)))
            return o * h_of(xp, c), c

        return step
