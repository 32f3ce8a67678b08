"""The kernels that copy pieces, made for CUDA and run on the host: rows that lie apart, pieces that stay in place."""

from __future__ import annotations

import shutil
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cuda_on_host import DeviceArray, kernels_on, place, run_on_host
from xdsl.ir import Block, SSAValue
from xdsl.parser import Parser

from nnfuse.dialects.nn.base import NNOp
from nnfuse.dialects.nn.constant import constant_array
from nnfuse.dialects.nn.index import SliceOp
from nnfuse.dialects.nn.join import ConcatOp, SplitOp
from nnfuse.dialects.nn.layout import TransposeOp
from nnfuse.dialects.nn.rearrange import DepthToSpaceOp, SpaceToDepthOp
from nnfuse.dialects.nn.types import element_of, tensor
from nnfuse.runtime.frame import _array_at, _rows_in
from nnfuse.runtime.kernels import Backend, KernelContext, Scratch
from nnfuse.runtime.kernels.cupy import copies
from nnfuse.runtime.kernels.cupy.registry import KERNELS, READS_ROWS_APART, ROWS_APART
from nnfuse.runtime.kernels.numpy import BACKEND
from nnfuse.runtime.pipelines import new_context
from nnfuse.runtime.places import Plan
from nnfuse.runtime.reference import main_function

TEXT = """
func.func @main(%x: tensor<4x16xf32>, %w: tensor<16x16xf32>) -> tensor<4x16xf32> attributes {nn.arena = 8192 : i64} {
  %a = nn.concat [%x, %x] axis = 1 {place = array<i64: 0>} : (tensor<4x16xf32>, tensor<4x16xf32>) -> tensor<4x32xf32>
  %p, %q = nn.split %a axis = 1 num_outputs = 2 {place = array<i64: 64, 512>} : (tensor<4x32xf32>) -> (tensor<4x16xf32>, tensor<4x16xf32>)
  %i = nn.constant dense<[1, 3]> : tensor<2xi64> {place = array<i64: -1>}
  %j = nn.constant dense<[4, 11]> : tensor<2xi64> {place = array<i64: -1>}
  %s = nn.slice %p, %i, %j {place = array<i64: 1024>} : (tensor<4x16xf32>, tensor<2xi64>, tensor<2xi64>) -> tensor<3x8xf32>
  %u, %v = nn.split %p num_outputs = 2 {place = array<i64: 2048, 2560>} : (tensor<4x16xf32>) -> (tensor<2x16xf32>, tensor<2x16xf32>)
  %m = blas.matmul %x, %w {place = array<i64: 4160>, pitch = array<i64: 256>} : (tensor<4x16xf32>, tensor<16x16xf32>) -> tensor<4x16xf32>
  %t = nn.transpose %p perm [1, 0] {place = array<i64: 5120>} : (tensor<4x16xf32>) -> tensor<16x4xf32>
  %n = nn.transpose %t perm [1, 0] {place = array<i64: 4288>, pitch = array<i64: 256>} : (tensor<16x4xf32>) -> tensor<4x16xf32>
  %c = nn.concat [%p, %m, %q, %n] axis = 1 {place = array<i64: 4096>} : (tensor<4x16xf32>, tensor<4x16xf32>, tensor<4x16xf32>, tensor<4x16xf32>) -> tensor<4x64xf32>
  %r = nn.reduce_sum %s {place = array<i64: 1536>} : (tensor<3x8xf32>) -> tensor<1x1xf32>
  %e = nn.add %u, %v {place = array<i64: 3072>} : tensor<2x16xf32>
  %k = nn.reduce_sum %c {place = array<i64: 3584>} : (tensor<4x64xf32>) -> tensor<1x1xf32>
  %y = nn.add %q, %r {place = array<i64: -1>} : (tensor<4x16xf32>, tensor<1x1xf32>) -> tensor<4x16xf32>
  func.return %y : tensor<4x16xf32>
}
""".replace("64, 512>}", "0, 512>, pitch = array<i64: 128, 0>}")  # noqa: E501
"""%p stays in the rows of %a and is read there, %m and %n are written where they belong in %c; %q is copied."""


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What has been copied, piece by piece; kernels are compiled for the host."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    run_on_host(monkeypatch, tmp_path)
    made, copy = [], copies._copy

    def counted(op: NNOp, dims: tuple[int, ...], *accesses: Any) -> Any:
        made.append((op.name, dims))
        return copy(op, dims, *accesses)

    monkeypatch.setattr(copies, "_copy", counted)
    return made


