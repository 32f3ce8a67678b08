"""Small torch modules as people write them, scripted control flow among them: each agrees with torch.

Exported by torch's older exporter with static and with dynamic sizes, and run at other sizes. ONNX Runtime is the peer.
Needs torch and onnxscript (the extra `torch`), and skips without.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
import pytest

from nnfuse.runtime.session import Session

torch: Any = pytest.importorskip("torch", reason="needs torch: pip install '.[torch]'")
pytest.importorskip("onnxscript", reason="needs onnxscript: pip install '.[torch]'")

pytestmark = pytest.mark.slow

nn, F = torch.nn, torch.nn.functional
torch.manual_seed(0)

Axes = tuple[int, ...]


def normal(*dims: int) -> Any:
    """Normal numbers."""
    return torch.randn(*dims, generator=torch.Generator().manual_seed(sum(dims)))


def below(count: int, *dims: int) -> Any:
    """Whole numbers."""
    return torch.randint(0, count, dims, generator=torch.Generator().manual_seed(sum(dims)))


class Of(nn.Module):
    """A function of modules and inputs, as a module."""

    def __init__(self, function: Callable[..., Any], *modules: Any):
        super().__init__()
        self.function, self.inner = function, nn.ModuleList(modules)

    def forward(self, *inputs: Any) -> Any:
        """The function's results."""
        return self.function(*self.inner, *inputs)


@dataclass(frozen=True)
class Case:
    """A module or function, its inputs, which of their axes are dynamic, and other inputs of the same kind."""

    module: Any
    inputs: Sequence[Any]
    axes: Sequence[Axes] = ()
    others: Sequence[Sequence[Any]] = ()


IMAGE, OTHER, WHOLE = normal(2, 3, 9, 11), normal(1, 3, 7, 12), [(0, 2, 3)]


def of_image(module: Any) -> Case:
    """A case on images of any number and size."""
    return Case(module, [IMAGE], WHOLE, [[OTHER]])


def of_vectors(function: Callable[..., Any]) -> Case:
    """A case on rows of 5 numbers."""
    return Case(function, [normal(4, 5)], [(0,)], [[normal(7, 5)]])


def put(x: Any, v: Any) -> Any:
    """Assignment to a slice."""
    y = x.clone()
    y[:, 1:3, ::2] = v
    return y


def decode(cell: Any, x: Any) -> Any:
    """A cell over 4 steps, unrolled."""
    h = torch.zeros(x.shape[0], 8)
    for step in range(4):
        h = cell(x[:, step], h)
    return h


