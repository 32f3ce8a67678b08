"""What cuBLASLt is told of a product whose first operand's rows lie apart; for its results see test_rows_apart.py."""

from __future__ import annotations

from contextlib import ExitStack
from unittest.mock import MagicMock

import pytest
from xdsl.parser import Parser

from nnfuse.dialects.blas.products import MatmulOp
from nnfuse.runtime.kernels.cupy.cublaslt import Matmul, MatmulSpec
from nnfuse.runtime.kernels.cupy.gemm import Calls, _calls, _spec
from nnfuse.runtime.pipelines import new_context
from nnfuse.runtime.reference import main_function

TEXT = """
func.func @main(%x: tensor<ALLx32xf32>, %b: tensor<BEYONDx16x8xf32>) -> tensor<ALLx8xf32> {
  %a, %o = nn.split %x axis = -1 num_outputs = 2 {pitch = array<i64: 128, 0>} : (tensor<ALLx32xf32>) -> (tensor<ALLx16xf32>, tensor<ALLx16xf32>)
  %y = blas.matmul %a, %b {pitch = array<i64: DISTANCE>} : (tensor<ALLx16xf32>, tensor<BEYONDx16x8xf32>) -> tensor<ALLx8xf32>
  func.return %y : tensor<ALLx8xf32>
}
"""  # noqa: E501


def calls_of(dims: str, beyond: str, distance: int = 0) -> Calls:
    text = TEXT.replace("ALL", dims).replace("BEYONDx", beyond).replace("DISTANCE", str(distance))
    module = Parser(new_context(), text).parse_module()
    (op,) = (o for o in main_function(module).walk() if isinstance(o, MatmulOp))
    return _calls(op, _spec(op))


@pytest.mark.parametrize(
    ("dims", "beyond", "distance", "expected"),
    [
        ("6", "", 0, {"m": 6, "batch": 1}),
        ("4x6", "", 0, {"m": 24, "batch": 1}),
        ("4x6", "", 64, {"m": 24, "batch": 1, "pitch": 16}),
        ("2x4x6", "", 0, {"m": 48, "batch": 1}),
        ("4x6", "4x", 0, {"m": 6, "batch": 4, "stride_a": 6 * 32, "stride_b": 128, "stride_d": 48}),
    ],
)
def test_a_stack_is_one_taller_matrix(dims: str, beyond: str, distance: int, expected: dict[str, int]) -> None:
    calls = calls_of(dims, beyond, distance)
    found = {name: getattr(calls.spec, name) for name in expected}
    assert found == expected and calls.spec.pitch_a == 32 and calls.offsets == ((0, 0, 0, 0),)


def test_the_distance_is_the_leading_dimension() -> None:
    matmul, library = object.__new__(Matmul), MagicMock()
    matmul.spec, matmul._lt = MatmulSpec(6, 8, 16, "float32", pitch=24, pitch_a=32), library
    with ExitStack() as owned:
        matmul._layouts(owned)
    made = [call.args[1:] for call in library.matrix_layout_create.call_args_list]
    assert made == [(8, 16, 8), (16, 6, 32), (8, 6, 8), (8, 6, 24)]
    assert str(matmul.spec) == "float32 GEMM 6x8x16 rows 24 apart rows of A 32 apart DEFAULT"
