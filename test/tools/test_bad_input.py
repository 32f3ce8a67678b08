"""Bad models: the exact line and exit code of each, by fuse-opt and by Session."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, parser

from nnfuse import CompileError, Session, UnsupportedError

Run = Callable[..., tuple[int, str, str]]
Edit = Callable[[ModelProto], None]

NEWEST = onnx.defs.onnx_opset_version()
KNOWN = f"(this onnx {onnx.__version__} knows 1 to {NEWEST})"
CUT = "'m.onnx' is not an ONNX model, or is cut short"
CYCLE = "the node is part of a cycle: it reads what is made from its own output"
HUGE = 1 << 40


def network(body: str, inputs: str = "float[2,3] x", weights: str = "", opset: int = 21) -> ModelProto:
    """A model whose one output is y, from ONNX's text."""
    held = f"<{weights}>" if weights else ""
    model = parser.parse_model(
        f'<ir_version: 10, opset_import: ["": {opset}]> g ({inputs}) => (float y) {held} {{{body}}}'
    )
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return model


def edited(edit: Edit, body: str = "[n] y = Relu(x)", **parts: Any) -> ModelProto:
    """A model changed by `edit`."""
    model = network(body, **parts)
    edit(model)
    return model


def with_weight(**fields: Any) -> ModelProto:
    """y = x + w, w a TensorProto with these fields."""
    return edited(
        lambda m: m.graph.initializer.append(TensorProto(**({"name": "w", "data_type": TensorProto.FLOAT} | fields))),
        "[add] y = Add(x, w)",
    )


def with_opset(version: int | None) -> ModelProto:
    """A model of an opset, None for none."""

    def edit(model: ModelProto) -> None:
        if version is None:
            del model.opset_import[:]
        else:
            model.opset_import[0].version = version

    return edited(edit)


def with_attribute(**attributes: Any) -> ModelProto:
    """A Softmax with these attributes, the last of them twice where it is named `twice`."""
    node = helper.make_node("Softmax", ["x"], ["y"], "soft", **attributes)
    return edited(lambda m: m.graph.node[0].CopyFrom(node))


def twice(model: ModelProto) -> None:
    """Give the first node its first attribute again."""
    model.graph.node[0].attribute.append(model.graph.node[0].attribute[0])


def not_utf8(model: ModelProto) -> bytes:
    """The model with the name `xyz` made bytes that are no UTF-8."""
    return model.SerializeToString().replace(b"xyz", b"\xff\xfe\xfd")


EXTERNAL = [onnx.StringStringEntryProto(key="location", value="/etc/passwd")]
X43 = "float[2,3] x, float[4,3] w"
IMAGE = "float[1,3,8,8] x, float[4,{}] w"

