"""Ops that copy a tensor's elements into another order, or repeat them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from xdsl.dialects.builtin import DenseArrayBase, TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, result_def
from xdsl.pattern_rewriter import RewritePattern

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, View, ints
from .constant import constant_array
from .shape import as_ints, count_of
from .types import Abstract, Array, Dims, broadcast_dims, dims_of, format_dims, is_static, product, tensor


@irdl_op_definition
class TransposeOp(NNOp):
    """`x` with dim `i` of the result the dim `perm[i]` of `x` (reversed by default).

    ONNX Transpose, https://onnx.ai/onnx/operators/onnx__Transpose.html
    """

    name = "nn.transpose"
    ONNX: ClassVar = Onnx("Transpose", since=1)

    x = operand_def(AnyTensor)
    perm = opt_prop_def(DenseArrayBase)
    result = result_def(AnyTensor)

    def writes_rows_apart(self) -> bool:
        """Yes."""
        return True

    def reads_rows_apart(self, operand: int) -> bool:
        """Yes."""
        return True

    def permutation(self, rank: int) -> tuple[int, ...]:
        """`perm`, or its default; raises CompileError where it is no permutation of `rank` axes."""
        perm = tuple(reversed(range(rank))) if self.perm is None else ints(self.perm)
        if sorted(perm) != list(range(rank)):
            raise CompileError(f"perm {list(perm)} is not a permutation of {rank} axes")
        return perm

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The permuted dims."""
        return tensor(x.element, [x.dims[a] for a in self.permutation(x.rank)])

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`x` transposed (without a copy)."""
        return x.transpose(self.permutation(x.ndim))

    def forwards(self) -> SSAValue | None:
        """The operand of the identity permutation."""
        rank = len(dims_of(self.x.type))
        return self.x if self.permutation(rank) == tuple(range(rank)) else None

    def views(self) -> list[View]:
        """All of `x`, where only dims of size 1 change places."""
        dims = dims_of(self.x.type)
        moved = [a for a in self.permutation(len(dims)) if dims[a] != 1]
        if not is_static(self.x.type) or moved != sorted(moved):
            return []
        return [View(self.result, self.x, 0)]

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """See shape_patterns.py."""
        from .shape_patterns import ComposeTransposes

        return (ComposeTransposes(),)


@irdl_op_definition
class ExpandOp(NNOp):
    """`x` broadcast against the dims `shape`, both ways. https://onnx.ai/onnx/operators/onnx__Expand.html"""

    name = "nn.expand"
    ONNX: ClassVar = Onnx("Expand", since=8)
    HOST: ClassVar = frozenset({"shape"})
    REPEATS: ClassVar = True

    x = operand_def(AnyTensor)
    shape = operand_def(AnyTensor)
    result = result_def(AnyTensor)

    def target(self, shape: Sequence[int], dims: Dims) -> Dims:
        """The broadcast dims; raises CompileError where they do not fit."""
        if min(shape, default=0) < 0:
            raise CompileError(f"sizes must not be negative: {list(shape)}")
        return broadcast_dims(dims, shape)

    def infer(self, x: Abstract, shape: Abstract) -> TensorType[Attribute]:
        """The broadcast dims; where `shape` is not a constant, those that it cannot change."""
        if (values := shape.ints()) is not None:
            return tensor(x.element, self.target(values, x.dims))
        known = [None if d == 1 else d for d in x.dims]
        return tensor(x.element, [None] * (count_of("shape", shape) - x.rank) + known)

    def evaluate(self, xp: Any, x: Array, shape: Array) -> Array:
        """`x` broadcast (without a copy)."""
        return xp.broadcast_to(x, self.target(as_ints(shape), x.shape))

    def forwards(self) -> SSAValue | None:
        """The operand, where every size that is unknown stays: `shape` has a 1 there."""
        dims, shape = dims_of(self.x.type), constant_array(self.shape)
        if None not in dims:
            return self.x
        if shape is None or shape.size > len(dims):
            return None
        sizes = (1,) * (len(dims) - shape.size) + as_ints(shape)
        return self.x if all(d is not None or s == 1 for d, s in zip(dims, sizes, strict=True)) else None


@irdl_op_definition
class TileOp(NNOp):
    """`x` repeated `repeats[i]` times along each dim `i`. https://onnx.ai/onnx/operators/onnx__Tile.html"""

    name = "nn.tile"
    ONNX: ClassVar = Onnx("Tile", since=6)
    HOST: ClassVar = frozenset({"repeats"})
    REPEATS: ClassVar = True

    x = operand_def(AnyTensor)
    repeats = operand_def(AnyTensor)
    result = result_def(AnyTensor)

    def target(self, repeats: Sequence[int], dims: Dims) -> Dims:
        """Sizes times repeats; raises CompileError where there is not one for each."""
        if len(repeats) != len(dims) or min(repeats, default=0) < 0:
            raise CompileError(f"repeats {list(repeats)} do not fit {format_dims(dims)}")
        return tuple(product((d, r)) for d, r in zip(dims, repeats, strict=True))

    def infer(self, x: Abstract, repeats: Abstract) -> TensorType[Attribute]:
        """The repeated dims; none is known where `repeats` is not a constant."""
        values = repeats.ints()
        if product(repeats.dims) not in (x.rank, None):
            raise CompileError(f"{product(repeats.dims)} repeats do not fit {format_dims(x.dims)}")
        return tensor(x.element, [None] * x.rank if values is None else self.target(values, x.dims))

    def evaluate(self, xp: Any, x: Array, repeats: Array) -> Array:
        """`x` tiled."""
        dims = self.target(as_ints(repeats), x.shape)
        # tile repeats axis by axis: a huge one would be built before a repeat of 0 makes it empty
        return xp.empty(dims, x.dtype) if 0 in dims else xp.tile(x, as_ints(repeats))

    def forwards(self) -> SSAValue | None:
        """The operand repeated once."""
        repeats = constant_array(self.repeats)
        return self.x if repeats is not None and all(r == 1 for r in as_ints(repeats)) else None
