// RUN: fuse-opt %s -p fuse-activation | filecheck %s
// RUN: fuse-opt %s -p fuse-activation --remarks 2>&1 >/dev/null | filecheck %s --check-prefix=REMARK
// RUN: fuse-opt %s -p fuse-activation --print-debuginfo | filecheck %s --check-prefix=LOCATION
// RUN: fuse-opt %s -p fuse-activation | fuse-opt -p fuse-activation | filecheck %s

// Fires.

// CHECK-LABEL: func.func @conv
// CHECK: %y = nn.conv %x, %w bias %b pads [1, 1, 1, 1] activation = relu : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
// CHECK-NEXT: func.return %y
// REMARK: remark: relu_1 fused into conv_1
// LOCATION: nn.conv {{.*}} loc(fused["conv_1", "relu_1"])
func.func @conv(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x3x3x3xf32>
  %b = nn.parameter "b" : tensor<4xf32>
  %y = nn.conv %x, %w bias %b pads [1, 1, 1, 1] : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32> loc("conv_1")
  %z = nn.relu %y : tensor<1x4x8x8xf32> loc("relu_1")
  func.return %z : tensor<1x4x8x8xf32>
}

// A bias and a residual come before the activation; the batch may be unknown.
// CHECK-LABEL: func.func @conv_residual
// CHECK: %y = nn.conv %x, %w bias %b residual %x activation = relu :
// CHECK-NEXT: func.return %y
func.func @conv_residual(%x: tensor<?x4x8x8xf32>) -> tensor<?x4x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x4x1x1xf32>
  %b = nn.parameter "b" : tensor<4xf32>
  %y = nn.conv %x, %w bias %b residual %x : (tensor<?x4x8x8xf32>, tensor<4x4x1x1xf32>, tensor<4xf32>, tensor<?x4x8x8xf32>) -> tensor<?x4x8x8xf32>
  %z = nn.relu %y : tensor<?x4x8x8xf32>
  func.return %z : tensor<?x4x8x8xf32>
}

// A chain of convolutions, each with an activation of its own.
// CHECK-LABEL: func.func @chain
// CHECK: nn.conv %{{.*}}, %w activation = celu<1.5> :
// CHECK-NEXT: nn.conv %{{.*}}, %w activation = thresholded_relu<1.0> :
// CHECK-NEXT: nn.conv %{{.*}}, %w activation = shrink<0.5, 0.5> :
// CHECK-NEXT: nn.conv %{{.*}}, %w activation = softsign :
// CHECK-NEXT: nn.conv %{{.*}}, %w activation = mish :
// CHECK-NEXT: func.return
func.func @chain(%x: tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x4x1x1xf32>
  %c0 = nn.conv %x, %w : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %celu = nn.celu %c0 alpha = 1.5 : tensor<1x4x8x8xf32>
  %c1 = nn.conv %celu, %w : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %thresholded_relu = nn.thresholded_relu %c1 : tensor<1x4x8x8xf32>
  %c2 = nn.conv %thresholded_relu, %w : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %shrink = nn.shrink %c2 bias = 0.5 : tensor<1x4x8x8xf32>
  %c3 = nn.conv %shrink, %w : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %softsign = nn.softsign %c3 : tensor<1x4x8x8xf32>
  %c4 = nn.conv %softsign, %w : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %mish = nn.mish %c4 : tensor<1x4x8x8xf32>
  func.return %mish : tensor<1x4x8x8xf32>
}

