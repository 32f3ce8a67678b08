"""`fuse-pointwise`: operations on elements one after another, and concatenations before them, become one operation."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, bf16, f16, f32
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from ..dialects.nn import activations, clip, elementwise, unary
from ..dialects.nn.base import NNOp
from ..dialects.nn.cast import CastOp
from ..dialects.nn.comparison import EqualOp
from ..dialects.nn.constant import ConstantOp, weights_of
from ..dialects.nn.fused import FusedOp
from ..dialects.nn.join import ConcatOp
from ..dialects.nn.norm import BatchNormalizationOp
from ..dialects.nn.regions import YieldOp, blocks_of
from ..dialects.nn.types import Dims, dims_of, element_type, format_dims, is_static, product
from ..rewriting import fuse_locations, node_name, remark
from .affine import as_scale_and_shift
from .host_ops import host_ops

POINTWISE: tuple[type[NNOp], ...] = (
    *(elementwise.AddOp, elementwise.SubOp, elementwise.MulOp, elementwise.DivOp, elementwise.PowOp),
    *(elementwise.SumOp, elementwise.MaxOp, elementwise.MinOp, elementwise.MeanOp, elementwise.WhereOp),
    *(unary.NegOp, unary.AbsOp, unary.ExpOp, unary.LogOp, unary.SqrtOp, unary.ReciprocalOp, unary.ErfOp),
    *(unary.FloorOp, unary.CeilOp, EqualOp, CastOp, activations.PReluOp, clip.ClipOp),
    *(activations.ReluOp, activations.LeakyReluOp, activations.EluOp, activations.SeluOp, activations.CeluOp),
    *(activations.ThresholdedReluOp, activations.ShrinkOp, activations.SoftsignOp, activations.SigmoidOp),
    *(activations.HardSigmoidOp, activations.HardSwishOp, activations.TanhOp, activations.SoftplusOp),
    *(activations.MishOp, activations.GeluOp, activations.SwishOp),
)
"""What a fused kernel has an expression for."""

FLOATS: tuple[Attribute, ...] = (f32, f16, bf16)
"""The element types that a fused kernel computes with, all in f32."""

MAX_OPERANDS, MAX_PIECES, MAX_RESULTS, MAX_OPS = 64, 56, 4, 128
"""What one kernel is kept to: its parameters, and what it holds in registers."""


def is_fusible(op: Operation, apart: set[SSAValue]) -> bool:
    """Whether a fused kernel could compute `op`, on its own or (a concatenation) before another one.

    `apart` are weights and shape arithmetic, which are computed once or on the host.
    """
    if not isinstance(op, NNOp) or len(op.results) != 1 or op.results[0] in apart:
        return False
    values = [*op.operands, *op.results]
    if not all(is_static(v.type) for v in values) or not product(dims_of(op.results[0].type)):
        return False
    elements = [element_type(v.type) for v in values]
    if isinstance(op, BatchNormalizationOp):
        return all(e in FLOATS for e in elements) and all(v in apart for v in op.operands[1:])
    if isinstance(op, elementwise.WhereOp):
        return all(e in FLOATS for e in elements[1:])
    if isinstance(op, EqualOp):
        elements.pop()
    same = isinstance(op, CastOp) or len(set(elements)) == 1
    return isinstance(op, (*POINTWISE, ConcatOp)) and same and all(e in FLOATS for e in elements)


def is_scalar(value: SSAValue) -> bool:
    """Whether a value is a constant of one element, which a fused body holds itself."""
    return isinstance(value.owner, ConstantOp) and product(dims_of(value.type)) == 1


@dataclass
class Group:
    """Ops that are to be computed together where the last of them, `root`, stands; `members` has the last one first."""

    root: NNOp
    position: dict[Operation, int]
    members: dict[NNOp, None] = field(default_factory=dict[NNOp, None])

    @property
    def dims(self) -> Dims:
        """The dims of every member's result."""
        return dims_of(self.root.results[0].type)

    def grow(self, apart: set[SSAValue]) -> list[tuple[NNOp, str]]:
        """Take in all that may join, from the root upwards; what may not though it could be fused, and why."""
        refused: list[tuple[NNOp, str]] = []
        self.members[self.root] = None
        pending, seen = self._producers(self.root), set[Operation]()
        heapq.heapify(pending)
        while pending:
            _, op = heapq.heappop(pending)
            if op in seen or not is_fusible(op, apart):
                continue
            seen.add(op)
            assert isinstance(op, NNOp)
            if (reason := self.refusal(op)) is not None:
                refused.append((op, reason))
                continue
            self.members[op] = None
            for producer in self._producers(op):
                heapq.heappush(pending, producer)
        return refused

    def _producers(self, op: NNOp) -> list[tuple[int, Operation]]:
        """What computes the operands of `op`, the last in the block first."""
        values = op.operands[:1] if isinstance(op, BatchNormalizationOp) else op.operands
        owners = dict.fromkeys(v.owner for v in values)
        return [(-self.position[o], o) for o in owners if isinstance(o, Operation)]

    def refusal(self, op: NNOp) -> str | None:
        """Why an op that a member reads cannot be computed here too, or None."""
        result = op.results[0]
        if (dims := dims_of(result.type)) != self.dims:
            return f"its result is {format_dims(dims)}, not {format_dims(self.dims)}"
        if any(isinstance(m, ConcatOp) and result in m.operands for m in self.members):
            return "it is a piece of a concatenation"
        outside = [u.operation for u in result.uses if u.operation not in self.members]
        if outside and isinstance(op, ConcatOp):
            return "the concatenation is read elsewhere too"
        if any(self.position[user] < self.position[self.root] for user in outside):
            return "its result is needed before"
        if len(self.members) == MAX_OPS:
            return f"there would be more than {MAX_OPS} operations"
        with_op = Group(self.root, self.position, {**self.members, op: None})
        if len(with_op.inputs()) > MAX_OPERANDS:
            return f"there would be more than {MAX_OPERANDS} operands"
        if len(with_op.results()) > MAX_RESULTS:
            return f"there would be more than {MAX_RESULTS} results"
        return None

    def inputs(self) -> list[SSAValue]:
        """What the members read and do not compute, scalars aside."""
        read = dict.fromkeys(v for m in self.members for v in m.operands)
        return [v for v in read if v.owner not in self.members and not is_scalar(v)]

    def results(self) -> list[SSAValue]:
        """What others than members read, in the order of the block; the root's result in any case."""
        values = [m.results[0] for m in reversed(self.members)]
        return [v for v in values if v.owner is self.root or any(u.operation not in self.members for u in v.uses)]

    def pays(self) -> bool:
        """Whether one kernel is less than what there is: of several ops, or of a batch-norm as scale and shift."""
        return len(self.members) > 1 or isinstance(self.root, BatchNormalizationOp)

    def fuse(self) -> FusedOp:
        """Put one op in the place of all members."""
        body, results = Body(self.root), self.results()
        for member in reversed(self.members):
            body.add(member)
        block = body.block
        block.add_op(YieldOp(*(body.values[v] for v in results)))
        fused = FusedOp(list(body.inputs), Region(block))
        fused.location = fuse_locations([m.location for m in reversed(self.members)])
        assert self.root.parent is not None
        self.root.parent.insert_op_before(fused, self.root)
        for old, new in zip(results, fused.results, strict=True):
            new.name_hint = old.name_hint
            old.replace_all_uses_with(new)
        for member in self.members:
            member.detach()
            member.erase()
        self.position[fused] = self.position[self.root]
        return fused


