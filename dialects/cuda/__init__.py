"""The `cuda` dialect: what kernels of nnfuse's own compute on tensor cores."""

from xdsl.ir import Dialect

from .conv import CudaConvOp

CUDA = Dialect("cuda", [CudaConvOp])
