"""The op contract: one class says an op's fields, its ONNX spelling, its type inference and its meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Self, cast

import numpy as np
from xdsl.dialects.builtin import (
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    TensorType,
    f32,
    f64,
    i64,
)
from xdsl.interfaces import HasCanonicalizationPatternsInterface, HasFolderInterface
from xdsl.ir import Attribute, Operation, Region, SSAValue
from xdsl.irdl import IRDLOperation, OptionalDef, VariadicDef, traits_def
from xdsl.parser import Parser
from xdsl.pattern_rewriter import RewritePattern
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from ...errors import CompileError, UnsupportedError
from ...rewriting import node_name
from .assembly import SEGMENTS, group_results, parse_op, print_op
from .types import (
    NARROW_FLOATS,
    Abstract,
    Array,
    dtype_of,
    element_type,
    is_float,
    is_static,
)
from .value_types import compatible

FieldValue = Attribute | int | float | str | Sequence[int] | Sequence[float]
"""What an op's field can be written as in Python; see `attribute`."""

AnyTensor = TensorType[Attribute]


def attribute(value: FieldValue) -> Attribute:
    """The attribute for a Python value: int -> i64, float -> f32, str, and sequences of ints (i64) or floats (f32)."""
    if isinstance(value, Attribute):
        return value
    if isinstance(value, bool | int | np.integer):
        return IntegerAttr(int(value), i64)
    if isinstance(value, float | np.floating):
        return FloatAttr(float(value), f32)
    if isinstance(value, str):
        return StringAttr(value)
    items = list(value)
    if any(isinstance(v, float) for v in items):
        return DenseArrayBase.from_list(f32, [float(v) for v in items])
    return DenseArrayBase.from_list(i64, [int(v) for v in items])


def ints(attr: Attribute | None) -> tuple[int, ...]:
    """The numbers of an integer array property; () where it is absent."""
    return () if attr is None else tuple(int(v) for v in _array(attr))


def floats(attr: Attribute | None) -> tuple[float, ...]:
    """The numbers of a float array property; () where it is absent."""
    return () if attr is None else tuple(float(v) for v in _array(attr))


def integer(attr: Attribute) -> int:
    """The Python int of an integer property."""
    assert isinstance(attr, IntegerAttr)
    return int(attr.value.data)


def number(attr: Attribute) -> float:
    """The Python float of a float property."""
    assert isinstance(attr, FloatAttr)
    return float(attr.value.data)


def text(attr: Attribute) -> str:
    """The Python str of a string property."""
    assert isinstance(attr, StringAttr)
    return attr.data


def _array(attr: Attribute) -> Sequence[Any]:
    assert isinstance(attr, DenseArrayBase)
    return attr.get_values()


