"""Activations as the nodes of a cuDNN graph: what `dialects.cudnn.conv.may_end_with` allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....dialects.nn.activation import ActivationAttr

NAMES = {"gelu_tanh": "gelu_approx_tanh"}
"""The nodes that cuDNN calls otherwise."""


def activated(graph: Any, value: Any, activation: ActivationAttr, number: Callable[[float], Any]) -> Any:
    """`activation` of a tensor of `graph`; `number` makes a constant a tensor."""
    kind, values = activation.kind.data, activation.values
    match kind:
        case "clip":
            return _clipped(graph, value, *values)
        case "leaky_relu":
            return graph.leaky_relu(value, negative_slope=values[0])
        case "hard_swish":
            gate = _clipped(graph, graph.add(value, number(3.0)), 0.0, 6.0)
            return graph.mul(graph.mul(value, gate), number(1 / 6))
        case "mish":
            return graph.mul(value, graph.tanh(graph.softplus(value)))
        case _:
            return getattr(graph, NAMES.get(kind, kind))(value)


def _clipped(graph: Any, value: Any, low: float, high: float) -> Any:
    """A ReLU with bounds. One from 0 is known to few engines; most know a clip from below 0 after a ReLU."""
    if low == 0:
        value, low = graph.relu(value), -1.0
    return graph.relu(value, lower_clip=low, upper_clip=high)
