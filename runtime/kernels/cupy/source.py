"""CUDA source, made from static shapes and element types only, and its kernels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isinf, isnan
from typing import Any, TypeAlias

import numpy as np

from ....dialects.nn.types import Array
from .compiling import compiled
from .launch import ADDRESS, LONG, OverlappedKernel

BLOCK = 256
"""Threads of a block."""

PACK_BYTES = 16
"""The widest load or store of one thread."""

Variable: TypeAlias = tuple[str, str]
"""The C name and the dtype name of an array."""

_C_TYPES = {
    "float64": "double",
    "float32": "float",
    "float16": "half_t",
    "bfloat16": "bf16_t",
    "bool": "bool",
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "uint8": "unsigned char",
    "uint16": "unsigned short",
    "uint32": "unsigned int",
    "uint64": "unsigned long long",
}

PROLOGUE = """
struct half_t { unsigned short bits; };
struct bf16_t { unsigned short bits; };
#if __CUDA_ARCH__ >= 900
#define START_NEXT asm volatile("griddepcontrol.launch_dependents;")
#define WAIT_FOR_LAST asm volatile("griddepcontrol.wait;" ::: "memory")
#else
#define START_NEXT
#define WAIT_FOR_LAST
#endif
template <typename T> __device__ __forceinline__ T load(T x) { return x; }
__device__ __forceinline__ float load(half_t x) {
  float y; asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits)); return y;
}
__device__ __forceinline__ float load(bf16_t x) { return __uint_as_float((unsigned int)x.bits << 16); }
template <typename T, typename A> __device__ __forceinline__ void store(T& y, A x) { y = (T)x; }
__device__ __forceinline__ void store(half_t& y, float x) {
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
}
__device__ __forceinline__ void store(bf16_t& y, float x) {
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
}
"""
"""f16 and bf16 without the CUDA headers, which CuPy's own wheels do not bring; and what overlapped kernels begin with.

The kernel after this one may start once all blocks of this one have reached START_NEXT; WAIT_FOR_LAST returns when the
one before has ended and its results can be read.
"""

COMMON = """
template <typename T, int V> struct alignas(sizeof(T) * V > 16 ? 16 : sizeof(T) * V) Pack { T v[V]; };
template <typename A> __device__ __forceinline__ A larger(A a, A b) { return b > a || b != b ? b : a; }
template <typename A> __device__ __forceinline__ A smaller(A a, A b) { return b < a || b != b ? b : a; }
template <typename A> __device__ __forceinline__ A relu(A x) { return x > A(0) || x != x ? x : A(0); }
"""


def dtype_name(array_or_dtype: Any) -> str:
    """`float32` for an array, or a dtype, of it."""
    return np.dtype(getattr(array_or_dtype, "dtype", array_or_dtype)).name


def c_type(dtype: str) -> str:
    """The C type of an element."""
    return _C_TYPES[dtype]


def compute_type(dtype: str) -> str:
    """The C type that arithmetic on an element runs in: float for f16 and bf16, else the element's."""
    return "float" if dtype in ("float16", "bfloat16") else _C_TYPES[dtype]


def literal(value: float, dtype: str) -> str:
    """A number, exactly, in the C type that `dtype` is computed in."""
    type_ = compute_type(dtype)
    if type_ not in ("float", "double"):
        return f"(({type_}){int(value)}{'u' if dtype.startswith('u') else ''})"
    if isnan(value) or isinf(value):
        name = "NAN" if isnan(value) else "INFINITY"
        return f"(({type_}){'-' if value < 0 else ''}({_SPECIAL[name]}))"
    return f"(({type_}){float(value).hex()})"


_SPECIAL = {"NAN": "__int_as_float(0x7fc00000)", "INFINITY": "__int_as_float(0x7f800000)"}


def index_type(*sizes: int) -> str:
    """The C type of an index into arrays of these many elements: 32 bits where they do."""
    return "int" if max(sizes, default=0) < 2**31 - 2 * BLOCK * PACK_BYTES else "long long"


