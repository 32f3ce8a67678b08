"""Session: a model in, arrays out. Fuses once, compiles per input shapes, keeps the programs."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from ..dialects.nn.types import Array, dims_of, dtype_of, format_dims, is_tensor
from ..dialects.nn.value_types import arrays_in
from ..errors import AssumptionError, CompileError, UnsupportedError, escape_name
from ..lowering.onnx_to_nn import Known
from ..passes.specialize_shapes import dim_names, name_dims, specialize
from .kernels import get_backend
from .loading import load
from .parameters import ImportedModel
from .pipelines import (
    FUSE,
    check_precision,
    compile_pipeline,
    finish_pipeline,
    format_dims_option,
    layout_pipeline,
    lower_pipeline,
    new_context,
    run_passes,
)
from .program import Program, check_element
from .reference import main_function, to_host, value_names
from .routine import Limits
from .saved import forget_foreign_choices, mark_tuned, save_program
from .sizes import MAX_BYTES, MAX_ITERATIONS, check_sizes
from .tuning import METHOD, Progress, Tuner, silent
from .tuning_cache import TuningCache
from .values import as_value, check_held_dims, map_arrays, type_name

MAX_PROGRAMS = 16
"""How many programs a session keeps by default."""

Shapes = tuple[tuple[int, ...] | None, ...]
"""The shape of each input; None for a sequence or an optional."""

Branches = frozenset[tuple[str, int]]
"""Of Ifs whose branches differ in rank, by node name, the branch that was taken last."""

LOG = logging.getLogger("nnfuse")


@dataclass(frozen=True)
class Value:
    """An input or output: its name, its sizes (a dim's name where it is symbolic), and its NumPy dtype's name.

    A sequence or an optional has no sizes; its type is `seq(float32)`, `optional(float32)` or the like.
    """

    name: str
    shape: tuple[int | str, ...]
    type: str

    @property
    def is_tensor(self) -> bool:
        """Whether it is an array, not a sequence or an optional."""
        return "(" not in self.type


class Session:
    """A network, ready to run: `Session("model.onnx").run(None, {"x": array})`, as in ONNX Runtime."""

    def __init__(
        self,
        model: str | PathLike[str] | bytes | Any,
        device: str = "cpu",
        *,
        fuse: bool = True,
        precision: str = "f32",
        parameters: str | None = None,
        max_bytes: int = MAX_BYTES,
        max_iterations: int = MAX_ITERATIONS,
        max_programs: int = MAX_PROGRAMS,
        tune: bool = False,
        progress: Progress | None = None,
    ):
        """Load and fuse `model`: a path of an ONNX or IR file, the bytes of an ONNX file, or a ModelProto.

        `device` is `cpu` or `cuda`; `precision` `f32` or (on cuda) `tf32`, `f16` or `bf16`: inputs and outputs stay
        f32, and so do the sums of products, softmax, norms and reductions inside. `parameters` overrides the IR's
        parameter file; `max_bytes` limits every value's size, `max_iterations` how often the bodies of loops and
        branches run in one call. A session keeps the programs of the `max_programs` input
        shapes used last; that it drops one is logged as a warning. With `tune` (on cuda), the first run for some
        shapes times every way to compute each layer and keeps the fastest, also on disk (see tuning_cache.py);
        `progress` is told. A program that `save` wrote is run as it stands: in its precision, as tuned. Raises
        CompileError and UnsupportedError.
        """
        check_precision(precision, device)
        if tune and device != "cuda":
            raise UnsupportedError(f"there is nothing to tune on the device {device}", hint="device cuda")
        if max_programs < 1:
            raise CompileError(f"max_programs must be positive, but is {max_programs}")
        self._tune, self._progress = tune, progress or silent
        self.device, self.precision, self.max_bytes = device, precision, max_bytes
        self.max_iterations = max_iterations
        self._fuse, self._max_programs = fuse, max_programs
        self._backend = get_backend(device)
        self._device = self._backend.current()
        self._context = new_context()
        self.module, self._parameters = load(model, self._context, parameters)
        self._source = self._parameters if isinstance(self._parameters, ImportedModel) else None
        self._planned = "nn.arena" in main_function(self.module).attributes
        if self._planned:
            self._check_planned()
        if fuse and not self._planned:
            run_passes(self.module, FUSE, self._context)
        name_dims(main_function(self.module))
        self._prepared: dict[str, Array] = {}
        self._programs: OrderedDict[tuple[Shapes, Branches], Program] = OrderedDict()
        self._branches: Branches = frozenset()
        self._latest: tuple[Shapes, Branches, Program | None] = ((), self._branches, None)
        self._lock = threading.Lock()
        self._inputs = self._values(inputs=True)
        self._types = list(main_function(self.module).function_type.inputs)
        self._array_type = self._backend.xp.ndarray
        dtypes = [dtype_of(t.element_type) if is_tensor(t) else None for t in self._types]
        self._expected = [(v.name, dtype) for v, dtype in zip(self._inputs, dtypes, strict=True)]
        self._outputs = self._values(inputs=False)

    def _check_planned(self) -> None:
        """Refuse what only a pass could do, which a planned program does not go through; see saved.py for the rest."""
        if self.precision != "f32" or self._tune:
            what = "tuned" if self._tune else f"computed in {self.precision}"
            raise CompileError(
                f"a planned program cannot be {what}: its precision and algorithms stand in it",
                hint="ask for it when the program is made",
            )
        if self._backend.alternatives:
            forget_foreign_choices(self.module, self._backend.describe())

    def get_inputs(self) -> list[Value]:
        """The network's inputs, in order; parameters are not among them."""
        return self._inputs

    def get_outputs(self) -> list[Value]:
        """The network's outputs, in order."""
        return self._outputs

    def run(self, output_names: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[Any]:
        """The outputs named (all for None) for the arrays in `feeds`, one for each input.

        A sequence is fed as a list (or tuple) of arrays and comes back as a list; an empty optional is None, one that
        is not is what it holds. Arrays stay on their device: with CuPy arrays fed, CuPy arrays come back. Raises
        CompileError where a feed is missing, unknown, or of another dtype, rank or size than the input.
        """
        self._backend.check_caller(self._device)
        chosen = None if output_names is None else self._chosen(output_names)
        if (plain := self._plain(feeds)) is not None:
            shapes, arrays = plain
            results, on_device = self._run(shapes, arrays), True
        else:
            arrays, on_device = self.check_feeds(feeds)
            results = self._run(self.shapes_of(arrays), self.place(arrays))
        picked = results if chosen is None else [results[i] for i in chosen]
        given = picked if on_device else [map_arrays(r, to_host) for r in picked]
        return [list(cast(Any, r)) if isinstance(r, tuple) else r for r in given]

    def _plain(self, feeds: Mapping[str, Any]) -> tuple[Shapes, list[Array]] | None:
        """The inputs' shapes and arrays where these need no conversion and nothing is to be said of them; else None.

        This and what follows stands between the caller and the device in every call: it is written to be short.
        """
        shapes: list[tuple[int, ...]] = []
        arrays: list[Array] = []
        for name, dtype in self._expected:
            array: Any = feeds.get(name)
            if type(array) is not self._array_type or array.dtype != dtype or not array.flags.c_contiguous:
                return None
            if self._backend.device_of(array) != self._device:
                return None
            shapes.append(array.shape)
            arrays.append(array)
        return (tuple(shapes), arrays) if 0 < len(arrays) == len(feeds) else None

    def place(self, arrays: Sequence[Any]) -> list[Any]:
        """What `check_feeds` gave, on the session's device and row-major; arrays that are so are not copied."""
        placed: list[Any] = []
        for value, type_, given in zip(self._inputs, self._types, arrays, strict=True):
            check_element(type_, self._backend, value.name)
            try:
                placed.append(map_arrays(given, self._backend.asarray))
            except Exception as e:
                size = sum(a.nbytes for a in arrays_in(given))
                raise self._backend.explained(e, "the input", size, value.name) from None
        return placed

    def _run(self, shapes: Shapes, inputs: Sequence[Any]) -> list[Any]:
        """The outputs, by a program that assumes the right branches: one that finds it does not starts over."""
        branches = self._branches  # of this call: other threads may find other branches taken
        try:
            return self._program(shapes, branches).run(inputs)
        except AssumptionError as e:
            error = e
        tried = {branches}
        while self._source is not None and error.node is not None and error.branch is not None:
            branches = frozenset({**dict(branches), error.node: error.branch}.items())
            if branches in tried:
                break
            tried.add(branches)
            try:
                results = self._program(shapes, branches).run(inputs)
                self._branches = branches
                return results
            except AssumptionError as e:
                error = e
        raise error

    def shapes_of(self, arrays: Sequence[Any]) -> Shapes:
        """The shape of each input that is a tensor; None for the others, on whose sizes no program depends."""
        return tuple(tuple(a.shape) if is_tensor(t) else None for a, t in zip(arrays, self._types, strict=True))

    def program(self, shapes: Sequence[tuple[int, ...] | None]) -> Program:
        """The program for inputs of these shapes, compiled at the first call and kept while it is among the last used.

        A program that is dropped still runs to its end where it is running. On a GPU, that of the session is current.
        """
        self._backend.check_caller(self._device)
        return self._program(tuple(None if s is None else tuple(s) for s in shapes), self._branches)

    def _program(self, shapes: Shapes, branches: Branches) -> Program:
        """See `program`; where the branches of Ifs differ in rank, these are assumed."""
        latest, assumed, program = self._latest
        if latest == shapes and assumed is branches and program is not None:
            return program
        with self._lock:
            key = shapes, branches
            if key not in self._programs:
                program = self._compile(shapes, branches)
                self._make_room()
                self._programs[key] = program
            self._programs.move_to_end(key)
            self._latest = shapes, branches, self._programs[key]
            return self._programs[key]

    def _make_room(self) -> None:
        """Drop the program used longest ago where another would be one too many."""
        if len(self._programs) < self._max_programs:
            return
        (shapes, _), _ = self._programs.popitem(last=False)
        pairs = zip(self._inputs, shapes, strict=True)
        inputs = ", ".join(f"{v.name} {v.type if s is None else format_dims(s)}" for v, s in pairs)
        LOG.warning(
            "the program for %s is dropped, as %d are kept: these shapes would be compiled again (max_programs)",
            inputs or "no inputs",
            self._max_programs,
        )

    def compile(self, shapes: Sequence[tuple[int, ...] | None]) -> ModuleOp:
        """The planned module for inputs of these shapes; no parameter is read."""
        if self._tune:
            self._backend.check_caller(self._device)
        return self._planned_module(shapes, self._branches)

    def _planned_module(self, shapes: Sequence[tuple[int, ...] | None], branches: Branches) -> ModuleOp:
        """See `compile` and `_program`."""
        if self._planned:
            self.bind_dims(shapes)
            return self.module
        module = self._specialized(self.bind_dims(shapes), branches)
        check_sizes(module, self.max_bytes)
        with self._tuner.kept() if self._tune else nullcontext() as tuner:
            run_passes(module, layout_pipeline(self.precision, self._fuse, self.device), self._context)
            if tuner is not None:
                tuner.tune_calls(module)
            run_passes(module, lower_pipeline(self.precision), self._context)
            if tuner is not None:
                tuner.tune_algorithms(module)
                mark_tuned(module, self._backend.describe())
        run_passes(module, finish_pipeline(self.device, self._fuse), self._context)
        return module

    def _specialized(self, dims: Mapping[str, int], branches: Branches) -> ModuleOp:
        """The fused module with these sizes, imported anew where what was assumed of ranks does not hold."""
        if not branches:
            module = self.module.clone()
            try:
                specialize(main_function(module), dict(dims))
                return module
            except AssumptionError:
                if self._source is None:
                    raise
        assert self._source is not None
        module = self._source.again(Known(dims, dict(branches)))
        if self._fuse:
            run_passes(module, FUSE, self._context)
        specialize(main_function(module), dict(dims))
        return module

    def imported(self, shapes: Sequence[tuple[int, ...] | None]) -> tuple[ModuleOp, Mapping[str, Array]]:
        """What the last run was of: an ONNX model for inputs of these shapes, before any pass, and its parameters."""
        if self._source is None:
            raise UnsupportedError("IR was not imported", hint="give the ONNX model")
        return self._source.again(Known(self.bind_dims(shapes), dict(self._branches))), self._parameters

    @cached_property
    def _tuner(self) -> Tuner:
        def lower(module: ModuleOp) -> None:
            run_passes(module, f"{lower_pipeline(self.precision)},plan-memory", self._context)

        cache = TuningCache(self._backend.describe() | {"tuning": METHOD})
        return Tuner(self._backend, self.precision, cache, lower, self._progress)

    def save(self, path: str | PathLike[str], shapes: Sequence[tuple[int, ...] | None]) -> None:
        """Write the program for inputs of these shapes to `path` (`.mlir`), and its parameters beside it.

        Whatever was chosen for it stands in the text: `Session(path)` runs it without the model and without tuning.
        """
        save_program(self.program(shapes), Path(path))

    def pipeline(self, shapes: Sequence[tuple[int, ...] | None]) -> str:
        """The passes that make the program for inputs of these shapes from the model, as for `fuse-opt -p`.

        Empty where the model is a planned program.
        """
        bound = format_dims_option(self.bind_dims(shapes))
        if self._planned:
            return ""
        rest = f"{bound},{compile_pipeline(self.precision, self._fuse, self.device)}"
        return f"{FUSE},{rest}" if self._fuse else rest

    def _compile(self, shapes: Shapes, branches: Branches) -> Program:
        module = self._planned_module(shapes, branches)
        if not self._tune or self._planned:
            return self._loaded(module)
        with self._tuner.kept() as tuner:
            return tuner.load(module, self._loaded)

    def _loaded(self, module: ModuleOp) -> Program:
        limits = Limits(self.max_bytes, self.max_iterations)
        return Program(module, self._parameters.__getitem__, self._backend, self._prepared, limits)

    def _values(self, inputs: bool) -> list[Value]:
        func = main_function(self.module)
        attributes = func.arg_attrs if inputs else func.res_attrs
        types = func.function_type.inputs if inputs else func.function_type.outputs
        entries: list[Any] = list(attributes or [None] * len(types))
        values: list[Value] = []
        for name, entry, type_ in zip(value_names(attributes, len(types)), entries, types, strict=True):
            dims = dims_of(type_) if is_tensor(type_) else ()
            names = dim_names(entry) if entry is not None else []
            names += [""] * (len(dims) - len(names))
            shape = tuple(n if d is None else d for d, n in zip(dims, names, strict=False))
            values.append(Value(name, shape, type_name(type_)))
        return values

    def find_input(self, name: str) -> Value:
        """The input of this name; raises CompileError where it is none."""
        escaped = escape_name(name)
        for spelling in (escaped, name):  # `get_inputs` gives the escaped one
            for value in self._inputs:
                if value.name == spelling:
                    return value
        what = "is a parameter of the model, which cannot be fed" if escaped in self._parameters else "is no input"
        known = ", ".join(v.name for v in self._inputs)
        raise CompileError(f"'{escaped}' {what}", hint=f"inputs: {known}" if known else "there are none")

    def check_feeds(self, feeds: Mapping[str, Any]) -> tuple[list[Any], bool]:
        """The feeds in the order of the inputs, and whether any array is on the device; see `run` and values.py."""
        given = {self.find_input(name).name: value for name, value in feeds.items()}
        known = [v.name for v in self._inputs]
        if missing := [n for n in known if n not in given]:
            raise CompileError(f"no array is given for the input '{missing[0]}'")
        values: list[Any] = []
        for name, type_ in zip(known, self._types, strict=True):
            values.append(as_value(given[name], type_, self._backend.xp, name))
            check_held_dims(values[-1], type_, name)
            self._check_device(values[-1], name)
        return values, any(not isinstance(a, np.ndarray) for value in values for a in arrays_in(value))

    def _check_device(self, value: Any, name: str) -> None:
        for array in arrays_in(value):
            if type(array) is self._backend.xp.ndarray and (found := self._backend.device_of(array)) != self._device:
                raise CompileError(
                    f"the array is on GPU {found}, but the session is on GPU {self._device}",
                    name,
                    "copy it there, or feed a NumPy array",
                )

    def bind_dims(
        self, shapes: Sequence[tuple[int, ...] | None], bound: Mapping[str, int] | None = None
    ) -> dict[str, int]:
        """The sizes of the symbolic dims, by name: those already `bound`, and those that the inputs' shapes give.

        A shape of None is not known yet. Raises CompileError where a shape does not fit its input or another.
        """
        bindings: dict[str, int] = dict(bound or {})
        for value, type_, shape in zip(self._inputs, self._types, shapes, strict=True):
            if shape is None or not is_tensor(type_):
                continue
            if len(shape) != len(value.shape):
                raise CompileError(
                    f"the input has rank {len(value.shape)}, but {format_dims(shape)} is given", value.name
                )
            for axis, (dim, size) in enumerate(zip(value.shape, shape, strict=True)):
                expected = bindings.setdefault(dim, size) if isinstance(dim, str) else dim
                if expected != size:
                    named = f" ('{dim}')" if isinstance(dim, str) else ""
                    raise CompileError(
                        f"dimension {axis}{named} of the input is {expected}, but {format_dims(shape)} is given",
                        value.name,
                    )
        return bindings

    def _chosen(self, names: Sequence[str]) -> list[int]:
        known = [v.name for v in self._outputs]
        for name in names:
            if escape_name(name) not in known:
                raise CompileError(f"'{name}' is no output", hint=f"outputs: {', '.join(known)}")
        return [known.index(escape_name(n)) for n in names]
