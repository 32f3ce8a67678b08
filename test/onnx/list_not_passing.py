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
    by_reason: dict[str, list[str]] = {}
    failed = {name_of(test): trace for test, trace in (*result.failures, *result.errors)}
    for name, trace in failed.items():
        if name not in suite.DIFFERENT:
            print(f"{name} fails: {trace.splitlines()[-1]}", file=sys.stderr)
            return 1
        by_reason.setdefault(suite.DIFFERENT[name], []).append(name)
    for test, reason in result.skipped:
        by_reason.setdefault(suite.reason_of(unittest.SkipTest(reason)), []).append(name_of(test))
    counts = f"{len(result.skipped)} of {result.testsRun} cases are skipped on the CPU, {len(failed)} fail"
    heading = f"# onnx {onnx.__version__}: {counts} (written by {os.path.basename(__file__)})"
    parts = (f"{reason}\n" + "".join(f"    {n}\n" for n in sorted(by_reason[reason])) for reason in sorted(by_reason))
    suite.LIST.write_text("\n".join([f"{heading}\n", *parts]))
    return 0


def name_of(test: unittest.TestCase) -> str:
    """The case's name without its device."""
    return test.id().rpartition(".")[2].removesuffix("_cpu")


if __name__ == "__main__":
    sys.exit(main())
