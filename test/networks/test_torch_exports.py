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
    "vit_b_32": 64,
    "swin_t": 64,
    "maxvit_t": 224,
    "efficientnet_v2_s": 64,
    "inception_v3": 96,
    "googlenet": 64,
    "mnasnet1_0": 64,
    "resnext50_32x4d": 64,
    "lraspp_mobilenet_v3_large": 64,
}
"""The networks, and the side of their images. For VGG, the older exporter pools 7x7 from multiples of 7 only."""

DETECTORS: dict[str, tuple[int, str]] = {
    "fasterrcnn_mobilenet_v3_large_320_fpn": (160, "box_score_thresh"),
    "retinanet_resnet50_fpn": (96, "score_thresh"),
    "fcos_resnet50_fpn": (96, "score_thresh"),
}
"""Networks whose results are as many as they find, one image at a time: the side to which they scale it, and the option
that says how sure they must be."""

BATCHES = (1, 3)
"""The batch sizes that each exported network runs at."""


def make_network(name: str) -> Any:
    """The network with seeded weights, in inference mode; nothing in it is as constant as initialisers leave it.

    Weights of one value (scales of 1 or 1e-6, biases and heads of 0) hide errors, and so do batch-norm statistics of 0
    and 1: the former are drawn, the latter are those of a batch.
    """
    torch.manual_seed(0)
    options: dict[str, Any] = {"weights": None}
    if name.startswith(("deeplabv3", "lraspp")):
        options["weights_backbone"] = None
    if name in ("inception_v3", "googlenet"):
        options |= {"aux_logits": False, "init_weights": False}
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


class Detector(torch.nn.Module):
    """A detector of one image [1, 3, height, width]: the boxes, and their scores and labels, in its own order."""

    def __init__(self, name: str):
        super().__init__()
        torch.manual_seed(0)
        side, threshold = DETECTORS[name]
        options = {"num_classes": 5, "min_size": side, "max_size": 2 * side, threshold: 0.005}
        self.net = torchvision.models.get_model(name, weights=None, weights_backbone=None, **options)
        for module in self.net.modules():
            if isinstance(module, torch.nn.BatchNorm2d | torchvision.ops.misc.FrozenBatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.7, 1.3)
                module.bias.data.normal_(0, 0.1)
        self.eval()

    def forward(self, x: Any) -> Any:
        """The detections in image 0."""
        return self.net([x[0]])[0]


@pytest.mark.parametrize("name", DETECTORS)
def test_detectors_agree(
    name: str, ort: Callable[..., Any], float64_oracle: Callable[..., Any], close: Callable[..., None]
) -> None:
    """Sizes that are not the one exported with, by the exporter that can: dynamo does not follow what data decide."""
    net, (side, _) = Detector(name), DETECTORS[name]
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        axes = {"x": {2: "height", 3: "width"}}
        x = torch.rand(1, 3, side, side + 32)
        torch.onnx.export(net, (x,), file, dynamo=False, input_names=["x"], dynamic_axes=axes)
    model = onnx.load_from_string(file.getvalue())
    session = Session(model)
    for height, width in ((side, side + 32), (side + 16, side)):
        feeds = {"x": torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(width)).numpy()}
        results, truths, peers = session.run(None, feeds), float64_oracle(model, feeds), ort(model, feeds)
        assert len(results[0]) > 3
        for result, truth, peer in zip(results, truths, peers, strict=True):
            assert (result.shape, result.dtype) == (peer.shape, peer.dtype)
            close(result, truth, peer, f"{name} of {height}x{width}")
