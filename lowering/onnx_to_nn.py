"""Import: an ONNX model as `nn` operations. It knows no op by name; the op classes say how they are spelled in ONNX."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper
from xdsl.dialects.builtin import ArrayAttr, IntegerAttr, ModuleOp, StringAttr, TensorType, i64
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region, SSAValue

from ..dialects.nn import NN
from ..dialects.nn.base import NNOp, OnnxNode
from ..dialects.nn.constant import ConstantOp, ParameterOp, may_be_inline
from ..dialects.nn.types import Array, compatible, element_of, is_float, product, tensor
from ..errors import CompileError, UnsupportedError, escape_name
from ..rewriting import name_location

OLDEST_OPSET = 7
"""The oldest ONNX opset that is read."""

LOG = logging.getLogger("nnfuse")

BITS: dict[int, int] = {
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.FLOAT4E2M1: 4,
}
"""Element types that are not a whole number of bytes."""


def load_model(path: str | PathLike[str]) -> ModelProto:
    """The model in a file, external data included (through onnx's own checks of their paths and sizes).

    Raises CompileError where the file is not an ONNX model.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            start = stream.read(64)
    except OSError as e:
        raise CompileError(f"cannot read '{file}': {e.strerror}") from None
    if not start:
        raise CompileError(f"'{file}' is empty")
    if start.startswith(b"version https://git-lfs"):
        raise CompileError(f"'{file}' is a Git LFS pointer, not the model", hint="fetch it with 'git lfs pull'")
    try:
        model = cast(Any, onnx).load(str(file))
    except DecodeError:
        raise CompileError(f"'{file}' is not an ONNX model, or is cut short") from None
    except (onnx.checker.ValidationError, ValueError, OSError) as e:
        raise CompileError(f"the external data of '{file}' cannot be read: {e}") from None
    return model


def parse_model(data: bytes) -> ModelProto:
    """The model in memory; raises CompileError where it is not one."""
    try:
        return onnx.load_from_string(data)
    except (DecodeError, ValueError, onnx.checker.ValidationError):
        raise CompileError("the bytes are not an ONNX model, or are cut short") from None


def import_onnx(path: str | PathLike[str]) -> ModuleOp:
    """The module of an ONNX file; its parameters stay in the file, which a module attribute names."""
    return import_model(load_model(path), str(path), Path(path).stat().st_size)


def import_model(model: ModelProto, parameters: str | None = None, size: int | None = None) -> ModuleOp:
    """The module of a model: `func @main`, whose parameters are in the file `parameters` of `size` bytes.

    Raises CompileError for what is wrong and UnsupportedError for what nnfuse does not do, naming the node.
    """
    attributes: dict[str, Attribute] = {}
    if parameters is not None:
        attributes["nn.parameters"] = StringAttr(parameters)
    if size is not None:
        attributes["nn.parameters_size"] = IntegerAttr(size, i64)
    return ModuleOp([GraphImporter(model).function()], attributes)


@cache
def op_classes() -> dict[tuple[str, str], type[NNOp]]:
    """The op class of each ONNX operator, by domain and name."""
    spelled = [(c, c.ONNX) for c in NN.operations if issubclass(c, NNOp) and c.ONNX is not None]
    return {(onnx_.domain, name): c for c, onnx_ in spelled for name in (onnx_.name, *onnx_.older)}


class GraphImporter:
    """Imports one graph. Values are kept by their ONNX names; nodes may come in any order."""

    def __init__(self, model: ModelProto):
        self.graph: GraphProto = model.graph
        self.opsets = _opsets(model)
        self.block = Block()
        self.values: dict[str, SSAValue] = {}
        self.mismatches: list[str] = []
        self.uses = Counter(name for node in self.graph.node for name in node.input)
        self.uses.update(o.name for o in self.graph.output)

    def function(self) -> FuncOp:
        """`func @main` of the graph."""
        nodes = _sorted_nodes(self.graph)
        self._check_supported(nodes)
        initializers = {t.name: t for t in self.graph.initializer}
        inputs = [i for i in self.graph.input if i.name not in initializers]
        arguments = [self._argument(i) for i in inputs]
        for tensor_ in initializers.values():
            self._initializer(tensor_)
        declared = {v.name: v for v in (*self.graph.value_info, *self.graph.output)}
        for node in nodes:
            self._node(node, declared)
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

    def _check_supported(self, nodes: Sequence[NodeProto]) -> None:
        """Raise one UnsupportedError that lists every operator without a class."""
        missing: dict[str, list[str]] = {}
        for node in nodes:
            domain = _domain(node.domain)
            if domain not in self.opsets:
                raise CompileError(f"the model imports no opset for the domain '{domain or 'ai.onnx'}'", _name(node))
            if (domain, node.op_type) not in op_classes():
                missing.setdefault(f"{domain}.{node.op_type}" if domain else node.op_type, []).append(_name(node))
        if missing:
            listed = ", ".join(f"{op} ({len(names)}, first {names[0]})" for op, names in missing.items())
            raise UnsupportedError(f"{len(missing)} operator(s) are not supported: {listed}")
        if self.graph.sparse_initializer:
            raise UnsupportedError(
                "sparse initializers are not supported", self.graph.sparse_initializer[0].values.name
            )

    def _argument(self, info: ValueInfoProto) -> Any:
        dims: list[int | None] = []
        names: list[str] = []
        type_ = _tensor_type(info)
        for axis, dim in enumerate(type_.shape.dim):
            known = dim.HasField("dim_value") and dim.dim_value >= 0
            dims.append(dim.dim_value if known else None)
            names.append("" if known else (dim.dim_param or f"{info.name}_dim_{axis}"))
        argument = self.block.insert_arg(tensor(_element(type_.elem_type, info.name), dims), len(self.block.args))
        self._define(info.name, argument)
        return _named(info.name, names)

    def _initializer(self, proto: TensorProto) -> None:
        check_tensor_size(proto)
        element = _element(proto.data_type, proto.name)
        if may_be_inline(element, product(proto.dims)):
            value = self._constant(to_array(proto), proto.name, proto.name)
        else:
            value = self._parameter(proto.name, tensor(element, proto.dims))
        self._define(proto.name, value)

    def _node(self, node: NodeProto, declared: dict[str, ValueInfoProto]) -> None:
        name, domain = _name(node), _domain(node.domain)
        opset = self.opsets[domain]
        op_class = op_classes()[domain, node.op_type]
        assert op_class.ONNX is not None
        inputs = [self.values[i] if i else None for i in node.input]
        while inputs and inputs[-1] is None:
            inputs.pop()
        outputs = list(node.output)
        while outputs and not outputs[-1]:
            outputs.pop()
        try:
            attributes = _check_schema(node, domain, opset)
            results = op_class.import_node(
                OnnxNode(
                    op_type=node.op_type,
                    domain=domain,
                    opset=opset,
                    inputs=inputs,
                    attributes=attributes,
                    outputs=len(outputs),
                    build=self._builder(name),
                    constant=lambda array: self._constant(array, outputs[0], name),
                    used=tuple(self.uses[o] > 0 for o in outputs),
                )
            )
        except CompileError as e:
            raise e.at(name) from None
        if len(results) < len(outputs):
            raise UnsupportedError(f"output {len(results)} of {node.op_type} is not supported", name)
        for output, value in zip(outputs, results, strict=False):
            if output:
                self._define(output, value)
                if output in declared:
                    self._check_declared(declared[output], value)

    def _builder(self, name: str) -> Callable[..., Sequence[SSAValue]]:
        location = name_location(name)

        def build(op_class: type[NNOp], *operands: Any, **fields: Any) -> Sequence[SSAValue]:
            """An operation at the node's location."""
            op = op_class(*operands, **fields)
            op.location = location
            self.block.add_op(op)
            return op.results

        return build

    def _constant(self, array: Array, name: str, node: str) -> SSAValue:
        array = np.asarray(array)
        element = element_of(array.dtype)
        finite = array.size <= 1 or not is_float(element) or bool(np.isfinite(array.astype(np.float64)).all())
        if not may_be_inline(element, array.size) or not finite:
            return self._parameter(name, tensor(element, array.shape))
        op = ConstantOp.of(array)
        op.location = name_location(node)
        self.block.add_op(op)
        return op.result

    def _parameter(self, name: str, type_: TensorType[Attribute]) -> SSAValue:
        op = ParameterOp(escape_name(name), type_)
        op.location = name_location(name)
        self.block.add_op(op)
        return op.result

    def _define(self, name: str, value: SSAValue) -> None:
        self.values[name] = value
        hint = re.sub(r"[^A-Za-z0-9_]", "_", name)
        if value.name_hint is None:
            value.name_hint = hint if hint and not hint[0].isdigit() else f"v{hint}"

    def _output(self, info: ValueInfoProto) -> SSAValue:
        if (value := self.values.get(info.name)) is None:
            raise CompileError("the graph's output is defined by no node", info.name)
        return value

    def _check_declared(self, info: ValueInfoProto, value: SSAValue) -> None:
        """Declared types are only checked: half of the exporters' shapes are wrong, and ours are inferred."""
        if not info.type.HasField("tensor_type") or not info.type.tensor_type.HasField("shape"):
            return
        type_ = info.type.tensor_type
        dims = [d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None for d in type_.shape.dim]
        try:
            declared = tensor(_element(type_.elem_type, info.name), dims)
        except CompileError:
            return
        if not compatible(declared, value.type):
            self.mismatches.append(f"'{escape_name(info.name)}' is declared {declared}, but is {value.type}")

    def _warn(self) -> None:
        if self.mismatches:
            more = f" (and {len(self.mismatches) - 1} more)" if len(self.mismatches) > 1 else ""
            LOG.warning("warning: a declared shape is wrong and is ignored: %s%s", self.mismatches[0], more)


def to_array(proto: TensorProto) -> Array:
    """The value of a tensor; raises CompileError where its data do not fit its dims and type."""
    check_tensor_size(proto)
    try:
        return numpy_helper.to_array(proto)
    except (ValueError, TypeError, KeyError, AttributeError) as e:
        raise CompileError(f"the tensor's data cannot be read: {e}", proto.name) from None


def check_tensor_size(proto: TensorProto) -> None:
    """Raise CompileError where a tensor's data are not as many bytes as its dims and element type say."""
    if any(d < 0 for d in proto.dims):
        raise CompileError(f"the tensor has a negative dimension: {list(proto.dims)}", proto.name)
    if not proto.HasField("raw_data"):
        return
    count = cast(int, product(proto.dims))
    try:
        bits = BITS.get(proto.data_type) or onnx.helper.tensor_dtype_to_np_dtype(proto.data_type).itemsize * 8
    except (KeyError, TypeError, ValueError):
        raise CompileError(f"the tensor has the unknown element type {proto.data_type}", proto.name) from None
    if len(proto.raw_data) != -(-count * bits // 8):
        raise CompileError(
            f"the tensor {'x'.join(map(str, proto.dims)) or 'scalar'} needs {-(-count * bits // 8)} bytes of data, but"
            f" has {len(proto.raw_data)}",
            proto.name,
        )


def _opsets(model: ModelProto) -> dict[str, int]:
    """The version of each imported domain; raises where the main one is outside what is read."""
    opsets: dict[str, int] = {}
    for entry in model.opset_import:
        opsets[_domain(entry.domain)] = entry.version
    if not model.HasField("graph") or not model.graph.output:
        raise CompileError("the model has no graph, or a graph without outputs")
    newest = onnx.defs.onnx_opset_version()
    version = opsets.get("")
    if version is None:
        raise CompileError("the model imports no opset of the domain ai.onnx")
    if not 1 <= version <= newest:
        raise UnsupportedError(f"opset {version} is unknown", hint=f"this onnx {onnx.__version__} knows 1 to {newest}")
    if version < OLDEST_OPSET:
        raise UnsupportedError(
            f"opset {version} is too old",
            hint=f"{OLDEST_OPSET} to {newest} are read; convert with onnx.version_converter",
        )
    return opsets


def _sorted_nodes(graph: GraphProto) -> list[NodeProto]:
    """The nodes with each after those it reads from; raises CompileError on missing, duplicate or circular names."""
    available = {i.name for i in graph.input} | {t.name for t in graph.initializer}
    available |= {s.values.name for s in graph.sparse_initializer}
    producers: dict[str, NodeProto] = {}
    for names, what in ((graph.input, "input"), (graph.initializer, "initializer")):
        for name, count in Counter(n.name for n in cast(Any, names)).items():
            if count > 1 or not name:
                raise CompileError(f"{count} of the graph's {what}s have the name '{name}'")
    for node in graph.node:
        for output in filter(None, node.output):
            if output in producers or output in available:
                raise CompileError(f"the value '{output}' is defined twice", _name(node))
            producers[output] = node
    waiting: dict[str, list[int]] = {}
    missing: list[int] = []
    for index, node in enumerate(graph.node):
        needed = {i for i in node.input if i and i not in available}
        for name in needed:
            if name not in producers:
                raise CompileError(f"the value '{name}' is read, but nothing defines it", _name(node))
            waiting.setdefault(name, []).append(index)
        missing.append(len(needed))
    return _kahn(graph, waiting, missing)


def _kahn(graph: GraphProto, waiting: dict[str, list[int]], missing: list[int]) -> list[NodeProto]:
    """Nodes in an order that respects `waiting`; `missing` counts what each still waits for. Keeps the file's order."""
    import heapq

    ready = [i for i, count in enumerate(missing) if count == 0]
    heapq.heapify(ready)
    order: list[NodeProto] = []
    while ready:
        node = graph.node[heapq.heappop(ready)]
        order.append(node)
        for output in node.output:
            for index in waiting.pop(output, ()):
                missing[index] -= 1
                if missing[index] == 0:
                    heapq.heappush(ready, index)
    if len(order) < len(graph.node):
        stuck = next(graph.node[i] for i, count in enumerate(missing) if count)
        raise CompileError("the node is part of a cycle, or reads from one", _name(stuck))
    return order


def _check_schema(node: NodeProto, domain: str, opset: int) -> dict[str, Any]:
    """The node's attributes as Python values, checked with its arity against onnx's schema of the model's opset."""
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, domain)
    except onnx.defs.SchemaError:
        raise UnsupportedError(f"{node.op_type} does not exist in opset {opset}") from None
    if schema.deprecated:
        raise UnsupportedError(f"{node.op_type} is deprecated in opset {opset}")
    for what, names, least, most in (
        ("inputs", node.input, schema.min_input, schema.max_input),
        ("outputs", node.output, schema.min_output, schema.max_output),
    ):
        if not least <= len(names) <= most:
            raise CompileError(f"{node.op_type} has {len(names)} {what}; opset {opset} wants {least} to {most}")
    attributes: dict[str, Any] = {}
    for proto in node.attribute:
        known = cast(Any, schema.attributes.get(proto.name))
        if known is None:
            raise CompileError(f"{node.op_type} has no attribute '{proto.name}' in opset {opset}")
        if proto.type != known.type.value or proto.ref_attr_name:
            raise CompileError(f"the attribute '{proto.name}' of {node.op_type} is not of the type {known.type.name}")
        attributes[proto.name] = _attribute_value(proto)
    for name, known in schema.attributes.items():
        if known.required and name not in attributes:
            raise CompileError(f"{node.op_type} needs the attribute '{name}'")
    return attributes


def _attribute_value(proto: AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(proto)
    match proto.type:
        case AttributeProto.STRING:
            return value.decode("utf-8", "replace")
        case AttributeProto.STRINGS:
            return [v.decode("utf-8", "replace") for v in value]
        case AttributeProto.TENSOR:
            return to_array(value)
        case AttributeProto.INTS | AttributeProto.FLOATS:
            return list(value)
        case AttributeProto.INT | AttributeProto.FLOAT:
            return value
        case _:
            raise UnsupportedError(f"the attribute '{proto.name}' is of a type that is not supported")


def _tensor_type(info: ValueInfoProto) -> Any:
    if not info.type.HasField("tensor_type"):
        raise UnsupportedError("only tensors are supported as inputs", info.name)
    if not info.type.tensor_type.HasField("shape"):
        raise UnsupportedError(
            "the input has no declared rank", info.name, "give it a shape; its sizes may be symbolic"
        )
    return info.type.tensor_type


def _element(data_type: int, name: str) -> Attribute:
    try:
        return element_of(onnx.helper.tensor_dtype_to_np_dtype(data_type))
    except (KeyError, TypeError, ValueError):
        raise CompileError(f"unknown element type {data_type}", name) from None
    except CompileError as e:
        raise e.at(name) from None


def _named(name: str, dim_names: Sequence[str]) -> Any:
    from xdsl.dialects.builtin import DictionaryAttr

    attributes: dict[str, Attribute] = {"nn.name": StringAttr(escape_name(name))}
    if any(dim_names):
        attributes["nn.dims"] = ArrayAttr([StringAttr(escape_name(n)) for n in dim_names])
    return DictionaryAttr(attributes)


def _dim_names(info: ValueInfoProto, type_: Attribute) -> list[str]:
    """The declared names of a result's dims, where they are as many as it has and the dim is not known."""
    dims = info.type.tensor_type.shape.dim
    assert isinstance(type_, TensorType)
    if len(dims) != type_.get_num_dims():
        return []
    return [d.dim_param if size < 0 else "" for d, size in zip(dims, type_.get_shape(), strict=True)]


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _name(node: NodeProto) -> str:
    return node.name or next((o for o in node.output if o), node.op_type)
