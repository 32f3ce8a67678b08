// RUN: fuse-opt %s -p convert-layout,canonicalize,dce | filecheck %s

// A chain of convolutions has one transpose at each end; filters are transposed as weights.

// CHECK-LABEL: func.func @chain
// CHECK: %[[X:.*]] = nn.transpose %x perm [0, 2, 3, 1] : (tensor<1x3x8x8xf32>) -> tensor<1x8x8x3xf32>
// CHECK: %[[W:.*]] = nn.transpose %w perm [0, 2, 3, 1] : tensor<4x3x3x3xf32>
// CHECK: %y = nn.conv %[[X]], %[[W]] bias %b layout = "nhwc" pads [1, 1, 1, 1] activation = relu
// CHECK-NEXT: %m = nn.max_pool %y kernel_shape [2, 2] strides [2, 2] layout = "nhwc" : (tensor<1x8x8x4xf32>) -> tensor<1x4x4x4xf32>
// CHECK: %z = nn.conv %m, %{{.*}} residual %m layout = "nhwc"
// CHECK-NEXT: %s = nn.sigmoid %z : tensor<1x4x4x4xf32>
// CHECK-NEXT: %[[R:.*]] = nn.transpose %s perm [0, 3, 1, 2]
// CHECK-NEXT: func.return %[[R]]
func.func @chain(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x4x4xf32> {
  %w = nn.parameter "w" : tensor<4x3x3x3xf32>
  %v = nn.parameter "v" : tensor<4x4x1x1xf32>
  %b = nn.parameter "b" : tensor<4xf32>
  %y = nn.conv %x, %w bias %b pads [1, 1, 1, 1] activation = relu : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
  %m = nn.max_pool %y kernel_shape [2, 2] strides [2, 2] : (tensor<1x4x8x8xf32>) -> tensor<1x4x4x4xf32>
  %z = nn.conv %m, %v residual %m : (tensor<1x4x4x4xf32>, tensor<4x4x1x1xf32>, tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>
  %s = nn.sigmoid %z : tensor<1x4x4x4xf32>
  func.return %s : tensor<1x4x4x4xf32>
}

// Axes move with the channels, and so do weights that are broadcast.

// CHECK-LABEL: func.func @axes
// CHECK: nn.mul %y, %{{.*}} : (tensor<1x8x8x4xf32>, tensor<1x1x1x4xf32>) -> tensor<1x8x8x4xf32>
// CHECK: nn.concat [%{{.*}}, %y] axis = 3 : (tensor<1x8x8x4xf32>, tensor<1x8x8x4xf32>) -> tensor<1x8x8x8xf32>
func.func @axes(%x: tensor<1x3x8x8xf32>) -> tensor<1x8x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x3x1x1xf32>
  %k = nn.parameter "k" : tensor<4x1x1xf32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %m = nn.mul %y, %k : (tensor<1x4x8x8xf32>, tensor<4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %c = nn.concat [%m, %y] axis = 1 : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x8x8x8xf32>
  func.return %c : tensor<1x8x8x8xf32>
}

// An exporter's own transposes cancel.

// CHECK-LABEL: func.func @sandwich
// CHECK-NOT: nn.transpose %n
// CHECK: %y = nn.conv %n, %{{.*}} layout = "nhwc"
// CHECK-NEXT: func.return %y
func.func @sandwich(%n: tensor<1x8x8x3xf32>) -> tensor<1x8x8x4xf32> {
  %w = nn.parameter "w" : tensor<4x3x1x1xf32>
  %x = nn.transpose %n perm [0, 3, 1, 2] : (tensor<1x8x8x3xf32>) -> tensor<1x3x8x8xf32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %z = nn.transpose %y perm [0, 2, 3, 1] : (tensor<1x4x8x8xf32>) -> tensor<1x8x8x4xf32>
  func.return %z : tensor<1x8x8x4xf32>
}

// Must not fire: what has its channels last already, pools that no convolution comes before.

// CHECK-LABEL: func.func @stays
// CHECK-NOT: nn.transpose
// CHECK: func.return
func.func @stays(%x: tensor<1x8x8x3xf32>, %p: tensor<1x3x8x8xf32>) -> (tensor<1x8x8x4xf32>, tensor<1x3x7x7xf32>) {
  %w = nn.parameter "w" : tensor<4x1x1x3xf32>
  %y = nn.conv %x, %w layout = "nhwc" : (tensor<1x8x8x3xf32>, tensor<4x1x1x3xf32>) -> tensor<1x8x8x4xf32>
  %m = nn.max_pool %p kernel_shape [2, 2] : (tensor<1x3x8x8xf32>) -> tensor<1x3x7x7xf32>
  func.return %y, %m : tensor<1x8x8x4xf32>, tensor<1x3x7x7xf32>
}

// Near misses: a result of other rank is read channels first, and so is what the positions of maxima are counted in.

// CHECK-LABEL: func.func @other_rank
// CHECK: nn.transpose %y perm [0, 3, 1, 2]
// CHECK: nn.flatten
func.func @other_rank(%x: tensor<2x3x8x8xf32>) -> tensor<2x256xf32> {
  %w = nn.parameter "w" : tensor<4x3x1x1xf32>
  %y = nn.conv %x, %w : (tensor<2x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<2x4x8x8xf32>
  %f = nn.flatten %y : (tensor<2x4x8x8xf32>) -> tensor<2x256xf32>
  func.return %f : tensor<2x256xf32>
}

// CHECK-LABEL: func.func @positions
// CHECK: %[[T:.*]] = nn.transpose %y perm [0, 3, 1, 2]
// CHECK: %m, %i = nn.max_pool %[[T]] kernel_shape [2, 2] :
func.func @positions(%x: tensor<1x3x8x8xf32>) -> (tensor<1x4x7x7xf32>, tensor<1x4x7x7xi64>) {
  %w = nn.parameter "w" : tensor<4x3x1x1xf32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %m, %i = nn.max_pool %y kernel_shape [2, 2] : (tensor<1x4x8x8xf32>) -> (tensor<1x4x7x7xf32>, tensor<1x4x7x7xi64>)
  func.return %m, %i : tensor<1x4x7x7xf32>, tensor<1x4x7x7xi64>
}

// A sequence holds its elements channels first.

// CHECK-LABEL: func.func @sequence
// CHECK: %[[T:.*]] = nn.transpose %y perm [0, 3, 1, 2]
// CHECK: nn.sequence_construct [%[[T]], %x]
func.func @sequence(%x: tensor<1x3x8x8xf32>) -> !nn.sequence<tensor<1x3x8x8xf32>> {
  %w = nn.parameter "w" : tensor<3x3x1x1xf32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<3x3x1x1xf32>) -> tensor<1x3x8x8xf32>
  %s = nn.sequence_construct [%y, %x] : (tensor<1x3x8x8xf32>, tensor<1x3x8x8xf32>) -> !nn.sequence<tensor<1x3x8x8xf32>>
  func.return %s : !nn.sequence<tensor<1x3x8x8xf32>>
}
