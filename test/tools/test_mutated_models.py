"""Mutated models: whatever bytes come, a Session runs, or refuses in one line; none crashes or takes much memory."""

from __future__ import annotations

import os
import random
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, parser

from nnfuse import CompileError, Session

COUNT = int(os.environ.get("NNFUSE_FUZZ", "60"))
"""How many mutations are tried; set NNFUSE_FUZZ for more."""

MAX_BYTES, MAX_SECONDS = 1 << 26, 10
EXTREMES = (0, 1, -1, 2, 3, 7, 64, 1 << 20, 1 << 31, 1 << 40, (1 << 63) - 1, -(1 << 63))

NUMBERS = ("i", "ints", "f", "floats", "int64_data", "dim_value")
"""Fields that say sizes and attributes: half of the mutated fields are of these."""

CONVOLUTIONS = """<ir_version: 10, opset_import: ["": 21]>
net (float[N,2,8,8] x) => (float[N,6] y)
<float[4,2,3,3] w = {WEIGHTS}, float[4] b = {0.5,-1,0,2}, float[64,6] d = {DENSE}, float c = {0.5}> {
  [conv] a = Conv <pads = [1,1,1,1], strides = [1,1], kernel_shape = [3,3]> (x, w, b)
  [relu] r = Relu (a)
  [pool] p = MaxPool <kernel_shape = [2,2], strides = [2,2]> (r)
  [mean] m = AveragePool <kernel_shape = [3,3], pads = [1,1,1,1], count_include_pad = 1> (p)
  [flatten] f = Flatten <axis = 1> (m)
  [dense] g = Gemm <alpha = 0.5, transB = 0> (f, d, c)
  [softmax] y = Softmax <axis = 1> (g)
}"""

SHAPES = """<ir_version: 10, opset_import: ["": 21]>
net (float[N,3,4] x) => (float[M] y)
<int64[1] zero = {0}, int64[1] two = {2}, int64[1] minus = {-1}, int64[2] tiles = {2,1}, int64[4] pads = {0,1,1,0}> {
  [shape] s = Shape (x)
  [first] n = Gather <axis = 0> (s, zero)
  [target] t = Concat <axis = 0> (n, minus)
  [reshape] r = Reshape (x, t)
  [tile] u = Tile (r, tiles)
  [pad] p = Pad <mode = "edge"> (u, pads)
  [slice] c = Slice (p, zero, two, zero)
  [ones] o = ConstantOfShape <value = float[1] {1.0}> (two)
  [expand] e = Expand (o, two)
  [cast] i = Cast <to = 6> (c)
  [back] j = Cast <to = 1> (i)
  [sum] q = ReduceSum <keepdims = 0> (j, minus)
  [unsqueeze] v = Unsqueeze (q, zero)
  [transpose] k = Transpose <perm = [1,0]> (v)
  [add] y = Add (k, e)
}"""

RESIZED = """<ir_version: 8, opset_import: ["": 13]>
net (float[1,2,4,4] x) => (float y)
<float[4] scales = {1,1,2,2}, float[2] gain = {1,2}, float[2] shift = {0,1}, float[2,1,2,2] w = {1,2,3,4,5,6,7,8}> {
  [norm] n = BatchNormalization <epsilon = 0.001> (x, gain, shift, shift, gain)
  [up] r = Resize <mode = "linear", coordinate_transformation_mode = "asymmetric"> (n, , scales)
  [back] d = ConvTranspose <strides = [2,2], group = 2, output_padding = [1,1]> (r, w)
  [parts] a, b = Split <axis = 1> (d)
  [lrn] l = LRN <size = 3, alpha = 0.1> (a)
  [clip] c = Clip (b, , )
  [join] j = Concat <axis = 1> (l, c)
  [where] y = LeakyRelu <alpha = 0.1> (j)
}"""

