"""A device that computes by NumPy, with several ways to compute an op, and whose clock goes by what each is to take."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nnfuse.dialects.blas import products
from nnfuse.dialects.cuda import CudaConvOp
from nnfuse.dialects.cudnn import CudnnConvOp
from nnfuse.dialects.nn.base import NNOp, text
from nnfuse.runtime.frame import default_kernel
from nnfuse.runtime.kernels import Attributes, Backend, Kernel, KernelContext
from nnfuse.runtime.kernels.numpy import BACKEND

TIMES = {
    "blas:a": 9.0,
    "cudnn:precompiled:eng1": 7.0,
    "cudnn:precompiled:eng2": 5.0,
    "cudnn:runtime:eng3": 6.0,
    "cuda:64x64/1": 8.0,
    "cuda:32x32/1": 5.5,
}
"""What convolutions take that none is chosen for, in microseconds."""

Change = Callable[[Any], None]


class FakeDevice:
    """`takes[choice]` is the time of a kernel in microseconds, `spoils[choice]` what it does to a right result."""

    def __init__(self, takes: dict[str, float], spoils: dict[str, Change] | None = None):
        self.takes, self.spoils = takes, spoils or {}
        self.clock = 0.0
        self.timed: Counter[str] = Counter()

    def kernel(self, op: NNOp, choice: str) -> Kernel:
        compute = default_kernel(op, np)

        def run(outs: Any, ins: Any) -> None:
            compute(outs, ins)
            self.spoils.get(choice, lambda out: None)(outs[0])
            self.clock += self.takes[choice]

        return run

    def elapsed(self, launch: Callable[[], None], repeats: int) -> float:
        before = self.clock
        launch()
        return self.clock - before

    def alternatives(self, prefix: str) -> Callable[[Any, KernelContext], Iterator[tuple[Attributes, Kernel]]]:
        """Those of an op whose choices begin with `prefix`: plans of a convolution, algorithms of a product."""

        def yields(op: NNOp, context: KernelContext) -> Iterator[tuple[Attributes, Kernel]]:
            begin = f"{prefix}:{text(op.spelling)}" if isinstance(op, CudnnConvOp) else prefix
            attribute = "blas.algorithm" if prefix == "blas" else "plan"
            for choice in [c for c in self.takes if c.startswith(f"{begin}:")]:
                self.timed[choice] += 1
                yield {attribute: choice.removeprefix(f"{begin}:")}, self.kernel(op, choice)

        return yields

    def backend(self) -> Backend:
        calls = [c for c in vars(products).values() if isinstance(c, type) and issubclass(c, products.ProductOp)]
        ops = {CudnnConvOp: "cudnn", CudaConvOp: "cuda", **dict.fromkeys(calls, "blas")}
        return dataclasses.replace(
            BACKEND,
            capture=lambda run: run,
            elapsed=self.elapsed,
            alternatives={op: self.alternatives(prefix) for op, prefix in ops.items()},
            describe=lambda: {"device": "fake", "cudnn": "1"},
        )
