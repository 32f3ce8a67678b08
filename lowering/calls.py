"""What all lowerings to library calls share: a pattern with its refusals, and the operations it writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.pattern_rewriter import GreedyRewritePatternApplier, PatternRewriter, PatternRewriteWalker, RewritePattern

from ..dialects.nn.activation import ActivationAttr
from ..dialects.nn.activations import spelled
from ..dialects.nn.base import NNOp
from ..dialects.nn.constant import ConstantOp
from ..dialects.nn.reshape import ReshapeOp
from ..dialects.nn.types import Dims, dims_of
from ..rewriting import node_name, remark, replace


class Calls:
    """The operations that take another one's place, in order."""

    def __init__(self) -> None:
        self.ops: list[Operation] = []

    def add(self, op: NNOp) -> SSAValue:
        """The first result of `op`, which is put at the end."""
        self.ops.append(op)
        return op.results[0]

    def ints(self, values: Sequence[int]) -> SSAValue:
        """A constant list of integers."""
        return self.add(ConstantOp.of(np.asarray(values, np.int64)))

    def reshape(self, x: SSAValue, dims: Dims) -> SSAValue:
        """`x` with other dims, for which `may_reshape` must hold; `x` itself where it has them."""
        if dims_of(x.type) == dims:
            return x
        shape = self.ints([-1 if d is None else d for d in dims])
        return self.add(ReshapeOp(x, shape, allowzero=int(0 in dims)))

    def activation(self, x: SSAValue, activation: ActivationAttr | None) -> SSAValue:
        """`x`, or the activation of it as an operation of its own."""
        if activation is None:
            return x
        ops = spelled(x, activation)
        self.ops += ops
        return ops[-1].results[0]


def may_reshape(dims: Dims) -> bool:
    """Whether a reshape can say these dims: what is unknown follows from the number of elements."""
    return None not in dims or (dims.count(None) == 1 and 0 not in dims)


class Lowering(RewritePattern, ABC):
    """Operations of the class OP as library calls. The docstring is the equation; a refusal is one reason."""

    OP: ClassVar[type[NNOp]]

    @abstractmethod
    def refusal(self, op: Any) -> str | None:
        """Why `op` must stay as it is, or None."""

    @abstractmethod
    def lower(self, op: Any, calls: Calls) -> SSAValue:
        """Write what computes `op`, which is not refused, and return its result."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """Lower `op` where it is of the class OP and not refused."""
        if not isinstance(op, self.OP) or self.refusal(op) is not None:
            return
        calls = Calls()
        result = self.lower(op, calls)
        result._type = op.results[0].type  # as declared (it may know less, or more): so does a func.return
        replace(rewriter, op, calls.ops, [result])

    def check_left(self, op: Operation) -> None:
        """Record why `op`, which is still there, was not lowered; raises RuntimeError where nothing forbids it."""
        if not isinstance(op, self.OP):
            return
        if (reason := self.refusal(op)) is None:
            raise RuntimeError(f"{node_name(op)}: {op.name} was not lowered")
        remark(f"{node_name(op)} not lowered: {reason}")


def apply_lowerings(module: ModuleOp, lowerings: Sequence[Lowering]) -> None:
    """Lower everything in `module` that is not refused, in place; a remark says why the rest stays."""
    applier = GreedyRewritePatternApplier([*lowerings], dce_enabled=False)
    PatternRewriteWalker(applier, apply_recursively=False).rewrite_module(module)
    for left in module.walk():
        for lowering in lowerings:
            lowering.check_left(left)
