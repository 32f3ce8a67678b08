"""RNN, GRU and LSTM against ONNX Runtime; layout 1, which that refuses, against layout 0."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator
from xdsl.dialects.builtin import f32, f64, i32, i64
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.gate_functions import GATE_FUNCTIONS
from nnfuse.dialects.nn.recurrent import GRUOp, LSTMOp, RNNOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.errors import CompileError
from nnfuse.runtime.session import Session

RNG = np.random.default_rng(0)
OPS = {"RNN": (1, 1, 1), "GRU": (3, 2, 1), "LSTM": (4, 3, 2)}
"""Name -> (gates, activation functions, states)."""
STEPS, BATCH, INPUTS, HIDDEN = 5, 3, 4, 6
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}

every_op = pytest.mark.parametrize("name", OPS)
every_direction = pytest.mark.parametrize("direction", DIRECTIONS)


def operands(name, direction="forward", dtype=np.float32, seed=1):
    """x, w, r, b, sequence_lens, initial_h and, of an LSTM, initial_c and p."""
    rng, d, (gates, _, states) = np.random.default_rng(seed), DIRECTIONS[direction], OPS[name]
    shapes = [
        (STEPS, BATCH, INPUTS),
        (d, gates * HIDDEN, INPUTS),
        (d, gates * HIDDEN, HIDDEN),
        (d, 2 * gates * HIDDEN),
        *[(d, BATCH, HIDDEN)] * states,
        *[(d, 3 * HIDDEN)] * (states - 1),
    ]
    values = [(rng.standard_normal(s) * 0.5).astype(dtype) for s in shapes]
    values.insert(4, np.array([4, 1, 5], np.int32))
    return values


def attributes(direction="forward", **more):
    """The node's attributes."""
    return {"hidden_size": HIDDEN, "direction": direction, **more}


def outputs(name):
    """The result and each final state."""
    return 1 + OPS[name][2]


@every_op
@every_direction
@pytest.mark.parametrize("opset", [7, 14, 22])
def test_all_inputs(check_node, name, direction, opset):
    results = check_node(name, operands(name, direction), attributes(direction), opset=opset, outputs=outputs(name))
    assert len(results) == outputs(name)


@every_op
@pytest.mark.parametrize("absent", [(3, 4, 5, 6, 7), (3,), (4,), (5,), (6,), (7,), (3, 7)])
def test_optional_inputs(check_node, name, absent):
    inputs = [None if i in absent else v for i, v in enumerate(operands(name, "bidirectional"))]
    while inputs[-1] is None:
        inputs.pop()
    check_node(name, inputs, attributes("bidirectional"), outputs=outputs(name))


@every_op
def test_hidden_size_and_outputs_may_be_left_out(check_node, name):
    for count in range(1, outputs(name) + 1):
        assert len(check_node(name, operands(name), outputs=count, against_ort=False)) == count


@every_op
@every_direction
@pytest.mark.parametrize("clip", [0.3, 2.0])
def test_clip(check_node, name, direction, clip):
    check_node(name, operands(name, direction), attributes(direction, clip=clip), outputs=outputs(name))


@pytest.mark.parametrize("name", ["GRU", "LSTM"])
def test_a_clip_of_0_is_none(check_node, name):
    results = check_node(name, operands(name), attributes(clip=0.0), against_ort=False)
    np.testing.assert_array_equal(results[0], check_node(name, operands(name), attributes())[0])


def test_a_clip_of_0_clips_an_rnn(check_node):
    check_node("RNN", operands("RNN"), attributes(clip=0.0, activations=["Affine"], activation_beta=[0.5]))


