"""Every kernel of both backends against the op's `compute` in float64. CUDA's need a GPU: `make test-gpu`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from xdsl.dialects.builtin import StringAttr, bf16, f16, f32, f64, i32
from xdsl.ir import Attribute, Block, SSAValue

from nnfuse.dialects.blas import PackOp, columns, products
from nnfuse.dialects.cuda import CudaConvOp
from nnfuse.dialects.cudnn import CudnnConvOp
from nnfuse.dialects.nn import (
    activations,
    cast,
    clip,
    comparison,
    elementwise,
    index,
    join,
    layout,
    norm,
    pad,
    pool,
    rearrange,
    reduce,
    softmax,
    unary,
)
from nnfuse.dialects.nn.activation import ActivationAttr
from nnfuse.dialects.nn.base import NNOp
from nnfuse.dialects.nn.constant import ConstantOp
from nnfuse.dialects.nn.conv import ConvOp
from nnfuse.dialects.nn.fused import FusedOp
from nnfuse.dialects.nn.resize import ResizeOp
from nnfuse.dialects.nn.types import dims_of, dtype_of, element_of, element_type, tensor
from nnfuse.errors import CompileError
from nnfuse.runtime.frame import default_kernel
from nnfuse.runtime.kernels import Backend, KernelContext, Scratch, get_backend
from nnfuse.runtime.kernels.cupy.registry import KERNELS as CUDA_KERNELS
from nnfuse.runtime.kernels.numpy import KERNELS as CPU_KERNELS
from nnfuse.runtime.tolerance import RELATIVE_L2, relative_l2

FLOATS = ["float32", "float16", "bfloat16", "float64"]
RNG = np.random.default_rng(7)


CUDA = pytest.param("cuda", marks=pytest.mark.gpu)


@pytest.fixture(scope="module", params=["cpu", CUDA])
def backend(request: pytest.FixtureRequest) -> Backend:
    try:
        return get_backend(request.param)
    except CompileError as e:
        pytest.skip(str(e))


only_cuda = pytest.mark.parametrize("backend", [CUDA], indirect=True)


def dtype_named(name: str) -> Any:
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def numbers(*dims: int, dtype: str = "float32", scale: float = 1.0) -> Any:
    """Normal numbers of the dtype, of a size that keeps sums of products near 1."""
    return (RNG.standard_normal(dims) * scale).astype(dtype_named(dtype))


def arguments(*arrays: Any) -> list[SSAValue]:
    """Values of the arrays' types."""
    return list(Block(arg_types=[tensor(element_of(a.dtype), a.shape) for a in arrays]).args)


def constant(*values: float, dtype: Any = np.int64) -> SSAValue:
    return ConstantOp.of(np.array(values, dtype)).result


Case = tuple[NNOp, list[Any]]


def case(op_class: Callable[..., NNOp], *arrays: Any, **fields: Any) -> Case:
    """An op on operands of these arrays' types (None: an absent one), and the arrays that are there."""
    present = [a for a in arrays if a is not None]
    values = iter(arguments(*present))
    return op_class(*(None if a is None else next(values) for a in arrays), **fields), present


def to_device(backend: Backend, array: Any, misaligned: bool = False) -> Any:
    """A row-major copy on the device; `misaligned` puts it one element after an aligned address."""
    bits = np.ascontiguousarray(array).view(np.dtype(f"u{array.dtype.itemsize}")) if array.ndim else array
    if array.ndim == 0:
        return backend.xp.array(array)
    if misaligned:
        padded = np.concatenate([np.zeros(1, bits.dtype), bits.reshape(-1)])
        return backend.xp.asarray(padded)[1:].reshape(array.shape).view(array.dtype)
    return backend.xp.array(bits).view(array.dtype)


def run(
    backend: Backend,
    op: NNOp,
    arrays: Sequence[Any],
    misaligned: bool = False,
    in_place: str | None = None,
) -> list[Any]:
    """The results of the kernel for `op`. `in_place` names the operand that is written over.

    On CUDA there must be a kernel; on the CPU, `compute` serves where there is none.
    """
    context = KernelContext(backend.xp, Scratch(backend.xp))
    kernel = backend.bind(op, context)
    assert kernel is not None or backend.name == "cpu", f"{op.name} has no kernel here"
    kernel = kernel or default_kernel(op, backend.xp)
    context.scratch.allocate()
    ins = [to_device(backend, a, misaligned) for a in arrays]
    buffers = [guarded_buffer(backend, r.type, misaligned) for r in op.results]
    outs = [out for out, _ in buffers]
    if in_place is not None:
        outs[0] = ins[op.operand_names().index(in_place)]
    with np.errstate(all="ignore"):
        kernel(outs, ins)
    for _, guard in buffers:
        assert (as_numpy(guard) == 0xCD).all(), f"{op.name} wrote beyond its result"
    return [as_numpy(o) for o in outs]


def as_numpy(array: Any) -> Any:
    return array if isinstance(array, np.ndarray) else array.get()


def guarded_buffer(backend: Backend, type_: Any, misaligned: bool) -> tuple[Any, Any]:
    """An array of the type, full of garbage, and the bytes after it, which nothing may write."""
    dims, dtype = dims_of(type_), dtype_of(element_type(type_))
    start, size = dtype.itemsize * misaligned, prod(dims) * dtype.itemsize
    memory = backend.xp.asarray(np.full(start + size + 4096, 0xCD, np.uint8))
    return memory[start : start + size].view(dtype).reshape(dims), memory[start + size :]


def truth(op: NNOp, arrays: Sequence[Any]) -> list[Any]:
    """The results by `compute`, floats as float64."""
    wide = [a.astype(np.float64) if a.dtype.kind in "fV" else a for a in arrays]
    return [np.asarray(r) for r in op.compute(np, wide)]


def check(backend: Backend, close: Any, case: Case, **options: Any) -> None:
    op, arrays = case
    for result, expected in zip(run(backend, op, arrays, **options), truth(op, arrays), strict=True):
        assert result.shape == expected.shape
        assert expected.size < 2 or expected.min() < expected.max(), "the reference says nothing"
        close(result, expected, what=op.name)


# GEMMs

MATMULS = [products.BlasMatmulOp, products.BlasMatmulReluOp]
BIASED = [products.BlasGemmOp, products.BlasGemmReluOp, products.BlasGemmGeluOp]


