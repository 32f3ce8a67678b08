"""Session: what it loads, what may be fed, what comes out, and what it refuses in one line."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnx
import pytest
from xdsl.dialects.builtin import ModuleOp

import nnfuse
from nnfuse.errors import CompileError, UnsupportedError
from nnfuse.lowering.onnx_to_nn import import_model
from nnfuse.passes.hoist_parameters import HoistParametersPass
from nnfuse.runtime.parameters import ModelParameters, write_parameters
from nnfuse.runtime.pipelines import FUSE, compile_pipeline, run_passes
from nnfuse.runtime.reference import evaluate, function
from nnfuse.runtime.session import Session

NETWORK = """g (float[N,3,6,5] x, float[4,3,3,3] w, float[4] b, float[4,5] d, float[5] e)
  => (float[N,4,4,3] y, float[N,5] z)
  { c = Conv(x, w, b)  y = Relu(c)  p = GlobalAveragePool(y)  f = Flatten(p)  z = Gemm(f, d, e) }"""


@pytest.fixture
def network(model_of: Callable[..., Any]) -> tuple[onnx.ModelProto, Any, list[Any]]:
    """The model, an input, and ONNX-free truth: its outputs by `evaluate` in float64."""
    model, feeds = model_of(NETWORK)
    func = function(import_model(model), "main")
    assert func is not None
    return model, feeds["x"], evaluate(func, [feeds["x"]], ModelParameters(model).__getitem__, wide=True)


def check(session: Session, x: Any, truths: list[Any], close: Any) -> None:
    results = session.run(None, {"x": x})
    assert len(results) == len(truths)
    for result, truth in zip(results, truths, strict=True):
        assert result.dtype == np.float32 and np.ptp(truth) > 0.1
        close(result, truth)


# What it loads


@pytest.mark.parametrize("form", ["str", "pathlib", "bytes", "proto", "relative"])
def test_an_onnx_model_in_every_form(
    form: str, network: Any, close: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x, truths = network
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    monkeypatch.chdir(tmp_path)
    given = {"str": str(path), "pathlib": path, "bytes": path.read_bytes(), "proto": model, "relative": "m.onnx"}
    before = model.SerializeToString()
    check(Session(given[form]), x, truths, close)
    assert model.SerializeToString() == before


def write_ir(model: onnx.ModelProto, passes: str, path: pathlib.Path) -> None:
    """The IR after `passes`, naming the model's file beside it."""
    onnx.save(model, path.with_name("m.onnx"))
    module = import_model(model, "m.onnx", path.with_name("m.onnx").stat().st_size)
    if passes:
        run_passes(module, passes)
    path.write_text(str(module))


SPECIALISED = f'{FUSE},specialize-shapes{{dims="N=2"}}'
LEVELS = {
    "imported": "",
    "fused": FUSE,
    "specialised": SPECIALISED,
    "lowered": f"{SPECIALISED},lower-nn-to-blas",
    "lowered, of symbolic shapes": f"{FUSE},lower-nn-to-blas",
    "hoisted": f"{SPECIALISED},lower-nn-to-blas,hoist-parameters",
    "planned": f"{SPECIALISED},{compile_pipeline()}",
    "planned, not fused": f'specialize-shapes{{dims="N=2"}},{compile_pipeline()}',
}


@pytest.mark.parametrize("level", LEVELS)
def test_ir_at_every_level(level: str, network: Any, close: Any, tmp_path: pathlib.Path) -> None:
    """The `.mlir` file finds its parameters beside it; a planned one is run as it is."""
    model, x, truths = network
    write_ir(model, LEVELS[level], tmp_path / "m.mlir")
    session = Session(tmp_path / "m.mlir")
    check(session, x, truths, close)
    shape = session.get_inputs()[0].shape
    assert shape == ((2, 3, 6, 5) if "N=2" in LEVELS[level] else ("N", 3, 6, 5))
    if level.startswith("planned"):
        assert session.compile([x.shape]) is session.module and session.pipeline([x.shape]) == ""


