"""Ops that put the elements along an axis in order, or find the first of them: ArgMax, ArgMin, TopK."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from xdsl.dialects.builtin import IntegerAttr, TensorType, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, OnnxNode, integer
from .elementwise import require_number
from .shape import as_ints, one_int
from .types import Abstract, Array, normalize_axis, product, tensor


class ArgReduceOp(NNOp):
    """The index (i64) of an extreme element along `axis`, which stays as a dim of size 1 where `keepdims` is 1.

    Of equal elements it is the first, with `select_last_index` the last. The first NaN counts as the extreme.
    An axis of size 0 is refused.
    """

    x = operand_def(AnyTensor)
    axis = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    keepdims = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    select_last_index = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    result = result_def(AnyTensor)

    def check(self, size: int | None) -> None:
        """Raise CompileError for an axis without elements."""
        if size == 0:
            raise CompileError(f"{self.name} has no element to choose: the size of its axis is 0")

    def infer(self, x: Abstract) -> TensorType[Attribute]:
        """Indices, with the axis gone or of size 1."""
        require_number(self.name, x.element)
        axis = normalize_axis(integer(self.axis), x.rank)
        self.check(x.dims[axis] if x.rank else 1)
        kept = (1,) if integer(self.keepdims) and x.rank else ()
        return tensor(i64, (*x.dims[:axis], *kept, *x.dims[axis + 1 :]))

    def evaluate(self, xp: Any, x: Array) -> Array:
        """By `find`, from the other end for the last index."""
        axis, shape = normalize_axis(integer(self.axis), x.ndim), x.shape
        x = xp.atleast_1d(x)
        self.check(x.shape[axis])
        if integer(self.select_last_index):
            found = x.shape[axis] - 1 - self.find(xp, xp.flip(x, axis), axis)
        else:
            found = self.find(xp, x, axis)
        kept = (1,) if integer(self.keepdims) and shape else ()
        return found.reshape((*shape[:axis], *kept, *shape[axis + 1 :])).astype(xp.int64)

    @abstractmethod
    def find(self, xp: Any, x: Array, axis: int) -> Array:
        """The index of the first extreme element along `axis`."""


@irdl_op_definition
class ArgMaxOp(ArgReduceOp):
    """The index of the largest along `axis`. ONNX ArgMax, https://onnx.ai/onnx/operators/onnx__ArgMax.html"""

    name = "nn.arg_max"
    ONNX: ClassVar = Onnx("ArgMax", since=1)

    def find(self, xp: Any, x: Array, axis: int) -> Array:
        """`argmax`"""
        return x.argmax(axis=axis)


@irdl_op_definition
class ArgMinOp(ArgReduceOp):
    """The index of the smallest along `axis`. ONNX ArgMin, https://onnx.ai/onnx/operators/onnx__ArgMin.html"""

    name = "nn.arg_min"
    ONNX: ClassVar = Onnx("ArgMin", since=1)

    def find(self, xp: Any, x: Array, axis: int) -> Array:
        """`argmin`"""
        return x.argmin(axis=axis)


@irdl_op_definition
class TopKOp(NNOp):
    """The `k` largest (or, not `largest`, smallest) elements along `axis`, in order, and their indices (i64).

    ONNX TopK, https://onnx.ai/onnx/operators/onnx__TopK.html. Of equal elements those of lower index come first; a NaN
    counts as larger than any number. They are in order with `sorted` = 0 too, where ONNX leaves it open. More elements
    than there are is a CompileError.
    """

    name = "nn.top_k"
    ONNX: ClassVar = Onnx("TopK", since=1)
    HOST: ClassVar = frozenset({"k"})

    x = operand_def(AnyTensor)
    k = operand_def(AnyTensor)
    axis = prop_def(IntegerAttr, default_value=IntegerAttr(-1, i64))
    largest = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    sorted = prop_def(IntegerAttr, default_value=IntegerAttr(1, i64))
    values = result_def(AnyTensor)
    indices = result_def(AnyTensor)

    def check(self, k: int, size: int | None) -> None:
        """Raise CompileError where `k` elements cannot be taken from `size`."""
        if k < 0 or (size is not None and k > size):
            raise CompileError(f"{self.name} cannot take {k} elements of {'?' if size is None else size}")

    def infer(self, x: Abstract, k: Abstract) -> tuple[TensorType[Attribute], ...]:
        """The dims of `x` with `k` for the axis; unknown where `k` is not a constant."""
        require_number(self.name, x.element)
        if not x.rank:
            raise CompileError(f"{self.name} needs an operand of rank 1 or more")
        axis = normalize_axis(integer(self.axis), x.rank)
        count = one_int("k", k)
        if count is not None:
            self.check(count, x.dims[axis])
        dims = (*x.dims[:axis], count, *x.dims[axis + 1 :])
        return tensor(x.element, dims), tensor(i64, dims)

    def evaluate(self, xp: Any, x: Array, k: Array) -> tuple[Array, ...]:
        """By a stable sort; the largest from the end of what is sorted backwards, so that equals keep their order."""
        (count,) = as_ints(k)
        axis = normalize_axis(integer(self.axis), x.ndim)
        size = x.shape[axis]
        self.check(count, size)
        if integer(self.largest):
            order = size - 1 - xp.flip(xp.flip(x, axis).argsort(axis=axis, kind="stable"), axis)
        else:
            order = x.argsort(axis=axis, kind="stable")
        indices = order[(*[slice(None)] * axis, slice(count))].astype(xp.int64)
        return xp.take_along_axis(x, indices, axis=axis), indices

    def working_bytes(self) -> int:
        """The order of all elements."""
        return 8 * (product(Abstract(self.x).dims) or 0)

    @classmethod
    def import_node(cls, node: OnnxNode) -> Sequence[SSAValue]:
        """`k` was an attribute before opset 10."""
        if "k" in node.attributes:
            node.attributes["k"] = [node.attributes["k"]]
        node.attribute_to_input("k", 1)
        return super().import_node(node)
