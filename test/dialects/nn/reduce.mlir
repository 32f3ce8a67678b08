// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Reductions, in both forms and back.

func.func @reductions(%x: tensor<2x3x4xf32>, %axes: tensor<1xi64>, %many: tensor<?xi64>) {
  %all = nn.reduce_sum %x : (tensor<2x3x4xf32>) -> tensor<1x1x1xf32>
  %scalar = nn.reduce_mean %x keepdims = 0 : (tensor<2x3x4xf32>) -> tensor<f32>
  %none = nn.reduce_sum %x noop_with_empty_axes = 1 : tensor<2x3x4xf32>
  %one = nn.constant 1 : i64 as tensor<1xi64>
  %mean = nn.reduce_mean %x axes %one : (tensor<2x3x4xf32>, tensor<1xi64>) -> tensor<2x1x4xf32>
  %max = nn.reduce_max %x axes %axes keepdims = 0 : (tensor<2x3x4xf32>, tensor<1xi64>) -> tensor<?x?xf32>
  %min = nn.reduce_min %x axes %many : (tensor<2x3x4xf32>, tensor<?xi64>) -> tensor<?x?x?xf32>
  func.return
}

// CHECK-LABEL: func.func @reductions
// CHECK-NEXT:   %all = nn.reduce_sum %x : (tensor<2x3x4xf32>) -> tensor<1x1x1xf32>
// CHECK-NEXT:   %scalar = nn.reduce_mean %x keepdims = 0 : (tensor<2x3x4xf32>) -> tensor<f32>
// CHECK-NEXT:   %none = nn.reduce_sum %x noop_with_empty_axes = 1 : tensor<2x3x4xf32>
// CHECK-NEXT:   %one = nn.constant 1 : i64 as tensor<1xi64>
// CHECK-NEXT:   %mean = nn.reduce_mean %x axes %one : (tensor<2x3x4xf32>, tensor<1xi64>) -> tensor<2x1x4xf32>
// CHECK-NEXT:   %max = nn.reduce_max %x axes %axes keepdims = 0 : (tensor<2x3x4xf32>, tensor<1xi64>) -> tensor<?x?xf32>
// CHECK-NEXT:   %min = nn.reduce_min %x axes %many : (tensor<2x3x4xf32>, tensor<?xi64>) -> tensor<?x?x?xf32>
