"""Where a device has too little memory, one line says what it was needed for, how much, and how much is free."""

from __future__ import annotations

import dataclasses
import gc
import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from nnfuse.errors import OutOfMemoryError
from nnfuse.passes.plan_memory import ALIGNMENT
from nnfuse.runtime import session
from nnfuse.runtime.kernels import SHORTAGE_HINT, Backend
from nnfuse.runtime.kernels.cupy import library
from nnfuse.runtime.kernels.numpy import BACKEND
from nnfuse.runtime.session import Session
from nnfuse.runtime.tolerance import RELATIVE_L2, relative_l2
from nnfuse.tools import fuse_run

NETWORK = """g (float[N,20] x, float[20,30] w, float[30,50] u) => (float[N,50] y)
  { h = MatMul (x, w)  r = Relu (h)  s = Sin (r)  y = MatMul (s, u) }"""


class SmallArray(np.ndarray[Any, Any]):
    """An array on a device of ours."""

    def get(self) -> Any:
        return np.array(self)


class SmallDevice:
    """The array module of a device: NumPy, but no allocation of `denied` bytes succeeds."""

    ndarray = SmallArray

    def __init__(self) -> None:
        self.denied: int | None = None
        self.cuda = SimpleNamespace(Device=lambda: SimpleNamespace(synchronize=lambda: None))

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def empty(self, shape: Any, dtype: Any = np.float32) -> Any:
        array = np.empty(shape, dtype).view(SmallArray)
        if array.nbytes == self.denied:
            raise MemoryError(f"Out of memory allocating {array.nbytes:,} bytes (allocated so far: 0 bytes).")
        return array

    def asarray(self, array: Any, order: str = "K") -> Any:
        return array if isinstance(array, SmallArray) else self.array(array)

    def array(self, array: Any) -> Any:
        copy = self.empty(np.shape(array), np.asarray(array).dtype)
        copy[...] = array
        return copy

    def sin(self, array: Any) -> Any:
        self.empty(array.shape, array.dtype)
        return np.sin(array)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> SmallDevice:
    """What `device="cpu"` is, with the kernels of NumPy; 77 bytes are always free."""
    xp = SmallDevice()
    backend = dataclasses.replace(BACKEND, name="small", xp=xp, free_bytes=lambda: 77)
    monkeypatch.setattr(session, "get_backend", lambda name: backend)
    return xp


@pytest.fixture
def network(model_of: Callable[..., Any]) -> tuple[onnx.ModelProto, Any]:
    return model_of(NETWORK)[0], np.random.default_rng(3).standard_normal((7, 20)).astype(np.float32)


def arena_of(made: Session, x: Any) -> int:
    (size,) = re.findall(r"nn.arena = (\d+)", str(made.compile([x.shape])))
    return int(size)


NEEDS: dict[str, tuple[Callable[[Session, Any], int], str]] = {
    "a parameter": (lambda made, x: 20 * 30 * 4, "w: out of memory on small: the parameter 'w' needs 2400 bytes"),
    "the arena": (
        lambda made, x: arena_of(made, x) + ALIGNMENT,
        "out of memory on small: the arena needs {arena} bytes",
    ),
    "an input": (lambda made, x: x.nbytes, "x: out of memory on small: the input needs 560 bytes"),
    "a result": (lambda made, x: 7 * 50 * 4, "y: out of memory on small: its result needs 1400 bytes"),
    "an op at work": (lambda made, x: 7 * 30 * 4, "s: out of memory on small: computing nn.sin needs 840 bytes"),
}


@pytest.mark.parametrize("what", NEEDS)
def test_one_line_says_what_for(what: str, device: SmallDevice, network: Any) -> None:
    """Then there is memory again, and the same session gives the right result."""
    model, x = network
    made = Session(model)
    size, line = NEEDS[what]
    device.denied = size(made, x)
    with pytest.raises(OutOfMemoryError) as error:
        made.run(None, {"x": x})
    told = line.format(arena=arena_of(made, x))
    assert str(error.value) == f"{told}, 77 are free ({SHORTAGE_HINT})"
    device.denied = None
    weights = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    expected = np.sin(np.maximum(x @ weights["w"], 0)) @ weights["u"]
    np.testing.assert_allclose(made.run(None, {"x": x})[0], expected, rtol=1e-4, atol=1e-5)


def test_captured(monkeypatch: pytest.MonkeyPatch, model_of: Callable[..., Any]) -> None:
    """A captured program copies its inputs at first, and allocates its results in each run."""
    model, feeds = model_of("g (float[5,3] x) => (float[5,3] y) { a = Relu (x)  y = Add (a, x) }")
    xp = SmallDevice()

    class Nothing:
        def __call__(self) -> None:
            """Computes nothing."""

        def move(self, start: int, nbytes: int, to: int) -> None:
            """Moves nothing."""

    backend = dataclasses.replace(BACKEND, name="small", xp=xp, free_bytes=lambda: 5, capture=lambda run: Nothing())
    monkeypatch.setattr(session, "get_backend", lambda name: backend)
    monkeypatch.setattr(type(backend), "copy", lambda self, target, source: None)
    made = Session(model)
    x = xp.asarray(feeds["x"])
    xp.denied = 60
    for what in ("a copy of the inputs needs", "the results needs"):
        with pytest.raises(OutOfMemoryError, match=f"out of memory on small: {what} 60 bytes, 5 are free"):
            made.run(None, {"x": x})
        xp.denied = None
        made.run(None, {"x": x})
        xp.denied = 60