def test_a_module_and_a_parameter_file(network: Any, close: Any, tmp_path: pathlib.Path) -> None:
    """A ModuleOp is not changed; `parameters` names its weights, an ONNX or a .safetensors file."""
    model, x, truths = network
    onnx.save(model, tmp_path / "m.onnx")
    with (tmp_path / "p.safetensors").open("wb") as stream:
        write_parameters(stream, dict(ModelParameters(model)))
    module = import_model(model)
    text = str(module)
    for name in ("m.onnx", "p.safetensors"):
        check(Session(module, parameters=str(tmp_path / name)), x, truths, close)
    assert str(module) == text


LOADS: dict[str, tuple[Callable[[pathlib.Path, onnx.ModelProto], Any], str]] = {
    "a parameter file of another size": (
        lambda path, model: (
            (write_ir(model, "", path / "m.mlir"), (path / "m.onnx").open("ab").write(b" "))
            and Session(path / "m.mlir")
        ),
        "the parameter file '{path}/m.onnx' has {size} bytes, but the module was made for one of {size_before}",
    ),
    "no parameter file": (
        lambda path, model: (
            (write_ir(model, "", path / "m.mlir"), (path / "m.onnx").unlink()) and Session(path / "m.mlir")
        ),
        "the parameter file '{path}/m.onnx' is missing (name it with --parameters)",
    ),
    "parameters for ONNX": (
        lambda path, model: Session(model, parameters="p.safetensors"),
        "an ONNX model holds its parameters itself (parameter files are for IR)",
    ),
    "no parameters": (
        lambda path, model: Session(without_file(model)).run(None, {"x": np.zeros((1, 3, 6, 5), np.float32)}),
        "the parameter 'w' is not in the parameter file",
    ),
    "no file": (
        lambda path, model: Session(path / "none.mlir"),
        "cannot read '{path}/none.mlir': No such file or directory",
    ),
}


def without_file(model: onnx.ModelProto) -> ModuleOp:
    """The model's module, which names no parameter file."""
    module = import_model(model)
    module.attributes.pop("nn.parameters", None)
    return module


@pytest.mark.parametrize("name", LOADS)
def test_what_cannot_be_loaded_is_one_line(name: str, network: Any, tmp_path: pathlib.Path) -> None:
    load, line = LOADS[name]
    model = network[0]
    with pytest.raises(CompileError) as error:
        load(tmp_path, model)
    size = len(model.SerializeToString())
    expected = line.format(path=tmp_path, size=size + 1, size_before=size)
    assert str(error.value) in (expected, f"w: {expected}", f"%w: {expected}")


# Inputs and outputs


def test_inputs_and_outputs_are_described(network: Any) -> None:
    """Names, sizes (a dim's name where it is symbolic) and NumPy dtypes, in the model's order."""
    session = Session(network[0])
    assert [(v.name, v.shape, v.type) for v in session.get_inputs()] == [("x", ("N", 3, 6, 5), "float32")]
    assert [(v.name, v.type) for v in session.get_outputs()] == [("y", "float32"), ("z", "float32")]
    assert [v.shape[1:] for v in session.get_outputs()] == [(4, 4, 3), (5,)]
    assert nnfuse.Session is Session


def test_dims_without_names_get_some() -> None:
    arguments = "%x: tensor<?x3xf16>, %y: tensor<2x?xi64>"
    module = f"func.func @main({arguments}) -> tensor<?x3xf16> {{ func.return %x : tensor<?x3xf16> }}"
    from nnfuse.runtime.loading import parse_text
    from nnfuse.runtime.pipelines import new_context

    inputs = Session(parse_text(module, "text", new_context())).get_inputs()
    assert [(v.name, v.shape, v.type) for v in inputs] == [
        ("value_0", ("value_0_dim_0", 3), "float16"),
        ("value_1", (2, "value_1_dim_1"), "int64"),
    ]


@pytest.mark.parametrize(
    ("names", "picked"), [(None, [0, 1]), (["z"], [1]), (["z", "y"], [1, 0]), (["y", "z", "y"], [0, 1, 0]), ([], [])]
)
def test_outputs_are_chosen_by_name(names: Any, picked: list[int], network: Any) -> None:
    """In the order asked for."""
    model, x, _ = network
    session = Session(model)
    every = session.run(None, {"x": x})
    results = session.run(names, {"x": x})
    assert len(results) == len(picked)
    for result, index in zip(results, picked, strict=True):
        np.testing.assert_array_equal(result, every[index])


