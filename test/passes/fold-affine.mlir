// RUN: fuse-opt %s -p fold-affine | filecheck %s
// RUN: fuse-opt %s -p fold-affine --remarks 2>&1 >/dev/null | filecheck %s --check-prefix=REMARK
// RUN: fuse-opt %s -p fold-batch-norm,fold-scale,fuse-bias | filecheck %s --check-prefix=APART

// PaddlePaddle's bias is an Add before the batch-norm: the three passes in a row fold it last and leave the batch-norm.

// CHECK-LABEL: func.func @add_before_batch_norm
// CHECK: %y = nn.conv %x, {{.*}} bias {{%.*}} :
// CHECK-NEXT: func.return %y
// APART-LABEL: func.func @add_before_batch_norm
// APART: nn.conv
// APART-NEXT: nn.batch_normalization
// REMARK: remark: add_1 fused into conv_1
// REMARK: remark: bn_1 fused into conv_1+add_1
func.func @add_before_batch_norm(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x3x1x1xf32>
  %c = nn.parameter "c" : tensor<1x4x1x1xf32>
  %p = nn.parameter "p" : tensor<4xf32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32> loc("conv_1")
  %a = nn.add %y, %c : (tensor<1x4x8x8xf32>, tensor<1x4x1x1xf32>) -> tensor<1x4x8x8xf32> loc("add_1")
  %z = nn.batch_normalization %a, %p, %p, %p, %p : (tensor<1x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32> loc("bn_1")
  func.return %z : tensor<1x4x8x8xf32>
}

// CHECK-LABEL: func.func @any_order
// CHECK: %y = nn.gemm %x, {{.*}} c {{%.*}} :
// CHECK-NEXT: func.return %y
func.func @any_order(%x: tensor<2x3xf32>) -> tensor<2x4xf32> {
  %w = nn.parameter "w" : tensor<3x4xf32>
  %p = nn.parameter "p" : tensor<4xf32>
  %y = nn.gemm %x, %w : (tensor<2x3xf32>, tensor<3x4xf32>) -> tensor<2x4xf32>
  %a = nn.sub %y, %p : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %m = nn.div %a, %p : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %n = nn.mul %m, %p : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %z = nn.batch_normalization %n, %p, %p, %p, %p : (tensor<2x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %b = nn.add %p, %z : (tensor<4xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  func.return %b : tensor<2x4xf32>
}

// Must not fire: nothing passes an activation; each near miss is named once.

// REMARK: remark: add_2 not fused into conv_2: the convolution already has the activation relu
// REMARK-NOT: remark
// CHECK-LABEL: func.func @activation_between
// CHECK: nn.conv {{.*}} activation = relu
// CHECK-NEXT: nn.add
// CHECK-NEXT: nn.batch_normalization
func.func @activation_between(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x3x1x1xf32>
  %c = nn.parameter "c" : tensor<1x4x1x1xf32>
  %p = nn.parameter "p" : tensor<4xf32>
  %y = nn.conv %x, %w activation = relu : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32> loc("conv_2")
  %a = nn.add %y, %c : (tensor<1x4x8x8xf32>, tensor<1x4x1x1xf32>) -> tensor<1x4x8x8xf32> loc("add_2")
  %z = nn.batch_normalization %a, %p, %p, %p, %p : (tensor<1x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32> loc("bn_2")
  func.return %z : tensor<1x4x8x8xf32>
}
