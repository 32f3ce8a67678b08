"""Elementwise ops, fused activations among them, each in one kernel whatever the broadcast."""

from __future__ import annotations

from functools import reduce

from ....dialects.nn.activation import ActivationAttr
from ....dialects.nn.activations import ActivationOp
from ....dialects.nn.base import NNOp
from ....dialects.nn.clip import ClipOp
from .. import Kernel, KernelContext
from . import expressions
from .maps import map_kernel
from .operands import all_floats, tensor_of, tensors
from .source import compute_type, literal
from .strided import Access, Aligned

_ANY_NUMBER = frozenset({"nn.add", "nn.sub", "nn.mul", "nn.where", "nn.equal", "nn.sum", "nn.max", "nn.min", "nn.relu"})
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


def expression_of(op: NNOp) -> str | None:
    """What `op` computes of floats, in `x0`, `x1`, ...; None where it is no op on elements with an expression."""
    dtype = tensor_of(op.results[0]).dtype
    if isinstance(op, ClipOp):
        low = "x0" if op.min is None else "larger(x0, x1)"
        return low if op.max is None else f"smaller({low}, x{len(op.operands) - 1})"
    if isinstance(op, ActivationOp):
        return expressions.ACTIVATIONS[op.kind()]("x0", dtype, op.parameters())
    if (join := expressions.FOLDS.get(op.name)) is None:
        return expressions.UNARY.get(op.name) or expressions.BINARY.get(op.name)
    type_, names = compute_type(dtype), [f"x{n}" for n in range(len(op.operands))]
    joined = reduce(lambda a, b: join.format(f"({type_})({a})", b), names)
    return f"({joined}) / {literal(len(names), dtype)}" if op.name == "nn.mean" else joined


def bind_elementwise(op: NNOp, context: KernelContext) -> Kernel | None:
    """Arithmetic on any number of operands, and activations; floats, and integers where C's arithmetic is ONNX's."""
    ins, (out,) = tensors(op)
    if not all_floats(out, *ins) and op.name not in _ANY_NUMBER:
        return None
    if op.name == "nn.pow" and ins[0].dtype != ins[1].dtype:
        return None
    expression = expression_of(op)
    assert expression is not None
    kernel = broadcast_kernel(op, expression)
    return lambda outs, ins: kernel(outs[0], *ins)


def bind_clip(op: ClipOp, context: KernelContext) -> Kernel | None:
    """Clip to bounds that are tensors of one element."""
    ins, (out,) = tensors(op)
    repeated = Access.broadcast(out.dtype, (), out.dims)
    walk = Access.broadcast(out.dtype, out.dims, out.dims)
    expression = expression_of(op)
    assert expression is not None
    kernel = map_kernel(op.name, out.dims, walk, [walk, *[repeated] * (len(ins) - 1)], expression)
    return lambda outs, ins: kernel(outs[0], *ins)
