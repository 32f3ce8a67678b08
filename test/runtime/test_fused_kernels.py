"""The generated kernel of nn.fused against its body in float64: as C++ on the host, and on a GPU where there is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from cuda_on_host import host_and_gpu, place
from xdsl.builder import ImplicitBuilder
from xdsl.dialects.builtin import bf16, f16, f32
from xdsl.ir import Block, Region, SSAValue

from nnfuse.dialects.nn import activations, clip, elementwise, unary
from nnfuse.dialects.nn.base import NNOp
from nnfuse.dialects.nn.cast import CastOp
from nnfuse.dialects.nn.comparison import EqualOp
from nnfuse.dialects.nn.constant import ConstantOp
from nnfuse.dialects.nn.fused import FusedOp
from nnfuse.dialects.nn.join import ConcatOp
from nnfuse.dialects.nn.norm import LRNOp
from nnfuse.dialects.nn.regions import YieldOp
from nnfuse.dialects.nn.softmax import SoftmaxOp
from nnfuse.dialects.nn.types import dims_of, dtype_of, element_of, element_type, tensor
from nnfuse.passes.fuse_pointwise import POINTWISE
from nnfuse.runtime.kernels import Backend, KernelContext, Scratch
from nnfuse.runtime.kernels.cupy import maps
from nnfuse.runtime.kernels.cupy.elementwise import expression_of

DTYPES = {"f16": (np.float16, f16), "bf16": (ml_dtypes.bfloat16, bf16), "f32": (np.float32, f32)}


backend = host_and_gpu


@pytest.fixture
def many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if small tensors were large: threads compute several rows."""
    monkeypatch.setattr(maps, "ENOUGH_THREADS", 1)


Write = Callable[..., Any]
Case = tuple[FusedOp, list[Any]]


def numbers(*dims: int, dtype: str = "f32") -> Any:
    rng = np.random.default_rng([7, *dims])
    return rng.standard_normal(dims).astype(DTYPES[dtype][0])


def fused(write: Write, *arrays: Any) -> Case:
    """An nn.fused on operands of these arrays' types; `write` makes its body and gives what is yielded."""
    types = [tensor(element_of(a.dtype), a.shape) for a in arrays]
    block = Block(arg_types=types)
    with ImplicitBuilder(block):
        given = write(*block.args)
        YieldOp(*(given if isinstance(given, tuple) else (given,)))
    return FusedOp(list(Block(arg_types=types).args), Region(block)), list(arrays)


def add(a: SSAValue, b: SSAValue) -> SSAValue:
    return elementwise.AddOp(a, b).result


def mul(a: SSAValue, b: SSAValue) -> SSAValue:
    return elementwise.MulOp(a, b).result


def relu(x: SSAValue) -> SSAValue:
    return activations.ReluOp(x).result


def cast(x: SSAValue, to: Any) -> SSAValue:
    return CastOp(x, to=to).result


def concat(*pieces: SSAValue, axis: int = -1) -> SSAValue:
    return ConcatOp(list(pieces), axis=axis).result


def scalar(value: float, like: SSAValue) -> SSAValue:
    return ConstantOp.of(np.asarray(value, dtype_of(element_type(like.type)))).result


def run(backend: Backend, op: FusedOp, arrays: Sequence[Any], shift: int = 0, in_place: int | None = None) -> list[Any]:
    """The kernel's results; `shift` puts every array that many elements after an aligned address."""
    kernel = backend.bind(op, KernelContext(backend.xp, Scratch(backend.xp)))
    assert kernel is not None, "it has no kernel"
    ins = [place(backend, a, shift) for a in arrays]
    garbage = [np.full(dims_of(r.type), 77, dtype_of(element_type(r.type))) for r in op.results]
    outs = [place(backend, a, shift) for a in garbage]
    if in_place is not None:
        outs[0] = ins[in_place]
    kernel(outs, ins)
    return [o.get() if hasattr(o, "get") else np.asarray(o) for o in outs]


def truth(op: FusedOp, arrays: Sequence[Any]) -> list[Any]:
    """The body in float64, in which nothing is rounded in between."""
    floats = [a if a.dtype == bool else a.astype(np.float64) for a in arrays]
    values: dict[SSAValue, Any] = dict(zip(op.body.block.args, floats, strict=True))
    for inner in op.body.block.ops:
        operands = [values[v] for v in inner.operands]
        if isinstance(inner, YieldOp):
            return operands
        assert isinstance(inner, NNOp)
        result = operands[0] if isinstance(inner, CastOp) else inner.evaluate(np, *inner.arguments(operands))
        values[inner.results[0]] = result.astype(np.float64) if isinstance(inner, ConstantOp) else result
    raise AssertionError("no yield")


