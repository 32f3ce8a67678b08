"""Fused operations on elements: one kernel for all that an `nn.fused` holds."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from xdsl.ir import SSAValue

from ....dialects.nn.base import NNOp, integer
from ....dialects.nn.cast import CastOp
from ....dialects.nn.constant import ConstantOp
from ....dialects.nn.fused import FusedOp
from ....dialects.nn.join import ConcatOp
from ....dialects.nn.regions import yielded
from ....dialects.nn.types import normalize_axis
from .. import Kernel, KernelContext
from . import expressions
from .elementwise import expression_of
from .maps import Map, Operand
from .operands import tensor_of
from .source import compute_type, literal
from .strided import Access, Pieces

_ELEMENTS = frozenset({"float32", "float16", "bfloat16", "bool"})
"""What is computed in f32, and conditions."""

ROWS = 4
"""How many rows a thread may compute, so that it reads a vector per channel, or finds its piece, once."""


def bind_fused(op: FusedOp, context: KernelContext) -> Kernel | None:
    """One kernel that reads every operand (and every piece of a concatenation) once and writes the results.

    Between them everything is held in f32: what the body calls an f16 or bf16 is rounded only where it is a result.
    """
    body = _Body(tensor_of(op.outputs[0]).dims)
    if any(tensor_of(v).dims != body.dims for v in op.outputs) or not body.read(op):
        return None
    outs = [Access.broadcast(tensor_of(v).dtype, body.dims, body.dims) for v in op.outputs]
    results = [body.names[v] for v in yielded(op.body.block)]
    statements = "\n      ".join(body.statements)
    kernel = Map(
        op.name, body.dims, outs, body.operands, results, expressions.FUNCTIONS, prepare=statements, rows=ROWS
    ).kernel()
    order = body.order
    return lambda outs, ins: kernel(*outs, *(ins[n] for n in order))


@dataclass
class _Body:
    """A body in C: `names` of its values, `statements` that declare them, and the `operands` that are read.

    `order` holds the fused op's operand for each array of `operands`.
    """

    dims: tuple[int, ...]
    names: dict[SSAValue, str] = field(default_factory=dict[SSAValue, str])
    statements: list[str] = field(default_factory=list[str])
    operands: list[Operand] = field(default_factory=list[Operand])
    order: list[int] = field(default_factory=list[int])

    def read(self, op: FusedOp) -> bool:
        """Whether the whole body of `op` could be written."""
        block = op.body.block
        for index, argument in enumerate(block.args):
            if any(not isinstance(use.operation, ConcatOp) for use in argument.uses):
                tensor = tensor_of(argument)
                access = Access.broadcast(tensor.dtype, tensor.dims, self.dims)
                self.names[argument] = self._operand(access, [index])
        ops = [inner for inner in block.ops if isinstance(inner, NNOp)]
        return all(tensor_of(v).dtype in _ELEMENTS for v in block.args) and all(self._add(inner) for inner in ops)

    def _operand(self, operand: Operand, arguments: list[int]) -> str:
        self.operands.append(operand)
        self.order += arguments
        return f"x{len(self.operands) - 1}"

    def _add(self, op: NNOp) -> bool:
        result = tensor_of(op.results[0])
        if isinstance(op, ConstantOp) and op.literal().size == 1 and result.dtype in _ELEMENTS:
            self.names[op.result] = literal(float(op.literal().reshape(-1)[0]), result.dtype)
            return True
        if len(op.results) != 1 or result.dims != self.dims or result.dtype not in _ELEMENTS:
            return False
        if isinstance(op, ConcatOp):
            return self._add_concat(op)
        expression = "x0" if isinstance(op, CastOp) else expression_of(op)
        if expression is None:
            return False
        arguments = [self.names[v] for v in op.operands]
        written = re.sub(r"\bx(\d+)\b", lambda match: arguments[int(match[1])], expression)
        name = self.names[op.results[0]] = f"t{len(self.statements)}"
        self.statements.append(f"const {compute_type(result.dtype)} {name} = {written};")
        return True

    def _add_concat(self, op: ConcatOp) -> bool:
        """The operand that its pieces are together; they have to be the body's arguments."""
        axis, block = normalize_axis(integer(op.axis), len(self.dims)), op.parent
        assert block is not None
        pieces = [v for v in op.inputs if 0 not in tensor_of(v).dims]
        if any(v not in block.args for v in pieces):
            return False
        shapes, dtype = [tensor_of(v).dims for v in pieces], tensor_of(op.result).dtype
        operand = Pieces.concatenated(dtype, shapes, self.dims, axis)
        self.names[op.result] = self._operand(operand, [block.args.index(v) for v in pieces])
        return True
