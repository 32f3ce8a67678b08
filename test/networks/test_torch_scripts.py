"""Scripted torch modules, whose ifs and loops become ONNX's: each agrees with torch and with ONNX Runtime.

Exported with static and with dynamic sizes, and run with inputs that take other ways through them. Needs torch (the
extra `torch`), and skips without.
"""

# ruff: noqa: SIM108 -- statements are what becomes ONNX's If

import io
import warnings

import onnx
import pytest

from nnfuse.runtime.session import Session

torch = pytest.importorskip("torch", reason="needs torch: pip install '.[torch]'")

pytestmark = pytest.mark.slow


def normal(*dims):
    """Normal numbers."""
    return torch.randn(*dims, generator=torch.Generator().manual_seed(sum(dims)))


class Branches(torch.nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            y = x * 2
        else:
            y = x - 1
        for i in range(3):
            y = y + float(i)
        steps = 0
        while bool((y < 20).any()) and steps < 10:
            y = y * 1.5 + 1
            steps += 1
        return y, steps


class Collects(torch.nn.Module):
    def forward(self, x):
        kept = []
        h = torch.zeros(x.shape[1])
        for i in range(x.shape[0]):
            h = torch.tanh(h + x[i])
            if h.sum() > 0:
                kept.append(h)
        if len(kept) == 0:
            return torch.zeros(1, x.shape[1])
        return torch.stack(kept)


class OfShapes(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.valid, self.same = torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x):
        if x.shape[2] > 8:
            y = self.valid(x)
        else:
            y = self.same(x)
        return torch.relu(y)


class Grows(torch.nn.Module):
    def forward(self, x, n: int):
        y = x
        for i in range(n):
            if i % 2 == 0:
                y = torch.cat([y, x], 0)
            else:
                y = y * 0.5
        return y


class Breaks(torch.nn.Module):
    def forward(self, x):
        if x.dim() == 3:
            x = x.unsqueeze(0)
        i = 0
        while i < x.shape[1]:
            if bool(x[0, i, 0, 0] > 0):
                break
            i += 1
        return x[:, : i + 1] if i < x.shape[1] else x


class Cells(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = torch.nn.LSTMCell(4, 4)

    def forward(self, x):
        h = torch.zeros(x.shape[1], 4)
        c = torch.zeros(x.shape[1], 4)
        states: list[torch.Tensor] = []
        for t in range(x.size(0)):
            h, c = self.cell(x[t], (h, c))
            states += [h]
        return torch.stack(states)


class Unbinds(torch.nn.Module):
    def forward(self, x):
        rows = []
        for row in x.unbind(0):
            rows.append(row.cumsum(0))
        for i in range(len(rows)):
            rows[i] = rows[i] + i
        return torch.cat(rows)


class RankOfShape(torch.nn.Module):
    def forward(self, x):
        y = x.squeeze(0)
        if y.dim() == 2:
            y = y.unsqueeze(0)
        return y.sum(-1)


class RankOfSize(torch.nn.Module):
    def forward(self, x):
        if x.size(0) == 1:
            return x[0]
        return x


class RankOfValue(torch.nn.Module):
    def forward(self, x, mask):
        n = int(mask.sum())
        if n > 2:
            return x[:n]
        return x.sum(0)


class Best(torch.nn.Module):
    def forward(self, x):
        best = torch.zeros(x.size(0), 1)
        for t in range(x.size(1)):
            candidates = (best.unsqueeze(2) + x[:, t].unsqueeze(1)).flatten(1)
            best, _ = candidates.topk(2, dim=1)
        return best


ONES = torch.tensor([1, 1, 1])
IMAGES = [normal(2, 3, 9, 11)], [(0, 2, 3)], [[normal(1, 3, 7, 12)]]
SCRIPTS = {
    Branches: ([normal(2, 3)], [(0,)], [[normal(3, 3)], [-normal(4, 3).abs()]]),
    Collects: ([normal(5, 3)], [(0,)], [[normal(3, 3)], [-normal(2, 3).abs()]]),
    OfShapes: IMAGES,
    Grows: ([normal(2, 3), torch.tensor(4)], [(0,), ()], [[normal(2, 3), torch.tensor(n)] for n in (0, 1, 5)]),
    Breaks: IMAGES,
    Cells: ([normal(4, 2, 4)], [(0, 1)], [[normal(2, 3, 4)]]),
    Unbinds: ([normal(4, 3)], [(0,)], [[normal(2, 3)]]),
    RankOfShape: ([normal(1, 3, 4)], [(0, 1)], [[normal(1, 5, 4)], [normal(2, 5, 4)], [normal(1, 3, 4)]]),
    RankOfSize: ([normal(1, 3, 4)], [(0, 1)], [[normal(1, 5, 4)], [normal(2, 5, 4)]]),
    RankOfValue: ([normal(6, 4), ONES], [(0,), ()], [[normal(6, 4), m] for m in (0 * ONES, ONES, 0 * ONES)]),
    Best: ([normal(2, 5, 3)], [(0, 1)], [[normal(1, 4, 3)]]),
}
"""Their inputs when they are exported, the dynamic axes of those, and other inputs."""

REFUSED_BY_ORT = {Grows}
"""Exported with static sizes, ONNX Runtime does not run what torch writes."""


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("kind", SCRIPTS, ids=lambda kind: kind.__name__)
def test_scripts(kind, dynamic, ort, close):
    torch.manual_seed(0)
    inputs, axes, others = SCRIPTS[kind]
    module = torch.jit.script(kind().eval())
    names = [f"x{i}" for i in range(len(inputs))]
    named = {n: {axis: f"{n}_{axis}" for axis in a} for n, a in zip(names, axes, strict=True) if a and dynamic}
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, tuple(inputs), file, dynamo=False, input_names=names, dynamic_axes=named)
    model = onnx.load_from_string(file.getvalue())
    session = Session(model)
    for given in (inputs, *(others if dynamic else ())):
        feeds = {n: x.numpy() for n, x in zip(names, given, strict=True)}
        feeds = {i.name: feeds[i.name] for i in model.graph.input}
        with torch.no_grad():
            truth = module(*given)
        truths = [torch.as_tensor(t).numpy() for t in (truth if isinstance(truth, tuple) else [truth])]
        results = session.run(None, feeds)
        peers = truths if kind in REFUSED_BY_ORT and not dynamic else ort(model, feeds)
        for result, peer, exact in zip(results, peers, truths, strict=True):
            assert (result.shape, result.dtype) == (peer.shape, peer.dtype) == (exact.shape, exact.dtype)
            close(result, exact, peer)
