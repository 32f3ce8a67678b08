"""nn.gemm and nn.matmul against ONNX Runtime."""

from itertools import product

import numpy as np
import pytest
from xdsl.dialects.builtin import f32, i8, i32
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn import NN  # noqa: F401 (registers the activations)
from nnfuse.dialects.nn.activation import ActivationAttr
from nnfuse.dialects.nn.gemm import GemmOp, MatMulOp
from nnfuse.dialects.nn.types import dims_of, tensor
from nnfuse.errors import CompileError

RNG = np.random.default_rng(0)


def random(*shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


def value(*dims, element=f32):
    return create_ssa_value(tensor(element, dims))


@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("c", [None, (), (1,), (5,), (1, 5), (4, 1), (4, 5), (1, 1)], ids=str)
def test_gemm(check_node, c, trans_a, trans_b):
    a, b = random(*((3, 4) if trans_a else (4, 3))), random(*((5, 3) if trans_b else (3, 5)))
    inputs = [a, b] + ([] if c is None else [random(*c)])
    for alpha, beta in product((1.0, 0.5), (1.0, -2.0)):
        check_node("Gemm", inputs, {"transA": trans_a, "transB": trans_b, "alpha": alpha, "beta": beta})


@pytest.mark.parametrize("opset", [7, 9, 11, 13])
def test_gemm_of_older_opsets(check_node, opset):
    """ONNX Runtime reads c as [N] on a square result: the bias runs along the columns."""
    check_node("Gemm", [random(4, 3), random(3, 4), random(4)], {"alpha": 2.0}, opset=opset, constants=[1, 2])


@pytest.mark.parametrize("dims", [(0, 3, 5), (4, 0, 5), (4, 3, 0)], ids=str)
def test_gemm_of_size_zero(check_node, dims):
    m, k, n = dims
    (y,) = check_node("Gemm", [random(m, k), random(k, n), random(n)])
    assert y.shape == (m, n)


def test_gemm_does_not_read_c_where_beta_is_zero(check_node):
    check_node("Gemm", [random(4, 3), random(3, 4), np.full((4,), np.nan, np.float32)], {"beta": 0.0})


def test_gemm_of_nan_and_inf(check_node):
    a = random(3, 3)
    a[0, 0], a[1, 1] = np.nan, np.inf
    check_node("Gemm", [a, random(3, 3)])


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32, np.uint64])
def test_integers(check_node, dtype):
    a, b, c = (np.arange(n, dtype=dtype).reshape(dims) for n, dims in ((12, (4, 3)), (15, (3, 5)), (5, (5,))))
    check_node("MatMul", [a, b])
    expected = [2 * (a @ b) + 3 * c]
    check_node("Gemm", [a, b, c], {"alpha": 2.0, "beta": 3.0}, against_ort=False, expected=expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats(check_node, dtype):
    check_node("MatMul", [random(4, 3, dtype=dtype), random(3, 5, dtype=dtype)])
    check_node("Gemm", [random(4, 3, dtype=dtype), random(3, 5, dtype=dtype), random(5, dtype=dtype)])


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((4, 3), (3, 5)),
        ((2, 4, 3), (2, 3, 5)),
        ((2, 4, 3), (3, 5)),
        ((4, 3), (2, 3, 5)),
        ((2, 1, 4, 3), (6, 3, 5)),
        ((3,), (3,)),
        ((3,), (3, 5)),
        ((4, 3), (3,)),
        ((2, 4, 3), (3,)),
        ((3,), (2, 3, 5)),
        ((0, 3), (3, 5)),
        ((2, 4, 0), (0, 5)),
    ],
    ids=str,
)
@pytest.mark.parametrize("opset", [7, 13])
def test_matmul(check_node, a, b, opset):
    check_node("MatMul", [random(*a), random(*b)], opset=opset)


@pytest.mark.parametrize(
    ("a", "b", "bias"), [((2, 4, 3), (3, 5), 5), ((3,), (3, 5), 5), ((50, 3), (3,), 50), ((4, 3), (3, 4), 4)], ids=str
)
def test_matmul_adds_bias_along_the_last_dim(a, b, bias):
    arrays = [random(*a), random(*b), random(bias)]
    op = MatMulOp(*(value(*x.shape) for x in arrays), activation=ActivationAttr.of("relu"))
    op.verify()
    (y,) = op.compute(np, arrays)
    np.testing.assert_array_equal(y, np.maximum(np.matmul(arrays[0], arrays[1]) + arrays[2], 0))
    assert (y > 0).any() and (y == 0).any()


def test_gemm_applies_its_activation():
    a, b = random(4, 3), random(3, 5)
    (y,) = GemmOp(value(4, 3), value(3, 5), activation=ActivationAttr.of("relu")).compute(np, [a, b])
    np.testing.assert_array_equal(y, np.maximum(a @ b, 0))


def test_unknown_sizes():
    assert dims_of(GemmOp(value(None, 3), value(5, None), value(5), transB=1).result.type) == (None, 5)
    assert dims_of(MatMulOp(value(None, 4, 3), value(3, None), value(None)).result.type) == (None, 4, None)
    assert dims_of(MatMulOp(value(None, 4, 3), value(6, 3, 5)).result.type) == (6, 4, 5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GemmOp(value(4, 3), value(4, 5)), "inner sizes of 4x3 and 4x5 differ"),
        (lambda: GemmOp(value(4, 3), value(3, 5), transA=1), "inner sizes of 3x4 and 3x5 differ"),
        (lambda: GemmOp(value(4, 3), value(3, 5), value(4)), "c 4 does not broadcast to 4x5"),
        (lambda: GemmOp(value(1, 3), value(3, 5), value(4, 5)), "c 4x5 does not broadcast to 1x5"),
        (lambda: GemmOp(value(2, 4, 3), value(3, 5)), "must be matrices"),
        (lambda: GemmOp(value(4, 3, element=i32), value(3, 5, element=i32), alpha=0.5), "whole numbers"),
        (lambda: GemmOp(value(4, 3, element=i8), value(3, 5, element=i8)), "32 or 64 bits"),
        (lambda: MatMulOp(value(4, 3), value(3, 5, element=i32)), "one element type"),
        (lambda: MatMulOp(value(), value(3, 5)), "not scalars"),
        (lambda: MatMulOp(value(2, 4, 3), value(3, 3, 5)), "do not broadcast"),
        (lambda: MatMulOp(value(4, 3), value(3, 5), value(4)), "bias 4 does not fit 4x5"),
        (lambda: MatMulOp(value(4, 3), value(3), value(3)), "bias 3 does not fit 4"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_refuses(make, message):
    with pytest.raises(CompileError, match=message):
        make()
