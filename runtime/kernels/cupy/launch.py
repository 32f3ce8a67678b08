"""Launches that CuPy's own does not make: of kernels that may start early, and whose addresses a graph may change."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ....errors import CompileError
from . import library
from .compiling import Compiling

ADDRESS, NUMBER, LONG = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
"""The types of arguments."""


@dataclass(frozen=True)
class Launch:
    """A launch that became a graph's node."""

    kernel: OverlappedKernel
    node: Any
    arguments: tuple[int, ...]
    types: tuple[Any, ...]

    def set_arguments(self, executable: Any, arguments: tuple[int, ...]) -> None:
        """Change what the node of an instantiated graph passes from its next launch on."""
        self.kernel.update(executable, self.node, arguments, self.types)


class OverlappedKernel:
    """A kernel that waits by itself (WAIT_FOR_LAST, see source.py) before it reads what another one writes.

    https://docs.nvidia.com/cuda/cuda-c-programming-guide/#programmatic-dependent-launch-and-synchronization
    """

    def __init__(self, compiling: Compiling, grid: tuple[int, int, int], block: int, shared: int = 0):
        """`block` are the threads of a block, `shared` the bytes of its dynamic shared memory."""
        self._compiling, self._shared = compiling, shared
        self._loaded: Any = None
        self._function: Any = None
        driver = self._driver = library.cuda_driver()
        self._config, self._params = driver.CUlaunchConfig(), driver.CUDA_KERNEL_NODE_PARAMS()
        for described in (self._config, self._params):
            described.gridDimX, described.gridDimY, described.gridDimZ = grid
            described.blockDimX, described.blockDimY, described.blockDimZ = block, 1, 1
            described.sharedMemBytes = shared
        if library.device().since_hopper:
            attribute = driver.CUlaunchAttribute()
            attribute.id = driver.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
            attribute.value.programmaticStreamSerializationAllowed = 1
            self._config.attrs, self._config.numAttrs = [attribute], 1

    def __call__(self, arguments: tuple[int, ...], types: tuple[Any, ...]) -> None:
        """Enqueue it on CuPy's current stream; `types` are the ctypes of the arguments."""
        if self._function is None:
            self._load()
        self._config.hStream = stream = library.stream()
        self._check(self._driver.cuLaunchKernelEx(self._config, self._function, (arguments, types), 0))
        if (launches := getattr(_recording, "launches", None)) is not None:
            info = self._check(self._driver.cuStreamGetCaptureInfo(stream))
            launches.append(Launch(self, info[3][0], arguments, types))

    def _load(self) -> None:
        raw = self._compiling.kernel()
        if self._shared:
            raw.max_dynamic_shared_size_bytes = self._shared
        self._loaded = raw.kernel  # kept: CuPy unloads a module with the last of its functions
        self._function = self._params.func = self._driver.CUfunction(self._loaded.ptr)

    def update(self, executable: Any, node: Any, arguments: tuple[int, ...], types: tuple[Any, ...]) -> None:
        """Give a node of an instantiated graph, which is a launch of this kernel, other arguments."""
        self._params.kernelParams = (arguments, types)
        self._check(self._driver.cuGraphExecKernelNodeSetParams(executable, node, self._params))

    def _check(self, result: Sequence[Any]) -> Sequence[Any]:
        """What a call of the driver returns beside its status; raises CompileError where it failed."""
        if int(result[0]):
            raise CompileError(f"the kernel {self._compiling.name} cannot be launched: {result[0].name}")
        return result[1:]


_recording = threading.local()


@contextmanager
def recorded() -> Generator[list[Launch]]:
    """While open, the launches that this thread makes on a stream that is being captured, in order."""
    launches: list[Launch] = []
    _recording.launches = launches
    try:
        yield launches
    finally:
        _recording.launches = None
