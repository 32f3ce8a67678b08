"""What fusing passes compute: each equation in float64, fused and not, on random weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

# name: (passes, opset-17 graph, the ops that must be gone)
CASES: dict[str, tuple[str, str, str]] = {
    "bn into conv": (
        "fold-batch-norm",
        """g (float[N,3,8,7] x, float[4,3,3,3] w, float[4] s, float[4] b, float[4] m, float[4] var)
          => (float[N,4,8,7] z)
        { y = Conv<pads=[1,1,1,1]>(x, w)  z = BatchNormalization<epsilon=0.01>(y, s, b, m, var) }""",
        "batch_normalization",
    ),
    "bn into conv with bias, 1 spatial dim": (
        "fold-batch-norm",
        """g (float[2,3,8] x, float[4,3,3] w, float[4] c, float[4] s, float[4] b, float[4] m, float[4] var)
          => (float[2,4,6] z)
        { y = Conv(x, w, c)  z = BatchNormalization(y, s, b, m, var) }""",
        "batch_normalization",
    ),
    "bn into grouped conv, 3 spatial dims": (
        "fold-batch-norm",
        """g (float[1,4,3,4,5] x, float[6,2,2,2,2] w, float[6] s, float[6] b, float[6] m, float[6] var)
          => (float[1,6,2,3,4] z)
        { y = Conv<group=2>(x, w)  z = BatchNormalization(y, s, b, m, var) }""",
        "batch_normalization",
    ),
    "bn into depthwise, dilated, strided conv": (
        "fold-batch-norm",
        """g (float[2,4,9,9] x, float[4,1,2,2] w, float[4] s, float[4] b, float[4] m, float[4] var)
          => (float[2,4,4,4] z)
        { y = Conv<group=4, dilations=[2,2], strides=[2,2]>(x, w)  z = BatchNormalization(y, s, b, m, var) }""",
        "batch_normalization",
    ),
    "bn into conv transpose": (
        "fold-batch-norm",
        """g (float[2,3,4,4] x, float[3,5,2,2] w, float[5] c, float[5] s, float[5] b, float[5] m, float[5] var)
          => (float[2,5,8,8] z)
        { y = ConvTranspose<strides=[2,2]>(x, w, c)  z = BatchNormalization(y, s, b, m, var) }""",
        "batch_normalization",
    ),
    "bn into grouped conv transpose": (
        "fold-batch-norm",
        """g (float[2,6,4,4] x, float[6,2,3,3] w, float[4] s, float[4] b, float[4] m, float[4] var)
          => (float[2,4,6,6] z)
        { y = ConvTranspose<group=2>(x, w)  z = BatchNormalization(y, s, b, m, var) }""",
        "batch_normalization",
    ),
    "bn into depthwise conv transpose, square": (
        "fold-batch-norm",
        """g (float[4,4,4,4] x, float[4,1,1,1] w, float[4] s, float[4] b, float[4] m, float[4] var)
          => (float[4,4,4,4] z)
        { y = ConvTranspose<group=4>(x, w)  z = BatchNormalization(y, s, b, m, var) }""",
        "batch_normalization",
    ),
    "bn into gemm": (
        "fold-batch-norm",
        """g (float[5,4] x, float[4,4] w, float[5,1] c, float[4] s, float[4] b, float[4] m, float[4] var)
          => (float[5,4] z)
        { y = Gemm<alpha=0.5, beta=3.0>(x, w, c)  z = BatchNormalization(y, s, b, m, var) }""",
        "batch_normalization",
    ),
    "bn into square gemm, transposed": (
        "fold-batch-norm",
        """g (float[4,4] x, float[4,4] w, float[4] s, float[4] b, float[4] m, float[4] var) => (float[4,4] z)
        { y = Gemm<transA=1, transB=1>(x, w)  z = BatchNormalization(y, s, b, m, var) }""",
        "batch_normalization",
    ),
    "bn into matmul": (
        "fold-batch-norm",
        """g (float[N,4] x, float[4,4] w, float[4] s, float[4] b, float[4] m, float[4] var) => (float[N,4] z)
        { y = MatMul(x, w)  z = BatchNormalization(y, s, b, m, var) }""",
        "batch_normalization",
    ),
    "bn into batched matmul through a transpose": (
        "fold-batch-norm",
        """g (float[3,4,4] x, float[4,4] w, float[4] s, float[4] b, float[4] m, float[4] var) => (float[3,4,4] z)
        { y = MatMul(x, w)  t = Transpose<perm=[0,2,1]>(y)  z = BatchNormalization(t, s, b, m, var) }""",
        "batch_normalization",
    ),
    "bn of bn into matmul": (
        "fold-batch-norm",
        """g (float[2,4] x, float[4,4] w, float[4] s, float[4] b, float[4] m, float[4] var, float[4] s1, float[4] b1,
          float[4] m1, float[4] var1) => (float[2,4] z)
        { t = MatMul(x, w)  y = BatchNormalization(t, s, b, m, var)  z = BatchNormalization(y, s1, b1, m1, var1) }""",
        "batch_normalization",
    ),
    "scale into conv": (
        "fold-scale",
        """g (float[2,3,5,5] x, float[4,3,2,2] w, float[4] c, float[1,4,1,1] s, float[4,1,1] positive, float[1] t)
          => (float[2,4,4,4] z)
        { y = Conv(x, w, c)  a = Mul(s, y)  b = Div(a, positive)  z = Mul(b, t) }""",
        "mul div",
    ),
    "scale into grouped conv transpose": (
        "fold-scale",
        """g (float[2,6,4,4] x, float[6,2,3,3] w, float[4] c, float[4,1,1] s) => (float[2,4,6,6] z)
        { y = ConvTranspose<group=2>(x, w, c)  z = Mul(y, s) }""",
        "mul",
    ),
    "scale into gemm": (
        "fold-scale",
        """g (float[4,4] x, float[4,4] w, float[4,4] c, float[1,4] s) => (float[4,4] z)
        { y = Gemm<alpha=2.0, beta=0.25, transB=1>(x, w, c)  z = Mul(y, s) }""",
        "mul",
    ),
    "scale into gemm whose c does not count": (
        "fold-scale",
        """g (float[4,4] x, float[4,4] w, float[4,4] c, float[4] s) => (float[4,4] z)
        { y = Gemm<beta=0.0>(x, w, c)  z = Mul(y, s) }""",
        "mul",
    ),
    "scale into batched matmul": (
        "fold-scale",
        """g (float[3,4,4] x, float[3,4,4] w, float[4] s) => (float[3,4,4] z)
        { y = MatMul(x, w)  z = Mul(y, s) }""",
        "mul",
    ),
    "bias into conv": (
        "fuse-bias",
        """g (float[N,3,5,5] x, float[4,3,2,2] w, float[1,4,1,1] b, float[4,1,1] c, float d) => (float[N,4,4,4] z)
        { y = Conv(x, w)  p = Add(b, y)  q = Sub(p, c)  z = Add(q, d) }""",
        "add sub",
    ),
    "one number into conv": (
        "fuse-bias",
        """g (float[2,3,5,5] x, float[4,3,2,2] w, float[1] b)
          => (float[2,4,4,4] z) { y = Conv(x, w)  z = Sub(y, b) }""",
        "sub",
    ),
    "bias into conv transpose with output shape": (
        "fuse-bias",
        """g (float[2,3,4,4] x, float[3,5,2,2] w, float[5,1,1] b) => (float[2,5,7,7] z)
        { y = ConvTranspose<strides=[2,2], output_shape=[7,7]>(x, w)  z = Add(y, b) }""",
        "add",
    ),
    "bias into gemm": (
        "fuse-bias",
        """g (float[4,4] x, float[4,4] w, float[4,1] c, float[4] b, float[1,4] d) => (float[4,4] z)
        { y = Gemm<alpha=2.0, beta=0.5>(x, w, c)  a = Add(y, b)  z = Sub(a, d) }""",
        "add sub",
    ),
    "bias into gemm whose c does not count": (
        "fuse-bias",
        """g (float[4,4] x, float[4,4] w, float[4,4] c, float[4] b) => (float[4,4] z)
        { y = Gemm<beta=0.0>(x, w, c)  z = Add(y, b) }""",
        "add",
    ),
    "bias into gemm without c, beta 2": (
        "fuse-bias",
        """g (float[4,4] x, float[4,4] w, float[4] b) => (float[4,4] z) { y = Gemm<beta=2.0>(x, w)  z = Add(y, b) }""",
        "add",
    ),
    "bias into matmul, both vectors and stacks": (
        "fuse-bias",
        """g (float[3,4,4] x, float[4,4] w, float[4] v, float[4] b, float[3,4] c) => (float[3,4,4] z, float[3,4] u)
        { y = MatMul(x, w)  z = Add(y, b)  t = MatMul(x, v)  u = Add(b, t) }""",
        "add",
    ),
    "bias through NHWC, flatten and squeeze": (
        "fuse-bias",
        """g (float[2,3,1,5] x, float[4,3,1,2] w, float[4] b, float[4,1] c, float[4,4] f)
          => (float[2,1,4,4] z, float[2,4,4] u)
        <int64[1] axes = {2}> { y = Conv(x, w)  t = Transpose<perm=[0,2,3,1]>(y)  z = Add(t, b)
          p = Conv(x, w)  s = Squeeze(p, axes)  u = Add(s, c) }""",
        "add",
    ),
    "bias through a reshape of the batch": (
        "fuse-bias",
        """g (float[6,4] x, float[4,5] w, float[5] b) => (float[2,3,5] z)
        <int64[3] shape = {2, 3, 5}> { y = MatMul(x, w)  r = Reshape(y, shape)  z = Add(r, b) }""",
        "add",
    ),
    "bias into gemm that does not read its c": (
        "fuse-bias",
        """g (float[4,4] x, float[4,4] w, float[4] b) => (float[4,4] z)
        { y = Gemm<beta=0.0>(x, w, x)  z = Add(y, b) }""",
        "add",
    ),
    "activation through layout": (
        "fuse-activation",
        """g (float[2,3,5,5] x, float[4,3,2,2] w) => (float[2,64] z)
        { y = Conv(x, w)  t = Transpose<perm=[0,2,3,1]>(y)  f = Flatten(t)  z = HardSwish(f) }""",
        "hard_swish",
    ),
    "activations": (
        "fuse-activation",
        """g (float[4,4] x, float[4,4] w, float lo, float[4,4] c)
          => (float[4,4] a1, float[4,4] b1, float[4,4] c1, float[4,4] d1, float[4,4] e1)
        { a = Gemm(x, w, c)  a1 = LeakyRelu<alpha=0.3>(a)  b = MatMul(x, w)  b1 = Elu<alpha=0.7>(b)  c0 = Gemm(x, w)
          c1 = Selu(c0)
          d = Gemm<beta=0.0>(x, w, c)  d1 = HardSigmoid<alpha=0.3, beta=0.4>(d)  e = MatMul(w, x)
            e1 = Softplus(e) }""",
        "leaky_relu elu selu hard_sigmoid softplus",
    ),
    "clip": (
        "fuse-activation",
        """g (float[4,4] x, float[4,4] w) => (float[4,4] z, float[4,4] u)
        <float lo = {-0.5}, float hi = {0.25}> { y = MatMul(x, w)  z = Clip(y, lo, hi)  t = MatMul(x, w)
          u = Clip(t, , hi) }""",
        "clip",
    ),
    "pad into conv": (
        "fold-pad",
        """g (float[N,3,5,6] x, float[4,3,3,2] w) => (float[N,4,8,10] z)
        <int64[8] p = {0,0,1,2,0,0,3,4}> { y = Pad(x, p)  z = Conv<pads=[1,0,0,-0]>(y, w) }""",
        "pad",
    ),
    "pad into dilated conv, valid": (
        "fold-pad",
        """g (float[2,4,5,6] x, float[4,1,2,2] w) => (float[2,4,3,4] z)
        <int64[8] p = {0,0,1,2,0,0,2,1}> { y = Pad(x, p)
          z = Conv<auto_pad="VALID", group=4, dilations=[2,2], strides=[2,2]>(y, w) }""",
        "pad",
    ),
    "pad into average pool": (
        "fold-pad",
        """g (float[2,3,5,6] x) => (float[2,3,4,6] z, float[2,3,6,8] u)
        <int64[8] p = {0,0,1,2,0,0,1,1}> { y = Pad(x, p)  z = AveragePool<kernel_shape=[4,4]>(y)
          q = Pad(x, p)  u = AveragePool<kernel_shape=[4,4], pads=[1,1,1,1], count_include_pad=1>(q) }""",
        "pad",
    ),
    "everything": (
        "canonicalize,fold-pad,fold-batch-norm,fold-scale,fuse-bias,fuse-activation",
        """g (float[N,3,5,5] x, float[4,3,3,3] w, float[4] s, float[4] b, float[4] m, float[4] var, float[1,4,1,1] k,
          float[4,1,1] c) => (float[N,4,5,5] z)
        <int64[8] p = {0,0,1,1,0,0,1,1}> { x1 = Pad(x, p)  y = Conv(x1, w)  n = BatchNormalization(y, s, b, m, var)
          t = Mul(n, k)  u = Add(t, c)  v = Sigmoid(u)  z = Mul(u, v) }""",
        "pad batch_normalization mul add sigmoid",
    ),
    "dense layers, each of which reads all before": (
        "fuse-pointwise",
        """g (float[2,4,5,3] x, float[2,4,5,3] y, float[2,1,5,3] q, float[8] s, float[8] b, float[8] m, float[8] var,
           float[9,1,1] u, float[9,1,1] v) => (float[2,8,5,3] z, float[2,9,5,3] t)
        { c = Concat<axis=1>(x, y)  n = BatchNormalization<epsilon=0.01>(c, s, b, m, var)  z = Relu(n)
          d = Concat<axis=-3>(c, q)  e = Mul(d, u)  f = Add(v, e)  t = Relu(f) }""",
        "concat batch_normalization mul add relu",
    ),
    "batch norm of each element, then a gate": (
        "fuse-pointwise",
        """g (float[3,4,5] x, float[3,4,1] gate, float[4] s, float[4] b, float[4] m, float[4] var)
          => (float[3,4,5] z)
        { n = BatchNormalization(x, s, b, m, var)  z = Mul(gate, n) }""",
        "batch_normalization mul",
    ),
    "spelled out with two results": (
        "fuse-pointwise",
        """g (float[2,5,7] x, float[7] k) => (float[2,5,7] s, float[2,5,7] z)
        { s = Add(x, k)  e = Exp(s)  n = Neg(s)  l = LeakyRelu<alpha=0.2>(n)  w = Div(l, e)  z = PRelu(w, k) }""",
        "add exp neg leaky_relu div prelu",
    ),
    "sums, extremes and conditions": (
        "fuse-pointwise",
        """g (float[2,5] x, float[5] k, float[2,1] l) => (float[2,5] z)
        { a = Sum(x, k, l)  b = Max(a, l, x)  c = Mean(b, k)  d = Floor(c)  e = Equal(d, x)  f = Where(e, x, c)
          z = Min(f, k) }""",
        "sum max mean floor equal where min",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_fused_equals_unfused(name: str, model_of: Any, fused: Any, ort: Any, close: Any) -> None:
    """To 1e-12 of the largest result in float64, and to ONNX Runtime's; and what should have been fused is gone."""
    passes, text, gone = CASES[name]
    model, feeds = model_of(text)
    expected, before = fused(model, feeds, "")
    results, after = fused(model, feeds, passes)
    assert results and all(np.ptp(e) > 0.1 for e in expected)
    for result, truth, peer in zip(results, expected, ort(model, feeds), strict=True):
        np.testing.assert_allclose(result, truth, rtol=1e-12, atol=1e-12 * np.abs(truth).max())
        close(peer, result)
    for op in gone.split():
        assert f"nn.{op}" in before and f"nn.{op}" not in after, f"{op}: {after}"


