"""nn.fused: its body's meaning, and what is refused as one."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import f16, f32
from xdsl.ir import Block, Region
from xdsl.utils.exceptions import VerifyException

from nnfuse.dialects.nn.constant import ConstantOp
from nnfuse.dialects.nn.elementwise import AddOp
from nnfuse.dialects.nn.fused import FusedOp
from nnfuse.dialects.nn.regions import YieldOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.errors import CompileError
from nnfuse.runtime.loading import parse_text
from nnfuse.runtime.pipelines import new_context

X = tensor(f32, (2, 3))


def fused(element: Any = f32) -> FusedOp:
    """`x + 2**-11` of 2x3 elements."""
    type_ = tensor(element, (2, 3))
    block = Block(arg_types=[type_])
    small = ConstantOp.of(np.asarray(2.0**-11, np.float16 if element == f16 else np.float32))
    total = AddOp(block.args[0], small)
    block.add_ops([small, total, YieldOp(total)])
    return FusedOp([Block(arg_types=[type_]).args[0]], Region(block))


def test_infer_and_evaluate() -> None:
    op = fused()
    op.verify()
    assert op.infer_types() == (X,)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    (result,) = op.compute(np, [x])
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, x + np.float32(2.0**-11))


def test_the_oracle_is_float64_inside_too() -> None:
    (result,) = fused().compute(np, [np.full((2, 3), 2.0**40)])
    assert result.dtype == np.float64 and (result > 2.0**40).all()


def test_narrow_values_are_rounded_by_each_op() -> None:
    (result,) = fused(f16).compute(np, [np.ones((2, 3), np.float16)])
    assert result.dtype == np.float16 and (result == 1).all()


TEXT = """func.func @main(%x: T) -> T {
  %y = nn.fused [%x] : T {
  BODY
  }
  func.return %y : T
}"""

WRONG = {
    "^bb0(%a: tensor<3xf32>): nn.yield %a : tensor<3xf32>": "the arguments of the body of nn.fused have other types",
    "^bb0(%a: T, %b: T): nn.yield %a : T": "the arguments of the body of nn.fused have other types",
    "^bb0(%a: T): nn.yield %a, %a : T, T": "nn.fused has 1 results, its body yields 2",
    "^bb0(%a: T): %b = nn.exp %a : T": "nn.exp terminates block",
    "^bb0(%a: T):": "empty block in single-block region",
    "^bb0(%a: T): nn.yield %x : T": "value defined out of its IsolatedFromAbove parent",
    "^bb0(%a: T): %b = builtin.unrealized_conversion_cast %a : T to T nn.yield %a : T": (
        "builtin.unrealized_conversion_cast cannot stand in the body of nn.fused"
    ),
    "^bb0(%a: T): %b = nn.fused [%a] : T { ^bb1(%c: T): nn.yield %c : T } nn.yield %b : T": (
        "nn.fused cannot stand in the body of nn.fused"
    ),
    "^bb0(%a: T): %b = nn.cast %a to = f16 : (T) -> tensor<4xf16> nn.yield %b : tensor<4xf16>": (
        "result is declared tensor<4xf32>, but nn.fused gives tensor<4xf16>"
    ),
    "": "expected a single block, but got 0 blocks",
}


@pytest.mark.parametrize("body", WRONG)
def test_wrong_bodies(body: str) -> None:
    with pytest.raises(CompileError) as error:
        parse_text(re.sub(r"\bT\b", "tensor<4xf32>", TEXT.replace("BODY", body)), "wrong.mlir", new_context())
    assert WRONG[body] in str(error.value)


def test_a_body_without_an_end_cannot_be_built() -> None:
    with pytest.raises(VerifyException, match="a body ends with"):
        FusedOp([], Region(Block()))
