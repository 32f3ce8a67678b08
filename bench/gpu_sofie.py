"""SOFIE's way to compute Conv and ReLU, that with the ReLU in the GEMM's epilogue, and nnfuse's best.

    python bench/gpu_sofie.py Conv_d100_L14_B1.onnx Conv_d100_L14_B32.onnx [--out FILE.json]

The models, of SOFIE's own benchmark, are chains of Conv and Relu in f32; they get new weights, as with their own ones
all outputs are 0. SOFIE's way: for each layer the bias is
broadcast over the output, a loop on the host computes im2col and a GEMM (beta = 1) for each image, and a ReLU kernel
reads and writes the whole output. In the second way the GEMM is `blas.matmulrelu`. nnfuse's best is a tuned Session, in
f32 and in tf32. All of it are kernels of ours, of cuBLASLt and cuDNN: what differs is the scheme. Times are medians, in
microseconds: `graph` of one CUDA graph's launch, where no host is in the way, `host` of calls from Python between two
events.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
from gpu_timing import capture, graph_time, kernel_names
from onnx import helper, numpy_helper
from xdsl.ir import Block

from nnfuse.dialects.blas.columns import BroadcastOp, Im2colOp
from nnfuse.dialects.blas.products import BlasMatmulOp, BlasMatmulReluOp
from nnfuse.dialects.nn.activations import ReluOp
from nnfuse.dialects.nn.base import NNOp
from nnfuse.dialects.nn.types import dims_of, f32, static_dims, tensor
from nnfuse.runtime.frame import Frame
from nnfuse.runtime.kernels import Backend, KernelContext, Scratch, get_backend
from nnfuse.runtime.kernels.cupy import library
from nnfuse.runtime.loading import load
from nnfuse.runtime.pipelines import new_context
from nnfuse.runtime.reference import evaluate, main_function
from nnfuse.runtime.session import Session

Work = Callable[[], None]


class Sofie:
    """A chain of Conv and Relu as SOFIE computes it; `fused` with the ReLU in the GEMM's epilogue."""

    def __init__(self, cuda: Backend, model: onnx.ModelProto, x: Any, fused: bool):
        self.cuda, self.xp, self.fused = cuda, cuda.xp, fused
        self.scratch = Scratch(self.xp)
        self.works: list[Work] = []
        weights = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Conv":
                attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
                x = self.convolution(x, *(self.xp.asarray(weights[name]) for name in node.input[1:]), attributes)
            elif not fused:
                self.adder(ReluOp(*self.arguments(x)))(x, x)
        self.result = x
        self.scratch.allocate()

    def arguments(self, *arrays: Any) -> Any:
        """Values of the arrays' types."""
        return Block(arg_types=[tensor(f32, a.shape) for a in arrays]).args

    def adder(self, op: NNOp) -> Callable[..., None]:
        """`add(out, *ins)`: lets the op's kernel be called on these arrays in every run."""
        kernel = self.cuda.bind(op, KernelContext(self.xp, self.scratch))
        assert kernel is not None
        return lambda out, *ins: self.works.append(lambda: kernel([out], ins))

    def convolution(self, x: Any, weights: Any, bias: Any, attributes: dict[str, Any]) -> Any:
        """Its output; the loop over the images is the host's."""
        matrix, images = weights.reshape(len(weights), -1), len(x)
        window = {name: tuple(attributes[name]) for name in ("strides", "pads", "dilations") if name in attributes}
        im2col = Im2colOp(*self.arguments(x[:1]), kernel=weights.shape[2:], **window)
        columns = self.xp.empty(static_dims(dims_of(im2col.results[0].type)), np.float32)
        sizes = static_dims(im2col.window(x.shape).output(x.shape[2:]))
        out = self.xp.empty((images, len(weights), prod(sizes)), np.float32)
        product = BlasMatmulReluOp if self.fused else BlasMatmulOp
        add_columns = self.adder(im2col)
        add_product = self.adder(product(*self.arguments(matrix, columns, out[:1]), beta=1.0))
        self.adder(BroadcastOp(*self.arguments(bias), axis=1, shape=out.shape))(out, bias)
        for image in range(images):
            one = slice(image, image + 1)
            add_columns(columns, x[one])
            add_product(out[one], matrix, columns, out[one])
        return out.reshape(images, len(weights), *sizes)

    def run(self) -> None:
        """Launch every kernel."""
        for work in self.works:
            work()


