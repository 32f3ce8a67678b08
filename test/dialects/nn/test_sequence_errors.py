"""What does not fit a sequence, and what is too much for one, is refused in one line that names the node."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from nnfuse.errors import CompileError, UnsupportedError
from nnfuse.lowering.onnx_to_nn import import_model
from nnfuse.runtime.session import Session


def model_of_text(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {text}')


@pytest.mark.parametrize(
    ("text", "feeds", "message"),
    [
        (
            "(seq(float[N]) s, int64 i) => (float[N] y) { [at] y = SequenceAt(s, i) }",
            {"s": [np.ones(2, np.float32)] * 2, "i": np.array(2)},
            "at: position 2 is out of range for a sequence of 2 elements",
        ),
        (
            "(seq(float[N]) s, int64 i) => (seq(float[N]) t) { [cut] t = SequenceErase(s, i) }",
            {"s": [], "i": np.array(0)},
            "cut: position 0 is out of range for a sequence of 0 elements",
        ),
        (
            "(seq(float[N]) s) => (seq(float[N]) t) { [cut] t = SequenceErase(s) }",
            {"s": []},
            "cut: the sequence is empty: it has no element to erase",
        ),
        (
            "(seq(float[N]) s, float[N] x, int64 i) => (seq(float[N]) t) { [put] t = SequenceInsert(s, x, i) }",
            {"s": [], "x": np.ones(2, np.float32), "i": np.array(-1)},
            "put: position -1 is out of range for a sequence of 0 elements",
        ),
        (
            "(seq(float[N]) s) => (float[N] y) { [all] y = ConcatFromSequence <axis=0> (s) }",
            {"s": []},
            "all: the sequence is empty: it has nothing to concatenate",
        ),
        (
            "(float[N] x, int64[K] l) => (seq(float[M]) s) { [cut] s = SplitToSequence(x, l) }",
            {"x": np.ones(5, np.float32), "l": np.array([2, 2])},
            "cut: size 5 cannot be split into [2, 2]",
        ),
        (
            "(float[N] x, int64 l) => (seq(float[M]) s) { [cut] s = SplitToSequence(x, l) }",
            {"x": np.ones(5, np.float32), "l": np.array(0)},
            "cut: the size of the pieces must be positive, but is 0",
        ),
    ],
)
def test_refused_when_run(text, feeds, message):
    session = Session(model_of_text(text))
    with pytest.raises(CompileError) as error:
        session.run(None, feeds)
    assert str(error.value) == message


def test_shapes_that_do_not_join_are_refused():
    session = Session(
        model_of_text("(seq(float[N,M]) s) => (float[K,M] y) { [all] y = ConcatFromSequence <axis=0> (s) }")
    )
    with pytest.raises(CompileError, match=r"^all: nn.concat_from_sequence cannot be computed: .* must match exactly"):
        session.run(None, {"s": [np.ones((2, 3), np.float32), np.ones((2, 4), np.float32)]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "(float[2] a, int64[2] b) => (seq(float[N]) s) { [two] s = SequenceConstruct(a, b) }",
            "two: a sequence has elements of one type, not tensor<2xf32> and tensor<2xi64>",
        ),
        (
            "(seq(float[N]) s, int64[2] b) => (seq(float[N]) t) { [put] t = SequenceInsert(s, b) }",
            "put: tensor<2xi64> cannot be inserted into !nn.sequence<tensor<?xf32>>",
        ),
        (
            "(seq(float[N]) s, float i) => (float[N] y) { [at] y = SequenceAt(s, i) }",
            "at: the position must be one i32 or i64, but is tensor<f32>",
        ),
        (
            "(float[2] x) => (int64 n) { [count] n = SequenceLength(x) }",
            "count: nn.sequence_length needs a sequence, but is given tensor<2xf32>",
        ),
        (
            "(seq(float[N]) s) => (float[N] y) { [act] y = Relu(s) }",
            "act: a value has the type !nn.sequence<tensor<?xf32>>; a tensor is needed",
        ),
        (
            "(int64 i) => (float[N] y) { s = SequenceEmpty()  [at] y = SequenceAt(s, i) }",
            "at: the sequence is empty: it has no element at any position",
        ),
        (
            "(float x) => (seq(float) s) { [cut] s = SplitToSequence(x) }",
            "cut: a scalar cannot be split",
        ),
        (
            "(float a) => (float[2] y) { s = SequenceConstruct(a, a)  [all] y = ConcatFromSequence <axis=0> (s) }",
            "all: scalars are concatenated along a new axis only (new_axis = 1)",
        ),
    ],
)
def test_refused_at_import(text, message):
    with pytest.raises(CompileError) as error:
        import_model(model_of_text(text))
    assert str(error.value) == message


def test_unknown_ranks_are_refused_where_they_matter():
    text = (
        "(float[2] a, float[2,2] b, int64 i) => (float[2] y) { s = SequenceConstruct(a, b)  [at] y = SequenceAt(s, i) }"
    )
    with pytest.raises(UnsupportedError, match=r"^at: the elements of the sequence have no known rank \(declare their"):
        import_model(model_of_text(text))


# Hostile sizes


def test_too_many_pieces():
    """Pieces without elements take memory too: what holds them is counted before there is any."""
    session = Session(model_of_text("(float[N,0] x) => (seq(float[1,0]) s) { [cut] s = SplitToSequence(x) }"))
    with pytest.raises(CompileError, match=r"^cut: its result needs 128000000000 bytes, more than the limit of 1717"):
        session.run(None, {"x": np.zeros((10**9, 0), np.float32)})


def test_total_size_is_limited():
    """One tensor many times over: each is small, all together are not."""
    nodes = "s0 = SequenceEmpty() " + " ".join(f"[put{i}] s{i + 1} = SequenceInsert(s{i}, x, p)" for i in range(8))
    model = model_of_text(f"(float[1000] x, int64 p) => (seq(float[1000]) s8) {{ {nodes} }}")
    feeds = {"x": np.ones(1000, np.float32), "p": np.array(0)}
    with pytest.raises(CompileError, match=r"^put3: its result needs \d+ bytes, more than the limit of 16000"):
        Session(model, max_bytes=16000).run(None, feeds)
    (result,) = Session(model, max_bytes=40000).run(None, feeds)
    assert len(result) == 8
