"""What exporters really write: small graphs in their idioms give right answers, and fuse as if written plainly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from nnfuse.runtime.pipelines import FUSE
from nnfuse.runtime.reference import main_function
from nnfuse.runtime.session import Session


@dataclass(frozen=True)
class Idiom:
    """An opset-17 graph, the ops left after fusing (those on weights not counted), and an activation among them."""

    graph: str
    left: str
    activation: str = ""


IDIOMS = {
    "paddle: Conv, Add of [1,C,1,1], Identity, batch-norm, ReLU": Idiom(
        """g (float[N,3,8,8] x, float[6,3,3,3] w, float[1,6,1,1] c, float[6] s, float[6] b, float[6] m, float[6] var)
        => (float[N,6,8,8] z)
        { y = Conv<pads=[1,1,1,1]>(x, w)  a = Add(y, c)  i = Identity(a)  n = BatchNormalization(i, s, b, m, var)
          z = Relu(n) }""",
        "nn.conv",
        "relu",
    ),
    "paddle: HardSwish as Add, Clip, Mul, Div": Idiom(
        """g (float[N,3,8,8] x, float[6,3,3,3] w, float[1,6,1,1] c) => (float[N,6,6,6] z)
        { three = Constant<value = float {3.0}>()  zero = Constant<value = float {0.0}>()
          six = Constant<value = float {6.0}>()  y = Conv(x, w)  a = Add(y, c)
          p = Add(a, three)  k = Clip(p, zero, six)  q = Mul(a, k)  z = Div(q, six) }""",
        "nn.conv",
        "hard_swish",
    ),
    "tf2onnx: NHWC between transposes, bias and ReLU behind one": Idiom(
        """g (float[N,8,8,3] x, float[6,3,3,3] w, float[6] b, float[5,6,1,1] w1) => (float[N,8,8,5] z)
        { t = Transpose<perm=[0,3,1,2]>(x)  y = Conv<pads=[1,1,1,1]>(t, w)  u = Transpose<perm=[0,2,3,1]>(y)
          a = Add(u, b)  r = Relu(a)  v = Transpose<perm=[0,3,1,2]>(r)  y1 = Conv(v, w1)
          z = Transpose<perm=[0,2,3,1]>(y1) }""",
        "nn.transpose nn.conv nn.conv nn.transpose",
        "relu",
    ),
    "tf2onnx: Max with zero behind Squeeze": Idiom(
        """g (float[N,3,1,9] x, float[4,3,1,3] w, float[4] b) => (float[N,4,7] z)
        { axis = Constant<value = int64[1] {2}>()  zero = Constant<value = float {0.0}>()
          y = Conv(x, w, b)  s = Squeeze(y, axis)  z = Max(s, zero) }""",
        "nn.conv nn.squeeze",
        "relu",
    ),
    "ultralytics: C2f, which concatenates the halves of a split again": Idiom(
        """g (float[N,3,8,8] x, float[6,3,1,1] w, float[3,3,1,1] w1, float[5,9,1,1] w2) => (float[N,5,8,8] z)
        { y = Conv(x, w)  a = Relu(y)  p, q = Split<axis=1>(a)  r = Conv(q, w1)  s = Concat<axis=1>(r, p, q)
          z = Conv(s, w2) }""",
        "nn.conv nn.split nn.conv nn.concat nn.conv",
        "relu",
    ),
    "torch: SiLU as Sigmoid, Mul": Idiom(
        """g (float[N,3,8,8] x, float[6,3,3,3] w, float[6] b) => (float[N,6,6,6] z)
        { y = Conv(x, w, b)  s = Sigmoid(y)  z = Mul(y, s) }""",
        "nn.conv",
        "swish",
    ),
    "torch: GELU as Div, Erf, Add, Mul, Mul": Idiom(
        """g (float[N,5,7] x, float[7,9] w, float[9] b) => (float[N,5,9] z)
        { root = Constant<value = float {1.4142135}>()  one = Constant<value = float {1.0}>()
          half = Constant<value = float {0.5}>()  y = MatMul(x, w)  a = Add(b, y)
          d = Div(a, root)  e = Erf(d)  p = Add(e, one)  q = Mul(a, p)  z = Mul(q, half) }""",
        "nn.matmul",
        "gelu",
    ),
    "transformers: GELU with tanh of a cube by Pow": Idiom(
        """g (float[N,5,7] x, float[7,9] w, float[9] b) => (float[N,5,9] z)
        { three = Constant<value = float {3.0}>()  k = Constant<value = float {0.044715}>()
          root = Constant<value = float {0.7978845608}>()  one = Constant<value = float {1.0}>()
          half = Constant<value = float {0.5}>()  y = MatMul(x, w)  a = Add(y, b)
          h = Mul(a, half)  p = Pow(a, three)  q = Mul(p, k)  r = Add(a, q)  s = Mul(r, root)
          t = Tanh(s)  u = Add(t, one)  z = Mul(h, u) }""",
        "nn.matmul",
        "gelu_tanh",
    ),
    "transformers: GELU with tanh, factored": Idiom(
        """g (float[N,5,7] x, float[7,9] w, float[9] b) => (float[N,5,9] z)
        { k = Constant<value = float {0.044715}>()  root = Constant<value = float {0.7978845608}>()
          one = Constant<value = float {1.0}>()  half = Constant<value = float {0.5}>()
          y = MatMul(x, w)  a = Add(y, b)
          l = Mul(a, root)  m = Mul(a, k)  n = Mul(m, a)  o = Add(one, n)  p = Mul(l, o)
          t = Tanh(p)  u = Add(one, t)  h = Mul(half, a)  z = Mul(u, h) }""",
        "nn.matmul",
        "gelu_tanh",
    ),
    "CLIP: x times the sigmoid of 1.702 x": Idiom(
        """g (float[N,5,7] x, float[7,9] w) => (float[N,5,9] z)
        { k = Constant<value = float {1.702}>()  y = MatMul(x, w)  a = Mul(y, k)  s = Sigmoid(a)  z = Mul(y, s) }""",
        "nn.matmul",
        "swish<1.702>",
    ),
    "darknet: Mish as Softplus, Tanh, Mul": Idiom(
        """g (float[N,3,8,8] x, float[6,3,3,3] w, float[6] b) => (float[N,6,6,6] z)
        { y = Conv(x, w, b)  s = Softplus(y)  t = Tanh(s)  z = Mul(y, t) }""",
        "nn.conv",
        "mish",
    ),
    "keras: HardSwish as a clipped line": Idiom(
        """g (float[N,3,8,8] x, float[6,3,3,3] w) => (float[N,6,6,6] z)
        { sixth = Constant<value = float {0.16666667}>()  half = Constant<value = float {0.5}>()
          zero = Constant<value = float {0.0}>()  one = Constant<value = float {1.0}>()
          y = Conv(x, w)  a = Mul(y, sixth)  b = Add(a, half)  c = Clip(b, zero, one)  z = Mul(y, c) }""",
        "nn.conv",
        "hard_swish",
    ),
    "torch: LayerNorm spelled out behind a residual, then a MatMul and Tanh": Idiom(
        """g (float[N,5,8] x, float[8,8] w0, float[8] s, float[8] b, float[8,9] w, float[9] b1) => (float[N,5,9] z)
        { two = Constant<value = float {2.0}>()  eps = Constant<value = float {0.00001}>()
          y = MatMul(x, w0)  r = Add(x, y)
          m = ReduceMean<axes=[-1]>(r)  d = Sub(r, m)  p = Pow(d, two)  v = ReduceMean<axes=[-1]>(p)
          e = Add(v, eps)  q = Sqrt(e)  n = Div(d, q)  g1 = Mul(n, s)  l = Add(g1, b)
          y1 = MatMul(l, w)  a = Add(y1, b1)  z = Tanh(a) }""",
        "nn.matmul nn.add nn.layer_normalization nn.matmul",
        "tanh",
    ),
    **{
        f"LayerNorm times a reciprocal root: {name}": Idiom(
            f"""g (float[N,5,8] x, float[8] s, float[8] b, float[8,9] w) => (float[N,5,9] z)
            {{ one = Constant<value = float {{1.0}}>()  eps = Constant<value = float {{0.00001}}>()
              h = Constant<value = float {{-0.5}}>()
              m = ReduceMean<axes=[-1]>(x)  d = Sub(x, m)  p = Mul(d, d)  v = ReduceMean<axes=[-1]>(p)
              e = Add(v, eps)  {spelled}  l = Add(n, b)  y = MatMul(l, w)  z = Relu(y) }}""",
            "nn.layer_normalization nn.matmul",
            "relu",
        )
        for name, spelled in {
            "Reciprocal(Sqrt), times the scale first": "q = Sqrt(e)  i = Reciprocal(q)  k = Mul(i, s)  n = Mul(d, k)",
            "Div(1, Sqrt)": "q = Sqrt(e)  i = Div(one, q)  k = Mul(d, i)  n = Mul(s, k)",
            "Pow(-0.5), times what is centred last": "i = Pow(e, h)  k = Mul(s, i)  n = Mul(k, d)",
        }.items()
    },
    "keras: MatMul, Add, ReLU": Idiom(
        """g (float[N,7] x, float[7,9] w, float[9] b, float[9,4] w1, float[4] b1) => (float[N,4] z)
        { y = MatMul(x, w)  a = Add(y, b)  r = Relu(a)  y1 = MatMul(r, w1)  z = Add(y1, b1) }""",
        "nn.matmul nn.matmul",
        "relu",
    ),
    "weights behind Identity and Constant": Idiom(
        """g (float[N,2,4,4] x, float[3,2,1,1] w, float[3] b) => (float[N,1,4,4] z)
        { v = Identity(w)  k = Constant<value = float[1,3,1,1] {0.5, -1.0, 2.0}>()  c = Identity(b)
          y = Conv(x, v, c)  r = Relu(y)  y1 = Conv(r, k)  z = Relu(y1) }""",
        "nn.conv nn.conv",
        "relu",
    ),
    "filters that two convolutions share, one of them scaled": Idiom(
        """g (float[N,3,6,6] x, float[3,3,3,3] w, float[3] s, float[3] b, float[3] m, float[3] var)
        => (float[N,3,2,2] z)
        { y = Conv(x, w)  n = BatchNormalization(y, s, b, m, var)  r = Relu(n)  y1 = Conv(r, w)  z = Relu(y1) }""",
        "nn.conv nn.conv",
        "relu",
    ),
}


def plain(ops: list[str]) -> list[str]:
    """Without the return."""
    return [op for op in ops if op != "func.return"]


@pytest.mark.parametrize("name", IDIOMS)
def test_idiom(name: str, model_of: Any, fused: Any, ort: Any, float64_oracle: Any, close: Any) -> None:
    """The fused graph means the same in float64, nothing foldable is left, and a session agrees with ONNX Runtime."""
    idiom = IDIOMS[name]
    model, feeds = model_of(idiom.graph)
    (truth,) = float64_oracle(model, feeds)
    (result,), ops = fused(model, feeds, FUSE)
    assert plain(ops) == idiom.left.split()
    np.testing.assert_allclose(result, truth, rtol=1e-6, atol=1e-6)
    session = Session(model)
    assert f"activation = {idiom.activation}" in str(session.module)
    (y,), (peer,) = session.run(None, feeds), ort(model, feeds)
    close(y, truth, peer)
    close(peer, truth)


SHAPE_CHAIN = """g (float[N,3,8,8] x, float[6,3,3,3] w, float[6] b, float[216,5] w1, float[5] b1) => (float[N,5] z)
{ y = Conv(x, w, b)  r = Relu(y)  shape = Shape(r)  at = Constant<value = int64 {0}>()
  n = Gather<axis=0>(shape, at)  axis = Constant<value = int64[1] {0}>()  n1 = Unsqueeze(n, axis)
  rest = Constant<value = int64[1] {-1}>()  dims = Concat<axis=0>(n1, rest)  f = Reshape(r, dims)
  m = Gemm(f, w1, b1)  z = Relu(m) }"""
"""torch: Flatten with a symbolic batch."""


def op_names(module: ModuleOp) -> list[str]:
    """The ops of @main."""
    return [op.name for op in main_function(module).body.block.ops]


@pytest.mark.parametrize("batch", [1, 4])
def test_shape_chains_vanish(batch: int, model_of: Any, ort: Any, float64_oracle: Any, close: Any) -> None:
    """Shape, Gather, Concat and Reshape of a symbolic batch are gone from the program; only views are left."""
    model, feeds = model_of(SHAPE_CHAIN, sizes={"N": batch})
    session = Session(model)
    (y,), (peer,), (truth,) = session.run(None, feeds), ort(model, feeds), float64_oracle(model, feeds)
    close(y, truth, peer)
    ops = op_names(session.compile([(batch, 3, 8, 8)]))
    assert not {"nn.shape", "nn.gather", "nn.concat", "nn.unsqueeze"} & set(ops)
    assert sum(op == "nn.relu" or op.startswith("blas.matmul") or op.startswith("blas.gemm") for op in ops) == 2
    assert {"blas.matmulrelu", "blas.gemmrelu"} <= set(ops)


def test_initializers_that_are_inputs_are_weights(model_of: Any, ort: Any, float64_oracle: Any, close: Any) -> None:
    """Old exporters list every initializer among the inputs; they fuse as weights and cannot be fed."""
    model, feeds = model_of(IDIOMS["paddle: Conv, Add of [1,C,1,1], Identity, batch-norm, ReLU"].graph)
    for tensor in model.graph.initializer:
        value = model.graph.input.add(name=tensor.name)
        value.type.tensor_type.elem_type = tensor.data_type
        for size in tensor.dims:
            value.type.tensor_type.shape.dim.add(dim_value=size)
    session = Session(model)
    assert [v.name for v in session.get_inputs()] == ["x"]
    assert op_names(session.module).count("nn.conv") == 1 and "nn.relu" not in op_names(session.module)
    (y,), (truth,) = session.run(None, feeds), float64_oracle(model, feeds)
    close(y, truth, ort(model, feeds)[0])
