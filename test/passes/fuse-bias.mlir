// RUN: fuse-opt %s -p fuse-bias | filecheck %s
// RUN: fuse-opt %s -p fuse-bias --remarks 2>&1 >/dev/null | filecheck %s --check-prefix=REMARK
// RUN: fuse-opt %s -p fuse-bias --print-debuginfo | filecheck %s --check-prefix=LOCATION

// Fires.

// The new weights and the convolution carry the locations of both ops.
// CHECK-LABEL: func.func @conv
// CHECK: [[B:%.*]] = nn.reshape %c, {{.*}} -> tensor<4xf32>
// CHECK-NEXT: %y = nn.conv %x, %w bias [[B]] :
// CHECK-NEXT: func.return %y
// REMARK: remark: add_1 fused into conv_1
// LOCATION: nn.reshape {{.*}} loc(fused["conv_1", "add_1"])
// LOCATION-NEXT: nn.conv {{.*}} loc(fused["conv_1", "add_1"])
func.func @conv(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x3x1x1xf32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32> loc("conv_1")
  %c = nn.parameter "c" : tensor<1x4x1x1xf32>
  %z = nn.add %y, %c : (tensor<1x4x8x8xf32>, tensor<1x4x1x1xf32>) -> tensor<1x4x8x8xf32> loc("add_1")
  func.return %z : tensor<1x4x8x8xf32>
}

// Filters that are computed at run time do not matter; the other order; a bias is added to.
// CHECK-LABEL: func.func @conv_with_bias
// CHECK: [[C:%.*]] = nn.reshape %c, {{.*}} -> tensor<4xf32>
// CHECK-NEXT: [[B:%.*]] = nn.add %b, [[C]] : tensor<4xf32>
// CHECK-NEXT: %y = nn.conv %x, %w bias [[B]] :
// CHECK-NEXT: func.return %y
func.func @conv_with_bias(%x: tensor<?x3x8x8xf32>, %w: tensor<4x3x1x1xf32>) -> tensor<?x4x8x8xf32> {
  %b = nn.parameter "b" : tensor<4xf32>
  %c = nn.parameter "c" : tensor<4x1x1xf32>
  %y = nn.conv %x, %w bias %b : (tensor<?x3x8x8xf32>, tensor<4x3x1x1xf32>, tensor<4xf32>) -> tensor<?x4x8x8xf32>
  %z = nn.add %c, %y : (tensor<4x1x1xf32>, tensor<?x4x8x8xf32>) -> tensor<?x4x8x8xf32>
  func.return %z : tensor<?x4x8x8xf32>
}

