"""How long `fuse-opt --help` and `fuse-run --help` take: seconds, the median and the least of eleven.

python bench/startup.py
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

RUNS = 11


def main() -> None:
    """Measure and print."""
    for tool in ("fuse-opt", "fuse-run"):
        times: list[float] = []
        for _ in range(RUNS):
            start = time.perf_counter()
            subprocess.run([str(Path(sys.executable).with_name(tool)), "--help"], check=True, capture_output=True)
            times.append(time.perf_counter() - start)
        print(f"{tool} --help: median {median(times):.2f} s, least {min(times):.2f} s")


if __name__ == "__main__":
    main()
