"""docs/ops.md is what docs/list_ops.py writes."""

from __future__ import annotations

import runpy
from pathlib import Path

from nnfuse.dialects.nn import NN

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_fresh() -> None:
    page: str = runpy.run_path(str(DOCS / "list_ops.py"))["page"]()
    assert (DOCS / "ops.md").read_text() == page, "run: python docs/list_ops.py"


def test_every_operator_has_a_row() -> None:
    rows = [line for line in (DOCS / "ops.md").read_text().splitlines() if line.startswith("| [")]
    spelled = {op.name for op in NN.operations if getattr(op, "ONNX", None) is not None}
    assert {row.split("`")[1] for row in rows} == spelled and len(rows) == len(spelled)
    assert all(len(row.replace(r"\|", "").split("|")[4].strip()) > 2 for row in rows), "a meaning is missing"
