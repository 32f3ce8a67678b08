"""Whole networks on the GPU against PyTorch: exported with fixed seeds, checked, timed in turn.

    python bench/gpu_networks.py [--networks resnet50,...] [--precisions f16,tf32] [--batches 1,32] [--out FILE.json]

Peers, channels_last: torch eager in a CUDA graph; torch.compile (weights frozen, reduce-overhead) with --compile; ONNX
Runtime on CUDA (NHWC, CUDA graph, exhaustive search, bound to arrays on the device) where onnxruntime-gpu is installed.
Every output is compared with a float64 run of the same network. Bytes are those that nnfuse's calls read and write by
their types, in its IR; activations apart are kernels that only read what another wrote and apply one. Times are
microseconds of the device between events around one call, the median over rounds in which the peers take turns. Random
weights; batch-norm statistics are those of random images, so that no activation overflows f16. `--against FILE.json`
says by how much nnfuse's times differ from those of an earlier run.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import cupy as cp
import numpy as np
import torch
from gpu_models import exported, image_size, make_network

import nnfuse

try:
    import onnxruntime
except ImportError:
    onnxruntime = None
from nnfuse.dialects.nn.activations import ActivationOp
from nnfuse.runtime.kernels.cupy import library
from nnfuse.runtime.timing import bytes_moved
from nnfuse.runtime.tolerance import RELATIVE_L2

Run = Callable[[], Any]
DTYPES = {"f16": torch.float16, "bf16": torch.bfloat16, "tf32": torch.float32, "f32": torch.float32}
ROUNDS, RUNS = 5, 20


def torch_peer(network: torch.nn.Module, x: torch.Tensor, precision: str) -> Callable[[], torch.Tensor]:
    """torch eager in a CUDA graph."""
    moved = x.to(DTYPES[precision]).contiguous(memory_format=torch.channels_last)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream), torch.no_grad():
        for _ in range(3):
            network(moved)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph), torch.no_grad():
        result = network(moved)

    def run(source: torch.Tensor = moved) -> torch.Tensor:
        graph.replay()  # reads `source`, which has to live as long
        return result

    return run


def compiled_peer(network: torch.nn.Module, x: torch.Tensor, precision: str) -> Callable[[], torch.Tensor]:
    """torch.compile."""
    torch._inductor.config.freezing = True
    moved = x.to(DTYPES[precision]).contiguous(memory_format=torch.channels_last)
    compiled = torch.compile(network, mode="reduce-overhead")

    def run() -> torch.Tensor:
        with torch.no_grad():
            return compiled(moved)

    for _ in range(4):
        run()
    return run


def has_onnxruntime() -> bool:
    """Whether ONNX Runtime is installed with CUDA."""
    return onnxruntime is not None and "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def onnxruntime_peer(model: bytes, x: torch.Tensor, dims: Sequence[int]) -> tuple[Run, torch.cuda.Stream]:
    """ONNX Runtime on arrays of the device, as one CUDA graph, and the stream that it runs on."""
    stream = torch.cuda.Stream()
    provider = {
        "enable_cuda_graph": "1", "prefer_nhwc": "1", "cudnn_conv_algo_search": "EXHAUSTIVE", "use_tf32": "1",
        "user_compute_stream": str(stream.cuda_stream),
    }  # fmt: skip
    session = onnxruntime.InferenceSession(model, providers=[("CUDAExecutionProvider", provider)])
    x = x.contiguous()
    y = torch.empty(tuple(dims), dtype=x.dtype, device="cuda")
    binding, element = session.io_binding(), np.float16 if x.dtype == torch.float16 else np.float32
    binding.bind_input("x", "cuda", 0, element, tuple(x.shape), x.data_ptr())
    binding.bind_output("y", "cuda", 0, element, tuple(y.shape), y.data_ptr())
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("disable_synchronize_execution_providers", "1")

    def run(source: torch.Tensor = x) -> torch.Tensor:
        session.run_with_iobinding(binding, options)  # reads `source`, which has to live as long
        return y

    for _ in range(3):
        run()
    torch.cuda.synchronize()
    return run, stream


def nnfuse_peer(
    model: bytes, x: torch.Tensor, precision: str, tune: bool, row: dict[str, Any], key: str
) -> Callable[[], Any]:
    """A Session on CuPy arrays."""
    start = time.perf_counter()
    session = nnfuse.Session(model, device="cuda", precision=precision, tune=tune)
    feeds = {"x": cp.from_dlpack(x)}
    session.run(None, feeds)
    cp.cuda.Device().synchronize()
    row[key] = time.perf_counter() - start
    steps = session.program([tuple(x.shape)]).steps
    row["default_kernels"] = sorted({s.op.name for s in steps if s.default})
    row["bytes"] = bytes_moved(*(s.op for s in steps))
    row[key.replace("load_seconds", "activations_apart")] = sum(isinstance(s.op, ActivationOp) for s in steps)
    return lambda: session.run(None, feeds)[0]


def times_in_turn(peers: dict[str, Run], streams: dict[str, torch.cuda.Stream]) -> dict[str, float]:
    """Microseconds per call of each, on its stream or the default one."""
    found: dict[str, list[float]] = {name: [] for name in peers}
    for round_ in range(ROUNDS + 1):
        for name, run in peers.items():
            for _ in range(RUNS):
                start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
                start.record(streams.get(name))
                run()
                stop.record(streams.get(name))
                stop.synchronize()
                if round_:
                    found[name].append(1e3 * start.elapsed_time(stop))
    return {name: median(values) for name, values in found.items()}


def differences(y: torch.Tensor, truth: torch.Tensor) -> tuple[float, float]:
    """Relative L2 of a peer's output, and the share of images whose largest output is the same."""
    return float((y.double() - truth).norm() / truth.norm()), float((y.argmax(1) == truth.argmax(1)).double().mean())


