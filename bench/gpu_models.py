"""The networks of the benchmarks on a GPU, with seeded weights, and their export to ONNX.

Those of torchvision by their names there, and two of kinds that it has none of: `yolo`, a detector with cross-stage
blocks (C2f of YOLOv8, https://github.com/ultralytics/ultralytics), pools side by side and feature maps joined at three
scales; and `unet` (https://arxiv.org/abs/1505.04597), a decoder that joins each of four scales with the encoder's.
"""

from __future__ import annotations

import io
import warnings
from itertools import pairwise
from typing import Any

import torch
import torchvision
from torch import nn
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.models.resnet import BasicBlock, Bottleneck


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

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.small(self.stem(x))
        b = self.middle(a)
        c = self.large(b)
        d = self.up(torch.cat([nn.functional.interpolate(c, scale_factor=2.0), b], 1))
        e = self.up2(torch.cat([nn.functional.interpolate(d, scale_factor=2.0), a], 1))
        f = self.down(torch.cat([self.step(e), d], 1))
        g = self.down2(torch.cat([self.step2(f), c], 1))
        return torch.cat([head(y).flatten(2) for head, y in zip(self.heads, (e, f, g), strict=True)], 2)


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
SIZES = {"inception_v3": 299, "yolo": Yolo.SIZE, "unet": Unet.SIZE}
OPTIONS = {name: {"init_weights": False, "aux_logits": False} for name in ("googlenet", "inception_v3")}


def image_size(name: str) -> int:
    """The height and width of a network's images."""
    return SIZES.get(name, 224)


def make_network(name: str) -> nn.Module:
    """A network with seeded weights and batch-norm statistics of random images."""
    torch.manual_seed(0)
    size = image_size(name)
    options = OPTIONS.get(name, {})
    network: nn.Module = OWN[name]() if name in OWN else getattr(torchvision.models, name)(weights=None, **options)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches
        if isinstance(module, Bottleneck | BasicBlock):  # a branch adds a little, as in a trained network
            nn.init.constant_((module.bn3 if isinstance(module, Bottleneck) else module.bn2).weight, 0.25)
        if isinstance(module, InvertedResidual) and module.use_res_connect:
            nn.init.constant_(module.conv[-1].weight, 0.25)
    network.cuda().train()
    with torch.no_grad():
        for _ in range(2):
            network(torch.randn(16, 3, size, size, device="cuda"))
    return network.eval()


def exported(network: nn.Module, x: torch.Tensor) -> bytes:
    """The network as ONNX, for inputs like `x`; its batch-norms stay."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (x,), stream, dynamo=False, do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE, input_names=["x"], output_names=["y"],
        )  # fmt: skip
    return stream.getvalue()
