"""`cuda.conv`: convolutions by our own kernels of implicit GEMM on tensor cores; which of them, and by which plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any

from ....dialects.cuda import CudaConvOp
from ....dialects.cuda.conv import MOST_ELEMENTS
from ....dialects.nn.base import text
from ....dialects.nn.constant import is_stored
from ....dialects.nn.types import Array
from ....errors import CompileError
from ....rewriting import node_name
from .. import Attributes, Kernel, KernelContext
from . import expressions, library, source
from .compiling import compiled
from .elementwise import activation_expression
from .implicit_gemm import implicit_plans
from .launch import ADDRESS, NUMBER, OverlappedKernel
from .operands import tensor_of
from .products import ROW_BYTES, Plan, Problem
from .resident_gemm import resident_plans

COMMON = Path(__file__).with_name("tensor_core.cu")

SIZES: tuple[str, ...] = (
    "M",
    "N",
    "K",
    "C",
    "S",
    "H",
    "W",
    "OH",
    "OW",
    "STEP_H",
    "STEP_W",
    "PAD_H",
    "PAD_W",
    "APART_H",
    "APART_W",
    "PITCH",
    "X_PITCH",
)
"""What the kernels call the sizes of the product, the image and the window, and how far apart rows of y and x begin."""

MOST_TRIED = 6
"""How many plans are worth timing: of 87 layers of ResNet-50 and MobileNetV2, none has one 3 % faster."""

_MMA = {
    "float16": "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32",
    "bfloat16": "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
    "float32": "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32",
}
_ROUND = {"float32": 'asm("cvt.rna.tf32.f32 %0, %0;" : "+r"(r))'}


def plans(problem: Problem, device: library.Device) -> list[Plan]:
    """All that a device can run, the fastest by estimate first."""
    known: list[Plan] = [*implicit_plans(problem, device.since_hopper), *resident_plans(problem)]
    fitting = [p for p in known if p.shared_bytes(problem) <= device.shared_bytes]
    return sorted(fitting, key=lambda p: p.microseconds(problem))


def problem_of(op: CudaConvOp) -> Problem:
    """The product that computes an op."""
    x, w, out = (tensor_of(v).dims for v in (op.x, op.w, op.result))
    pitches = tensor_of(op.result).pitch or out[3], tensor_of(op.x).pitch or x[3]
    window, itemsize = op.window(x, w), source.itemsize(tensor_of(op.w).dtype)
    rows, inner = prod(out[:3]), prod(w[1:])
    values = (
        rows,
        out[3],
        inner,
        x[3],
        w[2],
        *x[1:3],
        *out[1:3],
        *window.strides,
        *window.before,
        *window.dilations,
        *pitches,
    )
    sizes: dict[str, int] = dict(zip(SIZES, values, strict=True))
    return Problem(rows, out[3], -(-inner * itemsize // ROW_BYTES), itemsize, op.residual is not None, sizes)


def bind_cuda_conv(op: CudaConvOp, context: KernelContext) -> Kernel:
    """The op's own plan, or the one that is estimated to be the fastest."""
    return conv_kernel(op, plan_of(op))


def other_cuda_plans(op: CudaConvOp, context: KernelContext) -> Iterator[tuple[Attributes, Kernel]]:
    """The plans worth timing: the property that chooses one, and its kernel."""
    problem = problem_of(op)
    tried = plans(problem, library.device())[:MOST_TRIED]
    for plan, kernel in [(plan, conv_kernel(op, plan)) for plan in tried]:  # all begin to be compiled at once
        yield {"plan": str(plan)}, kernel


def plan_of(op: CudaConvOp) -> Plan:
    """The plan that an op names, or the best estimate; raises CompileError where there is none of that name."""
    known = plans(problem_of(op), library.device())
    if op.plan is None:
        return known[0]
    for plan in known:
        if str(plan) == text(op.plan):
            return plan
    raise CompileError(f"{op.name} has no plan '{text(op.plan)}'", node_name(op), f"for example {known[0]}")


def check(op: CudaConvOp) -> tuple[int, str]:
    """How many elements of k lie together, and the activation in C; raises CompileError where there is no kernel."""
    x, w = tensor_of(op.x), tensor_of(op.w)
    activation = activation_expression(op.activation, "value", x.dtype)
    per_chunk = source.PACK_BYTES // source.itemsize(x.dtype) if x.dtype in _MMA else 0
    if per_chunk == 0 or activation is None:
        what = x.dtype if per_chunk == 0 else str(op.activation)
        raise CompileError(f"{op.name} has no kernel for {what}", node_name(op))
    if max(x.dims[0] * x.strides[0], prod(tensor_of(op.result).dims)) >= MOST_ELEMENTS:
        raise CompileError(f"{op.name} has no kernel for 2^31 elements or more", node_name(op))
    if x.dims[3] % 4 or w.dims[0] % per_chunk:
        raise CompileError(
            f"{op.name} needs channels that are multiples of 4 and filters that are multiples of {per_chunk}",
            node_name(op),
        )
    return (per_chunk if x.dims[3] % per_chunk == 0 else 4), activation


def conv_kernel(op: CudaConvOp, plan: Plan) -> Kernel:
    """The kernel of an op by one plan."""
    problem = problem_of(op)
    compiling = compiled(source.kernel_name(op.name), _source(op, plan, problem))
    numbers = plan.arguments(problem)
    launch = OverlappedKernel(compiling, plan.grid(problem), 32 * prod(plan.warps), plan.shared_bytes(problem))
    types = (ADDRESS,) * 5 + (NUMBER,) * len(numbers)
    places = {name: n for n, name in enumerate(op.operand_names())}

    def kernel(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        aligned = [_aligned(a) for a in ins]
        addresses = [aligned[places[n]].data.ptr if n in places else 0 for n in ("x", "w", "bias", "residual")]
        launch((*addresses, outs[0].data.ptr, *numbers), types)

    return kernel


def may_load_early(op: CudaConvOp) -> bool:
    """Whether filters and bias are there before the kernel in front has ended: no kernel of the program writes them."""
    return all(v is None or is_stored(v) for v in (op.w, op.bias))


def _aligned(array: Any) -> Any:
    """`array`, or a copy where it does not start at a multiple of a pack (a caller may pass any slice)."""
    return array if array.data.ptr % source.PACK_BYTES == 0 else array.copy()


def _source(op: CudaConvOp, plan: Plan, problem: Problem) -> str:
    piece, activation = check(op)
    dtype = tensor_of(op.x).dtype
    macros = {
        "NAME": source.kernel_name(op.name),
        "TYPE": source.c_type(dtype),
        "MMA": f'"{_MMA[dtype]}"',
        "ROUND(r)": _ROUND.get(dtype, ""),
        "ACTIVATE(value)": f"({activation})",
        "PIECE": piece,
        "EARLY": int(may_load_early(op)),
    }
    common = f"{source.defines(macros)}{COMMON.read_text()}"
    return f"{source.PROLOGUE}{source.COMMON}{expressions.FUNCTIONS}{common}{plan.code(problem)}"
