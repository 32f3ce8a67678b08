"""The activation functions of recurrent networks, by ONNX's names, with their parameters bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

from ...errors import CompileError
from .activation_functions import ACTIVATIONS
from .types import Array

GateFunction: TypeAlias = Callable[[Any, Array], Array]
"""f(xp, x): elementwise, to a new array."""


def affine(xp: Any, x: Array, alpha: float, beta: float) -> Array:
    """`alpha * x + beta`"""
    return x * alpha + beta


def scaled_tanh(xp: Any, x: Array, alpha: float, beta: float) -> Array:
    """`alpha * tanh(beta * x)`"""
    return xp.tanh(x * beta) * alpha


GATE_FUNCTIONS: dict[str, tuple[Callable[..., Array], dict[str, float]]] = {
    "Relu": (ACTIVATIONS["relu"][1], {}),
    "Tanh": (ACTIVATIONS["tanh"][1], {}),
    "Sigmoid": (ACTIVATIONS["sigmoid"][1], {}),
    "Softsign": (ACTIVATIONS["softsign"][1], {}),
    "Softplus": (ACTIVATIONS["softplus"][1], {}),
    "Affine": (affine, {"alpha": 1.0, "beta": 0.0}),
    "LeakyRelu": (ACTIVATIONS["leaky_relu"][1], {"alpha": 0.01}),
    "ThresholdedRelu": (ACTIVATIONS["thresholded_relu"][1], {"alpha": 1.0}),
    "ScaledTanh": (scaled_tanh, {"alpha": 1.0, "beta": 1.0}),
    "HardSigmoid": (ACTIVATIONS["hard_sigmoid"][1], {"alpha": 0.2, "beta": 0.5}),
    "Elu": (ACTIVATIONS["elu"][1], {"alpha": 1.0}),
}
"""ONNX's name -> the function and the defaults of its parameters, which are those of the operator of that name."""

_BY_LOWER = {name.lower(): entry for name, entry in GATE_FUNCTIONS.items()}


def gate_functions(names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]) -> list[GateFunction]:
    """The functions of these names (in any case); raises CompileError on an unknown one.

    Those with a parameter take the next number of `alphas` (or `betas`), and its default where there are no more.
    """
    given: dict[str, Iterator[float]] = {"alpha": iter(alphas), "beta": iter(betas)}
    functions: list[GateFunction] = []
    for name in names:
        if (entry := _BY_LOWER.get(name.lower())) is None:
            raise CompileError(f"the activation '{name}' is unknown; there are {', '.join(GATE_FUNCTIONS)}")
        function, defaults = entry
        functions.append(partial(_call, function, {p: next(given[p], default) for p, default in defaults.items()}))
    return functions


def _call(function: Callable[..., Array], parameters: dict[str, float], xp: Any, x: Array) -> Array:
    return function(xp, x, **parameters)