MODELS: dict[str, tuple[ModelProto | bytes, int, str]] = {
    # opsets
    "opset 0": (with_opset(0), 2, f"opset 0 is unknown {KNOWN}"),
    "opset -1": (with_opset(-1), 2, f"opset -1 is unknown {KNOWN}"),
    "opset 99": (with_opset(99), 2, f"opset 99 is unknown {KNOWN}"),
    "no opset": (with_opset(None), 1, "the model imports no opset of the domain ai.onnx"),
    "two opsets": (
        edited(lambda m: m.opset_import.append(helper.make_opsetid("ai.onnx", 13))),
        1,
        "the model imports the opsets 21 and 13 of 'ai.onnx'",
    ),
    # operators
    "unknown operators": (
        network("[f] a = Foo(x) b = Foo(a) [g] c = my.domain.Bar(b) [h] d = Foo(c) y = Relu(d)"),
        2,
        "2 operator(s) are not supported: Foo (3, first f), my.domain.Bar (1, first g)",
    ),
    "removed operator": (network("[n] y = Upsample(x, x)"), 2, "n: Upsample is deprecated in opset 21"),
    "not yet an operator": (network("[n] y = Gelu(x)", opset=13), 2, "n: Gelu does not exist in opset 13"),
    # names
    "missing value": (network("[n] y = Relu(z)"), 1, "n: the value 'z' is read, but nothing defines it"),
    "missing output": (network("[n] z = Relu(x)"), 1, "y: the graph's output is defined by no node"),
    "no graph": (
        ModelProto(opset_import=[helper.make_opsetid("", 21)]),
        1,
        "the model has no graph, or a graph without outputs",
    ),
    "value defined twice": (network("[a] y = Relu(x) [b] y = Relu(x)"), 1, "b: the value 'y' is defined twice"),
    "input defined again": (network("[a] x = Relu(x) [b] y = Relu(x)"), 1, "a: the value 'x' is defined twice"),
    "two inputs of one name": (
        network("[n] y = Relu(x)", "float[2] x, float[2] x"),
        1,
        "2 of the graph's inputs have the name 'x'",
    ),
    "two initializers of one name": (
        network("[n] y = Relu(x)", weights="float[1] w = {1}, float[1] w = {1}"),
        1,
        "2 of the graph's initializers have the name 'w'",
    ),
    "input without a name": (
        edited(lambda m: m.graph.input.append(helper.make_tensor_value_info("", 1, [2]))),
        1,
        "the graph has inputs without a name",
    ),
    "cycle": (network("[tail] y = Relu(b) [n1] a = Add(x, b) [n2] b = Relu(a)"), 1, f"n2: {CYCLE}"),
    "cycle of one": (network("[n] y = Add(x, y)"), 1, f"n: {CYCLE}"),
    "name of a node": (not_utf8(network("[xyz] y = Relu(x)")), 1, "a name or text in the model is not UTF-8"),
    "name of a value": (
        not_utf8(network("xyz = Relu(x) y = Relu(xyz)")),
        1,
        "a name or text in the model is not UTF-8",
    ),
    # weights
    "raw data too short": (
        with_weight(dims=[2, 3], raw_data=bytes(20)),
        1,
        "w: the tensor 2x3 needs 24 bytes, but has 20",
    ),
    "raw data too long": (
        with_weight(dims=[2, 3], raw_data=bytes(25)),
        1,
        "w: the tensor 2x3 needs 24 bytes, but has 25",
    ),
    "typed data too short": (
        with_weight(dims=[2, 3], float_data=[1] * 5),
        1,
        "w: the tensor 2x3 needs 6 elements in float_data, but has 5",
    ),
    "typed data too long": (
        with_weight(dims=[], float_data=[1, 2]),
        1,
        "w: the tensor scalar needs 1 elements in float_data, but has 2",
    ),
    "data in another field": (
        with_weight(dims=[2, 3], int32_data=[1] * 6),
        1,
        "w: the tensor 2x3 needs 6 elements in float_data, but has 0",
    ),
    "no data": (with_weight(dims=[50, 3]), 1, "w: the tensor 50x3 needs 150 elements in float_data, but has 0"),
    "negative dim": (with_weight(dims=[-2, 3], raw_data=bytes(24)), 1, "w: a dimension would be negative: -2x3"),
    "weight of 2^40": (
        with_weight(dims=[HUGE], raw_data=bytes(24)),
        1,
        f"w: the tensor {HUGE} needs {4 * HUGE} bytes, but has 24",
    ),
    "weight of 2^124": (
        with_weight(dims=[1 << 62, 1 << 62]),
        1,
        f"w: a tensor of the shape {1 << 62}x{1 << 62} would have more elements than can be addressed",
    ),
    "weight of rank 100": (
        with_weight(dims=[1] * 100, float_data=[1]),
        1,
        "w: a tensor would have 100 dimensions, more than the limit of 64",
    ),
    "element type 0": (with_weight(data_type=0, dims=[1], raw_data=bytes(4)), 1, "w: unknown element type 0"),
    "element type 99": (with_weight(data_type=99, dims=[1], raw_data=bytes(4)), 1, "w: unknown element type 99"),
    "strings": (
        with_weight(data_type=TensorProto.STRING, dims=[1], string_data=[b"a"]),
        2,
        "w: element type object is not supported",
    ),
    "segment": (
        with_weight(dims=[1], float_data=[1], segment=TensorProto.Segment(begin=0, end=1)),
        2,
        "w: tensors in segments are not supported",
    ),
    "sparse": (
        edited(lambda m: m.graph.sparse_initializer.append(onnx.SparseTensorProto(values=TensorProto(name="sp")))),
        2,
        "sp: sparse initializers are not supported",
    ),
    "input of 2^65": (
        network("[n] y = Relu(x)", f"float[{1 << 62},8] x"),
        1,
        f"x: a tensor of the shape {1 << 62}x8 would have more elements than can be addressed",
    ),
    "input without a rank": (
        edited(lambda m: m.graph.input[0].type.tensor_type.ClearField("shape")),
        2,
        "x: the input has no declared rank (give it a shape; its sizes may be symbolic)",
    ),
    "input that is a sequence": (
        edited(lambda m: m.graph.input[0].type.CopyFrom(helper.make_sequence_type_proto(m.graph.input[0].type))),
        1,
        "n: a value has the type !nn.sequence<tensor<2x3xf32>>; a tensor is needed",
    ),
    "input that is a map": (
        edited(
            lambda m: m.graph.input[0].type.CopyFrom(
                helper.make_map_type_proto(TensorProto.INT64, m.graph.input[0].type)
            )
        ),
        2,
        "x: a value of the kind map_type is not supported",
    ),
    # shapes and types
    "Add": (network("[n] y = Add(x, w)", X43), 1, "n: shapes 2x3 and 4x3 do not broadcast"),
    "MatMul": (network("[n] y = MatMul(x, w)", X43), 1, "n: the inner sizes of 2x3 and 4x3 differ"),
    "Gemm": (network("[n] y = Gemm(x, w)", X43), 1, "n: the inner sizes of 2x3 and 4x3 differ"),
    "Concat": (
        network("[n] y = Concat<axis = 0>(x, w)", "float[2,3] x, float[4,4] w"),
        1,
        "n: 2x3 and 4x4 cannot be concatenated along axis 0",
    ),
    "Conv": (
        network("[n] y = Conv(x, w)", IMAGE.format("2,3,3")),
        1,
        "n: input 1x3x8x8 has 3 channels, but filters 4x2x3x3 in 1 group(s) take 2",
    ),
    "window": (
        network("[n] y = Conv(x, w)", IMAGE.format("3,9,9")),
        1,
        "n: a window of 9 does not fit the padded size 8 of axis 2",
    ),
    "Reshape": (
        network("[n] y = Reshape(x, s)", weights="int64[2] s = {5, -1}"),
        1,
        "n: 2x3 cannot be reshaped to [5, -1]: 6 elements do not fit",
    ),
    "node without a name": (network("y = Add(x, w)", X43), 1, "y: shapes 2x3 and 4x3 do not broadcast"),
    "element types": (
        network("[n] y = Add(x, w)", "float[2] x, double[2] w"),
        1,
        "n: nn.add needs operands of one element type, not f32 and f64",
    ),
    # attributes and arity
    "attribute's type": (with_attribute(axis=1.5), 1, "soft: the attribute 'axis' of Softmax is not of the type INT"),
    "unknown attribute": (with_attribute(axes=1), 1, "soft: Softmax has no attribute 'axes' in opset 21"),
    "attribute twice": (
        edited(twice, "[soft] y = Softmax<axis = 1>(x)"),
        1,
        "soft: Softmax has the attribute 'axis' twice",
    ),
    "missing attribute": (network("[n] y = Concat(x, x)"), 1, "n: Concat needs the attribute 'axis'"),
    "bad axis": (with_attribute(axis=HUGE), 1, f"soft: axis {HUGE} is out of range for rank 2"),
    "too many inputs": (network("[n] y = Relu(x, x)"), 1, "n: Relu has 2 inputs; opset 21 wants 1 to 1"),
    "too few inputs": (network("[n] y = Relu()"), 1, "n: Relu has 0 inputs; opset 21 wants 1 to 1"),
    "too many outputs": (network("[n] y, z = Relu(x)"), 1, "n: Relu has 2 outputs; opset 21 wants 1 to 1"),
    "left out input": (
        edited(lambda m: m.graph.node[0].input.append(""), "[n] y = Conv(x)"),
        1,
        "n: Conv needs its input 1, which is missing",
    ),
    "empty Constant": (
        network("[n] y = Constant()"),
        1,
        "n: Constant needs one attribute with its value, but has 0",
    ),
    "Constant of a string": (
        network('[n] y = Constant<value_string = "a">()'),
        2,
        "n: Constant with the attribute 'value_string' is not supported",
    ),
    "pieces of a Split": (
        network(f"[n] y, z = Split<num_outputs = {HUGE}>(x)"),
        1,
        f"n: Split into {HUGE} pieces has 2 outputs",
    ),
    # sizes that no address holds
    "shape of 1024 dims": (
        network("[n] y = ConstantOfShape(s)", weights=f"int64[1024] s = {{{','.join('1' * 1024)}}}"),
        1,
        "n: a tensor would have 1024 dimensions, more than the limit of 64",
    ),
    "ConstantOfShape of 2^124": (
        network("[n] y = ConstantOfShape(s)", weights=f"int64[2] s = {{{1 << 62},{1 << 62}}}"),
        1,
        f"n: a tensor of the shape {1 << 62}x{1 << 62} would have more elements than can be addressed",
    ),
    "Tile by 2^60": (
        network("[n] y = Tile(x, r)", weights=f"int64[2] r = {{{1 << 30},{1 << 30}}}"),
        1,
        f"n: a tensor of the shape {2 << 30}x{3 << 30} would have more elements than can be addressed",
    ),
    "Resize to infinity": (
        network("[n] y = Resize(x, , s)", weights="float[2] s = {1e30, 1}"),
        1,
        "n: a tensor of the shape 2000000030094932439753377710080x3 would have more elements than can be addressed",
    ),
    "Concat doubled 70 times": (
        network(
            " ".join(f"[c{i}] a{i + 1} = Concat<axis = 0>(a{i}, a{i})" for i in range(70)) + " y = Relu(a70)",
            "float[1] a0",
        ),
        1,
        f"c59: a tensor of the shape {1 << 60} would have more elements than can be addressed",
    ),
    "negative size": (
        network("[n] y = ConstantOfShape(s)", weights="int64[1] s = {-5}"),
        1,
        "n: a dimension would be negative: -5",
    ),
    "rank from a list of unknown length": (
        network("[n] y = Reshape(x, s)", f"float[2,3] x, int64[{HUGE}] s"),
        1,
        f"n: shape has {HUGE} numbers, more than a tensor can have dimensions (64)",
    ),
    "window of 2^40": (
        network(f"[n] y = MaxPool<kernel_shape = [{HUGE}]>(x)", "float[1,1,8] x"),
        1,
        "n: kernel, strides, dilations and pads must be 2147483647 at most",
    ),
}


