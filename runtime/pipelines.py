"""The passes that make a program of a model, and what runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from xdsl.context import Context
from xdsl.dialects.builtin import Builtin, ModuleOp
from xdsl.dialects.func import Func
from xdsl.passes import ModulePass, PassPipeline
from xdsl.transforms.canonicalize import CanonicalizePass

from ..dialects.blas import BLAS
from ..dialects.cuda import CUDA
from ..dialects.cudnn import CUDNN
from ..dialects.nn import NN
from ..errors import CompileError, UnsupportedError
from ..universe import NNFUSE_UNIVERSE

FUSE = "canonicalize,fold-affine,fold-pad,fuse-activation,canonicalize"
"""What happens once, on symbolic shapes."""

PRECISIONS = ("f32", "tf32", "f16", "bf16")
"""f32 as it stands, on every device; the others on `cuda`."""


def layout_pipeline(precision: str, fuse: bool, device: str = "cpu") -> str:
    """What happens per input shapes, after specialize-shapes and before the lowering.

    Transposed convolutions become convolutions first, so that all that follows applies to them too.
    Below f32 the network runs on tensor cores: channels last, residuals in the epilogues.
    """
    # the CPU's own sums over a kernel are faster than products with more zeros than that (3x3 in strides of 2: 1.8)
    growth = "{growth=1.5}" if precision == "f32" and device == "cpu" else ""
    expand = f"canonicalize,expand-conv-transpose{growth}"
    if precision == "f32":
        return expand
    residual = "fuse-residual,fuse-activation," if fuse else ""
    narrow = "" if precision == "tf32" else f"convert-precision{{to={precision}}},"
    return f"{expand},{residual}{narrow}convert-layout,canonicalize"


def lower_pipeline(precision: str) -> str:
    """The lowering to library calls."""
    if precision == "f32":
        return "lower-nn-to-blas"
    tf32 = "{tf32=true}" if precision == "tf32" else ""
    return f"lower-nn-to-cuda{tf32},lower-nn-to-cudnn{tf32},lower-nn-to-blas{tf32},fuse-pack"


def finish_pipeline(device: str, fuse: bool) -> str:
    """What ends every pipeline. Only on `cuda` are kernels generated, and so gains an operation by its neighbours."""
    pointwise = "fuse-pointwise," if fuse and device == "cuda" else ""
    return f"{pointwise}hoist-parameters,plan-memory"


def compile_pipeline(precision: str = "f32", fuse: bool = True, device: str = "cpu") -> str:
    """All that happens per input shapes, after specialize-shapes."""
    return ",".join(
        (layout_pipeline(precision, fuse, device), lower_pipeline(precision), finish_pipeline(device, fuse))
    )


def new_context() -> Context:
    """An xDSL context with nnfuse's dialects."""
    context = Context()
    for dialect in (Builtin, Func, NN, BLAS, CUDA, CUDNN):
        context.load_dialect(dialect)
    return context


def run_passes(module: ModuleOp, pipeline: str, context: Context | None = None) -> None:
    """Apply a pass pipeline, written as for `fuse-opt -p`, to `module`."""
    passes: dict[str, Callable[[], type[ModulePass]]] = {**NNFUSE_UNIVERSE.all_passes}
    passes["canonicalize"] = lambda: CanonicalizePass
    PassPipeline.parse_spec(passes, pipeline).apply(context or new_context(), module)


def check_precision(precision: str, device: str) -> None:
    """Raise UnsupportedError where `device` does not compute in `precision`."""
    if precision not in PRECISIONS:
        raise UnsupportedError(f"precision '{precision}' is not supported", hint=" or ".join(PRECISIONS))
    if precision != "f32" and device != "cuda":
        raise UnsupportedError(f"precision '{precision}' needs the device cuda")


def format_dims_option(bindings: Mapping[str, int]) -> str:
    """`specialize-shapes{dims="N=8"}`; raises CompileError where a dim's name cannot be written there."""
    for name in bindings:
        if set(name) & set('",\\') or name != name.strip():
            raise CompileError(f"the dimension '{name}' cannot be written as an option of specialize-shapes")
    dims = ",".join(f"{name}={size}" for name, size in bindings.items())
    return f'specialize-shapes{{dims="{dims}"}}' if dims else "specialize-shapes"
