"""The figures of gpu_networks.py as a plot: nnfuse, PyTorch and ONNX Runtime, per network and batch.

    python bench/gpu_plot.py bench/results/gpu_networks.json bench/results/gpu_networks.png

Needs matplotlib (`pip install matplotlib`).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

PEERS = {"nnfuse": "#1f6f8b", "torch.compile": "#e07a5f", "torch graph": "#c9c5b1", "ONNX Runtime": "#7d8597"}
"""Colours, in the order of the bars."""


def relative(row: dict[str, Any], peer: str) -> float:
    """A peer's time, where nnfuse's is 1."""
    return float(row["times"].get(peer, 0.0) / row["times"]["nnfuse"])


def draw(figures: dict[str, Any], path: Path) -> None:
    """One group of bars for each network, precision and batch."""
    rows = figures["rows"]
    fig, axes = plt.subplots(figsize=(max(6.0, 0.8 * len(rows)), 4), layout="constrained")
    peers = [peer for peer in PEERS if any(peer in row["times"] for row in rows)]
    width = 0.8 / len(peers)
    for n, peer in enumerate(peers):
        places = [i + (n - (len(peers) - 1) / 2) * width for i in range(len(rows))]
        bars = axes.bar(places, [relative(row, peer) for row in rows], width, label=peer, color=PEERS[peer])
        if peer == "nnfuse":
            axes.bar_label(bars, [f"{row['times'][peer]:.0f} µs" for row in rows], fontsize=7, rotation=90, padding=3)
    axes.set_xticks(
        range(len(rows)),
        [f"{row['network']}\n{row['precision']}, batch {row['batch']}" for row in rows],
        rotation=45,
        ha="right",
        fontsize=8,
    )
    axes.set_ylabel("time, nnfuse = 1")
    axes.set_title(f"{figures['machine']['device']}, device time per call (lower is better)", fontsize=10)
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    axes.spines[["top", "right"]].set_visible(False)
    fig.savefig(path, dpi=130)


def main() -> None:
    """Read, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path, help="the JSON file of gpu_networks.py")
    parser.add_argument("png", type=Path)
    options = parser.parse_args()
    draw(json.loads(options.figures.read_text()), options.png)


if __name__ == "__main__":
    main()
