"""Ops between a tensor and the sequence of its pieces along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from xdsl.dialects.builtin import IntegerAttr, TensorType, i32, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_operand_def, prop_def, result_def
from xdsl.pattern_rewriter import RewritePattern

from ...errors import CompileError
from .base import AnyTensor, Onnx, OnnxNode, integer
from .constant import MAX_INTS, constant_array
from .containers import BYTES_PER_ELEMENT, ContainerOp, Operand, ranked
from .sequence import Arrays, element_types_of, sequence_type
from .shape import ConstantOfShapeOp, as_ints
from .types import Abstract, Array, Dims, dims_of, element_type, normalize_axis, tensor
from .value_types import SequenceType, scalar_type


def count_pieces(split: Array | None, size: int) -> int:
    """How many pieces an axis of `size` is split into; raises CompileError where `split` does not fit it."""
    if split is None:
        return size
    if split.ndim == 0:
        if (length := int(split)) < 1:
            raise CompileError(f"the size of the pieces must be positive, but is {length}")
        return -(-size // length)
    sizes = as_ints(split)
    if split.ndim != 1 or min(sizes, default=0) < 0 or sum(sizes) != size:
        raise CompileError(f"size {size} cannot be split into {list(sizes[:16])}{'...' if len(sizes) > 16 else ''}")
    return len(sizes)


def piece_sizes(split: Array | None, size: int) -> list[int]:
    """The size of each piece; see `count_pieces`."""
    count = count_pieces(split, size)
    if split is not None and split.ndim == 1:
        return list(as_ints(split))
    length = 1 if split is None else int(split)
    return [min(length, size - i * length) for i in range(count)]


@irdl_op_definition
class SplitToSequenceOp(ContainerOp):
    """The pieces of `x` along `axis`, of the sizes `split`, or of the size `split` each where that is a scalar.
    ONNX SplitToSequence, https://onnx.ai/onnx/operators/onnx__SplitToSequence.html

    The last of equal pieces may be smaller. Without `split` they have the size 1, and no such axis unless `keepdims`.
    """

    name = "nn.split_to_sequence"
    ONNX: ClassVar = Onnx("SplitToSequence", since=11)
    HOST: ClassVar = frozenset({"split"})

    x = operand_def(AnyTensor)
    split = opt_operand_def(AnyTensor)
    axis = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    keepdims = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    result = result_def(SequenceType)

    @property
    def drops_axis(self) -> bool:
        """Whether the pieces have one dim less than `x`."""
        return self.split is None and not integer(self.keepdims)

    def infer(self, x: Operand, split: Abstract | None) -> SequenceType:
        """The operand's dims with the size that all pieces have, where that is known, or without that axis."""
        if not isinstance(x, Abstract):
            raise CompileError(f"{self.name} needs a tensor, but is given {x}")
        if x.rank == 0:
            raise CompileError("a scalar cannot be split")
        if split is not None and (split.element not in (i32, i64) or split.rank > 1):
            raise CompileError(f"split must be one i32 or i64 or a vector of them, but is {split.type}")
        axis = normalize_axis(integer(self.axis), x.rank)
        value = None if split is None else split.value
        if split is None:
            size = 1
        elif value is None:
            size = _filled_with(self.split)
        elif value.ndim == 1 and x.dims[axis] is None:
            size = _all_equal(as_ints(value))
        else:
            size = _shared_size(value, x.dims[axis])
        return SequenceType(tensor(x.element, self._piece_dims(x.dims, size)))

    def _piece_dims(self, dims: Dims, size: int | None) -> Dims:
        axis = normalize_axis(integer(self.axis), len(dims))
        return (*dims[:axis], *(() if self.drops_axis else (size,)), *dims[axis + 1 :])

    def evaluate(self, xp: Any, x: Array, split: Array | None) -> Arrays:
        """Slices of `x`."""
        axis = normalize_axis(integer(self.axis), x.ndim)
        before = (slice(None),) * axis
        if self.drops_axis:
            return tuple(x[(*before, i, ...)] for i in range(x.shape[axis]))
        pieces: list[Array] = []
        start = 0
        for size in piece_sizes(split, x.shape[axis]):
            pieces.append(x[(*before, slice(start, start + size))])
            start += size
        return tuple(pieces)

    def known_sizes(self) -> list[int] | None:
        """The sizes of the pieces along the axis; None where they are not known, or are more than MAX_INTS."""
        dims = dims_of(self.x.type)
        size, split = dims[normalize_axis(integer(self.axis), len(dims))], constant_array(self.split)
        if self.split is not None and split is None:
            return None
        if split is not None and split.ndim == 1 and size is None:
            size = sum(as_ints(split))
        if size is None or count_pieces(split, size) > MAX_INTS:
            return None
        return piece_sizes(split, size)

    def element_types(self) -> list[Attribute] | None:
        """The pieces' types, where their sizes are known."""
        sizes, dims = self.known_sizes(), dims_of(self.x.type)
        element = element_type(self.x.type)
        return None if sizes is None else [tensor(element, self._piece_dims(dims, s)) for s in sizes]

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """torch.unbind is exported with a split of 1 and without `keepdims`, which ONNX Runtime heeds then as well.

        ONNX itself says that `keepdims` is ignored where there is a `split`.
        """
        split = constant_array(node.input(1))
        if not node.attributes.get("keepdims", 1) and split is not None and split.ndim == 0 and int(split) == 1:
            node.inputs.pop()
        return super().import_node(node)

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """See sequence_patterns.py."""
        from .sequence_patterns import ReadSplit

        return (ReadSplit(),)

    def run_bytes(self, operands: Sequence[Any]) -> int:
        """Those of `x`, in as many arrays as `split` asks for."""
        x = operands[0]
        count = count_pieces(operands[1] if len(operands) > 1 else None, x.shape[integer(self.axis)])
        return int(x.nbytes) + count * BYTES_PER_ELEMENT


