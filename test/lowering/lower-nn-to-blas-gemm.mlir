// RUN: fuse-opt %s -p lower-nn-to-blas --split-input-file | filecheck %s
// RUN: fuse-opt %s -p lower-nn-to-blas --split-input-file | fuse-opt --split-input-file | filecheck %s
// RUN: fuse-opt %s -p lower-nn-to-blas --split-input-file --remarks 2>&1 | filecheck %s --check-prefix=REMARKS
// RUN: fuse-opt %s -p 'lower-nn-to-blas{tf32=true}' --split-input-file | filecheck %s --check-prefix=TF32
// RUN: fuse-opt %s -p 'lower-nn-to-blas{tf32=true}' --split-input-file | fuse-opt --split-input-file | filecheck %s --check-prefix=TF32

// A vector along N with beta = 1 is a bias: cuBLASLt's BIAS epilogues.
// Products that may be rounded to TF32 say so.
// TF32-LABEL: @bias
// TF32-NEXT: blas.gemm %a, %b, %v transB = 1 compute_type = "tf32" :
// TF32-NEXT: blas.gemmrelu %a, %b, %v alpha = 0.5 transB = 1 compute_type = "tf32" :

// CHECK-LABEL: @bias
// CHECK-NEXT: blas.gemm %a, %b, %v transB = 1 : (tensor<4x3xf32>, tensor<4x3xf32>, tensor<4xf32>) -> tensor<4x4xf32>
// CHECK-NEXT: blas.gemmrelu %a, %b, %v alpha = 0.5 transB = 1 :
// CHECK-NEXT: blas.gemmgelu %a, %b, %v transB = 1 :
// CHECK-NEXT: func.return
func.func @bias(%a: tensor<4x3xf32>, %b: tensor<4x3xf32>, %v: tensor<4xf32>) -> (tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>) {
  %0 = nn.gemm %a, %b c %v transB = 1 : (tensor<4x3xf32>, tensor<4x3xf32>, tensor<4xf32>) -> tensor<4x4xf32>
  %1 = nn.gemm %a, %b c %v transB = 1 alpha = 0.5 activation = relu : (tensor<4x3xf32>, tensor<4x3xf32>, tensor<4xf32>) -> tensor<4x4xf32>
  %2 = nn.gemm %a, %b c %v transB = 1 activation = gelu_tanh : (tensor<4x3xf32>, tensor<4x3xf32>, tensor<4xf32>) -> tensor<4x4xf32>
  func.return %0, %1, %2 : tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>
}

// -----

// A row [1, N] is one too, and so is a batch of unknown size.
// CHECK-LABEL: @row
// CHECK: [[V:%.*]] = nn.reshape %v, {{.*}} : (tensor<1x5xf32>, tensor<1xi64>) -> tensor<5xf32>
// CHECK-NEXT: blas.gemm %a, %b, [[V]] : (tensor<?x3xf32>, tensor<3x5xf32>, tensor<5xf32>) -> tensor<?x5xf32>
func.func @row(%a: tensor<?x3xf32>, %b: tensor<3x5xf32>, %v: tensor<1x5xf32>) -> tensor<?x5xf32> {
  %0 = nn.gemm %a, %b c %v : (tensor<?x3xf32>, tensor<3x5xf32>, tensor<1x5xf32>) -> tensor<?x5xf32>
  func.return %0 : tensor<?x5xf32>
}

// -----

