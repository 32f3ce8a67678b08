"""`fuse-run --compare`: a run against ONNX Runtime without optimisations, both against float64."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from math import inf
from typing import Any

import numpy as np

from ..dialects.nn.base import integer
from ..dialects.nn.quantize import DynamicQuantizeLinearOp, QuantizeLinearOp
from ..dialects.nn.quantized_conv import QLinearConvOp
from ..dialects.nn.quantized_matmul import QLinearMatMulOp
from ..dialects.nn.recurrent import LSTMOp
from ..errors import CompileError
from ..runtime.reference import evaluate, main_function
from ..runtime.session import Session, Value
from ..runtime.tolerance import ABSOLUTE, RELATIVE, RELATIVE_L2, excess, peer_excess, tolerance_name
from .arrays import format_shape, split_outputs
from .cli import DIFFERS, OK, complain
from .report import number, print_table


@dataclass(frozen=True)
class Comparison:
    """One output: its greatest errors, and how much of its tolerance it needs (at most 1 is right)."""

    output: Value
    result: Any
    error: float
    peer_error: float
    difference: float
    needed: float

    @property
    def row(self) -> tuple[str, ...]:
        """The output's row of the table."""
        shape, dtype = format_shape(self.result.shape), self.result.dtype.name
        errors = [number(v) for v in (self.error, self.peer_error, self.difference)]
        verdict = "ok" if self.needed <= 1 else "DIFFERS"
        return self.output.name, shape, dtype, *errors, f"{self.needed:.3g}x", verdict


ROUNDING = (QuantizeLinearOp, DynamicQuantizeLinearOp, QLinearConvOp, QLinearMatMulOp)
"""The operations whose results are rounded to integers."""

COLUMNS = ("output", "shape", "dtype", "max|y-f64|", "max|ort-f64|", "max|y-ort|", "tolerance needed", "verdict")


def compare(session: Session, model: str, feeds: Mapping[str, Any], results: Sequence[Any], threads: int | None) -> int:
    """Print how `results` compare; the exit code. Raises CompileError where ONNX Runtime cannot run the model."""
    outputs = session.get_outputs()
    arrays = [feeds[v.name] for v in session.get_inputs()]
    peers = run_onnxruntime(model, arrays, threads)
    inputs, _ = session.check_feeds(feeds)
    module, parameters = session.imported(session.shapes_of(inputs))
    truths = evaluate(main_function(module), arrays, parameters.__getitem__, wide=True)
    precision = "int8" if _rounds_to_integers(session) else session.precision
    found, expected = split_outputs(outputs, results), split_outputs(outputs, peers)
    if [v.name for v, _ in found] != [v.name for v, _ in expected]:
        theirs, ours = (", ".join(v.name for v, _ in pairs) for pairs in (expected, found))
        complain("fuse-run", f"the outputs are {theirs or 'empty'} for ONNX Runtime, but {ours or 'empty'} here")
        return DIFFERS
    exact = split_outputs(outputs, truths)
    rows = [
        _compare_output(value, result, peer, truth, precision)
        for (value, result), (_, peer), (_, truth) in zip(found, expected, exact, strict=True)
    ]
    print_table(COLUMNS, [r.row for r in rows], COLUMNS[3:7])
    print("y: fuse-run; ort: ONNX Runtime, optimisations off; f64: the model computed in float64")
    print(f"within tolerance (1x): {_rules([r for _, r in found], precision)}")
    for name in [r.output.name for r in rows if _is_constant(r.result)]:
        complain("fuse-run", f"warning: the elements of '{name}' are all equal: that they agree says little")
    wrong = [r.output.name for r in rows if r.needed > 1]
    if wrong:
        complain("fuse-run", f"beyond tolerance: {', '.join(wrong)}")
    return DIFFERS if wrong else OK


def _rounds_to_integers(session: Session) -> bool:
    """Whether the network quantises what it computes: one value that is rounded the other way is far from float64's."""
    ops = list(main_function(session.module).walk())
    return any(isinstance(op, ROUNDING) or (isinstance(op, LSTMOp) and integer(op.quantize_state)) for op in ops)


def run_onnxruntime(model: str, arrays: Sequence[Any], threads: int | None) -> list[Any]:
    """The outputs by ONNX Runtime on the CPU, its graph optimisations off, for `arrays` in the order of the inputs."""
    try:
        ort: Any = import_module("onnxruntime")
    except ImportError as e:
        raise CompileError(
            f"--compare needs ONNX Runtime, which cannot be imported: {e}", hint="pip install onnxruntime"
        ) from None
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or 0
    try:
        session = ort.InferenceSession(os.fspath(model), options, providers=["CPUExecutionProvider"])
        names = [i.name for i in session.get_inputs()]
        results = session.run(None, dict(zip(names, arrays, strict=True)))
        return [r if r is None or isinstance(r, list) else np.asarray(r) for r in results]
    except Exception as e:  # its exceptions have no common class of their own
        raise CompileError(f"ONNX Runtime cannot run the model: {e}") from None


def _compare_output(output: Value, result: Any, peer: Any, truth: Any, precision: str) -> Comparison:
    if (peer.shape, peer.dtype) != (result.shape, result.dtype):
        complain(
            "fuse-run",
            f"'{output.name}' is {format_shape(peer.shape)} {peer.dtype} for ONNX Runtime, but"
            f" {format_shape(result.shape)} {result.dtype} here",
        )
        return Comparison(output, result, inf, inf, inf, inf)
    needed = excess(result, truth, peer, precision)
    if precision != "int8" and (apart := peer_excess(result, truth, peer)) > 1:
        complain("fuse-run", f"'{output.name}' of ONNX Runtime is far from float64: one of them is wrong")
        needed = max(needed, apart)
    return Comparison(
        output,
        result,
        _max_difference(result, truth),
        _max_difference(peer, truth),
        _max_difference(result, peer),
        needed,
    )


def _max_difference(a: Any, b: Any) -> float:
    """The greatest |a - b|: 0 where both are the same infinity or NaN, infinite where only one is."""
    if a.shape != b.shape:
        return inf
    x, y = a.astype(np.float64), b.astype(np.float64)
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    if not (~same).any():
        return 0.0
    with np.errstate(all="ignore"):
        return float(np.nan_to_num(np.abs(x - y)[~same], nan=inf, posinf=inf).max())


def _is_constant(array: Any) -> bool:
    return array.size > 1 and bool((array == array.flat[0]).all())


def _rules(results: Sequence[Any], precision: str) -> str:
    """The tolerances that apply to `results`, in words."""
    rules = {_rule(r.dtype, precision): None for r in results}
    return "; ".join(rules)


def _rule(dtype: Any, precision: str) -> str:
    if dtype.kind in "iub":
        return "integers are equal to either"
    if dtype.itemsize >= 4 and precision == "f32":
        return f"|y-f64| is at most the larger of {ABSOLUTE:g} + {RELATIVE:g}*|f64| and 4*max|ort-f64|"
    limit = RELATIVE_L2[tolerance_name(dtype, precision)]
    return f"the relative L2 error of {dtype.name} is at most {limit:g}"
