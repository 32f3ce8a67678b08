"""The device memory that a loaded network takes, beside what its program says that it needs.

    python bench/gpu_memory.py [--network resnet50] [--precision f16] [--batch 32] [--tune] [--out FILE.json]

The network is exported from torchvision, as for gpu_networks.py. `pool` is what CuPy's pool holds after two calls,
without what it keeps for later: parameters, arena, workspace, a buffer of each input where the caller's array is not
used itself, two of each result. `device` is all that the device has less than before: with loaded kernels, and what
cuBLASLt, cuDNN and CUDA graphs take themselves.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cupy as cp
import torch
from gpu_models import exported, image_size, make_network

import nnfuse
from nnfuse.runtime.kernels.cupy import library


def measure(name: str, precision: str, batch: int, tune: bool) -> dict[str, Any]:
    """Bytes."""
    size = image_size(name)
    x = torch.randn(batch, 3, size, size, device="cuda")
    model = exported(make_network(name), x)
    torch.cuda.empty_cache()
    pool = cp.get_default_memory_pool()
    free = cp.cuda.runtime.memGetInfo()[0]
    session = nnfuse.Session(model, device="cuda", precision=precision, tune=tune)
    feeds = {"x": cp.from_dlpack(x)}
    for _ in range(2):
        results = session.run(None, feeds)
    cp.cuda.Device().synchronize()
    pool.free_all_blocks()
    program = session.program([tuple(x.shape)])
    arrays = [a for a in program.fixed.values() if isinstance(a, cp.ndarray)]
    row = {
        "pool": pool.total_bytes(),
        "device": free - cp.cuda.runtime.memGetInfo()[0],
        "parameters": sum({a.data.ptr: a.nbytes for a in arrays}.values()),
        "arena": program.plan.total,
        "workspace": program.workspace,
        "results": sum(a.nbytes for a in results),
    }
    row["allowed"] = row["parameters"] + 1.2 * row["arena"] + row["workspace"]
    return {"network": name, "precision": precision, "batch": batch, "bytes": row}


def main() -> None:
    """Measure, print, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--precision", default="f16")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--out", type=Path, help="write all figures to this JSON file")
    options = parser.parse_args()
    row = measure(options.network, options.precision, options.batch, options.tune)
    print(f"{row['network']} {row['precision']} batch {row['batch']}, MB:")
    for name, nbytes in row["bytes"].items():
        print(f"  {name.replace('_', ' '):20} {nbytes / 1e6:8.1f}")
    if options.out is not None:
        options.out.write_text(json.dumps({"machine": library.describe(), "rows": [row]}, indent=1))


if __name__ == "__main__":
    main()
