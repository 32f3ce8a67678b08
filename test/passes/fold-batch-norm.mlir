// RUN: fuse-opt %s -p fold-batch-norm | filecheck %s
// RUN: fuse-opt %s -p fold-batch-norm --remarks 2>&1 >/dev/null | filecheck %s --check-prefix=REMARK
// RUN: fuse-opt %s -p fold-batch-norm --print-debuginfo | filecheck %s --check-prefix=LOCATION

// Fires.

// s = scale / sqrt(var + epsilon), w * s, bias - mean * s
// REMARK: remark: bn_1 fused into conv_1
// CHECK-LABEL: func.func @conv
// CHECK: [[E:%.*]] = nn.constant 1.000000e-03
// CHECK-NEXT: [[V:%.*]] = nn.add %var, [[E]] : {{.*}} -> tensor<4xf32>
// CHECK-NEXT: [[D:%.*]] = nn.sqrt [[V]] : tensor<4xf32>
// CHECK-NEXT: [[S:%.*]] = nn.div %scale, [[D]] : tensor<4xf32>
// CHECK-NEXT: [[M:%.*]] = nn.mul %mean, [[S]] : tensor<4xf32>
// CHECK-NEXT: [[B:%.*]] = nn.sub %bias, [[M]] : tensor<4xf32>
// CHECK: [[F:%.*]] = nn.reshape [[S]], {{.*}} -> tensor<4x1x1x1xf32>
// CHECK-NEXT: [[W:%.*]] = nn.mul %w, [[F]] : {{.*}} -> tensor<4x3x3x3xf32>
// CHECK-NEXT: %y = nn.conv %x, [[W]] bias [[B]] pads [1, 1, 1, 1] :
// CHECK-NEXT: func.return %y
// LOCATION: nn.sqrt {{.*}} loc(fused["conv_1", "bn_1"])
// LOCATION: nn.conv {{.*}} loc(fused["conv_1", "bn_1"])
func.func @conv(%x: tensor<?x3x8x8xf32>) -> tensor<?x4x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x3x3x3xf32>
  %y = nn.conv %x, %w pads [1, 1, 1, 1] : (tensor<?x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<?x4x8x8xf32> loc("conv_1")
  %scale = nn.parameter "scale" : tensor<4xf32>
  %bias = nn.parameter "bias" : tensor<4xf32>
  %mean = nn.parameter "mean" : tensor<4xf32>
  %var = nn.parameter "var" : tensor<4xf32>
  %z = nn.batch_normalization %y, %scale, %bias, %mean, %var epsilon = 0.001 : (tensor<?x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4x8x8xf32> loc("bn_1")
  func.return %z : tensor<?x4x8x8xf32>
}

// (b - mean) * s + bias; the weights of both come from ConstantOfShape, and the filters serve another convolution.
// CHECK-LABEL: func.func @conv_with_bias
// CHECK: [[S:%.*]] = nn.div %p,
// CHECK-NEXT: [[A:%.*]] = nn.sub %b, %p : tensor<4xf32>
// CHECK-NEXT: [[M:%.*]] = nn.mul [[A]], [[S]] : tensor<4xf32>
// CHECK-NEXT: [[B:%.*]] = nn.add [[M]], %p : tensor<4xf32>
// CHECK: %y = nn.conv %x, {{.*}} bias [[B]] :
// CHECK-NEXT: %u = nn.conv %x, %w bias %b :
// CHECK-NEXT: func.return %y, %u
func.func @conv_with_bias(%x: tensor<1x3x8x8xf32>) -> (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) {
  %shape = nn.constant dense<[4, 3, 1, 1]> : tensor<4xi64>
  %n = nn.constant 4 : i64 as tensor<1xi64>
  %w = nn.constant_of_shape %shape value = 0.02 : (tensor<4xi64>) -> tensor<4x3x1x1xf32>
  %b = nn.constant_of_shape %n value = 0.02 : (tensor<1xi64>) -> tensor<4xf32>
  %p = nn.constant_of_shape %n value = 0.02 : (tensor<1xi64>) -> tensor<4xf32>
  %y = nn.conv %x, %w bias %b : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
  %z = nn.batch_normalization %y, %p, %p, %p, %p : (tensor<1x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
  %u = nn.conv %x, %w bias %b : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
  func.return %z, %u : tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>
}

// CHECK-LABEL: func.func @conv_transpose
// CHECK: nn.mul {{.*}} -> tensor<2x3x2x2x2xf32>
// CHECK: %y = nn.conv_transpose %x, {{.*}} bias {{.*}} strides [2, 2] group = 2 :
// CHECK-NEXT: func.return %y
func.func @conv_transpose(%x: tensor<1x6x8x8xf32>) -> tensor<1x4x16x16xf32> {
  %w = nn.parameter "w" : tensor<6x2x2x2xf32>
  %p = nn.parameter "p" : tensor<4xf32>
  %y = nn.conv_transpose %x, %w strides [2, 2] group = 2 : (tensor<1x6x8x8xf32>, tensor<6x2x2x2xf32>) -> tensor<1x4x16x16xf32>
  %z = nn.batch_normalization %y, %p, %p, %p, %p : (tensor<1x4x16x16xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x16x16xf32>
  func.return %z : tensor<1x4x16x16xf32>
}

// Results of matrix products that are matrices; a sequence only where a Transpose puts its last axis second.
// CHECK-LABEL: func.func @gemm_and_matmul
// CHECK: %y0 = nn.gemm %a, {{.*}} c {{%.*}} :
// CHECK: %y1 = nn.matmul %a, {{.*}} bias {{%.*}} :
// CHECK: %y2 = nn.matmul %b, {{.*}} bias {{%.*}} :
// CHECK-NEXT: %t2 = nn.transpose %y2
// CHECK-NEXT: func.return %y0, %y1, %t2
func.func @gemm_and_matmul(%a: tensor<2x3xf32>, %b: tensor<5x2x3xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<5x4x2xf32>) {
  %w = nn.parameter "w" : tensor<3x4xf32>
  %p = nn.parameter "p" : tensor<4xf32>
  %y0 = nn.gemm %a, %w : (tensor<2x3xf32>, tensor<3x4xf32>) -> tensor<2x4xf32>
  %z0 = nn.batch_normalization %y0, %p, %p, %p, %p : (tensor<2x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %y1 = nn.matmul %a, %w : (tensor<2x3xf32>, tensor<3x4xf32>) -> tensor<2x4xf32>
  %z1 = nn.batch_normalization %y1, %p, %p, %p, %p : (tensor<2x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %y2 = nn.matmul %b, %w : (tensor<5x2x3xf32>, tensor<3x4xf32>) -> tensor<5x2x4xf32>
  %t2 = nn.transpose %y2 perm [0, 2, 1] : (tensor<5x2x4xf32>) -> tensor<5x4x2xf32>
  %z2 = nn.batch_normalization %t2, %p, %p, %p, %p : (tensor<5x4x2xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<5x4x2xf32>
  func.return %z0, %z1, %z2 : tensor<2x4xf32>, tensor<2x4xf32>, tensor<5x4x2xf32>
}

// f16 weights are computed in f32, with f32 statistics, and rounded once.
// CHECK-LABEL: func.func @narrow
// CHECK-NOT: nn.{{(add|sub|mul|div|sqrt) .*xf16}}
// CHECK: [[V:%.*]] = nn.cast %w to = f32
// CHECK: [[P:%.*]] = nn.mul [[V]], {{.*}} -> tensor<4x3x1x1xf32>
// CHECK-NEXT: [[W:%.*]] = nn.cast [[P]] to = f16 :
// CHECK-NEXT: [[B:%.*]] = nn.cast {{.*}} to = f16 : (tensor<4xf32>) -> tensor<4xf16>
// CHECK-NEXT: nn.conv %x, [[W]] bias [[B]] :
func.func @narrow(%x: tensor<1x3x8x8xf16>) -> tensor<1x4x8x8xf16> {
  %w = nn.parameter "w" : tensor<4x3x1x1xf16>
  %p = nn.parameter "p" : tensor<4xf32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf16>, tensor<4x3x1x1xf16>) -> tensor<1x4x8x8xf16>
  %z = nn.batch_normalization %y, %p, %p, %p, %p : (tensor<1x4x8x8xf16>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf16>
  func.return %z : tensor<1x4x8x8xf16>
}

// Near misses.

// REMARK: remark: bn_2 not fused into conv_2: its mean is computed at run time
// REMARK: remark: bn_3 not fused into conv_3: the convolution already has the activation relu
// REMARK: remark: bn_4 not fused into conv_4: the convolution already adds a residual
// REMARK: remark: bn_5 not fused into conv_5: the weights of the convolution are computed at run time
// REMARK: remark: bn_6 not fused into conv_6: the convolution's result has 2 uses
// REMARK: remark: bn_7 not fused into gemm_7: the bias of the Gemm is computed at run time
// REMARK: remark: bn_8 not fused into matmul_8: its channels, axis 1, are not those of the MatMul, axis 2
// REMARK: remark: bn_9 not fused into conv_9: its scale is per element, not per channel
// REMARK-NOT: remark
// CHECK-LABEL: func.func @near_misses
// CHECK-COUNT-8: nn.batch_normalization
func.func @near_misses(%x: tensor<4x4x4x4xf32>, %f: tensor<4x4x1x1xf32>, %m: tensor<4xf32>, %a: tensor<4x4xf32>, %s: tensor<4x4x4xf32>) -> (tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>, tensor<4x4xf32>, tensor<4x4x4xf32>, tensor<4x4x4x4xf32>) {
  %w = nn.parameter "w" : tensor<4x4x1x1xf32>
  %p = nn.parameter "p" : tensor<4xf32>
  %g = nn.parameter "g" : tensor<4x4xf32>
  %e = nn.parameter "e" : tensor<4x4x4xf32>
  %y2 = nn.conv %x, %w : (tensor<4x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<4x4x4x4xf32> loc("conv_2")
  %z2 = nn.batch_normalization %y2, %p, %p, %m, %p : (tensor<4x4x4x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4x4x4x4xf32> loc("bn_2")
  %y3 = nn.conv %x, %w activation = relu : (tensor<4x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<4x4x4x4xf32> loc("conv_3")
  %z3 = nn.batch_normalization %y3, %p, %p, %p, %p : (tensor<4x4x4x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4x4x4x4xf32> loc("bn_3")
  %y4 = nn.conv %x, %w residual %x : (tensor<4x4x4x4xf32>, tensor<4x4x1x1xf32>, tensor<4x4x4x4xf32>) -> tensor<4x4x4x4xf32> loc("conv_4")
  %z4 = nn.batch_normalization %y4, %p, %p, %p, %p : (tensor<4x4x4x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4x4x4x4xf32> loc("bn_4")
  %y5 = nn.conv %x, %f : (tensor<4x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<4x4x4x4xf32> loc("conv_5")
  %z5 = nn.batch_normalization %y5, %p, %p, %p, %p : (tensor<4x4x4x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4x4x4x4xf32> loc("bn_5")
  %y6 = nn.conv %x, %w : (tensor<4x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<4x4x4x4xf32> loc("conv_6")
  %z6 = nn.batch_normalization %y6, %p, %p, %p, %p : (tensor<4x4x4x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4x4x4x4xf32> loc("bn_6")
  %y7 = nn.gemm %a, %g c %a : tensor<4x4xf32> loc("gemm_7")
  %z7 = nn.batch_normalization %y7, %p, %p, %p, %p : (tensor<4x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4x4xf32> loc("bn_7")
  %y8 = nn.matmul %s, %g : (tensor<4x4x4xf32>, tensor<4x4xf32>) -> tensor<4x4x4xf32> loc("matmul_8")
  %z8 = nn.batch_normalization %y8, %p, %p, %p, %p : (tensor<4x4x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4x4x4xf32> loc("bn_8")
  %y9 = nn.conv %x, %w : (tensor<4x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<4x4x4x4xf32> loc("conv_9")
  %z9 = nn.batch_normalization %y9, %e, %e, %e, %e : (tensor<4x4x4x4xf32>, tensor<4x4x4xf32>, tensor<4x4x4xf32>, tensor<4x4x4xf32>, tensor<4x4x4xf32>) -> tensor<4x4x4x4xf32> loc("bn_9")
  func.return %z2, %z3, %z4, %z5, %z6, %y6, %z7, %z8, %z9 : tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>, tensor<4x4xf32>, tensor<4x4x4xf32>, tensor<4x4x4x4xf32>
}

// Must not fire, and is no near miss: a ReLU between them, and DenseNet's batch-norm of a concatenation.

// CHECK-LABEL: func.func @no_producer
// CHECK-COUNT-2: nn.batch_normalization
func.func @no_producer(%x: tensor<1x2x4x4xf32>) -> (tensor<1x2x4x4xf32>, tensor<1x4x4x4xf32>) {
  %w = nn.parameter "w" : tensor<2x2x1x1xf32>
  %p = nn.parameter "p" : tensor<2xf32>
  %q = nn.parameter "q" : tensor<4xf32>
  %y = nn.conv %x, %w : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>) -> tensor<1x2x4x4xf32>
  %r = nn.relu %y : tensor<1x2x4x4xf32>
  %z = nn.batch_normalization %r, %p, %p, %p, %p : (tensor<1x2x4x4xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x2x4x4xf32>
  %u = nn.conv %x, %w : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>) -> tensor<1x2x4x4xf32>
  %c = nn.concat [%u, %x] axis = 1 : (tensor<1x2x4x4xf32>, tensor<1x2x4x4xf32>) -> tensor<1x4x4x4xf32>
  %v = nn.batch_normalization %c, %q, %q, %q, %q : (tensor<1x4x4x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x4x4xf32>
  func.return %z, %v : tensor<1x2x4x4xf32>, tensor<1x4x4x4xf32>
}

// The activation of the batch-norm becomes the convolution's.
// CHECK-LABEL: func.func @activated_batch_norm
// CHECK: nn.conv %x, %{{.*}} bias %{{.*}} activation = relu :
// CHECK-NOT: nn.batch_normalization
func.func @activated_batch_norm(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x3x1x1xf32>
  %s = nn.parameter "s" : tensor<4xf32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %z = nn.batch_normalization %y, %s, %s, %s, %s activation = relu : (tensor<1x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
  func.return %z : tensor<1x4x8x8xf32>
}
