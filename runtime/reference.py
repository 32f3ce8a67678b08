"""Running IR op by op through `compute`: @prepare at load, and the float64 oracle of tests and `--compare`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue

from ..dialects.nn.base import NNOp
from ..dialects.nn.constant import ParameterOp
from ..dialects.nn.types import Array, as_tensor, dims_of, dtype_of, element_of, format_dims, is_float
from ..dialects.nn.value_types import arrays_in
from ..errors import CompileError
from ..rewriting import node_name
from .values import map_arrays


def function(module: ModuleOp, name: str) -> FuncOp | None:
    """The function `name` of a module, if it has one."""
    for op in module.ops:
        if isinstance(op, FuncOp) and op.sym_name.data == name:
            return op
    return None


def main_function(module: ModuleOp) -> FuncOp:
    """`func @main`; raises CompileError where there is none, or not of one block."""
    func = function(module, "main")
    if func is None or len(func.body.blocks) != 1:
        raise CompileError("the module has no 'func.func @main' of one block")
    return func


def value_names(attributes: Any, count: int) -> list[str]:
    """The `nn.name`s among the attributes of arguments or results, in order."""
    names: list[str] = []
    for entry in attributes or ():
        name = entry.data.get("nn.name")
        names.append(name.data if isinstance(name, StringAttr) else "")
    names += [""] * (count - len(names))
    return [n or f"value_{i}" for i, n in enumerate(names)]


def evaluate(
    func: FuncOp,
    arguments: Sequence[Any],
    parameters: Callable[[str], Array],
    xp: Any = np,
    wide: bool = False,
) -> list[Any]:
    """The results of `func` on arrays of `xp`; `wide` computes f32 (and narrower) floats in float64.

    Sequences are tuples of arrays, optionals a value or None, among the arguments and the results.
    """
    values: dict[SSAValue, Any] = {}
    for argument, value in zip(func.body.block.args, arguments, strict=True):
        values[argument] = map_arrays(value, _widen) if wide else value
    for op, last in _with_last_uses(func):
        if isinstance(op, ReturnOp):
            return [values[v] for v in op.operands]
        for value, array in zip(op.results, run_op(op, values, parameters, xp, wide), strict=True):
            values[value] = array
        for value in last:
            values.pop(value, None)
    raise CompileError(f"func @{func.sym_name.data} does not return")


def run_op(
    op: Operation, values: dict[SSAValue, Any], parameters: Callable[[str], Array], xp: Any, wide: bool
) -> Sequence[Any]:
    """The results of one op; HOST operands are brought to NumPy."""
    if isinstance(op, ParameterOp):
        array = xp.asarray(checked_parameter(op, parameters))
        return (_widen(array) if wide else array,)
    if not isinstance(op, NNOp):
        raise CompileError(f"'{op.name}' cannot be run", node_name(op))
    host = op.host_operands()
    arrays = [map_arrays(values[v], to_host) if i in host else values[v] for i, v in enumerate(op.operands)]
    try:
        with np.errstate(all="ignore"):
            results = op.compute(xp, arrays)
    except CompileError as e:
        raise e.at(node_name(op)) from None
    except (ValueError, IndexError, ZeroDivisionError) as e:
        raise CompileError(f"{op.name} cannot be computed: {e}", node_name(op)) from None
    # Constants are f32 as they stand in the text: what is computed from them only must be in float64 too.
    floats = any(_is_float(a) for value in arrays for a in arrays_in(value))
    return [map_arrays(r, _widen) for r in results] if wide and not floats else results


def checked_parameter(op: ParameterOp, parameters: Callable[[str], Array]) -> Array:
    """The parameter's value; raises CompileError where it is missing or of another type than the IR says."""
    name = op.parameter.data
    try:
        array = parameters(name)
    except KeyError:
        raise CompileError(f"the parameter '{name}' is not in the parameter file", node_name(op)) from None
    type_ = as_tensor(op.result.type)
    if tuple(array.shape) != dims_of(type_) or array.dtype != dtype_of(type_.element_type):
        raise CompileError(
            f"the parameter '{name}' is {format_dims(array.shape)} {array.dtype}, but the IR says {type_}",
            node_name(op),
        )
    return array


def to_host(array: Array) -> Array:
    """A NumPy array of the same value."""
    return array if type(array) is np.ndarray else array.get()


def _widen(array: Array) -> Array:
    return array.astype(np.float64) if _is_float(array) else array


def _is_float(array: Array) -> bool:
    return is_float(element_of(array.dtype))


def _with_last_uses(func: FuncOp) -> Iterator[tuple[Operation, list[SSAValue]]]:
    """Each op with the values nothing reads after it."""
    ops = list(func.body.block.ops)
    last: dict[SSAValue, int] = {}
    for index, op in enumerate(ops):
        for value in (*op.operands, *op.results):
            last[value] = index
    dying: list[list[SSAValue]] = [[] for _ in ops]
    for value, index in last.items():
        dying[index].append(value)
    return zip(ops, dying, strict=True)
