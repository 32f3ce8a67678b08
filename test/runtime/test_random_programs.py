"""Random small graphs: a planned program gives what their ops give one by one, and its arena is no waste."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp, f32
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region, SSAValue

from nnfuse.dialects.blas import BlasMatmulReluOp
from nnfuse.dialects.nn import (
    activations,
    elementwise,
    index,
    join,
    layout,
    pool,
    reduce,
    reshape,
    shape,
    softmax,
    unary,
)
from nnfuse.dialects.nn.base import NNOp
from nnfuse.dialects.nn.constant import ConstantOp, ParameterOp
from nnfuse.dialects.nn.types import dims_of, tensor
from nnfuse.runtime.pipelines import run_passes
from nnfuse.runtime.reference import evaluate, main_function
from nnfuse.runtime.session import Session

SHAPE = (2, 4, 4)


@dataclass
class Graph:
    """A block under construction, and the values of SHAPE and of other shapes in it that a next op may read."""

    block: Block
    draw: Callable[[Any], Any]
    values: list[SSAValue] = field(default_factory=list[SSAValue])
    others: list[SSAValue] = field(default_factory=list[SSAValue])

    def emit(self, op: NNOp) -> SSAValue:
        self.block.add_op(op)
        for result in op.results:
            (self.values if dims_of(result.type) == SHAPE else self.others).append(result)
        return op.results[0]

    def ints(self, *numbers: int) -> SSAValue:
        op = ConstantOp.of(np.array(numbers, np.int64))
        self.block.add_op(op)
        return op.result

    def pick(self) -> SSAValue:
        return self.draw(st.sampled_from(self.values))


def unary_op(g: Graph) -> None:
    kinds = [
        activations.ReluOp,
        unary.NegOp,
        activations.TanhOp,
        activations.SigmoidOp,
        softmax.SoftmaxOp,
        shape.IdentityOp,
    ]
    g.emit(g.draw(st.sampled_from(kinds))(g.pick()))


def binary(g: Graph) -> None:
    kinds = [elementwise.AddOp, elementwise.MulOp, elementwise.SubOp, elementwise.MaxOp]
    kind, a, b = g.draw(st.sampled_from(kinds)), g.pick(), g.pick()
    g.emit(kind([a, b]) if kind is elementwise.MaxOp else kind(a, b))


def round_trip(g: Graph) -> None:
    """Another shape and back: two views."""
    flat = g.emit(reshape.ReshapeOp(g.pick(), g.ints(8, 4)))
    g.emit(reshape.ReshapeOp(g.emit(unary.NegOp(flat)) if g.draw(st.booleans()) else flat, g.ints(*SHAPE)))


def join_pieces(g: Graph) -> None:
    """A concatenation of two or three values (perhaps the same), and pieces of it."""
    axis, count = g.draw(st.integers(0, 2)), g.draw(st.integers(2, 3))
    whole = g.emit(join.ConcatOp([g.pick() for _ in range(count)], axis=axis))
    if g.draw(st.booleans()):
        g.emit(elementwise.MulOp(whole, whole))
    if g.draw(st.booleans()):
        split = join.SplitOp(whole, axis=axis, num_outputs=count)
        g.emit(split)


def take(g: Graph) -> None:
    """A slice or one index along an axis, repeated to the shape of all."""
    axis, value = g.draw(st.integers(0, 2)), g.pick()
    if g.draw(st.booleans()):
        start = g.draw(st.integers(0, SHAPE[axis] - 1))
        piece = g.emit(index.SliceOp(value, g.ints(start), g.ints(start + 1), g.ints(axis)))
    else:
        piece = g.emit(index.GatherOp(value, g.ints(g.draw(st.integers(0, SHAPE[axis] - 1))), axis=axis))
    kind = g.draw(st.sampled_from(["expand", "add", "no"]))
    if kind == "expand":
        g.emit(layout.ExpandOp(piece, g.ints(*SHAPE)))
    elif kind == "add":
        g.emit(elementwise.AddOp(piece, value))


def transpose(g: Graph) -> None:
    g.emit(layout.TransposeOp(g.pick(), perm=g.draw(st.sampled_from([(0, 2, 1), (2, 1, 0), (1, 0, 2), (0, 1, 2)]))))


def product(g: Graph) -> None:
    """A GEMM with a third operand, which may be any value, a factor too."""
    g.emit(BlasMatmulReluOp(g.pick(), g.pick(), g.pick(), beta=g.draw(st.sampled_from([1.0, -0.5]))))


def join_products(g: Graph) -> None:
    """Rows of GEMMs beside one another: written where they belong, unless something else may read one of them."""
    pieces: list[SSAValue] = []
    for _ in range(g.draw(st.integers(2, 3))):
        c = g.pick() if g.draw(st.booleans()) else None
        op: NNOp = BlasMatmulReluOp(g.pick(), g.pick(), c, beta=0.0 if c is None else 1.0)
        g.block.add_op(op)
        if g.draw(st.booleans()):
            flat = reshape.ReshapeOp(op.results[0], g.ints(8, 4))
            op = reshape.ReshapeOp(flat.result, g.ints(*SHAPE))
            g.block.add_ops([flat, op])
        if g.draw(st.integers(0, 3)) == 0:
            g.values.append(op.results[0])
        pieces.append(op.results[0])
    g.emit(join.ConcatOp(pieces, axis=2))


def split_rows(g: Graph) -> None:
    """Pieces of rows that GEMMs and concatenations read where they are, unless something else reads or returns one."""
    whole = g.emit(join.ConcatOp([g.pick(), g.pick()], axis=2))
    if g.draw(st.booleans()):
        whole = g.emit(unary.NegOp(whole))
    pieces = join.SplitOp(whole, axis=2, num_outputs=2)
    g.block.add_op(pieces)
    for piece in pieces.results:
        if g.draw(st.booleans()):
            flat = reshape.ReshapeOp(piece, g.ints(8, 4))
            back = reshape.ReshapeOp(flat.result, g.ints(*SHAPE))
            g.block.add_ops([flat, back])
            piece = back.result
        if g.draw(st.booleans()):
            g.emit(join.ConcatOp([piece, g.pick()], axis=g.draw(st.integers(0, 2))))
        if g.draw(st.integers(0, 3)) == 0:
            g.values.append(piece)
        g.emit(BlasMatmulReluOp(piece, g.pick(), beta=0.0))


def cross_stage(g: Graph) -> None:
    """Products joined, read in pieces by products that are joined with them, and so on: concatenations in others."""
    products = [g.emit(BlasMatmulReluOp(g.pick(), g.pick(), beta=0.0)) for _ in range(2)]
    whole = g.emit(join.ConcatOp(products, axis=2))
    for depth in range(g.draw(st.integers(1, 3))):
        start = 4 * g.draw(st.integers(0, depth + 1))
        piece = index.SliceOp(whole, g.ints(start), g.ints(start + 4), g.ints(2))
        g.block.add_op(piece)
        if g.draw(st.integers(0, 3)) == 0:
            g.values.append(piece.result)
        more = g.emit(BlasMatmulReluOp(piece.result, g.pick(), beta=0.0))
        whole = g.emit(join.ConcatOp([whole, more] if g.draw(st.booleans()) else [more, whole], axis=2))


def total(g: Graph) -> None:
    piece = g.emit(reduce.ReduceMeanOp(g.pick(), g.ints(g.draw(st.integers(0, 2)))))
    g.emit(elementwise.SubOp(g.pick(), piece))


def window(g: Graph) -> None:
    g.emit(pool.MaxPoolOp(g.pick(), kernel_shape=[3], pads=[1, 1]))


STEPS = [unary_op, unary_op, binary, binary, round_trip, join_pieces, take, transpose]
STEPS += [product, join_products, split_rows, split_rows, cross_stage, cross_stage, total, window]


@st.composite
def graphs(draw: Any) -> ModuleOp:
    """A function of two arguments and a parameter, 2 to 14 steps, and one to four results, any value among them."""
    type_ = tensor(f32, SHAPE)
    block = Block(arg_types=[type_, type_])
    g = Graph(block, draw, list(block.args))
    weight = ParameterOp("w", type_)
    g.emit(weight)
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=2, max_size=14)):
        step(g)
    every = [*g.values, *g.others]
    recent = st.sampled_from(every[-6:])
    returned = draw(st.lists(st.one_of(recent, st.sampled_from(every)), min_size=1, max_size=4))
    block.add_op(ReturnOp(*returned))
    func = FuncOp("main", ([type_, type_], [v.type for v in returned]), Region(block))
    module = ModuleOp([func])
    module.verify()
    return module


RNG = np.random.default_rng(0)
WEIGHT = RNG.standard_normal(SHAPE, dtype=np.float32)
INPUTS = [[RNG.standard_normal(SHAPE, dtype=np.float32) for _ in range(2)] for _ in range(2)]


def run_twice(module: ModuleOp, planned: ModuleOp) -> None:
    """A planned program, on two inputs, against the ops one by one; neither inputs nor earlier results change."""
    session = Session(planned)
    session._parameters = {"w": WEIGHT}
    kept, expected, copies = [], [], [[x.copy() for x in xs] for xs in INPUTS]
    for x, y in INPUTS:
        expected += evaluate(main_function(module), [x, y], {"w": WEIGHT}.__getitem__)
        kept += session.run(None, {"value_0": x, "value_1": y})
    for result, truth in zip(kept, expected, strict=True):
        np.testing.assert_allclose(result, truth, rtol=1e-4, atol=1e-5, err_msg=str(planned))
    np.testing.assert_array_equal(INPUTS, copies)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(graphs())
def test_a_planned_program_is_its_ops_one_by_one(module: ModuleOp) -> None:
    planned = module.clone()
    run_passes(planned, "plan-memory")
    run_twice(module, planned)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(graphs())
def test_the_whole_pipeline(module: ModuleOp) -> None:
    """Fused, specialised, hoisted and planned."""
    run_twice(module, module)
