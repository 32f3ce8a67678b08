"""Sequences and optionals through Session: what is fed and comes out, what a program depends on, whose memory it is."""

from __future__ import annotations

import threading

import numpy as np
import onnx
import pytest

from nnfuse import Session
from nnfuse.errors import CompileError
from nnfuse.runtime.program import Program
from nnfuse.runtime.reference import main_function

TEXT = """g (seq(float[N,3]) s, optional(float[M]) o, float[B] x)
    => (seq(float[N,3]) t, optional(float[M]) p, float[B] y) {
    t = Identity(s)  p = Identity(o)  y = Relu(x) }"""


def open_session(text: str = TEXT, **options) -> Session:
    return Session(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> {text}'), **options)


def ones(*dims, dtype=np.float32):
    return np.ones(dims, dtype)


def test_descriptions():
    """Sequences and optionals have no shape of their own, and a type that says what they hold."""
    session = open_session()
    assert [(v.name, v.shape, v.type) for v in session.get_inputs()] == [
        ("s", (), "seq(float32)"),
        ("o", (), "optional(float32)"),
        ("x", ("B",), "float32"),
    ]
    assert [v.type for v in session.get_outputs()] == ["seq(float32)", "optional(float32)", "float32"]
    assert [v.is_tensor for v in session.get_outputs()] == [False, False, True]


@pytest.mark.parametrize("kind", [list, tuple])
def test_lists_and_tuples(kind):
    """Either is a sequence; a list comes back, whose elements are of any size that is not said."""
    s = kind([ones(1, 3), ones(4, 3), ones(0, 3)])
    t, p, y = open_session().run(None, {"s": s, "o": ones(2), "x": -ones(2)})
    assert isinstance(t, list) and [e.shape for e in t] == [(1, 3), (4, 3), (0, 3)]
    assert p.shape == (2,) and not y.any()
    t, p = open_session().run(["t", "p"], {"s": kind(), "o": None, "x": ones(2)})
    assert t == [] and p is None


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"s": ones(2, 3)}, "s: the input is a sequence, but a ndarray is given (feed a list of arrays)"),
        ({"s": None}, "s: the input is a sequence, but a NoneType is given (feed a list of arrays)"),
        (
            {"s": [ones(2, 3), ones(2, 3, dtype=np.int64)]},
            "s: element 1 of the input has the dtype float32, but int64 is given",
        ),
        ({"s": [ones(2, 3), ones(2, 4)]}, "s: the input holds arrays of the shape ?x3, but one of 2x4 is given"),
        ({"s": [ones(3)]}, "s: the input holds arrays of the shape ?x3, but one of 3 is given"),
        ({"o": ones(2, dtype=np.float64)}, "o: the input has the dtype float32, but float64 is given"),
        ({"o": [ones(2)]}, "o: the input holds arrays of the shape ?, but one of 1x2 is given"),
        ({"o": ones(2, 2)}, "o: the input holds arrays of the shape ?, but one of 2x2 is given"),
        ({"x": None}, "x: the input has the dtype float32, but object is given"),
    ],
)
def test_feeds_that_do_not_fit(feeds, message):
    fitting = {"s": [ones(2, 3)], "o": None, "x": ones(2)}
    with pytest.raises(CompileError) as error:
        open_session().run(None, fitting | feeds)
    assert str(error.value) == message


def test_an_optional_must_be_named():
    """None is fed: what is left out may be a mistake."""
    with pytest.raises(CompileError, match=r"^no array is given for the input 'o'$"):
        open_session().run(None, {"s": [], "x": ones(2)})


def test_programs_depend_on_tensors_only():
    """One program for sequences of any length, and for optionals with and without a value."""
    session = open_session()
    session.run(None, {"s": [ones(2, 3)], "o": None, "x": ones(2)})
    program = session.program([None, None, (2,)])
    session.run(None, {"s": [ones(1, 3)] * 3, "o": ones(5), "x": ones(2)})
    assert session.program([None, None, (2,)]) is program and len(session._programs) == 1
    session.run(None, {"s": [], "o": None, "x": ones(3)})
    assert len(session._programs) == 2


