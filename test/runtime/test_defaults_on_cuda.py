"""Ops that have no CUDA kernel run by their `compute` on CuPy: it gives what it gives on NumPy. Needs a GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser
from xdsl.dialects.builtin import f16, i1
from xdsl.utils.test_value import create_ssa_value

from nnfuse import Session
from nnfuse.dialects.nn import comparison, cumulative, elementwise, generate, logic, order, reduce, select
from nnfuse.dialects.nn import random as random_ops
from nnfuse.dialects.nn.activations import ShrinkOp
from nnfuse.dialects.nn.base import NNOp
from nnfuse.dialects.nn.einsum import EinsumOp
from nnfuse.dialects.nn.shape import SizeOp
from nnfuse.dialects.nn.softmax import HardmaxOp
from nnfuse.dialects.nn.trigonometry import (
    AcoshOp,
    AcosOp,
    AsinhOp,
    AsinOp,
    AtanhOp,
    AtanOp,
    CoshOp,
    CosOp,
    SinhOp,
    SinOp,
    TanOp,
)
from nnfuse.dialects.nn.types import element_of, tensor
from nnfuse.dialects.nn.unary import RoundOp, SignOp
from nnfuse.runtime.kernels import Backend
from nnfuse.tools import fuse_run

pytestmark = pytest.mark.gpu
RNG = np.random.default_rng(61)
X = RNG.standard_normal((3, 4, 5)).astype(np.float32)
UNIT = RNG.uniform(-0.9, 0.9, (7, 9)).astype(np.float32)
SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0, 0, 2.5, -1.5, 3e38], np.float32)
TIES = RNG.integers(0, 4, (3, 4, 5))
BOOLS = TIES > 1
AXES = np.array([0, 2])
Case = tuple[str, Callable[..., NNOp], list[Any]]


def case(op_class: Callable[..., NNOp], *arrays: Any, **fields: Any) -> Case:
    """A name, what builds the op from the operands' values, and the operands."""
    return str(getattr(op_class, "name", "op")), lambda *v: op_class(*v, **fields), [np.asarray(a) for a in arrays]


def many(op_class: type[NNOp], *arrays: Any, **fields: Any) -> Case:
    """The same for an op with one variadic operand."""
    return op_class.name, lambda *v: op_class(list(v), **fields), [np.asarray(a) for a in arrays]


