"""ONNX functions: nodes that call one become the nodes of its body.

A function is one of the model's own (`ModelProto.functions`) or, for an operator that no class claims, the body that
the installed onnx defines it by. Values and nodes of a body are named `caller/inner`.
"""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import onnx
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TypeProto, ValueInfoProto

from ..errors import CompileError, UnsupportedError
from .onnx_graphs import check_depth, check_schema, domain_of, graphs_of, name_of, nested_nodes, sorted_nodes

MAX_NODES = 100_000
"""The most calls, and nodes made by them, of one model."""

MAX_BYTES = 1 << 28
"""The most bytes (as protobuf) of the nodes made from one model's functions."""

Opsets = Mapping[str, int]
"""The version of each domain that a node's operator is meant in."""

FunctionKey = tuple[str, str, str]
"""A function's domain, name and overload."""


@dataclass(frozen=True)
class ScopedNode:
    """A node, and the opsets of the model or function that it stands in; `own` where it may call model functions."""

    proto: NodeProto
    opsets: Opsets
    own: bool = True

    @property
    def domain(self) -> str:
        """The operator's domain, "" for ONNX's own."""
        return domain_of(self.proto.domain)

    @property
    def opset(self) -> int:
        """The version of the operator's domain; raises CompileError where it is not imported."""
        if (version := self.opsets.get(self.domain)) is None:
            raise CompileError(f"no opset of the domain '{self.domain or 'ai.onnx'}' is imported", name_of(self.proto))
        return version


@dataclass(frozen=True)
class _Body:
    """A function that can be called: its nodes in order, and its parameters."""

    proto: FunctionProto
    nodes: list[NodeProto]
    opsets: Opsets
    defaults: Mapping[str, AttributeProto]
    own: bool

    @cached_property
    def attributes(self) -> set[str]:
        """The names of the attributes that a call may give."""
        return {*self.proto.attribute, *self.defaults}


class Names:
    """Names that are taken."""

    def __init__(self, taken: Iterable[str]):
        self._taken = set(taken)
        self._suffixes: Counter[str] = Counter()

    def unique(self, name: str) -> str:
        """`name`, with a number behind it where it is taken; taken from now on."""
        candidate = name
        while candidate in self._taken:
            self._suffixes[name] += 1
            candidate = f"{name}_{self._suffixes[name]}"
        self._taken.add(candidate)
        return candidate


