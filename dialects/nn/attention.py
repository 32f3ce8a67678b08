"""Scaled dot-product attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, TensorType, f32, i1, i64
from xdsl.ir import Attribute, SSAValue, TypeAttribute
from xdsl.irdl import (
    AttrSizedOperandSegments,
    AttrSizedResultSegments,
    BaseAttr,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    opt_result_def,
    prop_def,
    result_def,
)

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, OnnxNode, integer, number
from .cast import ONNX_ELEMENTS
from .elementwise import require_float, same_element
from .types import (
    Abstract,
    Array,
    Dims,
    broadcasts_to,
    dims_agree,
    dims_of,
    dtype_of,
    element_type,
    format_dims,
    static_dims,
    tensor,
)


@irdl_op_definition
class AttentionOp(NNOp):
    """`softmax(scale * q k^T + mask) v` per head. ONNX Attention, https://onnx.ai/onnx/operators/onnx__Attention.html

    q [N, Hq, L, E], k [N, Hk, S, E], v [N, Hk, S, Ev], result [N, Hq, L, Ev]; or with q_num_heads = Hq and
    kv_num_heads = Hk, q [N, L, Hq*E], k [N, S, Hk*E], v [N, S, Hk*Ev], result [N, L, Hq*Ev]. Hq is a multiple of Hk:
    that many heads of q share one of k and v. past_key [N, Hk, P, E] and past_value [N, Hk, P, Ev] come before k and v;
    together they are the results present_key and present_value, T = P + S positions.

    The mask broadcasts to [N, Hq, L, T], its last dim may be shorter (what it lacks is hidden): floats are added, bools
    say what is seen. Query i stands at the position i + offset, where offset is P, or nonpad_kv_seqlen[n] - L for the
    lengths [N] of the keys that count, else 0. It sees the keys at most left_window_size before and right_window_size
    after it (-1: all), with is_causal none after it. A query that sees nothing has the result 0.

    The optional scores [N, Hq, L, T] are by `qk_matmul_output_mode`: 0 scale * q k^T, 1 with softcap
    (`softcap * tanh(x / softcap)`), 2 with mask, 3 after softmax. The softmax is computed in `softmax_precision`, where
    that is wider than the operands' type.
    """

    name = "nn.attention"
    ONNX: ClassVar = Onnx("Attention", since=23)

    q = operand_def(AnyTensor)
    k = operand_def(AnyTensor)
    v = operand_def(AnyTensor)
    attn_mask = opt_operand_def(AnyTensor)
    past_key = opt_operand_def(AnyTensor)
    past_value = opt_operand_def(AnyTensor)
    nonpad_kv_seqlen = opt_operand_def(AnyTensor)
    q_num_heads = opt_prop_def(IntegerAttr)
    kv_num_heads = opt_prop_def(IntegerAttr)
    scale = opt_prop_def(FloatAttr)
    is_causal = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    softcap = prop_def(FloatAttr, default_value=FloatAttr(0.0, f32))
    softmax_precision = opt_prop_def(BaseAttr(TypeAttribute))
    qk_matmul_output_mode = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    left_window_size = prop_def(IntegerAttr, default_value=IntegerAttr(-1, i64))
    right_window_size = prop_def(IntegerAttr, default_value=IntegerAttr(-1, i64))
    result = result_def(AnyTensor)
    present_key = opt_result_def(AnyTensor)
    present_value = opt_result_def(AnyTensor)
    scores = opt_result_def(AnyTensor)

    irdl_options = (AttrSizedOperandSegments(as_property=True), AttrSizedResultSegments(as_property=True))

    # Inference

    def split(self, name: str, dims: Dims) -> Dims:
        """The dims [N, heads, length, size] of an operand; raises CompileError where it has no such."""
        if len(dims) == 4:
            return dims
        heads = self.q_num_heads if name == "q" else self.kv_num_heads
        if len(dims) != 3 or heads is None:
            raise CompileError(f"{name} {format_dims(dims)} must have rank 4, or 3 with q_num_heads and kv_num_heads")
        count, width = integer(heads), dims[2]
        if count < 1 or (width is not None and width % count):
            raise CompileError(f"{name} {format_dims(dims)} does not split into {count} heads")
        return (dims[0], count, dims[1], None if width is None else width // count)

    def infer(
        self,
        q: Abstract,
        k: Abstract,
        v: Abstract,
        attn_mask: Abstract | None,
        past_key: Abstract | None,
        past_value: Abstract | None,
        nonpad_kv_seqlen: Abstract | None,
    ) -> tuple[TensorType[Attribute], ...]:
        """The result's type, those of the keys and values, and that of the scores."""
        self.check_fields(past_key, past_value, nonpad_kv_seqlen)
        for group in ((q, k, past_key), (v, past_value)):
            require_float(self.name, same_element(self.name, *(o for o in group if o is not None)))
        batch, heads, length, size = self.split("q", q.dims)
        key, value = self.split("k", k.dims), self.split("v", v.dims)
        self.require("k", key, (batch, None, None, size))
        self.require("v", value, (batch, key[1], key[2], None))
        if heads is not None and key[1] is not None and (key[1] == 0 or heads % key[1]):
            raise CompileError(f"{heads} heads of q cannot share {key[1]} heads of k and v")
        total = key[2]
        present: tuple[Dims, ...] = (key, value)
        if past_key is not None and past_value is not None:
            self.require("past_key", past_key.dims, (batch, key[1], None, size))
            self.require("past_value", past_value.dims, (batch, key[1], past_key.dims[2], value[3]))
            total = None if None in (past_key.dims[2], total) else (past_key.dims[2] or 0) + (total or 0)
            present = tuple((d[0], d[1], total, d[3]) for d in present)
        scores = (batch, heads, length, total)
        self.check_mask(attn_mask, scores)
        if nonpad_kv_seqlen is not None:
            self.require("nonpad_kv_seqlen", nonpad_kv_seqlen.dims, (batch,))
        whole = (batch, heads, length, value[3])
        if q.rank == 3:
            whole = (batch, length, None if None in (heads, value[3]) else (heads or 0) * (value[3] or 0))
        types = (
            tensor(q.element, whole),
            tensor(k.element, present[0]),
            tensor(v.element, present[1]),
            tensor(q.element, scores),
        )
        return types[: len(self.results)]

    @staticmethod
    def require(name: str, dims: Dims, expected: Dims) -> None:
        """Raise CompileError where the dims of an operand disagree with what the others say."""
        if not dims_agree(dims, expected):
            raise CompileError(f"{name} is {format_dims(dims)} (by heads) where {format_dims(expected)} is needed")

    def check_fields(self, past_key: object | None, past_value: object | None, lengths: object | None) -> None:
        """Raise CompileError on attributes out of range and operands that exclude each other."""
        if (past_key is None) != (past_value is None):
            raise CompileError("past_key and past_value must be given together")
        if lengths is not None and past_key is not None:
            raise CompileError("nonpad_kv_seqlen cannot be given with past_key and past_value")
        if not 0 <= integer(self.qk_matmul_output_mode) <= 3:
            raise CompileError(f"qk_matmul_output_mode is 0 to 3, not {integer(self.qk_matmul_output_mode)}")
        for side in (self.left_window_size, self.right_window_size):
            if integer(side) < -1:
                raise CompileError(f"a window's size must be -1 or more, not {integer(side)}")
        if self.softmax_precision is not None:
            require_float(self.name, self.softmax_precision)

    @staticmethod
    def check_mask(mask: Abstract | None, scores: Dims) -> None:
        """Raise CompileError where the mask fits neither the scores nor the first of their keys."""
        if mask is None:
            return
        if mask.element != i1:
            require_float("the mask of nn.attention", mask.element)
        known = mask.rank > 0 and None not in (mask.dims[-1], scores[-1])
        shorter = known and (mask.dims[-1] or 0) < (scores[-1] or 0)
        dims = (*mask.dims[:-1], scores[-1]) if shorter else mask.dims
        if not mask.rank or not broadcasts_to(dims, scores):
            raise CompileError(f"the mask {format_dims(mask.dims)} does not fit the scores {format_dims(scores)}")

    def working_bytes(self) -> int:
        """The scores'."""
        (batch, heads, length, _), (_, _, keys, _) = (
            static_dims(self.split(n, dims_of(o.type))) for n, o in (("q", self.q), ("k", self.k))
        )
        past = 0 if self.past_key is None else static_dims(dims_of(self.past_key.type))[2]
        return batch * heads * length * (keys + past) * dtype_of(element_type(self.q.type)).itemsize

    # Meaning

    def evaluate(
        self,
        xp: Any,
        q: Array,
        k: Array,
        v: Array,
        attn_mask: Array | None,
        past_key: Array | None,
        past_value: Array | None,
        nonpad_kv_seqlen: Array | None,
    ) -> tuple[Array, ...]:
        """Two GEMMs and a softmax, on [N, Hk, heads of q that share, ...]."""
        packed = q.ndim == 3
        q, k, v = (self.by_heads(name, o) for name, o in (("q", q), ("k", k), ("v", v)))
        if past_key is not None:
            k, v = xp.concatenate([past_key, k], axis=2), xp.concatenate([past_value, v], axis=2)
        (batch, heads, length, size), kv_heads, total = q.shape, k.shape[1], k.shape[2]
        scale = math.sqrt(number(self.scale) if self.scale is not None else 1 / math.sqrt(size))
        shared = (q * scale).reshape(batch, kv_heads, heads // kv_heads, length, size)
        scores = xp.matmul(shared, (k * scale)[:, :, None].swapaxes(-1, -2)).reshape(batch, heads, length, total)
        stages = [scores]
        if (cap := number(self.softcap)) > 0:
            scores = xp.tanh(scores / cap) * cap
        stages.append(scores)
        hidden, bias = self.bias(xp, (length, total), attn_mask, past_key, nonpad_kv_seqlen)
        if bias is not None:
            scores = scores + bias.astype(scores.dtype)
        if hidden is not None:
            scores = xp.where(hidden, -xp.inf, scores).astype(stages[0].dtype)
        stages.append(scores)
        weights = self.softmax(xp, scores, hidden, bias)
        stages.append(weights)
        shared = weights.reshape(batch, kv_heads, heads // kv_heads, length, total)
        y = xp.matmul(shared, v[:, :, None]).reshape(batch, heads, length, v.shape[3])
        if packed:
            y = y.swapaxes(1, 2).reshape(batch, length, heads * v.shape[3])
        return (y, k, v, stages[integer(self.qk_matmul_output_mode)])[: len(self.results)]

    def by_heads(self, name: str, x: Array) -> Array:
        """An operand as [N, heads, length, size]."""
        if x.ndim == 4:
            return x
        _, heads, length, size = static_dims(self.split(name, x.shape))
        return x.reshape(x.shape[0], length, heads, size).swapaxes(1, 2)

    def bias(
        self,
        xp: Any,
        shape: tuple[int, int],
        mask: Array | None,
        past_key: Array | None,
        lengths: Array | None,
    ) -> tuple[Array | None, Array | None]:
        """What is hidden (bools) and what is added to the scores, each broadcastable to [N, Hq, L, T], or None."""
        length, total = shape
        hidden: list[Array] = []
        added: Array | None = None
        if mask is not None:
            seen: Array = mask
            if lacks := total - seen.shape[-1]:
                absent = False if seen.dtype == np.bool_ else -np.inf
                seen = xp.pad(seen, [*[(0, 0)] * (seen.ndim - 1), (0, lacks)], constant_values=absent)
            if seen.dtype == np.bool_:
                hidden.append(~seen)
            else:
                added = seen
        offset: Array | int = 0 if past_key is None else past_key.shape[2]
        keys = xp.arange(total)
        if lengths is not None:
            counts: Array = lengths.reshape(-1, 1, 1, 1)
            offset = counts - length
            hidden.append(keys >= counts)
        ahead: Array = keys - (xp.arange(length)[:, None] + offset)
        if integer(self.is_causal):
            hidden.append(ahead > 0)
        if (left := integer(self.left_window_size)) >= 0:
            hidden.append(-ahead > left)
        if (right := integer(self.right_window_size)) >= 0:
            hidden.append(ahead > right)
        union: Array | None = None
        for part in hidden:
            union = part if union is None else union | part
        return union, added

    def softmax(self, xp: Any, scores: Array, hidden: Array | None, bias: Array | None) -> Array:
        """The weights of the keys, 0 where all are hidden."""
        dtype = scores.dtype
        if self.softmax_precision is not None and (wider := dtype_of(self.softmax_precision)).itemsize > dtype.itemsize:
            scores = scores.astype(wider)
        if not scores.size:
            return scores.astype(dtype)
        greatest = scores.max(axis=-1, keepdims=True)
        weights = xp.exp(scores - xp.where(greatest == -xp.inf, scores.dtype.type(0), greatest))
        total = weights.sum(axis=-1, keepdims=True)
        weights = weights / xp.where(total == 0, total.dtype.type(1), total)
        blocked = None if bias is None else bias == -xp.inf
        if hidden is not None:
            blocked = hidden if blocked is None else hidden | blocked
        if blocked is not None:  # also where the scores are NaN
            blocked = blocked | xp.zeros(scores.shape[-1], np.bool_)
            weights = xp.where(blocked.all(axis=-1, keepdims=True), weights.dtype.type(0), weights)
        return weights.astype(dtype)

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """`softmax_precision` is a number in ONNX."""
        if (precision := node.attributes.pop("softmax_precision", None)) is not None:
            if precision not in ONNX_ELEMENTS:
                raise CompileError(f"softmax_precision {precision} is no float type")
            node.attributes["softmax_precision"] = ONNX_ELEMENTS[precision]
        return super().import_node(node)
