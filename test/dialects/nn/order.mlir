// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Indices of extreme elements, and the first of an order, in both forms and back.

func.func @order(%x: tensor<2x?x4xf32>, %k: tensor<1xi64>) {
  %0 = nn.arg_max %x : (tensor<2x?x4xf32>) -> tensor<1x?x4xi64>
  %1 = nn.arg_max %x axis = 1 keepdims = 0 : (tensor<2x?x4xf32>) -> tensor<2x4xi64>
  %2 = nn.arg_min %x axis = -1 select_last_index = 1 {place = array<i64: 0>} : (tensor<2x?x4xf32>) -> tensor<2x?x1xi64>
  %three = nn.constant 3 : i64 as tensor<1xi64>
  %3, %4 = nn.top_k %x, %three : (tensor<2x?x4xf32>, tensor<1xi64>) -> (tensor<2x?x3xf32>, tensor<2x?x3xi64>)
  %5, %6 = nn.top_k %x, %k axis = 0 largest = 0 sorted = 0 : (tensor<2x?x4xf32>, tensor<1xi64>) -> (tensor<?x?x4xf32>, tensor<?x?x4xi64>)
  func.return
}

// CHECK-LABEL: func.func @order
// CHECK-NEXT:   %0 = nn.arg_max %x : (tensor<2x?x4xf32>) -> tensor<1x?x4xi64>
// CHECK-NEXT:   %1 = nn.arg_max %x axis = 1 keepdims = 0 : (tensor<2x?x4xf32>) -> tensor<2x4xi64>
// CHECK-NEXT:   %2 = nn.arg_min %x axis = -1 select_last_index = 1 {place = array<i64: 0>} : (tensor<2x?x4xf32>) -> tensor<2x?x1xi64>
// CHECK-NEXT:   %three = nn.constant 3 : i64 as tensor<1xi64>
// CHECK-NEXT:   %3, %4 = nn.top_k %x, %three : (tensor<2x?x4xf32>, tensor<1xi64>) -> (tensor<2x?x3xf32>, tensor<2x?x3xi64>)
// CHECK-NEXT:   %5, %6 = nn.top_k %x, %k axis = 0 largest = 0 sorted = 0 : (tensor<2x?x4xf32>, tensor<1xi64>) -> (tensor<?x?x4xf32>, tensor<?x?x4xi64>)