@pytest.mark.parametrize("case", MODELS)
def test_a_bad_model_is_one_line(run: Run, case: str) -> None:
    model, code, line = MODELS[case]
    data = model if isinstance(model, bytes) else model.SerializeToString()
    Path("m.onnx").write_bytes(data)
    Path("out.mlir").write_text("as it was")
    assert run("m.onnx", "-o", "out.mlir") == (code, "", f"fuse-opt: {line}\n")
    assert Path("out.mlir").read_text() == "as it was" and sorted(os.listdir()) == ["m.onnx", "out.mlir"]
    with pytest.raises(UnsupportedError if code == 2 else CompileError) as caught:
        Session(data)
    assert (str(caught.value), caught.value.EXIT_CODE) == (line, code)


def test_bytes_that_are_no_model() -> None:
    for data in (b"", b"not a protobuf", b"\x00" * 64, b"version https://git-lfs.github.com/spec/v1\n"):
        with pytest.raises(CompileError) as caught:
            Session(data)
        assert str(caught.value) in (
            "the bytes are not an ONNX model, or are cut short",
            "the model has no graph, or a graph without outputs",
            "the model imports no opset of the domain ai.onnx",
        )


def test_a_model_cut_anywhere(run: Run) -> None:
    """A file that ends between two fields is a shorter model: it is refused for what it lacks."""
    whole = network("[add] a = Add(x, w) [n] y = Relu(a)", weights="float[3] w = {1,2,3}").SerializeToString()
    lines: set[str] = set()
    for length in range(1, len(whole)):
        Path("m.onnx").write_bytes(whole[:length])
        code, out, err = run("m.onnx")
        assert (code, out) == (1, ""), length
        lines.add(err)
    assert f"fuse-opt: {CUT}\n" in lines
    assert lines <= {
        f"fuse-opt: {CUT}\n",
        "fuse-opt: the model has no graph, or a graph without outputs\n",
        "fuse-opt: the model imports no opset of the domain ai.onnx\n",
    }


