"""Random valid ONNX graphs from seeds: the layers of networks, in the spellings of exporters, in any order.

Each value is float32 [N, ...]. `random_model(seed, batch)` is the same graph for every batch, which the dim N may name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from random_steps import STEPS

OPSETS = (13, 17, 18, 21)
MAX_ELEMENTS = 1 << 12
"""The largest value, per item of the batch."""

Shape = tuple[int, ...]


@dataclass
class Graph:
    """A graph under construction. `values` are what a next node may read, each with its dims behind N.

    While it is `straight`, nodes read the last value only.
    """

    rng: np.random.Generator
    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list[onnx.NodeProto])
    weights: list[onnx.TensorProto] = field(default_factory=list[onnx.TensorProto])
    values: list[tuple[str, Shape]] = field(default_factory=list[tuple[str, Shape]])
    batch_wise: bool = True
    straight: bool = False

    def chance(self, probability: float = 0.5) -> bool:
        return bool(self.rng.random() < probability)

    def integer(self, low: int, high: int) -> int:
        """From `low` to `high`, both included."""
        return int(self.rng.integers(low, high + 1))

    def choice(self, items: Sequence[Any]) -> Any:
        return items[self.integer(0, len(items) - 1)]

    def pick(self, suits: Callable[[Shape], bool] = lambda _: True) -> tuple[str, Shape] | None:
        """A value of a suitable shape, mostly the last one."""
        if (self.straight or self.chance(0.75)) and suits(self.values[-1][1]):
            return self.values[-1]
        fitting = [v for v in self.values if suits(v[1])]
        return self.choice(fitting) if fitting else None

    def node(self, op_type: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> str:
        """Add a node; the name of its first output, whose others are called alike with _1, _2 behind."""
        name = f"{op_type.lower()}_{len(self.nodes)}"
        names = [name, *(f"{name}_{i}" for i in range(1, outputs))]
        self.nodes.append(helper.make_node(op_type, inputs, names, name=name, **attributes))
        return name

    def emit(self, name: str, shape: Sequence[int]) -> None:
        """What later nodes may read."""
        if 0 < prod(shape) <= MAX_ELEMENTS:
            self.values.append((name, tuple(shape)))

    def constant(self, array: Any, dtype: Any = np.float32) -> str:
        """An initializer or a Constant node, perhaps behind an Identity."""
        tensor = numpy_helper.from_array(np.asarray(array, dtype), f"c{len(self.weights)}")
        if self.chance(0.2):
            name = self.node("Constant", [], value=tensor)
        else:
            self.weights.append(tensor)
            name = tensor.name
        return self.node("Identity", [name]) if self.chance(0.05) else name

    def numbers(self, *values: int) -> str:
        return self.constant(values, np.int64)

    def normal(self, *shape: int, scale: float = 1.0) -> str:
        return self.constant(self.rng.standard_normal(shape) * scale)

    def uniform(self, *shape: int, low: float = 0.5, high: float = 1.5) -> str:
        return self.constant(self.rng.uniform(low, high, shape))


def random_input(g: Graph) -> Shape:
    """Mostly an image."""
    kind = g.rng.random()
    channels = g.choice([1, 2, 3, 4, 6, 8])
    if kind < 0.7:
        return channels, g.integer(4, 9), g.integer(4, 9)
    if kind < 0.8:
        return channels, g.integer(5, 12)
    return (g.integer(2, 12),) if kind < 0.95 else (channels, 4, g.integer(3, 5), 4)


@dataclass(frozen=True)
class RandomModel:
    """A model, random feeds for a batch, and whether each item of the batch is computed by itself."""

    model: onnx.ModelProto
    feeds: dict[str, Any]
    batch_wise: bool


def random_model(seed: int, batch: int, symbolic: bool = True) -> RandomModel:
    """The graph of `seed`: one or two inputs, of 2 to 16 values and more; what no node reads is an output, mostly."""
    rng = np.random.default_rng(seed)
    g = Graph(rng, int(rng.choice(OPSETS)))
    inputs = {f"x{i}": random_input(g) for i in range(2 if g.chance(0.2) else 1)}
    g.values += inputs.items()
    count, tries = g.integer(2, 16), 0
    while tries < 4 * count and len(g.values) < count + len(inputs):
        g.choice(STEPS)(g)
        tries += 1
    read = {name for node in g.nodes for name in node.input}
    outputs = dict(v for v in g.values if v[0] not in read) or dict(g.values[-1:])
    if g.chance(0.3):  # nodes that nothing needs
        outputs = dict([g.choice(list(outputs.items()))])
    if g.chance(0.3):  # what other nodes read too
        outputs |= dict(g.choice(g.values) for _ in range(2))
    for name in inputs.keys() & outputs.keys():
        outputs[g.node("Identity", [name])] = outputs.pop(name)
    dim = "N" if symbolic else batch
    graph = helper.make_graph(
        g.nodes,
        f"random_{seed}",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [dim, *s]) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [dim, *s]) for n, s in outputs.items()],
        g.weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", g.opset)], ir_version=8)
    feeds = {n: rng.standard_normal((batch, *s), np.float32) for n, s in inputs.items()}
    return RandomModel(model, feeds, g.batch_wise)
