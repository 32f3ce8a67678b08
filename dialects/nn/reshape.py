"""Ops that give a tensor other dims and leave its elements in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, TensorType, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_operand_def, prop_def, result_def
from xdsl.pattern_rewriter import RewritePattern

from ...errors import AssumptionError, CompileError, UnsupportedError
from .base import AnyTensor, NNOp, Onnx, OnnxNode, integer
from .constant import constant_array
from .shape import as_ints, count_of, normalize_axes
from .types import Abstract, Array, Dims, dims_of, format_dims, product, tensor


class ReshapingOp(NNOp):
    """The same elements in the same (row-major) order with other dims; `x` is operand 0. It costs nothing."""

    VIEW: ClassVar = True

    def forwards(self) -> SSAValue | None:
        """The operand, where at most one size is unknown: the number of elements then decides it."""
        dims = dims_of(self.operands[0].type)
        known = product(d for d in dims if d is not None)
        return self.operands[0] if None not in dims or (dims.count(None) == 1 and known) else None

    def kept(self) -> int:
        """How many leading dims of the result are those of `x`, whatever their sizes."""
        return 0

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """See shape_patterns.py."""
        from .shape_patterns import CollapseReshapes, CopySizes

        return (CollapseReshapes(), CopySizes())


@irdl_op_definition
class ReshapeOp(ReshapingOp):
    """`x` with the dims `shape`. ONNX Reshape, https://onnx.ai/onnx/operators/onnx__Reshape.html

    -1 stands for what the number of elements leaves; 0 for the size at its place in `x`, or for 0 where
    `allowzero` is 1. Copied sizes cancel before -1 is computed, so that [0, -1] of 0x10 is 0x10.
    """

    name = "nn.reshape"
    ONNX: ClassVar = Onnx("Reshape", since=5)
    HOST: ClassVar = frozenset({"shape"})

    x = operand_def(AnyTensor)
    shape = operand_def(AnyTensor)
    allowzero = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    result = result_def(AnyTensor)

    def target(self, shape: Sequence[int], dims: Dims) -> Dims:
        """The result's dims; raises CompileError where `shape` does not fit `dims`."""
        copies = [] if integer(self.allowzero) else [i for i, s in enumerate(shape) if s == 0]
        what = f"{format_dims(dims)} cannot be reshaped to {list(shape)}"
        if copies and copies[-1] >= len(dims):
            raise CompileError(f"{what}: there is no dimension {copies[-1]} to copy")
        if shape.count(-1) > 1 or min(shape, default=0) < -1 or (-1 in shape and 0 in shape and not copies):
            raise CompileError(f"{what}: sizes must be positive, 0, or once -1 (not with 0 and allowzero)")
        sizes: list[int | None] = [dims[i] if i in copies else s for i, s in enumerate(shape)]
        if -1 in shape:
            count = product(d for i, d in enumerate(dims) if i not in copies)
            rest = product(s for i, s in enumerate(shape) if i not in copies and s != -1)
            if not rest or (count or 0) % rest:
                raise CompileError(f"{what}: {count} elements do not fit")
            sizes[shape.index(-1)] = None if count is None else count // rest
        elif None not in (product(dims), product(sizes)) and product(dims) != product(sizes):
            raise CompileError(f"{what}: it has {product(dims)} elements")
        return tuple(sizes)

    def infer(self, x: Abstract, shape: Abstract) -> TensorType[Attribute]:
        """The dims that `shape` says; unknown ones where it is not a constant."""
        values = shape.ints()
        dims = [None] * count_of("shape", shape) if values is None else self.target(values, x.dims)
        return tensor(x.element, dims)

    def evaluate(self, xp: Any, x: Array, shape: Array) -> Array:
        """`x` reshaped."""
        return x.reshape(self.target(as_ints(shape), x.shape))

    def kept(self) -> int:
        """The leading zeros of a constant shape."""
        shape = constant_array(self.shape)
        if shape is None or integer(self.allowzero):
            return 0
        return next((i for i, s in enumerate(as_ints(shape)) if s), len(shape))

    def forwards(self) -> SSAValue | None:
        """The operand where the types are equal and all unknown sizes but one are copied from it."""
        shape, dims = constant_array(self.shape), dims_of(self.result.type)
        if shape is None or integer(self.allowzero):
            return super().forwards()
        loose = [d is None and s != 0 for d, s in zip(dims, as_ints(shape), strict=True)]
        known = product(d for d in dims if d is not None)
        return self.x if not any(loose) or (sum(loose) == 1 and known) else None


@irdl_op_definition
class FlattenOp(ReshapingOp):
    """`x` as a matrix: the dims before `axis` and the others. https://onnx.ai/onnx/operators/onnx__Flatten.html"""

    name = "nn.flatten"
    ONNX: ClassVar = Onnx("Flatten", since=1)

    x = operand_def(AnyTensor)
    axis = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    result = result_def(AnyTensor)

    def target(self, dims: Dims) -> Dims:
        """[product of the dims before `axis`, product of the others]"""
        axis, rank = integer(self.axis), len(dims)
        if not -rank <= axis <= rank:
            raise CompileError(f"axis {axis} is out of range for rank {rank}")
        axis += rank * (axis < 0)
        return product(dims[:axis]), product(dims[axis:])

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The matrix's type."""
        return tensor(x.element, self.target(x.dims))

    def evaluate(self, xp: Any, x: Array) -> Array:
        """`x` reshaped."""
        return x.reshape(self.target(x.shape))

    def kept(self) -> int:
        """The first dim, where it is one dim of `x`."""
        return int(integer(self.axis) in (1, 1 - len(dims_of(self.x.type))))


