"""Ops that join tensors along an axis, or divide one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from xdsl.dialects.builtin import IntegerAttr, TensorType, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    prop_def,
    result_def,
    var_operand_def,
    var_result_def,
)
from xdsl.pattern_rewriter import RewritePattern

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, OnnxNode, View, integer
from .elementwise import same_element
from .shape import as_ints
from .types import (
    Abstract,
    Array,
    Dims,
    dims_of,
    dtype_of,
    element_type,
    format_dims,
    is_static,
    normalize_axis,
    product,
    static_dims,
    tensor,
)


def piece_views(pieces: Sequence[SSAValue], whole: SSAValue, axis: int) -> list[View]:
    """Consecutive pieces of `whole` along `axis` as views: where all dims before it are 1, or where it is the last.

    Their rows lie apart in the second case.
    """
    if not all(is_static(v.type) for v in (*pieces, whole)):
        return []
    dims, itemsize = static_dims(dims_of(whole.type)), dtype_of(element_type(whole.type)).itemsize
    together = all(d == 1 for d in dims[:axis])
    if not together and axis != len(dims) - 1:
        return []
    views: dict[SSAValue, View] = {}
    offset = 0
    for piece in pieces:
        views.setdefault(piece, View(piece, whole, offset, 0 if together else dims[-1] * itemsize))
        offset += static_product(dims_of(piece.type)[axis:]) * itemsize
    return list(views.values())


def _list(operands: Sequence[Abstract]) -> str:
    return " and ".join(format_dims(o.dims) for o in operands)


def _common(sizes: Iterable[int | None]) -> int | None:
    """The size all of them can be: None where none is known, -1 where two differ."""
    known = set(sizes) - {None}
    return -1 if len(known) > 1 else known.pop() if known else None


def static_product(dims: Dims) -> int:
    """The number of elements of known dims."""
    count = product(static_dims(dims))
    assert count is not None
    return count


@irdl_op_definition
class ConcatOp(NNOp):
    """`inputs` one after another along `axis`. ONNX Concat, https://onnx.ai/onnx/operators/onnx__Concat.html"""

    name = "nn.concat"
    ONNX: ClassVar = Onnx("Concat", since=4)

    inputs = var_operand_def(AnyTensor)
    axis = prop_def(IntegerAttr)
    result = result_def(AnyTensor)

    def infer(self, inputs: tuple[Abstract, ...]) -> TensorType[Attribute]:
        """The sum of the sizes along the axis; the other dims are what the operands know together."""
        if not inputs:
            raise CompileError("nn.concat needs an operand")
        rank = inputs[0].rank
        axis = normalize_axis(integer(self.axis), rank)
        if rank == 0 or any(o.rank != rank for o in inputs):
            raise CompileError(f"{_list(inputs)} cannot be concatenated along axis {axis}")
        dims = [_common(o.dims[a] for o in inputs) for a in range(rank) if a != axis]
        if -1 in dims:
            raise CompileError(f"{_list(inputs)} cannot be concatenated along axis {axis}")
        sizes = [o.dims[axis] for o in inputs]
        dims.insert(axis, None if None in sizes else sum(s for s in sizes if s is not None))
        return tensor(same_element(self.name, *inputs), dims)

    def evaluate(self, xp: Any, inputs: tuple[Array, ...]) -> Array:
        """The operands joined."""
        return xp.concatenate(inputs, axis=integer(self.axis))

    def forwards(self) -> SSAValue | None:
        """The only operand."""
        return self.inputs[0] if len(self.inputs) == 1 else None

    def flattened(self, most: int) -> list[SSAValue]:
        """Up to `most` pieces, among them those of the operands that are concatenations along the same axis."""
        axis, pending, pieces = self._axis(), list(reversed(self.inputs)), list[SSAValue]()
        while pending:
            value = pending.pop()
            inner = value.owner if isinstance(value.owner, ConcatOp) and value.owner._axis() == axis else None
            if inner is not None and len(pieces) + len(pending) + len(inner.inputs) <= most:
                pending += reversed(inner.inputs)
            else:
                pieces.append(value)
        return pieces

    def _axis(self) -> int:
        return normalize_axis(integer(self.axis), len(dims_of(self.result.type)))

    def writes_rows_apart(self) -> bool:
        """Yes."""
        return True

    def reads_rows_apart(self, operand: int) -> bool:
        """Yes: those that are not in their place are copied row by row."""
        return True

    def views(self) -> list[View]:
        """The operands inside the result, where they are contiguous pieces of it or of its rows."""
        return piece_views(self.inputs, self.result, self._axis())

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """See join_patterns.py."""
        from .join_patterns import DropEmptyPieces, FlattenConcat, JoinPieces

        return (FlattenConcat(), DropEmptyPieces(), JoinPieces())


