"""Where the channels of images and filters stand: first (nchw, which is ONNX's) or last (nhwc)."""

from __future__ import annotations

from typing import Any, TypeVar

from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Attribute

from ...errors import CompileError
from .types import Abstract, Array, tensor

CHANNELS_FIRST, CHANNELS_LAST = StringAttr("nchw"), StringAttr("nhwc")

T = TypeVar("T")


def is_channels_last(layout: Attribute) -> bool:
    """Whether a layout is nhwc; raises CompileError where it is neither."""
    if layout not in (CHANNELS_FIRST, CHANNELS_LAST):
        given = layout.data if isinstance(layout, StringAttr) else layout
        raise CompileError(f"layout '{given}' is unknown; it is nchw or nhwc")
    return layout == CHANNELS_LAST


def dims_first(layout: Attribute, dims: tuple[T, ...]) -> tuple[T, ...]:
    """The dims [N, C, spatial...] of dims in `layout`."""
    return (dims[0], dims[-1], *dims[1:-1]) if is_channels_last(layout) and len(dims) > 1 else dims


def dims_in(layout: Attribute, dims: tuple[T, ...]) -> tuple[T, ...]:
    """Dims [N, C, spatial...] in `layout`."""
    return (dims[0], *dims[2:], dims[1]) if is_channels_last(layout) and len(dims) > 1 else dims


def abstract_first(layout: Attribute, x: Abstract) -> Abstract:
    """What is known of `x` with its channels first."""
    return Abstract(tensor(x.element, dims_first(layout, x.dims))) if is_channels_last(layout) else x


def array_first(xp: Any, layout: Attribute, x: Array) -> Array:
    """`x` with its channels first, without a copy."""
    return xp.moveaxis(x, -1, 1) if is_channels_last(layout) else x


def array_in(xp: Any, layout: Attribute, x: Array) -> Array:
    """An array whose channels are first in `layout`, without a copy."""
    return xp.moveaxis(x, 1, -1) if is_channels_last(layout) else x
