"""Convolutions by one kernel of implicit GEMM on tensor cores (implicit_gemm.cu), made for small ones.

Its time is that of a few trips to memory, so all loads are under way at once, the weights' before the kernel in front
has ended, and where tiles are few the blocks of a cluster share each sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path
from typing import Any

from ....dialects.cuda import CudaConvOp
from ....dialects.nn.base import text
from ....dialects.nn.constant import is_stored
from ....dialects.nn.types import Array
from ....errors import CompileError
from ....rewriting import node_name
from .. import Attributes, Kernel, KernelContext
from . import expressions, library, source
from .elementwise import activation_expression
from .launch import ADDRESS, NUMBER, OverlappedKernel
from .operands import tensor_of

SOURCE = Path(__file__).with_suffix(".cu")

ROW_BYTES = 128
"""Bytes of k in a unit of work."""

WARPS = {(64, 64): (2, 2), (64, 32): (2, 2), (32, 64): (2, 2), (32, 32): (2, 2), (16, 64): (1, 4), (16, 32): (1, 2)}
"""Tiles, rows by filters, and the warps that compute one."""

SPLITS = (1, 2, 4, 8)
"""How many blocks share a tile's sum; 8 is the most that every GPU with clusters takes."""

MULTIPROCESSORS = 132
"""An H100's."""

MOST_TRIED = 8
"""How many plans are worth timing: on ResNet-50's layers the fastest was always among these, or within a tenth."""

_MMA = {
    "float16": "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32",
    "bfloat16": "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
    "float32": "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32",
}
_ROUND = {"float32": 'asm("cvt.rna.tf32.f32 %0, %0;" : "+r"(r))'}


@dataclass(frozen=True)
class Problem:
    """The product's sizes: `rows` positions, `filters`, `units` of k."""

    rows: int
    filters: int
    units: int


@dataclass(frozen=True)
class Plan:
    """A tile and how many blocks share its sum."""

    tile: tuple[int, int]
    split: int

    def __str__(self) -> str:
        return f"{self.tile[0]}x{self.tile[1]}/{self.split}"

    @property
    def warps(self) -> tuple[int, int]:
        """Down and across the tile."""
        return WARPS[self.tile]

    def stages(self, problem: Problem) -> int:
        """How many units are under way at once."""
        units = -(-problem.units // self.split)
        return 3 if units <= 2 else 5 if units <= 5 else 8

    def shared_bytes(self, problem: Problem) -> int:
        """The shared memory of a block: units under way, and the parts of the rows that it ends up with."""
        rows, filters = self.tile
        return self.stages(problem) * (rows + filters) * ROW_BYTES + rows * (filters + 8) * 4

    def grid(self, problem: Problem) -> tuple[int, int, int]:
        """Blocks: those that share a tile, tiles across, tiles down."""
        return self.split, -(-problem.filters // self.tile[1]), -(-problem.rows // self.tile[0])

    def microseconds(self, problem: Problem) -> float:
        """An estimate: fitted to 372 timings of ResNet-50's layers at batch 1 on an H100, a tenth off on average."""
        rows, filters = self.tile
        units, blocks = -(-problem.units // self.split), prod(self.grid(problem))
        turns = ceil(blocks / MULTIPROCESSORS)
        loads = turns * (1.47e-3 * (rows + filters) * units - 1.31e-4 * rows * filters)
        sharing = 0.47 + 0.19 * self.split if self.split > 1 else 0.19
        return 0.68 + loads + 0.207 * units + sharing + 3.84e-6 * blocks * rows * filters


def plans(problem: Problem, device: library.Device) -> list[Plan]:
    """All that a device can run, the fastest by estimate first."""
    splits = [s for s in SPLITS if s == 1 or (device.since_hopper and s <= problem.units)]
    known = [Plan(tile, split) for tile in WARPS for split in splits]
    fitting = [p for p in known if p.shared_bytes(problem) <= device.shared_bytes]
    return sorted(fitting, key=lambda p: p.microseconds(problem))


def problem_of(op: CudaConvOp) -> Problem:
    """The product that computes an op."""
    w, out = tensor_of(op.w), tensor_of(op.result)
    unit = ROW_BYTES // source.itemsize(w.dtype)
    return Problem(prod(out.dims[:3]), out.dims[3], -(-prod(w.dims[1:]) // unit))


def bind_cuda_conv(op: CudaConvOp, context: KernelContext) -> Kernel:
    """The op's own plan, or the one that is estimated to be the fastest."""
    return conv_kernel(op, plan_of(op))


def other_cuda_plans(op: CudaConvOp, context: KernelContext) -> Iterator[tuple[Attributes, Kernel]]:
    """The plans worth timing: the property that chooses one, and its kernel."""
    for plan in plans(problem_of(op), library.device())[:MOST_TRIED]:
        yield {"plan": str(plan)}, conv_kernel(op, plan)


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
    if x.dims[3] % 4 or w.dims[0] % per_chunk:
        raise CompileError(
            f"{op.name} needs channels that are multiples of 4 and filters that are multiples of {per_chunk}",
            node_name(op),
        )
    return (per_chunk if x.dims[3] % per_chunk == 0 else 4), activation


def conv_kernel(op: CudaConvOp, plan: Plan) -> Kernel:
    """The kernel of an op by one plan."""
    problem = problem_of(op)
    piece, activation = check(op)
    dtype, (x, w, out) = tensor_of(op.x).dtype, (tensor_of(v).dims for v in (op.x, op.w, op.result))
    code = _source(op.name, dtype, plan, problem, piece, activation, may_load_early(op))
    raw = source.compiled(source.kernel_name(op.name), code)
    window = op.window(x, w)
    numbers = (
        *(problem.rows, problem.filters, prod(w[1:]), x[3], w[2], *x[1:3], *out[1:3]),
        *(*window.strides, *window.before, *window.dilations),
    )
    block = 32 * prod(plan.warps)
    launch = OverlappedKernel(raw, plan.grid(problem), block, plan.shared_bytes(problem))
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


def _source(name: str, dtype: str, plan: Plan, problem: Problem, piece: int, activation: str, early: bool) -> str:
    macros = {
        "NAME": source.kernel_name(name),
        "TYPE": source.c_type(dtype),
        "MMA": f'"{_MMA[dtype]}"',
        "ROUND(r)": _ROUND.get(dtype, ""),
        "ACTIVATE(value)": f"({activation})",
        "PIECE": piece,
        "EARLY": int(early),
        "BM": plan.tile[0],
        "BN": plan.tile[1],
        "WARPS_M": plan.warps[0],
        "WARPS_N": plan.warps[1],
        "SPLIT": plan.split,
        "STAGES": plan.stages(problem),
    }
    defined = "".join(f"#define {macro} {value}\n" for macro, value in macros.items())
    return f"{source.PROLOGUE}{source.COMMON}{expressions.FUNCTIONS}{defined}{SOURCE.read_text()}"
