"""Random graphs: fused or not, in batches or item by item, they give float64's results, and ONNX Runtime's."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from random_graphs import RandomModel, random_model

from nnfuse.runtime import session
from nnfuse.runtime.pipelines import FUSE, finish_pipeline
from nnfuse.runtime.session import Session
from nnfuse.runtime.tolerance import excess

FULL = bool(os.environ.get("NNFUSE_FULL"))
COUNT = int(os.environ.get("NNFUSE_GRAPHS", "300" if FULL else "30"))
"""How many graphs; set NNFUSE_GRAPHS for more, or NNFUSE_GRAPH to the seed of one."""

SEEDS = [int(os.environ["NNFUSE_GRAPH"])] if "NNFUSE_GRAPH" in os.environ else range(COUNT)
BATCH = 3


class Checked:
    """The truth about one random model, and where results are held against it."""

    def __init__(self, seed: int, random: RandomModel, truth: list[Any], peer: list[Any]):
        self.seed, self.random, self.truth, self.peer = seed, random, truth, peer

    def fail(self, message: str) -> None:
        """Fail, saying how to run this graph again, and what it is."""
        again = f"NNFUSE_GRAPH={self.seed} pytest test/networks/test_random_graphs.py"
        graph = onnx.printer.to_text(self.random.model.graph)
        pytest.fail(f"{message}\nrun it again: {again}\n{graph}", pytrace=False)

    def hold(self, what: str, results: list[Any]) -> None:
        """Fail beyond the tolerance, or where a shape or dtype is not the peer's."""
        outputs = self.random.model.graph.output
        for output, y, truth, peer in zip(outputs, results, self.truth, self.peer, strict=True):
            if y.shape != peer.shape or y.dtype != peer.dtype:
                self.fail(f"{what}, {output.name}: {y.shape} {y.dtype} for {peer.shape} {peer.dtype}")
            if (factor := excess(y, truth, peer)) > 1:
                self.fail(f"{what}, {output.name}: {factor:.3g} times the tolerance")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", SEEDS)
def test_random_graph(seed: int, ort: Any, float64_oracle: Any, fused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way to compute it is within the tolerance of the float64 oracle; fusing changes nothing in float64."""
    random = random_model(seed, BATCH, symbolic=seed % 4 > 0)
    onnx.checker.check_model(random.model, full_check=True)
    truth = float64_oracle(random.model, random.feeds)
    checked = Checked(seed, random, truth, ort(random.model, random.feeds))
    for output, expected, peer in zip(random.model.graph.output, truth, checked.peer, strict=True):
        if (factor := excess(peer, expected)) > 1:
            checked.fail(f"ONNX Runtime and the float64 oracle, {output.name}: {factor:.3g} times the tolerance")
    folded, _ = fused(random.model, random.feeds, FUSE)
    for output, y, expected in zip(random.model.graph.output, folded, truth, strict=True):
        if not np.allclose(y, expected, rtol=1e-6, atol=1e-6, equal_nan=True):
            checked.fail(f"fused in float64, {output.name}: {np.abs(y - expected).max():.3g} from the truth")
    for fuse in (True, False):
        checked.hold(f"fuse={fuse}", Session(random.model, fuse=fuse).run(None, random.feeds))
    if random.batch_wise:
        single = Session(random_model(seed, 1, symbolic=seed % 4 > 0).model)
        items = [{n: x[i : i + 1] for n, x in random.feeds.items()} for i in range(BATCH)]
        runs = [single.run(None, item) for item in items]
        checked.hold("item by item", [np.concatenate(parts) for parts in zip(*runs, strict=True)])
    monkeypatch.setattr(session, "finish_pipeline", lambda device, fuse: finish_pipeline("cuda", fuse))
    checked.hold("fused pointwise", Session(random.model).run(None, random.feeds))


def informative(y: Any) -> bool:
    """Whether an output could tell a right program from one that returns a constant."""
    return bool(np.isfinite(y).all()) and float(np.std(y)) > 1e-3


def test_the_graphs_say_something(ort: Callable[..., list[Any]]) -> None:
    """Their outputs vary, and the layers that fuse are in them."""
    models = [random_model(seed, BATCH) for seed in range(30)]
    outputs = [y for m in models for y in ort(m.model, m.feeds)]
    assert sum(map(informative, outputs)) >= 0.8 * len(outputs)
    ops = {n.op_type for m in models for n in m.model.graph.node}
    assert {"Conv", "Gemm", "MatMul", "BatchNormalization", "Relu", "Clip", "Add", "Mul", "Pad", "Concat"} <= ops
    assert sum(m.batch_wise for m in models) >= 20


def test_a_seed_is_one_graph() -> None:
    """Whatever the batch."""
    first, second = (random_model(7, batch).model for batch in (1, 3))
    assert first.SerializeToString() == second.SerializeToString()
