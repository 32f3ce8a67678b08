"""Plans that somebody edited: those that would give wrong results are refused in one line when they are loaded."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from nnfuse.errors import CompileError
from nnfuse.runtime.loading import parse_text
from nnfuse.runtime.pipelines import new_context
from nnfuse.runtime.program import checked_plan
from nnfuse.runtime.session import Session
from nnfuse.runtime.sizes import MAX_BYTES

FUNCTION = "func.func @main(%x: tensor<4x16xf32>) -> {result} attributes {{nn.arena = {arena} : i64}} {{\n{body}\n}}"
T = "tensor<4x16xf32>"


def module(body: str, arena: int = 1024, result: str = T) -> Any:
    """A planned module; every line of `body` is an operation, `|p|` its places, or `|p/q|` with the pitches q."""
    return parse_text(FUNCTION.format(body=placed(body), arena=arena, result=result), "plan", new_context())


def placed(body: str) -> str:
    """`%a = nn.relu %x |0| : T` with the attribute written out."""
    parts = re.sub(r"(?<=[: (])T\b", T, body).split("|")
    written = (f"{{place = array<i64: {p}>}}".replace("/", ">, pitch = array<i64: ") for p in parts[1::2])
    return "".join(a + b for a, b in zip(parts[::2], [*written, ""], strict=True))


A_AND_B = """
  %a = nn.relu %x |{a}| : T loc("relu_1")
  %b = nn.transpose %a perm [0, 1] |{b}| : T loc("transpose_1")
  %c = nn.add %a, %b |{c}| : T loc("add_1")
  %d = nn.neg %c |-1| : T loc("neg_1")
  func.return %d : T"""

ROWS = """
  %w = nn.parameter "w" |-1| : tensor<16x16xf32>
  %a = blas.matmul %x, %w |{a}| : (T, tensor<16x16xf32>) -> T loc("matmul_1")
  %b = blas.matmul %x, %w |{b}| : (T, tensor<16x16xf32>) -> T loc("matmul_2")
  %c = nn.concat [%a, %b] axis = 1 |{c}| : (T, T) -> tensor<4x32xf32> loc("concat_1")
  %d = nn.reduce_sum %c |512| : (tensor<4x32xf32>) -> tensor<1x1xf32>
  %e = nn.add %x, %d |-1| : (T, tensor<1x1xf32>) -> T
  func.return %e : T"""


PIECES = """
  %w = nn.parameter "w" |-1| : tensor<16x16xf32>
  %a = nn.concat [%x, %x] axis = 1 |{a}| : (T, T) -> tensor<4x32xf32> loc("concat_1")
  %p, %q = nn.split %a axis = 1 num_outputs = 2 |{p}| : (tensor<4x32xf32>) -> (T, T) loc("split_1")
  %b = blas.matmul %p, %w |{b}| : (T, tensor<16x16xf32>) -> T loc("matmul_1")
  %c = blas.matmul %q, %w |{c}| : (T, tensor<16x16xf32>) -> T loc("matmul_2")
  %d = nn.add %b, %c |-1| : T
  func.return %d : T"""


def refused_pieces(line: str, *change: str, **places: Any) -> tuple[str, int, str]:
    """Two products of pieces of a concatenation's rows, but for the places given and a change of the text."""
    text = PIECES.format(**{"a": 0, "p": "0, 64/128, 128", "b": 512, "c": 768} | places)
    return text.replace(*change) if change else text, 1024, f"{line} (run plan-memory last)"


def refused_rows(line: str, arena: int = 1024, **places: Any) -> tuple[str, int, str]:
    """Two products beside one another in a concatenation, but for the places given."""
    return ROWS.format(**{"a": "0/128", "b": "64/128", "c": 0} | places), arena, f"{line} (run plan-memory last)"


