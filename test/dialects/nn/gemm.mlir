// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | filecheck %s --check-prefix=GENERIC

// CHECK-LABEL: @gemm
// CHECK: nn.gemm %a, %b : (tensor<4x3xf32>, tensor<3x5xf32>) -> tensor<4x5xf32>
// CHECK: nn.gemm %b, %a c %c alpha = 0.5 beta = 2.0 transA = 1 transB = 1 activation = relu : (tensor<3x5xf32>, tensor<4x3xf32>, tensor<4xf32>) -> tensor<5x4xf32>
// GENERIC: "nn.gemm"(%a, %b) <{alpha = 1.000000e+00 : f32, beta = 1.000000e+00 : f32
func.func @gemm(%a: tensor<4x3xf32>, %b: tensor<3x5xf32>, %c: tensor<4xf32>) -> (tensor<4x5xf32>, tensor<5x4xf32>) {
  %y = nn.gemm %a, %b : (tensor<4x3xf32>, tensor<3x5xf32>) -> tensor<4x5xf32>
  %z = nn.gemm %b, %a c %c alpha = 0.5 beta = 2.0 transA = 1 transB = 1 activation = relu : (tensor<3x5xf32>, tensor<4x3xf32>, tensor<4xf32>) -> tensor<5x4xf32>
  func.return %y, %z : tensor<4x5xf32>, tensor<5x4xf32>
}

// CHECK-LABEL: @matmul
// CHECK: nn.matmul %a, %b : (tensor<?x4x3xi32>, tensor<3xi32>) -> tensor<?x4xi32>
// CHECK: nn.matmul %m, %m : tensor<3x3xf32>
// CHECK: nn.matmul %m, %m bias %v activation = clip<0.0, 6.0> : (tensor<3x3xf32>, tensor<3x3xf32>, tensor<3xf32>) -> tensor<3x3xf32>
func.func @matmul(%a: tensor<?x4x3xi32>, %b: tensor<3xi32>, %m: tensor<3x3xf32>, %v: tensor<3xf32>) -> (tensor<?x4xi32>, tensor<3x3xf32>, tensor<3x3xf32>) {
  %x = nn.matmul %a, %b : (tensor<?x4x3xi32>, tensor<3xi32>) -> tensor<?x4xi32>
  %y = nn.matmul %m, %m : tensor<3x3xf32>
  %z = nn.matmul %m, %m bias %v activation = clip<0.0, 6.0> : (tensor<3x3xf32>, tensor<3x3xf32>, tensor<3xf32>) -> tensor<3x3xf32>
  func.return %x, %y, %z : tensor<?x4xi32>, tensor<3x3xf32>, tensor<3x3xf32>
}
