"""The CUDA backend: GEMMs by cuBLASLt with its epilogues, the other hot ops by kernels generated for their shapes.

Nothing here is imported before somebody asks for the device `cuda`. All kernels run on CuPy's current stream, take no
memory and wait for nothing, so that a program of them can be captured in a CUDA graph.
"""

from __future__ import annotations

from functools import cache

from .. import Backend
from . import library


@cache
def get_cuda_backend() -> Backend:
    """The backend of `cuda`; raises CompileError, saying how to install what is missing, where it cannot run."""
    from .compiling import finish
    from .graph import Fence, Graph, Neighbour, elapsed
    from .registry import ALTERNATIVES, KERNELS, READS_ROWS_APART, RELOCATABLE, ROWS_APART
    from .streams import CudaStreams

    return Backend(
        "cuda",
        library.require(),
        KERNELS,
        alternatives=ALTERNATIVES,
        capture=Graph,
        streams=CudaStreams,
        relocatable=RELOCATABLE,
        rows_apart=ROWS_APART,
        reads_rows_apart=READS_ROWS_APART,
        elapsed=elapsed,
        neighbour=Neighbour,
        finish_binding=finish,
        describe=library.describe,
        fence=Fence,
        current=library.current_device,
        device_of=library.device_of,
        trim=library.trim,
        check_caller=library.check_caller,
        free_bytes=library.free_bytes,
        is_shortage=library.is_shortage,
    )
