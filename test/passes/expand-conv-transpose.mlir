// RUN: fuse-opt %s -p expand-conv-transpose | filecheck %s
// RUN: fuse-opt %s -p expand-conv-transpose --remarks 2>&1 >/dev/null | filecheck %s --check-prefix=REMARK
// RUN: fuse-opt %s -p expand-conv-transpose --print-debuginfo | filecheck %s --check-prefix=LOCATION
// RUN: fuse-opt %s -p 'expand-conv-transpose{growth=1.5}' --remarks 2>&1 >/dev/null | filecheck %s --check-prefix=GROWTH

// Fires.

// REMARK: remark: up_1 expanded to a convolution
// REMARK-NEXT: remark: up_2 expanded to a convolution
// REMARK-NEXT: remark: up_3 expanded to a convolution
// REMARK-NEXT: remark: up_4 expanded to a convolution
// REMARK-NEXT: remark: up_5 expanded to a convolution

// As many strides as the kernel has places: each pixel becomes a block. The bias and the activation move.
// CHECK-LABEL: func.func @blocks
// CHECK-NEXT: %w = nn.parameter "w"
// CHECK-NEXT: %b = nn.parameter "b"
// CHECK-NEXT: %weight = nn.constant dense<[1, 3, 5, 1, 2, 1, 2]>
// CHECK-NEXT: %weight_1 = nn.reshape %w, %weight
// CHECK-NEXT: %weight_2 = nn.transpose %weight_1 perm [4, 6, 0, 2, 1, 3, 5] :
// CHECK-NEXT: %weight_3 = nn.constant dense<[20, 3, 1, 1]>
// CHECK-NEXT: %weight_4 = nn.reshape %weight_2, %weight_3
// CHECK-NEXT: %weight_5 = nn.concat [%b, %b, %b, %b] axis = 0 :
// CHECK-NEXT: %y = nn.conv %x, %weight_4 bias %weight_5 pads [0, 0, 0, 0] activation = relu : (tensor<2x3x4x6xf32>, tensor<20x3x1x1xf32>, tensor<20xf32>) -> tensor<2x20x4x6xf32>
// CHECK-NEXT: %y_1 = nn.depth_to_space %y blocksize = 2 : (tensor<2x20x4x6xf32>) -> tensor<2x5x8x12xf32>
// CHECK-NEXT: func.return %y_1
// LOCATION: nn.transpose {{.*}} loc("up_1")
// LOCATION: nn.conv {{.*}} loc("up_1")
// LOCATION-NEXT: nn.depth_to_space {{.*}} loc("up_1")
func.func @blocks(%x: tensor<2x3x4x6xf32>) -> tensor<2x5x8x12xf32> {
  %w = nn.parameter "w" : tensor<3x5x2x2xf32>
  %b = nn.parameter "b" : tensor<5xf32>
  %y = nn.conv_transpose %x, %w bias %b strides [2, 2] activation = relu : (tensor<2x3x4x6xf32>, tensor<3x5x2x2xf32>, tensor<5xf32>) -> tensor<2x5x8x12xf32> loc("up_1")
  func.return %y : tensor<2x5x8x12xf32>
}

// The taps of a phase are flipped; what the pads take away is cut off, of an unknown number of images.
// CHECK-LABEL: func.func @crop
// CHECK: nn.slice %{{.*}}, %[[STEP:.*]], %{{.*}} axes %{{.*}} steps %[[STEP]] : (tensor<1x3x5x2x2x2x2xf32>
// CHECK-NEXT: nn.transpose
// CHECK: nn.conv %x, %{{.*}} pads [1, 1, 1, 1] : (tensor<?x3x4x6xf32>, tensor<20x3x2x2xf32>) -> tensor<?x20x5x7xf32>
// CHECK-NEXT: nn.depth_to_space {{.*}} -> tensor<?x5x10x14xf32>
// CHECK-NEXT: %[[FROM:.*]] = nn.constant dense<1> : tensor<2xi64>
// CHECK-NEXT: %[[TO:.*]] = nn.constant dense<[9, 13]>
// CHECK-NEXT: %[[AXES:.*]] = nn.constant dense<[2, 3]>
// CHECK-NEXT: nn.slice %{{.*}}, %[[FROM]], %[[TO]] axes %[[AXES]] : {{.*}} -> tensor<?x5x8x12xf32>
func.func @crop(%x: tensor<?x3x4x6xf32>) -> tensor<?x5x8x12xf32> {
  %w = nn.parameter "w" : tensor<3x5x4x4xf32>
  %y = nn.conv_transpose %x, %w strides [2, 2] pads [1, 1, 1, 1] : (tensor<?x3x4x6xf32>, tensor<3x5x4x4xf32>) -> tensor<?x5x8x12xf32> loc("up_2")
  func.return %y : tensor<?x5x8x12xf32>
}

