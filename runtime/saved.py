"""Saved programs: a planned program as IR text, with its choices, and its parameters as its kernels read them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from xdsl.dialects.builtin import DictionaryAttr, IntegerAttr, ModuleOp, StringAttr, i64
from xdsl.printer import Printer

from ..dialects.nn.constant import ParameterOp
from ..dialects.nn.types import Array
from ..errors import CompileError, escape_name
from .output_file import OutputFile
from .parameters import write_parameters
from .program import Program
from .reference import function, main_function, to_host
from .routine import Routine
from .tuning import forget_choice

LOG = logging.getLogger("nnfuse")

TUNED_ON = "nn.tuned_on"
"""The attribute of a module that says which device and libraries its algorithms and plans were chosen for."""

CHOSEN_FOR = ("device", "cublasLt", "cudnn")
"""What of `Backend.describe` an algorithm holds for."""


def mark_tuned(module: ModuleOp, machine: Mapping[str, str]) -> None:
    """Say in `module` that it was tuned on `machine`, see `Backend.describe`."""
    module.attributes[TUNED_ON] = DictionaryAttr({k: StringAttr(machine[k]) for k in CHOSEN_FOR if k in machine})


def forget_foreign_choices(module: ModuleOp, machine: Mapping[str, str]) -> None:
    """Drop the algorithms and plans of a module that was tuned on another device or version, with a warning.

    An algorithm is a library's own bytes: another version may take them for something else.
    """
    tuned = module.attributes.get(TUNED_ON)
    if not isinstance(tuned, DictionaryAttr):
        return
    named = {k: v.data for k, v in tuned.data.items() if isinstance(v, StringAttr)}
    here = {k: machine[k] for k in CHOSEN_FOR if k in machine}
    if named == here:
        return
    for op in main_function(module).walk():
        forget_choice(op)
    del module.attributes[TUNED_ON]
    LOG.warning(
        "the program was tuned for %s, but here is %s: its algorithms are not used, tune and save it again",
        _listed(named),
        _listed(here),
    )


def _listed(machine: Mapping[str, str]) -> str:
    return ", ".join(f"{k} {v}" for k, v in sorted(machine.items())) or "nothing"


def check_path(path: Path) -> None:
    """Raise CompileError where `path` is no name for a saved program, or its folder is missing."""
    if path.suffix != ".mlir":
        raise CompileError(f"a program is saved as IR, but '{path}' is no name for it", hint="name it FILE.mlir")
    if not path.parent.is_dir():
        raise CompileError(f"cannot write '{path}': there is no folder '{path.parent}'")


def save_program(program: Program, path: Path) -> None:
    """Write `program` as IR at `path`, and beside it, as `.safetensors`, what it reads of parameters; both whole.

    What @prepare made is among them, and @prepare is left out, so that nothing of the model is needed any more.
    Raises CompileError where they cannot be written, UnsupportedError where a parameter cannot be stored.
    """
    check_path(path)
    module = program.module.clone()
    if (prepare := function(module, "prepare")) is not None:
        prepare.detach()
        prepare.erase()
    values = {name: to_host(array) for name, array in _parameters(program)}
    beside = path.with_suffix(".safetensors")
    for attribute in ("nn.parameters", "nn.parameters_size"):
        module.attributes.pop(attribute, None)
    try:
        with OutputFile(str(path)) as text, OutputFile(str(beside), "wb") as packed:
            if values:
                size = write_parameters(packed.stream, values)
                module.attributes["nn.parameters"] = StringAttr(escape_name(beside.name))
                module.attributes["nn.parameters_size"] = IntegerAttr(size, i64)
            Printer(text.stream, print_debuginfo=True).print_op(module)
            text.stream.write("\n")
            if values:
                packed.commit()
            text.commit()
    except OSError as e:
        raise CompileError(f"cannot write '{path}' and '{beside.name}': {e.strerror or e}") from None


def _parameters(routine: Routine) -> Iterator[tuple[str, Array]]:
    """The parameters that a routine and the bodies in it read, by name."""
    for value, array in routine.fixed.items():
        if isinstance(value.owner, ParameterOp):
            yield value.owner.parameter.data, array
    for bodies in routine.bodies.values():
        for body in bodies:
            yield from _parameters(body)
