"""A program at work: threads, whose array is whose, odd outputs, empty batches, sizes that data decide, profiles."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from nnfuse.errors import CompileError, UnsupportedError
from nnfuse.passes.plan_memory import ALIGNMENT
from nnfuse.runtime.kernels.numpy import BACKEND
from nnfuse.runtime.session import Session

NETWORK = """g (float[N,3,H,8] x) => (float[N,5] z)
  <float[4,3,3,3] w, float[4] b, float[4,4,1,1] v, float[4,5] d, float[5] e>
  { y = Conv<pads=[1,1,1,1]>(x, w, b)  r = Relu(y)  s = Conv(r, v)  t = Add(s, y)  u = Relu(t)
    p = GlobalAveragePool(u)  f = Flatten(p)  m = MatMul(f, d)  z = Add(m, e) }"""


def model_of(text: str, opset: int = 17, seed: int = 0) -> onnx.ModelProto:
    """The model of an ONNX text graph; what is declared there without a value is a random initializer."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> {text}')
    rng = np.random.default_rng(seed)
    for info in model.graph.value_info:
        dims = [d.dim_value for d in info.type.tensor_type.shape.dim]
        array = rng.standard_normal(dims, dtype=np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, info.name))
    del model.graph.value_info[:]
    return model


def places(op: Any) -> Any:
    """The offsets of an operation's results."""
    return op.attributes["place"].get_values() if "place" in op.attributes else ()


def memory_of(array: Any) -> Any:
    """The array that owns the memory of `array`."""
    return array if array.base is None else memory_of(array.base)


