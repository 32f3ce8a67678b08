"""Which operations are shape arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..dialects.nn.base import NNOp
from ..dialects.nn.constant import ConstantOp, ParameterOp
from ..dialects.nn.regions import RegionOp


def host_ops(ops: Sequence[Any]) -> set[NNOp]:
    """The ops that run on NumPy on every device: shape arithmetic, whose results only HOST operands read."""
    host: set[NNOp] = set()
    for op in reversed(ops):
        if not isinstance(op, NNOp) or isinstance(op, ParameterOp | ConstantOp | RegionOp):
            continue
        uses = [use for result in op.results for use in result.uses]
        if uses and all(
            use.operation in host or (isinstance(use.operation, NNOp) and use.index in use.operation.host_operands())
            for use in uses
        ):
            host.add(op)
    return host
