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

func.func @others(%x: tensor<2x3xf32>, %i: tensor<4xui64>, %axes: tensor<2xi64>) {
  %0 = nn.reduce_l1 %x axes %axes : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  %1 = nn.reduce_l2 %x axes %axes : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  %2 = nn.reduce_log_sum %x axes %axes : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  %3 = nn.reduce_log_sum_exp %x axes %axes : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  %4 = nn.reduce_prod %x axes %axes : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  %5 = nn.reduce_sum_square %x axes %axes : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  %6 = nn.reduce_prod %i keepdims = 0 : (tensor<4xui64>) -> tensor<ui64>
  %7 = nn.reduce_l1 %x noop_with_empty_axes = 1 : tensor<2x3xf32>
  func.return
}

// CHECK-LABEL: func.func @others
// CHECK-NEXT:   %0 = nn.reduce_l1 %x axes %axes : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<?x?xf32>
// CHECK-NEXT:   %1 = nn.reduce_l2 %x axes %axes : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<?x?xf32>
// CHECK-NEXT:   %2 = nn.reduce_log_sum %x axes %axes : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<?x?xf32>
// CHECK-NEXT:   %3 = nn.reduce_log_sum_exp %x axes %axes : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<?x?xf32>
// CHECK-NEXT:   %4 = nn.reduce_prod %x axes %axes : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<?x?xf32>
// CHECK-NEXT:   %5 = nn.reduce_sum_square %x axes %axes : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<?x?xf32>
// CHECK-NEXT:   %6 = nn.reduce_prod %i keepdims = 0 : (tensor<4xui64>) -> tensor<ui64>
// CHECK-NEXT:   %7 = nn.reduce_l1 %x noop_with_empty_axes = 1 : tensor<2x3xf32>