def floats(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def test_eight_threads_run_one_session(float64_oracle: Any, close: Any) -> None:
    """Different inputs of different shapes at once, each shape first met by several threads."""
    model = model_of(NETWORK)
    session = Session(model)
    feeds = [floats(n, 3, h, 8, seed=10 * n + h) for n in (1, 2, 3) for h in (4, 9)]
    truths = [float64_oracle(model, {"x": x})[0] for x in feeds]
    start = threading.Barrier(8)

    def work(index: int) -> list[tuple[int, Any]]:
        start.wait()
        return [(k, session.run(None, {"x": feeds[k]})[0]) for k in ((index + i) % len(feeds) for i in range(24))]

    with ThreadPoolExecutor(8) as pool:
        results = [pair for pairs in pool.map(work, range(8)) for pair in pairs]
    assert len(results) == 8 * 24
    for k, result in results:
        close(result, truths[k], what=f"feed {k}")
    assert len(session._programs) == len(feeds)


def test_frames_are_as_many_as_ran_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two calls at one time have an arena each; later calls one after the other take one of those."""
    session = Session(model_of(NETWORK))
    x = floats(1, 3, 4, 8)
    program = session.program([x.shape])
    kernel, meet = program.steps[0].kernel, threading.Barrier(2)

    def wait(outs: Any, ins: Any) -> None:
        meet.wait(10)
        kernel(outs, ins)

    expected = program.run([x])[0]
    frames = [program._frames[0], type(program._frames[0])(program)]
    for frame in frames:
        monkeypatch.setattr(frame.steps[0], "kernel", wait)
    program._frames[:] = frames
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: program.run([x])[0], range(2)))
    assert [np.array_equal(r, expected) for r in results] == [True, True]
    assert len(program._frames) == 2 and not np.may_share_memory(frames[0].arena, frames[1].arena)


def test_outputs_are_the_callers() -> None:
    """A later run does not change what an earlier one gave; nor does the caller's writing change a later run."""
    session = Session(model_of(NETWORK))
    first, second = floats(2, 3, 4, 8, seed=1), floats(2, 3, 4, 8, seed=2)
    (kept,) = session.run(None, {"x": first})
    copy = kept.copy()
    (other,) = session.run(None, {"x": second})
    assert not np.array_equal(kept, other) and not np.may_share_memory(kept, other)
    np.testing.assert_array_equal(kept, copy)
    assert kept.flags.writeable
    kept[...] = np.nan
    np.testing.assert_array_equal(session.run(None, {"x": first})[0], copy)


def test_outputs_keep_no_arena_alive() -> None:
    """An output's memory is its own, not a piece of something larger."""
    (z,) = Session(model_of(NETWORK)).run(None, {"x": floats(2, 3, 4, 8)})
    assert memory_of(z).nbytes == z.nbytes


INPLACE = "g (float[3,8] x, float[3,8] y) => (float[3,8] z) { a = Relu(x)  b = Add(a, y)  c = Mul(b, x)  z = Neg(c) }"


def test_inputs_are_never_written() -> None:
    """Though every op here could work in place; read-only arrays do."""
    x, y = floats(3, 8, seed=1), floats(3, 8, seed=2)
    kept = x.copy(), y.copy()
    x.flags.writeable = y.flags.writeable = False
    (z,) = Session(model_of(INPLACE)).run(None, {"x": x, "y": y})
    np.testing.assert_array_equal(z, -((np.maximum(x, 0) + y) * x))
    np.testing.assert_array_equal((x, y), kept)


def test_a_view_of_an_input_that_says_a_shape_is_not_written() -> None:
    """Shape arithmetic runs on its own arrays: a reshaped input of it is a view of what the caller gave."""
    n = np.array(4)
    n.flags.writeable = False
    graph = "g (int64 n, float[1] x) => (float[M] y) <int64[1] s = {1}> { t = Reshape(n, s)  y = Expand(x, t) }"
    (y,) = Session(model_of(graph)).run(None, {"n": n, "x": np.ones(1, np.float32)})
    assert y.tolist() == [1, 1, 1, 1]


ODD_OUTPUTS: dict[str, tuple[str, Callable[[Any, Any], list[Any]]]] = {
    "an input": ("(float[4,6] x) => (float[4,6] x, float[4,6] z) { z = Neg(x) }", lambda x, w: [x, -x]),
    "an input alone": ("(float[4,6] x) => (float[4,6] x) { }", lambda x, w: [x]),
    "an input through Identity": ("(float[4,6] x) => (float[4,6] z) { z = Identity(x) }", lambda x, w: [x]),
    "a view of an input": (
        "(float[4,6] x) => (float[3,8] z) <int64[2] s = {3, 8}> { z = Reshape(x, s) }",
        lambda x, w: [x.reshape(3, 8)],
    ),
    "a parameter": (
        "(float[4,6] x) => (float[4,6] w, float[4,6] z) <float[4,6] w> { z = Add(x, w) }",
        lambda x, w: [w, x + w],
    ),
    "a view of a parameter": (
        "(float[4,6] x) => (float[24] z) <float[4,6] w, int64[1] s = {24}> { z = Reshape(w, s) }",
        lambda x, w: [w.reshape(24)],
    ),
    "what only weights make": ("(float[4,6] x) => (float[4,6] z) <float[4,6] w> { z = Neg(w) }", lambda x, w: [-w]),
    "a constant": (
        "(float[4,6] x) => (int64[2] s, float[3,8] z) <int64[2] s = {3, 8}> { y = Reshape(x, s) z = Neg(y) }",
        lambda x, w: [np.array([3, 8]), -x.reshape(3, 8)],
    ),
    "a value of which another is a view": (
        "(float[4,6] x) => (float[4,6] y, float[3,8] z) <int64[2] s = {3, 8}> { y = Neg(x)  z = Reshape(y, s) }",
        lambda x, w: [-x, -x.reshape(3, 8)],
    ),
    "views of one value": (
        "(float[4,6] x) => (float[24] z, float[3,8] u) <int64[2] s = {3, 8}, int64[1] t = {24}>"
        " { y = Neg(x)  z = Reshape(y, t)  u = Reshape(y, s) }",
        lambda x, w: [-x.reshape(24), -x.reshape(3, 8)],
    ),
    "a view of a view of another": (
        "(float[4,6] x) => (float[4,6] y, float[2,12] z) <int64[2] s = {3, 8}, int64[2] t = {2, 12}>"
        " { y = Neg(x)  a = Reshape(y, s)  b = Relu(a)  c = Add(b, a)  z = Reshape(c, t) }",
        lambda x, w: [-x, (np.maximum(-x, 0) - x).reshape(2, 12)],
    ),
    "pieces of one value": (
        "(float[4,6] x) => (float[2,6] y, float[2,6] z) { a = Neg(x)  y, z = Split(a) }",
        lambda x, w: [-x[:2], -x[2:]],
    ),
    "pieces, and what they are pieces of": (
        "(float[4,6] x) => (float[8,6] c, float[4,6] a, float[4,6] b)"
        " { a = Neg(x)  b = Relu(x)  c = Concat<axis=0>(a, b) }",
        lambda x, w: [np.concatenate([-x, np.maximum(x, 0)]), -x, np.maximum(x, 0)],
    ),
    "a piece of what is read on": (
        "(float[4,6] x) => (float[4,6] a, float[8,6] z)"
        " { a = Neg(x)  b = Exp(x)  c = Concat<axis=0>(a, b)  z = Relu(c) }",
        lambda x, w: [-x, np.maximum(np.concatenate([-x, np.exp(x)]), 0)],
    ),
    "one that is read on": (
        "(float[4,6] x) => (float[4,6] a, float[4,6] b) { a = Neg(x)  b = Relu(a) }",
        lambda x, w: [-x, np.maximum(-x, 0)],
    ),
}


@pytest.mark.parametrize("name", ODD_OUTPUTS)
def test_odd_outputs(name: str) -> None:
    """Each is right, an array of its own, and the caller's to write; twice."""
    text, expected = ODD_OUTPUTS[name]
    model = model_of(f"g {text}")
    session = Session(model)
    w = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}.get("w")
    for seed in (1, 2):
        x = floats(4, 6, seed=seed)
        results = session.run(None, {"x": x})
        for result, truth in zip(results, expected(x, w), strict=True):
            np.testing.assert_array_equal(result, truth)
        for index, result in enumerate(results):
            assert result.flags.writeable and not np.may_share_memory(result, x)
            assert memory_of(result).nbytes == result.nbytes
            assert all(not np.may_share_memory(result, other) for other in results[:index])
        for result in results:
            result[...] = 0


