"""If: branches against ONNX Runtime and float64; captures, shapes that the condition asks for, and refusals."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser

from nnfuse import CompileError, Session, UnsupportedError
from nnfuse.dialects.nn.if_op import IfOp
from nnfuse.lowering.onnx_to_nn import import_model
from nnfuse.runtime.reference import main_function
from nnfuse.tools import fuse_run

RNG = np.random.default_rng(7)


def model_of(body: str, head: str = "(float[N,3] x, bool c) => (float[M,K] y)", opset: int = 17) -> onnx.ModelProto:
    """The model of ONNX text; `"If"`s in it have the branches `then_branch` and `else_branch`."""
    return parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> g {head} {{ {body} }}')


CASES = {
    "captures of an input and of a computed value": """
        a = Exp(x)
        y = If (c) <then_branch = t () => (p) { q = Mul(a, x) p = Relu(q) }, else_branch = e () => (r) { r = Neg(x) }>
    """,
    "sizes that differ": """
        y = If (c) <
            then_branch = t () => (p) { p = Concat <axis = 0> (x, x, x) },
            else_branch = e () => (r) { r = Concat <axis = 1> (x, x) }
        >
    """,
    "an output that is an outer value, no nodes": """
        a = Abs(x)
        y = If (c) <then_branch = t () => (x) { }, else_branch = e () => (a) { }>
    """,
    "one name in two branches": """
        y = If (c) <
            then_branch = t () => (p) { q = Exp(x) p = Neg(q) },
            else_branch = e () => (p) { q = Abs(x) p = Sqrt(q) }
        >
    """,
    "nodes in any order": """
        y = If (c) <then_branch = t () => (p) { p = Relu(q) q = Neg(x) }, else_branch = e () => (r) { r = Abs(a) }>
        a = Exp(x)
    """,
    "captures through two levels": """
        a = Exp(x)
        n = Not(c)
        y = If (c) <
            then_branch = t () => (p) {
                b = Add(x, x)
                p = If (n) <
                    then_branch = tt () => (q) { q = Sub(a, b) },
                    else_branch = te () => (s) { u = Mul(a, b) s = Mul(u, x) }
                >
            },
            else_branch = e () => (r) {
                r = If (c) <then_branch = et () => (v) { v = Neg(a) }, else_branch = ee () => (w) { w = Tanh(a) }>
            }
        >
    """,
    "constants": """
        k = Constant <value_floats = [1.5, -2.0, 0.25]> ()
        y = If (c) <
            then_branch = t () => (p) { h = Add(k, k) p = Mul(x, h) },
            else_branch = e () => (r) { j = Constant <value_float = 3.0> () r = Div(x, j) }
        >
    """,
    "a condition that the network computes": """
        m = ReduceMax <keepdims = 0> (x)
        z = Constant <value_float = 1.0> ()
        d = Greater(m, z)
        y = If (d) <then_branch = t () => (p) { p = Div(x, m) }, else_branch = e () => (r) { r = Identity(x) }>
    """,
}

REFUSED_BY_ORT = {"an output that is an outer value, no nodes", "nodes in any order"}


@pytest.mark.parametrize("case", CASES)
def test_if(case, ort, float64_oracle, close):
    model = model_of(CASES[case])
    main_function(import_model(model)).verify()
    sessions = [Session(model), Session(model, fuse=False)]
    for rows in (1, 4):
        for cond in (True, False):
            feeds = {"x": RNG.standard_normal((rows, 3)).astype(np.float32), "c": np.array(cond)}
            (truth,) = float64_oracle(model, feeds)
            peer = truth if case in REFUSED_BY_ORT else ort(model, feeds)[0]
            for session in sessions:
                (result,) = session.run(None, feeds)
                assert result.shape == peer.shape and result.dtype == np.float32
                close(result, truth, peer)
                assert not np.shares_memory(result, feeds["x"])


def test_several_results_of_other_types(ort):
    model = model_of(
        """y, z = If (c) <
            then_branch = t () => (p, q) { p = Cast <to = 7> (x) q = Shape(x) },
            else_branch = e () => (r, s) {
                r = Constant <value_ints = [1, 2, 3]> ()
                s = Constant <value_ints = [4, 5]> ()
            }
        >""",
        "(float[3] x, bool[1] c) => (int64[3] y, int64[S] z)",
    )
    session = Session(model)
    for cond in (True, False):
        feeds = {"x": np.array([1, -2, 3], np.float32), "c": np.array([cond])}
        for result, peer in zip(session.run(None, feeds), ort(model, feeds), strict=True):
            np.testing.assert_array_equal(result, peer)
            assert result.dtype == peer.dtype


def branching_network() -> onnx.ModelProto:
    """Two branches with a convolution each, whose weights have one name and are larger than what stands in IR."""
    branches = []
    for seed, (name, relu) in enumerate((("t", "Relu"), ("e", "LeakyRelu"))):
        rng = np.random.default_rng(seed)
        weights = [
            numpy_helper.from_array(rng.standard_normal(s).astype(np.float32), n)
            for n, s in (("w", (4, 3, 3, 3)), ("b", (4,)), ("s", (4,)), ("m", (4,)), ("v", (4,)))
        ]
        weights[-1] = numpy_helper.from_array(rng.uniform(0.5, 2, 4).astype(np.float32), "v")
        nodes = [
            helper.make_node("Conv", ["x", "w", "b"], ["h"], name="conv", pads=[1, 1, 1, 1]),
            helper.make_node("BatchNormalization", ["h", "s", "b", "m", "v"], ["n"], name="norm"),
            helper.make_node(relu, ["n"], ["r"], name="relu"),
            helper.make_node("Mul", ["r", "outer"], ["o"], name="scale"),
        ]
        branches.append(helper.make_graph(nodes, name, [], [onnx.ValueInfoProto(name="o")], weights))
    node = helper.make_node("If", ["c"], ["y"], name="choice", then_branch=branches[0], else_branch=branches[1])
    infos = [helper.make_tensor_value_info(n, t, s) for n, t, s in (("x", 1, ["N", 3, 8, 8]), ("c", 9, []))]
    outer = numpy_helper.from_array(np.random.default_rng(5).standard_normal((1, 4, 8, 8)).astype(np.float32), "outer")
    graph = helper.make_graph([node], "g", infos, [onnx.ValueInfoProto(name="y")], [outer])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_branches_fuse_and_have_weights_of_their_own(tmp_path, ort, float64_oracle, close):
    model = branching_network()
    onnx.save(model, tmp_path / "m.onnx")
    session = Session(tmp_path / "m.onnx")
    for cond in (True, False):
        feeds = {"x": RNG.standard_normal((2, 3, 8, 8)).astype(np.float32), "c": np.array(cond)}
        close(session.run(None, feeds)[0], float64_oracle(model, feeds)[0], ort(model, feeds)[0])
    (choice,) = [op for op in main_function(session.module).walk() if isinstance(op, IfOp)]
    assert not choice.then_captures[1:]  # x: the outer weight is read in the branch itself
    program = session.compile([(2, 3, 8, 8), ()])
    for region in next(op for op in main_function(program).walk() if isinstance(op, IfOp)).regions:
        names = [op.name for op in region.block.ops]
        assert not {"nn.conv", "nn.batch_normalization", "nn.relu"} & set(names), names
        assert {"blas.matmul", "blas.matmulrelu"} & set(names), names


def test_steps_of_branches_run_on_kernels():
    session = Session(branching_network())
    program = session.program([(1, 3, 8, 8), ()])
    (routines,) = program.bodies.values()
    assert [s.op.name for s in program.steps] == ["nn.if"]
    assert all(any(op.name.startswith("blas.") for op in r.plan.lifetimes.ops) for r in routines)


DISPATCH = """
    s = Shape(x)
    axis = Constant <value_int = 1> ()
    n = Gather(s, axis)
    one = Constant <value_int = 1> ()
    d = Equal(n, one)
    h = If (d) <
        then_branch = t () => (p) { axes = Constant <value_ints = [1]> () p = Squeeze(x, axes) },
        else_branch = e () => (q) { q = Identity(x) }
    >
    y = Relu(h)
