"""Control flow: ops whose bodies, regions of one block, stand on their own; how they are written, checked and run.

What a body reads of the values around it is an operand of the op (a capture) and an argument of the block, after the
arguments that the op itself gives it. Constants and parameters are written into the body instead: region_patterns.py.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, cast

from xdsl.dialects.utils import AbstractYieldOperation
from xdsl.ir import Attribute, Block, BlockArgument, Operation, Region, SSAValue
from xdsl.irdl import irdl_op_definition, traits_def
from xdsl.parser import Parser
from xdsl.pattern_rewriter import RewritePattern
from xdsl.printer import Printer
from xdsl.traits import IsTerminator, Pure
from xdsl.utils.exceptions import VerifyException

from ...errors import CompileError, UnsupportedError
from ...rewriting import node_name
from .base import NNOp
from .constant import ParameterOp
from .containers import operand_of
from .region_assembly import parse_region_op, print_region_op
from .types import Array, dims_agree, dims_of, format_dims, is_tensor
from .value_types import compatible, is_unranked, join_types, scalar_type

MAX_DEPTH = 32
"""How deep bodies may lie in one another."""


class Subgraph(Protocol):
    """A graph that is an attribute of an ONNX node, ready to be imported."""

    @property
    def inputs(self) -> Sequence[int | None]:
        """The declared rank of each input, None where it is not declared."""
        ...

    @property
    def outputs(self) -> int:
        """The number of outputs."""
        ...

    def body(self, types: Sequence[Attribute]) -> tuple[Region, list[SSAValue]]:
        """The graph as a body whose first arguments have `types`, and the values that it captures."""
        ...

    def inline(self) -> list[SSAValue]:
        """The outputs of the graph, which has no inputs, imported where the node stands."""
        ...


@irdl_op_definition
class YieldOp(AbstractYieldOperation[Attribute]):
    """The end of a body: its operands are what the body gives."""

    name = "nn.yield"

    traits = traits_def(IsTerminator(), Pure())


def yielded(body: Block) -> Sequence[SSAValue]:
    """What a body gives; raises VerifyException where it does not end with an nn.yield."""
    if not isinstance(last := body.last_op, YieldOp):
        raise VerifyException("a body ends with nn.yield")
    return last.arguments


@dataclass(frozen=True)
class Runner:
    """What runs the bodies of an op: `run(index, arguments)` gives the results of the body of that number.

    `max_bytes` limits what an op keeps of its bodies' results, where there is a limit.
    """

    run: Callable[[int, Sequence[Array]], Sequence[Array]]
    max_bytes: int | None = None


@dataclass(frozen=True)
class Part:
    """One group of a body's arguments: a keyword, and the operands (a field of the op) that they are given.

    Without a field, the op makes the values, `made` of them.
    """

    keyword: str
    field: str | None = None
    body: int = 0
    made: int = 0


class RegionOp(NNOp):
    """The base of control flow: ops that say which of their bodies run, and how often.

    A subclass lists its own operands and region definitions, and for all groups of its bodies' arguments PARTS, in
    their order. `entry_types` and `argument_types` mirror `infer`: what types a body's arguments have and need, given
    the operands' types and what the body yields.
    """

    PARTS: ClassVar[tuple[Part, ...]] = ()
    BODIES: ClassVar[tuple[str, ...]] = ("",)
    """The keyword before each body."""

    # Bodies

    def body(self, index: int) -> Block:
        """The block of a body."""
        return self.regions[index].block

    def yielded(self, index: int) -> Sequence[SSAValue]:
        """What a body gives; raises CompileError where it is not one block that ends with an nn.yield."""
        try:
            return yielded(self.body(index))
        except (VerifyException, ValueError):
            raise CompileError(f"a body of {self.name} is not one block that ends with nn.yield") from None

    @abstractmethod
    def entry_types(self, index: int) -> list[Attribute]:
        """The types of the arguments with which body `index` runs first."""

    def argument_types(self, index: int) -> list[Attribute]:
        """The types that the arguments of body `index` need: in a loop, also those that it yields."""
        return self.entry_types(index)

    def captured(self, index: int) -> range:
        """The operands that body `index` captures."""
        field = next(p.field for p in self.PARTS if p.body == index and p.keyword == "captures")
        indices = [i for i, name in enumerate(self.operand_names()) if name == field]
        return range(indices[0], indices[-1] + 1) if indices else range(0)

    def captures_of(self, index: int) -> list[tuple[int, BlockArgument]]:
        """For each operand that a body captures, its index and the argument that stands for it."""
        operands, args = self.captured(index), self.body(index).args
        return list(zip(operands, args[len(args) - len(operands) :], strict=True))

    def check_bodies(self) -> None:
        """Raise CompileError where a body's arguments do not have the types that they need."""
        for index in range(len(self.regions)):
            self.yielded(index)
            given, needed = list(self.body(index).arg_types), self.argument_types(index)
            if len(given) != len(needed):
                raise CompileError(f"a body of {self.name} has {len(given)} arguments; it needs {len(needed)}")
            for number, (argument, type_) in enumerate(zip(given, needed, strict=True)):
                if not compatible(argument, type_):
                    raise CompileError(f"argument {number} of a body of {self.name} is {argument}; it needs {type_}")

    def verify_(self) -> None:
        """Bodies are isolated, and the types of arguments, yielded values and results fit."""
        for region in self.regions:
            for block in region.blocks:
                for op in block.ops:
                    for value in op.operands:
                        owner = value.owner
                        if (owner if isinstance(owner, Block) else owner.parent) is not block:
                            raise VerifyException(f"{node_name(op)}: a body reads a value that is defined outside it")
        try:
            self.check_bodies()
        except CompileError as e:
            raise VerifyException(str(e.at(node_name(self)))) from None
        super().verify_()

    def _inferred(self) -> tuple[Attribute, ...]:
        inferred = self.infer(*self.arguments([operand_of(v) for v in self.operands]))
        return inferred if isinstance(inferred, tuple) else (inferred,)

    # Meaning

    def compute(self, xp: Any, operands: Sequence[Array], run: Runner | None = None) -> tuple[Array, ...]:
        """`evaluate` on a flat list of arrays; `run` runs the bodies, by default op by op."""
        run = run or Runner(lambda body, arguments: compute_body(self.body(body), xp, arguments))
        results = cast(Any, self).evaluate(xp, *self.arguments(operands), run=run)
        return tuple(results)

    def fold(self) -> Sequence[SSAValue | Attribute] | None:
        """An op with bodies is rewritten by patterns only."""
        return None

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """Constants go into the bodies; what they do not read is captured no more."""
        from .region_patterns import DropUnusedCaptures, InlineConstants

        return (InlineConstants(), DropUnusedCaptures())

    # Text

    def print(self, printer: Printer) -> None:
        """The custom form of ops with bodies; see region_assembly.py."""
        print_region_op(self, printer)

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        """The custom form of ops with bodies; see region_assembly.py."""
        return parse_region_op(cls, parser)


