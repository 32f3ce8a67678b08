"""The `nn` dialect: networks in ONNX's terms, on tensors, and on sequences and optionals of them."""

from xdsl.ir import Dialect

from .activation import ActivationAttr
from .activations import (
    CeluOp,
    EluOp,
    GeluOp,
    HardSigmoidOp,
    HardSwishOp,
    LeakyReluOp,
    MishOp,
    PReluOp,
    ReluOp,
    SeluOp,
    ShrinkOp,
    SigmoidOp,
    SoftplusOp,
    SoftsignOp,
    SwishOp,
    TanhOp,
    ThresholdedReluOp,
)
from .attention import AttentionOp
from .axes_norm import LpNormalizationOp, MeanVarianceNormalizationOp, RMSNormalizationOp
from .cast import BitCastOp, CastOp
from .clip import ClipOp
from .comparison import EqualOp, GreaterOp, GreaterOrEqualOp, IsInfOp, IsNaNOp, LessOp, LessOrEqualOp
from .constant import ConstantOp, NNConstants, ParameterOp
from .conv import ConvOp, ConvTransposeOp
from .cumulative import CumProdOp, CumSumOp
from .deform_conv import DeformConvOp
from .einsum import EinsumOp
from .elementwise import AddOp, DivOp, MaxOp, MeanOp, MinOp, ModOp, MulOp, PowOp, SubOp, SumOp, WhereOp
from .fused import FusedOp
from .gather import GatherElementsOp, GatherNDOp
from .gemm import GemmOp, MatMulOp
from .generate import EyeLikeOp, OneHotOp, RangeOp, TriluOp
from .grid import AffineGridOp, GridSampleOp
from .group_norm import GroupNormalizationOp
from .if_op import IfOp
from .index import GatherOp, SliceOp
from .join import ConcatOp, SplitOp
from .layout import ExpandOp, TileOp, TransposeOp
from .linear_algebra import DetOp
from .logic import (
    AndOp,
    BitShiftOp,
    BitwiseAndOp,
    BitwiseNotOp,
    BitwiseOrOp,
    BitwiseXorOp,
    NotOp,
    OrOp,
    XorOp,
)
from .loop import LoopOp
from .lp_pool import GlobalLpPoolOp, LpPoolOp
from .max_roi_pool import MaxRoiPoolOp
from .non_max_suppression import NonMaxSuppressionOp
from .norm import BatchNormalizationOp, InstanceNormalizationOp, LayerNormalizationOp, LRNOp
from .optional import OptionalGetElementOp, OptionalHasElementOp, OptionalOp
from .order import ArgMaxOp, ArgMinOp, TopKOp
from .pad import PadOp
from .pool import AveragePoolOp, GlobalAveragePoolOp, GlobalMaxPoolOp, MaxPoolOp
from .quantize import DequantizeLinearOp, DynamicQuantizeLinearOp, QuantizeLinearOp
from .quantized_conv import ConvIntegerOp, QLinearConvOp
from .quantized_matmul import MatMulIntegerOp, QLinearMatMulOp
from .random import (
    BernoulliOp,
    MultinomialOp,
    RandomNormalLikeOp,
    RandomNormalOp,
    RandomUniformLikeOp,
    RandomUniformOp,
)
from .rearrange import CenterCropPadOp, DepthToSpaceOp, ReverseSequenceOp, SpaceToDepthOp
from .recurrent import GRUOp, LSTMOp, RNNOp
from .reduce import (
    ReduceL1Op,
    ReduceL2Op,
    ReduceLogSumExpOp,
    ReduceLogSumOp,
    ReduceMaxOp,
    ReduceMeanOp,
    ReduceMinOp,
    ReduceProdOp,
    ReduceSumOp,
    ReduceSumSquareOp,
)
from .regions import YieldOp
from .reshape import FlattenOp, ReshapeOp, SqueezeOp, UnsqueezeOp
from .resize import ResizeOp
from .roi_align import RoiAlignOp
from .rotary import RotaryEmbeddingOp
from .scan import ScanOp
from .scatter import ScatterElementsOp, ScatterNDOp, TensorScatterOp
from .select import CompressOp, NonZeroOp, UniqueOp
from .sequence import (
    SequenceAtOp,
    SequenceConstructOp,
    SequenceEmptyOp,
    SequenceEraseOp,
    SequenceInsertOp,
    SequenceLengthOp,
)
from .sequence_split import ConcatFromSequenceOp, SplitToSequenceOp
from .shape import ConstantOfShapeOp, DropoutOp, IdentityOp, ShapeOp, SizeOp
from .signal import DFTOp, STFTOp
from .softmax import HardmaxOp, LogSoftmaxOp, SoftmaxOp
from .trigonometry import (
    AcoshOp,
    AcosOp,
    AsinhOp,
    AsinOp,
    AtanhOp,
    AtanOp,
    CoshOp,
    CosOp,
    SinhOp,
    SinOp,
    TanOp,
)
from .unary import AbsOp, CeilOp, ErfOp, ExpOp, FloorOp, LogOp, NegOp, ReciprocalOp, RoundOp, SignOp, SqrtOp
from .unpool import Col2ImOp, MaxUnpoolOp
from .value_types import OptionalType, SequenceType
from .window_functions import BlackmanWindowOp, HammingWindowOp, HannWindowOp, MelWeightMatrixOp