def test_the_same_value_twice() -> None:
    """ONNX gives each output a name of its own; IR need not."""
    text = """func.func @main(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
      %y = nn.neg %x : tensor<4xf32>
      func.return %y, %y, %x, %x : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
    }"""
    from nnfuse.runtime.loading import parse_text
    from nnfuse.runtime.pipelines import new_context

    x = floats(4)
    results = Session(parse_text(text, "text", new_context())).run(None, {"value_0": x})
    np.testing.assert_array_equal(results, [-x, -x, x, x])
    assert len({r.ctypes.data for r in (*results, x)}) == 5


@pytest.mark.parametrize("fuse", [True, False])
def test_an_empty_batch(fuse: bool, ort: Any) -> None:
    """No image, no result; and the session goes on."""
    model = model_of(NETWORK)
    session = Session(model, fuse=fuse)
    x = floats(0, 3, 4, 8)
    (result,) = session.run(None, {"x": x})
    assert result.shape == ort(model, {"x": x})[0].shape == (0, 5) and result.dtype == np.float32
    assert session.run(None, {"x": floats(2, 3, 4, 8)})[0].shape == (2, 5)


DATA = """g (float[N,4] x) => (int64[2,K] i, float[K] v, float[1] s)
  <int64[1] one = {1}, int64[1] axis = {0}, float[1] c>
  { p = Relu(x)  i = NonZero(p)  t = Transpose(i)  v = GatherND(p, t)  n = Shape(v)  e = Expand(c, n)  m = Mul(v, e)
    s = ReduceSum(m, axis) }"""


def test_sizes_that_data_decide() -> None:
    """One program for all of them; outputs of an earlier run stay."""
    model = model_of(DATA)
    c = numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == "c"))
    session = Session(model)
    runs = []
    for shift in (-9.0, 0.0, 0.5, 9.0):
        x = floats(3, 4, seed=3) + np.float32(shift)
        p = np.maximum(x, 0)
        runs.append((session.run(None, {"x": x}), np.array(p.nonzero()), p[p.nonzero()]))
    assert len({len(values) for _, _, values in runs}) == 4
    for (i, v, s), indices, values in runs:
        np.testing.assert_array_equal(i, indices)
        np.testing.assert_array_equal(v, values)
        np.testing.assert_allclose(s, [(values * c).sum()], rtol=1e-5, atol=1e-6)
    assert len(session._programs) == 1


