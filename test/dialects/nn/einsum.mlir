// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Einsum, in both forms and back.

func.func @sums(%a: tensor<2x3x4xf32>, %b: tensor<?x4x5xf32>, %v: tensor<?xi64>) {
  %0 = nn.einsum [%a, %b] equation = "bij,bjk->bik" : (tensor<2x3x4xf32>, tensor<?x4x5xf32>) -> tensor<2x3x5xf32>
  %1 = nn.einsum [%a] equation = "...i->..." : (tensor<2x3x4xf32>) -> tensor<2x3xf32>
  %2 = nn.einsum [%v, %v, %v] equation = "i,j,i" {place = array<i64: 0>} : tensor<?xi64>
  func.return
}

// CHECK-LABEL: func.func @sums
// CHECK-NEXT:   %0 = nn.einsum [%a, %b] equation = "bij,bjk->bik" : (tensor<2x3x4xf32>, tensor<?x4x5xf32>) -> tensor<2x3x5xf32>
// CHECK-NEXT:   %1 = nn.einsum [%a] equation = "...i->..." : (tensor<2x3x4xf32>) -> tensor<2x3xf32>
// CHECK-NEXT:   %2 = nn.einsum [%v, %v, %v] equation = "i,j,i" {place = array<i64: 0>} : tensor<?xi64>