// Stride 1 in one dim: a convolution by the flipped filters.
// CHECK-LABEL: func.func @plain
// CHECK: nn.conv %x, %{{.*}} bias %b pads [1, 1] : (tensor<2x3x8xf32>, tensor<5x3x3xf32>, tensor<5xf32>) -> tensor<2x5x8xf32>
// CHECK-NEXT: func.return
func.func @plain(%x: tensor<2x3x8xf32>) -> tensor<2x5x8xf32> {
  %w = nn.parameter "w" : tensor<3x5x3xf32>
  %b = nn.parameter "b" : tensor<5xf32>
  %y = nn.conv_transpose %x, %w bias %b pads [1, 1] : (tensor<2x3x8xf32>, tensor<3x5x3xf32>, tensor<5xf32>) -> tensor<2x5x8xf32> loc("up_3")
  func.return %y : tensor<2x5x8xf32>
}

// Groups: the channels of a group stand together, so those of a block do.
// CHECK-LABEL: func.func @groups
// CHECK: nn.transpose %{{.*}} perm [0, 2, 4, 6, 1, 3, 5] : (tensor<2x2x3x1x2x1x2xf32>)
// CHECK: nn.concat {{.*}} axis = 1 : {{.*}} -> tensor<6x4xf32>
// CHECK: nn.conv %x, {{.*}} group = 2 : (tensor<1x4x4x4xf32>, tensor<24x2x1x1xf32>, tensor<24xf32>) -> tensor<1x24x4x4xf32>
// CHECK-NEXT: nn.depth_to_space %{{.*}} blocksize = 2 mode = "CRD"
func.func @groups(%x: tensor<1x4x4x4xf32>) -> tensor<1x6x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x3x2x2xf32>
  %b = nn.parameter "b" : tensor<6xf32>
  %y = nn.conv_transpose %x, %w bias %b strides [2, 2] group = 2 : (tensor<1x4x4x4xf32>, tensor<4x3x2x2xf32>, tensor<6xf32>) -> tensor<1x6x8x8xf32> loc("up_4")
  func.return %y : tensor<1x6x8x8xf32>
}

// GROWTH: remark: up_5 not expanded: strides of 2x2 fill its kernel of 3x3 up with too many zeros
// A kernel that the strides do not divide is filled up with zeros; nothing is cut off before pads reach a window.
// CHECK-LABEL: func.func @odd
// CHECK: nn.constant dense<[0, 0, 0, 0, 0, 0, 1, 1]>
// CHECK-NEXT: nn.pad %w, {{.*}} -> tensor<3x5x4x4xf32>
// CHECK: nn.conv %x, %{{.*}} pads [0, 0, 0, 0] : (tensor<1x3x4x4xf32>, tensor<20x3x2x2xf32>) -> tensor<1x20x3x3xf32>
// CHECK-NEXT: nn.depth_to_space {{.*}} -> tensor<1x5x6x6xf32>
// CHECK: nn.slice {{.*}} -> tensor<1x5x5x5xf32>
func.func @odd(%x: tensor<1x3x4x4xf32>) -> tensor<1x5x5x5xf32> {
  %w = nn.parameter "w" : tensor<3x5x3x3xf32>
  %y = nn.conv_transpose %x, %w strides [2, 2] pads [2, 2, 2, 2] : (tensor<1x3x4x4xf32>, tensor<3x5x3x3xf32>) -> tensor<1x5x5x5xf32> loc("up_5")
  func.return %y : tensor<1x5x5x5xf32>
}

