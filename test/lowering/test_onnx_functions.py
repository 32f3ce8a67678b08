"""Functions in ONNX: the model's own, and the bodies by which onnx defines operators."""

import itertools

import numpy as np
import onnx
import pytest
from onnx import helper, parser

from nnfuse import Session
from nnfuse.errors import CompileError, UnsupportedError
from nnfuse.lowering import onnx_functions
from nnfuse.lowering.onnx_check import check_support
from nnfuse.lowering.onnx_functions import FunctionExpander, ScopedNode
from nnfuse.lowering.onnx_graphs import opsets_of, sorted_nodes
from nnfuse.lowering.onnx_to_nn import import_model, import_with_weights, is_claimed, op_classes

RANDOM = np.random.default_rng(0)


def expanded_nodes(model):
    """The nodes of a model's graph in order, calls of functions expanded that need no types for it."""
    opsets = opsets_of(model)
    return FunctionExpander(model, is_claimed).expand(ScopedNode(n, opsets) for n in sorted_nodes(model.graph))


HEADER = '<ir_version: 10, opset_import: ["": 21, "own": 1]>'
SCALE = """
<domain: "own", opset_import: ["": 21]>
Scale <factor: float = 2.0> (x, bias) => (y, x2) {
  f = Constant <value_float: float = @factor> ()
  scaled = Mul(x, f)
  y = Add(scaled, bias)
  x2 = Mul(x, x)
}
"""


def model_of(text: str) -> onnx.ModelProto:
    return parser.parse_model(text)


def run(model, **feeds):
    return Session(model).run(None, feeds)


def names(model) -> list[str]:
    return [n.proto.name for n in expanded_nodes(model)]


def test_calls_become_the_nodes_of_the_body(ort):
    model = model_of(f"""{HEADER}
    g (float[N] a, float[N] b) => (float[N] c, float[N] d, float[N] e) {{
      [first] c, unused = own.Scale <factor = 3.0> (a, b)
      [second] d, unused2 = own.Scale (b, c)
      [third] h, e = own.Scale (d, d)
    }}
    {SCALE}""")
    a, b = RANDOM.standard_normal((2, 5), np.float32)
    for result, expected in zip(run(model, a=a, b=b), ort(model, {"a": a, "b": b}), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-6)
    assert names(model)[:4] == ["first/f", "first/scaled", "first/y", "first/x2"]
    made = [o for n in expanded_nodes(model) for o in n.proto.output]
    assert len(set(made)) == len(made) and {"c", "d", "e"} <= set(made)


def test_names_that_are_taken_get_a_number():
    model = model_of(f"""{HEADER}
    g (float[N] a) => (float[N] c, float[N] "call/f") {{
      [call] b = own.Scale (a, a)
      [call] c = own.Scale (b, b)
      "call/f" = Neg(a)
    }}
    {SCALE}""")
    made = [o for n in expanded_nodes(model) for o in n.proto.output]
    assert len(set(made)) == len(made) and {"call/f_1", "call/f_2"} <= set(made)
    assert len(set(names(model))) == len(made)
    a = np.ones(2, np.float32)
    np.testing.assert_array_equal(run(model, a=a)[0], [9, 9])


def test_nested_calls_and_references_through_them(ort):
    """An attribute goes through two functions; one without a value is absent, so that the operator's default holds."""
    model = model_of(f"""{HEADER}
    g (float[2, 3] x) => (float[M, N] y, float[P, Q] z) {{
      [outer] y = own.Outer <axes = [1, 0]> (x)
      [plain] z = own.Outer (x)
    }}
    <domain: "own", opset_import: ["": 21, "own": 1]>
    Outer <axes> (x) => (y) {{ y = own.Inner <perm: ints = @axes> (x) }}
    <domain: "own", opset_import: ["": 21]>
    Inner <perm> (x) => (y) {{
      t = Transpose <perm: ints = @perm> (x)
      y = Neg(t)
    }}""")
    x = RANDOM.standard_normal((2, 3), np.float32)
    results = run(model, x=x)
    np.testing.assert_array_equal(results[0], -x.T)
    np.testing.assert_array_equal(results[1], -x.T)
    assert names(model)[:2] == ["outer/y/t", "outer/y/y"]
    for result, expected in zip(results, ort(model, {"x": x}), strict=True):
        np.testing.assert_array_equal(result, expected)


