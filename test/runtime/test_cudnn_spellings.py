"""How an op is written as a cuDNN graph: what its precompiled kernels are for, or what a kernel is compiled for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from xdsl.parser import Parser

from nnfuse.dialects.cudnn import CudnnConvOp
from nnfuse.runtime.kernels.cupy import library
from nnfuse.runtime.kernels.cupy.cudnn import ConvGraph
from nnfuse.runtime.pipelines import new_context
from nnfuse.runtime.reference import main_function

TEXT = """
func.func @main(%x: tensor<2x6x6x8xf16>, %w: tensor<16x1x1x8xf16>, %b: tensor<16xf16>, %r: tensor<2x6x6x16xf16>) -> tensor<2x6x6x16xf16> {{
  %y = cudnn.conv %x, %w bias %b residual %r spelling = "{}" strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] layout = "nhwc" activation = {} : (tensor<2x6x6x8xf16>, tensor<16x1x1x8xf16>, tensor<16xf16>, tensor<2x6x6x16xf16>) -> tensor<2x6x6x16xf16>
  func.return %y : tensor<2x6x6x16xf16>
}}
"""  # noqa: E501


class Tensor:
    """A tensor of a graph: its setters return it."""

    def __getattr__(self, setter: str) -> Any:
        return lambda value: self


class Graph:
    """A graph that remembers its nodes; an addition as what it adds."""

    def __init__(self, **_: Any):
        self.nodes: list[str] = []

    def tensor(self, name: str, **_: Any) -> str:
        return name

    def add(self, a: Any, b: str) -> Tensor:
        return self._node(b)

    def relu(self, value: Any, **bounds: float) -> Tensor:
        return self._node("relu" + "".join(f" {name} {bound}" for name, bound in bounds.items()))

    def conv_fprop(self, **_: Any) -> Tensor:
        return self._node("conv")

    def identity(self, value: Any) -> Tensor:
        return self._node("identity")

    def _node(self, name: str) -> Tensor:
        self.nodes.append(name)
        return Tensor()


@pytest.mark.parametrize(
    ("spelling", "activation", "nodes"),
    [
        ("precompiled", "relu", ["conv", "residual", "bias", "relu"]),
        ("runtime", "relu", ["conv", "identity", "bias", "residual", "relu"]),
        ("runtime", "clip<0.0, 6.0>", ["relu", "relu lower_clip -1.0 upper_clip 6.0"]),
        ("runtime", "clip<-2.0, 6.0>", ["residual", "relu lower_clip -2.0 upper_clip 6.0"]),
    ],
)
def test_nodes(spelling: str, activation: str, nodes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    types = SimpleNamespace(HALF="f16", FLOAT="f32")
    monkeypatch.setattr(library, "cudnn", lambda: SimpleNamespace(pygraph=Graph, data_type=types))
    monkeypatch.setattr(library, "cudnn_handle", lambda: 0)
    module = Parser(new_context(), TEXT.format(spelling, activation)).parse_module()
    op = main_function(module).body.block.first_op
    assert isinstance(op, CudnnConvOp)
    assert ConvGraph(op).graph.nodes[-len(nodes) :] == nodes
