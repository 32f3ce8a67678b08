"""`convert-layout`: convolutions with their channels last, and everything between them that can follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects.nn.base import NNOp
from ..dialects.nn.channels import CHANNELS_LAST, is_channels_last
from ..dialects.nn.constant import weights_of
from ..dialects.nn.conv import ConvOp
from ..dialects.nn.regions import blocks_of
from ..dialects.nn.reshape import ReshapingOp
from ..dialects.nn.types import dims_of, is_tensor
from ..dialects.nn.value_types import merge_types
from ..errors import CompileError
from .layout_conversions import CONVERSIONS, ENDS
from .layouts import Layouts, last_type, with_inferred_types


class Conversion(Layouts):
    """One walk over a block."""

    def run(self, block: Block) -> None:
        """Convert what can be; the rest reads its operands channels first, by a transpose where there is none."""
        replaced: list[Operation] = []
        self.weights = weights_of(block)
        for op in list(block.ops):
            self.ops = []
            if self._replace(op):
                replaced.append(op)
            else:
                for index, value in enumerate(op.operands):
                    op.operands[index] = self.read_first(value)
            self._insert(op, self.ops)
        for op in reversed(replaced):
            op.detach()
            op.erase()

    def _replace(self, op: Operation) -> bool:
        """Whether another op takes the place of `op`."""
        if not isinstance(op, NNOp) or not op.results:
            return False
        if (new := self.convert(op)) is not None:
            self.ops.append(new)
            for old, result in zip(op.results, new.results, strict=True):
                result.name_hint = old.name_hint
                result._type = merge_types(result.type, last_type(old.type))
                self.last[old] = result
                self.converted.add(old)
            return True
        if (end := self.end(op)) is not None:
            end._type = op.results[0].type  # what reads it, a func.return too, was declared to read that
            op.results[0].replace_all_uses_with(end)
            return True
        return False

    def _insert(self, op: Operation, new_ops: Sequence[NNOp]) -> None:
        assert op.parent is not None
        for new in new_ops:
            new.location = op.location
            op.parent.insert_op_before(new, op)

    def convert(self, op: NNOp) -> NNOp | None:
        """`op` on values with their channels last, or None where it stays."""
        if isinstance(op, ConvOp):
            return self._convolution(op)
        if not all(is_tensor(v.type) for v in (*op.operands, *op.results)):
            return None
        if isinstance(op, ReshapingOp):
            return self.reordered(op)
        rank = len(dims_of(op.results[0].type))
        if not any(v in self.converted and len(dims_of(v.type)) == rank for v in op.operands):
            return None
        if op.POINTWISE:
            return self._pointwise(op, rank)
        for op_class, convert in CONVERSIONS.items():
            if isinstance(op, op_class):
                return convert(self, op, rank)
        return None

    def end(self, op: NNOp) -> SSAValue | None:
        """The result of `op` as it was, from an operand with its channels last; None where there is no way to it."""
        if op.operands and op.operands[0] in self.converted:
            for op_class, end in ENDS.items():
                if isinstance(op, op_class):
                    return end(self, op)
        return None

    def _convolution(self, op: ConvOp) -> NNOp | None:
        rank = len(dims_of(op.x.type))
        if is_channels_last(op.layout):
            return None
        residual = None if op.residual is None else self.beside(op.residual, rank)
        if op.residual is not None and residual is None:
            return None
        return self.like(op, x=self.read(op.x), w=self.read(op.w), residual=residual, layout=CHANNELS_LAST)

    def _pointwise(self, op: NNOp, rank: int) -> NNOp | None:
        operands = [self.beside(v, rank) for v in op.operands]
        if None in operands:
            return None
        new = op.clone(value_mapper={})
        for index, value in enumerate(operands):
            assert value is not None
            new.operands[index] = value
        return with_inferred_types(new)


@dataclass(frozen=True)
class ConvertLayoutPass(ModulePass):
    """`nn.conv %x, %w` -> `nn.conv %xt, %wt layout = "nhwc"` between transposes where the layout changes.

    Pools, pointwise ops and ops along axes follow a convolution; filters are transposed as weights (once, in
    @prepare). A reshape that leaves channels and positions apart has the transpose on its other side. What cannot
    follow reads its operands channels first again.
    """

    name = "convert-layout"

    to: str = "nhwc"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Convert every function of one block."""
        if self.to != "nhwc":
            raise CompileError(f"layout '{self.to}' is unknown", hint="nhwc")
        for func in op.ops:
            if isinstance(func, FuncOp) and len(func.body.blocks) == 1:
                for block in blocks_of(func):
                    Conversion().run(block)
