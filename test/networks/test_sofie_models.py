"""SOFIE's models: each runs and agrees with float64 and with ONNX Runtime, or is skipped for an operator it uses.

They are read from ../shared/models/sofie or $NNFUSE_MODELS/sofie; where those are absent, the tests skip.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, helper, numpy_helper

from nnfuse.errors import CompileError, UnsupportedError
from nnfuse.runtime.session import Session

MODELS = Path(os.environ.get("NNFUSE_MODELS", Path(__file__).parents[3] / "shared" / "models")) / "sofie"
FILES = sorted(MODELS.glob("*/*.onnx"))

# fmt: off
CLAIMED = {
    "Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "Mul", "Div", "Pow", "Sum", "Max", "Min", "Mean",
    "Neg", "Abs", "Exp", "Log", "Sqrt", "Reciprocal", "Erf", "Floor", "Ceil", "Relu", "LeakyRelu", "PRelu", "Elu",
    "Selu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Softplus", "Gelu", "Softmax", "LogSoftmax",
    "BatchNormalization", "LRN", "InstanceNormalization", "LayerNormalization", "MaxPool", "AveragePool",
    "GlobalAveragePool", "GlobalMaxPool", "Pad", "Concat", "Split", "Slice", "Reshape", "Flatten", "Squeeze",
    "Unsqueeze", "Transpose", "Expand", "Tile", "Gather", "Resize", "ReduceMean", "ReduceSum", "ReduceMax",
    "ReduceMin", "Identity", "Dropout", "Cast", "Constant", "ConstantOfShape", "Shape", "Where", "Equal",
}
# fmt: on
"""A model of these operators only must not be skipped as unsupported."""

FEEDS: dict[str, list[list[float]]] = {
    "Equal": [[1, 2, 3], [1, 3, 3]],
    "Greater": [[1, 2, 3], [1, 3, 2]],
    "GreaterOrEqual": [[1, 2, 3], [1, 3, 2]],
    "Less": [[1, 2, 3], [1, 1, 4]],
    "LessOrEqual": [[1, 2, 3], [1, 1, 4]],
    "RangeFloat": [[1], [10], [1.5]],
    "RangeInt": [[1], [10], [2]],
}
"""Inputs of the models for which random ones say nothing."""


def stored_arrays(path: Path, model: ModelProto) -> tuple[dict[str, Any], list[Any]]:
    """The inputs and outputs stored beside a model, if any: inputs by name or `in__` and it, outputs in order."""
    file = path.with_suffix(".npz")
    arrays = dict(np.load(file)) if file.exists() else {}
    names = {i.name for i in model.graph.input}
    inputs = {name.removeprefix("in__"): a for name, a in arrays.items() if name.removeprefix("in__") in names}
    return inputs, [a for name, a in arrays.items() if "out__" in name]


def made_feeds(path: Path, model: ModelProto) -> dict[str, Any]:
    """Inputs of the model's shapes: those in FEEDS, or random ones."""
    rng = np.random.default_rng(3)
    weights = {t.name for t in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in weights]
    feeds: dict[str, Any] = {}
    for index, value in enumerate(inputs):
        type_ = value.type.tensor_type
        dims = [d.dim_value for d in type_.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(type_.elem_type)
        given = FEEDS.get(path.stem)
        if given is not None:
            feeds[value.name] = np.asarray(given[index], dtype).reshape(dims)
        elif dtype.kind == "f":
            feeds[value.name] = rng.uniform(0.25, 2, dims).astype(dtype) * signs(rng, model, dims, dtype)
        else:
            feeds[value.name] = (rng.permutation(int(np.prod(dims))).reshape(dims) % 2).astype(dtype)
    return feeds


def signs(rng: np.random.Generator, model: ModelProto, dims: list[int], dtype: Any) -> Any:
    """1 and -1, but 1 for operators that are defined for positive numbers."""
    positive = {"Log", "Sqrt", "Pow"} & {n.op_type for n in model.graph.node}
    return dtype.type(1) if positive else rng.choice([-1, 1], dims).astype(dtype)


def rescaled(model: ModelProto) -> ModelProto:
    """The model with the filters of its convolutions multiplied by sqrt(6): they vanish in deep networks otherwise."""
    filters = {n.input[1] for n in model.graph.node if n.op_type == "Conv"}
    for tensor in model.graph.initializer:
        if tensor.name in filters:
            array = numpy_helper.to_array(tensor) * np.float32(sqrt(6))
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return model


def near_constant(array: Any) -> bool:
    """Whether the elements of an output hardly differ."""
    return array.size > 1 and float(np.ptp(array)) <= 1e-2 * float(np.abs(array).max())


@pytest.mark.skipif(not FILES, reason=f"no models in {MODELS} (set NNFUSE_MODELS)")
@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_sofie(
    path: Path,
    record_property: Callable[[str, Any], None],
    ort: Callable[..., Any],
    float64_oracle: Callable[..., Any],
    close: Callable[..., None],
) -> None:
    """The model agrees, or uses an operator that is not claimed, or is not valid and refused in one line."""

    def outcome(what: str) -> None:
        record_property("tally", [f"sofie/{path.parent.name}", what])

    model = onnx.load(path)
    operators = {n.op_type for n in model.graph.node}
    feeds, stored = stored_arrays(path, model)
    if "Conv" in operators and any(map(near_constant, stored)):
        model, stored = rescaled(model), []
    feeds = feeds or made_feeds(path, model)
    peers, refusal = run_peer(model, feeds, ort)
    try:
        session = Session(model)
    except UnsupportedError as e:
        assert not operators <= CLAIMED, str(e)
        outcome(f"unsupported ({', '.join(sorted(operators - CLAIMED))})")
        pytest.skip(str(e))
    except CompileError as e:
        assert refusal, str(e)
        outcome("not valid ONNX")
        pytest.skip(f"{e} (ONNX Runtime: {refusal})")
    results = session.run(None, feeds)
    for result, peer in zip(results, peers or (), strict=peers is not None):
        close(result, peer)
        assert result.dtype == peer.dtype
    # A network of convolutions only treats each image by itself: float64 is slow, so it gets two.
    images = slice(2) if operators <= {"Conv", "Relu"} else ...
    truths = float64_oracle(model, {name: array[images] for name, array in feeds.items()})
    for index, (result, truth) in enumerate(zip(results, truths, strict=True)):
        close(result[images], truth, None if peers is None else peers[index][images])
    for kept, truth in zip(stored, truths, strict=bool(stored)):
        close(kept[images], truth)
    if path.parent.name != "unit":
        assert not any(near_constant(t) or not np.any(t) for t in truths)
    agreed = "agree" if peers is not None else "agree with float64 only"
    outcome(f"{agreed} (refused by ONNX Runtime)" if refusal else agreed)


def run_peer(model: ModelProto, feeds: dict[str, Any], ort: Callable[..., Any]) -> tuple[list[Any] | None, str]:
    """The outputs by ONNX Runtime; or its refusal, and its outputs of an equivalent model where there is one."""
    try:
        return ort(model, feeds), ""
    except Exception as e:
        refusal = " ".join(str(e).split())
    try:
        return ort(for_onnxruntime(model), feeds), refusal
    except Exception:
        return None, refusal


def for_onnxruntime(model: ModelProto) -> ModelProto:
    """The model without what ONNX Runtime refuses: a clip of 0 of GRU and LSTM (in RNN it clips), and layout 1."""
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        new = NodeProto.FromString(node.SerializeToString())
        dropped = {"layout"} | ({"clip"} if attributes.get("clip") == 0 and node.op_type != "RNN" else set())
        del new.attribute[:]
        new.attribute.extend(a for a in node.attribute if a.name not in dropped)
        nodes += time_first(new) if attributes.get("layout") == 1 else [new]
    changed = ModelProto.FromString(model.SerializeToString())
    del changed.graph.node[:], changed.graph.value_info[:]
    changed.graph.node.extend(nodes)
    return changed


def time_first(node: NodeProto) -> list[NodeProto]:
    """A recurrent node whose batch comes first, as one whose time comes first, between transposes."""
    swap, before, after = [1, 0, 2], [], []
    for index in (i for i in (0, 5, 6) if i < len(node.input) and node.input[i]):  # x and the initial states
        before.append(
            helper.make_node("Transpose", [node.input[index]], [f"{node.input[index]}_time_first"], perm=swap)
        )
        node.input[index] += "_time_first"
    for index, output in enumerate(node.output):
        if output:
            perm = swap if index else [2, 0, 1, 3]  # the final states; all of them, in y
            after.append(helper.make_node("Transpose", [f"{output}_time_first"], [output], perm=perm))
            node.output[index] += "_time_first"
    return [*before, node, *after]
