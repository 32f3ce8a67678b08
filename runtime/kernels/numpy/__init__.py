"""The CPU backend: BLAS through NumPy, and the other hot ops without NumPy's temporaries.

Every kernel writes its results where they belong; the default, `compute`, allocates them (and mostly more) and has them
copied. Kernels are sequential but for the BLAS: see docs/decisions/cpu-threads.md.
"""

import numpy as np

from .. import Backend
from . import conv, elementwise, im2col, join, matmul, pool

KERNELS = {
    **matmul.KERNELS,
    **im2col.KERNELS,
    **conv.KERNELS,
    **pool.KERNELS,
    **elementwise.KERNELS,
    **join.KERNELS,
}
"""Op class -> bind; see `runtime.kernels`."""

VIEWS = {**im2col.VIEWS}
"""Op class -> its result as a view of fixed operands."""

BACKEND = Backend(
    "cpu",
    np,
    KERNELS,
    VIEWS,
    rows_apart=frozenset(matmul.KERNELS) | frozenset(join.KERNELS),
    reads_rows_apart=frozenset(matmul.KERNELS) | frozenset(join.KERNELS),
)
"""The backend of `cpu`."""