@irdl_op_definition
class SqueezeOp(ReshapingOp):
    """`x` without the size-1 dims `axes` (all of size 1 by default).

    ONNX Squeeze, https://onnx.ai/onnx/operators/onnx__Squeeze.html. An empty `axes` removes none. Where `axes` are
    `assumed`, they are those known to be of size 1 of a Squeeze without: that another one is 1 too is an error.
    """

    name = "nn.squeeze"
    ONNX: ClassVar = Onnx("Squeeze", since=1)
    HOST: ClassVar = frozenset({"axes"})

    x = operand_def(AnyTensor)
    axes = opt_operand_def(AnyTensor)
    assumed = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    result = result_def(AnyTensor)

    def target(self, axes: Sequence[int] | None, dims: Dims) -> Dims:
        """The dims that stay; raises CompileError where a removed one is not 1, or one that stays must not be."""
        if axes is None and None in dims:
            what = f"without axes, the rank of the result depends on the sizes of {format_dims(dims)}"
            raise UnsupportedError(what, hint="give axes, or declare the sizes")
        if axes is None:
            return tuple(d for d in dims if d != 1)
        removed = normalize_axes(axes, len(dims))
        if any(dims[a] not in (1, None) for a in removed):
            raise CompileError(f"axes {list(axes)} of {format_dims(dims)} are not all of size 1")
        kept = tuple(d for a, d in enumerate(dims) if a not in removed)
        if integer(self.assumed) and 1 in kept:
            what = f"without axes, more dims of {format_dims(dims)} are removed than {list(axes)}"
            raise AssumptionError(what, hint="ranks must be known before a network runs: give axes")
        return kept

    def infer(self, x: Abstract, axes: Abstract | None) -> TensorType[Attribute]:
        """The dims that stay; none is known where `axes` is not a constant."""
        if axes is not None and axes.value is None:
            if (count := count_of("axes", axes)) > x.rank:
                raise CompileError(f"{count} axes cannot be removed from {format_dims(x.dims)}")
            return tensor(x.element, [None] * (x.rank - count))
        return tensor(x.element, self.target(None if axes is None else axes.ints(), x.dims))

    def evaluate(self, xp: Any, x: Array, axes: Array | None) -> Array:
        """`x` reshaped."""
        return x.reshape(self.target(None if axes is None else as_ints(axes), x.shape))

    def kept(self) -> int:
        """The dims before the first axis."""
        axes, rank = constant_array(self.axes), len(dims_of(self.x.type))
        return 0 if axes is None else min(normalize_axes(as_ints(axes), rank), default=rank)

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """`axes` was an attribute before opset 13. Without, sizes that are not known are assumed not to be 1."""
        node.attribute_to_input("axes", 1)
        if node.input(1) is None and None in (dims := dims_of(node.required(0).type)):
            axes = node.constant(np.array([a for a, d in enumerate(dims) if d == 1], np.int64))
            return node.build(cls, node.required(0), axes, assumed=1)
        return super().import_node(node)


@irdl_op_definition
class UnsqueezeOp(ReshapingOp):
    """`x` with dims of size 1 at the places `axes` of the result.

    ONNX Unsqueeze, https://onnx.ai/onnx/operators/onnx__Unsqueeze.html
    """

    name = "nn.unsqueeze"
    ONNX: ClassVar = Onnx("Unsqueeze", since=1)
    HOST: ClassVar = frozenset({"axes"})

    x = operand_def(AnyTensor)
    axes = operand_def(AnyTensor)
    result = result_def(AnyTensor)

    def target(self, axes: Sequence[int], dims: Dims) -> Dims:
        """`dims` with ones put in."""
        rank = len(dims) + len(axes)
        added, rest = normalize_axes(axes, rank), iter(dims)
        return tuple(1 if a in added else next(rest) for a in range(rank))

    def infer(self, x: Abstract, axes: Abstract) -> TensorType[Attribute]:
        """`x`'s dims and ones; none is known where `axes` is not a constant."""
        values = axes.ints()
        dims = [None] * (x.rank + count_of("axes", axes)) if values is None else self.target(values, x.dims)
        return tensor(x.element, dims)

    def evaluate(self, xp: Any, x: Array, axes: Array) -> Array:
        """`x` reshaped."""
        return x.reshape(self.target(as_ints(axes), x.shape))

    def kept(self) -> int:
        """The dims before the first axis."""
        axes, rank = constant_array(self.axes), len(dims_of(self.result.type))
        return 0 if axes is None else min(normalize_axes(as_ints(axes), rank), default=rank)

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """`axes` was an attribute before opset 13."""
        node.attribute_to_input("axes", 1)
        return super().import_node(node)
