"""The arena of planned programs against the bytes that are alive together.

    python bench/arena.py [--out FILE.json]

For each of the light networks of the onnx package, at each point of the program: `live` is the sum of the sizes of all
values in the arena that are computed and still to be read (the lower bound without aliases), `occupied` the number of
bytes of the arena in which such a value lies (views, pieces of concatenations and results in place counted once). The
arena must be at most 1.1 times the largest `live`. Program results, inputs and weights lie outside the arena.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

from networks import NETWORKS, light_file

LIMIT = 1.1


def live_values(func: Any) -> list[tuple[int, int, int, int]]:
    """(first position, last position, offset, bytes) of each value in the arena, read from the planned text alone."""
    from nnfuse.dialects.nn.types import num_bytes

    ops = list(func.body.block.ops)
    position = {op: i for i, op in enumerate(ops)}
    values: list[tuple[int, int, int, int]] = []
    for first, op in enumerate(ops):
        if (places := op.attributes.get("place")) is None:
            continue
        for result, offset in zip(op.results, places.get_values(), strict=True):
            last = max((position[use.operation] for use in result.uses), default=first)
            if offset >= 0:
                values.append((first, last, offset, num_bytes(result.type)))
    return values


def largest(values: list[tuple[int, int, int, int]]) -> tuple[int, int]:
    """The largest `live` and the largest `occupied` over all positions; see above."""
    live = occupied = 0
    for position in sorted({v[0] for v in values}):
        alive = sorted((offset, size) for first, last, offset, size in values if first <= position <= last)
        live = max(live, sum(size for _, size in alive))
        end = covered = 0
        for offset, size in alive:
            covered += max(0, offset + size - max(end, offset))
            end = max(end, offset + size)
        occupied = max(occupied, covered)
    return live, occupied


def measure(name: str) -> dict[str, Any]:
    """The figures of one network."""
    from nnfuse.runtime.reference import main_function
    from nnfuse.runtime.session import Session

    session = Session(light_file(name))
    func = main_function(session.compile([tuple(int(d) for d in v.shape) for v in session.get_inputs()]))
    values = live_values(func)
    live, occupied = largest(values)
    arena = int(func.attributes["nn.arena"].value.data)
    figures = {"values": len(values), "arena": arena, "live": live, "occupied": occupied, "ratio": arena / live}
    return {"network": name} | figures


def main() -> None:
    """Print the table, and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # that the files declare wrong shapes
    rows = [measure(name) for name in NETWORKS]
    print(f"{'network':16}{'values':>8}{'arena MB':>12}{'live MB':>12}{'occupied MB':>14}{'arena/live':>12}")
    for row in rows:
        megabytes = "".join(f"{row[k] / 1e6:{w}.3f}" for k, w in (("arena", 12), ("live", 12), ("occupied", 14)))
        print(f"{row['network']:16}{row['values']:8}{megabytes}{row['ratio']:12.3f}")
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps({"limit": LIMIT, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
