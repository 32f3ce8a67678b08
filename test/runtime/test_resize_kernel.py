"""The generated kernel of nn.resize against `evaluate` in float64: on the host, and on a GPU where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from cuda_on_host import host_and_gpu, place
from xdsl.dialects.builtin import DenseArrayBase, i64
from xdsl.ir import Block, SSAValue
from xdsl.parser import Parser

from nnfuse.dialects.nn.constant import ConstantOp
from nnfuse.dialects.nn.resize import ResizeOp
from nnfuse.dialects.nn.types import dims_of, element_of, tensor
from nnfuse.dialects.nn.unary import NegOp
from nnfuse.runtime.kernels import Backend, KernelContext, Scratch
from nnfuse.runtime.kernels.cupy import resize
from nnfuse.runtime.pipelines import new_context
from nnfuse.runtime.reference import main_function

FLOATS = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16, "f64": np.float64}


backend = host_and_gpu


@pytest.fixture
def packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if small tensors were large: threads compute packs along a resized axis too."""
    monkeypatch.setattr(resize, "MANY_THREADS", 1)


Case = tuple[ResizeOp, list[Any]]


def numbers(*dims: int, dtype: Any = np.float32) -> Any:
    dtype = np.dtype(dtype)
    rng = np.random.default_rng([7, *dims])
    if dtype.kind in "iub":
        return rng.integers(0, 2 if dtype.kind == "b" else 100, dims).astype(dtype)
    return rng.standard_normal(dims).astype(dtype)


def constant(values: Any) -> SSAValue | None:
    return None if values is None else ConstantOp.of(values).result


def resized(x: Any, *, scales: Any = None, sizes: Any = None, roi: Any = None, **fields: Any) -> Case:
    """A Resize of an array by these numbers, and its operands."""
    given = [
        None if roi is None else np.array(roi, np.float32),
        None if scales is None else np.array(scales, np.float32),
        None if sizes is None else np.array(sizes, np.int64),
    ]
    value = Block(arg_types=[tensor(element_of(x.dtype), x.shape)]).args[0]
    return ResizeOp(value, *map(constant, given), **fields), [x, *(g for g in given if g is not None)]


def run(backend: Backend, case: Case, shift: int = 0) -> Any:
    """The kernel's result; `shift` puts x and it that many elements after an aligned address."""
    op, (x, *given) = case
    kernel = backend.bind(op, KernelContext(backend.xp, Scratch(backend.xp)))
    assert kernel is not None, "it has no kernel"
    out = place(backend, np.full(dims_of(op.result.type), 77).astype(x.dtype), shift)
    kernel([out], [place(backend, x, shift), *given])
    return out.get() if hasattr(out, "get") else np.asarray(out)


def check(backend: Backend, close: Any, case: Case, shift: int = 0) -> None:
    op, (x, *given) = case
    op.verify()
    exact = x if op.mode.data == "nearest" or x.dtype.kind in "iub" else x.astype(np.float64)
    result, (expected,) = run(backend, case, shift), op.compute(np, [exact, *given])
    assert result.shape == expected.shape
    assert expected.size < 2 or len(np.unique(expected.astype(np.float64))) > 1, "the reference says nothing"
    if op.mode.data == "nearest":
        bits = f"u{x.dtype.itemsize}"
        np.testing.assert_array_equal(result.view(bits), expected.view(bits))
    else:
        close(result, expected)


LAYOUTS: dict[str, tuple[tuple[int, ...], tuple[int, int]]] = {
    "first": ((2, 3, 6, 8), (2, 3)),
    "first, odd": ((2, 3, 5, 7), (2, 3)),
    "last": ((2, 6, 4, 16), (1, 2)),
    "last, odd": ((2, 5, 7, 3), (1, 2)),
}
"""Dims, and which axes are resized."""

SCALES = {"up": (2.0, 1.7), "down": (0.5, 0.4)}

HOW: dict[str, dict[str, Any]] = {
    "nearest": {},
    "linear": {"mode": "linear"},
    "cubic": {"mode": "cubic", "cubic_coeff_a": -0.5},
    "cubic inside": {"mode": "cubic", "exclude_outside": 1},
    "linear antialias": {"mode": "linear", "antialias": 1},
    "cubic antialias": {"mode": "cubic", "antialias": 1, "exclude_outside": 1},
}


