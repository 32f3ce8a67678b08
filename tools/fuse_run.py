"""`fuse-run` runs a network (ONNX, or IR of any level): its outputs, how right they are, and how long they take."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CompileError
from ..runtime.output_file import OutputFile
from .cli import OK, complain, is_ir, one_line_usage, run_tool

if TYPE_CHECKING:
    from ..runtime.session import Session

TOOL = "fuse-run"

PRECISIONS = ("f32", "tf32", "f16", "bf16")


class _Version(argparse.Action):
    """Prints the version, which takes longer to find than the help may take."""

    def __call__(self, parser: argparse.ArgumentParser, *unused: Any) -> None:
        from importlib.metadata import version

        print(f"{TOOL} of nnfuse {version('nnfuse')}")
        parser.exit()


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        TOOL,
        description="Run a network: an ONNX file, or IR of any level (.mlir; - reads IR from standard input).",
        epilog="Exit codes: 0 done; 1 bad input, model or usage; 2 unsupported; 3 results differ beyond tolerance;"
        " 70 a bug of nnfuse.",
        allow_abbrev=False,
    )
    one_line_usage(parser)
    parser.add_argument("model", metavar="MODEL", help="model.onnx or program.mlir")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    _add_inputs(parser.add_argument_group("inputs and outputs"))
    _add_compilation(parser.add_argument_group("compilation"))
    _add_modes(parser.add_argument_group("what to do in place of printing what the outputs look like (one of)"))
    return parser


def _add_inputs(group: Any) -> None:
    group.add_argument(
        "--input",
        metavar="[NAME=]FILE",
        action="append",
        default=[],
        help="the input NAME from a .npy file or from its array in a .npz file; a .npz file without NAME"
        " gives its arrays by name, others than inputs aside (repeatable). Inputs that are not given are generated",
    )
    group.add_argument("--output", metavar="FILE.npz", help="write the outputs there, by name")
    group.add_argument(
        "--save-program",
        metavar="FILE.mlir",
        help="write the program that runs there, for its shapes and as tuned, and its parameters to FILE.safetensors;"
        " fuse-run FILE.mlir runs it without the model",
    )
    group.add_argument(
        "--shape",
        metavar="NAME=8x3x224x224",
        action="append",
        default=[],
        help="the shape of an input that is generated (repeatable)",
    )
    group.add_argument(
        "--dim", metavar="N=8", action="append", default=[], help="the size of a symbolic dimension (repeatable)"
    )
    group.add_argument("--seed", type=_natural, default=0, help="what inputs are generated from (default 0)")


def _add_compilation(group: Any) -> None:
    group.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to run (default cpu)")
    group.add_argument("--precision", choices=PRECISIONS, default="f32", help="what to compute in (default f32)")
    group.add_argument(
        "--tune",
        action="store_true",
        help="time every way to compute each layer on the GPU and keep the fastest, also for later runs",
    )
    group.add_argument("--threads", type=_positive, metavar="N", help="how many threads the BLAS uses on the CPU")
    group.add_argument("--no-fuse", action="store_true", help="do not fold and fuse")
    group.add_argument(
        "--parameters", metavar="FILE", help="the file that holds the parameters, in place of the one that the IR names"
    )
    group.add_argument(
        "--max-bytes",
        type=_positive,
        metavar="BYTES",
        help="the limit on the size of a value and of the arena (default 16 GiB)",
    )
    group.add_argument(
        "--max-iterations",
        type=_positive,
        metavar="N",
        help="how often the bodies of loops and branches may run in one call (default 200,000)",
    )


def _add_modes(group: Any) -> None:
    modes = group.add_mutually_exclusive_group()
    modes.add_argument(
        "--compare",
        action="store_true",
        help="compare with ONNX Runtime without optimisations: the errors, and the tolerance needed",
    )
    modes.add_argument("--bench", action="store_true", help="time many runs")
    modes.add_argument("--profile", action="store_true", help="time each step, by ONNX node")
    modes.add_argument("--check", action="store_true", help="list everything that is not supported; run nothing")
    modes.add_argument(
        "--print-pipeline", action="store_true", help="print the passes that run, as for fuse-opt -p; run nothing"
    )


def _natural(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 0")
    return int(text)


def _positive(text: str) -> int:
    if _natural(text) == 0:
        raise argparse.ArgumentTypeError("0 is too small")
    return int(text)


def check_options(args: argparse.Namespace) -> None:
    """Refuse options that do not go together; raises CompileError."""
    if args.output is not None and not args.output.endswith(".npz"):
        raise CompileError(f"--output {args.output}: outputs are written as .npz", hint="name it FILE.npz")
    if args.save_program is not None:
        from ..runtime.saved import check_path

        check_path(Path(args.save_program))
    for option, given in (("--output", args.output), ("--save-program", args.save_program)):
        if given is not None and (args.check or args.print_pipeline):
            mode = "--check" if args.check else "--print-pipeline"
            raise CompileError(f"{mode} runs nothing, so {option} has nothing to write")
    if args.compare and is_ir(args.model):
        raise CompileError("--compare needs an ONNX model: ONNX Runtime reads no IR")


def open_session(args: argparse.Namespace) -> Session:
    """The session that the options ask for."""
    from ..runtime.loading import parse_text
    from ..runtime.pipelines import new_context
    from ..runtime.session import Session
    from ..runtime.sizes import MAX_BYTES, MAX_ITERATIONS

    return Session(
        parse_text(_read_stdin(), "stdin", new_context()) if args.model == "-" else args.model,
        args.device,
        fuse=not args.no_fuse,
        precision=args.precision,
        parameters=args.parameters,
        max_bytes=args.max_bytes or MAX_BYTES,
        max_iterations=args.max_iterations or MAX_ITERATIONS,
        tune=args.tune,
        progress=tuning_progress() if args.tune else None,
    )


def tuning_progress() -> Callable[[int, int, str], None]:
    """What shows how far tuning is: a bar on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("tuning"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[what]}"))
    bar = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
    task = bar.add_task("tuning", what="")

    def show(done: int, total: int, what: str) -> None:
        bar.update(task, completed=done, total=total, what=what)
        if bar.console.is_terminal:
            (bar.stop if done == total else bar.start)()

    return show


