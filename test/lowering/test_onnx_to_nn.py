"""The importer: what an ONNX model says, in whatever opset and order it says it, arrives in `nn`."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper, parser
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser
from xdsl.printer import Printer

from nnfuse import Session
from nnfuse.dialects.nn.types import dims_of
from nnfuse.errors import UnsupportedError
from nnfuse.lowering.onnx_to_nn import import_model, op_classes
from nnfuse.rewriting import location_names
from nnfuse.runtime.pipelines import new_context
from nnfuse.runtime.reference import main_function

NEWEST = onnx.defs.onnx_opset_version()

OPERATORS = """
Conv ConvTranspose Gemm MatMul Add Sub Mul Div Pow Sum Max Min Mean Neg Abs Exp Log Sqrt Reciprocal Erf Floor Ceil
Relu LeakyRelu PRelu Elu Selu Clip Sigmoid HardSigmoid HardSwish Tanh Softplus Gelu Softmax LogSoftmax
BatchNormalization LRN InstanceNormalization LayerNormalization MaxPool AveragePool GlobalAveragePool GlobalMaxPool
Pad Concat Split Slice Reshape Flatten Squeeze Unsqueeze Transpose Expand Tile Gather Resize Upsample
ReduceMean ReduceSum ReduceMax ReduceMin Identity Dropout Cast Constant ConstantOfShape Shape Where Equal
"""


def network(body: str, inputs: str = "float[2,3] x", weights: str = "", opset: int = 21) -> ModelProto:
    """A model whose one output is y, of a rank that is not declared, from ONNX's text."""
    held = f"<{weights}>" if weights else ""
    model = parser.parse_model(
        f'<ir_version: 10, opset_import: ["": {opset}]> g ({inputs}) => (float y) {held} {{{body}}}'
    )
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return model


def printed(module: ModuleOp, generic: bool = False) -> str:
    """The text of a module, with its locations."""
    stream = io.StringIO()
    Printer(stream, print_generic_format=generic, print_debuginfo=True).print_op(module)
    return stream.getvalue()


def op_names(module: ModuleOp) -> list[str]:
    """The names of the operations of @main, in order, without the return."""
    return [op.name for op in main_function(module).body.block.ops][:-1]


@pytest.mark.parametrize("operator", OPERATORS.split())
def test_each_operator_has_a_class(operator: str) -> None:
    op = op_classes()["", operator]
    assert op.ONNX is not None and operator in (op.ONNX.name, *op.ONNX.older)


# Opsets

