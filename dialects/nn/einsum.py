"""Einsum: sums of products, with their indices named by an equation."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from xdsl.dialects.builtin import StringAttr, TensorType
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, prop_def, result_def, var_operand_def

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, text
from .elementwise import require_number, same_element
from .types import Abstract, Array, Dims, tensor

Label = str | int
"""The name of an index: a letter, or for the dims of an ellipsis a number, -1 for the last of them."""

MAX_EQUATION = 1024
"""The most characters of an equation; those that people write have tens."""


@dataclass(frozen=True)
class Equation:
    """The labels of each operand's dims and of the result's."""

    operands: tuple[tuple[Label, ...], ...]
    result: tuple[Label, ...]

    def sizes(self, shapes: Sequence[Dims]) -> dict[Label, int | None]:
        """The size of each label, None where it is unknown; sizes of 1 are broadcast between operands.

        Raises CompileError where sizes differ.
        """
        sizes: dict[Label, int | None] = {}
        for labels, dims in zip(self.operands, shapes, strict=True):
            for label, size in _sizes_of_one(labels, dims).items():
                known = sizes.get(label, 1)
                if known is not None and size is not None and known != size and 1 not in (known, size):
                    raise CompileError(f"{_named(label)} has the sizes {known} and {size}")
                sizes[label] = size if known == 1 or (known is None and size not in (1, None)) else known
        return sizes

    def text(self, kept: Sequence[Sequence[Label]]) -> str:
        """The equation for operands of the labels `kept`, with letters only."""
        letters = dict(zip(dict.fromkeys(x for labels in kept for x in labels), string.ascii_letters, strict=False))
        return f"{','.join(''.join(letters[x] for x in t) for t in kept)}->{''.join(letters[x] for x in self.result)}"


def _sizes_of_one(labels: Sequence[Label], dims: Dims) -> dict[Label, int | None]:
    """The sizes of an operand's labels; a repeated one takes the diagonal, so that its sizes must be equal."""
    sizes: dict[Label, int | None] = {}
    for label, size in zip(labels, dims, strict=True):
        known = sizes.get(label)
        if known is not None and size is not None and known != size:
            raise CompileError(f"{_named(label)} of one operand has the sizes {known} and {size}")
        sizes[label] = size if known is None else known
    return sizes


def _named(label: Label) -> str:
    return f"the index '{label}'" if isinstance(label, str) else "a dimension of '...'"


def parse_equation(equation: str, ranks: Sequence[int]) -> Equation:
    """The equation for operands of these ranks; raises CompileError where it is malformed or does not fit them."""
    if len(equation) > MAX_EQUATION:
        raise CompileError(f"an equation of {len(equation)} characters is longer than the limit of {MAX_EQUATION}")
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise CompileError(f"the equation '{equation}' has {len(terms)} operands, but {len(ranks)} are given")
    operands = tuple(_labels(term, rank) for term, rank in zip(terms, ranks, strict=True))
    dots = sorted({x for labels in operands for x in labels if isinstance(x, int)})
    counts = Counter(x for labels in operands for x in labels)
    if arrow:
        result = _labels(right, len(right.replace("...", "")) + (len(dots) if "..." in right else 0))
    else:
        result = (*dots, *sorted(x for x, n in counts.items() if isinstance(x, str) and n == 1))
    if strange := [x for x in result if x not in counts]:
        raise CompileError(f"{_named(strange[0])} of the result of '{equation}' is in no operand")
    if len(set(result)) < len(result):
        raise CompileError(f"an index stands twice in the result of '{equation}'")
    if len(counts) > len(string.ascii_letters):
        raise CompileError(f"the equation '{equation}' has more than {len(string.ascii_letters)} indices")
    return Equation(operands, result)


def _labels(term: str, rank: int) -> tuple[Label, ...]:
    """The labels of a term of this rank, its ellipsis written out."""
    before, dots, after = term.partition("...")
    letters = before + after
    if strange := next((c for c in letters if c not in string.ascii_letters), None):
        raise CompileError(f"'{strange}' cannot stand in a term of an equation; letters and one '...' can")
    covered = rank - len(letters)
    if covered < 0 or (covered and not dots):
        raise CompileError(f"the term '{term}' of an equation does not fit an operand of rank {rank}")
    return (*before, *range(-covered, 0), *after)


@irdl_op_definition
class EinsumOp(NNOp):
    """The Einstein summation that `equation` says. ONNX Einsum, https://onnx.ai/onnx/operators/onnx__Einsum.html

    Each operand's dims are named by letters (case matters) and at most one `...`; a repeated letter takes the diagonal,
    letters that the result lacks are summed over, sizes of 1 are broadcast. Without `->` the result has the dims of
    `...`, then the letters that occur once, sorted. Dims of a `...` that the result lacks are summed over too.
    """

    name = "nn.einsum"
    ONNX: ClassVar = Onnx("Einsum", since=12)

    inputs = var_operand_def(AnyTensor)
    equation = prop_def(StringAttr)
    result = result_def(AnyTensor)

    def infer(self, inputs: Sequence[Abstract]) -> TensorType[Attribute]:
        """The sizes of the result's labels."""
        if not inputs:
            raise CompileError(f"{self.name} needs at least one operand")
        element = same_element(self.name, *inputs)
        require_number(self.name, element)
        equation = parse_equation(text(self.equation), [i.rank for i in inputs])
        sizes = equation.sizes([i.dims for i in inputs])
        return tensor(element, [sizes[x] for x in equation.result])

    def evaluate(self, xp: Any, inputs: Sequence[Array]) -> Array:
        """By `einsum`, pairs of operands at a time; dims to be broadcast are taken out before."""
        equation = parse_equation(text(self.equation), [i.ndim for i in inputs])
        sizes = equation.sizes([i.shape for i in inputs])
        kept: list[list[Label]] = []
        arrays: list[Array] = []
        for labels, x in zip(equation.operands, inputs, strict=True):
            broadcast = [sizes[label] != size for label, size in zip(labels, x.shape, strict=True)]
            kept.append([label for label, gone in zip(labels, broadcast, strict=True) if not gone])
            arrays.append(x[tuple(0 if gone else slice(None) for gone in broadcast)])
        return xp.einsum(equation.text(kept), *arrays, optimize=len(arrays) > 1)