@pytest.mark.parametrize("name", ["GRU", "LSTM"])
def test_why_a_clip_of_0_is_none(name, ort):
    """There is no peer that clips there: ONNX Runtime refuses it, and ONNX's reference gives what no clip gives."""
    count = OPS[name][0] * HIDDEN
    x, w, r = (RNG.standard_normal(s).astype(np.float32) for s in ((2, 1, 4), (1, count, 4), (1, count, HIDDEN)))
    node = helper.make_node(name, ["x", "w", "r"], ["y"], hidden_size=HIDDEN, clip=0.0)
    infos = [helper.make_tensor_value_info(n, 1, a.shape) for n, a in (("x", x), ("w", w), ("r", r))]
    graph = helper.make_graph([node], "g", infos, [helper.make_tensor_value_info("y", 1, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    feeds = {"x": x, "w": w, "r": r}
    with pytest.raises(Exception, match=r"clip_ > 0"):
        ort(model, feeds)
    (expected,) = ReferenceEvaluator(model).run(None, feeds)
    assert np.abs(expected).max() > 0.05
    np.testing.assert_allclose(Session(model).run(None, feeds)[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("op", [RNNOp, GRUOp, LSTMOp])
def test_in_ir_a_clip_of_0_clips(op):
    """Every sum is 0 then, in all three: only the import of GRU and LSTM leaves it out."""
    rows = op.GATES * HIDDEN
    x, w, r = (RNG.standard_normal(s).astype(np.float32) for s in ((2, 1, 4), (1, rows, 4), (1, rows, HIDDEN)))
    values = [create_ssa_value(tensor(f32, a.shape)) for a in (x, w, r)]
    clipped, free = (op(*values, clip=clip).compute(np, [x, w, r])[0] for clip in (0.0, None))
    assert np.abs(free).max() > 0.05 and not clipped.any()


@every_op
@pytest.mark.parametrize("function", GATE_FUNCTIONS)
def test_activations(check_node, name, function):
    """Each function in every place, with parameters of its own in each direction."""
    places = OPS[name][1] * 2
    alphas, betas = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6][:places], [0.6, 0.5, 0.4, 0.3, 0.2, 0.1][:places]
    fields = attributes("bidirectional", activations=[function] * places, clip=1.0)
    inputs, count = operands(name, "bidirectional"), outputs(name)
    given = check_node(name, inputs, {**fields, "activation_alpha": alphas, "activation_beta": betas}, outputs=count)
    # the defaults are those of the operator of that name; ONNX Runtime's ThresholdedRelu has another one here
    peer = function not in ("ThresholdedRelu", "Affine", "ScaledTanh")
    defaults = check_node(name, inputs, fields, outputs=count, against_ort=peer)
    parameters = GATE_FUNCTIONS[function][1]
    assert bool(parameters) != np.array_equal(given[0], defaults[0])
    repeated = {f"activation_{p}": [v] * places for p, v in parameters.items()}
    np.testing.assert_array_equal(check_node(name, inputs, {**fields, **repeated}, outputs=count)[0], defaults[0])


@every_op
def test_activations_take_the_parameters_they_have(check_node, name):
    """In order, those without parameters taking none."""
    mixed = ["Tanh", "HardSigmoid", "LeakyRelu", "Affine", "Relu", "Elu"][: 2 * OPS[name][1]]
    fields = attributes("bidirectional", activations=mixed, activation_alpha=[0.3, 0.1, 0.7], activation_beta=[0.4])
    results = check_node(name, operands(name, "bidirectional"), fields, outputs=outputs(name))
    fields["activations"] = [m.upper() for m in mixed]
    again = check_node(name, operands(name, "bidirectional"), fields, outputs=outputs(name), against_ort=False)
    np.testing.assert_array_equal(again[0], results[0])


@pytest.mark.parametrize("linear", [0, 1])
@every_direction
def test_linear_before_reset(check_node, direction, linear):
    inputs = operands("GRU", direction)
    check_node("GRU", inputs, attributes(direction, linear_before_reset=linear), outputs=2)
    check_node("GRU", inputs[:3], attributes(direction, linear_before_reset=linear), outputs=2)


@every_direction
def test_input_forget(check_node, direction):
    check_node("LSTM", operands("LSTM", direction), attributes(direction, input_forget=1), outputs=3)


@every_op
@every_direction
@pytest.mark.parametrize("lengths", [True, False])
def test_layout_1_is_layout_0_transposed(check_node, float64_oracle, name, direction, lengths):
    inputs = operands(name, direction)
    if not lengths:
        inputs[4] = None
    first = check_node(name, inputs, attributes(direction), outputs=outputs(name))
    moved = [np.moveaxis(v, 1, 0).copy() if i in (0, 5) or (i == 6) else v for i, v in enumerate(inputs)]
    expected = [first[0].transpose(2, 0, 1, 3), *(v.swapaxes(0, 1) for v in first[1:])]
    check_node(name, moved, attributes(direction, layout=1), outputs=outputs(name), expected=expected)


@every_op
@every_direction
def test_a_sequence_without_steps(check_node, name, direction):
    """Its state stays: what a model sees that runs a batch of sequences in pieces."""
    inputs = operands(name, direction)
    inputs[4] = np.array([0, 2, 0], np.int32)
    results = check_node(name, inputs, attributes(direction), outputs=outputs(name), against_ort=False)
    assert not results[0][:, :, 0].any()
    for state, initial in zip(results[1:], inputs[5:7], strict=False):
        np.testing.assert_array_equal(state[:, 0], initial[:, 0])
        assert not np.array_equal(state[:, 1], initial[:, 1])


@every_op
def test_no_steps_and_no_sequences(check_node, name):
    inputs = operands(name)
    none = [inputs[0][:0], *inputs[1:4], None, *inputs[5:]]
    results = check_node(name, none, attributes(), outputs=outputs(name), against_ort=False)
    np.testing.assert_array_equal(results[1], inputs[5])
    empty = [v[:, :0] if i in (0, 5) or (i == 6) else v[:0] if i == 4 else v for i, v in enumerate(inputs)]
    results = check_node(name, empty, attributes(), outputs=outputs(name), against_ort=False)
    assert results[0].shape == (STEPS, 1, 0, HIDDEN)


@every_op
@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16])
def test_other_element_types(check_node, name, dtype):
    inputs = operands(name, dtype=dtype)
    wide = [v.astype(np.float32) if v.dtype == dtype else v for v in inputs]
    expected = check_node(name, wide, attributes(), opset=22, outputs=outputs(name))
    results = check_node(name, inputs, attributes(), opset=22, outputs=outputs(name), against_ort=False)
    for result, exact in zip(results, expected, strict=True):
        assert result.dtype == dtype
        np.testing.assert_allclose(result.astype(np.float64), exact, atol=3e-2 if dtype != np.float64 else 1e-5)


def value(element, *dims):
    """An IR value of a tensor type."""
    return create_ssa_value(tensor(element, dims))


X, W, R = value(f32, 5, 3, 4), value(f32, 1, 6, 4), value(f32, 1, 6, 6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: RNNOp(X, W, R, direction="back"), "direction 'back' is unknown; there are forward, reverse, bidirect"),
        (lambda: RNNOp(X, W, R, clip=-1.0), "clip must not be negative, but is -1.0"),
        (lambda: RNNOp(X, W, R, layout=2), "layout 2 is unknown; it is 0 or 1"),
        (lambda: RNNOp(X, W, R, hidden_size=5), "hidden_size 5 and the weights 1x6x4 and 1x6x6 do not fit together"),
        (lambda: GRUOp(X, W, R), "hidden_size None and the weights 1x6x4 and 1x6x6 do not fit together"),
        (lambda: RNNOp(X, W, R, direction="bidirectional"), "w is 1x6x4 where 2x6x4 is needed"),
        (lambda: RNNOp(X, W, R, value(f32, 1, 6)), "bias is 1x6 where 1x12 is needed"),
        (lambda: RNNOp(X, W, R, None, value(i64, 3)), "sequence_lens must be i32, not i64"),
        (lambda: RNNOp(X, W, R, None, value(i32, 4)), "sequence_lens is 4 where 3 is needed"),
        (lambda: RNNOp(X, W, R, None, None, value(f32, 3, 1, 6)), "an initial state is 3x1x6 where 1x3x6 is needed"),
        (lambda: RNNOp(X, W, value(f64, 1, 6, 6)), "one element type"),
        (lambda: RNNOp(value(i32, 5, 3, 4), value(i32, 1, 6, 4), value(i32, 1, 6, 6)), "a float type, not i32"),
        (lambda: RNNOp(value(f32, 5, 4), W, R), "x, w and r of rank 3, not 5x4"),
        (
            lambda: LSTMOp(X, value(f32, 1, 24, 4), value(f32, 1, 24, 6), *[None] * 4, value(f32, 1, 24)),
            "peepholes is 1x24 where 1x18 is needed",
        ),
    ],
)
def test_operands_that_do_not_fit(build, message):
    with pytest.raises(CompileError, match=message):
        build()


