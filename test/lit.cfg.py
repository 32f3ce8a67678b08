"""lit's view of this folder: every .mlir file is a test, run with the tools of lit's own environment."""

import os
import sys
from pathlib import Path

import lit.formats

TOOLS = ("fuse-opt", "fuse-run", "xdsl-opt", "filecheck")

here = Path(__file__).parent
binaries = Path(sys.executable).parent
if missing := [tool for tool in TOOLS if not (binaries / tool).exists()]:
    lit_config.fatal(f"{binaries} lacks {', '.join(missing)}: run `make setup`")  # noqa: F821

config = config  # noqa: F821
config.name = "nnfuse"
config.test_format = lit.formats.ShTest()
config.suffixes = [".mlir"]
config.test_source_root = str(here)
config.test_exec_root = str(here.parent / "build" / "lit")
config.environment["PATH"] = os.pathsep.join([str(binaries), os.environ["PATH"]])
config.environment["NO_COLOR"] = "1"
if "PYTHONPATH" in os.environ:  # a checkout beside the installed one
    config.environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