def test_an_unknown_output_is_refused(network: Any) -> None:
    with pytest.raises(CompileError) as error:
        Session(network[0]).run(["y", "q"], {"x": network[1]})
    assert str(error.value) == "'q' is no output (outputs: y, z)"


# Feeds


class Dlpack:
    """What speaks DLPack and is no NumPy array, as torch's tensors do."""

    def __init__(self, array: Any, device: int = 1):
        self.array, self.device = array, device

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (self.device, 0)


def sliced(x: Any) -> Any:
    """The same values in every second element of a larger array, backwards."""
    large = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    large[..., ::-2] = x
    return large[..., ::-2]


def read_only(x: Any) -> Any:
    x = x.copy()
    x.flags.writeable = False
    return x


def unaligned(x: Any) -> Any:
    """The same values from an odd address on."""
    memory = np.zeros(x.nbytes + 1, np.uint8)[1:]
    memory[:] = x.reshape(-1).view(np.uint8)
    return memory.view(x.dtype).reshape(x.shape)


FEEDS: dict[str, Callable[[Any], Any]] = {
    "non-contiguous": sliced,
    "Fortran order": np.asfortranarray,
    "transposed": lambda x: np.ascontiguousarray(x.T).T,
    "repeated": lambda x: np.broadcast_to(x, x.shape),
    "read-only": read_only,
    "unaligned": unaligned,
    "a subclass": lambda x: x.view(np.ma.MaskedArray),
    "DLPack": Dlpack,
    "read-only DLPack": lambda x: Dlpack(x.copy()),
}


@pytest.mark.parametrize("kind", FEEDS)
def test_every_layout_of_a_feed(kind: str, network: Any, close: Any) -> None:
    model, x, truths = network
    kept = x.copy()
    fed = FEEDS[kind](x)
    check(Session(model), fed, truths, close)
    np.testing.assert_array_equal(x, kept)


def test_lists_and_scalars_are_arrays(model_of: Any) -> None:
    """What NumPy makes of them must have the input's dtype."""
    model, _ = model_of("g (int64[2] x, bool[2] x1, double[2] x2) => (int64[2] z) { n = Neg(x)  z = Where(x1, n, x) }")
    feeds = {"x": [3, 4], "x1": [True, False], "x2": [0.5, 1.5]}
    np.testing.assert_array_equal(Session(model).run(None, feeds)[0], [-3, 4])


