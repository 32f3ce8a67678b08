"""Activations as attributes: what a convolution or GEMM applies to its result."""

from __future__ import annotations

from typing import Any

from xdsl.dialects.builtin import ArrayAttr, FloatAttr, StringAttr, f32
from xdsl.ir import ParametrizedAttribute
from xdsl.irdl import irdl_attr_definition, param_def
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from .activation_functions import ACTIVATIONS
from .assembly import SHORT_FORMS, short_float
from .types import Array


@irdl_attr_definition
class ActivationAttr(ParametrizedAttribute):
    """`relu`, `leaky_relu<0.1>`, `clip<0.0, 6.0>`: the unary op of that name with these parameters."""

    name = "nn.activation"

    kind: StringAttr = param_def()
    parameters_: ArrayAttr[FloatAttr] = param_def()

    @classmethod
    def of(cls, kind: str, *parameters: float) -> ActivationAttr:
        """The activation `kind` with its parameters."""
        return cls(StringAttr(kind), ArrayAttr([FloatAttr(p, f32) for p in parameters]))

    @property
    def values(self) -> tuple[float, ...]:
        """The parameters as Python floats (each an exact f32, as in ONNX)."""
        return tuple(p.value.data for p in self.parameters_)

    def apply(self, xp: Any, x: Array, out: Array | None = None) -> Array:
        """The activation of `x`, written to `out` (which may be `x`) or to a new array of its dtype."""
        return ACTIVATIONS[self.kind.data][1](xp, x, *self.values, out=out)

    def verify(self) -> None:
        """Known, with the right number of parameters."""
        known = ACTIVATIONS.get(self.kind.data)
        if known is None or known[0] != len(self.values):
            counts = ", ".join(f"{kind}<{count}>" if count else kind for kind, (count, _) in ACTIVATIONS.items())
            raise VerifyException(f"unknown activation {self}; known, with their number of parameters: {counts}")

    def print_short(self, printer: Printer) -> None:
        """`leaky_relu<0.1>`"""
        printer.print_string(self.kind.data)
        if self.values:
            printer.print_string(f"<{', '.join(map(short_float, self.values))}>")

    @classmethod
    def parse_short(cls, parser: AttrParser) -> ActivationAttr:
        """See `print_short`."""
        kind = parser.parse_identifier()
        values = parser.parse_optional_comma_separated_list(parser.Delimiter.ANGLE, lambda: _parse_float(parser))
        return cls.of(kind, *(values or ()))

    def print_parameters(self, printer: Printer) -> None:
        """`#nn.activation<leaky_relu<0.1>>`"""
        with printer.in_angle_brackets():
            self.print_short(printer)

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Any]:
        """See `print_parameters`."""
        with parser.in_angle_brackets():
            parsed = cls.parse_short(parser)
        return [parsed.kind, parsed.parameters_]


def _parse_float(parser: AttrParser) -> float:
    negative = parser.parse_optional_punctuation("-") is not None
    special = parser.parse_optional_keyword_in(["inf", "nan"])
    value = float(special if special is not None else parser.parse_number())
    return -value if negative else value


SHORT_FORMS["activation"] = ActivationAttr.parse_short