X = "float[2,3,4,4] x"
MATRIX, ROW, ROWS = (
    "float[2,3] b = {1,2,3,4,5,6}",
    "float[3] b = {0,0.5,-0.5}",
    "float[2,3] b = {0,0.5,-0.5,0,0.5,-0.5}",
)
STATISTICS = "float[3] s = {1,2,3}, float[3] b = {0,1,-1}, float[3] m = {0.5,0,-0.5}, float[3] d = {1,2,0.5}"
CONSTANTS = ("c = Constant<value = float {2.0}>()", "c = Constant<value_float = 2.0>()")
FORMS: dict[str, tuple[str, Callable[[int], tuple[str, str]]]] = {
    "Squeeze": (
        "float[2,1,3] x",
        lambda v: ("Squeeze<axes = [1]>(x)", "") if v < 13 else ("Squeeze(x, a)", "int64[1] a = {1}"),
    ),
    "Unsqueeze": (X, lambda v: ("Unsqueeze<axes = [0]>(x)", "") if v < 13 else ("Unsqueeze(x, a)", "int64[1] a = {0}")),
    "ReduceSum": (
        X,
        lambda v: (
            ("ReduceSum<axes = [1], keepdims = 0>(x)", "")
            if v < 13
            else ("ReduceSum<keepdims = 0>(x, a)", "int64[1] a = {1}")
        ),
    ),
    **{
        op: (
            X,
            lambda v, op=op: (f"{op}<axes = [-1, 2]>(x)", "") if v < 18 else (f"{op}(x, a)", "int64[2] a = {-1, 2}"),
        )
        for op in ("ReduceMean", "ReduceMax", "ReduceMin")
    },
    "Clip": (
        X,
        lambda v: (
            ("Clip<min = -0.5, max = 0.75>(x)", "")
            if v < 11
            else ("Clip(x, a, b)", "float a = {-0.5}, float b = {0.75}")
        ),
    ),
    "Clip above": (X, lambda v: ("Clip<max = 0.75>(x)", "") if v < 11 else ("Clip(x, , b)", "float b = {0.75}")),
    "Pad": (
        X,
        lambda v: (
            ("Pad<pads = [0,0,1,0,0,0,2,1], value = 0.5>(x)", "")
            if v < 11
            else ("Pad(x, p, c)", "int64[8] p = {0,0,1,0,0,0,2,1}, float c = {0.5}")
        ),
    ),
    "Slice": (
        X,
        lambda v: (
            ("Slice<axes = [3, 1], starts = [1, -2], ends = [9, 3]>(x)", "")
            if v < 10
            else ("Slice(x, s, e, a)", "int64[2] s = {1, -2}, int64[2] e = {9, 3}, int64[2] a = {3, 1}")
        ),
    ),
    "Split": (
        X,
        lambda v: (
            ("y, z = Split<axis = 1, split = [2, 1]>(x)", "")
            if v < 13
            else ("y, z = Split<axis = 1>(x, s)", "int64[2] s = {2, 1}")
        ),
    ),
    "equal Split": (X, lambda v: (f"y, z = Split<axis = 2{', num_outputs = 2' if v >= 18 else ''}>(x)", "")),
    "Dropout": (X, lambda v: ("Dropout<ratio = 0.5>(x)", "") if v < 12 else ("Dropout(x, r)", "float r = {0.5}")),
    "Upsample": (X, lambda v: upsampled(v)),
    "BatchNormalization": (X, lambda v: ("BatchNormalization(x, s, b, m, d)", STATISTICS)),
    "Softmax": (X, lambda v: ("Softmax<axis = 3>(x)", "")),
    "flattening Softmax": (X, lambda v: ("Softmax<axis = 1>(x)", "")),
    "LogSoftmax": (X, lambda v: ("LogSoftmax<axis = 3>(x)", "")),
    "Gemm": ("float[4,3] x", lambda v: ("Gemm<transB = 1>(x, b, c)", f"{MATRIX}, float[2] c = {{1,-1}}")),
    "Gemm without C": (
        "float[4,3] x",
        lambda v: (
            "Gemm<transB = 1>(x, b)" if v >= 11 else "Gemm<transB = 1, beta = 0.0>(x, b, c)",
            MATRIX + ("" if v >= 11 else ", float c = {1}"),
        ),
    ),
    "PRelu": (X, lambda v: ("PRelu(x, s)", "float[3,1,1] s = {0.1,0.2,0.3}")),
    "MaxPool": (X, lambda v: ("MaxPool<kernel_shape = [2,2], strides = [2,2], pads = [1,0,0,1]>(x)", "")),
    "ceiling MaxPool": (
        X,
        lambda v: (
            "MaxPool<kernel_shape = [3,3], strides = [2,2]"
            + (", ceil_mode = 1" if v >= 10 else ", pads = [0,0,1,1]")
            + ">(x)",
            "",
        ),
    ),
    "AveragePool": (X, lambda v: ("AveragePool<kernel_shape = [3,3], pads = [1,1,1,1], count_include_pad = 1>(x)", "")),
    "Flatten": (X, lambda v: ("Flatten<axis = 2>(x)", "")),
    "Cast": (X, lambda v: ("i = Cast<to = 7>(x) y = Cast<to = 1>(i)", "")),
    "Equal": (
        "float[2,3] x",
        lambda v: (
            "d = Add(x, x) i = Cast<to = 7>(d) b = Equal(i, z) y = Cast<to = 1>(b)",
            "int64[1] z = {0}",
        ),
    ),
    "Constant": ("float[2,3] x", lambda v: (f"{CONSTANTS[v >= 12]} y = Add(x, c)", "")),
    "Max": ("float[2,3] x", lambda v: ("Max(x, b)", ROW if v >= 8 else ROWS)),
    "Sum": ("float[2,3] x", lambda v: ("Sum(x, x, b)", ROW if v >= 8 else ROWS)),
    "Shape": (X, lambda v: ("s = Shape(x) f = Cast<to = 1>(s) y = Neg(f)", "")),
    "Transpose": (X, lambda v: ("Transpose<perm = [3,0,2,1]>(x)", "")),
    "Concat": (X, lambda v: (f"Concat<axis = {-1 if v >= 11 else 3}>(x, x)", "")),
    "Reshape": (X, lambda v: ("Reshape(x, s)", "int64[3] s = {0,-1,2}")),
    "Gather": (X, lambda v: ("Gather<axis = 1>(x, i)", f"int64[2] i = {{{-1 if v >= 11 else 2},0}}")),
}
"""An input and, for each opset, the node that says one and the same."""


