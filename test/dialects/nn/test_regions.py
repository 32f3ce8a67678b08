"""Bodies: what verification refuses of them in IR, and what a run checks of its values."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import parser

from nnfuse import CompileError, Session, UnsupportedError
from nnfuse.dialects.nn.constant import ConstantOp
from nnfuse.dialects.nn.if_op import IfOp
from nnfuse.dialects.nn.types import dims_of
from nnfuse.lowering import onnx_bodies
from nnfuse.lowering.onnx_to_nn import import_model
from nnfuse.passes import inference
from nnfuse.rewriting import node_name
from nnfuse.runtime.loading import parse_text
from nnfuse.runtime.pipelines import new_context
from nnfuse.runtime.reference import main_function

LOOP = """func.func @main(%n: tensor<i64>, %x: tensor<1x2xi64>) -> tensor<1x2xi64> {{
  %y = nn.loop trip_count %n : tensor<i64> run (%i : tensor<i64>, %go : tensor<i1>)
      carried (%d{type} = %x : tensor<1x2xi64>) {{
    {body}
    nn.yield %go, %w : tensor<i1>, {yielded}
  }} : tensor<1x2xi64>
  func.return %y : tensor<1x2xi64>
}}"""

REFUSED = {
    "isolation": (
        {"body": "%w = nn.add %d, %x : tensor<1x2xi64>", "yielded": "tensor<1x2xi64>"},
        "a body reads a value that is defined outside it",
    ),
    "argument": (
        {"type": " : tensor<1x2xf32>", "body": "%w = nn.cast %d to = i64 : (tensor<1x2xf32>) -> tensor<1x2xi64>",
         "yielded": "tensor<1x2xi64>"},
        r"argument 2 of a body of nn.loop is tensor<1x2xf32>; it needs tensor<1x2xi64>",
    ),
}  # fmt: skip


def loop(type: str = "", body: str = "", yielded: str = "") -> str:
    """IR of a loop."""
    return LOOP.format(type=type, body=body, yielded=yielded)


@pytest.mark.parametrize("case", REFUSED)
def test_verification(case):
    parts, message = REFUSED[case]
    with pytest.raises(CompileError, match=message):
        parse_text(loop(**parts), "ir", new_context())


def test_a_state_of_another_size_than_its_type_says():
    """IR may claim a size of what data decide: a run sees to it that the body, planned for that, gets nothing else."""
    text = loop(body="%w = nn.non_zero %d : (tensor<1x2xi64>) -> tensor<2x?xi64>", yielded="tensor<2x?xi64>")
    text = text.replace("1x2xi64", "2x2xi64")
    session = Session(parse_text(text, "ir", new_context()))
    n, x = (v.name for v in session.get_inputs())
    three = np.array([[1, 1], [1, 0]])
    with pytest.raises(CompileError, match=r"^%y: argument 2 of its body is 2x3, not tensor<2x2xi64>$"):
        session.run(None, {n: np.array(2), x: three})
    assert session.run(None, {n: np.array(2), x: np.eye(2, dtype=np.int64)})[0].tolist() == [[0, 1], [1, 1]]


def imported(text: str):
    """A model of ONNX's text."""
    return parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {text}')


def test_slices_of_no_run_of_unknown_size():
    """They are empty along every dim that is not known."""
    model = imported(
        """g (float[3] x, int64 n) => (float[3] y, int64[K,1,M] s) {
            y, s = Loop (n, , x) <body = b (int64 k, bool go, a) => (go2, a2, o) {
                go2 = Identity(go) a2 = Neg(a) o = NonZero(a)
            }>
        }"""
    )
    session, x = Session(model), np.array([1, 0, 2], np.float32)
    assert session.run(None, {"x": x, "n": np.array(0)})[1].shape == (0, 1, 0)
    assert session.run(None, {"x": x, "n": np.array(2)})[1].tolist() == [[[0, 2]]] * 2


def test_a_trip_count_that_is_known_and_may_not_be_reached():
    model = imported(
        """g (float[3] x) => (float[3] y, float[K,3] s) {
            n = Constant <value_int = 9> ()
            y, s = Loop (n, , x) <body = b (int64 k, bool go, a) => (go2, a2, o) {
                a2 = Add(a, x) o = Neg(a2) m = ReduceMax <keepdims = 0> (a2)
                t = Constant <value_float = 3.5> () go2 = Less(m, t)
            }>
        }"""
    )
    assert [dims_of(t) for t in main_function(import_model(model)).function_type.outputs] == [(3,), (None, 3)]
    y, s = Session(model).run(None, {"x": np.ones(3, np.float32)})
    assert y.tolist() == [4, 4, 4] and s.shape == (3, 3)


