"""One arena with a program's calls bound to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from xdsl.ir import SSAValue

from ..dialects.nn.base import NNOp, View
from ..dialects.nn.constant import ConstantOp, ParameterOp
from ..dialects.nn.regions import RegionOp, Runner, check_array
from ..dialects.nn.types import (
    Array,
    dims_of,
    dtype_of,
    element_type,
    is_static,
    is_tensor,
    num_bytes,
    product,
    static_dims,
)
from ..errors import CompileError
from ..passes.alias_groups import returned_values
from ..rewriting import node_name
from .captured import CapturedRun, SegmentedRun, is_capturable, is_capturable_in_part
from .kernels import Kernel, KernelContext, Scratch
from .reference import to_host
from .sizes import check_sizes_of_run, count_body, is_checked_in_run
from .values import map_arrays

if TYPE_CHECKING:
    from .routine import Routine


@dataclass
class Step:
    """One call: `kernel(outs, ins)`. `op` is what it computes; `default` says that `compute` serves as the kernel."""

    op: NNOp
    kernel: Kernel
    outs: list[Array]
    ins: list[Array]
    default: bool


class Frame:
    """One arena with the steps bound to it. Only what a call brings (inputs, outputs) is filled in per run.

    An op with bodies has a frame for each of them; `root` is that of the program.
    """

    def __init__(self, program: Routine, root: Frame | None = None):
        self.program, self.backend, self.xp = program, program.backend, program.backend.xp
        self.root, self.bodies_run = root or self, 0
        self.scratch = Scratch(self.xp)
        with self.backend.needing("the arena", program.plan.arena):
            self.arena = program.backend.arena(program.plan.arena)
        self.arrays: dict[SSAValue, Array] = {v: a for v, a in program.fixed.items()}
        self.slots: dict[SSAValue, list[tuple[list[Array], int, Callable[[Array], Array]]]] = {}
        self.steps: list[Step] = []
        self.derived: dict[SSAValue, list[View]] = {}
        self.views = {(v.inner, v.outer) for v in program.plan.views}
        self.returned = returned_values(program.plan.block)
        self._place()
        self._bind()
        self.known = dict(self.arrays)
        self.own = self._own_buffers()
        self.written = {*self.own, *program.plan.offset}
        self._buffers = [(v, static_dims(dims_of(v.type)), dtype_of(element_type(v.type))) for v in self.own]
        self._given = [(v, self._is_given(v, index)) for index, v in enumerate(self.returned)]
        with self.backend.needing("the workspace of the kernels", self.scratch.size):
            self.scratch.allocate()
        self.fence = self.backend.fence()
        self.capturable = root is None and is_capturable(self)
        self.segmented = root is None and not self.capturable and is_capturable_in_part(self)
        self.streams = program.plan.streams if self.backend.streams is not None else 1
        self.captured: CapturedRun | SegmentedRun | None = None

    def run(self, inputs: Sequence[Array], timings: list[tuple[Step, float]] | None = None) -> list[Array]:
        """One call; see `Program.run`."""
        self.bodies_run = 0
        with self.fence:
            return self._run(inputs, timings)

    def _run(self, inputs: Sequence[Array], timings: list[tuple[Step, float]] | None) -> list[Array]:
        if timings is None and (self.capturable or self.segmented):
            if self.captured is None:
                self.captured = CapturedRun(self, inputs) if self.capturable else SegmentedRun(self, inputs)
            return self.captured.run(inputs)
        try:
            self.bring(inputs)
            if timings is None:
                self.run_steps()
            else:
                self._run_timed(timings)
            return self.results()
        finally:
            self.release()

    def run_body(self, inputs: Sequence[Array]) -> list[Array]:
        """One run of a body, within a call of the program."""
        return self._run(inputs, None)

    def bring(self, inputs: Sequence[Array]) -> None:
        """Fill in what a call brings: its inputs, and new buffers for what lives outside the arena."""
        for argument, array in zip(self.program.plan.block.args, inputs, strict=True):
            self.fill(argument, array)
        for value, dims, dtype in self._buffers:
            try:
                buffer = self.xp.empty(dims, dtype)
            except Exception as e:
                name = node_name(cast(NNOp, value.owner))
                raise self.backend.explained(e, "its result", num_bytes(value.type), name) from None
            self.fill(value, buffer)

    def run_steps(self, steps: Sequence[Step] | None = None) -> None:
        """Make the calls (all by default), one after another, on what `fill` gave."""
        step: Step | None = None
        try:
            with np.errstate(all="ignore"):
                for step in self.steps if steps is None else steps:
                    step.kernel(step.outs, step.ins)
        except Exception as e:
            assert step is not None
            raise self._explained(e, step) from None

    def run_step(self, step: Step) -> None:
        """Make one call."""
        try:
            step.kernel(step.outs, step.ins)
        except Exception as e:
            raise self._explained(e, step) from None

    def _run_timed(self, timings: list[tuple[Step, float]]) -> None:
        self.backend.synchronize()
        with np.errstate(all="ignore"):
            for step in self.steps:
                start = time.perf_counter()
                try:
                    step.kernel(step.outs, step.ins)
                    self.backend.synchronize()
                except Exception as e:
                    raise self._explained(e, step) from None
                timings.append((step, time.perf_counter() - start))

    def _explained(self, error: Exception, step: Step) -> Exception:
        return self.backend.explained(error, f"computing {step.op.name}", node=node_name(step.op))

    def with_views(self, values: Sequence[SSAValue]) -> set[SSAValue]:
        """The values outside the arena, and those that are views of them."""
        return {*values, *(view.inner for view in self._views_of(values))}

    def results(self, kept: Collection[SSAValue] = ()) -> list[Any]:
        """The returned values: buffers of this call as they are, anything else (and a second mention) as a copy.

        The memory of the values `kept` stays, so they are copied too.
        """
        arrays = self.arrays
        return [
            arrays[v] if given and v not in kept else map_arrays(arrays[v], self._copied) for v, given in self._given
        ]

    def _copied(self, array: Array) -> Array:
        return self.xp.array(self.xp.asarray(array))

    def _is_given(self, value: SSAValue, index: int) -> bool:
        """Whether a returned value is handed out as it is.

        What a sequence holds may be in others too, or an input: that is nobody's to write, but a caller's to own.
        """
        if not is_tensor(value.type):
            return self.root is not self
        return value not in self.returned[:index] and value not in self.program.plan.offset and self._is_computed(value)

    def release(self) -> None:
        """Forget what this call brought."""
        self.arrays = dict(self.known)
        for slots in self.slots.values():
            for target, index, _ in slots:
                target[index] = None

    # Binding

    def _lives_on_device(self, value: SSAValue) -> bool:
        """Whether a value is in the arena of a device that is not the host."""
        return value in self.program.plan.offset and value.owner not in self.program.host and self.xp is not np

    def _own_buffers(self) -> list[SSAValue]:
        """The values that get a new buffer on each call: those of static type outside the arena that are no views."""
        plan = self.program.plan
        inner = {v.inner for v in plan.views if v.inner not in plan.offset}
        outside = [v for op in plan.lifetimes.ops if op not in self.program.host for v in op.results]
        return [v for v in outside if is_static(v.type) and v not in inner and v not in self.known]

    def _is_computed(self, value: SSAValue) -> bool:
        return isinstance(value.owner, NNOp) and not isinstance(value.owner, ConstantOp | ParameterOp)

    def _place(self) -> None:
        """Arrays over the arena (or the host, for host ops) for everything that lives there; fixed values' views."""
        plan = self.program.plan
        for view in plan.views:
            if view.inner not in plan.offset:
                self.derived.setdefault(view.outer, []).append(view)
        for value, offset in plan.offset.items():
            if (pitch := plan.pitch.get(value)) is None:
                self.arrays[value] = _array_at(self.arena, offset, value)
            else:
                memory = self.arena[offset : offset + plan.extent(value)]
                self.arrays[value] = _rows_in(memory, value, pitch, self.xp)
        for op in self.program.host:
            for value in op.results:
                if value in plan.offset:
                    self.arrays[value] = np.empty(static_dims(dims_of(value.type)), dtype_of(element_type(value.type)))
        for value in list(self.program.fixed):
            self._derive(value, lambda inner, array: self.arrays.__setitem__(inner, array))

    def _derive(self, value: SSAValue, store: Callable[[SSAValue, Array], None]) -> None:
        for view in self._views_of([value]):
            outer = self.arrays[view.outer]
            store(view.inner, _array_at(outer.reshape(-1).view(np.uint8), view.offset, view.inner))

    def _views_of(self, values: Sequence[SSAValue]) -> Iterator[View]:
        """The views of values outside the arena, and the views of these, each after that of what it is a view of."""
        pending = list(values)
        while pending:
            for view in self.derived.get(pending.pop(), ()):
                yield view
                pending.append(view.inner)

    def _bind(self) -> None:
        context = KernelContext(self.xp, self.scratch)
        for op in self.program.plan.lifetimes.ops:
            if isinstance(op, NNOp) and not isinstance(op, ConstantOp | ParameterOp) and not self._is_free(op):
                self._bind_op(op, context)
        self.backend.finish_binding()

    def _is_free(self, op: NNOp) -> bool:
        """Whether nothing has to be done: all results are views, or all operands lie where the result wants them."""
        if op in self.program.host:
            return False
        if all(any((r, v) in self.views for v in op.operands) for r in op.results):
            return True
        if op.operands and all((v, op.results[0]) in self.views for v in op.operands):
            return len(set(op.operands)) == len(op.operands)
        return self._viewed_at_load(op)

    def _viewed_at_load(self, op: NNOp) -> bool:
        make = self.backend.views.get(type(op))
        if make is None or not all(v in self.program.fixed for v in op.operands) or op.results[0] in self.returned:
            return False
        array = make(op, [self.program.fixed[v] for v in op.operands])
        if array is None:
            return False
        self.arrays[op.results[0]] = array
        return True

    def _bind_op(self, op: NNOp, context: KernelContext) -> None:
        static = all(is_static(v.type) for v in (*op.operands, *op.results)) and op not in self.program.host
        static = static and not isinstance(op, RegionOp)
        bound = static and self._has_kernel_for_rows(op)
        kernel = self.backend.bind(op, context) if bound else None
        default = kernel is None and not isinstance(op, RegionOp)
        if kernel is None:
            kernel = default_kernel(op, self.xp) if static else self._dynamic_kernel(op)
        host = set(range(len(op.operands))) if op in self.program.host else set(op.host_operands())
        fetched = [i for i in host if self._lives_on_device(op.operands[i])]
        if fetched:
            kernel = _fetching(kernel, fetched)
        outs: list[Array] = [None] * len(op.results)
        ins: list[Array] = [None] * len(op.operands)
        for index, value in enumerate(op.operands):
            self._connect(ins, index, value, to_host if index in host else self.backend.asarray)
        for index, value in enumerate(op.results):
            if static:
                self._connect(outs, index, value, _same)
        self.steps.append(Step(op, kernel, outs, ins, default))

    def _has_kernel_for_rows(self, op: NNOp) -> bool:
        """Whether the backend's kernel for an op reads and writes rows that lie apart, as far as it meets such."""
        plan, backend = self.program.plan, self.backend
        if any(v in plan.pitch for v in op.operands) and type(op) not in backend.reads_rows_apart:
            return False
        written = any(v in plan.pitch and v not in plan.pieces for v in op.results)
        return not written or type(op) in backend.rows_apart

    def _connect(self, target: list[Array], index: int, value: SSAValue, convert: Callable[[Array], Array]) -> None:
        """Put a value's array into a step's list, now where it is known, else whenever a call brings it."""
        if value in self.arrays:
            known = self.arrays[value]
            target[index] = known if value in self.program.plan.offset else map_arrays(known, convert)
        else:
            self.slots.setdefault(value, []).append((target, index, convert))

    def fill(self, value: SSAValue, array: Array) -> None:
        """Give a value its array for this call, and those that are views of it theirs."""
        self._fill_one(value, array)
        if value in self.derived:
            self._derive(value, self._fill_one)

    def _fill_one(self, value: SSAValue, array: Array) -> None:
        self.arrays[value] = array
        self._patch(value, array)

    def _patch(self, value: SSAValue, array: Any) -> None:
        for target, index, convert in self.slots.get(value, ()):
            # what a sequence holds on NumPy is an array already: a long one is not looked through for each reader
            target[index] = array if self.xp is np and isinstance(array, tuple) else map_arrays(array, convert)

    def _dynamic_kernel(self, op: NNOp) -> Kernel:
        """`compute` into new arrays: for results whose size depends on data, and for host ops."""
        xp = np if op in self.program.host else self.xp
        compute = partial(op.compute, run=self._runner(op)) if isinstance(op, RegionOp) else op.compute
        checked, limit = is_checked_in_run(op), self.program.limits.max_bytes

        def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
            if checked:
                check_sizes_of_run(op, ins, limit)
            for value, array in zip(op.results, _compute(op, compute, xp, ins), strict=True):
                array = _kept(array, ins)
                if value in self.written:  # not a view of an argument, which is the caller's
                    self.arrays[value][...] = array
                else:
                    self.fill(value, array)

        return run

    def _runner(self, op: RegionOp) -> Runner:
        """What runs the op's bodies, each in a frame of its own."""
        frames = [Frame(routine, self.root) for routine in self.program.bodies[op]]
        limits, root = self.program.limits, self.root
        known = [
            [(a, dims_of(a.type) if is_tensor(a.type) else None) for a in op.body(index).args]
            for index in range(len(frames))
        ]

        def run(body: int, arguments: Sequence[Array]) -> Sequence[Array]:
            root.bodies_run = count_body(root.bodies_run, limits.max_iterations)
            for (argument, dims), array in zip(known[body], arguments, strict=True):
                if dims is not None and array.shape != dims:
                    check_array(argument, array)
            return frames[body].run_body(arguments)

        return Runner(run, limits.max_bytes)


