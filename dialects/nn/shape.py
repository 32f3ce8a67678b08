"""Ops on dims themselves, and ops that do nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, TensorType, f32, i1, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    opt_result_def,
    prop_def,
    result_def,
)
from xdsl.pattern_rewriter import RewritePattern

from ...errors import CompileError, UnsupportedError
from .base import AnyTensor, NNOp, Onnx, OnnxNode, integer
from .constant import constant_array, constant_attribute
from .elementwise import UnaryOp
from .types import (
    MAX_RANK,
    Abstract,
    Array,
    Dims,
    dims_of,
    dtype_of,
    element_type,
    format_dims,
    is_tensor,
    normalize_axis,
    product,
    tensor,
)


def as_ints(array: Array) -> tuple[int, ...]:
    """The elements of a HOST operand as Python ints."""
    return tuple(int(v) for v in array.reshape(-1))


def count_of(name: str, operand: Abstract) -> int:
    """How many numbers a HOST operand holds: it decides a rank, so it must be known. Raises where it is not."""
    if operand.rank > 1:
        raise CompileError(f"{name} must be a list of integers, not {format_dims(operand.dims)}")
    if (count := product(operand.dims)) is None:
        raise UnsupportedError(f"an unknown length of {name} is not supported: it decides the rank of the result")
    if count > MAX_RANK:
        raise CompileError(f"{name} has {count} numbers, more than a tensor can have dimensions ({MAX_RANK})")
    return count


def one_int(name: str, operand: Abstract) -> int | None:
    """The value of a HOST operand of one number; None where it is not a constant. Raises CompileError."""
    if product(operand.dims) not in (1, None):
        raise CompileError(f"{name} must be one number, not {format_dims(operand.dims)}")
    try:
        values = operand.ints()
    except (ValueError, OverflowError):  # NaN and infinities
        raise CompileError(f"{name} must be a finite number") from None
    return None if values is None else values[0]


def known_sizes(value: SSAValue) -> Dims | None:
    """The elements of a Shape's result, as far as they are known; None where `value` is something else."""
    op = value.owner
    return tuple(dims_of(op.x.type)[a] for a in op.axes) if isinstance(op, ShapeOp) else None


