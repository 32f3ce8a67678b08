"""The universe: names, laziness and options of every pass and dialect."""

from __future__ import annotations

import pytest
from xdsl.dialects import get_all_dialects
from xdsl.transforms import get_all_passes
from xdsl.utils.arg_spec import ArgSpec

import nnfuse.passes
from nnfuse.universe import NNFUSE_UNIVERSE


@pytest.mark.parametrize("name", NNFUSE_UNIVERSE.all_passes)
def test_every_pass_loads_and_takes_its_own_options(name: str) -> None:
    """Names follow the house rule, no pass hides one of xDSL's, and a pass without @dataclass fails here."""
    pass_class = NNFUSE_UNIVERSE.all_passes[name]()
    assert pass_class.name == name and name not in get_all_passes()
    words = "".join(word.capitalize() for word in name.split("-"))
    assert pass_class.__name__ == f"{words}Pass"
    assert "__dataclass_params__" in vars(pass_class) and vars(pass_class)["__dataclass_params__"].frozen
    if name in nnfuse.passes.PASSES:
        assert pass_class.__module__ == f"nnfuse.passes.{name.replace('-', '_')}"
    required = {field: ("N=1",) for field in pass_class.required_fields()}
    instance = pass_class.from_spec(ArgSpec(name, required))
    assert pass_class.from_spec(instance.spec(include_default=True)) == instance


@pytest.mark.parametrize("name", NNFUSE_UNIVERSE.all_dialects)
def test_every_dialect_loads(name: str) -> None:
    assert NNFUSE_UNIVERSE.all_dialects[name]().name == name and name not in get_all_dialects()
