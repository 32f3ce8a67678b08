"""What the RELU epilogue is worth: GEMM + separate ReLU against `blas.matmulrelu`, per layer and for whole networks.

    python bench/gpu_epilogue.py [--out FILE.json] [--quick]

Layers are the convolutions of VGG-16 and of Conv_d100_L14_B32 as im2col leaves them: D[K, P] = W[K, C*k] @ B + C with
the bias in C. Bytes are those of the IR's types: every operand read once and every result written once. Times are
microseconds on the device; see gpu_timing.py for warm and cold.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from gpu_timing import capture, cold_time, graph_time, kernel_names, summary, unexpected, warm_time
from onnx import TensorProto, helper, numpy_helper
from xdsl.ir import Block

from nnfuse.dialects.blas.products import BlasMatmulOp, BlasMatmulReluOp
from nnfuse.dialects.nn.activations import ReluOp
from nnfuse.dialects.nn.base import NNOp
from nnfuse.dialects.nn.types import f32, tensor
from nnfuse.runtime.frame import Frame
from nnfuse.runtime.kernels import Backend, KernelContext, Scratch, get_backend
from nnfuse.runtime.kernels.cupy import library
from nnfuse.runtime.session import Session
from nnfuse.runtime.timing import bytes_moved

VGG16 = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)
"""Filters of the 3x3 convolutions, pad 1, between 2x2 max pools; the input is 3x224x224."""

D100_L14 = (2, 4, 8, 16, 32, 64, 128, 64, 32, 16, 8, 4, 2, 1)
"""Filters of the 5x5 convolutions, pad 2; the input is 32x1x100x100."""


@dataclass(frozen=True)
class Layer:
    """A convolution as a GEMM, and what was measured: microseconds and bytes."""

    name: str
    batch: int
    filters: int
    inner: int
    pixels: int


def vgg_layers(batch: int) -> list[Layer]:
    """The convolutions of VGG-16."""
    layers: list[Layer] = []
    channels, size = 3, 224
    for block in VGG16:
        for filters in block:
            layers.append(Layer(f"3x3 {channels}->{filters} {size}x{size}", batch, filters, channels * 9, size * size))
            channels = filters
        size //= 2
    return layers


def d100_layers() -> list[Layer]:
    """The convolutions of Conv_d100_L14_B32."""
    layers: list[Layer] = []
    channels, size = 1, 100
    for filters in D100_L14:
        layers.append(Layer(f"5x5 {channels}->{filters} {size}x{size}", 32, filters, channels * 25, size * size))
        channels = filters
    return layers


def bind(cuda: Backend, op: NNOp, scratch: Scratch) -> Any:
    """The kernel of an op."""
    kernel = cuda.bind(op, KernelContext(cuda.xp, scratch))
    assert kernel is not None
    return kernel


def measure(cuda: Backend, layer: Layer) -> dict[str, Any]:
    """GEMM, GEMM + ReLU and the fused call for one layer."""
    xp, n = cuda.xp, layer.batch
    shapes = [(layer.filters, layer.inner), (n, layer.inner, layer.pixels), (layer.filters, layer.pixels)]
    values = Block(arg_types=[tensor(f32, s) for s in shapes]).args
    gemm, fused = (op(*values, beta=1.0) for op in (BlasMatmulOp, BlasMatmulReluOp))
    relu = ReluOp(gemm.results[0])
    scratch = Scratch(xp)
    run_gemm, run_relu, run_fused = (bind(cuda, op, scratch) for op in (gemm, relu, fused))
    scratch.allocate()
    ins = [xp.random.standard_normal(s, dtype=xp.float32) for s in shapes]
    out = xp.empty((n, layer.filters, layer.pixels), xp.float32)

    def separate() -> None:
        run_gemm([out], ins)
        run_relu([out], [out])

    works = {"gemm": lambda: run_gemm([out], ins), "separate": separate, "fused": lambda: run_fused([out], ins)}
    works["separate"]()
    expected = out.copy()
    works["fused"]()
    worst = float(xp.abs(out - expected).max() / xp.abs(expected).max())
    assert worst < 1e-5, f"{layer}: fused and separate differ by {worst}"
    row: dict[str, Any] = asdict(layer)
    for name, work in works.items():
        row[f"{name}_warm"], row[f"{name}_cold"] = warm_time(xp, work), cold_time(xp, work)
    row["separate_bytes"], row["fused_bytes"] = bytes_moved(gemm, relu), bytes_moved(fused)
    return row


def print_layers(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """A table, and the sums."""
    print(f"\n{title}, batch {rows[0]['batch']}, f32: microseconds warm | cold, MB by the IR")
    times = f"{'GEMM':>8} {'+ReLU':>8} {'fused':>8}"
    print(f"{'layer':28} {times} | {times} | {'MB':>7} {'fused':>7}")
    keys = ("gemm_warm", "separate_warm", "fused_warm", "gemm_cold", "separate_cold", "fused_cold")
    total = {k: sum(r[k] for r in rows) for k in (*keys, "separate_bytes", "fused_bytes")}
    for row in (*rows, {"name": "all", **total}):
        w = [f"{row[k]:8.1f}" for k in keys]
        mb = f"{row['separate_bytes'] / 1e6:7.1f} {row['fused_bytes'] / 1e6:7.1f}"
        print(f"{row['name'][:28]:28} {' '.join(w[:3])} | {' '.join(w[3:])} | {mb}")


# Whole networks


def he(rng: np.random.Generator, name: str, *dims: int) -> onnx.TensorProto:
    """He-normal weights."""
    scale = np.float32((2 / prod(dims[1:])) ** 0.5)
    return numpy_helper.from_array(rng.standard_normal(dims, dtype=np.float32) * scale, name)


def vgg16(batch: int) -> onnx.ModelProto:
    """VGG-16 with random weights, without Softmax, so that its outputs carry information."""
    rng = np.random.default_rng(16)
    nodes, weights, value, channels = [], [], "x", 3
    count = 0
    for block in VGG16:
        for filters in block:
            weights += [he(rng, f"w{count}", filters, channels, 3, 3)]
            weights += [numpy_helper.from_array(rng.standard_normal(filters, dtype=np.float32) / 8, f"b{count}")]
            nodes.append(helper.make_node("Conv", [value, f"w{count}", f"b{count}"], [f"c{count}"], pads=[1] * 4))
            nodes.append(helper.make_node("Relu", [f"c{count}"], [f"r{count}"]))
            value, channels, count = f"r{count}", filters, count + 1
        nodes.append(helper.make_node("MaxPool", [value], [f"p{count}"], kernel_shape=[2, 2], strides=[2, 2]))
        value = f"p{count}"
    nodes.append(helper.make_node("Flatten", [value], ["flat"]))
    value = "flat"
    for n, (rows, columns) in enumerate(((4096, 25088), (4096, 4096), (1000, 4096))):
        weights += [he(rng, f"fw{n}", rows, columns), numpy_helper.from_array(np.zeros(rows, np.float32), f"fb{n}")]
        nodes.append(helper.make_node("Gemm", [value, f"fw{n}", f"fb{n}"], [f"f{n}"], transB=1))
        if n < 2:
            nodes.append(helper.make_node("Relu", [f"f{n}"], [f"fr{n}"]))
        value = f"fr{n}" if n < 2 else f"f{n}"
    return model_of("vgg16", nodes, weights, (batch, 3, 224, 224), value, (batch, 1000))


def d100(batch: int = 32) -> onnx.ModelProto:
    """The network of Conv_d100_L14_B32.onnx with random weights."""
    rng = np.random.default_rng(14)
    nodes, weights, value, channels = [], [], "x", 1
    for n, filters in enumerate(D100_L14):
        weights += [he(rng, f"w{n}", filters, channels, 5, 5)]
        weights += [
            numpy_helper.from_array(rng.standard_normal(filters, dtype=np.float32) / 8 + np.float32(0.2), f"b{n}")
        ]
        nodes.append(helper.make_node("Conv", [value, f"w{n}", f"b{n}"], [f"c{n}"], pads=[2] * 4))
        nodes.append(helper.make_node("Relu", [f"c{n}"], [f"r{n}"]))
        value, channels = f"r{n}", filters
    return model_of("d100", nodes, weights, (batch, 1, 100, 100), value, (batch, 1, 100, 100))


def model_of(name: str, nodes: Any, weights: Any, x: Sequence[int], output: str, y: Sequence[int]) -> onnx.ModelProto:
    """A model with one input and one output."""
    ends = [helper.make_tensor_value_info(v, TensorProto.FLOAT, d) for v, d in (("x", x), (output, y))]
    graph = helper.make_graph(nodes, name, ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


NOT_CONVOLUTIONS = ("nn.max_pool",)
"""The ops of these networks that are neither convolutions nor products; their ReLUs are all in a GEMM's epilogue."""


