"""blas ops against NumPy in float64, on square sizes too: there a bias on the wrong axis still has the right shape."""

import re
from itertools import product

import numpy as np
import pytest
from xdsl.dialects.builtin import f16, f32, f64, i32
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.blas import (
    BLAS,
    BlasGemmGeluOp,
    BlasGemmOp,
    BlasGemmReluOp,
    BlasMatmulOp,
    BlasMatmulReluOp,
    BroadcastOp,
    Im2colOp,
    PackOp,
)
from nnfuse.dialects.nn.types import dims_of, element_of, tensor
from nnfuse.errors import CompileError

RNG = np.random.default_rng(0)
PRODUCTS = [BlasMatmulOp, BlasMatmulReluOp, BlasGemmOp, BlasGemmReluOp, BlasGemmGeluOp]
BIASED = PRODUCTS[2:]


def random(*shape, dtype=np.float64):
    return RNG.standard_normal(shape).astype(dtype)


def value(*dims, element=f32):
    return create_ssa_value(tensor(element, dims))


def run(op_class, *arrays, **fields):
    """The op on these arrays (None for an absent operand), its inferred dims checked."""
    operands = [None if a is None else value(*a.shape, element=element_of(a.dtype)) for a in arrays]
    op = op_class(*operands, **fields)
    op.verify()
    (result,) = op.compute(np, [a for a in arrays if a is not None])
    assert result.shape == dims_of(op.result.type)
    return result


def epilogue(op_class, y):
    if op_class in (BlasMatmulReluOp, BlasGemmReluOp):
        return np.where(y > 0, y, y * 0)
    if op_class is BlasGemmGeluOp:
        return 0.5 * y * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)))
    return y


@pytest.mark.parametrize("op_class", PRODUCTS, ids=lambda c: c.name)
@pytest.mark.parametrize("dims", [(4, 4, 4), (2, 5, 3)], ids=str)
@pytest.mark.parametrize("batch", [(), (3,), (2, 3)], ids=str)
def test_products(op_class, dims, batch):
    m, k, n = dims
    for trans_a, trans_b, (alpha, beta) in product((0, 1), (0, 1), ((1.0, 0.0), (0.5, 1.0), (-2.0, 0.25))):
        a, b, v = random(*batch, m, k), random(*batch, k, n), random(n)
        c = random(*batch, m, n) if beta else None
        expected = alpha * np.einsum("...mk,...kn->...mn", a, b) + (beta * c if beta else 0)
        expected = epilogue(op_class, expected + v if op_class in BIASED else expected)
        operands = [a.swapaxes(-1, -2).copy() if trans_a else a, b.swapaxes(-1, -2).copy() if trans_b else b]
        operands += [v, c] if op_class in BIASED else [c]
        result = run(op_class, *operands, alpha=alpha, beta=beta, transA=trans_a, transB=trans_b)
        np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("op_class", PRODUCTS, ids=lambda c: c.name)
def test_batch_strides_of_zero(op_class):
    """One matrix for the whole batch: filters [G, K, C] and bias C [G, K, P] for columns [N, G, C, P]."""
    a, b, c, v = random(2, 4, 4), random(3, 2, 4, 4), random(2, 4, 4), random(4)
    expected = np.stack([[a[g] @ b[n, g] + c[g] for g in range(2)] for n in range(3)])
    if op_class in BIASED:
        result = run(op_class, a, b, v, c, beta=1.0)
        expected = expected + v
    else:
        result = run(op_class, a, b, c, beta=1.0)
    np.testing.assert_allclose(result, epilogue(op_class, expected), rtol=1e-12)


def test_bias_runs_along_the_last_axis_and_c_as_it_stands():
    zero, v = np.zeros((3, 3)), np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(run(BlasGemmOp, zero, zero, v), np.tile(v, (3, 1)))
    c = run(BroadcastOp, v, axis=0, shape=[3, 3])
    np.testing.assert_array_equal(run(BlasMatmulOp, zero, zero, c, beta=1.0), np.tile(v[:, None], (1, 3)))


