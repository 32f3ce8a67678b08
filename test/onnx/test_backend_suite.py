"""onnx.backend.test through `nnfuse.runtime.onnx_backend`; its node tests also with symbolic dims and constant inputs.

What is skipped is decided by nnfuse alone, never by a test's name: a test whose model uses what is not claimed raises
UnsupportedError in `prepare` or when it runs. Everything else must pass, of what onnx's runner can compare.
not_passing.txt lists what is skipped on the CPU, and why, for people: a case that is skipped for another reason than
stands there, or that is listed and passes, fails.
"""

from __future__ import annotations

import os
import re
import unittest
import warnings
import zlib
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.backend.base import BackendRep

from nnfuse.dialects.nn.random import RandomOp
from nnfuse.errors import CompileError, UnsupportedError
from nnfuse.runtime.kernels import get_backend
from nnfuse.runtime.onnx_backend import NnfuseBackend

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # onnx computes its expected infinities and NaNs with NumPy's warnings on
    import onnx.backend.test


FULL = bool(os.environ.get("NNFUSE_FULL"))
"""Whether every case runs in every variant."""

LIST = Path(__file__).with_name("not_passing.txt")
"""The cases that do not pass on the CPU; list_not_passing.py writes it."""


def read_list() -> tuple[str, dict[str, str]]:
    """The version of onnx that LIST is of, and the reason of each case in it."""
    reasons: dict[str, str] = {}
    heading, *lines = LIST.read_text().splitlines()
    reason = ""
    for line in filter(None, lines):
        if line.startswith(" "):
            reasons[line.strip()] = reason
        else:
            reason = line
    return heading.split()[2].rstrip(":"), reasons


def reason_of(skip: unittest.SkipTest) -> str:
    """Why a case is skipped, without the counts and names of the nodes."""
    return re.sub(r" \(\d+, first [^)]*\)|^\d+ operator\(s\) are ", "", str(skip))


LIST_VERSION, NOT_PASSING = read_list()


DIFFERENT = {
    "test_attention_4d_causal_fp16_expanded": "fails: one value of float16 is two units in the last place away, where"
    " onnx allows one; ONNX Runtime's is too"
}
"""The cases that are known to fail on every device, and why."""


def as_listed(name: str, case: Callable[[Any], None]) -> Callable[[Any], None]:
    """`case`, failing where NOT_PASSING is wrong about it; of another version of onnx than it is of, `case` itself."""
    if onnx.__version__ != LIST_VERSION:
        return case

    @wraps(case)
    def run(self: unittest.TestCase) -> None:
        listed = NOT_PASSING.get(name, "passes")
        try:
            case(self)
            found = "passes"
        except unittest.SkipTest as e:
            found = reason_of(e)
            if found == listed:
                raise
        except AssertionError:
            if listed != DIFFERENT.get(name):
                raise
            pytest.xfail(listed)
        if found != listed:
            self.fail(f"{LIST.name} says: {listed}; found: {found} (python test/onnx/list_not_passing.py writes it)")

    return run