def test_views_whose_shape_data_decide() -> None:
    """What a run makes of a value in the arena is a copy: the value's place is another's before it is read."""
    text = """g (float[4,6] x, int64[2] s) => (float[P,Q] z, float[4,6] u)
      { a = Neg(x)  r = Reshape(a, s)  b = Exp(x)  c = Abs(b)  z = Relu(r)  u = Sqrt(c) }"""
    session = Session(model_of(text))
    x = floats(4, 6)
    z, u = session.run(None, {"x": x, "s": np.array([3, -1])})
    offsets = {op.name: o for op in session.program([x.shape, (2,)]).plan.lifetimes.ops for o in places(op)}
    assert offsets["nn.neg"] == offsets["nn.exp"] == 0
    np.testing.assert_array_equal(z, np.maximum(-x, 0).reshape(3, 8))
    np.testing.assert_allclose(u, np.sqrt(np.exp(x)), rtol=1e-6)


def test_a_run_that_fails_leaves_a_program_that_works() -> None:
    """An index out of range names its node; the next run is right, and nothing of the failed one is kept."""
    text = "g (float[4] x, int64[2] i) => (float[2] z) { y = Neg(x)  z = Gather(y, i) }"
    session = Session(model_of(text))
    with pytest.raises(CompileError) as error:
        session.run(None, {"x": floats(4), "i": np.array([0, 4])})
    assert str(error.value) == "z: an index of nn.gather is out of range for the size 4"
    x = floats(4, seed=1)
    np.testing.assert_array_equal(session.run(None, {"x": x, "i": np.array([3, -4])})[0], [-x[3], -x[0]])
    frame = session.program([(4,), (2,)])._frames[0]
    assert not any(np.may_share_memory(a, x) for a in frame.arrays.values())
    assert not any(a is not None and np.may_share_memory(a, x) for s in frame.steps for a in s.ins)


def test_profile() -> None:
    """The results, and each call with its time: op, node name, and whether it ran on the default."""
    session = Session(model_of(NETWORK))
    x = floats(2, 3, 4, 8)
    program = session.program([x.shape])
    (result,), timings = program.profile([x])
    np.testing.assert_array_equal(result, session.run(None, {"x": x})[0])
    assert [step for step, _ in timings] == program.steps
    assert all(0 < seconds < 10 for _, seconds in timings)
    names = [step.op.name for step, _ in timings]
    assert names.count("blas.matmul") + names.count("blas.matmulrelu") == 2 and "blas.gemm" in names
    assert not any(step.default for step, _ in timings if step.op.name.startswith("blas.matmul"))


def test_arrays_of_a_device_are_packed() -> None:
    """In one buffer, each where a kernel may load it, and none in another."""
    device = SimpleNamespace(ndarray=np.ndarray, asarray=np.asarray, empty=np.empty)
    backend = dataclasses.replace(BACKEND, xp=device)
    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal((3, 5), np.float32), np.arange(7, dtype=np.float16), np.empty((0, 4)), np.float64(2)]
    arrays = [np.asarray(a) for a in (*arrays, np.arange(12).reshape(3, 4).T)]
    packed = backend.packed(arrays)
    for array, copy in zip(arrays, packed, strict=True):
        assert copy.dtype == array.dtype and copy.flags.c_contiguous and not backend.address(copy) % ALIGNMENT
        np.testing.assert_array_equal(copy, array)
    filled = [a for a in packed if a.nbytes]  # where an empty array begins says nothing
    starts = [backend.address(a) for a in filled]
    assert all(start + a.nbytes <= end for start, a, end in zip(starts, filled, starts[1:], strict=False))
    assert len({id(memory_of(a)) for a in filled}) == 1
    assert starts[-1] - starts[0] < 4 * ALIGNMENT + sum(a.nbytes for a in packed)
    assert backend.packed([]) == []


def test_inputs_of_element_types_that_the_device_lacks() -> None:
    """Are refused by name before anything is copied there; its array module does not know them."""

    def unknown(*_: Any, **__: Any) -> Any:
        raise ValueError("Unsupported dtype float8_e4m3fn")

    session = Session(model_of("g (float8e4m3fn[2] x) => (float[2] y) { y = Cast<to = 1>(x) }", opset=21))
    x = np.zeros(2, session._expected[0][1])
    device = SimpleNamespace(ndarray=SimpleNamespace, asarray=unknown, empty=np.empty)
    session._backend, session._array_type = dataclasses.replace(BACKEND, xp=device), SimpleNamespace
    with pytest.raises(UnsupportedError, match=r"^x: the element type f8E4M3FN is not supported on cpu$"):
        session.run(None, {"x": x})