// Must not fire.

// REMARK-NEXT: remark: up_6 not expanded: its dilations are 2x1
// REMARK-NEXT: remark: up_7 not expanded: its strides are 2x1, but channels become square blocks only
// REMARK-NEXT: remark: up_8 not expanded: its strides are 2, but channels become square blocks only
// REMARK-NEXT: remark: up_9 not expanded: its filters are computed at run time
// REMARK-NEXT: remark: up_10 not expanded: not all sizes of ?x4, 3x5x2x2 and ?x8 are known
// REMARK-NEXT: remark: up_11 not expanded: strides of 4x4 fill its kernel of 1x1 up with too many zeros
// REMARK-NEXT: remark: up_12 not expanded: 0x4 or 0x8 is empty
// REMARK-NEXT: remark: up_13 not expanded: its filters of 3x0x2x2 are empty
// REMARK-NOT: remark
// CHECK-LABEL: func.func @kept
// CHECK-COUNT-8: nn.conv_transpose
// CHECK-NEXT: func.return
func.func @kept(%x: tensor<1x3x4x4xf32>, %l: tensor<1x3x8xf32>, %v: tensor<3x5x2x2xf32>, %u: tensor<1x3x?x4xf32>, %e: tensor<1x3x0x4xf32>) -> (tensor<1x5x6x5xf32>, tensor<1x5x8x5xf32>, tensor<1x5x16xf32>, tensor<1x5x8x8xf32>, tensor<1x5x?x8xf32>, tensor<1x5x13x13xf32>, tensor<1x5x0x8xf32>, tensor<1x0x8x8xf32>) {
  %w = nn.parameter "w" : tensor<3x5x2x2xf32>
  %m = nn.parameter "m" : tensor<3x5x2xf32>
  %o = nn.parameter "o" : tensor<3x5x1x1xf32>
  %y6 = nn.conv_transpose %x, %w dilations [2, 1] : (tensor<1x3x4x4xf32>, tensor<3x5x2x2xf32>) -> tensor<1x5x6x5xf32> loc("up_6")
  %y7 = nn.conv_transpose %x, %w strides [2, 1] : (tensor<1x3x4x4xf32>, tensor<3x5x2x2xf32>) -> tensor<1x5x8x5xf32> loc("up_7")
  %y8 = nn.conv_transpose %l, %m strides [2] : (tensor<1x3x8xf32>, tensor<3x5x2xf32>) -> tensor<1x5x16xf32> loc("up_8")
  %y9 = nn.conv_transpose %x, %v strides [2, 2] : (tensor<1x3x4x4xf32>, tensor<3x5x2x2xf32>) -> tensor<1x5x8x8xf32> loc("up_9")
  %y10 = nn.conv_transpose %u, %w strides [2, 2] : (tensor<1x3x?x4xf32>, tensor<3x5x2x2xf32>) -> tensor<1x5x?x8xf32> loc("up_10")
  %y11 = nn.conv_transpose %x, %o strides [4, 4] : (tensor<1x3x4x4xf32>, tensor<3x5x1x1xf32>) -> tensor<1x5x13x13xf32> loc("up_11")
  %y12 = nn.conv_transpose %e, %w strides [2, 2] : (tensor<1x3x0x4xf32>, tensor<3x5x2x2xf32>) -> tensor<1x5x0x8xf32> loc("up_12")
  %z = nn.parameter "z" : tensor<3x0x2x2xf32>
  %y13 = nn.conv_transpose %x, %z strides [2, 2] : (tensor<1x3x4x4xf32>, tensor<3x0x2x2xf32>) -> tensor<1x0x8x8xf32> loc("up_13")
  func.return %y6, %y7, %y8, %y9, %y10, %y11, %y12, %y13 : tensor<1x5x6x5xf32>, tensor<1x5x8x5xf32>, tensor<1x5x16xf32>, tensor<1x5x8x8xf32>, tensor<1x5x?x8xf32>, tensor<1x5x13x13xf32>, tensor<1x5x0x8xf32>, tensor<1x0x8x8xf32>
}
