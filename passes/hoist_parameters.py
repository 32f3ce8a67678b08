"""hoist-parameters: weight-only IR moves from @main into @prepare, which runs once, when the program is loaded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, cast

from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, OpResult, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.traits import Pure

from ..dialects.nn.base import NNOp
from ..dialects.nn.constant import ConstantOp, ParameterOp
from ..dialects.nn.regions import blocks_of
from ..dialects.nn.types import is_static


@dataclass(frozen=True)
class HoistParametersPass(ModulePass):
    """`%p = nn.reshape(nn.parameter "w")` in @main -> the reshape in @prepare, `%p = nn.parameter "prepared.<hash>"`.

    The bodies in @main are treated alike.

    The name is a hash of the IR that makes the value, so the pass is idempotent and programs of several shapes share
    prepared values. What only repeats a parameter (`NNOp.REPEATS`) stays: hoisting it would pin the repeated copies. So
    does what has a size that depends on data (NonZero): a parameter's type says all its sizes.
    """

    name = "hoist-parameters"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Hoist out of `func @main`, into a new or the existing `func @prepare`."""
        funcs = {f.sym_name.data: f for f in op.ops if isinstance(f, FuncOp)}
        if (main := funcs.get("main")) is None:
            return
        hoist = Hoist(funcs.get("prepare"))
        for block in blocks_of(main):
            hoist.run(block)
        if hoist.results and (func := hoist.function()) is not funcs.get("prepare"):
            op.body.block.insert_op_before(func, main)


@dataclass
class Hoist:
    """One run of the pass: what @prepare holds already, and what is added."""

    prepare: FuncOp | None
    block: Block = field(default_factory=Block)
    results: dict[str, SSAValue] = field(default_factory=dict[str, SSAValue])
    hashes: dict[SSAValue, str] = field(default_factory=dict[SSAValue, str])
    clones: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])

    def __post_init__(self) -> None:
        if self.prepare is None:
            return
        self.block = self.prepare.body.block
        returned = cast(ReturnOp, self.block.last_op)
        for entry, value in zip(self.prepare.res_attrs or (), returned.operands, strict=True):
            self.results[cast(StringAttr, entry.data["nn.name"]).data] = value

    def run(self, block: Block) -> None:
        """Replace the weight-only values that something else in the block reads."""
        weights: set[SSAValue] = set()
        for op in block.ops:
            known = all(is_static(r.type) for r in op.results)
            plain = isinstance(op, NNOp) and op.has_trait(Pure) and not op.regions
            if plain and known and all(v in weights for v in op.operands):
                weights.update(op.results)
        outside = [op for op in block.ops if not op.results or op.results[0] not in weights]
        read = [v for op in outside for v in op.operands if v in weights]
        replaced: dict[str, SSAValue] = {}
        while read:
            value = cast(OpResult, read.pop(0))
            if isinstance(value.op, ParameterOp | ConstantOp):
                continue
            if cast(NNOp, value.op).REPEATS:
                read += value.op.operands
                weights.difference_update(value.op.results)
                continue
            self._replace(value, block, weights, replaced)
        self._erase_dead(block)

    def _replace(self, value: OpResult, block: Block, weights: set[SSAValue], replaced: dict[str, SSAValue]) -> None:
        name = f"prepared.{self._hash(value)[:16]}"
        if name not in self.results:
            self.results[name] = self._clone(value)
        if name not in replaced:
            parameter = ParameterOp(name, value.type)
            parameter.location = value.op.location
            block.insert_op_before(parameter, cast(Operation, block.first_op))
            replaced[name] = parameter.result
            parameter.result.name_hint = value.name_hint
        value.replace_uses_with_if(
            replaced[name], lambda use: not use.operation.results or use.operation.results[0] not in weights
        )

    def _hash(self, value: SSAValue) -> str:
        """A hash of the IR that makes `value`: ops, attributes, types, and parameter names."""
        pending = [cast(OpResult, value)]
        while pending:
            current = pending[-1]
            unknown = [cast(OpResult, v) for v in current.op.operands if v not in self.hashes]
            if unknown:
                pending += unknown
                continue
            pending.pop()
            op = current.op
            parts = [op.name, *(f"{k}={v}" for k, v in sorted(op.properties.items()))]
            parts += [self.hashes[v] for v in op.operands]
            for result in op.results:
                text = "\n".join([*parts, str(result.type), str(result.index)])
                self.hashes[result] = hashlib.sha256(text.encode()).hexdigest()
        return self.hashes[value]

    def _clone(self, value: SSAValue) -> SSAValue:
        """`value` made anew in @prepare, with everything it needs that is not there yet."""
        last = self.block.last_op
        anchor = last if isinstance(last, ReturnOp) else None
        pending = [cast(OpResult, value)]
        while pending:
            op = pending[-1].op
            needed = [cast(OpResult, v) for v in op.operands if v not in self.clones]
            if needed:
                pending += needed
                continue
            pending.pop()
            if op.results[0] in self.clones:
                continue
            if isinstance(op, ParameterOp) and op.parameter.data in self.results:
                self.clones[op.result] = self.results[op.parameter.data]
                continue
            copy = op.clone(value_mapper=dict(self.clones))
            for old, new in zip(op.results, copy.results, strict=True):
                self.clones[old] = new
            if anchor is None:
                self.block.add_op(copy)
            else:
                self.block.insert_op_before(copy, anchor)
        return self.clones[value]

    def _erase_dead(self, block: Block) -> None:
        for op in reversed(list(block.ops)):
            if isinstance(op, NNOp) and not any(r.first_use for r in op.results):
                op.detach()
                op.erase()

    def function(self) -> FuncOp:
        """`func @prepare`, returning everything in `results` by name."""
        if isinstance(self.block.last_op, ReturnOp):
            last = self.block.last_op
            last.detach()
            last.erase()
        self.block.add_op(ReturnOp(*self.results.values()))
        named: list[Any] = [DictionaryAttr({"nn.name": StringAttr(n)}) for n in self.results]
        types = [v.type for v in self.results.values()]
        if self.prepare is not None:
            self.prepare.function_type = FunctionType.from_lists([], types)
            self.prepare.res_attrs = ArrayAttr(named)
            return self.prepare
        return FuncOp("prepare", ([], types), Region(self.block), res_attrs=ArrayAttr(named))
