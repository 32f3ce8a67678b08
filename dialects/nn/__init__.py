"""The `nn` dialect: networks in ONNX's terms, on tensors."""

from xdsl.ir import Dialect

from .activation import ActivationAttr
from .activations import (
    EluOp,
    GeluOp,
    HardSigmoidOp,
    HardSwishOp,
    LeakyReluOp,
    PReluOp,
    ReluOp,
    SeluOp,
    SigmoidOp,
    SoftplusOp,
    SwishOp,
    TanhOp,
)
from .cast import CastOp
from .clip import ClipOp
from .constant import ConstantOp, NNConstants, ParameterOp
from .conv import ConvOp, ConvTransposeOp
from .elementwise import AddOp, DivOp, EqualOp, MaxOp, MeanOp, MinOp, MulOp, PowOp, SubOp, SumOp, WhereOp
from .gemm import GemmOp, MatMulOp
from .index import GatherOp, SliceOp
from .join import ConcatOp, SplitOp
from .layout import ExpandOp, TileOp, TransposeOp
from .norm import BatchNormalizationOp, InstanceNormalizationOp, LayerNormalizationOp, LRNOp
from .pad import PadOp
from .pool import AveragePoolOp, GlobalAveragePoolOp, GlobalMaxPoolOp, MaxPoolOp
from .reduce import ReduceMaxOp, ReduceMeanOp, ReduceMinOp, ReduceSumOp
from .reshape import FlattenOp, ReshapeOp, SqueezeOp, UnsqueezeOp
from .resize import ResizeOp
from .shape import ConstantOfShapeOp, DropoutOp, IdentityOp, ShapeOp
from .softmax import LogSoftmaxOp, SoftmaxOp
from .unary import AbsOp, CeilOp, ErfOp, ExpOp, FloorOp, LogOp, NegOp, ReciprocalOp, SqrtOp

NN = Dialect(
    "nn",
    [
        ConstantOp,
        ParameterOp,
        ConvOp,
        ConvTransposeOp,
        GemmOp,
        MatMulOp,
        MaxPoolOp,
        AveragePoolOp,
        GlobalAveragePoolOp,
        GlobalMaxPoolOp,
        AddOp,
        DivOp,
        EqualOp,
        MaxOp,
        MeanOp,
        MinOp,
        MulOp,
        PowOp,
        SubOp,
        SumOp,
        WhereOp,
        AbsOp,
        CeilOp,
        ErfOp,
        ExpOp,
        FloorOp,
        LogOp,
        NegOp,
        ReciprocalOp,
        SqrtOp,
        CastOp,
        EluOp,
        GeluOp,
        HardSigmoidOp,
        HardSwishOp,
        LeakyReluOp,
        PReluOp,
        ReluOp,
        SeluOp,
        SigmoidOp,
        SoftplusOp,
        SwishOp,
        TanhOp,
        ClipOp,
        LogSoftmaxOp,
        SoftmaxOp,
        ReduceMaxOp,
        ReduceMeanOp,
        ReduceMinOp,
        ReduceSumOp,
        BatchNormalizationOp,
        InstanceNormalizationOp,
        LayerNormalizationOp,
        LRNOp,
        ReshapeOp,
        FlattenOp,
        SqueezeOp,
        UnsqueezeOp,
        TransposeOp,
        ExpandOp,
        TileOp,
        ShapeOp,
        ConstantOfShapeOp,
        IdentityOp,
        DropoutOp,
        ConcatOp,
        SplitOp,
        SliceOp,
        GatherOp,
        PadOp,
        ResizeOp,
    ],
    [ActivationAttr],
    [NNConstants()],
)
