"""Scan against ONNX Runtime and float64: states, axes, directions, captures; and refusals."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import parser

from nnfuse import CompileError, Session, UnsupportedError
from nnfuse.lowering.onnx_to_nn import import_model
from nnfuse.runtime.reference import main_function

RNG = np.random.default_rng(9)


def model_of(body: str, head: str, opset: int = 17) -> onnx.ModelProto:
    """The model of ONNX text; `"Scan"`s in it have the attribute `body`."""
    return parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> g {head} {{ {body} }}')


RUNNING = "ax = Constant <value_ints = [0]> () m = ReduceSum <keepdims = 0> (e, ax) a2 = Add(a, m) o = Mul(a2, w)"


@pytest.mark.parametrize("backwards", [0, 1])
@pytest.mark.parametrize(
    "axes", ["", "scan_input_axes = [1], scan_output_axes = [1],", "scan_input_axes = [-2], scan_output_axes = [-1],"]
)
def test_axes_and_directions(axes, backwards, ort, float64_oracle, close):
    model = model_of(
        f"""y, s = Scan <num_scan_inputs = 1, {axes} scan_input_directions = [{backwards}],
            scan_output_directions = [{1 - backwards}], body = b (a, e) => (a2, o) {{ {RUNNING} }}> (h, x)""",
        "(float[4] h, float[N,T,4] x, float[4] w) => (float[4] y, float[A,B] s)",
    )
    model.graph.output[1].type.tensor_type.ClearField("shape")
    main_function(import_model(model)).verify()
    session = Session(model)
    for n, t in ((1, 1), (2, 5), (3, 3)):
        feeds = {
            "h": RNG.standard_normal(4).astype(np.float32),
            "x": RNG.standard_normal((n, t, 4)).astype(np.float32),
            "w": RNG.standard_normal(4).astype(np.float32),
        }
        rows = zip(session.run(None, feeds), float64_oracle(model, feeds), ort(model, feeds), strict=True)
        for result, truth, peer in rows:
            assert (result.shape, result.dtype) == (peer.shape, peer.dtype)
            close(result, truth, peer)


def test_several_states_and_inputs(ort, close):
    model = model_of(
        """y, z, s, q = Scan <num_scan_inputs = 2, body = b (i, a, u, v) => (i2, a2, o, p) {
            one = Constant <value_int = 1> () i2 = Add(i, one) f = Cast <to = 1> (i2) h = Mul(u, f) a2 = Sub(a, h)
            o = Neg(v) p = Identity(i2)
        }> (n, x, x2, x3)""",
        "(int64 n, float[2] x, float[T,2] x2, float[T,3] x3) => (int64 y, float[2] z, float[T,3] s, int64[T] q)",
    )
    session = Session(model)
    for steps in (1, 4):
        feeds = {
            "n": np.array(3),
            "x": RNG.standard_normal(2).astype(np.float32),
            "x2": RNG.standard_normal((steps, 2)).astype(np.float32),
            "x3": RNG.standard_normal((steps, 3)).astype(np.float32),
        }
        for result, peer in zip(session.run(None, feeds), ort(model, feeds), strict=True):
            assert (result.shape, result.dtype) == (peer.shape, peer.dtype)
            close(result, peer)


def test_no_slices():
    """ONNX Runtime does not survive it."""
    model = model_of(
        """y, s = Scan <num_scan_inputs = 1, scan_output_axes = [1], body = b (a, e) => (a2, o) {
            a2 = Add(a, e) o = Neg(e)
        }> (h, x)""",
        "(float[4] h, float[T,4] x) => (float[4] y, float[4,T] s)",
    )
    y, s = Session(model).run(None, {"h": np.ones(4, np.float32), "x": np.ones((0, 4), np.float32)})
    assert y.tolist() == [1, 1, 1, 1] and s.shape == (4, 0)


REFUSED: dict[str, tuple[str, str]] = {
    "lengths": (
        "s = Scan <num_scan_inputs = 2, body = b (a, e) => (o) { o = Add(a, e) }> (x, z)",
        "^s: the inputs 4x3 and 5x3 are not of one length$",
    ),
    "body inputs": (
        "s = Scan <num_scan_inputs = 1, body = b (a, e) => (o) { o = Add(a, e) }> (x)",
        "^s: the body has 2 inputs; it must have 1$",
    ),
    "too many": (
        "s = Scan <num_scan_inputs = 3, body = b (a) => (o) { o = Neg(a) }> (x)",
        "^s: num_scan_inputs is 3, but the node has 1 inputs$",
    ),
    "axis": (
        "s = Scan <num_scan_inputs = 1, scan_input_axes = [2], body = b (a) => (o) { o = Neg(a) }> (x)",
        "^s: axis 2 is out of range for rank 2$",
    ),
    "axes": (
        "s = Scan <num_scan_inputs = 1, scan_input_axes = [0, 1], body = b (a) => (o) { o = Neg(a) }> (x)",
        "^s: scan_input_axes has 2 entries; it needs 1$",
    ),
    "direction": (
        "s = Scan <num_scan_inputs = 1, scan_input_directions = [2], body = b (a) => (o) { o = Neg(a) }> (x)",
        r"^s: scan_input_directions is \[2\]; a direction is 0 or 1$",
    ),
    "state": (
        """s = Scan <num_scan_inputs = 1, body = b (a, e) => (o) {
            u = Constant <value_ints = [0]> () o = Unsqueeze(a, u)
        }> (z, x)""",
        "^s: state 0 before and after the body have the ranks 2 and 3",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case):
    body, message = REFUSED[case]
    with pytest.raises(CompileError, match=message):
        import_model(model_of(body, "(float[4,3] x, float[5,3] z) => (float s)"))


BATCHED = """y, s = Scan <num_scan_inputs = 2, {} body = b (a, e, f) => (a2, o) {{
    g = Mul(e, w) i = Sub(g, f) a2 = Add(a, i) o = Neg(a2)
}}> ({}, h, x, z)"""


@pytest.mark.parametrize("directions", ["", "directions = [1, 0],"])
def test_the_batched_form_of_opset_8(directions, ort, float64_oracle, close):
    model = model_of(
        BATCHED.format(directions, ""),
        "(float[N,3] h, float[N,T,3] x, float[N,T,1] z, float[3] w) => (float[N,3] y, float[N,T,3] s)",
        opset=8,
    )
    main_function(import_model(model)).verify()
    session = Session(model)
    for batch, steps in ((1, 4), (3, 2)):
        dims = {"h": (batch, 3), "x": (batch, steps, 3), "z": (batch, steps, 1), "w": (3,)}
        feeds = {n: RNG.standard_normal(d).astype(np.float32) for n, d in dims.items()}
        rows = zip(session.run(None, feeds), float64_oracle(model, feeds), ort(model, feeds), strict=True)
        for result, truth, peer in rows:
            assert (result.shape, result.dtype) == (peer.shape, peer.dtype)
            close(result, truth, peer)


def test_errors_of_the_batched_form():
    head = "(int64[2] l, float[2,3] h, float[2,4,3] x, float[2,5,1] z, float[3] w) => (float y, float s)"
    with pytest.raises(UnsupportedError, match=r"^y: Scan of opset 8 with sequence_lens is not supported"):
        import_model(model_of(BATCHED.format("", "l"), head, opset=8))
    with pytest.raises(CompileError, match=r"^y: the inputs 4x3 and 5x1 are not of one length$"):
        import_model(model_of(BATCHED.format("", ""), head, opset=8))
