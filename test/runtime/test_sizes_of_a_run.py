"""Sizes that are known only in a run are checked against --max-bytes there, before memory is taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import parser

from nnfuse import Session
from nnfuse.errors import CompileError

GRAPHS = {
    "Range": "g (int64 n) => (int64[M] y) { a = Constant <value_int = 0> () b = Constant <value_int = 1> () "
    "y = Range (a, n, b) }",
    "ConstantOfShape": "g (int64[1] n) => (float[M] y) { y = ConstantOfShape (n) }",
    "Expand": "g (int64[1] n) => (float[M] y) { a = Constant <value_float = 1.0> () y = Expand (a, n) }",
    "Tile": "g (int64[1] n) => (int64[M] y) { y = Tile (n, n) }",
    "OneHot": "g (int64 n) => (int64[M] y) { v = Constant <value_ints = [0, 1]> () y = OneHot (n, n, v) }",
}


def session(graph: str, **options: Any) -> Session:
    return Session(parser.parse_model('<ir_version: 10, opset_import: ["": 21]> ' + graph), **options)


@pytest.mark.parametrize("op", GRAPHS)
def test_sizes_of_a_run(op: str) -> None:
    ready = session(GRAPHS[op])
    n = ready.get_inputs()[0]
    (result,) = ready.run(None, {"n": np.full(n.shape, 7)})
    assert result.shape == (7,)
    for huge in (2**40, 2**34):
        with pytest.raises(CompileError, match=rf"^y: a value of shape {huge} needs \d+ bytes, more than the limit"):
            ready.run(None, {"n": np.full(n.shape, huge)})
    (result,) = ready.run(None, {"n": np.full(n.shape, 3)})
    assert result.shape == (3,)


def test_the_limit_is_the_sessions() -> None:
    ready = session(GRAPHS["Range"], max_bytes=1000)
    assert ready.run(None, {"n": np.asarray(125)})[0].size == 125
    with pytest.raises(CompileError, match=r"^y: a value of shape 126 needs 1008 bytes, more than the limit of 1000"):
        ready.run(None, {"n": np.asarray(126)})
