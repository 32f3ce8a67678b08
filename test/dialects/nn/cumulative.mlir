// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Running sums and products, in both forms and back.

func.func @cumulative(%x: tensor<2x?xf32>, %axis: tensor<i32>) {
  %0 = nn.cum_sum %x, %axis : (tensor<2x?xf32>, tensor<i32>) -> tensor<2x?xf32>
  %1 = nn.cum_sum %x, %axis exclusive = 1 reverse = 1 : (tensor<2x?xf32>, tensor<i32>) -> tensor<2x?xf32>
  %2 = nn.cum_prod %x, %axis reverse = 1 {place = array<i64: 0>} : (tensor<2x?xf32>, tensor<i32>) -> tensor<2x?xf32>
  func.return
}

// CHECK-LABEL: func.func @cumulative
// CHECK-NEXT:   %0 = nn.cum_sum %x, %axis : (tensor<2x?xf32>, tensor<i32>) -> tensor<2x?xf32>
// CHECK-NEXT:   %1 = nn.cum_sum %x, %axis exclusive = 1 reverse = 1 : (tensor<2x?xf32>, tensor<i32>) -> tensor<2x?xf32>
// CHECK-NEXT:   %2 = nn.cum_prod %x, %axis reverse = 1 {place = array<i64: 0>} : (tensor<2x?xf32>, tensor<i32>) -> tensor<2x?xf32>
