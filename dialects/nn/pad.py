"""Padding (and, where a pad is negative, cropping)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import StringAttr, TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    prop_def,
    result_def,
)

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, OnnxNode, text
from .constant import constant_array
from .elementwise import same_element
from .shape import as_ints, normalize_axes
from .types import Abstract, Array, Dims, dtype_of, element_type, format_dims, product, tensor

Pads = list[tuple[int, int]]
"""How much is added (or, negative, cut off) before and after each axis."""


@irdl_op_definition
class PadOp(NNOp):
    """`x` with `pads` (all befores, then all afters) around the dims `axes` (by default all).

    ONNX Pad, https://onnx.ai/onnx/operators/onnx__Pad.html. `mode`: constant (`constant_value`, 0 by default),
    edge, reflect (without repeating the edge) or wrap. Negative pads crop, before anything is added.
    """

    name = "nn.pad"
    ONNX: ClassVar = Onnx("Pad", since=2)
    HOST: ClassVar = frozenset({"pads", "axes"})

    x = operand_def(AnyTensor)
    pads = operand_def(AnyTensor)
    constant_value = opt_operand_def(AnyTensor)
    axes = opt_operand_def(AnyTensor)
    mode = prop_def(StringAttr, default_value=StringAttr("constant"))
    result = result_def(AnyTensor)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def widths(self, pads: Sequence[int], axes: Sequence[int] | None, rank: int) -> Pads:
        """Before and after each axis; raises CompileError where `pads` do not fit."""
        padded = range(rank) if axes is None else normalize_axes(axes, rank)
        if len(pads) != 2 * len(padded):
            raise CompileError(f"{len(padded)} axes need {2 * len(padded)} pads, not {list(pads)}")
        result = [(0, 0)] * rank
        for i, axis in enumerate(padded):
            result[axis] = (pads[i], pads[i + len(padded)])
        return result

    def target(self, widths: Pads, dims: Dims) -> Dims:
        """The padded dims; raises CompileError where there is nothing to pad with."""
        if text(self.mode) != "constant":
            for (before, after), d in zip(widths, dims, strict=True):
                rest = None if d is None else d + min(before, 0) + min(after, 0)
                if rest is not None and rest < 1 and max(before, after) > 0:
                    raise CompileError(f"{format_dims(dims)} has no elements to pad with ({text(self.mode)})")
        return tuple(None if d is None else d + before + after for d, (before, after) in zip(dims, widths, strict=True))

    def infer(
        self, x: Abstract, pads: Abstract, constant_value: Abstract | None, axes: Abstract | None
    ) -> TensorType[Attribute]:
        """The padded dims; unknown along `axes` where `pads` is not a constant."""
        if text(self.mode) not in ("constant", "edge", "reflect", "wrap"):
            raise CompileError(f"mode '{text(self.mode)}' of nn.pad is unknown")
        if constant_value is not None:
            same_element(self.name, x, constant_value)
            if product(constant_value.dims) not in (1, None):
                raise CompileError(f"constant_value must be one number, not {format_dims(constant_value.dims)}")
        values, which = pads.ints(), None if axes is None else axes.ints()
        if axes is not None and which is None:
            return tensor(x.element, [None] * x.rank)
        if values is None:
            touched = range(x.rank) if which is None else normalize_axes(which, x.rank)
            if product(pads.dims) not in (2 * len(touched), None):
                raise CompileError(f"{len(touched)} axes need {2 * len(touched)} pads, not {product(pads.dims)}")
            return tensor(x.element, [None if a in touched else d for a, d in enumerate(x.dims)])
        return tensor(x.element, self.target(self.widths(values, which, x.rank), x.dims))

    def evaluate(self, xp: Any, x: Array, pads: Array, constant_value: Array | None, axes: Array | None) -> Array:
        """Crop, then pad axis by axis."""
        widths = self.widths(as_ints(pads), None if axes is None else as_ints(axes), x.ndim)
        target = self.target(widths, x.shape)
        if text(self.mode) == "constant":
            return _pad_with_constant(xp, x, widths, target, constant_value)
        for axis, pads_ in enumerate(widths):
            if any(pads_):
                indices = _source_indices(x.shape[axis], *pads_, text(self.mode))
                x = xp.take(x, xp.asarray(indices), axis=axis)
        return x

    def forwards(self) -> SSAValue | None:
        """The operand with no pads."""
        pads = constant_array(self.pads)
        return self.x if pads is not None and not pads.any() else None

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """`pads` and `value` were attributes before opset 11."""
        node.attribute_to_input("pads", 1)
        node.attribute_to_input("value", 2, dtype_of(element_type(node.required(0).type)))
        return super().import_node(node)


def _pad_with_constant(xp: Any, x: Array, widths: Pads, target: Dims, value: Array | None) -> Array:
    """A constant with what is left of `x` after cropping put into it."""
    result = xp.empty(target, x.dtype)
    result[...] = 0 if value is None else value.reshape(())
    inside: list[slice] = []
    kept: list[slice] = []
    for size, (before, after), new in zip(x.shape, widths, result.shape, strict=True):
        first, last = max(0, -before), size + min(after, 0)
        kept.append(slice(first, max(first, last)))
        start = min(max(before, 0), new)
        inside.append(slice(start, start + max(last - first, 0)))
    result[tuple(inside)] = x[tuple(kept)]
    return result


def _source_indices(size: int, before: int, after: int, mode: str) -> Array:
    """Where each element along a padded axis comes from; negative pads crop first, as in ONNX Runtime."""
    first, last = max(0, -before), size + min(after, 0)
    size = last - first
    places = np.arange(-max(before, 0), size + max(after, 0))
    if mode == "edge" or size <= 1:
        return first + np.clip(places, 0, max(size - 1, 0))
    if mode == "wrap":
        return first + places % size
    period = 2 * (size - 1)
    folded = places % period
    return first + np.minimum(folded, period - folded)
