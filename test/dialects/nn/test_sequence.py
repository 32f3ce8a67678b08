"""Sequences: what goes in comes out, as in ONNX Runtime and in onnx's reference, and what does not fit is refused."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from nnfuse.errors import CompileError
from nnfuse.lowering.onnx_to_nn import import_model
from nnfuse.runtime.parameters import ModelParameters
from nnfuse.runtime.reference import evaluate, main_function
from nnfuse.runtime.session import Session

RNG = np.random.default_rng(0)


def model_of_text(text: str, opset: int = 17) -> onnx.ModelProto:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> {text}')
    onnx.checker.check_model(model)
    return model


def assert_equal(result, expected):
    """Equal, with the dtypes and shapes: nothing is computed on the way."""
    assert isinstance(result, list) == isinstance(expected, list) and (result is None) == (expected is None)
    if isinstance(expected, list):
        assert len(result) == len(expected)
        for pair in zip(result, expected, strict=True):
            assert_equal(*pair)
    elif expected is not None:
        expected = np.asarray(expected)
        assert isinstance(result, np.ndarray) and (result.shape, result.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_array_equal(result, expected)


@pytest.fixture
def agrees(ort):
    """`agrees(text, **feeds)`: the outputs, the same fused, not fused, op by op in float64, and by ONNX Runtime."""

    def check(text, **feeds):
        model = model_of_text(text)
        results = Session(model).run(None, feeds)
        peers = ort(model, feeds)
        assert_equal(results, peers)
        assert_equal(Session(model, fuse=False).run(None, feeds), peers)
        arguments = [tuple(v) if isinstance(v, list) else v for v in feeds.values()]
        truths = evaluate(main_function(import_model(model)), arguments, ModelParameters(model).__getitem__, wide=True)
        for result, truth in zip(results, truths, strict=True):
            for one, other in zip(*[v if isinstance(v, list | tuple) else [v] for v in (result, truth)], strict=True):
                np.testing.assert_array_equal(one, other)
        return results

    return check


def normal(*dims):
    return RNG.standard_normal(dims).astype(np.float32)


# Making, changing and reading


@pytest.mark.parametrize("position", [-3, -1, 0, 2])
def test_construct_at(agrees, position):
    """Positions from both ends, of elements of different sizes; the position is an input, a constant, and of i32."""
    text = """g (float[2,N] a, float[2,M] b, float[2,3] c, {kind} i) => (float[2,K] y, int64 n) {{
        s = SequenceConstruct(a, b, c)  y = SequenceAt(s, i)  n = SequenceLength(s) }}"""
    arrays = {"a": normal(2, 4), "b": normal(2, 1), "c": normal(2, 3)}
    for kind, dtype in (("int64", np.int64), ("int32", np.int32)):
        agrees(text.format(kind=kind), **arrays, i=np.array(position, dtype))
    constant = """g (float[2,N] a, float[2,M] b, float[2,3] c) => (float[2,K] y) {{
        i = Constant <value = int64 {{{p}}}> ()  s = SequenceConstruct(a, b, c)  y = SequenceAt(s, i) }}"""
    agrees(constant.format(p=position), **arrays)


@pytest.mark.parametrize("position", [-2, 0, 1, 2])
def test_insert(agrees, position):
    """Before the element at a position, the end included."""
    text = """g (seq(float[N]) s, float[M] x, int64 i) => (seq(float[N]) t, seq(float[N]) u) {
        t = SequenceInsert(s, x, i)  u = SequenceInsert(s, x) }"""
    inserted, appended = agrees(text, s=[normal(2), normal(3)], x=normal(4), i=np.array(position, np.int64))
    assert ([len(v) for v in appended] == [2, 3, 4] and [len(v) for v in inserted] != [2, 3, 4]) or position == 2


@pytest.mark.parametrize("position", [-2, -1, 0, 1])
def test_erase(agrees, position):
    text = """g (seq(float[N]) s, int64 i) => (seq(float[N]) t, seq(float[N]) u) {
        t = SequenceErase(s, i)  u = SequenceErase(s) }"""
    erased, shorter = agrees(text, s=[normal(2), normal(3)], i=np.array(position, np.int64))
    assert len(erased) == len(shorter) == 1


def test_empty(agrees):
    """A list that starts empty, of another element type than the default too, and one that stays empty."""
    text = """g (int64[2] a, int64[3] b, float[1] c) => (seq(int64[N]) s, seq(float[N]) t, seq(float[N]) e, int64 n) {
        i = SequenceEmpty <dtype = 7> ()  j = SequenceInsert(i, a)  s = SequenceInsert(j, b)
        e = SequenceEmpty()  n = SequenceLength(e)  t = SequenceInsert(e, c) }"""
    results = agrees(text, a=np.arange(2), b=np.arange(3), c=normal(1))
    assert results[2] == [] and results[3] == 0


def test_ranks_may_differ(agrees):
    """Elements of several ranks are kept, counted and returned; only what reads one needs to know its rank."""
    text = """g (float[2] a, float[2,3] b, float c) => (seq(float) s, int64 n) {
        s = SequenceConstruct(a, b, c)  n = SequenceLength(s) }"""
    agrees(text, a=normal(2), b=normal(2, 3), c=np.asarray(normal(1)[0]))


@pytest.mark.parametrize("dtype", [np.float64, np.int8, np.uint16, np.bool_, np.float16, ml_dtypes.bfloat16])
def test_element_types(dtype):
    """Whatever the element type, elements come out as they went in."""
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    values = [(np.arange(3) % 2).astype(dtype), np.ones(2, dtype)]
    infos = [helper.make_tensor_value_info(n, element, [None]) for n in "ab"]
    nodes = [helper.make_node("SequenceConstruct", ["a", "b"], ["s"]), helper.make_node("Identity", ["s"], ["t"])]
    graph = helper.make_graph(nodes, "g", infos, [onnx.ValueInfoProto(name="t")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    (result,) = Session(model).run(None, dict(zip("ab", values, strict=True)))
    assert_equal(result, values)


# Tensors and their pieces


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_split_into_ones(agrees, axis, keepdims):
    """`keepdims` says whether pieces of size 1 keep their axis."""
    text = f"""g (float[N,M] x) => (seq(float[K]) s) {{ s = SplitToSequence <axis={axis}, keepdims={keepdims}> (x) }}"""
    agrees(text.replace("[K]", "[K,L]" if keepdims else "[K]"), x=normal(3, 4))


@pytest.mark.parametrize("split", [1, 2, 3, 9])
def test_split_into_equal(agrees, split):
    """The last piece may be smaller; the size comes as an input or a constant."""
    text = """g (float[N,5] x, int64 l) => (seq(float[K,5]) s, int64 n) {
        s = SplitToSequence <axis=0> (x, l)  n = SequenceLength(s) }"""
    agrees(text, x=normal(6, 5), l=np.array(split, np.int64))
    text = f"""g (float[N,5] x) => (seq(float[N,K]) s) {{
        l = Constant <value = int64 {{{split}}}> ()  s = SplitToSequence <axis=1> (x, l) }}"""
    agrees(text, x=normal(6, 5))


def test_split_ignores_keepdims():
    """With `split`, as ONNX says; ONNX Runtime drops the axis of pieces of size 1, and fails on others."""
    text = """g (float[N,2] x, int64 l) => (seq(float[K,2]) s) { s = SplitToSequence <keepdims=0> (x, l) }"""
    x = normal(3, 2)
    (result,) = Session(model_of_text(text)).run(None, {"x": x, "l": np.array(1)})
    assert_equal(result, [x[:1], x[1:2], x[2:]])


def test_unbind(agrees):
    """As torch exports it: with a split of 1 that is a constant, and a keepdims that counts all the same."""
    text = """g (float[N,5] x) => (seq(float[5]) s, float[5] y) {
        l = Constant <value = int64 {1}> ()  s = SplitToSequence <axis=0, keepdims=0> (x, l)
        i = Constant <value_int=1> ()  y = SequenceAt(s, i) }"""
    agrees(text, x=normal(3, 5))


@pytest.mark.parametrize("split", [[6], [1, 5], [2, 0, 4], [0, 6]])
def test_split_into_sizes(agrees, split):
    text = """g (float[N,2] x, int32[K] l) => (seq(float[M,2]) s) { s = SplitToSequence(x, l) }"""
    agrees(text, x=normal(6, 2), l=np.array(split, np.int32))


@pytest.mark.parametrize(("size", "dims"), [(1, "K"), (2, "K,L")])
def test_split_into_any_number_of_equal_sizes(agrees, size, dims):
    """How many pieces there are is not known before a run; their size is, and so a rank that it decides."""
    text = f"""g (int64[N] x, float[M] z) => (float[{dims}] y) {{
        d = Shape(z)  l = ConstantOfShape <value = int64[1] {{{size}}}> (d)  s = SplitToSequence(x, l)
        i = Constant <value_int=1> ()  e = SequenceAt(s, i)  v = Constant <value_float=2.0> ()  y = Expand(v, e) }}"""
    x, z = np.arange(1, 3 * size + 1), normal(3)
    agrees(text, x=x, z=z)
    with pytest.raises(
        CompileError, match=rf"^s: size {3 * size} cannot be split into {[size] * 2}$".replace("[", r"\[")
    ):
        Session(model_of_text(text)).run(None, {"x": x, "z": z[:2]})


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concat(agrees, axis):
    """Along an axis of theirs, and along a new one."""
    text = f"""g (seq(float[N,M]) s) => (float[K,L] y, float[K,L,P] z) {{
        y = ConcatFromSequence <axis={axis}> (s)  z = ConcatFromSequence <axis={axis}, new_axis=1> (s) }}"""
    agrees(text, s=[normal(2, 3), normal(2, 3), normal(2, 3)])


def test_split_and_joined(agrees):
    """Pieces that are computed on: canonicalised, they are those of one Split, which a sequence never holds."""
    text = """g (float[6,4] x) => (float[2,4] y, float[4,4] z, int64 n) {
        l = Constant <value = int64[3] {2,2,2}> ()  i = Constant <value = int64 {0}> ()
        j = Constant <value = int64 {1}> ()  k = Constant <value = int64 {-1}> ()
        s = SplitToSequence(x, l)  a = SequenceAt(s, i)  b = SequenceAt(s, j)  c = SequenceAt(s, k)
        y = Add(a, b)  t = SequenceConstruct(y, c)  z = ConcatFromSequence <axis=0> (t)  n = SequenceLength(t) }"""
    agrees(text, x=np.arange(24, dtype=np.float32).reshape(6, 4))
    module = Session(model_of_text(text)).compile([(6, 4)])
    assert [op.name for op in main_function(module).body.block.ops if "sequence" in op.name] == []


def test_views_of_the_arena_are_copied(agrees):
    """A sequence outlives the places of what was put in: those are used again before it is read."""
    text = """g (float[4,4] x, int64 i) => (float[4,4] y) {
        a = Relu(x)  s = SplitToSequence <axis=0> (a)  t = SequenceConstruct(a, x)
        b = Neg(x)  c = Add(b, x)  d = Mul(c, b)  e = ConcatFromSequence <axis=0> (s)  f = SequenceAt(t, i)
        g = Add(d, e)  y = Add(g, f) }"""
    agrees(text, x=np.arange(-8, 8, dtype=np.float32).reshape(4, 4), i=np.array(0, np.int64))


OPERATORS = {
    "SequenceEmpty": "(float[2] x) => (seq(float[N]) s) { e = SequenceEmpty()  s = SequenceInsert(e, x) }",
    "SequenceConstruct": "(float[2] x) => (seq(float[2]) s) { s = SequenceConstruct(x, x) }",
    "SequenceInsert": "(float[2] x, seq(float[N]) t) => (seq(float[N]) s) { s = SequenceInsert(t, x) }",
    "SequenceErase": "(seq(float[N]) t) => (seq(float[N]) s) { s = SequenceErase(t) }",
    "SequenceAt": "(seq(float[N]) t, int64 i) => (float[N] s) { s = SequenceAt(t, i) }",
    "SequenceLength": "(seq(float[N]) t) => (int64 s) { s = SequenceLength(t) }",
    "SplitToSequence": "(float[2] x) => (seq(float[1]) s) { s = SplitToSequence(x) }",
    "ConcatFromSequence": "(seq(float[N]) t) => (float[N] s) { s = ConcatFromSequence <axis=0> (t) }",
}


@pytest.mark.parametrize("opset", [11, 24])
@pytest.mark.parametrize("operator", OPERATORS)
def test_opsets(operator, opset):
    """Each operator as onnx's reference computes it, of the first opset that has it and of a new one."""
    model = model_of_text(f"g {OPERATORS[operator]}", opset)
    values = {"x": normal(2), "t": [normal(2), normal(3)], "i": np.array(1)}
    feeds = {i.name: values[i.name] for i in model.graph.input}
    expected = ReferenceEvaluator(model).run(None, feeds)
    assert_equal(Session(model).run(None, feeds), expected)
