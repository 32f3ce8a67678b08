// RUN: fuse-run %s --dim N=2 2>&1 | filecheck %s --check-prefix=OUTPUTS
// RUN: fuse-opt %s | fuse-run - --shape x=2x3x8x8 2>&1 | filecheck %s --check-prefix=OUTPUTS
// RUN: fuse-run %s --dim N=2 --check | filecheck %s --check-prefix=CHECKED
// RUN: fuse-run %s --dim N=2 --profile 2>/dev/null | filecheck %s --check-prefix=PROFILE
// RUN: fuse-run %s --dim N=2 --print-pipeline | filecheck %s --check-prefix=PIPELINE
// RUN: not fuse-run %s 2>&1 | filecheck %s --check-prefix=UNBOUND

// IR runs as it is: from a file or from standard input.

func.func @main(%x: tensor<?x3x8x8xf32> {nn.name = "x", nn.dims = ["N", "", "", ""]})
    -> (tensor<?x3x4x4xf32> {nn.name = "y"}) {
  %p = nn.max_pool %x kernel_shape [2, 2] strides [2, 2] : (tensor<?x3x8x8xf32>) -> tensor<?x3x4x4xf32>
  %y = nn.relu %p : tensor<?x3x4x4xf32>
  func.return %y : tensor<?x3x4x4xf32>
}

// OUTPUTS-DAG: fuse-run: generated from seed 0: x (2x3x8x8 float32)
// OUTPUTS-DAG: y       2x3x4x4  float32

// CHECKED: IR; compiled for x 2x3x8x8: 2 operations in an arena of

// PROFILE: %p{{ *}}nn.max_pool{{ *}}2x3x8x8 -> 2x3x4x4
// PROFILE-NEXT: %y{{ *}}nn.relu{{ *}}2x3x4x4 -> 2x3x4x4
// PROFILE: total

// PIPELINE: fuse-activation,canonicalize,specialize-shapes{dims="N=2"},canonicalize,expand-conv-transpose{growth=1.5},lower-nn-to-blas,hoist-parameters,plan-memory

// UNBOUND: fuse-run: x: the input is Nx3x8x8: no size is given for N (--dim N=SIZE, or --shape, or --input)
