"""Import of the graphs that are attributes of nodes (If, Loop, Scan): as bodies that stand on their own."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import GraphProto
from xdsl.ir import Attribute, Block, Region, SSAValue

from ..dialects.nn.constant import ConstantOp, ParameterOp
from ..dialects.nn.regions import YieldOp
from ..errors import CompileError, UnsupportedError
from .onnx_functions import ScopedNode
from .onnx_graphs import name_of
from .onnx_to_nn import GraphImporter

MAX_NODES = 100_000
"""The most nodes that are imported in bodies; one is imported again where its types turn out to be too narrow."""


class NodeGraph:
    """A graph that is an attribute of a node; see `regions.Subgraph`."""

    def __init__(self, around: GraphImporter, node: ScopedNode, graph: GraphProto):
        self._around, self._node, self._graph = around, node, graph

    @property
    def inputs(self) -> Sequence[int | None]:
        """The declared rank of each input, None where it is not declared."""
        types = [i.type for i in self._graph.input]
        return [
            len(t.tensor_type.shape.dim) if t.HasField("tensor_type") and t.tensor_type.HasField("shape") else None
            for t in types
        ]

    @property
    def outputs(self) -> int:
        """The number of outputs."""
        return len(self._graph.output)

    def body(self, types: Sequence[Attribute]) -> tuple[Region, list[SSAValue]]:
        """The graph as a body whose first arguments have `types`, and the values that it captures."""
        block = Block(arg_types=types)
        importer = BodyImporter(self._around, self._node, self._graph, block, isolated=True)
        block.add_op(YieldOp(*importer.results()))
        return Region(block), importer.captures

    def inline(self) -> list[SSAValue]:
        """The outputs of the graph, which has no inputs, imported where the node stands."""
        around = self._around
        return BodyImporter(around, self._node, self._graph, around.block, isolated=False).results()


class BodyImporter(GraphImporter):
    """Imports a graph in a node. What an isolated one reads of what is around it becomes an argument of its block."""

    def __init__(self, around: GraphImporter, node: ScopedNode, graph: GraphProto, block: Block, isolated: bool):
        self.around, self.node, self.graph, self.block, self.isolated = around, node, graph, block, isolated
        self.opsets, self.functions, self.weights = node.opsets, around.functions, around.weights
        self.known = around.known
        self.depth = around.depth + 1
        self.captures: list[SSAValue] = []
        self.start()
        self.mismatches = around.mismatches

    def results(self) -> list[SSAValue]:
        """The values of the graph's outputs, its nodes imported."""
        nodes = self.functions.expand_graph(self.graph, self.node, self.depth)
        self._count_uses(nodes)
        if self.graph.sparse_initializer:
            raise UnsupportedError(
                "sparse initializers are not supported", self.graph.sparse_initializer[0].values.name
            )
        initializers = {t.name: t for t in self.graph.initializer}
        inputs = [i.name for i in self.graph.input if i.name not in initializers]
        arguments = list(self.block.args) if self.isolated else []
        if len(inputs) != len(arguments):
            raise CompileError(
                f"the graph '{self.graph.name}' has {len(inputs)} inputs; {len(arguments)} are given",
                name_of(self.node.proto),
            )
        for name, argument in zip(inputs, arguments, strict=True):
            self._define(name, argument)
        for tensor in initializers.values():
            self._initializer(tensor)
        for node in self._with_bodies(nodes):
            self.functions.count_inner(name_of(self.node.proto), MAX_NODES)
            self._node(node)
        return [self._output(o) for o in self.graph.output]

    def knows(self, name: str) -> bool:
        """Whether a value has been imported, here or around this graph."""
        return name in self.values or self.around.knows(name)

    def value(self, name: str) -> SSAValue:
        """The value of that name; one from around the graph as its stand-in in this block."""
        if name not in self.values:
            self.values[name] = self._stand_in(self.around.value(name))
        return self.values[name]

    def _stand_in(self, outer: SSAValue) -> SSAValue:
        """A copy of a constant or a parameter, an argument for anything else."""
        if not self.isolated:
            return outer
        owner = outer.owner
        if isinstance(owner, ConstantOp | ParameterOp):
            copy = owner.clone()
            self.block.add_op(copy)
            return copy.results[0]
        inner = self.block.insert_arg(outer.type, len(self.block.args))
        self.captures.append(outer)
        inner.name_hint = outer.name_hint
        return inner
