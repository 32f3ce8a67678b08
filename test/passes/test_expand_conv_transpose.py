"""expand-conv-transpose keeps every value, whatever the geometry: against the op's own `evaluate`, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from xdsl.dialects.builtin import ModuleOp, TensorType, f64
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region

from nnfuse import Session
from nnfuse.dialects.nn.activation import ActivationAttr
from nnfuse.dialects.nn.channels import is_channels_last
from nnfuse.dialects.nn.constant import ParameterOp, is_weight
from nnfuse.dialects.nn.conv import ConvOp, ConvTransposeOp
from nnfuse.lowering.onnx_to_nn import import_model
from nnfuse.runtime.parameters import ModelParameters
from nnfuse.runtime.pipelines import FUSE, layout_pipeline, run_passes
from nnfuse.runtime.reference import evaluate, main_function
from nnfuse.runtime.tolerance import RELATIVE_L2, relative_l2


def program(x: Any, weights: dict[str, Any], fields: dict[str, Any]) -> tuple[ModuleOp, ConvTransposeOp]:
    """A @main of one transposed convolution of `x` by the parameters `weights`, and that."""
    block = Block(arg_types=[TensorType(f64, x.shape)])
    parameters = [ParameterOp(name, TensorType(f64, array.shape)) for name, array in weights.items()]
    op = ConvTransposeOp(block.args[0], *parameters, **fields)
    block.add_ops([*parameters, op, ReturnOp(op.result)])
    func = FuncOp("main", ([block.args[0].type], [op.result.type]), Region(block))
    return ModuleOp([func]), op


def check(x: Any, weights: dict[str, Any], fields: dict[str, Any]) -> None:
    """The expanded program must have no transposed convolution, and the values of the one there was."""
    module, op = program(x, weights, fields)
    (expected,) = op.compute(np, [x, *weights.values()])
    run_passes(module, "expand-conv-transpose")
    module.verify()
    assert "nn.conv_transpose" not in str(module)
    (result,) = evaluate(main_function(module), [x], weights.__getitem__)
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max(initial=0))


def geometry(draw: Any, sizes: list[int], kernel: list[int], stride: int) -> dict[str, Any]:
    """Pads, an automatic padding or an output shape; what is beyond the windows, too."""
    full = [(n - 1) * stride + k for n, k in zip(sizes, kernel, strict=True)]
    kind = draw(st.sampled_from(["pads", "pads", "SAME_UPPER", "SAME_LOWER", "VALID", "output_shape"]))
    extra = [draw(st.integers(0, stride - 1)) for _ in sizes]
    if kind == "pads":
        before = [draw(st.integers(0, n - 1)) for n in full]
        after = [draw(st.integers(0, n - 1 - b)) for n, b in zip(full, before, strict=True)]
        return {"pads": [*before, *after], "output_padding": extra}
    if kind == "output_shape":
        auto_pad = draw(st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER"]))
        return {"output_shape": [draw(st.integers(1, n + 5)) for n in full], "auto_pad": auto_pad}
    return {"auto_pad": kind, "output_padding": extra}


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_geometry(kernel: int, stride: int, data: Any) -> None:
    """Kernels of `kernel` along one axis; of other sizes, of other numbers of axes at stride 1, in groups."""
    rank = data.draw(st.integers(1, 3)) if stride == 1 else 2
    kernels = [kernel, *(data.draw(st.integers(1, 5)) for _ in range(rank - 1))]
    sizes = [data.draw(st.integers(1, 4)) for _ in kernels]
    group, inner, filters = (data.draw(st.integers(1, 3)) for _ in range(3))
    fields = geometry(data.draw, sizes, kernels, stride) | {"strides": [stride] * rank, "group": group}
    if data.draw(st.booleans()):
        fields["activation"] = ActivationAttr.of("leaky_relu", 0.25)
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 16)))
    weights = {"w": rng.standard_normal((group * inner, filters, *kernels))}
    if data.draw(st.booleans()):
        weights["b"] = rng.standard_normal(group * filters)
    check(rng.standard_normal((data.draw(st.integers(0, 2)), group * inner, *sizes)), weights, fields)


def doubled(group: int) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """A model that doubles sizes by a transposed convolution, and an input."""
    model = onnx.parser.parse_model(
        f"""<ir_version: 9, opset_import: ["": 18]> g (float[2,32,5,6] x) => (float[2,24,10,12] z)
        {{ y = ConvTranspose<strides=[2,2], pads=[1,1,1,1], group={group}>(x, w, b)
           z = Relu(y) }}"""
    )
    rng = np.random.default_rng(3)
    for name, dims in {"w": (32, 24 // group, 4, 4), "b": (24,)}.items():
        model.graph.initializer.append(numpy_helper.from_array(rng.standard_normal(dims, np.float32), name))
    return model, {"x": rng.standard_normal((2, 32, 5, 6), np.float32)}


def test_a_session_rearranges_filters_and_bias_once(ort: Any, close: Any) -> None:
    """At load, in @prepare: a run only convolves and moves elements. The filters and the bias are two parameters."""
    model, feeds = doubled(group=1)
    session = Session(model)
    close(session.run(None, feeds)[0], ort(model, feeds)[0])
    main = main_function(session.compile([feeds["x"].shape]))
    ops = [op.name for op in main.body.block.ops]
    assert ops.count("nn.parameter") == 2
    assert set(ops) - {"nn.constant", "nn.parameter", "func.return", "nn.reshape"} == {
        "blas.broadcast",
        "blas.im2col",
        "blas.matmulrelu",
        "nn.depth_to_space",
        "nn.slice",
    }


@pytest.mark.parametrize("group", [1, 2])
def test_below_f32_its_blocks_are_copied_with_their_channels_last(group: int) -> None:
    """By operations that GPUs have kernels for, to f16's tolerance."""
    model, feeds = doubled(group)
    module, parameters = import_model(model), ModelParameters(model)
    (truth,) = evaluate(main_function(module), [feeds["x"]], parameters.__getitem__, wide=True)
    run_passes(module, f"{FUSE},{layout_pipeline('f16', fuse=True)}")
    module.verify()
    (result,) = evaluate(main_function(module), [feeds["x"]], parameters.__getitem__)
    assert 0 < relative_l2(result, truth) <= RELATIVE_L2["f16"]
    ops = [op for op in main_function(module).body.block.ops if op.results and not is_weight(op.results[0])]
    (conv,) = (op for op in ops if isinstance(op, ConvOp))
    assert is_channels_last(conv.layout) and conv.activation is not None
    copies = {op.name for op in ops if op is not conv}
    assert copies == {"nn.cast", "nn.transpose", "nn.reshape", "nn.slice"}


@pytest.mark.parametrize(
    ("precision", "device", "stays"), [("f32", "cpu", True), ("f32", "cuda", False), ("tf32", "cuda", False)]
)
def test_the_cpu_keeps_what_is_mostly_zeros(precision: str, device: str, stays: bool) -> None:
    """A 3x3 kernel in strides of 2 would grow by 1.8, which the CPU takes longer for than for the op itself."""
    module, _ = program(np.zeros((1, 4, 5, 5)), {"w": np.zeros((4, 4, 3, 3))}, {"strides": [2, 2]})
    run_passes(module, layout_pipeline(precision, True, device))
    assert ("nn.conv_transpose" in str(module)) == stays