def upsampled(opset: int) -> tuple[str, str]:
    """Each element repeated: Upsample, with its scales inside or beside it, became Resize."""
    scales, pixels = "float[4] s = {1,1,2,3}", 'coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"'
    if opset < 9:
        return 'Upsample<mode = "nearest", scales = [1.0, 1.0, 2.0, 3.0]>(x)', ""
    if opset < 11:
        return f"{'Upsample' if opset == 9 else 'Resize'}(x, s)", scales
    roi = ", float[0] r = {}" if opset < 13 else ""
    return f"Resize<{pixels}>(x, {'r' if roi else ''}, s)", scales + roi


def of_opset(form: str, opset: int) -> ModelProto:
    """The model of a form in an opset."""
    inputs, spell = FORMS[form]
    body, weights = spell(opset)
    return network(body if " = " in body.split("(")[0].split("<")[0] else f"y = {body}", inputs, weights, opset)


@pytest.mark.parametrize("form", FORMS)
def test_every_opset(form: str, ort: Callable[..., list[Any]], close: Callable[..., None]) -> None:
    """What an operator says in each opset from 7 on is what ONNX Runtime makes of the opsets that it reads."""
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, NotImplemented

    rng, compared = np.random.default_rng(0), 0
    expected: Any = None
    feeds: dict[str, Any] = {}
    for opset in range(7, NEWEST + 1):
        model = of_opset(form, opset)
        feeds = feeds or {
            i.name: rng.normal(size=[d.dim_value for d in i.type.tensor_type.shape.dim]).astype(np.float32)
            for i in model.graph.input
        }
        (result,) = Session(model).run(None, feeds)
        model.ir_version = min(model.ir_version, 10)
        try:
            (expected,) = ort(model, feeds)
            compared += 1
        except (Fail, InvalidGraph, NotImplemented):
            assert expected is not None and opset > 20, f"ONNX Runtime refuses {form} in opset {opset}"
        assert np.ptp(expected) > 0
        close(result, expected, what=f"{form} in opset {opset}")
    assert compared >= 14


# Declared shapes, and which inputs there are


def test_wrong_declared_shapes_are_ignored_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    model = network("a = Relu(x) b = Neg(a) y = Abs(b)")
    model.graph.value_info.extend([helper.make_tensor_value_info(n, 1, [7, 7]) for n in "ab"])
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", 1, ["N", 3, 1]))
    with caplog.at_level(logging.WARNING, "nnfuse"):
        session = Session(model)
    assert [r.getMessage() for r in caplog.records] == [
        "a declared shape is wrong and is ignored: 'a' is declared tensor<7x7xf32>, but is tensor<2x3xf32> (and 2 more)"
    ]
    assert session.get_outputs()[0].shape == (2, 3)
    (result,) = session.run(None, {"x": np.full((2, 3), -2, np.float32)})
    assert result.shape == (2, 3)