NN = Dialect(
    "nn",
    [
        ConstantOp,
        ParameterOp,
        ConvOp,
        ConvTransposeOp,
        GemmOp,
        MatMulOp,
        EinsumOp,
        MaxPoolOp,
        AveragePoolOp,
        GlobalAveragePoolOp,
        GlobalMaxPoolOp,
        AddOp,
        DivOp,
        EqualOp,
        GreaterOp,
        GreaterOrEqualOp,
        IsInfOp,
        IsNaNOp,
        LessOp,
        LessOrEqualOp,
        AndOp,
        BitShiftOp,
        BitwiseAndOp,
        BitwiseNotOp,
        BitwiseOrOp,
        BitwiseXorOp,
        NotOp,
        OrOp,
        XorOp,
        MaxOp,
        MeanOp,
        MinOp,
        ModOp,
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
        RoundOp,
        SignOp,
        SqrtOp,
        AcosOp,
        AcoshOp,
        AsinOp,
        AsinhOp,
        AtanOp,
        AtanhOp,
        CosOp,
        CoshOp,
        SinOp,
        SinhOp,
        TanOp,
        CastOp,
        BitCastOp,
        EluOp,
        GeluOp,
        HardSigmoidOp,
        HardSwishOp,
        LeakyReluOp,
        PReluOp,
        ReluOp,
        SeluOp,
        CeluOp,
        MishOp,
        ShrinkOp,
        SoftsignOp,
        ThresholdedReluOp,
        SigmoidOp,
        SoftplusOp,
        SwishOp,
        TanhOp,
        ClipOp,
        LogSoftmaxOp,
        HardmaxOp,
        SoftmaxOp,
        DequantizeLinearOp,
        DynamicQuantizeLinearOp,
        QuantizeLinearOp,
        ConvIntegerOp,
        MatMulIntegerOp,
        QLinearConvOp,
        QLinearMatMulOp,
        GRUOp,
        LSTMOp,
        RNNOp,
        ReduceMaxOp,
        ReduceMeanOp,
        ReduceMinOp,
        ReduceSumOp,
        ReduceL1Op,
        ReduceL2Op,
        ReduceLogSumOp,
        ReduceLogSumExpOp,
        ReduceProdOp,
        ReduceSumSquareOp,
        ArgMaxOp,
        ArgMinOp,
        TopKOp,
        CumProdOp,
        CumSumOp,
        BatchNormalizationOp,
        InstanceNormalizationOp,
        LayerNormalizationOp,
        LRNOp,
        AttentionOp,
        RotaryEmbeddingOp,
        GroupNormalizationOp,
        LpNormalizationOp,
        MeanVarianceNormalizationOp,
        RMSNormalizationOp,
        ReshapeOp,
        FlattenOp,
        SqueezeOp,
        UnsqueezeOp,
        TransposeOp,
        ExpandOp,
        TileOp,
        ShapeOp,
        SizeOp,
        ConstantOfShapeOp,
        IdentityOp,
        DropoutOp,
        EyeLikeOp,
        OneHotOp,
        RangeOp,
        TriluOp,
        BernoulliOp,
        MultinomialOp,
        RandomNormalLikeOp,
        RandomNormalOp,
        RandomUniformLikeOp,
        RandomUniformOp,
        ConcatOp,
        SplitOp,
        SliceOp,
        GatherOp,
        GatherElementsOp,
        GatherNDOp,
        ScatterElementsOp,
        ScatterNDOp,
        TensorScatterOp,
        CompressOp,
        NonZeroOp,
        UniqueOp,
        CenterCropPadOp,
        DepthToSpaceOp,
        ReverseSequenceOp,
        SpaceToDepthOp,
        GlobalLpPoolOp,
        LpPoolOp,
        Col2ImOp,
        MaxUnpoolOp,
        AffineGridOp,
        GridSampleOp,
        RoiAlignOp,
        MaxRoiPoolOp,
        NonMaxSuppressionOp,
        DeformConvOp,
        PadOp,
        DetOp,
        DFTOp,
        STFTOp,
        HannWindowOp,
        HammingWindowOp,
        BlackmanWindowOp,
        MelWeightMatrixOp,
        ResizeOp,
        FusedOp,
        IfOp,
        LoopOp,
        ScanOp,
        YieldOp,
        SequenceEmptyOp,
        SequenceConstructOp,
        SequenceInsertOp,
        SequenceEraseOp,
        SequenceAtOp,
        SequenceLengthOp,
        SplitToSequenceOp,
        ConcatFromSequenceOp,
        OptionalOp,
        OptionalHasElementOp,
        OptionalGetElementOp,
    ],
    [ActivationAttr, SequenceType, OptionalType],
    [NNConstants()],
)
