"""One custom form for every op, printed and parsed from its definition.

    %y = nn.conv %x, %w bias %b strides [2, 2] group = 4 activation = relu {place = array<i64: 0>} : (T, T, T) -> T

Required operands first; an optional operand follows its field's name; a variadic one is a bracketed list. Integer array
properties are `name [..]`, others `name = value` (numbers are i64 and f32; of other types, `(1 : i32)`); defaults are
left out. One type is printed where all are equal. Regions come last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from xdsl.dialects.builtin import (
    DenseArrayBase,
    FloatAttr,
    FunctionType,
    IntegerAttr,
    UnitAttr,
    f32,
    i64,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import IRDLOperation, OpDef, OptionalDef, VariadicDef
from xdsl.parser import Parser
from xdsl.parser.core import UnresolvedOperand
from xdsl.printer import Printer
from xdsl.utils.mlir_lexer import MLIRTokenKind

from ...errors import CompileError

OpT = TypeVar("OpT", bound=IRDLOperation)

SEGMENTS = ("operandSegmentSizes", "resultSegmentSizes")


def print_op(op: IRDLOperation, printer: Printer) -> None:
    """Print what follows the op's name."""
    definition = op.get_irdl_definition()
    _print_operands(op, definition, printer)
    print_properties(op, printer)
    printer.print_string(" : ")
    types = [*op.operand_types, *op.result_types]
    if (len(op.results) == 1 and op.operands and len(set(types)) == 1) or (not op.operands and len(op.results) == 1):
        printer.print_attribute(types[0])
    else:
        printer.print_function_type(op.operand_types, op.result_types)
    for region in op.regions:
        printer.print_string(" ")
        printer.print_region(region)


def parse_op(cls: type[OpT], parser: Parser) -> OpT:
    """Parse what follows the op's name."""
    definition = cls.get_irdl_definition()
    groups = _parse_operands(definition, parser)
    properties = parse_properties(definition, parser)
    attributes = parser.parse_optional_attr_dict()
    parser.parse_punctuation(":")
    flat = [operand for group in groups for operand in group]
    where = parser.pos
    inputs, outputs = _parse_types(parser, len(flat))
    operands = parser.resolve_operands(flat, inputs, where)
    regions = [parser.parse_region() for _ in definition.regions]
    grouped: list[list[SSAValue]] = []
    for group in groups:
        grouped.append(list(operands[: len(group)]))
        operands = operands[len(group) :]
    try:
        result_types = group_results(definition, outputs)
    except CompileError as e:
        parser.raise_error(str(e))
    return cls.build(
        operands=grouped,
        result_types=result_types,
        properties=properties,
        attributes=attributes,
        regions=regions,
    )


def group_results(definition: OpDef, types: Sequence[Attribute]) -> list[list[Attribute]]:
    """`types` by result definition: one each, the rest for a variadic one; optional ones may be left out.

    Raises CompileError where there are too few or too many.
    """
    groups: list[list[Attribute]] = []
    rest, complete = list(types), True
    for _, result in definition.results:
        variadic = isinstance(result, VariadicDef) and not isinstance(result, OptionalDef)
        count = len(rest) if variadic else 1
        groups.append(rest[:count])
        complete &= bool(groups[-1]) or isinstance(result, VariadicDef)
        rest = rest[count:]
    if rest or not complete:
        raise CompileError(f"{definition.name} does not have {len(types)} results")
    return groups


def _print_operands(op: IRDLOperation, definition: OpDef, printer: Printer) -> None:
    first = True
    for name, operand in definition.operands:
        value: Any = getattr(op, name)
        if isinstance(operand, OptionalDef):
            if value is not None:
                printer.print_string(f" {name} ")
                printer.print_ssa_value(value)
            continue
        printer.print_string(" " if first else ", ")
        first = False
        if isinstance(operand, VariadicDef):
            with printer.in_square_brackets():
                printer.print_list(value, printer.print_ssa_value)
        else:
            printer.print_ssa_value(value)