def _read_stdin() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as e:
        raise CompileError(f"stdin: the text is no valid IR: {e}") from None


def run(args: argparse.Namespace, output: OutputFile | None) -> int:
    """Do what the options ask for; the exit code."""
    from . import arrays

    session = open_session(args)
    feeds = arrays.read_feeds(args.input, session)
    shapes = arrays.resolve_shapes(session, feeds, args.shape, args.dim)
    if args.print_pipeline:
        print(session.pipeline(shapes))
        return OK
    session.program(shapes)  # refuses sizes beyond the limit before there are arrays of them
    generated = arrays.generate(session.get_inputs(), shapes, feeds, args.seed, session.max_bytes)
    feeds |= generated
    session.check_feeds(feeds)
    if generated:
        named = ", ".join(f"{n} ({arrays.format_shape(a.shape)} {a.dtype})" for n, a in generated.items())
        complain(TOOL, f"generated from seed {args.seed}: {named}")
    results = session.run(None, feeds)
    if args.save_program is not None:
        session.save(args.save_program, shapes)
    if output is not None:
        arrays.write_npz(output.stream, {v.name: a for v, a in arrays.split_outputs(session.get_outputs(), results)})
        output.commit()
    return report(args, session, feeds, results)


def report(args: argparse.Namespace, session: Session, feeds: dict[str, Any], results: Sequence[Any]) -> int:
    """Print what the mode asks for after a first run; the exit code."""
    if args.compare:
        from .compare import compare

        return compare(session, args.model, feeds, results, args.threads)
    if args.bench or args.profile:
        from . import measure

        arrays, _ = session.check_feeds(feeds)
        program = session.program(session.shapes_of(arrays))
        inputs = session.place(arrays)
        (measure.bench if args.bench else measure.profile)(program, inputs, _where(args.device))
    elif args.output is None:
        from .report import print_outputs

        print_outputs(session.get_outputs(), results)
    return OK


def _where(device: str) -> str:
    from .threads import blas_threads

    threads = blas_threads()
    return device if device != "cpu" or threads is None else f"cpu, {threads} thread{'s' * (threads != 1)}"


def main(argv: Sequence[str] | None = None) -> int:
    """The command `fuse-run`; returns its exit code."""

    def body() -> int:
        args = make_parser().parse_args(argv)
        check_options(args)
        with ExitStack() as stack:
            if args.threads is not None:
                from .threads import limit_threads

                stack.enter_context(limit_threads(args.threads))
            if args.check:
                from .check import check

                return check(args, open_session)
            output = None if args.output is None else OutputFile(args.output, "wb")
            if output is not None:
                stack.callback(output.discard)
            return run(args, output)

    return run_tool(TOOL, body)


if __name__ == "__main__":
    sys.exit(main())
