"""What the command-line tools share: errors in one line, and exit codes."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Callable
from typing import NoReturn

from xdsl.utils.exceptions import DiagnosticException, ParseError

from ..errors import CompileError, printable

OK, BAD_INPUT, UNSUPPORTED, DIFFERS, BUG = 0, 1, 2, 3, 70
"""Exit codes: done; bad input, model or usage; unsupported; results beyond tolerance; a bug of ours."""

TRACEBACK = "NNFUSE_TRACEBACK"
"""The environment variable that makes a tool show Python's traceback instead of one line."""


LOG = logging.getLogger("nnfuse")


class _WarningLines(logging.Handler):
    """Prints what the package warns of, a line each."""

    def __init__(self, tool: str):
        super().__init__(logging.WARNING)
        self.tool = tool

    def emit(self, record: logging.LogRecord) -> None:
        complain(self.tool, f"{record.levelname.lower()}: {record.getMessage()}")


def run_tool(tool: str, body: Callable[[], int]) -> int:
    """The exit code of `body()`; an exception becomes one line on standard error and its exit code."""
    handler = _WarningLines(tool)
    LOG.addHandler(handler)
    try:
        code = body()
        sys.stdout.flush()
        return code
    except SystemExit as e:  # argparse's --help and --version
        return e.code if isinstance(e.code, int) else OK
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        complain(tool, "interrupted")
        return 130
    except BaseException as e:
        if os.environ.get(TRACEBACK):
            raise
        code, line = describe(e)
        complain(None if isinstance(e, ParseError) else tool, line)
        return code
    finally:
        LOG.removeHandler(handler)


def complain(who: str | None, line: str) -> None:
    """One line on standard error, behind the name of who says it."""
    prefix = f"{who}: " if who else ""
    print(printable(f"{prefix}{' '.join(line.split())}"), file=sys.stderr)


def describe(error: BaseException) -> tuple[int, str]:
    """The exit code for an exception and the line to print."""
    if isinstance(error, CompileError):
        return error.EXIT_CODE, str(error)
    if isinstance(error, ParseError):
        return BAD_INPUT, f"{error.span.get_location()}: {error.msg}"
    if isinstance(error, DiagnosticException):
        return BAD_INPUT, first_lines(error)
    if isinstance(error, OSError) and error.strerror:
        return BAD_INPUT, f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return BAD_INPUT, f"out of memory: {error}" if str(error) else "out of memory"
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return BUG, f"internal error, please report it: {what} (set {TRACEBACK}=1 to see where)"


def first_lines(error: BaseException) -> str:
    """What an xDSL diagnostic says, behind its op's name; its note holds the whole module."""
    for note in getattr(error, "__notes__", ()):
        lines = str(note).splitlines()
        marked = next((i for i, line in enumerate(lines) if i and re.match(r"\s*\^\^\^", line)), None)
        if marked is not None and (op := re.search(r'"([\w.$-]+)"\s*\(', lines[marked - 1])):
            return str(error) if op[1] in str(error) else f"{op[1]}: {error}"
    return str(error)


def is_ir(model: str) -> bool:
    """Whether a model's name says that it is IR text: a `.mlir` file, or `-` for standard input."""
    return model == "-" or model.endswith(".mlir")


def usage_error(message: str) -> NoReturn:
    """What argparse calls on bad usage: an exception instead of ten lines and exit code 2."""
    raise CompileError(message, hint="see --help")


def one_line_usage(parser: argparse.ArgumentParser) -> None:
    """Make `parser` report bad usage as a CompileError."""
    parser.error = usage_error
