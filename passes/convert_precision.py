"""`convert-precision`: f32 arithmetic in f16 or bf16; parameters are cast once, as weights."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, bf16, f16, f32
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects.nn.base import NNOp
from ..dialects.nn.cast import CastOp
from ..dialects.nn.constant import weights_of
from ..dialects.nn.regions import RegionOp, blocks_of
from ..dialects.nn.types import element_type, is_tensor
from ..errors import CompileError

ELEMENTS: dict[str, Attribute] = {"f16": f16, "bf16": bf16}


@dataclass
class Narrowing:
    """One walk over a block: `low` holds, for each f32 value that is read so, its narrow form."""

    element: Attribute
    low: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    high: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    weights: set[SSAValue] = field(default_factory=set[SSAValue])

    def run(self, block: Block) -> None:
        """Narrow every op of floats that no weight-only IR is made of; the rest reads f32."""
        replaced: list[Operation] = []
        self.weights = weights_of(block)
        for op in list(block.ops):
            if isinstance(op, NNOp) and (new := self._narrowed(op)) is not None:
                for old, result in zip(op.results, new.results, strict=True):
                    result.name_hint = old.name_hint
                    if element_type(old.type) == f32:
                        self.low[old] = result
                    else:
                        old.replace_all_uses_with(result)
                replaced.append(op)
            else:
                for index, value in enumerate(op.operands):
                    op.operands[index] = self._wide(value, op)
        for op in reversed(replaced):
            op.detach()
            op.erase()

    def _narrowed(self, op: NNOp) -> NNOp | None:
        """`op` on narrow operands, or None where it stays.

        That is weight-only IR, casts, ops with bodies, sequences, and what gives no f32 or takes none.
        """
        if not all(is_tensor(v.type) for v in (*op.operands, *op.results)):
            return None
        host = op.host_operands()
        read = [i for i, v in enumerate(op.operands) if i not in host and element_type(v.type) == f32]
        if not read or isinstance(op, CastOp | RegionOp) or all(v in self.weights for v in op.results):
            return None
        assert op.parent is not None
        new = op.clone(value_mapper={})
        for index, value in enumerate(op.operands):
            new.operands[index] = self._narrow(value, op) if index in read else self._wide(value, op)
        try:
            types = new.infer_types()
        except CompileError:
            new.erase()
            return None
        for result, type_ in zip(new.results, types, strict=True):
            result._type = type_
        op.parent.insert_op_before(new, op)
        return new

    def _narrow(self, value: SSAValue, at: Operation) -> SSAValue:
        if value not in self.low:
            self.low[value] = self._cast(value, self.element, at)
        return self.low[value]

    def _wide(self, value: SSAValue, at: Operation) -> SSAValue:
        """`value`, which an op that stays reads, in f32."""
        if value not in self.low or self._stands(value):
            return value
        if value not in self.high:
            self.high[value] = self._cast(self.low[value], f32, at)
        return self.high[value]

    def _stands(self, value: SSAValue) -> bool:
        """Whether the f32 value itself is computed: its narrow form is only a cast of it."""
        low = self.low[value].owner
        return isinstance(low, CastOp) and low.x is value

    def _cast(self, value: SSAValue, element: Attribute, at: Operation) -> SSAValue:
        assert at.parent is not None
        cast = CastOp(value, to=element)
        cast.location = at.location
        cast.result.name_hint = value.name_hint
        at.parent.insert_op_before(cast, at)
        return cast.result


@dataclass(frozen=True)
class ConvertPrecisionPass(ModulePass):
    """`nn.conv %x : f32` -> `nn.cast`, `nn.conv : f16`, `nn.cast`: arguments and results of the function stay f32.

    So do those of bodies (If, Loop, Scan); what is in a body is narrowed by itself.
    Products accumulate in f32, and so do softmax, norms and reductions, whose operands and results are narrow.
    Weight-only IR is computed in f32 and cast last. Sequences and optionals hold f32
    where they are said to. Run it after the fusing passes, before `convert-layout`.
    """

    name = "convert-precision"

    to: str = "f16"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Convert every function of one block that has arguments."""
        element = ELEMENTS.get(self.to)
        if element is None:
            raise CompileError(f"precision '{self.to}' is unknown", hint=" or ".join(ELEMENTS))
        for func in op.ops:
            if isinstance(func, FuncOp) and func.args and len(func.body.blocks) == 1:
                for block in blocks_of(func):
                    Narrowing(element).run(block)
