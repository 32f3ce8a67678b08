"""Every op of `nn` has all its parts; a failure names the op and the part it lacks."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import onnx
import pytest
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, StringAttr
from xdsl.traits import IsTerminator

from nnfuse.dialects.nn import NN
from nnfuse.dialects.nn.base import NNOp

HERE = Path(__file__).parent
OPS = sorted((op for op in NN.operations if not op.has_trait(IsTerminator)), key=lambda op: op.name)
WITHOUT_ONNX = {
    "nn.parameter": "a reference to a weight file, which ONNX calls an initializer",
    "nn.fused": "what one generated kernel computes, made of other ops",
}
"""The ops that ONNX has no operator for, and why there is one here."""

REFUSED = {"nn.constant": {"sparse_value", "value_string", "value_strings"}}
"""Attributes that `import_node` refuses because it does not know them."""

LIT = "\n".join(f.read_text() for f in sorted(HERE.glob("*.mlir")))
TESTS = "\n".join(f.read_text() for f in sorted(HERE.glob("test_*.py")) if f.name != Path(__file__).name)

every_op = pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
every_onnx_op = pytest.mark.parametrize("op", [op for op in OPS if op.name not in WITHOUT_ONNX], ids=lambda op: op.name)


def schemas(op: type[NNOp]) -> list[onnx.defs.OpSchema]:
    """The forms of the op's operator that are read, oldest first."""
    assert op.ONNX is not None
    newest = op.ONNX.until or onnx.defs.onnx_opset_version()
    found: dict[int, onnx.defs.OpSchema] = {}
    for opset in range(op.ONNX.since, newest + 1):
        schema = onnx.defs.get_schema(op.ONNX.name, opset, op.ONNX.domain)
        found[schema.since_version] = schema
    return list(found.values())


def names_in(method: Any) -> list[str]:
    """The parameters of `infer` or `evaluate` that stand for operands."""
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    names = [n for n, p in inspect.signature(method).parameters.items() if p.kind not in kinds]
    return [n for n in names if n not in ("self", "xp", "run")]


@every_op
def test_it_is_an_nn_op(op):
    assert issubclass(op, NNOp), f"{op.name} does not keep the op contract of base.py"
    assert op.name.startswith("nn.") and op.name == op.name.lower()


@every_op
def test_docstring(op):
    assert vars(op).get("__doc__"), f"{op.name} has no docstring"
    if op.name not in WITHOUT_ONNX:
        assert f"https://onnx.ai/onnx/operators/onnx__{op.ONNX.name}.html" in op.__doc__, (
            f"{op.name}'s docstring does not name the page of ONNX's {op.ONNX.name}"
        )


@every_op
def test_onnx_spelling(op):
    if op.name in WITHOUT_ONNX:
        assert op.ONNX is None, f"{op.name} has an ONNX spelling: take it off WITHOUT_ONNX"
        return
    assert op.ONNX is not None, f"{op.name} has no ONNX spelling and is not in WITHOUT_ONNX"
    assert schemas(op), f"{op.name}: no opset that is read has the operator {op.ONNX.name}"


def test_spellings_differ():
    spellings = [(op.ONNX.domain, op.ONNX.name) for op in OPS if op.ONNX is not None]
    assert len(set(spellings)) == len(spellings)
    assert WITHOUT_ONNX.keys() <= {op.name for op in OPS}


@every_onnx_op
def test_every_onnx_attribute_is_read(op):
    """As a property of that name, or in `import_node`, or dropped on purpose."""
    assert op.ONNX is not None
    source = "\n".join(inspect.getsource(c) for c in op.__mro__ if c is not NNOp and issubclass(c, NNOp))
    known = set(op.get_irdl_definition().properties) | op.ONNX.drop | REFUSED.get(op.name, set())
    for schema in schemas(op):
        unread = [a for a in schema.attributes if a not in known and f'"{a}"' not in source]
        assert not unread, f"{op.name} does not read {unread} of {op.ONNX.name} in opset {schema.since_version}"


@every_onnx_op
def test_defaults_are_those_of_onnx(op):
    properties = op.get_irdl_definition().properties
    for name, attribute in schemas(op)[-1].attributes.items():
        ours = properties[name].default_value if name in properties else None
        if ours is None or not attribute.default_value.name:
            continue
        theirs = onnx.helper.get_attribute_value(attribute.default_value)
        match ours:
            case FloatAttr() | IntegerAttr():
                assert ours.value.data == theirs, f"{op.name}: the default of {name} is {theirs} in ONNX"
            case StringAttr():
                assert ours.data == theirs.decode(), f"{op.name}: the default of {name} is {theirs} in ONNX"
            case _:
                pytest.fail(f"{op.name}: the default of {name} cannot be compared")


@every_op
def test_infer_and_evaluate(op):
    operands = [name for name, _ in op.get_irdl_definition().operands]
    assert op.infer is not NNOp.infer, f"{op.name} has no infer"
    assert names_in(op.infer)[: len(operands)] in (operands, operands[:1]), (
        f"{op.name}.infer takes {names_in(op.infer)}, not the operands {operands}"
    )
    if op.name == "nn.parameter":
        return  # what a file holds: the program reads it when it is loaded
    assert op.evaluate is not NNOp.evaluate, f"{op.name} has no evaluate"
    assert names_in(op.evaluate) in (operands, operands[:1]), (
        f"{op.name}.evaluate takes {names_in(op.evaluate)}, not the operands {operands}"
    )


@every_op
def test_lit_line(op):
    line = rf"(?m)^(?!//).*(?<!\S){re.escape(op.name)}(?![\w.])"
    assert re.search(line, LIT), f"{op.name} stands in no file {HERE.name}/*.mlir"
    assert re.search(rf"(?m)^// *CHECK.*{re.escape(op.name)}(?![\w.])", LIT), f"{op.name} is in no CHECK line"


@every_op
def test_numeric_test(op):
    name = op.__name__ if op.ONNX is None else f'"{op.ONNX.name}"'
    assert name in TESTS, f"no test_*.py beside this one runs {op.name} ({name})"
