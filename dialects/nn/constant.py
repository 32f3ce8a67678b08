"""Values that do not depend on the network's inputs: inline constants and parameters, and folding to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

import ml_dtypes
import numpy as np
from xdsl.dialect_interfaces.constant_materialization import ConstantMaterializationInterface
from xdsl.dialects.builtin import (
    BytesAttr,
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    StringAttr,
    TensorType,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, BlockArgument, Operation, OpResult, SSAValue
from xdsl.irdl import irdl_op_definition, prop_def, result_def, traits_def
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import ConstantLike, Pure

from ...errors import CompileError, UnsupportedError
from .base import AnyTensor, NNOp, Onnx, OnnxNode
from .types import (
    STORED_INTS,
    Array,
    dims_of,
    dtype_of,
    element_of,
    element_type,
    holds_floats,
    num_bytes,
    product,
    static_dims,
    tensor,
)

MAX_INTS = 1024
MAX_FLOATS = 16


def may_be_inline(element: Attribute, count: int | None) -> bool:
    """Whether a constant of `count` elements may stand in the IR text, where rewrites can look at it."""
    if count is None:
        return False
    return count <= 1 or count <= (MAX_FLOATS if holds_floats(element) else MAX_INTS)


def constant_attribute(array: Array) -> Attribute:
    """The inline attribute of an array: a `FloatAttr` or `IntegerAttr` for one element, else `dense`."""
    array = np.asarray(array)
    element = element_of(array.dtype)
    if array.size == 1:
        item = array.reshape(-1)[0]
        return (
            FloatAttr(float(item), cast(Any, element))
            if holds_floats(element)
            else IntegerAttr(int(item), cast(IntegerType, element))
        )
    if element in STORED_INTS:
        array = array.astype(byte_type(array.dtype))
    return DenseIntOrFPElementsAttr(
        cast(Any, tensor(element, array.shape)), BytesAttr(np.ascontiguousarray(array).tobytes())
    )


def byte_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type of a byte with a narrower integer's value, sign included: what xDSL keeps in a `dense`."""
    return np.dtype(np.int8 if ml_dtypes.iinfo(dtype).min else np.uint8)


@irdl_op_definition
class ConstantOp(NNOp):
    """A constant that stands in the text. ONNX Constant, https://onnx.ai/onnx/operators/onnx__Constant.html

    One element of any type is written as a number, exactly (floats as `FloatAttr`, so that inf and nan survive); up to
    1,024 integers or 16 finite floats as `dense`. Larger constants are parameters.
    """

    name = "nn.constant"
    ONNX: ClassVar = Onnx("Constant")

    value = prop_def()
    result = result_def(AnyTensor)

    traits = traits_def(ConstantLike())

    @classmethod
    def of(cls, array: Array) -> ConstantOp:
        """The constant with the value (and shape) of `array`."""
        array = np.asarray(array)
        return cls(value=constant_attribute(array), result_types=[tensor(element_of(array.dtype), array.shape)])

    def infer(self) -> TensorType[Attribute]:
        """The declared type, where it fits the value."""
        type_ = self.result.type
        count = product(static_dims(dims_of(type_)))
        value = self.value
        if isinstance(value, DenseIntOrFPElementsAttr):
            if value.get_shape() != dims_of(type_) or value.get_element_type() != type_.element_type:
                raise CompileError(f"nn.constant of type {type_} holds a value of type {cast(Any, value).type}")
            if not may_be_inline(type_.element_type, count):
                raise CompileError(f"nn.constant of {count} elements", hint="use nn.parameter")
            if count and not np.isfinite(self.literal().astype(np.float64)).all():
                raise CompileError("nn.constant refuses a non-finite dense", hint="use nn.parameter")
        elif (
            not isinstance(value, FloatAttr | IntegerAttr) or count != 1 or cast(Any, value).type != type_.element_type
        ):
            raise CompileError(f"nn.constant of type {type_} cannot hold {value}")
        return type_

    def literal(self) -> Array:
        """The value as a (read-only) NumPy array."""
        dtype, dims = dtype_of(element_type(self.result.type)), static_dims(dims_of(self.result.type))
        value = self.value
        if isinstance(value, DenseIntOrFPElementsAttr):
            if dtype == np.bool_:  # the parser writes `true` as 255, which is no NumPy bool
                return np.frombuffer(value.data.data, np.uint8).reshape(dims) != 0
            if element_type(self.result.type) in STORED_INTS:
                return np.frombuffer(value.data.data, byte_type(dtype)).astype(dtype).reshape(dims)
            return np.frombuffer(value.data.data, dtype).reshape(dims)
        assert isinstance(value, FloatAttr | IntegerAttr)
        array = np.full(dims, value.value.data, dtype)
        array.flags.writeable = False
        return array

    def evaluate(self, xp: Any) -> Array:
        """The value."""
        return xp.asarray(self.literal())

    def fold(self) -> Sequence[SSAValue | Attribute] | None:
        """A constant is its value; xDSL's folder leaves it where it is."""
        return None

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """`value`, `value_int(s)` or `value_float(s)`; a large one becomes a parameter."""
        if len(node.attributes) != 1:
            raise CompileError(f"Constant needs one attribute with its value, but has {len(node.attributes)}")
        ((name, value),) = node.attributes.items()
        dtypes = {
            "value_int": np.int64,
            "value_ints": np.int64,
            "value_float": np.float32,
            "value_floats": np.float32,
        }
        if name != "value" and name not in dtypes:
            raise UnsupportedError(f"Constant with the attribute '{name}' is not supported")
        return [node.constant(np.asarray(value, dtypes.get(name)))]

    def print(self, printer: Printer) -> None:
        """`nn.constant dense<[1, 2]> : tensor<2xi64>`, `nn.constant 0.5 : f32 as tensor<1xf32>`."""
        printer.print_string(" ")
        printer.print_attribute(self.value)
        if self.attributes:
            printer.print_string(" ")
            printer.print_attr_dict(self.attributes)
        if not isinstance(self.value, DenseIntOrFPElementsAttr):
            printer.print_string(" as ")
            printer.print_attribute(self.result.type)

    @classmethod
    def parse(cls, parser: Parser) -> ConstantOp:
        """See `print`."""
        value = parser.parse_attribute()
        attributes = parser.parse_optional_attr_dict()
        if isinstance(value, DenseIntOrFPElementsAttr):
            type_: Attribute = cast(Any, value).type
        else:
            parser.parse_keyword("as")
            type_ = parser.parse_type()
        op = cls(value=cast(Attribute, value), result_types=[type_])
        op.attributes |= attributes
        return op


