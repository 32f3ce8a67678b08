"""Import: an ONNX model as `nn` operations. It knows no op by name; the op classes say how they are spelled in ONNX."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, TypeProto, ValueInfoProto
from xdsl.dialects.builtin import ArrayAttr, IntegerAttr, ModuleOp, StringAttr, TensorType, i1, i64
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region, SSAValue

from ..dialects.nn import NN
from ..dialects.nn.base import NNOp, OnnxNode
from ..dialects.nn.constant import ConstantOp, ParameterOp, may_be_inline
from ..dialects.nn.types import (
    Array,
    dims_of,
    element_of,
    holds_floats,
    is_tensor,
    product,
    tensor,
)
from ..dialects.nn.value_types import compatible, is_unranked
from ..errors import CompileError, UnsupportedError, escape_name
from ..rewriting import name_location
from .onnx_files import check_tensor, load_model, not_utf8, to_array
from .onnx_functions import FunctionExpander, ScopedNode, value_names
from .onnx_graphs import check_names, check_schema, graphs_of, name_of, opsets_of, reads, sorted_nodes
from .onnx_types import onnx_type, value_type
from .onnx_weights import Weights

LOG = logging.getLogger("nnfuse")

NAMELESS = frozenset({"", "?", "None", "-1"})
"""What exporters (Paddle's, Keras's) write where a dim has no name."""


@dataclass(frozen=True)
class Known:
    """What is known of the runs that a model is imported for, all by names as they stand in IR.

    `sizes` are those of the inputs' symbolic dims; `branches` says which branch Ifs take whose branches differ in rank.
    """

    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    branches: Mapping[str, int] = field(default_factory=dict[str, int])


def import_onnx(path: str | PathLike[str]) -> ModuleOp:
    """The module of an ONNX file; its parameters stay in the file, which a module attribute names."""
    return import_model(load_model(path), str(path), Path(path).stat().st_size)


def import_model(model: ModelProto, parameters: str | None = None, size: int | None = None) -> ModuleOp:
    """The module of a model: `func @main`, whose parameters are in the file `parameters` of `size` bytes.

    Raises CompileError for what is wrong and UnsupportedError for what nnfuse does not do, naming the node.
    """
    return import_with_weights(model, parameters, size)[0]


def import_with_weights(
    model: ModelProto,
    parameters: str | None = None,
    size: int | None = None,
    known: Known | None = None,
    weights: Weights | None = None,
) -> tuple[ModuleOp, Weights]:
    """See `import_model`; and the values of the module's parameters, with those of all initializers of the graph.

    A model may be imported again for what is `known`, given the `weights` of the first time: those are added to, and
    what a name in them stands for stays.
    """
    attributes: dict[str, Attribute] = {}
    if parameters is not None:
        attributes["nn.parameters"] = StringAttr(escape_name(parameters))
    if size is not None:
        attributes["nn.parameters_size"] = IntegerAttr(size, i64)
    try:
        importer = GraphImporter(model, known, weights)
        return ModuleOp([importer.function()], attributes), importer.weights
    except UnicodeDecodeError:
        raise not_utf8() from None


@cache
def op_classes() -> dict[tuple[str, str], type[NNOp]]:
    """The op class of each ONNX operator, by domain and name."""
    spelled = [(c, c.ONNX) for c in NN.operations if issubclass(c, NNOp) and c.ONNX is not None]
    named = [((o.domain, name), c) for c, o in spelled for name in (o.name, *o.older)]
    return dict([*named, *((variant, c) for c, o in spelled for variant in o.variants)])


def is_claimed(domain: str, op_type: str) -> bool:
    """Whether an op class imports this ONNX operator."""
    return (domain, op_type) in op_classes()


def checked_attributes(node: ScopedNode) -> dict[str, Any]:
    """See `check_schema`; an operator of another domain has the attributes of the one that its class is spelled as."""
    op_class = op_classes().get((node.domain, node.proto.op_type))
    spelling = op_class and op_class.ONNX
    like = spelling.name if spelling and (node.domain, node.proto.op_type) in spelling.variants else None
    return check_schema(node.proto, node.domain, node.opset, like)


class GraphImporter:
    """Imports one graph. Values are kept by their ONNX names; nodes may come in any order."""

    def __init__(self, model: ModelProto, known: Known | None = None, weights: Weights | None = None):
        check_names(model)
        self.graph: GraphProto = model.graph
        self.opsets = opsets_of(model)
        self.functions = FunctionExpander(model, is_claimed)
        self.weights = weights or Weights(value_names(model.graph))
        self.known = known
        self.depth = 0
        self.block = Block()
        self.start()

    def start(self) -> None:
        """What is known of the graph before its nodes are imported."""
        self.values: dict[str, SSAValue] = {}
        self.declared = {v.name: v for v in (*self.graph.input, *self.graph.value_info, *self.graph.output)}
        self.mismatches: list[str] = []
        self.uses = Counter(o.name for o in self.graph.output)

    def function(self) -> FuncOp:
        """`func @main` of the graph."""
        nodes = self._sorted_nodes()
        self._check_supported(nodes)
        initializers = {t.name: t for t in self.graph.initializer}
        inputs = [i for i in self.graph.input if i.name not in initializers]
        arguments = [self._argument(i) for i in inputs]
        for tensor_ in initializers.values():
            self._initializer(tensor_)
        for node in self._with_bodies(nodes):
            self._node(node)
        results = [self._output(o) for o in self.graph.output]
        self.block.add_op(ReturnOp(*results))
        self._warn()
        return FuncOp(
            "main",
            ([a.type for a in self.block.args], [r.type for r in results]),
            Region(self.block),
            arg_attrs=ArrayAttr(arguments),
            res_attrs=ArrayAttr(
                [_named(o.name, _dim_names(o, r.type)) for o, r in zip(self.graph.output, results, strict=True)]
            ),
        )

    def _sorted_nodes(self) -> list[ScopedNode]:
        """The graph's nodes in order, functions expanded as far as that needs no types."""
        nodes = self.functions.expand(ScopedNode(n, self.opsets) for n in sorted_nodes(self.graph))
        self._count_uses(nodes)
        return nodes

    def _count_uses(self, nodes: Iterable[ScopedNode]) -> None:
        self.uses.update(name for node in nodes for name in reads(node.proto))

    def _with_bodies(self, nodes: Sequence[ScopedNode]) -> Iterator[ScopedNode]:
        """`nodes` in order, each whose body depends on its operands' types replaced once those are imported."""
        pending = list(nodes)[::-1]
        while pending:
            node = pending.pop()
            if self.functions.waits(node) and all(self.knows(i) for i in node.proto.input if i):
                body = self._in_context(node)
                self._count_uses(body)
                pending += body[::-1]
            else:
                yield node

    def _in_context(self, node: ScopedNode) -> list[ScopedNode]:
        return self.functions.in_context(
            node, [onnx_type(self.value(i).type) if i else TypeProto() for i in node.proto.input]
        )

    def _check_supported(self, nodes: Sequence[ScopedNode]) -> None:
        """Raise one UnsupportedError that lists every operator without a class."""
        if missing := self._unknown_operators(nodes):
            listed = ", ".join(f"{op} ({len(names)}, first {names[0]})" for op, names in missing.items())
            raise UnsupportedError(f"{len(missing)} operator(s) are not supported: {listed}")
        if self.graph.sparse_initializer:
            raise UnsupportedError(
                "sparse initializers are not supported", self.graph.sparse_initializer[0].values.name
            )

    def _unknown_operators(self, nodes: Sequence[ScopedNode]) -> dict[str, list[str]]:
        """The nodes without a class, by operator. Every class is of ONNX's own domain, whose opset is imported."""
        missing: dict[str, list[str]] = {}
        for node in self._with_inner(nodes):
            if not self.functions.is_known(node):
                operator = f"{node.domain}.{node.proto.op_type}" if node.domain else node.proto.op_type
                reason = self.functions.reason(node)
                missing.setdefault(f"{operator} [{reason}]" if reason else operator, []).append(name_of(node.proto))
        return missing

    def _with_inner(self, nodes: Iterable[ScopedNode], depth: int = 1) -> Iterator[ScopedNode]:
        """The nodes, and those of the graphs in them, functions expanded."""
        for node in nodes:
            yield node
            for graph in graphs_of(node.proto):
                yield from self._with_inner(self.functions.expand_graph(graph, node, depth), depth + 1)

    def _argument(self, info: ValueInfoProto) -> Any:
        type_ = value_type(info.type, info.name)
        if is_unranked(type_):
            raise UnsupportedError(
                "the input has no declared rank", info.name, "give it a shape; its sizes may be symbolic"
            )
        dims = info.type.tensor_type.shape.dim if is_tensor(type_) else ()
        known = dims_of(type_) if is_tensor(type_) else ()
        names = [
            (_dim_name(dim) or f"{info.name}_dim_{axis}") if size is None else ""
            for axis, (dim, size) in enumerate(zip(dims, known, strict=True))
        ]
        if is_tensor(type_) and self.known is not None:
            sizes = [self.known.sizes.get(escape_name(n)) if n else d for n, d in zip(names, known, strict=True)]
            type_ = tensor(type_.element_type, sizes)
            names = [n if size is None else "" for n, size in zip(names, sizes, strict=True)]
        self._define(info.name, self.block.insert_arg(type_, len(self.block.args)))
        return _named(info.name, names)

    def _initializer(self, proto: TensorProto) -> None:
        type_ = check_tensor(proto)
        if may_be_inline(type_.element_type, product(proto.dims)):
            value = self._constant(to_array(proto), proto.name, proto.name)
        else:
            value = self._parameter(proto.name, type_, proto)
        self._define(proto.name, value)

    def _node(self, scoped: ScopedNode) -> None:
        node, domain, opset = scoped.proto, scoped.domain, scoped.opset
        name = name_of(node)
        op_class = op_classes()[domain, node.op_type]
        assert op_class.ONNX is not None
        inputs = [self.value(i) if i else None for i in node.input]
        while inputs and inputs[-1] is None:
            inputs.pop()
        outputs = list(node.output)
        while outputs and not outputs[-1]:
            outputs.pop()
        try:
            attributes = self._attributes(scoped)
            _check_form(op_class, node.op_type, opset)
            results = op_class.import_node(
                OnnxNode(
                    op_type=node.op_type,
                    domain=domain,
                    opset=opset,
                    inputs=inputs,
                    attributes=attributes,
                    outputs=len(outputs),
                    build=self._builder(name),
                    constant=lambda array: self._constant(array, outputs[0] if outputs else name, name),
                    used=tuple(bool(o) and self.uses[o] > 0 for o in node.output),
                    branch=None if self.known is None else self.known.branches.get(escape_name(name)),
                    bound=self.known is not None,
                )
            )
        except CompileError as e:
            raise e.at(name) from None
        if len(results) < len(outputs):
            raise UnsupportedError(f"output {len(results)} of {node.op_type} is not supported", name)
        for output, value in zip(outputs, results, strict=False):
            if output:
                self._define(output, value)

    def _attributes(self, node: ScopedNode) -> dict[str, Any]:
        """The node's attributes; graphs are ready to be imported."""
        from .onnx_bodies import NodeGraph

        attributes = checked_attributes(node)
        return {n: NodeGraph(self, node, v) if isinstance(v, GraphProto) else v for n, v in attributes.items()}

    def knows(self, name: str) -> bool:
        """Whether a value has been imported."""
        return name in self.values

    def value(self, name: str) -> SSAValue:
        """The value of that name; raises CompileError where there is none."""
        if (value := self.values.get(name)) is None:
            raise CompileError(f"the value '{name}' is read, but nothing defines it")
        return value

    def _builder(self, name: str) -> Callable[..., Sequence[SSAValue]]:
        location = name_location(name)

        def build(op_class: type[NNOp], *operands: Any, **fields: Any) -> Sequence[SSAValue]:
            """An operation at the node's location, or constants where it is shape arithmetic on known sizes."""
            op = op_class(*operands, **fields)
            op.location = location
            self.block.add_op(op)
            if (constants := _shape_constants(op)) is None:
                return op.results
            self.block.erase_op(op)
            for constant in constants:
                constant.location = location
                self.block.add_op(constant)
            return [constant.result for constant in constants]

        return build

    def _constant(self, array: Array, name: str, node: str) -> SSAValue:
        array = np.asarray(array)
        element = element_of(array.dtype)
        finite = array.size <= 1 or not holds_floats(element) or bool(np.isfinite(array.astype(np.float64)).all())
        if not may_be_inline(element, array.size) or not finite:
            return self._parameter(name, tensor(element, array.shape), array)
        op = ConstantOp.of(array)
        op.location = name_location(node)
        self.block.add_op(op)
        return op.result

    def _parameter(self, name: str, type_: TensorType[Attribute], tensor_: TensorProto | Array) -> SSAValue:
        op = ParameterOp(self.weights.add(name, tensor_, inner=self.depth > 0), type_)
        op.location = name_location(name)
        self.block.add_op(op)
        return op.result

    def _define(self, name: str, value: SSAValue) -> None:
        self.values[name] = value
        if name in self.declared:
            self._check_declared(self.declared[name], value)
        hint = re.sub(r"[^A-Za-z0-9_]", "_", name)
        if value.name_hint is None:
            value.name_hint = hint if hint and not hint[0].isdigit() else f"v{hint}"

    def _output(self, info: ValueInfoProto) -> SSAValue:
        if not self.knows(info.name):
            raise CompileError("the graph's output is defined by no node", info.name)
        return self.value(info.name)

    def _check_declared(self, info: ValueInfoProto, value: SSAValue) -> None:
        """Declared types are only checked: half of the exporters' shapes are wrong, and ours are inferred."""
        try:
            declared = value_type(info.type, info.name)
        except CompileError:
            return
        if not is_unranked(declared) and not compatible(declared, value.type):
            self.mismatches.append(f"'{escape_name(info.name)}' is declared {declared}, but is {value.type}")

    def _warn(self) -> None:
        if self.mismatches and self.known is None:
            more = f" (and {len(self.mismatches) - 1} more)" if len(self.mismatches) > 1 else ""
            LOG.warning("a declared shape is wrong and is ignored: %s%s", self.mismatches[0], more)


