"""RMS, group, mean-variance and vector-norm normalisation against ONNX Runtime and their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import f32, f64, i32
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.axes_norm import LpNormalizationOp, MeanVarianceNormalizationOp, RMSNormalizationOp
from nnfuse.dialects.nn.group_norm import GroupNormalizationOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.errors import CompileError, UnsupportedError

RNG = np.random.default_rng(11)


def normal(*shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


def value(element, *dims):
    return create_ssa_value(tensor(element, dims))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
@pytest.mark.parametrize("shape", [(2, 6), (2, 6, 5), (1, 6, 3, 4), (2, 6, 2, 2, 3)])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_normalization(check_node, shape, groups, dtype):
    x, scale, bias = normal(*shape, dtype=dtype) + dtype(3), normal(6, dtype=dtype), normal(6, dtype=dtype)
    wide = x.astype(np.float64).reshape(shape[0], groups, -1)
    wide = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-2)
    many = (6, *[1] * (len(shape) - 2))
    y = wide.reshape(shape) * scale.reshape(many) + bias.reshape(many)
    attributes = {"num_groups": groups, "epsilon": 1e-2}
    check_node("GroupNormalization", [x, scale, bias], attributes, expected=[y.astype(dtype)])


def test_group_normalization_of_opset_18(check_node):
    x, scale, bias = normal(2, 6, 5), normal(3), normal(3)
    repeated = [x, np.repeat(scale, 2), np.repeat(bias, 2)]
    expected = check_node("GroupNormalization", repeated, {"num_groups": 3}, against_ort=False)
    check_node("GroupNormalization", [x, scale, bias], {"num_groups": 3}, opset=18, expected=expected)
    with pytest.raises(CompileError, match="node: scale 6 must have 3 numbers in opset 18"):
        check_node("GroupNormalization", repeated, {"num_groups": 3}, opset=18)
    with pytest.raises(CompileError, match="node: scale 3 must have 6 numbers in opset 21"):
        check_node("GroupNormalization", [x, scale, bias], {"num_groups": 3})


@pytest.mark.parametrize("axis", [None, -1, 1, -3])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_rms_normalization(check_node, axis, dtype):
    x = normal(2, 3, 4, dtype=dtype)
    axes = tuple(range((-1 if axis is None else axis) % 3, 3))
    scale = normal(*x.shape[axes[0] :], dtype=dtype)
    wide = x.astype(np.float64)
    y = wide / np.sqrt((wide**2).mean(axes, keepdims=True) + 0.1) * scale
    attributes = {"epsilon": 0.1} | ({} if axis is None else {"axis": axis})
    check_node("RMSNormalization", [x, scale], attributes, opset=23, expected=[y.astype(dtype)])
    one = check_node("RMSNormalization", [x, np.ones(1, np.float32)], attributes, opset=23, against_ort=False)
    assert one[0].dtype == np.float32


@pytest.mark.parametrize("axes", [None, [0], [1, 2], [-1], [0, 1, 2, 3]])
@pytest.mark.parametrize("opset", [9, 13])
def test_mean_variance_normalization(check_node, axes, opset):
    x = normal(2, 3, 4, 5) * 3 + 2
    reduced = tuple(axes or (0, 2, 3))
    wide = x.astype(np.float64)
    y = (wide - wide.mean(reduced, keepdims=True)) / wide.std(reduced, keepdims=True)
    attributes = {} if axes is None else {"axes": axes}
    check_node("MeanVarianceNormalization", [x], attributes, opset=opset, expected=[y.astype(np.float32)])
    check_node("MeanVarianceNormalization", [x * 0 + 1], attributes, opset=opset, expected=[x * 0])


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("axis", [None, 0, 1, -2])
def test_lp_normalization(check_node, p, axis):
    x = normal(3, 4, 5)
    x[:, 1] = 0
    x[1, :, 2] = 0
    check_node("LpNormalization", [x], {"p": p} | ({} if axis is None else {"axis": axis}))
    size = np.linalg.norm(x.astype(np.float64), ord=p, axis=-1 if axis is None else axis, keepdims=True)
    expected = (x / np.where(size == 0, 1, size)).astype(np.float32)
    check_node("LpNormalization", [x], {"p": p} | ({} if axis is None else {"axis": axis}), expected=[expected])


def test_nothing_to_normalize(check_node):
    none = np.zeros((0, 3), np.float32)
    check_node("LpNormalization", [none], against_ort=False)
    check_node("RMSNormalization", [none, normal(3)], opset=23, against_ort=False)


X = value(f32, 2, 6, 4)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: GroupNormalizationOp(X, value(f32, 6), value(f32, 6), num_groups=4),
            "2x6x4 do not split into 4 groups",
        ),
        (lambda: GroupNormalizationOp(X, value(f32, 6), value(f32, 5), num_groups=2), "bias 5 does not fit 2x6x4"),
        (lambda: GroupNormalizationOp(X, value(f64, 6), value(f64, 6), num_groups=2), "one element type"),
        (lambda: RMSNormalizationOp(X, value(f32, 3)), "scale 3 does not broadcast to 2x6x4"),
        (lambda: RMSNormalizationOp(X, value(f32, 4), axis=3), "axis 3 is out of range"),
        (lambda: MeanVarianceNormalizationOp(X), "axis 3 is out of range"),
        (lambda: MeanVarianceNormalizationOp(value(i32, 2), axes=[0]), "a float type, not i32"),
        (lambda: LpNormalizationOp(X, p=3), "p of nn.lp_normalization must be 1 or 2, not 3"),
    ],
)
def test_operands_that_do_not_fit(build, message):
    with pytest.raises(CompileError, match=message):
        build()


@pytest.mark.parametrize("name", ["GroupNormalization", "RMSNormalization"])
def test_other_statistics_are_refused(check_node, name):
    inputs = [normal(2, 6), normal(6), normal(6)][: 3 if name[0] == "G" else 2]
    fields = {"stash_type": 10} | ({"num_groups": 2} if name[0] == "G" else {})
    with pytest.raises(UnsupportedError, match=f"node: {name} with a stash_type other than 1"):
        check_node(name, inputs, fields, opset=23)
