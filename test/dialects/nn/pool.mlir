// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | filecheck %s --check-prefix=GENERIC

// CHECK-LABEL: @max_pool
// CHECK: nn.max_pool %x kernel_shape [3, 3] strides [2, 2] ceil_mode = 1 : (tensor<1x3x8x8xf32>) -> tensor<1x3x4x4xf32>
// CHECK: %z, %i = nn.max_pool %x storage_order = 1 kernel_shape [2, 2] : (tensor<1x3x8x8xf32>) -> (tensor<1x3x7x7xf32>, tensor<1x3x7x7xi64>)
// GENERIC: %z, %i = "nn.max_pool"(%x)
// GENERIC-SAME: : (tensor<1x3x8x8xf32>) -> (tensor<1x3x7x7xf32>, tensor<1x3x7x7xi64>)
func.func @max_pool(%x: tensor<1x3x8x8xf32>) -> (tensor<1x3x4x4xf32>, tensor<1x3x7x7xf32>, tensor<1x3x7x7xi64>) {
  %y = nn.max_pool %x kernel_shape [3, 3] strides [2, 2] ceil_mode = 1 : (tensor<1x3x8x8xf32>) -> tensor<1x3x4x4xf32>
  %z, %i = nn.max_pool %x kernel_shape [2, 2] storage_order = 1 : (tensor<1x3x8x8xf32>) -> (tensor<1x3x7x7xf32>, tensor<1x3x7x7xi64>)
  func.return %y, %z, %i : tensor<1x3x4x4xf32>, tensor<1x3x7x7xf32>, tensor<1x3x7x7xi64>
}

// CHECK-LABEL: @average_pool
// CHECK: nn.average_pool %x count_include_pad = 1 kernel_shape [3] pads [1, 1] dilations [2] : (tensor<?x3x8xf32>) -> tensor<?x3x6xf32>
func.func @average_pool(%x: tensor<?x3x8xf32>) -> tensor<?x3x6xf32> {
  %y = nn.average_pool %x kernel_shape [3] pads [1, 1] dilations [2] count_include_pad = 1 : (tensor<?x3x8xf32>) -> tensor<?x3x6xf32>
  func.return %y : tensor<?x3x6xf32>
}

// CHECK-LABEL: @global
// CHECK: nn.global_average_pool %x : (tensor<2x3x?x5xf32>) -> tensor<2x3x1x1xf32>
// CHECK: nn.global_max_pool %x : (tensor<2x3x?x5xf32>) -> tensor<2x3x1x1xf32>
func.func @global(%x: tensor<2x3x?x5xf32>) -> (tensor<2x3x1x1xf32>, tensor<2x3x1x1xf32>) {
  %y = nn.global_average_pool %x : (tensor<2x3x?x5xf32>) -> tensor<2x3x1x1xf32>
  %z = nn.global_max_pool %x : (tensor<2x3x?x5xf32>) -> tensor<2x3x1x1xf32>
  func.return %y, %z : tensor<2x3x1x1xf32>, tensor<2x3x1x1xf32>
}

// CHECK-LABEL: @channels_last
// CHECK: nn.max_pool %x kernel_shape [2, 3] layout = "nhwc" : (tensor<2x8x9x4xf32>) -> tensor<2x7x7x4xf32>
// CHECK: nn.global_average_pool %y layout = "nhwc" : (tensor<2x7x7x4xf32>) -> tensor<2x1x1x4xf32>
func.func @channels_last(%x: tensor<2x8x9x4xf32>) -> tensor<2x1x1x4xf32> {
  %y = nn.max_pool %x kernel_shape [2, 3] layout = "nhwc" : (tensor<2x8x9x4xf32>) -> tensor<2x7x7x4xf32>
  %z = nn.global_average_pool %y layout = "nhwc" : (tensor<2x7x7x4xf32>) -> tensor<2x1x1x4xf32>
  func.return %z : tensor<2x1x1x4xf32>
}
