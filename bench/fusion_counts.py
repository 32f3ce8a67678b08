"""How many convolutions and products of nine image networks got their ReLU, and why other ReLUs are left.

    python bench/fusion_counts.py [--networks vgg19,resnet50]

For each network, as onnx ships it: the blas.matmulrelu and blas.gemmrelu after PASSES, each of which is a line of what
fuse-opt FILE -p canonicalize,fold-batch-norm,fold-scale,fuse-bias,fuse-activation,lower-nn-to-blas prints, and what
the nn.relu that are left read.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass

from networks import NETWORKS, light_file
from xdsl.ir import Operation, SSAValue

from nnfuse.lowering.onnx_to_nn import import_onnx
from nnfuse.runtime.pipelines import run_passes
from nnfuse.runtime.reference import main_function

PASSES = "canonicalize,fold-batch-norm,fold-scale,fuse-bias,fuse-activation,lower-nn-to-blas"
LAYOUTS = {"nn.reshape", "nn.transpose", "nn.flatten", "nn.squeeze", "nn.unsqueeze", "nn.identity", "nn.dropout"}
"""What a ReLU is moved through."""
TAKERS = {
    "nn.conv",
    "nn.conv_transpose",
    "nn.gemm",
    "nn.matmul",
    "nn.batch_normalization",
    "blas.matmul",
    "blas.gemm",
}
"""What a ReLU that nothing else reads could have been folded into."""


@dataclass(frozen=True)
class Counts:
    """Calls with a ReLU, and the op that each nn.relu left reads and the most uses of a value on the way to it."""

    matmulrelu: int
    gemmrelu: int
    left: Counter[tuple[str, int]]

    @property
    def foldable(self) -> int:
        """How many of the nn.relu that are left could have been folded."""
        return sum(count for (op, uses), count in self.left.items() if op in TAKERS and uses == 1)


def counts(name: str) -> Counts:
    """The counts of a network after PASSES."""
    module = import_onnx(light_file(name))
    run_passes(module, PASSES)
    ops = list(main_function(module).walk())
    return Counts(
        sum(op.name == "blas.matmulrelu" for op in ops),
        sum(op.name == "blas.gemmrelu" for op in ops),
        Counter(behind(op.operands[0]) for op in ops if op.name == "nn.relu"),
    )


def behind(value: SSAValue) -> tuple[str, int]:
    """The op that makes a value, seen through layout ops, and the most uses of a value on the way."""
    uses = sum(1 for _ in value.uses)
    owner = value.owner
    if not isinstance(owner, Operation):
        return "argument", uses
    if owner.name not in LAYOUTS:
        return owner.name, uses
    op, more = behind(owner.operands[0])
    return op, max(uses, more)


def main() -> None:
    """Print a line for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    options = parser.parse_args()
    print(f"{'network':14} {'matmulrelu':>10} {'gemmrelu':>9} {'nn.relu left':>13}  of which")
    for name in options.networks.split(","):
        found = counts(name)
        why = ", ".join(f"{n} read {op}" + f", of {uses} uses" * (uses > 1) for (op, uses), n in found.left.items())
        print(f"{name:14} {found.matmulrelu:10} {found.gemmrelu:9} {found.left.total():13}  {why}", flush=True)
        if found.foldable:
            sys.exit(f"{name}: {found.foldable} nn.relu could have been folded")


if __name__ == "__main__":
    main()
