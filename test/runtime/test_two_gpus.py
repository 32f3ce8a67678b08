"""Sessions on several GPUs of one machine: each stays on its own, and what is compiled or tuned serves both."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnfuse import Session
from nnfuse.dialects.cuda import CudaConvOp
from nnfuse.errors import CompileError
from nnfuse.runtime.kernels import get_backend
from nnfuse.runtime.kernels.cupy.cuda_conv import plan_of, problem_of
from nnfuse.runtime.tolerance import RELATIVE_L2, relative_l2

pytestmark = pytest.mark.gpu
RNG = np.random.default_rng(83)
BOTH_ORDERS = pytest.mark.parametrize("gpus", [(0, 1), (1, 0)], ids=["0 then 1", "1 then 0"])
KINDS = [("f32", 3, "blas.gemm"), ("f16", 1, "cuda.conv"), ("f16", 32, "cudnn.conv")]
"""Precisions and batches, and the calls that they make."""

NETWORK = """g (float[N,64,14,14] x, float[256,64,3,3] w, float[256] b, float[256,256,3,3] u, float[256,512] d,
  float[512] e) => (float[N,512] y)
  { c = Conv <pads = [1, 1, 1, 1]> (x, w, b)  r = LeakyRelu <alpha = ALPHA> (c)
    s = Conv <pads = [1, 1, 1, 1]> (r, u)  t = LeakyRelu <alpha = ALPHA> (s)
    p = GlobalAveragePool (t)  f = Flatten (p)  y = Gemm (f, d, e) }"""
WEIGHT_BYTES = 4 * (256 * 64 * 9 + 256 * 256 * 9 + 256 * 512)
SLACK_BYTES = 64 << 10

FRESH = count(1)


@pytest.fixture
def xp() -> Any:
    """CuPy; skips where there are fewer than two GPUs."""
    try:
        module = get_backend("cuda").xp
    except CompileError as e:
        pytest.skip(str(e))
    if (found := module.cuda.runtime.getDeviceCount()) < 2:
        pytest.skip(f"needs two GPUs, and there is {found}")
    return module


@pytest.fixture
def model(model_of: Callable[..., Any]) -> Any:
    """The network, with a number that stands in its kernels' source: no test before has compiled these."""
    return model_of(NETWORK.replace("ALPHA", f"{0.1 + next(FRESH) / 1024}"))[0]


def made_on(xp: Any, gpu: int, model: Any, **options: Any) -> Session:
    with xp.cuda.Device(gpu):
        return Session(model, device="cuda", **options)


def data(batch: int) -> Any:
    return (RNG.standard_normal((batch, 64, 14, 14)) / 8).astype(np.float32)


def check(xp: Any, gpu: int, made: Session, x: Any, expected: Any, precision: str) -> None:
    """A run from the GPU's array and one from NumPy's: right, and the result is where the data was."""
    with xp.cuda.Device(gpu):
        (result,) = made.run(None, {"x": xp.asarray(x)})
        assert isinstance(result, xp.ndarray) and result.data.device_id == gpu
        assert relative_l2(result.get(), expected) <= RELATIVE_L2[precision]
        (result,) = made.run(None, {"x": x})
        assert type(result) is np.ndarray
        assert relative_l2(result, expected) <= RELATIVE_L2[precision]


@pytest.mark.parametrize(("precision", "batch", "call"), KINDS)
def test_on_the_second(precision: str, batch: int, call: str, xp: Any, model: Any) -> None:
    """The captured graph runs there too, with new data."""
    made, reference = made_on(xp, 1, model, precision=precision), Session(model)
    for _ in range(3):
        x = data(batch)
        check(xp, 1, made, x, reference.run(None, {"x": x})[0], precision)
    with xp.cuda.Device(1):
        program = made.program([(batch, 64, 14, 14)])
    assert call in {s.op.name for s in program.steps}
    assert program.first_frame.captured is not None


@BOTH_ORDERS
@pytest.mark.parametrize(("precision", "batch", "call"), KINDS)
def test_in_turn(gpus: tuple[int, int], precision: str, batch: int, call: str, xp: Any, model: Any) -> None:
    """What the first has compiled the second has too, with as much shared memory as it needs."""
    reference = Session(model)
    made = {gpu: made_on(xp, gpu, model, precision=precision) for gpu in gpus}
    for _ in range(3):
        x = data(batch)
        (expected,) = reference.run(None, {"x": x})
        for gpu in gpus:
            check(xp, gpu, made[gpu], x, expected, precision)
    if call == "cuda.conv":
        for gpu in gpus:
            with xp.cuda.Device(gpu):
                ops = [s.op for s in made[gpu].program([(batch, 64, 14, 14)]).steps]
                asked = [plan_of(op).shared_bytes(problem_of(op)) for op in ops if isinstance(op, CudaConvOp)]
            assert max(asked) > 48 << 10, "more than a kernel has that does not ask for it"