def test_fuse_run(
    device: SmallDevice, network: Any, capsys: pytest.CaptureFixture[str], tmp_path: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(network[0], "m.onnx")
    device.denied = 2400
    assert fuse_run.main(["m.onnx", "--dim", "N=7", "--output", "y.npz"]) == 1
    out, err = capsys.readouterr()
    line = f"w: out of memory on small: the parameter 'w' needs 2400 bytes, 77 are free ({SHORTAGE_HINT})"
    assert (out, err) == ("", f"fuse-run: {line}\n")
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("cudaErrorMemoryAllocation: out of memory", True),
        ("CUDA_ERROR_OUT_OF_MEMORY: out of memory", True),
        ("the kernel k cannot be launched: CUDA_ERROR_OUT_OF_MEMORY", True),
        ("ALLOC_FAILED (3)", True),
        ("CUBLAS_STATUS_ALLOC_FAILED (3)", True),
        ("CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", True),
        ("Out of memory allocating 1,024 bytes (allocated so far: 0 bytes, limit set to: 512 bytes).", True),
        ("CUDA out of memory. Tried to allocate 2.00 GiB", True),
        ("cudaErrorIllegalAddress: an illegal memory access was encountered", False),
        ("CUDNN_STATUS_NOT_SUPPORTED", False),
        ("Unable to allocate 1.00 TiB for an array with shape (1, 2) and data type float32", False),  # the host's
    ],
)
def test_how_libraries_say_it(text: str, is_one: bool) -> None:
    assert library.is_shortage(RuntimeError(text)) == is_one


# On a GPU


@pytest.fixture
def pool(cuda: Backend) -> Iterator[Any]:
    """CuPy's memory pool, with all that is free given back; a limit is taken off at the end."""
    pool = cuda.xp.get_default_memory_pool()
    gc.collect()  # what an earlier test left would be freed in the course of this one
    pool.free_all_blocks()
    try:
        yield pool
    finally:
        pool.set_limit(size=0)


LARGE = """g (float[N,4,64,64] x, float[64,4,3,3] w, float[256,64,3,3] u, float[512,256] v) => (float[N,512] y)
  { c = Conv <pads = [1, 1, 1, 1]> (x, w)  r = Relu (c)  d = Conv (r, u)  s = Atan (d)  p = GlobalAveragePool (s)
    f = Flatten (p)  y = Gemm <transB = 1> (f, v) }"""
NEEDS_AND_FREE = r"needs (\d+ bytes, \d+|more than there is, \d+ bytes) are free \("
LINE = re.compile(rf"(\S+: )?out of memory on cuda: (?P<what>.*) {NEEDS_AND_FREE}")


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "tune"), [("f32", False), ("f16", False), ("f16", True)])
def test_every_limit_of_the_pool(
    precision: str, tune: bool, pool: Any, model_of: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From nothing up to enough: each failure is our line, and in the end the result is right."""
    monkeypatch.setenv("NNFUSE_CACHE", str(tmp_path))
    model, _ = model_of(LARGE.replace("N", "8"))
    x = np.random.default_rng(4).standard_normal((8, 4, 64, 64)).astype(np.float32)
    expected = Session(model).run(None, {"x": x})[0]
    base, named, right = pool.total_bytes(), set[str](), False
    for limit in sorted([*(1 << n for n in range(12, 31)), *(3 << n for n in range(17, 24))]):
        gc.collect()
        pool.free_all_blocks()
        pool.set_limit(size=base + limit)
        try:
            (result,) = Session(model, device="cuda", precision=precision, tune=tune).run(None, {"x": x})
        except OutOfMemoryError as e:
            line = LINE.match(str(e))
            assert line is not None, str(e)
            named.add(line["what"])
        else:
            right = relative_l2(result, expected) <= RELATIVE_L2[precision]
            assert right, limit
    assert right and ("tuning it" in named if tune else len(named) >= 3), named  # nothing needs more than tuning
    print(sorted(named))


@pytest.mark.gpu
def test_fuse_run_on_a_gpu(pool: Any, model_of: Any, tmp_path: Any, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(model_of(LARGE.replace("N", "8"))[0], "m.onnx")
    pool.set_limit(size=pool.total_bytes() + (1 << 20))
    for mode in ("--bench", "--profile", "--output=y.npz"):
        assert fuse_run.main(["m.onnx", "--device", "cuda", mode]) == 1
        out, err = capsys.readouterr()
        assert out == "" and len(err.splitlines()) <= 2
        assert LINE.match(err.splitlines()[-1].removeprefix("fuse-run: "))
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]
