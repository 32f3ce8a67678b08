// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Ops that gather and scatter elements and slices, in both forms and back.

func.func @scatter(%x: tensor<2x6xf32>, %y: tensor<2x?xf32>, %i: tensor<2x3xi64>, %j: tensor<4x2xi32>, %k: tensor<2x1xi64>, %u: tensor<2x3xf32>, %v: tensor<4xf32>, %c: tensor<2x8x3xf32>, %d: tensor<2x1x3xf32>, %w: tensor<2xi64>) {
  %0 = nn.gather_elements %x, %i axis = 1 : (tensor<2x6xf32>, tensor<2x3xi64>) -> tensor<2x3xf32>
  %1 = nn.gather_nd %x, %j : (tensor<2x6xf32>, tensor<4x2xi32>) -> tensor<4xf32>
  %2 = nn.gather_nd %y, %k batch_dims = 1 : (tensor<2x?xf32>, tensor<2x1xi64>) -> tensor<2xf32>
  %3 = nn.scatter_elements %x, %i, %u axis = 1 reduction = "max" : (tensor<2x6xf32>, tensor<2x3xi64>, tensor<2x3xf32>) -> tensor<2x6xf32>
  %4 = nn.scatter_nd %x, %j, %v reduction = "add" : (tensor<2x6xf32>, tensor<4x2xi32>, tensor<4xf32>) -> tensor<2x6xf32>
  %5 = nn.tensor_scatter %c, %d write_indices %w mode = "circular" : (tensor<2x8x3xf32>, tensor<2x1x3xf32>, tensor<2xi64>) -> tensor<2x8x3xf32>
  func.return
}

// CHECK-LABEL: func.func @scatter
// CHECK-NEXT:   %0 = nn.gather_elements %x, %i axis = 1 : (tensor<2x6xf32>, tensor<2x3xi64>) -> tensor<2x3xf32>
// CHECK-NEXT:   %1 = nn.gather_nd %x, %j : (tensor<2x6xf32>, tensor<4x2xi32>) -> tensor<4xf32>
// CHECK-NEXT:   %2 = nn.gather_nd %y, %k batch_dims = 1 : (tensor<2x?xf32>, tensor<2x1xi64>) -> tensor<2xf32>
// CHECK-NEXT:   %3 = nn.scatter_elements %x, %i, %u axis = 1 reduction = "max" : (tensor<2x6xf32>, tensor<2x3xi64>, tensor<2x3xf32>) -> tensor<2x6xf32>
// CHECK-NEXT:   %4 = nn.scatter_nd %x, %j, %v reduction = "add" : (tensor<2x6xf32>, tensor<4x2xi32>, tensor<4xf32>) -> tensor<2x6xf32>
// CHECK-NEXT:   %5 = nn.tensor_scatter %c, %d write_indices %w mode = "circular" : (tensor<2x8x3xf32>, tensor<2x1x3xf32>, tensor<2xi64>) -> tensor<2x8x3xf32>