CASES: list[Case] = [
    *(case(op, UNIT) for op in (SinOp, CosOp, TanOp, AsinOp, AcosOp, AtanOp, SinhOp, CoshOp, AsinhOp, AtanhOp)),
    case(AcoshOp, 2 + UNIT),
    case(SinOp, UNIT.astype(np.float16)),
    *(
        case(op, SPECIAL[:, None], SPECIAL)
        for op in (comparison.LessOp, comparison.LessOrEqualOp, comparison.GreaterOp, comparison.GreaterOrEqualOp)
    ),
    case(comparison.LessOp, TIES.astype(np.int8), TIES[0].astype(np.int8)),
    case(comparison.IsNaNOp, SPECIAL),
    case(comparison.IsInfOp, SPECIAL),
    case(comparison.IsInfOp, SPECIAL, detect_negative=0),
    *(case(op, BOOLS, BOOLS[0]) for op in (logic.AndOp, logic.OrOp, logic.XorOp)),
    case(logic.NotOp, BOOLS),
    case(logic.BitwiseNotOp, TIES),
    *(case(op, TIES, TIES[0]) for op in (logic.BitwiseAndOp, logic.BitwiseOrOp, logic.BitwiseXorOp)),
    *(
        case(logic.BitShiftOp, np.array([[-128], [100], [3]]).astype(d), np.arange(10).astype(d), direction=direction)
        for d in ("int8", "uint8", "int64", "uint64")
        for direction in ("LEFT", "RIGHT")
    ),
    case(logic.BitShiftOp, TIES, -TIES, direction="RIGHT"),
    case(RoundOp, np.array([-2.5, -1.5, 0.5, 1.5, 2.49], np.float32)),
    case(SignOp, SPECIAL),
    case(SignOp, TIES - 2),
    case(ShrinkOp, TIES - 2, lambd=1.0, bias=0.5),
    *(case(elementwise.ModOp, TIES - 9, np.array([3, -7, 5, 1, -2]), fmod=f) for f in (0, 1)),
    *(case(elementwise.ModOp, X, np.float32([3, -0.7, 5, 1, -0.2]), fmod=f) for f in (0, 1)),
    *(case(HardmaxOp, TIES.astype(np.float32), axis=a) for a in (0, -1)),
    *(
        case(op, x, AXES, keepdims=0)
        for op in (
            reduce.ReduceProdOp,
            reduce.ReduceL1Op,
            reduce.ReduceL2Op,
            reduce.ReduceSumSquareOp,
            reduce.ReduceLogSumOp,
            reduce.ReduceLogSumExpOp,
        )
        for x in (np.abs(X), TIES + 1, X[:0] * 0, np.abs(X).astype(np.float16))
    ),
    case(reduce.ReduceLogSumExpOp, SPECIAL[:, None], np.array([1])),
    case(reduce.ReduceL2Op, X, noop_with_empty_axes=1),
    *(
        case(op, TIES.astype(d), axis=a, keepdims=k, select_last_index=last)
        for op in (order.ArgMaxOp, order.ArgMinOp)
        for d, a, k, last in (("float32", 0, 1, 0), ("int8", -1, 0, 1), ("uint64", 1, 1, 1))
    ),
    case(order.ArgMaxOp, np.float32(3)),
    *(
        case(order.TopKOp, TIES.astype(d), np.array([k]), axis=a, largest=largest)
        for d, k, a in (("float32", 2, -1), ("int8", 3, 0), ("uint8", 4, 1), ("float16", 0, 1))
        for largest in (0, 1)
    ),
    *(
        case(op, TIES.astype(d), np.array(a), exclusive=exclusive, reverse=reverse)
        for op in (cumulative.CumSumOp, cumulative.CumProdOp)
        for d in ("float32", "int32", "uint64", "float16")
        for a, exclusive, reverse in ((0, 0, 0), (1, 1, 0), (-1, 0, 1), (2, 1, 1))
    ),
    case(generate.RangeOp, np.float32(1), np.float32(9), np.float32(0.75)),
    case(generate.RangeOp, np.int64(9), np.int64(-9), np.int64(-4)),
    case(generate.EyeLikeOp, UNIT, k=1),
    case(generate.EyeLikeOp, UNIT, dtype=i1),
    case(generate.TriluOp, X, np.int64(1)),
    case(generate.TriluOp, BOOLS, upper=0),
    case(generate.OneHotOp, TIES - 2, np.int64(3), np.array([0, 5], np.float32), axis=1),
    case(generate.OneHotOp, X * 3, np.int32(4), np.array([False, True])),
    case(select.NonZeroOp, TIES),
    case(select.NonZeroOp, np.float32(3)),
    case(select.CompressOp, X, BOOLS[0, 0], axis=2),
    case(select.CompressOp, X, BOOLS.reshape(-1)[:50]),
    *(case(lambda *v, **f: select.UniqueOp(*v, outputs=4, **f), TIES, **f) for f in ({}, {"axis": 1}, {"sorted": 0})),
    many(EinsumOp, X, X, equation="bij,bkj->bik"),
    many(EinsumOp, X, X[:1], X, equation="...i,...i,...j->...j"),
    many(EinsumOp, X[:, :3, :3], equation="...ii->...i"),
    many(EinsumOp, TIES, TIES[0], equation="bij,ij"),
    case(SizeOp, X),
    case(random_ops.RandomNormalOp, shape=[3, 4], seed=5.0),
    case(random_ops.RandomNormalLikeOp, X, dtype=f16),
    case(random_ops.RandomUniformOp, shape=[3, 4], low=-2.0),
    case(random_ops.RandomUniformLikeOp, X),
    case(random_ops.BernoulliOp, np.abs(UNIT), dtype=i1),
    case(random_ops.MultinomialOp, UNIT, sample_size=20),
]


