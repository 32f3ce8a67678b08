"""DFT, STFT, windows, MelWeightMatrix and Det, against ONNX Runtime and their definitions."""

import numpy as np
import pytest
from onnx import TensorProto
from xdsl.dialects.builtin import f32, i64
from xdsl.ir import Block

from nnfuse.dialects.nn.constant import ConstantOp
from nnfuse.dialects.nn.linear_algebra import DetOp
from nnfuse.dialects.nn.signal import DFTOp, STFTOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.dialects.nn.window_functions import HannWindowOp
from nnfuse.errors import CompileError

RANDOM = np.random.default_rng(0)


def normal(*dims):
    return RANDOM.standard_normal(dims).astype(np.float32)


def scalar(value, dtype=np.int64):
    return np.array(value, dtype)


def argument(*dims, element=f32):
    return Block(arg_types=[tensor(element, dims)]).args[0]


def constant(value):
    return ConstantOp.of(np.int64(value)).result


def dft(x, axis, length=None, inverse=False):
    """By the sum that defines it: complex [.., n, ..] along `axis`, with a last dim of 2."""
    x = np.moveaxis(x[..., 0] + (1j * x[..., 1] if x.shape[-1] == 2 else 0), axis, -1).astype(np.complex128)
    length = x.shape[-1] if length is None else length
    x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, max(0, length - x.shape[-1]))])[..., :length]
    angles = 2j * np.pi * np.outer(np.arange(length), np.arange(length)) / length
    y = np.moveaxis(x @ np.exp(angles if inverse else -angles) / (length if inverse else 1), -1, axis)
    return np.stack([y.real, y.imag], -1)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("axis", [0, 1, -2, None])
@pytest.mark.parametrize("length", [None, 5, 9])
def test_dft(check_node, parts, axis, length):
    x = normal(7, 6, 8, parts)
    inputs = [x, None if length is None else scalar(length), None if axis is None else scalar(axis)]
    place = 2 if axis is None else axis % 4
    for inverse in (0, 1):
        expected = dft(x, place, length, bool(inverse)).astype(np.float32)
        check_node("DFT", inputs, {"inverse": inverse}, 20, expected=[expected])


def test_onesided_dft_and_back(check_node):
    x = normal(2, 9, 1)
    half = dft(x, 1)[:, :5].astype(np.float32)
    check_node("DFT", [x], {"onesided": 1, "axis": 1}, 17, expected=[half])
    check_node("DFT", [x, None, scalar(1)], {"onesided": 1}, 20, expected=[half])
    options = {"onesided": 1, "inverse": 1}
    check_node("DFT", [half, scalar(9), scalar(1)], options, 20, expected=[x])
    even = dft(x[:, :8], 1)[:, :5].astype(np.float32)
    check_node("DFT", [even, None, scalar(1)], options, 20, expected=[x[:, :8]])


def test_dft_of_opset_17_goes_along_axis_1(check_node):
    x = normal(3, 4, 5, 2)
    check_node("DFT", [x], {}, 17, expected=[dft(x, 1).astype(np.float32)])
    check_node("DFT", [x], {"axis": 0, "inverse": 1}, 19, expected=[dft(x, 0, inverse=True).astype(np.float32)])


