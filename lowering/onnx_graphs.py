"""Checks of an ONNX graph before it is imported: its opsets, the order of its nodes, their arity and attributes."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, cast

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

from ..dialects.nn.regions import MAX_DEPTH
from ..errors import CompileError, UnsupportedError
from .onnx_files import not_utf8, to_array
from .onnx_types import value_type


def opsets_of(model: ModelProto) -> dict[str, int]:
    """The version of each imported domain; raises where the main one is outside what is read."""
    opsets: dict[str, int] = {}
    for entry in model.opset_import:
        domain = domain_of(entry.domain)
        if opsets.setdefault(domain, entry.version) != entry.version:
            raise CompileError(
                f"the model imports the opsets {opsets[domain]} and {entry.version} of '{domain or 'ai.onnx'}'"
            )
    if not model.HasField("graph") or not model.graph.output:
        raise CompileError("the model has no graph, or a graph without outputs")
    newest = onnx.defs.onnx_opset_version()
    version = opsets.get("")
    if version is None:
        if any(not domain_of(node.domain) for node in model.graph.node):
            raise CompileError("the model imports no opset of the domain ai.onnx")
        return opsets
    if not 1 <= version <= newest:
        raise UnsupportedError(f"opset {version} is unknown", hint=f"this onnx {onnx.__version__} knows 1 to {newest}")
    return opsets


def check_names(model: ModelProto) -> None:
    """Raise CompileError where a name is not UTF-8: protobuf then gives its bytes, or fails, when it is read."""
    if not all(isinstance(name, str) for name in _names(model)):
        raise not_utf8()


def _names(model: ModelProto) -> Iterator[Any]:
    yield from (entry.domain for entry in model.opset_import)
    for function in model.functions:
        yield from (function.domain, function.name, function.overload, *function.input, *function.output)
        yield from (*function.attribute, *(a.name for a in function.attribute_proto))
        yield from (entry.domain for entry in function.opset_import)
    yield from _names_in(model.graph)
    for node in nested_nodes(chain(model.graph.node, *(f.node for f in model.functions))):
        yield from (node.name, node.op_type, node.domain, node.overload, *node.input, *node.output)
        yield from (text for attribute in node.attribute for text in (attribute.name, attribute.ref_attr_name))
        for graph in graphs_of(node):
            yield from _names_in(graph)


def _names_in(graph: GraphProto) -> Iterator[Any]:
    for info in (*graph.input, *graph.value_info, *graph.output):
        yield info.name
        yield from (dim.dim_param for dim in info.type.tensor_type.shape.dim)
    yield from (tensor.name for tensor in graph.initializer)
    yield from (sparse.values.name for sparse in graph.sparse_initializer)


def graphs_of(node: NodeProto) -> list[GraphProto]:
    """The graphs among a node's attributes."""
    return [a.g for a in node.attribute if a.type == AttributeProto.GRAPH]


def nested_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """The nodes, and those of graphs in them; raises UnsupportedError where graphs lie too deep in one another."""
    levels = [iter(nodes)]
    while levels:
        node = next(levels[-1], None)
        if node is None:
            levels.pop()
            continue
        yield node
        if graphs := graphs_of(node):
            check_depth(len(levels), node)
            levels.append(chain.from_iterable(g.node for g in graphs))


def check_depth(depth: int, node: NodeProto) -> None:
    """Raise UnsupportedError where a node's graphs would lie in more than MAX_DEPTH others."""
    if depth > MAX_DEPTH:
        raise UnsupportedError(f"graphs lie in one another more than {MAX_DEPTH} deep", name_of(node))


def reads(node: NodeProto) -> dict[str, NodeProto]:
    """The values that a node needs, those that its graphs read of what is around them included, and who reads each."""
    found = {name: node for name in node.input if name}
    for graph in graphs_of(node):
        for name, reader in _free_names(graph, node).items():
            found.setdefault(name, reader)
    return found


def _free_names(graph: GraphProto, owner: NodeProto) -> dict[str, NodeProto]:
    """What a graph reads, but does not define, and the node that reads it; `owner` for an output of the graph."""
    found: dict[str, NodeProto] = {}
    for node in graph.node:
        for name, reader in reads(node).items():
            found.setdefault(name, reader)
    for output in graph.output:
        found.setdefault(output.name, owner)
    defined = {n.name for n in (*graph.input, *graph.initializer)} | {s.values.name for s in graph.sparse_initializer}
    defined.update(o for node in graph.node for o in node.output)
    return {name: reader for name, reader in found.items() if name not in defined}