def pack_width(dtypes: Iterable[str], multiples: Iterable[int]) -> int:
    """How many elements one thread moves at once: a power of two that divides all of `multiples`."""
    width = max(PACK_BYTES // max(np.dtype(_numpy(d)).itemsize for d in dtypes), 1)
    sizes = list(multiples)
    while any(m % width for m in sizes):
        width //= 2
    return width


def itemsize(dtype: str) -> int:
    """Bytes of an element."""
    return np.dtype(_numpy(dtype)).itemsize


def _numpy(dtype: str) -> str:
    return "uint16" if dtype == "bfloat16" else dtype  # NumPy knows the name only once ml_dtypes is imported


def parameters(outs: Sequence[Variable], ins: Sequence[Variable], restrict: bool) -> str:
    """The parameter list of a kernel. `restrict` promises that no output shares memory with an input."""
    mark = "__restrict__ " if restrict else ""
    listed = [f"{c_type(d)}* {mark}{name}" for name, d in outs]
    listed += [f"const {c_type(d)}* {mark}{name}" for name, d in ins]
    return ", ".join(listed)


class Kernel:
    """A kernel that works on `count` indices, `per_block` of them in each block of `BLOCK` threads."""

    def __init__(self, name: str, source: str, count: int, per_block: int = BLOCK):
        self.count = count
        self._launch: OverlappedKernel | None = None
        if count:
            self._launch = OverlappedKernel(compiled(kernel_name(name), source), (-(-count // per_block), 1, 1), BLOCK)

    def __call__(self, *arrays: Array) -> None:
        """Enqueue it on CuPy's current stream, with the arrays in the order of its parameters."""
        if self._launch is not None:
            self._launch((*(a.data.ptr for a in arrays), self.count), (*(ADDRESS,) * len(arrays), LONG))


def kernel_name(op: str) -> str:
    """The C name of an op's kernel, by which profilers and graph dumps tell it: `nnfuse_nn_add`."""
    return f"nnfuse_{op.replace('.', '_')}"


def thread_kernel(
    op: str,
    body: str,
    outs: Sequence[Variable],
    ins: Sequence[Variable],
    count: int,
    index: str,
    *,
    restrict: bool = False,
    declarations: str = "",
) -> Kernel:
    """A kernel for the op of this name that runs `body` for each `i` below `count`; `index` is the C type of `i`."""
    source = f"""{PROLOGUE}{COMMON}{declarations}
extern "C" __global__ void __launch_bounds__({BLOCK})
{kernel_name(op)}({parameters(outs, ins, restrict)}, const long long count) {{
  typedef {index} index;
  START_NEXT;
  WAIT_FOR_LAST;
  const index i = (index)blockIdx.x * {BLOCK} + threadIdx.x;
  if (i >= count) return;
{body}
}}
"""
    return Kernel(op, source, count)


def row_kernel(
    op: str,
    body: str,
    outs: Sequence[Variable],
    ins: Sequence[Variable],
    rows: tuple[int, int, int],
    *,
    declarations: str = "",
) -> Kernel:
    """A kernel for the op of this name that runs `body` for each row of arrays [outer, length, inner] (`rows`).

    A row is walked by a group of `GROUP` threads numbered `t`, which add up with `reduce<Sum>(mine)` (also Max, Min):
    `for (index j = t; j < length; j += GROUP)` sees the elements `base + j * stride`. `i` numbers the rows. Groups
    past the last row run too (all threads of a block must reach `reduce`): `live` is false and `length` 0 there.
    """
    outer, length, inner = rows
    group = 1
    while inner == 1 and group < BLOCK and group * 4 < length:
        group *= 2
    reduce = _REDUCE if group > 1 else "template <template <typename> class F, typename A> "
    if group == 1:
        reduce += "__device__ __forceinline__ A reduce(A mine) { return mine; }"
    source = f"""{PROLOGUE}{COMMON}{_FOLDS}{reduce.replace("GROUP", str(group))}{declarations}
extern "C" __global__ void __launch_bounds__({BLOCK})
{kernel_name(op)}({parameters(outs, ins, False)}, const long long count) {{
  typedef {index_type(outer * length * inner)} index;
  START_NEXT;
  WAIT_FOR_LAST;
  const int GROUP = {group}, t = threadIdx.x % GROUP;
  const index i = (index)blockIdx.x * {BLOCK // group} + threadIdx.x / GROUP, stride = {inner};
  const index base = i / {inner} * {length * inner} + i % {inner};
  const bool live = i < count;
  const index length = live ? {length} : 0;
{body}
}}
"""
    return Kernel(op, source, outer * inner, BLOCK // group)


_FOLDS = """
template <typename A> struct Sum { __device__ static A of(A a, A b) { return a + b; } };
template <typename A> struct Max { __device__ static A of(A a, A b) { return larger(a, b); } };
template <typename A> struct Min { __device__ static A of(A a, A b) { return smaller(a, b); } };
"""

_REDUCE = f"""
template <template <typename> class F, typename A> __device__ A reduce(A mine) {{
  __shared__ A partial[{BLOCK}];
  const int t = threadIdx.x;
  __syncthreads();
  partial[t] = mine;
  __syncthreads();
  for (int half = GROUP / 2; half > 0; half /= 2) {{
    if (t % GROUP < half) partial[t] = F<A>::of(partial[t], partial[t + half]);
    __syncthreads();
  }}
  return partial[t - t % GROUP];
}}
"""


def defines(macros: Mapping[str, object]) -> str:
    """The text that defines macros."""
    return "".join(f"#define {macro} {value}\n" for macro, value in macros.items())
