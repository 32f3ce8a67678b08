"""Concatenation straight into the result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....dialects.nn.base import NNOp, integer
from ....dialects.nn.join import ConcatOp
from ....dialects.nn.types import Array
from .. import Bind, Kernel, KernelContext


def bind_concat(op: ConcatOp, context: KernelContext) -> Kernel:
    """Any element type."""
    axis = integer(op.axis)

    def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        np.concatenate(ins, axis=axis, out=outs[0])

    return run


KERNELS: dict[type[NNOp], Bind] = {ConcatOp: bind_concat}
