"""Which values share a buffer: how much work it is to say so. What is said is in plan-memory.mlir."""

from __future__ import annotations

from typing import Any

from xdsl.dialects.builtin import f32
from xdsl.dialects.func import FuncOp, ReturnOp

from nnfuse.dialects.nn.activations import ReluOp
from nnfuse.dialects.nn.elementwise import AddOp
from nnfuse.dialects.nn.types import tensor
from nnfuse.passes.alias_groups import AliasGroups


class Counting(dict[Any, Any]):
    """Counts what is put in."""

    puts = 0

    def __setitem__(self, key: Any, value: Any) -> None:
        self.puts += 1
        super().__setitem__(key, value)


def test_a_long_chain_in_one_place_is_little_work() -> None:
    """Each value is moved to another group a few times, not once for each operation behind it."""
    func = FuncOp("main", ([tensor(f32, [4])], [tensor(f32, [4])]))
    block, count = func.body.block, 400
    value = block.args[0]
    for n in range(count):
        op = ReluOp(value) if n % 2 else AddOp(value, block.args[0])
        block.add_op(op)
        value = op.results[0]
    block.add_op(ReturnOp(value))
    groups = AliasGroups(block)
    groups.of = of = Counting(groups.of)
    groups.join_in_place()
    assert len(set(map(id, of.values()))) <= 3, "the argument, what is returned, and all between"
    assert of.puts <= 2 * count
