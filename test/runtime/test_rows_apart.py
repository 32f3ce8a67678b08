"""Images that are concatenated or split along their channels, channels last: what computes them writes where they
belong, and what reads them reads them where they are.
"""

from __future__ import annotations

from math import prod

import numpy as np
import onnx
import pytest
from xdsl.dialects.builtin import ModuleOp, StringAttr

from nnfuse.dialects.nn.conv import ConvOp
from nnfuse.dialects.nn.join import ConcatOp, SplitOp
from nnfuse.lowering.tensor_cores import CALL
from nnfuse.runtime.kernels import Backend
from nnfuse.runtime.kernels.numpy import BACKEND
from nnfuse.runtime.pipelines import FUSE, finish_pipeline, layout_pipeline, lower_pipeline, run_passes
from nnfuse.runtime.program import Program
from nnfuse.runtime.reference import main_function
from nnfuse.runtime.session import Session
from nnfuse.runtime.tolerance import RELATIVE_L2, relative_l2

NETWORK = """g (float[{n},16,9,7] x) => (float[{n},8,5,4] y)
<float[24,16,1,1] w1, float[24] b1, float[16,24,3,3] w2, float[16] b2, float[8,16,5,5] w3, float[40,16,1,1] w4,
 float[8,88,3,3] w5> {{
  a = Conv (x, w1, b1)  ra = Relu (a)
  c = Conv <pads=[1,1,1,1]> (ra, w2, b2)
  r = Conv <pads=[2,2,2,2]> (x, w3)  rr = Relu (r)
  s = Conv (x, w4)  m = MaxPool <kernel_shape=[3,3], pads=[1,1,1,1]> (x)  t = Conv (m, w1, b1)
  d = Add (c, x)  rd = Relu (d)
  k = Concat <axis=1> (rr, rd, s, t)
  y = Conv <pads=[1,1,1,1], strides=[2,2]> (k, w5)
}}"""
"""Four branches: of 8 channels, of 16 with a residual, of 40 with a bare product, of 24 with a bias."""

SPLIT = """g (float[{n},16,9,7] x) => (float[{n},8,5,4] y)
<float[64,16,1,1] w1, float[64] b1, float[32,32,1,1] w2, float[32] b2, float[32,32,3,3] w3, float[8,64,3,3] w5> {{
  a = Conv (x, w1, b1)  ra = Relu (a)  p, q = Split <axis=1, num_outputs=2> (ra)"""
UNIT = f"""{SPLIT}
  s = Conv (q, w2, b2)  rs = Relu (s)  t = Conv <pads=[1,1,1,1]> (rs, w3)
  k = Concat <axis=1> (p, t)
  y = Conv <pads=[1,1,1,1], strides=[2,2]> (k, w5)
}}}}"""
"""ShuffleNet's: one half is kept as it is, one goes through convolutions, the first of which is a product."""

STAGE = f"""{SPLIT}
  s = Conv <pads=[1,1,1,1]> (q, w3, b2)  rs = Relu (s)  t = Conv <pads=[1,1,1,1]> (rs, w3)  d = Add (t, s)
  u = Conv (p, w2, b2)  v = Conv (q, w2)  e = Mul (u, v)
  k = Concat <axis=1> (d, e)
  y = Conv <pads=[1,1,1,1], strides=[2,2]> (k, w5)
}}}}"""
"""A cross-stage partial one: convolutions read both halves, one of them twice."""

CROSS = f"""{SPLIT}
  s = Conv <pads=[1,1,1,1]> (q, w3, b2)  rs = Relu (s)
  k = Concat <axis=1> (ra, rs)
  m = MaxPool <kernel_shape=[3,3], pads=[1,1,1,1]> (k)  n = Concat <axis=1> (k, m)
  u = Conv (p, w2)  v = Conv <pads=[1,1,1,1]> (u, w3)  o = Concat <axis=1> (n, v)
  y = Conv <pads=[1,1,1,1], strides=[2,2]> (o, w6)
}}}}""".replace("w5", "w6").replace("8,64,3,3", "8,224,3,3")
"""Joined whole and read in halves; a concatenation that is pooled, and a piece of another one, and that of a third."""

KEPT = {
    (UNIT, "blas"): [True, True],
    (UNIT, "cuda"): [True, True],
    (UNIT, "cudnn:runtime"): [True, True],
    (UNIT, "cudnn:precompiled"): [True, False],
    (STAGE, "blas"): [True, False],
    (STAGE, "cuda"): [True, True],
    (STAGE, "cudnn:runtime"): [True, True],
    (STAGE, "cudnn:precompiled"): [False, False],
    (CROSS, "blas"): [True, False],
    (CROSS, "cuda"): [True, True],
    (CROSS, "cudnn:runtime"): [True, True],
    (CROSS, "cudnn:precompiled"): [False, False],
}
"""Which halves are not copied."""

CALLS = ("blas", "cuda", "cudnn:runtime", "cudnn:precompiled")
"""What cuDNN's ready kernels compute is copied."""


