"""What `make demo` shows: the digits network imported, fused, lowered and run on digits it has not seen."""

from __future__ import annotations

import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import nnfuse
from nnfuse.tools import fuse_opt

HERE = Path(__file__).parent
MODEL = str(HERE / "digits.onnx")
FUSE = "canonicalize,fold-batch-norm,fold-scale,fuse-bias,fuse-activation"
LOWER = FUSE + ',specialize-shapes{dims="N=1"},lower-nn-to-blas'


def show(title: str, *options: str) -> None:
    """Run fuse-opt on the model and let it print; stop the demo where it fails."""
    print(f"\n== {title}\n$ fuse-opt examples/digits.onnx {' '.join(map(quoted, options))}", flush=True)
    if code := fuse_opt.main([MODEL, *options]):
        sys.exit(code)
    sys.stdout.flush()


def quoted(word: str) -> str:
    """`word` as one would type it."""
    return f"'{word}'" if "{" in word else word


def milliseconds(run: Callable[[], Any], count: int) -> float:
    """The median time of a call."""
    run()  # compiles for these shapes
    times: list[float] = []
    for _ in range(count):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def accuracy(session: nnfuse.Session, images: Any, labels: Any) -> None:
    """Print how many of the held-out digits are recognised, and whether ONNX Runtime agrees on each."""
    (logits,) = session.run(None, {"x": images})
    predictions = logits.argmax(axis=1)
    right = int((predictions == labels).sum())
    print(f"accuracy on {len(labels)} held-out digits: {right / len(labels):.4f} ({right} right)")
    if importlib.util.find_spec("onnxruntime") is None:
        print("ONNX Runtime is not installed: no comparison with it")
        return
    import onnxruntime

    (expected,) = onnxruntime.InferenceSession(MODEL).run(None, {"x": images})
    same = int((predictions == expected.argmax(axis=1)).sum())
    print(
        f"predictions equal to ONNX Runtime's: {same} of {len(labels)}; largest difference of a logit:",
        end=" ",
    )
    print(f"{np.abs(logits - expected).max():.1e}")
    if same != len(labels):
        sys.exit("the predictions differ")


def times(fused: nnfuse.Session, images: Any) -> None:
    """Print the time of a run with and without fusion."""
    unfused = nnfuse.Session(MODEL, fuse=False)
    for batch in (1, 32, len(images)):
        feeds = {"x": images[:batch]}
        count = 3000 // (batch + 10)
        fast = milliseconds(partial(fused.run, None, feeds), count)
        slow = milliseconds(partial(unfused.run, None, feeds), count)
        print(f"batch {batch:3}: fused {fast:7.3f} ms, unfused {slow:7.3f} ms ({slow / fast:.2f} times)")


def main() -> None:
    """The whole demo."""
    show("The network, as imported")
    show("Fused, with a remark for each fusion", "-p", FUSE, "--remarks")
    show("Lowered to library calls", "-p", LOWER)
    print("\n== Run on held-out digits")
    test = np.load(HERE / "digits_test.npz")
    session = nnfuse.Session(MODEL)
    accuracy(session, test["x"], test["labels"])
    times(session, test["x"])


if __name__ == "__main__":
    main()
