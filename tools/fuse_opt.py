"""`fuse-opt` reads a network (ONNX or IR), runs passes on it and prints IR, as `xdsl-opt` does."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import IO, Any, ClassVar, cast

from xdsl.dialects.builtin import IntegerAttr, ModuleOp, StringAttr
from xdsl.utils.exceptions import ArgSpecParseError, DiagnosticException, ParseError, VerifyException
from xdsl.xdsl_opt_main import xDSLOptMain

from ..errors import CompileError, escape_name, unescape_name
from ..runtime.output_file import OutputFile
from .cli import OK, complain, first_lines, one_line_usage, run_tool

TOOL = "fuse-opt"


class InternalError(Exception):
    """A pass of ours left IR that does not verify."""


class FuseOptMain(xDSLOptMain):
    """xDSL's driver with our dialects, passes and the `.onnx` front end."""

    version_format: ClassVar[str] = "fuse-opt on xdsl {xdsl_version}"

    output: OutputFile | None = None
    unfinished = 0
    from_onnx = False

    # What the driver knows

    def register_all_dialects(self) -> None:
        """xDSL's and other plug-ins' dialects, and ours where the plug-in has not registered them already."""
        from ..universe import NNFUSE_UNIVERSE

        super().register_all_dialects()
        for name, factory in NNFUSE_UNIVERSE.all_dialects.items():
            if name not in self.ctx.registered_dialect_names:
                self.ctx.register_dialect(name, factory)

    def register_all_passes(self) -> None:
        """The same for passes."""
        from ..universe import NNFUSE_UNIVERSE

        super().register_all_passes()
        self.available_passes |= NNFUSE_UNIVERSE.all_passes

    def register_all_frontends(self) -> None:
        """IR text and ONNX."""
        super().register_all_frontends()
        self.available_frontends["onnx"] = self.parse_onnx

    def register_all_arguments(self, arg_parser: argparse.ArgumentParser) -> None:
        """xdsl-opt's options and ours."""
        super().register_all_arguments(arg_parser)
        one_line_usage(arg_parser)
        arg_parser.prog = TOOL
        arg_parser.add_argument(
            "--remarks",
            action="store_true",
            help="Say on standard error what was fused and, for each near miss, why not",
        )
        arg_parser.add_argument(
            "--parameters",
            metavar="FILE",
            help="The file that holds the parameters, in place of the one that the module names",
        )

    def setup_pipeline(self) -> None:
        """The pipeline of -p; its errors are the user's."""
        try:
            super().setup_pipeline()
        except ArgSpecParseError as e:
            raise CompileError(f"-p: {_spec_error(e)}") from None
        except ValueError as e:
            raise CompileError(f"-p: {self._pass_error(str(e))}") from None

    def _pass_error(self, message: str) -> str:
        from xdsl.utils.arg_spec import parse_pipeline

        names = [spec.name for spec in parse_pipeline(self.args.passes)]
        unknown = [n for n in names if n not in self.available_passes]
        return "; ".join(_unknown("pass", n, self.available_passes) for n in unknown) or message

    # Input

    def prepare_input(self) -> tuple[list[tuple[IO[bytes], int]], str]:
        """The chunks of the input and their kind; `-` is standard input. Refuses unknown kinds."""
        if self.args.input_file == "-":
            self.args.input_file = None
        name = self.args.input_file
        extension = "mlir" if name is None else os.path.splitext(name)[1][1:]
        extension = self.args.frontend or extension
        if extension not in self.available_frontends:
            known = ", ".join(f".{name}" for name in self.available_frontends)
            raise CompileError(
                f"{self.args.input_file}: unknown kind of file '.{extension}'",
                hint=f"{known} are known; -f names one",
            )
        if extension == "onnx" and self.args.split_input_file:
            raise CompileError("--split-input-file splits text, but the input is an ONNX file")
        return super().prepare_input()

    def parse_onnx(self, stream: IO[bytes]) -> ModuleOp:
        """The module of the ONNX file named on the command line; its weights stay in that file."""
        if self.args.input_file is None:
            raise CompileError(
                "an ONNX model cannot be read from standard input",
                hint="its weights stay in the file, which needs a name",
            )
        from ..lowering.onnx_to_nn import import_onnx

        self.from_onnx = True
        return import_onnx(self.args.input_file)

    def parse_chunk(self, chunk: IO[bytes], file_extension: str, start_offset: int = 0) -> ModuleOp | None:
        """The module of a chunk, verified, naming its parameter file relative to where it will be written."""
        self.unfinished += 1
        try:
            module = super().parse_chunk(chunk, file_extension, start_offset)
        except (CompileError, DiagnosticException, ParseError, OSError, MemoryError):
            raise
        except Exception as e:
            if file_extension != "mlir":
                raise
            what = f"{type(e).__name__}: {e}" if str(e) else type(e).__name__
            raise CompileError(f"{self.get_input_name()}: the text is no valid IR: {what}") from e
        if module is not None:
            self.relocate_parameters(module)
        return module

    def relocate_parameters(self, module: ModuleOp) -> None:
        """Write `nn.parameters` relative to the output's folder (standard output: the working directory).

        An absolute path in IR text stays one.
        """
        declared = module.attributes.get("nn.parameters")
        if self.args.parameters is not None:
            _check_size(module, self.args.parameters)
            path: str = self.args.parameters
        elif not isinstance(declared, StringAttr):
            return
        elif self.from_onnx:
            path = self.args.input_file
        elif os.path.isabs(declared.data):
            return
        else:
            path = os.path.join(os.path.dirname(self.args.input_file or ""), unescape_name(declared.data))
        folder = os.path.dirname(os.path.realpath(self.args.output_file)) if self.to_file() else os.getcwd()
        relative = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
        module.attributes["nn.parameters"] = StringAttr(escape_name(relative))

    # Passes and output

    def apply_passes(self, prog: ModuleOp) -> None:
        """Run the pipeline; the input's own errors are the user's, invalid IR after a pass is a bug."""
        if not self.args.disable_verify:
            prog.verify()
        try:
            super().apply_passes(prog)
        except VerifyException as e:
            raise InternalError(f"invalid IR after a pass: {first_lines(e)}") from e

    def to_file(self) -> bool:
        """Whether the output goes to a file of ours."""
        return self.args.output_file not in (None, "-")

    def prepare_output(self) -> IO[str]:
        """Standard output, or the file of -o under a temporary name."""
        if not self.to_file():
            return sys.stdout
        self.output = OutputFile(self.args.output_file)
        return cast(IO[str], self.output.stream)

    def output_resulting_program(self, prog: ModuleOp) -> str:
        """The text of the resulting module; in a file, which other tools read on, with its node names."""
        from ..rewriting import location_names

        asked = self.args.print_debuginfo
        named = self.to_file() and any(location_names(op.location) for op in prog.walk())
        self.args.print_debuginfo = asked or named
        text = super().output_resulting_program(prog)
        self.args.print_debuginfo = asked
        self.unfinished -= 1
        return text

    def run(self) -> None:
        """Run the driver; the output file gets its name only if every chunk was done."""
        with ExitStack() as stack:
            if self.args.remarks:
                from ..rewriting import collect_remarks

                stack.callback(_print_remarks, stack.enter_context(collect_remarks()))
            try:
                super().run()
                if self.output is not None and self.unfinished == 0:
                    self.output.commit()
            finally:
                if self.output is not None:
                    self.output.discard()


