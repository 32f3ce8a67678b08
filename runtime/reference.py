"""Running IR op by op through `compute`: @prepare at load, and the float64 oracle of tests and `--compare`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation

from ..dialects.nn.base import NNOp
from ..dialects.nn.constant import ParameterOp
from ..dialects.nn.regions import RegionOp, Runner, run_block
from ..dialects.nn.types import Array, as_tensor, dims_of, dtype_of, element_of, format_dims, is_float, num_bytes
from ..dialects.nn.value_types import arrays_in
from ..errors import CompileError
from ..rewriting import node_name
from .sizes import MAX_BYTES, MAX_ITERATIONS, count_body
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
    if func.body.block.last_op is None or not isinstance(func.body.block.last_op, ReturnOp):
        raise CompileError(f"func @{func.sym_name.data} does not return")
    results = Evaluator(parameters, xp, wide).run(func.body.block, arguments)
    return [map_arrays(r, xp.asarray) for r in results]


HOST_BYTES = 1 << 16
"""What ops read and write on the host rather than on a device, where a launch, and compiling it, would take longer."""


class Evaluator:
    """Runs blocks op by op through `compute`; see `evaluate`."""

    max_bytes = MAX_BYTES

    def __init__(self, parameters: Callable[[str], Array], xp: Any, wide: bool):
        self._parameters, self._xp, self._wide = parameters, xp, wide
        self._bodies = 0

    def run(self, block: Block, arguments: Sequence[Any]) -> list[Any]:
        """What the block's terminator reads."""
        return run_block(block, [self._widen(a) for a in arguments], self._run_op)

    def _run_op(self, op: Operation, operands: Sequence[Any]) -> Sequence[Any]:
        """The results of one op, on the host where all is small; HOST operands are brought to NumPy."""
        if isinstance(op, ParameterOp):
            value = self._widen(checked_parameter(op, self._parameters))
            return (value if value.nbytes <= HOST_BYTES else self._xp.asarray(value),)
        if not isinstance(op, NNOp):
            raise CompileError(f"'{op.name}' cannot be run", node_name(op))
        host = op.host_operands()
        xp = np if self._xp is np or _is_small(op, operands) else self._xp
        values = [map_arrays(v, to_host if i in host else xp.asarray) for i, v in enumerate(operands)]
        try:
            with np.errstate(all="ignore"):
                results = self._compute(op, xp, values)
        except CompileError as e:
            raise e.at(node_name(op)) from None
        except (ValueError, IndexError, ZeroDivisionError) as e:
            raise CompileError(f"{op.name} cannot be computed: {e}", node_name(op)) from None
        # Constants are f32 as they stand in the text: what is computed from them only must be in float64 too.
        floats = any(_is_float(a) for value in values for a in arrays_in(value))
        return results if floats else [self._widen(r) for r in results]

    def _compute(self, op: NNOp, xp: Any, values: Sequence[Any]) -> Sequence[Any]:
        if not isinstance(op, RegionOp):
            return op.compute(xp, values)

        def run(body: int, arguments: Sequence[Any]) -> Sequence[Any]:
            self._bodies = count_body(self._bodies, MAX_ITERATIONS)
            return self.run(op.body(body), arguments)

        return [self._widen(r) for r in op.compute(xp, values, Runner(run, self.max_bytes))]

    def _widen(self, value: Any) -> Any:
        return map_arrays(value, _widened) if self._wide else value


def _is_small(op: NNOp, operands: Sequence[Any]) -> bool:
    """Whether an op reads and writes little, all of which is on the host."""
    arrays = [a for value in operands for a in arrays_in(value)]
    sizes = [*(a.nbytes for a in arrays), *(num_bytes(r.type) for r in op.results)]
    known = [size for size in sizes if size is not None]
    return all(type(a) is np.ndarray for a in arrays) and len(known) == len(sizes) and sum(known) <= HOST_BYTES


def _widened(array: Array) -> Array:
    return array.astype(np.float64) if _is_float(array) else array


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


def _is_float(array: Array) -> bool:
    return is_float(element_of(array.dtype))
