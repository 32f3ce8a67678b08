"""From `nn` to `blas`: one file per family of ops."""

from .lower_nn_to_blas import LowerNnToBlasPass

__all__ = ["LowerNnToBlasPass"]
