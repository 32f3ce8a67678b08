"""Inline constants through text, what may be one, and how "Constant" is imported."""

from __future__ import annotations

import io

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from xdsl.context import Context
from xdsl.dialects.builtin import Builtin, ModuleOp, f32
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from nnfuse.dialects.nn import NN
from nnfuse.dialects.nn.constant import ConstantOp, ParameterOp, constant_attribute, may_be_inline
from nnfuse.dialects.nn.types import DTYPES, STORED_INTS, element_of, f8e8m0, tensor
from nnfuse.errors import CompileError
from nnfuse.lowering.onnx_to_nn import import_model


def through_text(op, generic=False):
    """`op` printed, parsed and verified."""
    stream = io.StringIO()
    Printer(stream, print_generic_format=generic).print_op(ModuleOp([op]))
    context = Context()
    context.load_dialect(Builtin)
    context.load_dialect(NN)
    module = Parser(context, stream.getvalue()).parse_module()
    module.verify()
    return module.body.block.first_op


def extremes(dtype):
    """The ends of a type's range and one number between."""
    if dtype.kind == "b":
        return [False, True]
    if dtype.kind in "iu":
        return [np.iinfo(dtype).min, np.iinfo(dtype).max, 1]
    if element_of(dtype) in STORED_INTS:
        return [ml_dtypes.iinfo(dtype).min, ml_dtypes.iinfo(dtype).max, 1]
    if element_of(dtype) == f8e8m0:
        return [2.0**-127, 4.0, 2.0**127]
    return [-0.0, 1.5, 3.0, 1e-3]


@pytest.mark.parametrize("generic", [False, True])
@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_every_type_survives_text(dtype, generic):
    values = np.array(extremes(dtype), dtype)
    arrays = [values, values[:1], values[1].reshape(()), values[:0], np.broadcast_to(values[1], (2, 3))]
    for array in arrays:
        read = through_text(ConstantOp.of(array), generic).literal()
        assert read.dtype == array.dtype and read.shape == array.shape
        assert read.tobytes() == np.ascontiguousarray(array).tobytes()


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan, 1e-45, 3.4028235e38])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_special_numbers_survive_text(number, dtype):
    with np.errstate(over="ignore"):
        array = np.array([number]).astype(dtype)
    for generic in (False, True):
        np.testing.assert_array_equal(through_text(ConstantOp.of(array), generic).literal(), array)


def test_what_may_be_inline():
    i64, f32_ = element_of(np.int64), element_of(np.float32)
    assert may_be_inline(i64, 1024) and not may_be_inline(i64, 1025)
    assert may_be_inline(f32_, 16) and not may_be_inline(f32_, 17) and not may_be_inline(f32_, None)
    for array in (np.zeros(1025, np.int64), np.zeros(17, np.float32), np.array([1, np.inf], np.float32)):
        with pytest.raises(VerifyException, match=r"elements|non-finite"):
            ConstantOp.of(array).verify()


def test_values_must_fit_the_declared_type():
    three = constant_attribute(np.array([1, 2, 3]))
    for value, type_ in (
        (three, tensor(element_of(np.int64), [2])),
        (constant_attribute(np.float32(1)), tensor(f32, [2])),
    ):
        with pytest.raises(VerifyException, match=r"nn\.constant of type"):
            ConstantOp(value=value, result_types=[type_]).verify()


def model_of(**attribute):
    """A model of one Constant."""
    node = helper.make_node("Constant", [], ["y"], name="node", **attribute)
    graph = helper.make_graph([node], "g", [], [onnx.ValueInfoProto(name="y")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ({"value": numpy_helper.from_array(np.array([[1, 2]], np.int32))}, np.array([[1, 2]], np.int32)),
        ({"value_int": 5}, np.array(5)),
        ({"value_ints": [5, 6]}, np.array([5, 6])),
        ({"value_float": 0.5}, np.array(0.5, np.float32)),
        ({"value_floats": [0.5, 2.0]}, np.array([0.5, 2], np.float32)),
    ],
)
def test_import(attribute, expected):
    (op, *_) = import_model(model_of(**attribute)).body.block.first_op.body.block.ops
    (result,) = op.compute(np, [])
    assert result.dtype == expected.dtype and result.shape == expected.shape
    np.testing.assert_array_equal(result, expected)


def test_large_constants_become_parameters():
    (op, *_) = import_model(model_of(value_floats=[0.5] * 17)).body.block.first_op.body.block.ops
    assert isinstance(op, ParameterOp) and op.result.type == tensor(f32, [17])


def test_strings_are_refused():
    with pytest.raises(CompileError, match="node: Constant with the attribute 'value_string' is not supported"):
        import_model(model_of(value_string="text"))


def test_parameters_are_static():
    assert through_text(ParameterOp('a "name"', tensor(f32, [2]))).parameter.data == 'a "name"'
    with pytest.raises(VerifyException, match="must be known"):
        ParameterOp("w", tensor(f32, [None])).verify()