def product_case(
    op_class: Any,
    a: tuple[int, ...],
    b: tuple[int, ...],
    c: tuple[int, ...] | None = None,
    dtype: str = "float32",
    alpha: float = 1.0,
    beta: float = 1.0,
    trans_a: int = 0,
    trans_b: int = 0,
) -> Case:
    """A product of operands of these dims, its bias in the class's place where it takes one."""
    k, n = (a[-2] if trans_a else a[-1]), (b[-2] if trans_b else b[-1])
    bias = [(numbers(n) + 2).astype(dtype_named(dtype))] if op_class in BIASED else []  # GELU's tail is hard to hit
    arrays = [numbers(*a, dtype=dtype, scale=max(k, 1) ** -0.5), numbers(*b, dtype=dtype), *bias]
    third = None if c is None else numbers(*c, dtype=dtype)
    fields = {"alpha": alpha, "beta": 0.0 if c is None else beta, "transA": trans_a, "transB": trans_b}
    return case(op_class, *arrays, third, **fields)


BATCHES = {
    "plain": ((24, 40), (40, 56), None),
    "plain, c": ((24, 40), (40, 56), (24, 56)),
    "square": ((32, 32), (32, 32), (32, 32)),
    "odd sizes": ((5, 7), (7, 3), (5, 3)),
    "one row": ((1, 64), (64, 48), (1, 48)),
    "one column": ((48, 64), (64, 1), (48, 1)),
    "one of all": ((1, 1), (1, 1), (1, 1)),
    "weights repeated": ((16, 36), (5, 36, 49), None),
    "weights and c repeated": ((16, 36), (5, 36, 49), (16, 49)),
    "weights repeated, c full": ((16, 36), (5, 36, 49), (5, 16, 49)),
    "square, c repeated": ((16, 16), (3, 16, 16), (16, 16)),
    "batch of both": ((4, 8, 16), (4, 16, 24), (4, 8, 24)),
    "batch of a only": ((6, 8, 16), (16, 24), (6, 8, 24)),
    "batch of a only, c repeated": ((6, 8, 16), (16, 24), (8, 24)),
    "groups": ((3, 8, 18), (4, 3, 18, 25), (3, 8, 25)),
    "groups, one image": ((3, 8, 18), (1, 3, 18, 25), (3, 8, 25)),
    "groups, c full": ((3, 8, 18), (2, 3, 18, 25), (2, 3, 8, 25)),
    "more groups than images": ((8, 4, 9), (2, 8, 9, 16), (4, 16)),
    "both broadcast": ((3, 1, 8, 16), (1, 2, 16, 12), None),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", BATCHES)
@pytest.mark.parametrize("op_class", [*MATMULS, *BIASED])
def test_product(backend: Backend, close: Any, op_class: Any, layout: str, dtype: str) -> None:
    a, b, c = BATCHES[layout]
    check(backend, close, product_case(op_class, a, b, c, dtype))


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("batch", [(), (3,)])
def test_transposes_alpha_beta(
    backend: Backend, close: Any, trans_a: int, trans_b: int, batch: tuple[int, ...]
) -> None:
    a, b = ((40, 24) if trans_a else (24, 40)), ((56, 40) if trans_b else (40, 56))
    for op_class in (products.BlasMatmulReluOp, products.BlasGemmReluOp):
        options = {"alpha": 0.5, "beta": -1.25, "trans_a": trans_a, "trans_b": trans_b}
        check(backend, close, product_case(op_class, (*batch, *a), b, (24, 56), **options))
        check(backend, close, product_case(op_class, a, (*batch, *b), (24, 56), **options))


def test_bias_lies_along_the_last_axis(backend: Backend) -> None:
    """In a square result a bias along the wrong axis has the right length."""
    zero, bias = np.zeros((4, 4), np.float32), np.arange(4, dtype=np.float32)
    op, arrays = case(products.BlasGemmOp, zero, zero, bias, None)
    np.testing.assert_array_equal(run(backend, op, arrays)[0], np.tile(bias, (4, 1)))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op_class", [products.BlasMatmulReluOp, products.BlasGemmReluOp])
def test_special_values_through_relu(backend: Backend, op_class: Any, dtype: str) -> None:
    """What a RELU epilogue makes of NaN, infinities and -0: a NaN stays a NaN, everything not above 0 becomes 0."""
    values = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, -1.5, 2.5, np.nan] * 2, dtype_named(dtype))
    c = np.tile(values, (16, 1))
    zero = np.zeros((16, 16), dtype_named(dtype))
    bias = [np.zeros(16, dtype_named(dtype))] if op_class is products.BlasGemmReluOp else []
    op, arrays = case(op_class, zero, zero, *bias, c, beta=1.0)
    expected = np.array([np.nan, np.inf, 0, 0, 0, 0, 2.5, np.nan] * 2)
    np.testing.assert_array_equal(run(backend, op, arrays)[0].astype(np.float64), np.tile(expected, (16, 1)))


@pytest.mark.parametrize("dtype", FLOATS)
def test_special_values_through_products(backend: Backend, dtype: str) -> None:
    """NaN and infinity in an operand reach the RELU epilogue as NaN, inf and (from -inf) 0."""
    a = np.zeros((16, 16), dtype_named(dtype))
    a[0], a[1, 0], a[2, 0] = np.nan, np.inf, -np.inf
    op, arrays = case(products.BlasMatmulReluOp, a, np.ones((16, 16), dtype_named(dtype)), None)
    expected = np.zeros((16, 16))
    expected[0], expected[1] = np.nan, np.inf
    np.testing.assert_array_equal(run(backend, op, arrays)[0].astype(np.float64), expected)


@pytest.mark.parametrize("op_class", [*MATMULS, *BIASED])
@pytest.mark.parametrize("c", [None, (4, 6), (2, 4, 6)])
def test_nothing_to_sum(backend: Backend, close: Any, op_class: Any, c: tuple[int, ...] | None) -> None:
    """K = 0: cuBLASLt refuses it, and act(beta * C + bias) is left."""
    op, arrays = product_case(op_class, (2, 4, 0), (0, 6), c, beta=0.5)
    close(run(backend, op, arrays)[0], truth(op, arrays)[0], what=op.name)


