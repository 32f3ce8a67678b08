"""Matrix products: the GEMM straight into the result, the epilogue in place on it.

What else was tried, and took longer, is in docs/decisions/cpu-threads.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from ....dialects.blas.products import (
    BlasGemmGeluOp,
    BlasGemmOp,
    BlasGemmReluOp,
    BlasMatmulOp,
    BlasMatmulReluOp,
    ProductOp,
)
from ....dialects.nn.base import NNOp, number
from ....dialects.nn.types import Array
from .. import Bind, Kernel, KernelContext
from .activation import apply_activation
from .blocks import dtype_at, is_blas, overlap, shape_of


def bind_product(op: ProductOp, context: KernelContext) -> Kernel | None:
    """`epilogue(alpha * op(a) @ op(b) + beta * c + bias)` for f32 and f64; see `ProductOp`."""
    if not is_blas(op):
        return None
    names = op.operand_names()
    c_at = names.index("c") if "c" in names else None
    bias_at = names.index("bias") if "bias" in names else None
    trans_a, trans_b = op.transposed()
    alpha, beta, epilogue = number(op.alpha), number(op.beta), op.EPILOGUE
    dims, dtype = shape_of(op.result), dtype_at(op.result)
    if c_at is not None:
        c_dims = shape_of(op.operands[c_at])
        if beta != 1 or c_dims == dims:  # the scaled c, or the product where c is in place
            context.scratch.reserve(prod(c_dims) * dtype.itemsize)

    def multiply(ins: Sequence[Array], out: Array) -> None:
        a, b = ins[0], ins[1]
        np.matmul(a.swapaxes(-1, -2) if trans_a else a, b.swapaxes(-1, -2) if trans_b else b, out=out)
        if alpha != 1:
            np.multiply(out, alpha, out=out)

    def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        out = outs[0]
        if c_at is None:
            multiply(ins, out)
        elif overlap(c := ins[c_at], out):  # the GEMM would overwrite c
            product = context.scratch.view(dims, dtype)
            multiply(ins, product)
            if beta != 1:
                np.multiply(c, beta, out=out)
            np.add(out, product, out=out)
        else:
            multiply(ins, out)
            scaled = c if beta == 1 else np.multiply(c, beta, out=context.scratch.view(c.shape, dtype))
            np.add(out, scaled, out=out)
        if bias_at is not None:
            np.add(out, ins[bias_at], out=out)
        if epilogue is not None:
            apply_activation(epilogue, out, out)

    return run


KERNELS: dict[type[NNOp], Bind] = {
    op: bind_product for op in (BlasMatmulOp, BlasMatmulReluOp, BlasGemmOp, BlasGemmReluOp, BlasGemmGeluOp)
}