// A matrix is the third operand as it is; without c (or with beta = 0) there is none.
// CHECK-LABEL: @matrix
// CHECK-NEXT: blas.matmulrelu %b, %a c %c alpha = 2.0 beta = 0.5 transA = 1 transB = 1 :
// CHECK-NEXT: blas.matmulrelu %a, %b : (tensor<4x3xf32>, tensor<3x5xf32>) -> tensor<4x5xf32>
// CHECK-NEXT: blas.matmul %b, %a transA = 1 transB = 1 : (tensor<3x5xf32>, tensor<4x3xf32>) -> tensor<5x4xf32>
// CHECK-NEXT: func.return
func.func @matrix(%a: tensor<4x3xf32>, %b: tensor<3x5xf32>, %c: tensor<5x4xf32>) -> (tensor<5x4xf32>, tensor<4x5xf32>, tensor<5x4xf32>) {
  %0 = nn.gemm %b, %a c %c alpha = 2.0 beta = 0.5 transA = 1 transB = 1 activation = relu : (tensor<3x5xf32>, tensor<4x3xf32>, tensor<5x4xf32>) -> tensor<5x4xf32>
  %1 = nn.gemm %a, %b activation = relu : (tensor<4x3xf32>, tensor<3x5xf32>) -> tensor<4x5xf32>
  %2 = nn.gemm %b, %a c %c beta = 0.0 transA = 1 transB = 1 : (tensor<3x5xf32>, tensor<4x3xf32>, tensor<5x4xf32>) -> tensor<5x4xf32>
  func.return %0, %1, %2 : tensor<5x4xf32>, tensor<4x5xf32>, tensor<5x4xf32>
}

// -----

// Near misses of a bias vector: a column, a scaled vector, one element. They are repeated into the third operand.
// CHECK-LABEL: @repeated
// CHECK: [[V:%.*]] = nn.reshape %column, {{.*}} -> tensor<4xf32>
// CHECK: [[C0:%.*]] = blas.broadcast [[V]] axis = 0 shape [4, 4]
// CHECK: blas.matmul %a, %b c [[C0]] beta = 1.0
// CHECK: [[C1:%.*]] = blas.broadcast %v axis = 1 shape [4, 4]
// CHECK: blas.matmulrelu %a, %b c [[C1]] beta = 2.0
// CHECK: [[ONE:%.*]] = nn.reshape %one, {{.*}} -> tensor<1xf32>
// CHECK: [[C2:%.*]] = blas.broadcast [[ONE]] axis = 0 shape [4, 4]
// CHECK: blas.matmul %a, %b c [[C2]] beta = 1.0
func.func @repeated(%a: tensor<4x3xf32>, %b: tensor<3x4xf32>, %column: tensor<4x1xf32>, %v: tensor<4xf32>, %one: tensor<f32>) -> (tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>) {
  %0 = nn.gemm %a, %b c %column : (tensor<4x3xf32>, tensor<3x4xf32>, tensor<4x1xf32>) -> tensor<4x4xf32>
  %1 = nn.gemm %a, %b c %v beta = 2.0 activation = relu : (tensor<4x3xf32>, tensor<3x4xf32>, tensor<4xf32>) -> tensor<4x4xf32>
  %2 = nn.gemm %a, %b c %one : (tensor<4x3xf32>, tensor<3x4xf32>, tensor<f32>) -> tensor<4x4xf32>
  func.return %0, %1, %2 : tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>
}

// -----

// Other activations stay operations: erf GELU is not the library's, and the tanh form needs a bias vector.
// CHECK-LABEL: @activations
// CHECK: [[Y:%.*]] = blas.gemm %a, %b, %v
// CHECK-NEXT: nn.gelu [[Y]] : tensor<4x5xf32>
// CHECK-NEXT: [[Z:%.*]] = blas.matmul %a, %b
// CHECK-NEXT: nn.gelu [[Z]] approximate = "tanh" : tensor<4x5xf32>
func.func @activations(%a: tensor<4x3xf32>, %b: tensor<3x5xf32>, %v: tensor<5xf32>) -> (tensor<4x5xf32>, tensor<4x5xf32>) {
  %0 = nn.gemm %a, %b c %v activation = gelu : (tensor<4x3xf32>, tensor<3x5xf32>, tensor<5xf32>) -> tensor<4x5xf32>
  %1 = nn.gemm %a, %b activation = gelu_tanh : (tensor<4x3xf32>, tensor<3x5xf32>) -> tensor<4x5xf32>
  func.return %0, %1 : tensor<4x5xf32>, tensor<4x5xf32>
}