def nested(depth: int) -> bytes:
    """The bytes of a model whose node has a subgraph whose node has a subgraph, and so on."""

    def field(tag: int, content: bytes) -> bytes:
        size, rest = b"", len(content)
        while True:
            size += bytes([rest & 127 | 128 * (rest > 127)])
            rest >>= 7
            if not rest:
                return bytes([tag]) + size + content

    graph = b""
    for _ in range(depth):  # GraphProto.node = 1, NodeProto.attribute = 5, AttributeProto.g = 6
        graph = field(0x0A, field(0x2A, field(0x32, graph)))
    return field(0x3A, graph) + field(0x42, b"\x10\x15")


@pytest.mark.parametrize("depth", [10, 40, 1000, 20000])
def test_subgraphs_in_subgraphs(run: Run, depth: int) -> None:
    Path("m.onnx").write_bytes(nested(depth))
    line = CUT if depth > 40 else "the model has no graph, or a graph without outputs"
    code, out, err = run("m.onnx")
    assert (code, out) == (1, "") and err in (f"fuse-opt: {line}\n", f"fuse-opt: {CUT}\n")


def test_a_long_chain_and_a_long_cycle(run: Run) -> None:
    """No recursion, and time in proportion to the length."""

    def chain(count: int, first: str = "x") -> ModelProto:
        nodes = [helper.make_node("Relu", [f"v{i}" if i else first], [f"v{i + 1}"], f"r{i}") for i in range(count)]
        values = [helper.make_tensor_value_info(n, 1, [2]) for n in ("x", f"v{count}")]
        graph = helper.make_graph(nodes[::-1], "g", values[:1], values[1:])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)

    from nnfuse.lowering.onnx_to_nn import import_model

    seconds: dict[int, float] = {}
    for count in (2500, 20_000):
        model, start = chain(count), time.process_time()
        module = import_model(model)
        seconds[count] = time.process_time() - start
        assert sum(1 for op in module.walk() if op.name == "nn.relu") == count
    assert seconds[20_000] < 8 * 3 * seconds[2500]
    onnx.save_model(chain(20_000, "v20000"), "m.onnx")
    assert run("m.onnx") == (1, "", f"fuse-opt: r19998: {CYCLE}\n")


