"""convert-layout keeps every value; convert-precision keeps it within the precision's tolerance."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from xdsl.dialects.builtin import f16

from nnfuse.dialects.nn.types import element_type
from nnfuse.lowering.onnx_to_nn import import_model
from nnfuse.runtime.parameters import ModelParameters
from nnfuse.runtime.pipelines import run_passes
from nnfuse.runtime.reference import evaluate, main_function
from nnfuse.runtime.tolerance import RELATIVE_L2, relative_l2

HEADER = '<ir_version: 9, opset_import: ["" : {}]> '
OPSETS = {"blocks": 28}
"""Of the models that are not of opset 18; SpaceToDepth has had a mode since this one."""
CONV = "c = Conv<pads=[1,1,1,1]>(x, w)"

MODELS = {
    "pools": f"""g (float[2,3,9,8] x) => (float[2,6,1,1] z, float[2,6,1,1] u)
        {{ {CONV} m = MaxPool<kernel_shape=[3,3], strides=[2,2]>(c)
           a = AveragePool<kernel_shape=[2,2], pads=[1,0,0,1]>(m) z = GlobalAveragePool(a) u = GlobalMaxPool(c) }}""",
    "residual": f"""g (float[2,3,9,8] x) => (float[2,6,9,8] z)
        {{ {CONV} d = Conv<group=3, pads=[1,1,1,1]>(c, v) s = Add(c, d) z = Relu(s) }}""",
    "per channel": f"""g (float[2,3,9,8] x, float[6,1,1] k, float[1,6,1,1] s, float o) => (float[2,6,9,8] z)
        {{ {CONV} a = Mul(c, k) b = Sub(s, a) e = Div(b, o) f = PRelu(e, k) z = Clip(f, o) }}""",
    "along the row": f"""g (float[2,3,9,8] x, float[8] k, float[9,1] r) => (float[2,6,9,8] z)
        {{ {CONV} a = Add(c, k) z = Mul(r, a) }}""",
    "batch norm": f"""g (float[2,3,9,8] x, float[6] k, float[6] b, float[6] m, float[6] var) => (float[2,6,9,8] z)
        {{ {CONV} r = Relu(c) z = BatchNormalization<epsilon=0.01>(r, k, b, m, var) }}""",
    "axes": f"""g (float[2,3,9,8] x) => (float[2,6,9,8] z, float[2,6,1,1] u, float[2,1,9,8] t)
        <int64[2] spatial = {{2, -1}}, int64[1] channels = {{1}}>
        {{ {CONV} p, q = Split<axis=1, num_outputs=2>(c) j = Concat<axis=-3>(q, p) z = Softmax<axis=1>(j)
           u = ReduceMean(z, spatial) t = ReduceMax(c, channels) }}""",
    "pad and resize": f"""g (float[2,3,9,8] x) => (float[2,6,20,22] z)
        <int64[8] pads = {{0, 0, 1, 2, 0, 0, 0, 1}}, float[4] scales = {{1.0, 1.0, 2.0, 2.0}}>
        {{ {CONV} p = Pad(c, pads) z = Resize(p, , scales) }}""",
    "what stays": f"""g (float[2,3,9,8] x, float[6,4,3,3] t) => (float[2,4,11,10] z, float[2,432] y, float[2,6,9,8] l)
        {{ {CONV} z = ConvTranspose(c, t) y = Flatten(c) l = LRN<size=3>(c) }}""",
    "sandwich": f"""g (float[2,9,8,3] n) => (float[2,9,8,6] z)
        {{ x = Transpose<perm=[0,3,1,2]>(n) {CONV} r = Relu(c) z = Transpose<perm=[0,2,3,1]>(r) }}""",
    "positions": f"""g (float[2,3,9,8] x) => (float[2,6,4,4] z, int64[2,6,4,4] i)
        {{ {CONV} z, i = MaxPool<kernel_shape=[2,2], strides=[2,2]>(c) }}""",
    "dense layer": f"""g (float[2,3,9,8] x, float[9] k, float[9] b, float[9] m, float[9] var) => (float[2,9,9,8] z)
        {{ {CONV} j = Concat<axis=1>(x, c) n = BatchNormalization(j, k, b, m, var) z = Relu(n) }}""",
    "slices": f"""g (float[2,3,9,8] x) => (float[2,2,9,4] z, float[1,4,9,8] u, float[2,6,4,8] t)
        <int64[2] at = {{-1, 4}}, int64[2] to = {{-100, -6}}, int64[2] along = {{-1, 1}}, int64[2] by = {{-2, -2}},
         int64[2] first = {{1, 1}}, int64[2] last = {{2, 5}}, int64[1] one = {{1}}, int64[1] rows = {{-2}},
         int64[1] end = {{100}}, int64[1] two = {{2}}>
        {{ {CONV} z = Slice(c, at, to, along, by) u = Slice(c, first, last) t = Slice(c, one, end, rows, two) }}""",
    "gathered and repeated": f"""g (float[2,3,9,8] x) => (float[2,4,9,8] z, float[2,6,9,8] u, float[2,12,9,24] t)
        <int64[4] order = {{5, 0, -2, 0}}, int64[2] sizes = {{9, 8}}, int64[4] times = {{1, 2, 1, 3}}>
        {{ {CONV} z = Gather<axis=-3>(c, order) m = GlobalAveragePool(c) u = Expand(m, sizes) t = Tile(c, times) }}""",
    "blocks": """g (float[2,3,8,6] x, float[8,3,3,3] w) => (float[2,2,16,12] z, float[2,2,16,12] u, float[2,32,4,3] t,
                   float[2,32,4,3] s)
        { c = Conv<pads=[1,1,1,1]>(x, w) z = DepthToSpace<blocksize=2>(c) u = DepthToSpace<blocksize=2, mode="CRD">(c)
          t = SpaceToDepth<blocksize=2>(c) s = SpaceToDepth<blocksize=2, mode="CRD">(c) }""",
    "statistics": f"""g (float[2,3,9,8] x) => (float[2,6,9,8] z, float[2,6,9,8] u, float[2,6,9,8] t, float[2,6,9,8] s,
                        float[2,6,4,4] p)
        {{ {CONV} z = LpNormalization<axis=1>(c) u = LpNormalization<p=1>(c) t = MeanVarianceNormalization(c)
           s = MeanVarianceNormalization<axes=[1,-1]>(c) p = LpPool<kernel_shape=[2,2], strides=[2,2]>(c) }}""",
    "rank reduced": f"""g (float[2,3,9,8] x) => (float[2,6] z, float[2,9,8] u, float[2,6,9] t)
        <int64[2] spatial = {{-1, 2}}, int64[1] channels = {{1}}, int64[1] row = {{3}}>
        {{ {CONV} z = ReduceMean<keepdims=0>(c, spatial) u = ReduceMax<keepdims=0>(c, channels)
           t = ReduceMean<keepdims=0>(c, row) }}""",
    "choices": f"""g (float[2,3,9,8] x) => (int64[2,1,9,8] z, int64[2,9,8] u, int64[2,6,9] t, float[2,6,9,3] h,
                     int64[2,6,9,3] i)
        <int64[1] k = {{3}}>
        {{ {CONV} z = ArgMax<axis=1>(c) u = ArgMin<axis=1, keepdims=0>(c) t = ArgMax<axis=-1, keepdims=0>(c)
           h, i = TopK(c, k) }}""",
    "quantized": f"""g (float[2,3,9,8] x) => (float[2,6,9,8] z, float[2,6,9,8] u)
        <float[6] s = {{0.1, 0.2, 0.3, 0.1, 0.2, 0.3}}, int8[6] o = {{0, 1, 2, 0, 1, 2}}, float one = {{0.1}}>
        {{ {CONV} q = QuantizeLinear<axis=-3>(c, s, o) z = DequantizeLinear(q, s, o)
           r = QuantizeLinear(c, one) u = DequantizeLinear(r, one) }}""",
    "channel shuffle": f"""g (float[2,3,9,8] x, float[4,6,1,1] t) => (float[2,4,9,8] z)
        <int64[5] split = {{0, 2, 3, 9, 8}}, int64[4] merged = {{2, -1, 9, 8}}>
        {{ {CONV} a = Reshape(c, split) b = Transpose<perm=[0,2,1,3,4]>(a) d = Reshape(b, merged) z = Conv(d, t) }}""",
    "channel shuffle, split": f"""g (float[2,3,9,8] x, float[4,3,1,1] t) => (float[2,7,9,8] z, float[2,6,9,8] d)
        <int64[5] split = {{2, 2, 3, 9, 8}}, int64[4] merged = {{2, 6, 9, 8}}>
        {{ {CONV} a = Reshape(c, split) b = Transpose<perm=[0,2,1,3,4]>(a) d = Reshape(b, merged)
           p, q = Split<axis=1, num_outputs=2>(d) r = Conv(q, t) z = Concat<axis=1>(p, r) }}""",
    "tokens": f"""g (float[2,3,9,8] x, float[4,6,1,1] t, float[6] k) => (float[2,4,9,8] z, float[2,6,72] u)
        <int64[3] flat = {{2, 6, -1}}, int64[4] image = {{2, 6, 9, 8}}>
        {{ {CONV} u = Reshape(c, flat) a = Transpose<perm=[0,2,1]>(u) n = LayerNormalization(a, k)
           b = Transpose<perm=[0,2,1]>(n) d = Reshape(b, image) z = Conv(d, t) }}""",
    "one channel": f"""g (float[2,72] n, float[6,1,3,3] w) => (float[2,1,8] z)
        <int64[4] image = {{2, 1, 9, 8}}, float[1,6,1,1] t = {{0.3, -0.2, 0.1, 0.4, -0.5, 0.6}}, int64[1] rows = {{2}},
         int64[1] top = {{0}}, int64[1] row = {{1}}>
        {{ x = Reshape(n, image) {CONV} d = Conv(c, t) a = Slice(d, top, row, rows) z = Squeeze(a, rows) }}""",
    "1-D": "g (float[2,3,9] x, float[6,3,2] w) => (float[2,6,8] z) { c = Conv(x, w) z = Relu(c) }",
    "two inputs": f"""g (float[2,3,9,8] x, float[2,6,9,8] other) => (float[2,6,9,8] z)
        {{ {CONV} a = Mul(c, other) z = Sigmoid(a) }}""",
}
INPUTS = ("x", "n", "other")
DISCRETE = ("positions", "choices", "quantized")
"""The models whose results jump where a rounding error decides."""


def model_and_arrays(name: str) -> tuple[Any, list[Any]]:
    """The model with random weights for all but INPUTS, and random inputs."""
    model = onnx.parser.parse_model(HEADER.format(OPSETS.get(name, 18)) + MODELS[name])
    rng = np.random.default_rng(5)
    shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in model.graph.input}
    kept = [i for i in model.graph.input if i.name in INPUTS]
    shapes = {"w": [6, 3, 3, 3], "v": [6, 2, 3, 3]} | shapes
    for key, dims in shapes.items():
        if key not in INPUTS:
            value = np.abs(rng.standard_normal(dims)) + 0.25 if key in ("var", "o") else rng.standard_normal(dims) / 3
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), key))
    del model.graph.input[:]
    model.graph.input.extend(kept)
    return model, [rng.standard_normal(shapes[i.name]).astype(np.float32) for i in kept]


def before_and_after(name: str, passes: str) -> tuple[list[Any], list[Any], Any]:
    """The float64 results of a model before and after `passes`, and the module after them."""
    model, arrays = model_and_arrays(name)
    module, parameters = import_model(model), ModelParameters(model)
    before = evaluate(main_function(module), arrays, parameters.__getitem__, wide=True)
    run_passes(module, passes)
    module.verify()
    narrow = "precision" in passes
    return before, evaluate(main_function(module), arrays, parameters.__getitem__, wide=not narrow), module


@pytest.mark.parametrize("name", MODELS)
def test_layout(name: str) -> None:
    before, after, module = before_and_after(name, "convert-layout,canonicalize")
    for a, b in zip(before, after, strict=True):
        assert a.std() > 1e-3
        np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-7)  # small constants are folded in f32
    convolutions = [op for op in main_function(module).body.block.ops if op.name == "nn.conv"]
    assert convolutions and all(op.properties["layout"].data == "nhwc" for op in convolutions)


@pytest.mark.parametrize("name", [n for n in MODELS if n not in DISCRETE])
@pytest.mark.parametrize("precision", ["f16", "bf16"])
@pytest.mark.parametrize("then", ["", "convert-layout,", "convert-layout,canonicalize,fuse-pointwise,"])
def test_precision(name: str, precision: str, then: str) -> None:
    before, after, _ = before_and_after(name, f"convert-precision{{to={precision}}},{then}canonicalize")
    for a, b in zip(before, after, strict=True):
        assert b.dtype == np.float32
        assert 0 < relative_l2(b, a) <= RELATIVE_L2[precision]


def test_weights_are_computed_in_f32_and_cast_last() -> None:
    _, _, module = before_and_after("batch norm", "fold-batch-norm,convert-precision{to=f16}")
    ops = list(main_function(module).body.block.ops)
    assert all(
        element_type(op.results[0].type) != f16 for op in ops if op.name in ("nn.sqrt", "nn.div", "nn.parameter")
    )
    assert any(element_type(op.results[0].type) == f16 for op in ops if op.name == "nn.conv")
