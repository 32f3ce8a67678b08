"""GroupNormalization: statistics of groups of channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from xdsl.dialects.builtin import FloatAttr, IntegerAttr, TensorType, f32
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, OnnxNode, integer, number
from .elementwise import require_float, same_element
from .norm import require_f32_statistics, standardized
from .types import Abstract, Array, dims_agree, dims_of, format_dims


@irdl_op_definition
class GroupNormalizationOp(NNOp):
    """`(x - mean) / sqrt(var + epsilon) * scale + bias` with the statistics of each image and group of channels.

    ONNX GroupNormalization, https://onnx.ai/onnx/operators/onnx__GroupNormalization.html. x [N, C, ...], scale and bias
    [C], or [num_groups] (opset 18's). f16 and bf16 are computed in f32 (ONNX's stash_type = 1, the only one supported).
    """

    name = "nn.group_normalization"
    ONNX: ClassVar = Onnx("GroupNormalization", since=18, drop=frozenset({"stash_type"}))
    INPLACE: ClassVar = ("x",)

    x = operand_def(AnyTensor)
    scale = operand_def(AnyTensor)
    bias = operand_def(AnyTensor)
    num_groups = prop_def(IntegerAttr)
    epsilon = prop_def(FloatAttr, default_value=FloatAttr(1e-5, f32))
    result = result_def(AnyTensor)

    def infer(self, x: Abstract, scale: Abstract, bias: Abstract) -> TensorType[Attribute]:
        """The type of `x`."""
        require_float(self.name, same_element(self.name, x, scale, bias))
        groups = integer(self.num_groups)
        if x.rank < 2 or groups < 1 or (x.dims[1] or 0) % groups:
            raise CompileError(f"the channels of {format_dims(x.dims)} do not split into {groups} groups")
        for name, parameter in (("scale", scale), ("bias", bias)):
            if not any(dims_agree(parameter.dims, (count,)) for count in (x.dims[1], groups)):
                raise CompileError(f"{name} {format_dims(parameter.dims)} does not fit {format_dims(x.dims)}")
        return x.type

    def evaluate(self, xp: Any, x: Array, scale: Array, bias: Array) -> Array:
        """On [N, groups, channels of a group, ...]."""
        groups = integer(self.num_groups)
        grouped = x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
        y, _, deviation = standardized(xp, grouped, tuple(range(2, grouped.ndim)), number(self.epsilon))
        y *= deviation
        scale, bias = (p.reshape(groups, -1, *[1] * (x.ndim - 2)) for p in (scale, bias))
        y *= scale
        y += bias
        return y.reshape(x.shape)

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """Opset 18 has a scale and a bias per group, later ones per channel."""
        require_f32_statistics(node)
        dims = dims_of(node.required(0).type)
        count = node.attributes["num_groups"] if node.opset < 21 else dims[1] if len(dims) > 1 else None
        for index, name in ((1, "scale"), (2, "bias")):
            if not dims_agree(given := dims_of(node.required(index).type), (count,)):
                raise CompileError(f"{name} {format_dims(given)} must have {count} numbers in opset {node.opset}")
        return super().import_node(node)
