"""How long a network takes to load on the GPU, in new processes: from the call of Session to the end of the first run.

    python bench/gpu_load.py [--network resnet50] [--precision f16] [--batch 32] [--out FILE.json]

Each of four loads is a process of its own: untuned and tuned with empty caches (neither a kernel compiled nor a layer
timed before), then both again. `start` is what comes before: importing nnfuse and CuPy, and starting CUDA.
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
from typing import Any


def load(model: str, precision: str, batch: int, tune: bool) -> tuple[float, float]:
    """Seconds that it takes this process to start, and to load."""
    start = time.perf_counter()
    import cupy as cp

    import nnfuse

    cp.zeros(1)
    started = time.perf_counter()
    session = nnfuse.Session(model, device="cuda", precision=precision, tune=tune)
    x = cp.random.default_rng(0).standard_normal((batch, 3, 224, 224), dtype=cp.float32)
    session.run(None, {"x": x})
    cp.cuda.Device().synchronize()
    return started - start, time.perf_counter() - started


def measure(options: argparse.Namespace, model: Path, folder: Path) -> dict[str, dict[str, float]]:
    """Seconds of each start and load."""
    seconds: dict[str, dict[str, float]] = {}
    for tune in (False, True):
        caches = folder / f"caches{int(tune)}"
        environment = os.environ | {"NNFUSE_CACHE": str(caches / "tuning"), "CUPY_CACHE_DIR": str(caches / "kernels")}
        for again in (False, True):
            command = [sys.executable, __file__, "--load", str(model), "--tune" if tune else "--no-tune"]
            command += ["--precision", options.precision, "--batch", str(options.batch)]
            done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            name = f"{'tuned' if tune else 'untuned'}, {'from the caches' if again else 'empty caches'}"
            seconds[name] = dict(zip(("start", "load"), map(float, done.stdout.split()[-2:]), strict=True))
    return seconds


def export(name: str, batch: int, path: Path) -> dict[str, Any]:
    """Write the network as gpu_networks.py makes it; describes the device and the versions."""
    import torch
    from gpu_networks import exported, make_network

    from nnfuse.runtime.kernels.cupy import library

    path.write_bytes(exported(make_network(name), torch.randn(batch, 3, 224, 224, device="cuda")))
    return library.describe()


def main() -> None:
    """Measure, print, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--precision", default="f16")
    parser.add_argument("--batch", type=int, default=32)
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
