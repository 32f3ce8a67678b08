"""lower-nn-to-cuda and lower-nn-to-cudnn compute what they replace, however few the channels are: on small integers."""

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, f16
from xdsl.dialects.func import FuncOp, ReturnOp

from nnfuse.dialects.cuda import CudaConvOp
from nnfuse.dialects.cudnn import CudnnConvOp
from nnfuse.dialects.nn.channels import CHANNELS_LAST
from nnfuse.dialects.nn.conv import ConvOp
from nnfuse.dialects.nn.types import dims_of, tensor
from nnfuse.errors import CompileError
from nnfuse.lowering.nn_to_cuda import LowerNnToCudaPass
from nnfuse.lowering.nn_to_cudnn import LowerNnToCudnnPass
from nnfuse.runtime.reference import evaluate, main_function


def module_of(x, w, **fields):
    """A module with one convolution, channels last."""
    func = FuncOp("main", ([tensor(f16, x), tensor(f16, w)], []))
    op = ConvOp(*func.body.block.args, None, None, layout=CHANNELS_LAST, **fields)
    func.body.block.add_ops([op, ReturnOp(op.results[0])])
    func.update_function_type()
    return ModuleOp([func])


def lowered_conv(module, lowering):
    """The convolution that the lowered module calls; the module is checked against the one before."""
    lowered = module.clone()
    lowering.apply(Context(), lowered)
    lowered.verify()
    rng = np.random.default_rng(0)
    arrays = [rng.integers(-3, 4, dims_of(a.type)).astype(np.float16) for a in main_function(module).body.block.args]
    (before,), (after,) = (evaluate(main_function(m), arrays, {}.__getitem__) for m in (module, lowered))
    np.testing.assert_array_equal(after, before)
    return next(op for op in lowered.walk() if isinstance(op, CudaConvOp | CudnnConvOp))


@pytest.mark.parametrize("lowering", [LowerNnToCudaPass(), LowerNnToCudnnPass()])
@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    channels=st.integers(1, 5),
    size=st.tuples(st.integers(1, 9), st.integers(1, 12)),
    kernel=st.tuples(st.integers(1, 4), st.integers(2, 7)),
    strides=st.tuples(st.integers(1, 2), st.sampled_from([1, 2, 2, 2, 3])),
    pads=st.lists(st.integers(0, 4), min_size=4, max_size=4),
    dilation=st.sampled_from([1, 1, 1, 2]),
)
@example(channels=3, size=(14, 14), kernel=(7, 7), strides=(2, 2), pads=[3, 3, 3, 3], dilation=1)
@example(channels=3, size=(8, 8), kernel=(3, 3), strides=(2, 2), pads=[0, 0, 1, 1], dilation=1)
def test_few_channels(lowering, channels, size, kernel, strides, pads, dilation):
    try:
        module = module_of(
            (2, *size, channels), (8, *kernel, channels), strides=strides, pads=pads, dilations=[1, dilation]
        )
    except CompileError:
        assume(False)
    lowered_conv(module, lowering)


@pytest.mark.parametrize(
    ("width", "kernel", "strides", "pads", "paired"),
    [
        (14, 7, [2, 2], [3, 3, 3, 3], [4, 4, 8]),
        (14, 3, [2, 2], [1, 1, 1, 1], [3, 2, 8]),
        (14, 3, [2, 2], [0, 0, 1, 1], [3, 2, 8]),
        (15, 3, [2, 2], [1, 1, 1, 1], None),  # the last column has no other
        (14, 3, [2, 1], [1, 1, 1, 1], None),  # windows start between pairs
        (14, 2, [2, 2], [0, 0, 0, 9], [2, 1, 8]),
    ],
)
def test_pairs_of_columns(width, kernel, strides, pads, paired):
    """The dims of a filter by rows, pairs of columns, and channels."""
    rows = 4 if paired == [4, 4, 8] else kernel
    conv = lowered_conv(
        module_of((1, 9, width, 3), (16, rows, kernel, 3), strides=strides, pads=pads), LowerNnToCudaPass()
    )
    assert list(dims_of(conv.w.type)[1:]) == (paired or [rows, kernel, 4])
