"""Ops that move elements, and pools and unpools, against ONNX Runtime and their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import f32, i32, i64
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.lp_pool import GlobalLpPoolOp, LpPoolOp
from nnfuse.dialects.nn.rearrange import CenterCropPadOp, DepthToSpaceOp, ReverseSequenceOp, SpaceToDepthOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.dialects.nn.unpool import Col2ImOp, MaxUnpoolOp
from nnfuse.errors import CompileError

RNG = np.random.default_rng(8)


def normal(*shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


def numbers(*shape, dtype=np.float32):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("mode", [None, "DCR", "CRD"])
@pytest.mark.parametrize("block", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_depth_to_space(check_node, mode, block, dtype):
    x = numbers(2, 2 * block * block, 2, 3, dtype=dtype)
    fields = {"blocksize": block} | ({} if mode is None else {"mode": mode})
    y = np.zeros((2, 2, 2 * block, 3 * block), dtype)
    for n, c, h, w in np.ndindex(*y.shape):
        inner = h % block * block + w % block
        channel = c * block * block + inner if mode == "CRD" else inner * 2 + c
        y[n, c, h, w] = x[n, channel, h // block, w // block]
    check_node("DepthToSpace", [x], fields, opset=13, expected=[y])
    check_node("SpaceToDepth", [y], fields, opset=28, expected=[x])


def test_space_to_depth(check_node):
    check_node("SpaceToDepth", [normal(2, 3, 4, 6)], {"blocksize": 2}, opset=13)
    check_node("DepthToSpace", [normal(2, 8, 4, 6)], {"blocksize": 2}, opset=7)
    check_node("DepthToSpace", [normal(0, 8, 4, 6)], {"blocksize": 2}, against_ort=False)


@pytest.mark.parametrize("time", [0, 1])
@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 2), (4, 4, 2, 3)])
def test_reverse_sequence(check_node, time, shape):
    lengths = np.array([4, 1, 0, 3], np.int64)
    x = numbers(*shape)
    expected = x.copy()
    for n, length in enumerate(lengths):
        sequence = expected[:, n] if time == 0 else expected[n]
        sequence[:length] = sequence[:length][::-1].copy()
    fields = {"time_axis": time, "batch_axis": 1 - time}
    check_node("ReverseSequence", [x, lengths], fields, opset=10, expected=[expected])
    with pytest.raises(CompileError, match="node: a number of sequence_lens is not within 0 and the 4 steps"):
        check_node("ReverseSequence", [x, lengths + 1], fields, opset=10)


@pytest.mark.parametrize("sizes", [(4, 5), (3, 6), (7, 8), (2, 9), (4, 4), (0, 5)])
@pytest.mark.parametrize("axes", [None, [0, 1], [1, 0], [-1, -2]])
@pytest.mark.parametrize("constants", [(), (1,)])
def test_center_crop_pad(check_node, sizes, axes, constants):
    x = normal(4, 5)
    fields, by_axis = {} if axes is None else {"axes": axes}, sizes if axes in (None, [0, 1]) else sizes[::-1]
    expected = np.zeros(by_axis, np.float32)
    taken, put = [], []
    for old, new in zip(x.shape, by_axis, strict=True):
        before, length = abs(old - new) // 2, min(old, new)
        taken.append(slice(before, before + length) if new < old else slice(0, old))
        put.append(slice(before, before + length) if new > old else slice(0, new))
    expected[tuple(put)] = x[tuple(taken)]
    shape = np.array(sizes, np.int64)
    check_node("CenterCropPad", [x, shape], fields, opset=18, constants=constants, expected=[expected])


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize(
    "fields",
    [
        {"kernel_shape": [3, 2]},
        {"kernel_shape": [3, 3], "strides": [2, 1], "pads": [1, 1, 0, 2]},
        {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER"},
    ],
)
def test_lp_pool(check_node, p, fields):
    x = normal(2, 3, 7, 6)
    check_node("LpPool", [x], {"p": p, **fields}, opset=11)
    check_node("GlobalLpPool", [x], {"p": p}, opset=11)


def test_lp_pool_of_opset_18(check_node):
    fields = {"kernel_shape": [2], "dilations": [2], "strides": [3], "ceil_mode": 1}
    x = normal(1, 2, 9)
    exact = np.hypot(x[..., [0, 3, 6]].astype(np.float64), x[..., [2, 5, 8]]).astype(np.float32)
    check_node("LpPool", [x], fields, opset=18, expected=[exact])


@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 0, 1, 0]])
def test_max_unpool(check_node, pads):
    """What MaxPool took stands where it stood."""
    x = normal(2, 3, 6, 8)
    fields = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": pads}
    y, places = check_node("MaxPool", [x], fields, opset=12, outputs=2)
    (back,) = check_node("MaxUnpool", [y, places], fields, opset=11)
    np.testing.assert_array_equal(back.reshape(-1)[places.reshape(-1)], y.reshape(-1))
    assert np.count_nonzero(back) == y.size and back.shape == x.shape
    shape = np.array([2, 3, 7, 9], np.int64)
    larger = np.zeros((2, 3, 7, 9), np.float32)
    larger[:, :, :6, :8] = back
    check_node("MaxUnpool", [y, places, shape], fields, opset=11, expected=[larger])
    with pytest.raises(CompileError, match=r"node: an index of nn\.max_unpool is not within the 288 elements"):
        check_node("MaxUnpool", [y, places + 288], fields, opset=11)


@pytest.mark.parametrize(
    ("image", "block", "fields"),
    [
        ((5, 6), (2, 3), {}),
        ((5, 6), (2, 2), {"strides": [2, 1], "pads": [1, 0, 2, 1]}),
        ((7, 6), (2, 3), {"dilations": [2, 1], "strides": [1, 2]}),
        ((5,), (3,), {"pads": [1, 1]}),
        ((4, 3, 5), (2, 2, 2), {}),
    ],
)
@pytest.mark.parametrize("constants", [(), (1, 2)])
def test_col2im(check_node, image, block, fields, constants):
    """The adjoint of taking blocks: the sum over all blocks of what stands at each pixel."""
    rank = len(image)
    strides, dilations = fields.get("strides", [1] * rank), fields.get("dilations", [1] * rank)
    pads = fields.get("pads", [0] * 2 * rank)
    sizes = zip(image, block, strides, dilations, pads[:rank], pads[rank:], strict=True)
    out = [(n + b + a - d * (k - 1) - 1) // s + 1 for n, k, s, d, b, a in sizes]
    x = normal(2, 3 * int(np.prod(block)), int(np.prod(out)))
    y = np.zeros((2, 3, *image))
    for column, start in enumerate(np.ndindex(*out)):
        for place, inner in enumerate(np.ndindex(*block)):
            at = tuple(t * s + i * d - b for t, s, i, d, b in zip(start, strides, inner, dilations, pads, strict=False))
            if all(0 <= a < n for a, n in zip(at, image, strict=True)):
                y[(slice(None), slice(None), *at)] += x[:, place :: int(np.prod(block)), column]
    inputs = [x, np.array(image, np.int64), np.array(block, np.int64)]
    check_node("Col2Im", inputs, fields, opset=18, constants=constants, symbolic=[0], expected=[y.astype(np.float32)])


def value(*dims, element=f32):
    return create_ssa_value(tensor(element, dims))


X = value(1, 8, 4, 4)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: DepthToSpaceOp(X, blocksize=3), "with blocksize 3 does not fit 1x8x4x4"),
        (lambda: DepthToSpaceOp(X, blocksize=2, mode="RCD"), "mode 'RCD' of nn.depth_to_space is unknown"),
        (lambda: SpaceToDepthOp(X, blocksize=3), "with blocksize 3 does not fit 1x8x4x4"),
        (lambda: ReverseSequenceOp(X, value(4, element=i64)), "one per sequence, not tensor<4xi64>"),
        (lambda: ReverseSequenceOp(X, value(8, element=i64), time_axis=2), "must be 0 and 1 of 1x8x4x4"),
        (lambda: CenterCropPadOp(X, value(3, element=i64)), "3 sizes do not fit 4 axes"),
        (lambda: LpPoolOp(X, kernel_shape=[2, 2], p=0), "p of nn.lp_pool must be 1 or more, not 0"),
        (lambda: GlobalLpPoolOp(value(1, 2, 3, element=i32)), "a float type, not i32"),
        (lambda: MaxUnpoolOp(X, X, kernel_shape=[2, 2]), "indices must be i64 of the dims 1x8x4x4"),
        (
            lambda: Col2ImOp(value(1, 8, 4), value(2, element=i64), value(3, element=i64)),
            "as many block sizes as image sizes",
        ),
    ],
)
def test_operands_that_do_not_fit(build, message):
    with pytest.raises(CompileError, match=message):
        build()