# Sizes above the limit

ONES = "float[1,1,1,1] w = {1}"
BOMBS: dict[str, tuple[ModelProto, str]] = {
    "ConstantOfShape": (
        network("[n] y = ConstantOfShape(s)", weights=f"int64[1] s = {{{HUGE}}}"),
        f"a value of shape {HUGE} needs {4 * HUGE} bytes",
    ),
    "Expand": (
        network("[n] y = Expand(x, s)", weights=f"int64[3] s = {{{HUGE},2,3}}"),
        f"a value of shape {HUGE}x2x3 needs {24 * HUGE} bytes",
    ),
    "Tile": (
        network("[n] y = Tile(x, r)", weights=f"int64[2] r = {{{1 << 30},1}}"),
        f"a value of shape {2 << 30}x3 needs {24 << 30} bytes",
    ),
    "Resize": (
        network("[n] y = Resize(x, , , s)", weights=f"int64[2] s = {{{1 << 20},{1 << 20}}}"),
        f"a value of shape {1 << 20}x{1 << 20} needs {4 * HUGE} bytes",
    ),
    "Pad": (
        network("[n] y = Pad(x, p)", weights=f"int64[4] p = {{{HUGE},0,0,0}}"),
        f"a value of shape {HUGE + 2}x3 needs {12 * (HUGE + 2)} bytes",
    ),
    "Concat": (
        network("[e] a = Expand(x, s) [n] y = Concat<axis = 0>(a, a)", weights=f"int64[3] s = {{{1 << 28},2,3}}"),
        f"a value of shape {2 << 28}x2x3 needs {48 << 28} bytes",
    ),
    "MatMul": (
        network(
            "a = ConstantOfShape(s) b = ConstantOfShape(t) [n] y = MatMul(a, b)",
            weights=f"int64[2] s = {{{1 << 20},1}}, int64[2] t = {{1,{1 << 20}}}",
        ),
        f"a value of shape {1 << 20}x{1 << 20} needs {4 * HUGE} bytes",
    ),
    "Conv": (
        network(
            "[n] y = Conv<pads = [65536,65536,65536,65536], strides = [65536,65536]>(x, w)", "float[1,1,4,4] x", ONES
        ),
        f"computing it needs {4 * 131073**2} bytes",
    ),
    "ConvTranspose": (
        network(
            "[n] y = ConvTranspose<strides = [65536,65536], pads = [98303,98303,98303,98303]>(x, w)",
            "float[1,1,4,4] x",
            ONES,
        ),
        f"computing it needs {4 * (3 * 65536 + 1) ** 2} bytes",
    ),
    "AveragePool": (
        network(
            "[n] y = AveragePool<kernel_shape = [65536,65536], pads = [65535,65535,65535,65535],"
            " strides = [131072,131072]>(x)",
            "float[1,1,4,4] x",
        ),
        f"computing it needs {4 * 65539**2} bytes",
    ),
}


