"""Loop: its forms against ONNX Runtime and float64; sizes that grow, limits, and refusals."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser

from nnfuse import CompileError, Session, UnsupportedError
from nnfuse.dialects.nn.loop import LoopOp
from nnfuse.dialects.nn.types import dims_of
from nnfuse.lowering.onnx_to_nn import import_model
from nnfuse.runtime.frame import Frame
from nnfuse.runtime.reference import main_function
from nnfuse.tools import fuse_run

RNG = np.random.default_rng(8)


def model_of(body: str, head: str, opset: int = 17) -> onnx.ModelProto:
    """The model of ONNX text; `"Loop"`s in it have the attribute `body`."""
    return parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> g {head} {{ {body} }}')


WHILE = "sum = ReduceSum <keepdims = 0> (a2) limit = Constant <value_float = 30.0> () go2 = Less(sum, limit)"
STEP = "a2 = Add(a, x) o = ReduceMax <axes = [0], keepdims = 0> (a2) k2 = Identity(k)"
LOOPS = {
    "for": ("n, ", f"{STEP} go2 = Identity(go)"),
    "while": (", c", f"{STEP} {WHILE}"),
    "for, and while": ("n, c", f"{STEP} {WHILE}"),
    "do while": (", ", f"{STEP} {WHILE}"),
}


@pytest.mark.parametrize("loop", LOOPS)
def test_forms(loop, ort, float64_oracle, close):
    """A state, a captured value and two stacked results; zero runs, one run, an early end."""
    inputs, body = LOOPS[loop]
    model = model_of(
        f"y, s, i = Loop ({inputs}, x) <body = b (int64 k, bool go, a) => (go2, a2, o, k2) {{ {body} }}>",
        "(float[N,3] x, int64 n, bool c) => (float[N,3] y, float[K,3] s, int64[K] i)",
    )
    main_function(import_model(model)).verify()
    sessions = [Session(model), Session(model, fuse=False)]
    for trips, cond, rows in (
        (0, True, 2),
        (1, True, 1),
        (5, True, 2),
        (5, False, 2),
        (1000 if "for, " in loop else 7, True, 3),
    ):
        feeds = {"x": RNG.uniform(0.5, 1.5, (rows, 3)).astype(np.float32), "n": np.array(trips), "c": np.array(cond)}
        truths, peers = float64_oracle(model, feeds), ort(model, feeds)
        for session in sessions:
            for result, truth, peer in zip(session.run(None, feeds), truths, peers, strict=True):
                if len(peers[2]):  # without runs ONNX Runtime's stacks have one dimension
                    assert (result.shape, result.dtype) == (peer.shape, peer.dtype)
                close(result, truth, peer if len(peers[2]) else truth)
        if (loop == "for" and trips == 0) or ("c" in inputs and not cond):
            assert [r.shape for r in sessions[0].run(None, feeds)[1:]] == [(0, 3), (0,)]


def test_a_state_that_grows(ort):
    """Its size is unknown, as it is another one in each run; that of the other state stays known."""
    model = model_of(
        """y, z = Loop (n, , x, x) <body = b (int64 k, bool go, a, e) => (go2, a2, e2) {
            go2 = Identity(go) a2 = Concat <axis = 0> (a, x) e2 = Neg(e)
        }>""",
        "(float[2] x, int64 n) => (float[M] y, float[2] z)",
    )
    types = main_function(import_model(model)).function_type.outputs
    assert [dims_of(t) for t in types] == [(None,), (2,)]
    session, x = Session(model), RNG.standard_normal(2).astype(np.float32)
    for trips in (0, 1, 4):
        feeds = {"x": x, "n": np.array(trips)}
        for result, peer in zip(session.run(None, feeds), ort(model, feeds), strict=True):
            np.testing.assert_array_equal(result, peer)


def test_a_state_that_starts_empty(ort):
    """The first run's size is special: the body reads an element that is not there before."""
    model = model_of(
        """e = Slice(x, zero, zero)
        y = Loop (n, , e) <body = b (int64 k, bool go, a) => (go2, a2) {
            go2 = Identity(go) l = Concat <axis = 0> (a, x) m = Slice(l, zero, two) a2 = Concat <axis = 0> (a, m)
        }>
        zero = Constant <value_ints = [0]> () two = Constant <value_ints = [2]> ()""",
        "(float[3] x, int64 n) => (float[M] y)",
    )
    ordered = onnx.ModelProto()
    ordered.CopyFrom(model)
    nodes = list(ordered.graph.node)
    del ordered.graph.node[:]
    ordered.graph.node.extend([*nodes[2:], *nodes[:2]])
    feeds = {"x": np.array([1, 2, 3], np.float32), "n": np.array(3)}
    np.testing.assert_array_equal(Session(model).run(None, feeds)[0], ort(ordered, feeds)[0])


