"""Normalisations against ONNX Runtime."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from xdsl.dialects.builtin import bf16, f16, f32, f64, i32
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.norm import BatchNormalizationOp, InstanceNormalizationOp, LayerNormalizationOp, LRNOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.errors import CompileError, UnsupportedError

RNG = np.random.default_rng(6)


def normal(*shape, dtype=np.float32):
    """Standard normal numbers."""
    return RNG.standard_normal(shape).astype(dtype)


def parameters(*shape, dtype=np.float32):
    """scale, bias, mean, var"""
    return [normal(*shape, dtype=dtype) for _ in range(3)] + [RNG.uniform(0.5, 2, shape).astype(dtype)]


def value(element, *dims):
    """An IR value of a tensor type."""
    return create_ssa_value(tensor(element, dims))


@pytest.mark.parametrize("opset", [7, 9, 14, 15])
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 5), (2, 3, 4, 5), (1, 3, 2, 2, 2)])
def test_batch_normalization(check_node, opset, shape):
    check_node("BatchNormalization", [normal(*shape), *parameters(3)], opset=opset)


@pytest.mark.parametrize("opset", [7, 9, 14])
def test_batch_normalization_attributes(check_node, opset):
    attributes = {"epsilon": 0.1, "momentum": 0.3} | ({"training_mode": 0} if opset >= 14 else {})
    check_node("BatchNormalization", [normal(2, 3, 4), *parameters(3)], attributes, opset=opset)


@pytest.mark.parametrize("spatial", [0, 1])
def test_batch_normalization_per_element(check_node, spatial):
    given = parameters(3) if spatial else parameters(3, 4, 5)
    check_node("BatchNormalization", [normal(2, 3, 4, 5), *given], {"spatial": spatial}, opset=7)


def test_batch_normalization_of_a_vector(check_node):
    x, (scale, bias, mean, var) = normal(4), parameters(1)
    expected = [(x - mean) / np.sqrt(var + np.float32(1e-5)) * scale + bias]
    check_node("BatchNormalization", [x, scale, bias, mean, var], opset=15, expected=expected)


@pytest.mark.parametrize("types", [("f2", "f4", "f4"), ("f4", "f8", "f8"), ("f4", "f4", "f8"), ("f8", "f8", "f8")])
def test_batch_normalization_of_several_types(check_node, types):
    x, (scale, bias, mean, var) = normal(2, 3, 4), parameters(3)
    expected = ((x - mean[:, None]) / np.sqrt(var[:, None] + 1e-5)) * scale[:, None] + bias[:, None]
    inputs = [
        x.astype(types[0]),
        *(v.astype(types[1]) for v in (scale, bias)),
        *(v.astype(types[2]) for v in (mean, var)),
    ]
    check_node("BatchNormalization", inputs, opset=15, expected=[expected.astype(types[0])])


def test_batch_normalization_training_is_refused(check_node):
    inputs = [normal(2, 3), *parameters(3)]
    with pytest.raises(UnsupportedError, match="node: BatchNormalization with training_mode = 1"):
        check_node("BatchNormalization", inputs, {"training_mode": 1}, opset=15)
    with pytest.raises(UnsupportedError, match="node: output 1 of BatchNormalization is not supported"):
        check_node("BatchNormalization", inputs, opset=9, outputs=5)
    with pytest.raises(CompileError, match="spatial = 0 needs parameters of rank 2, not 1"):
        check_node("BatchNormalization", [normal(2, 3, 4), *parameters(3)], {"spatial": 0}, opset=7)


@pytest.mark.parametrize("shape", [(2, 3, 10), (2, 3, 4, 5), (1, 3, 2, 3, 4)])
@pytest.mark.parametrize("opset", [7, 22])
def test_instance_normalization(check_node, shape, opset):
    inputs = [normal(*shape) + 10, normal(3), normal(3)]
    check_node("InstanceNormalization", inputs, {"epsilon": 1e-3}, opset=opset)
    check_node("InstanceNormalization", inputs, opset=opset)


@pytest.mark.parametrize("axis", [None, -1, 1, 2, -3, 0])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_layer_normalization(check_node, axis, bias, outputs):
    x = normal(2, 3, 4, 5) + 3
    shape = x.shape[-1 if axis is None else axis :]
    inputs = [x, normal(*shape), *([normal(*shape)] if bias else [])]
    attributes = {} if axis is None else {"axis": axis}
    results = check_node("LayerNormalization", inputs, attributes, opset=17, outputs=outputs)
    assert len(results) == outputs


def test_layer_normalization_epsilon_and_broadcast_scale(check_node):
    inputs = [normal(2, 3, 8), np.ones(1, np.float32), normal(8)]
    expected = inputs[0] - inputs[0].mean(-1, keepdims=True)
    expected = expected / np.sqrt((expected**2).mean(-1, keepdims=True) + np.float32(0.1)) + inputs[2]
    check_node("LayerNormalization", inputs, {"epsilon": 0.1, "stash_type": 1}, opset=17, expected=[expected])


def test_layer_normalization_of_f16_has_f32_statistics(check_node):
    x = (normal(4, 64) + 5).astype(np.float16)
    inputs = [x, normal(64, dtype=np.float16), normal(64, dtype=np.float16)]
    wide = x.astype(np.float32)
    mean = wide.mean(-1, keepdims=True)
    deviation = 1 / np.sqrt(wide.var(-1, keepdims=True) + np.float32(1e-5))
    y = (wide - mean) * deviation * inputs[1].astype(np.float32) + inputs[2].astype(np.float32)
    check_node("LayerNormalization", inputs, opset=17, outputs=3, expected=[y.astype(np.float16), mean, deviation])


def test_layer_normalization_of_bf16():
    op = LayerNormalizationOp(value(bf16, 4, 64), value(bf16, 64), outputs=2)
    x, scale = (normal(4, 64) + 5).astype(ml_dtypes.bfloat16), normal(64).astype(ml_dtypes.bfloat16)
    y, mean = op.compute(np, [x, scale])
    wide = x.astype(np.float32)
    exact = (
        (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-5) * scale.astype(np.float32)
    )
    assert (y.dtype, mean.dtype) == (ml_dtypes.bfloat16, np.float32)
    np.testing.assert_allclose(y.astype(np.float32), exact, rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(mean, wide.mean(-1, keepdims=True), rtol=1e-5)


def test_layer_normalization_stash_type_is_refused(check_node):
    with pytest.raises(UnsupportedError, match="stash_type other than 1"):
        check_node("LayerNormalization", [normal(2, 3), normal(3)], {"stash_type": 16}, opset=17)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("opset", [7, 13])
def test_lrn(check_node, size, opset):
    attributes = {"size": size, "alpha": 0.5, "beta": 0.6, "bias": 1.5}
    check_node("LRN", [normal(2, 6, 3, 4) * 2], attributes, opset=opset, against_ort=size % 2 == 1)


@pytest.mark.parametrize("size", [2, 4, 5])
def test_lrn_against_its_definition(check_node, size):
    x, expected = normal(2, 6, 3, 4) * 2, np.empty((2, 6, 3, 4), np.float32)
    for c in range(6):
        low, high = max(c - (size - 1) // 2, 0), min(c + -(-(size - 1) // 2), 5)
        expected[:, c] = x[:, c] / (1 + 0.5 / size * (x[:, low : high + 1] ** 2).sum(1)) ** 0.75
    check_node("LRN", [x], {"size": size, "alpha": 0.5}, opset=13, expected=[expected])


def test_lrn_defaults(check_node):
    check_node("LRN", [normal(1, 5, 2, 2) * 100], {"size": 3}, opset=13)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: BatchNormalizationOp(value(f32, 2, 3), *[value(f32, 4)] * 4),
            "scale 4 does not fit the channels of 2x3",
        ),
        (lambda: BatchNormalizationOp(value(i32, 2, 3), *[value(f32, 3)] * 4), "a float type, not i32"),
        (lambda: BatchNormalizationOp(value(f32, 2, 3), value(f32, 3), *[value(f16, 3)] * 3), "one element type"),
        (
            lambda: BatchNormalizationOp(value(f32, 2, 3, 4), *[value(f32, 3, 5)] * 4),
            "3x5 does not fit the elements of 2x3x4",
        ),
        (
            lambda: InstanceNormalizationOp(value(f32, 2, 3), value(f32, 3), value(f32, 3)),
            r"needs \[N, C, spatial...\]",
        ),
        (lambda: InstanceNormalizationOp(value(f32, 2, 3, 4), value(f32, 3), value(f32, 2)), "bias 2 does not fit"),
        (lambda: LayerNormalizationOp(value(f32, 2, 3), value(f32, 2)), "2 does not broadcast to 2x3"),
        (lambda: LayerNormalizationOp(value(f32, 2, 3), value(f64, 3)), "one element type"),
        (lambda: LayerNormalizationOp(value(f32, 2, 3), value(f32, 3), axis=2), "axis 2 is out of range"),
        (lambda: LRNOp(value(f32, 2, 3), size=0), "size 0 does not fit"),
        (lambda: LRNOp(value(f32, 2), size=3), "size 3 does not fit 2"),
    ],
)
def test_operands_that_do_not_fit(build, message):
    with pytest.raises(CompileError, match=message):
        build()
