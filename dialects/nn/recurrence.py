"""What recurrent layers share: a cell that runs over the steps of sequences, in one direction or both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from xdsl.dialects.builtin import ArrayAttr, DenseArrayBase, FloatAttr, IntegerAttr, StringAttr, TensorType, i32, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    opt_result_def,
    prop_def,
    result_def,
)

from ...errors import CompileError
from .base import AnyTensor, NNOp, OnnxNode, floats, integer, number, text
from .elementwise import require_float, same_element
from .gate_functions import GateFunction, gate_functions
from .types import (
    Abstract,
    Array,
    Dims,
    dims_agree,
    dims_of,
    dtype_of,
    element_type,
    format_dims,
    static_dims,
    tensor,
)

State: TypeAlias = tuple[Array, ...]
"""What a step hands to the next: [N, hidden] arrays, the first one its output."""

Step: TypeAlias = Callable[[Array, State], State]
"""(what the gates get from the input and the biases [N, gates * hidden], the state before) -> the state after."""


@dataclass(frozen=True)
class Weights:
    """What the state of one direction is multiplied with: r [G*H, H], its bias [G*H], and the peepholes [3*H]."""

    r: Array
    bias: Array | None
    peepholes: Array | None

    def recur(self, xp: Any, h: Array, first: int, last: int) -> Array:
        """`r h + bias` [N, (last - first) * H] for the gates `first` to `last`."""
        rows = slice(first * h.shape[1], last * h.shape[1])
        product = xp.matmul(h, self.r[rows].T)
        return product if self.bias is None else product + self.bias[rows]

    def peep(self, c: Array, gate: int) -> Array | int:
        """What the cell state adds to gate number `gate` of the peepholes."""
        width = c.shape[1]
        return 0 if self.peepholes is None else self.peepholes[gate * width : (gate + 1) * width] * c


class RecurrentOp(NNOp):
    """What the recurrent layers share: a cell that runs over the steps of sequences.

    T steps, N sequences, I inputs, H = hidden_size, D = 2 directions if `direction` is bidirectional, else 1, and G
    gates. With layout 0, x [T, N, I], initial_h [D, N, H], the result [T, D, N, H], final_h [D, N, H]; with layout 1,
    x [N, T, I], initial_h [N, D, H], the result [N, T, D, H], final_h [N, D, H]. w [D, G*H, I], r [D, G*H, H], bias
    [D, 2*G*H] (that of w, then that of r), sequence_lens [N]: beyond its length, a sequence's result is 0 and its state
    stays. The gates' sums are clipped to [-clip, clip] before the activation functions.
    """

    GATES: ClassVar[int] = 1
    DEFAULTS: ClassVar[tuple[str, ...]] = ("Tanh",)

    x = operand_def(AnyTensor)
    w = operand_def(AnyTensor)
    r = operand_def(AnyTensor)
    bias = opt_operand_def(AnyTensor)
    sequence_lens = opt_operand_def(AnyTensor)
    initial_h = opt_operand_def(AnyTensor)
    hidden_size = opt_prop_def(IntegerAttr)
    direction = prop_def(StringAttr, default_value=StringAttr("forward"))
    layout = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    clip = opt_prop_def(FloatAttr)
    activations = opt_prop_def(ArrayAttr[StringAttr])
    activation_alpha = opt_prop_def(DenseArrayBase)
    activation_beta = opt_prop_def(DenseArrayBase)
    result = result_def(AnyTensor)
    final_h = opt_result_def(AnyTensor)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    @property
    def reversals(self) -> tuple[bool, ...]:
        """Of each direction, whether it starts at the end; raises CompileError where `direction` is unknown."""
        known = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
        if (reversals := known.get(text(self.direction))) is None:
            raise CompileError(f"direction '{text(self.direction)}' is unknown; there are {', '.join(known)}")
        return reversals

    def functions(self) -> list[list[GateFunction]]:
        """Of each direction, its activation functions; raises CompileError where they do not fit."""
        count, directions = len(self.DEFAULTS), len(self.reversals)
        names = self.DEFAULTS * directions if self.activations is None else [a.data for a in self.activations]
        if len(names) != count * directions:
            raise CompileError(f"{self.name} needs {count} activation(s) for each direction, not {list(names)}")
        flat = gate_functions(names, floats(self.activation_alpha), floats(self.activation_beta))
        return [flat[d * count : (d + 1) * count] for d in range(directions)]

    def clipped(self, xp: Any, x: Array) -> Array:
        """`x` within [-clip, clip]."""
        return x if self.clip is None else xp.clip(x, -number(self.clip), number(self.clip))

    # Inference

    def sequences(self, dims: tuple[Any, ...]) -> tuple[Any, ...]:
        """Dims [T, N, ...] from those in `layout`, and back."""
        if integer(self.layout) not in (0, 1):
            raise CompileError(f"layout {integer(self.layout)} is unknown; it is 0 or 1")
        return (dims[1], dims[0], *dims[2:]) if integer(self.layout) else dims

    def infer_with(
        self,
        x: Abstract,
        w: Abstract,
        r: Abstract,
        bias: Abstract | None,
        sequence_lens: Abstract | None,
        initial: Sequence[Abstract | None],
        peepholes: Abstract | None = None,
    ) -> tuple[TensorType[Attribute], ...]:
        """The result's type, then that of each final state."""
        floating = [o for o in (x, w, r, bias, *initial, peepholes) if o is not None]
        element = same_element(self.name, *floating)
        require_float(self.name, element)
        if (x.rank, w.rank, r.rank) != (3, 3, 3):
            shapes = " and ".join(format_dims(o.dims) for o in (x, w, r))
            raise CompileError(f"{self.name} needs x, w and r of rank 3, not {shapes}")
        self.functions()
        if self.clip is not None and not number(self.clip) >= 0:
            raise CompileError(f"clip must not be negative, but is {number(self.clip)}")
        directions, gates = len(self.reversals), self.GATES
        steps, batch, inputs = self.sequences(x.dims)
        hidden = self.hidden(w.dims, r.dims)
        wide = None if hidden is None else gates * hidden
        state = self.state_dims(directions, batch, hidden)
        self._require("w", w, (directions, wide, inputs))
        self._require("r", r, (directions, wide, hidden))
        self._require("bias", bias, (directions, None if wide is None else 2 * wide))
        self._require("peepholes", peepholes, (directions, None if hidden is None else 3 * hidden))
        for operand in initial:
            self._require("an initial state", operand, state)
        self._require("sequence_lens", sequence_lens, (batch,))
        if sequence_lens is not None and sequence_lens.element != i32:
            raise CompileError(f"sequence_lens must be i32, not {sequence_lens.element}")
        if integer(self.layout):
            result = tensor(element, (batch, steps, directions, hidden))
        else:
            result = tensor(element, (steps, directions, batch, hidden))
        return (result, *[tensor(element, state)] * len(initial))[: len(self.results)]

    def hidden(self, w: Dims, r: Dims) -> int | None:
        """The number of hidden units, by `hidden_size` or the weights; raises CompileError where they differ."""
        given = None if self.hidden_size is None else integer(self.hidden_size)
        rows = next((d for d in (w[1], r[1]) if d is not None), None)
        found = {h for h in (given, r[2], None if rows is None else rows // self.GATES) if h is not None}
        if len(found) > 1:
            raise CompileError(
                f"hidden_size {given} and the weights {format_dims(w)} and {format_dims(r)} do not fit together"
            )
        return next(iter(found), None)

    def state_dims(self, directions: int, batch: int | None, hidden: int | None) -> Dims:
        """The dims of a state in `layout`."""
        return (batch, directions, hidden) if integer(self.layout) else (directions, batch, hidden)

    @staticmethod
    def _require(name: str, operand: Abstract | None, dims: Dims) -> None:
        if operand is not None and not dims_agree(operand.dims, dims):
            raise CompileError(f"{name} is {format_dims(operand.dims)} where {format_dims(dims)} is needed")

    def working_bytes(self) -> int:
        """What the gates of one direction get from the input, over all steps."""
        steps, batch, _ = static_dims(dims_of(self.x.type))
        return steps * batch * static_dims(dims_of(self.w.type))[1] * dtype_of(element_type(self.x.type)).itemsize

    # Meaning

    def cell(self, xp: Any, weights: Weights, functions: Sequence[GateFunction]) -> Step:
        """One step of a direction."""
        raise NotImplementedError(self.name)

    def run(
        self,
        xp: Any,
        x: Array,
        w: Array,
        r: Array,
        bias: Array | None,
        sequence_lens: Array | None,
        initial: Sequence[Array | None],
        peepholes: Array | None = None,
    ) -> tuple[Array, ...]:
        """The result and the final states: the input's GEMM over all steps at once, then step by step."""
        batch_first = bool(integer(self.layout))
        x = x.swapaxes(0, 1) if batch_first else x
        steps, batch, inputs = x.shape
        directions, hidden = len(self.reversals), r.shape[2]
        if (
            sequence_lens is not None
            and batch
            and not 0 <= int(sequence_lens.min()) <= int(sequence_lens.max()) <= steps
        ):
            raise CompileError(f"a number of sequence_lens is not within 0 and the {steps} steps of {self.name}")
        result = xp.zeros((steps, directions, batch, hidden), x.dtype)
        finals = [xp.zeros((directions, batch, hidden), x.dtype) for _ in initial]
        for d, (backwards, functions) in enumerate(zip(self.reversals, self.functions(), strict=True)):
            rows = w.shape[1]
            from_input = xp.matmul(x.reshape(steps * batch, inputs), w[d].T).reshape(steps, batch, rows)
            if bias is not None:
                from_input += bias[d, :rows]
            weights = Weights(
                r[d], None if bias is None else bias[d, rows:], None if peepholes is None else peepholes[d]
            )
            step = self.cell(xp, weights, functions)
            state: State = tuple(
                xp.zeros((batch, hidden), x.dtype) if i is None else (i[:, d] if batch_first else i[d]) for i in initial
            )
            for t in reversed(range(steps)) if backwards else range(steps):
                after = step(from_input[t], state)
                if sequence_lens is None:
                    result[t, d] = after[0]
                else:
                    running = (t < sequence_lens)[:, None]
                    result[t, d] = xp.where(running, after[0], x.dtype.type(0))
                    after = tuple(xp.where(running, a, s) for a, s in zip(after, state, strict=True))
                state = after
            for final, last in zip(finals, state, strict=True):
                final[d] = last
        if batch_first:
            result, finals = result.transpose(2, 0, 1, 3), [f.swapaxes(0, 1) for f in finals]
        return (result, *finals)[: len(self.results)]

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """The names of activations become an array of strings."""
        if (names := node.attributes.get("activations")) is not None:
            node.attributes["activations"] = ArrayAttr([StringAttr(n) for n in names])
        for name in ("activation_alpha", "activation_beta"):
            if not node.attributes.get(name, True):
                del node.attributes[name]  # an empty list says nothing
        return super().import_node(node)