def blocks_of(op: Operation) -> list[Block]:
    """The blocks of an op's regions and, within them, those of control flow."""
    blocks = [block for region in op.regions for block in region.blocks]
    return [*blocks, *(b for block in blocks for o in block.ops if isinstance(o, RegionOp) for b in blocks_of(o))]


# Running


def run_block(
    block: Block,
    arguments: Sequence[Array],
    run_op: Callable[[Operation, list[Array]], Sequence[Array]],
) -> list[Array]:
    """The values that a block's terminator reads, its ops run one after another on `arguments`."""
    values: dict[SSAValue, Array] = dict(zip(block.args, arguments, strict=True))
    for op, last in _with_last_uses(block):
        operands = [values[v] for v in op.operands]
        if op.has_trait(IsTerminator):
            return operands
        values |= zip(op.results, run_op(op, operands), strict=True)
        for value in last:
            del values[value]
    raise CompileError("a block has no terminator")


def _with_last_uses(block: Block) -> list[tuple[Operation, list[SSAValue]]]:
    """Each op with the values nothing reads after it."""
    ops = list(block.ops)
    last: dict[SSAValue, int] = {}
    for index, op in enumerate(ops):
        for value in (*op.operands, *op.results):
            last[value] = index
    dying: list[list[SSAValue]] = [[] for _ in ops]
    for value, index in last.items():
        dying[index].append(value)
    return list(zip(ops, dying, strict=True))


def compute_body(body: Block, xp: Any, arguments: Sequence[Array]) -> tuple[Array, ...]:
    """What a body gives for the arrays of its arguments, op by op by `compute`.

    Raises CompileError where it has parameters, whose values lie outside the IR.
    """

    def compute(op: Operation, operands: list[Array]) -> Sequence[Array]:
        if not isinstance(op, NNOp) or isinstance(op, ParameterOp):
            raise CompileError(f"'{op.name}' cannot be run here", node_name(op))
        return op.compute(xp, operands)

    return tuple(run_block(body, arguments, compute))


def truth(value: Array) -> bool:
    """The value of a condition: a boolean of one element, on the host or on a device."""
    return bool(value.reshape(-1)[0])


# Types


def merge_types(a: Attribute, b: Attribute, what: str = "the values") -> Attribute:
    """The type of a value that is of type `a` or `b`: sizes that differ are `?`; errors name the two as `what`."""
    if (joined := join_types(a, b)) is None:
        if is_tensor(a) and is_tensor(b):
            raise CompileError(f"{what} have the element types {scalar_type(a)} and {scalar_type(b)}")
        raise UnsupportedError(f"{what} are of the types {a} and {b}")
    if is_unranked(joined):
        raise RankError(f"{what} have the ranks {len(dims_of(a))} and {len(dims_of(b))}")
    return joined


class RankError(CompileError):
    """Two values that should be one differ in rank."""


def covers(wide: Attribute, narrow: Attribute) -> bool:
    """Whether every value of type `narrow` is one of type `wide`."""
    return join_types(wide, narrow) == wide


def check_array(argument: BlockArgument, array: Array) -> None:
    """Raise CompileError where an array does not have the size that the body was compiled for."""
    if is_tensor(argument.type) and not dims_agree(dims_of(argument.type), tuple(array.shape)):
        raise CompileError(f"argument {argument.index} of its body is {format_dims(array.shape)}, not {argument.type}")
