"""Fixtures: small models written as ONNX text, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from nnfuse.dialects.nn.constant import is_weight
from nnfuse.lowering.onnx_to_nn import import_model
from nnfuse.runtime.parameters import ModelParameters
from nnfuse.runtime.reference import evaluate, main_function
from nnfuse.runtime.session import run_passes


def random_array(rng: np.random.Generator, info: onnx.ValueInfoProto, sizes: dict[str, int]) -> np.ndarray[Any, Any]:
    """A random array of a value's type; a symbolic dim has its size in `sizes`; what is called var... is positive."""
    dims = [d.dim_value if d.HasField("dim_value") else sizes[d.dim_param] for d in info.type.tensor_type.shape.dim]
    dtype = helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
    if info.name.startswith(("var", "positive")):
        return rng.uniform(0.5, 1.5, dims).astype(dtype)
    return rng.standard_normal(dims).astype(dtype)


def parse_model(
    text: str, seed: int = 0, opset: int = 17, sizes: dict[str, int] | None = None, **weights: Any
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The model of an ONNX text graph, and feeds. Inputs called x... are fed, all others become random initializers.

    `weights` gives some of those, and of the feeds, other values; `sizes` the symbolic dims, 2 by default.
    """
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> {text}')
    rng = np.random.default_rng(seed)
    every = sizes or {d.dim_param: 2 for i in model.graph.input for d in i.type.tensor_type.shape.dim}
    values = {i.name: weights.get(i.name, random_array(rng, i, every)) for i in model.graph.input}
    fed = [i for i in model.graph.input if i.name.startswith("x")]
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(values[i.name]), i.name) for i in model.graph.input if i not in fed
    )
    del model.graph.input[:]
    model.graph.input.extend(fed)
    onnx.checker.check_model(model)
    return model, {i.name: values[i.name] for i in fed}


def run_fused(model: onnx.ModelProto, feeds: dict[str, Any], passes: str) -> tuple[list[Any], list[str]]:
    """The outputs in float64 after `passes`, and the names of the ops that are left, without those on weights only."""
    module = import_model(model)
    if passes:
        run_passes(module, passes)
    module.verify()
    func = main_function(module)
    results = evaluate(func, [feeds[i.name] for i in model.graph.input], ModelParameters(model).__getitem__, wide=True)
    return results, [op.name for op in func.body.block.ops if not any(is_weight(r) for r in op.results)]


@pytest.fixture
def model_of() -> Callable[..., tuple[onnx.ModelProto, dict[str, Any]]]:
    """See `parse_model`."""
    return parse_model


@pytest.fixture
def fused() -> Callable[..., tuple[list[Any], list[str]]]:
    """See `run_fused`."""
    return run_fused