@pytest.mark.parametrize("size", ["2", "N"])
def test_outputs_belong_to_the_caller(size):
    """No array comes out that was fed, that comes out elsewhere, or that a later run changes."""
    session = open_session(
        """g (seq(float[K]) s, float[K] x, int64 i) => (seq(float[K]) t, seq(float[K]) u, float[K] y, float[K] z) {
        t = SequenceInsert(s, x)  u = SequenceInsert(t, x)  y = SequenceAt(u, i)  z = SequenceAt(s, i) }""".replace(
            "K", size
        )
    )
    s, x = [ones(2), 2 * ones(2)], 3 * ones(2)
    before = [a.copy() for a in (*s, x)]
    t, u, y, z = session.run(None, {"s": s, "x": x, "i": np.array(0)})
    arrays = [*s, x, *t, *u, y, z]
    for index, array in enumerate(arrays):
        assert not any(np.shares_memory(array, other) for other in arrays[index + 1 :])
    for array in (*t, *u, y, z):
        array[:] = 7
    session.run(None, {"s": s, "x": x, "i": np.array(1)})
    assert all(np.array_equal(a, b) for a, b in zip((*s, x), before, strict=True))
    assert all((a == 7).all() for a in (*t, *u, y, z))


def test_elements_outlive_their_places():
    """What a sequence holds was computed in the arena, in places that later values take."""
    steps = " ".join(f"a{i + 1} = Add(a{i}, x)  s{i + 1} = SequenceInsert(s{i}, a{i + 1}, p)" for i in range(6))
    text = f"""g (float[64] x, int64 p, int64 i) => (seq(float[64]) s6, float[64] y) {{
        a0 = Neg(x)  s0 = SequenceEmpty()  {steps}  y = SequenceAt(s6, i) }}"""
    session = open_session(text)
    s, y = session.run(None, {"x": ones(64), "p": np.array(0), "i": np.array(-1)})
    assert [e[0] for e in s] == [5, 4, 3, 2, 1, 0] and y[0] == 0
    plan = session.program([(64,), (), ()]).plan
    assert plan.arena < 6 * 256, "no place is taken twice: the test says nothing"


def test_concurrent_runs():
    """Each call has its own sequences."""
    session = open_session("g (seq(float[N]) s, int64 i) => (float[N] y) { a = SequenceAt(s, i)  y = Neg(a) }")
    failures: list[int] = []

    def run(value: int) -> None:
        for _ in range(50):
            (y,) = session.run(None, {"s": [value * ones(3), ones(2)], "i": np.array(0)})
            if not (y == -value).all():
                failures.append(value)

    threads = [threading.Thread(target=run, args=(v,)) for v in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_symbolic_sizes_become_known():
    """Bound sizes go through a sequence: what is read from it has a place, and runs as a step of known size."""
    text = """g (float[N,M] x, int64 i) => (float[1,M] y) {
        s = SplitToSequence <axis=0> (x)  a = SequenceAt(s, i)  y = Relu(a) }"""
    module = open_session(text).compile([(4, 5), ()])
    types = [str(r.type) for op in main_function(module).body.block.ops for r in op.results]
    assert types == ["!nn.sequence<tensor<1x5xf32>>", "tensor<1x5xf32>", "tensor<1x5xf32>"]


def test_a_planned_program(tmp_path):
    """IR with sequences is saved and loaded; profiling names its steps."""
    session = open_session("g (seq(float[2]) s, float[2] x) => (seq(float[2]) t) { [put] t = SequenceInsert(s, x) }")
    path = tmp_path / "program.mlir"
    path.write_text(str(session.compile([None, (2,)])))
    loaded = Session(path)
    (t,) = loaded.run(None, {"s": [ones(2)], "x": 2 * ones(2)})
    assert [e.tolist() for e in t] == [[1, 1], [2, 2]]
    program: Program = loaded.program([None, (2,)])
    results, timings = program.profile([(ones(2),), ones(2)])
    assert len(results[0]) == 2 and [step.op.name for step, _ in timings] == ["nn.sequence_insert"]