CONTROL = """<ir_version: 10, opset_import: ["": 21]>
net (float[N,4] x, int64 n) => (float[N,4] y, float[K,N] s, float[N,4] z)
<float[4,4] w = {0.5,0,0,1,0,0.5,1,0,0,1,0.5,0,1,0,0,0.5}, int64[1] one = {1}> {
  [outer] h = Relu (x)
  [loop] y, s = Loop (n, , h) <body = b (int64 k, bool go, float[N,4] a) => (more, a2, o) {
    [scale] f = Cast <to = 1> (k)
    [dense] m = MatMul (a, w)
    [limit] t = Constant <value_float = 50.0> ()
    [largest] l = ReduceMax <keepdims = 0> (m)
    [more] more = Less (l, t)
    [choice] a2 = If (more) <
      then_branch = t () => (p) { [captured] p = Add (m, h) },
      else_branch = e () => (q) { [nested] q = Mul (m, f) }
    >
    [row] o = ReduceSum <keepdims = 0> (a2, one)
  }>
  [scan] e, z = Scan <num_scan_inputs = 1, scan_input_axes = [0], scan_output_directions = [1],
                      body = c (g, i) => (g2, j) {
    [state] g2 = Add (g, i)
    [slice] j = Tanh (g2)
  }> (first, y)
  [zero] start = Constant <value_int = 0> ()
  [first] first = Gather <axis = 0> (x, start)
}"""

SEQUENCES = """<ir_version: 10, opset_import: ["": 21]>
net (float[N,4] x) => (float[M,4] y, int64 count, float[4] last)
<int64 half = {2}, int64 back = {-1}> {
  [split] pieces = SplitToSequence <axis = 1> (x, half)
  [map] mapped = SequenceMap (pieces, x) <body = b (float[N,2] a, float[N,4] c) => (float[N,4] d) {
    [twice] d2 = Concat <axis = 1> (a, a)
    [shift] d = Sub (d2, c)
  }>
  [insert] more = SequenceInsert (mapped, x, half)
  [erase] less = SequenceErase (more, back)
  [count] count = SequenceLength (less)
  [join] y = ConcatFromSequence <axis = 0> (less)
  [at] element = SequenceAt (less, back)
  [maybe] held = Optional (element)
  [whether] has = OptionalHasElement (held)
  [choice] last = If (has) <
    then_branch = t () => (p) {
      [get] g = OptionalGetElement (held)
      [axis] r = Constant <value_ints = [0]> ()
      [sum] p = ReduceSum <keepdims = 0> (g, r)
    },
    else_branch = e () => (q) { [none] q = Constant <value_floats = [0.0, 0.0, 0.0, 0.0]> () }
  >
}"""


def small_models() -> list[ModelProto]:
    """The models that are mutated."""
    digits = onnx.load_model(Path(__file__).parents[2] / "examples" / "digits.onnx")
    rng = np.random.default_rng(0)
    weights, dense = (",".join(f"{v:.3f}" for v in rng.normal(size=n)) for n in (72, 384))
    texts = (CONVOLUTIONS.replace("WEIGHTS", weights).replace("DENSE", dense), SHAPES, RESIZED, CONTROL, SEQUENCES)
    return [digits, *(parser.parse_model(text) for text in texts)]


def feeds(session: Session) -> dict[str, Any]:
    """Some small array for each input, as far as its sizes are small."""
    sizes = {v.name: [d if isinstance(d, int) else 2 for d in v.shape] for v in session.get_inputs()}
    return {v.name: np.ones(sizes[v.name] if np.prod(sizes[v.name], dtype=float) < 1e5 else [1], v.type)
            for v in session.get_inputs()}  # fmt: skip


def try_to_run(data: bytes) -> CompileError | None:
    """The one error that a model may raise, in one line, or None where it ran."""
    try:
        session = Session(data, max_bytes=MAX_BYTES)
        session.run(None, feeds(session))
    except CompileError as e:
        assert len(str(e).splitlines()) == 1 and str(e).isprintable()
        return e
    return None


