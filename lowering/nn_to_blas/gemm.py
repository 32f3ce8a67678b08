"""Matrix products as GEMM calls."""

from __future__ import annotations

from typing import Any, ClassVar

from xdsl.ir import SSAValue

from ...dialects.blas import BroadcastOp
from ...dialects.nn.base import NNOp, number
from ...dialects.nn.gemm import GemmOp, MatMulOp
from ...dialects.nn.types import Dims, dims_of, element_type, format_dims, is_float, product
from ..calls import Calls, Lowering, may_reshape
from .products import call_for


def refuse_integers(op: NNOp) -> str | None:
    """A reason where the result is not of floats: a BLAS has no integer product."""
    element = element_type(op.results[0].type)
    return None if is_float(element) else f"it is a product of {element}"


def inferred_dims(op: NNOp) -> Dims:
    """The result's dims as its operands say them: they may say more than the declared type."""
    return dims_of(op.infer_types()[0])


class LowerGemm(Lowering):
    """`relu(alpha * op(a) @ op(b) + c)` -> `gemmrelu(a, b, bias = c) {alpha}`

    `relu(alpha * op(a) @ op(b) + beta * c)` -> `matmulrelu(a, b, broadcast(c)) {alpha, beta}`

    c of [N] with beta = 1 is a bias vector; one of [M, N] is the third operand as it is; any other ([M, 1], one
    element, a scaled [N]) is repeated into it. GELU in its tanh form is an epilogue too, after a bias vector; other
    activations are operations on the product. Integer products stay, and those of a c with unknown dims.
    """

    OP: ClassVar[type[NNOp]] = GemmOp

    def refusal(self, op: GemmOp) -> str | None:
        """Of integers, or with a c that has to be repeated, or may have to, into unknown dims."""
        c, dims = addend_dims(op), inferred_dims(op)
        if c is not None and None in (*c, *dims) and not is_bias(op, c, dims):
            return f"c {format_dims(c)} of a result {format_dims(dims)} is not known"
        return refuse_integers(op)

    def lower(self, op: GemmOp, calls: Calls) -> SSAValue:
        """See the class."""
        dims = inferred_dims(op)
        addends: list[SSAValue | None] = [None]
        fields: dict[str, Any] = {"alpha": op.alpha, "transA": op.transA, "transB": op.transB}
        biased = False
        if op.c is not None and (c := addend_dims(op)) is not None:
            if biased := is_bias(op, c, dims):
                addends = [calls.reshape(op.c, dims[1:]), None]
            else:
                addends = [repeated(op.c, c, dims, calls)]
                fields["beta"] = op.beta
        call, activation = call_for(biased, op.activation)
        return calls.activation(calls.add(call(op.a, op.b, *addends, **fields)), activation)


def addend_dims(op: GemmOp) -> Dims | None:
    """The dims of c as a matrix; None where there is no c, or none that is read."""
    if op.c is None or number(op.beta) == 0:
        return None
    dims = dims_of(op.c.type)
    return (*[1] * (2 - len(dims)), *dims)


def is_bias(op: GemmOp, c: Dims, dims: Dims) -> bool:
    """Whether c, a matrix of these dims, is a vector along N that is added as it is."""
    return number(op.beta) == 1 and c[0] == 1 and c[1] is not None and c[1] == dims[1]


def repeated(value: SSAValue, c: Dims, dims: Dims, calls: Calls) -> SSAValue:
    """`value`, a matrix [M, N], [M, 1], [1, N] or [1, 1], in the dims [M, N]."""
    if c == dims:
        return calls.reshape(value, dims)
    vector = calls.reshape(value, (product(c),))
    return calls.add(BroadcastOp(vector, axis=0 if c[1] == 1 else 1, shape=[d for d in dims if d is not None]))


class LowerMatMul(Lowering):
    """`relu(a @ b + bias)` -> `gemmrelu(a, b, bias)`; `relu(a @ b)` -> `matmulrelu(a, b)`

    A stack of matrices times one matrix is one product of a taller matrix. A vector is a matrix of one row or one
    column; where b is one, the bias runs along the rows: it is the third operand of blas.matmul. Activations are as
    with Gemm. Integer products stay, and those of vectors with more than one unknown dim.
    """

    OP: ClassVar[type[NNOp]] = MatMulOp

    def refusal(self, op: MatMulOp) -> str | None:
        """Of integers, or of vectors with a result of unknown dims."""
        vectors = 1 in (len(dims_of(op.a.type)), len(dims_of(op.b.type)))
        if vectors and not may_reshape(inferred_dims(op)):
            return f"the dims of its result {format_dims(inferred_dims(op))} are not known"
        return refuse_integers(op)

    def lower(self, op: MatMulOp, calls: Calls) -> SSAValue:
        """See the class."""
        a, b, result = dims_of(op.a.type), dims_of(op.b.type), inferred_dims(op)
        rows = (1, *a) if len(a) == 1 else a
        columns = (*b, 1) if len(b) == 1 else b
        along_rows = op.bias is not None and len(b) == 1 and len(a) > 1
        if is_one_matrix(rows, columns) and may_reshape(rows) and may_reshape(result) and not along_rows:
            rows, columns = (product(rows[:-1]), rows[-1]), columns[-2:]
        operands: list[SSAValue | None] = [calls.reshape(op.a, rows), calls.reshape(op.b, columns)]
        fields: dict[str, Any] = {}
        biased = op.bias is not None and not along_rows
        if op.bias is not None:
            size = dims_of(op.bias.type) or (1,)
            operands.append(calls.reshape(op.bias, (*size, 1) if along_rows else size))
            fields = {"beta": 1.0} if along_rows else {}
        call, activation = call_for(biased, op.activation)
        y = calls.add(call(*operands, **fields))
        return calls.activation(calls.reshape(y, result), activation)


def is_one_matrix(a: Dims, b: Dims) -> bool:
    """Whether a stack `a` is multiplied by one matrix: b has no batch dims, or only ones of size 1."""
    return 2 < len(a) >= len(b) and all(d == 1 for d in b[:-2])
