// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Random numbers, in both forms and back.

func.func @drawn(%x: tensor<2x?xf32>) {
  %0 = nn.random_normal shape [2, 3] : tensor<2x3xf32>
  %1 = nn.random_normal shape [] mean = 1.0 scale = 2.0 dtype = f16 seed = 7.0 : tensor<f16>
  %2 = nn.random_normal_like %x seed = 0.5 : tensor<2x?xf32>
  %3 = nn.random_uniform shape [4] low = -1.0 high = 2.0 : tensor<4xf32>
  %4 = nn.random_uniform_like %x dtype = f64 : (tensor<2x?xf32>) -> tensor<2x?xf64>
  %5 = nn.bernoulli %x dtype = i1 {place = array<i64: 0>} : (tensor<2x?xf32>) -> tensor<2x?xi1>
  %6 = nn.multinomial %x sample_size = 4 : (tensor<2x?xf32>) -> tensor<2x4xi32>
  %7 = nn.multinomial %x dtype = i64 seed = 3.0 : (tensor<2x?xf32>) -> tensor<2x1xi64>
  func.return
}

// CHECK-LABEL: func.func @drawn
// CHECK-NEXT:   %0 = nn.random_normal shape [2, 3] : tensor<2x3xf32>
// CHECK-NEXT:   %1 = nn.random_normal shape [] mean = 1.0 scale = 2.0 dtype = f16 seed = 7.0 : tensor<f16>
// CHECK-NEXT:   %2 = nn.random_normal_like %x seed = 0.5 : tensor<2x?xf32>
// CHECK-NEXT:   %3 = nn.random_uniform shape [4] low = -1.0 high = 2.0 : tensor<4xf32>
// CHECK-NEXT:   %4 = nn.random_uniform_like %x dtype = f64 : (tensor<2x?xf32>) -> tensor<2x?xf64>
// CHECK-NEXT:   %5 = nn.bernoulli %x dtype = i1 {place = array<i64: 0>} : (tensor<2x?xf32>) -> tensor<2x?xi1>
// CHECK-NEXT:   %6 = nn.multinomial %x sample_size = 4 : (tensor<2x?xf32>) -> tensor<2x4xi32>
// CHECK-NEXT:   %7 = nn.multinomial %x dtype = i64 seed = 3.0 : (tensor<2x?xf32>) -> tensor<2x1xi64>