def or_skip(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, skipping the test where it raises UnsupportedError."""

    @wraps(call)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **kwargs)
        except UnsupportedError as e:
            raise unittest.SkipTest(str(e)) from None

    return run


def or_incomparable(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, skipping the test where onnx's runner would ask for the length of a scalar."""

    @wraps(call)
    def run(*args: Any, **kwargs: Any) -> Any:
        results = call(*args, **kwargs)
        if any(a.ndim == 0 for r in results if isinstance(r, list) for a in r):
            raise unittest.SkipTest("onnx's runner does not compare scalars in sequences")
        return results

    return run


class Suite(NnfuseBackend):
    """The backend under test: on the CPU, models of unsupported ops skipped, and those that draw random numbers."""

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> Any:
        rep = or_skip(super().prepare)(model, device, **kwargs)
        rep.run = or_incomparable(or_skip(rep.run))
        for op in rep.session.module.walk():
            if isinstance(op, RandomOp):
                raise unittest.SkipTest(f"{op.name}: ONNX does not say how a seed becomes numbers")
        return rep

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        return True  # `prepare` says why not

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device == "CPU"


ROUNDED = "where the suite expects NumPy's rounding, up to 1.9e-7, cuFFT finds 0; onnx allows 1e-7"
DIFFERENT_ON_CUDA = {
    "test_dft_inverse_cuda": ROUNDED,
    "test_dft_inverse_opset19_cuda": ROUNDED,
    **{f"{name}_cuda": reason for name, reason in DIFFERENT.items()},
}
"""The cases that do not pass there, and why."""


class OnCuda(Suite):
    """The backend on the GPU, without models of element types that it has not (f8, f4 and integers below 8 bits)."""

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> Any:
        rep = super().prepare(model, device, **kwargs)
        run = rep.run

        def run_or_skip(inputs: Any, **kwargs: Any) -> Any:
            try:
                return run(inputs, **kwargs)
            except UnsupportedError as e:
                raise unittest.SkipTest(str(e)) from None

        rep.run = run_or_skip
        return rep

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device == "CUDA"


class SymbolicDims(Suite):
    """Every size of every input is a symbol of its own, known only when the model is run.

    Vectors of i64 keep their length: of many (a Reshape's `shape`, say) it decides the rank of a result.
    """

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> Any:
        changed = ModelProto()
        changed.CopyFrom(model)
        for value in changed.graph.input:
            type_ = value.type.tensor_type
            if type_.elem_type == TensorProto.INT64 and len(type_.shape.dim) == 1:
                continue
            for axis, dim in enumerate(type_.shape.dim):
                dim.dim_param = f"{value.name}_{axis}"
        for value in changed.graph.output:
            value.type.Clear()
        return super().prepare(changed, device)


class ConstantInputs(Suite):
    """Every input that is a tensor is an initializer: constant folding and @prepare compute the outputs."""

    class Rep(BackendRep):
        def __init__(self, model: ModelProto):
            self.model = model

        def run(self, inputs: Any, **kwargs: Any) -> Any:
            changed = ModelProto()
            changed.CopyFrom(self.model)
            fed: list[Any] = []
            for value, array in zip(changed.graph.input, inputs, strict=True):
                if value.type.HasField("tensor_type"):
                    changed.graph.initializer.append(numpy_helper.from_array(np.asarray(array), value.name))
                else:
                    fed.append(array)
            return Suite.prepare(changed).run(fed)

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> Any:
        return cls.Rep(model)


def cases(backend: type[Suite], suffix: str = "") -> Iterator[tuple[str, type[unittest.TestCase]]]:
    """Pytest's classes: onnx's test cases for `backend`, without those for other devices.

    Of a variant of the suite, the node tests only, without the function bodies: importing their operators expands those
    too. Of these every fourth runs, unless $NNFUSE_FULL is set (`make test-full`).
    """
    gpu, variant = backend is OnCuda, backend in (SymbolicDims, ConstantInputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        suite = onnx.backend.test.BackendTest(backend, __name__).test_cases
    for name, case in suite.items():
        kind = name.removeprefix("OnnxBackend").removesuffix("ModelTest")
        device = "_cuda" if gpu else "_cpu"
        members = {n: f for n, f in vars(case).items() if n.startswith("test_") and n.endswith(device)}
        if variant:
            members = {n: f for n, f in members.items() if kind == "Node" and not n.endswith("_expanded_cpu")}
            members = {n: f for n, f in members.items() if FULL or zlib.crc32(n.encode()) % 4 == 0}
        if backend is Suite:
            members = {n: as_listed(n.removesuffix(device), f) for n, f in members.items()}
        if members:
            members["pytestmark"] = [pytest.mark.usefixtures("onnx_home")]
            if gpu:
                members["pytestmark"] += [pytest.mark.gpu, pytest.mark.usefixtures("cuda")]
                for n in members.keys() & DIFFERENT_ON_CUDA:
                    members[n] = pytest.mark.xfail(strict=True, reason=DIFFERENT_ON_CUDA[n])(members[n])
            yield f"Test{kind}{suffix}", type(f"Test{kind}{suffix}", (unittest.TestCase,), members)


@pytest.fixture(scope="session")
def onnx_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """onnx writes the data of its light models below $ONNX_HOME."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONNX_HOME", str(tmp_path_factory.mktemp("onnx")))
        yield


@pytest.fixture(scope="session")
def cuda() -> None:
    """Tests skip where there is no GPU."""
    try:
        get_backend("cuda")
    except CompileError as e:
        pytest.skip(str(e))


globals().update(cases(Suite))
globals().update(cases(OnCuda, "OnCuda"))
globals().update(cases(SymbolicDims, "SymbolicDims"))
globals().update(cases(ConstantInputs, "ConstantInputs"))


@pytest.mark.skipif(onnx.__version__ != LIST_VERSION, reason=f"{LIST.name} is of onnx {LIST_VERSION}")
def test_listed_cases_exist() -> None:
    """Nothing is listed that the suite has not."""
    known = {n.removesuffix("_cpu") for _, case in cases(Suite) for n in vars(case)}
    assert NOT_PASSING and not NOT_PASSING.keys() - known