def _kept(result: Any, operands: Sequence[Any]) -> Any:
    """`result` as it may outlive the operands: one of them, or a view of one, would change when its place is reused.

    What a sequence holds has no place: other sequences share it. A tensor does not, as it may become an output.
    """
    held = set[int]().union(*(map(id, cast(tuple[Array, ...], o)) for o in operands if isinstance(o, tuple)))
    given = {id(operand) for operand in operands}

    def keep(array: Array) -> Array:
        if id(array) in held:
            return array if isinstance(result, tuple) else array.copy()
        return array.copy() if array.base is not None or id(array) in given else array

    if isinstance(result, tuple) and held:  # a long list that one is added to: only what is new is looked at
        elements = list(cast(tuple[Array, ...], result))
        for index in [i for i, key in enumerate(map(id, elements)) if key not in held]:
            elements[index] = keep(elements[index])
        return tuple(elements)
    return map_arrays(result, keep)


def default_kernel(op: NNOp, xp: Any) -> Kernel:
    """`compute`, and a copy of its results to where they belong."""

    def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        for out, result in zip(outs, _compute(op, op.compute, xp, ins), strict=True):
            out[...] = result

    return run


def _compute(op: NNOp, compute: Callable[..., tuple[Array, ...]], xp: Any, ins: Sequence[Array]) -> tuple[Array, ...]:
    try:
        return compute(xp, ins)
    except CompileError as e:
        raise e.at(node_name(op)) from None
    except (ValueError, IndexError, ZeroDivisionError) as e:
        raise CompileError(f"{op.name} cannot be computed: {e}", node_name(op)) from None


def _fetching(kernel: Kernel, indices: Sequence[int]) -> Kernel:
    """`kernel` with the operands at `indices` brought from the device's arena to NumPy on each call."""

    def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        kernel(outs, [to_host(a) if i in indices else a for i, a in enumerate(ins)])

    return run


def _same(array: Array) -> Array:
    return array


def _array_at(memory: Array, offset: int, value: SSAValue) -> Array:
    """The array of a value's type `offset` bytes into flat uint8 memory."""
    dims, dtype = dims_of(value.type), dtype_of(element_type(value.type))
    size = cast(int, product(dims)) * dtype.itemsize
    return memory[offset : offset + size].view(dtype).reshape(dims)


def _rows_in(memory: Array, value: SSAValue, pitch: int, xp: Any) -> Array:
    """The array of a value's type in flat uint8 memory whose rows begin `pitch` bytes apart."""
    dims, dtype = static_dims(dims_of(value.type)), dtype_of(element_type(value.type))
    strides = [pitch * cast(int, product(dims[axis + 1 : -1])) for axis in range(len(dims) - 1)]
    return xp.lib.stride_tricks.as_strided(memory.view(dtype), dims, (*strides, dtype.itemsize))