// CHECK-LABEL: func.func @sub
// CHECK: [[N:%.*]] = nn.neg
// CHECK-NEXT: %y = nn.conv %x, %w bias [[N]] :
// CHECK: [[B:%.*]] = nn.sub %b,
// CHECK-NEXT: %u = nn.conv %x, %w bias [[B]] :
// CHECK-NEXT: func.return %y, %u
func.func @sub(%x: tensor<1x3x8x8xf32>) -> (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) {
  %w = nn.parameter "w" : tensor<4x3x1x1xf32>
  %b = nn.parameter "b" : tensor<4xf32>
  %c = nn.parameter "c" : tensor<4x1x1xf32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %z = nn.sub %y, %c : (tensor<1x4x8x8xf32>, tensor<4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %u = nn.conv %x, %w bias %b : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
  %v = nn.sub %u, %c : (tensor<1x4x8x8xf32>, tensor<4x1x1xf32>) -> tensor<1x4x8x8xf32>
  func.return %z, %v : tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>
}

// One number is a bias of as many as there are channels.
// CHECK-LABEL: func.func @one_number
// CHECK: [[ONES:%.*]] = nn.constant_of_shape {{.*}} value = 1.0 : {{.*}} -> tensor<2xf32>
// CHECK-NEXT: [[B:%.*]] = nn.mul {{.*}}, [[ONES]] : {{.*}} -> tensor<2xf32>
// CHECK-NEXT: %y = nn.conv_transpose %x, %w bias [[B]] :
// CHECK-NEXT: func.return %y
func.func @one_number(%x: tensor<1x3x8x8xf32>, %w: tensor<3x2x1x1xf32>) -> tensor<1x2x8x8xf32> {
  %c = nn.constant 0.5 : f32 as tensor<f32>
  %y = nn.conv_transpose %x, %w : (tensor<1x3x8x8xf32>, tensor<3x2x1x1xf32>) -> tensor<1x2x8x8xf32>
  %z = nn.add %y, %c : (tensor<1x2x8x8xf32>, tensor<f32>) -> tensor<1x2x8x8xf32>
  func.return %z : tensor<1x2x8x8xf32>
}

// The weights of the light networks: not parameters, but outputs of ConstantOfShape and what is done with them.
// CHECK-LABEL: func.func @constant_of_shape
// CHECK: nn.conv {{.*}} bias
// CHECK-NEXT: func.return
func.func @constant_of_shape(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32> {
  %n = nn.constant 4 : i64 as tensor<1xi64>
  %axes = nn.constant dense<[1, 2]> : tensor<2xi64>
  %c = nn.constant_of_shape %n value = 0.02 : (tensor<1xi64>) -> tensor<4xf32>
  %u = nn.unsqueeze %c, %axes : (tensor<4xf32>, tensor<2xi64>) -> tensor<4x1x1xf32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %z = nn.add %y, %u : (tensor<1x4x8x8xf32>, tensor<4x1x1xf32>) -> tensor<1x4x8x8xf32>
  func.return %z : tensor<1x4x8x8xf32>
}

// CHECK-LABEL: func.func @matmul
// CHECK-NEXT: %c = nn.parameter "c"
// CHECK-NEXT: %y = nn.matmul %a, %w bias %c :
// CHECK-NEXT: func.return %y
func.func @matmul(%a: tensor<5x2x3xf32>, %w: tensor<3x4xf32>) -> tensor<5x2x4xf32> {
  %c = nn.parameter "c" : tensor<4xf32>
  %y = nn.matmul %a, %w : (tensor<5x2x3xf32>, tensor<3x4xf32>) -> tensor<5x2x4xf32>
  %z = nn.add %y, %c : (tensor<5x2x4xf32>, tensor<4xf32>) -> tensor<5x2x4xf32>
  func.return %z : tensor<5x2x4xf32>
}

// beta is 1 again: it multiplied the c that was not there, or that is part of the new one.
// CHECK-LABEL: func.func @gemm
// CHECK: %y = nn.gemm %a, %w c %c : (tensor<2x3xf32>, tensor<3x4xf32>, tensor<4xf32>)
// CHECK: [[D:%.*]] = nn.mul %d, {{.*}} -> tensor<2x1xf32>
// CHECK-NEXT: [[C:%.*]] = nn.add [[D]], %c : {{.*}} -> tensor<2x4xf32>
// CHECK-NEXT: %u = nn.gemm %a, %w c [[C]] alpha = 2.0 : (tensor<2x3xf32>, tensor<3x4xf32>, tensor<2x4xf32>)
// CHECK-NEXT: %s = nn.gemm %a, %w c %c : (tensor<2x3xf32>, tensor<3x4xf32>, tensor<4xf32>)
// CHECK-NEXT: func.return %y, %u, %s
func.func @gemm(%a: tensor<2x3xf32>, %w: tensor<3x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>) {
  %c = nn.parameter "c" : tensor<4xf32>
  %d = nn.parameter "d" : tensor<2x1xf32>
  %y = nn.gemm %a, %w beta = 3.0 : (tensor<2x3xf32>, tensor<3x4xf32>) -> tensor<2x4xf32>
  %z = nn.add %y, %c : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %u = nn.gemm %a, %w c %d alpha = 2.0 beta = 3.0 : (tensor<2x3xf32>, tensor<3x4xf32>, tensor<2x1xf32>) -> tensor<2x4xf32>
  %v = nn.add %u, %c : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %s = nn.gemm %a, %w c %d beta = 0.0 : (tensor<2x3xf32>, tensor<3x4xf32>, tensor<2x1xf32>) -> tensor<2x4xf32>
  %t = nn.add %s, %c : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  func.return %z, %v, %t : tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>
}

// tf2onnx's NHWC: the channels are the last axis behind the Transpose.
// CHECK-LABEL: func.func @channels_last
// CHECK: %y = nn.conv %x, %w bias %c :
// CHECK-NEXT: %t = nn.transpose %y
// CHECK-NEXT: func.return %t
func.func @channels_last(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x1x1xf32>) -> tensor<1x8x8x4xf32> {
  %c = nn.parameter "c" : tensor<4xf32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %t = nn.transpose %y perm [0, 2, 3, 1] : (tensor<1x4x8x8xf32>) -> tensor<1x8x8x4xf32>
  %z = nn.add %t, %c : (tensor<1x8x8x4xf32>, tensor<4xf32>) -> tensor<1x8x8x4xf32>
  func.return %z : tensor<1x8x8x4xf32>
}

// A batch-norm that stays (nothing before it takes it in) has a bias of its own.
// CHECK-LABEL: func.func @batch_norm
// CHECK: [[B:%.*]] = nn.add %p, %p : tensor<4xf32>
// CHECK-NEXT: %y = nn.batch_normalization %x, %p, [[B]], %p, %p :
// CHECK-NEXT: func.return %y
func.func @batch_norm(%x: tensor<1x4xf32>) -> tensor<1x4xf32> {
  %p = nn.parameter "p" : tensor<4xf32>
  %y = nn.batch_normalization %x, %p, %p, %p, %p : (tensor<1x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4xf32>
  %z = nn.add %y, %p : (tensor<1x4xf32>, tensor<4xf32>) -> tensor<1x4xf32>
  func.return %z : tensor<1x4xf32>
}

// f16: the sum is computed in f32 and rounded once.
// CHECK-LABEL: func.func @narrow
// CHECK: [[B:%.*]] = nn.cast %b to = f32
// CHECK-NEXT: [[C:%.*]] = nn.cast %b to = f32
// CHECK-NEXT: [[S:%.*]] = nn.add [[B]], [[C]] : tensor<4xf32>
// CHECK-NEXT: [[N:%.*]] = nn.cast [[S]] to = f16
// CHECK-NEXT: nn.matmul %x, %w bias [[N]]
func.func @narrow(%x: tensor<2x3xf16>, %w: tensor<3x4xf16>) -> tensor<2x4xf16> {
  %b = nn.parameter "b" : tensor<4xf16>
  %y = nn.matmul %x, %w bias %b : (tensor<2x3xf16>, tensor<3x4xf16>, tensor<4xf16>) -> tensor<2x4xf16>
  %z = nn.add %y, %b : (tensor<2x4xf16>, tensor<4xf16>) -> tensor<2x4xf16>
  func.return %z : tensor<2x4xf16>
}

// Near misses. Every size here is 4: only the axis tells a bias from something else.

// REMARK: remark: add_2 not fused into conv_2: the addend 4 is not one value per channel (axis 1 of 4x4x4x4)
// REMARK: remark: add_3 not fused into conv_3: the addend 4x1x1x1 is not one value per channel (axis 1 of 4x4x4x4)
// REMARK: remark: add_4 not fused into conv_4: the addend 1x4x4x4 is not one value per channel (axis 1 of 4x4x4x4)
// REMARK: remark: add_5 not fused into gemm_5: the addend 4x1 is not one value per channel (axis 1 of 4x4)
// CHECK-LABEL: func.func @wrong_axis
// CHECK-COUNT-4: nn.add
func.func @wrong_axis(%x: tensor<4x4x4x4xf32>, %a: tensor<4x4xf32>, %w: tensor<4x4x1x1xf32>) -> (tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>, tensor<4x4xf32>) {
  %c = nn.parameter "c" : tensor<4xf32>
  %c1 = nn.parameter "c1" : tensor<4x1x1x1xf32>
  %full = nn.parameter "full" : tensor<1x4x4x4xf32>
  %row = nn.parameter "row" : tensor<4x1xf32>
  %y0 = nn.conv %x, %w : (tensor<4x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<4x4x4x4xf32> loc("conv_2")
  %z0 = nn.add %y0, %c : (tensor<4x4x4x4xf32>, tensor<4xf32>) -> tensor<4x4x4x4xf32> loc("add_2")
  %y1 = nn.conv %x, %w : (tensor<4x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<4x4x4x4xf32> loc("conv_3")
  %z1 = nn.add %y1, %c1 : (tensor<4x4x4x4xf32>, tensor<4x1x1x1xf32>) -> tensor<4x4x4x4xf32> loc("add_3")
  %y2 = nn.conv %x, %w : (tensor<4x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<4x4x4x4xf32> loc("conv_4")
  %z2 = nn.add %y2, %full : (tensor<4x4x4x4xf32>, tensor<1x4x4x4xf32>) -> tensor<4x4x4x4xf32> loc("add_4")
  %y3 = nn.gemm %a, %a : tensor<4x4xf32> loc("gemm_5")
  %z3 = nn.add %y3, %row : (tensor<4x4xf32>, tensor<4x1xf32>) -> tensor<4x4xf32> loc("add_5")
  func.return %z0, %z1, %z2, %z3 : tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>, tensor<4x4x4x4xf32>, tensor<4x4xf32>
}

// REMARK: remark: add_6 not fused into conv_6: it makes a tensor<2x4x4x4xf32> of the convolution's tensor<1x4x4x4xf32>
// REMARK: remark: add_7 not fused into conv_7: it makes a tensor<1x4x8x8xf32> of the convolution's tensor<1x4x1x1xf32>
// CHECK-LABEL: func.func @broadcast_result
// CHECK-COUNT-2: nn.add
func.func @broadcast_result(%x: tensor<1x4x4x4xf32>, %p: tensor<1x4x1x1xf32>, %w: tensor<4x4x1x1xf32>) -> (tensor<2x4x4x4xf32>, tensor<1x4x8x8xf32>) {
  %c = nn.parameter "c" : tensor<2x4x1x1xf32>
  %d = nn.parameter "d" : tensor<1x4x8x8xf32>
  %y0 = nn.conv %x, %w : (tensor<1x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x4x4xf32> loc("conv_6")
  %z0 = nn.add %y0, %c : (tensor<1x4x4x4xf32>, tensor<2x4x1x1xf32>) -> tensor<2x4x4x4xf32> loc("add_6")
  %y1 = nn.conv %p, %w : (tensor<1x4x1x1xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x1x1xf32> loc("conv_7")
  %z1 = nn.add %y1, %d : (tensor<1x4x1x1xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> loc("add_7")
  func.return %z0, %z1 : tensor<2x4x4x4xf32>, tensor<1x4x8x8xf32>
}

// REMARK: remark: add_8 not fused into conv_8: the convolution already has the activation relu
// REMARK: remark: add_9 not fused into conv_9: the convolution already adds a residual
// REMARK: remark: add_10 not fused into conv_10: the bias of the convolution is computed at run time
// REMARK: remark: add_11 not fused into conv_11: the convolution's result has 2 uses
// CHECK-LABEL: func.func @taken
// CHECK-COUNT-4: nn.add
func.func @taken(%x: tensor<1x4x4x4xf32>, %w: tensor<4x4x1x1xf32>, %b: tensor<4xf32>) -> (tensor<1x4x4x4xf32>, tensor<1x4x4x4xf32>, tensor<1x4x4x4xf32>, tensor<1x4x4x4xf32>, tensor<1x4x4x4xf32>) {
  %c = nn.parameter "c" : tensor<4x1x1xf32>
  %y0 = nn.conv %x, %w activation = relu : (tensor<1x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x4x4xf32> loc("conv_8")
  %z0 = nn.add %y0, %c : (tensor<1x4x4x4xf32>, tensor<4x1x1xf32>) -> tensor<1x4x4x4xf32> loc("add_8")
  %y1 = nn.conv %x, %w residual %x : (tensor<1x4x4x4xf32>, tensor<4x4x1x1xf32>, tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32> loc("conv_9")
  %z1 = nn.add %y1, %c : (tensor<1x4x4x4xf32>, tensor<4x1x1xf32>) -> tensor<1x4x4x4xf32> loc("add_9")
  %y2 = nn.conv %x, %w bias %b : (tensor<1x4x4x4xf32>, tensor<4x4x1x1xf32>, tensor<4xf32>) -> tensor<1x4x4x4xf32> loc("conv_10")
  %z2 = nn.add %y2, %c : (tensor<1x4x4x4xf32>, tensor<4x1x1xf32>) -> tensor<1x4x4x4xf32> loc("add_10")
  %y3 = nn.conv %x, %w : (tensor<1x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x4x4xf32> loc("conv_11")
  %z3 = nn.add %y3, %c : (tensor<1x4x4x4xf32>, tensor<4x1x1xf32>) -> tensor<1x4x4x4xf32> loc("add_11")
  func.return %z0, %z1, %z2, %z3, %y3 : tensor<1x4x4x4xf32>, tensor<1x4x4x4xf32>, tensor<1x4x4x4xf32>, tensor<1x4x4x4xf32>, tensor<1x4x4x4xf32>
}

// Behind a Reshape that splits them, the channels are no axis any more (a pixel shuffle).
// REMARK: remark: add_12 not fused into conv_12: the channels of the convolution are not one axis of 1x2x2x4x4
// CHECK-LABEL: func.func @split_channels
// CHECK: nn.add
func.func @split_channels(%x: tensor<1x4x4x4xf32>, %w: tensor<4x4x1x1xf32>) -> tensor<1x2x2x4x4xf32> {
  %c = nn.parameter "c" : tensor<2x1x1x1xf32>
  %shape = nn.constant dense<[1, 2, 2, 4, 4]> : tensor<5xi64>
  %y = nn.conv %x, %w : (tensor<1x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x4x4xf32> loc("conv_12")
  %r = nn.reshape %y, %shape : (tensor<1x4x4x4xf32>, tensor<5xi64>) -> tensor<1x2x2x4x4xf32>
  %z = nn.add %r, %c : (tensor<1x2x2x4x4xf32>, tensor<2x1x1x1xf32>) -> tensor<1x2x2x4x4xf32> loc("add_12")
  func.return %z : tensor<1x2x2x4x4xf32>
}

// REMARK: remark: add_13 not fused into bn_13: the batch-norm is per element, not per channel
// CHECK-LABEL: func.func @per_element
// CHECK: nn.add
func.func @per_element(%x: tensor<1x4x2xf32>) -> tensor<1x4x2xf32> {
  %p = nn.parameter "p" : tensor<4x2xf32>
  %c = nn.parameter "c" : tensor<4x1xf32>
  %y = nn.batch_normalization %x, %p, %p, %p, %p : (tensor<1x4x2xf32>, tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf32>) -> tensor<1x4x2xf32> loc("bn_13")
  %z = nn.add %y, %c : (tensor<1x4x2xf32>, tensor<4x1xf32>) -> tensor<1x4x2xf32> loc("add_13")
  func.return %z : tensor<1x4x2xf32>
}

// Must not fire, and is no near miss: a residual, a difference the other way round.

// REMARK-NOT: remark
// CHECK-LABEL: func.func @no_bias
// CHECK: nn.add
// CHECK: nn.sub
func.func @no_bias(%x: tensor<1x4x4x4xf32>, %w: tensor<4x4x1x1xf32>) -> (tensor<1x4x4x4xf32>, tensor<1x4x4x4xf32>) {
  %c = nn.parameter "c" : tensor<4x1x1xf32>
  %y0 = nn.conv %x, %w : (tensor<1x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x4x4xf32>
  %z0 = nn.add %y0, %x : tensor<1x4x4x4xf32>
  %y1 = nn.conv %x, %w : (tensor<1x4x4x4xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x4x4xf32>
  %z1 = nn.sub %c, %y1 : (tensor<4x1x1xf32>, tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>
  func.return %z0, %z1 : tensor<1x4x4x4xf32>, tensor<1x4x4x4xf32>
}
