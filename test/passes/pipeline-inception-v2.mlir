// RUN: fuse-opt %s -p canonicalize,fold-batch-norm,fold-scale,fuse-bias,fuse-activation | filecheck %s
// RUN: fuse-opt %s -p canonicalize,fold-batch-norm,fold-scale,fuse-bias,fuse-activation --remarks 2>&1 >/dev/null | filecheck %s --check-prefix=REMARK
// RUN: fuse-opt %s -p canonicalize,fold-batch-norm,fold-scale,fuse-bias,fuse-activation,hoist-parameters | filecheck %s --check-prefix=HOISTED

// Inception-v2 as Caffe2 exports it: the batch-norm's scale and bias are 1 and 0, and a Mul and an Add follow it.

// CHECK-LABEL: func.func @main
// CHECK: [[Y:%.*]] = nn.conv %x, {{.*}} bias {{.*}} pads [1, 1, 1, 1] activation = relu :
// CHECK-NEXT: func.return [[Y]]

// REMARK: remark: bn_1 fused into conv_1
// REMARK-NEXT: remark: mul_1 fused into conv_1+bn_1
// REMARK-NEXT: remark: add_1 fused into conv_1+bn_1+mul_1
// REMARK-NEXT: remark: relu_1 fused into conv_1+bn_1+mul_1+add_1
// REMARK-NOT: remark

// HOISTED: func.func @main
// HOISTED-NEXT: nn.parameter "prepared.
// HOISTED-NEXT: nn.parameter "prepared.
// HOISTED-NEXT: nn.conv
// HOISTED-NEXT: func.return
func.func @main(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %filters = nn.constant dense<[4, 3, 3, 3]> : tensor<4xi64>
  %channels = nn.constant 4 : i64 as tensor<1xi64>
  %axes = nn.constant dense<[1, 2]> : tensor<2xi64>
  %w = nn.constant_of_shape %filters value = 0.02 : (tensor<4xi64>) -> tensor<4x3x3x3xf32>
  %y = nn.conv %x, %w pads [1, 1, 1, 1] : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x8x8xf32> loc("conv_1")
  %p = nn.constant_of_shape %channels value = 0.02 : (tensor<1xi64>) -> tensor<4xf32>
  %n = nn.batch_normalization %y, %p, %p, %p, %p : (tensor<1x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32> loc("bn_1")
  %g = nn.constant_of_shape %channels value = 0.03 : (tensor<1xi64>) -> tensor<4xf32>
  %s = nn.unsqueeze %g, %axes : (tensor<4xf32>, tensor<2xi64>) -> tensor<4x1x1xf32>
  %m = nn.mul %n, %s : (tensor<1x4x8x8xf32>, tensor<4x1x1xf32>) -> tensor<1x4x8x8xf32> loc("mul_1")
  %b = nn.constant_of_shape %channels value = 0.04 : (tensor<1xi64>) -> tensor<4xf32>
  %t = nn.unsqueeze %b, %axes : (tensor<4xf32>, tensor<2xi64>) -> tensor<4x1x1xf32>
  %a = nn.add %m, %t : (tensor<1x4x8x8xf32>, tensor<4x1x1xf32>) -> tensor<1x4x8x8xf32> loc("add_1")
  %r = nn.relu %a : tensor<1x4x8x8xf32> loc("relu_1")
  func.return %r : tensor<1x4x8x8xf32>
}
