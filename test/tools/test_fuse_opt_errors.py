"""fuse-opt: the exact line and exit code for each kind of error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from xdsl.dialects.builtin import ModuleOp

Run = Callable[..., tuple[int, str, str]]
Writer = Callable[..., Path]

IR = """func.func @main(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %y = nn.relu %x : tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}
"""

KINDS = "(.mlir, .onnx are known; -f names one)"

ERRORS: dict[str, tuple[list[str], str, str]] = {
    "no file": (["absent.mlir"], "", "fuse-opt: absent.mlir: No such file or directory"),
    "folder": (["."], "", f"fuse-opt: .: unknown kind of file '.' {KINDS}"),
    "kind": (["a.txt"], "", f"fuse-opt: a.txt: unknown kind of file '.txt' {KINDS}"),
    "option": (["--fast"], IR, "fuse-opt: unrecognized arguments: --fast (see --help)"),
    "pass": (
        ["-p", "cse,fold-batchnorm"],
        IR,
        "fuse-opt: -p: unknown pass 'fold-batchnorm'; did you mean 'fold-batch-norm'?",
    ),
    "two passes": (["-p", "qqq,zzzz"], IR, "fuse-opt: -p: unknown pass 'qqq'; unknown pass 'zzzz'"),
    "pass option": (
        ["-p", "cse{level=3}"],
        IR,
        'fuse-opt: -p: Provided arguments ["level"] not found in expected arguments []',
    ),
    "pipeline": (
        ["-p", "cse{level=3"],
        IR,
        "fuse-opt: -p: Malformed pass arguments, expected either a space or `}` here (at column 12)",
    ),
    "empty pass": (["-p", "cse,,cse"], IR, "fuse-opt: -p: Expected pass name here (at column 5)"),
    "target": (["-t", "!"], IR, "fuse-opt: -t: Unknown token (at column 1)"),
    "syntax": ([], "func.func @main( {", "stdin:1:18: Expected argument or type"),
    "unknown op": ([], IR.replace("relu", "relux"), "stdin:2:17: Operation nn.relux is not registered"),
    "types": (
        [],
        IR.replace("relu %x : tensor<2x3", "relu %x : tensor<2x4"),
        "stdin:2:16: operand is used with type tensor<2x4xf32>, but has been previously used or defined with"
        " type tensor<2x3xf32>",
    ),
    "verifier": (
        [],
        IR.replace("%x : tensor<2x3xf32>\n", "%x : (tensor<2x3xf32>) -> tensor<5xf32>\n").replace("urn %y", "urn %x"),
        "fuse-opt: %y: result is declared tensor<5xf32>, but nn.relu gives tensor<2x3xf32>",
    ),
    "verifier of others": (
        [],
        IR.replace("-> tensor<2x3xf32> {", "-> tensor<5xf32> {"),
        "fuse-opt: func.return: Expected arguments to have the same types as the function output types:"
        " expected [tensor<5xf32>], got [tensor<2x3xf32>]",
    ),
    "onnx on stdin": (
        ["-f", "onnx"],
        IR,
        "fuse-opt: an ONNX model cannot be read from standard input (its weights stay in the file, which needs a name)",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_one_line(run: Run, case: str) -> None:
    arguments, text, line = ERRORS[case]
    assert run(*arguments, text=text) == (1, "", f"{line}\n")


def test_undecodable_and_deeply_nested_text(run: Run) -> None:
    Path("bytes.mlir").write_bytes(b'builtin.module attributes {a = "\xff\xfe"} {}')
    code, out, err = run("bytes.mlir")
    assert code == 1 and out == "" and err.count("\n") == 1 and err.startswith("fuse-opt: bytes.mlir: ")
    code, out, err = run(text="builtin.module attributes {a = " + "[" * 100_000)
    assert code == 1 and out == "" and err.count("\n") == 1 and "RecursionError" in err


def test_bad_models(run: Run, write_model: Writer) -> None:
    Path("empty.onnx").write_bytes(b"")
    Path("text.onnx").write_text("not a protobuf at all")
    Path("lfs.onnx").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    whole = write_model("whole.onnx").read_bytes()
    Path("cut.onnx").write_bytes(whole[: len(whole) // 2])
    write_model("op.onnx", "Strange", "my.domain")
    for name, code, part in [
        ("empty.onnx", 1, "empty"),
        ("text.onnx", 1, "not an ONNX model"),
        ("lfs.onnx", 1, "Git LFS pointer"),
        ("cut.onnx", 1, "cut short"),
        ("absent.onnx", 1, "absent.onnx"),
        ("op.onnx", 2, "Strange"),
    ]:
        result, out, err = run(name)
        assert (result, out) == (code, ""), name
        assert (part in err and name in err) or (name == "op.onnx" and "last" in err)
        assert err.startswith("fuse-opt: ") and err.count("\n") == 1


def test_a_bug_of_ours_is_70(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, ctx: object, op: ModuleOp) -> None:
        raise KeyError("conv3")

    from xdsl.transforms.common_subexpression_elimination import CommonSubexpressionElimination

    monkeypatch.setattr(CommonSubexpressionElimination, "apply", broken)
    code, out, err = run("-p", "cse", text=IR)
    assert (code, out) == (70, "")
    what = "internal error, please report it: KeyError: 'conv3'"
    assert err == f"fuse-opt: {what} (set NNFUSE_TRACEBACK=1 to see where)\n"
    monkeypatch.setenv("NNFUSE_TRACEBACK", "1")
    with pytest.raises(KeyError):
        run("-p", "cse", text=IR)


def test_invalid_ir_after_a_pass_is_a_bug(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(self: object, ctx: object, op: ModuleOp) -> None:
        relu = next(o for o in op.walk() if o.name == "nn.relu")
        relu.detach()

    from xdsl.transforms.common_subexpression_elimination import CommonSubexpressionElimination

    monkeypatch.setattr(CommonSubexpressionElimination, "apply", breaks)
    code, out, err = run("-p", "cse", text=IR)
    assert (code, out, err.count("\n")) == (70, "", 1)
    assert "invalid IR after a pass" in err