def test_activations_that_do_not_fit(check_node):
    with pytest.raises(CompileError, match="node: the activation 'Gelu' is unknown; there are Relu, Tanh"):
        check_node("RNN", operands("RNN"), {"activations": ["Gelu"]})
    with pytest.raises(CompileError, match=r"node: nn.gru needs 2 activation\(s\) for each direction, not \['Tanh'\]"):
        check_node("GRU", operands("GRU"), {"activations": ["Tanh"]})


def test_lengths_beyond_the_steps(check_node):
    inputs = operands("RNN")
    inputs[4] = np.array([1, 6, 2], np.int32)
    with pytest.raises(CompileError, match="node: a number of sequence_lens is not within 0 and the 5 steps of"):
        check_node("RNN", inputs)


def quantized_operands(direction, element, per_column, seed=7):
    """Those of an LSTM without sequence_lens: w [D, I, 4*H] and r [D, H, 4*H] of `element`, their scales and zeros.

    i8 weights stay below 64: ONNX Runtime's products of u8 and i8 saturate on some processors.
    """
    rng, d = np.random.default_rng(seed), DIRECTIONS[direction]
    x, _, _, b, _, h, c, p = operands("LSTM", direction)
    low, high = (0, 256) if element is np.uint8 else (-63, 64)
    dims = (d, 4 * HIDDEN) if per_column else (d,)
    w, r = (rng.integers(low, high, (d, n, 4 * HIDDEN)).astype(element) for n in (INPUTS, HIDDEN))
    scales = [rng.uniform(0.002, 0.008, dims).astype(np.float32) for _ in "wr"]
    zero = np.full(dims, 131 if element is np.uint8 else 0, element)  # ONNX Runtime wants one for all columns
    return [x, w, r, b, None, h, c, p, scales[0], zero, scales[1], zero]


