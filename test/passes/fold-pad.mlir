// RUN: fuse-opt %s -p fold-pad | filecheck %s
// RUN: fuse-opt %s -p fold-pad --remarks 2>&1 >/dev/null | filecheck %s --check-prefix=REMARK
// RUN: fuse-opt %s -p fold-pad --print-debuginfo | filecheck %s --check-prefix=LOCATION

// Fires.

// Both pads add up, before and after each axis apart.
// REMARK: remark: pad_1 fused into conv_1
// CHECK-LABEL: func.func @conv
// CHECK-NEXT: %y = nn.conv %x, %w pads [1, 2, 4, 3] activation = relu : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x11x11xf32>
// CHECK-NEXT: func.return %y
// LOCATION: nn.conv {{.*}} loc(fused["pad_1", "conv_1"])
func.func @conv(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x3x3xf32>) -> tensor<1x4x11x11xf32> {
  %pads = nn.constant dense<[0, 0, 1, 1, 0, 0, 3, 2]> : tensor<8xi64>
  %p = nn.pad %x, %pads : (tensor<1x3x8x8xf32>, tensor<8xi64>) -> tensor<1x3x12x11xf32> loc("pad_1")
  %y = nn.conv %p, %w pads [0, 1, 1, 1] activation = relu : (tensor<1x3x12x11xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x11x11xf32> loc("conv_1")
  func.return %y : tensor<1x4x11x11xf32>
}

// An explicit zero, axes, auto_pad VALID, unknown sizes.
// CHECK-LABEL: func.func @axes
// CHECK-NEXT: %y = nn.conv %x, %w pads [0, 1, 0, 2] : (tensor<?x3x?x?xf32>, tensor<4x3x3x3xf32>) -> tensor<?x4x?x?xf32>
// CHECK-NEXT: func.return %y
func.func @axes(%x: tensor<?x3x?x?xf32>, %w: tensor<4x3x3x3xf32>) -> tensor<?x4x?x?xf32> {
  %pads = nn.constant dense<[1, 2]> : tensor<2xi64>
  %zero = nn.constant 0.0 : f32 as tensor<f32>
  %axes = nn.constant -1 : i64 as tensor<1xi64>
  %p = nn.pad %x, %pads constant_value %zero axes %axes : (tensor<?x3x?x?xf32>, tensor<2xi64>, tensor<f32>, tensor<1xi64>) -> tensor<?x3x?x?xf32>
  %y = nn.conv %p, %w auto_pad = "VALID" : (tensor<?x3x?x?xf32>, tensor<4x3x3x3xf32>) -> tensor<?x4x?x?xf32>
  func.return %y : tensor<?x4x?x?xf32>
}

// An average pool goes on counting the zeros.
// CHECK-LABEL: func.func @average_pool
// CHECK-NEXT: %y = nn.average_pool %x count_include_pad = 1 kernel_shape [3, 3] pads [1, 1, 1, 1] :
// CHECK-NEXT: func.return %y
func.func @average_pool(%x: tensor<1x3x8x8xf32>) -> tensor<1x3x8x8xf32> {
  %pads = nn.constant dense<[0, 0, 1, 1, 0, 0, 1, 1]> : tensor<8xi64>
  %p = nn.pad %x, %pads : (tensor<1x3x8x8xf32>, tensor<8xi64>) -> tensor<1x3x10x10xf32>
  %y = nn.average_pool %p kernel_shape [3, 3] : (tensor<1x3x10x10xf32>) -> tensor<1x3x8x8xf32>
  func.return %y : tensor<1x3x8x8xf32>
}

// Near misses.

// REMARK: remark: pad_2 not fused into conv_2: the padded tensor has 2 uses
// REMARK: remark: pad_2 not fused into conv_3: the padded tensor has 2 uses
// REMARK: remark: pad_4 not fused into conv_4: its mode is reflect
// REMARK: remark: pad_5 not fused into conv_5: its value is 1.0, not 0
// REMARK: remark: pad_6 not fused into conv_6: its value is not a constant
// REMARK: remark: pad_7 not fused into conv_7: its pads are negative
// REMARK: remark: pad_8 not fused into conv_8: it pads the batch or the channels
// REMARK: remark: pad_9 not fused into conv_9: the padding by auto_pad = SAME_UPPER depends on the padded size
// REMARK: remark: pad_10 not fused into pool_10: the pool's own padding does not count
// REMARK: remark: pad_11 not fused into pool_11: windows of ceil_mode reach beyond the padding
// REMARK: remark: pad_12 not fused into conv_12: its pads are not constants
// REMARK-NOT: remark
// CHECK-LABEL: func.func @near_misses
// CHECK: nn.pad
// CHECK-COUNT-2: nn.conv
// CHECK-COUNT-5: nn.conv %p
// CHECK: nn.conv %p9, %w auto_pad = "SAME_UPPER"
// CHECK: nn.average_pool %p10 kernel_shape [3, 3] pads [1, 1, 1, 1] :
// CHECK: nn.average_pool %p11 kernel_shape [3, 3] ceil_mode = 1 :
// CHECK: nn.conv %p12
func.func @near_misses(%x: tensor<1x3x8x8xf32>, %w: tensor<3x3x3x3xf32>, %v: tensor<f32>, %n: tensor<8xi64>) -> (tensor<1x3x8x8xf32>, tensor<1x3x8x8xf32>, tensor<1x3x8x8xf32>, tensor<1x3x8x8xf32>, tensor<1x3x8x8xf32>, tensor<1x3x6x4xf32>, tensor<2x3x8x8xf32>, tensor<1x3x10x10xf32>, tensor<1x3x10x10xf32>, tensor<1x3x8x8xf32>, tensor<?x3x?x?xf32>) {
  %pads = nn.constant dense<[0, 0, 1, 1, 0, 0, 1, 1]> : tensor<8xi64>
  %crop = nn.constant dense<[0, 0, 0, 0, 0, 0, 0, -2]> : tensor<8xi64>
  %batch = nn.constant dense<[0, 0, 1, 1, 1, 0, 1, 1]> : tensor<8xi64>
  %one = nn.constant 1.0 : f32 as tensor<f32>
  %p2 = nn.pad %x, %pads : (tensor<1x3x8x8xf32>, tensor<8xi64>) -> tensor<1x3x10x10xf32> loc("pad_2")
  %y2 = nn.conv %p2, %w : (tensor<1x3x10x10xf32>, tensor<3x3x3x3xf32>) -> tensor<1x3x8x8xf32> loc("conv_2")
  %y3 = nn.conv %p2, %w : (tensor<1x3x10x10xf32>, tensor<3x3x3x3xf32>) -> tensor<1x3x8x8xf32> loc("conv_3")
  %p4 = nn.pad %x, %pads mode = "reflect" : (tensor<1x3x8x8xf32>, tensor<8xi64>) -> tensor<1x3x10x10xf32> loc("pad_4")
  %y4 = nn.conv %p4, %w : (tensor<1x3x10x10xf32>, tensor<3x3x3x3xf32>) -> tensor<1x3x8x8xf32> loc("conv_4")
  %p5 = nn.pad %x, %pads constant_value %one : (tensor<1x3x8x8xf32>, tensor<8xi64>, tensor<f32>) -> tensor<1x3x10x10xf32> loc("pad_5")
  %y5 = nn.conv %p5, %w : (tensor<1x3x10x10xf32>, tensor<3x3x3x3xf32>) -> tensor<1x3x8x8xf32> loc("conv_5")
  %p6 = nn.pad %x, %pads constant_value %v : (tensor<1x3x8x8xf32>, tensor<8xi64>, tensor<f32>) -> tensor<1x3x10x10xf32> loc("pad_6")
  %y6 = nn.conv %p6, %w : (tensor<1x3x10x10xf32>, tensor<3x3x3x3xf32>) -> tensor<1x3x8x8xf32> loc("conv_6")
  %p7 = nn.pad %x, %crop : (tensor<1x3x8x8xf32>, tensor<8xi64>) -> tensor<1x3x8x6xf32> loc("pad_7")
  %y7 = nn.conv %p7, %w : (tensor<1x3x8x6xf32>, tensor<3x3x3x3xf32>) -> tensor<1x3x6x4xf32> loc("conv_7")
  %p8 = nn.pad %x, %batch : (tensor<1x3x8x8xf32>, tensor<8xi64>) -> tensor<2x3x10x10xf32> loc("pad_8")
  %y8 = nn.conv %p8, %w : (tensor<2x3x10x10xf32>, tensor<3x3x3x3xf32>) -> tensor<2x3x8x8xf32> loc("conv_8")
  %p9 = nn.pad %x, %pads : (tensor<1x3x8x8xf32>, tensor<8xi64>) -> tensor<1x3x10x10xf32> loc("pad_9")
  %y9 = nn.conv %p9, %w auto_pad = "SAME_UPPER" : (tensor<1x3x10x10xf32>, tensor<3x3x3x3xf32>) -> tensor<1x3x10x10xf32> loc("conv_9")
  %p10 = nn.pad %x, %pads : (tensor<1x3x8x8xf32>, tensor<8xi64>) -> tensor<1x3x10x10xf32> loc("pad_10")
  %y10 = nn.average_pool %p10 kernel_shape [3, 3] pads [1, 1, 1, 1] : (tensor<1x3x10x10xf32>) -> tensor<1x3x10x10xf32> loc("pool_10")
  %p11 = nn.pad %x, %pads : (tensor<1x3x8x8xf32>, tensor<8xi64>) -> tensor<1x3x10x10xf32> loc("pad_11")
  %y11 = nn.average_pool %p11 kernel_shape [3, 3] ceil_mode = 1 : (tensor<1x3x10x10xf32>) -> tensor<1x3x8x8xf32> loc("pool_11")
  %p12 = nn.pad %x, %n : (tensor<1x3x8x8xf32>, tensor<8xi64>) -> tensor<?x?x?x?xf32> loc("pad_12")
  %y12 = nn.conv %p12, %w : (tensor<?x?x?x?xf32>, tensor<3x3x3x3xf32>) -> tensor<?x3x?x?xf32> loc("conv_12")
  func.return %y2, %y3, %y4, %y5, %y6, %y7, %y8, %y9, %y10, %y11, %y12 : tensor<1x3x8x8xf32>, tensor<1x3x8x8xf32>, tensor<1x3x8x8xf32>, tensor<1x3x8x8xf32>, tensor<1x3x8x8xf32>, tensor<1x3x6x4xf32>, tensor<2x3x8x8xf32>, tensor<1x3x10x10xf32>, tensor<1x3x10x10xf32>, tensor<1x3x8x8xf32>, tensor<?x3x?x?xf32>
}

// Must not fire, and is no near miss: a max pool's padding is no zero, a transposed convolution's crops.

// CHECK-LABEL: func.func @others
// CHECK: nn.pad
// CHECK-NEXT: nn.max_pool
// CHECK-NEXT: nn.pad
// CHECK-NEXT: nn.conv_transpose
func.func @others(%x: tensor<1x3x8x8xf32>, %w: tensor<3x3x3x3xf32>) -> (tensor<1x3x8x8xf32>, tensor<1x3x12x12xf32>) {
  %pads = nn.constant dense<[0, 0, 1, 1, 0, 0, 1, 1]> : tensor<8xi64>
  %p = nn.pad %x, %pads : (tensor<1x3x8x8xf32>, tensor<8xi64>) -> tensor<1x3x10x10xf32>
  %y = nn.max_pool %p kernel_shape [3, 3] : (tensor<1x3x10x10xf32>) -> tensor<1x3x8x8xf32>
  %q = nn.pad %x, %pads : (tensor<1x3x8x8xf32>, tensor<8xi64>) -> tensor<1x3x10x10xf32>
  %z = nn.conv_transpose %q, %w : (tensor<1x3x10x10xf32>, tensor<3x3x3x3xf32>) -> tensor<1x3x12x12xf32>
  func.return %y, %z : tensor<1x3x8x8xf32>, tensor<1x3x12x12xf32>
}