def normalize_axes(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """`axes` counted from the front; raises CompileError where one is out of range or given twice."""
    result = tuple(normalize_axis(a, rank) for a in axes)
    if len(set(result)) != len(result) or (result and rank == 0):
        raise CompileError(f"axes {list(axes)} do not name different axes of rank {rank}")
    return result


@irdl_op_definition
class IdentityOp(UnaryOp):
    """`x`. ONNX Identity, https://onnx.ai/onnx/operators/onnx__Identity.html

    Of tensors: a sequence or an optional is its own value.
    """

    name = "nn.identity"
    ONNX: ClassVar = Onnx("Identity", since=1)
    VIEW: ClassVar = True

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`x`"""
        return x

    def forwards(self) -> SSAValue | None:
        """Always `x`."""
        return self.x

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """What is no tensor is taken as it is."""
        x = node.required(0)
        return super().import_node(node) if is_tensor(x.type) else [x]


@irdl_op_definition
class DropoutOp(NNOp):
    """`x`: nothing is dropped at inference. ONNX Dropout, https://onnx.ai/onnx/operators/onnx__Dropout.html

    The mask says which elements are kept: all. `ratio` and `seed` say nothing at inference and are dropped.
    """

    name = "nn.dropout"
    ONNX: ClassVar = Onnx("Dropout", since=6, drop=frozenset({"ratio", "seed"}))
    VIEW: ClassVar = True

    x = operand_def(AnyTensor)
    result = result_def(AnyTensor)
    mask = opt_result_def(AnyTensor)

    def infer(self, x: Abstract) -> tuple[TensorType[Attribute], ...]:
        """The operand's type, and the mask's: i1 with the same dims."""
        return (x.type, tensor(i1, x.dims))[: len(self.results)]

    def evaluate(self, xp: Any, x: Array) -> tuple[Array, ...]:
        """`x` and ones."""
        return (x,) if self.mask is None else (x, xp.ones(x.shape, np.bool_))

    def forwards(self) -> SSAValue | None:
        """`x`, where there is no mask."""
        return self.x if self.mask is None else None

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """Refuses training (opset 6's default) and a mask that is used before opset 12 defines it at inference."""
        training = node.input(2)
        mode = None if training is None else constant_array(training)
        learning = node.opset < 7 and not node.attributes.get("is_test", 0)
        if learning or (training is not None and (mode is None or mode.any())):
            raise UnsupportedError("Dropout in training_mode is not supported", hint="export it for inference")
        if node.opset < 12 and any(node.used[1:]):
            raise UnsupportedError(f"the mask of Dropout is not defined for inference in opset {node.opset}")
        return node.build(cls, node.required(0), outputs=node.outputs)

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """See shape_patterns.py."""
        from .shape_patterns import RemoveDropout

        return (RemoveDropout(),)


@irdl_op_definition
class ShapeOp(NNOp):
    """The dims `start` to `end` (exclusive) of `x`, as i64. https://onnx.ai/onnx/operators/onnx__Shape.html

    Negative bounds count from the end; those out of range are clamped.
    """

    name = "nn.shape"
    ONNX: ClassVar = Onnx("Shape", since=1)

    x = operand_def(AnyTensor)
    start = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    end = opt_prop_def(IntegerAttr)
    result = result_def(AnyTensor)

    @property
    def axes(self) -> range:
        """The axes whose sizes are the result."""
        end = None if self.end is None else integer(self.end)
        return range(*slice(integer(self.start), end).indices(len(dims_of(self.x.type))))

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """One number per axis."""
        return tensor(i64, [len(self.axes)])

    def evaluate(self, xp: Any, x: Array) -> Array:
        """The sizes, in host memory first."""
        return xp.asarray(np.array([x.shape[a] for a in self.axes], np.int64))

    def fold(self) -> Sequence[SSAValue | Attribute] | None:
        """The sizes, where they are known; the operand need not be a constant."""
        sizes = known_sizes(self.result) or ()
        return None if None in sizes else [constant_attribute(np.array(sizes, np.int64))]


@irdl_op_definition
class SizeOp(NNOp):
    """The number of elements of `x`, an i64 scalar. ONNX Size, https://onnx.ai/onnx/operators/onnx__Size.html"""

    name = "nn.size"
    ONNX: ClassVar = Onnx("Size", since=1)

    x = operand_def(AnyTensor)
    result = result_def(AnyTensor)

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """A scalar."""
        return tensor(i64, [])

    def evaluate(self, xp: Any, x: Array) -> Array:
        """The product of the sizes, in host memory first."""
        return xp.asarray(np.int64(x.size))

    def fold(self) -> Sequence[SSAValue | Attribute] | None:
        """The number, where all sizes are known; the operand need not be a constant."""
        count = product(dims_of(self.x.type))
        return None if count is None else [constant_attribute(np.int64(count))]


@irdl_op_definition
class ConstantOfShapeOp(NNOp):
    """A tensor of the dims `shape`, every element `value` (one number; 0.0 : f32 by default).

    ONNX ConstantOfShape, https://onnx.ai/onnx/operators/onnx__ConstantOfShape.html
    """

    name = "nn.constant_of_shape"
    ONNX: ClassVar = Onnx("ConstantOfShape", since=9)
    HOST: ClassVar = frozenset({"shape"})

    shape = operand_def(AnyTensor)
    value = prop_def(FloatAttr | IntegerAttr, default_value=FloatAttr(0.0, f32))
    result = result_def(AnyTensor)

    def infer(self, shape: Abstract) -> TensorType[Attribute]:
        """The dims that `shape` says; unknown ones where it is not a constant."""
        values = shape.ints()
        return tensor(self.value.type, [None] * count_of("shape", shape) if values is None else values)

    def evaluate(self, xp: Any, shape: Array) -> Array:
        """The value, repeated."""
        return xp.full(as_ints(shape), self.value.value.data, dtype_of(element_type(self.result.type)))

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """`value` is a tensor of one element."""
        value = node.attributes.get("value", np.zeros(1, np.float32))
        if value.size != 1:
            raise CompileError(f"ConstantOfShape needs one value, not {format_dims(value.shape)}")
        return node.build(cls, node.required(0), value=constant_attribute(value))
