"""The CUDA libraries, loaded when first asked for: CuPy, cuBLASLt through nvmath-python, cuDNN through its frontend."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from ....errors import CompileError, OutOfMemoryError, UnsupportedError

INSTALL = "pip install 'nnfuse[cuda13]'"
"""What brings the libraries of this backend."""

_SHORTAGE = re.compile(r"\b(\w+_)?ALLOC(ATION)?_FAILED|_OUT_OF_MEMORY|cudaErrorMemoryAllocation|[Oo]ut of memory")
"""How it is spelt that memory is used up, by CuPy, CUDA's runtime and driver, cuBLASLt, cuDNN, torch's allocator."""

_lock = threading.Lock()
_handles: dict[int, int] = {}
_cudnn_handles: dict[int, Any] = {}
_cudnn_lock = threading.Lock()


@cache
def cupy() -> Any:
    """The module `cupy`, GPU or no GPU; raises CompileError where it cannot be imported."""
    return _load("cupy", "CuPy")


@cache
def cublaslt() -> Any:
    """The module `nvmath.bindings.cublasLt`; raises CompileError where it cannot be imported."""
    return _load("nvmath.bindings.cublasLt", "nvmath-python")


@cache
def cudnn() -> Any:
    """The module `cudnn` (nvidia-cudnn-frontend); raises CompileError where it cannot be imported."""
    return _load("cudnn", "nvidia-cudnn-frontend")


@cache
def cuda_driver() -> Any:
    """The module `cuda.bindings.driver`, which nvmath-python brings; raises CompileError where it is missing."""
    return _load("cuda.bindings.driver", "cuda-bindings")


def _load(module: str, product: str) -> Any:
    try:
        return import_module(module)
    except ImportError as e:
        message = f"device 'cuda' needs {product}, which cannot be imported: {e}"
        raise CompileError(message, hint=INSTALL) from None


def require() -> Any:
    """The module `cupy`, with a GPU and cuBLASLt to run on; raises CompileError otherwise, in one line."""
    xp = cupy()
    try:
        count = xp.cuda.runtime.getDeviceCount()
    except xp.cuda.runtime.CUDARuntimeError as e:
        raise CompileError(f"device 'cuda' needs an NVIDIA GPU and its driver: {e}") from None
    if count == 0:
        raise CompileError("device 'cuda' needs an NVIDIA GPU, and there is none")
    cublaslt_handle()
    return xp


def stream() -> int:
    """The address of CuPy's current stream, on which every kernel of this backend runs."""
    return cupy().cuda.get_current_stream().ptr


def current_device() -> int:
    """The number of the GPU that is current in this thread."""
    return cupy().cuda.runtime.getDevice()


def device_of(array: Any) -> int:
    """The number of the GPU that holds a CuPy array."""
    return array.data.device_id


def check_caller(ordinal: int) -> None:
    """Raise CompileError where another GPU than `ordinal` is current, or a caller captures what is enqueued."""
    if (current := current_device()) != ordinal:
        raise CompileError(
            f"the session is on GPU {ordinal}, but GPU {current} is current", hint=f"with cupy.cuda.Device({ordinal}):"
        )
    if is_captured():
        raise UnsupportedError(
            "a run cannot be part of a CUDA graph that a caller captures: it launches one of its own",
            hint="run it before or after the capture",
        )


def is_captured() -> bool:
    """Whether CuPy's current stream, or torch's if it is loaded, is being captured."""
    runtime = cupy().cuda.runtime
    try:
        if runtime.streamIsCapturing(stream()):
            return True
    except runtime.CUDARuntimeError:  # the default stream cannot be asked while another one is captured
        return True
    torch: Any = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_initialized() and bool(torch.cuda.is_current_stream_capturing())


def free_bytes() -> int:
    """What CuPy can still allocate on the current GPU, its pool's limit considered."""
    xp = cupy()
    pool = xp.get_default_memory_pool()
    free = int(xp.cuda.runtime.memGetInfo()[0]) + int(pool.free_bytes())
    limit = int(pool.get_limit())
    return max(0, min(free, limit - int(pool.used_bytes()))) if limit else free


def trim() -> None:
    """Give what CuPy's pool keeps for later back to the GPU."""
    cupy().get_default_memory_pool().free_all_blocks()


def is_shortage(error: BaseException) -> bool:
    """Whether CuPy, the driver or a library says that the GPU's memory is used up."""
    return _SHORTAGE.search(str(error)) is not None


def cublaslt_handle() -> int:
    """The cuBLASLt handle of the current device, made once and used by all threads (the library allows that).

    Raises CompileError where the library itself (libcublasLt) cannot be loaded or started.
    """
    device = cupy().cuda.runtime.getDevice()
    with _lock:
        if device not in _handles:
            library = cublaslt()
            try:
                _handles[device] = library.create()
            except Exception as e:  # nvmath's "not found", "not supported" and bad status share no base
                raise _not_started("cuBLASLt", e) from None
        return _handles[device]


def _not_started(product: str, error: Exception) -> CompileError:
    if is_shortage(error):
        return OutOfMemoryError(f"out of memory on cuda: {product} needs more than there is: {error}")
    return CompileError(f"device 'cuda' needs {product}, which does not start: {error}", hint=INSTALL)


def cudnn_handle() -> Any:
    """The cuDNN handle of the current device, made once. Raises CompileError where the library does not start."""
    device = cupy().cuda.runtime.getDevice()
    with _cudnn_lock:
        if device not in _cudnn_handles:
            try:
                _cudnn_handles[device] = cudnn().create_handle()
            except CompileError:
                raise
            except Exception as e:  # the frontend's errors share no base
                raise _not_started("cuDNN", e) from None
        return _cudnn_handles[device]


@dataclass(frozen=True)
class Device:
    """What kernels may use of a GPU: clusters and overlapped launches since Hopper, bytes of shared memory."""

    since_hopper: bool
    shared_bytes: int


def device() -> Device:
    """The current GPU."""
    return _device(current_device())


@cache
def _device(ordinal: int) -> Device:
    current = cupy().cuda.Device(ordinal)
    return Device(int(current.compute_capability) >= 90, int(current.attributes["MaxSharedMemoryPerBlockOptin"]))


@contextmanager
def cudnn_on_stream(handle: Any) -> Generator[None]:
    """While open, what `handle` enqueues goes to CuPy's current stream; one thread at a time, which cuDNN asks for."""
    with _cudnn_lock:
        cudnn().set_stream(handle, stream())
        yield


def describe() -> dict[str, str]:
    """The GPU and the versions that a figure depends on. Raises CompileError."""
    xp = require()
    runtime = xp.cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    return {
        "device": properties["name"].decode(),
        "memory": f"{properties['totalGlobalMem'] / 2**30:.0f} GiB",
        "driver": _version(runtime.driverGetVersion()),
        "runtime": _version(runtime.runtimeGetVersion()),
        "cupy": xp.__version__,
        "cublasLt": str(cublaslt().get_version()),
        "cudnn": _cudnn_version(),
    }


def _cudnn_version() -> str:
    try:
        return str(cudnn().backend_version())
    except CompileError:
        return "none"


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
