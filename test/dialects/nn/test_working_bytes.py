"""What ops that sample images take beyond their operands and results: said before it is taken, and no less."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper, parser

from nnfuse import Session
from nnfuse.errors import CompileError

CASES: dict[str, tuple[str, int]] = {
    "DeformConv, more channels than filters": (
        "g (float[1,64,4,4] x, float[1,64,1,1] w, float[1,2,100,100] o) => (float[1,1,100,100] y)"
        " { [n] y = DeformConv <kernel_shape = [1,1], pads = [48,48,48,48]> (x, w, o) }",
        64 * 10000 * 4,
    ),
    "DeformConv, indices of more groups than channels have bytes": (
        "g (float[1,2,4,4] x, float[1,2,1,1] w, float[1,4,100,100] o) => (float[1,1,100,100] y)"
        " { [n] y = DeformConv <kernel_shape = [1,1], pads = [48,48,48,48], offset_group = 2> (x, w, o) }",
        2 * 10000 * 8,
    ),
    "GridSample, of bytes": (
        "g (uint8[1,8,4,4] x, float[1,100,100,2] grid) => (uint8[1,8,100,100] y) { [n] y = GridSample (x, grid) }",
        8 * 10000 * 4,
    ),
    "GridSample, a large image of bytes": (
        "g (uint8[1,1,400,400] x, float[1,3,3,2] grid) => (uint8[1,1,3,3] y) { [n] y = GridSample (x, grid) }",
        160000 * 4,
    ),
    "RoiAlign, of halves": (
        "g (float16[1,3,4,4] x, float16[2,4] rois, int64[2] batch) => (float16[2,3,100,100] y)"
        " { [n] y = RoiAlign <output_height = 100, output_width = 100, sampling_ratio = 1> (x, rois, batch) }",
        2 * 3 * 10000 * 4,
    ),
    "RoiAlign, of no channels": (
        "g (float[1,0,4,4] x, float[2,4] rois, int64[2] batch) => (float[2,0,200,200] y)"
        " { [n] y = RoiAlign <output_height = 200, output_width = 200, sampling_ratio = 1> (x, rois, batch) }",
        2 * 40000 * 4,
    ),
}
"""A graph, and the bytes of the largest array in its op."""


def parsed(graph: str) -> ModelProto:
    return parser.parse_model('<ir_version: 10, opset_import: ["": 22]> ' + graph)


def zeros(model: ModelProto) -> dict[str, Any]:
    return {
        i.name: np.zeros(
            [d.dim_value for d in i.type.tensor_type.shape.dim],
            helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type),
        )
        for i in model.graph.input
    }


@pytest.mark.parametrize("case", CASES)
def test_refused_below_what_it_needs(case: str) -> None:
    """One byte less is refused in one line; what is said is taken, and is the largest part of what is taken."""
    graph, size = CASES[case]
    model = parsed(graph)
    feeds = zeros(model)
    with pytest.raises(CompileError, match=rf"^n: computing it needs {size} bytes, more than the limit of {size - 1}"):
        Session(model, max_bytes=size - 1).run(None, feeds)
    session = Session(model, max_bytes=1 << 30)
    session.run(None, feeds)
    tracemalloc.start()
    try:
        session.run(None, feeds)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size <= peak <= 12 * size, f"{peak / size:.1f} times what is said"
