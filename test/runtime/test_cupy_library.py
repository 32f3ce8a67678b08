"""Asking for CUDA where it cannot be had: one line that says what is missing and how to get it."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from nnfuse.errors import CompileError
from nnfuse.runtime.kernels import get_backend
from nnfuse.runtime.kernels.cupy import get_cuda_backend, library


@pytest.fixture(autouse=True)
def fresh_caches() -> Any:
    """What one test makes the loader find, another must not."""
    caches = (library.cupy, library.cublaslt, get_cuda_backend)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def missing(name: str, absent: str) -> Any:
    if name == absent:
        raise ImportError(f"No module named '{name}'")
    return MODULES[name]


class FakeRuntimeError(RuntimeError):
    pass


def no_driver() -> int:
    raise FakeRuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")


RUNTIME = SimpleNamespace(getDeviceCount=no_driver, getDevice=lambda: 0, CUDARuntimeError=FakeRuntimeError)
MODULES = {
    "cupy": SimpleNamespace(cuda=SimpleNamespace(runtime=RUNTIME)),
    "nvmath.bindings.cublasLt": SimpleNamespace(create=lambda: 1),
}


def test_without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "import_module", lambda name: missing(name, "cupy"))
    with pytest.raises(CompileError) as error:
        get_backend("cuda")
    assert str(error.value) == (
        "device 'cuda' needs CuPy, which cannot be imported: No module named 'cupy' (pip install 'nnfuse[cuda13]')"
    )


def test_without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "import_module", lambda name: missing(name, ""))
    with pytest.raises(CompileError, match="needs an NVIDIA GPU and its driver: cudaErrorInsufficientDriver") as error:
        get_backend("cuda")
    assert "\n" not in str(error.value)


def test_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = SimpleNamespace(getDeviceCount=lambda: 0, getDevice=lambda: 0, CUDARuntimeError=FakeRuntimeError)
    modules = {**MODULES, "cupy": SimpleNamespace(cuda=SimpleNamespace(runtime=runtime))}
    monkeypatch.setattr(library, "import_module", modules.__getitem__)
    with pytest.raises(CompileError, match=r"^device 'cuda' needs an NVIDIA GPU, and there is none$"):
        get_backend("cuda")


def test_without_nvmath(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = SimpleNamespace(getDeviceCount=lambda: 1, getDevice=lambda: 7, CUDARuntimeError=FakeRuntimeError)
    modules = {**MODULES, "cupy": SimpleNamespace(cuda=SimpleNamespace(runtime=runtime))}

    def load(name: str) -> Any:
        if name.startswith("nvmath"):
            raise ImportError(f"No module named '{name}'")
        return modules[name]

    monkeypatch.setattr(library, "import_module", load)
    with pytest.raises(CompileError, match=r"needs nvmath-python, which cannot be imported: .*nnfuse\[cuda13\]"):
        get_backend("cuda")


def test_cublaslt_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise RuntimeError("libcublasLt.so.13 is not found\n(searched: nowhere)")

    runtime = SimpleNamespace(getDeviceCount=lambda: 1, getDevice=lambda: 7, CUDARuntimeError=FakeRuntimeError)
    modules = {
        "cupy": SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)),
        "nvmath.bindings.cublasLt": SimpleNamespace(create=fail),
    }
    monkeypatch.setattr(library, "import_module", modules.__getitem__)
    with pytest.raises(CompileError, match=r"needs cuBLASLt, which does not start: libcublasLt\.so") as error:
        get_backend("cuda")
    assert "\n" not in str(error.value)


def test_importing_nnfuse_loads_no_cuda_library() -> None:
    code = (
        "import nnfuse.runtime.kernels.cupy.registry, sys; print([m for m in ('cupy', 'nvmath') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