def test_inputs_left_out_and_outputs_that_are_inputs():
    model = model_of("""<ir_version: 10, opset_import: ["": 21, "own": 1]>
    g (float[4] x) => (float[N] y, float[N] same, float[N] twice) {
      y, same, twice = own.Limit (x)
    }
    <domain: "own", opset_import: ["": 21]>
    Limit (x, low, high) => (y, x, y) { y = Clip(x, low, high) }
    """)
    x = RANDOM.standard_normal(4, np.float32)
    for result in run(model, x=x):
        np.testing.assert_array_equal(result, x)


def test_a_function_goes_before_the_operator_of_its_name_and_has_opsets_of_its_own():
    """Softmax of opset 11 is over all axes from `axis` on; in the model's opset 21 over one."""
    model = model_of("""<ir_version: 10, opset_import: ["": 21, "own": 1]>
    g (float[2, 3, 4] x) => (float[A, B, C] y, float[D, E, F] z) {
      y = own.Softmax (x)
      z = Softmax <axis = 1> (x)
    }
    <domain: "own", opset_import: ["": 11]>
    Softmax (x) => (y) { y = Softmax <axis = 1> (x) }
    """)
    y, z = run(model, x=RANDOM.standard_normal((2, 3, 4), np.float32))
    np.testing.assert_allclose(y.sum((1, 2)), [1, 1], rtol=1e-5)
    np.testing.assert_allclose(z.sum(1), np.ones((2, 4)), rtol=1e-5)


def test_overloads():
    model = model_of("""<ir_version: 10, opset_import: ["": 21, "own": 1]>
    g (float[N] x) => (float[N] y) { y = own.F (x) }
    <domain: "own", overload: "negative", opset_import: ["": 21]>
    F (x) => (y) { y = Neg(x) }
    <domain: "own", overload: "square", opset_import: ["": 21]>
    F (x) => (y) { y = Mul(x, x) }
    """)
    x = np.array([2, 3], np.float32)
    for overload, expected in (("negative", -x), ("square", x * x)):
        model.graph.node[0].overload = overload
        np.testing.assert_array_equal(run(model, x=x)[0], expected)
    model.graph.node[0].overload = ""
    with pytest.raises(UnsupportedError, match=r"1 operator\(s\) are not supported: own.F \(1, first y\)"):
        import_model(model)


def test_large_constants_of_functions_are_parameters(tmp_path):
    """Each call has its own; they are found again when the file is loaded."""
    weight = RANDOM.standard_normal((6, 6)).astype(np.float32)
    constant = helper.make_node("Constant", [], ["w"], value=onnx.numpy_helper.from_array(weight))
    body = [constant, helper.make_node("MatMul", ["x", "w"], ["y"])]
    function = helper.make_function("own", "Dense", ["x"], ["y"], body, [helper.make_opsetid("", 21)])
    calls = [helper.make_node("Dense", [i], [o], domain="own", name=o) for i, o in (("x", "h"), ("h", "y"))]
    infos = [helper.make_tensor_value_info(n, 1, [3, 6]) for n in ("x", "y")]
    model = helper.make_model(
        helper.make_graph(calls, "g", infos[:1], infos[1:]),
        functions=[function],
        opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("own", 1)],
    )
    onnx.save(model, tmp_path / "m.onnx")
    x = RANDOM.standard_normal((3, 6)).astype(np.float32)
    np.testing.assert_allclose(Session(tmp_path / "m.onnx").run(None, {"x": x})[0], x @ weight @ weight, rtol=1e-4)
    assert import_with_weights(model)[1].tensors.keys() == {"h/w", "y/w"}


BRANCHES = """
<domain: "own", opset_import: ["": 21, "own": 1]>
Choose <factor: float = 2.0> (a, c) => (y) {
  x = Neg (a)
  y = If (c) <
    then_branch = t () => (p) { f = Constant <value_float: float = @factor> () q = own.Twice (x) p = Mul (q, f) },
    else_branch = e () => (p) { q = Abs (x) p = own.Twice (q) }
  >
}
<domain: "own", opset_import: ["": 21]>
Twice (x) => (y) { y = Add (x, x) }
"""


