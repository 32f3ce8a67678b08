"""Import and compile of chains of 500, 5,000 and 20,000 nodes: microseconds a node, and how far apart they are.

    python bench/compile_time.py [--rounds N] [--out FILE.json]

Two kinds of chain: Add and Tanh, which fuse with nothing, and Conv, BatchNormalization, Relu, which become one call in
three nodes. Each is compiled in a process of its own, the least time of `--rounds`; the arrays are tiny.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

SIZES = (500, 5_000, 20_000)
LIMIT = 2.0
"""How far apart the times per node of the sizes may be."""


def pointwise(graph: GraphProto, count: int) -> str:
    """Add, Tanh, Add, ..."""
    value = "x"
    for n in range(count):
        inputs = [value, "x"] if n % 2 == 0 else [value]
        graph.node.append(helper.make_node("Add" if n % 2 == 0 else "Tanh", inputs, [f"v{n}"], name=f"n{n}"))
        value = f"v{n}"
    return value


def convolutions(graph: GraphProto, count: int) -> str:
    """Conv, BatchNormalization, Relu, Conv, ..., each with weights of its own."""
    value, rng = "x", np.random.default_rng(0)
    dims = {"Conv": [(2, 2, 1, 1), (2,)], "BatchNormalization": [(2,)] * 4, "Relu": []}
    for n in range(count):
        op = list(dims)[n % 3]
        names = [f"p{n}_{i}" for i in range(len(dims[op]))]
        for name, shape in zip(names, dims[op], strict=True):
            graph.initializer.append(numpy_helper.from_array(rng.random(shape, np.float32) + 0.5, name))
        graph.node.append(helper.make_node(op, [value, *names], [f"v{n}"], name=f"n{n}"))
        value = f"v{n}"
    return value


CHAINS: dict[str, Callable[[GraphProto, int], str]] = {"pointwise": pointwise, "convolutions": convolutions}


def chain(kind: str, count: int) -> ModelProto:
    """A model of `count` nodes in a row."""
    graph = helper.make_graph([], "chain", [], [])
    last = CHAINS[kind](graph, count)
    for values, name in ((graph.input, "x"), (graph.output, last)):
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, 4, 4]))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def compile_once(kind: str, count: int) -> float:
    """Seconds from the model's bytes to a program that is ready to run."""
    from nnfuse.runtime.session import Session

    Session(chain(kind, 3)).program([(1, 2, 4, 4)])  # what is loaded once
    data = chain(kind, count).SerializeToString()
    start = time.perf_counter()
    Session(data).program([(1, 2, 4, 4)])
    return time.perf_counter() - start


def main() -> None:
    """Measure, print, and fail where the times per node are too far apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write all figures to this JSON file")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--one", nargs=2, metavar=("KIND", "NODES"), help="compile one chain here, and print seconds")
    options = parser.parse_args()
    if options.one:
        print(compile_once(options.one[0], int(options.one[1])))
        return
    rows: list[dict[str, Any]] = []
    for kind in CHAINS:
        for count in SIZES:
            command = [sys.executable, __file__, "--one", kind, str(count)]
            runs = [subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(options.rounds)]
            seconds = min(float(run.stdout) for run in runs)
            rows.append({"chain": kind, "nodes": count, "seconds": seconds, "per_node": 1e6 * seconds / count})
            print(f"{kind:14} {count:6d} nodes  {seconds:7.2f} s  {rows[-1]['per_node']:7.0f} us a node", flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps(rows, indent=1))
    for kind in CHAINS:
        each = [row["per_node"] for row in rows if row["chain"] == kind]
        if max(each) > LIMIT * min(each):
            sys.exit(f"{kind}: the times per node are {max(each) / min(each):.1f} times apart")


if __name__ == "__main__":
    main()