def host_time(xp: Any, work: Work, repeats: int = 20) -> float:
    """The median of microseconds between two events around a call from Python."""
    start, stop = xp.cuda.Event(), xp.cuda.Event()
    times: list[float] = []
    for n in range(repeats + 3):
        start.record()
        work()
        stop.record()
        stop.synchronize()
        if n >= 3:
            times.append(1e3 * xp.cuda.get_elapsed_time(start, stop))
    return median(times)


def measured(xp: Any, work: Work, host: Work) -> dict[str, Any]:
    """The times of what `work` enqueues and of a call of `host`, and the number of kernels."""
    graph = capture(xp, work)
    return {
        "graph_microseconds": graph_time(xp, graph),
        "host_microseconds": host_time(xp, host),
        "kernels": len(kernel_names(graph)),
    }


def best(cuda: Backend, model: onnx.ModelProto, x: Any, precision: str) -> tuple[dict[str, Any], Any]:
    """A tuned Session's figures and result."""
    session = Session(model, device="cuda", precision=precision, tune=True)
    name = session.get_inputs()[0].name
    (result,) = session.run(None, {name: x})
    frame = Frame(session.program([x.shape]))
    frame.bring([x])
    row = measured(cuda.xp, frame.run_steps, lambda: session.run(None, {name: x}) and None)
    return row, result


def with_random_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with He-normal filters and small positive biases."""
    rng = np.random.default_rng(14)
    for proto in model.graph.initializer:
        dims = list(proto.dims)
        spread = (2 / prod(dims[1:])) ** 0.5 if len(dims) > 1 else 0.125
        values = spread * rng.standard_normal(dims, dtype=np.float32) + np.float32(0.2 * (len(dims) == 1))
        proto.CopyFrom(numpy_helper.from_array(values.astype(np.float32), proto.name))
    return model


def compare(cuda: Backend, path: Path) -> dict[str, dict[str, Any]]:
    """The rows of one model, by the way it is computed; each with its relative L2 distance to float64 on the CPU."""
    model = with_random_weights(onnx.load(path))
    dims = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(1).standard_normal(dims, dtype=np.float32)
    module, parameters = load(model, new_context())
    (truth,) = evaluate(main_function(module), [x], parameters.__getitem__, wide=True)
    given = cuda.xp.asarray(x)
    rows: dict[str, dict[str, Any]] = {}
    for title, fused in (("SOFIE", False), ("SOFIE, matmulrelu", True)):
        program = Sofie(cuda, model, given, fused)
        rows[title] = measured(cuda.xp, program.run, program.run)
        rows[title]["error"] = distance(program.result.get(), truth)
    for precision in ("f32", "tf32"):
        row, result = best(cuda, model, given, precision)
        rows[f"nnfuse {precision}"] = row | {"error": distance(result.get(), truth)}
    return rows


def distance(result: Any, truth: Any) -> float:
    """Relative L2."""
    assert np.linalg.norm(truth) > 0, "the outputs say nothing"
    return float(np.linalg.norm(result - truth) / np.linalg.norm(truth))


def main() -> None:
    """Measure, print, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, help="ONNX files")
    parser.add_argument("--out", type=Path, help="write all figures to this JSON file")
    options = parser.parse_args()
    cuda = get_backend("cuda")
    figures: dict[str, Any] = {"machine": library.describe(), "models": {}}
    print(f"{'model':24} {'way':20} {'graph us':>10} {'host us':>10} {'kernels':>8} {'error':>9}")
    for path in options.models:
        figures["models"][path.stem] = rows = compare(cuda, path)
        for way, row in rows.items():
            times = f"{row['graph_microseconds']:10.1f} {row['host_microseconds']:10.1f} {row['kernels']:8d}"
            print(f"{path.stem:24} {way:20} {times} {row['error']:9.1e}", flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