@dataclass
class Body:
    """A fused op's body in the making: `values` holds what stands for each value outside, `inputs` its operands."""

    root: NNOp
    block: Block = field(default_factory=Block)
    values: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    inputs: dict[SSAValue, None] = field(default_factory=dict[SSAValue, None])

    def add(self, op: NNOp) -> None:
        """`op` on the values inside; a batch-norm as scale and shift in f32."""
        if isinstance(op, BatchNormalizationOp):
            self._add_batch_normalization(op)
            return
        for value in op.operands:
            self.read(value)
        self.block.add_op(op.clone(value_mapper=self.values))

    def read(self, value: SSAValue) -> SSAValue:
        """What stands for `value` inside: what was computed there, a scalar of its own, or an argument."""
        if value in self.values:
            return self.values[value]
        if is_scalar(value):
            assert isinstance(value.owner, ConstantOp)
            constant = value.owner.clone()
            self.block.add_op(constant)
            self.values[value] = constant.result
        else:
            self.values[value] = self.block.insert_arg(value.type, len(self.block.args))
            self.inputs[value] = None
        self.values[value].name_hint = value.name_hint
        return self.values[value]

    def _add_batch_normalization(self, op: BatchNormalizationOp) -> None:
        weights, scale, shift = as_scale_and_shift(op)
        assert self.root.parent is not None
        for new in weights.ops:
            new.location = op.location
            self.root.parent.insert_op_before(new, self.root)
        x = self._cast(self.read(op.x), f32, op)
        product = self._emit(elementwise.MulOp(x, self.read(scale)), op)
        y = self._emit(elementwise.AddOp(product, self.read(shift)), op)
        if op.activation is not None:
            for new in activations.spelled(y, op.activation):
                y = self._emit(new, op)
        self.values[op.result] = self._cast(y, element_type(op.result.type), op)
        self.values[op.result].name_hint = op.result.name_hint

    def _cast(self, value: SSAValue, element: Attribute, op: NNOp) -> SSAValue:
        return value if element_type(value.type) == element else self._emit(CastOp(value, to=element), op)

    def _emit(self, new: NNOp, op: NNOp) -> SSAValue:
        new.location = op.location
        self.block.add_op(new)
        return new.results[0]


