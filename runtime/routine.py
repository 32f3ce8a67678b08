"""A planned block on a backend: what its frames are made of."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass

import numpy as np
from xdsl.ir import SSAValue

from ..dialects.nn.constant import ConstantOp, ParameterOp
from ..dialects.nn.regions import RegionOp
from ..dialects.nn.types import Array
from ..passes.host_ops import host_ops
from ..rewriting import node_name
from .kernels import Backend
from .places import Plan
from .reference import checked_parameter
from .sizes import MAX_BYTES, MAX_ITERATIONS


@dataclass(frozen=True)
class Limits:
    """What a program may take: bytes for a value, and for all arenas together; runs of bodies in one call."""

    max_bytes: int = MAX_BYTES
    max_iterations: int = MAX_ITERATIONS


class Routine:
    """A block with its plan, its parameters and constants, and the routines of the bodies in it."""

    def __init__(
        self,
        plan: Plan,
        parameters: Callable[[str], Array],
        store: MutableMapping[str, Array],
        backend: Backend,
        limits: Limits,
    ):
        """Parameters are put into `store` by name, which has the prepared ones already."""
        self.plan, self.backend, self.limits = plan, backend, limits
        self.host = host_ops(plan.lifetimes.ops)
        self.fixed = self._fixed_values(parameters, store)
        self.bodies: dict[RegionOp, list[Routine]] = {
            op: [Routine(p, parameters, store, backend, limits) for p in plans] for op, plans in plan.bodies.items()
        }

    def _fixed_values(
        self, parameters: Callable[[str], Array], store: MutableMapping[str, Array]
    ) -> dict[SSAValue, Array]:
        fixed: dict[SSAValue, Array] = {}
        for op in self.plan.lifetimes.ops:
            if isinstance(op, ParameterOp):
                name = op.parameter.data
                if name not in store:
                    value = checked_parameter(op, parameters)
                    with self.backend.needing(f"the parameter '{name}'", value.nbytes, node_name(op)):
                        store[name] = self.backend.asarray(value)
                fixed[op.result] = checked_parameter(op, store.__getitem__)
            elif isinstance(op, ConstantOp):
                fixed[op.result] = np.asarray(op.literal())
        return fixed
