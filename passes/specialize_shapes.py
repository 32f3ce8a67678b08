"""specialize-shapes: bind symbolic dims, infer every type again, fold what became constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Operation
from xdsl.passes import ModulePass
from xdsl.transforms.dead_code_elimination import region_dce

from ..dialects.nn.types import dims_of, is_tensor, tensor
from ..errors import CompileError
from .inference import Inference


@dataclass(frozen=True)
class SpecializeShapesPass(ModulePass):
    """`func @main(tensor<?x3xf32> {nn.dims = ["N", ""]})` with `dims="N=8"` -> `func @main(tensor<8x3xf32>)`.

    One forward walk: each op's types are inferred again from its operands' and merged with what was declared; ops
    whose operands are inline constants (and Shape of a static type) become constants. Dead ops are removed.
    """

    name = "specialize-shapes"

    dims: str = ""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Specialise every function that has arguments."""
        bindings = parse_dims(self.dims)
        used: set[str] = set()
        for func in op.ops:
            if isinstance(func, FuncOp):
                if bindings:
                    name_dims(func)
                used |= specialize(func, bindings)
                region_dce(func.body)
        if unknown := sorted(bindings.keys() - used):
            raise CompileError(f"no input has a dimension named {', '.join(repr(n) for n in unknown)}")


def parse_dims(text: str) -> dict[str, int]:
    """`"N=8,M=3"` as a dict; raises CompileError on anything else."""
    bindings: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        name, separator, size = part.rpartition("=")
        if not separator or not size.strip().isdecimal():
            raise CompileError(f"'{part}' is no dimension binding", hint="write NAME=SIZE")
        bindings[name.strip()] = int(size)
    return bindings


def specialize(func: FuncOp, bindings: dict[str, int]) -> set[str]:
    """Bind, re-infer and fold one function; the names that were bound."""
    used = _bind_arguments(func, bindings)
    Inference().walk(func.body.block)
    returned = cast(Operation, func.body.block.last_op)
    results = [v.type for v in returned.operands]
    func.update_function_type()
    if func.res_attrs is not None:
        func.res_attrs = ArrayAttr([_unbound(a, t) for a, t in zip(func.res_attrs, results, strict=True)])
    return used


def _bind_arguments(func: FuncOp, bindings: dict[str, int]) -> set[str]:
    used: set[str] = set()
    if func.arg_attrs is None:
        return used
    attributes: list[Any] = []
    for argument, entry in zip(func.body.block.args, func.arg_attrs, strict=True):
        if not is_tensor(argument.type):
            attributes.append(entry)
            continue
        names = dim_names(entry)
        dims = list(dims_of(argument.type))
        for axis, name in enumerate(names):
            if dims[axis] is None and name in bindings:
                dims[axis] = bindings[name]
                used.add(name)
        argument._type = tensor(argument.type.element_type, dims)
        attributes.append(_unbound(entry, argument.type))
    func.arg_attrs = ArrayAttr(attributes)
    return used


def dim_names(entry: DictionaryAttr) -> list[str]:
    """The names in an argument's (or result's) `nn.dims`, "" for a static dim; [] where it has none."""
    names = entry.data.get("nn.dims")
    return [n.data for n in cast(ArrayAttr[StringAttr], names)] if isinstance(names, ArrayAttr) else []


def name_dims(func: FuncOp) -> None:
    """Give each unknown dim of an argument that has no name one, `<argument>_dim_<axis>`, so that it can be bound."""
    attributes: list[Any] = []
    given: list[Any] = list(func.arg_attrs or [DictionaryAttr({})] * len(func.args))
    for index, (argument, entry) in enumerate(zip(func.args, given, strict=True)):
        dims = dims_of(argument.type) if is_tensor(argument.type) else ()
        names = dim_names(entry) or [""] * len(dims)
        label = entry.data.get("nn.name")
        base = label.data if isinstance(label, StringAttr) else f"value_{index}"
        named = [
            n or (f"{base}_dim_{a}" if d is None else "") for a, (n, d) in enumerate(zip(names, dims, strict=True))
        ]
        data = dict(entry.data)
        if any(named):
            data["nn.dims"] = ArrayAttr([StringAttr(n) for n in named])
        attributes.append(DictionaryAttr(data))
    func.arg_attrs = ArrayAttr(attributes)


def _unbound(entry: DictionaryAttr, type_: Attribute) -> DictionaryAttr:
    """`entry` with the names of the dims that are still unknown only."""
    dims = dims_of(type_) if is_tensor(type_) else ()
    kept = [n if size is None else "" for n, size in zip(dim_names(entry), dims, strict=False)]
    data = {k: v for k, v in entry.data.items() if k != "nn.dims"}
    if any(kept):
        data["nn.dims"] = ArrayAttr([StringAttr(n) for n in kept])
    return DictionaryAttr(data)
