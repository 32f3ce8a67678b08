"""lower-nn-to-blas computes what it replaces: random modules before and after it, in float64."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, NameLoc, bf16, f16, f32, f64, i32
from xdsl.dialects.func import FuncOp, ReturnOp

from nnfuse.dialects.blas import BlasMatmulReluOp, Im2colOp
from nnfuse.dialects.nn.activation import ActivationAttr
from nnfuse.dialects.nn.activation_functions import ACTIVATIONS
from nnfuse.dialects.nn.channels import CHANNELS_LAST, dims_in
from nnfuse.dialects.nn.conv import ConvOp
from nnfuse.dialects.nn.gemm import GemmOp, MatMulOp
from nnfuse.dialects.nn.types import dims_of, tensor
from nnfuse.errors import CompileError
from nnfuse.lowering.nn_to_blas import LowerNnToBlasPass
from nnfuse.rewriting import collect_remarks, location_names, name_location
from nnfuse.runtime.reference import evaluate, main_function

SETTINGS = settings(max_examples=300, deadline=None, derandomize=True)
VALUES = {"leaky_relu": (0.1,), "elu": (1.0,), "swish": (1.0,), "clip": (-0.5, 0.5), "selu": (1.5, 1.0)}
"""Parameters of the activations that have some; others of two parameters get these of hard_sigmoid."""

ACTIVATION = st.none() | st.sampled_from(sorted(ACTIVATIONS)).map(
    lambda kind: ActivationAttr.of(kind, *VALUES.get(kind, (0.2, 0.5))[: ACTIVATIONS[kind][0]])
)


def module_of(op_class, types, **fields):
    """A module whose `@main` passes its arguments to one op, named `node`; a type of None is an absent operand."""
    func = FuncOp("main", ([t for t in types if t is not None], []))
    arguments = iter(func.body.block.args)
    op = op_class(*(None if t is None else next(arguments) for t in types), **fields)
    op.location = name_location("node")
    func.body.block.add_ops([op, ReturnOp(op.results[0])])
    func.update_function_type()
    return ModuleOp([func])


def lower(module, **options):
    """The module lowered, as an independent copy; both verify, and the function's type stays."""
    module.verify()
    lowered = module.clone()
    LowerNnToBlasPass(**options).apply(Context(), lowered)
    lowered.verify()
    assert main_function(lowered).function_type == main_function(module).function_type
    return lowered


def names(module):
    return [op.name for op in main_function(module).body.block.ops]


def run(module, arrays):
    return evaluate(main_function(module), arrays, {}.__getitem__, wide=True)[0]


def check_same(module, arrays, lowered):
    """Equal results in float64, up to the order of summation."""
    before, after = run(module, arrays), run(lowered, arrays)
    assert after.shape == before.shape and after.dtype == np.float64
    np.testing.assert_allclose(after, before, rtol=1e-9, atol=1e-9)


def randoms(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(s).astype(np.float32) for s in shapes if s is not None]