def test_specialising_narrows_the_states():
    model = model_of(
        """n = Constant <value_int = 4> ()
        y, s = Loop (n, , x) <body = b (int64 k, bool go, a) => (go2, a2, o) {
            go2 = Identity(go) a2 = Neg(a) o = Abs(a)
        }>""",
        "(float[N,3] x) => (float[N,3] y, float[K,N,3] s)",
    )
    session = Session(model)
    (loop,) = [op for op in session.compile([(2, 3)]).walk() if isinstance(op, LoopOp)]
    assert [dims_of(t) for t in loop.result_types] == [(2, 3), (4, 2, 3)]
    x = RNG.standard_normal((2, 3)).astype(np.float32)
    y, s = session.run(None, {"x": x})
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(s, np.stack([np.abs(x)] * 4))


def test_a_body_that_cannot_run_on_these_shapes():
    """With them known its types are not inferred for ever: its state is an empty list first, and then has elements."""
    model = model_of(
        """e = SequenceEmpty ()
        s = Loop (n, , e) <body = b (int64 k, bool go, l) => (go2, l2) {
            go2 = Identity(go) d = Concat <axis = 1> (x, x) h = Sub(d, z) l2 = SequenceInsert(l, h)
        }>
        y = ConcatFromSequence <axis = 0> (s)""",
        "(float[N,M] x, float[N,K] z, int64 n) => (float[P,Q] y)",
    )
    session, ones, n = Session(model), np.ones((2, 2), np.float32), np.array(2)
    assert session.run(None, {"x": ones, "z": np.ones((2, 4), np.float32), "n": n})[0].shape == (4, 4)
    start = time.monotonic()
    with pytest.raises(CompileError, match=r"^h: .*(4.*2|broadcast)"):
        session.run(None, {"x": ones, "z": ones, "n": n})
    assert time.monotonic() - start < 5


def test_captured_weights_fuse_in_the_body(ort, float64_oracle, close):
    """A convolution, its batch-norm and activation in the body of a loop, of weights outside it."""
    rng = np.random.default_rng(1)
    shapes: dict[str, tuple[int, ...]] = {"w": (3, 3, 3, 3), "b": (3,), "g": (3,), "m": (3,), "v": (3,)}
    arrays = {n: rng.uniform(0.1, 0.5, s).astype(np.float32) for n, s in shapes.items()}
    model = model_of(
        """y = Loop (n, , x) <body = b (int64 k, bool go, a) => (go2, r) {
            go2 = Identity(go) h = Conv <pads = [1,1,1,1]> (a, w, b) h2 = BatchNormalization(h, g, b, m, v) r = Relu(h2)
        }>""",
        "(float[N,3,6,6] x, int64 n) => (float[N,3,6,6] y)",
    )
    model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in arrays.items())
    session = Session(model)
    feeds = {"x": RNG.standard_normal((2, 3, 6, 6)).astype(np.float32), "n": np.array(3)}
    close(session.run(None, feeds)[0], float64_oracle(model, feeds)[0], ort(model, feeds)[0])
    (loop,) = [op for op in session.compile([(2, 3, 6, 6), ()]).walk() if isinstance(op, LoopOp)]
    names = [op.name for op in loop.body(0).ops]
    assert "blas.matmulrelu" in names and not {"nn.conv", "nn.relu", "nn.batch_normalization"} & set(names)
    assert not loop.captures


def test_loops_in_loops_and_branches(ort, close):
    model = model_of(
        """y = Loop (n, , x) <body = b (int64 k, bool go, a) => (go2, a2) {
            go2 = Identity(go)
            two = Constant <value_int = 2> ()
            odd = Mod(k, two)
            c = Cast <to = 9> (odd)
            a2 = If (c) <
                then_branch = t () => (p) { p = Neg(a) },
                else_branch = e () => (q) {
                    q = Loop (k, , a) <body = b2 (int64 l, bool on, f) => (on2, f2) {
                        on2 = Identity(on) d = Cast <to = 1> (k) h = Add(f, d) f2 = Add(h, x)
                    }>
                }
            >
        }>""",
        "(float[N] x, int64 n) => (float[N] y)",
    )
    session = Session(model)
    for trips in (0, 1, 6):
        feeds = {"x": RNG.standard_normal(5).astype(np.float32), "n": np.array(trips)}
        close(session.run(None, feeds)[0], ort(model, feeds)[0])


