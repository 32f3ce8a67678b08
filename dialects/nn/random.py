"""Random numbers: drawn from a seed, so that they are the same in every run and on every device.

An op is a function of its `seed`, and so pure: each draws from a generator of its own, NumPy's `RandomState`, whose
numbers for a seed are the same in all versions of NumPy (and are those of ONNX's reference implementation, which uses
it too). A node without the attribute `seed` gets one from its name. No op is folded to constants in the IR.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import DenseArrayBase, FloatAttr, IntegerAttr, TensorType, f32, i32, i64
from xdsl.ir import Attribute, SSAValue, TypeAttribute
from xdsl.irdl import BaseAttr, irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def

from ...errors import CompileError
from ...rewriting import node_name
from .base import AnyTensor, NNOp, Onnx, OnnxNode, attribute, integer, ints, number
from .cast import onnx_element
from .elementwise import require_float
from .special import to_host
from .types import Abstract, Array, Dims, dtype_of, element_type, format_dims, product, tensor


class RandomOp(NNOp):
    """Numbers drawn from `seed`, of the element type `dtype`."""

    dtype = opt_prop_def(BaseAttr(TypeAttribute))
    seed = prop_def(FloatAttr, default_value=FloatAttr(0.0, f32))

    def generator(self) -> np.random.RandomState:
        """A generator at its start. A seed that is no 32-bit unsigned integer counts by its bits."""
        seed = number(self.seed)
        whole = 0 <= seed < 2**32 and seed == int(seed)
        return np.random.RandomState(int(seed) if whole else int(np.float32(seed).view(np.uint32)))

    def element(self, default: Attribute) -> Attribute:
        """`dtype`, or its default."""
        return default if self.dtype is None else self.dtype

    def working_bytes(self) -> int:
        """The float64 numbers that are drawn."""
        return 8 * (product(Abstract(self.results[0]).dims) or 0)

    def fold(self) -> Sequence[SSAValue | Attribute] | None:
        """Random numbers do not become constants in the text."""
        return None

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """`dtype` is a number in ONNX; a seed that is missing is made of the node's name."""
        onnx_element(node, "dtype")
        results = super().import_node(node)
        if "seed" not in node.attributes:
            op = results[0].owner
            assert isinstance(op, RandomOp)
            # 24 bits, which an f32 holds exactly
            op.properties["seed"] = attribute(float(zlib.crc32(node_name(op).encode()) & 0xFFFFFF))
        return results


class NormalOp(RandomOp):
    """Numbers of a normal distribution of this `mean` and standard deviation `scale`."""

    mean = prop_def(FloatAttr, default_value=FloatAttr(0.0, f32))
    scale = prop_def(FloatAttr, default_value=FloatAttr(1.0, f32))

    def draw(self, xp: Any, dims: tuple[int, ...]) -> Array:
        """In float64."""
        return xp.asarray(self.generator().standard_normal(dims) * number(self.scale) + number(self.mean))


class UniformOp(RandomOp):
    """Numbers from `low` to `high` (exclusive), all equally likely."""

    low = prop_def(FloatAttr, default_value=FloatAttr(0.0, f32))
    high = prop_def(FloatAttr, default_value=FloatAttr(1.0, f32))

    def draw(self, xp: Any, dims: tuple[int, ...]) -> Array:
        """In float64."""
        low, high = number(self.low), number(self.high)
        return xp.asarray(self.generator().random_sample(dims) * (high - low) + low)


def _floats(op: RandomOp, default: Attribute, dims: Dims) -> TensorType[Attribute]:
    """The type of `dims` and the op's element type, a float one."""
    require_float(op.name, op.element(default))
    return tensor(op.element(default), dims)


@irdl_op_definition
class RandomNormalOp(NormalOp):
    """Normally distributed numbers of the dims `shape`, by default f32. ONNX RandomNormal,
    https://onnx.ai/onnx/operators/onnx__RandomNormal.html
    """

    name = "nn.random_normal"
    ONNX: ClassVar = Onnx("RandomNormal", since=1)

    shape = prop_def(DenseArrayBase)
    result = result_def(AnyTensor)

    def infer(self) -> TensorType[Attribute]:
        """The dims `shape`."""
        return _floats(self, f32, ints(self.shape))

    def evaluate(self, xp: Any) -> Array:
        """The numbers."""
        return self.draw(xp, ints(self.shape))


