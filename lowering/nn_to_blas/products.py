"""Which `blas` product ends with what."""

from __future__ import annotations

from ...dialects.blas import BLAS
from ...dialects.blas.products import BiasedOp, MatmulOp, ProductOp
from ...dialects.nn.activation import ActivationAttr


def call_for(biased: bool, activation: ActivationAttr | None) -> tuple[type[ProductOp], ActivationAttr | None]:
    """The `blas` product with this epilogue and nothing to do after it, or the one without, and the activation."""
    family = BiasedOp if biased else MatmulOp
    calls = {c.EPILOGUE: c for c in BLAS.operations if issubclass(c, family)}
    return (calls[activation], None) if activation in calls else (calls[None], activation)