def test_of_sequences():
    model = model_of(
        """e = SequenceEmpty ()
        s = Loop (n, , e) <body = b (int64 k, bool go, l) => (go2, l2) {
            go2 = Identity(go) c = Cast <to = 1> (k) h = Mul(x, c) l2 = SequenceInsert(l, h)
        }>
        y = ConcatFromSequence <axis = 0> (s)""",
        "(float[2] x, int64 n) => (float[M] y)",
    )
    (y,) = Session(model).run(None, {"x": np.array([1, 2], np.float32), "n": np.array(3)})
    assert y.tolist() == [0, 0, 1, 2, 2, 4]


def test_what_a_sequence_holds_is_copied_for_the_caller_only(monkeypatch):
    """A list that grows in a loop is handed from run to run as it is."""
    model = model_of(
        """e = SequenceEmpty ()
        s = Loop (n, , e) <body = b (int64 k, bool go, l) => (go2, l2) {
            go2 = Identity(go) f = Cast <to = 1> (k) h = Mul(x, f) l2 = SequenceInsert(l, h)
        }>""",
        "(float[2] x, int64 n) => (seq(float[2]) s)",
    )
    copied: list[Any] = []
    copy = Frame._copied
    monkeypatch.setattr(Frame, "_copied", lambda self, array: (copied.append(array.shape), copy(self, array))[1])
    session, feeds = Session(model), {"x": np.array([1, 2], np.float32), "n": np.array(9)}
    (first,) = session.run(None, feeds)
    assert copied.count((2,)) == 9
    first[3][:] = 0
    assert [a.tolist() for a in session.run(None, feeds)[0]] == [[k, 2 * k] for k in range(9)]


def test_a_state_that_may_be_absent_before():
    """An optional that the body gives a value is one still; ONNX Runtime does not take optional states."""
    model = model_of(
        """y = Loop (n, , x) <body = b (int64 k, bool go, o) => (go2, s) {
            go2 = Identity(go) h = OptionalHasElement(o)
            s = If (h) <
                then_branch = t () => (p) { l = OptionalGetElement(o) c = Cast <to = 1> (k) p = SequenceInsert(l, c) },
                else_branch = e () => (q) { q = SequenceEmpty() }
            >
        }>""",
        "(optional(seq(float)) x, int64 n) => (optional(seq(float)) y)",
    )
    session = Session(model)
    one = [np.array(7, np.float32)]
    for x, n, y in ((None, 0, None), (None, 1, []), (None, 3, [1, 2]), (one, 0, [7]), (one, 2, [7, 0, 1])):
        assert session.run(None, {"x": x, "n": np.array(n)}) == [y]


ENDLESS = "y = Loop (, , x) <body = b (int64 k, bool go, a) => (go2, a2) { go2 = Identity(go) a2 = Neg(a) }>"
HOARDING = """y, s = Loop (n, , x) <body = b (int64 k, bool go, a) => (go2, a2, o) {
    go2 = Identity(go) a2 = Neg(a) o = Exp(a)
}>"""


def test_an_endless_loop_is_stopped(tmp_path, capsys):
    model = model_of(ENDLESS, "(float[2] x) => (float[2] y)")
    with pytest.raises(CompileError, match=r"^y: its body has run 500 times, which is the limit \(--max-iterations\)$"):
        Session(model, max_iterations=500).run(None, {"x": np.ones(2, np.float32)})
    onnx.save(model, tmp_path / "m.onnx")
    assert fuse_run.main([str(tmp_path / "m.onnx"), "--max-iterations", "50"]) == 1
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith("y: its body has run 50 times, which is the limit (--max-iterations)")
    )


def test_the_limit_is_one_call_s():
    model = model_of(
        "y = Loop (n, , x) <body = b (int64 k, bool go, a) => (go2, a2) { go2 = Identity(go) a2 = Neg(a) }>",
        "(float[2] x, int64 n) => (float[2] y)",
    )
    session, feeds = Session(model, max_iterations=50), {"x": np.ones(2, np.float32), "n": np.array(40)}
    for _ in range(3):
        assert session.run(None, feeds)[0].tolist() == [1, 1]


def test_what_a_loop_keeps_is_limited():
    model = model_of(HOARDING.replace("(n, ,", "(, ,"), "(float[2] x) => (float[2] y, float[K,2] s)")
    message = r"^y: what its body gave in 126 runs needs 1008 bytes, more than the limit of 1000 \(--max-bytes\)$"
    with pytest.raises(CompileError, match=message):
        Session(model, max_bytes=1000).run(None, {"x": np.ones(2, np.float32)})
    huge = model_of(HOARDING, "(float[2] x, int64 n) => (float[2] y, float[K,2] s)")
    with pytest.raises(
        CompileError, match=r"a value of shape 1000000x2 needs 8000000 bytes, more than the limit of 1000"
    ):
        Session(huge, max_bytes=1000).run(None, {"x": np.ones(2, np.float32), "n": np.array(10**6)})