def image(layout: str, dtype: Any, scales: Sequence[float], **fields: Any) -> Case:
    dims, axes = LAYOUTS[layout]
    return resized(numbers(*dims, dtype=dtype), scales=scales, axes=list(axes), **fields)


def dtypes(backend: Backend, thorough: bool = False) -> list[Any]:
    """Those to try: on the host, where each kernel takes g++ a third of a second, one unless it is `thorough`."""
    return list(FLOATS.values()) if thorough or backend.name == "cuda" else [np.float16]


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("how", HOW)
def test_images(backend: Backend, close: Any, packs: None, how: str, layout: str, scales: str) -> None:
    for dtype in dtypes(backend, (layout, scales) == ("last", "up")):
        check(backend, close, image(layout, dtype, SCALES[scales], **HOW[how]))


@pytest.mark.parametrize("how", ["nearest", "linear"])
def test_few_threads(backend: Backend, close: Any, how: str) -> None:
    check(backend, close, image("first", np.float16, (2, 2), **HOW[how]))


COORDINATES = [
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
]


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("coordinates", COORDINATES)
def test_coordinates(backend: Backend, close: Any, coordinates: str, mode: str) -> None:
    how = {"mode": mode, "coordinate_transformation_mode": coordinates, "nearest_mode": "floor"}
    check(backend, close, image("first, odd", np.float32, (1.3, 0.6), **how))
    check(backend, close, resized(numbers(3, 5), sizes=[3, 1], **how))


@pytest.mark.parametrize("layout", ["first, odd", "last"])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_what_is_outside(backend: Backend, close: Any, packs: None, mode: str, layout: str) -> None:
    how = {"mode": mode, "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 7.3}
    for roi in ((0.1, 0.2, 1.4, 0.9), (-0.3, 0, 0.8, 1), (0.2, 0.2, 0.7, 0.9)):
        for dtype in dtypes(backend):
            check(backend, close, image(layout, dtype, (2.0, 1.5), roi=roi, **how))


def test_integers_outside(backend: Backend, close: Any) -> None:
    how = {"coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": -7.5}
    check(backend, close, resized(numbers(4, 6, dtype=np.int8), scales=(2, 1), roi=(0.2, 0, 1.3, 1), **how))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "dtype", [bool, np.uint8, np.int16, np.int32, np.int64, np.uint64, np.float16, ml_dtypes.bfloat16, np.float64]
)
def test_nearest_copies_any_type(backend: Backend, close: Any, packs: None, dtype: Any, layout: str) -> None:
    check(backend, close, image(layout, dtype, (2.0, 1.4)))


def test_nearest_copies_bits(backend: Backend) -> None:
    """Also a signalling NaN's, which arithmetic would change."""
    bits = np.array([[0x7C01, 0x8000, 0xFE55, 0x0001]], np.uint16)
    np.testing.assert_array_equal(
        run(backend, resized(bits.view(np.float16), scales=(1, 2))).view(np.uint16), np.repeat(bits, 2, axis=1)
    )


@pytest.mark.parametrize(
    "case",
    {
        "a row": resized(numbers(9), scales=[2.5], mode="linear"),
        "volumes": resized(numbers(2, 3, 4, 5, 6), sizes=[5, 3, 9], axes=[2, 3, 4], mode="linear"),
        "all axes": resized(numbers(2, 3, 4), scales=[2, 2, 2], mode="linear"),
        "axes apart": resized(numbers(3, 2, 5, 8), scales=[2, 1.5], axes=[2, 0], mode="linear"),
        "to one": resized(numbers(2, 5, 7, 8), sizes=[1, 1], axes=[1, 2], mode="linear"),
        "from one": resized(numbers(2, 1, 1, 8), sizes=[3, 4], axes=[1, 2], mode="cubic"),
        "to one, the last": resized(numbers(4, 8, 5), sizes=[1], axes=[2], mode="linear"),
        "one channel": resized(numbers(1, 6, 6, 1), scales=[2, 2], axes=[1, 2], mode="linear"),
        "aspect": resized(
            numbers(3, 5, 8), sizes=[7, 20], axes=[1, 2], keep_aspect_ratio_policy="not_larger", mode="linear"
        ),
        "much smaller": resized(numbers(64, 96), scales=[1 / 16, 1 / 16], mode="cubic", antialias=1),
        "as it is": resized(numbers(4, 6, dtype=np.int32), sizes=[4, 6], mode="linear"),
        "thrice, nearest": resized(numbers(2, 3, 4), scales=[3, 1, 3]),
        "crop of the same size": resized(
            numbers(5, 4), roi=[0.5, 0, 1, 1], scales=[1, 1], coordinate_transformation_mode="tf_crop_and_resize"
        ),
    }.items(),
    ids=lambda item: item[0],
)
def test_shapes(backend: Backend, close: Any, packs: None, case: tuple[str, Case]) -> None:
    check(backend, close, case[1])


