"""What fuse-run prints of arrays and numbers: tables that stay whole when they are piped."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import printable
from ..runtime.session import Value
from .arrays import format_shape, split_outputs

ANY_WIDTH = 1_000_000
"""The columns of an output that is no terminal: nothing is folded."""


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[str] = ()) -> None:
    """Print `rows` under `columns`; those named in `right` are numbers. A terminal folds long cells, nothing cuts them.

    Cells are shown as they are: no markup is read in them, and control characters are escaped.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    numbers = set(right)
    for name in columns:
        justify = "right" if name in numbers else "left"
        table.add_column(Text(name), justify=justify, overflow="fold", no_wrap=name in numbers)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else ANY_WIDTH, highlight=False)
    console.print(table)


def print_outputs(outputs: Sequence[Value], arrays: Sequence[Any]) -> None:
    """Per output, and per element of a sequence, its name, shape, dtype, and least, mean and greatest element."""
    rows = [
        (value.name, format_shape(array.shape), array.dtype.name, *_statistics(array))
        for value, array in split_outputs(outputs, arrays)
    ]
    empty = [v for v, a in zip(outputs, arrays, strict=True) if a is None or (isinstance(a, list) and not a)]
    rows += [(value.name, "empty", value.type, "-", "-", "-") for value in empty]
    print_table(("output", "shape", "dtype", "min", "mean", "max"), rows, ("min", "mean", "max"))


def _statistics(array: Any) -> tuple[str, str, str]:
    if not array.size:
        return "-", "-", "-"
    wide = array.astype(np.float64)
    with np.errstate(all="ignore"):
        return number(wide.min()), number(wide.mean()), number(wide.max())


def number(value: float) -> str:
    """A number with six significant digits."""
    return f"{value:.6g}"


def milliseconds(seconds: float) -> str:
    """A time as `1.234`, in milliseconds."""
    return f"{1e3 * seconds:.3f}"
