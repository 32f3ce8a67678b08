// RUN: fuse-opt %s -p fold-scale | filecheck %s
// RUN: fuse-opt %s -p fold-scale --remarks 2>&1 >/dev/null | filecheck %s --check-prefix=REMARK

// Fires.

// REMARK: remark: mul_1 fused into conv_1
// CHECK-LABEL: func.func @conv
// CHECK: [[V:%.*]] = nn.reshape %s, {{.*}} -> tensor<4xf32>
// CHECK: [[F:%.*]] = nn.reshape [[V]], {{.*}} -> tensor<4x1x1x1xf32>
// CHECK-NEXT: [[W:%.*]] = nn.mul %w, [[F]] : {{.*}} -> tensor<4x3x3x3xf32>
// CHECK-NEXT: [[B:%.*]] = nn.mul %b, [[V]] : tensor<4xf32>
// CHECK-NEXT: %y = nn.conv %x, [[W]] bias [[B]] :
// CHECK-NEXT: func.return %y
func.func @conv(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x6x6xf32> {
  %w = nn.parameter "w" : tensor<4x3x3x3xf32>
  %b = nn.parameter "b" : tensor<4xf32>
  %y = nn.conv %x, %w bias %b : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>) -> tensor<1x4x6x6xf32> loc("conv_1")
  %s = nn.parameter "s" : tensor<1x4x1x1xf32>
  %z = nn.mul %y, %s : (tensor<1x4x6x6xf32>, tensor<1x4x1x1xf32>) -> tensor<1x4x6x6xf32> loc("mul_1")
  func.return %z : tensor<1x4x6x6xf32>
}

// Filters that two convolutions read stay as they are for the other one.
// CHECK-LABEL: func.func @shared_filters
// CHECK: [[W:%.*]] = nn.mul %w,
// CHECK-NEXT: %y = nn.conv %x, [[W]] :
// CHECK-NEXT: %u = nn.conv %x, %w :
// CHECK-NEXT: func.return %y, %u
func.func @shared_filters(%x: tensor<1x3x8x8xf32>) -> (tensor<1x4x6x6xf32>, tensor<1x4x6x6xf32>) {
  %w = nn.parameter "w" : tensor<4x3x3x3xf32>
  %s = nn.parameter "s" : tensor<4x1x1xf32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x6x6xf32>
  %z = nn.mul %s, %y : (tensor<4x1x1xf32>, tensor<1x4x6x6xf32>) -> tensor<1x4x6x6xf32>
  %u = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x6x6xf32>
  func.return %z, %u : tensor<1x4x6x6xf32>, tensor<1x4x6x6xf32>
}

// A quotient by one number.
// CHECK-LABEL: func.func @div
// CHECK: [[V:%.*]] = nn.reshape %s, {{.*}} -> tensor<1xf32>
// CHECK-NEXT: [[W:%.*]] = nn.div %w, [[V]] :
// CHECK-NEXT: [[B:%.*]] = nn.div %b, [[V]] :
// CHECK-NEXT: %y = nn.conv %x, [[W]] bias [[B]] :
// CHECK-NEXT: func.return %y
func.func @div(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x6x6xf32> {
  %w = nn.parameter "w" : tensor<4x3x3x3xf32>
  %b = nn.parameter "b" : tensor<4xf32>
  %s = nn.constant 3.0 : f32 as tensor<f32>
  %y = nn.conv %x, %w bias %b : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>) -> tensor<1x4x6x6xf32>
  %z = nn.div %y, %s : (tensor<1x4x6x6xf32>, tensor<f32>) -> tensor<1x4x6x6xf32>
  func.return %z : tensor<1x4x6x6xf32>
}