def _shape_constants(op: NNOp) -> list[ConstantOp] | None:
    """The constants that an operation folds to, of integer or boolean scalars and vectors; None where it does not.

    They can decide the rank of a result, which must be known here: the bodies of LayerNormalization and others compute
    a Reshape's `shape` of as many sizes as another computation says, and the branches of an If may differ in rank.
    """
    if not all(is_tensor(r.type) and r.type.element_type in (i64, i1) and len(dims_of(r.type)) < 2 for r in op.results):
        return None
    folded = [
        f.owner.value if isinstance(f, SSAValue) and isinstance(f.owner, ConstantOp) else f for f in op.fold() or ()
    ]
    values = [f for f in folded if isinstance(f, Attribute)]
    if len(values) < len(op.results):
        return None
    return [ConstantOp(value=v, result_types=[r.type]) for v, r in zip(values, op.results, strict=True)]


def _check_form(op_class: type[NNOp], operator: str, opset: int) -> None:
    """Raise UnsupportedError where the class does not read the operator's form of an opset that old."""
    spelling = op_class.ONNX
    if spelling is not None and operator == spelling.name and opset < spelling.since:
        raise UnsupportedError(
            f"{operator} of opset {opset} is not supported",
            hint=f"opset {spelling.since} is: convert with onnx.version_converter",
        )


def _named(name: str, dim_names: Sequence[str]) -> Any:
    from xdsl.dialects.builtin import DictionaryAttr

    attributes: dict[str, Attribute] = {"nn.name": StringAttr(escape_name(name))}
    if any(dim_names):
        attributes["nn.dims"] = ArrayAttr([StringAttr(escape_name(n)) for n in dim_names])
    return DictionaryAttr(attributes)


def _dim_names(info: ValueInfoProto, type_: Attribute) -> list[str]:
    """The declared names of a result's dims, where they are as many as it has and the dim is not known."""
    dims = info.type.tensor_type.shape.dim
    if not is_tensor(type_) or len(dims) != type_.get_num_dims():
        return []
    return [_dim_name(d) if size is None else "" for d, size in zip(dims, dims_of(type_), strict=True)]


def _dim_name(dim: Any) -> str:
    """The name of a symbolic dim, "" where it has none: dims that exporters call "?" alike need not be equal."""
    return "" if dim.dim_param in NAMELESS else dim.dim_param