REFUSED: dict[str, tuple[str, str, type[CompileError]]] = {
    "inputs": (
        "y = Loop (n, , x) <body = b (int64 k, bool go) => (go2, a2) { go2 = Identity(go) a2 = Neg(x) }>",
        "^y: the body has 2 inputs; for 1 states it must have 3$",
        CompileError,
    ),
    "outputs": (
        "y = Loop (n, , x) <body = b (int64 k, bool go, a) => (go2) { go2 = Identity(go) }>",
        "^y: the body gives 1 values; it must give at least 2$",
        CompileError,
    ),
    "element type": (
        "y = Loop (n, , x) <body = b (int64 k, bool go, a) => (go2, a2) { go2 = Identity(go) a2 = Cast <to = 7> (a) }>",
        "^y: state 0 before and after the body have the element types f32 and i64$",
        CompileError,
    ),
    "rank": (
        """y = Loop (n, , x) <body = b (int64 k, bool go, a) => (go2, a2) {
            go2 = Identity(go) u = Constant <value_ints = [0]> () a2 = Unsqueeze(a, u) }>""",
        "^y: state 0 before and after the body have the ranks 1 and 2",
        UnsupportedError,
    ),
    "trip count": (
        "y = Loop (x, , x) <body = b (int64 k, bool go, a) => (go2, a2) { go2 = Identity(go) a2 = Neg(a) }>",
        "^y: the trip count is a tensor<2xf32>; it must be one i64$",
        CompileError,
    ),
    "condition": (
        "y = Loop (n, , x) <body = b (int64 k, bool go, a) => (a, a2) { a2 = Neg(a) }>",
        "^y: the condition is a tensor<2xf32>; it must be one boolean$",
        CompileError,
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case):
    body, message, kind = REFUSED[case]
    with pytest.raises(CompileError, match=message) as caught:
        import_model(model_of(body, "(float[2] x, int64 n) => (float[M] y)"))
    assert type(caught.value) is kind


def test_slices_of_different_sizes_cannot_be_stacked():
    model = model_of(
        """y, s = Loop (n, , x) <body = b (int64 k, bool go, a) => (go2, a2, a2) {
            go2 = Identity(go) a2 = Concat <axis = 0> (a, x) }>""",
        "(float[2] x, int64 n) => (float[M] y, float[K,L] s)",
    )
    with pytest.raises(CompileError, match=r"^y: its body gives slices 4 and 6 of one result"):
        Session(model).run(None, {"x": np.ones(2, np.float32), "n": np.array(2)})


def nested_loops(depth: int) -> Any:
    """Loops in one another, each of whose states grows: types are inferred again at every level."""
    graph = helper.make_graph(
        [helper.make_node("Concat", ["a0", "x"], ["b0"], axis=0), helper.make_node("Identity", ["go0"], ["on0"])],
        "g",
        [helper.make_tensor_value_info(n, t, s) for n, t, s in (("k0", 7, []), ("go0", 9, []), ("a0", 1, None))],
        [onnx.ValueInfoProto(name=n) for n in ("on0", "b0")],
    )
    for level in range(1, depth):
        nodes = [
            helper.make_node("Loop", ["n", "", f"a{level}"], [f"c{level}"], body=graph),
            helper.make_node("Concat", [f"c{level}", "x"], [f"b{level}"], axis=0),
            helper.make_node("Identity", [f"go{level}"], [f"on{level}"]),
        ]
        names = ((f"k{level}", 7, []), (f"go{level}", 9, []), (f"a{level}", 1, None))
        inputs = [helper.make_tensor_value_info(n, t, s) for n, t, s in names]
        graph = helper.make_graph(nodes, "g", inputs, [onnx.ValueInfoProto(name=f"{n}{level}") for n in ("on", "b")])
    node = helper.make_node("Loop", ["n", "", "x"], ["y"], body=graph)
    inputs = [helper.make_tensor_value_info(n, t, s) for n, t, s in (("x", 1, [1]), ("n", 7, []))]
    main = helper.make_graph([node], "g", inputs, [onnx.ValueInfoProto(name="y")])
    return helper.make_model(main, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_growing_states_in_nested_loops(ort):
    feeds = {"x": np.ones(1, np.float32), "n": np.array(2)}
    model = nested_loops(4)
    assert Session(model).run(None, feeds)[0].shape == ort(model, feeds)[0].shape
