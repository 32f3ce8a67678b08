"""How long a network takes to load on the GPU, in new processes: from the call of Session to the end of the first run.

    python bench/gpu_load.py [--network resnet50] [--precision f16] [--batch 32] [--times 3] [--out FILE.json]

Each load is a process of its own: untuned and tuned with empty caches (neither a kernel compiled nor a layer timed
before), then both again; the median of several, but one for the first tuned one. `start` is what comes before:
importing nnfuse and CuPy, and starting CUDA.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any


def load(model: str, precision: str, batch: int, tune: bool) -> tuple[float, float]:
    """Seconds that it takes this process to start, and to load."""
    start = time.perf_counter()
    import cupy as cp

    from nnfuse import Session

    cp.zeros(1)
    started = time.perf_counter()
    session = Session(model, device="cuda", precision=precision, tune=tune)
    x = cp.random.default_rng(0).standard_normal((batch, 3, 224, 224), dtype=cp.float32)
    session.run(None, {"x": x})
    cp.cuda.Device().synchronize()
    return started - start, time.perf_counter() - started


def measure(options: argparse.Namespace, model: Path, folder: Path) -> dict[str, dict[str, float]]:
    """Seconds of each start and load."""
    seconds: dict[str, dict[str, float]] = {}
    for tune in (False, True):
        times = 1 if tune else options.times
        empty = [load_elsewhere(options, model, folder / f"{tune}{n}", tune) for n in range(times)]
        again = [load_elsewhere(options, model, folder / f"{tune}0", tune) for _ in range(options.times)]
        name = "tuned" if tune else "untuned"
        for caches, loads in (("empty caches", empty), ("from the caches", again)):
            start, load = (median(column) for column in zip(*loads, strict=True))
            seconds[f"{name}, {caches}"] = {"start": start, "load": load}
    return seconds


def load_elsewhere(options: argparse.Namespace, model: Path, caches: Path, tune: bool) -> tuple[float, float]:
    """What `load` returns in a new process that uses the caches in a folder."""
    environment = os.environ | {"NNFUSE_CACHE": str(caches / "tuning"), "CUPY_CACHE_DIR": str(caches / "kernels")}
    command = [sys.executable, __file__, "--load", str(model), "--tune" if tune else "--no-tune"]
    command += ["--precision", options.precision, "--batch", str(options.batch)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    start, load = map(float, done.stdout.split()[-2:])
    return start, load


def export(name: str, batch: int, path: Path) -> dict[str, Any]:
    """Write the network as gpu_networks.py makes it; describes the device and the versions."""
    import torch
    from gpu_models import exported, make_network

    from nnfuse.runtime.kernels.cupy import library

    path.write_bytes(exported(make_network(name), torch.randn(batch, 3, 224, 224, device="cuda")))
    return library.describe()


def main() -> None:
    """Measure, print, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--precision", default="f16")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--times", type=int, default=3, help="how many processes a figure is the median of")
    parser.add_argument("--out", type=Path, help="write all figures to this JSON file")
    parser.add_argument("--load", metavar="FILE.onnx", help="load this here, and print the seconds")
    parser.add_argument("--tune", action=argparse.BooleanOptionalAction, help="with --load")
    options = parser.parse_args()
    if options.load:
        print(*load(options.load, options.precision, options.batch, bool(options.tune)))
        return
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model.onnx")
        machine = export(options.network, options.batch, model)
        seconds = measure(options, model, Path(folder))
    print(f"{options.network} {options.precision} batch {options.batch}, seconds:")
    for name, value in seconds.items():
        print(f"  {name:26} load {value['load']:5.1f}  start {value['start']:4.1f}")
    if options.out is not None:
        row = {"network": options.network, "precision": options.precision, "batch": options.batch, "seconds": seconds}
        options.out.write_text(json.dumps({"machine": machine, "rows": [row]}, indent=1))


if __name__ == "__main__":
    main()
