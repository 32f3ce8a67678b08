"""Single calls cut out of a network, to be timed by themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, TensorType, UnitAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, BlockArgument, SSAValue

from ..dialects.nn.base import NNOp
from ..dialects.nn.constant import ConstantOp, is_weight
from ..dialects.nn.index import SliceOp
from ..dialects.nn.join import ConcatOp
from ..dialects.nn.types import dims_of, dtype_of, element_type, static_dims, tensor
from ..passes.plan_memory import PITCH

AROUND = "nn.around"
"""Marks an argument that stands for the network around the call: what reads it is not the call's."""


def fragment(op: NNOp) -> tuple[ModuleOp, NNOp]:
    """A module whose `@main` is a copy of one op, of its arguments, and that copy; weights are marked `nn.weight`.

    Where the rows of its result lie apart, they do in the module: in a concatenation with another argument.
    """
    values = list(dict.fromkeys(op.operands))
    types, marks = [v.type for v in values], [{"nn.weight": UnitAttr()} if is_weight(v) else {} for v in values]
    if PITCH in op.attributes:
        types.append(_rest_of_rows(op))
        marks.append({AROUND: UnitAttr()})
    attributes = ArrayAttr([DictionaryAttr(mark) for mark in marks])
    func = FuncOp("main", (types, list(op.result_types)), arg_attrs=attributes)
    block = func.body.block
    copy = op.clone(value_mapper=dict(zip(values, block.args, strict=False)))
    block.add_op(copy)
    results: Sequence[SSAValue] = copy.results
    if PITCH in op.attributes:
        around = _in_rows(copy.results[0], block.args[-1])
        block.add_ops(around)
        results = around[-1].results
    block.add_op(ReturnOp(*results))
    return ModuleOp([func]), copy


def _rest_of_rows(op: NNOp) -> TensorType[Attribute]:
    """What lies between the rows of an op's result."""
    type_ = op.results[0].type
    pitch = cast(Any, op.attributes[PITCH]).get_values()[0]
    *outer, row = static_dims(dims_of(type_))
    return tensor(element_type(type_), (*outer, pitch // dtype_of(element_type(type_)).itemsize - row))


def _in_rows(piece: SSAValue, rest: SSAValue) -> list[NNOp]:
    """The concatenation of both in each row, and the piece out of it again."""
    axis, size = len(dims_of(piece.type)) - 1, static_dims(dims_of(piece.type))[-1]
    whole = ConcatOp([piece, rest], axis=axis)
    bounds = [ConstantOp.of(np.array([n], np.int64)) for n in (0, size, axis)]
    return [whole, *bounds, SliceOp(whole.result, *(b.result for b in bounds))]


def is_around(argument: BlockArgument) -> bool:
    """Whether an argument of a fragment stands for the network around the call."""
    func = argument.owner.parent_op()
    marks = func.arg_attrs if isinstance(func, FuncOp) else None
    return marks is not None and AROUND in cast(Any, marks.data[argument.index]).data


def describe(op: NNOp) -> str:
    """What an op computes: its name, fields, types and how its rows lie; equal for ops that one choice serves."""
    fields = sorted(f"{name}={value}" for name, value in op.properties.items() if name != "plan")
    fields += [f"{PITCH}={op.attributes[PITCH]}"] if PITCH in op.attributes else []
    operands = [f"{'w' if is_weight(v) else 'x'}:{v.type}" for v in op.operands]
    parts = f"{op.name} {' '.join(fields)} ({', '.join(operands)}) -> {', '.join(str(t) for t in op.result_types)}"
    return f"{op.name} {hashlib.sha256(parts.encode()).hexdigest()[:24]}"
