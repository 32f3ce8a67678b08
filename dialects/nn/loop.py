"""Loop: a body runs while a condition holds, or a number of times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import i1, i64
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    irdl_op_definition,
    opt_operand_def,
    region_def,
    var_operand_def,
    var_result_def,
)
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern

from ...errors import CompileError
from .base import AnyTensor, Onnx, OnnxNode
from .constant import constant_array
from .if_op import check_condition
from .loops import Collected, LoopLikeOp, import_body
from .regions import Part, Runner, Subgraph, covers, truth
from .types import Abstract, Array, dims_of, element_type, product, static_dims, tensor


@irdl_op_definition
class LoopOp(LoopLikeOp):
    """What a body gives that runs again and again. ONNX Loop, https://onnx.ai/onnx/operators/onnx__Loop.html

    It runs `trip_count` times (without limit if absent), as long as the `condition` (true if absent), which it gives
    anew each time, holds. Its arguments are the number of the run, the condition, the states `carried`, whose last
    values are the first results, and captures; further results stack what it gives each time along a new first axis.
    A state's sizes that the body changes are `?`; its rank must stay.
    """

    name = "nn.loop"
    ONNX: ClassVar = Onnx("Loop")
    HOST: ClassVar = frozenset({"trip_count", "condition"})
    PARTS: ClassVar = (Part("run", made=2), Part("carried", "carried"), Part("captures", "captures"))
    STATES: ClassVar = "carried"
    FIRST_ARGUMENT: ClassVar = 2
    FIRST_YIELDED: ClassVar = 1

    trip_count = opt_operand_def(AnyTensor)
    condition = opt_operand_def(AnyTensor)
    carried = var_operand_def()
    captures = var_operand_def()
    repeated = region_def()
    outputs = var_result_def()

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def entry_types(self, index: int) -> list[Attribute]:
        """The run's number, the condition (each a scalar, or a vector of one), the initial states, and captures."""
        flags: list[Attribute] = [
            tensor(element, [1] if argument is not None and dims_of(argument.type) == (1,) else [])
            for element, argument in zip((i64, i1), [*self.body(index).args[:2], None, None], strict=False)
        ]
        return [*flags, *self.carried.types, *self.captures.types]

    def infer(
        self,
        trip_count: Abstract | None,
        condition: Abstract | None,
        carried: Sequence[Abstract],
        captures: Sequence[Abstract],
    ) -> Any:
        """The states' types, and a stack of each slice."""
        if trip_count is not None and (trip_count.element != i64 or product(trip_count.dims) not in (1, None)):
            raise CompileError(f"the trip count is a {trip_count.type}; it must be one i64")
        if condition is not None:
            check_condition(condition)
        slices = self.slices
        check_condition(Abstract(self.yielded(0)[0]))
        length = self._trips(trip_count, condition)
        return (*self.state_types(), *(tensor(element_type(s.type), (length, *dims_of(s.type))) for s in slices))

    def _trips(self, trip_count: Abstract | None, condition: Abstract | None) -> int | None:
        """How often the body runs, where that is known."""
        start = True if condition is None else None if condition.value is None else truth(condition.value)
        limit = None if trip_count is None or trip_count.value is None else max(0, int(trip_count.value.reshape(-1)[0]))
        if start is False or limit == 0:
            return 0
        kept = self.yielded(0)[0]
        again = constant_array(kept)
        always = kept is self.body(0).args[1] or (again is not None and truth(again))
        return limit if start and always else None

    def evaluate(
        self,
        xp: Any,
        trip_count: Array | None,
        condition: Array | None,
        carried: Sequence[Array],
        captures: Sequence[Array],
        run: Runner,
    ) -> Sequence[Array]:
        """Run by run."""
        limit = None if trip_count is None else int(trip_count.reshape(-1)[0])
        going = True if condition is None else truth(condition)
        shapes = [static_dims(dims_of(a.type)) for a in self.body(0).args[:2]]
        states, collected, count = list(carried), Collected(self.slices, run), 0
        while going and (limit is None or count < limit):
            flags = [xp.full(shapes[0], count, np.int64), xp.full(shapes[1], True, np.bool_)]
            again, *given = run.run(0, [*flags, *states, *captures])
            states, slices = given[: len(states)], given[len(states) :]
            collected.add(slices)
            going, count = truth(again), count + 1
        return [*states, *collected.results(xp)]

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """`body`: its inputs are the run's number, the condition and the states."""
        graph: Subgraph = node.attributes["body"]
        states = [node.required(i) for i in range(2, len(node.inputs))]
        ranks = graph.inputs
        if len(ranks) != 2 + len(states):
            raise CompileError(
                f"the body has {len(ranks)} inputs; for {len(states)} states it must have {2 + len(states)}"
            )
        flags: list[Attribute] = [
            tensor(element, [1] if rank == 1 else []) for element, rank in zip((i64, i1), ranks, strict=False)
        ]
        entry = [*flags, *(s.type for s in states)]
        region, captures, yielded = import_body(graph, entry, len(states), 2, 1)
        if len(yielded) - 1 < node.outputs:
            raise CompileError(
                f"the body gives {len(yielded)} values; for {node.outputs} outputs it must give one more"
            )
        operands: list[Any] = [node.input(0), node.input(1), states, captures]
        return node.build(cls, *operands, regions=[region], outputs=len(yielded) - 1)

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """See `DropLoop`."""
        return (DropLoop(), *super().get_canonicalization_patterns())


class DropLoop(RewritePattern):
    """A loop that runs 0 times and has states only -> their initial values."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """Rewrite `op` where it never runs."""
        if not isinstance(op, LoopOp) or len(op.results) != len(op.carried):
            return
        trips, start = constant_array(op.trip_count), constant_array(op.condition)
        never = (trips is not None and trips.reshape(-1)[0] <= 0) or (start is not None and not truth(start))
        if never and all(covers(r.type, v.type) for r, v in zip(op.results, op.carried, strict=True)):
            rewriter.replace(op, [], list(op.carried))
