"""How fast the generated kernels move memory: microseconds, and GB/s of what they must read and write at least.

python bench/gpu_kernels.py [--out FILE.json]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gpu_timing import cold_time, warm_time
from xdsl.ir import Block

from nnfuse.dialects.blas.columns import BroadcastOp, Im2colOp
from nnfuse.dialects.nn.activation import ActivationAttr
from nnfuse.dialects.nn.activations import ReluOp
from nnfuse.dialects.nn.base import NNOp
from nnfuse.dialects.nn.conv import ConvOp
from nnfuse.dialects.nn.elementwise import AddOp, MulOp
from nnfuse.dialects.nn.join import ConcatOp
from nnfuse.dialects.nn.layout import TransposeOp
from nnfuse.dialects.nn.norm import BatchNormalizationOp, LRNOp
from nnfuse.dialects.nn.pool import AveragePoolOp, GlobalAveragePoolOp, MaxPoolOp
from nnfuse.dialects.nn.softmax import SoftmaxOp
from nnfuse.dialects.nn.types import dims_of, dtype_of, element_type, f16, f32, num_bytes, tensor
from nnfuse.runtime.kernels import KernelContext, Scratch, get_backend
from nnfuse.runtime.kernels.cupy import library

Shapes = Sequence[tuple[int, ...]]


def op_on(shapes: Shapes, make: Callable[..., NNOp], element: Any = f32) -> NNOp:
    """An op on operands of these dims."""
    return make(*Block(arg_types=[tensor(element, s) for s in shapes]).args)


def cases() -> dict[str, NNOp]:
    """Ops of real networks' sizes."""
    pad, relu = [1, 1, 1, 1], ActivationAttr.of("relu")
    found: dict[str, NNOp] = {}
    for batch in (1, 32):
        for channels, size in ((64, 224), (64, 56), (128, 28), (256, 14), (512, 7)):
            if channels * size * size * batch < 64 * 56 * 56 * 32 + 1:
                shape = (batch, channels, size, size)
                found[f"im2col 3x3 {shape}"] = op_on([shape], lambda x: Im2colOp(x, kernel=[3, 3], pads=pad))
        shape = (batch, 3, 224, 224)
        found[f"im2col 7x7/2 {shape}"] = op_on(
            [shape], lambda x: Im2colOp(x, kernel=[7, 7], strides=[2, 2], pads=[3] * 4)
        )
        for channels, size, stride in ((32, 112, 1), (96, 112, 2), (144, 56, 1), (960, 7, 1)):
            found[f"depthwise 3x3/{stride} {(batch, channels, size, size)}"] = op_on(
                [(batch, channels, size, size), (channels, 1, 3, 3), (channels,)],
                lambda x, w, b, s=stride, c=channels: ConvOp(
                    x, w, b, None, strides=[s, s], pads=pad, group=c, activation=relu
                ),
            )
    image = (32, 64, 112, 112)
    found[f"im2col nhwc f16 {(32, 56, 56, 64)}"] = op_on(
        [(32, 56, 56, 64)], lambda x: Im2colOp(x, kernel=[3, 3], pads=pad, layout="nhwc"), f16
    )
    found[f"max pool 3x3/2 {image}"] = op_on(
        [image], lambda x: MaxPoolOp(x, kernel_shape=[3, 3], strides=[2, 2], pads=pad)
    )
    found[f"average pool 2x2/2 {image}"] = op_on(
        [image], lambda x: AveragePoolOp(x, kernel_shape=[2, 2], strides=[2, 2])
    )
    found["global average (32, 2048, 7, 7)"] = op_on([(32, 2048, 7, 7)], GlobalAveragePoolOp)
    found["softmax (32, 1000)"] = op_on([(32, 1000)], SoftmaxOp)
    found["softmax (384, 512, 512)"] = op_on([(384, 512, 512)], SoftmaxOp)
    found["lrn (32, 96, 55, 55)"] = op_on([(32, 96, 55, 55)], lambda x: LRNOp(x, size=5))
    found[f"batch-norm {image}"] = op_on([image, *[(64,)] * 4], BatchNormalizationOp)
    found[f"add {image}"] = op_on([image, image], AddOp)
    found[f"add f16 {image}"] = op_on([image, image], AddOp, f16)
    found[f"mul per channel {image}"] = op_on([image, (64, 1, 1)], MulOp)
    found[f"relu {image}"] = op_on([image], ReluOp)
    found["broadcast [512, 784]"] = op_on([(512,)], lambda v: BroadcastOp(v, axis=0, shape=[512, 784]))
    found["broadcast [64, 50176]"] = op_on([(64,)], lambda v: BroadcastOp(v, axis=0, shape=[64, 50176]))
    found["concat (32, 256 + 32, 28, 28)"] = op_on(
        [(32, 256, 28, 28), (32, 32, 28, 28)], lambda a, b: ConcatOp([a, b], axis=1)
    )
    found["transpose to NHWC (32, 64, 56, 56)"] = op_on([(32, 64, 56, 56)], lambda x: TransposeOp(x, perm=[0, 2, 3, 1]))
    found["shuffle (32, 3, 80, 784)"] = op_on([(32, 3, 80, 784)], lambda x: TransposeOp(x, perm=[0, 2, 1, 3]))
    return found


def main() -> None:
    """Measure, print, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()
    cuda = get_backend("cuda")
    xp = cuda.xp
    figures: dict[str, Any] = {"machine": library.describe()}
    compiling = 0.0
    print(f"{'kernel':44} {'warm us':>9} {'cold us':>9} {'MB':>8} {'GB/s cold':>10}")
    for name, op in cases().items():
        start = time.perf_counter()
        kernel = cuda.bind(op, KernelContext(xp, Scratch(xp)))
        compiling += time.perf_counter() - start
        assert kernel is not None, name
        ins = [xp.asarray(np.float32(0.5)) + xp.zeros(dims_of(v.type), xp.float32) for v in op.operands]
        ins = [a.astype(dtype_of(element_type(v.type))) for a, v in zip(ins, op.operands, strict=True)]
        outs = [xp.empty(dims_of(v.type), dtype_of(element_type(v.type))) for v in op.results]

        def work(kernel: Any = kernel, outs: Any = outs, ins: Any = ins) -> None:
            kernel(outs, ins)

        moved = sum(num_bytes(v.type) or 0 for v in (*op.operands, *op.results))
        warm, cold = warm_time(xp, work), cold_time(xp, work)
        figures[name] = {"warm_us": warm, "cold_us": cold, "bytes": moved}
        print(f"{name:44} {warm:9.1f} {cold:9.1f} {moved / 1e6:8.1f} {moved / cold / 1e3:10.0f}")
        del ins, outs, work, kernel
        xp.get_default_memory_pool().free_all_blocks()
    figures["compile_seconds"] = compiling
    print(f"compiling {len(figures) - 2} kernels: {compiling:.1f} s (CuPy keeps them in its cache)")
    if options.out is not None:
        options.out.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
