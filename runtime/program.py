"""A planned function as a flat list of bound calls over one arena."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute

from ..dialects.nn.types import STORED_ONLY, Array
from ..dialects.nn.value_types import scalar_type
from ..errors import CompileError, UnsupportedError
from ..rewriting import node_name
from .frame import Frame, Step
from .kernels import Backend
from .places import Plan
from .reference import evaluate, function, main_function, value_names
from .routine import Limits, Routine
from .sizes import check_sizes


class Program(Routine):
    """`func @main` of a planned module, ready to run on one backend; `run` may be called from several threads.

    Each concurrent call has a frame of its own (arena and bound steps); frames are kept for later calls.
    """

    def __init__(
        self,
        module: ModuleOp,
        parameters: Callable[[str], Array],
        backend: Backend,
        prepared: dict[str, Array] | None = None,
        limits: Limits | None = None,
    ):
        """Check the plan, run @prepare for what `prepared` (shared between programs) does not hold yet, and bind."""
        self.module, self.func = module, main_function(module)
        limits = limits or Limits()
        plan = checked_plan(module, limits.max_bytes)
        self.input_names = value_names(self.func.arg_attrs, len(self.func.args))
        self.output_names = value_names(self.func.res_attrs, len(self.func.function_type.outputs))
        store = {} if prepared is None else prepared
        check_elements(module, backend)
        with backend.needing("what is prepared of the parameters"):
            run_prepare(module, parameters, backend, store)
        super().__init__(plan, parameters, store, backend, limits)
        self._lock = threading.Lock()
        self._frames = [self._frame()]
        backend.synchronize()  # a caller's other streams do not wait for what loading enqueued

    def run(self, inputs: Sequence[Any], timings: list[tuple[Step, float]] | None = None) -> list[Any]:
        """The outputs for `inputs`, in the arguments' order; outputs are new arrays of the caller's (see values.py).

        With `timings`, each step and the seconds it took are appended there (the device synchronised after each).
        """
        with self._lock:
            frame = self._frames.pop() if self._frames else None
        frame = frame or self._frame()
        try:
            return frame.run(inputs, timings)
        except Exception as e:
            raise self.backend.explained(e, "a run") from None
        finally:
            with self._lock:
                self._frames.append(frame)

    def _frame(self) -> Frame:
        with self.backend.needing("what the kernels are loaded into"):
            return Frame(self)

    def profile(self, inputs: Sequence[Any]) -> tuple[list[Any], list[tuple[Step, float]]]:
        """The outputs, and each step with the seconds it took."""
        timings: list[tuple[Step, float]] = []
        return self.run(inputs, timings), timings

    @property
    def steps(self) -> list[Step]:
        """The calls of the first frame, in order."""
        return self.first_frame.steps

    @property
    def first_frame(self) -> Frame:
        """The one that was made when it was loaded."""
        return self._frames[0]

    @property
    def workspace(self) -> int:
        """The bytes that the calls of one run need beside the arena, those of bodies not counted."""
        return self.first_frame.scratch.size


def check_elements(module: ModuleOp, backend: Backend) -> None:
    """Raise UnsupportedError where a value is of an element type that the backend's array module lacks."""
    for op in module.walk():
        for value in (*op.operands, *op.results):
            check_element(value.type, backend, node_name(op))


def check_element(type_: Attribute, backend: Backend, name: str | None) -> None:
    """Raise UnsupportedError for `name` where arrays of `type_` cannot be on the backend."""
    if backend.xp is not np and (element := scalar_type(type_)) in STORED_ONLY:
        raise UnsupportedError(f"the element type {element} is not supported on {backend.name}", name)


def run_prepare(
    module: ModuleOp, parameters: Callable[[str], Array], backend: Backend, store: dict[str, Array]
) -> None:
    """Put @prepare's results into `store` by name, on the backend's device."""
    prepare = function(module, "prepare")
    if prepare is None:
        return
    names = value_names(prepare.res_attrs, len(prepare.function_type.outputs))
    if all(name in store for name in names):
        return
    made = dict(zip(names, evaluate(prepare, [], parameters, backend.xp), strict=True))
    new = {name: value for name, value in made.items() if name not in store}
    store |= zip(new, backend.packed(list(new.values())), strict=True)
    del made, new
    backend.trim()


def checked_plan(module: ModuleOp, max_bytes: int) -> Plan:
    """The memory plan of @main; raises CompileError where it is wrong or needs more than `max_bytes`."""
    check_sizes(module, max_bytes)
    plan = Plan.of(main_function(module))
    if plan.total > max_bytes:
        raise CompileError(
            f"the program needs {plan.total} bytes, more than the limit of {max_bytes}", hint="--max-bytes"
        )
    return plan
