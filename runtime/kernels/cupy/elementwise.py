"""Elementwise ops, fused activations among them, each in one kernel whatever the broadcast."""

from __future__ import annotations

from functools import reduce

from ....dialects.nn.activation import ActivationAttr
from ....dialects.nn.activations import ActivationOp
from ....dialects.nn.base import NNOp
from ....dialects.nn.clip import ClipOp
from .. import Kernel, KernelContext
from . import expressions
from .operands import all_floats, tensors
from .source import compute_type, literal
from .strided import Access, Aligned, map_kernel

_ANY_NUMBER = frozenset({"nn.add", "nn.sub", "nn.mul", "nn.where", "nn.equal", "nn.sum", "nn.max", "nn.min"})
"""Ops whose expression is right for integers too."""


def activation_expression(activation: ActivationAttr | None, x: str, dtype: str) -> str | None:
    """The activation of `x` in C, `x` itself where there is none; None for an activation without an expression."""
    if activation is None:
        return x
    write = expressions.ACTIVATIONS.get(activation.kind.data)
    return None if write is None else write(x, dtype, activation.values)


def broadcast_kernel(op: NNOp, expression: str) -> Aligned:
    """`expression` of an op's operands broadcast to its only result."""
    ins, (out,) = tensors(op)
    accesses = [Access.broadcast(i.dtype, i.dims, out.dims) for i in ins]
    result = Access.broadcast(out.dtype, out.dims, out.dims)
    return map_kernel(op.name, out.dims, result, accesses, expression, expressions.FUNCTIONS)


def bind_elementwise(op: NNOp, context: KernelContext) -> Kernel | None:
    """Arithmetic on any number of operands; floats, and integers where C's arithmetic is ONNX's."""
    ins, (out,) = tensors(op)
    if not all_floats(out, *ins) and op.name not in _ANY_NUMBER:
        return None
    if op.name == "nn.pow" and ins[0].dtype != ins[1].dtype:
        return None
    kernel = broadcast_kernel(op, _expression(op, len(ins), out.dtype))
    return lambda outs, ins: kernel(outs[0], *ins)


def _expression(op: NNOp, count: int, dtype: str) -> str:
    if (join := expressions.FOLDS.get(op.name)) is None:
        return expressions.UNARY.get(op.name) or expressions.BINARY[op.name]
    type_ = compute_type(dtype)
    joined = reduce(lambda a, b: join.format(f"({type_})({a})", b), [f"x{n}" for n in range(count)])
    return f"({joined}) / {literal(count, dtype)}" if op.name == "nn.mean" else joined


def bind_activation(op: ActivationOp, context: KernelContext) -> Kernel | None:
    """An activation as an op of its own: on floats, and Relu on integers too."""
    ins, (out,) = tensors(op)
    if not all_floats(*ins) and op.name != "nn.relu":
        return None
    write = expressions.ACTIVATIONS[op.kind()]
    kernel = broadcast_kernel(op, write("x0", out.dtype, op.parameters()))
    return lambda outs, ins: kernel(outs[0], ins[0])


def bind_clip(op: ClipOp, context: KernelContext) -> Kernel | None:
    """Clip to bounds that are tensors of one element."""
    ins, (out,) = tensors(op)
    repeated = Access.broadcast(out.dtype, (), out.dims)
    walk = Access.broadcast(out.dtype, out.dims, out.dims)
    expression = "x0" if op.min is None else "larger(x0, x1)"
    if op.max is not None:
        expression = f"smaller({expression}, x{len(ins) - 1})"
    kernel = map_kernel(op.name, out.dims, walk, [walk, *[repeated] * (len(ins) - 1)], expression)
    return lambda outs, ins: kernel(outs[0], *ins)