def _filled_with(split: SSAValue | None) -> int | None:
    """The one number that a vector of any length repeats; None where it is not such a one."""
    op = split.owner if split is not None and len(dims_of(split.type)) == 1 else None
    return int(op.value.value.data) if isinstance(op, ConstantOfShapeOp) else None


def _all_equal(sizes: Sequence[int]) -> int | None:
    return sizes[0] if len(set(sizes)) == 1 else None


def _shared_size(split: Array, size: int | None) -> int | None:
    """The size of every piece of an axis of `size`, None where they differ or are not known."""
    if size is None:
        return None
    count = count_pieces(split, size)
    if split.ndim == 1:
        return _all_equal(as_ints(split))
    return size if count == 1 else int(split) if size % int(split) == 0 else None


@irdl_op_definition
class ConcatFromSequenceOp(ContainerOp):
    """The elements of `sequence` one after another along `axis`, which is a new one where `new_axis` is 1.
    ONNX ConcatFromSequence, https://onnx.ai/onnx/operators/onnx__ConcatFromSequence.html

    An empty sequence is refused: the result's shape would not be known.
    """

    name = "nn.concat_from_sequence"
    ONNX: ClassVar = Onnx("ConcatFromSequence", since=11)

    sequence = operand_def(SequenceType)
    axis = prop_def(IntegerAttr)
    new_axis = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    result = result_def(AnyTensor)

    def infer(self, sequence: Operand) -> TensorType[Attribute]:
        """The elements' dims, the size along the axis being the sum, or the number, where that is known."""
        element = sequence_type(self.name, sequence).element
        if element == scalar_type(element):
            raise CompileError("the sequence is empty: it has nothing to concatenate")
        dims = dims_of(ranked(element, "the elements of the sequence"))
        types = element_types_of(self.sequence)
        if integer(self.new_axis):
            axis = normalize_axis(integer(self.axis), len(dims) + 1)
            return tensor(scalar_type(element), (*dims[:axis], len(types) if types else None, *dims[axis:]))
        if not dims:
            raise CompileError("scalars are concatenated along a new axis only", hint="new_axis = 1")
        axis = normalize_axis(integer(self.axis), len(dims))
        sizes = [dims_of(t)[axis] for t in types or [tensor(scalar_type(element), [None] * len(dims))]]
        total = None if None in sizes else sum(s for s in sizes if s is not None)
        return tensor(scalar_type(element), (*dims[:axis], total, *dims[axis + 1 :]))

    def evaluate(self, xp: Any, sequence: Arrays) -> Array:
        """`concatenate` or `stack`."""
        if not sequence:
            raise CompileError("the sequence is empty: it has nothing to concatenate")
        join = xp.stack if integer(self.new_axis) else xp.concatenate
        return join(sequence, axis=integer(self.axis))

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """See sequence_patterns.py."""
        from .sequence_patterns import ConcatConstruct

        return (ConcatConstruct(),)

    def forwards(self) -> SSAValue | None:
        """What a split along the same axis split."""
        owner = self.sequence.owner
        if not isinstance(owner, SplitToSequenceOp) or owner.drops_axis != bool(integer(self.new_axis)):
            return None
        rank = len(dims_of(owner.x.type))
        same = normalize_axis(integer(owner.axis), rank) == normalize_axis(integer(self.axis), rank)
        checked = owner.split is None or owner.known_sizes() is not None
        return owner.x if same and checked else None
