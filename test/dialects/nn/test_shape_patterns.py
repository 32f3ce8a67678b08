"""Canonicalisation keeps what chains of reshaping ops mean, also where sizes are symbolic."""

from math import prod

import numpy as np
import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import Builtin, ModuleOp, f32
from xdsl.dialects.func import Func, FuncOp, ReturnOp
from xdsl.ir import Block, Region
from xdsl.transforms.canonicalize import CanonicalizePass

from nnfuse.dialects.nn import NN
from nnfuse.dialects.nn.constant import ConstantOp
from nnfuse.dialects.nn.layout import TransposeOp
from nnfuse.dialects.nn.reshape import FlattenOp, ReshapeOp, SqueezeOp, UnsqueezeOp
from nnfuse.dialects.nn.shape import IdentityOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.runtime.reference import evaluate


def constant(block, *values):
    """An i64 constant in `block`."""
    op = ConstantOp.of(np.array(values, np.int64))
    block.add_op(op)
    return op.result


def count(func):
    """The number of ops that are not constants."""
    return sum(not isinstance(op, ConstantOp) for op in func.body.block.ops)


def random_shape(random, dims):
    """A Reshape's shape for `dims`, with zeros and a -1 at random."""
    sizes = list(dims)
    for _ in range(random.integers(3)):
        if len(sizes) > 1 and random.random() < 0.6:
            at = random.integers(len(sizes) - 1)
            sizes[at : at + 2] = [sizes[at] * sizes[at + 1]]
        else:
            sizes.insert(random.integers(len(sizes) + 1), 1)
    shape = [0 if i < len(dims) and s == dims[i] and random.random() < 0.5 else s for i, s in enumerate(sizes)]
    if random.random() < 0.6 and any(shape):
        shape[random.choice([i for i, s in enumerate(shape) if s])] = -1
    return sizes, shape


def random_op(random, block, value, dims):
    """An op on `value` of the true dims `dims`, and the dims of its result."""
    kind = random.integers(6)
    if kind == 0:
        axis = int(random.integers(-len(dims), len(dims) + 1))
        return FlattenOp(value, axis=axis), [prod(dims[:axis]), prod(dims[axis:])]
    if kind == 1:
        perm = [int(a) for a in random.permutation(len(dims))]
        return TransposeOp(value, perm=perm), [dims[a] for a in perm]
    if kind == 2 and 1 in dims and len(dims) > 1:
        axis = dims.index(1)
        return SqueezeOp(value, constant(block, axis)), dims[:axis] + dims[axis + 1 :]
    if kind == 3:
        axis = int(random.integers(len(dims) + 1))
        return UnsqueezeOp(value, constant(block, axis)), [*dims[:axis], 1, *dims[axis:]]
    if kind == 4:
        return IdentityOp(value), dims
    sizes, shape = random_shape(random, dims)
    return ReshapeOp(value, constant(block, *shape)), sizes


@pytest.mark.parametrize("seed", range(150))
def test_random_chains(seed):
    random = np.random.default_rng(seed)
    dims = [int(d) for d in random.integers(1, 5, random.integers(1, 5))]
    declared = [None if random.random() < 0.5 else d for d in dims]
    block = Block(arg_types=[tensor(f32, declared)])
    value, results = block.args[0], []
    shape = dims
    for _ in range(random.integers(2, 7)):
        op, shape = random_op(random, block, value, shape)
        block.add_op(op)
        value = op.results[0]
        if random.random() < 0.3:
            results.append(value)
    results.append(value)
    block.add_op(ReturnOp(*results))
    func = FuncOp("main", ([block.args[0].type], [v.type for v in results]), Region(block))
    module = ModuleOp([func])
    module.verify()
    x = random.permutation(prod(dims)).reshape(dims).astype(np.float32)
    expected = evaluate(func, [x], {}.__getitem__)

    context = Context()
    for dialect in (Builtin, Func, NN):
        context.load_dialect(dialect)
    before = count(func)
    CanonicalizePass().apply(context, module)
    module.verify()

    assert count(func) <= before
    for result, truth in zip(evaluate(func, [x], {}.__getitem__), expected, strict=True):
        np.testing.assert_array_equal(result, truth)
    assert expected[-1].shape == tuple(shape)