@dataclass
class OnnxNode:
    """One ONNX node, free of protobuf: what `NNOp.import_node` maps to operations.

    `inputs` are IR values, None where an optional input is absent; trailing absent ones are dropped. `attributes` hold
    Python values (int, float, str, lists of them, NumPy arrays for tensors). `opset` is the model's version of the
    node's domain. `outputs` is the number of outputs up to the last named one; `used` says of each output, those left
    out at the end included, whether something reads it. `branch` is which of its graphs runs, where that is known, and
    `bound` says that the inputs' sizes are: what a graph cannot do on these it does not do.
    `build` makes an operation at the node's location with inferred result types and returns its results.
    """

    op_type: str
    domain: str
    opset: int
    inputs: list[SSAValue | None]
    attributes: dict[str, Any]
    outputs: int
    build: Callable[..., Sequence[SSAValue]]
    constant: Callable[[Array], SSAValue]
    used: tuple[bool, ...] = ()
    branch: int | None = None
    bound: bool = False

    def input(self, index: int) -> SSAValue | None:
        """Input number `index`, None where the node leaves it out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def required(self, index: int) -> SSAValue:
        """Input number `index`; raises CompileError where the node leaves it out."""
        if (value := self.input(index)) is None:
            raise CompileError(f"{self.op_type} needs its input {index}, which is missing")
        return value

    def attribute_to_input(self, name: str, index: int, dtype: Any = np.int64) -> None:
        """Turn the attribute `name` of an older opset into constant input `index` of the newer one."""
        if (value := self.attributes.pop(name, None)) is None:
            return
        self.inputs += [None] * (index + 1 - len(self.inputs))
        self.inputs[index] = self.constant(np.asarray(value, dtype))


@dataclass(frozen=True)
class Onnx:
    """An op's ONNX spelling: the operator's name and domain, the first opset whose form the class reads.

    `until` is the last opset read (for operators that were removed). `drop` names attributes that say nothing for
    inference (they are read and ignored, and the class's docstring says why). `older` names operators of older opsets
    that `import_node` maps to this class too, `variants` those of other domains (and their domain) that have the
    operator's attributes.
    """

    name: str
    since: int = 1
    domain: str = ""
    until: int | None = None
    drop: frozenset[str] = field(default_factory=frozenset[str])
    older: tuple[str, ...] = ()
    variants: tuple[tuple[str, str], ...] = ()


class NNOp(IRDLOperation, HasFolderInterface, HasCanonicalizationPatternsInterface):
    """The base of every op of `nn` and `blas`: tensors in, tensors out, pure and deterministic (others: containers.py).

    A subclass declares its operands, properties and results with xDSL's definitions, and then:

    - ONNX: its spelling in ONNX, None where it has none;
    - HOST: the operands whose *value* decides the result type (read as NumPy arrays on every device);
    - INPLACE: the operands whose buffer the (first) result may take over, where sizes and element types are equal;
    - VIEW: whether result 0 is operand 0 with other dims, row-major: then it costs nothing. See also `views`.
    - POINTWISE: whether each element of the result is computed from the operands' elements at its (broadcast) place;
    - REPEATS: whether the result only repeats operand 0 (broadcast, Expand, Tile): it is not kept as a prepared weight;
    - `infer`: from an `Abstract` for each operand (None for an absent optional one, a tuple for a variadic one) to
      the result type, or a tuple of them where the op has several results;
    - `evaluate`: the same from arrays to arrays, in the array module `xp`; it must not write its operands, and
      computes in the operands' dtype: float64 in is float64 arithmetic.
    """

    ONNX: ClassVar[Onnx | None] = None
    HOST: ClassVar[frozenset[str]] = frozenset()
    INPLACE: ClassVar[tuple[str, ...]] = ()
    VIEW: ClassVar[bool] = False
    POINTWISE: ClassVar[bool] = False
    REPEATS: ClassVar[bool] = False

    traits = traits_def(Pure())

    def __init__(
        self,
        *operands: SSAValue | Operation | Sequence[SSAValue] | None,
        result_types: Sequence[Attribute] | None = None,
        outputs: int | None = None,
        regions: Sequence[Region] = (),
        **fields: FieldValue | None,
    ):
        """Build the op; without `result_types` they are inferred. Raises CompileError where the operands do not fit.

        `outputs` is the number of results of an op with optional results; by default it has none of those. `regions`
        are its bodies (see regions.py).
        """
        definition = self.get_irdl_definition()
        names = {definition.accessor_names.get(n, (n, ""))[0]: n for n in definition.properties}
        unknown = [n for n in fields if n not in definition.properties and n not in names]
        if unknown:
            raise CompileError(f"{self.name} has no attribute {', '.join(unknown)}")
        placeholder = TensorType(f32, [])
        given = [_operand_group(o) for o in operands]
        given += [[]] * (len(definition.operands) - len(given))
        results = list(result_types) if result_types is not None else None
        if results is None:
            count = self.result_count(fields) if outputs is None else outputs
            result_types = [placeholder] * count
        super().__init__(
            operands=given,
            result_types=group_results(definition, list(result_types or ())),
            properties={names.get(n, n): attribute(v) for n, v in fields.items() if v is not None},
            regions=list(regions),
        )
        if results is None:
            # errors name no node yet: this op has no location, so whoever builds it names one
            for result, type_ in zip(self.results, self._inferred(), strict=True):
                result._type = type_

    @classmethod
    def result_count(cls, fields: Mapping[str, Any]) -> int:
        """How many results an op with these fields has; ops with a variadic result override it."""
        return sum(not isinstance(d, OptionalDef) for _, d in cls.get_irdl_definition().results)

    # Inference and meaning

    def infer(self, *args: Any, **kwargs: Any) -> Attribute | tuple[Attribute, ...]:
        """The result type(s) for these abstract operands; raises CompileError where they do not fit."""
        raise NotImplementedError(self.name)

    def evaluate(self, xp: Any, *args: Any, **kwargs: Any) -> Array | tuple[Array, ...]:
        """The result array(s) for these operand arrays, by `xp` (numpy or cupy)."""
        raise NotImplementedError(self.name)

    def infer_types(self) -> tuple[Attribute, ...]:
        """The inferred types of all results; errors name this op's node."""
        try:
            return self._inferred()
        except CompileError as e:
            raise e.at(node_name(self)) from None

    def _inferred(self) -> tuple[Attribute, ...]:
        inferred = self.infer(*self.arguments([Abstract(v) for v in self.operands]))
        return inferred if isinstance(inferred, tuple) else (inferred,)

    def compute(self, xp: Any, operands: Sequence[Array]) -> tuple[Array, ...]:
        """`evaluate` on a flat list of arrays: f16 and bf16 are computed in f32 and rounded once; f64 stays f64.

        Results of a float type come back in the declared element type, but as float64 where an f32 op was given
        float64 operands (how the float64 oracle runs).
        """
        wide = any(
            a.dtype == np.float64 and element_type(v.type) == f32 for a, v in zip(operands, self.operands, strict=True)
        )
        narrow = any(element_type(v.type) in NARROW_FLOATS for v in (*self.operands, *self.results))
        if narrow:
            small = {dtype_of(e) for e in NARROW_FLOATS}
            operands = [a.astype(np.float32) if a.dtype in small else a for a in operands]
        results = _as_tuple(self.evaluate(xp, *self.arguments(operands)))
        return tuple(
            _as_declared(xp, r, element_type(v.type), wide) for r, v in zip(results, self.results, strict=True)
        )

    def arguments(self, flat: Sequence[Any]) -> list[Any]:
        """`flat`, one item per operand, as the arguments of `infer` and `evaluate`."""
        grouped: list[Any] = []
        position = 0
        for (_, kind), count in zip(_operand_kinds(type(self)), self._operand_counts(), strict=True):
            if kind is VariadicDef:
                grouped.append(tuple(flat[position : position + count]))
            else:
                grouped.append(flat[position] if count else None)
            position += count
        return grouped

    def operand_names(self) -> list[str]:
        """The field name of each operand, in order; a variadic one repeats its name."""
        kinds, counts = _operand_kinds(type(self)), self._operand_counts()
        return [name for (name, _), count in zip(kinds, counts, strict=True) for _ in range(count)]

    def _operand_counts(self) -> Sequence[int]:
        """How many operands each operand definition has."""
        if (sizes := self.properties.get(SEGMENTS[0])) is not None:
            return _array(sizes)
        kinds = _operand_kinds(type(self))
        rest = len(self.operands) - sum(kind is None for _, kind in kinds)
        return [1 if kind is None else rest for _, kind in kinds]

    def host_operands(self) -> list[int]:
        """The indices of the operands in HOST."""
        return [i for i, name in enumerate(self.operand_names()) if name in self.HOST]

    def inplace_operands(self) -> list[int]:
        """The indices of the operands in INPLACE."""
        return [i for i, name in enumerate(self.operand_names()) if name in self.INPLACE]

    def views(self) -> list[View]:
        """The values of this op that live inside one another. Needs static types.

        By default `VIEW` says that result 0 is all of operand 0. Slices along the outermost dimension and
        concatenations override this.
        """
        if self.VIEW and is_static(self.operands[0].type) and is_static(self.results[0].type):
            return [View(self.results[0], self.operands[0], 0)]
        return []

    def writes_rows_apart(self) -> bool:
        """Whether the rows of the result (its last dim) may be written with gaps between them."""
        return False

    def reads_rows_apart(self, operand: int) -> bool:
        """Whether the rows of the operand of this number may be read with gaps between them."""
        return False

    def working_bytes(self) -> int:
        """The bytes of the largest array that computing takes besides operands and results; needs static types.

        By default none that could be larger than those. It is checked like a value's size before anything runs.
        """
        return 0

    # ONNX

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """The results of `node` as operations of this class; older opsets' forms are mapped here, by overriding.

        The default takes ONNX's inputs as operands and ONNX's attributes as properties, by name.
        """
        assert cls.ONNX is not None
        operands = cls.operands_from(node)
        fields = {n: v for n, v in node.attributes.items() if n not in cls.ONNX.drop}
        if any(isinstance(d, OptionalDef) for _, d in cls.get_irdl_definition().results):
            fields["outputs"] = node.outputs
        return node.build(cls, *operands, **fields)

    @classmethod
    def operands_from(cls, node: OnnxNode) -> list[Any]:
        """ONNX's inputs in the order of the operand definitions; the last variadic operand takes the rest."""
        definitions = cls.get_irdl_definition().operands
        operands: list[Any] = []
        for index, (_, definition) in enumerate(definitions):
            if isinstance(definition, OptionalDef):
                operands.append(node.input(index))
            elif isinstance(definition, VariadicDef):
                operands.append([node.required(i) for i in range(index, len(node.inputs))])
            else:
                operands.append(node.required(index))
        variadic = any(isinstance(d, VariadicDef) and not isinstance(d, OptionalDef) for _, d in definitions)
        if len(node.inputs) > len(definitions) and not variadic:
            raise UnsupportedError(f"{node.op_type} has {len(node.inputs)} inputs; {len(definitions)} are supported")
        return operands

    # xDSL

    def verify_(self) -> None:
        """The declared result types must be compatible with the inferred ones."""
        try:
            inferred = self.infer_types()
        except CompileError as e:
            raise VerifyException(str(e)) from None
        for declared, type_ in zip(self.results, inferred, strict=True):
            if not compatible(declared.type, type_):
                raise VerifyException(
                    f"{node_name(self)}: result is declared {declared.type}, but {self.name} gives {type_}"
                )

    def fold(self) -> Sequence[SSAValue | Attribute] | None:
        """Constants where every operand is an inline constant and every result may be one (see constant.py).

        Else the operand that `forwards` names, where it has the result's type.
        """
        from .constant import fold_to_constants

        if (constants := fold_to_constants(self)) is not None:
            return constants
        same = self.forwards()
        return [same] if same is not None and same.type == self.results[0].type else None

    def forwards(self) -> SSAValue | None:
        """The operand whose value the only result always has, given that it has its type; None where there is none."""
        return None

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        """No patterns by default."""
        return ()

    def print(self, printer: Printer) -> None:
        """The custom form, the same for all ops; see assembly.py."""
        print_op(self, printer)

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        """The custom form, the same for all ops; see assembly.py."""
        return parse_op(cls, parser)


@dataclass(frozen=True)
class View:
    """`inner` lives inside `outer`, `offset` bytes from its start, row-major.

    Its rows (its last dim) begin `pitch` bytes apart; they follow one another where that is 0.
    """

    inner: SSAValue
    outer: SSAValue
    offset: int
    pitch: int = 0


@cache
def _operand_kinds(op_class: type[NNOp]) -> tuple[tuple[str, type[OptionalDef | VariadicDef] | None], ...]:
    """The name of each operand definition, and whether it may be left out or have any number of operands."""
    return tuple(
        (name, OptionalDef if isinstance(d, OptionalDef) else VariadicDef if isinstance(d, VariadicDef) else None)
        for name, d in op_class.get_irdl_definition().operands
    )


def _as_tuple(value: Array | tuple[Array, ...]) -> tuple[Array, ...]:
    return cast(tuple[Array, ...], value) if isinstance(value, tuple) else (value,)


def _operand_group(operand: SSAValue | Operation | Sequence[SSAValue] | None) -> list[SSAValue]:
    if operand is None:
        return []
    if isinstance(operand, SSAValue | Operation):
        return [SSAValue.get(operand)]
    return list(operand)


def _as_declared(xp: Any, result: Array, element: Attribute, wide: bool) -> Array:
    result = xp.asarray(result)
    if is_float(element):
        dtype = np.dtype(np.float64) if wide and element == f32 else dtype_of(element)
        if element == f64:
            dtype = np.dtype(np.float64)
        return result if result.dtype == dtype else result.astype(dtype)
    return result
