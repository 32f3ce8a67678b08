"""The tensors of a model that parameters stand for, and their names in IR."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from hashlib import blake2b

from onnx import TensorProto

from ..dialects.nn.types import Array
from ..errors import escape_name


class Weights:
    """The tensors that parameters stand for, by name; `taken` names are those of the model's graph itself."""

    def __init__(self, taken: Iterable[str]):
        self.tensors: dict[str, TensorProto | Array] = {}
        self._names: dict[tuple[str, Hashable], str] = {}
        self._taken = {escape_name(name) for name in taken}
        self._suffixes: Counter[str] = Counter()

    def add(self, name: str, tensor_: TensorProto | Array, inner: bool) -> str:
        """Keep a tensor; its name in IR, with a number behind it where an `inner` graph's is that of another tensor."""
        escaped = escape_name(name)
        if (known := self._names.get(key := (escaped, _identity(tensor_)))) is not None:
            return known
        candidate = escaped
        while candidate in self.tensors or (inner and candidate in self._taken):
            self._suffixes[escaped] += 1
            candidate = f"{escaped}_{self._suffixes[escaped]}"
        self.tensors[candidate] = tensor_
        self._names[key] = candidate
        return candidate


def _identity(tensor_: TensorProto | Array) -> Hashable:
    """What only this tensor of the model (which is kept) has, or all arrays of its bytes."""
    if isinstance(tensor_, TensorProto):
        return id(tensor_)
    return tensor_.dtype.name, tensor_.shape, blake2b(tensor_.tobytes()).digest()
