"""Several operations that are computed together, element by element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.irdl import IRDLOperation, irdl_op_definition, region_def, traits_def, var_operand_def, var_result_def
from xdsl.traits import IsolatedFromAbove, Pure
from xdsl.utils.exceptions import VerifyException

from .base import AnyTensor, NNOp
from .join import ConcatOp
from .regions import YieldOp, compute_body, yielded
from .types import Abstract, Array, as_tensor


@irdl_op_definition
class FusedOp(NNOp):
    """What its body gives for `inputs`, which are the body's arguments: `nn` ops without values in between in memory.

    What the body holds in f16 or bf16 between two of its ops may be kept in f32: a kernel rounds only what it writes.
    ONNX has no such operator; the pass `fuse-pointwise` makes it.
    """

    name = "nn.fused"

    inputs = var_operand_def(AnyTensor)
    body = region_def("single_block")
    outputs = var_result_def(AnyTensor)

    traits = traits_def(Pure(), IsolatedFromAbove())

    def __init__(self, inputs: Sequence[SSAValue], body: Region):
        """`body` has one block, of an argument for each of `inputs`, that ends with nn.yield."""
        types = [v.type for v in yielded(body.block)]
        IRDLOperation.__init__(self, operands=[inputs], result_types=[types], regions=[body])

    @classmethod
    def result_count(cls, fields: Mapping[str, Any]) -> int:
        """It is the body that says it."""
        raise NotImplementedError(cls.name)

    def infer(self, inputs: Sequence[Abstract]) -> tuple[TensorType[Attribute], ...]:
        """The types of what the body yields."""
        return tuple(as_tensor(v.type) for v in yielded(self.body.block))

    def evaluate(self, xp: Any, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """The body's ops one after another."""
        return compute_body(self.body.block, xp, inputs)

    def compute(self, xp: Any, operands: Sequence[Array]) -> tuple[Array, ...]:
        """`evaluate`: the body's ops see to their element types themselves."""
        return self.evaluate(xp, operands)

    def inplace_operands(self) -> list[int]:
        """The operands of the first result's type: they are read where it is written, except as a piece of a concat."""
        return [
            index
            for index, argument in enumerate(self.body.block.args)
            if argument.type == self.results[0].type
            and not any(isinstance(use.operation, ConcatOp) for use in argument.uses)
        ]

    def verify_(self) -> None:
        """The body's arguments have the operands' types, and it holds `nn` ops without regions of their own."""
        block: Block = self.body.block
        if [a.type for a in block.args] != [v.type for v in self.inputs]:
            raise VerifyException("the arguments of the body of nn.fused have other types than its operands")
        for op in block.ops:
            if op.regions or not (isinstance(op, NNOp) or (isinstance(op, YieldOp) and op is block.last_op)):
                raise VerifyException(f"{op.name} cannot stand in the body of nn.fused")
        if len(yielded(block)) != len(self.outputs):
            raise VerifyException(f"nn.fused has {len(self.outputs)} results, its body yields {len(yielded(block))}")
        super().verify_()
