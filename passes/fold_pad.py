"""`fold-pad`: zeros around an input become the padding of the convolution or average pool that reads it."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter

from ..dialects.nn.base import integer, ints, text
from ..dialects.nn.channels import is_channels_last
from ..dialects.nn.constant import constant_array
from ..dialects.nn.conv import ConvOp
from ..dialects.nn.pad import PadOp, Pads
from ..dialects.nn.pool import AveragePoolOp
from ..dialects.nn.shape import as_ints
from ..dialects.nn.types import dims_of
from ..rewriting import FusePattern, apply_fusions, count_uses, replace
from .producers import rebuild

Match = tuple[PadOp, ConvOp | AveragePoolOp]
"""A Pad and what reads it."""


class FoldPadIntoWindow(FusePattern[Match]):
    """`conv(pad(x, p), w) {pads = q}` -> `conv(x, w) {pads = p + q}`, and the same of an average pool.

    An average pool counts the zeros it was given, so it must have no padding of its own that does not count. Max
    pools stay: their padding is minus infinity, not zero. Transposed convolutions stay: their pads crop the result.
    """

    def match(self, op: Operation) -> Match | None:
        """A convolution or average pool of a Pad."""
        if isinstance(op, ConvOp | AveragePoolOp) and isinstance(op.x.owner, PadOp):
            return op.x.owner, op
        return None

    def refusal(self, match: Match) -> str | None:
        """Only zeros, only around spatial dims, and nothing else may read them."""
        pad, op = match
        uses = count_uses(pad)
        if uses != 1:
            return f"the padded tensor has {uses} uses"
        return refuse_zeros(pad) or _refuse_axes(pad) or _refuse_window(op)

    def fuse(self, match: Match, rewriter: PatternRewriter) -> None:
        """The sum of both pads."""
        pad, op = match
        widths = widths_of(pad)
        assert widths is not None
        spatial = widths[2:]
        added = [before for before, _ in spatial] + [after for _, after in spatial]
        own = ints(op.pads) if text(op.auto_pad) == "NOTSET" and op.pads is not None else (0,) * len(added)
        pads = [a + b for a, b in zip(added, own, strict=True)]
        counted = {"count_include_pad": 1} if isinstance(op, AveragePoolOp) else {}
        new = rebuild(op, x=pad.x, pads=pads, auto_pad="NOTSET", **counted)
        replace(rewriter, op, new, absorbed=[pad])

    def ends(self, match: Match) -> tuple[Operation, Operation]:
        """The Pad, into its reader."""
        return match


def widths_of(pad: PadOp) -> Pads | None:
    """What a Pad adds before and after each dim, where that is known."""
    pads, axes = constant_array(pad.pads), constant_array(pad.axes)
    if pads is None or (pad.axes is not None and axes is None):
        return None
    return pad.widths(as_ints(pads), None if axes is None else as_ints(axes), len(dims_of(pad.x.type)))


def refuse_zeros(pad: PadOp) -> str | None:
    """Why a Pad does not just add zeros, known in number, or None."""
    if text(pad.mode) != "constant":
        return f"its mode is {text(pad.mode)}"
    value = constant_array(pad.constant_value)
    if pad.constant_value is not None and value is None:
        return "its value is not a constant"
    if value is not None and value.any():
        return f"its value is {value.reshape(-1)[0]}, not 0"
    widths = widths_of(pad)
    if widths is None:
        return "its pads are not constants"
    return "its pads are negative" if any(min(w) < 0 for w in widths) else None


def _refuse_axes(pad: PadOp) -> str | None:
    widths = widths_of(pad)
    return "it pads the batch or the channels" if widths is None or any(any(w) for w in widths[:2]) else None


def _refuse_window(op: ConvOp | AveragePoolOp) -> str | None:
    if (auto_pad := text(op.auto_pad)) not in ("NOTSET", "VALID"):
        return f"the padding by auto_pad = {auto_pad} depends on the padded size"
    if is_channels_last(op.layout):
        return "its channels are last"
    if isinstance(op, ConvOp):
        return None
    if integer(op.ceil_mode):
        return "windows of ceil_mode reach beyond the padding"
    own = text(op.auto_pad) == "NOTSET" and any(ints(op.pads))
    return "the pool's own padding does not count" if own and not integer(op.count_include_pad) else None


@dataclass(frozen=True)
class FoldPadPass(ModulePass):
    """Fold Pads with zeros into the Conv or AveragePool that reads them."""

    name = "fold-pad"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite `op` in place."""
        apply_fusions(op, [FoldPadIntoWindow()])
