"""If: one of two bodies runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

from xdsl.dialects.builtin import StringAttr, i1
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    region_def,
    var_operand_def,
    var_result_def,
)
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern

from ...errors import AssumptionError, CompileError, UnsupportedError, escape_name
from .base import AnyTensor, Onnx, OnnxNode
from .constant import constant_array
from .region_patterns import inline_block
from .regions import Part, RankError, RegionOp, Runner, Subgraph, YieldOp, merge_types, truth
from .types import Abstract, Array, product

BRANCHES = ("then", "else")


@irdl_op_definition
class IfOp(RegionOp):
    """What one of two bodies gives. ONNX If, https://onnx.ai/onnx/operators/onnx__If.html

    `cond` is a boolean of one element. A result's sizes that differ between the branches are `?`. Where the branches
    give values of different ranks, the first one is `assumed` to be taken; where one cannot run on the shapes that
    there are (the `reason`), the other one is. What is not assumed is empty, and to get there is an error. (Exporters
    write such branches on shapes: with those known, most conditions are constant.)
    """

    name = "nn.if"
    ONNX: ClassVar = Onnx("If")
    HOST: ClassVar = frozenset({"cond"})
    BODIES: ClassVar = BRANCHES
    PARTS: ClassVar = (Part("captures", "then_captures", 0), Part("captures", "else_captures", 1))

    cond = operand_def(AnyTensor)
    then_captures = var_operand_def()
    else_captures = var_operand_def()
    assumed = opt_prop_def(StringAttr)
    reason = opt_prop_def(StringAttr)
    then_branch = region_def()
    else_branch = region_def()
    outputs = var_result_def()

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def entry_types(self, index: int) -> list[Attribute]:
        """Those of the captures."""
        return [self.operands[i].type for i in self.captured(index)]

    def infer(self, cond: Abstract, then_captures: Sequence[Abstract], else_captures: Sequence[Abstract]) -> Any:
        """What both branches give."""
        check_condition(cond)
        if self.assumed is not None:
            return tuple(v.type for v in self.yielded(self._assumed(self.assumed)))
        return _merged(self.yielded(0), self.yielded(1))

    def _assumed(self, name: StringAttr) -> int:
        if name.data not in BRANCHES:
            raise CompileError(f"assumed is '{name.data}'", hint=" or ".join(BRANCHES))
        return BRANCHES.index(name.data)

    def evaluate(
        self, xp: Any, cond: Array, then_captures: Sequence[Array], else_captures: Sequence[Array], run: Runner
    ) -> Sequence[Array]:
        """What the branch gives that `cond` chooses."""
        index = 0 if truth(cond) else 1
        self.check_branch(index)
        return run.run(index, (then_captures, else_captures)[index])

    def check_branch(self, index: int) -> None:
        """Raise CompileError where the other branch is the one that was assumed."""
        if self.assumed is not None and self._assumed(self.assumed) != index:
            taken = f"the {BRANCHES[index]} branch is taken"
            if self.reason is not None:
                raise CompileError(f"{taken}, which cannot run: {self.reason.data}")
            raise AssumptionError(
                f"{taken}, which gives values of other ranks than the {self.assumed.data} branch",
                hint="ranks must be known before a network runs",
                branch=index,
            )

    def assume(self, index: int, reason: str) -> None:
        """Empty the other branch than `index`, which cannot run for the `reason`."""
        other = self.regions[1 - index]
        other.erase_block(other.block, safe_erase=False)
        other.add_block(Block([YieldOp()], arg_types=[self.operands[i].type for i in self.captured(1 - index)]))
        self.assumed, self.reason = StringAttr(BRANCHES[index]), StringAttr(escape_name(reason))

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """`then_branch` and `else_branch`; where the condition is constant, only the branch that is taken."""
        cond = node.required(0)
        branches: list[Subgraph] = [node.attributes["then_branch"], node.attributes["else_branch"]]
        for name, branch in zip(BRANCHES, branches, strict=True):
            if branch.inputs:
                raise CompileError(f"the {name} branch has {len(branch.inputs)} inputs; it must have none")
        if len({b.outputs for b in branches} | {max(node.outputs, branches[0].outputs)}) > 1:
            counts = " and ".join(str(b.outputs) for b in branches)
            raise CompileError(f"the branches have {counts} outputs; the node has {node.outputs}")
        check_condition(Abstract(cond))
        if (known := constant_array(cond)) is not None:
            return branches[0 if truth(known) else 1].inline()
        (then_, captures), (else_, others), fields = _import_branches(node, branches)
        count = branches[0].outputs
        return node.build(cls, cond, captures, others, regions=[then_, else_], outputs=count, **fields)

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """See `InlineBranch`."""
        return (InlineBranch(), *super().get_canonicalization_patterns())


Body: TypeAlias = tuple[Region, list[SSAValue]]


def _import_branches(node: OnnxNode, branches: Sequence[Subgraph]) -> tuple[Body, Body, dict[str, str]]:
    """Both branches, or the one that is assumed and an empty one; and the fields that say so."""
    bodies: list[Body | None] = [None, None]
    reasons: dict[int, str] = {}
    for index in (0, 1) if node.branch is None else (node.branch,):
        try:
            bodies[index] = branches[index].body([])
        except CompileError as e:
            if not node.bound or reasons or isinstance(e, UnsupportedError):
                raise
            reasons[1 - index] = escape_name(str(e))
    then_, else_ = bodies
    if then_ is not None and else_ is not None:
        try:
            _merged(*(region.block.last_op.operands for region, _ in (then_, else_) if region.block.last_op))
            return then_, else_, {}
        except RankError:
            else_ = None
    empty: Body = (Region(Block([YieldOp()])), [])
    assumed = 0 if then_ is not None else 1
    fields = {"assumed": BRANCHES[assumed]} | ({"reason": reasons[assumed]} if assumed in reasons else {})
    return then_ or empty, else_ or empty, fields


def _merged(results: Sequence[SSAValue], others: Sequence[SSAValue]) -> tuple[Any, ...]:
    """The types of what two branches give."""
    if len(results) != len(others):
        raise CompileError(f"the branches give {len(results)} and {len(others)} values")
    return tuple(
        merge_types(a.type, b.type, f"the values {number} of the branches")
        for number, (a, b) in enumerate(zip(results, others, strict=True))
    )


def check_condition(cond: Abstract) -> None:
    """Raise CompileError where a value cannot be a condition."""
    if cond.element != i1 or product(cond.dims) not in (1, None):
        raise CompileError(f"the condition is a {cond.type}; it must be one boolean")


def taken_branch(op: IfOp) -> list[SSAValue] | None:
    """What the op's results are, its branch put before it; None where `cond` is not constant or that cannot run."""
    cond = constant_array(op.cond)
    if cond is None:
        return None
    index = 0 if truth(cond) else 1
    try:
        op.check_branch(index)
    except CompileError:
        return None  # running it says what is wrong
    return inline_block(op.body(index), (op.then_captures, op.else_captures)[index], op)


class InlineBranch(RewritePattern):
    """`if true then x else y` -> `x`"""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """Rewrite `op` where its condition is a constant."""
        if isinstance(op, IfOp) and (results := taken_branch(op)) is not None:
            rewriter.replace(op, [], results)