@pytest.mark.parametrize("layout", ["first", "last"])
@pytest.mark.parametrize("how", ["nearest", "linear"])
def test_addresses_off_by_an_element(backend: Backend, close: Any, packs: None, how: str, layout: str) -> None:
    check(backend, close, image(layout, np.float16, (2, 1.5), **HOW[how]), shift=1)


def in_rows(array: Any, pitch: int) -> Any:
    """The bytes of an array whose rows begin `pitch` bytes apart, zeros between them; 0: none are between them."""
    rows = np.ascontiguousarray(array).view(np.uint8).reshape(-1, array.shape[-1] * array.dtype.itemsize)
    return np.pad(rows, [(0, 0), (0, pitch - rows.shape[1] if pitch else 0)])


@pytest.mark.parametrize("pitches", [(32, 32), (30, 16), (16, 30), (26, 26), (32, 0)])
@pytest.mark.parametrize(("channels", "axes"), [(8, [1, 2]), (7, [1, 3]), (1, [1])])
def test_rows_apart(
    backend: Backend, close: Any, packs: None, channels: int, axes: list[int], pitches: tuple[int, int]
) -> None:
    """Of x, which is another op's result, and of the result."""
    x, scales = numbers(2, 3, 4, channels, dtype=np.float16), np.array([2, 1.2], np.float32)[: len(axes)]
    made = NegOp(Block(arg_types=[tensor(element_of(x.dtype), x.shape)]).args[0])
    op = ResizeOp(made.result, None, constant(scales), None, axes=axes, mode="linear")
    for of, pitch in zip((made, op), pitches, strict=True):
        of.attributes["pitch"] = DenseArrayBase.from_list(i64, [pitch])
    kernel = backend.bind(op, KernelContext(backend.xp, Scratch(backend.xp)))
    assert kernel is not None
    (expected,) = op.compute(np, [x.astype(np.float64), scales])
    rows = place(backend, in_rows(np.zeros_like(expected, np.float16), pitches[1]))
    kernel([rows], [place(backend, in_rows(x, pitches[0]))])
    result, width = rows.get() if hasattr(rows, "get") else np.array(rows), expected.shape[-1] * 2
    close(np.ascontiguousarray(result[:, :width]).view(np.float16).reshape(expected.shape), expected)
    assert not result[:, width:].any(), "it wrote between the rows"


def test_large_offsets(backend: Backend, close: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resize, "index_type", lambda *_: "long long")
    for how in ("nearest", "linear"):
        check(backend, close, image("last", np.float32, (1.5, 0.7), **HOW[how]))


UNKNOWN_SCALES = """
func.func @main(%x: tensor<2x3xf32>, %scales: tensor<2xf32>) -> tensor<4x6xf32> {
  %y = nn.resize %x scales %scales : (tensor<2x3xf32>, tensor<2xf32>) -> tensor<4x6xf32>
  func.return %y : tensor<4x6xf32>
}
"""


def test_what_runs_by_compute(backend: Backend) -> None:
    unknown = main_function(Parser(new_context(), UNKNOWN_SCALES).parse_module()).body.block.first_op
    integers, _ = resized(numbers(8, 8, dtype=np.int32), scales=(2, 2), mode="linear")
    many_taps, _ = resized(numbers(512, 512), scales=(1 / 128, 1 / 128), mode="cubic", antialias=1)
    for op in (unknown, integers, many_taps):
        assert isinstance(op, ResizeOp)
        assert backend.bind(op, KernelContext(backend.xp, Scratch(backend.xp))) is None


def test_a_roi_that_does_not_count_may_be_unknown(backend: Backend) -> None:
    x = numbers(3, 4)
    value, roi = Block(arg_types=[tensor(element_of(x.dtype), s) for s in ((3, 4), (4,))]).args
    op = ResizeOp(value, roi, constant(np.array([2, 2], np.float32)), None)
    assert backend.bind(op, KernelContext(backend.xp, Scratch(backend.xp))) is not None
