"""Layer normalisation that exporters spell out: means, squares and a root become one op, its bias with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import cast

from xdsl.ir import Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern

from ...rewriting import count_uses, recognise
from .base import integer
from .constant import constant_array, is_weight
from .elementwise import AddOp, DivOp, MulOp, PowOp, SubOp
from .gate_patterns import Product, constant_number
from .norm import LayerNormalizationOp
from .reduce import ReduceMeanOp
from .types import dims_of, element_type, is_float, normalize_axis
from .unary import ReciprocalOp, SqrtOp


@dataclass(frozen=True)
class Mean:
    """`op` is the mean of `x` over its dims from `axis` on, which stay as ones."""

    op: ReduceMeanOp
    x: SSAValue
    axis: int


@dataclass(frozen=True)
class Power:
    """`base ** exponent`, computed by `ops` in their order, whose results nothing else reads."""

    base: SSAValue
    exponent: float
    ops: tuple[Operation, ...] = ()


@dataclass(frozen=True)
class Standardized:
    """`(x - mean) / sqrt(variance + epsilon)` over the dims from `axis` on, computed by `ops` in their order."""

    x: SSAValue
    axis: int
    epsilon: float
    ops: tuple[Operation, ...]


class FuseLayerNormalization(RewritePattern):
    """`d / sqrt(mean(d * d) + epsilon) * scale` with `d = x - mean(x)` -> `layer_normalization(x, scale)`

    In any order, by a division or by a product with a reciprocal, where nothing else reads the parts and `scale` is a
    weight of the normalised dims.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """See the class."""
        if not isinstance(op, MulOp) or not is_float(element_type(op.result.type)):
            return
        whole = Product()
        whole.multiply(op.result)
        if whole.scale != 1 or len(whole.factors) > 3:
            return
        for *factors, scale in permutations(whole.factors):
            found = standardized(factors) if is_weight(scale) else None
            if found is None or found.x.type != op.result.type:
                continue
            if dims_of(scale.type) == (dims := dims_of(found.x.type))[found.axis :]:
                axis, types = found.axis - len(dims), [op.result.type]
                new = LayerNormalizationOp(found.x, scale, axis=axis, epsilon=found.epsilon, result_types=types)
                recognise(rewriter, op, new, (*found.ops, *reversed(whole.ops[1:])))
                return


class BiasOfLayerNormalization(RewritePattern):
    """`layer_normalization(x, scale) + bias` -> `layer_normalization(x, scale, bias)`

    Where nothing else reads the norm and `bias` is a weight of its scale's type.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """See the class."""
        if not isinstance(op, AddOp):
            return
        for value, bias in ((op.a, op.b), (op.b, op.a)):
            norm = value.owner
            if not isinstance(norm, LayerNormalizationOp) or norm.bias is not None or len(norm.results) > 1:
                continue
            if value.has_one_use() and bias.type == norm.scale.type and is_weight(bias):
                new = LayerNormalizationOp(
                    norm.x, norm.scale, bias, axis=norm.axis, epsilon=norm.epsilon, result_types=[op.result.type]
                )
                recognise(rewriter, op, new, [norm])
                return


def standardized(factors: Sequence[SSAValue]) -> Standardized | None:
    """What `factors` standardise together: one that is a division, or what is centred and a reciprocal root."""
    if len(factors) == 1 and isinstance(op := factors[0].owner, DivOp) and factors[0].has_one_use():
        return standardized_by(op.a, power_of(op.b), 0.5, (op,))
    return standardized_by(factors[0], power_of(factors[1]), -0.5, ()) if len(factors) == 2 else None


def standardized_by(centred: SSAValue, root: Power, exponent: float, ops: tuple[Operation, ...]) -> Standardized | None:
    """`centred` and the `root` of its variance, of that exponent, joined by `ops`."""
    difference, total = centred.owner, root.base.owner
    if not isinstance(difference, SubOp) or not isinstance(total, AddOp) or root.exponent != exponent:
        return None
    mean = mean_of(difference.b)
    if mean is None or mean.x != difference.a or not root.base.has_one_use():
        return None
    for variance, epsilon in ((total.a, total.b), (total.b, total.a)):
        squares, value_of_epsilon = mean_of(variance), constant_number(epsilon)
        if squares is None or value_of_epsilon is None or squares.axis != mean.axis or not variance.has_one_use():
            continue
        others = square_of(squares.x, difference)
        if others is not None and total.result.type == variance.type:
            inner = (mean.op, *others, squares.op, total, *root.ops)
            return Standardized(mean.x, mean.axis, value_of_epsilon, (*inner, *ops))
    return None


def power_of(value: SSAValue) -> Power:
    """`value` as a power of what roots, reciprocals and powers with constant exponents compute it from."""
    exponent, ops = 1.0, list[Operation]()
    while value.has_one_use() and (step := _power_step(value)) is not None:
        ops.append(cast(Operation, value.owner))
        value, factor = step
        exponent *= factor
    return Power(value, exponent, tuple(reversed(ops)))


def _power_step(value: SSAValue) -> tuple[SSAValue, float] | None:
    """The operand, of the same type, of which `value` is a power, and the exponent."""
    base, exponent = value, None
    match op := value.owner:
        case SqrtOp():
            base, exponent = op.x, 0.5
        case ReciprocalOp():
            base, exponent = op.x, -1.0
        case DivOp() if constant_number(op.a) == 1:
            base, exponent = op.b, -1.0
        case PowOp():
            base, exponent = op.a, constant_number(op.b)
        case _:
            pass
    return None if exponent is None or base.type != value.type else (base, exponent)


def mean_of(value: SSAValue) -> Mean | None:
    """The mean that `value` is, over the last dims."""
    op = value.owner
    if not isinstance(op, ReduceMeanOp) or not integer(op.keepdims) or op.axes is None:
        return None
    axes, rank = constant_array(op.axes), len(dims_of(op.x.type))
    if axes is None or not axes.size:
        return None
    first = rank - axes.size
    covered = sorted(normalize_axis(int(a), rank) for a in axes)
    return Mean(op, op.x, first) if covered == list(range(first, rank)) else None


def square_of(value: SSAValue, difference: SubOp) -> tuple[Operation, ...] | None:
    """The ops of `d * d`, where `d` is `difference` or another of the same operands; None where others read them."""
    op = value.owner
    if not isinstance(op, MulOp) or op.a != op.b or not value.has_one_use():
        return None
    inner = op.a.owner
    if not isinstance(inner, SubOp) or (inner.a, inner.b) != (difference.a, difference.b):
        return None
    expected = 3 if inner is difference else 2  # both factors of the square, and the numerator
    if count_uses(inner) != expected or (inner is not difference and count_uses(difference) != 1):
        return None
    return (difference, op) if inner is difference else (inner, difference, op)
