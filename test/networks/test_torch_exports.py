"""torchvision's networks, exported by both of torch's exporters with one or any batch size: all agree.

Truth is the network itself in float64 by torch, so what the exporter makes of it is judged too; ONNX Runtime is the
peer. Needs torch, torchvision and onnxscript (the extra `torch`), and skips without.
"""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import pytest

from nnfuse.runtime.session import Session

torch = pytest.importorskip("torch", reason="needs torch: pip install '.[torch]'")
torchvision = pytest.importorskip("torchvision", reason="needs torchvision: pip install '.[torch]'")
pytest.importorskip("onnxscript", reason="needs onnxscript: pip install '.[torch]'")

pytestmark = pytest.mark.slow

NETWORKS: dict[str, int] = {
    "resnet18": 64,
    "resnet50": 64,
    "vgg16_bn": 224,
    "mobilenet_v2": 64,
    "mobilenet_v3_large": 64,
    "efficientnet_b0": 64,
    "convnext_tiny": 64,
    "densenet121": 64,
    "regnet_x_400mf": 64,
    "shufflenet_v2_x1_0": 64,
    "deeplabv3_mobilenet_v3_large": 64,
    "vit_b_16": 64,
}
"""The networks, and the side of their images. For VGG, the older exporter pools 7x7 from multiples of 7 only."""

BATCHES = (1, 3)
"""The batch sizes that each exported network runs at."""


def make_network(name: str) -> Any:
    """The network with seeded weights, in inference mode; nothing in it is as constant as initialisers leave it.

    Weights of one value (scales of 1 or 1e-6, biases and heads of 0) hide errors, and so do batch-norm statistics of 0
    and 1: the former are drawn, the latter are those of a batch.
    """
    torch.manual_seed(0)
    options: dict[str, Any] = {"weights": None}
    if name.startswith("deeplabv3"):
        options["weights_backbone"] = None
    if name.startswith("vit"):
        options["image_size"] = NETWORKS[name]
    net = torchvision.models.get_model(name, **options)
    with torch.no_grad():
        for weight in net.parameters():
            if weight.numel() > 1 and bool((weight == weight.flatten()[0]).all()):
                weight.copy_(0.2 * torch.randn_like(weight) + (1.0 if weight.flatten()[0] else 0.0))
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None  # statistics are the batch's, not a mix with the initial ones
        if any(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules()):
            net.train()(images(name, 8))
    return net.eval()


def images(name: str, batch: int) -> Any:
    """Random images of the network's size."""
    side = NETWORKS[name]
    return torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(batch))


def logits(output: Any) -> Any:
    """The network's (first) output: segmentation networks give a dictionary."""
    return output["out"] if isinstance(output, dict) else output


def export(net: Any, x: Any, dynamo: bool, dynamic: bool) -> onnx.ModelProto:
    """The model by torch's exporter, its batch size that of `x` or any."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            shapes = {"dynamic_shapes": ({0: torch.export.Dim("batch")},)} if dynamic else {}
            return torch.onnx.export(net, (x,), dynamo=True, input_names=["x"], verbose=False, **shapes).model_proto
        file = io.BytesIO()
        axes = {"dynamic_axes": {"x": {0: "batch"}}} if dynamic else {}
        torch.onnx.export(net, (x,), file, dynamo=False, input_names=["x"], **axes)
        return onnx.load_from_string(file.getvalue())


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Iterator[tuple[str, Any, dict[int, Any]]]:
    """The network's name, itself, and its outputs in float64 at each batch size."""
    net = make_network(request.param)
    wide = copy.deepcopy(net).double()
    with torch.no_grad():
        truths = {batch: logits(wide(images(request.param, batch).double())).numpy() for batch in BATCHES}
    yield request.param, net, truths


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("dynamo", [False, True], ids=["torchscript", "dynamo"])
def test_agrees(
    network: tuple[str, Any, dict[int, Any]],
    dynamo: bool,
    dynamic: bool,
    ort: Callable[..., Any],
    close: Callable[..., None],
) -> None:
    """At each batch size the first output is the network's, as close to it as ONNX Runtime's or within tolerance."""
    name, net, truths = network
    model = export(net, images(name, 2), dynamo, dynamic=True) if dynamic else None
    for batch, truth in truths.items():
        x = images(name, batch)
        if not dynamic:
            model = export(net, x, dynamo, dynamic=False)
        assert model is not None
        feeds = {"x": x.numpy()}
        session = Session(model)
        assert session.get_inputs()[0].shape[0] == ("batch" if dynamic else batch)
        peers = ort(model, feeds)
        results = session.run(None, feeds)
        assert np.std(truth) > 1e-2, "the network's outputs are all alike"
        close(results[0], truth, peers[0], f"{name} at batch {batch}")
        assert [(r.shape, r.dtype) for r in results] == [(p.shape, p.dtype) for p in peers]