@irdl_op_definition
class RandomNormalLikeOp(NormalOp):
    """Normally distributed numbers of the dims, and by default the element type, of `x`. ONNX RandomNormalLike,
    https://onnx.ai/onnx/operators/onnx__RandomNormalLike.html
    """

    name = "nn.random_normal_like"
    ONNX: ClassVar = Onnx("RandomNormalLike", since=1)

    x = operand_def(AnyTensor)
    result = result_def(AnyTensor)

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The dims of `x`."""
        return _floats(self, x.element, x.dims)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """The numbers."""
        return self.draw(xp, x.shape)


@irdl_op_definition
class RandomUniformOp(UniformOp):
    """Uniformly distributed numbers of the dims `shape`, by default f32. ONNX RandomUniform,
    https://onnx.ai/onnx/operators/onnx__RandomUniform.html
    """

    name = "nn.random_uniform"
    ONNX: ClassVar = Onnx("RandomUniform", since=1)

    shape = prop_def(DenseArrayBase)
    result = result_def(AnyTensor)

    def infer(self) -> TensorType[Attribute]:
        """The dims `shape`."""
        return _floats(self, f32, ints(self.shape))

    def evaluate(self, xp: Any) -> Array:
        """The numbers."""
        return self.draw(xp, ints(self.shape))


@irdl_op_definition
class RandomUniformLikeOp(UniformOp):
    """Uniformly distributed numbers of the dims, and by default the element type, of `x`. ONNX RandomUniformLike,
    https://onnx.ai/onnx/operators/onnx__RandomUniformLike.html
    """

    name = "nn.random_uniform_like"
    ONNX: ClassVar = Onnx("RandomUniformLike", since=1)

    x = operand_def(AnyTensor)
    result = result_def(AnyTensor)

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The dims of `x`."""
        return _floats(self, x.element, x.dims)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """The numbers."""
        return self.draw(xp, x.shape)


@irdl_op_definition
class BernoulliOp(RandomOp):
    """1 with the probability that `x` says, else 0, of any element type, by default that of `x`. ONNX Bernoulli,
    https://onnx.ai/onnx/operators/onnx__Bernoulli.html

    A probability outside [0, 1] is a CompileError.
    """

    name = "nn.bernoulli"
    ONNX: ClassVar = Onnx("Bernoulli", since=15)

    x = operand_def(AnyTensor)
    result = result_def(AnyTensor)

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """The dims of `x`."""
        require_float(self.name, x.element)
        dtype_of(self.element(x.element))
        return tensor(self.element(x.element), x.dims)

    def evaluate(self, xp: Any, x: Array) -> Array:
        """The numbers, drawn on the host."""
        p = to_host(x)
        if not bool(((p >= 0) & (p <= 1)).all()):
            raise CompileError(f"a probability of {self.name} is not between 0 and 1")
        return xp.asarray(self.generator().binomial(1, p)).astype(dtype_of(element_type(self.result.type)))


@irdl_op_definition
class MultinomialOp(RandomOp):
    """Class numbers drawn `sample_size` times for each row of `x`, by default as i32. ONNX Multinomial,
    https://onnx.ai/onnx/operators/onnx__Multinomial.html

    `x` [batch, classes] holds logarithms of probabilities, not normalised; the result is [batch, sample_size].
    """

    name = "nn.multinomial"
    ONNX: ClassVar = Onnx("Multinomial", since=7)

    sample_size = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    x = operand_def(AnyTensor)
    result = result_def(AnyTensor)

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """A row of samples for each row of `x`."""
        require_float(self.name, x.element)
        element = self.element(i32)
        if element not in (i32, i64):
            raise CompileError(f"{self.name} gives i32 or i64, not {element}")
        if x.rank != 2 or x.dims[1] == 0:
            raise CompileError(f"{self.name} needs logarithms [batch, classes], not {format_dims(x.dims)}")
        return tensor(element, [x.dims[0], integer(self.sample_size)])

    def evaluate(self, xp: Any, x: Array) -> Array:
        """Where uniform numbers fall in the running sums of the probabilities; row r's lie between r and r + 1."""
        logits = to_host(x).astype(np.float64)
        sums: Array = np.exp(logits - logits.max(axis=1, keepdims=True)).cumsum(axis=1)
        if not np.isfinite(sums).all():
            raise CompileError(f"a row of {self.name} holds no probabilities: a NaN, an infinity, or none above 0")
        batch, classes = sums.shape
        rows = np.arange(int(batch))[:, None]
        uniform = self.generator().random_sample((batch, integer(self.sample_size)))
        places = np.searchsorted((sums / sums[:, -1:] + rows).reshape(-1), uniform + rows, side="right")
        found = np.clip(places - rows * classes, 0, classes - 1)
        return xp.asarray(found).astype(dtype_of(element_type(self.result.type)))
