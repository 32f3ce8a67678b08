"""What is within tolerance, and when a peer is too far away to say so."""

from __future__ import annotations

import numpy as np
import pytest

from nnfuse.runtime.tolerance import f32_excess, peer_excess

TRUTH = np.array([1.0, -2.0, 3.0, np.nan])


@pytest.mark.parametrize(
    ("peer", "right"),
    [
        (TRUTH * 1.0001, True),
        (TRUTH * 1.02, False),
        (-TRUTH, False),
        (TRUTH[::-1], False),  # NaN elsewhere is not looked at; the rest is
        (TRUTH[:2], False),
    ],
)
def test_a_peer_is_near_or_one_of_two_is_wrong(peer: np.ndarray, right: bool) -> None:
    assert (peer_excess(TRUTH.astype(np.float32), TRUTH, peer) <= 1) is right


def test_what_is_nearly_0_may_be_rounded_to_anything_as_small() -> None:
    """A sigmoid that is computed as 1 / (1 + exp(-x)) is a multiple of 6e-8."""
    truth = np.array([1e-9, 3e-8, 2e-12])
    assert peer_excess(truth.astype(np.float32), truth, np.array([0, 5.4e-8, 0])) <= 1
    assert peer_excess(truth.astype(np.float32), truth, np.array([0, 5.4e-5, 0])) > 1


def test_integers_of_a_peer() -> None:
    ours = np.zeros(1000, np.uint8)
    peer = ours.copy()
    peer[:10] = 1
    assert peer_excess(ours, ours, peer) <= 1
    peer[10] = 1
    assert peer_excess(ours, ours, peer) > 1


def test_a_peers_error_widens_the_tolerance() -> None:
    truth = np.array([1.0, 2.0])
    assert f32_excess(truth + 1e-3, truth) > 1
    assert f32_excess(truth + 1e-3, truth, truth + 3e-4) <= 1
    assert f32_excess(truth + 2e-3, truth, truth + 3e-4) > 1
