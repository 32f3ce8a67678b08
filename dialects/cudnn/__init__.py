"""The `cudnn` dialect: convolutions that cuDNN runs as one fused graph."""

from xdsl.ir import Dialect

from .conv import CudnnConvOp

CUDNN = Dialect("cudnn", [CudnnConvOp])
