"""The nine image networks of onnx's test data: right logits on each device, and as many fused ReLUs as there can be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fusion_counts import PASSES, counts
from networks import NETWORKS, light_file, light_network, random_feeds

from nnfuse.errors import CompileError
from nnfuse.runtime.kernels import get_backend
from nnfuse.runtime.session import Session
from nnfuse.runtime.tolerance import relative_l2

FUSED = {
    "vgg19": (16, 2),
    "resnet50": (33, 0),
    "squeezenet": (26, 0),
    "inception_v1": (57, 0),
    "inception_v2": (69, 0),
    "densenet121": (59, 0),
    "shufflenet": (17, 0),
    "alexnet": (5, 2),
    "zfnet512": (5, 2),
}
"""How many blas.matmulrelu and blas.gemmrelu."""

LEFT = {
    "resnet50": {"nn.add": 16},  # a residual is added before the ReLU
    "shufflenet": {"nn.add": 13, "nn.concat": 3},  # residual units; units that halve the image and concatenate
}
"""The nn.relu that are left, by the op whose result they read: none of these ops can apply it.

DenseNet's other 62 follow batch-norms of what was concatenated, which apply them.
"""


@pytest.mark.parametrize("name", NETWORKS)
def test_relus_are_fused(name: str) -> None:
    """On the files as they are, whose weights are made by nodes: what depends on no input is a parameter."""
    found = counts(name)
    assert (found.matmulrelu, found.gemmrelu) == FUSED[name]
    assert found.foldable == 0
    left: dict[str, int] = {}
    for (op, _), count in found.left.items():
        left[op] = left.get(op, 0) + count
    assert left == LEFT.get(name, {})


def test_fuse_opt_prints_a_line_for_each() -> None:
    """The command prints the calls that are counted in process."""
    command = [sys.executable, "-m", "nnfuse.tools.fuse_opt", str(light_file("alexnet")), "-p", PASSES]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found = [sum(f"= {call} " in line for line in lines) for call in ("blas.matmulrelu", "blas.gemmrelu", "nn.relu")]
    assert found == [5, 2, 0]


@pytest.fixture(scope="session", params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """A device that there is; asked for before a network is made."""
    try:
        get_backend(request.param)
    except CompileError as e:
        pytest.skip(str(e))
    return request.param


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest, ort: Callable[..., Any], float64_oracle: Callable[..., Any]) -> Any:
    """A network with random weights, its feeds, and its logits in float64 and by ONNX Runtime."""
    model = light_network(request.param, logits=True)
    feeds = random_feeds(model)
    (truth,), (peer,) = float64_oracle(model, feeds), ort(model, feeds)
    assert informative(truth)
    return model, feeds, truth, peer


def informative(logits: np.ndarray[Any, Any]) -> bool:
    """Whether logits are finite, spread out, and (but for the zeros of a last ReLU) different from each other."""
    different = np.unique(logits).size + int((logits == 0).sum())
    return bool(np.isfinite(logits).all()) and logits.std() > 0.1 * np.abs(logits).max() and different >= logits.size


def test_logits(device: str, network: Any, close: Callable[..., None]) -> None:
    """Within tolerance of float64, and dependent on the image."""
    model, feeds, truth, peer = network
    session = Session(model, device)
    (logits,) = session.run(None, feeds)
    close(logits, truth, peer)
    (others,) = session.run(None, random_feeds(model, seed=2))
    assert relative_l2(others, truth) > 1e-2