def test_branches_in_functions(ort):
    """Names in a branch stand for the function's values, not for those that the caller has of the same name."""
    model = model_of(f"""{HEADER} g (float[N] x, bool c) => (float[N] y) {{
        p = Exp (x)
        q = own.Choose <factor = 3.0> (p, c)
        f = own.Choose (q, c)
        y = If (c) <
            then_branch = t () => (r) {{ r = own.Choose <factor = 0.5> (f, c) }},
            else_branch = e () => (s) {{ s = own.Twice (f) }}
        >
    }} {BRANCHES}""")
    session = Session(model)
    for cond in (True, False):
        feeds = {"x": np.array([0.5, -1, 2], np.float32), "c": np.array(cond)}
        np.testing.assert_allclose(session.run(None, feeds)[0], ort(model, feeds)[0], rtol=1e-6)


def test_weights_in_branches_of_functions(tmp_path):
    """Each call's and each branch's tensors have names of their own, which a file of IR finds again."""
    tensors = [onnx.numpy_helper.from_array(RANDOM.standard_normal((6, 6)).astype(np.float32), "w") for _ in range(2)]
    graphs = [
        helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["o"])], "b", [], [onnx.ValueInfoProto(name="o")], [t]
        )
        for t in tensors
    ]
    body = [helper.make_node("If", ["c"], ["y"], then_branch=graphs[0], else_branch=graphs[1])]
    function = helper.make_function("own", "Dense", ["x", "c"], ["y"], body, [helper.make_opsetid("", 21)])
    calls = [helper.make_node("Dense", [i, "c"], [o], domain="own", name=o) for i, o in (("x", "h"), ("h", "y"))]
    infos = [helper.make_tensor_value_info(n, t, s) for n, t, s in (("x", 1, [3, 6]), ("c", 9, []))]
    model = helper.make_model(
        helper.make_graph(calls, "g", infos, [onnx.ValueInfoProto(name="y")]),
        functions=[function],
        opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("own", 1)],
    )
    onnx.save(model, tmp_path / "m.onnx")
    (tmp_path / "m.mlir").write_text(str(import_model(model, "m.onnx", (tmp_path / "m.onnx").stat().st_size)))
    x = RANDOM.standard_normal((3, 6)).astype(np.float32)
    for cond, tensor in zip((True, False), tensors, strict=True):
        w = onnx.numpy_helper.to_array(tensor)
        for file in ("m.onnx", "m.mlir"):
            (y,) = Session(tmp_path / file).run(None, {"x": x, "c": np.array(cond)})
            np.testing.assert_allclose(y, x @ w @ w, rtol=1e-4, atol=1e-5)