CASES: dict[str, Case] = {
    **{
        f"{kind.__name__}, {'two directions' if both else 'one direction'}": Case(
            Of(lambda m, x: m(x), kind(5, 7, bidirectional=both)), [normal(6, 2, 5)], [(0, 1)], [[normal(3, 4, 5)]]
        )
        for kind in (nn.LSTM, nn.GRU, nn.RNN)
        for both in (False, True)
    },
    "interpolate, bilinear": of_image(lambda x: F.interpolate(x, scale_factor=2.0, mode="bilinear")),
    "interpolate, corners": of_image(lambda x: F.interpolate(x, size=(5, 17), mode="bilinear", align_corners=True)),
    "interpolate, bicubic": of_image(lambda x: F.interpolate(x, (x.shape[2] * 2, x.shape[3] + 3), mode="bicubic")),
    "interpolate, nearest": of_image(lambda x: F.interpolate(x, (x.shape[2] * 2, x.shape[3] + 3))),
    "grid_sample": Case(
        lambda x, g: F.grid_sample(x, g, padding_mode="reflection", align_corners=False),
        [IMAGE, normal(2, 4, 5, 2)],
        [(0, 2, 3), (0, 1, 2)],
        [[OTHER, normal(1, 3, 6, 2)]],
    ),
    "affine_grid": Case(
        lambda t, x: F.grid_sample(x, F.affine_grid(t, x.shape, align_corners=False), align_corners=False),
        [normal(2, 2, 3), IMAGE],
        [(0,), (0, 2, 3)],
        [[normal(1, 2, 3), OTHER]],
    ),
    "einsum": Case(
        lambda a, b: torch.einsum("bhwc,kc->bkhw", a, b), [normal(2, 3, 4, 5), normal(6, 5)], [(0, 1), ()],
        [[normal(1, 6, 4, 5), normal(6, 5)]],
    ),
    "index_put": Case(put, [normal(2, 5, 6), normal(2, 2, 3)], [(0,), (0,)], [[normal(3, 5, 6), normal(3, 2, 3)]]),
    "scatter_add": Case(lambda x, i, s: x.scatter_add(1, i, s), [normal(2, 5), below(5, 2, 3), normal(2, 3)]),
    "gather": Case(lambda x, i: torch.gather(x, 1, i), [normal(2, 5, 4), below(5, 2, 3, 4)]),
    "masked": of_vectors(lambda x: x.masked_fill(x > 0.5, float("-inf")).softmax(-1)),
    "boolean index": of_vectors(lambda x: x[x > 0]),
    "nonzero": of_vectors(lambda x: (x > 0).nonzero()),
    "topk and sort": of_vectors(lambda x: (*x.topk(3, dim=1), *x.sort(dim=1, descending=True))),
    "unique": Case(lambda x: torch.unique(x), [below(6, 4, 5)], [(0,)], [[below(6, 3, 5)]]),
    "repeat_interleave": Case(
        lambda x, n: x.repeat_interleave(n, 0), [normal(4, 5), torch.tensor([1, 0, 3, 2])], [(0,), (0,)],
        [[normal(3, 5), torch.tensor([2, 1, 0])]],
    ),
    "cumsum": of_vectors(lambda x: x.cumsum(1)),
    "norms": of_vectors(lambda x: (x.norm(dim=1), F.normalize(x, dim=1), x.std(1), x.logsumexp(1), x.prod(1))),
    "pixel_shuffle": Case(nn.PixelShuffle(2), [normal(2, 8, 3, 4)], WHOLE, [[normal(1, 8, 5, 2)]]),
    "GroupNorm": Case(nn.GroupNorm(2, 6), [normal(2, 6, 3, 4)], WHOLE, [[normal(1, 6, 5, 4)]]),
    "InstanceNorm": of_image(nn.InstanceNorm2d(3, affine=True)),
    "PReLU": of_image(nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(4))),
    "roll and flip": of_image(lambda x: torch.roll(x, (1, -2), (2, 3)).flip(2, 3)),
    "unfold": of_image(nn.Unfold(3, padding=1, stride=2)),
    "fold": Case(nn.Fold((5, 6), 3, padding=1), [normal(2, 27, 30)], [(0,)], [[normal(1, 27, 30)]]),
    "EmbeddingBag": Case(
        nn.EmbeddingBag(10, 4), [below(10, 7), torch.tensor([0, 2, 5])], [(0,), ()],
        [[below(10, 9), torch.tensor([0, 2, 5])]],
    ),
    "Conv1d": Case(
        nn.Sequential(nn.Conv1d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv1d(6, 6, 4, stride=2, groups=3, padding=2,
                                                                       padding_mode="reflect")),
        [normal(2, 3, 16)], [(0, 2)], [[normal(1, 3, 12)]],
    ),
    "ConvTranspose2d": Case(
        nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=(1, 0), groups=2, dilation=2),
        [normal(2, 4, 5, 6)], WHOLE, [[normal(1, 4, 3, 7)]],
    ),
    "Conv3d": Case(
        nn.Sequential(nn.Conv3d(2, 4, 3, padding=1, stride=(1, 2, 1)), nn.ReLU(), nn.MaxPool3d(2)),
        [normal(2, 2, 5, 6, 7)], [(0, 2)], [[normal(1, 2, 8, 6, 7)]],
    ),
    "adaptive pools": Case(
        lambda x: (F.adaptive_avg_pool2d(x, (4, 3)), F.adaptive_max_pool2d(x, (2, 3))), [normal(2, 3, 8, 12)],
        [(0,)], [[normal(1, 3, 8, 12)]],
    ),
    "padded to a multiple": of_image(lambda x: F.pad(x, (0, (4 - x.shape[3] % 4) % 4, 0, (4 - x.shape[2] % 4) % 4))),
    "TransformerEncoder": Case(
        nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=True), 2),
        [normal(2, 5, 16)], [(0,)], [[normal(3, 5, 16)]],
    ),
    "a cell, unrolled": Case(Of(decode, nn.GRUCell(8, 8)), [normal(2, 4, 8)], [(0,)], [[normal(3, 4, 8)]]),
    "squeeze of all": Case(lambda x: x.mean((2, 3), keepdim=True).squeeze(), [IMAGE], [(0,)],
                           [[normal(1, 3, 9, 11)], [normal(5, 3, 9, 11)]]),
    "squeeze of one": Case(lambda x: x.squeeze(1) * 2, [normal(2, 3, 4)], [(0, 1)], [[normal(2, 1, 4)]]),
}  # fmt: skip


def check(module: Any, case: Case, ort: Callable[..., Any], close: Callable[..., None]) -> None:
    """The module, exported with static and with dynamic sizes, agrees with torch and with ONNX Runtime."""
    names = [f"x{i}" for i in range(len(case.inputs))]
    named = {n: {axis: f"{n}_{axis}" for axis in a} for n, a in zip(names, case.axes, strict=False) if a}
    for dynamic in ({}, named) if named else ({},):
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            options = {"dynamo": False, "input_names": names, "dynamic_axes": dynamic}
            torch.onnx.export(module, tuple(case.inputs), file, **options)
        model = onnx.load_from_string(file.getvalue())
        session = Session(model)
        for inputs in (case.inputs, *(case.others if dynamic else ())):
            feeds = {n: x.numpy() for n, x in zip(names, inputs, strict=True)}
            feeds = {i.name: feeds[i.name] for i in model.graph.input}
            with torch.no_grad():
                truths = [t.numpy() for t in flat(module(*inputs))]
            results, peers = session.run(None, feeds), ort(model, feeds)
            for result, peer, truth in zip(results, peers, truths, strict=True):
                assert (result.shape, result.dtype) == (peer.shape, peer.dtype) == (truth.shape, truth.dtype)
                close(result, peer)
                close(result, truth, peer)


def flat(value: Any) -> list[Any]:
    """The tensors in what a module gives."""
    return [value] if isinstance(value, torch.Tensor) else [t for v in value for t in flat(v)]


@pytest.mark.parametrize("name", CASES)
def test_modules(name: str, ort: Callable[..., Any], close: Callable[..., None]) -> None:
    case = CASES[name]
    module = case.module if isinstance(case.module, nn.Module) else Of(case.module)
    check(module.eval(), case, ort, close)
