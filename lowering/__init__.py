"""From ONNX into `nn`, and from `nn` to library calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..registry import lazy

if TYPE_CHECKING:
    from xdsl.passes import ModulePass

PASSES: dict[str, Callable[[], type[ModulePass]]] = {
    "lower-nn-to-blas": lazy(__name__, "nn_to_blas", "LowerNnToBlasPass"),
    "lower-nn-to-cuda": lazy(__name__, "nn_to_cuda", "LowerNnToCudaPass"),
    "lower-nn-to-cudnn": lazy(__name__, "nn_to_cudnn", "LowerNnToCudnnPass"),
}
"""Pass name -> function that imports and returns the pass."""
