"""Linear algebra beside products: Det."""

from __future__ import annotations

from typing import Any, ClassVar

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, result_def

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx
from .elementwise import require_float
from .types import Abstract, Array, format_dims, tensor


@irdl_op_definition
class DetOp(NNOp):
    """The determinants of the square matrices in the last two dims: [.., n, n] -> [..].

    ONNX Det, https://onnx.ai/onnx/operators/onnx__Det.html
    """

    name = "nn.det"
    ONNX: ClassVar = Onnx("Det", since=11)

    x = operand_def(AnyTensor)
    result = result_def(AnyTensor)

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The dims before the matrices."""
        require_float(self.name, x.element)
        if x.rank < 2 or len({*x.dims[-2:]} - {None}) > 1:
            raise CompileError(f"{self.name} needs square matrices, not {format_dims(x.dims)}")
        return tensor(x.element, x.dims[:-2])

    def evaluate(self, xp: Any, x: Array) -> Array:
        """By LU decomposition."""
        return xp.linalg.det(x)