"""


WRONG = r"the else branch is taken, which gives values of other ranks than the then branch \(ranks must be known"


@pytest.mark.parametrize("fuse", [True, False])
def test_branches_of_different_ranks_on_a_shape(fuse, ort):
    """What exporters write for a squeeze: the condition is constant once the shapes are known."""
    model = model_of(DISPATCH, "(float[N,K] x) => (float y)")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    session = Session(model, fuse=fuse)
    for shape in ((3, 1), (3, 2), (5, 1), (1, 4)):
        x = RNG.standard_normal(shape).astype(np.float32)
        (result,) = session.run(None, {"x": x})
        np.testing.assert_array_equal(result, ort(model, {"x": x})[0])
        assert not any(isinstance(op, IfOp) for op in session.compile([shape]).walk())
    ir = Session(import_model(model))  # what has no model to import again can only say so
    with pytest.raises(UnsupportedError, match=f"^h: {WRONG}"):
        ir.run(None, {"x": np.ones((3, 2), np.float32)})


def test_branches_of_different_ranks_on_a_value(ort):
    """The branch taken last is assumed, each with a program of its own; weights are kept once."""
    model = model_of(
        """y, z = If (c) <
            then_branch = t () => (p, p2) { p2 = MatMul(w, v) h = Add(w, p2) p = ReduceSum <keepdims = 0> (h) },
            else_branch = e () => (q, q2) { q2 = MatMul(w, v) q = Sub(w, q2) }
        >""",
        "(float[3,1] v, bool c) => (float y, float[20,1] z)",
    )
    model.graph.output[0].type.tensor_type.ClearField("shape")
    for seed, attribute in enumerate(model.graph.node[0].attribute):
        weight = np.random.default_rng(seed).standard_normal((20, 3)).astype(np.float32)
        attribute.g.initializer.append(numpy_helper.from_array(weight, "w"))
    session = Session(model)
    for cond in (True, False, False, True, False, True):
        feeds = {"v": RNG.standard_normal((3, 1)).astype(np.float32), "c": np.array(cond)}
        for result, peer in zip(session.run(None, feeds), ort(model, feeds), strict=True):
            assert result.shape == peer.shape
            np.testing.assert_allclose(result, peer, rtol=1e-5, atol=1e-5)
    assert len(session._programs) == 3 and len(session._parameters) == 2  # the first program assumed nothing yet


def test_errors_name_the_nodes_of_a_branch_that_is_put_in_its_place():
    model = model_of(
        """s = Shape(x) axis = Constant <value_int = 0> () n = Gather(s, axis) one = Constant <value_int = 1> ()
        d = Equal(n, one) y = If (d) <
            then_branch = t () => (p) { p = Identity(x) }, else_branch = e () => (q) { [inner] q = Gather(x, i) }
        >""",
        "(float[N,3] x, int64[1] i) => (float[M,3] y)",
    )
    session = Session(model)
    x, i = np.ones((2, 3), np.float32), np.array([5])
    assert session.run(None, {"x": x[:1], "i": i})[0].shape == (1, 3)
    with pytest.raises(CompileError, match=r"^inner: .*out of range"):
        session.run(None, {"x": x, "i": i})


def test_threads_that_take_different_branches():
    """Each call finds its own program, whatever others assume meanwhile."""
    model = model_of(
        "y = If (c) <then_branch = t () => (p) { p = Neg(x) }, else_branch = e () => (q) { q = ReduceMax(x) }>",
        "(float[3] x, bool c) => (float y)",
        opset=11,
    )
    model.graph.node[0].attribute[1].g.node[0].attribute.append(helper.make_attribute("keepdims", 0))
    session = Session(model)

    def run(number: int) -> list[float]:
        x = np.array([number, 0, 1], np.float32)
        (result,) = session.run(None, {"x": x, "c": np.array(number % 3 > 0)})
        return result.tolist()

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, range(60)))
    assert results == [[-n, 0, -1] if n % 3 else max(n, 1) for n in range(60)]


def test_ranks_that_differ_from_run_to_run_of_a_loop():
    """No assumption holds for all of a call: it ends with the error."""
    model = model_of(
        """y = Loop (n, , z) <body = b (int64 k, bool go, a) => (go2, a2) {
            go2 = Identity(go) two = Constant <value_int = 2> () odd = Mod(k, two) c = Cast <to = 9> (odd)
            h = If (c) <
                then_branch = t () => (p) { p = Neg(x) },
                else_branch = e () => (q) { q = ReduceSum <keepdims = 0> (x) }
            >
            s = ReduceSum <keepdims = 0> (h) a2 = Add(a, s)
        }>""",
        "(float[2] x, int64 n, float z) => (float y)",
    )
    session = Session(model)
    feeds = {"x": np.array([1, 2], np.float32), "z": np.array(0, np.float32)}
    assert session.run(None, feeds | {"n": np.array(1)})[0] == 3
    with pytest.raises(UnsupportedError, match=r"^h: the (then|else) branch is taken, which gives values of other"):
        session.run(None, feeds | {"n": np.array(2)})


def test_the_rest_of_a_model_that_is_imported_again(ort):
    """A branch that cannot run on the shapes that make another If differ in rank is not taken."""
    model = model_of(
        DISPATCH.replace("y = Relu(h)", "")
        + """r = Relu(h) y = If (c) <
            then_branch = t2 () => (p2) { w = Constant <value_floats = [1.0, 2.0, 3.0, 4.0]> () p2 = Add(r, w) },
            else_branch = e2 () => (q2) { q2 = Neg(r) }
        >""",
        "(float[N,K] x, bool c) => (float y)",
    )
    model.graph.output[0].type.tensor_type.ClearField("shape")
    session = Session(model)
    for shape, cond in (((4, 1), True), ((3, 2), False), ((2, 4), True), ((2, 4), False)):
        feeds = {"x": RNG.standard_normal(shape).astype(np.float32), "c": np.array(cond)}
        np.testing.assert_array_equal(session.run(None, feeds)[0], ort(model, feeds)[0])
    with pytest.raises(CompileError, match=r"^y: the then branch is taken, which cannot run: p2: shapes 3x2 and 4 do"):
        session.run(None, {"x": np.ones((3, 2), np.float32), "c": np.array(True)})


def test_fuse_run_compares_what_ran(tmp_path, capsys):
    model = model_of(DISPATCH, "(float[N,K] x) => (float y)")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(model, tmp_path / "m.onnx")
    assert fuse_run.main([str(tmp_path / "m.onnx"), "--shape", "x=3x2", "--compare"]) == 0, capsys.readouterr()


def test_a_branch_that_cannot_run_on_these_shapes_must_not_be_taken():
    model = model_of(
        """y = If (c) <
            then_branch = t () => (p) { w = Constant <value_floats = [1.0, 2.0]> () p = Add(x, w) },
            else_branch = e () => (q) { q = Neg(x) }
        >""",
        "(float[N] x, bool c) => (float[M] y)",
    )
    session = Session(model)
    two, three = np.array([1, 2], np.float32), np.array([1, 2, 3], np.float32)
    assert session.run(None, {"x": two, "c": np.array(True)})[0].tolist() == [2, 4]
    assert session.run(None, {"x": three, "c": np.array(False)})[0].tolist() == [-1, -2, -3]
    with pytest.raises(CompileError, match=r"^y: the then branch is taken, which cannot run: p: shapes 3 and"):
        session.run(None, {"x": three, "c": np.array(True)})


def test_only_the_branch_of_a_constant_condition_is_imported():
    body = """k = Constant <value_int = 1> () d = Cast <to = 9> (k)
        y = If (d) <
            then_branch = t () => (p) { p = Neg(x) },
            else_branch = e () => (q) { z = Shape(x) q = MatMul(z, x) }
        >"""
    (result,) = Session(model_of(body)).run(None, {"x": np.ones((1, 3), np.float32), "c": np.array(True)})
    assert result.tolist() == [[-1, -1, -1]]


REFUSED = {
    "element types": (
        "y = If (c) <then_branch = t () => (p) { p = Neg(x) }, else_branch = e () => (q) { q = Cast <to = 6> (x) }>",
        "^y: the values 0 of the branches have the element types f32 and i32$",
    ),
    "undefined capture": (
        "y = If (c) <then_branch = t () => (p) { p = Neg(z) }, else_branch = e () => (q) { q = Abs(x) }>",
        "^p: the value 'z' is read, but nothing defines it$",
    ),
    "a name of the other branch": (
        "y = If (c) <then_branch = t () => (p) { h = Abs(x) p = Neg(h) }, else_branch = e () => (q) { q = Abs(h) }>",
        "^q: the value 'h' is read, but nothing defines it$",
    ),
    "undefined output": (
        "y = If (c) <then_branch = t () => (p) { q = Neg(x) }, else_branch = e () => (q) { q = Abs(x) }>",
        "^y: the value 'p' is read, but nothing defines it$",
    ),
    "inputs": (
        "y = If (c) <then_branch = t (i) => (p) { p = Neg(i) }, else_branch = e () => (q) { q = Abs(x) }>",
        "^y: the then branch has 1 inputs; it must have none$",
    ),
    "outputs": (
        "y = If (c) <then_branch = t () => (p, x) { p = Neg(x) }, else_branch = e () => (q) { q = Abs(x) }>",
        "^y: the branches have 2 and 1 outputs; the node has 1$",
    ),
    "condition": (
        "y = If (x) <then_branch = t () => (p) { p = Neg(x) }, else_branch = e () => (q) { q = Abs(x) }>",
        "^y: the condition is a tensor<\\?x3xf32>; it must be one boolean$",
    ),
    "cycle": (
        "a = Neg(y) y = If (c) <then_branch = t () => (p) { p = Neg(a) }, else_branch = e () => (q) { q = Abs(x) }>",
        "the node is part of a cycle",
    ),
    "twice": (
        "y = If (c) <then_branch = t () => (p) { p = Neg(x) p = Abs(x) }, else_branch = e () => (q) { q = Abs(x) }>",
        "^p: the value 'p' is defined twice$",
    ),
    "an error in a branch": (
        "y = If (c) <then_branch = t () => (p) { [inner] p = MatMul(x, x) }, else_branch = e () => (q) { q = Abs(x) }>",
        "^inner: ",
    ),
    "unknown operator": (
        "y = If (c) <then_branch = t () => (p) { [inner] p = Foo(x) }, else_branch = e () => (q) { q = Abs(x) }>",
        r"Foo \(1, first inner\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case):
    body, message = REFUSED[case]
    head = "(float[N,3] x, bool c) => (float y)"
    if case == "an error in a branch":
        head = "(float[2,3] x, bool c) => (float y)"
    with pytest.raises(CompileError, match=message):
        import_model(model_of(body, head))


def nest(depth: int) -> onnx.ModelProto:
    """Ifs in one another."""
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["v0"])], "g", [], [onnx.ValueInfoProto(name="v0")])
    for level in range(1, depth + 1):
        other = helper.make_graph([], "o", [], [onnx.ValueInfoProto(name="x")])
        node = helper.make_node("If", ["c"], [f"v{level}"], then_branch=graph, else_branch=other)
        graph = helper.make_graph([node], "g", [], [onnx.ValueInfoProto(name=f"v{level}")])
    graph.input.extend(helper.make_tensor_value_info(n, t, s) for n, t, s in (("x", 1, [2]), ("c", 9, [])))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def calls(count: int) -> str:
    """A model in which each of `count` functions calls the next one in a branch: protobuf itself ends nests."""
    header = (
        '<ir_version: 8, opset_import: ["": 17, "own": 1]> g (float[2] x, bool c) => (float[2] y) { y = own.F0 (x, c) }'
    )
    functions = [
        f'<domain: "own", opset_import: ["": 17, "own": 1]> F{i} (x, c) => (y) {{ y = If (c) <then_branch = t () => '
        f"(p) {{ p = own.F{i + 1} (x, c) }}, else_branch = e () => (q) {{ q = Identity(x) }}> }}"
        for i in range(count)
    ]
    return "\n".join(
        (header, *functions, f'<domain: "own", opset_import: ["": 17]> F{count} (x, c) => (y) {{ y = Neg(x) }}')
    )


@pytest.mark.parametrize("model", [nest(32), parser.parse_model(calls(32))], ids=["nest", "calls"])
def test_deep_nests(model):
    (result,) = Session(model).run(None, {"x": np.ones(2, np.float32), "c": np.array(True)})
    assert result.tolist() == [-1, -1]


def test_nests_that_are_too_deep():
    with pytest.raises(CompileError, match="graphs lie in one another more than 32 deep"):
        Session(parser.parse_model(calls(33)))