@pytest.mark.parametrize("op_class", PRODUCTS, ids=lambda c: c.name)
def test_nan_and_infinity_pass_the_epilogue(op_class):
    a = np.array([[np.nan], [np.inf], [-np.inf], [1.0]])
    more = [np.zeros(1)] if op_class in BIASED else []
    with np.errstate(invalid="ignore"):
        result = run(op_class, a, np.ones((1, 1)), *more)[:, 0]
    assert np.isnan(result[0]) and result[1] == np.inf
    if op_class in (BlasMatmulReluOp, BlasGemmReluOp):
        assert result[2] == 0


def test_f16_is_computed_in_f32():
    a = np.full((1, 4096), 0.5, np.float16)
    result = run(BlasGemmOp, a, a.T.copy(), np.ones(1, np.float16))
    assert result.dtype == np.float16 and result == 1025


@pytest.mark.parametrize("dims", [(0, 3, 5), (4, 0, 5), (4, 3, 0)], ids=str)
def test_products_of_size_zero(dims):
    m, k, n = dims
    c = random(m, n)
    np.testing.assert_array_equal(run(BlasMatmulOp, random(m, k), random(k, n), c, beta=1.0).shape, (m, n))
    if k == 0:
        np.testing.assert_array_equal(run(BlasMatmulOp, random(2, m, k), random(k, n), c, beta=1.0), [c, c])


