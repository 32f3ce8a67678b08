"""Writes not_passing.txt: `python test/onnx/list_not_passing.py`, which runs onnx's suite on the CPU (a minute)."""

from __future__ import annotations

import os
import sys
import tempfile
import unittest

import onnx
import test_backend_suite as suite


def main() -> int:
    """Write the list, or say which cases fail; the exit code."""
    suite.LIST_VERSION = ""  # the cases as they are, whatever is listed now
    result, loader = unittest.TestResult(), unittest.TestLoader()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ONNX_HOME"] = folder
        for _, case in suite.cases(suite.Suite):
            loader.loadTestsFromTestCase(case).run(result)
    if wrong := [*result.failures, *result.errors]:
        print(*(f"{test.id()} fails: {trace.splitlines()[-1]}" for test, trace in wrong), sep="\n", file=sys.stderr)
        return 1
    by_reason: dict[str, list[str]] = {}
    for test, reason in result.skipped:
        name = test.id().rpartition(".")[2].removesuffix("_cpu")
        by_reason.setdefault(suite.reason_of(unittest.SkipTest(reason)), []).append(name)
    count = f"{len(result.skipped)} of {result.testsRun} cases are skipped"
    heading = f"# onnx {onnx.__version__}: {count} on the CPU, none fails (written by {os.path.basename(__file__)})"
    parts = (f"{reason}\n" + "".join(f"    {n}\n" for n in sorted(by_reason[reason])) for reason in sorted(by_reason))
    suite.LIST.write_text("\n".join([f"{heading}\n", *parts]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
