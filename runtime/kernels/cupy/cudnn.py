"""Convolutions by cuDNN: one graph of convolution, bias, residual and activation per op.

https://docs.nvidia.com/deeplearning/cudnn/frontend/latest/. Dims are given in NCHW order, the layout by strides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from xdsl.ir import SSAValue

from ....dialects.cudnn import CudnnConvOp
from ....dialects.cudnn.conv import PACKED_ENGINES, engine_of
from ....dialects.nn.base import ints, text
from ....dialects.nn.channels import dims_first
from ....dialects.nn.constant import is_stored
from ....dialects.nn.types import Array
from ....errors import CompileError
from ....rewriting import node_name
from .. import Attributes, Kernel, KernelContext
from . import library
from .compiling import compiled
from .cudnn_activations import activated
from .operands import tensor_of
from .plan_cache import plan_path, read_plan, write_plan

LOG = logging.getLogger("nnfuse")

WORKSPACE_LIMIT = 64 << 20
"""Bytes a plan may ask for."""

MOST_PLANS = {"precompiled": 16, "runtime": 4}
"""How many plans of a spelling are worth timing; those compiled at run time take up to seconds each to build."""

_DATA_TYPES = {"float16": "HALF", "bfloat16": "BFLOAT16", "float32": "FLOAT"}
X, W, BIAS, RESIDUAL, Y = 1, 2, 3, 4, 5


@dataclass(frozen=True)
class Plan:
    """An execution plan of a graph, built: its name, its scratch memory in bytes, and what enqueues it."""

    name: str
    workspace: int
    execute: Callable[[dict[int, int], int], None]
    """`execute(addresses by the tensors' numbers, workspace's address)`"""


@dataclass(frozen=True)
class Image:
    """How cuDNN is told of a value: dims [N, C, spatial...] and the strides, in elements, of where it lies."""

    dims: list[int]
    strides: list[int]

    @classmethod
    def of(cls, op: CudnnConvOp, value: SSAValue) -> Image:
        """An operand or result of an op, in the op's layout. Its pixels may lie apart."""
        tensor = tensor_of(value)
        return cls(list(dims_first(op.layout, tensor.dims)), list(dims_first(op.layout, tensor.strides)))


class ConvGraph:
    """The graph of an op, and the plans that cuDNN proposes for it, best first by its own ranking."""

    def __init__(self, op: CudnnConvOp):
        cudnn = library.cudnn()
        self.op = op
        self.handle = library.cudnn_handle()
        self.numbers: dict[int, Array] = {}
        self.apart = any(tensor_of(v).pitch for v in (op.x, op.result))
        dtype = tensor_of(op.result).dtype
        kind, f32 = getattr(cudnn.data_type, _DATA_TYPES[dtype]), cudnn.data_type.FLOAT
        self.graph: Any = cudnn.pygraph(
            io_data_type=kind, intermediate_data_type=f32, compute_data_type=f32, handle=self.handle
        )
        with self._refusing():
            self._build(kind)

    @contextmanager
    def _refusing(self) -> Generator[None]:
        try:
            yield
        except Exception as e:  # the frontend's errors share no base
            raise CompileError(f"cuDNN has no kernel for this convolution: {e}", node_name(self.op)) from None

    @cached_property
    def proposed(self) -> int:
        """How many plans cuDNN proposes; raises CompileError where it has none."""
        heuristics = library.cudnn().heur_mode
        with self._refusing():
            self.graph.validate()
            self.graph.build_operation_graph()
            self.graph.create_execution_plans([heuristics.A, heuristics.FALLBACK])
        return int(self.graph.get_execution_plan_count())

    def _tensor(self, name: str, uid: int, image: Image, kind: Any) -> Any:
        return self.graph.tensor(dim=image.dims, stride=image.strides, data_type=kind, name=name, uid=uid)

    def _build(self, kind: Any) -> None:
        op, graph = self.op, self.graph
        x, w, y = (Image.of(op, v) for v in (op.x, op.w, op.result))
        rank, filters = len(x.dims) - 2, y.dims[1]
        pads = ints(op.pads) or (0,) * (2 * rank)
        value = graph.conv_fprop(
            image=self._tensor("x", X, x, kind),
            weight=self._tensor("w", W, w, kind),
            pre_padding=list(pads[:rank]),
            post_padding=list(pads[rank:]),
            stride=list(ints(op.strides) or (1,) * rank),
            dilation=list(ints(op.dilations) or (1,) * rank),
        )
        vector = Image([1, filters, *[1] * rank], [filters, 1, *[filters] * rank])
        bias = None if op.bias is None else self._tensor("bias", BIAS, vector, kind)
        residual = None if op.residual is None else self._tensor("residual", RESIDUAL, Image.of(op, op.residual), kind)
        addends = [residual, bias]
        if text(op.spelling) == "runtime":
            value, addends = graph.identity(value), [bias, residual]
        for addend in addends:
            if addend is not None:
                value = graph.add(a=value, b=addend)
        if op.activation is not None:
            value = activated(graph, value, op.activation, self._number)
        value.set_output(True).set_uid(Y).set_data_type(kind).set_dim(y.dims).set_stride(y.strides)

    def _number(self, value: float) -> Any:
        """A factor or addend, as a tensor of one element on the host."""
        uid, rank = Y + 1 + len(self.numbers), len(tensor_of(self.op.x).dims)
        self.numbers[uid] = np.full((1,) * rank, value, np.float32)
        one, kind = [1] * rank, library.cudnn().data_type.FLOAT
        return self.graph.tensor(
            dim=one, stride=one, data_type=kind, is_pass_by_value=True, name=f"number{uid}", uid=uid
        )

    def plans(self) -> Iterator[Plan]:
        """The plans that can be built within the workspace limit, in cuDNN's order, each built when reached."""
        for index in range(self.proposed):
            if (plan := self._built(index)) is not None:
                yield plan

    def _built(self, index: int) -> Plan | None:
        name = self.graph.get_plan_name_at_index(index)
        if self.apart and engine_of(name) in PACKED_ENGINES:
            return None
        try:
            self.graph.build_plan_at_index(index)
            workspace = int(self.graph.get_workspace_size_plan_at_index(index))
        except Exception as e:  # each engine has reasons of its own, of many classes, why it does not do a graph
            if library.is_shortage(e):
                raise
            return None
        if workspace > WORKSPACE_LIMIT:
            return None

        def execute(buffers: dict[int, int], scratch: int) -> None:
            self.graph.execute_plan_at_index(buffers, scratch, index, self.handle)

        return Plan(name, workspace, execute)

    def plan(self, name: str | None) -> Plan:
        """The plan of that name, or the first; raises CompileError where there is none.

        A name was chosen for pixels that follow one another: where they do not, and there is none, it is the first.
        """
        for index in range(self.proposed) if name else ():
            if self.graph.get_plan_name_at_index(index) == name and (plan := self._built(index)) is not None:
                return plan
        missing = f"this cuDNN has no plan '{name}' for the convolution"
        if name and not self.apart:
            raise CompileError(missing, node_name(self.op), "tune again for this version")
        if (first := next(self.plans(), None)) is None:
            raise CompileError("cuDNN can build no plan for this convolution", node_name(self.op))
        if name:
            LOG.warning("%s: %s with rows apart; it is computed by '%s'", node_name(self.op), missing, first.name)
        return first

    def kept_plan(self, name: str | None) -> Plan:
        """`plan`, with what cuDNN compiled for it kept on disk."""
        path = plan_path(self.op)
        if (content := read_plan(path)) is not None:
            try:
                return self._restored(content, name or "kept")
            except Exception as e:  # the frontend's errors share no base
                if library.is_shortage(e):
                    raise
                LOG.warning("the cuDNN plan in %s is ignored: %s", path, e)
        plan = self.plan(name)
        try:
            content = self.graph.serialize(as_bytes=True)
        except Exception:  # an engine that compiles nothing may have nothing to keep
            return plan
        write_plan(path, content)
        return plan

    def _restored(self, content: bytes, name: str) -> Plan:
        graph = library.cudnn().pygraph(handle=self.handle)
        with library.cudnn_on_stream(self.handle):  # it is looked at, and the one that was used last may be gone
            graph.deserialize(self.handle, content)

        def execute(buffers: dict[int, int], scratch: int) -> None:
            graph.execute(buffers, scratch, self.handle)

        return Plan(name, int(graph.get_workspace_size()), execute)

    def run(self, plan: Plan, buffers: dict[int, int], workspace: int) -> None:
        """Enqueue a plan on CuPy's current stream. `buffers` are addresses by the tensors' numbers."""
        with library.cudnn_on_stream(self.handle):
            try:
                plan.execute(buffers, workspace)
            except Exception as e:  # the frontend's errors share no base
                raise CompileError(f"cuDNN failed in the plan '{plan.name}': {e}", node_name(self.op)) from None


