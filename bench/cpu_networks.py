"""Whole networks on the CPU against ONNX Runtime with all its optimisations: separate processes in turn.

    python bench/cpu_networks.py [--networks resnet50,squeezenet] [--threads 2] [--rounds 7] [--out FILE.json]

Two BLAS thread pools in one process slow each other, so each round starts a process for nnfuse and one for ONNX
Runtime, one after the other; a figure is the median over the rounds of a process's median time. Also: import and
compile in process (without imports, `onnx.load` and `@prepare`). The networks are those of bench/networks.py.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

HERE = Path(__file__).parent
NETWORKS = ("resnet50", "squeezenet")
MAX_SECONDS = 4.0
"""How long a process measures."""


def timed(run: Callable[[], Any]) -> dict[str, Any]:
    """The median and the number of runs, after two that do not count, in milliseconds."""
    run()
    run()
    times: list[float] = []
    began = time.perf_counter()
    while time.perf_counter() - began < MAX_SECONDS or len(times) < 5:
        start = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - start))
    return {"ms": median(times), "runs": len(times)}


def feeds_of(path: str) -> dict[str, Any]:
    """Seeded random inputs of the model's static shapes."""
    import nnfuse

    rng = np.random.default_rng(0)
    inputs = nnfuse.Session(path).get_inputs()
    return {v.name: rng.standard_normal([int(d) for d in v.shape], dtype=np.float32) for v in inputs}


def run_nnfuse(path: str, threads: int) -> dict[str, Any]:
    """nnfuse in this process."""
    from threadpoolctl import threadpool_info, threadpool_limits

    import nnfuse

    feeds = feeds_of(path)
    session = nnfuse.Session(path)
    with threadpool_limits(threads):
        libraries = [{k: v for k, v in info.items() if k != "filepath"} for info in threadpool_info()]
        return timed(lambda: session.run(None, feeds)) | {"blas": libraries}


def run_onnxruntime(path: str, threads: int) -> dict[str, Any]:
    """ONNX Runtime with all its optimisations in this process."""
    import onnxruntime

    feeds = feeds_of(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return timed(lambda: session.run(None, feeds)) | {"version": onnxruntime.__version__}


def run_compile(path: str, threads: int) -> dict[str, Any]:
    """Import, fusing, specialising, lowering, hoisting and planning of a loaded model: the median of five."""
    import onnx

    from nnfuse.runtime.session import Session

    model = onnx.load(path)
    times: list[float] = []
    for _ in range(5):
        start = time.perf_counter()
        session = Session(model)
        session.compile([tuple(int(d) for d in v.shape) for v in session.get_inputs()])
        times.append(time.perf_counter() - start)
    return {"seconds": median(times), "first": times[0]}


WORKERS = {"nnfuse": run_nnfuse, "onnxruntime": run_onnxruntime, "compile": run_compile}


def in_process(worker: str, path: str, threads: int) -> dict[str, Any]:
    """The result of a worker in a process of its own."""
    command = [sys.executable, __file__, "--worker", worker, "--model", path, "--threads", str(threads)]
    # OpenBLAS reads these: a machine-wide work-around for old versions must not slow today's.
    environment = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if result.returncode:
        sys.exit(f"{worker} failed on {path}:\n{result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def measure(path: str, threads: int, rounds: int) -> dict[str, Any]:
    """Both, in turn; and compiling."""
    found: dict[str, list[dict[str, Any]]] = {"nnfuse": [], "onnxruntime": []}
    for _ in range(rounds):
        for worker, results in found.items():
            results.append(in_process(worker, path, threads))
    row: dict[str, Any] = {w: median(r["ms"] for r in results) for w, results in found.items()}
    row["ratio"] = median(a["ms"] / b["ms"] for a, b in zip(found["nnfuse"], found["onnxruntime"], strict=True))
    row["rounds"] = {w: [r["ms"] for r in results] for w, results in found.items()}
    row["blas"], row["onnxruntime_version"] = found["nnfuse"][0]["blas"], found["onnxruntime"][0]["version"]
    row["compile"] = in_process("compile", path, threads)
    return row


def main() -> None:
    """Measure, print, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="write all figures to this JSON file")
    parser.add_argument("--worker", choices=list(WORKERS), help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(WORKERS[options.worker](options.model, options.threads)))
        return
    from networks import light_network

    figures: dict[str, Any] = {"machine": machine(), "threads": options.threads}
    print(f"{'batch 1':14} {'nnfuse ms':>10} {'ORT ms':>8} {'ratio':>6} {'import + compile s':>19}")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.networks.split(","):
            import onnx

            path = str(Path(folder) / f"{name}.onnx")
            onnx.save(light_network(name), path)
            row = figures[name] = measure(path, options.threads, options.rounds)
            ms = f"{row['nnfuse']:10.2f} {row['onnxruntime']:8.2f} {row['ratio']:6.2f}"
            print(f"{name:14} {ms} {row['compile']['seconds']:19.2f}", flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps(figures, indent=1))


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    import platform
    from importlib.metadata import version

    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), "unknown")
    packages = {p: version(p) for p in ("numpy", "onnx", "onnxruntime", "xdsl")}
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version(), "packages": packages}


if __name__ == "__main__":
    main()
