"""Attention and RotaryEmbedding against their formulas, one element at a time, and ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import f32, i32, i64
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.attention import AttentionOp
from nnfuse.dialects.nn.rotary import RotaryEmbeddingOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.errors import CompileError

RNG = np.random.default_rng(5)
N, HQ, HK, L, S, P, E, EV = 2, 4, 2, 3, 5, 2, 6, 7


def normal(*shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


def qkv(dtype=np.float32):
    return [normal(N, HQ, L, E, dtype=dtype), normal(N, HK, S, E, dtype=dtype), normal(N, HK, S, EV, dtype=dtype)]


def formula(q, k, v, mask=None, past=None, lengths=None, scale=None, causal=False, cap=0.0, left=-1, right=-1):
    """Result, keys, values and the scores of all four modes, each query alone."""
    q, k, v = (a.astype(np.float64) for a in (q, k, v))
    if past is not None:
        k, v = (np.concatenate([p, a], axis=2) for p, a in zip(past, (k, v), strict=True))
    total, y = k.shape[2], np.zeros((N, HQ, L, EV))
    modes = np.zeros((4, N, HQ, L, total))
    for n, h, i in np.ndindex(N, HQ, L):
        offset = total - S if lengths is None else int(lengths[n]) - L
        raw = k[n, h // (HQ // HK)] @ q[n, h, i] * (1 / np.sqrt(E) if scale is None else scale)
        capped = cap * np.tanh(raw / cap) if cap else raw
        biased = capped.copy()
        for j in range(total):
            if mask is not None:
                wide = np.broadcast_to(mask, (*np.broadcast_shapes(mask.shape[:-1], (N, HQ, L)), mask.shape[-1]))
                m = wide[n, h, i, j] if j < mask.shape[-1] else (False if mask.dtype == bool else -np.inf)
                biased[j] = (biased[j] if m else -np.inf) if mask.dtype == bool else biased[j] + m
            ahead = j - (i + offset)
            if (causal and ahead > 0) or (left >= 0 and -ahead > left) or (right >= 0 and ahead > right):
                biased[j] = -np.inf
            if lengths is not None and j >= lengths[n]:
                biased[j] = -np.inf
        weights = np.zeros(total)
        if (biased > -np.inf).any():
            weights = np.exp(biased - biased.max())
            weights /= weights.sum()
        y[n, h, i] = weights @ v[n, h // (HQ // HK)]
        modes[:, n, h, i] = raw, capped, biased, weights
    return y, k, v, modes


BOOL = RNG.random((N, 1, L, S)) < 0.6
MASKS = {
    "none": None,
    "bool": BOOL | (np.arange(S) == 0),
    "float": normal(L, S),
    "by head": normal(HQ, L, S),
    "infinite": np.where(BOOL | (np.arange(S) == 1), np.float32(0), np.float32(-np.inf)),
    "short": np.ones((L, S - 2), bool),
    "short float": normal(N, HQ, L, S - 1),
}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_masks_and_scores(check_node, name, causal, mode):
    inputs, mask = qkv(), MASKS[name]
    y, k, v, modes = formula(*inputs, mask, causal=causal, cap=1.5)
    expected = [a.astype(np.float32) for a in (y, k, v, modes[mode])]
    fields = {"is_causal": causal, "softcap": 1.5, "qk_matmul_output_mode": mode}
    given = [*inputs, *([] if mask is None else [mask])]
    check_node("Attention", given, fields, opset=24, outputs=4, expected=expected)


@pytest.mark.parametrize("fields", [{}, {"scale": 0.7}, {"softcap": 2.0}, {"is_causal": 1}])
def test_against_onnxruntime(check_node, fields):
    check_node("Attention", qkv(), fields, opset=23)


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("packed", [False, True])
def test_past_keys_and_packed_heads(check_node, causal, packed):
    inputs, past = qkv(), [normal(N, HK, P, E), normal(N, HK, P, EV)]
    mask = normal(L, P + S)
    y, k, v, modes = formula(*inputs, mask, past, causal=causal, scale=0.3)
    fields = {"is_causal": causal, "scale": 0.3}
    if packed:
        inputs = [a.swapaxes(1, 2).reshape(N, a.shape[2], -1) for a in inputs]
        y = y.swapaxes(1, 2).reshape(N, L, -1)
        fields |= {"q_num_heads": HQ, "kv_num_heads": HK}
    expected = [a.astype(np.float32) for a in (y, k, v, modes[0])]
    check_node("Attention", [*inputs, mask, *past], fields, opset=23, outputs=4, expected=expected)


@pytest.mark.parametrize("lengths", [[5, 3], [3, 4], [1, 0]])
@pytest.mark.parametrize("causal", [0, 1])
def test_lengths_of_keys(check_node, lengths, causal):
    """Queries before the first key (a length below L, causal) see nothing: their result is 0."""
    inputs, counts = qkv(), np.array(lengths, np.int64)
    y, *_, modes = formula(*inputs, lengths=counts, causal=causal)
    assert (1 in lengths) == bool((y == 0).all(-1).any())
    check_node(
        "Attention",
        [*inputs, None, None, None, counts],
        {"is_causal": causal, "qk_matmul_output_mode": 3},
        opset=24,
        outputs=4,
        expected=[y.astype(np.float32), *inputs[1:], modes[3].astype(np.float32)],
    )


@pytest.mark.parametrize(("left", "right"), [(-1, -1), (0, 0), (1, -1), (-1, 1), (2, 1)])
@pytest.mark.parametrize("causal", [0, 1])
def test_windows(check_node, left, right, causal):
    inputs = qkv()
    y = formula(*inputs, causal=causal, left=left, right=right)[0]
    fields = {"is_causal": causal, "left_window_size": left, "right_window_size": right}
    check_node("Attention", inputs, fields, opset=25, expected=[y.astype(np.float32)])


@pytest.mark.parametrize("mask", [np.zeros((L, S), bool), np.full((L, S), -np.inf, np.float32)])
def test_a_query_that_sees_nothing(check_node, mask):
    (y,) = check_node("Attention", [*qkv(), mask], opset=23, against_ort=False)
    assert not y.any()


def test_f16_is_computed_in_f32(check_node):
    inputs = qkv(np.float16)
    y = formula(*inputs)[0].astype(np.float16)
    check_node("Attention", inputs, {"softmax_precision": 1}, opset=23, expected=[y])


def rotated(x, cos, sin, interleaved, width):
    """By complex numbers: x [N, L, H, E], cos and sin [N, L, R/2]."""
    y, half = x.astype(np.float64), width // 2
    for n, t, h, i in np.ndindex(*x.shape[:3], half):
        a, b = (2 * i, 2 * i + 1) if interleaved else (i, i + half)
        z = complex(y[n, t, h, a], y[n, t, h, b]) * complex(cos[n, t, i], sin[n, t, i])
        y[n, t, h, a], y[n, t, h, b] = z.real, z.imag
    return y.astype(x.dtype)


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("width", [0, 4])
@pytest.mark.parametrize("ids", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_rotary_embedding(check_node, interleaved, width, ids, packed):
    x, count = normal(N, L, HQ, E), width or E
    angles = normal(*((9,) if ids else (N, L)), count // 2)
    caches, places = [np.cos(angles), np.sin(angles)], RNG.integers(0, 9, (N, L))
    picked = [c[places] for c in caches] if ids else caches
    y = rotated(x, *picked, interleaved, count)
    fields = {"interleaved": interleaved, "rotary_embedding_dim": width}
    given, expected = (a.reshape(N, L, -1) if packed else np.ascontiguousarray(a.swapaxes(1, 2)) for a in (x, y))
    if packed:
        fields["num_heads"] = HQ
    check_node("RotaryEmbedding", [given, *caches, *([places] if ids else [])], fields, opset=23, expected=[expected])


def test_positions_beyond_the_caches(check_node):
    inputs = [normal(1, 2, 3, 4), normal(5, 2), normal(5, 2), np.array([[0, 5, 1]])]
    with pytest.raises(CompileError, match="node: a number of position_ids is not within the 5 positions"):
        check_node("RotaryEmbedding", inputs, opset=23)


def value(*dims, element=f32):
    return create_ssa_value(tensor(element, dims))


Q, K, V = value(N, HQ, L, E), value(N, HK, S, E), value(N, HK, S, EV)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AttentionOp(value(2, 3, 8), K, V), "q 2x3x8 must have rank 4, or 3 with q_num_heads"),
        (lambda: AttentionOp(value(2, 3, 8), K, V, q_num_heads=3), "q 2x3x8 does not split into 3 heads"),
        (lambda: AttentionOp(Q, value(N, HK, S, 8), V), "k is 2x2x5x8"),
        (lambda: AttentionOp(Q, K, value(N, HK, 4, EV)), "v is 2x2x4x7"),
        (lambda: AttentionOp(Q, value(N, 3, S, E), value(N, 3, S, EV)), "4 heads of q cannot share 3 heads"),
        (lambda: AttentionOp(Q, K, V, value(4, 5)), "the mask 4x5 does not fit the scores 2x4x3x5"),
        (lambda: AttentionOp(Q, K, V, value(3, 5, element=i32)), "a float type, not i32"),
        (lambda: AttentionOp(Q, K, V, None, K), "past_key and past_value must be given together"),
        (lambda: AttentionOp(Q, K, V, None, K, V, value(N, element=i64)), "cannot be given with past_key"),
        (lambda: AttentionOp(Q, K, V, qk_matmul_output_mode=4), "qk_matmul_output_mode is 0 to 3, not 4"),
        (lambda: AttentionOp(Q, K, V, left_window_size=-2), "a window's size must be -1 or more, not -2"),
        (lambda: RotaryEmbeddingOp(value(2, 3, 8), value(9, 2), value(9, 2)), "must have rank 4, or 3 with num_heads"),
        (lambda: RotaryEmbeddingOp(Q, value(N, L, 3), value(N, L, 2)), "sin_cache is 2x3x2 where 2x3x3 is needed"),
        (lambda: RotaryEmbeddingOp(Q, value(9, 3), value(9, 3), value(N, L)), "position_ids must be i64 2x3"),
        (lambda: RotaryEmbeddingOp(Q, Q, Q, rotary_embedding_dim=8), "8 of 6 numbers cannot be rotated"),
    ],
)
def test_operands_that_do_not_fit(build, message):
    with pytest.raises(CompileError, match=message):
        build()
