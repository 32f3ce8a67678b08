"""Activations that exporters spell as `x` times a gate of `x`: SiLU, HardSwish, Mish and GELU become one op each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import permutations, product
from math import isclose, pi, sqrt
from typing import Any, cast

import ml_dtypes
import numpy as np
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern

from ...rewriting import recognise
from .activations import (
    ActivationOp,
    GeluOp,
    HardSigmoidOp,
    HardSwishOp,
    MishOp,
    SigmoidOp,
    SoftplusOp,
    SwishOp,
    TanhOp,
)
from .base import number
from .clip import ClipOp, clamp_bounds
from .constant import constant_array
from .elementwise import AddOp, DivOp, MulOp, PowOp, SubOp
from .types import dtype_of, element_type, is_float
from .unary import ErfOp

MAX_OPS = 4
"""How many multiplications and divisions are looked through: a gate's spelling has three at most."""

MAX_TERMS = 10
"""How many operations on the way to a gate's argument are looked through: GELU's has seven."""


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


@dataclass
class Polynomial:
    """`terms` (degree -> coefficient) of some value, computed by `ops` (the last one first)."""

    terms: dict[int, float]
    ops: list[Operation] = field(default_factory=list[Operation])

    def near(self, terms: dict[int, float], element: Attribute) -> bool:
        """Whether these are its terms, but for the rounding of a float type."""
        return self.terms.keys() == terms.keys() and all(near(self.terms[d], c, element) for d, c in terms.items())


def polynomial(value: SSAValue, x: SSAValue) -> Polynomial | None:
    """`value` as a polynomial in `x` with constant coefficients; None where it is none, or others read its parts."""
    ops: list[Operation] = []
    terms = _terms(value, x, ops)
    return None if terms is None or value.type != x.type else Polynomial({d: c for d, c in terms.items() if c}, ops)


def _terms(value: SSAValue, x: SSAValue, ops: list[Operation]) -> dict[int, float] | None:
    if value == x:
        return {1: 1.0}
    if (constant := constant_number(value)) is not None:
        return {0: constant}
    op = value.owner
    if not isinstance(op, AddOp | SubOp | MulOp | DivOp | PowOp) or not value.has_one_use() or len(ops) == MAX_TERMS:
        return None
    ops.append(op)
    a, b = _terms(op.a, x, ops), _terms(op.b, x, ops)
    if a is None or b is None:
        return None
    if isinstance(op, AddOp | SubOp):
        sign = 1 if isinstance(op, AddOp) else -1
        return {d: a.get(d, 0.0) + sign * b.get(d, 0.0) for d in a.keys() | b.keys()}
    if isinstance(op, MulOp):
        return _product(a, b)
    if b.keys() != {0}:
        return None
    if isinstance(op, DivOp):
        return {d: c / b[0] for d, c in a.items()} if b[0] else None
    return _product(a, _product(a, a)) if b[0] == 3 else _product(a, a) if b[0] == 2 else None


def _product(a: dict[int, float], b: dict[int, float]) -> dict[int, float]:
    terms: dict[int, float] = {}
    for (i, c), (j, d) in product(a.items(), b.items()):
        terms[i + j] = terms.get(i + j, 0.0) + c * d
    return terms


@dataclass(frozen=True)
class Gate:
    """`gate(x) * x * scale` is `activation(x) {fields}`; the gate is computed by `ops`, the last one first."""

    activation: type[ActivationOp]
    scale: float
    ops: tuple[Operation, ...]
    fields: dict[str, Any] = field(default_factory=dict[str, Any])


def sigmoid_gate(x: SSAValue, gate: SSAValue) -> Gate | None:
    """`sigmoid(alpha * x)`, of SiLU (alpha = 1) and its kin."""
    op = gate.owner
    if not isinstance(op, SigmoidOp) or (inner := polynomial(op.x, x)) is None or set(inner.terms) != {1}:
        return None
    alpha = inner.terms[1]
    if float(np.float32(alpha)) != alpha:
        return None
    return Gate(SwishOp, 1, (op, *inner.ops), {"alpha": alpha})


def tanh_gate(x: SSAValue, gate: SSAValue) -> Gate | None:
    """`tanh(softplus(x))`, of Mish."""
    op = gate.owner
    if not isinstance(op, TanhOp) or not isinstance(soft := op.x.owner, SoftplusOp) or not op.x.has_one_use():
        return None
    return Gate(MishOp, 1, (op, soft)) if soft.x == x else None


def hard_gate(x: SSAValue, gate: SSAValue) -> Gate | None:
    """`clip(x + 3, 0, 6)`, `clip(x / 6 + 1/2, 0, 1)` or `hard_sigmoid(x) {alpha = 1/6, beta = 1/2}`, of HardSwish."""
    op, element = gate.owner, element_type(x.type)
    if isinstance(op, HardSigmoidOp) and op.x == x:
        same = near(number(op.alpha), 1 / 6, op.alpha.type) and number(op.beta) == 0.5
        return Gate(HardSwishOp, 1, (op,)) if same else None
    if not isinstance(op, ClipOp) or (inner := polynomial(op.x, x)) is None:
        return None
    low, high = clamp_bounds(op) or (0, 0)
    if low != 0 or not 0 < high < np.inf or not inner.near({0: high / 2, 1: high / 6}, element):
        return None
    return Gate(HardSwishOp, 1 / high, (op, *inner.ops))


def gelu_gate(x: SSAValue, gate: SSAValue) -> Gate | None:
    """`erf(x / sqrt(2)) + 1` or `tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)) + 1`, of GELU."""
    total, element = sum_with(gate, 1), element_type(x.type)
    if total is None or not isinstance(curve := total[1].owner, ErfOp | TanhOp) or not total[1].has_one_use():
        return None
    terms = {1: sqrt(0.5)} if isinstance(curve, ErfOp) else {1: sqrt(2 / pi), 3: 0.044715 * sqrt(2 / pi)}
    inner = polynomial(curve.x, x)
    if inner is None or not inner.near(terms, element):
        return None
    approximate = "none" if isinstance(curve, ErfOp) else "tanh"
    return Gate(GeluOp, 0.5, (total[0], curve, *inner.ops), {"approximate": approximate})


GATES: tuple[Callable[[SSAValue, SSAValue], Gate | None], ...] = (sigmoid_gate, tanh_gate, hard_gate, gelu_gate)


class FuseGate(RewritePattern):
    """`x * gate(x) * scale` -> the activation with that gate, in any order, where nothing else reads the parts."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """See the class."""
        if not isinstance(op, MulOp | DivOp) or not is_float(element_type(op.result.type)):
            return
        whole = Product()
        whole.multiply(op.result)
        if len(whole.factors) != 2:
            return
        for x, value in permutations(whole.factors):
            for find in GATES:
                gate = find(x, value) if x.type == op.result.type and value.has_one_use() else None
                if gate is not None and near(whole.scale, gate.scale, element_type(x.type)):
                    absorbed = [*reversed(gate.ops), *reversed(whole.ops[1:])]
                    new = gate.activation(x, result_types=[op.result.type], **gate.fields)
                    recognise(rewriter, op, new, absorbed)
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
