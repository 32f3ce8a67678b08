"""`fuse-run --check`: what nnfuse makes of a model's nodes, and all that it does not do, before anything runs."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

from ..dialects.nn.base import NNOp
from ..dialects.nn.constant import ConstantOp, ParameterOp
from ..errors import CompileError, UnsupportedError, printable
from ..lowering.onnx_check import check_support
from ..lowering.onnx_files import load_model
from ..runtime.kernels import get_backend
from ..runtime.pipelines import check_precision
from ..runtime.program import checked_plan
from ..runtime.reference import main_function
from ..runtime.session import Session
from .arrays import UnknownSizeError, format_shape, read_feeds, resolve_shapes
from .cli import OK, is_ir


def check(args: Namespace, open_session: Callable[[Namespace], Session]) -> int:
    """Print which operators are supported and expanded, each thing that is not supported, or a summary without those.

    Raises UnsupportedError, after printing, where something is not supported, and CompileError for bad input.
    """
    found: list[str] = []
    _collect(found, lambda: check_precision(args.precision, args.device))
    _collect(found, lambda: get_backend(args.device), CompileError)
    if not is_ir(args.model):
        support = check_support(load_model(args.model))
        found += support.unsupported
        checked = support.counts
        if support.unchecked:
            checked += f" ({support.unchecked} read from those, and were checked in part)"
        for line in support.lines:
            _say(line)
    else:
        checked = "IR"
    if not found:
        _collect(found, lambda: _say(f"{args.model}: {checked}; {_compile(args, open_session)}"))
    for line in found:
        _say(f"not supported: {line}")
    if found:
        things = f"{len(found)} thing{'s are' if len(found) > 1 else ' is'} not supported"
        raise UnsupportedError(f"{args.model}: {checked}; {things}")
    return OK


def _collect(found: list[str], ask: Callable[[], Any], kind: type[CompileError] = UnsupportedError) -> None:
    try:
        ask()
    except kind as e:
        found.append(str(e))


def _say(line: str) -> None:
    print(printable(line))


def _compile(args: Namespace, open_session: Callable[[Namespace], Session]) -> str:
    """What the model compiles to, in words; no weight is read and nothing runs."""
    session = open_session(args)
    try:
        shapes = resolve_shapes(session, read_feeds(args.input, session), args.shape, args.dim)
    except UnknownSizeError as e:
        return f"not compiled: {e}"
    module = session.compile(shapes)
    plan = checked_plan(module, session.max_bytes)
    ops = [op for op in main_function(module).walk() if isinstance(op, NNOp)]
    count = sum(not isinstance(op, ConstantOp | ParameterOp) for op in ops)
    pairs = zip(session.get_inputs(), shapes, strict=True)
    inputs = ", ".join(f"{v.name} {v.type if s is None else format_shape(s)}" for v, s in pairs)
    return f"compiled for {inputs or 'no inputs'}: {count} operations in an arena of {plan.arena} bytes"
