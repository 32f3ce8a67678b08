"""Random numbers: reproducible, of the right distribution, and those of ONNX's reference implementation for a seed."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator
from xdsl.dialects.builtin import f32, f64, i32
from xdsl.utils.test_value import create_ssa_value

from nnfuse import Session
from nnfuse.dialects.nn.constant import ConstantOp
from nnfuse.dialects.nn.random import (
    BernoulliOp,
    MultinomialOp,
    RandomNormalLikeOp,
    RandomNormalOp,
    RandomUniformOp,
)
from nnfuse.dialects.nn.types import tensor
from nnfuse.errors import CompileError

SHAPE = (50, 40)
LIKE = np.zeros(SHAPE, np.float32)
CASES = [
    ("RandomNormal", [], {"shape": SHAPE, "mean": 2.0, "scale": 3.0}),
    ("RandomUniform", [], {"shape": SHAPE, "low": -1.0, "high": 5.0}),
    ("RandomNormalLike", [LIKE], {"mean": 2.0, "scale": 3.0}),
    ("RandomUniformLike", [LIKE], {"low": -1.0, "high": 5.0}),
    ("Bernoulli", [np.full(SHAPE, 0.3, np.float32)], {}),
]
TYPES = {"float32": 1, "float16": 10, "float64": 11}
every = pytest.mark.parametrize(("op", "inputs", "attributes"), CASES, ids=[c[0] for c in CASES])


def value(element, *dims):
    """An IR value of a tensor type."""
    return create_ssa_value(tensor(element, dims))


def model_of(op, inputs, attributes, name="node", opset=22):
    """A model of one node, its feeds."""
    feeds = {f"x{i}": x for i, x in enumerate(inputs)}
    node = helper.make_node(op, list(feeds), ["y"], name=name, **attributes)
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for n, x in feeds.items()
    ]
    graph = helper.make_graph([node], "g", infos, [onnx.ValueInfoProto(name="y")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), feeds


def draw(op, inputs, attributes, name="node"):
    """The numbers, by a session."""
    model, feeds = model_of(op, inputs, attributes, name)
    return Session(model).run(None, feeds)[0]


@every
@pytest.mark.parametrize("opset", [15, 22])
@pytest.mark.parametrize("seed", [0.0, 7.0, 12345.0])
def test_seeded_numbers_are_those_of_the_reference(check_node, op, inputs, attributes, opset, seed):
    attributes = attributes | {"seed": seed}
    expected = ReferenceEvaluator(model_of(op, inputs, attributes, opset=opset)[0]).run(
        None, {f"x{i}": x for i, x in enumerate(inputs)}
    )
    (result,) = check_node(op, inputs, attributes, opset=opset, expected=expected)
    assert len(np.unique(result)) == 2 if op == "Bernoulli" else len(np.unique(result)) > 0.99 * result.size


@every
def test_the_distribution(op, inputs, attributes):
    x = draw(op, inputs, attributes)
    mean, deviation = {"N": (2, 3), "U": (2, 6 / 12**0.5), "B": (0.3, 0.21**0.5)}[op.removeprefix("Random")[0]]
    assert x.shape == SHAPE and x.dtype == np.float32
    assert abs(x.mean() - mean) < 5 * deviation / x.size**0.5
    assert abs(x.std() - deviation) < 0.05 * deviation
    if "Uniform" in op:
        assert -1 <= x.min() < -0.98 and 4.98 < x.max() <= 5


@every
def test_runs_repeat_and_nodes_differ(op, inputs, attributes):
    model, feeds = model_of(op, inputs, attributes)
    session = Session(model)
    (first,), (second,) = session.run(None, feeds), session.run(None, feeds)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, draw(op, inputs, attributes))
    assert (first != draw(op, inputs, attributes, name="other")).mean() > 0.3
    assert (first != draw(op, inputs, attributes | {"seed": 3.0})).mean() > 0.3


def test_two_nodes_of_one_model_differ():
    nodes = [helper.make_node("RandomNormal", [], [n], shape=(30,)) for n in ("a", "b")]
    nodes.append(helper.make_node("Sub", ["a", "b"], ["y"]))
    graph = helper.make_graph(nodes, "g", [], [onnx.ValueInfoProto(name="y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    (result,) = Session(model).run(None, {})
    assert (result != 0).all()


@pytest.mark.parametrize("seed", [0.5, -1.0, 3e9, 1e30, np.inf, np.nan])
def test_any_seed_counts(seed):
    drawn = [draw("RandomNormal", [], {"shape": (9,), "seed": s}) for s in (seed, seed, 1.0, 0.0)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert all((drawn[0] != other).all() for other in drawn[2:])


@every
@pytest.mark.parametrize("dtype", TYPES)
def test_types(check_node, op, inputs, attributes, dtype):
    attributes = attributes | {"seed": 1.0}
    (plain,) = check_node(op, inputs, attributes, opset=22, against_ort=False)
    (result,) = check_node(op, inputs, attributes | {"dtype": TYPES[dtype]}, opset=22, against_ort=False)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, plain, rtol=2e-3, atol=2e-3)
    (result,) = check_node(op, [x.astype(dtype) for x in inputs], attributes, opset=22, against_ort=False)
    assert result.dtype == (dtype if inputs else np.float32)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool", "float64"])
def test_bernoulli_gives_any_type(check_node, dtype):
    number = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    x = np.array([0, 1, 0.5, 0, 1], np.float64)
    (result,) = check_node("Bernoulli", [x], {"dtype": number}, opset=15, against_ort=False)
    assert result.dtype == dtype and result[[0, 1, 3, 4]].tolist() == [0, 1, 0, 1]


def test_numbers_are_not_folded_into_the_text():
    assert RandomNormalLikeOp(ConstantOp.of(np.zeros(3, np.float32))).fold() is None
    assert BernoulliOp(ConstantOp.of(np.asarray(0.5, np.float32))).fold() is None


@pytest.mark.parametrize("dtype", [None, 6, 7])
def test_multinomial(check_node, dtype):
    p = np.array([[0.1, 0.2, 0.7], [0, 1, 0], [0.5, 0, 0.5]])
    with np.errstate(divide="ignore"):
        x = (np.log(p) + np.array([[3], [-1000], [500]])).astype(np.float32)  # they need not be normalised
    attributes = {"sample_size": 4000, "seed": 2.0} | ({} if dtype is None else {"dtype": dtype})
    (result,) = check_node("Multinomial", [x], attributes, opset=7, against_ort=False)
    assert result.shape == (3, 4000) and result.dtype == (np.int64 if dtype == 7 else np.int32)
    counts = np.array([np.bincount(row, minlength=3) for row in result]) / 4000
    np.testing.assert_allclose(counts, p, atol=0.03)
    assert not counts[p == 0].any()
    (again,) = check_node("Multinomial", [x], attributes, opset=22, against_ort=False)
    np.testing.assert_array_equal(again, result)


def test_multinomial_edges(check_node):
    for shape, size in (((0, 3), 2), ((2, 1), 3), ((2, 3), 0)):
        x = np.zeros(shape, np.float32)
        (result,) = check_node("Multinomial", [x], {"sample_size": size}, opset=22, against_ort=False)
        assert result.shape == (shape[0], size)
    assert check_node("Multinomial", [np.zeros((2, 3), np.float16)], opset=22, against_ort=False)[0].shape == (2, 1)


def test_small_shapes(check_node):
    for shape in ((), (0,), (2, 0)):
        x = np.zeros(shape, np.float32)
        for op in ("RandomNormalLike", "RandomUniformLike", "Bernoulli"):
            assert check_node(op, [x], opset=22, against_ort=False)[0].shape == shape


def test_refusals():
    with pytest.raises(CompileError, match=r"nn.random_normal needs operands of a float type, not i32"):
        RandomNormalOp(shape=[2], dtype=i32)
    with pytest.raises(CompileError, match="a dimension would be negative"):
        RandomUniformOp(shape=[2, -1])
    with pytest.raises(CompileError, match=r"nn.multinomial needs logarithms \[batch, classes\], not 3"):
        MultinomialOp(value(f32, 3))
    with pytest.raises(CompileError, match=r"nn.multinomial gives i32 or i64, not f64"):
        MultinomialOp(value(f32, 2, 3), dtype=f64)
    with pytest.raises(CompileError, match=r"nn.bernoulli needs operands of a float type, not i32"):
        BernoulliOp(value(i32, 3))
    for bad in (-0.1, 1.5, np.nan):
        with pytest.raises(CompileError, match=r"a probability of nn.bernoulli is not between 0 and 1"):
            BernoulliOp(value(f32, 1)).compute(np, [np.array([bad], np.float32)])
    for bad in (np.nan, np.inf, -np.inf):
        with np.errstate(all="ignore"), pytest.raises(CompileError, match=r"a row of nn.multinomial holds no prob"):
            MultinomialOp(value(f32, 1, 2)).compute(np, [np.full((1, 2), bad, np.float32)])