def network(cuda: Backend, title: str, model: onnx.ModelProto, row: dict[str, Any]) -> list[str]:
    """Times a network fused and not; returns the kernels of the fused one."""
    xp = cuda.xp
    dims = tuple(d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim)
    x = xp.asarray(np.random.default_rng(1).standard_normal(dims, dtype=np.float32))
    results: dict[bool, Any] = {}
    names: list[str] = []
    for fuse in (False, True):
        program = Session(model, device="cuda", fuse=fuse).program([dims])
        defaults = [s.op.name for s in program.steps if s.default]
        assert not defaults, f"these run by compute, which cannot be captured: {defaults}"
        frame = Frame(program)
        frame.bring([x])
        graph = capture(xp, frame.run_steps)
        microseconds = graph_time(xp, graph)
        results[fuse] = frame.arrays[frame.returned[0]]
        names = kernel_names(graph)
        label = "fused" if fuse else "separate"
        row[label], row[f"{label}_kernels"] = microseconds, len(names)
        if fuse and (others := unexpected(names, ("blas.im2col", "blas.broadcast", *NOT_CONVOLUTIONS))):
            raise SystemExit(f"{title}: kernels that should not be there: {others}")
        row[f"{label}_bytes"] = bytes_moved(*(s.op for s in program.steps))
    difference = float(xp.abs(results[True] - results[False]).max() / xp.abs(results[False]).max())
    assert float(results[True].std()) > 1e-6, "the outputs say nothing"
    row["difference"] = difference
    assert difference < 1e-4, f"{title}: fused and unfused outputs differ by {difference}"
    return names


