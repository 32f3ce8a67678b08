"""RotaryEmbedding: positions as rotations."""

from __future__ import annotations

from typing import Any, ClassVar

from xdsl.dialects.builtin import IntegerAttr, TensorType, i64
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, opt_operand_def, opt_prop_def, prop_def, result_def

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, integer
from .elementwise import require_float, same_element
from .types import Abstract, Array, Dims, dims_agree, format_dims


@irdl_op_definition
class RotaryEmbeddingOp(NNOp):
    """Pairs of the last dim rotated by angles that depend on the position. ONNX RotaryEmbedding,
    https://onnx.ai/onnx/operators/onnx__RotaryEmbedding.html

    x [N, H, L, E], or [N, L, H*E] with num_heads = H; R = rotary_embedding_dim (0: E) of the E numbers are rotated, the
    rest stays. A pair is an element of the first and of the second half of R or, with `interleaved`, two neighbours.
    cos_cache and sin_cache [positions, R/2], picked by position_ids [N, L], or [N, L, R/2] without those.
    """

    name = "nn.rotary_embedding"
    ONNX: ClassVar = Onnx("RotaryEmbedding", since=23)

    x = operand_def(AnyTensor)
    cos_cache = operand_def(AnyTensor)
    sin_cache = operand_def(AnyTensor)
    position_ids = opt_operand_def(AnyTensor)
    interleaved = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    num_heads = opt_prop_def(IntegerAttr)
    rotary_embedding_dim = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    result = result_def(AnyTensor)

    def split(self, dims: Dims) -> Dims:
        """[N, L, H, E] of x; raises CompileError where it has no such dims."""
        if len(dims) == 4:
            return (dims[0], dims[2], dims[1], dims[3])
        heads = 0 if self.num_heads is None else integer(self.num_heads)
        if len(dims) != 3 or heads < 1 or (dims[2] or 0) % heads:
            raise CompileError(f"x {format_dims(dims)} must have rank 4, or 3 with num_heads that divide its last dim")
        return (*dims[:2], heads, None if dims[2] is None else dims[2] // heads)

    def infer(
        self, x: Abstract, cos_cache: Abstract, sin_cache: Abstract, position_ids: Abstract | None
    ) -> TensorType[Attribute]:
        """The type of `x`."""
        require_float(self.name, same_element(self.name, x, cos_cache, sin_cache))
        batch, length, _, size = self.split(x.dims)
        rotated = integer(self.rotary_embedding_dim) or size
        if rotated is not None and (rotated % 2 or rotated < 0 or rotated > (size or rotated)):
            raise CompileError(f"{rotated} of {size} numbers cannot be rotated in pairs")
        half = None if rotated is None else rotated // 2
        expected = (batch, length, half) if position_ids is None else (None, half)
        for name, cache in (("cos_cache", cos_cache), ("sin_cache", sin_cache)):
            if not dims_agree(cache.dims, expected):
                raise CompileError(f"{name} is {format_dims(cache.dims)} where {format_dims(expected)} is needed")
        wanted = (batch, length)
        if position_ids is not None and (position_ids.element != i64 or not dims_agree(position_ids.dims, wanted)):
            raise CompileError(f"position_ids must be i64 {format_dims(wanted)}, not {position_ids.type}")
        return x.type

    def evaluate(self, xp: Any, x: Array, cos_cache: Array, sin_cache: Array, position_ids: Array | None) -> Array:
        """Both halves of each pair at once, on [N, L, H, E]."""
        batch, length, heads, size = self.split(x.shape)
        if position_ids is not None:
            count = cos_cache.shape[0]
            if position_ids.size and bool(((position_ids < 0) | (position_ids >= count)).any()):
                raise CompileError(f"a number of position_ids is not within the {count} positions of the caches")
            cos_cache, sin_cache = (xp.take(c, position_ids, axis=0) for c in (cos_cache, sin_cache))
        cos, sin = cos_cache[:, :, None], sin_cache[:, :, None]
        y = (x.swapaxes(1, 2) if x.ndim == 4 else x.reshape(batch, length, heads, size)).copy()
        rotated = integer(self.rotary_embedding_dim) or y.shape[3]
        if integer(self.interleaved):
            first, second = slice(0, rotated, 2), slice(1, rotated, 2)
        else:
            first, second = slice(0, rotated // 2), slice(rotated // 2, rotated)
        a, b = y[..., first], y[..., second]
        y[..., first], y[..., second] = a * cos - b * sin, a * sin + b * cos
        return y.swapaxes(1, 2) if x.ndim == 4 else y.reshape(x.shape)
