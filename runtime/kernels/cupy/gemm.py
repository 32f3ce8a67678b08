"""The GEMMs of the blas dialect by cuBLASLt, with its epilogues; batches in as few calls as one batch stride allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import gcd
from typing import TypeAlias

import numpy as np
from xdsl.dialects.builtin import StringAttr

from ....dialects.blas.products import BiasedOp, MatmulOp
from ....dialects.nn.base import number
from ....dialects.nn.types import Array
from ....errors import CompileError
from ....rewriting import node_name
from .. import Attributes, Kernel, KernelContext
from . import expressions, library
from .cublaslt import ALIGNMENT, Algorithm, Epilogue, Matmul, MatmulSpec, NoAlgorithm
from .maps import map_kernel
from .operands import FLOATS, Tensor, tensor_of
from .source import itemsize, literal
from .strided import Access, Aligned, collapse

EPILOGUES = {
    "blas.matmul": Epilogue.DEFAULT,
    "blas.matmulrelu": Epilogue.RELU,
    "blas.gemm": Epilogue.BIAS,
    "blas.gemmrelu": Epilogue.RELU_BIAS,
    "blas.gemmgelu": Epilogue.GELU_BIAS,
}
"""Op name -> what the library does to the result."""

Offsets: TypeAlias = tuple[int, int, int, int]
"""Where a call's A, B, C and D start, in elements."""


@dataclass(frozen=True)
class Calls:
    """A batched GEMM as calls with one batch stride each: they differ in where their matrices start."""

    spec: MatmulSpec
    offsets: tuple[Offsets, ...]


def split_calls(spec: MatmulSpec, a: Tensor, b: Tensor, c: Tensor | None, out: Tensor) -> Calls:
    """The calls that compute `spec` for operands with any batch dims, which broadcast.

    `spec` gives the sizes of one matrix product. A batch of A against one B is a single product of more rows. Of
    several batch dims that do not collapse to one (groups with shared images, say), the largest is strided over.
    """
    batch = out.dims[:-2]
    strides = [_batch_strides(x, batch) for x in (a, b, c or b, out)]
    sizes, steps = collapse(batch, strides)
    sa, sb, sc, sd = steps
    follow = (spec.m * (spec.pitch_a or spec.k), 0, spec.m * (spec.pitch or spec.n))
    rows_follow = (sa[-1], sb[-1], sd[-1]) == follow
    if sizes[-1] > 1 and rows_follow and not spec.trans_a and (c is None or sc[-1] == spec.m * spec.n):
        spec = replace(spec, m=spec.m * sizes[-1])
        sizes, steps = (*sizes[:-1], 1), [(*s[:-1], 0) for s in steps]
        sa, sb, sc, sd = steps
    axis = sizes.index(max(sizes))
    strided = replace(
        spec, batch=sizes[axis], stride_a=sa[axis], stride_b=sb[axis], stride_c=sc[axis], stride_d=sd[axis]
    )
    if c is None:
        strided = replace(strided, stride_c=strided.stride_d)
    places = product(*(range(1 if n == axis else size) for n, size in enumerate(sizes)))
    offsets = tuple(_offsets(place, steps) for place in places)
    return Calls(strided, offsets)


def _batch_strides(x: Tensor, batch: tuple[int, ...]) -> tuple[int, ...]:
    """The distance in elements between matrices of an operand, per dim of the result's batch."""
    matrix = x.dims[-2] * (x.pitch or x.dims[-1])
    return tuple(s * matrix for s in Access.broadcast(x.dtype, x.dims[:-2], batch).strides)


def _offsets(place: Sequence[int], strides: Sequence[tuple[int, ...]]) -> Offsets:
    a, b, c, d = (sum(p * s for p, s in zip(place, steps, strict=True)) for steps in strides)
    return a, b, c, d


class Gemm:
    """The kernel of one op: its planned calls, for aligned addresses and (once needed) for others."""

    def __init__(
        self,
        calls: Calls,
        context: KernelContext,
        finish: Aligned | None = None,
        algorithm: Algorithm | None = None,
    ):
        self.calls = calls
        self._scratch = context.scratch
        self.finish = finish
        self._size = itemsize(calls.spec.dtype)
        self._plans = {ALIGNMENT: Matmul(calls.spec, algorithm=algorithm)}
        self.algorithms = self._plans[ALIGNMENT].algorithms
        self._workspace = self._plans[ALIGNMENT].workspace
        context.scratch.reserve(self._workspace)

    def __call__(self, a: Array, b: Array, c: Array | None, bias: Array | None, out: Array) -> None:
        """Enqueue the calls on CuPy's current stream."""
        starts = [x.data.ptr for x in (a, b, out if c is None else c, out)]
        vector = 0 if bias is None else bias.data.ptr
        workspace = self._scratch.view((self._workspace,), np.uint8).data.ptr if self._workspace else 0
        stream = library.stream()
        for offsets in self.calls.offsets:
            places = [s + o * self._size for s, o in zip(starts, offsets, strict=True)]
            a_place, b_place, c_place, d_place = places
            plan = self._plan(gcd(ALIGNMENT, vector, *places))
            plan.run(a_place, b_place, c_place, d_place, vector, workspace, stream)
        if self.finish is not None:
            self.finish(out, out, *(() if bias is None else (bias,)))

    def _plan(self, alignment: int) -> Matmul:
        if alignment not in self._plans:
            spec = replace(self.calls.spec, alignment=alignment)
            self._plans[alignment] = Matmul(spec, self._workspace)
        return self._plans[alignment]


