"""The `nn` dialect: networks in ONNX's terms, on tensors."""

from xdsl.ir import Dialect

from .activation import ActivationAttr
from .activations import ReluOp
from .constant import ConstantOp, NNConstants, ParameterOp
from .conv import ConvOp, ConvTransposeOp
from .elementwise import AddOp

NN = Dialect("nn", [ConstantOp, ParameterOp, ConvOp, ConvTransposeOp, AddOp, ReluOp], [ActivationAttr], [NNConstants()])
