"""What it saves to write and read pieces of rows where they are, instead of copying them: whole networks on the GPU.

    python bench/gpu_rows_apart.py [--networks googlenet,yolo,...] [--batches 1,32] [--precision f16] [--out FILE.json]

Every network is loaded twice in one process: as it is, and planned so that no rows lie apart, which copies each piece.
Times are microseconds of the device between events around one launch, the median over rounds in which both take turns.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import cupy as cp
import torch
from gpu_models import exported, image_size, make_network
from rich.console import Console

import nnfuse
from nnfuse.passes.alias_groups import AliasGroups
from nnfuse.runtime.kernels.cupy import library
from nnfuse.runtime.kernels.cupy.graph import elapsed

JOINS = ("nn.concat", "nn.split", "nn.slice")
ROUNDS, RUNS = 9, 40


@contextmanager
def copying() -> Generator[None]:
    """Programs planned in it leave no rows apart."""
    views = AliasGroups._views
    AliasGroups._views = lambda self, op: [v for v in views(self, op) if not v.pitch]
    try:
        yield
    finally:
        AliasGroups._views = views


def measure(name: str, batch: int, precision: str) -> dict[str, Any]:
    """Both programs' times, what they copy, and by how much their results differ."""
    network, size = make_network(name), image_size(name)
    x = torch.randn(batch, 3, size, size, device="cuda")
    model, array = exported(network, x), cp.from_dlpack(x)
    del network

    def load() -> tuple[Any, list[Any]]:
        session = nnfuse.Session(model, device="cuda", precision=precision, tune=True)
        outputs = session.run(None, {"x": array})
        return session.program([tuple(x.shape)]), outputs

    with copying():
        copied, expected = load()
    apart, outputs = load()
    rounds = [[elapsed(lambda p=p: [*p.run([array])].clear(), RUNS) for p in (copied, apart)] for _ in range(ROUNDS)]
    times = [median(column) for column in zip(*rounds, strict=True)]
    joins = [sum(s.op.name in JOINS for s in p.steps) for p in (copied, apart)]
    differs = max(
        float(cp.abs(a.astype("f8") - b).max() / cp.abs(a).max()) for a, b in zip(expected, outputs, strict=True)
    )
    return {
        "network": name, "batch": batch, "precision": precision, "copied": times[0], "in place": times[1],
        "joins copied": joins[0], "joins in place": joins[1], "difference": differs,
    }  # fmt: skip


def main() -> None:
    """Measure, print a line each, and write a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default="squeezenet1_1,googlenet,yolo,unet")
    parser.add_argument("--batches", default="1,32")
    parser.add_argument("--precision", default="f16")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    console, rows = Console(width=160), list[dict[str, Any]]()
    for name in options.networks.split(","):
        for batch in map(int, options.batches.split(",")):
            row = measure(name, batch, options.precision)
            rows.append(row)
            console.print(
                f"{name:15} batch {batch:4}  copied {row['copied']:8.1f} us ({row['joins copied']} joins)  in place "
                f"{row['in place']:8.1f} us ({row['joins in place']})  {row['in place'] / row['copied']:.3f}  "
                f"difference {row['difference']:.1e}"
            )
            if options.out:
                options.out.write_text(json.dumps({"machine": library.describe(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
