"""What of an ONNX model nnfuse does not do, all of it: an import that goes on behind what it cannot import."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

from onnx import ModelProto
from xdsl.ir import Attribute

from ..dialects.nn.value_types import is_unranked
from ..errors import CompileError, UnsupportedError
from .onnx_files import not_utf8
from .onnx_functions import ScopedNode
from .onnx_graphs import name_of, nested_nodes, reads
from .onnx_to_nn import GraphImporter, checked_attributes
from .onnx_types import value_type

MAX_NAMES = 5
"""How many nodes a line names."""


@dataclass(frozen=True)
class Support:
    """What becomes of the nodes of a model's graph, and a line for each thing `unsupported`.

    `supported` and `expanded` count nodes by operator (the latter has lines that name them and the kind of function);
    `refused` is the number of all others. Of `unchecked` nodes, bodies included, that read from those, the operator
    and the attributes were checked, but not the shapes.
    """

    supported: Counter[str]
    expanded: dict[str, list[str]]
    unsupported: list[str]
    refused: int
    unchecked: int

    @property
    def counts(self) -> str:
        """How many nodes there are of each kind, in words."""
        expanded = sum(map(len, self.expanded.values()))
        total = self.supported.total() + expanded + self.refused
        nodes = f"{total} node{'s' * (total != 1)}"
        return f"{nodes}: {self.supported.total()} supported, {expanded} expanded, {self.refused} unsupported"

    @property
    def lines(self) -> list[str]:
        """A line on the supported operators, and one for each that is expanded."""
        operators = ", ".join(f"{operator} {count}" for operator, count in self.supported.most_common())
        return ([f"supported: {operators}"] if operators else []) + [
            f"expanded: {_line(what, names)}" for what, names in self.expanded.items()
        ]


def check_support(model: ModelProto) -> Support:
    """Everything in `model` that cannot be imported; raises CompileError where the model itself is wrong."""
    try:
        return _Checker(model).check()
    except UnsupportedError as e:  # the opset: nothing else can be said then
        return Support(Counter(), {}, [str(e)], len(model.graph.node), 0)
    except UnicodeDecodeError:
        raise not_utf8() from None


class _Checker(GraphImporter):
    """What a node that cannot be imported would give has its declared type, or is not known at all."""

    def __init__(self, model: ModelProto):
        super().__init__(model)
        self.found: dict[str, list[str]] = {}
        self.doubtful: set[str] = set()
        self.unchecked = 0

    def check(self) -> Support:
        """See `check_support`."""
        nodes = self._sorted_nodes()
        for operator, names in self._unknown_operators(nodes).items():
            self.found[f"the operator {operator} is not supported"] = names
        for sparse in self.graph.sparse_initializer:
            self.found.setdefault("sparse initializers are not supported", []).append(sparse.values.name)
        initializers = {t.name: t for t in self.graph.initializer}
        for info in self.graph.input:
            if info.name not in initializers:
                with self._collect(info.name):
                    self._argument(info)
        for proto in initializers.values():
            with self._collect(proto.name):
                self._initializer(proto)
        for node in self._with_bodies(nodes):
            self._check_node(node)
        return self._support()

    def _support(self) -> Support:
        """The graph's own nodes by what became of them: where a node of a body is refused, so is the caller."""
        supported, expanded, refused = Counter[str](), dict[str, list[str]](), 0
        named = set(chain.from_iterable(self.found.values()))
        ordered = sorted(named)
        for proto in self.graph.node:
            node, name = ScopedNode(proto, self.opsets), name_of(proto)
            how = self.functions.how(node)
            inner = [name_of(n) for n in nested_nodes([proto])]
            if any(n in named or _stands_before(n, ordered) for n in inner):
                refused += 1
            elif how:
                expanded.setdefault(f"{_operator(node)} by {how}", []).append(name)
            else:
                supported[_operator(node)] += 1
        lines = [_line(what, names) for what, names in self.found.items()]
        return Support(supported, expanded, lines, refused, self.unchecked)

    @contextmanager
    def _collect(self, name: str) -> Generator[None]:
        try:
            yield
        except UnsupportedError as e:
            hint = f" ({e.hint})" if e.hint else ""
            self.found.setdefault(f"{e.message}{hint}", []).append(e.node or name)

    def _in_context(self, node: ScopedNode) -> list[ScopedNode]:
        with self._collect(name_of(node.proto)):
            return super()._in_context(node)
        return []

    def _check_node(self, scoped: ScopedNode) -> None:
        node = scoped.proto
        inputs = list(reads(node))
        doubtful = any(i in self.doubtful for i in inputs)
        if not self._unknown_operators([scoped]):
            with self._collect(name_of(node)):
                if all(i in self.values for i in inputs):
                    try:
                        self._node(scoped)
                    except CompileError as e:
                        if isinstance(e, UnsupportedError) or not doubtful:
                            raise
                        self.unchecked += 1
                else:
                    self.unchecked += 1
                    checked_attributes(scoped)
        for output in filter(None, node.output):
            if output not in self.values:
                doubtful = True
                if (type_ := self._declared_type(output)) is not None:
                    self._define(output, self.block.insert_arg(type_, len(self.block.args)))
        if doubtful:
            self.doubtful.update(filter(None, node.output))

    def _declared_type(self, name: str) -> Attribute | None:
        info = self.declared.get(name)
        try:
            type_ = None if info is None else value_type(info.type, name)
        except CompileError:
            return None
        return None if type_ is None or is_unranked(type_) else type_


def _stands_before(name: str, ordered: Sequence[str]) -> bool:
    """Whether the sorted names have one of a node of the body of `name`, `name/inner`."""
    behind = bisect_left(ordered, f"{name}/")
    return any(n.startswith(f"{name}/") for n in ordered[behind : behind + 1])


def _operator(node: ScopedNode) -> str:
    return f"{node.domain}.{node.proto.op_type}" if node.domain else node.proto.op_type


def _line(what: str, names: Sequence[str]) -> str:
    listed = ", ".join(names[:MAX_NAMES]) + (f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else "")
    return f"{what}: {listed}" if len(names) == 1 else f"{what}: {len(names)} nodes: {listed}"
