"""The nine image networks of onnx's own test data, with weights that tell a right answer from a wrong one.

The `light_*.onnx` files of the onnx package are AlexNet, VGG-19, ResNet-50 ... with nearly all weights 0.02, made by
ConstantOfShape nodes. Equal weights hide errors: permuted channels or a wrong stride change nothing. Here they are
random, as the networks were trained from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

FOLDER = Path(onnx.backend.test.__file__).parent / "data" / "light"
FILES = {
    "vgg19": "light_vgg19.onnx",
    "resnet50": "light_resnet50.onnx",
    "squeezenet": "light_squeezenet.onnx",
    "inception_v1": "light_inception_v1.onnx",
    "inception_v2": "light_inception_v2.onnx",
    "densenet121": "light_densenet121.onnx",
    "shufflenet": "light_shufflenet.onnx",
    "alexnet": "light_bvlc_alexnet.onnx",
    "zfnet512": "light_zfnet512.onnx",
}
"""Name -> file, in the order in which results are printed."""

NETWORKS = tuple(FILES)
POSITIVE = {("BatchNormalization", 1), ("BatchNormalization", 4), ("Mul", 1)}
"""Scales and variances: which operands of which operators."""


def light_file(name: str) -> Path:
    """The file of a network as it ships, its weights constant."""
    return FOLDER / FILES[name]


def light_network(name: str, logits: bool = False, seed: int = 0) -> ModelProto:
    """A network with random weights, as initializers; what reshapes a weight (Unsqueeze, Reshape) stays.

    Filters and matrices are He-normal, scales and variances uniform in [0.5, 1.5], biases, means and addends normal
    with a deviation of 0.1. With `logits`, the output is what the last Softmax reads: a softmax of large logits is
    0 nearly everywhere and would hide errors.
    """
    model = onnx.load(light_file(name))
    graph = model.graph
    rng = np.random.default_rng(seed)
    made = {node.output[0]: node for node in graph.node if node.op_type == "ConstantOfShape"}
    values = {t.name: t for t in graph.initializer}
    weights = {o: tuple(int(d) for d in numpy_helper.to_array(values[n.input[0]])) for o, n in made.items()}
    weights |= {t.name: tuple(t.dims) for t in graph.initializer if t.data_type == TensorProto.FLOAT}
    readers = readers_of(graph)
    random = {w: drawn(rng, dims, *readers.get(w, (None, 0))) for w, dims in weights.items()}
    shapes = {node.input[0] for node in made.values()}
    keep_only(graph.node, lambda node: node.output[0] not in made)
    keep_only(graph.input, lambda i: i.name not in shapes)
    keep_only(graph.initializer, lambda t: t.name not in shapes and t.name not in random)
    for weight, value in random.items():
        graph.initializer.add(name=weight, dims=value.shape, data_type=TensorProto.FLOAT, raw_data=value.tobytes())
    if logits and graph.node[-1].op_type == "Softmax":
        graph.output[0].name = graph.node.pop().input[0]
        graph.output[0].type.tensor_type.ClearField("shape")
    return model


def keep_only(field: Any, keep: Callable[[Any], bool]) -> None:
    """Delete from a repeated field what is not to be kept."""
    for index in reversed(range(len(field))):
        if not keep(field[index]):
            del field[index]


Reader = tuple[NodeProto | None, int]
"""A node, and which of its operands a value is; None where nothing reads it."""


def readers_of(graph: GraphProto) -> dict[str, Reader]:
    """For each value the last node that reads it; for what is only reshaped, the reader of the result."""
    readers: dict[str, Reader] = {}
    for node in reversed(graph.node):
        for index, value in enumerate(node.input):
            reshaped = node.op_type in ("Unsqueeze", "Reshape") and index == 0
            readers[value] = readers.get(node.output[0], (None, 0)) if reshaped else (node, index)
    return readers


def drawn(rng: np.random.Generator, dims: tuple[int, ...], node: NodeProto | None, index: int) -> np.ndarray[Any, Any]:
    """Random values for operand `index` of `node`."""
    operand = ("" if node is None else node.op_type, index)
    if operand in POSITIVE:
        return rng.uniform(0.5, 1.5, dims).astype(np.float32)
    values = rng.standard_normal(dims, dtype=np.float32)
    if operand in (("Conv", 1), ("Gemm", 1)):
        # Filters are [K, C, kernel...] and the networks' matrices [N, K], used with transB = 1.
        fan_in = prod(dims[1:] if operand[0] == "Conv" else (dims[-1],))
        values *= np.float32(sqrt(2 / fan_in))
    else:
        values *= np.float32(0.1)
    return values


def random_feeds(model: ModelProto, seed: int = 1) -> dict[str, np.ndarray[Any, Any]]:
    """A standard normal array for each input that is no initializer."""
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(dims, dtype=np.float32) for name, dims in inputs_of(model)}


def inputs_of(model: ModelProto) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The name and dims of each input that is no initializer."""
    weights = {t.name for t in model.graph.initializer}
    for value in model.graph.input:
        if value.name not in weights:
            yield value.name, tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