def test_right_and_symbolic_declared_shapes_pass_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    model = network("a = Relu(x) y = Abs(a)")
    model.graph.value_info.append(helper.make_tensor_value_info("a", 1, ["N", 3]))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", 1, [2, 3]))
    with caplog.at_level(logging.WARNING, "nnfuse"):
        Session(model)
    assert not caplog.records


def test_an_initializer_that_is_an_input_too_is_a_parameter() -> None:
    weights = f"float[20] w = {{{','.join(map(str, range(20)))}}}"
    model = network("y = Add(x, w)", "float[2,20] x, float[20] w", weights)
    module = import_model(model)
    assert op_names(module) == ["nn.parameter", "nn.add"]
    assert [v.name for v in Session(model).get_inputs()] == ["x"]
    (result,) = Session(model).run(None, {"x": np.ones((2, 20), np.float32)})
    np.testing.assert_array_equal(result, np.tile(np.arange(1, 21, dtype=np.float32), (2, 1)))


def test_absent_pads_are_zero() -> None:
    weights = "float[1,3,3,3] w = {" + ",".join(["1"] * 27) + "}"
    (result,) = Session(network("y = Conv(x, w)", "float[1,3,5,5] x", weights)).run(
        None, {"x": np.ones((1, 3, 5, 5), np.float32)}
    )
    np.testing.assert_array_equal(result, np.full((1, 1, 3, 3), 27, np.float32))


def test_symbolic_dims_keep_their_names_and_are_bound_per_run() -> None:
    model = network("y = Add(x, u)", "float[N,3] x, float[N,M] u")
    model.graph.input[1].type.tensor_type.shape.dim[1].ClearField("dim_param")
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", 1, ["N", "K"]))
    text = printed(import_model(model))
    assert '%x: tensor<?x3xf32> {nn.name = "x", nn.dims = ["N", ""]}' in text
    assert '%u: tensor<?x?xf32> {nn.name = "u", nn.dims = ["N", "u_dim_1"]}' in text
    session = Session(model)
    assert [v.shape for v in session.get_inputs()] == [("N", 3), ("N", "u_dim_1")]
    assert session.get_outputs()[0].shape == ("N", 3)
    for n, m in ((2, 3), (5, 1), (0, 3)):
        x, u = np.full((n, 3), 2, np.float32), np.ones((n, m), np.float32)
        (result,) = session.run(None, {"x": x, "u": u})
        np.testing.assert_array_equal(result, np.full((n, 3), 3, np.float32))


@pytest.mark.parametrize("nameless", ["?", "None", "-1"])
def test_dims_without_a_name_need_not_be_equal(nameless: str) -> None:
    """Paddle calls every unknown size "?", also that of a height and a width: each is a dim of its own."""
    model = network("y = Relu(x)", "float[N,A,B] x")
    for axis in (1, 2):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = nameless
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", 1, ["N", nameless, nameless]))
    session = Session(model)
    assert session.get_inputs()[0].shape == ("N", "x_dim_1", "x_dim_2")
    x = np.arange(-3, 3, dtype=np.float32).reshape(1, 2, 3)
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], np.maximum(x, 0))


def test_negative_declared_sizes_are_symbolic() -> None:
    model = network("y = Relu(x)")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    assert Session(model).get_inputs()[0].shape == ("x_dim_0", 3)


# What stands in the text


