"""Launches that CuPy's own does not make: of kernels that may start before the one before them ends."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from ....errors import CompileError
from . import library

ADDRESS, NUMBER, LONG = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
"""The types of arguments."""


class OverlappedKernel:
    """A compiled kernel that waits by itself (WAIT_FOR_LAST, see source.py) before it reads what another one writes.

    https://docs.nvidia.com/cuda/cuda-c-programming-guide/#programmatic-dependent-launch-and-synchronization
    """

    def __init__(self, raw: Any, grid: tuple[int, int, int], block: int, shared: int = 0):
        """`raw` is a cupy.RawKernel, `block` its threads, `shared` the bytes of its dynamic shared memory."""
        if shared:
            raw.max_dynamic_shared_size_bytes = shared
        driver = self._driver = library.cuda_driver()
        self._raw, self._address = raw, raw.kernel.ptr
        self._config = driver.CUlaunchConfig()
        self._config.gridDimX, self._config.gridDimY, self._config.gridDimZ = grid
        self._config.blockDimX, self._config.blockDimY, self._config.blockDimZ = block, 1, 1
        self._config.sharedMemBytes = shared
        if library.device().may_overlap:
            attribute = driver.CUlaunchAttribute()
            attribute.id = driver.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
            attribute.value.programmaticStreamSerializationAllowed = 1
            self._config.attrs, self._config.numAttrs = [attribute], 1

    def __call__(self, arguments: Sequence[int], types: Sequence[Any]) -> None:
        """Enqueue it on CuPy's current stream; `types` are the ctypes of the arguments."""
        self._config.hStream = library.stream()
        result, *_ = self._driver.cuLaunchKernelEx(self._config, self._address, (tuple(arguments), tuple(types)), 0)
        if int(result):
            raise CompileError(f"the kernel {self._raw.name} cannot be launched: {result.name}")
