"""What cuda.conv decides before it is compiled: plans, refusals, early loads; and its kernels, run on the host.

On a GPU: test_kernels.py.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blocks_on_host import run_on_host
from cuda_on_host import DeviceArray
from xdsl.parser import Parser

from nnfuse.dialects.cuda import CudaConvOp
from nnfuse.errors import CompileError
from nnfuse.runtime.kernels.cupy import library
from nnfuse.runtime.kernels.cupy.cuda_conv import check, conv_kernel, may_load_early, plan_of, plans, problem_of
from nnfuse.runtime.kernels.cupy.implicit_gemm import SharedPlan
from nnfuse.runtime.kernels.cupy.products import Plan, Problem
from nnfuse.runtime.kernels.cupy.resident_gemm import ResidentPlan
from nnfuse.runtime.pipelines import new_context, run_passes
from nnfuse.runtime.reference import main_function
from nnfuse.runtime.tolerance import RELATIVE_L2, relative_l2

H100, OLDER = library.Device(True, 227 << 10), library.Device(False, 99 << 10)

TEXT = """
func.func @main(%x: tensor<1x8x8x16xf16>, %u: tensor<32x1x1x16xf16>, %t: tensor<32x1x1x16xf16> {nn.weight}) -> (RESULTS) {
  %w = nn.parameter "w" : tensor<32x1x1x16xf16>
  %s = nn.parameter "s" : tensor<1xf16>
  %n = nn.constant dense<32> : tensor<1xi64>
  %m = nn.constant dense<[32, 1, 1, 16]> : tensor<4xi64>
  %p = nn.parameter "p" : tensor<32x16xf16>
  %v = nn.reshape %p, %m : (tensor<32x16xf16>, tensor<4xi64>) -> tensor<32x1x1x16xf16>
  %c = nn.parameter "c" : tensor<32xf16>
  %b = nn.expand %s, %n : (tensor<1xf16>, tensor<1xi64>) -> tensor<32xf16>
  %y = cuda.conv %x, FILTERS bias BIAS layout = "nhwc" FIELDS : (tensor<1x8x8x16xf16>, tensor<32x1x1x16xf16>, tensor<32xf16>) -> tensor<1x8x8x32xf16>
  func.return %yMORE : RESULTS
}
"""  # noqa: E501


def convolution(filters: str = "%w", bias: str = "%c", fields: str = "", returned: str = "") -> CudaConvOp:
    results = "tensor<1x8x8x32xf16>" + (", tensor<32x1x1x16xf16>" if returned else "")
    text = TEXT.replace("FILTERS", filters).replace("BIAS", bias).replace("FIELDS", fields)
    text = text.replace("MORE", f", {returned}" if returned else "").replace("RESULTS", results)
    module = Parser(new_context(), text).parse_module()
    return next(op for op in main_function(module).walk() if isinstance(op, CudaConvOp))


@pytest.mark.parametrize(
    ("case", "early"),
    [
        ({}, True),
        ({"filters": "%v"}, True),  # a view of a parameter
        ({"filters": "%t"}, True),  # what a tuner rotates
        ({"filters": "%v", "returned": "%v"}, False),  # a copy, made in each run
        ({"bias": "%b"}, False),  # a weight, but repeated in each run
        ({"filters": "%u"}, False),  # whoever feeds it may still be writing it
    ],
)
def test_only_what_lies_there_is_loaded_early(case: dict[str, str], early: bool) -> None:
    assert may_load_early(convolution(**case)) is early


def test_a_repeated_weight_is_not_hoisted() -> None:
    """If it were, it could be loaded early: the case above would say nothing."""
    op = convolution(bias="%b")
    module: Any = op.parent_op().parent_op()  # type: ignore[union-attr]
    run_passes(module, "hoist-parameters")
    (op,) = (o for o in main_function(module).walk() if isinstance(o, CudaConvOp))
    assert op.bias is not None and op.bias.owner.name == "nn.expand"  # type: ignore[union-attr]
    assert not may_load_early(op)


PROBLEMS = [Problem(3136, 64, 1), Problem(49, 512, 72), Problem(1, 1000, 32), Problem(12544, 64, 4)]


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("device", [H100, OLDER])
def test_plans_are_what_the_device_can_run(problem: Problem, device: library.Device) -> None:
    found = plans(problem, device)
    assert found and len(set(found)) == len(found)
    assert all(p.shared_bytes(problem) <= device.shared_bytes for p in found)
    splits = {p.split for p in found if isinstance(p, SharedPlan)}
    assert max(splits) <= problem.units and (device.since_hopper or splits == {1})
    assert [p.microseconds(problem) for p in found] == sorted(p.microseconds(problem) for p in found)


def test_few_tiles_share_their_sums() -> None:
    assert str(plans(PROBLEMS[1], H100)[0]).endswith("/8")
    assert str(plans(PROBLEMS[0], H100)[0]).endswith("/1")


def test_filters_stay_where_they_are_few_and_positions_many() -> None:
    stem = Problem(32 * 112 * 112, 64, 4)
    assert isinstance(plans(stem, H100)[0], ResidentPlan)
    assert all(p.tile[1] >= 64 for p in plans(stem, H100) if isinstance(p, ResidentPlan))
    for other in (Problem(3136, 128, 4), Problem(3136, 64, 9)):
        assert not any(isinstance(p, ResidentPlan) for p in plans(other, H100))


def test_the_plan_of_the_text_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "device", lambda: H100)
    assert plan_of(convolution(fields='plan = "16x32/1"')) == SharedPlan((16, 32), 1)
    assert str(plan_of(convolution())) == str(plans(problem_of(convolution()), H100)[0])
    with pytest.raises(CompileError, match=r"^%y: cuda.conv has no plan '16x16/3' \(for example \d+x\d+/1\)$"):
        plan_of(convolution(fields='plan = "16x16/3"'))


def test_what_has_no_kernel_is_refused() -> None:
    text = TEXT.replace("32x1x1x16", "32x1x1x6").replace("1x8x8x16", "1x8x8x6").replace("32x16xf16", "32x6xf16")
    text = text.replace("[32, 1, 1, 16]", "[32, 1, 1, 6]").replace("FILTERS", "%w").replace("BIAS", "%c")
    text = text.replace("FIELDS", "").replace("MORE", "").replace("RESULTS", "tensor<1x8x8x32xf16>")
    module = Parser(new_context(), text).parse_module()
    (op,) = (o for o in main_function(module).walk() if isinstance(o, CudaConvOp))
    with pytest.raises(CompileError, match="channels that are multiples of 4 and filters that are multiples of 8"):
        check(op)


def test_too_many_elements_are_refused() -> None:
    """Offsets are of 32 bits."""
    text = TEXT.replace("1x8x8x", "4194304x8x8x").replace("FILTERS", "%w").replace("BIAS", "%c")
    text = text.replace("FIELDS", "").replace("MORE", "").replace("RESULTS", "tensor<4194304x8x8x32xf16>")
    module = Parser(new_context(), text).parse_module()
    (op,) = (o for o in main_function(module).walk() if isinstance(o, CudaConvOp))
    with pytest.raises(CompileError, match=r"^%y: cuda.conv has no kernel for 2\^31 elements or more$"):
        check(op)


PIECE = """
func.func @main(%a: tensor<Nx5x4xALLxT>) -> tensor<Nx3x4x16xT> {
  %w = nn.parameter "w" : tensor<16x3x3xCHANNELSxT>
  %n = nn.constant dense<[8, CHANNELS, 20]> : tensor<3xi64>
  %o, %x, %r = nn.split %a split %n axis = 3 num_outputs = 3 {pitch = array<i64: 0, PITCH, 0>} : (tensor<Nx5x4xALLxT>, tensor<3xi64>) -> (tensor<Nx5x4x8xT>, tensor<Nx5x4xCHANNELSxT>, tensor<Nx5x4x20xT>)
  %y = cuda.conv %x, %w layout = "nhwc" strides [2, 1] pads [1, 1, 1, 1] {pitch = array<i64: RESULT>} : (tensor<Nx5x4xCHANNELSxT>, tensor<16x3x3xCHANNELSxT>) -> tensor<Nx3x4x16xT>
  func.return %y : tensor<Nx3x4x16xT>
}
"""  # noqa: E501


def convolution_of_a_piece(dtype: str, channels: int, apart: bool, images: int = 2) -> CudaConvOp:
    """Of the channels from the eighth on; the result is 16 of 32 channels."""
    size, together = {"f16": 2, "f32": 4}[dtype], 28 + channels
    text = re.sub(r"N(?=x)", str(images), PIECE).replace("ALL", str(together)).replace("CHANNELS", str(channels))
    text = text.replace("xT>", f"x{dtype}>").replace("PITCH", str(together * size * apart))
    module = Parser(new_context(), text.replace("RESULT", str(32 * size))).parse_module()
    return next(op for op in main_function(module).walk() if isinstance(op, CudaConvOp))


def test_gaps_count_as_elements() -> None:
    """Offsets are of 32 bits."""
    check(convolution_of_a_piece("f16", 12, False, 6_000_000))
    with pytest.raises(CompileError, match=r"^%y: cuda.conv has no kernel for 2\^31 elements or more$"):
        check(convolution_of_a_piece("f16", 12, True, 6_000_000))


@pytest.mark.parametrize("plan", [SharedPlan((16, 32), 1), ResidentPlan((64, 32))], ids=str)
@pytest.mark.parametrize(
    ("dtype", "channels", "apart"), [("f16", 12, True), ("f16", 16, True), ("f32", 12, True), ("f16", 16, False)]
)
def test_rows_apart(
    plan: Plan, dtype: str, channels: int, apart: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both kernels, on the host: they read a piece of each pixel of x, and write one of each of y."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    run_on_host(monkeypatch, tmp_path)
    op, rng = convolution_of_a_piece(dtype, channels, apart), np.random.default_rng(0)
    numpy = {"f16": np.float16, "f32": np.float32}[dtype]
    whole = rng.standard_normal((2, 5, 4, 28 + channels)).astype(numpy)
    image = whole[..., 8 : 8 + channels] if apart else whole[..., 8 : 8 + channels].copy()
    filters = (rng.standard_normal((16, 3, 3, channels)) / 8).astype(numpy)
    beside = np.full((2, 3, 4, 32), np.nan, numpy)
    result = beside[..., 8:24]
    conv_kernel(op, plan)([result.view(DeviceArray)], [image.view(DeviceArray), filters.view(DeviceArray)])
    (expected,) = op.compute(np, [image.astype(np.float32), filters.astype(np.float32)])
    assert relative_l2(result.astype(np.float32), expected.astype(np.float32), np) <= RELATIVE_L2[dtype]
    assert np.isnan(beside[..., :8]).all() and np.isnan(beside[..., 24:]).all()
