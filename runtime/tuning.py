"""Tuning: every way to compute an op is timed on the device, and the fastest is written into the IR as an attribute."""

from __future__ import annotations

import gc
import hashlib
import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import Any, cast

from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr, UnitAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation

from ..dialects.nn.base import NNOp
from ..dialects.nn.channels import is_channels_last
from ..dialects.nn.constant import is_weight
from ..dialects.nn.conv import ConvOp
from ..dialects.nn.gemm import GemmOp
from ..dialects.nn.types import is_static, num_bytes
from ..errors import CompileError, OutOfMemoryError
from ..lowering.tensor_cores import CALL
from ..passes.plan_memory import STREAMS, PlanMemoryPass
from ..rewriting import node_name
from .frame import Frame, Step
from .kernels import Attributes, Backend, KernelContext
from .program import Program
from .reference import main_function
from .side_by_side import has_branches
from .timing import Timing, no_parameters, random_array
from .tolerance import RELATIVE_L2, relative_l2
from .tuning_cache import TuningCache

LOG = logging.getLogger("nnfuse")

CALLS = ("blas", "cuda", "cudnn:precompiled", "cudnn:runtime")
"""What may compute a convolution, the slowest to try last; `blas` leaves depthwise ones to the kernel of their own."""

HOPELESS = 1.5
"""Where the plan that cuDNN ranks first takes so many times what another call takes, its other plans are not tried."""

BRANCHES = 2
"""Streams that are tried for a program of branches: on an H100 more were no faster."""

WORTH_MORE = 0.97
"""What takes more memory than something else, or moves more of it, must be this much faster."""

METHOD = "6"
"""Changed with the candidates and with how they are timed: choices made otherwise are not used."""

Progress = Callable[[int, int, str], None]
"""`progress(done, all, what)`"""