// The filters of a transposed convolution have the output channels second; those of groups one group after another.
// CHECK-LABEL: func.func @conv_transpose
// CHECK: [[F:%.*]] = nn.reshape {{.*}} -> tensor<1x4x1x1xf32>
// CHECK-NEXT: [[W:%.*]] = nn.mul %w, [[F]] :
// CHECK-NEXT: %y = nn.conv_transpose %x, [[W]] strides [2, 2] :
// CHECK: [[G:%.*]] = nn.reshape %g, {{.*}} -> tensor<2x3x2x2x2xf32>
// CHECK: [[H:%.*]] = nn.reshape {{.*}} -> tensor<2x1x2x1x1xf32>
// CHECK-NEXT: [[P:%.*]] = nn.mul [[G]], [[H]] : {{.*}} -> tensor<2x3x2x2x2xf32>
// CHECK: [[V:%.*]] = nn.reshape [[P]], {{.*}} -> tensor<6x2x2x2xf32>
// CHECK-NEXT: %u = nn.conv_transpose %x, [[V]] strides [2, 2] group = 2 :
// CHECK-NEXT: func.return %y, %u
func.func @conv_transpose(%x: tensor<1x6x8x8xf32>) -> (tensor<1x4x16x16xf32>, tensor<1x4x16x16xf32>) {
  %s = nn.parameter "s" : tensor<4x1x1xf32>
  %w = nn.parameter "w" : tensor<6x4x2x2xf32>
  %y = nn.conv_transpose %x, %w strides [2, 2] : (tensor<1x6x8x8xf32>, tensor<6x4x2x2xf32>) -> tensor<1x4x16x16xf32>
  %z = nn.mul %y, %s : (tensor<1x4x16x16xf32>, tensor<4x1x1xf32>) -> tensor<1x4x16x16xf32>
  %g = nn.parameter "g" : tensor<6x2x2x2xf32>
  %u = nn.conv_transpose %x, %g strides [2, 2] group = 2 : (tensor<1x6x8x8xf32>, tensor<6x2x2x2xf32>) -> tensor<1x4x16x16xf32>
  %v = nn.mul %u, %s : (tensor<1x4x16x16xf32>, tensor<4x1x1xf32>) -> tensor<1x4x16x16xf32>
  func.return %z, %v : tensor<1x4x16x16xf32>, tensor<1x4x16x16xf32>
}