def sorted_nodes(graph: GraphProto, inner: bool = False) -> list[NodeProto]:
    """The nodes with each after those it reads from; raises CompileError on missing, duplicate or circular names.

    What an `inner` graph reads, but does not define, is defined around it.
    """
    available = {i.name for i in graph.input} | {t.name for t in graph.initializer}
    available |= {s.values.name for s in graph.sparse_initializer}
    producers: dict[str, NodeProto] = {}
    for names, what in ((graph.input, "input"), (graph.initializer, "initializer")):
        for name, count in Counter(n.name for n in cast(Any, names)).items():
            if not name:
                raise CompileError(f"the graph has {what}s without a name")
            if count > 1:
                raise CompileError(f"{count} of the graph's {what}s have the name '{name}'")
    for node in graph.node:
        for output in filter(None, node.output):
            if output in producers or output in available:
                raise CompileError(f"the value '{output}' is defined twice", name_of(node))
            producers[output] = node
    waiting: dict[str, list[int]] = {}
    missing: list[int] = []
    for index, node in enumerate(graph.node):
        needed = {name: reader for name, reader in reads(node).items() if name not in available}
        if inner:
            needed = {name: reader for name, reader in needed.items() if name in producers}
        for name, reader in needed.items():
            if name not in producers:
                raise CompileError(f"the value '{name}' is read, but nothing defines it", name_of(reader))
            waiting.setdefault(name, []).append(index)
        missing.append(len(needed))
    order = _kahn(graph, waiting, missing)
    if len(order) < len(graph.node):
        stuck = next(graph.node[i] for i, count in enumerate(missing) if count)
        raise CompileError(
            "the node is part of a cycle: it reads what is made from its own output", _on_cycle(stuck, producers, order)
        )
    return order


def _kahn(graph: GraphProto, waiting: dict[str, list[int]], missing: list[int]) -> list[NodeProto]:
    """Nodes in an order that respects `waiting`, the file's where it does; those on or behind a cycle are left out.

    `missing` counts what each node still waits for, and is counted down.
    """
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
    return order


def _on_cycle(node: NodeProto, producers: dict[str, NodeProto], order: Sequence[NodeProto]) -> str:
    """The name of a node on a cycle that `node`, which is not in `order`, is on or reads from."""
    done = {output for sorted_node in order for output in sorted_node.output}
    passed: set[str] = set()
    while True:
        name = next(i for i in reads(node) if i in producers and i not in done)
        if name in passed:
            return name_of(producers[name])
        passed.add(name)
        node = producers[name]


def check_schema(node: NodeProto, domain: str, opset: int, like: str | None = None) -> dict[str, Any]:
    """The node's attributes as Python values, checked with its arity against onnx's schema of the model's opset.

    Of an operator that onnx does not know but that has the attributes of the operator `like`, only those are checked.
    """
    if like is not None:
        return _attributes(node, onnx.defs.get_schema(like), opset)
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, domain)
    except onnx.defs.SchemaError:
        raise UnsupportedError(f"{node.op_type} does not exist in opset {opset}") from None
    # GroupNormalization of opset 18 is deprecated too, but its newer form is not: what it means is clear
    if schema.deprecated and onnx.defs.get_schema(node.op_type, domain).deprecated:
        raise UnsupportedError(f"{node.op_type} is deprecated in opset {opset}")
    for what, names, least, most in (
        ("inputs", node.input, schema.min_input, schema.max_input),
        ("outputs", node.output, schema.min_output, schema.max_output),
    ):
        if not least <= len(names) <= most:
            raise CompileError(f"{node.op_type} has {len(names)} {what}; opset {opset} wants {least} to {most}")
    return _attributes(node, schema, opset)


def _attributes(node: NodeProto, schema: Any, opset: int) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for proto in node.attribute:
        if proto.name in attributes:
            raise CompileError(f"{node.op_type} has the attribute '{proto.name}' twice")
        known = schema.attributes.get(proto.name)
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
        case AttributeProto.INT | AttributeProto.FLOAT | AttributeProto.GRAPH:
            return value
        case AttributeProto.TYPE_PROTO:
            return value_type(value, proto.name)
        case _:
            raise UnsupportedError(f"the attribute '{proto.name}' is of a type that is not supported")


def domain_of(domain: str) -> str:
    """The domain, "" for ONNX's own."""
    return "" if domain == "ai.onnx" else domain


def name_of(node: NodeProto) -> str:
    """What messages and locations call a node: its name, else its first output's, else its operator's."""
    return node.name or next((o for o in node.output if o), node.op_type)
