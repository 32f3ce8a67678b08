"""How far a result may be from the truth: the one place for tolerances."""

from __future__ import annotations

from typing import Any

import numpy as np

ABSOLUTE, RELATIVE = 1e-5, 1e-4
"""f32: |y - f64| <= max(ABSOLUTE + RELATIVE * |f64|, 4 * max|peer - f64|)."""

RELATIVE_L2 = {"f32": 1e-5, "tf32": 2e-3, "f16": 5e-3, "bf16": 3e-2, "int8": 2e-2}
"""Reduced precisions: the relative L2 error of an output against float64.

int8 is a network that rounds to 8 bits inside: where float32 and float64 round a value to different sides, it moves by
1/255 of its range, and ONNX Runtime's outputs and ours are up to 1e-2 from float64's.
"""

PEER = 1e-2
"""How far a peer's f32 result may be from float64's (relative L2), or its integers from ours (part of the elements)."""


def peer_excess(result: Any, oracle: Any, peer: Any) -> float:
    """By which factor a peer is further away than roundings explain; at most 1 is right.

    Where the oracle is our own, an error of ours may be in it too, and the peer's error, which widens the tolerance, be
    that error: beyond 1, either the oracle or the peer is wrong. Only what both say is finite is looked at, and what is
    within ABSOLUTE is right: functions that go to 0 are rounded where they are 1 (a peer's sigmoid).
    """
    y = np.asarray(result)
    if y.dtype.kind in "iub":
        return int(np.count_nonzero(y != np.asarray(peer))) / max(1, y.size) / PEER
    other, truth = np.asarray(peer, np.float64), np.asarray(oracle, np.float64)
    if other.shape != truth.shape:
        return float("inf")
    finite = np.isfinite(other) & np.isfinite(truth)
    worst = float(np.abs(other[finite] - truth[finite]).max(initial=0))
    return min(relative_l2(other[finite], truth[finite]) / PEER, worst / ABSOLUTE)


def excess(result: Any, oracle: Any, peer: Any | None = None, precision: str = "f32") -> float:
    """By which factor a result exceeds the tolerance of its dtype and `precision`; at most 1 is right.

    f32 and f64 as `f32_excess`, lower precisions by the relative L2 error; integers and booleans must equal the oracle
    or the peer (which round as f32 does) everywhere: 0 or infinity.
    """
    y = np.asarray(result)
    if y.shape != np.shape(oracle):
        return float("inf")
    if y.dtype.kind in "iub":
        same = y == np.asarray(oracle)
        return 0.0 if bool(np.all(same if peer is None else same | (y == np.asarray(peer)))) else float("inf")
    precision = tolerance_name(y.dtype, precision)
    return f32_excess(y, oracle, peer) if precision == "f32" else relative_l2(y, oracle) / RELATIVE_L2[precision]


def tolerance_name(dtype: Any, precision: str = "f32") -> str:
    """Which tolerance is a float result's: that of the narrower of its dtype and what was computed in."""
    return {"float16": "f16", "bfloat16": "bf16"}.get(dtype.name, precision)


def f32_excess(result: Any, oracle: Any, peer: Any | None = None) -> float:
    """By which factor an f32 result exceeds its tolerance at its worst element; at most 1 is right.

    `oracle` is the float64 truth; `peer` another implementation's f32 result, whose own error widens the tolerance.
    NaN must meet NaN and infinities their like; otherwise the excess is infinite.
    """
    y, truth = np.asarray(result, np.float64), np.asarray(oracle, np.float64)
    if y.shape != truth.shape:
        return float("inf")
    finite = np.isfinite(truth)
    if not np.array_equal(y[~finite], truth[~finite], equal_nan=True):
        return float("inf")
    y, truth = y[finite], truth[finite]
    if not y.size:
        return 0.0
    allowed = ABSOLUTE + RELATIVE * np.abs(truth)
    if peer is not None:
        error = np.abs(np.asarray(peer, np.float64)[finite] - truth)
        allowed = np.maximum(allowed, 4 * float(np.nan_to_num(error, nan=0.0, posinf=0.0).max()))
    excess = np.abs(y - truth) / allowed
    return float("inf") if np.isnan(excess).any() else float(excess.max())


def relative_l2(result: Any, oracle: Any, xp: Any = np) -> float:
    """||result - oracle|| / ||oracle|| of the finite elements, in float64; infinite where the others differ.

    `xp` is the arrays' module: what is on a device is compared there.
    """
    y, truth = xp.asarray(result, np.float64), xp.asarray(oracle, np.float64)
    finite = xp.isfinite(truth)
    if not xp.array_equal(y[~finite], truth[~finite], equal_nan=True):
        return float("inf")
    y, truth = y[finite], truth[finite]
    norm = float(xp.linalg.norm(truth))
    error = float(xp.linalg.norm(y - truth)) / (norm or 1.0)
    return float("inf") if np.isnan(error) else error