def columns_by_loops(x, kernel, strides, dilations, pads, group):
    """[N, G, C/G, k, P] straight from the definition."""
    rank = len(kernel)
    padded = np.pad(x, [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)])
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    out = [(n - e) // s + 1 for n, e, s in zip(padded.shape[2:], extents, strides, strict=True)]
    result = np.zeros((*x.shape[:2], int(np.prod(kernel)), int(np.prod(out))))
    for row, tap in enumerate(np.ndindex(*kernel)):
        for column, place in enumerate(np.ndindex(*out)):
            at = tuple(p * s + t * d for p, s, t, d in zip(place, strides, tap, dilations, strict=True))
            result[:, :, row, column] = padded[(slice(None), slice(None), *at)]
    return result.reshape(x.shape[0], group, x.shape[1] // group, *result.shape[2:])


GEOMETRIES = {
    1: dict(kernel=[3], strides=[2], dilations=[2], pads=[1, 2]),
    2: dict(kernel=[3, 2], strides=[1, 2], dilations=[2, 1], pads=[1, 0, 2, 1]),
    3: dict(kernel=[2, 1, 2], strides=[1, 2, 1], dilations=[1, 1, 2], pads=[0, 1, 1, 1, 0, 0]),
}


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_im2col(rank, group):
    x = random(3, 4, *(7, 6, 5)[:rank])
    expected = columns_by_loops(x, group=group, **GEOMETRIES[rank])
    n, g, c, k, p = expected.shape
    groups = (n, g) if group > 1 else (n,)
    result = run(Im2colOp, x, group=group, **GEOMETRIES[rank])
    np.testing.assert_array_equal(result, expected.reshape(*groups, c * k, p))
    last = run(Im2colOp, np.moveaxis(x, 1, -1).copy(), group=group, layout="nhwc", **GEOMETRIES[rank])
    np.testing.assert_array_equal(last, expected.transpose(0, 1, 4, 3, 2).reshape(*groups, p, k * c))


def test_im2col_of_unknown_sizes():
    assert dims_of(Im2colOp(value(None, 3, 8, 8), kernel=[3, 3]).result.type) == (None, 27, 36)
    assert dims_of(Im2colOp(value(1, 4, None, 8), kernel=[3, 3], group=2).result.type) == (1, 2, 18, None)
    assert dims_of(Im2colOp(value(0, 3, 8, 8), kernel=[3, 3]).result.type) == (0, 27, 36)


def test_broadcast():
    v = random(3)
    np.testing.assert_array_equal(run(BroadcastOp, v, axis=1, shape=[2, 3]), np.tile(v, (2, 1)))
    m = random(2, 3)
    np.testing.assert_array_equal(run(BroadcastOp, m, axis=0, shape=[2, 3, 4]), np.repeat(m[..., None], 4, 2))
    for one in (random(), random(1), random(1, 1)):
        np.testing.assert_array_equal(run(BroadcastOp, one, axis=0, shape=[3, 2]), np.full((3, 2), one.item()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BlasMatmulOp(value(4, 3), value(4, 5)), "inner sizes"),
        (lambda: BlasMatmulOp(value(3), value(3, 5)), "must be matrices"),
        (lambda: BlasMatmulOp(value(2, 4, 3), value(3, 3, 5)), "do not broadcast"),
        (lambda: BlasMatmulOp(value(4, 3), value(3, 5), value(4, 5)), "beta = 0.0 does not read c"),
        (lambda: BlasMatmulOp(value(4, 3), value(3, 5), beta=1.0), "beta = 1.0 needs c"),
        (
            lambda: BlasMatmulOp(value(4, 3), value(3, 5), compute_type="bf16"),
            "compute_type 'bf16' of f32 is unknown; it is tf32 of f32",
        ),
        (lambda: BlasMatmulOp(value(4, 3), value(3, 5), value(5), beta=1.0), "last dims"),
        (lambda: BlasMatmulOp(value(4, 3), value(3, 5), value(1, 5), beta=1.0), "last dims"),
        (lambda: BlasMatmulOp(value(4, 3), value(3, 5), value(2, 4, 5), beta=1.0), "last dims"),
        (lambda: BlasGemmOp(value(4, 3), value(3, 5), value(4)), "bias 4 does not fit 4x5"),
        (lambda: BlasGemmOp(value(4, 3), value(3, 5), value(5, element=f64)), "one element type"),
        (lambda: BlasMatmulOp(value(4, 3, element=i32), value(3, 5, element=i32)), "float"),
        (lambda: Im2colOp(value(1, 3, 8), kernel=[3], group=2), "do not split into 2 groups"),
        (lambda: Im2colOp(value(1, 3), kernel=[]), "no spatial dims"),
        (lambda: Im2colOp(value(1, 3, 8), kernel=[3], layout="chwn"), "layout 'chwn' is unknown"),
        (lambda: Im2colOp(value(1, 3, 8), kernel=[9]), "does not fit the padded size 8"),
        (lambda: BroadcastOp(value(3), axis=1, shape=[3, 4]), "does not stand at axis 1"),
        (lambda: BroadcastOp(value(3), axis=2, shape=[3, 3]), "does not stand at axis 2"),
        (lambda: BroadcastOp(value(3), axis=-1, shape=[3, 3]), "does not stand at axis -1"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_refuses(make, message):
    with pytest.raises(CompileError, match=message):
        make()


def test_every_op_is_in_the_dialect():
    assert {op.name for op in BLAS.operations} == {
        f"blas.{name}"
        for name in ("matmul", "matmulrelu", "gemm", "gemmrelu", "gemmgelu", "im2col", "broadcast", "pack")
    }


def test_packing_is_a_cast_a_transpose_and_a_pad():
    x = RNG.standard_normal((2, 3, 5, 4)).astype(np.float32)
    expected = np.zeros((2, 5, 6, 4), np.float16)
    expected[:, :, :4, :3] = x.astype(np.float16).transpose(0, 2, 3, 1)
    result = run(PackOp, x, perm=[0, 2, 3, 1], ends=[0, 0, 2, 1], to=f16)
    assert result.dtype == np.float16
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"perm": [0, 0], "ends": [0, 0]}, "perm [0, 0] is not a permutation of 2 axes"),
        ({"perm": [1, 0], "ends": [0]}, "ends [0] are not a number of zeros for each of 2 axes"),
        ({"perm": [1, 0], "ends": [0, -1]}, "ends [0, -1] are not a number of zeros for each of 2 axes"),
    ],
)
def test_packing_that_does_not_fit(fields, message):
    with pytest.raises(CompileError, match=re.escape(message)):
        run(PackOp, np.ones((2, 3), np.float32), to=f16, **fields)
