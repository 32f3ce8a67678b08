"""What callers feed, on the CPU and on a GPU: every layout, arrays that share memory, streams, captures, other devices.

What the CPU alone takes is in test_session.py.
"""

from __future__ import annotations

import dataclasses
import gc
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nnfuse.errors import CompileError, UnsupportedError
from nnfuse.runtime import session
from nnfuse.runtime.kernels import get_backend
from nnfuse.runtime.kernels.cupy import library
from nnfuse.runtime.kernels.numpy import BACKEND
from nnfuse.runtime.session import Session
from nnfuse.runtime.tolerance import RELATIVE_L2, relative_l2

RNG = np.random.default_rng(71)
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
NETWORK = """g (float[N,4,6,8] x, float x1, float[6,4,3,3] w, float[6] b, float[6,5] d, float[5] e) => (float[N,5] z)
  { t = Mul (x, x1)  c = Conv (t, w, b)  y = Relu(c)  p = GlobalAveragePool(y)  f = Flatten(p)  z = Gemm(f, d, e) }"""
SUM = """g (float[N,64] x, float[N,64] x1) => (float[N,64] y, float[N,64] z)
  { a = Relu (x)  y = Add (a, x1)  z = Mul (y, x) }"""


def of_device(device: str) -> Any:
    """The array module of a device; skips where it is not there."""
    try:
        return get_backend(device).xp
    except CompileError as e:
        pytest.skip(str(e))


def host(array: Any) -> Any:
    return array if isinstance(array, np.ndarray) else array.get()


