// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Scan: states, slices and captures, in both forms and back.

func.func @states_and_slices(%h: tensor<4xf32>, %x: tensor<2x5x4xf32>, %w: tensor<4xf32>) -> (tensor<4xf32>, tensor<4x5xf32>) {
  %r, %s = nn.scan scan_input_axes [1] scan_input_directions [1] scan_output_axes [-1] {key = 1 : i64} states (%a = %h : tensor<4xf32>) slices (%e : tensor<2x4xf32> = %x : tensor<2x5x4xf32>) captures (%k = %w : tensor<4xf32>) {
    %axes = nn.constant 0 : i64 as tensor<1xi64>
    %m = nn.reduce_sum %e axes %axes keepdims = 0 : (tensor<2x4xf32>, tensor<1xi64>) -> tensor<4xf32>
    %n = nn.add %a, %m : tensor<4xf32>
    nn.yield %n, %k : tensor<4xf32>, tensor<4xf32>
  } : tensor<4xf32>, tensor<4x5xf32>
  func.return %r, %s : tensor<4xf32>, tensor<4x5xf32>
}

// CHECK-LABEL: func.func @states_and_slices(%h: tensor<4xf32>, %x: tensor<2x5x4xf32>, %w: tensor<4xf32>) -> (tensor<4xf32>, tensor<4x5xf32>) {
// CHECK-NEXT:     %r, %s = nn.scan scan_input_axes [1] scan_input_directions [1] scan_output_axes [-1] {key = 1 : i64} states (%a = %h : tensor<4xf32>) slices (%e : tensor<2x4xf32> = %x : tensor<2x5x4xf32>) captures (%k = %w : tensor<4xf32>) {
// CHECK-NEXT:       %axes = nn.constant 0 : i64 as tensor<1xi64>
// CHECK-NEXT:       %m = nn.reduce_sum %e axes %axes keepdims = 0 : (tensor<2x4xf32>, tensor<1xi64>) -> tensor<4xf32>
// CHECK-NEXT:       %n = nn.add %a, %m : tensor<4xf32>
// CHECK-NEXT:       nn.yield %n, %k : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:     } : tensor<4xf32>, tensor<4x5xf32>
// CHECK-NEXT:     func.return %r, %s : tensor<4xf32>, tensor<4x5xf32>
// CHECK-NEXT:   }
