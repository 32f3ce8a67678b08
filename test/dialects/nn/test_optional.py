"""Optionals: what they hold comes out, and nothing where they hold nothing."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, TypeProto, helper

from nnfuse.errors import CompileError, UnsupportedError
from nnfuse.lowering.onnx_to_nn import import_model
from nnfuse.runtime.session import Session

X = np.arange(3, dtype=np.float32)
VECTOR = helper.make_tensor_type_proto(TensorProto.FLOAT, ["N"])
VECTORS = helper.make_sequence_type_proto(VECTOR)


def one_node(op_type: str, type_: TypeProto | None, opset: int = 18, **attributes) -> onnx.ModelProto:
    """A model of one node with one input of this type, or none."""
    inputs = [] if type_ is None else [helper.make_value_info("x", type_)]
    node = helper.make_node(op_type, [i.name for i in inputs], ["y"], name="node", **attributes)
    graph = helper.make_graph([node], "g", inputs, [onnx.ValueInfoProto(name="y")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(model: onnx.ModelProto, **feeds):
    return Session(model).run(None, feeds)[0]


CASES = {
    "tensor": (VECTOR, X),
    "sequence": (VECTORS, [X, X[:1]]),
    "no elements": (VECTORS, []),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("opset", [15, 18])
def test_an_optional_holds_what_is_fed(case, opset, ort):
    """As an input, made from a value, and asked for; ONNX Runtime says so where it takes the model."""
    type_, value = CASES[case]
    optional = helper.make_optional_type_proto(type_)
    for model, expected in (
        (one_node("Optional", type_, opset), value),
        (one_node("Identity", optional, 18), value),
        (one_node("OptionalGetElement", optional, opset), value),
        (one_node("OptionalHasElement", optional, opset), np.array(True)),
    ):
        result = run(model, x=value)
        assert_equal(result, expected)
        if model.graph.node[0].op_type != "Identity":
            assert_equal(result, ort(model, {"x": value})[0])


def assert_equal(result, expected):
    assert isinstance(result, list) == isinstance(expected, list)
    pairs = zip(result, expected, strict=True) if isinstance(expected, list) else [(result, expected)]
    for one, other in pairs:
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        np.testing.assert_array_equal(one, other)


def test_an_empty_optional():
    """As an input, and made from nothing but a type."""
    for type_ in (VECTOR, VECTORS):
        optional = helper.make_optional_type_proto(type_)
        assert run(one_node("Identity", optional, 18), x=None) is None
        assert run(one_node("OptionalHasElement", optional), x=None).tolist() is False
        assert run(one_node("Optional", None, 15, type=type_)) is None
        with pytest.raises(CompileError, match=r"^node: the optional is empty: it has no element$"):
            run(one_node("OptionalGetElement", optional), x=None)


def test_what_is_no_optional_is_its_own_element():
    """Tensors, sequences and nothing at all, from opset 18 on: decided at import."""
    for type_, value in CASES.values():
        result = run(one_node("OptionalGetElement", type_), x=value)
        assert len(result) == len(value)
        assert run(one_node("OptionalHasElement", type_), x=value).tolist() is True
    assert run(one_node("OptionalHasElement", None)).tolist() is False


def test_outputs_are_copies():
    """What comes out belongs to the caller, though nothing is computed."""
    for op_type in ("Optional", "Identity"):
        y = run(one_node(op_type, VECTOR, 18), x=X)
        assert not np.shares_memory(y, X)
    (first, second) = run(one_node("Optional", VECTORS, 18), x=[X, X])
    assert not any(np.shares_memory(a, b) for a, b in ((first, X), (second, X), (first, second)))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            one_node("Optional", None, 15),
            "node: nn.optional needs a value, or the type of the one that it does not hold",
        ),
        (
            one_node("Optional", VECTOR, 15, type=VECTORS),
            "node: nn.optional is said to hold !nn.sequence<tensor<?xf32>>, but is given tensor<?xf32>",
        ),
        (
            one_node("Optional", helper.make_optional_type_proto(VECTOR), 15),
            "node: an optional holds a tensor or a sequence, not !nn.optional<tensor<?xf32>>",
        ),
        (
            one_node("OptionalGetElement", None, 18),
            "node: OptionalGetElement has 0 inputs; opset 18 wants 1 to 1",
        ),
    ],
)
def test_refusals(model, message):
    with pytest.raises(CompileError) as error:
        import_model(model)
    assert str(error.value) == message


def test_types_that_are_not_supported():
    """By the value's name, in one line."""
    twice = helper.make_sequence_type_proto(VECTORS)
    strings = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.STRING, [1]))
    maps = helper.make_optional_type_proto(helper.make_map_type_proto(TensorProto.INT64, VECTOR))
    for type_, message in (
        (twice, "x: a value that is a sequence of no tensors is not supported"),
        (strings, "x: element type object is not supported"),
        (maps, "x: a value that is an optional of no tensors is not supported"),
        (helper.make_map_type_proto(TensorProto.INT64, VECTOR), "x: a value of the kind map_type is not supported"),
    ):
        with pytest.raises(UnsupportedError) as error:
            import_model(one_node("Identity", type_))
        assert str(error.value) == message