REFUSALS = {
    "recursion": (
        "y = own.F (x)",
        "F (x) => (y) { y = own.G (x) }",
        "G (x) => (y) { y = own.F (x) }",
        "the function 'own.[FG]' calls itself",
    ),
    "inputs": ("y = own.F (x, x)", "F (x) => (y) { y = Neg(x) }", None, "y: F has 2 inputs; its function has 1"),
    "outputs": ("y, z = own.F (x)", "F (x) => (y) { y = Neg(x) }", None, "y: F has 2 outputs; its function has 1"),
    "attribute": (
        "y = own.F <a = 1> (x)",
        "F (x) => (y) { y = Neg(x) }",
        None,
        "y: the function F has no attribute 'a'",
    ),
    "undefined value": (
        "y = own.F (x)",
        "F (x) => (y) { y = Neg(z) }",
        None,
        "y: in the function 'own.F': y: the value 'z' is read, but nothing defines it",
    ),
    "undefined output": (
        "y = own.F (x)",
        "F (x) => (y) { z = Neg(x) }",
        None,
        "y: in the function 'own.F': the output 'y' is defined by no node",
    ),
    "unknown operator": ("[n] y = own.F (x)", "F (x) => (y) { y = Foo(x) }", None, r"Foo \(1, first n/y\)"),
    "undefined value in a branch": (
        "[n] y = own.F (x)",
        "F (x) => (y) { c = Constant <value_int = 1> () b = Cast <to = 9> (c) "
        "y = If (b) <then_branch = t () => (p) { p = Neg(z) }, else_branch = e () => (q) { q = Abs(x) }> }",
        None,
        "n: in the function 'own.F': p: the value 'z' is read, but nothing defines it",
    ),
    "recursion through a branch": (
        "[n] y = own.F (x)",
        "F (x) => (y) { c = Constant <value_int = 1> () b = Cast <to = 9> (c) "
        "y = If (b) <then_branch = t () => (p) { p = own.F (x) }, else_branch = e () => (q) { q = Abs(x) }> }",
        None,
        "the function 'own.F' calls itself",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case):
    call, *functions, message = REFUSALS[case]
    prefix = '<domain: "own", opset_import: ["": 21, "own": 1]>\n'
    bodies = "\n".join(prefix + f for f in functions if f is not None)
    with pytest.raises(CompileError, match=message):
        import_model(model_of(f"{HEADER} g (float[N] x) => (float[N] y) {{ {call} }} {bodies}"))


def test_a_function_of_an_unknown_opset_is_refused():
    text = f'{HEADER} g (float[N] x) => (float[N] y) {{ y = own.F (x) }} <domain: "own", opset_import: ["": %d]>'
    body = "F (x) => (y) { y = Neg(x) }"
    import_model(model_of(text % onnx.defs.onnx_opset_version() + body))
    with pytest.raises(UnsupportedError, match="opset 99 is unknown"):
        import_model(model_of(text % 99 + body))


def test_a_function_defined_twice_is_refused():
    function = '<domain: "own", opset_import: ["": 21]> F (x) => (y) { y = Neg(x) }'
    model = model_of(f"{HEADER} g (float[N] x) => (float[N] y) {{ y = own.F (x) }} {function}")
    model.functions.append(model.functions[0])
    with pytest.raises(CompileError, match=r"defines the function 'own\.F' twice"):
        import_model(model)


def chain_of_functions(count: int, calls: int) -> onnx.ModelProto:
    """A model in which each of `count` functions calls the next one `calls` times, the last one none at all."""
    functions = []
    for index in range(count):
        values = ["x", *(f"v{i}" for i in range(calls - 1)), "y"]
        callee, domain = (f"F{index + 1}", "own") if index + 1 < count else ("Neg", "")
        body = [helper.make_node(callee, [a], [b], domain=domain) for a, b in itertools.pairwise(values)]
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
        functions.append(helper.make_function("own", f"F{index}", ["x"], ["y"], body, opsets))
    infos = [helper.make_tensor_value_info(n, 1, [2]) for n in ("x", "y")]
    graph = helper.make_graph(
        [helper.make_node("F0", ["x"], ["y"], domain="own", name="bomb")], "g", *([i] for i in infos)
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, functions=functions, opset_imports=opsets)


def test_deep_nesting_meets_no_recursion_limit():
    assert len(expanded_nodes(chain_of_functions(2_000, 1))) == 1


def test_bombs_are_refused():
    """30 functions that call each other twice are a billion nodes; large constants count by their bytes."""
    with pytest.raises(
        UnsupportedError, match=r"^bomb.*: the functions of the model expand to more than 100000 nodes$"
    ):
        expanded_nodes(chain_of_functions(30, 2))
    model = chain_of_functions(10, 2)
    last = model.functions[-1]
    tensor = onnx.numpy_helper.from_array(np.zeros(1 << 20, np.uint8))
    last.node.insert(0, helper.make_node("Constant", [], ["unused"], value=tensor))
    with pytest.raises(UnsupportedError, match=f"more than {onnx_functions.MAX_BYTES} bytes"):
        expanded_nodes(model)


# The bodies of onnx's own operators


def has_body(schema: onnx.defs.OpSchema) -> bool:
    return schema.has_function or schema.has_context_dependent_function


def test_operators_without_a_class_become_their_bodies(monkeypatch, check_node):
    """Here of operators that have classes, as if they had none: the two must agree."""
    classes = dict(op_classes())
    x = RANDOM.standard_normal((2, 3, 4)).astype(np.float32)
    cases = {
        "ReduceL1": ([x, np.array([1])], {}),
        "ThresholdedRelu": ([x], {"alpha": 0.5}),
        "Selu": ([x], {}),
        "Softplus": ([x], {}),
        "LogSoftmax": ([x], {"axis": 1}),
        "LayerNormalization": ([x, x[0, 0], x[1, 0]], {"epsilon": 1e-3}),
    }
    for operator, (inputs, attributes) in cases.items():
        fewer = {k: v for k, v in classes.items() if k[1] != operator}
        monkeypatch.setattr("nnfuse.lowering.onnx_to_nn.op_classes", lambda fewer=fewer: fewer)
        check_node(operator, inputs, attributes)


def test_defaults_of_the_schema_reach_the_body(monkeypatch):
    """HannWindow casts to `output_datatype`, 1 (f32) where it is absent."""
    fewer = {k: v for k, v in op_classes().items() if k[1] != "HannWindow"}
    monkeypatch.setattr("nnfuse.lowering.onnx_to_nn.op_classes", lambda: fewer)
    model = model_of(
        '<ir_version: 10, opset_import: ["": 21]> g (int64 n) => (float[N] w)'
        "{ [hann] w = HannWindow <periodic = 0> (n) }"
    )
    np.testing.assert_allclose(run(model, n=np.int64(9))[0], np.hanning(9), atol=1e-6)
    assert all(name.startswith("hann/") for name in names(model))


def test_bodies_that_need_what_is_not_supported_are_refused_by_the_callers_operator(monkeypatch):
    fewer = {k: v for k, v in op_classes().items() if k[1] not in ("ReduceL2", "Sqrt", "LogSoftmax", "Log")}
    monkeypatch.setattr("nnfuse.lowering.onnx_to_nn.op_classes", lambda: fewer)
    text = '<ir_version: 10, opset_import: ["": 21]> g (float[2, 3] x) => (float[M, N] y) { [n] y = %s (x) }'
    model = model_of(text % "ReduceL2")
    with pytest.raises(UnsupportedError) as raised:
        import_model(model)
    assert str(raised.value) == (
        "1 operator(s) are not supported: ReduceL2 [its function body needs Sqrt] (1, first n)"
    )
    assert check_support(model).unsupported == [
        "the operator ReduceL2 [its function body needs Sqrt] is not supported: n"
    ]
    model = model_of(text % "LogSoftmax")
    with pytest.raises(UnsupportedError) as raised:
        import_model(model)
    assert str(raised.value) == "n: LogSoftmax is not supported: its function body needs Log"
    assert check_support(model).unsupported == ["LogSoftmax is not supported: its function body needs Log: n"]


def test_every_body_of_onnx_can_be_put_in_place():
    """In all versions: the body's own nodes are well formed, and its names do not meet the caller's."""
    seen = 0
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain or schema.deprecated or not schema.has_function:
            continue
        inputs = [i.name for i in schema.inputs]
        call = onnx.NodeProto(op_type=schema.name, input=inputs, output=[o.name for o in schema.outputs], name="n")
        model = helper.make_model(helper.make_graph([call], "g", [], []))
        expander = FunctionExpander(model, lambda domain, name, own=schema.name: name != own)
        made = expander.expand([ScopedNode(call, {"": schema.since_version})])
        assert made[0].proto.name.startswith("n/") or expander.reason(ScopedNode(call, {"": schema.since_version}))
        outputs = [o for n in made for o in n.proto.output if o]
        assert len(set(outputs)) == len(outputs)
        assert set(call.output) <= set(outputs)
        seen += 1
    assert seen > 30


def test_a_body_that_onnx_cannot_make():
    """onnx itself builds SequenceMap's body, from the graph that the node brings: that one has no outputs."""
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["": 21]> g (seq(float[2]) s) => (seq(float[2]) y) {
            [map] y = SequenceMap (s) <body = b (float[2] a) => (float[2] c) { c = Neg (a) }>
        }"""
    )
    assert [a.tolist() for a in Session(model).run(None, {"s": [np.ones(2, np.float32)]})[0]] == [[-1, -1]]
    del model.graph.node[0].attribute[0].g.output[:]
    with pytest.raises(CompileError, match=r"^map: SequenceMap does not fit its function body: Expected 1 or more"):
        Session(model)