@every_direction
@pytest.mark.parametrize("element", [np.uint8, np.int8])
@pytest.mark.parametrize("per_column", [False, True])
def test_dynamically_quantized(check_node, direction, element, per_column):
    """ONNX Runtime's own operator: x and, in each step, h are rounded to 8 bits."""
    values = quantized_operands(direction, element, per_column)
    given = dict(opset=1, outputs=3, domain="com.microsoft", symbolic=(0,), constants=(1, 2, 8, 9, 10, 11))
    results = check_node("DynamicQuantizeLSTM", values, attributes(direction), **given)
    w, r = (
        (v.astype(np.float32) - z.reshape(len(z), 1, -1)) * s.reshape(len(s), 1, -1)
        for v, s, z in ((values[1], *values[8:10]), (values[2], *values[10:12]))
    )
    exact = [values[0], w.swapaxes(1, 2), r.swapaxes(1, 2), *values[3:8]]
    plain = check_node("LSTM", exact, attributes(direction), outputs=3)
    assert 1e-5 < np.abs(results[0] - plain[0]).max() < 0.05, "what was rounded is close to what was not"


def test_dynamically_quantized_refusals(check_node):
    values = quantized_operands("forward", np.uint8, False)
    given = dict(opset=1, domain="com.microsoft", against_ort=False)
    with pytest.raises(CompileError, match=r"node: DynamicQuantizeLSTM has no attribute 'strange'"):
        check_node("DynamicQuantizeLSTM", values, {"strange": 1}, **given)
    with pytest.raises(
        CompileError, match=r"node: the attribute 'clip' of DynamicQuantizeLSTM is not of the type FLOAT"
    ):
        check_node("DynamicQuantizeLSTM", values, {"clip": "x"}, **given)
    with pytest.raises(CompileError, match=r"node: DynamicQuantizeLSTM needs its input 8, which is missing"):
        check_node("DynamicQuantizeLSTM", values[:8], {}, **given)