def main() -> None:
    """Measure, print, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write all figures to this JSON file")
    parser.add_argument("--quick", action="store_true", help="batch 1 only")
    options = parser.parse_args()
    cuda = get_backend("cuda")
    figures: dict[str, Any] = {"machine": library.describe()}
    print("\n".join(f"{k}: {v}" for k, v in figures["machine"].items()))
    tables = {"VGG-16, batch 1": vgg_layers(1), "Conv_d100_L14_B32": d100_layers()}
    if not options.quick:
        tables["VGG-16, batch 16"] = vgg_layers(16)
    for title, layers in tables.items():
        figures[title] = [measure(cuda, layer) for layer in layers]
        print_layers(title, figures[title])
        cuda.xp.get_default_memory_pool().free_all_blocks()
    models = {"VGG-16 b1": lambda: vgg16(1), "Conv_d100_L14_B32": d100}
    if not options.quick:
        models["VGG-16 b16"] = lambda: vgg16(16)
    figures["networks"] = {}
    for title, make in models.items():
        row: dict[str, Any] = {}
        names = network(cuda, title, make(), row)
        figures["networks"][title] = row | {"kernels": names}
        print(f"\nkernels of a captured run of {title}, fused:\n{summary(names)}")
    print("\nnetwork, one CUDA graph   separate us   fused us   ratio   separate MB   fused MB   kernels")
    for title, r in figures["networks"].items():
        print(
            f"{title:24} {r['separate']:12.1f} {r['fused']:10.1f} {r['separate'] / r['fused']:7.3f}"
            f" {r['separate_bytes'] / 1e6:13.1f} {r['fused_bytes'] / 1e6:10.1f}"
            f"   {r['separate_kernels']} -> {r['fused_kernels']}"
        )
    if options.out is not None:
        options.out.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