ALGORITHM = "blas.algorithm"
"""The attribute of an op that holds its algorithm, as a tuner found it for one version of cuBLASLt."""


def bind_gemm(op: MatmulOp | BiasedOp, context: KernelContext) -> Kernel | None:
    """`blas.matmul` and its kin: a, b, and where given bias and c; by the algorithm of the op's attribute, if any."""
    chosen = op.attributes.get(ALGORITHM)
    if not isinstance(chosen, StringAttr):
        return _bind(op, context, None)
    try:
        return _bind(op, context, Algorithm.parse(chosen.data))
    except ValueError as e:
        raise CompileError(f"{ALGORITHM} is no algorithm of cuBLASLt: {e}", node_name(op), "tune again") from None


def other_algorithms(op: MatmulOp | BiasedOp, context: KernelContext) -> Iterator[tuple[Attributes, Kernel]]:
    """Every algorithm that cuBLASLt proposes for an op: the attributes that choose it, and its kernel."""
    planned = _planned(op, context, None)
    for algorithm in () if planned is None else planned.algorithms:
        if (kernel := _bind(op, context, algorithm)) is not None:
            yield {ALGORITHM: str(algorithm)}, kernel


def _bind(op: MatmulOp | BiasedOp, context: KernelContext, algorithm: Algorithm | None) -> Kernel | None:
    out = tensor_of(op.result)
    if out.dtype not in FLOATS:
        return None
    where = {name: n for n, name in enumerate(op.operand_names())}
    spec = _spec(op)
    if spec.k == 0:
        return _without_product(op, out, spec, where)
    gemm = _plan(op, _calls(op, spec), out, context, algorithm)
    at_c, at_bias = where.get("c"), where.get("bias")

    def kernel(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        extra = None if at_c is None else ins[at_c]
        gemm(ins[0], ins[1], extra, None if at_bias is None else ins[at_bias], outs[0])

    return kernel


def _planned(op: MatmulOp | BiasedOp, context: KernelContext, algorithm: Algorithm | None) -> Gemm | None:
    """The GEMM of an op in one call, with its epilogue inside; None where it is not."""
    spec = _spec(op)
    if tensor_of(op.result).dtype not in FLOATS or spec.k == 0:
        return None
    gemm = _plan(op, _calls(op, spec), tensor_of(op.result), context, algorithm)
    return None if gemm.finish is not None else gemm


def _spec(op: MatmulOp | BiasedOp) -> MatmulSpec:
    """One matrix product of an op."""
    a, out = tensor_of(op.a), tensor_of(op.result)
    trans_a, trans_b = op.transposed()
    m, n = out.dims[-2:]
    return MatmulSpec(
        m, n, a.dims[-2] if trans_a else a.dims[-1], out.dtype, trans_a, trans_b,
        epilogue=EPILOGUES[op.name], alpha=number(op.alpha), beta=0.0 if op.c is None else number(op.beta),
        tf32=op.compute_type is not None, pitch=out.pitch, pitch_a=a.pitch,
    )  # fmt: skip


def _calls(op: MatmulOp | BiasedOp, spec: MatmulSpec) -> Calls:
    c = None if op.c is None else tensor_of(op.c)
    return split_calls(spec, tensor_of(op.a), tensor_of(op.b), c, tensor_of(op.result))


def _plan(
    op: MatmulOp | BiasedOp, calls: Calls, out: Tensor, context: KernelContext, algorithm: Algorithm | None
) -> Gemm:
    """The GEMM with its epilogue or, where the library has none for this type, followed by it as a kernel."""
    try:
        return Gemm(calls, context, algorithm=algorithm)
    except NoAlgorithm as e:
        epilogue = calls.spec.epilogue
        if epilogue is Epilogue.DEFAULT:
            raise CompileError(str(e), node_name(op)) from None
    plain = replace(calls, spec=replace(calls.spec, epilogue=Epilogue.DEFAULT))
    addends = [Access.of(out)]
    if epilogue.takes_bias:
        addends.append(Access.broadcast(out.dtype, out.dims[-1:], out.dims))
    try:
        return Gemm(plain, context, _finish(op.name, epilogue, out, addends, 1.0))
    except NoAlgorithm as e:
        raise CompileError(str(e), node_name(op)) from None


def _finish(op: str, epilogue: Epilogue, out: Tensor, addends: Sequence[Access], beta: float) -> Aligned:
    """`act(beta * x0 + x1)` of these operands, x0 being there if beta is not 0, x1 if the epilogue adds one."""
    terms = [f"{literal(beta, out.dtype)} * x0"] if beta else []
    terms += [f"x{len(terms)}"] if epilogue.takes_bias else []
    value = " + ".join(terms) or literal(0.0, out.dtype)
    if epilogue & Epilogue.RELU:
        value = f"relu({value})"
    elif epilogue & Epilogue.GELU:
        value = expressions.ACTIVATIONS["gelu_tanh"](f"({value})", out.dtype, ())
    return map_kernel(op, out.dims, Access.of(out), addends, value, expressions.FUNCTIONS)


def _without_product(op: MatmulOp | BiasedOp, out: Tensor, spec: MatmulSpec, where: dict[str, int]) -> Kernel:
    """What is left where K is 0, which cuBLASLt refuses: `act(beta * C + bias)`."""
    used = [where[name] for name in ("c", "bias") if name in where]
    addends = [Access.broadcast(out.dtype, tensor_of(op.operands[n]).dims, out.dims) for n in used]
    kernel = _finish(op.name, spec.epilogue, out, addends, spec.beta)
    return lambda outs, ins: kernel(outs[0], *(ins[n] for n in used))
