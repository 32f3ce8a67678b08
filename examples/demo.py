"""What `make demo` shows: the digits network imported, fused, lowered and run on digits it has not seen."""

from __future__ import annotations

import importlib.util
import re
import statistics
import sys
import textwrap
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp

import nnfuse
from nnfuse.dialects.nn.constant import ParameterOp, is_weight
from nnfuse.lowering.onnx_to_nn import import_onnx
from nnfuse.rewriting import collect_remarks
from nnfuse.runtime.pipelines import FUSE, run_passes
from nnfuse.runtime.reference import main_function

HERE = Path(__file__).parent
MODEL = str(HERE / "digits.onnx")
LOWER = 'specialize-shapes{dims="N=1"},lower-nn-to-blas'
WIDTH = 88
LEAST_ACCURACY = 0.97


def say(text: str, indent: str = "") -> None:
    """Print `text`, folded between words; lines after the first are indented by `indent`."""
    print(textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False))


def show(title: str, command: str, module: ModuleOp, pipeline: str = "") -> None:
    """Apply `pipeline` to `module`; print it, what was typed to get it, and a remark for each fusion."""
    print(f"\n== {title}")
    say(f"$ {command}", "      ")
    with collect_remarks() as remarks:
        if pipeline:
            run_passes(module, pipeline)
    show_operations(module)
    for line in remarks:
        print(f"remark: {line}")


def show_operations(module: ModuleOp) -> None:
    """Print what computes with the network's input; what depends on weights only is counted."""
    func = main_function(module)
    lines = str(module).splitlines()
    first = next(i for i, line in enumerate(lines) if "func.func @main" in line) + 1
    parameters = others = 0
    for op, line in zip(func.body.block.ops, lines[first:], strict=False):  # an operation is one line
        if op.results and all(map(is_weight, op.results)):
            parameters += isinstance(op, ParameterOp)
            others += not isinstance(op, ParameterOp)
        else:
            say(f"  {re.sub(r': [(].*?[)] ->', ': (...) ->', line.strip())}", "      ")
    print(f"  (left out: operand types, {parameters} parameters, {others} other weights)")


def check_accuracy(session: nnfuse.Session, images: Any, labels: Any) -> None:
    """Print how many of the held-out digits are recognised, and whether ONNX Runtime agrees on each.

    Exits with an error where they are too few, or where ONNX Runtime does not agree.
    """
    (logits,) = session.run(None, {"x": images})
    predictions = logits.argmax(axis=1)
    right = int((predictions == labels).sum())
    print(f"accuracy on {len(labels)} held-out digits: {right / len(labels):.4f} ({right} right)")
    if right < LEAST_ACCURACY * len(labels):
        sys.exit(f"the accuracy is below {LEAST_ACCURACY}")
    if importlib.util.find_spec("onnxruntime") is None:
        print("ONNX Runtime is not installed: no comparison with it")
        return
    import onnxruntime

    (expected,) = onnxruntime.InferenceSession(MODEL).run(None, {"x": images})
    same = int((predictions == expected.argmax(axis=1)).sum())
    print(f"predictions equal to ONNX Runtime's: {same} of {len(labels)}")
    print(f"largest difference of a logit from ONNX Runtime's: {np.abs(logits - expected).max():.1e}")
    if same != len(labels):
        sys.exit("the predictions differ")


def medians(sessions: Sequence[nnfuse.Session], feeds: dict[str, Any], count: int) -> list[float]:
    """The median time of a run in milliseconds, for each of `sessions`, which take turns."""
    runs = [partial(session.run, None, feeds) for session in sessions]
    times: list[list[float]] = [[] for _ in runs]
    for run in runs:
        run()  # compiles for these shapes
    for _ in range(count):
        for run, own in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            own.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(own) for own in times]


def show_times(fused: nnfuse.Session, images: Any, effort: int) -> None:
    """Print the time of a run with and without fusion."""
    unfused = nnfuse.Session(MODEL, fuse=False)
    for batch in (1, 32, len(images)):
        fast, slow = medians((fused, unfused), {"x": images[:batch]}, 1 + effort // (batch + 10))
        print(f"batch {batch:3}: fused {fast:7.3f} ms, unfused {slow:7.3f} ms ({slow / fast:.2f} times as long)")


def main(effort: int = 3000) -> None:
    """The whole demo; the times are medians of about `effort / (batch + 10)` runs."""
    module, path = import_onnx(MODEL), "examples/digits.onnx"
    show("The network, as imported", f"fuse-opt {path}", module)
    show("Fused", f"fuse-opt {path} -p {FUSE} --remarks -o fused.mlir", module, FUSE)
    show("Lowered to library calls, for one image", f"fuse-opt fused.mlir -p '{LOWER}'", module, LOWER)
    print("\n== Run on held-out digits, on the CPU")
    test = np.load(HERE / "digits_test.npz")
    session = nnfuse.Session(MODEL)
    check_accuracy(session, test["x"], test["labels"])
    show_times(session, test["x"], effort)


if __name__ == "__main__":
    main()
