"""Replacing operations without losing where they came from, and saying what did not fuse and why."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Generic, TypeVar, cast

from xdsl.dialects.builtin import (
    ArrayAttr,
    FusedLoc,
    LocationAttr,
    ModuleOp,
    NameLoc,
    NoneAttr,
    StringAttr,
    UnknownLoc,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.pattern_rewriter import (
    GreedyRewritePatternApplier,
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
)

from .errors import CompileError, escape_name, printable

_REMARKS: ContextVar[list[str] | None] = ContextVar("nnfuse_remarks", default=None)


def name_location(name: str) -> NameLoc:
    """The location of an ONNX node."""
    return NameLoc(StringAttr(escape_name(name)), NoneAttr())


def location_names(location: Attribute) -> tuple[str, ...]:
    """The ONNX node names in a location, in order, without repeats."""
    return tuple(_named(location))


def _named(location: Attribute) -> dict[str, NameLoc]:
    """What names each node in a location: as it is, as chains of fusions would make it anew each time."""
    if isinstance(location, NameLoc):
        return {location.desc.data: location}
    found: dict[str, NameLoc] = {}
    if isinstance(location, FusedLoc):
        for part in cast(ArrayAttr[Attribute], location.locations):
            for name, named in _named(part).items():
                found.setdefault(name, named)
    return found


def node_name(op: Operation) -> str:
    """How messages call an operation: its ONNX node names joined by `+`, else its result's name, else its op name."""
    if names := location_names(op.location):
        return "+".join(names)
    hint = op.results[0].name_hint if op.results else None
    return f"%{hint}" if hint else op.name


def count_uses(op: Operation) -> int:
    """How often the results of `op` are used; a `func.return` is a use."""
    return sum(1 for result in op.results for _ in result.uses)


def fuse_locations(locations: Sequence[LocationAttr]) -> LocationAttr:
    """One location that names every node of `locations` once."""
    parts = list(_named(FusedLoc(tuple(locations), NoneAttr())).values())
    if not parts:
        return UnknownLoc()
    return parts[0] if len(parts) == 1 else FusedLoc(tuple(parts), NoneAttr())


def replace(
    rewriter: PatternRewriter,
    op: Operation,
    new_ops: Operation | Sequence[Operation],
    new_results: Sequence[SSAValue | None] | None = None,
    absorbed: Sequence[Operation] = (),
) -> None:
    """Replace `op`; new operations without a location take those of `absorbed` and of `op`.

    `absorbed` are producers folded into the replacement, in the order of the dataflow; each is erased once unused.
    """
    ops = [new_ops] if isinstance(new_ops, Operation) else list(new_ops)
    location = fuse_locations([*(a.location for a in absorbed), op.location])
    for new in ops:
        if isinstance(new.location, UnknownLoc):
            new.location = location
    rewriter.replace(op, ops, new_results)
    for producer in reversed(absorbed):
        if producer.parent is not None and not any(r.first_use for r in producer.results):
            rewriter.erase(producer)


def recognise(rewriter: PatternRewriter, op: Operation, new: Operation, absorbed: Sequence[Operation]) -> None:
    """Replace `op` and the operations `absorbed`, which spell `new` out, by it, and remark that."""
    name = node_name(op)
    replace(rewriter, op, new, absorbed=absorbed)
    remark(f"{'+'.join(location_names(new.location)) or name} recognised as {new.name}")


@contextmanager
def collect_remarks() -> Generator[list[str]]:
    """While open, fusing passes append a line for each fusion and each near miss to the list it yields."""
    remarks: list[str] = []
    token = _REMARKS.set(remarks)
    try:
        yield remarks
    finally:
        _REMARKS.reset(token)


def remark(line: str) -> None:
    """Record one remark where somebody collects them; names in it are escaped."""
    remarks = _REMARKS.get()
    if remarks is not None:
        remarks.append(printable(line))


M = TypeVar("M")


class FusePattern(RewritePattern, ABC, Generic[M]):
    """A rewrite that is found (`match`), may be refused (`refusal`) and is then done (`fuse`).

    Its docstring is its equation. `match` says whether the shape of the pattern is there at all, so that a refusal is
    a near miss worth a remark; `refusal` gives one reason, or None.
    """

    @abstractmethod
    def match(self, op: Operation) -> M | None:
        """What the pattern found at `op`, or None where it does not apply."""

    @abstractmethod
    def refusal(self, match: M) -> str | None:
        """Why `match` must not be rewritten, or None."""

    @abstractmethod
    def fuse(self, match: M, rewriter: PatternRewriter) -> None:
        """Rewrite a match that is not refused."""

    @abstractmethod
    def ends(self, match: M) -> tuple[Operation, Operation]:
        """The operation folded and the operation it is folded into, for remarks."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        """Rewrite `op` where it matches and is not refused."""
        match = self.match(op)
        if match is None or self.refusal(match) is not None:
            return
        what, into = (node_name(end) for end in self.ends(match))
        self.fuse(match, rewriter)
        remark(f"{what} fused into {into}")

    def explain(self, op: Operation) -> None:
        """Record why `op`, which is still there, was not rewritten."""
        match = self.match(op)
        if match is not None and (reason := self.refusal(match)) is not None:
            what, into = (node_name(end) for end in self.ends(match))
            remark(f"{what} not fused into {into}: {reason}")


def apply_fusions(module: ModuleOp, patterns: Sequence[FusePattern[Any]]) -> None:
    """Apply `patterns` to a fixpoint, then ask each what still refuses (where remarks are collected).

    What nothing reads any more (weights that others took the place of) is erased.
    """
    applier = GreedyRewritePatternApplier(list(patterns))
    PatternRewriteWalker(applier).rewrite_module(module)
    if _REMARKS.get() is None:
        return
    for op in module.walk():
        for pattern in patterns:
            pattern.explain(op)


def error_at(op: Operation, error: CompileError) -> CompileError:
    """`error`, naming `op`'s node."""
    return error.at(node_name(op))
