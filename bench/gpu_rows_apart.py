"""What it saves to write and read pieces of rows where they are, instead of copying them: whole networks on the GPU.

    python bench/gpu_rows_apart.py [--networks googlenet,yolo,...] [--batches 1,32] [--precision f16] [--out FILE.json]

Every network is loaded twice in one process: as it is, and planned so that no rows lie apart, which copies each piece.
Times are microseconds of the device between events around one launch, the median over rounds in which both take turns.
`yolo` and `unet` are networks of the kind with random weights: a detector with cross-stage blocks (C2f), pools side by
side and feature maps joined at three scales; and a decoder that joins each of four scales with the encoder's.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Generator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import cupy as cp
import torch
import torchvision
from gpu_networks import exported
from rich.console import Console
from torch import nn

import nnfuse
from nnfuse.passes.alias_groups import AliasGroups
from nnfuse.runtime.kernels.cupy import library
from nnfuse.runtime.kernels.cupy.graph import elapsed

JOINS = ("nn.concat", "nn.split", "nn.slice")
ROUNDS, RUNS = 9, 40


def conv(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, activation: type[nn.Module] = nn.SiLU
) -> nn.Module:
    """A convolution, and what comes after it."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), activation())


class Residual(nn.Module):
    """Two convolutions and their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(channels, channels), conv(channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


class C2f(nn.Module):
    """A cross-stage block: halves, one of which goes on through blocks, and all of them joined."""

    def __init__(self, inputs: int, outputs: int, blocks: int, residual: bool) -> None:
        super().__init__()
        half = outputs // 2
        self.first, self.last = conv(inputs, outputs, 1), conv((2 + blocks) * half, outputs, 1)
        plain = [nn.Sequential(conv(half, half), conv(half, half)) for _ in range(blocks)]
        self.blocks = nn.ModuleList([Residual(half) for _ in range(blocks)] if residual else plain)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pieces = list(self.first(x).chunk(2, 1))
        for block in self.blocks:
            pieces.append(block(pieces[-1]))
        return self.last(torch.cat(pieces, 1))


class Pools(nn.Module):
    """A pool of a pool of a pool, joined with what goes in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.last = conv(channels, channels // 2, 1), conv(2 * channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pieces = [self.first(x)]
        for _ in range(3):
            pieces.append(nn.functional.max_pool2d(pieces[-1], 5, 1, 2))
        return self.last(torch.cat(pieces, 1))


class Yolo(nn.Module):
    """A backbone of four scales, and a neck that joins three of them upwards and downwards."""

    SIZE = 640

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 16, 3, 2), conv(16, 32, 3, 2), C2f(32, 32, 1, True))
        self.small = nn.Sequential(conv(32, 64, 3, 2), C2f(64, 64, 2, True))
        self.middle = nn.Sequential(conv(64, 128, 3, 2), C2f(128, 128, 2, True))
        self.large = nn.Sequential(conv(128, 256, 3, 2), C2f(256, 256, 1, True), Pools(256))
        self.up, self.up2 = C2f(384, 128, 1, False), C2f(192, 64, 1, False)
        self.step, self.down = conv(64, 64, 3, 2), C2f(192, 128, 1, False)
        self.step2, self.down2 = conv(128, 128, 3, 2), C2f(384, 256, 1, False)
        self.heads = nn.ModuleList(nn.Conv2d(c, 64, 1) for c in (64, 128, 256))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        a = self.small(self.stem(x))
        b = self.middle(a)
        c = self.large(b)
        d = self.up(torch.cat([nn.functional.interpolate(c, scale_factor=2.0), b], 1))
        e = self.up2(torch.cat([nn.functional.interpolate(d, scale_factor=2.0), a], 1))
        f = self.down(torch.cat([self.step(e), d], 1))
        g = self.down2(torch.cat([self.step2(f), c], 1))
        return [head(y) for head, y in zip(self.heads, (e, f, g), strict=True)]


class Unet(nn.Module):
    """Four scales down and up again, joined at each."""

    SIZE = 256
    CHANNELS = (32, 64, 128, 256, 512)

    def __init__(self) -> None:
        super().__init__()
        sizes = self.CHANNELS
        self.down = nn.ModuleList(self._double(a, b) for a, b in zip((3, *sizes), sizes, strict=False))
        self.steps = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in pairwise(sizes))
        self.up = nn.ModuleList(self._double(2 * a, a) for a in sizes[:-1])
        self.head = nn.Conv2d(sizes[0], 8, 1)

    @staticmethod
    def _double(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(conv(inputs, outputs, activation=nn.ReLU), conv(outputs, outputs, activation=nn.ReLU))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen: list[torch.Tensor] = []
        for level, block in enumerate(self.down):
            x = block(nn.functional.max_pool2d(x, 2) if level else x)
            seen.append(x)
        for level in reversed(range(len(self.steps))):
            x = self.up[level](torch.cat([seen[level], self.steps[level](x)], 1))
        return self.head(x)


OWN: dict[str, Any] = {"yolo": Yolo, "unet": Unet}


def make(name: str) -> tuple[nn.Module, int]:
    """A network with seeded weights, and the height of its images."""
    torch.manual_seed(0)
    if name in OWN:
        return OWN[name]().cuda().eval(), OWN[name].SIZE
    options = {"init_weights": False, "aux_logits": False} if name in ("googlenet", "inception_v3") else {}
    network = getattr(torchvision.models, name)(weights=None, **options)
    return network.cuda().eval(), 299 if name == "inception_v3" else 224


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
    network, size = make(name)
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
                options.out.write_text(json.dumps({"device": library.describe(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
