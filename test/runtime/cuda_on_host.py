"""Generated CUDA source compiled by g++ and run thread by thread: what it means, though not how fast it is.

It needs no GPU. For kernels without shared memory and barriers. A pack at an address that is not aligned traps.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nnfuse.errors import CompileError
from nnfuse.runtime.kernels import Backend, get_backend
from nnfuse.runtime.kernels.cupy import source
from nnfuse.runtime.kernels.cupy.registry import KERNELS

HOST = """
#include <cmath>
#include <cstdlib>
#include <cstring>
using namespace std;
#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(n)
#define START_NEXT
#define WAIT_FOR_LAST
static struct { unsigned x; } blockIdx, threadIdx;
struct half_t { unsigned short bits; };
struct bf16_t { unsigned short bits; };
static inline unsigned bits_of(float x) { unsigned b; memcpy(&b, &x, 4); return b; }
static inline float __int_as_float(int b) { float x; memcpy(&x, &b, 4); return x; }
template <typename T> T load(T x) { return x; }
static inline float load(half_t x) {
  const int e = x.bits >> 10 & 31, m = x.bits & 1023;
  const float y = e == 31 ? (m ? NAN : INFINITY) : e ? ldexpf(m + 1024, e - 25) : ldexpf(m, -24);
  return x.bits >> 15 ? -y : y;
}
static inline float load(bf16_t x) { return __int_as_float((unsigned)x.bits << 16); }
template <typename T, typename A> void store(T& y, A x) { y = (T)x; }
static inline void store(half_t& y, float x) {
  const unsigned short sign = bits_of(x) >> 16 & 0x8000;
  const float a = fabsf(x);
  int e;
  if (isnan(x) || a == 0) { y.bits = a == 0 ? sign : 0x7e00; return; }
  frexpf(a, &e);
  const int scale = e < -13 ? -24 : e - 11;
  const float m = rintf(ldexpf(a, -scale));
  y.bits = sign | (a >= 65520.f ? 0x7c00 : scale == -24 ? (int)m : (scale + 24 << 10) + (int)m);
}
static inline void store(bf16_t& y, float x) {
  const unsigned b = bits_of(x);
  y.bits = isnan(x) ? 0x7fc0 : (b + 0x7fff + (b >> 16 & 1)) >> 16;
}
"""

LAUNCH = """
extern "C" void launch(unsigned blocks, unsigned threads, {parameters}) {{
  for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
    for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++) {name}({arguments});
}}
"""


class DeviceArray(np.ndarray[Any, Any]):
    """A NumPy array that says its address as CuPy's do."""

    @property
    def data(self) -> Any:  # type: ignore[override]
        """`.data.ptr`"""
        return SimpleNamespace(ptr=self.ctypes.data)


ARRAYS = {
    "array": lambda a: np.array(a).view(DeviceArray),
    "asarray": lambda a: np.asarray(a).view(DeviceArray),
}


@contextmanager
def kernels_on(name: str, folder: Path) -> Iterator[Backend]:
    """CUDA's kernels, on a GPU or, on the `host`, as libraries in `folder`; skips the test where neither is there."""
    if name == "cuda":
        try:
            gpu = get_backend("cuda")
        except CompileError as e:
            pytest.skip(str(e))
        yield gpu
        return
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    with pytest.MonkeyPatch.context() as patch:
        run_on_host(patch, folder)
        yield Backend("host", SimpleNamespace(ndarray=np.ndarray, **ARRAYS), KERNELS)


@pytest.fixture(scope="module", params=["host", pytest.param("cuda", marks=pytest.mark.gpu)])
def host_and_gpu(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A fixture, of whatever name, of a module: CUDA's kernels on the host, and on a GPU."""
    with kernels_on(request.param, tmp_path_factory.mktemp("kernels")) as found:
        yield found


def place(backend: Backend, array: Any, shift: int = 0) -> Any:
    """A row-major copy for the kernels of `backend`, that many elements after an aligned address."""
    size = array.dtype.itemsize
    memory = np.zeros(array.nbytes + 1024, np.uint8)
    start = (-memory.ctypes.data) % 256 if backend.name == "host" else 0
    memory[start + shift * size : start + shift * size + array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)
    device = backend.xp.asarray(memory)
    return device[start + shift * size :][: array.nbytes].view(array.dtype).reshape(array.shape)


def run_on_host(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let `source` compile for the host; libraries are put into `folder`."""
    made: dict[str, Any] = {}

    def compiled(name: str, text: str) -> Any:
        if text not in made:
            made[text] = build(folder / f"kernel{len(made)}", name, text)
        return made[text]

    patch.setattr(source, "compiled", compiled)
    patch.setattr(source, "OverlappedKernel", HostKernel)


class HostKernel:
    """A launch of a compiled function over a grid, as launch.py makes it."""

    def __init__(self, function: Any, grid: tuple[int, int, int], block: int):
        self._function, self._sizes = function, (ctypes.c_uint(grid[0]), ctypes.c_uint(block))

    def __call__(self, arguments: Sequence[int], types: Sequence[Any]) -> None:
        """All threads of all blocks, one after another."""
        self._function(*self._sizes, *(type_(a) for a, type_ in zip(arguments, types, strict=True)))


def build(path: Path, name: str, text: str) -> Any:
    """The function that runs the kernel `name` of a source."""
    assert text.startswith(source.PROLOGUE)
    found = re.search(rf"{name}\(([^{{]*)\) {{", text)
    assert found is not None
    arguments = re.findall(r"(\w+)(?:, |$)", found[1])
    launch = LAUNCH.format(parameters=found[1], name=name, arguments=", ".join(arguments))
    path.with_suffix(".cpp").write_text(HOST + text.removeprefix(source.PROLOGUE) + launch)
    options = ["-std=c++17", "-w", "-fsanitize=alignment,bounds", "-fsanitize-undefined-trap-on-error"]
    command = ["g++", *options, "-shared", "-fPIC", "-o", f"{path}.so", f"{path}.cpp"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return ctypes.CDLL(f"{path}.so").launch