def check(backend: Backend, close: Any, case: Case, **options: Any) -> None:
    op, arrays = case
    op.verify()
    for result, expected, declared in zip(
        run(backend, op, arrays, **options), truth(op, arrays), op.results, strict=True
    ):
        assert result.shape == expected.shape == dims_of(declared.type)
        assert expected.min() < expected.max(), "the reference says nothing"
        if result.dtype == bool:
            np.testing.assert_array_equal(result, expected)
        else:
            close(result, expected)


def scaled(*dims: int, vectors: Sequence[Sequence[int]], dtype: str) -> Case:
    """`relu(x * s + t)`, of which s and t broadcast."""
    arrays = [numbers(*dims, dtype=dtype), *(numbers(*v, dtype=dtype) for v in vectors)]
    return fused(lambda x, s, t: relu(add(mul(x, s), t)), *arrays)


def dense_layer(shapes: Sequence[tuple[int, ...]], axis: int, dtype: str) -> Case:
    """What a dense layer reads: pieces, of which one tensor is made, scaled, shifted in f32, and clamped."""
    rank, channels = len(shapes[0]), sum(s[axis] for s in shapes)
    vector = (channels, *[1] * (rank - 1 - axis % rank))
    element = DTYPES[dtype][1]

    def write(*values: SSAValue) -> SSAValue:
        *pieces, scale, shift = values
        x = cast(concat(*pieces, axis=axis), f32)
        return cast(relu(add(mul(x, scale), shift)), element)

    return fused(write, *(numbers(*s, dtype=dtype) for s in shapes), numbers(*vector), numbers(*vector, 1)[..., 0] + 1)


def channels_last(*sizes: int, image: tuple[int, ...] = (2, 3, 5)) -> list[tuple[int, ...]]:
    return [(*image, c) for c in sizes]


def channels_first(*sizes: int, image: tuple[int, ...] = (4, 6)) -> list[tuple[int, ...]]:
    return [(2, c, *image) for c in sizes]


BROADCASTS: dict[str, tuple[tuple[int, ...], list[tuple[int, ...]]]] = {
    "channels last": ((2, 5, 7, 16), [(16,), (1, 1, 1, 16)]),
    "channels last, odd": ((2, 5, 7, 13), [(13,), (13,)]),
    "channels first": ((2, 6, 4, 4), [(6, 1, 1), (1, 6, 1, 1)]),
    "channels first, odd": ((3, 5, 7, 3), [(5, 1, 1), (5, 1, 1)]),
    "gates, channels last": ((3, 4, 5, 8), [(3, 1, 1, 8), (8,)]),
    "gates, channels first": ((3, 8, 4, 6), [(3, 8, 1, 1), (8, 1, 1)]),
    "rows and scalars": ((2, 6, 5, 8), [(5, 1), (1, 1, 1)]),
    "no broadcast": ((3, 4, 10), [(3, 4, 10), (3, 4, 10)]),
    "one column": ((40, 1), [(1,), (40, 1)]),
}

CONCATS = {
    "two": (channels_last(16, 8), -1),
    "odd pieces": (channels_last(3, 5, 1, 7), -1),
    "packs of two and four": (channels_last(6, 8, 12), -1),
    "one piece": (channels_last(8), -1),
    "25 pieces": (channels_last(64, *[32] * 24, image=(2, 7)), -1),
    "channels first": (channels_first(3, 8, 1), 1),
    "channels first, odd image": (channels_first(4, 3, image=(5, 7)), 1),
    "channels first, 17 pieces": (channels_first(*[2] * 17), 1),
    "one image": ([(1, 3, 4, 4), (1, 5, 4, 4)], 1),
    "batch": ([(2, 3, 8), (1, 3, 8), (4, 3, 8)], 0),
    "vectors": ([(3,), (5,)], 0),
    "rows": ([(2, 3, 5, 8), (2, 3, 2, 8)], 2),
    "empty piece": (channels_last(8, 0, 8), -1),
}


def dtypes(backend: Backend, thorough: bool = False) -> list[str]:
    """Those to try: on the host, where each kernel takes g++ a third of a second, one unless it is `thorough`."""
    return list(DTYPES) if thorough or backend.name == "cuda" else ["f16"]


@pytest.mark.parametrize("name", BROADCASTS)
def test_broadcasts(backend: Backend, close: Any, name: str) -> None:
    dims, vectors = BROADCASTS[name]
    for dtype in dtypes(backend, name == "channels last"):
        check(backend, close, scaled(*dims, vectors=vectors, dtype=dtype))


@pytest.mark.parametrize("name", CONCATS)
def test_concats(backend: Backend, close: Any, name: str) -> None:
    for dtype in dtypes(backend, name == "packs of two and four"):
        check(backend, close, dense_layer(*CONCATS[name], dtype))


