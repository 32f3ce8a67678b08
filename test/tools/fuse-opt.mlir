// RUN: fuse-opt %s | filecheck %s
// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s
// RUN: xdsl-opt %s | filecheck %s
// RUN: fuse-opt %s -p fuse-activation --remarks 2>&1 | filecheck %s --check-prefix=FUSED
// RUN: xdsl-opt %s -p fuse-activation | filecheck %s --check-prefix=FUSED

// Both drivers know the dialects and the passes.

func.func @main(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %w = nn.parameter "conv1.weight" : tensor<4x3x3x3xf32>
  %y = nn.conv %x, %w pads [1, 1, 1, 1] : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x8x8xf32>
  %z = nn.relu %y : tensor<1x4x8x8xf32>
  func.return %z : tensor<1x4x8x8xf32>
}

// CHECK-LABEL: func.func @main
// CHECK: nn.conv %x, %w pads [1, 1, 1, 1] : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x8x8xf32>
// CHECK-NEXT: nn.relu

// FUSED: nn.conv %x, %w pads [1, 1, 1, 1] activation = relu
// FUSED-NOT: nn.relu