@pytest.mark.parametrize(("a", "b"), [((0, 4), (4, 6)), ((3, 4), (4, 0)), ((0, 3, 4), (4, 6)), ((3, 4), (0, 4, 6))])
def test_no_results(backend: Backend, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    op, arrays = product_case(products.BlasMatmulReluOp, a, b)
    assert run(backend, op, arrays)[0].shape == dims_of(op.results[0].type)


@pytest.mark.parametrize("dtype", FLOATS)
def test_addresses_off_by_an_element(backend: Backend, close: Any, dtype: str) -> None:
    for name in ("plain, c", "weights and c repeated"):
        a, b, c = BATCHES[name]
        check(backend, close, product_case(products.BlasGemmReluOp, a, b, c, dtype), misaligned=True)
    check(
        backend, close, case(elementwise.AddOp, numbers(4, 8, dtype=dtype), numbers(4, 8, dtype=dtype)), misaligned=True
    )
    check(backend, close, im2col((2, 4, 8, 8), [3, 3], dtype=dtype, pads=[1, 1, 1, 1]), misaligned=True)
    check(backend, close, depthwise((1, 4, 8, 8), (4, 1, 3, 3), dtype=dtype, pads=[1, 1, 1, 1]), misaligned=True)


def test_result_in_c(backend: Backend, close: Any) -> None:
    for name in ("plain, c", "weights repeated, c full", "groups, c full"):
        a, b, c = BATCHES[name]
        check(backend, close, product_case(products.BlasMatmulReluOp, a, b, c), in_place="c")


@only_cuda
def test_tf32_only_when_asked(backend: Backend) -> None:
    op, arrays = product_case(products.BlasMatmulOp, (128, 512), (512, 256))
    expected = truth(op, arrays)[0]
    strict = relative_l2(run(backend, op, arrays)[0], expected)
    op.compute_type = StringAttr("tf32")
    loose = relative_l2(run(backend, op, arrays)[0], expected)
    assert strict <= RELATIVE_L2["f32"] and loose <= RELATIVE_L2["tf32"]
    if getattr(backend.xp, "__version__", "") != "emulated":
        assert loose > 10 * strict, "TF32 was not used"


# im2col and broadcast


def im2col(dims: tuple[int, ...], kernel: list[int], dtype: str = "float32", **fields: Any) -> Case:
    return case(columns.Im2colOp, numbers(*dims, dtype=dtype), kernel=kernel, **fields)


IM2COL = {
    "3x3": im2col((2, 4, 9, 8), [3, 3], pads=[1, 1, 1, 1]),
    "3x3, wide": im2col((2, 40, 32, 64), [3, 3], pads=[1, 1, 1, 1]),
    "7x7 stride 2": im2col((1, 3, 20, 18), [7, 7], strides=[2, 2], pads=[3, 3, 3, 3]),
    "5x3 dilated, asymmetric": im2col((2, 3, 15, 16), [5, 3], dilations=[2, 3], pads=[0, 4, 3, 1], strides=[1, 2]),
    "valid": im2col((2, 3, 8, 8), [2, 2], strides=[2, 2]),
    "1x1 stride 2": im2col((2, 5, 9, 9), [1, 1], strides=[2, 2]),
    "groups": im2col((2, 6, 8, 8), [3, 3], group=3, pads=[1, 1, 1, 1]),
    "11x11": im2col((1, 3, 24, 24), [11, 11], strides=[4, 4], pads=[2, 2, 2, 2]),
    "1-D": im2col((2, 4, 33), [5], pads=[2, 2], strides=[2]),
    "1-D, long": im2col((1, 2, 200), [80], dilations=[2]),
    "3-D": im2col((2, 3, 5, 6, 8), [3, 2, 3], pads=[1, 0, 1, 1, 1, 1], strides=[1, 2, 1], dilations=[2, 1, 1]),
    "nhwc": im2col((2, 8, 9, 6), [3, 3], pads=[1, 1, 1, 1], layout="nhwc"),
    "nhwc, packs": im2col((2, 8, 9, 16), [3, 2], strides=[2, 1], pads=[1, 0, 1, 1], layout="nhwc"),
    "nhwc, groups": im2col((2, 8, 9, 12), [3, 3], group=3, dilations=[2, 1], pads=[2, 1, 2, 1], layout="nhwc"),
    "nhwc, 1-D": im2col((2, 20, 5), [4], strides=[3], layout="nhwc"),
    "nhwc, 3-D": im2col((1, 4, 5, 6, 4), [2, 3, 2], pads=[0, 1, 1, 0, 1, 0], layout="nhwc"),
    "f16": im2col((2, 4, 9, 8), [3, 3], dtype="float16", pads=[1, 1, 1, 1]),
    "bf16, nhwc": im2col((2, 9, 8, 8), [3, 3], dtype="bfloat16", pads=[1, 1, 1, 1], layout="nhwc"),
    "f64": im2col((2, 4, 9, 8), [3, 3], dtype="float64", pads=[1, 1, 1, 1]),
}

BROADCAST = {
    "bias": case(columns.BroadcastOp, numbers(6), axis=0, shape=[6, 20]),
    "bias, odd": case(columns.BroadcastOp, numbers(5), axis=0, shape=[5, 7]),
    "groups": case(columns.BroadcastOp, numbers(3, 4), axis=0, shape=[3, 4, 10]),
    "rows": case(columns.BroadcastOp, numbers(8), axis=1, shape=[6, 8]),
    "one": case(columns.BroadcastOp, numbers(1), axis=0, shape=[3, 8]),
}


def packing(dims: tuple[int, ...], perm: list[int], ends: list[int], dtype: str, to: Attribute) -> Case:
    return case(PackOp, numbers(*dims, dtype=dtype), perm=perm, ends=ends, to=to)


PACK = {
    "image": packing((2, 3, 9, 7), [0, 2, 3, 1], [0, 0, 0, 1], "float32", f16),
    "image to bf16": packing((2, 3, 9, 8), [0, 2, 3, 1], [0, 0, 0, 5], "float32", bf16),
    "tf32": packing((1, 3, 16, 16), [0, 2, 3, 1], [0, 0, 0, 1], "float32", f32),
    "back": packing((2, 5, 6, 7), [0, 3, 1, 2], [0, 0, 0, 0], "float16", f32),
    "ends everywhere": packing((2, 3, 4), [2, 0, 1], [1, 2, 3], "float16", f16),
    "whole rows": packing((3, 5, 8), [1, 0, 2], [0, 2, 0], "float32", f32),
    "vector": packing((5,), [0], [11], "float32", f16),
    "f64": packing((4, 6), [1, 0], [0, 1], "float64", f64),
}


def copies_exactly(backend: Backend, case: Case) -> None:
    op, arrays = case
    for result, expected in zip(run(backend, op, arrays), op.compute(np, arrays), strict=True):
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("name", IM2COL)
def test_im2col(backend: Backend, name: str) -> None:
    copies_exactly(backend, IM2COL[name])


@pytest.mark.parametrize("name", BROADCAST)
def test_broadcast(backend: Backend, close: Any, name: str) -> None:
    op, arrays = BROADCAST[name]
    np.testing.assert_array_equal(run(backend, op, arrays)[0], np.asarray(op.compute(np, arrays)[0]))


@pytest.mark.parametrize("name", PACK)
def test_pack(backend: Backend, name: str) -> None:
    copies_exactly(backend, PACK[name])


# Convolutions and pools


def channels_last(x: Any) -> Any:
    """[N, spatial..., C] of [N, C, spatial...]."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def depthwise(
    x: tuple[int, ...],
    w: tuple[int, ...],
    dtype: str = "float32",
    bias: bool = True,
    residual: bool = False,
    **fields: Any,
) -> Case:
    """A depthwise convolution of dims with channels first; its result has those of `x` where there is a residual."""
    arrays = [numbers(*x, dtype=dtype), numbers(*w, dtype=dtype, scale=prod(w[2:]) ** -0.5)]
    arrays.append(numbers(w[0], dtype=dtype) if bias else None)
    arrays.append(numbers(*x, dtype=dtype) if residual else None)
    if fields.get("layout") == "nhwc":
        arrays = [a if a is None or a.ndim == 1 else channels_last(a) for a in arrays]
    return case(ConvOp, *arrays, group=x[1], **fields)


DEPTHWISE = {
    "3x3": depthwise((2, 6, 12, 12), (6, 1, 3, 3), pads=[1, 1, 1, 1]),
    "3x3, wide": depthwise((4, 48, 32, 64), (48, 1, 3, 3), pads=[1, 1, 1, 1], activation=ActivationAttr.of("relu")),
    "stride 2, no bias": depthwise((1, 4, 9, 11), (4, 1, 3, 3), bias=False, strides=[2, 2], pads=[0, 0, 1, 1]),
    "5x5 dilated": depthwise((2, 3, 14, 12), (3, 1, 5, 5), dilations=[2, 1], pads=[4, 2, 4, 2]),
    "multiplier": depthwise((2, 3, 8, 8), (6, 1, 3, 3), pads=[1, 1, 1, 1]),
    "residual and clip": depthwise(
        (2, 4, 8, 8), (4, 1, 3, 3), residual=True, pads=[1, 1, 1, 1], activation=ActivationAttr.of("clip", 0.0, 0.5)
    ),
    "1-D": depthwise((2, 4, 21), (4, 1, 5), pads=[2, 2], activation=ActivationAttr.of("swish", 1.0)),
    "1-D, long": depthwise((1, 2, 200), (2, 1, 90)),
    "3-D": depthwise((1, 3, 5, 6, 8), (3, 1, 3, 3, 3), pads=[1] * 6),
    "auto_pad": depthwise((1, 3, 9, 9), (3, 1, 4, 4), auto_pad="SAME_LOWER", strides=[2, 2]),
    **{d: depthwise((2, 6, 12, 12), (6, 1, 3, 3), dtype=d, pads=[1, 1, 1, 1]) for d in FLOATS[1:]},
    "nhwc": depthwise((2, 8, 9, 11), (8, 1, 3, 3), layout="nhwc", strides=[2, 1], pads=[1, 0, 0, 1]),
    "nhwc, odd, dilated": depthwise((2, 5, 14, 12), (5, 1, 5, 5), layout="nhwc", dilations=[2, 1], pads=[4, 2, 4, 2]),
    "nhwc, multiplier": depthwise((2, 3, 8, 8), (6, 1, 3, 3), layout="nhwc", pads=[1, 1, 1, 1]),
    "nhwc, residual and clip": depthwise(
        (2, 16, 8, 8),
        (16, 1, 3, 3),
        "float16",
        residual=True,
        layout="nhwc",
        pads=[1, 1, 1, 1],
        activation=ActivationAttr.of("clip", 0.0, 0.5),
    ),
    "nhwc, f16": depthwise((2, 24, 12, 12), (24, 1, 3, 3), "float16", layout="nhwc", pads=[1, 1, 1, 1]),
    "nhwc, 5x5": depthwise((2, 16, 12, 12), (16, 1, 5, 5), "bfloat16", layout="nhwc", pads=[2, 2, 2, 2]),
    "nhwc, 1-D": depthwise((2, 4, 21), (4, 1, 5), layout="nhwc", pads=[2, 2]),
    "nhwc, 3-D": depthwise((1, 3, 5, 6, 8), (3, 1, 3, 3, 3), layout="nhwc", pads=[1] * 6),
}


def convolution(
    x: tuple[int, ...],
    w: tuple[int, ...],
    dtype: str,
    residual: bool = False,
    op_class: type[NNOp] = CudnnConvOp,
    **fields: Any,
) -> Case:
    """A convolution, channels last, of dims with channels first; 1/sqrt weights keep its results near 1."""
    arrays = [numbers(*x, dtype=dtype), numbers(*w, dtype=dtype, scale=prod(w[1:]) ** -0.5)]
    plain, _ = case(ConvOp, *arrays, None, None, **{k: v for k, v in fields.items() if k not in ("spelling", "plan")})
    arrays += [numbers(w[0], dtype=dtype)]
    arrays += [numbers(*dims_of(plain.results[0].type), dtype=dtype) if residual else None]
    arrays = [a if a is None or a.ndim == 1 else channels_last(a) for a in arrays]
    return case(op_class, *arrays, layout="nhwc", **fields)


RELU = ActivationAttr.of("relu")
CUDNN = {
    f"{name} {dtype} {spelling}": convolution(x, w, dtype, residual, spelling=spelling, **fields)
    for dtype in ("float16", "bfloat16")
    for spelling in ("precompiled", "runtime")
    for name, x, w, residual, fields in (
        ("3x3", (2, 16, 12, 12), (32, 16, 3, 3), False, {"pads": [1, 1, 1, 1], "activation": RELU}),
        ("residual", (2, 16, 9, 9), (16, 16, 3, 3), True, {"pads": [1, 1, 1, 1], "activation": RELU}),
        ("stride 2", (1, 8, 13, 13), (16, 8, 3, 3), False, {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
        ("asymmetric", (1, 8, 12, 12), (8, 8, 4, 4), False, {"pads": [1, 2, 2, 1], "activation": RELU}),
        ("dilated", (1, 8, 12, 12), (8, 8, 3, 3), False, {"dilations": [2, 2], "pads": [2, 2, 2, 2]}),
        ("1x1", (2, 32, 7, 7), (64, 32, 1, 1), True, {"activation": RELU}),
        ("square", (1, 16, 4, 4), (16, 16, 1, 1), True, {}),
        ("relu6", (2, 16, 9, 9), (16, 16, 1, 1), False, {"activation": ActivationAttr.of("clip", 0.0, 0.5)}),
    )
}


CUDA_CONV = {
    f"{name} {dtype}": convolution(x, w, dtype, residual, CudaConvOp, **fields)
    for dtype in ("float16", "bfloat16", "float32")
    for name, x, w, residual, fields in (
        ("3x3", (2, 16, 12, 12), (32, 16, 3, 3), False, {"pads": [1, 1, 1, 1], "activation": RELU}),
        ("residual", (2, 16, 9, 9), (16, 16, 3, 3), True, {"pads": [1, 1, 1, 1], "activation": RELU}),
        ("stride 2", (1, 8, 13, 13), (16, 8, 3, 3), False, {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
        ("asymmetric", (1, 8, 12, 10), (8, 8, 4, 3), False, {"pads": [1, 2, 2, 1], "activation": RELU}),
        ("dilated", (1, 8, 12, 12), (8, 8, 3, 3), False, {"dilations": [2, 2], "pads": [2, 2, 2, 2]}),
        ("1x1", (2, 32, 7, 7), (64, 32, 1, 1), True, {"activation": RELU}),
        ("square", (1, 16, 4, 4), (16, 16, 1, 1), True, {}),
        ("4 channels", (2, 4, 19, 17), (24, 4, 7, 7), False, {"pads": [3, 3, 3, 3], "strides": [2, 2]}),
        ("12 channels", (1, 12, 9, 9), (16, 12, 3, 3), True, {"activation": ActivationAttr.of("sigmoid")}),
        ("relu6", (2, 16, 9, 9), (16, 16, 1, 1), False, {"activation": ActivationAttr.of("clip", 0.0, 0.5)}),
        ("leaky", (2, 16, 9, 9), (16, 16, 1, 1), False, {"activation": ActivationAttr.of("leaky_relu", 0.1)}),
        *(
            (plan, (1, 96, 11, 9), (72, 96, 3, 3), True, {"pads": [1, 1, 1, 1], "plan": plan, "activation": RELU})
            for plan in ("64x64/1", "64x64/8", "64x32/4", "32x64/2", "32x32/8", "16x64/4", "16x32/8", "16x32/1")
        ),
    )
}


RESIDENT = [
    (plan, filters, dtype, channels, fields)
    for plan, filters in (("64x64", 40), ("128x64", 64), ("64x32", 24), ("128x32", 16))
    for dtype, channels, fields in (
        ("float16", 8, {"pads": [1, 1, 1, 1], "activation": RELU}),
        ("bfloat16", 4, {"pads": [2, 1, 0, 1], "dilations": [1, 2]}),
        ("float16", 4, {"strides": [1, 2], "activation": RELU}),
        ("float32", 4, {"pads": [1, 1, 1, 1]}),
    )
]


@pytest.mark.parametrize("backend", [CUDA], indirect=True)
@pytest.mark.parametrize(("plan", "filters", "dtype", "channels", "fields"), RESIDENT)
def test_filters_that_stay_in_shared_memory(
    backend: Backend, plan: str, filters: int, dtype: str, channels: int, fields: Any
) -> None:
    """With more tiles than blocks, so that each block walks over several."""
    shapes = (6, channels, 79, 73), (filters, channels, 3, 3)
    check_cuda_conv(backend, *convolution(*shapes, dtype, False, CudaConvOp, plan=f"{plan}/resident", **fields))


@pytest.mark.parametrize("name", CUDA_CONV)
def test_cuda_conv(backend: Backend, name: str) -> None:
    check_cuda_conv(backend, *CUDA_CONV[name])


def check_cuda_conv(backend: Backend, op: CudaConvOp, arrays: Any) -> None:
    """Against float64; over its residual too."""
    dtype = dtype_of(element_type(op.x.type)).name
    single = "tf32" if backend.name == "cuda" else "f32"
    precision = {"float16": "f16", "bfloat16": "bf16"}.get(dtype, single)
    (result,), (expected,) = run(backend, op, arrays), truth(op, arrays)
    assert relative_l2(result.astype(np.float64), expected) <= RELATIVE_L2[precision]
    if op.residual is not None:
        (over,) = run(backend, op, arrays, in_place="residual")
        np.testing.assert_array_equal(over, result)


@pytest.mark.parametrize("name", CUDNN)
def test_cudnn(backend: Backend, close: Any, name: str) -> None:
    check(backend, close, CUDNN[name])


@pytest.mark.parametrize("name", DEPTHWISE)
def test_depthwise(backend: Backend, close: Any, name: str) -> None:
    check(backend, close, DEPTHWISE[name])


def test_depthwise_over_its_residual(backend: Backend, close: Any) -> None:
    check(backend, close, DEPTHWISE["residual and clip"], in_place="residual")


def test_other_convolutions_have_no_kernel(backend: Backend) -> None:
    op, _ = case(ConvOp, numbers(1, 4, 8, 8), numbers(6, 2, 3, 3), group=2)
    assert backend.bind(op, KernelContext(backend.xp, Scratch(backend.xp))) is None


WINDOWS: dict[str, dict[str, Any]] = {
    "2x2": {"kernel_shape": [2, 2], "strides": [2, 2]},
    "3x3": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    "3x3 ceil": {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    "3x3 ceil, padded": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 1, 1, 0], "ceil_mode": 1},
    "dilated": {"kernel_shape": [2, 3], "dilations": [2, 2], "pads": [1, 2, 0, 1]},
    "same": {"kernel_shape": [3, 2], "auto_pad": "SAME_UPPER", "strides": [2, 1]},
    "large": {"kernel_shape": [9, 10], "strides": [3, 3], "pads": [4, 4, 4, 4]},
}


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_max_pool(backend: Backend, close: Any, window: str, layout: str) -> None:
    dims = (2, 3, 12, 14) if layout == "nchw" else (2, 12, 14, 8)
    check(backend, close, case(pool.MaxPoolOp, numbers(*dims), layout=layout, **WINDOWS[window]))


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("include", [0, 1])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_average_pool(backend: Backend, close: Any, window: str, include: int, layout: str) -> None:
    x = numbers(*((2, 3, 12, 14) if layout == "nchw" else (2, 12, 14, 5)))
    fields = {"count_include_pad": include, "layout": layout, **WINDOWS[window]}
    check(backend, close, case(pool.AveragePoolOp, x, **fields))


POOLS = {
    "1-D": case(pool.MaxPoolOp, numbers(2, 3, 17), kernel_shape=[3], strides=[2]),
    "1-D average, long": case(pool.AveragePoolOp, numbers(1, 2, 200), kernel_shape=[90], pads=[20, 20]),
    "3-D average": case(pool.AveragePoolOp, numbers(1, 2, 5, 6, 8), kernel_shape=[3, 2, 3], pads=[1] * 6),
    "nhwc, f16": case(
        pool.MaxPoolOp, numbers(2, 9, 9, 16, dtype="float16"), kernel_shape=[3, 3], strides=[2, 2], layout="nhwc"
    ),
    "nhwc, 1-D": case(pool.AveragePoolOp, numbers(2, 17, 4), kernel_shape=[3], pads=[1, 1], layout="nhwc"),
    "many": case(pool.MaxPoolOp, numbers(4, 64, 32, 32), kernel_shape=[2, 2], strides=[2, 2]),
    **{d: case(pool.MaxPoolOp, numbers(2, 3, 8, 8, dtype=d), kernel_shape=[2, 2]) for d in FLOATS[1:]},
    **{f"average {d}": case(pool.AveragePoolOp, numbers(2, 3, 8, 8, dtype=d), kernel_shape=[2, 2]) for d in FLOATS[1:]},
}


@pytest.mark.parametrize("name", POOLS)
def test_pool(backend: Backend, close: Any, name: str) -> None:
    check(backend, close, POOLS[name])


def test_a_nan_wins_in_max_pool(backend: Backend) -> None:
    x = numbers(1, 1, 6, 6)
    x[0, 0, 2, 3] = np.nan
    op, arrays = case(pool.MaxPoolOp, x, kernel_shape=[3, 3])
    np.testing.assert_array_equal(run(backend, op, arrays)[0], op.compute(np, arrays)[0])


# Everything else


def with_constants(op_class: Any, array: Any, *constants: SSAValue | None, **fields: Any) -> Case:
    """An op whose operands after the first are constants that its kernel does not read."""
    (x,) = arguments(array)
    op = op_class(x, *constants, **fields)
    return op, [array, *(c.owner.literal() for c in constants if c is not None)]


X = numbers(3, 5, 4, 8)
POSITIVE = np.abs(X) + np.float32(0.25)

ELEMENTWISE: dict[str, Case] = {
    **{
        f"{op.name} {name}": case(op, a, b)
        for op in (elementwise.AddOp, elementwise.SubOp, elementwise.MulOp)
        for name, a, b in (
            ("equal", X, numbers(3, 5, 4, 8)),
            ("scalar", X, numbers()),
            ("channel", X, numbers(5, 1, 1)),
            ("last", numbers(8), X),
            ("both", numbers(3, 1, 4, 1), numbers(5, 1, 8)),
            ("int64", np.arange(12).reshape(3, 4), np.arange(4) * 7),
            ("int8", np.arange(12, dtype=np.int8).reshape(3, 4), np.arange(4, dtype=np.int8)),
        )
    },
    **{f"add {d}": case(elementwise.AddOp, numbers(4, 6, dtype=d), numbers(6, dtype=d)) for d in FLOATS},
    "div": case(elementwise.DivOp, X, POSITIVE),
    "pow": case(elementwise.PowOp, POSITIVE, numbers(8)),
    "prelu": case(activations.PReluOp, X, numbers(5, 1, 1)),
    "where": case(elementwise.WhereOp, numbers(5, 1, 8) > 0, X, numbers(8)),
    "equal": case(comparison.EqualOp, np.arange(12) % 3, np.arange(12) % 2),
    "neg": case(unary.NegOp, X),
    "abs": case(unary.AbsOp, X),
    "exp": case(unary.ExpOp, X),
    "log": case(unary.LogOp, POSITIVE),
    "sqrt": case(unary.SqrtOp, POSITIVE),
    "reciprocal": case(unary.ReciprocalOp, POSITIVE),
    "erf": case(unary.ErfOp, X),
    "floor": case(unary.FloorOp, X),
    "ceil": case(unary.CeilOp, X),
    "relu int": case(activations.ReluOp, np.arange(-6, 7)),
    "clip": case(clip.ClipOp, X, np.float32(-0.5), np.float32(0.75)),
    "clip below": case(clip.ClipOp, X, np.array([-0.5], np.float32), None),
    "clip above": case(clip.ClipOp, X, None, np.array([0.75], np.float32)),
    "clip int": case(clip.ClipOp, np.arange(-6, 7), np.int64(-2), np.int64(3)),
    **{
        op.name: case(lambda *v, op=op: op(list(v)), X, numbers(5, 1, 1), numbers(8))
        for op in (elementwise.SumOp, elementwise.MaxOp, elementwise.MinOp, elementwise.MeanOp)
    },
    "one of many": case(lambda *v: elementwise.MeanOp(list(v)), X),
}

ACTIVATIONS = [
    activations.ReluOp,
    activations.LeakyReluOp,
    activations.EluOp,
    activations.SeluOp,
    activations.CeluOp,
    activations.ThresholdedReluOp,
    activations.ShrinkOp,
    activations.SoftsignOp,
    activations.SigmoidOp,
    activations.HardSigmoidOp,
    activations.HardSwishOp,
    activations.TanhOp,
    activations.SoftplusOp,
    activations.MishOp,
    activations.GeluOp,
    activations.SwishOp,
]

ROWS: dict[str, Case] = {
    **{
        f"{op.name} {name}": case(op, 3 * numbers(*dims, dtype=d), axis=axis)
        for op in (softmax.SoftmaxOp, softmax.LogSoftmaxOp)
        for name, dims, axis, d in (
            ("last", (6, 10), -1, "float32"),
            ("long", (3, 3000), 1, "float32"),
            ("middle", (4, 7, 5), 1, "float32"),
            ("first", (6, 9), 0, "float64"),
            ("f16", (6, 100), 1, "float16"),
        )
    },
    **{
        f"{op.name} {dims}": case(op, numbers(*dims))
        for op in (pool.GlobalAveragePoolOp, pool.GlobalMaxPoolOp)
        for dims in ((2, 5, 7, 7), (3, 2, 40, 50), (40, 7, 3), (1, 2, 3, 4, 5))
    },
    **{
        f"{op.name} nhwc": case(op, numbers(2, 7, 7, 48), layout="nhwc")
        for op in (pool.GlobalAveragePoolOp, pool.GlobalMaxPoolOp)
    },
    **{
        f"{op.name} {axes} keep {keep}": with_constants(op, numbers(4, 5, 6, 7), constant(*axes), keepdims=keep)
        for op in (reduce.ReduceMeanOp, reduce.ReduceSumOp, reduce.ReduceMaxOp, reduce.ReduceMinOp)
        for axes, keep in (((2, 3), 1), ((-1,), 0), ((1,), 0), ((0, 1), 1), ((0,), 0))
    },
    "all": with_constants(reduce.ReduceSumOp, numbers(4, 5, 6)),
    "instance": case(norm.InstanceNormalizationOp, 2 + X, numbers(5), numbers(5)),
    "layer": case(norm.LayerNormalizationOp, 2 + X, numbers(8), numbers(8)),
    "layer, no bias": case(norm.LayerNormalizationOp, X, numbers(4, 8), None, axis=2),
    "layer, long": case(norm.LayerNormalizationOp, numbers(3, 700), numbers(700), numbers(700)),
    "layer, f16": case(norm.LayerNormalizationOp, *(numbers(*d, dtype="float16") for d in ((3, 70), (70,), (70,)))),
    "batch": case(norm.BatchNormalizationOp, X, *(numbers(5) for _ in range(3)), np.abs(numbers(5)) + 1),
    "batch, relu": case(
        norm.BatchNormalizationOp, X, *(numbers(5) for _ in range(3)), np.abs(numbers(5)) + 1, activation=RELU
    ),
    "batch, nhwc, swish": case(
        norm.BatchNormalizationOp,
        numbers(2, 6, 7, 8),
        *(numbers(8) for _ in range(3)),
        np.abs(numbers(8)) + 1,
        activation=ActivationAttr.of("swish", 1.0),
        layout="nhwc",
    ),
    "batch, vectors": case(norm.BatchNormalizationOp, numbers(4, 6), *(numbers(6) for _ in range(3)), np.ones(6, "f4")),
    "batch, f16": case(
        norm.BatchNormalizationOp,
        numbers(2, 5, 6, dtype="float16"),
        *(numbers(5, dtype="float16") for _ in range(3)),
        np.ones(5, np.float16),
    ),
    **{
        f"lrn {size} {dims}": case(norm.LRNOp, numbers(*dims), size=size, alpha=0.5, beta=0.7, bias=1.5)
        for size, dims in ((5, (2, 9, 4, 4)), (4, (2, 9, 3)), (1, (2, 3, 5)), (9, (1, 3, 8)), (3, (4, 6)))
    },
}

COPIES: dict[str, Case] = {
    "concat channels": case(
        lambda *v: join.ConcatOp(list(v), axis=1),
        numbers(2, 3, 8),
        numbers(2, 5, 8),
        numbers(2, 0, 8),
        numbers(2, 1, 8),
    ),
    "concat last": case(lambda *v: join.ConcatOp(list(v), axis=-1), numbers(4, 3), numbers(4, 5)),
    "concat i1": case(lambda *v: join.ConcatOp(list(v), axis=0), numbers(4, 3) > 0, numbers(2, 3) > 0),
    "concat f16": case(
        lambda *v: join.ConcatOp(list(v), axis=1), numbers(2, 8, 8, dtype="float16"), numbers(2, 16, 8, dtype="float16")
    ),
    "split": with_constants(join.SplitOp, numbers(4, 9, 8), constant(2, 4, 3), axis=1, num_outputs=3),
    "split last": with_constants(join.SplitOp, numbers(4, 9), axis=1, num_outputs=2),
    "transpose": case(layout.TransposeOp, numbers(3, 4, 5, 6), perm=[0, 2, 3, 1]),
    "transpose rows": case(layout.TransposeOp, numbers(2, 3, 4, 8), perm=[0, 2, 1, 3]),
    "transpose all": case(layout.TransposeOp, np.arange(24).reshape(2, 3, 4)),
    **{
        f"{op.name} {mode} {dtype}": case(op, numbers(*dims, dtype=dtype), blocksize=2, mode=mode)
        for op, dims in ((rearrange.DepthToSpaceOp, (2, 12, 3, 4)), (rearrange.SpaceToDepthOp, (2, 3, 6, 8)))
        for mode in ("DCR", "CRD")
        for dtype in ("float32", "float16")
    },
    "transpose bf16": case(layout.TransposeOp, numbers(4, 6, dtype="bfloat16"), perm=[1, 0]),
    "expand": with_constants(layout.ExpandOp, numbers(5, 1, 8), constant(3, 1, 4, 1)),
    "slice": with_constants(
        index.SliceOp, numbers(8, 9, 8), constant(2, 8), constant(8, 0), constant(0, 1), constant(3, -2)
    ),
    "slice packs": with_constants(index.SliceOp, numbers(8, 16), constant(4), constant(12), constant(1)),
}

COPIES |= {
    "pad": with_constants(pad.PadOp, numbers(2, 3, 5), constant(1, 0, 2, 0, 1, 3), None, None),
    "pad channels": with_constants(
        pad.PadOp, numbers(2, 5, 3, dtype="float16"), constant(0, 0, 0, 0, 0, 1), None, None
    ),
    "pad with a number": with_constants(
        pad.PadOp, numbers(2, 8), constant(3, 5), constant(1.5, dtype=np.float32), constant(1)
    ),
}

CASTS: dict[str, Case] = {
    **{f"f32 to {to}": case(cast.CastOp, 100 * X, to=to) for to in (f16, f64, i32)},
    "bool": case(cast.CastOp, X > 0, to=f32),
    "int64": case(cast.CastOp, np.arange(-9, 9), to=f32),
    "bf16": case(cast.CastOp, numbers(5, 7, dtype="bfloat16"), to=f32),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(backend: Backend, close: Any, name: str) -> None:
    check(backend, close, ELEMENTWISE[name])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op_class", ACTIVATIONS)
def test_activation(backend: Backend, close: Any, op_class: Any, dtype: str) -> None:
    x = 4 * numbers(3, 5, 7).astype(dtype_named(dtype))
    fields = [{}, {"approximate": "tanh"}] if op_class is activations.GeluOp else [{}]
    for given in fields:
        check(backend, close, case(op_class, x, **given))
        check(backend, close, case(op_class, x, **given), in_place="x")


@pytest.mark.parametrize("op_class", [*ACTIVATIONS, unary.SqrtOp, elementwise.MaxOp])
def test_a_nan_stays_a_nan(backend: Backend, op_class: Any) -> None:
    x = np.array([np.nan, 1.0, -np.inf, np.inf, -100.0, 100.0], np.float32)
    op, arrays = case(lambda v: op_class([v] if op_class is elementwise.MaxOp else v), x)
    with np.errstate(all="ignore"):
        expected = op.compute(np, arrays)[0]
    assert np.isnan(expected[0])
    np.testing.assert_allclose(run(backend, op, arrays)[0], expected, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("name", ROWS)
def test_rows(backend: Backend, close: Any, name: str) -> None:
    check(backend, close, ROWS[name])


def test_softmax_in_place(backend: Backend, close: Any) -> None:
    for dims in ((5, 200), (7, 3)):
        check(backend, close, case(softmax.SoftmaxOp, numbers(*dims)), in_place="x")


@pytest.mark.parametrize("name", COPIES)
def test_copies(backend: Backend, name: str) -> None:
    copies_exactly(backend, COPIES[name])


@pytest.mark.parametrize("name", CASTS)
def test_cast(backend: Backend, name: str) -> None:
    copies_exactly(backend, CASTS[name])


@pytest.mark.parametrize("kernels", [CPU_KERNELS, CUDA_KERNELS], ids=["cpu", "cuda"])
def test_every_kernel_has_a_case(kernels: Any) -> None:
    tables = (IM2COL, BROADCAST, PACK, DEPTHWISE, CUDNN, CUDA_CONV, POOLS, ELEMENTWISE, ROWS, COPIES, CASTS)
    tested = {type(op) for table in tables for op, _ in table.values()} | {*MATMULS, *BIASED, *ACTIVATIONS}
    elsewhere = {FusedOp, ResizeOp}  # test_fused_kernels.py, test_resize_kernel.py
    assert set(kernels) - tested == elsewhere & set(kernels)


def test_bf16_crosses_as_it_is(backend: Backend) -> None:
    array = numbers(4, 6, dtype="bfloat16")
    np.testing.assert_array_equal(as_numpy(backend.asarray(array)), array)


@only_cuda
def test_kernels_can_be_captured(backend: Backend) -> None:
    """No allocation, no synchronisation, nothing off the current stream: a CUDA graph of them gives the same."""
    xp = backend.xp
    if not hasattr(xp.cuda, "Stream"):
        pytest.skip("no CUDA graphs here")
    cases = [
        product_case(products.BlasMatmulReluOp, *BATCHES["weights and c repeated"]),
        product_case(products.BlasGemmGeluOp, *BATCHES["plain, c"]),
        product_case(products.BlasMatmulReluOp, (32, 4096), (4096, 32)),
        product_case(products.BlasGemmReluOp, (2, 4, 0), (0, 6), (4, 6)),
        *(table[name] for table, name in ((IM2COL, "3x3"), (PACK, "image"), (DEPTHWISE, "3x3"), (POOLS, "many"))),
        *(table[name] for table, name in ((ELEMENTWISE, "div"), (ROWS, "layer"), (BROADCAST, "bias"))),
        COPIES["concat channels"],
        with_constants(ResizeOp, X, None, constant(1, 1, 2, 1.5, dtype=np.float32), mode="linear"),
    ]
    scratch = Scratch(xp)
    bound: list[tuple[Any, list[Any], list[Any], Case]] = []
    for op, arrays in cases:
        kernel = backend.bind(op, KernelContext(xp, scratch))
        outs = [xp.zeros(dims_of(r.type), dtype_of(element_type(r.type))) for r in op.results]
        bound.append((kernel, outs, [to_device(backend, a) for a in arrays], (op, arrays)))
    scratch.allocate()
    stream = xp.cuda.Stream(non_blocking=True)
    xp.cuda.Device().synchronize()
    before = xp.get_default_memory_pool().used_bytes()
    with stream:
        stream.begin_capture()
        for kernel, outs, ins, _ in bound:
            kernel(outs, ins)
        graph = stream.end_capture()
    assert xp.get_default_memory_pool().used_bytes() == before
    assert all(not xp.asnumpy(out).any() for _, outs, _, _ in bound for out in outs), "it ran while captured"
    graph.launch(stream)
    stream.synchronize()
    for _, outs, _, (op, arrays) in bound:
        for out, expected in zip(outs, op.compute(np, arrays), strict=True):
            np.testing.assert_allclose(xp.asnumpy(out), expected, rtol=1e-3, atol=1e-4)
