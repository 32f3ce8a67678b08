"""Which op runs by which kernel on CUDA; what is not here runs by its `compute` on CuPy."""

from __future__ import annotations

from typing import Any

from ....dialects.blas import columns, pack, products
from ....dialects.cuda import CudaConvOp
from ....dialects.cudnn import CudnnConvOp
from ....dialects.nn import (
    activations,
    cast,
    clip,
    comparison,
    elementwise,
    fused,
    index,
    join,
    layout,
    norm,
    pad,
    pool,
    rearrange,
    reduce,
    resize,
    softmax,
    unary,
)
from ....dialects.nn.base import NNOp
from ....dialects.nn.conv import ConvOp
from .. import Alternatives, Bind
from . import copies
from .conv import bind_depthwise
from .cuda_conv import bind_cuda_conv, other_cuda_plans
from .cudnn import bind_conv, other_plans
from .elementwise import bind_clip, bind_elementwise
from .fused import bind_fused
from .gemm import bind_gemm, other_algorithms
from .im2col import bind_im2col
from .norm import bind_batch_normalization, bind_lrn
from .operands import guarded
from .pack import bind_pack
from .pool import bind_average_pool, bind_max_pool
from .resize import bind_resize
from .rows import (
    bind_global_pool,
    bind_instance_normalization,
    bind_layer_normalization,
    bind_reduce,
    bind_softmax,
)

_BINDERS: dict[Any, tuple[type[NNOp], ...]] = {
    bind_gemm: (
        products.BlasMatmulOp,
        products.BlasMatmulReluOp,
        products.BlasGemmOp,
        products.BlasGemmReluOp,
        products.BlasGemmGeluOp,
    ),
    bind_im2col: (columns.Im2colOp,),
    copies.bind_broadcast: (columns.BroadcastOp,),
    bind_pack: (pack.PackOp,),
    bind_depthwise: (ConvOp,),
    bind_conv: (CudnnConvOp,),
    bind_cuda_conv: (CudaConvOp,),
    bind_max_pool: (pool.MaxPoolOp,),
    bind_average_pool: (pool.AveragePoolOp,),
    bind_global_pool: (pool.GlobalAveragePoolOp, pool.GlobalMaxPoolOp),
    bind_softmax: (softmax.SoftmaxOp, softmax.LogSoftmaxOp),
    bind_reduce: (reduce.ReduceMeanOp, reduce.ReduceSumOp, reduce.ReduceMaxOp, reduce.ReduceMinOp),
    bind_batch_normalization: (norm.BatchNormalizationOp,),
    bind_lrn: (norm.LRNOp,),
    bind_instance_normalization: (norm.InstanceNormalizationOp,),
    bind_layer_normalization: (norm.LayerNormalizationOp,),
    bind_clip: (clip.ClipOp,),
    bind_elementwise: (
        elementwise.AddOp,
        elementwise.SubOp,
        elementwise.MulOp,
        elementwise.DivOp,
        elementwise.PowOp,
        elementwise.SumOp,
        elementwise.MaxOp,
        elementwise.MinOp,
        elementwise.MeanOp,
        comparison.EqualOp,
        elementwise.WhereOp,
        activations.ReluOp,
        activations.LeakyReluOp,
        activations.EluOp,
        activations.SeluOp,
        activations.CeluOp,
        activations.ThresholdedReluOp,
        activations.ShrinkOp,
        activations.SoftsignOp,
        activations.SigmoidOp,
        activations.HardSigmoidOp,
        activations.HardSwishOp,
        activations.TanhOp,
        activations.SoftplusOp,
        activations.MishOp,
        activations.GeluOp,
        activations.SwishOp,
        activations.PReluOp,
        unary.NegOp,
        unary.AbsOp,
        unary.ExpOp,
        unary.LogOp,
        unary.SqrtOp,
        unary.ReciprocalOp,
        unary.ErfOp,
        unary.FloorOp,
        unary.CeilOp,
    ),
    bind_fused: (fused.FusedOp,),
    copies.bind_concat: (join.ConcatOp,),
    copies.bind_split: (join.SplitOp,),
    copies.bind_transpose: (layout.TransposeOp,),
    copies.bind_blocks: (rearrange.DepthToSpaceOp, rearrange.SpaceToDepthOp),
    copies.bind_expand: (layout.ExpandOp,),
    copies.bind_slice: (index.SliceOp,),
    copies.bind_cast: (cast.CastOp,),
    copies.bind_pad: (pad.PadOp,),
    bind_resize: (resize.ResizeOp,),
}

ALTERNATIVES: dict[type[NNOp], Alternatives] = {
    **dict.fromkeys(_BINDERS[bind_gemm], other_algorithms),
    CudnnConvOp: other_plans,
    CudaConvOp: other_cuda_plans,
}
"""Op class -> every kernel for an op of it, for tuning."""

KERNELS: dict[type[NNOp], Bind] = {op: guarded(bind) for bind, ops in _BINDERS.items() for op in ops}
"""Op class -> its binder."""

ROWS_APART = frozenset(
    {
        *_BINDERS[bind_gemm],
        CudaConvOp,
        CudnnConvOp,
        pool.MaxPoolOp,
        pool.AveragePoolOp,
        join.ConcatOp,
        layout.TransposeOp,
        resize.ResizeOp,
    }
)
"""The ops whose kernels write rows that lie apart."""

READS_ROWS_APART = ROWS_APART | {join.SplitOp, index.SliceOp}
"""The ops whose kernels read rows that lie apart."""

RELOCATABLE = frozenset(KERNELS) - {*_BINDERS[bind_gemm], CudnnConvOp}
"""The ops computed by kernels of our own only: in a captured graph they may be given other addresses."""
