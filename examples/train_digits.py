"""Trains the example network on scikit-learn's digits and writes digits.onnx and digits_test.npz here.

The two files are part of the repository; this script says where they come from, and makes them again.
Training needs PyTorch and scikit-learn, which nnfuse itself does not:

    python3 -m venv /tmp/training && /tmp/training/bin/pip install torch==2.13.0 scikit-learn numpy onnx
    /tmp/training/bin/python examples/train_digits.py

The network takes x [N, 1, 8, 8] (grey values from 0 to 1) and gives logits [N, 10]. The ONNX file is written
node by node, batch normalisation apart from its convolution, so that there is something to fold.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

HERE = Path(__file__).parent
CHANNELS, WIDE, HIDDEN, CLASSES = 32, 64, 64, 10
EPOCHS, BATCH = 60, 32


class DigitsNet(nn.Module):
    """Two Conv-BN-ReLU blocks, a residual block, max pooling, one more block, and two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [1, CHANNELS, CHANNELS, CHANNELS, CHANNELS, WIDE]
        for index, (channels, filters) in enumerate(pairwise(sizes), 1):
            setattr(self, f"conv{index}", nn.Conv2d(channels, filters, 3, padding=1))
            setattr(self, f"bn{index}", nn.BatchNorm2d(filters))
        self.fc1 = nn.Linear(WIDE * 4 * 4, HIDDEN)
        self.fc2 = nn.Linear(HIDDEN, CLASSES)
        self.dropout = nn.Dropout(0.3)

    def block(self, index: int, x: torch.Tensor) -> torch.Tensor:
        """Batch norm of a convolution."""
        return getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [N, 10] of images [N, 1, 8, 8]."""
        x = self.block(1, x).relu()
        x = self.block(2, x).relu()
        x = (self.block(4, self.block(3, x).relu()) + x).relu()
        x = nn.functional.max_pool2d(x, 2)
        x = self.block(5, x).relu().flatten(1)
        return self.fc2(self.dropout(self.fc1(x).relu()))


def train(images: torch.Tensor, labels: torch.Tensor) -> DigitsNet:
    """The trained network, in evaluation mode; images are shifted by up to one pixel while training."""
    net = DigitsNet()
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-2)
    steps = EPOCHS * (-(-len(images) // BATCH))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(BATCH):
            shift = tuple(torch.randint(-1, 2, (2,)).tolist())
            logits = net(images[batch].roll(shift, (2, 3)))
            loss = nn.functional.cross_entropy(logits, labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def to_onnx(net: DigitsNet) -> onnx.ModelProto:
    """The network as ONNX nodes; the batch size is the symbol N."""
    weights = {name: value.numpy() for name, value in net.state_dict().items() if not name.endswith("tracked")}
    nodes: list[onnx.NodeProto] = []

    def node(op_type: str, inputs: list[str], name: str, output: str | None = None, **attributes: Any) -> str:
        output = output or f"{name}_out"
        nodes.append(helper.make_node(op_type, inputs, [output], name=name, **attributes))
        return output

    def block(index: int, x: str) -> str:
        conv, bn = f"conv{index}", f"bn{index}"
        window: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1]}
        y = node("Conv", [x, f"{conv}.weight", f"{conv}.bias"], conv, **window)
        parts = [f"{bn}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
        return node("BatchNormalization", [y, *parts], bn, epsilon=1e-5)

    x = node("Relu", [block(1, "x")], "relu1")
    x = node("Relu", [block(2, x)], "relu2")
    y = node("Relu", [block(3, x)], "relu3")
    x = node("Add", [block(4, y), x], "add1")
    x = node("Relu", [x], "relu4")
    x = node("MaxPool", [x], "pool1", kernel_shape=[2, 2], strides=[2, 2])
    x = node("Relu", [block(5, x)], "relu5")
    x = node("Flatten", [x], "flatten1", axis=1)
    x = node("Gemm", [x, "fc1.weight", "fc1.bias"], "fc1", transB=1)
    x = node("Relu", [x], "relu6")
    node("Gemm", [x, "fc2.weight", "fc2.bias"], "fc2", "logits", transB=1)
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    """Train, write both files, print the held-out accuracy."""
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    digits = load_digits()
    images = (digits.images.astype(np.float32) / 16)[:, None]
    split = train_test_split(images, digits.target, test_size=0.25, random_state=0, stratify=digits.target)
    train_x, test_x, train_y, test_y = (torch.from_numpy(part) for part in split)
    net = train(train_x, train_y)
    with torch.no_grad():
        accuracy = (net(test_x).argmax(1) == test_y).float().mean().item()
    onnx.save(to_onnx(net), HERE / "digits.onnx")
    np.savez_compressed(HERE / "digits_test.npz", x=test_x.numpy(), labels=test_y.numpy())
    print(f"accuracy on {len(test_y)} held-out digits: {accuracy:.4f}")


if __name__ == "__main__":
    main()
