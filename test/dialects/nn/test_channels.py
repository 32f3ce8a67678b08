"""Ops in layout nhwc mean the same as in nchw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from xdsl.ir import Block

from nnfuse.dialects.nn.activation import ActivationAttr
from nnfuse.dialects.nn.base import NNOp
from nnfuse.dialects.nn.conv import ConvOp
from nnfuse.dialects.nn.pool import AveragePoolOp, GlobalAveragePoolOp, GlobalMaxPoolOp, MaxPoolOp
from nnfuse.dialects.nn.types import element_of, tensor
from nnfuse.errors import CompileError

RNG = np.random.default_rng(3)
CONVOLUTIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((2, 4, 7, 6), (5, 4, 3, 3), {"pads": [1, 0, 1, 2]}),
    "strided, dilated": ((1, 3, 9, 9), (4, 3, 2, 3), {"strides": [2, 1], "dilations": [1, 2]}),
    "groups": ((2, 6, 5, 5), (4, 3, 3, 3), {"group": 2, "auto_pad": "SAME_UPPER"}),
    "depthwise": ((2, 4, 5, 5), (8, 1, 3, 3), {"group": 4}),
    "1-D": ((2, 4, 9), (3, 4, 3), {}),
    "3-D": ((1, 2, 4, 5, 6), (3, 2, 2, 2, 2), {"strides": [1, 2, 1]}),
}
POOLS: dict[str, dict[str, Any]] = {
    "plain": {"kernel_shape": [2, 3]},
    "ceil": {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1, "pads": [1, 0, 0, 1]},
}


def last(array: Any) -> Any:
    return np.ascontiguousarray(np.moveaxis(array, 1, -1)) if array is not None and array.ndim > 1 else array


def results(op_class: type[NNOp], arrays: list[Any], **fields: Any) -> tuple[Any, ...]:
    """The op's results, whose types must be the inferred ones."""
    present = [a for a in arrays if a is not None]
    values = iter(Block(arg_types=[tensor(element_of(a.dtype), a.shape) for a in present]).args)
    op = op_class(*(None if a is None else next(values) for a in arrays), **fields)
    found = op.compute(np, present)
    assert [tensor(element_of(r.dtype), r.shape) for r in found] == list(op.result_types)
    return found


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name: str) -> None:
    x_dims, w_dims, fields = CONVOLUTIONS[name]
    x, w, bias = (RNG.standard_normal(d) for d in (x_dims, w_dims, w_dims[:1]))
    (plain,) = results(ConvOp, [x, w, bias, None], **fields)
    residual = RNG.standard_normal(plain.shape)
    fields["activation"] = ActivationAttr.of("relu")
    (first,) = results(ConvOp, [x, w, bias, residual], **fields)
    (result,) = results(ConvOp, [last(x), last(w), bias, last(residual)], layout="nhwc", **fields)
    np.testing.assert_array_equal(result, last(first))
    assert 0 < (result > 0).mean() < 1


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("op_class", [MaxPoolOp, AveragePoolOp])
def test_pool(name: str, op_class: type[NNOp]) -> None:
    x = RNG.standard_normal((2, 3, 8, 7))
    (first,) = results(op_class, [x], **POOLS[name])
    (result,) = results(op_class, [last(x)], layout="nhwc", **POOLS[name])
    np.testing.assert_array_equal(result, last(first))


def test_positions_of_maxima_count_channels_first() -> None:
    x = RNG.standard_normal((2, 3, 8, 7))
    _, first = results(MaxPoolOp, [x], outputs=2, kernel_shape=[3, 3])
    _, places = results(MaxPoolOp, [last(x)], outputs=2, kernel_shape=[3, 3], layout="nhwc")
    np.testing.assert_array_equal(places, last(first))


@pytest.mark.parametrize("op_class", [GlobalAveragePoolOp, GlobalMaxPoolOp])
def test_global_pool(op_class: type[NNOp]) -> None:
    x = RNG.standard_normal((2, 3, 8, 7))
    (first,) = results(op_class, [x])
    (result,) = results(op_class, [last(x)], layout="nhwc")
    np.testing.assert_allclose(result, last(first), rtol=1e-12)


def test_channels_that_do_not_fit() -> None:
    with pytest.raises(CompileError, match="has 5 channels, but filters"):
        results(ConvOp, [np.ones((1, 8, 8, 5)), np.ones((2, 3, 3, 4)), None, None], layout="nhwc")