BIG_ENDIAN = np.dtype(np.float32).newbyteorder("S")
WRONG: dict[str, tuple[Callable[[Any], dict[str, Any]], str]] = {
    "a list of floats": (lambda x: {"x": x.tolist()}, "x: the input has the dtype float32, but float64 is given"),
    "byte order": (
        lambda x: {"x": x.astype(BIG_ENDIAN)},
        "x: the array is not in this machine's byte order (astype converts it)",
    ),
    "ragged": (lambda x: {"x": [[1.0], [1.0, 2.0]]}, "x: a list is given, which is no array"),
    "text": (lambda x: {"x": "text"}, "x: the input has the dtype float32, but str128 is given"),
    "a GPU's array": (
        lambda x: {"x": Dlpack(x, 2)},
        "x: the array is on a GPU, but the session runs on the CPU (use device='cuda')",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_feeds_are_one_line(kind: str, network: Any) -> None:
    """Those of the wrong name, dtype, rank or size are in test/tools/test_bad_input.py."""
    model, x, _ = network
    make, line = WRONG[kind]
    session = Session(model)
    with pytest.raises(CompileError) as error:
        session.run(None, make(x))
    assert str(error.value) == line
    assert not session._programs


# Options


def test_cuda_without_cupy_says_how_to_install_it(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from nnfuse.runtime.kernels.cupy import get_cuda_backend, library

    def absent(name: str) -> Any:
        raise ImportError(f"No module named '{name}'")

    get_cuda_backend.cache_clear()
    library.cupy.cache_clear()
    monkeypatch.setattr(library, "import_module", absent)
    with pytest.raises(CompileError) as error:
        Session(network[0], device="cuda")
    assert str(error.value) == (
        "device 'cuda' needs CuPy, which cannot be imported: No module named 'cupy' (pip install 'nnfuse[cuda13]')"
    )


OPTIONS: dict[str, tuple[dict[str, Any], type[CompileError], str]] = {
    "device": ({"device": "tpu"}, CompileError, "unknown device 'tpu' (cpu or cuda)"),
    "precision": (
        {"precision": "f8"},
        UnsupportedError,
        "precision 'f8' is not supported (f32 or tf32 or f16 or bf16)",
    ),
    "tf32 on the CPU": ({"precision": "tf32"}, UnsupportedError, "precision 'tf32' needs the device cuda"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_that_cannot_be_had(name: str, network: Any) -> None:
    options, kind, line = OPTIONS[name]
    with pytest.raises(kind) as error:
        Session(network[0], **options)
    assert type(error.value) is kind and str(error.value) == line


def test_max_bytes_limits_every_value(network: Any) -> None:
    """It is checked per input shapes, before anything is allocated; a smaller batch still runs."""
    model, x, _ = network
    session = Session(model, max_bytes=20_000)
    session.run(None, {"x": x})
    with pytest.raises(CompileError, match=r"bytes, more than the limit of 20000 \(--max-bytes\)$"):
        session.run(None, {"x": np.zeros((100, 3, 6, 5), np.float32)})
    assert len(session._programs) == 1


def test_programs_are_kept_per_shape_and_share_what_is_prepared(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, _ = network
    compiled: list[str] = []
    apply = HoistParametersPass.apply
    monkeypatch.setattr(HoistParametersPass, "apply", lambda *a: (compiled.append("once"), apply(*a))[1])
    session = Session(model)
    for batch in (2, 1, 2, 1):
        session.run(None, {"x": x[:batch]})
    assert len(compiled) == 2
    one, two = session.program([(1, 3, 6, 5)]), session.program([(2, 3, 6, 5)])
    assert one is not two and one is session.program([(1, 3, 6, 5)])
    ours, theirs = ({id(a) for op, a in p.fixed.items() if a.size > 16} for p in (one, two))
    assert ours and ours == theirs
    assert any(name.startswith("prepared.") for name in session._prepared)


def test_the_program_used_longest_ago_is_dropped(network: Any, close: Any, caplog: pytest.LogCaptureFixture) -> None:
    """One warning line for each; the next run with those shapes compiles again and is as right as before."""
    model, x, truths = network
    session = Session(model, max_programs=2)
    shapes = {n: [(n, *x.shape[1:])] for n in (1, 2, 3)}
    first = session.program(shapes[1])
    second = session.program(shapes[2])
    assert session.program(shapes[1]) is first and not caplog.records
    session.program(shapes[3])
    (record,) = caplog.records
    assert record.name == "nnfuse" and record.getMessage() == (
        "the program for x 2x3x6x5 is dropped, as 2 are kept: these shapes would be compiled again (max_programs)"
    )
    assert session.program(shapes[1]) is first
    assert session.program(shapes[2]) is not second
    check(session, x, truths, close)


def test_more_shapes_than_programs_from_several_threads(network: Any, close: Any) -> None:
    """Programs are dropped while others run them."""
    model, x, truths = network
    session = Session(model, max_programs=1)

    def run(count: int) -> None:
        for _ in range(5):
            check(session, x[:count], [t[:count] for t in truths], close)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(run, 1 + i % len(x)) for i in range(8)]:
            done.result()
    assert len(session._programs) == 1


@pytest.mark.parametrize("count", [0, -1])
def test_a_session_keeps_one_program_at_least(count: int, network: Any) -> None:
    with pytest.raises(CompileError, match=f"^max_programs must be positive, but is {count}$"):
        Session(network[0], max_programs=count)


def test_the_pipeline_is_what_ran(network: Any) -> None:
    """The passes that it names, by hand, make the same program."""
    model, x, _ = network
    for fuse in (True, False):
        session = Session(model, fuse=fuse)
        module = import_model(model)
        run_passes(module, session.pipeline([x.shape]))
        assert str(module) == str(session.compile([x.shape]))
