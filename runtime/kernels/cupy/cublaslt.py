"""One planned cuBLASLt call: row-major `D = act(alpha * op(A) @ op(B) + beta * C + bias)`, batched by strides.

cuBLASLt is column-major. Row-major `D[M, N] = A[M, K] @ B[K, N]` is, byte for byte, its
`D^T[N, M] = B^T @ A^T`: our B is its first operand, our N its M. Its BIAS epilogues add a vector along its M,
which is the last axis of the row-major result. https://docs.nvidia.com/cuda/cublas/#using-the-cublaslt-api
"""

from __future__ import annotations

import ctypes
import weakref
from contextlib import ExitStack
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from ....errors import CompileError
from . import library

WORKSPACE_LIMIT = 32 << 20
"""Bytes an algorithm may ask for; the library's own default is 0, which rules out most split-K algorithms."""

CANDIDATES = 24
"""How many algorithms the heuristic is asked for; the first of them runs unless another was chosen."""

ALGORITHM_BYTES, RESULT_BYTES = 64, 96
"""The sizes of cublasLtMatmulAlgo_t and of cublasLtMatmulHeuristicResult_t, which begins with one."""

ALIGNMENT = 16
"""Bytes every address is a multiple of where nothing else is said; no kernel of the library needs more."""

_DATA_TYPES = {"float32": 0, "float64": 1, "float16": 2, "bfloat16": 14}  # cudaDataType
_COMPUTE_32F, _COMPUTE_64F, _COMPUTE_32F_FAST_TF32 = 68, 70, 77  # cublasComputeType_t
_ATTRIBUTES = {
    "matmul_desc": "MatmulDescAttribute",
    "matrix_layout": "MatrixLayoutAttribute",
    "matmul_preference": "MatmulPreferenceAttribute",
}


class Epilogue(IntEnum):
    """What a call does to its result before writing it, `cublasLtEpilogue_t`. GELU is the tanh form."""

    DEFAULT = 1
    RELU = 2
    BIAS = 4
    RELU_BIAS = 6
    GELU = 32
    GELU_BIAS = 36

    @property
    def takes_bias(self) -> bool:
        """Whether a vector is added along the last axis of the result."""
        return bool(self & Epilogue.BIAS)


class NoAlgorithm(Exception):
    """cuBLASLt has no algorithm for a call; the message says which."""


@dataclass(frozen=True)
class MatmulSpec:
    """The call. A is [m, k] (stored [k, m] if `trans_a`), B [k, n] ([n, k] if `trans_b`), C and D [m, n].

    All are row-major, without gaps but where `pitch` and `pitch_a` say how many elements apart the rows of D, and those
    of A as it is stored, begin. `stride_*` are the distances between the matrices of a batch in elements; 0 repeats a
    matrix. All sizes are at least 1. `tf32` lets float32 operands be rounded to TF32; without it float32 is computed as
    such. f16 and bf16 accumulate in f32.
    Addresses are multiples of `alignment` bytes.
    """

    m: int
    n: int
    k: int
    dtype: str
    trans_a: bool = False
    trans_b: bool = False
    batch: int = 1
    stride_a: int = 0
    stride_b: int = 0
    stride_c: int = 0
    stride_d: int = 0
    pitch: int | None = None
    pitch_a: int | None = None
    epilogue: Epilogue = Epilogue.DEFAULT
    alpha: float = 1.0
    beta: float = 0.0
    tf32: bool = False
    alignment: int = ALIGNMENT

    def __str__(self) -> str:
        batch = f" batch {self.batch}" if self.batch > 1 else ""
        apart = f" rows {self.pitch} apart" if self.pitch else ""
        apart += f" rows of A {self.pitch_a} apart" if self.pitch_a else ""
        return f"{self.dtype} GEMM {self.m}x{self.n}x{self.k}{batch}{apart} {self.epilogue.name}"


@dataclass(frozen=True)
class Algorithm:
    """A cublasLtMatmulAlgo_t, which holds for one version of the library, and the scratch memory it needs in bytes."""

    data: bytes
    workspace: int

    def __str__(self) -> str:
        return f"{self.workspace}:{self.data.hex()}"

    @classmethod
    def parse(cls, text: str) -> Algorithm:
        """What `str` gives; raises ValueError on anything else."""
        workspace, _, digits = text.partition(":")
        data = bytes.fromhex(digits)
        if len(data) != ALGORITHM_BYTES:
            raise ValueError(f"an algorithm has {ALGORITHM_BYTES} bytes, not {len(data)}")
        return cls(data, int(workspace))


