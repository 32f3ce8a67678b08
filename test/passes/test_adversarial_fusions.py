"""Fusions that are easy to get wrong: each graph against ONNX Runtime and float64, and what became of its ops."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest

from nnfuse.dialects.nn.activation import ActivationAttr
from nnfuse.dialects.nn.base import NNOp
from nnfuse.lowering.onnx_to_nn import import_model
from nnfuse.runtime.pipelines import FUSE, run_passes
from nnfuse.runtime.reference import main_function
from nnfuse.runtime.session import Session

X, W, B = "float[2,3,6,5] x", "float[4,3,3,3] w", "float[4] b"
Y = "float[2,4,4,3]"

# name: (opset-17 graph, op counts after fusing, calls after lowering); what is not named must be absent
CASES: dict[str, tuple[str, str, str]] = {
    "conv, relu": (f"({X}, {W}, {B}) => ({Y} z) {{ y = Conv(x, w, b)  z = Relu(y) }}", "conv:relu", "matmulrelu"),
    "nodes in another order": (
        f"({X}, {W}, float[4,4,1,1] v) => ({Y} z, {Y} u) {{ y = Conv(x, w)  p = Conv(x, w)  z = Relu(y)  t = Tanh(p)"
        " s = Add(t, z)  u = Conv(s, v) }",
        "conv:relu conv:tanh add conv",
        "matmulrelu matmul matmul tanh add",
    ),
    "a result used twice": (
        f"({X}, {W}, {B}) => ({Y} z) {{ y = Conv(x, w, b)  r = Relu(y)  z = Add(r, y) }}",
        "conv relu add",
        "matmul relu add",
    ),
    "used once, by an op that uses it twice": (
        f"({X}, {W}, {B}) => ({Y} z) {{ y = Conv(x, w, b)  z = Mul(y, y) }}",
        "conv mul",
        "matmul mul",
    ),
    "its relu used twice": (
        f"({X}, {W}, {B}) => ({Y} z) {{ y = Conv(x, w, b)  r = Relu(y)  z = Mul(r, r) }}",
        "conv:relu mul",
        "matmulrelu mul",
    ),
    "a result that is a graph output": (
        f"({X}, {W}, {B}) => ({Y} y, {Y} z) {{ y = Conv(x, w, b)  z = Relu(y) }}",
        "conv relu",
        "matmul relu",
    ),
    "a layout op's result that is a graph output": (
        f"({X}, {W}) => (float[2,4,3,4] t, float[2,4,3,4] z)"
        " { y = Conv(x, w)  t = Transpose<perm=[0,2,3,1]>(y)  z = Relu(t) }",
        "conv transpose relu",
        "matmul transpose relu",
    ),
    "two convolutions of one input": (
        f"({X}, {W}, float[4,3,3,3] v) => ({Y} z)"
        " { p = Conv(x, w)  q = Conv(x, v)  r = Relu(p)  s = Relu(q)  z = Sub(r, s) }",
        "conv:relu conv:relu sub",
        "matmulrelu matmulrelu sub",
    ),
    "two convolutions of one input and filter": (
        f"({X}, {W}, {B}) => ({Y} z) {{ p = Conv(x, w)  q = Conv(x, w, b)  r = Relu(p)  z = Sub(r, q) }}",
        "conv:relu conv sub",
        "matmulrelu matmul sub",
    ),
    "bias, residual, relu": (
        f"({X}, {W}, {B}, {Y} x1) => ({Y} z) {{ y = Conv(x, w, b)  s = Add(y, x1)  z = Relu(s) }}",
        "conv add relu",
        "matmul add relu",
    ),
    "bias as an Add, residual, relu": (
        f"({X}, {W}, float[4,1,1] c, {Y} x1) => ({Y} z)"
        " { y = Conv(x, w)  p = Add(y, c)  s = Add(x1, p)  z = Relu(s) }",
        "conv add relu",
        "matmul add relu",
    ),
    "a residual of the bias's shape, computed at run time": (
        f"({X}, {W}, float[1,4,1,1] x1) => ({Y} z) {{ y = Conv(x, w)  s = Add(y, x1)  z = Relu(s) }}",
        "conv add relu",
        "matmul add relu",
    ),
    "an Add along the last axis": (
        f"({X}, {W}, float[3] c) => ({Y} z) {{ y = Conv(x, w)  s = Add(y, c)  z = Relu(s) }}",
        "conv add relu",
        "matmul add relu",
    ),
    "an Add of the whole result's size": (
        f"({X}, {W}, float[2,4,4,3] c) => ({Y} z) {{ y = Conv(x, w)  s = Add(y, c)  z = Relu(s) }}",
        "conv add relu",
        "matmul add relu",
    ),
    "an Add that broadcasts the convolution": (
        "(float[1,3,6,5] x, float[4,3,3,3] w, float[2,4,1,1] c) => (float[2,4,4,3] z)"
        " { y = Conv(x, w)  s = Add(y, c)  z = Relu(s) }",
        "conv add relu",
        "matmul add relu",
    ),
    "conv, transpose, relu": (
        f"({X}, {W}, {B}) => (float[2,4,3,4] z) {{ y = Conv(x, w, b)  t = Transpose<perm=[0,2,3,1]>(y)  z = Relu(t) }}",
        "conv:relu transpose",
        "matmulrelu transpose",
    ),
    "conv, relu, transpose, relu": (
        f"({X}, {W}) => (float[2,4,3,4] z)"
        " { y = Conv(x, w)  r = Relu(y)  t = Transpose<perm=[0,2,3,1]>(r)  z = Relu(t) }",
        "conv:relu transpose relu",
        "matmulrelu transpose relu",
    ),
    "relu of relu": (
        f"({X}, {W}, {B}) => ({Y} z) {{ y = Conv(x, w, b)  r = Relu(y)  z = Relu(r) }}",
        "conv:relu",
        "matmulrelu",
    ),
    "relu of a leaky relu": (
        f"({X}, {W}, {B}) => ({Y} z) {{ y = Conv(x, w, b)  r = LeakyRelu<alpha=0.5>(y)  z = Relu(r) }}",
        "conv:leaky_relu relu",
        "matmul leaky_relu relu",
    ),
    "relu of a pool": (
        f"({X}, {W}) => (float[2,4,3,2] z) {{ y = Conv(x, w)  p = MaxPool<kernel_shape=[2,2]>(y)  z = Relu(p) }}",
        "conv max_pool relu",
        "matmul max_pool relu",
    ),
    "clip from 0 to infinity": (
        f"({X}, {W}) => ({Y} z) <float lo = {{0}}> {{ y = Conv(x, w)  z = Clip(y, lo) }}",
        "conv:relu",
        "matmulrelu",
    ),
    "clip from 0 to 6": (
        f"({X}, {W}) => ({Y} z) <float lo = {{0}}, float hi = {{6}}> {{ y = Conv(x, w)  z = Clip(y, lo, hi) }}",
        "conv:clip",
        "matmul clip",
    ),
    "clip to 0": (
        f"({X}, {W}) => ({Y} z) <float hi = {{0}}> {{ y = Conv(x, w)  z = Clip(y, , hi) }}",
        "conv:clip",
        "matmul clip",
    ),
    "clip whose bounds cross": (
        f"({X}, {W}) => ({Y} z, {Y} y) <float lo = {{1}}, float hi = {{-1}}>"
        " { y = Conv(x, w)  q = Clip(y, lo, hi)  z = Add(q, y) }",
        "conv clip add",
        "matmul clip add",
    ),
    "clip whose bounds are inputs": (
        f"({X}, {W}, float xlo, float xhi) => ({Y} z) {{ y = Conv(x, w)  z = Clip(y, xlo, xhi) }}",
        "conv clip",
        "matmul clip",
    ),
    "clip whose bound is computed": (
        f"({X}, {W}, float xhi) => ({Y} z) <float lo = {{0}}> {{ h = Abs(xhi)  y = Conv(x, w)  z = Clip(y, lo, h) }}",
        "abs conv clip",
        "abs matmul clip",
    ),
    "relu, then clip": (
        f"({X}, {W}) => ({Y} z) <float lo = {{-1}}, float hi = {{2}}>"
        " { y = Conv(x, w)  r = Relu(y)  z = Clip(r, lo, hi) }",
        "conv:clip",
        "matmul clip",
    ),
    "bn whose statistics are computed at run time": (
        f"({X}, {W}, float[4] xs, float[4] b, float[4] m, float[4] xv) => ({Y} z)"
        " { y = Conv(x, w)  v = Exp(xv)  n = BatchNormalization(y, xs, b, m, v)  z = Relu(n) }",
        "exp conv batch_normalization:relu",
        "exp matmul batch_normalization:relu",
    ),
    "bn of one scale at run time": (
        f"({X}, {W}, float[4] xs, float[4] b, float[4] m, float[4] var) => ({Y} z)"
        " { y = Conv(x, w)  n = BatchNormalization(y, xs, b, m, var)  z = Relu(n) }",
        "conv batch_normalization:relu",
        "matmul batch_normalization:relu",
    ),
    "bn, relu": (
        f"({X}, {W}, float[4] s, float[4] b, float[4] m, float[4] var) => ({Y} z)"
        " { y = Conv(x, w)  n = BatchNormalization(y, s, b, m, var)  z = Relu(n) }",
        "conv:relu",
        "matmulrelu",
    ),
    "bn after the relu": (
        f"({X}, {W}, float[4] s, float[4] b, float[4] m, float[4] var) => ({Y} z)"
        " { y = Conv(x, w)  r = Relu(y)  z = BatchNormalization(r, s, b, m, var) }",
        "conv:relu batch_normalization",
        "matmulrelu batch_normalization",
    ),
    "bn of a result that is used elsewhere": (
        f"({X}, {W}, float[4] s, float[4] b, float[4] m, float[4] var) => ({Y} z)"
        " { y = Conv(x, w)  n = BatchNormalization(y, s, b, m, var)  r = Relu(n)  z = Add(r, y) }",
        "conv batch_normalization:relu add",
        "matmul batch_normalization:relu add",
    ),
    "a filter shared by two convolutions, one scaled": (
        f"({X}, {W}, float[4,1,1] k) => ({Y} z, {Y} u)"
        " { y = Conv(x, w)  s = Mul(y, k)  z = Relu(s)  p = Conv(x, w)  u = Relu(p) }",
        "conv:relu conv:relu",
        "matmulrelu matmulrelu",
    ),
    "a scale of 0 and negative scales": (
        f"({X}, {W}, {B}) => ({Y} z) <float[4,1,1] k = {{0, -1, 2, -3}}>"
        " { y = Conv(x, w, b)  s = Mul(y, k)  z = Relu(s) }",
        "conv:relu",
        "matmulrelu",
    ),
    "a scale after the relu": (
        f"({X}, {W}, float[4,1,1] k) => ({Y} z) {{ y = Conv(x, w)  r = Relu(y)  z = Mul(r, k) }}",
        "conv:relu mul",
        "matmulrelu mul",
    ),
    "pixels as many as channels, bias": (
        "(float[1,4,2,2] x, float[4,4,1,1] w, float[4] b) => (float[1,4,2,2] z) { y = Conv(x, w, b)  z = Relu(y) }",
        "conv:relu",
        "matmulrelu",
    ),
    "pixels as many as channels, Adds": (
        "(float[4,4,4,1] x, float[4,4,1,1] w, float[4,1,1] b, float[1,4,1] c) => (float[4,4,4,1] z)"
        " { y = Conv(x, w)  p = Add(y, b)  q = Add(p, c)  z = Relu(q) }",
        "conv add relu",
        "matmul add relu",
    ),
    "square gemm, bias along the rows": (
        "(float[4,4] x, float[4,4] w, float[4,1] c) => (float[4,4] z) { y = Gemm(x, w, c)  z = Relu(y) }",
        "gemm:relu",
        "matmulrelu",
    ),
    "square gemm, bias along the columns": (
        "(float[4,4] x, float[4,4] w, float[4] c) => (float[4,4] z) { y = Gemm<transB=1>(x, w, c)  z = Relu(y) }",
        "gemm:relu",
        "gemmrelu",
    ),
    "square matmul, a column added": (
        "(float[4,4] x, float[4,4] w, float[4,1] c) => (float[4,4] z) { y = MatMul(x, w)  s = Add(y, c)  z = Relu(s) }",
        "matmul add relu",
        "matmul add relu",
    ),
    "square matmul, a row added": (
        "(float[4,4] x, float[4,4] w, float[4] c) => (float[4,4] z) { y = MatMul(w, x)  s = Add(c, y)  z = Relu(s) }",
        "matmul:relu",
        "gemmrelu",
    ),
    "gemm without bias": (
        "(float[5,4] x, float[4,6] w) => (float[5,6] z) { y = Gemm(x, w)  z = Relu(y) }",
        "gemm:relu",
        "matmulrelu",
    ),
    "gemm of alpha and beta": (
        "(float[5,4] x, float[4,6] w, float[6] c) => (float[5,6] z)"
        " { y = Gemm<alpha=0.5, beta=-2.0>(x, w, c)  z = Relu(y) }",
        "gemm:relu",
        "matmulrelu",
    ),
    "gemm of beta 0": (
        "(float[5,4] x, float[4,6] w, float[6] c) => (float[5,6] z) { y = Gemm<beta=0.0>(x, w, c)  z = Relu(y) }",
        "gemm:relu",
        "matmulrelu",
    ),
    "gemm of beta != 1, all of C": (
        "(float[4,5] x, float[6,4] w, float[5,6] x1) => (float[5,6] z)"
        " { y = Gemm<beta=3.0, transA=1, transB=1>(x, w, x1)  z = Relu(y) }",
        "gemm:relu",
        "matmulrelu",
    ),
    "gemm of beta != 1, then a bias": (
        "(float[5,4] x, float[4,6] w, float[6] c, float[6] d) => (float[5,6] z)"
        " { y = Gemm<beta=3.0>(x, w, c)  s = Add(y, d)  z = Relu(s) }",
        "gemm:relu",
        "gemmrelu",
    ),
    "gemm of alpha, scaled": (
        "(float[5,4] x, float[4,6] w, float[6] c, float[6] k) => (float[5,6] z)"
        " { y = Gemm<alpha=2.0, beta=0.5>(x, w, c)  s = Mul(y, k)  z = Relu(s) }",
        "gemm:relu",
        "gemmrelu",
    ),
    "grouped": (
        "(float[2,4,6,5] x, float[6,2,3,3] w, float[6] b) => (float[2,6,4,3] z)"
        " { y = Conv<group=2>(x, w, b)  z = Relu(y) }",
        "conv:relu",
        "matmulrelu",
    ),
    "grouped, scaled, biased": (
        "(float[2,4,6,5] x, float[6,2,3,3] w, float[1,6,1,1] k, float[6,1,1] c) => (float[2,6,4,3] z)"
        " { y = Conv<group=2>(x, w)  s = Mul(y, k)  t = Add(s, c)  z = Relu(t) }",
        "conv:relu",
        "matmulrelu",
    ),
    "depthwise": (
        "(float[2,4,6,5] x, float[4,1,3,3] w, float[4] b) => (float[2,4,4,3] z)"
        " { y = Conv<group=4>(x, w, b)  z = Relu(y) }",
        "conv:relu",
        "conv:relu",
    ),
    "depthwise of multiplicity 2": (
        "(float[2,4,6,5] x, float[8,1,3,3] w, float[8] b) => (float[2,8,4,3] z)"
        " { y = Conv<group=4>(x, w, b)  z = Relu(y) }",
        "conv:relu",
        "conv:relu",
    ),
    "dilated, strided": (
        "(float[2,3,9,8] x, float[4,3,3,2] w, float[4] b) => (float[2,4,3,3] z)"
        " { y = Conv<dilations=[2,3], strides=[2,2]>(x, w, b)  z = Relu(y) }",
        "conv:relu",
        "matmulrelu",
    ),
    "asymmetric pads": (
        "(float[2,3,6,5] x, float[4,3,3,3] w, float[4] b) => (float[2,4,7,5] z)"
        " { y = Conv<pads=[2,0,1,2]>(x, w, b)  z = Relu(y) }",
        "conv:relu",
        "matmulrelu",
    ),
    "grouped, dilated, asymmetric pads": (
        "(float[2,4,7,5] x, float[6,2,2,2] w, float[6] b) => (float[2,6,8,4] z)"
        " { y = Conv<group=2, dilations=[2,2], pads=[3,0,0,1]>(x, w, b)  z = Relu(y) }",
        "conv:relu",
        "matmulrelu",
    ),
    "a Pad of another value": (
        "(float[2,3,6,5] x, float[4,3,3,3] w) => (float[2,4,6,5] z) <int64[8] p = {0,0,1,1,0,0,1,1}, float v = {1}>"
        " { q = Pad(x, p, v)  y = Conv(q, w)  z = Relu(y) }",
        "pad conv:relu",
        "pad matmulrelu",
    ),
    "symbolic sizes": (
        "(float[N,3,H,5] x, float[4,3,3,3] w, float[4] b) => (float[N,4,H,5] z)"
        " { y = Conv<pads=[1,1,1,1]>(x, w, b)  z = Relu(y) }",
        "conv:relu",
        "matmulrelu",
    ),
    "the residual is a view of a buffer that is then written": (
        f"(float[2,3,6,5] x, {W}, float[4,4,1,1] v) => ({Y} z, float[4,4,4,3] u)"
        ""
        " { y = Conv(x, w)  c = Concat<axis=0>(y, y)  a, b1 = Split<axis=0>(c)  p = Conv(a, v)  s = Add(p, b1)"
        " z = Relu(s)  n = Neg(y)  u = Concat<axis=0>(n, z) }",
        "conv concat split conv add relu neg concat",
        "matmul concat split matmul add relu neg concat",
    ),
}


def kinds(module: Any) -> Counter[str]:
    """How often each op stands in @main that is neither on weights only nor about layout; a call by its own name."""
    names: Counter[str] = Counter()
    for op in main_function(module).body.block.ops:
        if isinstance(op, NNOp) and op.name not in PLAIN:
            activation = op.properties.get("activation")
            kind = f":{activation.kind.data}" if isinstance(activation, ActivationAttr) else ""
            names[op.name.split(".")[1] + kind] += 1
    return names


PLAIN = {"nn.parameter", "nn.constant", "nn.reshape", "nn.flatten", "blas.im2col", "blas.broadcast"}


@pytest.mark.parametrize("name", CASES)
def test_adversarial_fusion(name: str, model_of: Any, ort: Any, float64_oracle: Any, close: Any) -> None:
    text, fused, lowered = CASES[name]
    model, feeds = model_of(f"g {text}", seed=len(text), xlo=np.array(-0.5, np.float32), xhi=np.array(0.75, np.float32))
    module = import_model(model)
    run_passes(module, f"{FUSE},hoist-parameters")
    assert kinds(module) == Counter(fused.split()), "after fusing"
    session = Session(model)
    compiled = session.compile([feeds[i.name].shape for i in session.get_inputs()])
    assert kinds(compiled) == Counter(lowered.split()), "after lowering"
    results, peers, truths = session.run(None, feeds), ort(model, feeds), float64_oracle(model, feeds)
    for index, (result, peer, truth) in enumerate(zip(results, peers, truths, strict=True)):
        assert np.ptp(truth) > 0.1 and result.shape == peer.shape and result.dtype == peer.dtype
        close(result, truth, peer, f"output {index}")
    for result, plain in zip(results, Session(model, fuse=False).run(None, feeds), strict=True):
        np.testing.assert_allclose(result, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in CASES if CASES[n][0].startswith(f"({X}") and f"{Y} c" not in CASES[n][0]])
def test_an_empty_batch(name: str, model_of: Any, ort: Any) -> None:
    """The same graphs without an image (but where a weight has the batch's size): ONNX Runtime's shapes and dtypes."""
    model, feeds = model_of(f"g {CASES[name][0]}")
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        if len(dims) == 4 and dims[0].dim_value == 2:
            dims[0].dim_value = 0
            if value.name in feeds:
                feeds[value.name] = feeds[value.name][:0]
    for fuse in (True, False):
        results = Session(model, fuse=fuse).run(None, feeds)
        for result, peer in zip(results, ort(model, feeds), strict=True):
            assert result.shape == peer.shape and result.dtype == peer.dtype and result.shape[0] == 0


SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, -1.5, 2.5, 1.0], np.float32)


@pytest.mark.parametrize("producer", ["Conv(x, w)", "Conv(x, w, b)"])
@pytest.mark.parametrize(
    ("activation", "fused", "expected"),
    [
        ("Relu(y)", "conv:relu", [np.nan, np.inf, 0, 0, 0, 0, 2.5, 1]),
        ("Clip(y, lo)", "conv:relu", [np.nan, np.inf, 0, 0, 0, 0, 2.5, 1]),
        ("Clip(y, lo, hi)", "conv:clip", [np.nan, 2, 0, 0, 0, 0, 2, 1]),
        ("LeakyRelu<alpha=0.5>(y)", "conv:leaky_relu", [np.nan, np.inf, -np.inf, 0, 0, -0.75, 2.5, 1]),
    ],
)
def test_nan_and_infinity(producer: str, activation: str, fused: str, expected: Any, model_of: Any, ort: Any) -> None:
    """What docs/numerics.md says of special values in a fused activation; fused and not, by NumPy and ONNX Runtime."""
    w, b = np.ones((1, 1, 1, 1), np.float32), np.zeros(1, np.float32)
    model, _ = model_of(
        "g (float[1,1,1,8] x, float[1,1,1,1] w, float[1] b) => (float[1,1,1,8] z) <float lo = {0}, float hi = {2}>"
        f" {{ y = {producer}  z = {activation} }}",
        w=w,
        b=b,
    )
    feeds = {"x": SPECIAL.reshape(1, 1, 1, 8)}
    module = import_model(model)
    run_passes(module, f"{FUSE},hoist-parameters")
    assert kinds(module) == Counter([fused])
    for fuse in (True, False):
        np.testing.assert_array_equal(Session(model, fuse=fuse).run(None, feeds)[0].reshape(8), expected)
    # Where Clip has no upper bound, ONNX Runtime takes the largest finite number for it.
    largest = np.finfo(np.float32).max if activation == "Clip(y, lo)" else np.inf
    np.testing.assert_array_equal(ort(model, feeds)[0].reshape(8), np.where(np.isposinf(expected), largest, expected))


def test_a_nan_in_one_channel_stays_there(model_of: Any, ort: Any) -> None:
    """Through im2col and the GEMM a NaN reaches the windows that see it, as in ONNX Runtime, and no others."""
    model, feeds = model_of(
        "g (float[2,3,6,5] x, float[4,3,3,3] w, float[4] b) => (float[2,4,4,3] z) { y = Conv(x, w, b)  z = Relu(y) }"
    )
    feeds["x"][1, 2, 0, 0] = np.nan
    (result,), (peer,) = Session(model).run(None, feeds), ort(model, feeds)
    assert 0 < np.isnan(result).sum() == 4
    np.testing.assert_array_equal(np.isnan(result), np.isnan(peer))


def test_an_infinite_weight(model_of: Any, ort: Any) -> None:
    """It reaches its whole channel, as NaN where it meets padding; the other channels are finite."""
    model, feeds = model_of(
        "g (float[2,3,6,5] x, float[4,3,3,3] w, float[4] b) => (float[2,4,6,5] z)"
        " { y = Conv<pads=[1,1,1,1]>(x, w, b)  z = Relu(y) }",
        seed=1,
    )
    w = onnx.numpy_helper.to_array(model.graph.initializer[0]).copy()
    w[2, 1, 0, 0] = np.inf
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(w, "w"))
    (result,), (peer,) = Session(model).run(None, feeds), ort(model, feeds)
    assert np.isnan(result[:, 2, 0]).all() and np.isinf(result[:, 2]).any()
    assert np.isfinite(result[:, [0, 1, 3]]).all()
    np.testing.assert_array_equal(np.isnan(result), np.isnan(peer))
    np.testing.assert_array_equal(np.isposinf(result), np.isposinf(peer))


def test_beta_0_does_not_read_c(model_of: Any, ort: Any) -> None:
    """A NaN in C does not come through a product that does not add it."""
    c = np.full(6, np.nan, np.float32)
    model, feeds = model_of(
        "g (float[5,4] x, float[4,6] w, float[6] c) => (float[5,6] z) { y = Gemm<beta=0.0>(x, w, c)  z = Relu(y) }", c=c
    )
    (result,), (peer,) = Session(model).run(None, feeds), ort(model, feeds)
    assert np.isfinite(result).all() and np.ptp(result) > 0.1
    np.testing.assert_allclose(result, peer, rtol=1e-5, atol=1e-6)
