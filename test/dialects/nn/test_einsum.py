"""Einsum against ONNX Runtime and NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import f32, i1, i64
from xdsl.utils.test_value import create_ssa_value

from nnfuse.dialects.nn.einsum import EinsumOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.errors import CompileError

RNG = np.random.default_rng(59)


def value(element, *dims):
    """An IR value of a tensor type."""
    return create_ssa_value(tensor(element, dims))


def arrays(*shapes):
    """Random operands of these shapes."""
    return [np.asarray(RNG.standard_normal(s), np.float32) for s in shapes]


CASES = [
    ("ij,jk->ik", (3, 4), (4, 5)),
    ("ij,jk", (3, 4), (4, 5)),
    (" i j , j k -> i k ", (3, 4), (4, 5)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("bqhd,bkhd->bhqk", (2, 4, 3, 5), (2, 6, 3, 5)),
    ("i,i->", (4,), (4,)),
    ("i,i", (4,), (4,)),
    ("i,j->ij", (3,), (4,)),
    ("ij->ji", (3, 4)),
    ("ji", (3, 4)),
    ("ij->i", (3, 4)),
    ("ij->", (3, 4)),
    ("ii->i", (4, 4)),
    ("ii", (4, 4)),
    ("iji->j", (3, 4, 3)),
    ("...ii->...i", (2, 4, 4)),
    ("...ij,...jk->...ik", (2, 3, 4), (2, 4, 5)),
    ("...ij,...jk", (2, 3, 4), (2, 4, 5)),
    ("i...j,j...k->...ik", (3, 2, 4), (4, 2, 5)),
    ("...i->...", (2, 3)),
    ("b...,b...->b...", (2, 3, 4), (2, 3, 4)),
    ("Ab,bC->AC", (3, 4), (4, 5)),
    ("bA", (3, 4)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)),
    ("a,b,c->abc", (2,), (3,), (4,)),
    ("ij,ij,ij->i", (2, 3), (2, 3), (2, 3)),
    ("->", ()),
    (",->", (), ()),
    ("i,->i", (3,), ()),
    ("ij,jk->ik", (0, 4), (4, 5)),
    ("ij,jk->ik", (3, 0), (0, 5)),
]


@pytest.mark.parametrize(("equation", "shapes"), [(e, s) for e, *s in CASES])
def test_equations(check_node, equation, shapes):
    inputs = arrays(*shapes)
    expected = np.asarray(np.einsum(equation.replace(" ", ""), *inputs))
    against_ort = 0 not in sum(shapes, ()) and equation != "bA"  # ONNX Runtime refuses that implicit result
    (result,) = check_node("Einsum", inputs, {"equation": equation}, opset=12, against_ort=against_ort)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,ij->ij", [(3, 1), (3, 4)]),
        ("ij,jk->ik", [(3, 1), (4, 5)]),
        ("ij,jk,ik->k", [(3, 1), (4, 5), (1, 5)]),
        ("...i,...i->...", [(2, 1, 3), (1, 4, 3)]),
        ("...ij,jk->...ik", [(2, 3, 4), (4, 5)]),
        ("...i,...i->...", [(3,), (2, 3)]),
    ],
)
def test_sizes_of_one_are_broadcast(check_node, equation, shapes):
    inputs = arrays(*shapes)
    check_node("Einsum", inputs, {"equation": equation}, expected=[np.einsum(equation, *inputs)])


def test_an_ellipsis_that_the_result_lacks_is_summed(check_node):
    (x,) = arrays((2, 3, 4))
    check_node("Einsum", [x], {"equation": "...i->i"}, expected=[x.sum((0, 1))])


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "int64", "int8", "uint8"])
def test_types(check_node, dtype):
    a, b = RNG.integers(0, 4, (3, 4)).astype(dtype), RNG.integers(0, 4, (4, 5)).astype(dtype)
    check_node("Einsum", [a, b], {"equation": "ij,jk->ik"}, expected=[(a.astype(int) @ b).astype(dtype)])


@pytest.mark.parametrize(
    ("equation", "shapes", "message"),
    [
        ("ij,jk->ik", [(2, 3)], "has 2 operands, but 1 are given"),
        ("ij->i", [(2, 3, 4)], "the term 'ij' of an equation does not fit an operand of rank 3"),
        ("ij...->i", [(2,)], "does not fit an operand of rank 1"),
        ("ij,jk->ik", [(2, 3), (4, 5)], "the index 'j' has the sizes 3 and 4"),
        ("ii->i", [(2, 3)], "the index 'i' of one operand has the sizes 2 and 3"),
        ("ii->i", [(1, 3)], "the index 'i' of one operand has the sizes 1 and 3"),
        ("...,...->...", [(2, 3), (4, 3)], r"a dimension of '...' has the sizes 2 and 4"),
        ("ij->ik", [(2, 3)], "the index 'k' of the result of 'ij->ik' is in no operand"),
        ("ij->ii", [(2, 3)], "an index stands twice in the result"),
        ("i1->i", [(2, 3)], "'1' cannot stand in a term"),
        ("i....->i", [(2, 3)], r"'.' cannot stand in a term"),
        ("......->", [(2, 3)], r"'.' cannot stand in a term"),
        ("ij->i->j", [(2, 3)], "'-' cannot stand in a term"),
        ("ij->i,j", [(2, 3)], "',' cannot stand in a term"),
        ("é->", [(2,)], "'é' cannot stand in a term"),
        ("i" * 2000, [(2,)], "longer than the limit of 1024"),
        ("", [(2,)], "does not fit an operand of rank 1"),
        ("...,...", [(1,) * 60, (1,) * 60], "more than 52 indices"),
    ],
)
def test_equations_that_do_not_fit(equation, shapes, message):
    with pytest.raises(CompileError, match=message):
        EinsumOp([value(f32, *s) for s in shapes], equation=equation)


def test_unknown_sizes():
    def result(equation, *shapes):
        return EinsumOp([value(f32, *s) for s in shapes], equation=equation).result.type

    assert result("ij,jk->ik", (None, 4), (None, 5)) == tensor(f32, [None, 5])
    assert result("ij,ij->ij", (None, 1), (3, None)) == tensor(f32, [3, None])
    assert result("ij,ij->ij", (1, None), (None, None)) == tensor(f32, [None, None])
    assert result("ii->i", (None, 3)) == tensor(f32, [3])
    with pytest.raises(CompileError, match="operands of one element type"):
        EinsumOp([value(f32, 2), value(i64, 2)], equation="i,i")
    with pytest.raises(CompileError, match=r"nn.einsum needs numbers, not i1"):
        EinsumOp([value(i1, 2)], equation="i")