@pytest.mark.parametrize("case", BOMBS)
def test_large_values_are_refused_before_they_are_made(run: Run, case: str) -> None:
    """fuse-opt only writes their shapes; a Session refuses what is above max_bytes, 16 GB by default."""
    import tracemalloc

    model, what = BOMBS[case]
    limit = 10 << 30 if case == "Concat" else 16 << 30
    onnx.save_model(model, "m.onnx")
    passes = "canonicalize,fold-batch-norm,fuse-bias,fuse-activation,lower-nn-to-blas,hoist-parameters,plan-memory"
    tracemalloc.start()
    try:
        code, out, err = run("m.onnx", "-p", passes)
        assert (code, err) == (0, "") and "nn.arena" in out
        with pytest.raises(CompileError) as caught:
            session = Session("m.onnx", max_bytes=limit)
            session.run(None, {v.name: np.zeros(v.shape, np.float32) for v in session.get_inputs()})
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert str(caught.value) == f"n: {what}, more than the limit of {limit} (--max-bytes)"


def test_the_whole_arena_counts() -> None:
    body = "a = Tile(x, r) b = Tile(a, t) c = Add(b, b) [n] y = ReduceSum(c)"
    session = Session(network(body, weights="int64[2] r = {100,1}, int64[2] t = {2,1}"), max_bytes=6000)
    with pytest.raises(
        CompileError, match=r"^the program needs \d+ bytes, more than the limit of 6000 \(--max-bytes\)$"
    ):
        session.run(None, {"x": np.zeros((2, 3), np.float32)})


def test_an_arena_beyond_addresses(run: Run) -> None:
    body = "".join(f" a{i} = ConstantOfShape(s) b{i} = Relu(a{i})" for i in range(9)) + " y = Sum("
    body += ", ".join(f"b{i}" for i in range(9)) + ")"
    onnx.save_model(network(body, weights=f"int64[2] s = {{{1 << 30},{(1 << 29) - 1}}}"), "m.onnx")
    code, out, err = run("m.onnx", "-p", "plan-memory")
    assert (code, out) == (1, "")
    assert err.startswith("fuse-opt: the program's values need ") and err.endswith("more than can be addressed\n")


def test_folding_takes_no_working_memory_above_what_may_be_inline(run: Run) -> None:
    """A pool of 4 constants whose window is 2^20 long would be folded by 2^20 steps."""
    pool = "d = AveragePool<kernel_shape = [1048576], pads = [524288, 524288]>(c)"
    onnx.save_model(
        network(f"c = ConstantOfShape(s) {pool} y = ReduceSum(d)", weights="int64[3] s = {1,1,4}"), "m.onnx"
    )
    start = time.process_time()
    code, out, _ = run("m.onnx", "-p", "canonicalize")
    assert code == 0 and "nn.average_pool" in out and time.process_time() - start < 2


# External data


def save_external(location: str = "w.bin", content: bytes | None = bytes(24), **entries: str) -> None:
    """m.onnx, y = x + w, with w's data in another file, which has this content."""
    pairs = {"location": location, **entries}
    external = [onnx.StringStringEntryProto(key=k, value=v) for k, v in pairs.items()]
    model = with_weight(dims=[2, 3], data_location=TensorProto.EXTERNAL, external_data=external)
    Path("m.onnx").write_bytes(model.SerializeToString())
    if content is not None:
        Path("w.bin").write_bytes(content)


def refused(run: Run) -> str:
    """The line that fuse-opt and Session both say of m.onnx's external data."""
    code, out, err = run("m.onnx")
    assert (code, out, err.count("\n")) == (1, "", 1)
    with pytest.raises(CompileError) as caught:
        Session("m.onnx")
    assert err == f"fuse-opt: {' '.join(str(caught.value).split())}\n"
    return err


