"""Activations that exporters spell as `x` times a gate of `x`: SiLU, HardSwish and GELU become one op each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import permutations
from math import isclose, sqrt
from typing import Any, cast

import ml_dtypes
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern

from ...rewriting import replace
from .activations import ActivationOp, GeluOp, HardSigmoidOp, HardSwishOp, SigmoidOp, SwishOp
from .base import number
from .clip import ClipOp, clamp_bounds
from .constant import constant_array
from .elementwise import AddOp, DivOp, MulOp
from .types import dtype_of, element_type, is_float
from .unary import ErfOp

MAX_OPS = 4
"""How many multiplications and divisions are looked through: a gate's spelling has three at most."""


@dataclass
class Product:
    """`scale` times `factors`, computed by `ops` (the last one first) whose results nothing else reads."""

    scale: float = 1.0
    factors: list[SSAValue] = field(default_factory=list[SSAValue])
    ops: list[Operation] = field(default_factory=list[Operation])

    def multiply(self, value: SSAValue) -> None:
        """Multiply by `value`; by its factors where it is a product itself that nothing else reads."""
        owner = value.owner
        # The first one is the product asked for, whoever reads it.
        opened = not self.ops or (value.has_one_use() and len(self.ops) < MAX_OPS)
        if (constant := constant_number(value)) is not None:
            self.scale *= constant
        elif isinstance(owner, MulOp) and opened:
            self.ops.append(owner)
            self.multiply(owner.a)
            self.multiply(owner.b)
        elif isinstance(owner, DivOp) and opened and (divisor := constant_number(owner.b)):
            self.ops.append(owner)
            self.scale /= divisor
            self.multiply(owner.a)
        else:
            self.factors.append(value)


@dataclass(frozen=True)
class Gate:
    """`gate(x) * x * scale` is `activation(x)`; the gate is computed by `ops`, the last one first."""

    activation: type[ActivationOp]
    scale: float
    ops: tuple[Operation, ...]


def sigmoid_gate(x: SSAValue, gate: SSAValue) -> Gate | None:
    """`sigmoid(x)`, of SiLU."""
    op = gate.owner
    return Gate(SwishOp, 1, (op,)) if isinstance(op, SigmoidOp) and op.x == x else None


def hard_gate(x: SSAValue, gate: SSAValue) -> Gate | None:
    """`clip(x + 3, 0, 6)` or `hard_sigmoid(x) {alpha = 1/6, beta = 1/2}`, of HardSwish."""
    op = gate.owner
    if isinstance(op, HardSigmoidOp) and op.x == x:
        same = near(number(op.alpha), 1 / 6, op.alpha.type) and number(op.beta) == 0.5
        return Gate(HardSwishOp, 1, (op,)) if same else None
    if not isinstance(op, ClipOp) or clamp_bounds(op) != (0, 6):
        return None
    shifted = sum_with(op.x, 3)
    return Gate(HardSwishOp, 1 / 6, (op, shifted[0])) if shifted is not None and shifted[1] == x else None


def erf_gate(x: SSAValue, gate: SSAValue) -> Gate | None:
    """`erf(x / sqrt(2)) + 1`, of GELU."""
    total = sum_with(gate, 1)
    if total is None or not isinstance(erf := total[1].owner, ErfOp) or not total[1].has_one_use():
        return None
    inner = Product()
    inner.multiply(erf.x)
    if inner.factors != [x] or not near(inner.scale, sqrt(0.5), element_type(x.type)):
        return None
    return Gate(GeluOp, 0.5, (total[0], erf, *inner.ops))


GATES: tuple[Callable[[SSAValue, SSAValue], Gate | None], ...] = (sigmoid_gate, hard_gate, erf_gate)


class FuseGate(RewritePattern):
    """`x * gate(x) * scale` -> the activation with that gate, in any order, where nothing else reads the parts."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """See the class."""
        if not isinstance(op, MulOp | DivOp) or not is_float(element_type(op.result.type)):
            return
        product = Product()
        product.multiply(op.result)
        if len(product.factors) != 2:
            return
        for x, value in permutations(product.factors):
            for find in GATES:
                gate = find(x, value) if x.type == op.result.type and value.has_one_use() else None
                if gate is not None and near(product.scale, gate.scale, element_type(x.type)):
                    absorbed = [*reversed(gate.ops), *reversed(product.ops[1:])]
                    replace(rewriter, op, gate.activation(x, result_types=[op.result.type]), absorbed=absorbed)
                    return


def constant_number(value: SSAValue) -> float | None:
    """The value of an inline constant of one element."""
    array = constant_array(value)
    return float(array.reshape(())) if array is not None and array.size == 1 else None


def sum_with(value: SSAValue, addend: float) -> tuple[Operation, SSAValue] | None:
    """The nn.add that makes `value`, and what it adds `addend` to; None where it does not, or is read twice."""
    op = value.owner
    if isinstance(op, AddOp) and value.has_one_use():
        for term, other in ((op.a, op.b), (op.b, op.a)):
            if constant_number(other) == addend:
                return op, term
    return None


def near(value: float, ideal: float, element: Attribute) -> bool:
    """Whether a product of a few constants of a float type is `ideal`, but for their rounding."""
    info = cast(Any, ml_dtypes).finfo(dtype_of(element))
    return isclose(value, ideal, rel_tol=4 * float(info.eps))
