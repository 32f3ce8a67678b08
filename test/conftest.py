"""Fixtures: ONNX nodes and models run through nnfuse, and compared with ONNX Runtime and a float64 oracle."""

from __future__ import annotations

import os
import re
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from nnfuse.dialects.nn.constant import is_weight
from nnfuse.dialects.nn.types import dims_of, dtype_of, element_type
from nnfuse.errors import CompileError
from nnfuse.lowering.onnx_to_nn import import_model
from nnfuse.runtime.kernels import Backend, get_backend
from nnfuse.runtime.parameters import ModelParameters
from nnfuse.runtime.pipelines import run_passes
from nnfuse.runtime.reference import evaluate, main_function
from nnfuse.runtime.tolerance import f32_excess, peer_excess, relative_l2

SHARED_MODELS = Path(os.environ.get("NNFUSE_MODELS", Path(__file__).parents[2] / "shared" / "models"))


SUITE_CASE = re.compile(r"onnx/test_backend_suite\.py::Test[A-Za-z]+?(SymbolicDims|ConstantInputs|OnCuda)?::")
SUITE_VARIANTS = {
    None: "",
    "SymbolicDims": " with symbolic dims",
    "ConstantInputs": " with constant inputs",
    "OnCuda": " on CUDA",
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many cases of onnx's own suite pass, as it is and in our variants of its node tests; and tallies.

    A test of one model of many says what came of it by `record_property("tally", [family, outcome])`.
    """
    counts = {variant: Counter[str]() for variant in SUITE_VARIANTS.values()}
    for outcome in ("passed", "skipped", "xfailed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, ()):
            if case := SUITE_CASE.search(report.nodeid):
                counts[SUITE_VARIANTS[case[1]]][outcome] += 1
    for variant, outcomes in counts.items():
        if outcomes:
            listed = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
            terminalreporter.write_line(f"onnx.backend.test{variant}: {listed} of {outcomes.total()}")
    tallies: dict[str, Counter[str]] = {}
    for report in (r for kind in ("passed", "skipped", "failed") for r in terminalreporter.stats.get(kind, ())):
        for key, value in getattr(report, "user_properties", ()):  # a module that skips as a whole has none
            if key == "tally":
                tallies.setdefault(value[0], Counter())[value[1]] += 1
    for family, outcomes in tallies.items():
        listed = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
        terminalreporter.write_line(f"{family}: {outcomes.total()} models: {listed}")


@pytest.fixture(autouse=True)
def reseeded(request: pytest.FixtureRequest) -> None:
    """A test draws the same numbers whatever ran before it: its module's RNG, if there is one, starts by its name."""
    if isinstance(getattr(request.module, "RNG", None), np.random.Generator):
        request.module.RNG = np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture(scope="session")
def cuda() -> Backend:
    """The backend of a GPU; skips without one."""
    try:
        return get_backend("cuda")
    except CompileError as e:
        pytest.skip(str(e))


@pytest.fixture
def shared_models() -> Path:
    """The folder of real models beside the checkout; tests skip where it is absent."""
    if not SHARED_MODELS.is_dir():
        pytest.skip(f"no models in {SHARED_MODELS} (set NNFUSE_MODELS)")
    return SHARED_MODELS


def run_onnxruntime(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    """The outputs by ONNX Runtime, its graph optimisations off."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def one_node_model(
    op_type: str,
    inputs: Sequence[Any],
    attributes: dict[str, Any],
    opset: int,
    outputs: int,
    constants: Sequence[int],
    domain: str = "",
    symbolic: Sequence[int] = (),
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """A model of one node and its feeds; inputs that are None are left out, those in `constants` are initializers.

    The dims of those in `symbolic` have names only.
    """
    names = ["" if v is None else f"x{i}" for i, v in enumerate(inputs)]
    node = helper.make_node(op_type, names, [f"y{i}" for i in range(outputs)], name="node", domain=domain, **attributes)
    arguments, initializers, feeds = [], [], {}
    for index, (name, value) in enumerate(zip(names, inputs, strict=True)):
        if value is None:
            continue
        if index in constants:
            initializers.append(numpy_helper.from_array(np.asarray(value), name))
            continue
        dims = [f"{name}d{a}" for a in range(value.ndim)] if index in symbolic else value.shape
        arguments.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), dims))
        feeds[name] = value
    results = [onnx.ValueInfoProto(name=f"y{i}") for i in range(outputs)]
    graph = helper.make_graph([node], "g", arguments, results, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(domain, opset)], ir_version=min(opset + 3, 10))
    return model, feeds


def oracle(model: onnx.ModelProto, feeds: dict[str, Any], wide: bool = True) -> list[Any]:
    """The outputs by our op classes' `evaluate`, in float64 (or, not `wide`, in the declared types)."""
    func = main_function(import_model(model))
    parameters = ModelParameters(model)
    names = [i.name for i in model.graph.input if i.name in feeds]
    return evaluate(func, [feeds[n] for n in names], parameters.__getitem__, wide=wide)


def assert_close(result: Any, truth: Any, peer: Any | None = None, what: str = "result") -> None:
    """Within tolerance.py's limits for the result's dtype; exact for integers and booleans.

    A truth that is our own is not taken for one where the peer is far from it: the peer's error would widen the limit.
    """
    result = np.asarray(result)
    if peer is not None:
        assert (error := peer_excess(result, truth, peer)) <= 1, f"{what}: the peer is {error:.3g} times too far away"
    if result.dtype.kind in "iub":
        np.testing.assert_array_equal(result, np.asarray(truth), err_msg=what)
    elif result.dtype.itemsize >= 4:
        assert (excess := f32_excess(result, truth, peer)) <= 1, f"{what}: {excess:.3g} times the tolerance"
    else:
        limit = {"float16": 5e-3}.get(result.dtype.name, 3e-2)
        assert (error := relative_l2(result, truth)) <= limit, f"{what}: relative L2 error {error:.3g} > {limit}"


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
def check_node() -> Callable[..., list[Any]]:
    """`check_node(op_type, [inputs], {attributes}, opset=, outputs=, constants=, against_ort=, expected=, symbolic=)`.

    Imports a one-node model, checks that the inferred types fit what `evaluate` returns (also with the dims of the
    inputs `symbolic`, all by default, known by name only), and compares with the float64 oracle and with ONNX
    Runtime (or the arrays `expected`). Returns the results.
    """

    def check(
        op_type: str,
        inputs: Sequence[Any],
        attributes: dict[str, Any] | None = None,
        opset: int = 21,
        outputs: int = 1,
        constants: Sequence[int] = (),
        against_ort: bool = True,
        expected: Sequence[Any] | None = None,
        domain: str = "",
        symbolic: Sequence[int] | None = None,
    ) -> list[Any]:
        model, feeds = one_node_model(op_type, inputs, attributes or {}, opset, outputs, constants, domain)
        func = main_function(import_model(model))
        func.verify()
        results = oracle(model, feeds, wide=False)
        for result, type_ in zip(results, func.function_type.outputs, strict=True):
            assert result.dtype == dtype_of(element_type(type_)), f"{op_type}: dtype {result.dtype} for {type_}"
            assert len(dims_of(type_)) == result.ndim, f"{op_type}: rank of {result.shape} for {type_}"
            assert all(d in (None, n) for d, n in zip(dims_of(type_), result.shape, strict=True)), (
                f"{op_type}: {result.shape} for {type_}"
            )
        named, _ = one_node_model(
            op_type,
            inputs,
            attributes or {},
            opset,
            outputs,
            constants,
            domain,
            range(len(inputs)) if symbolic is None else symbolic,
        )
        for result, type_ in zip(results, main_function(import_model(named)).function_type.outputs, strict=True):
            assert len(dims_of(type_)) == result.ndim, f"{op_type}, symbolic: rank of {result.shape} for {type_}"
            assert all(d in (None, n) for d, n in zip(dims_of(type_), result.shape, strict=True)), (
                f"{op_type}, symbolic: {result.shape} for {type_}"
            )
        peers = list(expected) if expected is not None else run_onnxruntime(model, feeds) if against_ort else None
        truths = oracle(model, feeds)
        for index, (result, truth) in enumerate(zip(results, truths, strict=True)):
            assert_close(result, truth, what=f"{op_type} output {index} against float64")
            if peers is not None:
                peer = np.asarray(peers[index])
                assert result.shape == peer.shape and result.dtype == peer.dtype, (
                    f"{op_type}: {result.shape} {result.dtype} for {peer.shape} {peer.dtype}"
                )
                assert_close(result, peer, what=f"{op_type} output {index} against the peer")
        return results

    return check


@pytest.fixture(scope="session")
def ort() -> Callable[..., list[Any]]:
    """`ort(model, feeds)`: the outputs by ONNX Runtime without graph optimisations."""
    return run_onnxruntime


@pytest.fixture(scope="session")
def float64_oracle() -> Callable[..., list[Any]]:
    """`float64_oracle(model, feeds)`: the outputs by our op classes in float64, nothing fused."""
    return oracle


@pytest.fixture
def close() -> Callable[..., None]:
    """`close(result, truth, peer=None, what="result")`: fails beyond the tolerance of the result's dtype."""
    return assert_close


@pytest.fixture
def model_of() -> Callable[..., tuple[onnx.ModelProto, dict[str, Any]]]:
    """See `parse_model`."""
    return parse_model


@pytest.fixture
def fused() -> Callable[..., tuple[list[Any], list[str]]]:
    """See `run_fused`."""
    return run_fused