def test_external_data(run: Run) -> None:
    save_external(content=np.arange(6, dtype=np.float32).tobytes())
    (result,) = Session("m.onnx").run(None, {"x": np.ones((2, 3), np.float32)})
    np.testing.assert_array_equal(result, np.arange(1, 7, dtype=np.float32).reshape(2, 3))


def test_external_data_of_another_size(run: Run) -> None:
    save_external(content=bytes(20))
    assert refused(run) == "fuse-opt: w: the tensor 2x3 needs 24 bytes, but has 20\n"


@pytest.mark.parametrize("location", ["../w.bin", "/etc/passwd", "a/../../w.bin", ""])
def test_external_data_outside_the_folder(run: Run, location: str) -> None:
    Path("inner").mkdir()
    Path("w.bin").write_bytes(bytes(24))
    os.chdir("inner")
    save_external(location, content=None)
    assert refused(run).startswith("fuse-opt: the external data of 'm.onnx' cannot be read: ")


def test_external_data_behind_a_link_or_missing(run: Run) -> None:
    save_external(content=None)
    start = "fuse-opt: the external data of 'm.onnx' cannot be read: "
    assert refused(run).startswith(start)
    Path("elsewhere").mkdir()
    Path("elsewhere/w.bin").write_bytes(bytes(24))
    Path("w.bin").symlink_to("elsewhere/w.bin")
    assert refused(run).startswith(start)


def test_external_data_of_a_model_in_memory() -> None:
    """No file is looked for: there is no folder that it would have to be in."""
    model = with_weight(dims=[2, 3], data_location=TensorProto.EXTERNAL, external_data=EXTERNAL)
    for given in (model, model.SerializeToString()):
        with pytest.raises(CompileError) as caught:
            Session(given)
        assert str(caught.value) == "w: the tensor's data are in another file (load the model by its path)"


# Feeds

FEEDS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": (
        {"x": np.zeros((2, 3), np.float32), "z": np.zeros(1)},
        "'z' is no input (inputs: x, u)",
    ),
    "parameter": (
        {"w": np.zeros((40, 3), np.float32)},
        "'w' is a parameter of the model, which cannot be fed (inputs: x, u)",
    ),
    "missing": ({"x": np.zeros((2, 3), np.float32)}, "no array is given for the input 'u'"),
    "dtype": (
        {"x": np.zeros((2, 3)), "u": np.zeros((2, 1), np.float32)},
        "x: the input has the dtype float32, but float64 is given",
    ),
    "rank": (
        {"x": np.zeros((2, 3, 1), np.float32), "u": np.zeros((2, 1), np.float32)},
        "x: the input has rank 2, but 2x3x1 is given",
    ),
    "dim": (
        {"x": np.zeros((2, 4), np.float32), "u": np.zeros((2, 1), np.float32)},
        "x: dimension 1 of the input is 3, but 2x4 is given",
    ),
    "named dim": (
        {"x": np.zeros((2, 3), np.float32), "u": np.zeros((5, 1), np.float32)},
        "u: dimension 0 ('N') of the input is 2, but 5x1 is given",
    ),
    "no array": (
        {"x": object(), "u": np.zeros((2, 1), np.float32)},
        "x: the input has the dtype float32, but object is given",
    ),
}


@pytest.mark.parametrize("case", FEEDS)
def test_a_wrong_feed_is_one_line(case: str) -> None:
    weights = f"float[40,3] w = {{{','.join(['1'] * 120)}}}, int64[1] r = {{20}}"
    model = network("a = Add(x, u) s = Shape(a) y = Add(a, a)", "float[N,3] x, float[N,1] u, float[40,3] w", weights)
    fed, line = FEEDS[case]
    with pytest.raises(CompileError) as caught:
        Session(model).run(None, fed)
    assert str(caught.value) == line


def test_shapes_that_only_a_run_knows(run: Run) -> None:
    session = Session(network("[n] y = Add(x, w)", "float[N,3] x, float[M,3] w"))
    with pytest.raises(CompileError) as caught:
        session.run(None, {"x": np.zeros((2, 3), np.float32), "w": np.zeros((4, 3), np.float32)})
    assert str(caught.value) == "n: shapes 2x3 and 4x3 do not broadcast"