@st.composite
def convolutions(draw):
    """Dims of x, w, bias and residual (None: absent), and fields, of a convolution that fits."""
    rank, group = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    inner, outer = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    sizes = st.lists(st.integers(1, 3), min_size=rank, max_size=rank)
    kernel, strides, dilations = draw(sizes), draw(sizes), draw(sizes)
    if draw(st.booleans()):
        kernel = [1] * rank
    spatial = [draw(st.integers(1, 7)) for _ in range(rank)]
    x = (draw(st.integers(0, 3)), inner * group, *spatial)
    w = (outer * group, inner, *kernel)
    fields = {"group": group, "strides": strides, "dilations": dilations}
    auto_pad = draw(st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if auto_pad == "NOTSET":
        fields["pads"] = draw(st.lists(st.integers(0, 2), min_size=2 * rank, max_size=2 * rank))
    fields["auto_pad"] = auto_pad
    try:
        (type_,) = ConvOp(*arguments_of(x, w), **fields).result_types
    except CompileError:
        assume(False)
    residual = draw(st.sampled_from([None, dims_of(type_), (w[0], *[1] * rank)]))
    bias = (w[0],) if draw(st.booleans()) else None
    fields["activation"] = draw(ACTIVATION)
    if draw(st.booleans()):
        return (x, w, bias, residual), fields
    full = residual is not None and len(residual) == len(x)
    last = (dims_in(CHANNELS_LAST, residual) if full else (w[0],)) if residual is not None else None
    return (dims_in(CHANNELS_LAST, x), dims_in(CHANNELS_LAST, w), bias, last), fields | {"layout": "nhwc"}


def arguments_of(*shapes):
    func = FuncOp("f", ([tensor(f32, s) for s in shapes], []))
    return func.body.block.args


@SETTINGS
@given(convolutions(), st.sampled_from([1, 1000, 2**28]), st.booleans(), st.integers(0, 2**16))
def test_convolutions(case, budget, symbolic, seed):
    shapes, fields = case
    x = (None, *shapes[0][1:]) if symbolic else shapes[0]
    residual = shapes[3]
    if symbolic and residual is not None and len(residual) == len(x):
        residual = (None, *residual[1:])
    types = [None if s is None else tensor(f32, s) for s in (x, *shapes[1:3], residual)]
    module = module_of(ConvOp, types, **fields)
    lowered = lower(module, im2col_budget=budget)
    channels = shapes[0][-1 if fields.get("layout") == "nhwc" else 1]
    depthwise = 1 < fields["group"] == channels
    assert ("nn.conv" in names(lowered)) == depthwise
    check_same(module, randoms(seed, *shapes), lowered)


@st.composite
def gemms(draw):
    m, k, n = (draw(st.integers(0, 4)) for _ in range(3))
    if draw(st.booleans()):
        m = n = 4
    c = draw(st.sampled_from([None, (), (1,), (n,), (1, 1), (1, n), (m, 1), (m, n)]))
    fields = {name: draw(st.sampled_from([0, 1])) for name in ("transA", "transB")}
    fields |= {name: draw(st.sampled_from([0.0, 1.0, 0.5, -2.0])) for name in ("alpha", "beta")}
    a, b = (k, m) if fields["transA"] else (m, k), (n, k) if fields["transB"] else (k, n)
    return (a, b, c), fields | {"activation": draw(ACTIVATION)}


@SETTINGS
@given(gemms(), st.integers(0, 2**16))
def test_gemms(case, seed):
    shapes, fields = case
    module = module_of(GemmOp, [None if s is None else tensor(f32, s) for s in shapes], **fields)
    lowered = lower(module)
    assert "nn.gemm" not in names(lowered)
    check_same(module, randoms(seed, *shapes), lowered)


@st.composite
def matmuls(draw):
    m, k, n = (draw(st.integers(0, 4)) for _ in range(3))
    batch = draw(st.lists(st.integers(1, 3), min_size=draw(st.integers(0, 2)), max_size=3))
    a = (*batch[draw(st.integers(0, len(batch))) :], m, k)
    b = (*batch[draw(st.integers(0, len(batch))) :], k, n)
    b = tuple(1 if draw(st.booleans()) else d for d in b[:-2]) + b[-2:]
    a, b = draw(st.sampled_from([a, (k,)])), draw(st.sampled_from([b, (k,)]))
    result = np.matmul(np.zeros(a), np.zeros(b)).shape
    bias = draw(st.sampled_from([None, result[-1:]]))
    return (a, b, bias), {"activation": draw(ACTIVATION)}


@SETTINGS
@given(matmuls(), st.booleans(), st.integers(0, 2**16))
def test_matmuls(case, symbolic, seed):
    shapes, fields = case
    types = [None if s is None else tensor(f32, s) for s in shapes]
    if symbolic:
        types[0] = tensor(f32, (None, *shapes[0][1:]))
    module = module_of(MatMulOp, types, **fields)
    lowered = lower(module)
    dims = dims_of(main_function(module).function_type.outputs.data[0])
    undecided = 1 in (len(shapes[0]), len(shapes[1])) and None in dims and 0 in dims
    assert ("nn.matmul" in names(lowered)) == undecided
    check_same(module, randoms(seed, *shapes), lowered)


def activations():
    for kind, (count, _) in ACTIVATIONS.items():
        yield ActivationAttr.of(kind, *VALUES.get(kind, (0.2, 0.5))[:count])
    for bounds in ((0, 0.5), (-np.inf, 0.5), (0.25, np.inf), (0, np.inf)):
        yield ActivationAttr.of("clip", *bounds)


@pytest.mark.parametrize("activation", list(activations()), ids=str)
def test_every_activation_has_an_operation(activation):
    module = module_of(GemmOp, [tensor(f32, (4, 3)), tensor(f32, (3, 4))], activation=activation)
    arrays = randoms(0, (4, 3), (3, 4))
    check_same(module, arrays, lower(module))
    assert not np.allclose(run(module, arrays), arrays[0] @ arrays[1])


def test_the_whole_batch_is_one_product():
    types = [tensor(f32, d) for d in ((32, 3, 8, 8), (4, 3, 3, 3), (4,))]
    module = module_of(ConvOp, types, activation=ActivationAttr.of("relu"))
    lowered = lower(module)
    products = [op for op in lowered.walk() if isinstance(op, BlasMatmulReluOp)]
    assert len(products) == 1
    assert dims_of(products[0].a.type) == (4, 27) and dims_of(products[0].b.type) == (32, 27, 36)
    assert dims_of(products[0].c.type) == (4, 36)
    assert [n for n in names(lowered) if n.startswith("blas")] == ["blas.broadcast", "blas.im2col", "blas.matmulrelu"]


@pytest.mark.parametrize(("images", "pieces"), [(32, [32]), (31, [16, 16]), (11, [10, 11, 11]), (1, [1] * 32)])
def test_pieces_are_as_few_as_the_budget_allows(images, pieces):
    """The columns of an image are 27 * 36 * 4 bytes."""
    module = module_of(ConvOp, [tensor(f32, d) for d in ((32, 3, 8, 8), (4, 3, 3, 3))])
    lowered = lower(module, im2col_budget=images * 27 * 36 * 4 + 100)
    columns = [op for op in lowered.walk() if isinstance(op, Im2colOp)]
    assert [dims_of(op.result.type)[0] for op in columns] == pieces


def test_one_image_beyond_the_budget_is_one_piece():
    module = module_of(ConvOp, [tensor(f32, d) for d in ((2, 3, 8, 8), (4, 3, 3, 3))])
    assert names(lower(module, im2col_budget=0)).count("blas.im2col") == 2


@pytest.mark.parametrize(
    ("x", "w", "fields", "view"),
    [
        ((2, 3, 5, 5), (4, 3, 1, 1), {}, True),
        ((2, 3, 5, 5), (4, 3, 1, 1), {"dilations": [2, 2]}, True),
        ((2, 4, 5, 5), (4, 2, 1, 1), {"group": 2}, True),
        ((2, 3, 5, 5), (4, 3, 5, 5), {}, True),
        ((2, 3, 5, 5), (4, 3, 1, 1), {"strides": [1, 2]}, False),
        ((2, 3, 5, 5), (4, 3, 1, 1), {"pads": [0, 0, 0, 1]}, False),
        ((2, 3, 5, 5), (4, 3, 5, 5), {"pads": [1, 1, 1, 1]}, False),
        ((2, 3, 5, 5), (4, 3, 1, 5), {}, False),
    ],
)
def test_windows_that_are_the_input_are_not_copied(x, w, fields, view):
    lowered = lower(module_of(ConvOp, [tensor(f32, x), tensor(f32, w)], **fields))
    assert ("blas.im2col" not in names(lowered)) == view


@pytest.mark.parametrize(
    ("op_class", "types", "fields", "reason"),
    [
        (ConvOp, [tensor(f32, (1, 4, 5, 5)), tensor(f32, (8, 1, 3, 3))], {"group": 4}, "it is depthwise"),
        (ConvOp, [tensor(f32, (1, 4, None, 5)), tensor(f32, (8, 4, 3, 3))], {}, "1x4x?x5 or 8x4x3x3 are not known"),
        (ConvOp, [tensor(f32, (1, 4, 5, 5)), tensor(f32, (None, 4, 3, 3))], {}, "are not known"),
        (ConvOp, [tensor(f32, (None, 0, 5, 5)), tensor(f32, (8, 0, 3, 3))], {}, "another dim is 0"),
        (MatMulOp, [tensor(i32, (4, 3)), tensor(i32, (3, 5))], {}, "it is a product of i32"),
        (GemmOp, [tensor(i32, (4, 3)), tensor(i32, (3, 5))], {}, "it is a product of i32"),
        (GemmOp, [tensor(f32, (None, 3)), tensor(f32, (3, 5)), tensor(f32, (None, 5))], {}, "is not known"),
        (GemmOp, [tensor(f32, (None, 3)), tensor(f32, (3, 5)), tensor(f32, (5,))], {"beta": 0.5}, "is not known"),
        (GemmOp, [tensor(f32, (4, 3)), tensor(f32, (3, None)), tensor(f32, (5,))], {}, "is not known"),
        (MatMulOp, [tensor(f32, (3,)), tensor(f32, (None, 3, None))], {}, "are not known"),
    ],
)
def test_what_stays_says_why(op_class, types, fields, reason):
    module = module_of(op_class, types, **fields)
    with collect_remarks() as remarks:
        lowered = lower(module)
    assert op_class.name in names(lowered)
    assert [r for r in remarks if r.startswith("node not lowered: ") and reason in r] == remarks != []


@pytest.mark.parametrize("element", [f16, bf16, f32, f64])
def test_all_floats_are_lowered(element):
    module = module_of(ConvOp, [tensor(element, (1, 2, 5, 5)), tensor(element, (3, 2, 3, 3)), tensor(element, (3,))])
    assert "blas.matmul" in names(lower(module))


def test_a_declared_type_that_knows_less_stays():
    """An unknown size in the result's declared type is what the function returns."""
    func = FuncOp("main", ([tensor(f32, (4, 3)), tensor(f32, (3, 5))], [tensor(f32, (None, 5))]))
    op = GemmOp(*func.body.block.args, result_types=[tensor(f32, (None, 5))])
    func.body.block.add_ops([op, ReturnOp(op.result)])
    lowered = lower(ModuleOp([func]))
    assert names(lowered) == ["blas.matmul", "func.return"]


def test_every_operation_has_the_nodes_name():
    types = [tensor(f32, d) for d in ((2, 3, 8, 8), (4, 3, 3, 3), (4,), (2, 4, 6, 6))]
    module = module_of(ConvOp, types, activation=ActivationAttr.of("tanh"))
    lowered = lower(module, im2col_budget=1)
    ops = [op for op in main_function(lowered).body.block.ops if not isinstance(op, ReturnOp)]
    assert len(ops) > 10 and {location_names(op.location) for op in ops} == {("node",)}
    assert all(isinstance(op.location, NameLoc) for op in ops)


@pytest.mark.parametrize(("kind", "call"), [("relu", "blas.gemmrelu"), ("gelu_tanh", "blas.gemmgelu")])
def test_epilogues_leave_no_activation(kind, call):
    types = [tensor(f32, d) for d in ((4, 3), (3, 5), (5,))]
    lowered = lower(module_of(GemmOp, types, activation=ActivationAttr.of(kind)))
    assert names(lowered) == [call, "func.return"]
