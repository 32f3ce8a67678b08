"""Recurrent layers: RNN, GRU and LSTM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from xdsl.dialects.builtin import IntegerAttr, TensorType, i64
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
from .gate_functions import GateFunction
from .recurrence import RecurrentOp, State, Step, Weights
from .types import Abstract, Array


def without_clip_of_0(node: OnnxNode) -> OnnxNode:
    """`node` without a clip of 0, which models have that mean none.

    ONNX Runtime refuses it in GRU and LSTM, and ONNX's reference does not clip at all; in RNN, ONNX Runtime clips.
    """
    if node.attributes.get("clip") == 0:
        del node.attributes["clip"]
    return node


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
    """

    name = "nn.lstm"
    ONNX: ClassVar = Onnx("LSTM", since=1, drop=frozenset({"output_sequence"}))
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
        """A clip of 0 is none."""
        return super().import_node(without_clip_of_0(node))

    def cell(self, xp: Any, weights: Weights, functions: Sequence[GateFunction]) -> Step:
        """The gates i, f and the new value, then c, then the gate o and h."""
        f, g, h_of = functions
        coupled = bool(integer(self.input_forget))

        def step(gates: Array, state: State) -> State:
            h, c = state
            i, o, forget, new = xp.split(gates + weights.recur(xp, h, 0, 4), 4, axis=1)
            i = f(xp, self.clipped(xp, i + weights.peep(c, 0)))
            forget = 1 - i if coupled else f(xp, self.clipped(xp, forget + weights.peep(c, 2)))
            c = forget * c + i * g(xp, self.clipped(xp, new))
            o = f(xp, self.clipped(xp, o + weights.peep(c, 1)))
            return o * h_of(xp, c), c

        return step
