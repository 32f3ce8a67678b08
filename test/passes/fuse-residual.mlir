// RUN: fuse-opt %s -p fuse-residual | filecheck %s
// RUN: fuse-opt %s -p fuse-residual --remarks 2>&1 >/dev/null | filecheck %s --check-prefix=REMARK
// RUN: fuse-opt %s -p fuse-residual --print-debuginfo | filecheck %s --check-prefix=LOCATION

// Fires, in either order; an activation that follows can fold then.

// CHECK-LABEL: func.func @first
// CHECK: %y = nn.conv %x, %w residual %r : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
// CHECK-NEXT: func.return %y
// REMARK: remark: add_1 fused into conv_1
// LOCATION: nn.conv {{.*}} loc(fused["conv_1", "add_1"])
func.func @first(%x: tensor<1x4x8x8xf32>, %r: tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x4x1x1xf32>
  %y = nn.conv %x, %w : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x8x8xf32> loc("conv_1")
  %z = nn.add %y, %r : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> loc("add_1")
  func.return %z : tensor<1x4x8x8xf32>
}

// CHECK-LABEL: func.func @second
// CHECK: nn.conv %x, %w bias %b residual %r : (
// CHECK-NOT: nn.add
func.func @second(%x: tensor<1x4x8x8xf32>, %r: tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x4x1x1xf32>
  %b = nn.parameter "b" : tensor<4xf32>
  %y = nn.conv %x, %w bias %b : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
  %z = nn.add %r, %y : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  func.return %z : tensor<1x4x8x8xf32>
}

// Of two convolutions the later one takes the earlier: that is computed by then.
// CHECK-LABEL: func.func @both
// CHECK: %a = nn.conv %x, %w : (
// CHECK: %b = nn.conv %x, %v residual %a : (
// CHECK-NEXT: func.return %b
func.func @both(%x: tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x4x1x1xf32>
  %v = nn.parameter "v" : tensor<4x4x1x1xf32>
  %a = nn.conv %x, %w : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %b = nn.conv %x, %v : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %z = nn.add %b, %a : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  func.return %z : tensor<1x4x8x8xf32>
}

// A shortcut is computed first, though it stands last: it may be, while the branch is.
// CHECK-LABEL: func.func @shortcut
// CHECK: %a = nn.conv %x, %w : (
// CHECK: %s = nn.conv %x, %w : (
// CHECK: %b = nn.conv %a, %w residual %s : (
// CHECK-NEXT: func.return %b
func.func @shortcut(%x: tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x4x1x1xf32>
  %a = nn.conv %x, %w : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %b = nn.conv %a, %w : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %s = nn.conv %x, %w : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %z = nn.add %b, %s : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  func.return %z : tensor<1x4x8x8xf32>
}

// Where the later one is also read elsewhere, the earlier one takes it.
// CHECK-LABEL: func.func @later_is_shared
// CHECK: %b = nn.conv %x, %v : (
// CHECK: %a = nn.conv %x, %w residual %b : (
func.func @later_is_shared(%x: tensor<1x4x8x8xf32>) -> (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) {
  %w = nn.parameter "w" : tensor<4x4x1x1xf32>
  %v = nn.parameter "v" : tensor<4x4x1x1xf32>
  %a = nn.conv %x, %w : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %b = nn.conv %x, %v : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %z = nn.add %a, %b : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  func.return %z, %b : tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>
}

// Must not fire.

// CHECK-LABEL: func.func @shared
// CHECK: nn.add
// REMARK: remark: add_2 not fused into conv_2: the convolution's result has 2 uses
func.func @shared(%x: tensor<1x4x8x8xf32>, %r: tensor<1x4x8x8xf32>) -> (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) {
  %w = nn.parameter "w" : tensor<4x4x1x1xf32>
  %y = nn.conv %x, %w : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x8x8xf32> loc("conv_2")
  %z = nn.add %y, %r : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> loc("add_2")
  func.return %z, %y : tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>
}

// Added to itself: two uses.
// CHECK-LABEL: func.func @doubled
// CHECK: nn.add %y, %y
func.func @doubled(%x: tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x4x1x1xf32>
  %y = nn.conv %x, %w : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %z = nn.add %y, %y : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  func.return %z : tensor<1x4x8x8xf32>
}

// Nothing is added after an activation.
// CHECK-LABEL: func.func @activated
// CHECK: nn.add
// REMARK: remark: add_3 not fused into conv_3: the convolution already has the activation relu
func.func @activated(%x: tensor<1x4x8x8xf32>, %r: tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x4x1x1xf32>
  %y = nn.conv %x, %w activation = relu : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x8x8xf32> loc("conv_3")
  %z = nn.add %y, %r : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> loc("add_3")
  func.return %z : tensor<1x4x8x8xf32>
}

// Near misses.

// CHECK-LABEL: func.func @broadcast
// CHECK: nn.add
// REMARK: remark: add_4 not fused into conv_4: the other addend is a tensor<1x4x1x1xf32>, the convolution's result a tensor<1x4x8x8xf32>
func.func @broadcast(%x: tensor<1x4x8x8xf32>, %r: tensor<1x4x1x1xf32>) -> tensor<1x4x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x4x1x1xf32>
  %y = nn.conv %x, %w : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x8x8xf32> loc("conv_4")
  %z = nn.add %y, %r : (tensor<1x4x8x8xf32>, tensor<1x4x1x1xf32>) -> tensor<1x4x8x8xf32> loc("add_4")
  func.return %z : tensor<1x4x8x8xf32>
}

// Two unknown batches may be 1 and 8.
// CHECK-LABEL: func.func @unknown_batch
// CHECK: nn.add
func.func @unknown_batch(%x: tensor<?x4x8x8xf32>, %r: tensor<?x4x8x8xf32>) -> tensor<?x4x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x4x1x1xf32>
  %y = nn.conv %x, %w : (tensor<?x4x8x8xf32>, tensor<4x4x1x1xf32>) -> tensor<?x4x8x8xf32>
  %z = nn.add %y, %r : (tensor<?x4x8x8xf32>, tensor<?x4x8x8xf32>) -> tensor<?x4x8x8xf32>
  func.return %z : tensor<?x4x8x8xf32>
}

// CHECK-LABEL: func.func @second_residual
// CHECK: nn.conv %x, %w residual %r : (
// CHECK: nn.add %y, %x
// REMARK: remark: add_5 not fused into conv_5: the convolution already has a residual
func.func @second_residual(%x: tensor<1x4x8x8xf32>, %r: tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x4x1x1xf32>
  %y = nn.conv %x, %w residual %r : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> loc("conv_5")
  %z = nn.add %y, %x : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> loc("add_5")
  func.return %z : tensor<1x4x8x8xf32>
}

// CHECK-LABEL: func.func @transposed
// CHECK: nn.add
// REMARK: remark: add_6 not fused into conv_6: the convolution's result is laid out in another way before it is added
func.func @transposed(%x: tensor<1x4x8x8xf32>, %r: tensor<1x8x8x4xf32>) -> tensor<1x8x8x4xf32> {
  %w = nn.parameter "w" : tensor<4x4x1x1xf32>
  %y = nn.conv %x, %w : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x8x8xf32> loc("conv_6")
  %t = nn.transpose %y perm [0, 2, 3, 1] : (tensor<1x4x8x8xf32>) -> tensor<1x8x8x4xf32>
  %z = nn.add %t, %r : (tensor<1x8x8x4xf32>, tensor<1x8x8x4xf32>) -> tensor<1x8x8x4xf32> loc("add_6")
  func.return %z : tensor<1x8x8x4xf32>
}
