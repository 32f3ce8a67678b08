"""Activations against ONNX Runtime and float64, as ops and as epilogues."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from xdsl.dialects.builtin import f16, f32, i1, i32
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn import NN
from nnfuse.dialects.nn.activation import ActivationAttr
from nnfuse.dialects.nn.activation_functions import ACTIVATIONS
from nnfuse.dialects.nn.activations import ActivationOp, GeluOp, LeakyReluOp, PReluOp, ReluOp, SeluOp, SwishOp
from nnfuse.dialects.nn.assembly import SEGMENTS
from nnfuse.dialects.nn.types import tensor
from nnfuse.errors import CompileError

RNG = np.random.default_rng(2)
CASES = [
    ("Relu", {}, 13),
    ("Relu", {}, 14),
    ("LeakyRelu", {}, 7),
    ("LeakyRelu", {"alpha": 0.3}, 16),
    ("LeakyRelu", {"alpha": -1.5}, 16),
    ("Elu", {}, 7),
    ("Elu", {"alpha": 2.5}, 21),
    ("Selu", {}, 7),
    ("Selu", {"alpha": 1.5, "gamma": 2.0}, 21),
    ("Sigmoid", {}, 7),
    ("Sigmoid", {}, 13),
    ("HardSigmoid", {}, 7),
    ("HardSigmoid", {"alpha": 0.5, "beta": 0.25}, 21),
    ("HardSwish", {}, 14),
    ("Tanh", {}, 13),
    ("Softplus", {}, 7),
    ("Celu", {}, 12),
    ("Celu", {"alpha": 2.5}, 21),
    ("ThresholdedRelu", {}, 10),
    ("ThresholdedRelu", {"alpha": -0.5}, 21),
    ("Shrink", {}, 9),
    ("Shrink", {"lambd": 1.5, "bias": 0.75}, 21),
    ("Softsign", {}, 7),
    ("Mish", {}, 18),
    ("Gelu", {}, 20),
    ("Gelu", {"approximate": "tanh"}, 20),
]
PARAMETERS = {0: (), 1: (0.5,), 2: (0.25, 1.5)}
KINDS = [(kind, PARAMETERS[count]) for kind, (count, _) in ACTIVATIONS.items()]


def value(element, *dims):
    """An IR value of a tensor type."""
    return create_ssa_value(tensor(element, dims))


@pytest.mark.parametrize(("op", "attributes", "opset"), CASES)
@pytest.mark.parametrize("shape", [(2, 3, 40), (), (0, 3)])
def test_f32(check_node, op, attributes, opset, shape):
    (result,) = check_node(op, [np.asarray(RNG.standard_normal(shape) * 3, np.float32)], attributes, opset=opset)
    assert result.shape == shape


@pytest.mark.parametrize(("op", "attributes", "opset"), CASES)
def test_f16(check_node, op, attributes, opset):
    x = (RNG.standard_normal(300) * 3).astype(np.float16)
    check_node(op, [x], attributes, opset=opset, against_ort=op in ("Relu", "LeakyRelu"))


def test_swish(check_node):
    x = RNG.standard_normal((3, 40)).astype(np.float32)
    for alpha in (1.0, 1.7):
        check_node("Swish", [x], {"alpha": alpha}, opset=24, expected=[x / (1 + np.exp(-np.float32(alpha) * x))])


@pytest.mark.parametrize("dtype", ["int8", "int32"])
def test_relu_of_integers(check_node, dtype):
    (result,) = check_node("Relu", [np.array([-5, 0, 7], dtype)], opset=14)
    assert result.tolist() == [0, 0, 7]


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8"])
def test_shrink_of_integers(check_node, dtype):
    x = np.array([0, 1, 2, 3, 100], dtype) if dtype == "uint8" else np.array([-100, -2, -1, 0, 1, 2, 100], dtype)
    (result,) = check_node("Shrink", [x], {"lambd": 1.5, "bias": 1.5}, against_ort=dtype == "int32")
    expected = np.trunc(
        np.sign(x.astype(float)) * np.where(np.abs(x.astype(float)) > 1.5, np.abs(x.astype(float)) - 1.5, 0)
    )
    np.testing.assert_array_equal(result, expected.astype(dtype))


@pytest.mark.parametrize("slope", [(2, 3, 4), (3, 1), (4,), (1,), ()])
@pytest.mark.parametrize("opset", [7, 9, 16])
def test_prelu(check_node, slope, opset):
    x = RNG.standard_normal((2, 3, 4)).astype(np.float32)
    check_node("PRelu", [x, np.asarray(RNG.uniform(-1, 1, slope), np.float32)], opset=opset)


def test_prelu_keeps_nan_and_ignores_the_slope_of_positive_elements(check_node):
    x, slope = np.array([np.nan, 2, -2], np.float32), np.array([0.5, np.inf, 0.5], np.float32)
    (result,) = check_node("PRelu", [x, slope])
    np.testing.assert_array_equal(result, [np.nan, 2, -1])


def test_prelu_slopes_must_broadcast_to_the_operand():
    with pytest.raises(CompileError, match="slope 4 does not broadcast to 2x3"):
        PReluOp(value(f32, 2, 3), value(f32, 4))
    with pytest.raises(CompileError, match="slope 5x2x3 does not broadcast to 2x3"):
        PReluOp(value(f32, 2, 3), value(f32, 5, 2, 3))


@pytest.mark.parametrize("op", ["Relu", "LeakyRelu", "Elu", "Sigmoid", "HardSigmoid", "Tanh", "Softplus"])
def test_special_values(check_node, op):
    x = np.array([np.nan, np.inf, -np.inf, 0, 1e-38, 1e30, -1e30, 100, -100], np.float32)
    (result,) = check_node(op, [x], opset=14, against_ort=False)
    assert np.isnan(result[0]) and not np.isnan(result[1:]).any()


@pytest.mark.parametrize(("kind", "parameters"), KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_are_warning_free_and_keep_nan(kind, parameters, dtype):
    limits = np.finfo(dtype)
    x = np.array([np.nan, np.inf, -np.inf, 0, limits.max, limits.min, limits.tiny, 1e4, -1e4, 0.5], dtype)
    kept = x.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = ActivationAttr.of(kind, *parameters).apply(np, x)
    assert result.dtype == dtype and np.isnan(result[0]) and np.isfinite(result[3:8]).any()
    np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize(
    ("activation", "formula"),
    [
        (("relu",), lambda x: max(x, 0)),
        (("leaky_relu", 0.25), lambda x: x if x > 0 else 0.25 * x),
        (("clip", -1, 0.5), lambda x: min(max(x, -1), 0.5)),
        (("elu", 0.5), lambda x: x if x > 0 else 0.5 * (math.exp(x) - 1)),
        (("selu", 0.5, 3), lambda x: 3 * (x if x > 0 else 0.5 * (math.exp(x) - 1))),
        (("sigmoid",), lambda x: 1 / (1 + math.exp(-x))),
        (("hard_sigmoid", 0.25, 0.5), lambda x: max(0, min(1, 0.25 * x + 0.5))),
        (("hard_swish",), lambda x: x * max(0, min(1, x / 6 + 0.5))),
        (("tanh",), math.tanh),
        (("softplus",), lambda x: math.log(1 + math.exp(x))),
        (("gelu",), lambda x: x / 2 * (1 + math.erf(x / math.sqrt(2)))),
        (("gelu_tanh",), lambda x: x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
        (("celu", 2), lambda x: max(0, x) + min(0, 2 * (math.exp(x / 2) - 1))),
        (("thresholded_relu", 0.75), lambda x: x if x > 0.75 else 0),
        (("shrink", 0.75, 0.25), lambda x: x + 0.25 if x < -0.75 else x - 0.25 if x > 0.75 else 0),
        (("softsign",), lambda x: x / (1 + abs(x))),
        (("mish",), lambda x: x * math.tanh(math.log(1 + math.exp(x)))),
        (("swish", 2), lambda x: x / (1 + math.exp(-2 * x))),
    ],
    ids=lambda a: a[0] if isinstance(a, tuple) else "",
)
def test_functions_are_exact_in_float64(activation, formula):
    x = np.linspace(-9, 9, 181)
    result = ActivationAttr.of(*activation).apply(np, x)
    np.testing.assert_allclose(result, [formula(v) for v in x.tolist()], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("op_class", [c for c in NN.operations if issubclass(c, ActivationOp)])
def test_attributes_are_written_back_as_ops(op_class):
    fields = dict.fromkeys(op_class.get_irdl_definition().properties, 0.375) if op_class is not GeluOp else {}
    fields = {name: number for name, number in fields.items() if name not in SEGMENTS}
    attribute = op_class(value(f32, 2), **fields).activation()
    *_, op = op_class.written(value(f32, 2), attribute)
    assert isinstance(op, op_class) and op.activation() == attribute
    others = [c for c in NN.operations if issubclass(c, ActivationOp) and c is not op_class]
    assert not any(c.written(value(f32, 2), attribute) for c in others)


@pytest.mark.parametrize(("kind", "parameters"), KINDS)
@pytest.mark.parametrize("shape", [(4, 100), ()])
def test_functions_work_in_place(kind, parameters, shape):
    attribute = ActivationAttr.of(kind, *parameters)
    x = np.asarray(RNG.standard_normal(shape) * 3, np.float32)
    fresh = attribute.apply(np, x)
    other = np.full_like(x, 7)
    assert attribute.apply(np, x, out=other) is other
    np.testing.assert_array_equal(other, fresh)
    assert attribute.apply(np, x, out=x) is x
    np.testing.assert_array_equal(x, fresh)


@pytest.mark.parametrize("op_class", [c for c in NN.operations if issubclass(c, ActivationOp)])
def test_every_activation_is_registered(op_class):
    op = op_class(value(f32, 2))
    attribute = op.activation()
    attribute.verify()
    x = np.array([-0.7, 0.4], np.float32)
    np.testing.assert_array_equal(attribute.apply(np, x), op.compute(np, [x])[0])


def test_activation_attributes():
    x = value(f32, 2)
    assert ReluOp(x).activation() == ActivationAttr.of("relu")
    assert LeakyReluOp(x, alpha=0.1).activation() == ActivationAttr.of("leaky_relu", 0.1)
    assert SeluOp(x, alpha=1.5, gamma=2.0).activation() == ActivationAttr.of("selu", 1.5, 2.0)
    assert GeluOp(x).activation() == ActivationAttr.of("gelu")
    assert GeluOp(x, approximate="tanh").activation() == ActivationAttr.of("gelu_tanh")
    assert SwishOp(x, alpha=1.0).activation() == ActivationAttr.of("swish", 1.0)


def test_unknown_activations_are_refused():
    for kind, parameters in (("relu6", ()), ("relu", (1.0,)), ("leaky_relu", ())):
        with pytest.raises(VerifyException, match=r"unknown activation .*; known, .*: relu, leaky_relu<1>, clip<2>"):
            ActivationAttr.of(kind, *parameters)


@pytest.mark.parametrize("op_class", [c for c in NN.operations if issubclass(c, ActivationOp)])
def test_bools_are_refused(op_class):
    with pytest.raises(CompileError, match=f"{op_class.name} needs"):
        op_class(value(i1, 2))


def test_gelu_refuses_unknown_approximations():
    with pytest.raises(CompileError, match="approximate 'fast' is unknown"):
        GeluOp(value(f16, 2), approximate="fast")


def test_floats_only():
    with pytest.raises(CompileError, match=r"nn.leaky_relu needs operands of a float type, not i32"):
        LeakyReluOp(value(i32, 2))
