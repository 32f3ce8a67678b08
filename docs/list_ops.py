"""Writes docs/ops.md, the ONNX operators that nnfuse imports, from the op classes: `python docs/list_ops.py`."""

from __future__ import annotations

import re
from pathlib import Path

from nnfuse.dialects.nn import NN
from nnfuse.dialects.nn.base import NNOp, Onnx

PAGE = Path(__file__).with_name("ops.md")

HEAD = """# Operators

What nnfuse imports from ONNX, as the op classes say it (`python docs/list_ops.py` writes this page). On both devices \
an op runs by a kernel or, without one, by its class's `evaluate` on NumPy or CuPy. The opset is the first whose form \
of the operator is read; every later one is read too. What a class does not read (an element type, an attribute) is \
refused in one line that names the node; `fuse-run --check model.onnx` lists all of it before anything runs.

An operator that is not in the table but that ONNX defines as a function of operators in it is imported as those.

| ONNX | from opset | op | meaning |
|---|---|---|---|
"""


def meaning(op: type[NNOp]) -> str:
    """The first sentence of the class's docstring, without the link to ONNX's page, for a cell of a table."""
    paragraph = " ".join((op.__doc__ or "").split("\n\n")[0].split())
    sentence = re.split(r"\.? (?:ONNX \w+, )?https://|(?<=[^.\W])\. |(?<=[`)])\. ", paragraph)[0]
    return sentence.rstrip(".").replace("|", "\\|")


def rows() -> list[str]:
    """A row for each operator, in alphabetical order; operators that became others are named with those."""
    spelled: list[tuple[type[NNOp], Onnx]] = [
        (op, op.ONNX) for op in NN.operations if issubclass(op, NNOp) and op.ONNX is not None
    ]
    lines: list[str] = []
    for op, onnx in sorted(spelled, key=lambda item: item[1].name.casefold()):
        others = [*onnx.older, *(f"{domain}.{name}" for domain, name in onnx.variants)]
        names = ", ".join([f"[{onnx.name}](https://onnx.ai/onnx/operators/onnx__{onnx.name}.html)", *others])
        opsets = f"{onnx.since}" if onnx.until is None else f"{onnx.since} to {onnx.until}"
        lines.append(f"| {names} | {opsets} | `{op.name}` | {meaning(op)} |")
    return lines


def page() -> str:
    """The text of docs/ops.md."""
    return HEAD + "\n".join(rows()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
