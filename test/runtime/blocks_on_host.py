"""The kernels of implicit GEMM compiled by g++ and run block by block, a thread of the host for each of the device.

What is written in PTX is done by functions of the same names here: what such a kernel reads and writes is what it would
on a GPU, though f32 is not rounded to TF32. No clusters.
"""

from __future__ import annotations

import ctypes
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cuda_on_host import HOST

from nnfuse.runtime.kernels.cupy import cuda_conv, source

THREADS = """
#include <algorithm>
#include <barrier>
#include <memory>
#include <thread>
#include <vector>
#define in_place in_place_in_shared_memory  // std has one
static thread_local struct { unsigned x; } threadIdx;
static struct { unsigned x, y, z; } blockIdx, gridDim;
static char* block_memory;
struct Warp { std::barrier<> all{32}; unsigned sent[32][6]; };
static std::barrier<>* block;
static std::vector<std::unique_ptr<Warp>> warps;
static inline void __syncthreads() { block->arrive_and_wait(); }
static inline Warp& warp_of() { return *warps[threadIdx.x / 32]; }
static inline float __shfl_xor_sync(unsigned, float v, int mask) {
  Warp& warp = warp_of();
  memcpy(warp.sent[threadIdx.x % 32], &v, 4);
  warp.all.arrive_and_wait();
  memcpy(&v, warp.sent[threadIdx.x % 32 ^ mask], 4);
  warp.all.arrive_and_wait();
  return v;
}
"""

PTX = """
void copy_async(u32 to, const void* from, bool seen) {
  if (seen) memcpy(block_memory + to, from, PIECE_BYTES);
  else memset(block_memory + to, 0, PIECE_BYTES);
}
void load_matrices(u32 (&r)[4], u32 at) {
  Warp& warp = warp_of();
  const int lane = threadIdx.x % 32;
  warp.sent[lane][0] = at;
  warp.all.arrive_and_wait();
  for (int m = 0; m < 4; m++) memcpy(&r[m], block_memory + warp.sent[m * 8 + lane / 4][0] + lane % 4 * 4, 4);
  warp.all.arrive_and_wait();
}
void multiply(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  Warp& warp = warp_of();
  const int lane = threadIdx.x % 32, each = 4 / sizeof(TYPE), inner = 8 * each;
  u32 (&sent)[6] = warp.sent[lane];
  for (int q = 0; q < 4; q++) sent[q] = a[q];
  sent[4] = b0, sent[5] = b1;
  warp.all.arrive_and_wait();
  auto element = [&](int row, int k, int reg) {
    const u32 (&from)[6] = warp.sent[row % 8 * 4 + k % (inner / 2) / each];
    TYPE value;
    memcpy(&value, (const char*)&from[reg] + k % each * sizeof(TYPE), sizeof(TYPE));
    return load(value);
  };
  for (int q = 0; q < 4; q++) {
    const int row = lane / 4 + q / 2 * 8, column = lane % 4 * 2 + q % 2;
    for (int k = 0; k < inner; k++) {
      const bool upper = k >= inner / 2;
      d[q] += element(row, k, q / 2 + 2 * upper) * element(column, k, 4 + upper);
    }
  }
  warp.all.arrive_and_wait();
}
void put(u32 at, u32, int, float v0, float v1, float v2, float v3) {
  const float v[] = {v0, v1, v2, v3};
  memcpy(block_memory + at, v, 16);
}
"""

LAUNCH = """
extern "C" void launch(unsigned across, unsigned down, unsigned deep, unsigned threads, unsigned shared, PARAMETERS) {
  gridDim = {across, down, deep};
  std::vector<char> memory(shared + 128);
  block_memory = memory.data() + (-(size_t)memory.data() & 127);
  warps.clear();
  for (unsigned n = 0; n < threads / 32; n++) warps.push_back(std::make_unique<Warp>());
  for (unsigned n = 0; n < across * down * deep; n++) {
    blockIdx = {n % across, n / across % down, n / across / down};
    std::barrier<> together(threads);
    block = &together;
    std::vector<std::thread> running;
    for (unsigned t = 0; t < threads; t++) running.emplace_back([=] { threadIdx.x = t; NAME(ARGUMENTS); });
    for (auto& thread : running) thread.join();
  }
}
"""


class HostKernel:
    """A launch of a compiled kernel over a grid, as launch.py makes it."""

    def __init__(self, function: Any, grid: tuple[int, int, int], block: int, shared: int):
        self._function, self._sizes = function, [ctypes.c_uint(n) for n in (*grid, block, shared)]

    def __call__(self, arguments: Sequence[int], types: Sequence[Any]) -> None:
        """All blocks, one after another."""
        self._function(*self._sizes, *(type_(a) for a, type_ in zip(arguments, types, strict=True)))


def run_on_host(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let `cuda_conv` compile for the host; libraries are put into `folder`."""
    patch.setattr(cuda_conv, "compiled", lambda name, text: build(folder / name, text))
    patch.setattr(cuda_conv, "OverlappedKernel", HostKernel)


def build(path: Path, text: str) -> Any:
    """The function that runs the kernel of a source."""
    host = HOST.replace("static struct { unsigned x; } blockIdx, threadIdx;", THREADS)
    text = re.sub(r"#define ROUND\(r\).*", "#define ROUND(r)", text.removeprefix(source.PROLOGUE))
    text = re.sub(r'asm(?: volatile)?\((?:"[^"]*"|[^";])*\);', ";", text)
    text = re.sub(r"\b(copy_async|load_matrices|multiply|put)(?=\((?:u32 |float ?\())", r"ptx_\1", text)
    text = text.replace("extern __shared__ __align__(128) char memory[];", "char* const memory = block_memory;")
    text = text.replace("(u32)__cvta_generic_to_shared(memory)", "0u")
    head, kernel = text.split("constexpr int THREADS", 1)
    found = re.search(r"NAME\(([^{]*)\) \{", kernel)
    assert found is not None
    arguments = ", ".join(re.findall(r"(\w+)(?:,|$)", found[1]))
    launch = LAUNCH.replace("PARAMETERS", found[1]).replace("ARGUMENTS", arguments)
    path.with_suffix(".cpp").write_text(f"{host}{head}{PTX}constexpr int THREADS{kernel}{launch}")
    command = ["g++", "-std=c++20", "-O0", "-w", "-pthread", "-shared", "-fPIC", "-o", f"{path}.so", f"{path}.cpp"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return ctypes.CDLL(f"{path}.so").launch
