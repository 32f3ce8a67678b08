"""Everything nnfuse adds to xDSL, for `fuse-opt` and, as an `xdsl.universe` plug-in, for plain `xdsl-opt`."""

from __future__ import annotations

from xdsl.universe import Universe

from . import lowering, passes
from .registry import lazy

_DIALECTS = f"{__package__}.dialects"

NNFUSE_UNIVERSE = Universe(
    all_dialects={
        "nn": lazy(_DIALECTS, "nn", "NN"),
        "blas": lazy(_DIALECTS, "blas", "BLAS"),
        "cuda": lazy(_DIALECTS, "cuda", "CUDA"),
        "cudnn": lazy(_DIALECTS, "cudnn", "CUDNN"),
    },
    all_passes={**passes.PASSES, **lowering.PASSES},
)