LAYOUTS: dict[str, Callable[[Any, Any], Any]] = {
    "row-major": lambda xp, x: x,
    "transposed": lambda xp, x: xp.ascontiguousarray(x.transpose(3, 1, 0, 2)).transpose(2, 1, 3, 0),
    "channels last": lambda xp, x: xp.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "backwards": lambda xp, x: xp.ascontiguousarray(x[::-1, :, ::-1])[::-1, :, ::-1],
    "every second": lambda xp, x: xp.repeat(x, 2, axis=3)[..., ::2],
    "off by an element": lambda xp, x: xp.concatenate([x.reshape(-1)[:1], x.reshape(-1)])[1:].reshape(x.shape),
    "a constant": lambda xp, x: xp.broadcast_to(x[:1, :1], x.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("given", ["numpy", "the device's"])
@pytest.mark.parametrize("device", DEVICES)
def test_every_layout(
    device: str, given: str, layout: str, model_of: Callable[..., Any], float64_oracle: Any, close: Any
) -> None:
    """Also a scalar, and run after run (a program is captured by the first); an input is never written."""
    xp = of_device(device)
    module = np if given == "numpy" else xp
    made = Session(model_of(NETWORK)[0], device=device)
    model = model_of(NETWORK)[0]
    for _ in range(3):
        x = LAYOUTS[layout](module, module.asarray(RNG.standard_normal((3, 4, 6, 8)).astype(np.float32)))
        factor = module.asarray(np.float32(RNG.uniform(1, 2)))
        kept = host(x).copy()
        (result,) = made.run(None, {"x": x, "x1": factor})
        assert isinstance(result, module.ndarray)
        (truth,) = float64_oracle(model, {"x": kept, "x1": host(factor)})
        assert np.ptp(truth) > 0.1
        close(host(result), truth)
        np.testing.assert_array_equal(host(x), kept)


@pytest.mark.parametrize("device", DEVICES)
def test_inputs_that_share_memory(device: str, model_of: Callable[..., Any]) -> None:
    """With each other, and with an output of the last run, which is then read while a new one is written."""
    xp = of_device(device)
    made = Session(model_of(SUM)[0], device=device)
    memory = xp.asarray(RNG.standard_normal(10 * 64).astype(np.float32))
    views = [memory[n * 64 : (n + 4) * 64].reshape(4, 64) for n in (0, 2, 6)]
    last = [views[0], views[1]]
    for x, other in [(views[0], views[1]), (views[1], views[1]), (views[2], views[0]), *[(None, None)] * 6]:
        fed = [last[1] if x is None else x, last[0] if other is None else other]
        before = [host(a).copy() for a in fed]
        last = made.run(None, dict(zip(("x", "x1"), fed, strict=True)))
        y = np.maximum(before[0], 0) + before[1]
        np.testing.assert_array_equal(host(last[0]), y)
        np.testing.assert_array_equal(host(last[1]), y * before[0])
        for array, kept in zip(fed, before, strict=True):
            np.testing.assert_array_equal(host(array), kept)
        last = [xp.clip(a, -2, 2) if n % 2 else a for n, a in enumerate(last)]


@pytest.mark.parametrize("device", DEVICES)
def test_an_input_that_is_freed_at_once(device: str, model_of: Callable[..., Any]) -> None:
    """What is allocated next takes its memory over."""
    xp = of_device(device)
    made = Session(model_of(SUM)[0], device=device)
    kept: list[Any] = []
    for n in range(8):
        x = xp.full((256, 64), n + 1, np.float32)
        kept.append((n + 1, made.run(None, {"x": x, "x1": x + 1})))
        del x
        gc.collect()
        kept.append((None, [xp.full((256, 64), -7, np.float32) for _ in range(3)]))
    for n, results in kept:
        for result, expected in zip(results, (-7, -7, -7) if n is None else (2 * n + 1, (2 * n + 1) * n), strict=False):
            np.testing.assert_array_equal(host(result), np.full((256, 64), expected, np.float32))


EMPTY = {
    "conv": "{ c = Conv (x, w)  y = Relu (c) }",
    "pools": "{ m = MaxPool <kernel_shape = [2, 2]> (x)  y = GlobalAveragePool (m) }",
    "products": "{ f = Flatten (x)  g = MatMul (f, u)  h = Softmax (g)  y = Relu (h) }",
    "shapes": "{ t = Transpose <perm = [0, 2, 3, 1]> (x)  a = Concat <axis = 0> (t, t)  y = Sin (a) }",
    "of all images": "{ s = ReduceSum <keepdims = 0> (x, axes)  y = Tanh (s) }",
}


@pytest.mark.parametrize("precision", ["f32", pytest.param("f16", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("network", EMPTY)
@pytest.mark.parametrize("device", DEVICES)
def test_no_images(device: str, network: str, precision: str, model_of: Callable[..., Any], ort: Any) -> None:
    of_device(device)
    if (device, precision) == ("cpu", "f16"):
        pytest.skip("the CPU computes in f32")
    axes = ", int64[1] axes" if "axes" in EMPTY[network] else ""
    text = f"g (float[N,4,6,8] x, float[4,4,3,3] w, float[192,4] u{axes}) => (float[A] y) {EMPTY[network]}"
    model, _ = model_of(text, **({"axes": [0]} if axes else {}))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    x = np.zeros((0, 4, 6, 8), np.float32)
    made = Session(model, device=device, precision=precision)
    for _ in range(2):
        (result,) = made.run(None, {"x": x})
        (expected,) = ort(model, {"x": x})
        assert result.shape == expected.shape and result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected)


def test_an_array_that_dlpack_does_not_give(model_of: Callable[..., Any]) -> None:
    class Graded:
        def __dlpack_device__(self) -> tuple[int, int]:
            return 1, 0

        def __dlpack__(self, **options: Any) -> Any:
            raise BufferError("Can't export tensors that require gradient,\nuse tensor.detach()")

    model, _ = model_of("g (float[2] x) => (float[2] y) { y = Relu (x) }")
    with pytest.raises(CompileError) as error:
        Session(model).run(None, {"x": Graded()})
    assert str(error.value) == (
        "x: the Graded cannot be taken over by DLPack: Can't export tensors that require gradient, use tensor.detach()"
    )


# Other devices, streams and captures, as far as they can be told without a GPU


def test_an_array_of_another_gpu(monkeypatch: pytest.MonkeyPatch, model_of: Callable[..., Any]) -> None:
    where: dict[int, int] = {}
    backend = dataclasses.replace(BACKEND, current=lambda: 2, device_of=lambda array: where.get(id(array), 2))
    monkeypatch.setattr(session, "get_backend", lambda name: backend)
    made = Session(model_of(SUM)[0])
    x, other = np.ones((2, 64), np.float32), np.ones((2, 64), np.float32)
    np.testing.assert_array_equal(made.run(None, {"x": x, "x1": other})[0], 2 * x)
    where[id(other)] = 1
    with pytest.raises(CompileError) as error:
        made.run(None, {"x": x, "x1": other})
    assert str(error.value) == (
        "x1: the array is on GPU 1, but the session is on GPU 2 (copy it there, or feed a NumPy array)"
    )


class CudaError(Exception):
    """CuPy's."""


def fake_cupy(current: int, capturing: bool | None) -> Any:
    """A CuPy whose current stream is captured or (None) cannot be asked."""

    def is_capturing(stream: int) -> bool:
        assert stream == 17
        if capturing is None:
            raise CudaError("cudaErrorStreamCaptureImplicit")
        return capturing

    runtime = SimpleNamespace(getDevice=lambda: current, streamIsCapturing=is_capturing, CUDARuntimeError=CudaError)
    return SimpleNamespace(
        cuda=SimpleNamespace(runtime=runtime, get_current_stream=lambda: SimpleNamespace(ptr=17)),
    )


def fake_torch(initialized: bool, capturing: bool) -> Any:
    def is_capturing() -> bool:
        assert initialized, "torch without a GPU cannot be asked"
        return capturing

    return SimpleNamespace(
        cuda=SimpleNamespace(is_initialized=lambda: initialized, is_current_stream_capturing=is_capturing)
    )


CAPTURED = (
    "a run cannot be part of a CUDA graph that a caller captures: it launches one of its own (run it before or after"
    " the capture)"
)


@pytest.mark.parametrize(
    ("cupy", "torch", "line"),
    [
        (fake_cupy(0, False), None, None),
        (fake_cupy(0, False), fake_torch(False, True), None),
        (fake_cupy(0, False), fake_torch(True, False), None),
        (fake_cupy(0, False), fake_torch(True, True), CAPTURED),
        (fake_cupy(0, True), None, CAPTURED),
        (fake_cupy(0, None), None, CAPTURED),
        (fake_cupy(1, False), None, "the session is on GPU 0, but GPU 1 is current (with cupy.cuda.Device(0):)"),
    ],
)
def test_who_may_run(
    cupy: Any,
    torch: Any,
    line: str | None,
    monkeypatch: pytest.MonkeyPatch,
    model_of: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """Said before anything is looked at: what is fed may not be ready."""
    monkeypatch.setattr(library, "cupy", lambda: cupy)
    monkeypatch.setitem(sys.modules, "torch", torch)
    backend = dataclasses.replace(BACKEND, check_caller=library.check_caller)
    monkeypatch.setattr(session, "get_backend", lambda name: backend)
    made = Session(model_of(SUM)[0])
    feeds = {"x": np.ones((2, 64), np.float32), "x1": np.ones((2, 64), np.float32)}
    if line is None:
        np.testing.assert_array_equal(made.run(None, feeds)[0], np.full((2, 64), 2))
        return
    for fed in (feeds, {"x": "nonsense"}):
        with pytest.raises(CompileError) as error:
            made.run(None, fed)
        assert str(error.value) == line and isinstance(error.value, UnsupportedError) == (line == CAPTURED)
    for load in (made.program, partial(made.save, tmp_path / "p.mlir")):
        with pytest.raises(CompileError) as error:
            load([(2, 64), (2, 64)])
        assert str(error.value) == line


# On a GPU

CONVS = """g (float[N,8,32,32] x, float[32,8,3,3] w, float[32] b, float[32,32,3,3] u) => (float[N,32,28,28] y)
  { c = Conv (x, w, b)  r = Relu (c)  d = Conv (r, u)  y = Relu (d) }"""


@pytest.mark.gpu
def test_a_gpu_s_array_on_the_cpu(model_of: Callable[..., Any]) -> None:
    """Not fetched behind the caller's back."""
    x = of_device("cuda").ones((2, 64), np.float32)
    with pytest.raises(CompileError) as error:
        Session(model_of(SUM)[0]).run(None, {"x": x, "x1": x})
    assert str(error.value) == "x: the array is on a GPU, but the session runs on the CPU (use device='cuda')"


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["f32", "f16"])
def test_streams(precision: str, model_of: Callable[..., Any]) -> None:
    """One session on several streams in turn, nothing waited for in between: loaded on the first, run on the others."""
    xp = of_device("cuda")
    model = model_of(CONVS.replace("N", "16"))[0]
    reference = Session(model)
    streams = [xp.cuda.Stream(non_blocking=True), xp.cuda.Stream.null, xp.cuda.Stream(non_blocking=True)]
    inputs = [RNG.standard_normal((16, 8, 32, 32)).astype(np.float32) for _ in range(6)]
    arrays = [xp.asarray(x) for x in inputs]
    xp.cuda.Device().synchronize()
    made = Session(model, device="cuda", precision=precision)
    with streams[0]:
        made.program([(16, 8, 32, 32)])
    results: list[Any] = []
    for n, array in enumerate(arrays * 3):
        with streams[(n + 1) % 3]:
            results.append(made.run(None, {"x": array})[0])
    xp.cuda.Device().synchronize()
    for n, result in enumerate(results):
        (expected,) = reference.run(None, {"x": inputs[n % 6]})
        assert relative_l2(result.get(), expected) <= RELATIVE_L2[precision], n


@pytest.mark.gpu
def test_a_capture_of_a_caller(model_of: Callable[..., Any]) -> None:
    """Refused in one line, whether the program was run before or not; the capture and the session go on."""
    xp = of_device("cuda")
    made = Session(model_of(SUM)[0], device="cuda")
    x = xp.ones((3, 64), np.float32)
    for _ in range(2):
        stream = xp.cuda.Stream(non_blocking=True)
        with stream:
            y = xp.zeros(4, np.float32)
            stream.synchronize()
            stream.begin_capture()
            with pytest.raises(UnsupportedError) as error:
                made.run(None, {"x": x, "x1": x})
            y += 1
            graph = stream.end_capture()
            graph.launch()
            stream.synchronize()
        assert str(error.value) == CAPTURED and y.get().tolist() == [1] * 4
        np.testing.assert_array_equal(made.run(None, {"x": x, "x1": x})[0].get(), np.full((3, 64), 2))


@pytest.mark.gpu
def test_a_capture_by_torch(model_of: Callable[..., Any]) -> None:
    torch = pytest.importorskip("torch")
    of_device("cuda")
    if not torch.cuda.is_available():
        pytest.skip("a torch without CUDA")
    made = Session(model_of(SUM)[0], device="cuda")
    x = torch.ones((3, 64), device="cuda")
    y = torch.zeros(4, device="cuda")
    for _ in range(2):
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph):
            with pytest.raises(UnsupportedError) as error:
                made.run(None, {"x": x, "x1": x})
            y += 1
        graph.replay()
        torch.cuda.synchronize()
        assert str(error.value) == CAPTURED
        np.testing.assert_array_equal(made.run(None, {"x": x, "x1": x})[0].get(), np.full((3, 64), 2))
    assert y.tolist() == [2] * 4