def _print_remarks(remarks: Iterable[str]) -> None:
    for line in remarks:
        complain("remark", line)


def _check_size(module: ModuleOp, path: str) -> None:
    size = os.stat(path).st_size
    declared: Any = module.attributes.get("nn.parameters_size")
    if isinstance(declared, IntegerAttr) and declared.value.data != size:
        raise CompileError(
            f"{path} has {size} bytes, but the module's parameter file has {declared.value.data}",
            hint="it is another file",
        )


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f"unknown {kind} '{name}'" + (f"; did you mean '{close[0]}'?" if close else "")


def _spec_error(error: ArgSpecParseError) -> str:
    """`message at column N` of a pipeline error, whose text shows the place by a row of carets."""
    lines = str(error).splitlines()
    return f"{lines[-1].strip()} (at column {lines[1].rpartition(':')[2]})"


def main(argv: Sequence[str] | None = None) -> int:
    """The command `fuse-opt`; returns its exit code."""

    def body() -> int:
        try:
            driver = FuseOptMain("Imports, rewrites and lowers networks", argv)
        except ArgSpecParseError as e:
            raise CompileError(f"-t: {_spec_error(e)}") from None
        driver.run()
        return OK

    return run_tool(TOOL, body)


if __name__ == "__main__":
    sys.exit(main())
