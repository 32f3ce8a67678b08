"""cuDNN's kernels start before the last one ends: what they read then must be written. Needs a GPU: `make test-gpu`."""

from __future__ import annotations

from itertools import islice, product
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.parser import Parser

from nnfuse.dialects.cudnn import CudnnConvOp
from nnfuse.errors import CompileError
from nnfuse.runtime.kernels import Backend, KernelContext, Scratch, get_backend
from nnfuse.runtime.program import Program
from nnfuse.runtime.reference import evaluate, main_function, to_host
from nnfuse.runtime.session import new_context, run_passes
from nnfuse.runtime.tolerance import RELATIVE_L2, relative_l2

pytestmark = pytest.mark.gpu

SHORTCUT = """
func.func @main(%x: tensor<32x56x56x64xf16>, %t: tensor<32x28x28x128xf16>) -> tensor<32x28x28x128xf16> {
  %w1 = nn.parameter "w1" : tensor<128x3x3x128xf16>
  %w2 = nn.parameter "w2" : tensor<128x1x1x64xf16>
  %b = nn.parameter "b" : tensor<128xf16>
  %r = cudnn.conv %t, %w1 bias %b layout = "nhwc" strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] : (tensor<32x28x28x128xf16>, tensor<128x3x3x128xf16>, tensor<128xf16>) -> tensor<32x28x28x128xf16>
  %y = cudnn.conv %x, %w2 bias %b residual %r layout = "nhwc" strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] activation = relu : (tensor<32x56x56x64xf16>, tensor<128x1x1x64xf16>, tensor<128xf16>, tensor<32x28x28x128xf16>) -> tensor<32x28x28x128xf16>
  func.return %y : tensor<32x28x28x128xf16>
}
"""  # noqa: E501


@pytest.fixture(scope="module")
def cuda() -> Backend:
    try:
        return get_backend("cuda")
    except CompileError as e:
        pytest.skip(str(e))


def convolutions(module: ModuleOp) -> list[CudnnConvOp]:
    return [op for op in main_function(module).body.block.ops if isinstance(op, CudnnConvOp)]


def plans(cuda: Backend, op: CudnnConvOp, spelling: str, count: int) -> list[tuple[str, str]]:
    """The first plans of a spelling."""
    op.properties["spelling"] = StringAttr(spelling)
    context = KernelContext(cuda.xp, Scratch(cuda.xp), "f16")
    found = islice(cuda.alternatives[CudnnConvOp](op, context), count)
    return [(spelling, str(attributes["plan"])) for attributes, _ in found]


def test_a_residual_is_read_after_it_is_written(cuda: Backend) -> None:
    """Every pair of plans, as one CUDA graph."""
    rng = np.random.default_rng(3)

    def random(*dims: int, scale: float = 1.0) -> Any:
        return (rng.standard_normal(dims) * scale).astype(np.float16)

    parameters = {"w1": random(128, 3, 3, 128, scale=0.03), "w2": random(128, 1, 1, 64, scale=0.12), "b": random(128)}
    inputs = [cuda.xp.asarray(random(32, 56, 56, 64)), cuda.xp.asarray(random(32, 28, 28, 128))]
    module = Parser(new_context(), SHORTCUT).parse_module()
    (expected,) = evaluate(main_function(module), [to_host(a) for a in inputs], parameters.__getitem__)
    first, second = convolutions(module.clone())
    firsts = plans(cuda, first, "precompiled", 3)
    seconds = plans(cuda, second, "precompiled", 3) + plans(cuda, second, "runtime", 4)
    assert firsts and seconds
    for choice in product(firsts, seconds):
        program_module = module.clone()
        for op, (spelling, plan) in zip(convolutions(program_module), choice, strict=True):
            op.properties |= {"spelling": StringAttr(spelling), "plan": StringAttr(plan)}
        run_passes(program_module, "hoist-parameters,plan-memory")
        program = Program(program_module, parameters.__getitem__, cuda, {}, "f16")
        for _ in range(3):
            (result,) = program.run(inputs)
            assert relative_l2(to_host(result), expected) <= RELATIVE_L2["f16"], choice