def fields(message: Any) -> Iterator[tuple[Any, Any]]:
    """Every message inside `message` with each of its fields that is set."""
    for field, value in message.ListFields():
        yield message, field
        if field.message_type is not None:
            for inner in value if field.is_repeated else [value]:
                yield from fields(inner)


def mutate_field(model: ModelProto, rng: random.Random) -> bytes:
    """The model with one field removed, or one of its numbers, strings or items replaced."""
    copy = ModelProto.FromString(model.SerializeToString())
    places = list(fields(copy))
    numbers = [place for place in places if place[1].name in NUMBERS]
    message, field = rng.choice(numbers if rng.random() < 0.5 else places)
    value = getattr(message, field.name)
    if rng.random() < 0.15:
        message.ClearField(field.name)
    elif field.is_repeated:
        index = rng.randrange(len(value))
        if field.message_type is not None or rng.random() < 0.3:
            if rng.random() < 0.5:
                del value[index]
            else:
                value.extend([value[index]])
        else:
            value[index] = other(value[index], field, copy, rng)
    elif field.message_type is None:
        setattr(message, field.name, other(value, field, copy, rng))
    return copy.SerializeToString()


def other(value: Any, field: Any, model: ModelProto, rng: random.Random) -> Any:
    """Another value of a scalar field."""
    if isinstance(value, str):
        return rng.choice(["", "x", "w", "relu", "Relu", "Conv", "axis", "\n", "é", value + "'", *value[:1]])
    if isinstance(value, bytes):
        return rng.choice([b"", value[:-1], value + b"\0", b"\xff" * len(value)])
    if isinstance(value, float):
        return rng.choice([0.0, -1.0, 1e30, 1e-30, float("inf"), float("nan")])
    if field.enum_type is not None:
        return rng.choice([v.number for v in field.enum_type.values])
    extremes = [v for v in EXTREMES if -(1 << 31) <= v < 1 << 31] if field.cpp_type == field.CPPTYPE_INT32 else EXTREMES
    return rng.choice([*extremes, value + 1, value - 1])


def mutate(model: ModelProto, rng: random.Random) -> bytes:
    """The bytes of a model with a few fields or bytes changed, or cut short."""
    kind = rng.random()
    if kind < 0.6:
        data = mutate_field(model, rng)
        return mutate_field(ModelProto.FromString(data), rng) if rng.random() < 0.3 else data
    data = bytearray(model.SerializeToString())
    if kind < 0.7:
        return bytes(data[: rng.randrange(len(data))])
    for _ in range(rng.choice([1, 1, 2, 5])):
        data[rng.randrange(min(len(data), 2000))] = rng.randrange(256)
    return bytes(data)


def test_the_models_run() -> None:
    assert [try_to_run(model.SerializeToString()) for model in small_models()] == [None] * 6


@pytest.mark.filterwarnings("ignore")
def test_mutations_run_or_are_refused_in_one_line() -> None:
    models = small_models()
    refused = 0
    tracemalloc.start()
    try:
        for seed in range(COUNT):
            rng = random.Random(seed)
            data = mutate(models[seed % len(models)], rng)
            tracemalloc.reset_peak()
            start = time.monotonic()
            try:
                refused += try_to_run(data) is not None
            except BaseException as e:
                (kept := Path(os.environ.get("TMPDIR", "/tmp")) / f"nnfuse-mutation-{seed}.onnx").write_bytes(data)
                raise AssertionError(f"mutation {seed} ({kept}): {type(e).__name__}: {e}") from e
            peak = tracemalloc.get_traced_memory()[1]
            assert peak < 8 * MAX_BYTES, f"mutation {seed} took {peak} bytes"
            assert time.monotonic() - start < MAX_SECONDS, f"mutation {seed} took too long"
    finally:
        tracemalloc.stop()
    assert 0.2 * COUNT < refused < COUNT