@pytest.mark.parametrize(("precision", "batch", "call"), KINDS)
def test_at_once(precision: str, batch: int, call: str, xp: Any, model: Any) -> None:
    """A thread for each GPU that makes a session and runs it, neither waiting for the other."""
    reference, inputs = Session(model), [data(batch) for _ in range(4)]
    expected = [reference.run(None, {"x": x})[0] for x in inputs]
    both = threading.Barrier(2, timeout=60)

    def work(gpu: int) -> None:
        both.wait()
        made = made_on(xp, gpu, model, precision=precision)
        for n in range(24):
            at = (n + gpu) % len(inputs)
            check(xp, gpu, made, inputs[at], expected[at], precision)

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(work, gpu) for gpu in (0, 1)]:
            done.result()


@BOTH_ORDERS
def test_what_is_refused(gpus: tuple[int, int], xp: Any, model: Any, tmp_path: Path) -> None:
    """In one line, whether the session has run before or not; the next that is right runs."""
    gpu, other = gpus
    made, x = made_on(xp, gpu, model, precision="f16"), data(1)
    (expected,) = Session(model).run(None, {"x": x})
    with xp.cuda.Device(other):
        foreign = xp.asarray(x)
        strange = foreign[:, :, ::-1]
    where = f"x: the array is on GPU {other}, but the session is on GPU {gpu} (copy it there, or feed a NumPy array)"
    current = f"the session is on GPU {gpu}, but GPU {other} is current (with cupy.cuda.Device({gpu}):)"
    for _ in range(2):
        for array in (foreign, strange):
            with xp.cuda.Device(gpu), pytest.raises(CompileError) as error:
                made.run(None, {"x": array})
            assert str(error.value) == where
        for refused in (
            lambda: made.run(None, {"x": foreign}),
            lambda: made.run(None, {"x": x}),
            lambda: made.program([x.shape]),
            lambda: made.save(tmp_path / "p.mlir", [x.shape]),
        ):
            with xp.cuda.Device(other), pytest.raises(CompileError) as error:
                refused()
            assert str(error.value) == current
        assert not list(tmp_path.iterdir())
        check(xp, gpu, made, x, expected, "f16")


@BOTH_ORDERS
def test_tuned_and_saved(
    gpus: tuple[int, int], xp: Any, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is tuned on one is not tuned again on another like it, and a program saved on one runs on the other."""
    monkeypatch.setenv("NNFUSE_CACHE", str(tmp_path / "cache"))
    told, counts, machines = list[str](), list[int](), list[Any]()

    def tell(done: int, total: int, what: str) -> None:
        told.extend([what] if what else [])

    x = data(1)
    (expected,) = Session(model).run(None, {"x": x})
    for gpu in gpus:
        made = made_on(xp, gpu, model, precision="f16", tune=True, progress=tell)
        check(xp, gpu, made, x, expected, "f16")
        with xp.cuda.Device(gpu):
            made.save(tmp_path / f"{gpu}.mlir", [x.shape])
            machines.append(get_backend("cuda").describe())
        counts.append(len(told))
    alike = machines[0] == machines[1]
    assert counts[0] > 0 and (counts[0] == counts[1]) == alike
    assert len(list((tmp_path / "cache").glob("tuning-*.json"))) == (1 if alike else 2)
    for gpu, saved_on in (gpus, gpus[::-1]):
        loaded = made_on(xp, gpu, tmp_path / f"{saved_on}.mlir")
        for _ in range(2):
            check(xp, gpu, loaded, x, expected, "f16")


@BOTH_ORDERS
def test_memory(gpus: tuple[int, int], xp: Any, model: Any) -> None:
    """All that a session takes is on its own GPU."""

    def used() -> list[int]:
        gc.collect()
        found: list[int] = []
        for gpu in gpus:
            with xp.cuda.Device(gpu):
                found.append(int(xp.get_default_memory_pool().used_bytes()))
        return found

    x = data(3)
    (expected,) = Session(model).run(None, {"x": x})
    before = used()
    made = made_on(xp, gpus[0], model)
    for _ in range(2):
        check(xp, gpus[0], made, x, expected, "f32")
    own, others = (after - earlier for after, earlier in zip(used(), before, strict=True))
    assert own >= WEIGHT_BYTES and others <= SLACK_BYTES