// alpha stays; beta goes into the new c.
// CHECK-LABEL: func.func @gemm
// CHECK: [[F:%.*]] = nn.reshape %s, {{.*}} -> tensor<4x1xf32>
// CHECK-NEXT: [[W:%.*]] = nn.mul %w, [[F]] :
// CHECK: [[C:%.*]] = nn.constant 3.0
// CHECK-NEXT: [[D:%.*]] = nn.mul %c, [[C]] :
// CHECK-NEXT: [[E:%.*]] = nn.mul [[D]], %s :
// CHECK-NEXT: %y = nn.gemm %a, [[W]] c [[E]] alpha = 2.0 transB = 1 :
// CHECK-NEXT: func.return %y
func.func @gemm(%a: tensor<2x3xf32>) -> tensor<2x4xf32> {
  %w = nn.parameter "w" : tensor<4x3xf32>
  %s = nn.parameter "s" : tensor<4xf32>
  %c = nn.parameter "c" : tensor<4xf32>
  %y = nn.gemm %a, %w c %c alpha = 2.0 beta = 3.0 transB = 1 : (tensor<2x3xf32>, tensor<4x3xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %z = nn.mul %y, %s : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  func.return %z : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @matmul
// CHECK: [[W:%.*]] = nn.mul %w, %s : {{.*}} -> tensor<3x4xf32>
// CHECK-NEXT: %y = nn.matmul %a, [[W]] :
// CHECK-NEXT: func.return %y
func.func @matmul(%a: tensor<5x2x3xf32>) -> tensor<5x2x4xf32> {
  %w = nn.parameter "w" : tensor<3x4xf32>
  %s = nn.parameter "s" : tensor<4xf32>
  %y = nn.matmul %a, %w : (tensor<5x2x3xf32>, tensor<3x4xf32>) -> tensor<5x2x4xf32>
  %z = nn.mul %y, %s : (tensor<5x2x4xf32>, tensor<4xf32>) -> tensor<5x2x4xf32>
  func.return %z : tensor<5x2x4xf32>
}

// A batch-norm that stays; its parameters may have a type of their own.
// CHECK-LABEL: func.func @batch_norm
// CHECK: [[F:%.*]] = nn.cast {{.*}} to = f32 :
// CHECK-NEXT: [[S:%.*]] = nn.mul %p, [[F]] : tensor<4xf32>
// CHECK: [[B:%.*]] = nn.mul %p, {{.*}} : tensor<4xf32>
// CHECK-NEXT: %y = nn.batch_normalization %x, [[S]], [[B]], %p, %p :
// CHECK-NEXT: func.return %y
func.func @batch_norm(%x: tensor<1x4x8x8xf16>) -> tensor<1x4x8x8xf16> {
  %p = nn.parameter "p" : tensor<4xf32>
  %s = nn.parameter "s" : tensor<4x1x1xf16>
  %y = nn.batch_normalization %x, %p, %p, %p, %p : (tensor<1x4x8x8xf16>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf16>
  %z = nn.mul %y, %s : (tensor<1x4x8x8xf16>, tensor<4x1x1xf16>) -> tensor<1x4x8x8xf16>
  func.return %z : tensor<1x4x8x8xf16>
}

// Near misses.

// REMARK: remark: mul_2 not fused into conv_2: the factor 4 is not one value per channel (axis 1 of 4x4x4x4)
// REMARK: remark: div_3 not fused into gemm_3: the divisor 4x1 is not one value per channel (axis 1 of 4x4)
// REMARK: remark: mul_4 not fused into conv_4: the weights of the convolution are computed at run time
// REMARK: remark: mul_5 not fused into conv_5: the bias of the convolution is computed at run time
// REMARK: remark: mul_6 not fused into conv_6: the convolution already has the activation relu
// REMARK: remark: mul_7 not fused into conv_7: the convolution already adds a residual
// REMARK: remark: mul_8 not fused into matmul_8: the right operand of the MatMul is a vector
// REMARK: remark: mul_9 not fused into conv_9: the convolution's result has 2 uses
// REMARK-NOT: remark
// CHECK-LABEL: func.func @near_misses
// CHECK: nn.mul
// CHECK: nn.div
// CHECK-COUNT-6: nn.mul
func.func @near_misses(%x: tensor<4x4x4x4xf32>, %a: tensor<4x4xf32>, %bias: tensor<4xf32>, %f: tensor<4x4x1x1xf32>) -> (tensor<4x4x4x4xf32>, tensor<4x4xf32>, tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>, tensor<4xf32>, tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>) {
  %w = nn.parameter "w" : tensor<4x4x1x1xf32>
  %m = nn.parameter "m" : tensor<4x4xf32>
  %v = nn.parameter "v" : tensor<4xf32>
  %s = nn.parameter "s" : tensor<4x1x1xf32>
  %r = nn.parameter "r" : tensor<4x1xf32>
  %y2 = nn.conv %x, %w : (tensor<4x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<4x4x4x4xf32> loc("conv_2")
  %z2 = nn.mul %y2, %v : (tensor<4x4x4x4xf32>, tensor<4xf32>) -> tensor<4x4x4x4xf32> loc("mul_2")
  %y3 = nn.gemm %a, %m : tensor<4x4xf32> loc("gemm_3")
  %z3 = nn.div %y3, %r : (tensor<4x4xf32>, tensor<4x1xf32>) -> tensor<4x4xf32> loc("div_3")
  %y4 = nn.conv %x, %f : (tensor<4x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<4x4x4x4xf32> loc("conv_4")
  %z4 = nn.mul %y4, %s : (tensor<4x4x4x4xf32>, tensor<4x1x1xf32>) -> tensor<4x4x4x4xf32> loc("mul_4")
  %y5 = nn.conv %x, %w bias %bias : (tensor<4x4x4x4xf32>, tensor<4x4x1x1xf32>, tensor<4xf32>) -> tensor<4x4x4x4xf32> loc("conv_5")
  %z5 = nn.mul %y5, %s : (tensor<4x4x4x4xf32>, tensor<4x1x1xf32>) -> tensor<4x4x4x4xf32> loc("mul_5")
  %y6 = nn.conv %x, %w activation = relu : (tensor<4x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<4x4x4x4xf32> loc("conv_6")
  %z6 = nn.mul %y6, %s : (tensor<4x4x4x4xf32>, tensor<4x1x1xf32>) -> tensor<4x4x4x4xf32> loc("mul_6")
  %y7 = nn.conv %x, %w residual %x : (tensor<4x4x4x4xf32>, tensor<4x4x1x1xf32>, tensor<4x4x4x4xf32>) -> tensor<4x4x4x4xf32> loc("conv_7")
  %z7 = nn.mul %y7, %s : (tensor<4x4x4x4xf32>, tensor<4x1x1xf32>) -> tensor<4x4x4x4xf32> loc("mul_7")
  %y8 = nn.matmul %a, %v : (tensor<4x4xf32>, tensor<4xf32>) -> tensor<4xf32> loc("matmul_8")
  %z8 = nn.mul %y8, %v : tensor<4xf32> loc("mul_8")
  %y9 = nn.conv %x, %w : (tensor<4x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<4x4x4x4xf32> loc("conv_9")
  %z9 = nn.mul %y9, %s : (tensor<4x4x4x4xf32>, tensor<4x1x1xf32>) -> tensor<4x4x4x4xf32> loc("mul_9")
  func.return %z2, %z3, %z4, %z5, %z6, %z7, %z8, %z9, %y9 : tensor<4x4x4x4xf32>, tensor<4x4xf32>, tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>, tensor<4xf32>, tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>
}

// Must not fire, and is no near miss.

// CHECK-LABEL: func.func @quotient_of_a_weight
// CHECK: nn.conv %x, %w :
// CHECK-NEXT: nn.div
func.func @quotient_of_a_weight(%x: tensor<4x4x4x4xf32>) -> tensor<4x4x4x4xf32> {
  %w = nn.parameter "w" : tensor<4x4x1x1xf32>
  %s = nn.parameter "s" : tensor<4x1x1xf32>
  %y = nn.conv %x, %w : (tensor<4x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<4x4x4x4xf32>
  %z = nn.div %s, %y : (tensor<4x1x1xf32>, tensor<4x4x4x4xf32>) -> tensor<4x4x4x4xf32>
  func.return %z : tensor<4x4x4x4xf32>
}