// A batch-norm that no producer took has weights too: one pass does both.
// CHECK-LABEL: func.func @batch_norm
// CHECK: %y = nn.batch_normalization %x, %s, %b, %m, %v activation = relu :
// CHECK-NEXT: func.return %y
func.func @batch_norm(%x: tensor<?x4x8x8xf32>, %s: tensor<4xf32>, %b: tensor<4xf32>, %m: tensor<4xf32>, %v: tensor<4xf32>) -> tensor<?x4x8x8xf32> {
  %y = nn.batch_normalization %x, %s, %b, %m, %v : (tensor<?x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4x8x8xf32>
  %z = nn.relu %y : tensor<?x4x8x8xf32>
  func.return %z : tensor<?x4x8x8xf32>
}

// CHECK-LABEL: func.func @conv_transpose
// CHECK: %y = nn.conv_transpose %x, %w strides [2, 2] activation = leaky_relu<0.1> :
// CHECK-NEXT: func.return %y
func.func @conv_transpose(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x16x16xf32> {
  %w = nn.parameter "w" : tensor<3x4x2x2xf32>
  %y = nn.conv_transpose %x, %w strides [2, 2] : (tensor<1x3x8x8xf32>, tensor<3x4x2x2xf32>) -> tensor<1x4x16x16xf32>
  %z = nn.leaky_relu %y alpha = 0.1 : tensor<1x4x16x16xf32>
  func.return %z : tensor<1x4x16x16xf32>
}

// A Gemm without bias, with alpha, has its activation all the same.
// CHECK-LABEL: func.func @gemm
// CHECK: %y = nn.gemm %x, %w alpha = 0.5 transB = 1 activation = sigmoid :
// CHECK-NEXT: func.return %y
func.func @gemm(%x: tensor<2x3xf32>) -> tensor<2x4xf32> {
  %w = nn.parameter "w" : tensor<4x3xf32>
  %y = nn.gemm %x, %w alpha = 0.5 transB = 1 : (tensor<2x3xf32>, tensor<4x3xf32>) -> tensor<2x4xf32>
  %z = nn.sigmoid %y : tensor<2x4xf32>
  func.return %z : tensor<2x4xf32>
}

// Two inputs of the network: nothing here is a weight.
// CHECK-LABEL: func.func @matmul
// CHECK: %y = nn.matmul %a, %b activation = gelu_tanh :
// CHECK-NEXT: func.return %y
func.func @matmul(%a: tensor<5x2x3xf32>, %b: tensor<3x4xf32>) -> tensor<5x2x4xf32> {
  %y = nn.matmul %a, %b : (tensor<5x2x3xf32>, tensor<3x4xf32>) -> tensor<5x2x4xf32>
  %z = nn.gelu %y approximate = "tanh" : tensor<5x2x4xf32>
  func.return %z : tensor<5x2x4xf32>
}

// Constant bounds become parameters of the activation; the constants go with the Clip.
// CHECK-LABEL: func.func @clip
// CHECK-NEXT: %y = nn.conv %x, %w activation = clip<0.0, 6.0> :
// CHECK-NEXT: func.return %y
func.func @clip(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32> {
  %min = nn.constant 0.0 : f32 as tensor<f32>
  %max = nn.constant 6.0 : f32 as tensor<f32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %z = nn.clip %y min %min max %max : (tensor<1x4x8x8xf32>, tensor<f32>, tensor<f32>) -> tensor<1x4x8x8xf32>
  func.return %z : tensor<1x4x8x8xf32>
}

// CHECK-LABEL: func.func @clip_from_zero
// CHECK: nn.conv %x, %w activation = relu :
// CHECK-NEXT: func.return
func.func @clip_from_zero(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32> {
  %min = nn.constant 0.0 : f32 as tensor<f32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %z = nn.clip %y min %min : (tensor<1x4x8x8xf32>, tensor<f32>) -> tensor<1x4x8x8xf32>
  func.return %z : tensor<1x4x8x8xf32>
}

// Two convolutions of one tensor each keep their own activation; what stands between them does not matter.
// CHECK-LABEL: func.func @two_convolutions_of_one_input
// CHECK: %y0 = nn.conv %x, %w0 activation = relu :
// CHECK-NEXT: %y1 = nn.conv %x, %w1 activation = tanh :
// CHECK-NEXT: nn.add %y0, %y1
func.func @two_convolutions_of_one_input(%x: tensor<1x3x8x8xf32>, %w0: tensor<4x3x1x1xf32>, %w1: tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32> {
  %y0 = nn.conv %x, %w0 : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %y1 = nn.conv %x, %w1 : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %z0 = nn.relu %y0 : tensor<1x4x8x8xf32>
  %z1 = nn.tanh %y1 : tensor<1x4x8x8xf32>
  %z = nn.add %z0, %z1 : tensor<1x4x8x8xf32>
  func.return %z : tensor<1x4x8x8xf32>
}

// Layout ops stay where they are, behind the activation, and keep their locations.
// CHECK-LABEL: func.func @layout
// CHECK: %y = nn.conv %x, %w activation = relu :
// CHECK-NEXT: %t = nn.transpose %y perm [0, 2, 3, 1] :
// CHECK-NEXT: %r = nn.reshape %t, %shape :
// CHECK-NEXT: %u = nn.unsqueeze %r, %axes :
// CHECK-NEXT: %s = nn.squeeze %u axes %axes :
// CHECK-NEXT: %i = nn.identity %s :
// CHECK-NEXT: %d = nn.dropout %i :
// CHECK-NEXT: %c = nn.cast %d to = f32 :
// CHECK-NEXT: %f = nn.flatten %c
// CHECK-NEXT: func.return %f
// REMARK: remark: relu_2 fused into conv_2
// LOCATION: nn.conv {{.*}} loc(fused["conv_2", "relu_2"])
// LOCATION-NEXT: nn.transpose {{.*}} loc("transpose_2")
func.func @layout(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x1x1xf32>) -> tensor<1x256xf32> {
  %shape = nn.constant dense<[1, 64, 4]> : tensor<3xi64>
  %axes = nn.constant 0 : i64 as tensor<1xi64>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32> loc("conv_2")
  %t = nn.transpose %y perm [0, 2, 3, 1] : (tensor<1x4x8x8xf32>) -> tensor<1x8x8x4xf32> loc("transpose_2")
  %r = nn.reshape %t, %shape : (tensor<1x8x8x4xf32>, tensor<3xi64>) -> tensor<1x64x4xf32>
  %u = nn.unsqueeze %r, %axes : (tensor<1x64x4xf32>, tensor<1xi64>) -> tensor<1x1x64x4xf32>
  %s = nn.squeeze %u axes %axes : (tensor<1x1x64x4xf32>, tensor<1xi64>) -> tensor<1x64x4xf32>
  %i = nn.identity %s : tensor<1x64x4xf32>
  %d = nn.dropout %i : tensor<1x64x4xf32>
  %c = nn.cast %d to = f32 : tensor<1x64x4xf32>
  %f = nn.flatten %c : (tensor<1x64x4xf32>) -> tensor<1x256xf32>
  %z = nn.relu %f : tensor<1x256xf32> loc("relu_2")
  func.return %z : tensor<1x256xf32>
}

// Near misses.

// REMARK: remark: relu_3 not fused into conv_3: the convolution's result has 2 uses
// CHECK-LABEL: func.func @used_twice
// CHECK: nn.conv %x, %w :
// CHECK: nn.relu
func.func @used_twice(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32> {
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32> loc("conv_3")
  %z = nn.relu %y : tensor<1x4x8x8xf32> loc("relu_3")
  %s = nn.add %z, %y : tensor<1x4x8x8xf32>
  func.return %s : tensor<1x4x8x8xf32>
}

// A graph output is a use.
// REMARK: remark: relu_4 not fused into conv_4: the convolution's result has 2 uses
// CHECK-LABEL: func.func @graph_output
// CHECK: %y = nn.conv %x, %w :
// CHECK-NEXT: %z = nn.relu %y
// CHECK-NEXT: func.return %y, %z
func.func @graph_output(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x1x1xf32>) -> (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) {
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32> loc("conv_4")
  %z = nn.relu %y : tensor<1x4x8x8xf32> loc("relu_4")
  func.return %y, %z : tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>
}

// So is a use of a layout op's result, or of a Dropout's mask.
// REMARK: remark: relu_5 not fused into conv_5: transpose_5's result has 2 uses
// REMARK: remark: relu_6 not fused into conv_6: dropout_6's result has 2 uses
// CHECK-LABEL: func.func @layout_used_twice
// CHECK: nn.conv %x, %w :
// CHECK: nn.conv %x, %w :
func.func @layout_used_twice(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x1x1xf32>) -> (tensor<8x8x4x1xf32>, tensor<8x8x4x1xf32>, tensor<1x4x8x8xf32>, tensor<1x4x8x8xi1>) {
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32> loc("conv_5")
  %t = nn.transpose %y perm [2, 3, 1, 0] : (tensor<1x4x8x8xf32>) -> tensor<8x8x4x1xf32> loc("transpose_5")
  %z = nn.relu %t : tensor<8x8x4x1xf32> loc("relu_5")
  %y2 = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32> loc("conv_6")
  %d, %mask = nn.dropout %y2 : (tensor<1x4x8x8xf32>) -> (tensor<1x4x8x8xf32>, tensor<1x4x8x8xi1>) loc("dropout_6")
  %z2 = nn.relu %d : tensor<1x4x8x8xf32> loc("relu_6")
  func.return %t, %z, %z2, %mask : tensor<8x8x4x1xf32>, tensor<8x8x4x1xf32>, tensor<1x4x8x8xf32>, tensor<1x4x8x8xi1>
}

// REMARK: remark: relu_7 not fused into conv_7+sigmoid_7: the convolution already has the activation sigmoid
// CHECK-LABEL: func.func @second_activation
// CHECK: nn.conv %x, %w activation = sigmoid :
// CHECK-NEXT: nn.relu
func.func @second_activation(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32> {
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32> loc("conv_7")
  %s = nn.sigmoid %y : tensor<1x4x8x8xf32> loc("sigmoid_7")
  %z = nn.relu %s : tensor<1x4x8x8xf32> loc("relu_7")
  func.return %z : tensor<1x4x8x8xf32>
}

// REMARK: remark: clip_8 not fused into conv_8: its bounds are not constant
// CHECK-LABEL: func.func @clip_by_inputs
// CHECK: nn.conv %x, %w :
// CHECK-NEXT: nn.clip
func.func @clip_by_inputs(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x1x1xf32>, %max: tensor<f32>) -> tensor<1x4x8x8xf32> {
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32> loc("conv_8")
  %z = nn.clip %y max %max : (tensor<1x4x8x8xf32>, tensor<f32>) -> tensor<1x4x8x8xf32> loc("clip_8")
  func.return %z : tensor<1x4x8x8xf32>
}

// REMARK: remark: relu_9 not fused into matmul_9: the element type i32 is not a float
// CHECK-LABEL: func.func @integers
// CHECK: nn.matmul %a, %a :
func.func @integers(%a: tensor<4x4xi32>) -> tensor<4x4xi32> {
  %y = nn.matmul %a, %a : tensor<4x4xi32> loc("matmul_9")
  %z = nn.relu %y : tensor<4x4xi32> loc("relu_9")
  func.return %z : tensor<4x4xi32>
}

// Must not fire, and is no near miss.

// REMARK-NOT: remark
// CHECK-LABEL: func.func @no_activation
// CHECK: nn.conv %x, %w :
// CHECK-NEXT: nn.max_pool
// CHECK-NEXT: nn.relu
// CHECK: nn.conv %x, %w :
// CHECK-NEXT: nn.prelu
// CHECK: nn.conv %x, %w :
// CHECK-NEXT: nn.cast
// CHECK-NEXT: nn.relu
func.func @no_activation(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x1x1xf32>, %slope: tensor<4x1x1xf32>) -> (tensor<1x4x7x7xf32>, tensor<1x4x8x8xf32>, tensor<1x4x8x8xf16>) {
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %p = nn.max_pool %y kernel_shape [2, 2] : (tensor<1x4x8x8xf32>) -> tensor<1x4x7x7xf32>
  %z = nn.relu %p : tensor<1x4x7x7xf32>
  %y1 = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %z1 = nn.prelu %y1, %slope : (tensor<1x4x8x8xf32>, tensor<4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %y2 = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %c2 = nn.cast %y2 to = f16 : (tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf16>
  %z2 = nn.relu %c2 : tensor<1x4x8x8xf16>
  func.return %z, %z1, %z2 : tensor<1x4x7x7xf32>, tensor<1x4x8x8xf32>, tensor<1x4x8x8xf16>
}