class FunctionExpander:
    """Expands the calls of one model. `claimed` says of an operator (domain and name) whether a class imports it.

    What is expanded in all is bounded by MAX_NODES and MAX_BYTES; the names it gives are different from all others.
    """

    def __init__(self, model: ModelProto, claimed: Callable[[str, str], bool]):
        self._claimed = claimed
        self._functions = {_key(f): f for f in reversed(model.functions)}
        if len(self._functions) < len(model.functions):
            twice = next(k for k, n in Counter(map(_key, model.functions)).items() if n > 1)
            raise CompileError(f"the model defines the function '{_spelled(twice)}' twice")
        self._bodies: dict[FunctionKey | tuple[str, str, int], _Body] = {}
        nodes = list(nested_nodes(model.graph.node))
        inner = (value_names(graph) for node in nodes for graph in graphs_of(node))
        self._values = Names(value_names(model.graph).union(*inner))
        self._node_names = Names(node.name for node in nodes)
        self._nodes = self._bytes = self._inner = 0
        self._graphs: dict[int, tuple[GraphProto, list[ScopedNode]]] = {}
        self._refuse_recursion()

    # What is a call

    def calls_own(self, node: ScopedNode) -> bool:
        """Whether a node calls a function of the model, which goes before an operator of that name."""
        return node.own and _callee(node.proto) in self._functions

    def is_known(self, node: ScopedNode) -> bool:
        """Whether a node, after `expand`, is claimed by a class or waits for `in_context`."""
        return self._claimed(node.domain, node.proto.op_type) or self.waits(node)

    def waits(self, node: ScopedNode) -> bool:
        """Whether a node is expanded by `in_context` only: its body depends on the types of its operands."""
        schema = self._schema(node)
        return schema is not None and schema.has_context_dependent_function and not schema.has_function

    def how(self, node: ScopedNode) -> str | None:
        """By which kind of function a node becomes other nodes, None where it does not."""
        if self.calls_own(node):
            return "a function of the model"
        return "its function body in ONNX" if self.waits(node) or self._body(node) else None

    def reason(self, node: ScopedNode) -> str | None:
        """Why a node that has a body is not expanded, None where it has none."""
        schema = self._schema(node)
        if schema is None or not schema.has_function:
            return None
        lacking = self._lacking(self._onnx_body(node, schema))
        return f"its function body needs {lacking}" if lacking else None

    def _schema(self, node: ScopedNode) -> Any:
        """The schema of an operator that has a body and no class, None for all others."""
        proto = node.proto
        if self._claimed(node.domain, proto.op_type) or self.calls_own(node):
            return None
        try:
            schema: Any = onnx.defs.get_schema(proto.op_type, node.opsets.get(node.domain, 0), node.domain)
        except onnx.defs.SchemaError:
            return None
        return schema if schema.has_function or schema.has_context_dependent_function else None

    def _lacking(self, body: _Body) -> str | None:
        """The first operator in one of onnx's own bodies that is neither claimed nor has a body itself."""
        for node in nested_nodes(body.nodes):
            inner = ScopedNode(node, body.opsets, own=False)
            if not self._claimed(inner.domain, node.op_type) and self._schema(inner) is None:
                return node.op_type
        return None

    # Expansion

    def expand(self, nodes: Iterable[ScopedNode]) -> list[ScopedNode]:
        """`nodes` with each call replaced by the nodes of its body, and those of calls in it, in order.

        What `waits`, and onnx's own bodies that need an operator without class or body, stay calls. Raises CompileError
        where a call does not fit its function, and UnsupportedError beyond the bounds.
        """
        result: list[ScopedNode] = []
        pending = list(nodes)[::-1]
        while pending:
            node = pending.pop()
            body = self._body(node)
            if body is None:
                result.append(node)
            else:
                pending += self._inline(node.proto, body)[::-1]
        return result

    def expand_graph(self, graph: GraphProto, around: ScopedNode, depth: int) -> list[ScopedNode]:
        """The nodes of a graph that is an attribute of a node, `depth` graphs deep: in order, expanded, once."""
        if id(graph) not in self._graphs:
            check_depth(depth, around.proto)
            nodes = self.expand(ScopedNode(n, around.opsets, around.own) for n in sorted_nodes(graph, inner=True))
            self._graphs[id(graph)] = (graph, nodes)  # while the graph is held, its id is its own
        return self._graphs[id(graph)][1]

    def count_inner(self, name: str, limit: int) -> None:
        """Count a node imported in a graph of the node `name`; raises UnsupportedError beyond `limit`."""
        self._inner += 1
        if self._inner > limit:
            raise UnsupportedError(f"the graphs in the model's nodes have more than {limit} nodes", name)

    def in_context(self, node: ScopedNode, types: Sequence[TypeProto]) -> list[ScopedNode]:
        """The nodes for a node that `waits`, given the `types` of its inputs (an empty one for an absent input)."""
        schema = self._schema(node)
        call = self._checked_call(node, schema)
        versions = schema.context_dependent_function_opset_versions
        version = _body_version(versions, node.opset)
        try:
            data = schema.get_context_dependent_function_with_opset_version(
                version, call.SerializeToString(), [t.SerializeToString() for t in types]
            )
        except (ValueError, RuntimeError, IndexError) as e:
            raise CompileError(f"{call.op_type} does not fit its function body: {e}", name_of(call)) from None
        if not data:
            raise UnsupportedError(f"{call.op_type} has no function body for these operands", name_of(call))
        opsets = {**node.opsets, domain_of(node.proto.domain): version}
        body = _make_body(FunctionProto.FromString(data), opsets, {}, own=False)
        if lacking := self._lacking(body):
            raise UnsupportedError(f"{call.op_type} is not supported: its function body needs {lacking}", name_of(call))
        made = {o for n in body.nodes for o in n.output}
        if missing := [i for i, o in zip(body.proto.output, call.output, strict=False) if o and i not in made]:
            raise UnsupportedError(f"the output {missing[0]} of {call.op_type} is not supported", name_of(call))
        return self.expand(self._inline(call, body))

    def _body(self, node: ScopedNode) -> _Body | None:
        """The body that `expand` puts in place of `node`."""
        if self.calls_own(node):
            return self._own_body(node.proto)
        schema = self._schema(node)
        if schema is None or not schema.has_function:
            return None
        body = self._onnx_body(node, schema)
        if self._lacking(body):
            return None
        self._checked_call(node, schema)
        return body

    def _own_body(self, call: NodeProto) -> _Body:
        key = _callee(call)
        if key not in self._bodies:
            proto = self._functions[key]
            try:
                self._bodies[key] = _make_body(proto, {}, {a.name: a for a in proto.attribute_proto}, own=True)
            except CompileError as e:
                inner = f"{e.node}: " if e.node else ""
                message = f"in the function '{_spelled(key)}': {inner}{e.message}"
                raise type(e)(message, name_of(call), e.hint) from None
        return self._bodies[key]

    def _onnx_body(self, node: ScopedNode, schema: Any) -> _Body:
        version = _body_version(schema.function_opset_versions, node.opset)
        key = node.domain, node.proto.op_type, schema.since_version * 1000 + version
        if key not in self._bodies:
            proto = FunctionProto.FromString(schema.get_function_with_opset_version(version))
            self._bodies[key] = _make_body(proto, {node.domain: version}, _schema_defaults(schema), own=False)
        return self._bodies[key]

    def _checked_call(self, node: ScopedNode, schema: Any) -> NodeProto:
        """The node with the schema's defaults in place of absent attributes, after the checks of any node."""
        try:
            check_schema(node.proto, node.domain, node.opset)
        except CompileError as e:
            raise e.at(name_of(node.proto)) from None
        call = NodeProto()
        call.CopyFrom(node.proto)
        given = {a.name for a in call.attribute}
        call.attribute.extend(d for n, d in _schema_defaults(schema).items() if n not in given)
        return call

    def _inline(self, call: NodeProto, body: _Body) -> list[ScopedNode]:
        """The body's nodes with the caller's values and attributes in place of the function's."""
        name = name_of(call)
        values = self._bind(call, body)
        attributes = {**body.defaults, **{a.name: a for a in call.attribute}}
        made: list[ScopedNode] = []
        for node in body.nodes:
            copy = NodeProto(op_type=node.op_type, domain=node.domain, overload=node.overload)
            copy.name = self._node_names.unique(f"{name}/{name_of(node)}")
            copy.input.extend(values[i] if i else "" for i in node.input)
            copy.output.extend(self._value(values, f"{name}/{o}", o) if o else "" for o in node.output)
            copy.attribute.extend(self._bound(node, attributes, ChainMap(values), name))
            made.append(ScopedNode(copy, body.opsets, body.own))
        for inner, outer in zip(body.proto.output, call.output, strict=False):
            if outer and values.get(inner) != outer:
                identity = NodeProto(op_type="Identity", input=[values[inner]], output=[outer])
                identity.name = self._node_names.unique(f"{name}/{inner}")
                made.append(ScopedNode(identity, {"": onnx.defs.onnx_opset_version()}, own=False))
        self._count(name, made)
        return made

    def _bind(self, call: NodeProto, body: _Body) -> dict[str, str]:
        """The caller's names of the function's inputs and outputs; raises CompileError where the call does not fit."""
        proto, name = body.proto, name_of(call)
        for what, given, known in (("inputs", call.input, proto.input), ("outputs", call.output, proto.output)):
            if len(given) > len(known):
                raise CompileError(f"{call.op_type} has {len(given)} {what}; its function has {len(known)}", name)
        if body.own and (unknown := [a.name for a in call.attribute if a.name not in body.attributes]):
            raise CompileError(f"the function {call.op_type} has no attribute '{unknown[0]}'", name)
        values = dict(zip(proto.input, [*call.input] + [""] * len(proto.input), strict=False))
        for inner, outer in zip(proto.output, call.output, strict=False):
            if outer:
                values.setdefault(inner, outer)
        return values

    def _bound(
        self, node: NodeProto, given: Mapping[str, AttributeProto], values: ChainMap[str, str], name: str
    ) -> list[AttributeProto]:
        """The node's attributes, references to the function's replaced by their values; one without a value is absent.

        The graphs among them are copied, with their own values named `name/inner`.
        """
        bound: list[AttributeProto] = []
        for attribute in node.attribute:
            if attribute.ref_attr_name:
                if (value := given.get(attribute.ref_attr_name)) is None:
                    continue
                bound.append(AttributeProto())
                bound[-1].CopyFrom(value)
                bound[-1].name = attribute.name
            elif attribute.type == AttributeProto.GRAPH:
                graph = self._bound_graph(attribute.g, given, values.new_child(), name)
                bound.append(AttributeProto(name=attribute.name, type=AttributeProto.GRAPH, g=graph))
            else:
                bound.append(attribute)
        return bound

    def _bound_graph(
        self, graph: GraphProto, given: Mapping[str, AttributeProto], values: ChainMap[str, str], name: str
    ) -> GraphProto:
        """A copy of a graph of a function's body, for the call `name`; see `_bound`."""
        copy = GraphProto()
        copy.CopyFrom(graph)
        local: MutableMapping[str, str] = values.maps[0]
        for value in (*copy.input, *copy.initializer):
            if value.name not in local:
                local[value.name] = self._values.unique(f"{name}/{value.name}")
        for node in copy.node:
            for output in filter(None, node.output):
                local[output] = self._values.unique(f"{name}/{output}")
        for value in (*copy.input, *copy.initializer, *copy.value_info, *copy.output):
            value.name = values.get(value.name, value.name)
        for node in copy.node:
            attributes = self._bound(node, given, values, name)
            node.name = self._node_names.unique(f"{name}/{name_of(node)}")
            for names in (node.input, node.output):
                names[:] = [values.get(n, n) if n else "" for n in names]
            del node.attribute[:]
            node.attribute.extend(attributes)
        return copy

    def _value(self, values: dict[str, str], name: str, inner: str) -> str:
        return values[inner] if inner in values else values.setdefault(inner, self._values.unique(name))

    def _count(self, name: str, made: Sequence[ScopedNode]) -> None:
        self._nodes += 1 + len(made)
        self._bytes += sum(n.proto.ByteSize() for n in made)
        if self._nodes > MAX_NODES or self._bytes > MAX_BYTES:
            limit = f"{MAX_NODES} nodes" if self._nodes > MAX_NODES else f"{MAX_BYTES} bytes"
            raise UnsupportedError(f"the functions of the model expand to more than {limit}", name)

    def _refuse_recursion(self) -> None:
        """Raise CompileError where a function calls itself, directly or through others."""
        callees = {
            k: list(dict.fromkeys(c for c in map(_callee, nested_nodes(f.node)) if c in self._functions))
            for k, f in self._functions.items()
        }
        waiting = {k: len(c) for k, c in callees.items()}
        callers: dict[FunctionKey, list[FunctionKey]] = {}
        for caller, called in callees.items():
            for key in called:
                callers.setdefault(key, []).append(caller)
        done = [k for k, n in waiting.items() if n == 0]
        for key in done:  # grows: each function after those it calls
            for caller in callers.get(key, ()):
                waiting[caller] -= 1
                if waiting[caller] == 0:
                    done.append(caller)
        if len(done) < len(callees):
            key, seen = next(k for k, n in waiting.items() if n), set[FunctionKey]()
            while key not in seen:
                seen.add(key)
                key = next(c for c in callees[key] if waiting[c])
            raise CompileError(f"the function '{_spelled(key)}' calls itself", hint="recursion has no end in ONNX")