def network(text: str, batch: int, precision: str, call: str) -> tuple[onnx.ModelProto, ModuleOp]:
    """The network with random weights, and its planned program, each convolution by the same call."""
    model = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : 19]>\n{text.format(n=batch)}')
    rng = np.random.default_rng(0)
    for value in list(model.graph.value_info):
        dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
        weights = rng.standard_normal(dims, dtype=np.float32) / np.float32(prod(dims[1:]) ** 0.5)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, value.name))
    module = Session(model, fuse=False).module
    run_passes(module, f"{FUSE},specialize-shapes,{layout_pipeline(precision, True)}")
    for op in main_function(module).walk():
        if isinstance(op, ConvOp):
            op.attributes[CALL] = StringAttr(call)
    run_passes(module, f"{lower_pipeline(precision)},{finish_pipeline('cuda', True)}")
    return model, module


def run(text: str, batch: int, precision: str, call: str, backend: Backend) -> Program:
    """A network's program, whose results are right."""
    model, module = network(text, batch, precision, call)
    parameters = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    program = Program(module, parameters.__getitem__, backend, {})
    x = np.random.default_rng(1).standard_normal((batch, 16, 9, 7), dtype=np.float32)
    (truth,) = Session(model).run(None, {"x": x})
    for _ in range(2):
        (result,) = program.run([backend.xp.asarray(x)])
        assert relative_l2(backend.xp.asarray(result), backend.xp.asarray(truth), backend.xp) <= RELATIVE_L2[precision]
    return program


def check(batch: int, precision: str, call: str, backend: Backend) -> Program:
    program = run(NETWORK, batch, precision, call, backend)
    copied = call == "cudnn:precompiled"
    assert any(isinstance(s.op, ConcatOp) for s in program.steps) == copied
    assert len(set(program.plan.wholes().values())) == (0 if copied else 1)
    return program


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("batch", [1, 3])
def test_on_numpy(batch: int, call: str) -> None:
    """A program for a GPU, on NumPy, which computes f16 by the ops' own meaning: results are copied to their rows."""
    check(batch, "f16", call, BACKEND)


def check_pieces(text: str, batch: int, precision: str, call: str, backend: Backend) -> Program:
    """A piece stays in its rows unless cuDNN reads it, or a product by way of its windows."""
    program = run(text, batch, precision, call, backend)
    (split,) = (op for op in main_function(program.module).walk() if isinstance(op, SplitOp))
    kept = [piece in program.plan.pieces for piece in split.results]
    assert kept == KEPT[text, call]
    assert any(s.op is split for s in program.steps) != all(kept)
    joined = text is CROSS and call != "cudnn:precompiled"
    assert any(isinstance(s.op, ConcatOp) for s in program.steps) != joined
    return program


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("text", [UNIT, STAGE, CROSS])
@pytest.mark.parametrize("batch", [1, 3])
def test_pieces_on_numpy(batch: int, text: str, call: str) -> None:
    check_pieces(text, batch, "f16", call, BACKEND)


@pytest.mark.gpu
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("precision", ["f16", "bf16", "tf32"])
@pytest.mark.parametrize("text", [UNIT, STAGE, CROSS])
@pytest.mark.parametrize("batch", [1, 3, 64])
def test_pieces_on_a_gpu(cuda: Backend, batch: int, text: str, precision: str, call: str) -> None:
    program = check_pieces(text, batch, precision, call, cuda)
    assert not any(s.default for s in program.steps)


@pytest.mark.gpu
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("precision", ["f16", "bf16", "tf32"])
@pytest.mark.parametrize("batch", [1, 3, 64])
def test_on_a_gpu(cuda: Backend, batch: int, precision: str, call: str) -> None:
    program = check(batch, precision, call, cuda)
    assert not any(s.default for s in program.steps)


@pytest.mark.parametrize("shape", [(12, 16), (6, 32), (192,)])
def test_what_is_returned_is_a_view_of_no_such_rows(shape: tuple[int, ...]) -> None:
    """The parts are written into the concatenation; what is returned has memory of its own."""
    dims = ",".join(map(str, shape))
    model = onnx.parser.parse_model(
        f"""<ir_version: 9, opset_import: ["" : 19]> g (float[6,16] x, float[16,16] v) => (float[{dims}] y)
        <int64[{len(shape)}] s = {{{dims}}}> {{
          a = MatMul (x, v)  b = MatMul (a, v)  c = MatMul (b, v)  d = Concat <axis=1> (b, c)  y = Reshape (d, s)
        }}"""
    )
    rng = np.random.default_rng(2)
    x, v = rng.standard_normal((6, 16)), rng.standard_normal((16, 16)) / 4
    (y,) = Session(model).run(None, {"x": x.astype(np.float32), "v": v.astype(np.float32)})
    b = x @ v @ v
    assert relative_l2(y.astype(np.float64), np.concatenate([b, b @ v], 1).reshape(shape)) <= RELATIVE_L2["f32"]
