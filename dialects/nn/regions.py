"""Bodies of operations with regions: what ends them, and how they are run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xdsl.dialects.utils import AbstractYieldOperation
from xdsl.ir import Attribute, Block, SSAValue
from xdsl.irdl import irdl_op_definition, traits_def
from xdsl.traits import IsTerminator, Pure
from xdsl.utils.exceptions import VerifyException

from .base import NNOp
from .types import Array


@irdl_op_definition
class YieldOp(AbstractYieldOperation[Attribute]):
    """The end of a body: its operands are what the body gives."""

    name = "nn.yield"

    traits = traits_def(IsTerminator(), Pure())


def yielded(body: Block) -> Sequence[SSAValue]:
    """What a body gives; raises VerifyException where it does not end with an nn.yield."""
    if not isinstance(last := body.last_op, YieldOp):
        raise VerifyException("a body ends with nn.yield")
    return last.arguments


def compute_body(body: Block, xp: Any, arguments: Sequence[Array]) -> tuple[Array, ...]:
    """What a body gives for the arrays of its arguments, op by op by `compute`."""
    values: dict[SSAValue, Array] = dict(zip(body.args, arguments, strict=True))
    for op in body.ops:
        if isinstance(op, NNOp):
            results = op.compute(xp, [values[v] for v in op.operands])
            values.update(zip(op.results, results, strict=True))
    return tuple(values[v] for v in yielded(body))