@irdl_op_definition
class ParameterOp(NNOp):
    """A named weight that stands outside the text, in the module's parameter file or among @prepare's results."""

    name = "nn.parameter"

    parameter = prop_def(StringAttr)
    result = result_def(AnyTensor)

    def __init__(self, name: str, type_: Attribute):
        super().__init__(parameter=name, result_types=[type_])

    def infer(self) -> TensorType[Attribute]:
        """The declared type: the file is looked at when the program is loaded."""
        static_dims(dims_of(self.result.type))
        return self.result.type

    def fold(self) -> Sequence[SSAValue | Attribute] | None:
        """Weights are never read by the compiler."""
        return None

    def print(self, printer: Printer) -> None:
        """`nn.parameter "conv1.weight" : tensor<16x3x3x3xf32>`"""
        printer.print_string(" ")
        printer.print_attribute(self.parameter)
        if self.attributes:
            printer.print_string(" ")
            printer.print_attr_dict(self.attributes)
        printer.print_string(" : ")
        printer.print_attribute(self.result.type)

    @classmethod
    def parse(cls, parser: Parser) -> ParameterOp:
        """See `print`."""
        name = parser.parse_str_literal()
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        op = cls(name, parser.parse_type())
        op.attributes |= attributes
        return op


class NNConstants(ConstantMaterializationInterface):
    """How `canonicalize` writes a folded value."""

    def materialize_constant(self, value: Attribute, type: Attribute) -> Operation | None:
        """The `nn.constant` of an attribute made by `constant_attribute`."""
        return ConstantOp(value=value, result_types=[type])


def fold_to_constants(op: NNOp) -> list[Attribute] | None:
    """The results of `op` as constants, where all its operands are inline constants and the results may be inline."""
    owners = [v.owner for v in op.operands]
    if not owners or not all(isinstance(o, ConstantOp) for o in owners):
        return None
    for result in op.results:
        size = num_bytes(result.type)
        if size is None or not may_be_inline(element_type(result.type), product(dims_of(result.type))):
            return None
    if op.working_bytes() > MAX_INTS * 8:
        return None
    with np.errstate(all="ignore"):
        arrays = op.compute(np, [cast(ConstantOp, o).literal() for o in owners])
    if any(a.size > 1 and not np.isfinite(a.astype(np.float64)).all() for a in arrays):
        return None
    return [constant_attribute(a) for a in arrays]


def weights_of(block: Block) -> set[SSAValue]:
    """The values of `block` for which `is_weight` holds, in one walk: asking for each value costs its whole history."""
    weights: set[SSAValue] = set()
    for op in block.ops:
        if op.has_trait(Pure) and not op.regions and all(v in weights for v in op.operands):
            weights.update(op.results)
    return weights


def is_weight(value: SSAValue) -> bool:
    """Whether a value depends on parameters and constants only (a weight, a ConstantOfShape, ...).

    An argument of a function is one where `nn.weight` among its attributes says so.
    """
    pending, seen = [value], {value}
    while pending:
        source = pending.pop()
        if isinstance(source, BlockArgument) and _is_declared_weight(source):
            continue
        owner = source.owner
        if not isinstance(owner, Operation) or not owner.has_trait(Pure) or owner.regions:
            return False
        new = [v for v in owner.operands if v not in seen]
        seen.update(new)
        pending += new
    return True


def is_stored(value: SSAValue) -> bool:
    """Whether a value lies in memory before a program runs: a parameter, a constant, or a view of one.

    A weight that the program computes in each run (`REPEATS`, or nothing was hoisted) is none, nor is a view that is
    returned, as that is a copy.
    """
    while not isinstance(value, BlockArgument):
        op = value.owner
        if isinstance(op, ParameterOp | ConstantOp):
            return True
        returned = any(isinstance(use.operation, ReturnOp) for use in value.uses)
        if not isinstance(op, NNOp) or not op.VIEW or returned:
            return False
        value = op.operands[0]
    return _is_declared_weight(value)


def _is_declared_weight(argument: BlockArgument) -> bool:
    func = argument.owner.parent_op()
    attributes = func.arg_attrs if isinstance(func, FuncOp) else None
    return attributes is not None and "nn.weight" in attributes.data[argument.index].data


def constant_array(value: SSAValue | None) -> Array | None:
    """The value of an inline constant as a NumPy array, else None."""
    owner = value.owner if isinstance(value, OpResult) else None
    return owner.literal() if isinstance(owner, ConstantOp) else None
