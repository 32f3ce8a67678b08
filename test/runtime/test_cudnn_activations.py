"""The activations that a cuDNN graph ends with mean what they mean in nn; on a GPU, in every form of convolution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from xdsl.parser import Parser

from nnfuse.dialects.cudnn.conv import ACTIVATIONS, may_end_with
from nnfuse.dialects.nn.activation import ActivationAttr
from nnfuse.dialects.nn.special import erf
from nnfuse.dialects.nn.types import dtype_of, element_type
from nnfuse.runtime.kernels import Backend
from nnfuse.runtime.kernels.cupy.cudnn_activations import activated
from nnfuse.runtime.pipelines import new_context, run_passes
from nnfuse.runtime.program import Program
from nnfuse.runtime.reference import evaluate, main_function
from nnfuse.runtime.timing import no_parameters
from nnfuse.runtime.tolerance import RELATIVE_L2, relative_l2

PARAMETERS = {"leaky_relu": (0.1,), "elu": (1.0,), "swish": (1.0,)}
KINDS = [(kind, PARAMETERS.get(kind, ())) for kind in ACTIVATIONS]
KINDS += [("clip", (0.0, 0.5)), ("clip", (-0.5, 0.25)), ("clip", (0.0, np.inf))]
X = np.array([-np.inf, -200, -4, -3, -1, -0.3, -0.0, 0, 0.2, 0.5, 1, 3, 5, 6, 200])


class Graph:
    """The nodes of a cuDNN graph on NumPy arrays, as its documentation defines them."""

    def relu(self, x: Any, lower_clip: float | None = None, upper_clip: float | None = None) -> Any:
        return np.clip(x, 0.0 if lower_clip is None else lower_clip, upper_clip)

    def leaky_relu(self, x: Any, negative_slope: float) -> Any:
        return np.where(x > 0, x, negative_slope * x)

    def elu(self, x: Any) -> Any:
        return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))

    def sigmoid(self, x: Any) -> Any:
        return 1 / (1 + np.exp(-x))

    def swish(self, x: Any) -> Any:
        return x / (1 + np.exp(-x))

    def gelu(self, x: Any) -> Any:
        return x * 0.5 * (1 + erf(np, x * 0.5**0.5))

    def gelu_approx_tanh(self, x: Any) -> Any:
        return x * 0.5 * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))

    def softplus(self, x: Any) -> Any:
        return np.logaddexp(x, 0)

    tanh, add, mul = staticmethod(np.tanh), staticmethod(np.add), staticmethod(np.multiply)


@pytest.mark.parametrize(("kind", "values"), KINDS)
def test_nodes(kind: str, values: tuple[float, ...]) -> None:
    activation = ActivationAttr.of(kind, *values)
    assert may_end_with(activation)
    finite = X[np.isfinite(X)]
    with np.errstate(over="ignore"):
        y = activated(Graph(), finite, activation, lambda v: v)
    np.testing.assert_allclose(y, activation.apply(np, finite), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("elu", (0.5,)),
        ("swish", (1.702,)),
        ("clip", (1.0, -1.0)),
        ("clip", (-np.inf, 1.0)),
        ("selu", (1.6, 1.0)),
        ("shrink", (0.5, 0.0)),
    ],
)
def test_near_misses(kind: str, values: tuple[float, ...]) -> None:
    """Other parameters than cuDNN's; bounds in the wrong order, or none."""
    assert not may_end_with(ActivationAttr.of(kind, *values))


FORMS = {
    "3x3": ("2x9x9x16", "32x3x3x16", "2x9x9x32", "pads [1, 1, 1, 1]", False),
    "1x1": ("2x9x9x16", "32x1x1x16", "2x9x9x32", "", True),
    "stem": ("2x12x12x3", "16x3x3x3", "2x6x6x16", "pads [1, 1, 1, 1] strides [2, 2]", False),
    "dilated, asymmetric": ("1x12x12x8", "8x3x3x8", "1x11x11x8", "pads [1, 2, 2, 1] dilations [2, 2]", True),
    "grouped": ("2x9x9x32", "64x3x3x8", "2x9x9x64", "pads [1, 1, 1, 1] group = 4", False),
    "12 channels": ("1x9x9x12", "4x3x3x12", "1x7x7x4", "", False),
    "3-D": ("1x5x6x7x8", "16x3x3x3x8", "1x5x6x7x16", "pads [1, 1, 1, 1, 1, 1]", True),
}
"""Image, filters, result, fields, whether there is a residual."""

PRECISIONS = {"f16": "f16", "bf16": "bf16", "tf32": "f32"}


@pytest.mark.gpu
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("kind", "values"), KINDS)
def test_on_the_device(cuda: Backend, kind: str, values: tuple[float, ...], form: str, precision: str) -> None:
    """Against float64; with values where sigmoids are saturated, too."""
    element = PRECISIONS[precision]
    x, w, y, fields, has_residual = FORMS[form]
    filters = w.split("x", 1)[0]
    tensors = [f"tensor<{dims}x{element}>" for dims in (x, w, filters, *([y] if has_residual else []))]
    names = ["%x", "%w", "%b", "%r"][: len(tensors)]
    residual = " residual %r" if has_residual else ""
    parameters = f"<{', '.join(map(str, values))}>" if values else ""
    module = Parser(
        new_context(),
        f"""func.func @main({", ".join(f"{n}: {t}" for n, t in zip(names, tensors, strict=True))}) -> tensor<{y}x{element}> {{
  %y = nn.conv %x, %w bias %b{residual} {fields} layout = "nhwc" activation = {kind}{parameters} {{nn.call = "cudnn"}} : ({", ".join(tensors)}) -> tensor<{y}x{element}>
  func.return %y : tensor<{y}x{element}>
}}""",  # noqa: E501
    ).parse_module()
    func = main_function(module.clone())
    run_passes(module, "lower-nn-to-cudnn{tf32=true},plan-memory")
    (call,) = [op for op in main_function(module).walk() if op.name == "cudnn.conv"]
    assert call.activation is not None
    rng = np.random.default_rng(7)
    arrays = [rng.standard_normal(tuple(map(int, t[7:].split("x")[:-1]))) for t in tensors]
    arrays[1] *= 4 * arrays[1][0].size ** -0.5
    arrays[2] *= 8
    inputs = [a.astype(dtype_of(element_type(v.type))) for a, v in zip(arrays, func.args, strict=True)]
    (result,) = Program(module, no_parameters, cuda, {}).run([cuda.xp.asarray(i) for i in inputs])
    (expected,) = evaluate(func, [i.astype(np.float64) for i in inputs], no_parameters, np, wide=True)
    assert relative_l2(cuda.xp.asnumpy(result).astype(np.float64), expected) <= RELATIVE_L2[precision]
