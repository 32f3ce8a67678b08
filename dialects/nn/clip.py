"""Clip, and what it shares with Relu, which is a Clip from 0 to infinity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import AttrSizedOperandSegments, irdl_op_definition, operand_def, opt_operand_def
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern

from ...errors import CompileError
from ...rewriting import replace
from .activation import ActivationAttr
from .activations import ActivationOp, ReluOp
from .base import AnyTensor, NNOp, Onnx, OnnxNode
from .constant import ConstantOp, constant_array
from .elementwise import require_number, same_element
from .types import Abstract, Array, dtype_of, element_type, format_dims, is_float, product

F32_MAX = float(np.finfo(np.float32).max)


@irdl_op_definition
class ClipOp(ActivationOp):
    """`min(max(x, min), max)`, so `max` where min > max. ONNX Clip, https://onnx.ai/onnx/operators/onnx__Clip.html

    The bounds are tensors of one element; an absent one bounds nothing (an infinity stays an infinity). Below opset 11
    they are attributes, of which the largest f32 and its negative are the defaults: those count as absent.
    """

    name = "nn.clip"
    ONNX: ClassVar = Onnx("Clip", since=6)

    x = operand_def(AnyTensor)
    min = opt_operand_def(AnyTensor)
    max = opt_operand_def(AnyTensor)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def infer(self, x: Abstract, min: Abstract | None, max: Abstract | None) -> TensorType[Attribute]:
        """The type of `x`."""
        bounds = [b for b in (min, max) if b is not None]
        require_number(self.name, same_element(self.name, x, *bounds))
        for bound in bounds:
            if product(bound.dims) not in (1, None):
                raise CompileError(f"a bound of {self.name} must have one element, not {format_dims(bound.dims)}")
        return x.type

    def evaluate(self, xp: Any, x: Array, min: Array | None, max: Array | None) -> Array:
        """`min(max(x, min), max)`"""
        if min is None and max is None:
            return x
        out = xp.empty_like(x)
        if min is not None:
            x = xp.maximum(x, min.reshape(()), out=out)
        return x if max is None else xp.minimum(x, max.reshape(()), out=out)

    def activation(self) -> ActivationAttr | str:
        """`clip<min, max>`, or `relu`; not where the bounds are no constants, or no f32 numbers."""
        bounds = clamp_bounds(self)
        if bounds is None:
            return "its bounds are not constant"
        if not is_float(element_type(self.x.type)):
            return "its operand is not of a float type"
        if any(math.isnan(b) or float(np.float32(b)) != b for b in bounds):
            return f"its bounds {bounds[0]} and {bounds[1]} are not f32 numbers"
        return ActivationAttr.of("relu") if bounds == (0, math.inf) else ActivationAttr.of("clip", *bounds)

    @classmethod
    def written(cls, x: SSAValue, activation: ActivationAttr) -> list[NNOp] | None:
        """`clip<min, max>`"""
        if activation.kind.data != "clip":
            return None
        low, high = activation.values
        return clamp(x, (low, high), x.type)

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """Bounds that are attributes (opset < 11) become constants."""
        if node.opset < 11:
            dtype = dtype_of(element_type(node.required(0).type))
            for index, (name, default) in enumerate((("min", -F32_MAX), ("max", F32_MAX)), start=1):
                if node.attributes.get(name) == default:
                    del node.attributes[name]
                with np.errstate(over="ignore"):  # a bound beyond an f16's range is an infinite one
                    node.attribute_to_input(name, index, dtype)
        return super().import_node(node)

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """Without bounds: nothing; from 0 to infinity: nn.relu; after another Clip or Relu: one of them."""
        return SimplifyClip(), MergeClamps()


Bounds = tuple[float, float]
"""The bounds of a Clip or Relu as Python numbers (ints for integer operands), infinite where absent."""


def clamp_bounds(op: Operation) -> Bounds | None:
    """The bounds of an nn.clip whose bounds are constants or absent, or of an nn.relu; None for other operations."""
    if isinstance(op, ReluOp):
        return 0, math.inf
    if not isinstance(op, ClipOp):
        return None
    low = -math.inf if op.min is None else _constant_number(op.min)
    high = math.inf if op.max is None else _constant_number(op.max)
    return None if low is None or high is None else (low, high)


def _constant_number(value: SSAValue) -> float | None:
    array = constant_array(value)
    if array is None or array.size != 1:
        return None
    return float(array.reshape(-1)[0]) if is_float(element_type(value.type)) else int(array.reshape(-1)[0])


def clamp(x: SSAValue, bounds: Bounds, result_type: Attribute) -> list[NNOp]:
    """`x` clipped to `bounds`: an nn.relu from 0 to infinity, else an nn.clip after constants for its bounds."""
    element = element_type(result_type)
    if bounds == (0, math.inf) and is_float(element):
        return [ReluOp(x, result_types=[result_type])]
    absent = zip(bounds, (-math.inf, math.inf), strict=True)
    constants = [None if b == none else ConstantOp.of(np.asarray(b, dtype_of(element))) for b, none in absent]
    low, high = (None if c is None else c.result for c in constants)
    return [*(c for c in constants if c is not None), ClipOp(x, low, high, result_types=[result_type])]


class SimplifyClip(RewritePattern):
    """`clip(x, -inf, inf)` -> `x`; `clip(x, 0, inf)` -> `relu(x)` (floats); an infinite bound is left out."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """Only with constant bounds; an infinite lower bound of +inf (or upper one of -inf) is not an absent one."""
        if not isinstance(op, ClipOp) or (bounds := clamp_bounds(op)) is None:
            return
        if bounds[0] == math.inf or bounds[1] == -math.inf:
            return
        if bounds == (-math.inf, math.inf) and op.x.type == op.result.type:
            replace(rewriter, op, [], [op.x])
            return
        spare = any(b is not None and math.isinf(v) for b, v in zip((op.min, op.max), bounds, strict=True))
        if spare or (bounds == (0, math.inf) and is_float(element_type(op.x.type))):
            replace(rewriter, op, clamp(op.x, bounds, op.result.type))


class MergeClamps(RewritePattern):
    """`clip(clip(x, a, b), c, d)` -> `clip(x, a', b')`, exactly, where a <= b and c <= d; nn.relu is clip(0, inf).

    Where the first already does what both do, the second goes; else the first must have no other use, lest its
    producer get a second use and fuse with neither.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """Only with constant bounds."""
        outer = clamp_bounds(op)
        if outer is None or not isinstance(op, ActivationOp) or not isinstance(op.x.owner, ActivationOp):
            return
        first = op.x.owner
        inner = clamp_bounds(first)
        if inner is None or not (inner[0] <= inner[1] and outer[0] <= outer[1]):
            return
        low, high = (min(max(b, outer[0]), outer[1]) for b in inner)
        if (low, high) == inner and op.x.type == op.result.type:
            replace(rewriter, op, [], [op.x])
        elif op.x.has_one_use() and math.inf not in (low, -high):
            replace(rewriter, op, clamp(first.x, (low, high), op.result.type), absorbed=[first])
