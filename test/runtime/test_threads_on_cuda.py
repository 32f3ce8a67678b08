"""Several threads on one GPU, each with a session of its own or all with one: each first run captures a graph."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from nnfuse import Session
from nnfuse.runtime.kernels import Backend
from nnfuse.runtime.tolerance import RELATIVE_L2, relative_l2

pytestmark = pytest.mark.gpu
THREADS, TURNS = 6, 5
NETWORK = """g (float[N,64,14,14] x, float[256,64,3,3] w, float[256] b, float[256,96] d) => (float[N,96] y)
  { c = Conv <pads = [1, 1, 1, 1]> (x, w, b)  r = Relu (c)  p = GlobalAveragePool (r)  f = Flatten (p)
    y = MatMul (f, d) }"""


@pytest.mark.parametrize("shared", [False, True], ids=["sessions of their own", "one session"])
@pytest.mark.parametrize("precision", ["f32", "f16"])
def test_first_runs_at_once(cuda: Backend, precision: str, shared: bool, model_of: Callable[..., Any]) -> None:
    xp = cuda.xp
    model = model_of(NETWORK)[0]
    one, expected = Session(model, device="cuda", precision=precision), Session(model)
    ready = threading.Barrier(THREADS, timeout=60)

    def work(thread: int) -> None:
        rng = np.random.default_rng(thread)
        ready.wait()
        for turn in range(TURNS):
            made = one if shared else Session(model, device="cuda", precision=precision)
            batch = 1 + thread + THREADS * turn  # no two at once have a program in common
            with xp.cuda.Stream(non_blocking=True):
                for _ in range(3):
                    x = rng.standard_normal((batch, 64, 14, 14), dtype=np.float32)
                    (result,) = made.run(None, {"x": xp.asarray(x)})
                    (truth,) = expected.run(None, {"x": x})
                    assert relative_l2(result.get(), truth) <= RELATIVE_L2[precision]

    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(work, thread) for thread in range(THREADS)]:
            done.result()