@pytest.mark.parametrize(("name", "build", "arrays"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)])
def test_compute(cuda: Backend, close: Any, name: str, build: Callable[..., NNOp], arrays: list[Any]) -> None:
    op = build(*(create_ssa_value(tensor(element_of(a.dtype), a.shape)) for a in arrays))
    host = op.host_operands()
    with np.errstate(all="ignore"):
        expected = op.compute(np, arrays)
    kept = [cuda.xp.asarray(a) for a in arrays]
    results = op.compute(cuda.xp, [a if i in host else k for i, (a, k) in enumerate(zip(arrays, kept, strict=True))])
    for result, truth in zip(results, expected, strict=True):
        assert isinstance(result, cuda.xp.ndarray), f"{name} does not stay on the device"
        assert result.shape == truth.shape and result.dtype == truth.dtype
        close(result.get(), truth, what=name)
    for array, after in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(after.get(), array, err_msg=f"{name} writes its operand")


def test_a_program_whose_sizes_the_data_decide(cuda: Backend, close: Any) -> None:
    """HOST operands come from the device, results of unknown size stay there; random numbers are the CPU's."""
    model = parser.parse_model(
        """<ir_version: 10, opset_import: ["": 22]>
        g (float[N, 4] x) => (float[A] y, int64[B, 2] w, float[C] u, float[4, D] t, int64[E] r, float[N, 4] s) {
          zero = Constant <value_float = 0.0> ()
          shape = Constant <value_ints = [-1]> ()
          start = Constant <value_int = 0> ()
          step = Constant <value_int = 1> ()
          positive = Greater (x, zero)
          flat = Reshape (positive, shape)
          chosen = Compress (x, flat)
          y = Relu (chosen)
          found = NonZero (positive)
          w = Transpose <perm = [1, 0]> (found)
          rounded = Round (x)
          u = Unique (rounded)
          size = Size (u)
          r = Range (start, size, step)
          columns = Transpose <perm = [1, 0]> (x)
          rows = Shape <end = 1> (x)
          t, i = TopK (columns, rows)
          noise = RandomNormalLike (x)
          s = Add (noise, x)
        }"""
    )
    on_cpu, on_cuda = Session(model), Session(model, device="cuda")
    for rows in (3, 8):
        feeds = {"x": RNG.standard_normal((rows, 4)).astype(np.float32) * 2}
        for result, expected in zip(on_cuda.run(None, feeds), on_cpu.run(None, feeds), strict=True):
            assert expected.size > 1
            close(result, expected)


def test_the_profile_names_them(
    cuda: Backend, close: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between ops that have a kernel; the result is the CPU's."""
    model = parser.parse_model(
        """<ir_version: 10, opset_import: ["": 22]>
        g (float[2, 4, 8, 8] x) => (float[2, 5, 8] y) {
          [pool] p = MaxPool <kernel_shape = [1, 1]> (x)
          [angle] a = Atan (p)
          [sum] s = ReduceSum (a)
          [shift] t = Add (a, s)
          [pick] e = Einsum <equation = "bchw->bch"> (t)
          [order] y = Pad (e, pads)
        }"""
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array([0, 0, 0, 0, 1, 0]), "pads"))
    monkeypatch.chdir(tmp_path)
    onnx.save(model, "m.onnx")
    x = RNG.standard_normal((2, 4, 8, 8)).astype(np.float32)
    np.save("x.npy", x)
    assert fuse_run.main(["m.onnx", "--device", "cuda", "--input", "x=x.npy", "--profile"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.split("\n\n")[0].splitlines()]
    kernels = {row[0]: "evaluate" if "evaluate" in row else "own" for row in rows[1:]}
    assert [n for n in ("angle", "pick") if kernels[n] != "evaluate"] == [], rows
    assert kernels["pool"] == "own", rows
    (result,), (expected,) = (Session(model, device=d).run(None, {"x": x}) for d in ("cuda", "cpu"))
    close(result, expected)
