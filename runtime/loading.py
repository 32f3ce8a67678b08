"""A model in any form that a Session takes, as a module and its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser
from xdsl.utils.exceptions import DiagnosticException, ParseError

from ..dialects.nn.types import Array
from ..errors import CompileError
from .parameters import open_model, open_parameters


def load(model: Any, context: Context, parameters: str | None = None) -> tuple[ModuleOp, Mapping[str, Array]]:
    """The module of a model in any form that `Session` takes, and its parameters by name."""
    if isinstance(model, ModuleOp):
        return model.clone(), open_parameters(model, Path.cwd(), parameters)
    path = Path(model) if type(model) is str or hasattr(model, "__fspath__") else None
    if path is not None and path.suffix == ".mlir":
        module = parse_file(path, context)
        return module, open_parameters(module, path.parent, parameters)
    if parameters is not None:
        raise CompileError("an ONNX model holds its parameters itself", hint="parameter files are for IR")
    return open_model(model)


def parse_file(path: Path, context: Context) -> ModuleOp:
    """The verified module of an IR file; raises CompileError in one line."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as e:
        raise CompileError(f"cannot read '{path}': {getattr(e, 'strerror', None) or e}") from None
    return parse_text(text, str(path), context)


def parse_text(text: str, name: str, context: Context) -> ModuleOp:
    """The verified module of IR text, which errors call `name`; raises CompileError in one line."""
    try:
        module = Parser(context, text, name).parse_module()
        module.verify()
    except ParseError as e:
        raise CompileError(f"{e.span.get_location()}: {e.msg}") from None
    except (DiagnosticException, CompileError) as e:
        raise CompileError(f"'{name}': {e}") from None
    except Exception as e:  # xDSL's parser fails in its own ways, RecursionError among them
        what = f"{type(e).__name__}: {e}" if str(e) else type(e).__name__
        raise CompileError(f"'{name}': the text is no valid IR: {what}") from e
    return module