// -----

// A stack times one matrix is one product; two stacks are a batch.
// CHECK-LABEL: @matmul
// CHECK: [[A:%.*]] = nn.reshape %a, {{.*}} -> tensor<8x3xf32>
// CHECK: [[Y:%.*]] = blas.gemmrelu [[A]], %b, %v : {{.*}} -> tensor<8x5xf32>
// CHECK: nn.reshape [[Y]], {{.*}} -> tensor<2x4x5xf32>
// CHECK: blas.matmul %a, %s : (tensor<2x4x3xf32>, tensor<6x1x3x5xf32>) -> tensor<6x2x4x5xf32>
func.func @matmul(%a: tensor<2x4x3xf32>, %b: tensor<3x5xf32>, %v: tensor<5xf32>, %s: tensor<6x1x3x5xf32>) -> (tensor<2x4x5xf32>, tensor<6x2x4x5xf32>) {
  %0 = nn.matmul %a, %b bias %v activation = relu : (tensor<2x4x3xf32>, tensor<3x5xf32>, tensor<5xf32>) -> tensor<2x4x5xf32>
  %1 = nn.matmul %a, %s : (tensor<2x4x3xf32>, tensor<6x1x3x5xf32>) -> tensor<6x2x4x5xf32>
  func.return %0, %1 : tensor<2x4x5xf32>, tensor<6x2x4x5xf32>
}

// -----

// A vector is one row or one column; after a column the bias runs along the rows.
// CHECK-LABEL: @vectors
// CHECK: [[ROW:%.*]] = nn.reshape %u, {{.*}} -> tensor<1x3xf32>
// CHECK: blas.matmul [[ROW]], %b : {{.*}} -> tensor<1x5xf32>
// CHECK: [[COLUMN:%.*]] = nn.reshape %u, {{.*}} -> tensor<3x1xf32>
// CHECK: [[C:%.*]] = nn.reshape %v, {{.*}} -> tensor<4x1xf32>
// CHECK: blas.matmulrelu %a, [[COLUMN]] c [[C]] beta = 1.0 : {{.*}} -> tensor<2x4x1xf32>
func.func @vectors(%a: tensor<2x4x3xf32>, %b: tensor<3x5xf32>, %u: tensor<3xf32>, %v: tensor<4xf32>) -> (tensor<5xf32>, tensor<2x4xf32>) {
  %0 = nn.matmul %u, %b : (tensor<3xf32>, tensor<3x5xf32>) -> tensor<5xf32>
  %1 = nn.matmul %a, %u bias %v activation = relu : (tensor<2x4x3xf32>, tensor<3xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  func.return %0, %1 : tensor<5xf32>, tensor<2x4xf32>
}

// -----

// Must not be lowered: integers, and a c that may have to be repeated along an unknown size.
// CHECK-LABEL: @stays
// CHECK-NOT: blas
// CHECK: nn.matmul
// CHECK-NEXT: nn.gemm
// CHECK-NEXT: nn.gemm
// CHECK-NEXT: func.return
// REMARKS: %p not lowered: it is a product of i32
// REMARKS: %q not lowered: it is a product of i32
// REMARKS: %r not lowered: c ?x5 of a result ?x5 is not known
func.func @stays(%i: tensor<3x3xi32>, %a: tensor<?x3xf32>, %b: tensor<3x5xf32>, %c: tensor<?x5xf32>) -> (tensor<3x3xi32>, tensor<3x3xi32>, tensor<?x5xf32>) {
  %p = nn.matmul %i, %i : tensor<3x3xi32>
  %q = nn.gemm %i, %i activation = relu : tensor<3x3xi32>
  %r = nn.gemm %a, %b c %c : (tensor<?x3xf32>, tensor<3x5xf32>, tensor<?x5xf32>) -> tensor<?x5xf32>
  func.return %p, %q, %r : tensor<3x3xi32>, tensor<3x3xi32>, tensor<?x5xf32>
}