def silent(done: int, total: int, what: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class Timed:
    """How long a choice takes, and how much it reads and writes."""

    microseconds: float
    moved: int
    choice: Attributes

    def is_better(self, other: Timed) -> bool:
        """Whether it is faster, by as much as what it moves calls for."""
        more = (self.moved > other.moved) - (self.moved < other.moved)
        return self.microseconds < other.microseconds * WORTH_MORE**more


@dataclass
class Tuner:
    """Chooses calls and algorithms for the ops of one backend and precision; keeps what it measured in `cache`."""

    backend: Backend
    precision: str
    cache: TuningCache
    lower: Callable[[ModuleOp], None]
    progress: Progress = silent

    @contextmanager
    def kept(self) -> Generator[Tuner]:
        """This tuner; in the end what it has chosen is written, also where it was interrupted."""
        try:
            yield self
        finally:
            self.cache.save()

    def tune_calls(self, module: ModuleOp) -> None:
        """Choose what computes each product and each convolution, channels last: `nn.call`. Static shapes only."""
        walk = list(main_function(module).walk())
        ops: list[NNOp] = [op for op in walk if isinstance(op, ConvOp) and is_channels_last(op.layout)]
        ops += [op for op in walk if isinstance(op, GemmOp)]
        self._tune(ops, lambda op: {CALL: self._fastest_call(op)})

    def tune_algorithms(self, module: ModuleOp) -> None:
        """Choose the algorithm of each library call that has several and none chosen yet."""
        known = self.backend.alternatives
        ops = [op for op in main_function(module).walk() if type(op) in known and not _is_chosen(cast(NNOp, op))]
        self._tune(cast(list[NNOp], ops), self._fastest_algorithm)

    def load(self, module: ModuleOp, load: Callable[[ModuleOp], Program]) -> Program:
        """What `load` makes of a planned module, or of it with branches side by side where that takes less time."""
        key = f"{self.precision} {STREAMS} {hashlib.sha256(str(module).encode()).hexdigest()[:24]}"
        if (chosen := self.cache.get(key)) is not None:
            return load(side_by_side(module) if chosen == {STREAMS: str(BRANCHES)} else module)
        program = load(module)
        if not has_branches(program):
            return program
        self.progress(0, 1, "branches")
        other = None
        try:
            other = load(side_by_side(module))
            faster = self._microseconds(other) < WORTH_MORE * self._microseconds(program)
            self.cache.put(key, {STREAMS: str(BRANCHES if faster else 1)})
            program = other if faster else program
        except OutOfMemoryError as e:
            LOG.warning("branches are not tried side by side: %s", e)
        del other
        gc.collect()  # programs and their frames know each other: the arena of one would stay a while
        self.backend.trim()
        self.progress(1, 1, "")
        return program

    def _microseconds(self, program: Program) -> float:
        """The median time of a run on random data."""
        assert self.backend.elapsed is not None
        rng = self.backend.xp.random.default_rng(0)
        inputs = [random_array(rng, argument) for argument in program.func.args]
        program.run(inputs)
        return self.backend.elapsed(lambda: [*program.run(inputs)].clear(), 20)

    def _tune(self, ops: Sequence[NNOp], measure: Callable[[Any], Attributes]) -> None:
        alike: dict[str, list[NNOp]] = {}
        for op in ops:
            if all(is_static(v.type) and num_bytes(v.type) for v in (*op.operands, *op.results)):
                alike.setdefault(f"{self.precision} {describe(op)}", []).append(op)
        for count, (key, group) in enumerate(alike.items()):
            if (chosen := self.cache.get(key)) is None:
                self.progress(count, len(alike), group[0].name)
                chosen = measure(group[0])
                self.cache.put(key, chosen)
            for op in group:
                _choose(op, chosen)
        self.progress(len(alike), len(alike), "")

    def _fastest_call(self, op: NNOp) -> str:
        best, chosen, shortage = None, "", None
        for call in CALLS:
            try:
                with self.backend.needing("tuning it", node=node_name(op)):
                    timed = self._time_call(op, call, HOPELESS * best.microseconds if best else inf)
            except OutOfMemoryError as e:
                shortage = e
                continue
            except CompileError:
                continue  # this library does not compute such a convolution
            if best is None or timed.is_better(best):
                plan = timed.choice.get("plan")
                best, chosen = timed, f"{call}:{plan}" if plan else call
        if best is None and shortage is not None:
            raise shortage
        return chosen or "blas"

    def _time_call(self, op: NNOp, call: str, limit: float) -> Timed:
        """A convolution by one library, with its best algorithm or plan; one of cuDNN's within a limit of time."""
        module, weights = fragment(op, {CALL: call})
        self.lower(module)
        dialect = call.partition(":")[0]
        if dialect != "blas" and not any(o.name == f"{dialect}.conv" for o in main_function(module).body.block.ops):
            raise CompileError(f"it is not computed by {dialect}")
        return self._time_fragment(module, weights, limit if dialect == "cudnn" else inf)

    def _fastest_algorithm(self, op: NNOp) -> Attributes:
        module, weights = fragment(op, {})
        self.lower(module)
        with self.backend.needing("tuning it", node=node_name(op)):
            return self._time_fragment(module, weights).choice

    def _time_fragment(self, module: ModuleOp, weights: Sequence[int], limit: float = inf) -> Timed:
        """The fastest of the alternatives for a module of one call (and what prepares it).

        Where the first takes longer than `limit`, it is the only one.
        """
        program = Program(module, no_parameters, self.backend, {})
        frame = Frame(program)
        timing = Timing(program.func, frame, weights)
        step = next((s for s in frame.steps if type(s.op) in self.backend.alternatives), None)
        if step is None:
            return Timed(timing.microseconds(), timing.moved, {})
        timed: list[Timed] = []
        for chosen, taken in self._alternatives(step, frame, timing):
            timed.append(Timed(taken, timing.moved, chosen))
            if timed[0].microseconds > limit:
                break
        if not timed:
            raise CompileError(f"nothing computes {step.op.name}")
        return min(timed, key=lambda t: t.microseconds)

    def _alternatives(self, step: Step, frame: Frame, timing: Timing) -> Iterator[tuple[Attributes, float]]:
        context = KernelContext(frame.xp, frame.scratch)
        truth = timing.truth()
        for attributes, kernel in self.backend.alternatives[type(step.op)](step.op, context):
            step.kernel = kernel
            try:
                with self.backend.needing("the workspace", frame.scratch.size):
                    frame.scratch.allocate()
                microseconds = timing.microseconds()
            except CompileError:
                continue  # it fails when it is run: no choice
            # Some kernels (Winograd's in f16) are fast and far off.
            if relative_l2(timing.result(), truth, frame.xp) <= RELATIVE_L2[self.precision] / 2:
                yield attributes, microseconds


def fragment(op: NNOp, attributes: Attributes) -> tuple[ModuleOp, list[int]]:
    """A module whose `@main` is one op of its arguments, and which of these are weights."""
    values = list(dict.fromkeys(op.operands))
    marks = ArrayAttr([DictionaryAttr({"nn.weight": UnitAttr()} if is_weight(v) else {}) for v in values])
    func = FuncOp("main", ([v.type for v in values], list(op.result_types)), arg_attrs=marks)
    block = func.body.block
    copy = op.clone(value_mapper=dict(zip(values, block.args, strict=True)))
    _choose(copy, attributes)
    block.add_ops([copy, ReturnOp(*copy.results)])
    return ModuleOp([func]), [i for i, v in enumerate(values) if is_weight(v)]


def side_by_side(module: ModuleOp) -> ModuleOp:
    """A planned module, planned anew for branches on streams of their own."""
    module = module.clone()
    PlanMemoryPass(streams=BRANCHES).apply(Context(), module)
    return module


def describe(op: NNOp) -> str:
    """What an op computes: its name, fields and types; equal for ops that one choice serves."""
    fields = sorted(f"{name}={value}" for name, value in op.properties.items() if name != "plan")
    operands = [f"{'w' if is_weight(v) else 'x'}:{v.type}" for v in op.operands]
    parts = f"{op.name} {' '.join(fields)} ({', '.join(operands)}) -> {', '.join(str(t) for t in op.result_types)}"
    return f"{op.name} {hashlib.sha256(parts.encode()).hexdigest()[:24]}"


def _is_chosen(op: NNOp) -> bool:
    return "plan" in op.properties or any(name.endswith(".algorithm") for name in op.attributes)


def forget_choice(op: Operation) -> None:
    """Let `op` be computed by what is thought best for it."""
    op.properties.pop("plan", None)
    for name in [n for n in op.attributes if n.endswith(".algorithm")]:
        del op.attributes[name]


def _choose(op: Operation, chosen: Attributes) -> None:
    for name, value in chosen.items():
        if name == "plan":
            op.properties[name] = StringAttr(value)
        else:
            op.attributes[name] = StringAttr(value)
