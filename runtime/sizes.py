"""Limits on sizes: refused before anything is allocated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute

from ..dialects.nn.base import NNOp
from ..dialects.nn.containers import ContainerOp
from ..dialects.nn.if_op import IfOp
from ..dialects.nn.types import Abstract, dims_of, format_dims, is_static, is_tensor, num_bytes, tensor
from ..errors import CompileError
from ..rewriting import node_name

MAX_BYTES = 16 << 30
"""The default limit on a value's, and on the arena's, size in bytes."""

MAX_ITERATIONS = 200_000
"""The default limit on how often the bodies of a program's loops and branches run in one call: some seconds' worth."""


def count_body(count: int, limit: int) -> int:
    """`count` and one more; raises CompileError where that is over the limit: a loop may have no end."""
    if count >= limit:
        raise CompileError(f"its body has run {limit} times, which is the limit", hint="--max-iterations")
    return count + 1


def check_sizes(module: ModuleOp, max_bytes: int) -> None:
    """Refuse a module with a value, or an op at work, larger than `max_bytes`, before anything is allocated."""
    for op in module.walk():
        if isinstance(op, NNOp):
            for result in op.results:
                _check_size(result.type, node_name(op), max_bytes)
            known = all(is_static(v.type) for v in (*op.operands, *op.results))
            if known and (size := op.working_bytes()) > max_bytes:
                raise CompileError(
                    f"computing it needs {size} bytes, more than the limit of {max_bytes}",
                    node_name(op),
                    "--max-bytes",
                )


def _check_size(type_: Attribute, node: str, max_bytes: int) -> None:
    if (size := num_bytes(type_)) is not None and size > max_bytes:
        raise CompileError(
            f"a value of shape {format_dims(dims_of(type_))} needs {size} bytes, more than the limit of {max_bytes}",
            node,
            "--max-bytes",
        )


def _check_container(op: ContainerOp, operands: Sequence[Any], max_bytes: int) -> None:
    try:
        size = op.run_bytes(operands)
    except CompileError as e:
        raise e.at(node_name(op)) from None
    if size > max_bytes:
        raise CompileError(
            f"its result needs {size} bytes, more than the limit of {max_bytes}", node_name(op), "--max-bytes"
        )


def is_checked_in_run(op: NNOp) -> bool:
    """Whether an op may ask for a result larger than its type says: see `check_sizes_of_run`. An If's bodies do."""
    if isinstance(op, ContainerOp):
        return True
    return not isinstance(op, IfOp) and bool(op.host_operands()) and not all(is_static(r.type) for r in op.results)


def check_sizes_of_run(op: NNOp, operands: Sequence[Any], max_bytes: int) -> None:
    """Refuse an op whose operands, known now, ask for a result larger than `max_bytes`."""
    if isinstance(op, ContainerOp):
        _check_container(op, operands, max_bytes)
        return
    host = op.host_operands()
    known = [
        Abstract(tensor(v.type.element_type, a.shape), a if i in host else None) if is_tensor(v.type) else v.type
        for i, (v, a) in enumerate(zip(op.operands, operands, strict=True))
    ]
    try:
        inferred = op.infer(*op.arguments(known))
    except CompileError as e:
        raise e.at(node_name(op)) from None
    for type_ in inferred if isinstance(inferred, tuple) else (inferred,):
        _check_size(type_, node_name(op), max_bytes)