def test_shape_arithmetic_that_decides_a_rank() -> None:
    """The number of sizes that a Reshape reads is computed from a rank, while the sizes themselves are symbols."""
    body = "s = Shape(x)  n = Size(s)  one = Constant<value = int64[1] {1}>()  v = Reshape(n, one)  "
    body += "zeros = ConstantOfShape<value = int64[1] {0}>(v)  y = Reshape(x, zeros)"
    module = import_model(network(body, inputs="float[N,M] x"))
    assert [len(dims_of(t)) for t in main_function(module).function_type.outputs] == [2]
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    session = Session(network(body, inputs="float[N,M] x"))
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], x)
    unknown = network(
        "z = ConstantOfShape<value = int64[1] {0}>(v)  y = Reshape(x, z)", inputs="float[N,M] x, int64[1] v"
    )
    with pytest.raises(UnsupportedError, match="an unknown length of shape is not supported"):
        import_model(unknown)


def test_weights_stand_outside_the_text() -> None:
    """Only what rewrites may look at is inline: up to 16 floats, all finite, 1,024 integers, any one number."""
    arrays = {
        "f16": np.arange(16, dtype=np.float32),
        "f17": np.arange(17, dtype=np.float32),
        "nans": np.array([np.nan, 1], np.float32),
        "one": np.array([np.inf], np.float32),
        "i1024": np.arange(1024),
        "i1025": np.arange(1025),
        "big": np.zeros((1000, 1000), np.float32),
    }
    model = network("y = Relu(x)")
    for name, array in arrays.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
        model.graph.node.append(helper.make_node("Constant", [], [f"c_{name}"], value=numpy_helper.from_array(array)))
        for prefix in ("", "c_"):
            model.graph.node.append(helper.make_node("Identity", [prefix + name], [f"{prefix}{name}_out"]))
            model.graph.output.append(onnx.ValueInfoProto(name=f"{prefix}{name}_out"))
    module = import_model(model)
    kinds = {
        op.results[0].name_hint: op.name
        for op in main_function(module).body.block.ops
        if op.name in ("nn.parameter", "nn.constant") and not (op.results[0].name_hint or "").endswith("_out")
    }
    outside = {"f17", "nans", "i1025", "big"}
    assert kinds == {
        prefix + name: "nn.parameter" if name in outside else "nn.constant" for name in arrays for prefix in ("", "c_")
    }
    assert max(map(len, printed(module).splitlines())) < 8 * 1024 * 2 + 200
    results = Session(model, fuse=False).run(None, {"x": np.zeros((2, 3), np.float32)})[1:]
    for array, result in zip([a for a in arrays.values() for _ in range(2)], results, strict=True):
        np.testing.assert_array_equal(result, array)


@pytest.mark.parametrize("attribute", ["value_ints", "value_floats"])
def test_long_lists_in_constants_are_parameters(attribute: str) -> None:
    values = [float(i) for i in range(2000)] if attribute == "value_floats" else list(range(2000))
    model = network("y = Identity(c)")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], **{attribute: values}))
    assert op_names(import_model(model)) == ["nn.parameter", "nn.identity"]
    (result,) = Session(model).run(None, {"x": np.zeros((2, 3), np.float32)})
    np.testing.assert_array_equal(result, values)


def test_a_scalar_from_weights_only_stays_a_scalar() -> None:
    weights = f"float[20] w = {{{','.join(['1'] * 20)}}}"
    (result,) = Session(network("s = ReduceSum<keepdims = 0>(w) y = Add(x, s)", "float x", weights)).run(
        None, {"x": np.float32(2)}
    )
    assert result.shape == () and result == 22


# Names, order and files


def test_locations_are_node_names() -> None:
    module = import_model(network("[first] a = Relu(x) b = Neg(a) [last] y, m = Dropout(b)"))
    locations = [location_names(op.location) for op in main_function(module).body.block.ops][:-1]
    assert locations == [("first",), ("b",), ("last",)]


def test_nodes_in_any_order() -> None:
    model = network("[d] y = Sub(b, a) [b] b = Neg(a) [a] a = Abs(x) [c] c = Exp(b)")
    module = import_model(model)
    names = [n for op in main_function(module).body.block.ops for n in location_names(op.location)]
    assert names == ["a", "b", "d", "c"]
    (result,) = Session(model).run(None, {"x": np.full((2, 3), -2, np.float32)})
    np.testing.assert_array_equal(result, np.full((2, 3), -4, np.float32))


