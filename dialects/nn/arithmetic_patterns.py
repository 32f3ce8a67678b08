"""Canonical forms of arithmetic: what exporters spell out becomes the one op that means it."""

from __future__ import annotations

import numpy as np
from xdsl.ir import Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern

from ...rewriting import replace
from .activations import LeakyReluOp, PReluOp, ReluOp
from .constant import constant_array
from .elementwise import AddOp, MaxOp, MulOp, PowOp, SumOp
from .types import element_type, is_float


class MaxWithZero(RewritePattern):
    """`max(x, 0)` of floats, in either order, the zero broadcast to `x` -> `relu(x)`."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """See the class."""
        if not isinstance(op, MaxOp) or len(op.inputs) != 2 or not is_float(element_type(op.result.type)):
            return
        for x, zero in (tuple(op.inputs), tuple(reversed(op.inputs))):
            if x.type == op.result.type and is_all(zero, 0):
                replace(rewriter, op, ReluOp(x, result_types=[op.result.type]))
                return


class SumOfTwo(RewritePattern):
    """`sum(a, b)` -> `a + b`, which other patterns know."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """See the class."""
        if isinstance(op, SumOp) and len(op.inputs) == 2:
            replace(rewriter, op, AddOp(*op.inputs, result_types=[op.result.type]))


class PowOfTwo(RewritePattern):
    """`x ** 2` of floats -> `x * x`"""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """See the class."""
        if (
            isinstance(op, PowOp)
            and is_float(element_type(op.a.type))
            and is_all(op.b, 2)
            and op.a.type == op.result.type
        ):
            replace(rewriter, op, MulOp(op.a, op.a, result_types=[op.result.type]))


class PReluOfOneSlope(RewritePattern):
    """`prelu(x, slope)` of floats with one finite constant slope -> `leaky_relu(x) {alpha = slope}`"""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """Only where the slope is an f32 number, which is what alpha is."""
        if not isinstance(op, PReluOp) or not is_float(element_type(op.x.type)):
            return
        slope = constant_array(op.slope)
        if slope is None or slope.size != 1:
            return
        alpha = float(slope.reshape(()))
        if np.isfinite(alpha) and float(np.float32(alpha)) == alpha:
            replace(rewriter, op, LeakyReluOp(op.x, alpha=alpha, result_types=[op.result.type]))


def is_all(value: SSAValue, number: float) -> bool:
    """Whether a value is an inline constant of which every element is `number` (and that has any)."""
    array = constant_array(value)
    return array is not None and array.size > 0 and bool((array == number).all())