def test_pieces_are_copied_from_rows_that_lie_apart(copied: list[Any]) -> None:
    func = main_function(Parser(new_context(), TEXT).parse_module())
    plan, rng = Plan.of(func), np.random.default_rng(0)
    memory = np.zeros(plan.arena + 256, np.uint8)
    memory = memory[-memory.ctypes.data % 256 :][: plan.arena]
    x, w = (rng.standard_normal((n, 16), dtype=np.float32) for n in (4, 16))
    arrays = {argument: a.view(DeviceArray) for argument, a in zip(func.body.block.args, (x, w), strict=True)}
    context = KernelContext(SimpleNamespace(ndarray=np.ndarray), Scratch(np))

    def array_of(value: SSAValue) -> Any:
        if value in arrays:
            return arrays[value]
        if value not in plan.offset:
            return constant_array(value)
        pitch = plan.pitch.get(value)
        at = plan.offset[value]
        array = _array_at(memory, at, value) if pitch is None else _rows_in(memory[at:], value, pitch, np)
        return array.view(DeviceArray)

    for op in plan.lifetimes.ops:
        if isinstance(op, ConcatOp | SplitOp | SliceOp | TransposeOp):
            kernel = KERNELS[type(op)](op, context)
            assert kernel is not None
            kernel([array_of(v) for v in op.results], [array_of(v) for v in op.operands])
        elif isinstance(op, NNOp) and op.name == "blas.matmul":
            array_of(op.results[0])[...] = x @ w
    found = {r.name_hint: np.array(array_of(r)) for op in plan.lifetimes.ops for r in op.results if r in plan.offset}
    expected = {"p": x, "q": x, "s": x[1:, 3:11], "u": x[:2], "v": x[2:], "t": x.T}
    expected["c"] = np.concatenate([x, x @ w, x, x], axis=1)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    whole, half = (4, 16), (2, 16)
    assert copied == [
        *[("nn.concat", whole)] * 2,  # %a
        ("nn.split", whole),  # %q
        ("nn.slice", (3, 8)),
        *[("nn.split", half)] * 2,
        ("nn.transpose", (16, 4)),
        ("nn.transpose", whole),
        *[("nn.concat", whole)] * 2,  # %p and %q
    ]


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with kernels_on("host", tmp_path_factory.mktemp("kernels")) as found:
        yield found


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize(("kind", "dims"), [(DepthToSpaceOp, (2, 12, 3, 4)), (SpaceToDepthOp, (2, 3, 6, 8))])
def test_blocks(backend: Backend, kind: Any, dims: tuple[int, ...], mode: str, dtype: str) -> None:
    """Each element once, where `evaluate` has it."""
    x = np.arange(prod(dims)).astype(dtype).reshape(dims)
    op = kind(Block(arg_types=[tensor(element_of(x.dtype), dims)]).args[0], blocksize=2, mode=mode)
    expected = op.evaluate(np, x)
    out = place(backend, np.zeros_like(expected))
    kernel = backend.bind(op, KernelContext(backend.xp, Scratch(backend.xp)))
    assert kernel is not None
    kernel([out], [place(backend, x)])
    np.testing.assert_array_equal(np.asarray(out), expected)


def test_backends_read_and_write_what_the_ops_say() -> None:
    """An op that says so, and no other, has a kernel that does; on the CPU `compute` does else."""
    reading = {op for op in KERNELS if op.reads_rows_apart is not NNOp.reads_rows_apart}
    writing = {op for op in KERNELS if op.writes_rows_apart is not NNOp.writes_rows_apart}
    assert (reading, writing) == (READS_ROWS_APART, ROWS_APART)
    assert BACKEND.reads_rows_apart <= READS_ROWS_APART and BACKEND.rows_apart <= ROWS_APART