STRANGE = {
    "newline": "a\nb",
    "quotes": '"it\'s"',
    "control": "\x01\t\x7f\r",
    "right to left": "\u202e\u05d0\u2066",
    "not ASCII": "é日本\U0001f600",
    "percent": "%",
    "a value in text": "%x",
    "escaped": "\\xe9",
    "backslash": "\\",
    "number": "100",
    "spaces": " a  b ",
    "markup": "</script><b>",
    "path": "../../etc/passwd",
    "code": "{0} {x} $(x) `x`",
    "long": "x" * 5000,
    "location": 'loc("a")',
}


@pytest.mark.parametrize("case", STRANGE)
def test_strange_names(case: str) -> None:
    """They survive printing and parsing, stay one line each, and are what inputs are fed and outputs asked by."""
    name = STRANGE[case]
    twin = name.encode("unicode_escape").decode()  # what the name is written as: another name
    x, w, s, y = (f"{name}{part}" for part in ("", "w", "s", "y"))
    nodes = [helper.make_node("Add", [x, w], [s], name), helper.make_node("Neg", [s], [y], twin)]
    inputs = [helper.make_tensor_value_info(x, 1, [name, 3])]
    if twin != name:
        inputs.append(helper.make_tensor_value_info(twin, 1, [twin, 3]))
        nodes.append(helper.make_node("Abs", [twin], [f"{twin}z"], "twin"))
    weight = numpy_helper.from_array(np.ones((20, 3), np.float32), w)
    outputs = [onnx.ValueInfoProto(name=n) for n in ([y, f"{twin}z"] if twin != name else [y])]
    graph = helper.make_graph(nodes, name, inputs, outputs, [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    module = import_model(model)
    for generic in (False, True):
        text = printed(module, generic)
        assert text.isascii() and all(line.isprintable() for line in text.split("\n"))
        parsed = Parser(new_context(), text).parse_module()
        parsed.verify()
        assert printed(parsed, generic) == text
    feeds = {x: np.zeros((20, 3), np.float32)}
    if twin != name:
        feeds[twin] = np.full((5, 3), -7, np.float32)
    results = Session(model).run([o.name for o in outputs], feeds)
    np.testing.assert_array_equal(results[0], np.full((20, 3), -1, np.float32))
    assert twin == name or (results[1] == 7).all()


def test_empty_names() -> None:
    """A node and outputs without names; what has none cannot be asked for."""
    model = network("a = Relu(x) y, m = Dropout(a)")
    model.graph.node.append(helper.make_node("Constant", [], [""], value_float=1.0))
    model.graph.node[1].output[1] = ""
    (result,) = Session(model).run(None, {"x": np.ones((2, 3), np.float32)})
    np.testing.assert_array_equal(result, np.ones((2, 3), np.float32))


@pytest.mark.parametrize("file", ["modèle.onnx", "日本.onnx", "a\nb.onnx", 'q"uote.onnx', "back\\slash.onnx"])
def test_a_parameter_file_of_any_name(tmp_path: Any, file: str) -> None:
    """The path stands in IR text, which is ASCII, and is found again from there."""
    from nnfuse.tools import fuse_opt

    weights = f"float[20] w = {{{','.join(map(str, range(20)))}}}"
    onnx.save_model(network("y = Add(x, w)", "float[20] x", weights), tmp_path / file)
    assert fuse_opt.main([str(tmp_path / file), "-o", str(tmp_path / "out.mlir")]) == 0
    assert (tmp_path / "out.mlir").read_bytes().isascii()
    (result,) = Session(tmp_path / "out.mlir").run(None, {"x": np.ones(20, np.float32)})
    np.testing.assert_array_equal(result, np.arange(1, 21, dtype=np.float32))