def flatten_concats(block: Block, apart: set[SSAValue]) -> None:
    """`concat(concat(a, b), c)` -> `concat(a, b, c)` where fusible ops alone read it: the inner one may fuse too."""
    for op in reversed(list(block.ops)):
        if not isinstance(op, ConcatOp) or not is_fusible(op, apart):
            continue
        readers = [use.operation for use in op.result.uses]
        if any(isinstance(r, ConcatOp) or not is_fusible(r, apart) for r in readers):
            continue
        pieces = op.flattened(MAX_PIECES)
        if len(pieces) > len(op.inputs):
            new = ConcatOp(pieces, axis=op.axis, result_types=op.result_types)
            new.location, new.result.name_hint = op.location, op.result.name_hint
            block.insert_op_before(new, op)
            op.result.replace_all_uses_with(new.result)
            op.detach()
            op.erase()


def fuse_block(block: Block) -> None:
    """Fuse what stands in a block, from its end upwards."""
    weights = weights_of(block)
    apart = weights | {r for op in host_ops(list(block.ops)) for r in op.results}
    flatten_concats(block, apart)
    ops = list(block.ops)
    position: dict[Operation, int] = {op: index for index, op in enumerate(ops)}
    done: set[Operation] = set()
    for op in reversed(ops):
        if op in done or isinstance(op, ConcatOp) or not is_fusible(op, apart):
            continue
        assert isinstance(op, NNOp)
        group = Group(op, position)
        refused = group.grow(apart)
        for other, reason in refused:
            remark(f"{node_name(other)} not fused into {node_name(op)}: {reason}")
        if group.pays():
            done.update(group.members)
            for member in list(group.members)[1:]:
                remark(f"{node_name(member)} fused into {node_name(op)}")
            group.fuse()
    for op in reversed(ops):  # scalars that went inside, and what was made of a batch-norm's weights before
        if op.parent is block and op.results and op.results[0] in weights and not any(r.first_use for r in op.results):
            op.detach()
            op.erase()


@dataclass(frozen=True)
class FusePointwisePass(ModulePass):
    """`relu(a * x + b)`, `relu(batch_norm(concat(x, y)))` -> one `nn.fused` of the tensors read, one kernel.

    What it joins has results of the same dims, so that nothing is computed twice; operands may broadcast to them, and
    be pieces of a concatenation. What is also read elsewhere becomes one more result, where it is read only after the
    last op. A batch-norm of given weights becomes `scale * x + shift`, in f32, of weights that `hoist-parameters` puts
    into @prepare. A lone op stays, and so does a concatenation with nothing after it. Needs static shapes. For devices
    that generate kernels: on the CPU nothing is gained. Run it after the lowering, whose epilogues come first.
    """

    name = "fuse-pointwise"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every function of one block that has arguments."""
        for func in op.ops:
            if isinstance(func, FuncOp) and func.args and len(func.body.blocks) == 1:
                for block in blocks_of(func):
                    fuse_block(block)
