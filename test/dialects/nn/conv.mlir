// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | filecheck %s --check-prefix=GENERIC

// CHECK-LABEL: @conv
// CHECK: nn.conv %x, %w : (tensor<2x4x8x8xf32>, tensor<6x4x3x3xf32>) -> tensor<2x6x6x6xf32>
// GENERIC: "nn.conv"(%x, %w) <{operandSegmentSizes = array<i32: 1, 1, 0, 0>, layout = "nchw", group = 1 : i64, auto_pad = "NOTSET"}>
func.func @conv(%x: tensor<2x4x8x8xf32>, %w: tensor<6x4x3x3xf32>) -> tensor<2x6x6x6xf32> {
  %y = nn.conv %x, %w : (tensor<2x4x8x8xf32>, tensor<6x4x3x3xf32>) -> tensor<2x6x6x6xf32>
  func.return %y : tensor<2x6x6x6xf32>
}

// CHECK-LABEL: @everything
// CHECK: nn.conv %x, %w bias %b residual %r kernel_shape [3, 3] strides [2, 1] pads [1, 0, 1, 2] dilations [1, 2] group = 2 activation = leaky_relu<0.1> {note = "kept"} : (tensor<2x4x8x8xf32>, tensor<6x2x3x3xf32>, tensor<6xf32>, tensor<2x6x4x6xf32>) -> tensor<2x6x4x6xf32>
// GENERIC: activation = #nn.activation<leaky_relu<0.1>>, operandSegmentSizes = array<i32: 1, 1, 1, 1>
func.func @everything(%x: tensor<2x4x8x8xf32>, %w: tensor<6x2x3x3xf32>, %b: tensor<6xf32>, %r: tensor<2x6x4x6xf32>) -> tensor<2x6x4x6xf32> {
  %y = nn.conv %x, %w bias %b residual %r kernel_shape [3, 3] strides [2, 1] pads [1, 0, 1, 2] dilations [1, 2] group = 2 activation = leaky_relu<0.1> {note = "kept"} : (tensor<2x4x8x8xf32>, tensor<6x2x3x3xf32>, tensor<6xf32>, tensor<2x6x4x6xf32>) -> tensor<2x6x4x6xf32>
  func.return %y : tensor<2x6x4x6xf32>
}

// CHECK-LABEL: @symbolic
// CHECK: nn.conv %x, %w residual %r auto_pad = "SAME_UPPER" : (tensor<?x4x?xf32>, tensor<6x4x3xf32>, tensor<?x6x?xf32>) -> tensor<?x6x?xf32>
func.func @symbolic(%x: tensor<?x4x?xf32>, %w: tensor<6x4x3xf32>, %r: tensor<?x6x?xf32>) -> tensor<?x6x?xf32> {
  %y = nn.conv %x, %w residual %r auto_pad = "SAME_UPPER" : (tensor<?x4x?xf32>, tensor<6x4x3xf32>, tensor<?x6x?xf32>) -> tensor<?x6x?xf32>
  func.return %y : tensor<?x6x?xf32>
}

// CHECK-LABEL: @transposed
// CHECK: nn.conv_transpose %x, %w output_padding [1] strides [2] pads [1, 1] : (tensor<1x4x5xf32>, tensor<4x3x3xf32>) -> tensor<1x3x10xf32>
// CHECK: nn.conv_transpose %x, %w bias %b output_shape [9] strides [2] activation = relu : (tensor<1x4x5xf32>, tensor<4x3x3xf32>, tensor<3xf32>) -> tensor<1x3x9xf32>
func.func @transposed(%x: tensor<1x4x5xf32>, %w: tensor<4x3x3xf32>, %b: tensor<3xf32>) -> (tensor<1x3x10xf32>, tensor<1x3x9xf32>) {
  %y = nn.conv_transpose %x, %w strides [2] pads [1, 1] output_padding [1] : (tensor<1x4x5xf32>, tensor<4x3x3xf32>) -> tensor<1x3x10xf32>
  %z = nn.conv_transpose %x, %w bias %b strides [2] output_shape [9] activation = relu : (tensor<1x4x5xf32>, tensor<4x3x3xf32>, tensor<3xf32>) -> tensor<1x3x9xf32>
  func.return %y, %z : tensor<1x3x10xf32>, tensor<1x3x9xf32>
}

// CHECK-LABEL: @channels_last
// CHECK: nn.conv %x, %w bias %b layout = "nhwc" pads [1, 1, 1, 1] : (tensor<2x8x9x4xf32>, tensor<6x3x3x4xf32>, tensor<6xf32>) -> tensor<2x8x9x6xf32>
func.func @channels_last(%x: tensor<2x8x9x4xf32>, %w: tensor<6x3x3x4xf32>, %b: tensor<6xf32>) -> tensor<2x8x9x6xf32> {
  %y = nn.conv %x, %w bias %b pads [1, 1, 1, 1] layout = "nhwc" : (tensor<2x8x9x4xf32>, tensor<6x3x3x4xf32>, tensor<6xf32>) -> tensor<2x8x9x6xf32>
  func.return %y : tensor<2x8x9x6xf32>
}
