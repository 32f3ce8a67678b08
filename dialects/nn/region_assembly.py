"""The custom form of ops with bodies.

    %r = nn.if cond %c : tensor<i1> then captures (%a = %x : T) { .. nn.yield %v : T } else { .. nn.yield %w : T } : T

Operands that no body's argument stands for come first, each behind its field's name and with its type; then the
properties, as for all ops. Before each body stand its arguments in groups: the argument, its type where that is not its
operand's, and the operand; `(%i : T)` where the op makes the value. The result types are last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from xdsl.ir import BlockArgument, Region, SSAValue
from xdsl.parser import Parser
from xdsl.printer import Printer

from .assembly import parse_properties, print_properties

if TYPE_CHECKING:
    from .regions import RegionOp

OpT = TypeVar("OpT", bound="RegionOp")


def print_region_op(op: RegionOp, printer: Printer) -> None:
    """Print what follows the op's name."""
    of_bodies = {p.field for p in op.PARTS}
    for name, _ in op.get_irdl_definition().operands:
        value: Any = getattr(op, name)
        if name not in of_bodies and value is not None:
            printer.print_string(f" {name} ")
            _print_typed(printer, value)
    print_properties(op, printer)
    for index, keyword in enumerate(op.BODIES):
        _print_body(op, printer, index, keyword)
    printer.print_string(" : ")
    printer.print_list(op.result_types, printer.print_attribute)


def _print_body(op: RegionOp, printer: Printer, index: int, keyword: str) -> None:
    printer.print_string(f" {keyword}" if keyword else "")
    args = list(op.body(index).args)
    for part in (p for p in op.PARTS if p.body == index):
        operands: Sequence[SSAValue] | None = getattr(op, part.field) if part.field else None
        count = part.made if operands is None else len(operands)
        if count:
            printer.print_string(f" {part.keyword} ")
            with printer.in_parens():
                pairs = list(zip(args[:count], operands or [None] * count, strict=True))
                printer.print_list(pairs, lambda pair: _print_argument(printer, *pair))
        args = args[count:]
    printer.print_string(" ")
    printer.print_region(op.regions[index], print_entry_block_args=False, print_empty_block=False)


def _print_argument(printer: Printer, argument: BlockArgument, operand: SSAValue | None) -> None:
    if operand is None:
        _print_typed(printer, argument)
        return
    if argument.type == operand.type:
        printer.print_ssa_value(argument)
    else:
        _print_typed(printer, argument)
    printer.print_string(" = ")
    _print_typed(printer, operand)


def _print_typed(printer: Printer, value: SSAValue) -> None:
    printer.print_ssa_value(value)
    printer.print_string(" : ")
    printer.print_attribute(value.type)


def parse_region_op(cls: type[OpT], parser: Parser) -> OpT:
    """Parse what follows the op's name."""
    definition = cls.get_irdl_definition()
    of_bodies = {p.field for p in cls.PARTS}
    groups: dict[str, list[SSAValue]] = {name: [] for name, _ in definition.operands}
    for name in (n for n in groups if n not in of_bodies):
        if parser.parse_optional_keyword(name) is not None:
            groups[name] = [_parse_typed(parser)]
    properties = parse_properties(definition, parser)
    attributes = parser.parse_optional_attr_dict()
    regions = [_parse_body(cls, parser, index, keyword, groups) for index, keyword in enumerate(cls.BODIES)]
    parser.parse_punctuation(":")
    types = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_type)
    return cls.build(
        operands=list(groups.values()),
        result_types=[types],
        properties=properties,
        attributes=attributes,
        regions=regions,
    )


def _parse_body(cls: type[OpT], parser: Parser, index: int, keyword: str, groups: dict[str, list[SSAValue]]) -> Region:
    """A body; the operands before it are added to `groups`."""
    if keyword:
        parser.parse_keyword(keyword)
    arguments: list[Parser.Argument] = []
    for part in (p for p in cls.PARTS if p.body == index):
        if parser.parse_optional_keyword(part.keyword) is None:
            continue
        group = None if part.field is None else groups[part.field]
        arguments += parser.parse_comma_separated_list(
            parser.Delimiter.PAREN, lambda group=group: _parse_argument(parser, group)
        )
    return parser.parse_region(arguments)


def _parse_argument(parser: Parser, group: list[SSAValue] | None) -> Parser.Argument:
    """An argument; its operand is put into `group`, if there is one."""
    argument = parser.parse_argument(expect_type=False)
    type_ = parser.parse_type() if parser.parse_optional_punctuation(":") is not None else None
    if group is not None:
        parser.parse_punctuation("=")
        group.append(_parse_typed(parser))
        type_ = type_ or group[-1].type
    if type_ is None:
        parser.raise_error("the argument has no type")
    return argument.resolve(type_)


def _parse_typed(parser: Parser) -> SSAValue:
    operand = parser.parse_unresolved_operand()
    parser.parse_punctuation(":")
    return parser.resolve_operand(operand, parser.parse_type())
