"""What brings an image into the form that a library's kernels want: packing, in one copy."""

from __future__ import annotations

from typing import Any

from xdsl.dialects.builtin import DenseArrayBase, TensorType
from xdsl.ir import Attribute, TypeAttribute
from xdsl.irdl import BaseAttr, irdl_op_definition, operand_def, prop_def, result_def

from ...errors import CompileError
from ..nn.base import AnyTensor, NNOp, ints
from ..nn.types import Abstract, Array, dtype_of, element_type, tensor


@irdl_op_definition
class PackOp(NNOp):
    """`x` in the element type `to`, with dim `i` of the result the dim `perm[i]` of `x` and `ends[i]` zeros at its end.

    It is a Cast, a Transpose and a Pad at once: an image [N, 3, H, W] of f32 into [N, H, W, 4] of f16 is
    `perm [0, 2, 3, 1] ends [0, 0, 0, 1] to = f16`. Errors: `perm` is no permutation, `ends` not one for each dim.
    """

    name = "blas.pack"

    x = operand_def(AnyTensor)
    perm = prop_def(DenseArrayBase)
    ends = prop_def(DenseArrayBase)
    to = prop_def(BaseAttr(TypeAttribute))
    result = result_def(AnyTensor)

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The permuted dims, with their ends."""
        perm, ends = ints(self.perm), ints(self.ends)
        if sorted(perm) != list(range(x.rank)):
            raise CompileError(f"perm {list(perm)} is not a permutation of {x.rank} axes")
        if len(ends) != x.rank or min(ends, default=0) < 0:
            raise CompileError(f"ends {list(ends)} are not a number of zeros for each of {x.rank} axes")
        dtype_of(self.to)
        dims = [x.dims[a] for a in perm]
        return tensor(self.to, [None if d is None else d + end for d, end in zip(dims, ends, strict=True)])

    def evaluate(self, xp: Any, x: Array) -> Array:
        """The three one after another; an operand of the type `to` keeps its dtype, for the float64 oracle."""
        narrowed = x if element_type(self.x.type) == self.to else x.astype(dtype_of(self.to))
        return xp.pad(narrowed.transpose(ints(self.perm)), [(0, end) for end in ints(self.ends)])