def _make_body(proto: FunctionProto, opsets: Opsets, defaults: Mapping[str, AttributeProto], own: bool) -> _Body:
    """The function with its nodes sorted; raises CompileError where a value is read that nothing defines.

    `opsets` are those of a body that imports none, and for onnx's own ones those of the domains that they leave out.
    """
    inputs = [ValueInfoProto(name=i) for i in proto.input]
    nodes = sorted_nodes(GraphProto(node=proto.node, input=inputs), inner=not own)
    defined = {*proto.input, *(o for n in nodes for o in n.output)}
    if own and (undefined := [o for o in proto.output if o not in defined]):
        raise CompileError(f"the output '{undefined[0]}' is defined by no node")
    stated = {domain_of(e.domain): e.version for e in proto.opset_import}
    imported = stated if own and stated else {**opsets, **stated}
    if not 1 <= imported.get("", 1) <= onnx.defs.onnx_opset_version():
        raise UnsupportedError(f"opset {imported['']} is unknown")
    return _Body(proto, nodes, imported, defaults, own)


def _schema_defaults(schema: Any) -> dict[str, AttributeProto]:
    return {n: a.default_value for n, a in schema.attributes.items() if a.default_value.name}


def _body_version(versions: Sequence[int], opset: int) -> int:
    """The newest body for `opset`, else the oldest there is: a body says which opset its own nodes are of."""
    return max((v for v in versions if v <= opset), default=min(versions))


def _key(function: FunctionProto) -> FunctionKey:
    return domain_of(function.domain), function.name, function.overload


def _callee(node: NodeProto) -> FunctionKey:
    return domain_of(node.domain), node.op_type, node.overload


def _spelled(key: FunctionKey) -> str:
    domain, name, overload = key
    return (f"{domain}." if domain else "") + name + (f":{overload}" if overload else "")


def value_names(graph: GraphProto) -> set[str]:
    """The names of all values of a graph, without those of graphs in it."""
    names = {name for node in graph.node for name in (*node.input, *node.output)}
    for values in (graph.input, graph.output, graph.initializer):
        names.update(v.name for v in cast(Any, values))
    return names