@pytest.mark.parametrize("name", ["channels last", "gates, channels last", "gates, channels first"])
def test_several_rows_of_broadcasts(backend: Backend, close: Any, many_rows: None, name: str) -> None:
    dims, vectors = BROADCASTS[name]
    check(backend, close, scaled(*dims, vectors=vectors, dtype="f16"))


@pytest.mark.parametrize("name", ["two", "odd pieces", "25 pieces", "batch", "rows"])
def test_several_rows_of_pieces(backend: Backend, close: Any, many_rows: None, name: str) -> None:
    check(backend, close, dense_layer(*CONCATS[name], "f16"))


X, Y = numbers(3, 5, 8, dtype="f16"), numbers(3, 5, 8, dtype="f16")[::-1]

BODIES = {
    "diamond": fused(lambda x: mul(x, activations.SigmoidOp(x).result), X),
    "clamps by constants": fused(lambda x: mul(clip.ClipOp(x, scalar(-0.5, x), scalar(0.25, x)).result, x), X),
    "two results": fused(lambda x, y: (s := add(x, y), relu(s)), X, Y),
    "an operand and a result of another type": fused(lambda x, y: (cast(x, f32), add(x, y)), X, Y),
    "wider result": fused(lambda x, y: cast(relu(add(x, y)), f32), X, Y),
    "mixed types": fused(lambda x, y: add(cast(relu(x), f32), y), X, numbers(3, 5, 8)),
    "conditions": fused(
        lambda c, x, y: elementwise.WhereOp(c, x, elementwise.WhereOp(EqualOp(x, y), y, relu(x))).result,
        numbers(5, 1) > 0,
        X,
        np.where(numbers(3, 5, 8) > 0, X, Y),
    ),
    "equal": fused(lambda x, y: EqualOp(relu(x), relu(y)).result, X, Y),
    "piece twice": fused(lambda x: relu(concat(x, x)), X),
    "piece and operand": fused(lambda x, y: mul(concat(x, y, axis=0), concat(y, x, axis=0)), X, Y),
    "no names left open": fused(
        lambda x: unary.NegOp(activations.HardSwishOp(elementwise.SubOp(scalar(-3, x), x).result).result).result, X
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies(backend: Backend, close: Any, name: str) -> None:
    check(backend, close, BODIES[name])


def test_nothing_is_rounded_in_between(backend: Backend) -> None:
    """2048 + 1 is no f16, but is held in f32 until 2048 is subtracted again."""
    x = np.full((2, 8), 2048, np.float16)
    op, arrays = fused(lambda x: elementwise.SubOp(add(x, scalar(1, x)), x).result, x)
    np.testing.assert_array_equal(run(backend, op, arrays)[0], np.ones((2, 8), np.float16))


def test_addresses_off_by_an_element(backend: Backend, close: Any) -> None:
    for dtype in dtypes(backend):
        check(backend, close, dense_layer(*CONCATS["two"], dtype), shift=1)
        check(backend, close, scaled(4, 8, vectors=[(8,), (8,)], dtype=dtype), shift=1)


def test_in_place(backend: Backend, close: Any, many_rows: None) -> None:
    op, arrays = scaled(5, 3, 16, vectors=[(16,), (5, 3, 16)], dtype="f16")
    assert op.inplace_operands() == [0, 2]
    for operand in (0, 2):
        check(backend, close, (op, arrays), in_place=operand)


def test_what_must_not_be_overwritten(backend: Backend) -> None:
    """A piece is read elsewhere than where it is written; an operand of other dims or another type does not fit."""
    pieces, _ = fused(lambda x, y: concat(x, y, axis=0), X, Y[:0])
    others, _ = fused(lambda x, y, z: add(add(x, y), cast(z, f16)), X, Y[:1], numbers(3, 5, 8))
    assert pieces.inplace_operands() == []
    assert others.inplace_operands() == [0]


@pytest.mark.parametrize("write", [lambda x: SoftmaxOp(x), lambda x: LRNOp(x, size=3)])
def test_other_bodies_run_by_compute(backend: Backend, write: Any) -> None:
    op, _ = fused(lambda x: write(x).result, numbers(2, 3, 4, 5))
    assert backend.bind(op, KernelContext(backend.xp, Scratch(backend.xp))) is None


@pytest.mark.parametrize("op_class", POINTWISE, ids=lambda op_class: op_class.name)
def test_what_the_pass_takes_has_an_expression(op_class: Any) -> None:
    x = Block(arg_types=[tensor(f32, (2, 3))] * 2)
    if op_class is CastOp:
        return  # between floats a cast computes nothing
    names = [name for name, _ in op_class.get_irdl_definition().operands]
    if names == ["inputs"]:
        op = op_class(list(x.args))
    elif op_class is elementwise.WhereOp:
        op = op_class(EqualOp(*x.args), *x.args)
    else:
        op = op_class(*x.args[: 1 if op_class is clip.ClipOp else len(names)])
    assert expression_of(op)