def test_a_body_that_cannot_run_on_the_sizes_of_the_first_run(ort):
    """What it does with its state, it does in later runs only: it is imported for any size of it."""
    model = imported(
        """g (float[3] x, int64 n) => (float[M] y) {
            zero = Constant <value_ints = [0]> ()
            e = Slice(x, zero, zero)
            y = Loop (n, , e) <body = b (int64 k, bool go, a) => (go2, a2) {
                go2 = Identity(go) one = Constant <value_int = 1> () c = Less(k, one)
                a2 = If (c) <
                    then_branch = t () => (p) { p = Identity(x) }, else_branch = o () => (q) { q = Add(a, x) }
                >
            }>
        }"""
    )
    session = Session(model)
    for trips in (0, 1, 4):
        feeds = {"x": np.array([1, 2, 3], np.float32), "n": np.array(trips)}
        np.testing.assert_array_equal(session.run(None, feeds)[0], ort(model, feeds)[0])


def test_constants_around_a_body_are_known_in_it(ort):
    """They decide ranks there: how many axes are removed."""
    model = imported(
        """g (float[1,3,1] x, bool c) => (float[3] y) {
            axes = Constant <value_ints = [0, 2]> ()
            y = If (c) <
                then_branch = t () => (p) { p = Squeeze(x, axes) },
                else_branch = e () => (q) { h = Neg(x) s = Constant <value_ints = [3]> () q = Reshape(h, s) }
            >
        }"""
    )
    types = main_function(import_model(model)).function_type.outputs
    assert [dims_of(t) for t in types] == [(3,)]
    session = Session(model)
    for cond in (True, False):
        feeds = {"x": np.array([[[1], [2], [3]]], np.float32), "c": np.array(cond)}
        np.testing.assert_array_equal(session.run(None, feeds)[0], ort(model, feeds)[0])


def test_constants_that_are_copied_into_bodies_keep_their_nodes():
    model = imported(
        """g (float[3] x, bool c) => (float[3] y) {
            [two] k = Constant <value_float = 2.0> ()
            y = If (c) <
                then_branch = t () => (p) { p = Mul(x, k) }, else_branch = e () => (q) { q = Sub(x, k) }
            >
        }"""
    )
    inner = [op for op in import_model(model).walk() if isinstance(op, ConstantOp) and isinstance(op.parent_op(), IfOp)]
    assert [node_name(op) for op in inner] == ["two", "two"]


GROWS = """g (float[1] x, int64 n) => (float[M] y) {
    [outer] y = Loop (n, , x) <body = b (int64 k, bool go, a) => (go2, a3) {
        [inner] a2 = Loop (n, , a) <body = d (int64 j, bool on, e) => (on2, e2) {
            on2 = Identity(on) e2 = Concat <axis = 0> (e, x)
        }>
        go2 = Identity(go) a3 = Concat <axis = 0> (a2, x)
    }>
}"""
"""Two loops; types in the inner one are inferred for each attempt at those in the outer one."""


def test_the_nodes_that_bodies_may_have_are_limited(monkeypatch):
    """With their repetitions: the inner body is imported three times, the outer one twice."""
    monkeypatch.setattr(onnx_bodies, "MAX_NODES", 12)
    import_model(imported(GROWS))
    monkeypatch.setattr(onnx_bodies, "MAX_NODES", 11)
    with pytest.raises(UnsupportedError, match=r"^outer: the graphs in the model's nodes have more than 11 nodes"):
        import_model(imported(GROWS))


def test_the_inference_of_loops_in_loops_is_limited(monkeypatch):
    """Counted is each operation of a body whenever it is walked: the outer 7 once, the inner 3 three times."""
    feeds = {"x": np.ones(1, np.float32), "n": np.array(2)}
    monkeypatch.setattr(inference, "MAX_INFERRED", 16)
    assert Session(imported(GROWS)).run(None, feeds)[0].shape == (7,)
    monkeypatch.setattr(inference, "MAX_INFERRED", 15)
    with pytest.raises(CompileError, match=r"^inner: the types in loops within loops take too long to infer$"):
        Session(imported(GROWS)).run(None, feeds)
