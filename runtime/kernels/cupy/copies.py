"""Ops that put elements elsewhere: each piece of a result is one kernel, in as wide loads and stores as it allows."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from ....dialects.blas.columns import BroadcastOp
from ....dialects.nn.base import NNOp, integer, text
from ....dialects.nn.cast import CastOp
from ....dialects.nn.constant import constant_array
from ....dialects.nn.index import SliceOp
from ....dialects.nn.join import ConcatOp, SplitOp
from ....dialects.nn.layout import ExpandOp, TransposeOp
from ....dialects.nn.pad import PadOp
from ....dialects.nn.rearrange import BlockOp
from ....dialects.nn.shape import as_ints
from ....dialects.nn.types import Array, normalize_axis, static_dims
from .. import Kernel, KernelContext
from .elementwise import broadcast_kernel
from .maps import map_kernel
from .operands import Tensor, place_of, tensor_of, tensors
from .source import itemsize, literal
from .strided import Access, Aligned


def _copy(op: NNOp, dims: tuple[int, ...], out: Access, x: Access) -> Aligned:
    return map_kernel(op.name, dims, out, [x], "x0")


def _row_major(x: Tensor) -> Access:
    return Access(as_bits(x.dtype), x.strides)


def as_bits(dtype: str) -> str:
    """The unsigned integers of an element's size: copying does not compute."""
    return f"uint{8 * itemsize(dtype)}"


def _pieces(whole: Tensor, pieces: list[Tensor], axis: int) -> list[Access]:
    """Where each of consecutive pieces along an axis starts in the whole, walked with the whole's strides."""
    starts = [sum(p.dims[axis] for p in pieces[:n]) for n in range(len(pieces))]
    return [Access(as_bits(whole.dtype), whole.strides, start * whole.strides[axis]) for start in starts]


def _lies_there(part: SSAValue, whole: SSAValue, access: Access) -> bool:
    """Whether a part whose rows lie apart has its place in the whole, where `access` finds it: nothing is copied."""
    inner, outer = tensor_of(part), tensor_of(whole)
    if inner.pitch is None or inner.pitch != (outer.pitch or outer.dims[-1]):
        return False
    return place_of(part) == place_of(whole) + access.offset * itemsize(outer.dtype)