def _parse_operands(definition: OpDef, parser: Parser) -> list[list[UnresolvedOperand]]:
    groups: list[list[UnresolvedOperand]] = []
    first = True
    for name, operand in definition.operands:
        if isinstance(operand, OptionalDef):
            present = parser.parse_optional_keyword(name) is not None
            groups.append([parser.parse_unresolved_operand()] if present else [])
            continue
        if not first:
            parser.parse_punctuation(",")
        first = False
        if isinstance(operand, VariadicDef):
            groups.append(parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_unresolved_operand))
        else:
            groups.append([parser.parse_unresolved_operand()])
    return groups


def _parse_types(parser: Parser, operand_count: int) -> tuple[list[Attribute], list[Attribute]]:
    type_ = parser.parse_type()
    if isinstance(type_, FunctionType):
        return list(type_.inputs), list(type_.outputs)
    return [type_] * operand_count, [type_]


def print_properties(op: IRDLOperation, printer: Printer) -> None:
    """Print the properties that differ from their defaults, each behind its name, and the attributes."""
    for name, prop in op.get_irdl_definition().properties.items():
        value = op.properties.get(name)
        if name not in SEGMENTS and value is not None and value != prop.default_value:
            printer.print_string(f" {name}")
            _print_value(value, printer)
    if op.attributes:
        printer.print_string(" ")
        printer.print_attr_dict(op.attributes)


def _print_value(attribute: Attribute, printer: Printer) -> None:
    """Print what follows a property's name."""
    value: Any = attribute
    if isinstance(attribute, UnitAttr):
        return
    kind = type(attribute)
    if kind is DenseArrayBase and value.elt_type == i64:
        printer.print_string(f" [{', '.join(map(str, value.get_values()))}]")
        return
    printer.print_string(" = ")
    custom = getattr(value, "print_short", None)
    if custom is not None:
        custom(printer)
    elif kind is IntegerAttr and value.type == i64:
        printer.print_int(value.value.data)
    elif kind is FloatAttr and value.type == f32 and math.isfinite(value.value.data):
        printer.print_string(short_float(value.value.data))
    elif kind in (IntegerAttr, FloatAttr):  # in parentheses, as the colon before the op's types follows
        with printer.in_parens():
            printer.print_attribute(value)
    else:
        printer.print_attribute(value)


def parse_properties(definition: OpDef, parser: Parser) -> dict[str, Attribute]:
    """Parse the properties, each once, in any order."""
    names = [n for n in definition.properties if n not in SEGMENTS]
    properties: dict[str, Attribute] = {}
    while (name := parser.parse_optional_keyword_in(names)) is not None:
        if name in properties:
            parser.raise_error(f"{name} is given twice")
        properties[name] = _parse_value(definition, name, parser)
    return properties


def _parse_value(definition: OpDef, name: str, parser: Parser) -> Attribute:
    if parser._current_token.kind == MLIRTokenKind.L_SQUARE:
        values = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_integer)
        return DenseArrayBase.from_list(i64, values)
    if parser.parse_optional_punctuation("=") is None:
        return UnitAttr()
    short = SHORT_FORMS.get(name)
    if short is not None:
        return short(parser)
    number = parser.parse_optional_number()
    if number is not None:
        return IntegerAttr(number, i64) if isinstance(number, int) else FloatAttr(number, f32)
    if parser.parse_optional_punctuation("(") is None:
        return parser.parse_attribute()
    value = parser.parse_attribute()
    parser.parse_punctuation(")")
    return value


def short_float(value: float) -> str:
    """The shortest text that reads back as the same f32, always with a decimal point."""
    digits = str(np.float32(value))
    if "." in digits or not math.isfinite(value):
        return digits
    mantissa, _, exponent = digits.partition("e")
    return f"{mantissa}.0e{exponent}" if exponent else f"{mantissa}.0"


SHORT_FORMS: dict[str, Any] = {}
"""Property names whose value has a short form of its own (`activation = relu`), with its parser."""