# name: (passes, opset, graph, the ops that must stay)
KEPT: dict[str, tuple[str, int, str, str]] = {
    "constant minus conv": (
        "fold-affine",
        17,
        """g (float[2,3,5,5] x, float[4,3,2,2] w, float[4,1,1] b) => (float[2,4,4,4] z)
        { y = Conv(x, w)  z = Sub(b, y) }""",
        "conv sub",
    ),
    "constant divided by batch norm": (
        "fold-affine",
        17,
        """g (float[2,4,3] x, float[4] s, float[4] b, float[4] m, float[4] var, float[4,1] c) => (float[2,4,3] z)
        { y = BatchNormalization(x, s, b, m, var)  z = Div(c, y) }""",
        "batch_normalization div",
    ),
    "bn with parameters for each element": (
        "fold-affine",
        8,
        """g (float[2,3,5] x, float[4,3,2] w, float[4,4] s, float[4,4] b, float[4,4] m, float[4,4] var)
          => (float[2,4,4] z)
        { y = Conv(x, w)  z = BatchNormalization<spatial=0>(y, s, b, m, var) }""",
        "conv batch_normalization",
    ),
    "result used twice": (
        "fold-affine,fuse-activation",
        17,
        """g (float[4,4] x, float[4,4] w, float[4] b) => (float[4,4] z, float[4,4] y)
        { y = MatMul(x, w)  t = Add(y, b)  z = Relu(y) }""",
        "matmul relu",
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_must_not_be_fused(name: str, model_of: Any, fused: Any) -> None:
    """The ops stay, and mean what they did."""
    passes, opset, text, kept = KEPT[name]
    model, feeds = model_of(text, opset=opset)
    expected, _ = fused(model, feeds, "")
    results, after = fused(model, feeds, passes)
    assert all(np.ptp(e) > 0.1 for e in expected)
    for result, truth in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, truth, rtol=1e-12, atol=1e-12 * np.abs(truth).max())
    for op in kept.split():
        assert f"nn.{op}" in after, f"{op}: {after}"


# Every size is 4, so that no mistake in an axis changes a shape.
PRODUCERS = {
    "conv": ("float[4,4,4,4] w", "Conv<pads=[1,2,2,1]>(x0, w)", 4),
    "conv with bias": ("float[4,4,1,1] w, float[4] c", "Conv(x0, w, c)", 4),
    "grouped conv": ("float[4,2,1,1] w, float[4] c", "Conv<group=2>(x0, w, c)", 4),
    "conv transpose": ("float[4,4,1,1] w", "ConvTranspose(x0, w)", 4),
    "grouped conv transpose": ("float[4,2,1,1] w, float[4] c", "ConvTranspose<group=2>(x0, w, c)", 4),
    "gemm": ("float[4,4] w, float[4] c", "Gemm<alpha=0.5, beta=2.0>(x1, w, c)", 2),
    "gemm with a column": ("float[4,4] w, float[4,1] c", "Gemm<transA=1>(x1, w, c)", 2),
    "gemm without c": ("float[4,4] w", "Gemm<beta=3.0, transB=1>(x1, w)", 2),
    "matmul": ("float[4,4] w", "MatMul(x1, w)", 2),
    "stack of matmuls": ("float[4,4] w", "MatMul(x0, w)", 4),
    "matmul by a stack": ("float[4,4,4,4] w", "MatMul(x1, w)", 4),
    "batch norm": ("float[4] w, float[4] c, float[4] positive", "BatchNormalization(x0, w, c, w, positive)", 4),
}
CONSTANTS = ["", "1", "4", "1,4", "4,1", "4,1,1", "1,4,1,1", "1,1,4,1", "4,4", "4,1,1,1", "1,1,1,4"]


def random_chain(producer: str, seed: int) -> str:
    """A graph: a producer, then four random steps (arithmetic, batch-norms, transposes), an activation."""
    rng = np.random.default_rng(seed)
    weights, call, rank = PRODUCERS[producer]
    inputs, nodes, value = [weights], [f"v0 = {call}"], "v0"
    for step in range(1, 5):
        kind = rng.choice(["Add", "Sub", "Mul", "Div", "BatchNormalization", "Transpose"])
        shapes = [s for s in CONSTANTS if s.count(",") < rank]
        shape, name, new = rng.choice(shapes), f"positive{step}", f"v{step}"
        if kind == "BatchNormalization":
            inputs += [f"float[4] {n}{step}" for n in ("s", "b", "m", "var")]
            nodes.append(f"{new} = BatchNormalization({value}, s{step}, b{step}, m{step}, var{step})")
        elif kind == "Transpose":
            perm = ",".join(map(str, rng.permutation(rank)))
            nodes.append(f"{new} = Transpose<perm=[{perm}]>({value})")
        else:
            inputs.append(f"float[{shape}] {name}" if shape else f"float {name}")
            pair = (value, name) if kind == "Div" or rng.random() < 0.5 else (name, value)
            nodes.append(f"{new} = {kind}({', '.join(pair)})")
        value = new
    nodes.append(f"z = LeakyRelu<alpha=0.5>({value})")
    result = ",".join("4" * rank)
    return f"g (float[4,4,4,4] x0, float[4,4] x1, {', '.join(inputs)}) => (float[{result}] z) {{ {'  '.join(nodes)} }}"


@pytest.mark.parametrize("producer", PRODUCERS)
def test_random_chains(producer: str, model_of: Any, fused: Any, ort: Any, close: Any) -> None:
    """Chains of right and wrong constants mean the same fused; some fuse as a whole, some in part."""
    left: list[int] = []
    for seed in range(40):
        model, feeds = model_of(random_chain(producer, seed), seed=seed)
        (truth,), before = fused(model, feeds, "")
        (result,), after = fused(model, feeds, "canonicalize,fold-affine,fuse-activation")
        np.testing.assert_allclose(result, truth, rtol=1e-11, atol=1e-12 * np.abs(truth).max(), err_msg=f"seed {seed}")
        close(ort(model, feeds)[0], result, what=f"seed {seed}")
        left.append(len(after) / len(before))
    assert min(left) < 0.5 < max(left)
