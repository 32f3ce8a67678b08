// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | filecheck %s --check-prefix=GENERIC
// RUN: xdsl-opt %s | filecheck %s

// CHECK-LABEL: @products
// CHECK: blas.matmul %a, %b : (tensor<4x3xf32>, tensor<3x5xf32>) -> tensor<4x5xf32>
// CHECK: blas.matmulrelu %a, %b c %c beta = 1.0 : (tensor<4x3xf32>, tensor<3x5xf32>, tensor<4x5xf32>) -> tensor<4x5xf32>
// CHECK: blas.gemm %a, %b, %v alpha = 0.5 : (tensor<4x3xf32>, tensor<3x5xf32>, tensor<5xf32>) -> tensor<4x5xf32>
// CHECK: blas.gemmrelu %a, %b, %v c %c beta = 2.0 : (tensor<4x3xf32>, tensor<3x5xf32>, tensor<5xf32>, tensor<4x5xf32>) -> tensor<4x5xf32>
// CHECK: blas.gemmgelu %a, %a, %u transB = 1 : (tensor<4x3xf32>, tensor<4x3xf32>, tensor<4xf32>) -> tensor<4x4xf32>
// GENERIC: "blas.matmul"(%a, %b) <{alpha = 1.000000e+00 : f32, beta = 0.000000e+00 : f32, transA = 0 : i64, transB = 0 : i64}>
func.func @products(%a: tensor<4x3xf32>, %b: tensor<3x5xf32>, %c: tensor<4x5xf32>, %v: tensor<5xf32>, %u: tensor<4xf32>) -> (tensor<4x5xf32>, tensor<4x5xf32>, tensor<4x5xf32>, tensor<4x5xf32>, tensor<4x4xf32>) {
  %0 = blas.matmul %a, %b : (tensor<4x3xf32>, tensor<3x5xf32>) -> tensor<4x5xf32>
  %1 = blas.matmulrelu %a, %b c %c beta = 1.0 : (tensor<4x3xf32>, tensor<3x5xf32>, tensor<4x5xf32>) -> tensor<4x5xf32>
  %2 = blas.gemm %a, %b, %v alpha = 0.5 : (tensor<4x3xf32>, tensor<3x5xf32>, tensor<5xf32>) -> tensor<4x5xf32>
  %3 = blas.gemmrelu %a, %b, %v c %c beta = 2.0 : (tensor<4x3xf32>, tensor<3x5xf32>, tensor<5xf32>, tensor<4x5xf32>) -> tensor<4x5xf32>
  %4 = blas.gemmgelu %a, %a, %u transB = 1 : (tensor<4x3xf32>, tensor<4x3xf32>, tensor<4xf32>) -> tensor<4x4xf32>
  func.return %0, %1, %2, %3, %4 : tensor<4x5xf32>, tensor<4x5xf32>, tensor<4x5xf32>, tensor<4x5xf32>, tensor<4x4xf32>
}

// Batch dims broadcast, and c lacks those along which it repeats.
// CHECK-LABEL: @batch
// CHECK: blas.matmul %w, %p c %c beta = 1.0 : (tensor<2x4x3xf32>, tensor<?x2x3x5xf32>, tensor<2x4x5xf32>) -> tensor<?x2x4x5xf32>
func.func @batch(%w: tensor<2x4x3xf32>, %p: tensor<?x2x3x5xf32>, %c: tensor<2x4x5xf32>) -> tensor<?x2x4x5xf32> {
  %y = blas.matmul %w, %p c %c beta = 1.0 : (tensor<2x4x3xf32>, tensor<?x2x3x5xf32>, tensor<2x4x5xf32>) -> tensor<?x2x4x5xf32>
  func.return %y : tensor<?x2x4x5xf32>
}

// CHECK-LABEL: @columns
// CHECK: blas.im2col %x kernel [3, 3] : (tensor<2x4x8x8xf32>) -> tensor<2x36x36xf32>
// CHECK: blas.im2col %x kernel [3, 3] strides [2, 2] pads [1, 1, 1, 1] dilations [1, 2] group = 2 : (tensor<2x4x8x8xf32>) -> tensor<2x2x18x12xf32>
// CHECK: blas.im2col %x kernel [3, 3] layout = "nhwc" : (tensor<2x4x8x8xf32>) -> tensor<2x12x72xf32>
// CHECK: blas.broadcast %b axis = 0 shape [4, 36] : (tensor<4xf32>) -> tensor<4x36xf32>
func.func @columns(%x: tensor<2x4x8x8xf32>, %b: tensor<4xf32>) -> (tensor<2x36x36xf32>, tensor<2x2x18x12xf32>, tensor<2x12x72xf32>, tensor<4x36xf32>) {
  %0 = blas.im2col %x kernel [3, 3] : (tensor<2x4x8x8xf32>) -> tensor<2x36x36xf32>
  %1 = blas.im2col %x kernel [3, 3] strides [2, 2] pads [1, 1, 1, 1] dilations [1, 2] group = 2 : (tensor<2x4x8x8xf32>) -> tensor<2x2x18x12xf32>
  %2 = blas.im2col %x kernel [3, 3] layout = "nhwc" : (tensor<2x4x8x8xf32>) -> tensor<2x12x72xf32>
  %3 = blas.broadcast %b axis = 0 shape [4, 36] : (tensor<4xf32>) -> tensor<4x36xf32>
  func.return %0, %1, %2, %3 : tensor<2x36x36xf32>, tensor<2x2x18x12xf32>, tensor<2x12x72xf32>, tensor<4x36xf32>
}

// CHECK-LABEL: @pack
// CHECK: blas.pack %x perm [0, 2, 3, 1] ends [0, 0, 0, 1] to = f16 : (tensor<?x3x8x6xf32>) -> tensor<?x8x6x4xf16>
func.func @pack(%x: tensor<?x3x8x6xf32>) -> tensor<?x8x6x4xf16> {
  %y = blas.pack %x perm [0, 2, 3, 1] ends [0, 0, 0, 1] to = f16 : (tensor<?x3x8x6xf32>) -> tensor<?x8x6x4xf16>
  func.return %y : tensor<?x8x6x4xf16>
}