def bind_conv(op: CudnnConvOp, context: KernelContext) -> Kernel:
    """The op's own plan, or cuDNN's first."""
    graph, name = ConvGraph(op), None if op.plan is None else text(op.plan)
    plan = graph.kept_plan(name) if text(op.spelling) == "runtime" else graph.plan(name)
    return conv_kernel(graph, plan, context)


def other_plans(op: CudnnConvOp, context: KernelContext) -> Iterator[tuple[Attributes, Kernel]]:
    """Every plan that cuDNN can build for an op: the property that chooses it, and its kernel."""
    graph = ConvGraph(op)
    for plan in islice(graph.plans(), MOST_PLANS[text(op.spelling)]):
        yield {"plan": plan.name}, conv_kernel(graph, plan, context)


def conv_kernel(graph: ConvGraph, plan: Plan, context: KernelContext) -> Kernel:
    """The kernel that runs one plan of a graph."""
    numbers = {"x": X, "w": W, "bias": BIAS, "residual": RESIDUAL}
    order = [numbers[name] for name in graph.op.operand_names()]
    wait = compiled("nnfuse_wait", WAIT) if reads_early(graph.op) else None
    context.scratch.reserve(plan.workspace)
    numbers_at = {uid: array.ctypes.data for uid, array in graph.numbers.items()}

    def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        buffers = {number: array.data.ptr for number, array in zip(order, ins, strict=True)}
        buffers[Y] = outs[0].data.ptr
        buffers |= numbers_at
        workspace = context.scratch.view((plan.workspace,), np.uint8).data.ptr if plan.workspace else 0
        if wait is not None:
            wait.kernel()((1,), (1,), ())
        graph.run(plan, buffers, workspace)

    return run


WAIT = 'extern "C" __global__ void nnfuse_wait() {}'
"""A kernel that does nothing but start after all before it, and so keeps the one after it from starting earlier."""


def reads_early(op: CudnnConvOp) -> bool:
    """Whether a plan may read what is still being written, unless a kernel that does not start early comes before it.

    cuDNN's kernels start before the last one's end (programmatic dependent launch) and wait for it before they read x,
    but not all of them before they read the rest: in a CUDA graph, ResNet-18's residuals came out wrong (cuDNN 9.19, an
    engine compiled at run time after a precompiled one).
    """
    return any(v is not None and not is_stored(v) for v in (op.w, op.bias, op.residual))