def stft(x, step, window, onesided):
    """Frame by frame."""
    length = len(window)
    frames = [dft(x[:, i : i + length] * window[:, None], 1) for i in range(0, x.shape[1] - length + 1, step)]
    y = np.stack(frames, 1)
    return (y[:, :, : length // 2 + 1] if onesided else y).astype(np.float32)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("length", [7, 8])
def test_stft(check_node, parts, length):
    x, window = normal(2, 30, parts), np.hanning(length).astype(np.float32)
    onesided = 2 - parts
    for step in (3, 40):
        options = {"onesided": onesided}
        expected = [stft(x, step, window, onesided)]
        check_node("STFT", [x, scalar(step), window], options, 17, expected=expected)
        check_node("STFT", [x, scalar(step), window, scalar(length)], options, 17, expected=expected)
        plain = [stft(x, step, np.ones(length), onesided)]
        check_node("STFT", [x, scalar(step), None, scalar(length)], options, 17, expected=plain)


@pytest.mark.parametrize("operator, peer", [("HannWindow", np.hanning), ("BlackmanWindow", np.blackman)])
@pytest.mark.parametrize("size", [2, 9, 10])
def test_windows(check_node, operator, peer, size):
    """NumPy's are not periodic; a periodic one is that of one point more, without it."""
    for periodic, points in ((0, peer(size)), (1, peer(size + 1)[:-1])):
        expected = [np.asarray(points, np.float32)]
        check_node(operator, [scalar(size)], {"periodic": periodic}, 17, expected=expected)
        check_node(operator, [scalar(size, np.int32)], {"periodic": periodic}, 17, constants=[0])
    options = {"output_datatype": TensorProto.DOUBLE}
    check_node(operator, [scalar(size)], options, 17, expected=[peer(size + 1)[:-1]])


def test_hamming_window(check_node):
    """With ONNX's coefficients, 25/46 and 21/46, not NumPy's 0.54 and 0.46."""
    n = np.arange(12)
    expected = 25 / 46 - 21 / 46 * np.cos(2 * np.pi * n / 12)
    check_node("HammingWindow", [scalar(12)], {}, 17, expected=[expected.astype(np.float32)])
    check_node("HammingWindow", [scalar(12)], {"periodic": 0}, 17)
    check_node("HammingWindow", [scalar(0)], {}, 17, expected=[np.zeros(0, np.float32)])


@pytest.mark.parametrize("bins, points, rate, low, high", [(8, 16, 8192, 0, 4096), (20, 512, 16000, 80, 7600)])
def test_mel_weight_matrix(check_node, bins, points, rate, low, high):
    operands = [scalar(bins), scalar(points), scalar(rate), scalar(low, np.float32), scalar(high, np.float32)]
    (weights,) = check_node("MelWeightMatrix", operands, {}, 17)
    assert weights.shape == (points // 2 + 1, bins) and (weights.max(0) == 1).all()
    check_node("MelWeightMatrix", operands, {"output_datatype": TensorProto.DOUBLE}, 17, constants=range(5))


@pytest.mark.parametrize("dims", [(1, 1), (3, 3), (2, 4, 4), (2, 0, 3, 3)])
def test_det(check_node, dims):
    x = normal(*dims)
    expected = np.linalg.det(x.astype(np.float64)).astype(np.float32)
    for opset in (11, 22):
        check_node("Det", [x], {}, opset, expected=[expected])


REFUSALS = {
    "last dim is 1": lambda: DFTOp(argument(2, 5, 3)),
    "does not go along the last axis": lambda: DFTOp(argument(2, 5, 2), None, constant(-1)),
    "of 0 points": lambda: DFTOp(argument(2, 5, 2), constant(0)),
    "operands of a float type": lambda: DFTOp(argument(2, 5, 2, element=i64)),
    "no frames of 9 points each 2 in a signal of 8": lambda: STFTOp(argument(1, 8, 1), constant(2), None, constant(9)),
    "no frames of 4 points each 0": lambda: STFTOp(argument(1, 8, 1), constant(0), None, constant(4)),
    "a window 3 for frames of 4 points": lambda: STFTOp(argument(1, 8, 1), constant(1), argument(3), constant(4)),
    "a dimension would be negative": lambda: HannWindowOp(constant(-1)),
    "must be i32 or i64, not f32": lambda: HannWindowOp(argument()),
    "needs square matrices, not 2x3": lambda: DetOp(argument(2, 3)),
}


@pytest.mark.parametrize("message", REFUSALS)
def test_refusals(message):
    with pytest.raises(CompileError, match=message):
        REFUSALS[message]()