REFUSED: dict[str, tuple[str, int, str]] = {
    "overlapping": (
        A_AND_B.format(a=0, b=128, c=512),
        1024,
        "transpose_1: its place overlaps that of relu_1, which is still alive (run plan-memory last)",
    ),
    "overlapping what is read by the op itself": (
        A_AND_B.format(a=0, b=256, c=128),
        1024,
        "add_1: its place overlaps that of relu_1, which is still alive (run plan-memory last)",
    ),
    "in place over an operand that is read later": (
        """  %a = nn.relu %x |0| : T loc("relu_1")
  %b = nn.neg %a |0| : T loc("neg_1")
  %c = nn.add %a, %b |-1| : T
  func.return %c : T""",
        1024,
        "neg_1: its place overlaps that of relu_1, which is still alive (run plan-memory last)",
    ),
    "in place where the op does not allow it": (
        """  %a = nn.relu %x |0| : T loc("relu_1")
  %s = nn.constant dense<[4, 16]> : tensor<2xi64> |-1|
  %b = nn.expand %a, %s |0| : (T, tensor<2xi64>) -> T loc("expand_1")
  %c = nn.neg %b |-1| : T
  func.return %c : T""",
        1024,
        "expand_1: its place overlaps that of relu_1, which is still alive (run plan-memory last)",
    ),
    "over a GEMM's factor": (
        """  %a = nn.relu %x |0| : T loc("relu_1")
  %w = nn.parameter "w" |-1| : tensor<16x16xf32>
  %b = blas.matmul %a, %w |0| : (T, tensor<16x16xf32>) -> T loc("matmul_1")
  %c = nn.neg %b |-1| : T
  func.return %c : T""",
        1024,
        "matmul_1: its place overlaps that of relu_1, which is still alive (run plan-memory last)",
    ),
    "a part of two wholes": (  # %p is one of %a and of %c: what else is in %c is written over %a
        """  %a = nn.relu %x |0| : T loc("relu_1")
  %p, %r = nn.split %a num_outputs = 2 |0, 128| : (T) -> (tensor<2x16xf32>, tensor<2x16xf32>)
  %q = nn.neg %r |128| : tensor<2x16xf32> loc("neg_1")
  %c = nn.concat [%p, %q] axis = 0 |0| : (tensor<2x16xf32>, tensor<2x16xf32>) -> T
  %d = nn.add %a, %c |-1| : T
  func.return %d : T""",
        1024,
        "neg_1: its place overlaps that of relu_1, which is still alive (run plan-memory last)",
    ),
    "a view where it does not belong": (
        """  %a = nn.relu %x |0| : T loc("relu_1")
  %n = nn.constant 64 : i64 |-1| as tensor<1xi64>
  %r = nn.reshape %a, %n |4| : (T, tensor<1xi64>) -> tensor<64xf32> loc("reshape_1")
  %d = nn.reduce_sum %r |-1| : (tensor<64xf32>) -> tensor<1xf32>
  %e = nn.add %x, %d |-1| : (T, tensor<1xf32>) -> T
  func.return %e : T""",
        1024,
        "reshape_1: its place overlaps that of relu_1, which is still alive (run plan-memory last)",
    ),
    "out of the arena": (
        A_AND_B.format(a=0, b=256, c=512),
        767,
        "add_1: the place 512 of 256 bytes lies outside the arena of 767 bytes (run plan-memory last)",
    ),
    "negative": (
        A_AND_B.format(a=0, b=256, c=-2),
        1024,
        "add_1: the place -2 of 256 bytes lies outside the arena of 1024 bytes (run plan-memory last)",
    ),
    "beyond an i64's sums": (
        A_AND_B.format(a=0, b=256, c=2**63 - 1),
        1024,
        f"add_1: the place {2**63 - 1} of 256 bytes lies outside the arena of 1024 bytes (run plan-memory last)",
    ),
    "not aligned to the elements": (
        A_AND_B.format(a=0, b=257, c=516),
        1024,
        "transpose_1: the place 257 is not a multiple of the 4 bytes of an element (run plan-memory last)",
    ),
    "no place": (
        A_AND_B.format(a=0, b=256, c=512).replace("|256| ", ""),
        1024,
        "transpose_1: the operation has no place for each result (run plan-memory last)",
    ),
    "too many places": (
        A_AND_B.format(a=0, b="256, 512", c=512),
        1024,
        "transpose_1: the operation has no place for each result (run plan-memory last)",
    ),
    "a parameter in the arena": (
        """  %w = nn.parameter "w" |0| : T loc("weight_1")
  %a = nn.add %x, %w |-1| : T
  func.return %a : T""",
        1024,
        "weight_1: the value cannot live in the arena (run plan-memory last)",
    ),
    "a constant in the arena": (
        """  %w = nn.constant 1.0 : f32 |0| as tensor<f32> loc("constant_1")
  %a = nn.add %x, %w |-1| : (T, tensor<f32>) -> T
  func.return %a : T""",
        1024,
        "constant_1: the value cannot live in the arena (run plan-memory last)",
    ),
    "a size that depends on data": (
        """  %n = nn.non_zero %x |0| : (T) -> tensor<2x?xi64> loc("non_zero_1")
  %a = nn.neg %x |-1| : T
  func.return %a : T""",
        1024,
        "non_zero_1: the value cannot live in the arena (run plan-memory last)",
    ),
    "rows in one another": refused_rows("matmul_1: rows of 64 bytes cannot begin 48 bytes apart from 0 on", a="0/48"),
    "rows backwards": refused_rows(
        "matmul_1: rows of 64 bytes cannot begin -128 bytes apart from 384 on", a="384/-128"
    ),
    "rows that begin anywhere": refused_rows(
        "matmul_2: rows of 64 bytes cannot begin 128 bytes apart from 72 on", b="72/128"
    ),
    "rows at another distance": refused_rows(
        "matmul_2: its place overlaps that of matmul_1, which is still alive", b="64/144"
    ),
    "rows that are not where they belong": refused_rows(
        "matmul_2: its place overlaps that of matmul_1, which is still alive", b="80/128"
    ),
    "rows beyond the arena": refused_rows(
        "matmul_2: the place 64 of 448 bytes lies outside the arena of 511 bytes", arena=511
    ),
    "rows outside the arena": refused_rows("matmul_1: rows lie apart in the arena only", a="-1/128"),
    "too many distances": refused_rows("matmul_1: the operation has no pitch for each result", a="0/128, 128"),
    "rows around what is alive": refused_rows(
        "matmul_2: its place overlaps that of matmul_1, which is still alive", a=256
    ),
    "rows apart that are read together": (
        ROWS.format(a="0/128", b="64/128", c=0).replace(
            "nn.reduce_sum %c |512| : (tensor<4x32xf32>)", "nn.reduce_sum %a |512| : (T)"
        ),
        1024,
        "%d: an operand's rows lie apart (run plan-memory last)",
    ),
    "rows apart of an op that does not write such": (
        ROWS.format(a="0/128", b="64/128", c=0).replace(
            "blas.matmul %x, %w |0/128| : (T, tensor<16x16xf32>) -> T", "nn.neg %x |0/128| : T"
        ),
        1024,
        "matmul_1: the rows of the result cannot lie apart (run plan-memory last)",
    ),
    "a piece's rows that are read together": refused_pieces(
        "matmul_1: an operand's rows lie apart",
        "blas.matmul %p, %w |512| : (T, tensor<16x16xf32>) -> T",
        "nn.neg %p |512| : T",
    ),
    "a piece's rows as columns": refused_pieces(
        "matmul_1: an operand's rows lie apart",
        "  %b = blas.matmul %p, %w",
        """  %t = blas.matmul %p, %x transA = 1 |-1| : (T, T) -> tensor<16x16xf32> loc("matmul_1")
  %b = blas.matmul %x, %t""",
    ),
    "a piece's rows as what is added": refused_pieces(
        "matmul_2: an operand's rows lie apart",
        "blas.matmul %q, %w |768| : (T, tensor<16x16xf32>)",
        "blas.matmul %x, %w c %q beta = 1.0 |768| : (T, tensor<16x16xf32>, T)",
    ),
    "a view of other rows of a piece": refused_pieces(
        "reshape_1: an operand's rows lie apart",
        "  %b = blas.matmul %p, %w",
        """  %n = nn.constant dense<[8, 8]> : tensor<2xi64> |-1|
  %r = nn.reshape %p, %n |0/128| : (T, tensor<2xi64>) -> tensor<8x8xf32> loc("reshape_1")
  %b = blas.matmul %x, %w""",
    ),
    "a piece of other rows": refused_pieces("split_1: the rows of the result cannot lie apart", p="0, 80/128, 128"),
    "a piece at another distance": refused_pieces(
        "split_1: the rows of the result cannot lie apart", p="0, 64/144, 128"
    ),
    "a piece of what lies elsewhere": refused_pieces("split_1: the rows of the result cannot lie apart", a=512),
    "a piece of what is outside the arena": refused_pieces("split_1: the rows of the result cannot lie apart", a=-1),
    "over a piece that is read later": refused_pieces(
        "matmul_1: its place overlaps that of split_1, which is still alive", b=0
    ),
    "a piece that is joined with another in its whole's place": refused_pieces(
        "concat_2: its place overlaps that of split_1, which is still alive",
        "  %b = blas.matmul %p, %w |512|",
        """  %m = blas.matmul %x, %w |512| : (T, tensor<16x16xf32>) -> T
  %j = nn.concat [%p, %m] axis = 1 |0| : (T, T) -> tensor<4x32xf32> loc("concat_2")
  %b = blas.matmul %x, %w |512|""",
    ),
    "over a third operand that is a factor too": (
        """  %w = nn.parameter "w" |-1| : tensor<16x16xf32>
  %a = nn.relu %x |0| : T loc("relu_1")
  %b = blas.matmul %a, %w c %a beta = 1.0 |0| : (T, tensor<16x16xf32>, T) -> T loc("matmul_1")
  %c = nn.neg %b |-1| : T
  func.return %c : T""",
        1024,
        "matmul_1: its place overlaps that of relu_1, which is still alive (run plan-memory last)",
    ),
    "a negative arena": (
        """  %a = nn.neg %x |-1| : T
  func.return %a : T""",
        -1,
        "the arena of -1 bytes is no size (run plan-memory last)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_plans_are_refused(name: str) -> None:
    body, arena, line = REFUSED[name]
    with pytest.raises(CompileError) as error:
        checked_plan(module(body, arena), MAX_BYTES)
    assert str(error.value) == line
    with pytest.raises(CompileError) as error:
        Session(module(body, arena)).run(None, {"value_0": np.zeros((4, 16), np.float32)})
    assert str(error.value) == line


def test_no_plan() -> None:
    body = placed("  %a = nn.neg %x |-1| : T\n  func.return %a : T")
    text = f"func.func @main(%x: {T}) -> {T} {{\n{body}\n}}"
    with pytest.raises(CompileError) as error:
        checked_plan(parse_text(text, "plan", new_context()), MAX_BYTES)
    assert str(error.value) == "the program has no memory plan (run plan-memory last)"


def test_an_arena_beyond_the_limit() -> None:
    with pytest.raises(CompileError) as error:
        checked_plan(module(A_AND_B.format(a=0, b=256, c=512), 1 << 40), 1 << 30)
    assert str(error.value) == f"the program needs {1 << 40} bytes, more than the limit of {1 << 30} (--max-bytes)"


RIGHT = {
    "places of one's own choice": A_AND_B.format(a=4, b=700, c=260),
    "in place": A_AND_B.format(a=512, b=0, c=512),
    "in place over the other operand": A_AND_B.format(a=512, b=0, c=0),
    "buffers of their own": A_AND_B.format(a=-1, b=-1, c=-1),
    "some of their own": A_AND_B.format(a=-1, b=0, c=-1),
    "a result in the arena": A_AND_B.format(a=0, b=256, c=512).replace("|-1|", "|768|"),
    "a copy where a view could be": """
  %a = nn.relu %x |0| : T
  %i = nn.identity %a |512| : T
  %b = nn.neg %i |-1| : T
  %c = nn.sub %b, %a |-1| : T
  func.return %c : T""",
}


def test_rows_apart() -> None:
    """A piece that is copied besides, and one whose rows belong together."""
    x, w = (np.random.default_rng(n).standard_normal((r, 16), dtype=np.float32) for n, r in ((0, 4), (1, 16)))
    for places in ({"a": "0/128", "b": "64/128"}, {"a": "0/128", "b": 768}, {"a": 768, "b": -1}):
        session = Session(module(ROWS.format(c=0, **places)))
        session._parameters = {"w": w}
        (result,) = session.run(None, {"value_0": x})
        np.testing.assert_allclose(result, x + 2 * (x @ w).sum(), rtol=1e-5)


READERS = {
    "products": "",
    "a copy of one": "",
    "a view of the same rows": """  %n = nn.constant dense<[2, 2, 16]> : tensor<3xi64> |-1|
  %r = nn.reshape %p, %n |0/128| : (T, tensor<3xi64>) -> tensor<2x2x16xf32>
  %n1 = nn.constant dense<[4, 16]> : tensor<2xi64> |-1|
  %s = nn.reshape %r, %n1 |0/128| : (tensor<2x2x16xf32>, tensor<2xi64>) -> T
  %b = blas.matmul %s, %w""",
    "what copies": """
  %p0, %p1 = nn.split %p num_outputs = 2 |1024, 1280| : (T) -> (tensor<2x16xf32>, tensor<2x16xf32>)
  %s = nn.concat [%p0, %p1] axis = 0 |1536| : (tensor<2x16xf32>, tensor<2x16xf32>) -> T
  %b = blas.matmul %s, %w""",
    "a concatenation": """  %j = nn.concat [%p, %q, %p] axis = 0 |1024| : (T, T, T) -> tensor<12x16xf32>
  %i0 = nn.constant 8 : i64 |-1| as tensor<1xi64>
  %i1 = nn.constant 12 : i64 |-1| as tensor<1xi64>
  %s = nn.slice %j, %i0, %i1 |1536| : (tensor<12x16xf32>, tensor<1xi64>, tensor<1xi64>) -> T
  %b = blas.matmul %s, %w""",
}


@pytest.mark.parametrize("name", READERS)
def test_pieces_of_rows(name: str) -> None:
    x, w = (np.random.default_rng(n).standard_normal((r, 16), dtype=np.float32) for n, r in ((0, 4), (1, 16)))
    pieces = "0, 768/128, 0" if name == "a copy of one" else "0, 64/128, 128"
    text = PIECES.format(a=0, p=pieces, b=512, c=1792)
    session = Session(
        module(text.replace("  %b = blas.matmul %p, %w", READERS[name] or "  %b = blas.matmul %p, %w"), 2048)
    )
    session._parameters = {"w": w}
    (result,) = session.run(None, {"value_0": x})
    np.testing.assert_allclose(result, 2 * (x @ w), rtol=1e-5)


@pytest.mark.parametrize("name", RIGHT)
def test_right_plans_run(name: str) -> None:
    """Whatever the places, the results are those of NumPy; twice, and the first ones stay."""
    rng = np.random.default_rng(1)
    session = Session(module(RIGHT[name]))
    results, expected = [], []
    for _ in range(2):
        x = rng.standard_normal((4, 16), dtype=np.float32)
        results += session.run(None, {"value_0": x})
        expected.append(-2 * np.maximum(x, 0))
    np.testing.assert_array_equal(results, expected)


def test_outside_the_arena_a_value_is_a_view_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """%r is %a in another shape, so it is not written where %k wants it too: what is returned holds a copy."""
    text = """func.func @main(%x: tensor<2x2xf32>, %y: tensor<2x2xf32>) -> tensor<2x4xf32> {
  %s = nn.constant dense<[1, 1, 4]> : tensor<3xi64>
  %f = nn.constant dense<[2, 4]> : tensor<2xi64>
  %a = nn.relu %x : tensor<2x2xf32>
  %r = nn.reshape %a, %s : (tensor<2x2xf32>, tensor<3xi64>) -> tensor<1x1x4xf32>
  %b = nn.relu %y : tensor<2x2xf32>
  %q = nn.reshape %b, %s : (tensor<2x2xf32>, tensor<3xi64>) -> tensor<1x1x4xf32>
  %k = nn.concat [%r, %q] axis = 2 : (tensor<1x1x4xf32>, tensor<1x1x4xf32>) -> tensor<1x1x8xf32>
  %o = nn.reshape %k, %f : (tensor<1x1x8xf32>, tensor<2xi64>) -> tensor<2x4xf32>
  func.return %o : tensor<2x4xf32>
}"""
    empty = np.empty

    def filled(*args: Any, **kwargs: Any) -> Any:
        array = empty(*args, **kwargs)
        array.fill(77)
        return array

    session = Session(parse_text(text, "views", new_context()))
    monkeypatch.setattr(np, "empty", filled)
    x = np.arange(1, 9, dtype=np.float32).reshape(2, 2, 2)
    (result,) = session.run(None, {"value_0": x[0], "value_1": x[1]})
    np.testing.assert_array_equal(result, x.reshape(2, 4))