class Matmul:
    """A planned call: its descriptors, and its algorithm, by default what the library's heuristic puts first.

    `workspace` is how many bytes of scratch memory `run` needs. Two threads must not run one plan at once:
    the bias's address is part of a descriptor. Raises NoAlgorithm where the library has none.
    """

    def __init__(self, spec: MatmulSpec, workspace_limit: int = WORKSPACE_LIMIT, algorithm: Algorithm | None = None):
        self.spec = spec
        self._lt: Any = library.cublaslt()
        self._handle = library.cublaslt_handle()
        scale = np.float64 if spec.dtype == "float64" else np.float32
        self._alpha, self._beta = np.array(spec.alpha, scale), np.array(spec.beta, scale)
        self._bias = spec.alignment  # the heuristic reads the alignment of this address, never what is there
        with ExitStack() as owned:
            self._operation = self._describe(owned)
            b, a, c, d = self._layouts(owned)
            self._first, self._second, self._third, self._result = b, a, c if spec.beta else d, d
            self.algorithms = [algorithm] if algorithm is not None else self._search(workspace_limit)
            weakref.finalize(self, owned.pop_all().close)
        self._data = np.frombuffer(self.algorithms[0].data, np.uint8).copy()
        self._algorithm = int(self._data.ctypes.data)
        self.workspace = self.algorithms[0].workspace

    def run(self, a: int, b: int, c: int, d: int, bias: int, workspace: int, stream: int) -> None:
        """Enqueue the call. All arguments are addresses; `c` is not read where beta is 0, nor an unused bias."""
        if bias != self._bias and self.spec.epilogue.takes_bias:
            self._set("matmul_desc", self._operation, "BIAS_POINTER", ctypes.c_int64(bias))
            self._bias = bias
        alpha, beta = self._alpha.ctypes.data, self._beta.ctypes.data
        c = c if self.spec.beta else d
        try:
            self._lt.matmul(
                self._handle, self._operation, alpha, b, self._first, a, self._second, beta, c, self._third,
                d, self._result, self._algorithm, workspace, self.workspace, stream,
            )  # fmt: skip
        except self._lt.cuBLASLtError as e:
            raise CompileError(f"{self.spec}: cuBLASLt failed: {e}") from None

    def _describe(self, owned: ExitStack) -> int:
        """The descriptor of the operation."""
        lt, spec = self._lt, self.spec
        compute, scale = _COMPUTE_32F_FAST_TF32 if spec.tf32 else _COMPUTE_32F, "float32"
        if spec.dtype == "float64":
            compute, scale = _COMPUTE_64F, "float64"
        operation = lt.matmul_desc_create(compute, _DATA_TYPES[scale])
        owned.callback(lt.matmul_desc_destroy, operation)
        fields: dict[str, Any] = {  # transposes are cublasOperation_t: 0 as it is, 1 transposed
            "TRANSA": ctypes.c_int32(spec.trans_b),
            "TRANSB": ctypes.c_int32(spec.trans_a),
            "EPILOGUE": ctypes.c_uint32(spec.epilogue),
        }
        if spec.epilogue.takes_bias:
            fields["BIAS_POINTER"] = ctypes.c_int64(self._bias)
        for name, value in fields.items():
            self._set("matmul_desc", operation, name, value)
        return operation

    def _layouts(self, owned: ExitStack) -> list[int]:
        """The descriptors of B, A, C and D: each row-major [rows, columns] is column-major [columns, rows]."""
        lt, s = self._lt, self.spec
        layouts: list[int] = []
        for rows, columns, transposed, stride, pitch in (
            (s.k, s.n, s.trans_b, s.stride_b, None),
            (s.m, s.k, s.trans_a, s.stride_a, s.pitch_a),
            (s.m, s.n, False, s.stride_c, None),
            (s.m, s.n, False, s.stride_d, s.pitch),
        ):
            rows, columns = (columns, rows) if transposed else (rows, columns)
            layout = lt.matrix_layout_create(_DATA_TYPES[s.dtype], columns, rows, pitch or columns)
            owned.callback(lt.matrix_layout_destroy, layout)
            self._set("matrix_layout", layout, "BATCH_COUNT", ctypes.c_int32(s.batch))
            self._set("matrix_layout", layout, "STRIDED_BATCH_OFFSET", ctypes.c_int64(stride))
            layouts.append(layout)
        return layouts

    def _search(self, workspace_limit: int) -> list[Algorithm]:
        """The heuristic's candidates, best first; at least one."""
        lt = self._lt
        results, found = lt.MatmulHeuristicResult(CANDIDATES), np.zeros(1, np.int32)
        preference = lt.matmul_preference_create()
        fields: dict[str, Any] = {"MAX_WORKSPACE_BYTES": ctypes.c_uint64(workspace_limit)}
        fields |= {f"MIN_ALIGNMENT_{x}_BYTES": ctypes.c_uint32(self.spec.alignment) for x in "ABCD"}
        try:
            for name, value in fields.items():
                self._set("matmul_preference", preference, name, value)
            lt.matmul_algo_get_heuristic(
                self._handle, self._operation, self._first, self._second, self._third, self._result,
                preference, CANDIDATES, results.ptr, found.ctypes.data,
            )  # fmt: skip
        except lt.cuBLASLtError as e:
            raise NoAlgorithm(f"{self.spec}: cuBLASLt has no algorithm: {e}") from None
        finally:
            lt.matmul_preference_destroy(preference)
        states, sizes = np.ravel(results.state), np.ravel(results.workspace_size)
        algorithms = [
            Algorithm(ctypes.string_at(int(results.ptr) + n * RESULT_BYTES, ALGORITHM_BYTES), int(sizes[n]))
            for n in range(int(found[0]))
            if states[n] == 0
        ]
        if not algorithms:
            raise NoAlgorithm(f"{self.spec}: cuBLASLt has no algorithm")
        return algorithms

    def _set(self, kind: str, handle: int, name: str, value: Any) -> None:
        attribute = getattr(self._lt, _ATTRIBUTES[kind])[name]
        setter = getattr(self._lt, f"{kind}_set_attribute")
        setter(handle, int(attribute), ctypes.addressof(value), ctypes.sizeof(value))
