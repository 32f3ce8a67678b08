"""Scan: a body runs over the slices of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from xdsl.dialects.builtin import DenseArrayBase
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    irdl_op_definition,
    opt_prop_def,
    region_def,
    var_operand_def,
    var_result_def,
)

from ...errors import CompileError, UnsupportedError
from .base import Onnx, OnnxNode, ints
from .loops import Collected, LoopLikeOp, import_body
from .regions import Part, Runner, Subgraph, YieldOp
from .types import Abstract, Array, Dims, dims_of, element_type, format_dims, normalize_axis, tensor


@irdl_op_definition
class ScanOp(LoopLikeOp):
    """What a body gives over the slices of `inputs`. ONNX Scan, https://onnx.ai/onnx/operators/onnx__Scan.html

    The body's arguments are the states, whose last values are the first results, a slice of each input along its axis
    of `scan_input_axes` (0 by default; backwards where `scan_input_directions` is 1), and captures. Further results
    stack what it gives each time along `scan_output_axes`, in the order of `scan_output_directions`.
    """

    name = "nn.scan"
    ONNX: ClassVar = Onnx("Scan", since=8, drop=frozenset({"num_scan_inputs"}))
    PARTS: ClassVar = (Part("states", "states"), Part("slices", "inputs"), Part("captures", "captures"))
    STATES: ClassVar = "states"

    states = var_operand_def()
    inputs = var_operand_def()
    captures = var_operand_def()
    scan_input_axes = opt_prop_def(DenseArrayBase)
    scan_input_directions = opt_prop_def(DenseArrayBase)
    scan_output_axes = opt_prop_def(DenseArrayBase)
    scan_output_directions = opt_prop_def(DenseArrayBase)
    repeated = region_def()
    outputs = var_result_def()

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def entry_types(self, index: int) -> list[Attribute]:
        """The initial states, a slice of each input, and captures."""
        slices = slice_types([v.type for v in self.inputs], ints(self.scan_input_axes))
        return [*self.states.types, *slices, *self.captures.types]

    def infer(self, states: Sequence[Abstract], inputs: Sequence[Abstract], captures: Sequence[Abstract]) -> Any:
        """The states' types, and a stack of each slice as long as the inputs."""
        length = self._length([x.dims for x in inputs])
        slices = self.slices
        self._directions(self.scan_input_directions, len(inputs), "scan_input_directions")
        self._directions(self.scan_output_directions, len(slices), "scan_output_directions")
        stacked: list[Attribute] = []
        for value, axis in zip(
            slices, _axes(ints(self.scan_output_axes), len(slices), "scan_output_axes"), strict=True
        ):
            dims = list(dims_of(value.type))
            dims.insert(normalize_axis(axis, len(dims) + 1), length)
            stacked.append(tensor(element_type(value.type), dims))
        return (*self.state_types(), *stacked)

    def _length(self, shapes: Sequence[Dims]) -> int | None:
        """How often the body runs, where that is known."""
        if not shapes:
            raise CompileError("there is no input to scan")
        axes = _axes(ints(self.scan_input_axes), len(shapes), "scan_input_axes")
        sizes = {dims[normalize_axis(a, len(dims))] for dims, a in zip(shapes, axes, strict=True)} - {None}
        if len(sizes) > 1:
            raise CompileError(f"the inputs {' and '.join(map(format_dims, shapes))} are not of one length")
        return sizes.pop() if sizes else None

    def _directions(self, attribute: Any, count: int, name: str) -> tuple[int, ...]:
        directions = _axes(ints(attribute), count, name)
        if not set(directions) <= {0, 1}:
            raise CompileError(f"{name} is {list(directions)}; a direction is 0 or 1")
        return directions

    def evaluate(
        self, xp: Any, states: Sequence[Array], inputs: Sequence[Array], captures: Sequence[Array], run: Runner
    ) -> Sequence[Array]:
        """Slice by slice."""
        length = self._length([tuple(x.shape) for x in inputs]) or 0
        axes = _axes(ints(self.scan_input_axes), len(inputs), "scan_input_axes")
        backwards = self._directions(self.scan_input_directions, len(inputs), "scan_input_directions")
        rows = [xp.moveaxis(x, axis, 0)[::-1] if back else xp.moveaxis(x, axis, 0)
                for x, axis, back in zip(inputs, axes, backwards, strict=True)]  # fmt: skip
        collected, carried = Collected(self.slices, run), list(states)
        for index in range(length):
            given = run.run(
                0, [*carried, *(xp.ascontiguousarray(x[index]).reshape(x.shape[1:]) for x in rows), *captures]
            )
            carried = list(given[: len(carried)])
            collected.add(given[len(carried) :])
        return [*carried, *(self._laid(xp, number, a) for number, a in enumerate(collected.results(xp)))]

    def _laid(self, xp: Any, number: int, stacked: Array) -> Array:
        """A result whose first axis is that of the runs, as its axis and direction say."""
        count = len(self.slices)
        back = self._directions(self.scan_output_directions, count, "scan_output_directions")[number]
        axis = _axes(ints(self.scan_output_axes), count, "scan_output_axes")[number]
        return xp.ascontiguousarray(xp.moveaxis(stacked[::-1] if back else stacked, 0, axis))

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """`body`: its inputs are the states and a slice of each of the last `num_scan_inputs` inputs.

        In opset 8 all values have batches along axis 0 and are scanned along axis 1: a scan of scans.
        """
        batched = node.opset < 9
        if batched and node.inputs.pop(0) is not None:
            raise UnsupportedError("Scan of opset 8 with sequence_lens is not supported", hint="pad, and scan all")
        graph: Subgraph = node.attributes.pop("body")
        scanned = int(node.attributes.pop("num_scan_inputs"))
        operands = [node.required(i) for i in range(len(node.inputs))]
        if not 1 <= scanned <= len(operands):
            raise CompileError(f"num_scan_inputs is {scanned}, but the node has {len(operands)} inputs")
        if len(graph.inputs) != len(operands):
            raise CompileError(f"the body has {len(graph.inputs)} inputs; it must have {len(operands)}")
        states, inputs = operands[:-scanned], operands[-scanned:]
        if batched:
            return cls._import_batched(node, graph, operands, len(states))
        axes = tuple(node.attributes.get("scan_input_axes", ()))
        entry = [*(s.type for s in states), *slice_types([x.type for x in inputs], axes)]
        region, captures, yielded = import_body(graph, entry, len(states), 0, 0)
        if len(yielded) < node.outputs:
            raise CompileError(f"the body gives {len(yielded)} values; the node has {node.outputs} outputs")
        groups: list[Any] = [states, inputs, captures]
        return node.build(cls, *groups, regions=[region], outputs=len(yielded), **node.attributes)

    @classmethod
    def _import_batched(
        cls, node: OnnxNode, graph: Subgraph, operands: Sequence[SSAValue], count: int
    ) -> Sequence[SSAValue]:
        """A scan without states over the batches of all operands; its body scans `count` states and the others."""
        slices = slice_types([v.type for v in operands], ())
        entry = [*slices[:count], *slice_types(slices[count:], ())]
        region, captures, yielded = import_body(graph, entry, count, 0, 0)
        if len(yielded) < node.outputs:
            raise CompileError(f"the body gives {len(yielded)} values; the node has {node.outputs} outputs")
        block = Block(arg_types=[*slices, *(v.type for v in captures)])
        groups: list[Any] = [block.args[:count], block.args[count : len(slices)], block.args[len(slices) :]]
        directions = tuple(node.attributes.get("directions", ()))
        scan = cls(*groups, regions=[region], outputs=len(yielded), scan_input_directions=directions or None)
        block.add_ops([scan, YieldOp(*scan.results)])
        around: list[Any] = [[], list(operands), captures]
        results = node.build(cls, *around, regions=[Region(block)], outputs=len(yielded))
        scan.location = cast(Operation, results[0].owner).location
        return results


def slice_types(types: Sequence[Attribute], axes: Sequence[int]) -> list[Attribute]:
    """The types of slices along an axis each, the first one by default."""
    slices: list[Attribute] = []
    for type_, axis in zip(types, _axes(axes, len(types), "scan_input_axes"), strict=True):
        dims = list(dims_of(type_))
        if not dims:
            raise CompileError("an input that is scanned has no axis")
        del dims[normalize_axis(axis, len(dims))]
        slices.append(tensor(element_type(type_), dims))
    return slices


def _axes(given: Sequence[int], count: int, name: str) -> tuple[int, ...]:
    """A number for each value, 0 by default."""
    if given and len(given) != count:
        raise CompileError(f"{name} has {len(given)} entries; it needs {count}")
    return tuple(given) or (0,) * count
