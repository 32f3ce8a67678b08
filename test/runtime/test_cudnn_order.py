"""cuDNN's kernels start before the last one ends: what they read beside x must be written by then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from nnfuse.dialects.cudnn import CudnnConvOp
from nnfuse.runtime.kernels.cupy import cudnn
from nnfuse.runtime.kernels.cupy.cudnn import ConvGraph, Plan, conv_kernel, reads_early
from nnfuse.runtime.pipelines import new_context
from nnfuse.runtime.reference import main_function

BLOCK = """
func.func @main(%x: tensor<2x8x8x4xf16>, %r: tensor<2x8x8x4xf16>) -> tensor<2x8x8x4xf16> {
  %w = nn.parameter "w" : tensor<4x1x1x4xf16>
  %a = cudnn.conv %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] layout = "nhwc" : (tensor<2x8x8x4xf16>, tensor<4x1x1x4xf16>) -> tensor<2x8x8x4xf16>
  %b = cudnn.conv %a, %w residual %r strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] layout = "nhwc" : (tensor<2x8x8x4xf16>, tensor<4x1x1x4xf16>, tensor<2x8x8x4xf16>) -> tensor<2x8x8x4xf16>
  %c = cudnn.conv %x, %w residual %b strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] layout = "nhwc" : (tensor<2x8x8x4xf16>, tensor<4x1x1x4xf16>, tensor<2x8x8x4xf16>) -> tensor<2x8x8x4xf16>
  func.return %c : tensor<2x8x8x4xf16>
}
"""  # noqa: E501


def convolutions() -> list[CudnnConvOp]:
    module: ModuleOp = Parser(new_context(), BLOCK).parse_module()
    return [op for op in main_function(module).body.block.ops if isinstance(op, CudnnConvOp)]


def test_only_weights_are_not_waited_for() -> None:
    assert [reads_early(op) for op in convolutions()] == [False, True, True]


def test_the_wait_comes_before_the_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def compiled(name: str, text: str) -> Any:
        return SimpleNamespace(kernel=lambda: lambda *_: calls.append(name))

    monkeypatch.setattr(cudnn, "compiled", compiled)
    array = SimpleNamespace(data=SimpleNamespace(ptr=256))
    scratch = SimpleNamespace(reserve=lambda _: None, view=lambda *_: array)
    for op in convolutions():
        graph = cast(ConvGraph, SimpleNamespace(op=op, numbers={}, run=lambda *_: calls.append("conv")))
        kernel = conv_kernel(
            graph, Plan("plan", 0, lambda buffers, scratch: None), cast(Any, SimpleNamespace(scratch=scratch))
        )
        kernel([cast(Any, array)], [cast(Any, array)] * len(op.operands))
    assert calls == ["conv", "nnfuse_wait", "conv", "nnfuse_wait", "conv"]
