"""Convolutions as im2col and one strided-batched GEMM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import prod
from typing import Any, ClassVar

from xdsl.ir import SSAValue

from ...dialects.blas import BroadcastOp, Im2colOp
from ...dialects.nn.base import NNOp, integer
from ...dialects.nn.channels import dims_first, is_channels_last
from ...dialects.nn.conv import ConvOp
from ...dialects.nn.elementwise import AddOp
from ...dialects.nn.index import SliceOp
from ...dialects.nn.join import ConcatOp
from ...dialects.nn.layout import TransposeOp
from ...dialects.nn.types import Dims, dims_of, dtype_of, element_type, format_dims, static_dims
from ...dialects.nn.windows import Window
from ..calls import Calls, Lowering
from .products import call_for


class LowerConv(Lowering):
    """`relu(conv(x, w) + bias)` -> `matmulrelu(reshape(w), im2col(x), broadcast(bias)) {beta = 1}`

    The columns are [N, C*k, P] (k kernel positions, P output positions), the filters [K, C*k] and the bias
    [K, P], both with a batch stride of 0, so that the whole batch is one product; with groups the batch dims are
    [N, G]. Where the windows are the input itself (1x1 or as large as the input, no padding), its columns are a
    view of it. Activations other than ReLU, and those after a residual, are operations on the product.

    Channels last, `relu(conv(x, w) + bias + r)` -> `gemmrelu(im2col(x), w, bias, r) {beta = 1, transB = 1}`: the
    columns are [N*P, k*C], the filters [K, k*C], so that the bias is the epilogue's vector and c takes the residual.
    With groups, bias, residual and activation are operations of their own behind a transpose.

    Where the columns of the batch exceed the budget, they are computed in as few pieces of whole images as fit it;
    those of an unknown batch always at once. Depthwise convolutions stay, which have a kernel of their own, and
    those with unknown dims other than the batch, whose filters and bias cannot be laid out.
    """

    OP: ClassVar[type[NNOp]] = ConvOp

    def __init__(self, im2col_budget: int):
        self.im2col_budget = im2col_budget

    def refusal(self, op: ConvOp) -> str | None:
        """Depthwise, or of unknown dims."""
        x, w = dims_first(op.layout, dims_of(op.x.type)), dims_of(op.w.type)
        if None in x[1:] or None in w:
            return f"the dims of {format_dims(x)} or {format_dims(w)} are not known"
        if 1 < integer(op.group) == x[1]:
            return "it is depthwise"
        if x[0] is None and 0 in (*x, *w):
            return "its batch is not known and another dim is 0"
        return None

    def lower(self, op: ConvOp, calls: Calls) -> SSAValue:
        """See the class."""
        if is_channels_last(op.layout):
            return self.lower_grouped_last(op, calls) if integer(op.group) > 1 else self.lower_last(op, calls)
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
        for (images,) in self.pieces(op, window, prod(out), calls, op.x):
            columns = columns_of(op, images, window, prod(out), calls)
            products.append(calls.add(product(filters, columns, c, **fields)))
        y = calls.reshape(joined(products, calls), (x[0], w[0], *out))
        if op.residual is not None:
            y, activation = calls.add(AddOp(y, op.residual)), op.activation
        return calls.activation(y, activation)

    def lower_last(self, op: ConvOp, calls: Calls) -> SSAValue:
        """One group, channels last: bias, residual and activation in one call."""
        x, w = dims_of(op.x.type), static_dims(dims_of(op.w.type))
        window = op.window(x, w)
        out = static_dims(window.output(x[1:-1]))
        filters = calls.reshape(op.w, (w[0], prod(w[1:])))
        # A residual of other dims repeats: c does not. Nor may one of an unknown batch.
        dims = (x[0], *out, w[0])
        fits = op.residual is not None and None not in dims and dims_of(op.residual.type) == dims
        added = None if fits else op.residual
        product, activation = call_for(op.bias is not None, None if added else op.activation)
        fields: dict[str, Any] = {"transB": 1} | ({"beta": 1.0} if fits else {})
        given = [op.x, op.residual] if fits and op.residual else [op.x]
        products: list[SSAValue] = []
        for images, *more in self.pieces(op, window, prod(out), calls, *given):
            batch = dims_of(images.type)[0]
            rows = product_of(batch, prod(out))
            columns = calls.reshape(columns_of(op, images, window, prod(out), calls), (rows, prod(w[1:])))
            residual = calls.reshape(more[0], (rows, w[0])) if more else None
            operands = [columns, filters, *([] if op.bias is None else [op.bias]), residual]
            products.append(calls.add(product(*operands, **fields)))
        y = calls.reshape(joined(products, calls), dims)
        if added is not None:
            y, activation = calls.add(AddOp(y, added)), op.activation
        return calls.activation(y, activation)

    def lower_grouped_last(self, op: ConvOp, calls: Calls) -> SSAValue:
        """Groups, channels last: products [N, G, P, K/G], brought together as [N, out..., K]."""
        x, w, group = dims_of(op.x.type), static_dims(dims_of(op.w.type)), integer(op.group)
        window = op.window(x, w)
        out = static_dims(window.output(x[1:-1]))
        filters = calls.reshape(op.w, (group, w[0] // group, prod(w[1:])))
        product, _ = call_for(False, None)
        products = [
            calls.add(product(columns_of(op, images, window, prod(out), calls), filters, None, transB=1))
            for (images,) in self.pieces(op, window, prod(out), calls, op.x)
        ]
        y = calls.add(TransposeOp(joined(products, calls), perm=[0, 2, 1, 3]))
        y = calls.reshape(y, (x[0], *out, w[0]))
        for addend in (op.bias, op.residual):
            if addend is not None:
                y = calls.add(AddOp(y, addend))
        return calls.activation(y, op.activation)

    def pieces(
        self, op: ConvOp, window: Window, positions: int, calls: Calls, *values: SSAValue
    ) -> Iterator[tuple[SSAValue, ...]]:
        """`values`, which begin with the batch dim, in the fewest and nearly equal pieces whose columns fit the budget.

        Each piece is written here.
        """
        batch, channels, *spatial = dims_first(op.layout, dims_of(op.x.type))
        if not batch or channels is None or is_view(window, tuple(spatial)):
            yield values
            return
        rows = channels * prod(window.kernel)
        per_image = rows * positions * dtype_of(element_type(op.x.type)).itemsize
        count = min(batch, -(-batch // max(self.im2col_budget // max(per_image, 1), 1)))
        if count == 1:
            yield values
            return
        bounds = [calls.ints([batch * i // count]) for i in range(count + 1)]
        for start, end in pairwise(bounds):
            yield tuple(calls.add(SliceOp(value, start, end)) for value in values)


def joined(pieces: Sequence[SSAValue], calls: Calls) -> SSAValue:
    """Pieces along the batch as one value."""
    return pieces[0] if len(pieces) == 1 else calls.add(ConcatOp(pieces, axis=0))


def product_of(batch: int | None, positions: int) -> int | None:
    """The rows of all images."""
    return None if batch is None else batch * positions


def is_view(window: Window, spatial: Dims) -> bool:
    """Whether the windows are the input's elements, each once and in order: 1x1 windows, or one of all of it."""
    if any(window.before) or any(window.after):
        return False
    return window.kernel == spatial or {*window.kernel, *window.strides} == {1}


def columns_of(op: ConvOp, x: SSAValue, window: Window, positions: int, calls: Calls) -> SSAValue:
    """The windows of images as matrices [N, C*k, P] or, channels last, [N, P, k*C]; groups come after the images."""
    batch, channels, *spatial = dims_first(op.layout, dims_of(x.type))
    group, last = integer(op.group), is_channels_last(op.layout)
    if is_view(window, tuple(spatial)) and not (last and group > 1):
        groups = (group,) if group > 1 else ()
        rows = (channels or 0) // group * prod(window.kernel)
        return calls.reshape(x, (batch, *groups, *((positions, rows) if last else (rows, positions))))
    pads = (*window.before, *window.after)
    return calls.add(
        Im2colOp(
            x,
            kernel=window.kernel,
            strides=window.strides if set(window.strides) != {1} else None,
            pads=pads if any(pads) else None,
            dilations=window.dilations if set(window.dilations) != {1} else None,
            group=group,
            layout=op.layout,
        )
    )
