"""Convolutions as im2col and one strided-batched GEMM."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import prod
from typing import Any, ClassVar

from xdsl.ir import SSAValue

from ...dialects.blas import BroadcastOp, Im2colOp
from ...dialects.nn.base import NNOp, integer
from ...dialects.nn.conv import ConvOp
from ...dialects.nn.elementwise import AddOp
from ...dialects.nn.index import SliceOp
from ...dialects.nn.join import ConcatOp
from ...dialects.nn.types import Dims, dims_of, dtype_of, element_type, format_dims, static_dims
from ...dialects.nn.windows import Window
from .lowering import Calls, Lowering, call_for


class LowerConv(Lowering):
    """`relu(conv(x, w) + bias)` -> `matmulrelu(reshape(w), im2col(x), broadcast(bias)) {beta = 1}`

    The columns are [N, C*k, P] (k kernel positions, P output positions), the filters [K, C*k] and the bias
    [K, P], both with a batch stride of 0, so that the whole batch is one product; with groups the batch dims are
    [N, G]. Where the windows are the input itself (1x1 or as large as the input, no padding), its columns are a
    view of it. Activations other than ReLU, and those after a residual, are operations on the product.

    Where the columns of the batch exceed the budget, they are computed in as few pieces of whole images as fit it;
    those of an unknown batch always at once. Depthwise convolutions stay, which have a kernel of their own, and
    those with unknown dims other than the batch, whose filters and bias cannot be laid out.
    """

    OP: ClassVar[type[NNOp]] = ConvOp

    def __init__(self, im2col_budget: int):
        self.im2col_budget = im2col_budget

    def refusal(self, op: ConvOp) -> str | None:
        """Depthwise, or of unknown dims."""
        x, w = dims_of(op.x.type), dims_of(op.w.type)
        if None in x[1:] or None in w:
            return f"the dims of {format_dims(x)} or {format_dims(w)} are not known"
        if 1 < integer(op.group) == x[1]:
            return "it is depthwise"
        if x[0] is None and 0 in (*x, *w):
            return "its batch is not known and another dim is 0"
        return None

    def lower(self, op: ConvOp, calls: Calls) -> SSAValue:
        """See the class."""
        x, w, group = dims_of(op.x.type), static_dims(dims_of(op.w.type)), integer(op.group)
        window = op.window(x, w)
        out = static_dims(window.output(x[2:]))
        matrices = (group, w[0] // group) if group > 1 else (w[0],)
        filters = calls.reshape(op.w, (*matrices, prod(w[1:])))
        c: SSAValue | None = None
        fields: dict[str, Any] = {}
        if op.bias is not None:
            bias = calls.reshape(op.bias, matrices)
            c = calls.add(BroadcastOp(bias, axis=0, shape=(*matrices, prod(out))))
            fields["beta"] = 1.0
        product, activation = call_for(False, None if op.residual else op.activation)
        products: list[SSAValue] = []
        for images in self.pieces(op, window, prod(out), calls):
            columns = columns_of(images, window, group, prod(out), calls)
            products.append(calls.add(product(filters, columns, c, **fields)))
        y = products[0] if len(products) == 1 else calls.add(ConcatOp(products, axis=0))
        y = calls.reshape(y, (x[0], w[0], *out))
        if op.residual is not None:
            y, activation = calls.add(AddOp(y, op.residual)), op.activation
        return calls.activation(y, activation)

    def pieces(self, op: ConvOp, window: Window, positions: int, calls: Calls) -> Iterator[SSAValue]:
        """The images, in the fewest and nearly equal pieces whose columns fit the budget; each is written here."""
        batch, channels, *spatial = dims_of(op.x.type)
        if not batch or channels is None or is_view(window, tuple(spatial)):
            yield op.x
            return
        rows = channels * prod(window.kernel)
        per_image = rows * positions * dtype_of(element_type(op.x.type)).itemsize
        count = min(batch, -(-batch // max(self.im2col_budget // max(per_image, 1), 1)))
        if count == 1:
            yield op.x
            return
        bounds = [calls.ints([batch * i // count]) for i in range(count + 1)]
        for start, end in pairwise(bounds):
            yield calls.add(SliceOp(op.x, start, end))


def is_view(window: Window, spatial: Dims) -> bool:
    """Whether the windows are the input's elements, each once and in order: 1x1 windows, or one of all of it."""
    if any(window.before) or any(window.after):
        return False
    return window.kernel == spatial or {*window.kernel, *window.strides} == {1}


def columns_of(x: SSAValue, window: Window, group: int, positions: int, calls: Calls) -> SSAValue:
    """The windows of `x` as matrices [N, C*k, P] or [N, G, C/G*k, P]."""
    batch, channels, *spatial = dims_of(x.type)
    if is_view(window, tuple(spatial)):
        groups = (group,) if group > 1 else ()
        rows = (channels or 0) // group * prod(window.kernel)
        return calls.reshape(x, (batch, *groups, rows, positions))
    pads = (*window.before, *window.after)
    return calls.add(
        Im2colOp(
            x,
            kernel=window.kernel,
            strides=window.strides if set(window.strides) != {1} else None,
            pads=pads if any(pads) else None,
            dilations=window.dilations if set(window.dilations) != {1} else None,
            group=group,
        )
    )