def bind_concat(op: ConcatOp, context: KernelContext) -> Kernel | None:
    """One copy for each operand that is not empty, nor written where it belongs."""
    ins, (out,) = tensors(op)
    axis = normalize_axis(integer(op.axis), len(out.dims))
    accesses = _pieces(out, ins, axis)
    kernels = [
        (n, _copy(op, i.dims, a, _row_major(i)))
        for n, (i, a) in enumerate(zip(ins, accesses, strict=True))
        if 0 not in i.dims and not _lies_there(op.inputs[n], op.result, a)
    ]

    def kernel(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        for n, copy in kernels:
            copy(outs[0], ins[n])

    return kernel


def bind_split(op: SplitOp, context: KernelContext) -> Kernel | None:
    """One copy for each result that is not empty, nor left where it is in the operand."""
    outs = tensors(op)[1]
    x = tensor_of(op.x)
    axis = normalize_axis(integer(op.axis), len(x.dims))
    accesses = _pieces(x, outs, axis)
    kernels = [
        (n, _copy(op, o.dims, _row_major(o), a))
        for n, (o, a) in enumerate(zip(outs, accesses, strict=True))
        if 0 not in o.dims and not _lies_there(op.pieces[n], op.x, a)
    ]

    def kernel(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        for n, copy in kernels:
            copy(outs[n], ins[0])

    return kernel


def bind_transpose(op: TransposeOp, context: KernelContext) -> Kernel | None:
    """A walk over the result, with the operand's strides permuted."""
    x = tensor_of(op.x)
    return _permuted(op, x, op.permutation(len(x.dims)), tensor_of(op.result))


def bind_blocks(op: BlockOp, context: KernelContext) -> Kernel | None:
    """A walk over the result with its blocks' rows and columns as dims of their own; the operand's are permuted."""
    x = tensor_of(op.x)
    dims, order = op.parts(x.dims)
    return _permuted(op, Tensor(dims, x.dtype), order, Tensor(tuple(dims[a] for a in order), x.dtype))


def _permuted(op: NNOp, x: Tensor, order: Sequence[int], out: Tensor) -> Kernel:
    walk = Access(as_bits(x.dtype), tuple(x.strides[a] for a in order))
    kernel = _copy(op, out.dims, _row_major(out), walk)
    return lambda outs, ins: kernel(outs[0], ins[0])


def bind_slice(op: SliceOp, context: KernelContext) -> Kernel | None:
    """Of known indices: a walk over the result with the operand's strides multiplied by the steps."""
    x, out = tensor_of(op.x), tensor_of(op.result)
    if (given := op.given()) is None:
        return None
    taken = [r for r in op.ranges(x.dims, given) if r is not None]
    walk = Access(
        as_bits(x.dtype),
        tuple(s * r.step for s, r in zip(x.strides, taken, strict=True)),
        sum(s * r.start for s, r in zip(x.strides, taken, strict=True)),
    )
    kernel = _copy(op, out.dims, _row_major(out), walk)
    return lambda outs, ins: kernel(outs[0], ins[0])


def bind_expand(op: ExpandOp, context: KernelContext) -> Kernel | None:
    """A broadcast."""
    x, out = tensor_of(op.x), tensor_of(op.result)
    kernel = _copy(op, out.dims, _row_major(out), Access.broadcast(as_bits(x.dtype), x.dims, out.dims))
    return lambda outs, ins: kernel(outs[0], ins[0])


def bind_broadcast(op: BroadcastOp, context: KernelContext) -> Kernel | None:
    """The vector, written as often as the result says."""
    v, out = tensor_of(op.v), tensor_of(op.result)
    walk = Access.broadcast(as_bits(v.dtype), static_dims(op.spread(v.dims)), out.dims)
    kernel = _copy(op, out.dims, _row_major(out), walk)
    return lambda outs, ins: kernel(outs[0], ins[0])


def bind_pad(op: PadOp, context: KernelContext) -> Kernel | None:
    """Zeros (or another constant of the text) everywhere, then `x` where it belongs; no cropping."""
    x, out = tensor_of(op.x), tensor_of(op.result)
    pads, value = constant_array(op.pads), constant_array(op.constant_value)
    axes = None if op.axes is None else constant_array(op.axes)
    unknown = pads is None or (axes is None) != (op.axes is None) or (value is None) != (op.constant_value is None)
    if unknown or text(op.mode) != "constant":
        return None
    widths = op.widths(as_ints(pads), None if axes is None else as_ints(axes), len(x.dims))
    if any(min(w) < 0 for w in widths):
        return None
    number = 0.0 if value is None else float(value.reshape(-1)[0])
    filled = Access.broadcast(out.dtype, out.dims, out.dims)
    fill = map_kernel(op.name, out.dims, filled, [], literal(number, out.dtype))
    start = sum(s * before for s, (before, _) in zip(out.strides, widths, strict=True))
    inside = Access(as_bits(out.dtype), out.strides, start)
    put = _copy(op, x.dims, inside, _row_major(x))

    def kernel(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        fill(outs[0])
        put(outs[0], ins[0])

    return kernel


def bind_cast(op: CastOp, context: KernelContext) -> Kernel | None:
    """Between types of which one holds the other's numbers, by C's conversion: towards zero, as ONNX has it."""
    x, out = tensor_of(op.x), tensor_of(op.result)
    narrow = out.dtype in ("float16", "bfloat16")
    if narrow and x.dtype not in ("float32", "float16", "bfloat16", "bool", "int8", "uint8", "int16", "uint16"):
        return None  # by way of float it would be rounded twice
    kernel = broadcast_kernel(op, "(float)x0" if narrow else "x0")
    return lambda outs, ins: kernel(outs[0], ins[0])
