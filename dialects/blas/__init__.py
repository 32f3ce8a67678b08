"""The `blas` dialect: what a BLAS-like library does in one call. Row-major; leading dims are batch dims."""

from xdsl.ir import Dialect

from .columns import BroadcastOp, Im2colOp
from .pack import PackOp
from .products import BlasGemmGeluOp, BlasGemmOp, BlasGemmReluOp, BlasMatmulOp, BlasMatmulReluOp

BLAS = Dialect(
    "blas",
    [BlasMatmulOp, BlasMatmulReluOp, BlasGemmOp, BlasGemmReluOp, BlasGemmGeluOp, Im2colOp, BroadcastOp, PackOp],
)