@irdl_op_definition
class SplitOp(NNOp):
    """`x` in `num_outputs` pieces along `axis`, of the sizes `split` or else equal (the last may be smaller).

    ONNX Split, https://onnx.ai/onnx/operators/onnx__Split.html. Unlike there, `num_outputs` is always given.
    """

    name = "nn.split"
    ONNX: ClassVar = Onnx("Split", since=2)
    HOST: ClassVar = frozenset({"split"})

    x = operand_def(AnyTensor)
    split = opt_operand_def(AnyTensor)
    axis = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    num_outputs = prop_def(IntegerAttr)
    pieces = var_result_def(AnyTensor)

    @classmethod
    def result_count(cls, fields: Mapping[str, Any]) -> int:
        """`num_outputs`"""
        return int(fields["num_outputs"])

    def sizes(self, split: Sequence[int] | None, size: int | None) -> Dims:
        """The size of each piece; raises CompileError where they do not add up to `size`."""
        count = integer(self.num_outputs)
        if count < 1 or count != len(self.pieces) or (split is not None and len(split) != count):
            raise CompileError(f"{len(self.pieces)} results, num_outputs {count}, split {split} do not fit")
        if split is None:
            if size is None:
                return (None,) * count
            piece = -(-size // count)
            split = [piece] * (count - 1) + [size - piece * (count - 1)]
        if min(split) < 0 or (size is not None and sum(split) != size):
            raise CompileError(f"size {size} cannot be split into {list(split)}")
        return tuple(split)

    def infer(self, x: Abstract, split: Abstract | None) -> tuple[TensorType[Attribute], ...]:
        """The pieces' types; their sizes are unknown where `split` is not a constant."""
        axis = normalize_axis(integer(self.axis), x.rank)
        values = None if split is None else split.ints()
        sizes = self.sizes(values, None if split is not None and values is None else x.dims[axis])
        return tuple(tensor(x.element, (*x.dims[:axis], s, *x.dims[axis + 1 :])) for s in sizes)

    def evaluate(self, xp: Any, x: Array, split: Array | None) -> tuple[Array, ...]:
        """Slices of `x`."""
        axis = normalize_axis(integer(self.axis), x.ndim)
        pieces: list[Array] = []
        start = 0
        for size in static_dims(self.sizes(None if split is None else as_ints(split), x.shape[axis])):
            pieces.append(x[(slice(None),) * axis + (slice(start, start + size),)])
            start += size
        return tuple(pieces)

    def forwards(self) -> SSAValue | None:
        """The operand in one piece."""
        return self.x if len(self.pieces) == 1 else None

    def reads_rows_apart(self, operand: int) -> bool:
        """Those of `x`."""
        return operand == 0

    def views(self) -> list[View]:
        """The results inside the operand, where they are contiguous pieces of it or of its rows."""
        axis = normalize_axis(integer(self.axis), len(dims_of(self.x.type)))
        return piece_views(self.pieces, self.x, axis)

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """The number of pieces is `num_outputs` (opset 18), the length of `split`, or that of the outputs."""
        node.attribute_to_input("split", 1)
        split = node.input(1)
        length = None if split is None else product(dims_of(split.type))
        fields = {"num_outputs": node.outputs if length is None else length, **node.attributes}
        if fields["num_outputs"] != len(node.used):
            raise CompileError(f"Split into {fields['num_outputs']} pieces has {len(node.used)} outputs")
        return node.build(cls, node.required(0), split, **fields)