def measure(name: str, precision: str, batch: int, tune: bool, compile_: bool) -> dict[str, Any]:
    """One network, precision and batch."""
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "f32"
    network = make_network(name)
    size = image_size(name)
    x = torch.randn(batch, 3, size, size, device="cuda")
    with torch.no_grad():
        truth = network.double()(x.double())
    network = network.float()
    row: dict[str, Any] = {"network": name, "precision": precision, "batch": batch}
    model = exported(network, x)
    narrow = network.to(DTYPES[precision]).to(memory_format=torch.channels_last)
    peers: dict[str, Run] = {}
    streams: dict[str, torch.cuda.Stream] = {}
    if tune:
        peers["nnfuse untuned"] = nnfuse_peer(model, x, precision, False, row, "untuned_load_seconds")
    peers["nnfuse"] = nnfuse_peer(model, x, precision, tune, row, "load_seconds")
    peers["torch graph"] = torch_peer(narrow, x, precision)
    if compile_:
        peers["torch.compile"] = compiled_peer(narrow, x, precision)
    if has_onnxruntime() and precision != "bf16":
        moved = x.to(DTYPES[precision])
        run, streams["ONNX Runtime"] = onnxruntime_peer(exported(narrow, moved), moved, truth.shape)
        peers["ONNX Runtime"] = run
    row["errors"], row["same_top1"] = {}, {}
    for peer, run in peers.items():
        row["errors"][peer], row["same_top1"][peer] = differences(torch.from_dlpack(run()), truth)
    row["output_std"] = float(truth.std())
    row["times"] = times_in_turn(peers, streams)
    row["bytes_per_second"] = 1e6 * row["bytes"] / row["times"]["nnfuse"]
    row["ratio"] = row["times"]["nnfuse"] / min(t for peer, t in row["times"].items() if "torch" in peer)
    if row["errors"]["nnfuse"] > RELATIVE_L2[precision]:
        row["wrong"] = True
    return row


def print_row(row: dict[str, Any]) -> None:
    """One line."""
    times = "  ".join(f"{peer} {t:8.1f} us (error {row['errors'][peer]:.1e})" for peer, t in row["times"].items())
    where = f"{row['network']:14} {row['precision']:5} batch {row['batch']:4}"
    notes = ("  WRONG" if "wrong" in row else "") + (
        f"  default: {row['default_kernels']}" * bool(row["default_kernels"])
    )
    moved = f"{row['bytes'] / 1e6:.1f} MB at {row['bytes_per_second'] / 1e9:.0f} GB/s"
    counts = [str(row[key]) for key in ("untuned_activations_apart", "activations_apart") if key in row]
    apart = f"activations apart {', '.join(counts)}"
    top1 = f"same top-1 in {row['same_top1']['nnfuse']:.0%}"
    loads = f"load {row['load_seconds']:.1f} s"
    print(f"{where}  {times}  ratio {row['ratio']:.2f}  {top1}  {loads}  {moved}  {apart}{notes}", flush=True)


def print_difference(row: dict[str, Any], earlier: list[dict[str, Any]]) -> None:
    """One line for each row of an earlier run for the same network, precision and batch."""
    for other in earlier:
        if all(other[key] == row[key] for key in ("network", "precision", "batch")):
            change = row["times"]["nnfuse"] / other["times"]["nnfuse"] - 1
            print(f"{'':14} nnfuse took {other['times']['nnfuse']:.1f} us before: {change:+.1%}", flush=True)


def main() -> None:
    """Measure, print, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="resnet50,resnet18,vgg16,mobilenet_v2,densenet121")
    parser.add_argument("--precisions", default="f16,tf32")
    parser.add_argument("--batches", default="1,32")
    parser.add_argument("--tune", action="store_true", help="tune nnfuse, and time it untuned too")
    parser.add_argument("--compile", action="store_true", help="time torch.compile too (up to a minute each)")
    parser.add_argument("--out", type=Path, help="write all figures to this JSON file")
    parser.add_argument("--against", type=Path, help="a JSON file of an earlier run, to compare nnfuse's times with")
    options = parser.parse_args()
    earlier = json.loads(options.against.read_text())["rows"] if options.against else []
    figures: dict[str, Any] = {"machine": library.describe() | {"torch": torch.__version__}, "rows": []}
    for name in options.networks.split(","):
        for precision in options.precisions.split(","):
            for batch in map(int, options.batches.split(",")):
                try:
                    figures["rows"].append(measure(name, precision, batch, options.tune, options.compile))
                except Exception as e:
                    print(f"{name} {precision} batch {batch} failed: {type(e).__name__}: {e}", flush=True)
                    continue
                print_row(figures["rows"][-1])
                print_difference(figures["rows"][-1], earlier)
                torch.compiler.reset()
                torch.cuda.empty_cache()
                cp.get_default_memory_pool().free_all_blocks()
                if options.out is not None:
                    options.out.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
