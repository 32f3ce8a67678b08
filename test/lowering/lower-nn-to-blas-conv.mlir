// RUN: fuse-opt %s -p lower-nn-to-blas --split-input-file | filecheck %s
// RUN: fuse-opt %s -p lower-nn-to-blas --split-input-file | fuse-opt --split-input-file | filecheck %s
// RUN: fuse-opt %s -p 'lower-nn-to-blas{im2col-budget=5000}' --split-input-file | filecheck %s --check-prefix=PIECES
// RUN: fuse-opt %s -p lower-nn-to-blas --split-input-file --remarks 2>&1 | filecheck %s --check-prefix=REMARKS

// Bias and ReLU: the form that cuBLASLt's RELU epilogue computes in one call.
// CHECK-LABEL: @relu
// CHECK-NEXT: [[SHAPE:%.*]] = nn.constant dense<[4, 27]>
// CHECK-NEXT: [[FILTERS:%.*]] = nn.reshape %w, [[SHAPE]] : {{.*}} -> tensor<4x27xf32>
// CHECK-NEXT: [[C:%.*]] = blas.broadcast %b axis = 0 shape [4, 16] : (tensor<4xf32>) -> tensor<4x16xf32>
// CHECK-NEXT: [[COLUMNS:%.*]] = blas.im2col %x kernel [3, 3] strides [2, 2] pads [1, 1, 1, 1] : {{.*}} -> tensor<8x27x16xf32>
// CHECK-NEXT: [[Y:%.*]] = blas.matmulrelu [[FILTERS]], [[COLUMNS]] c [[C]] beta = 1.0 : {{.*}} -> tensor<8x4x16xf32>
// CHECK-NEXT: nn.constant dense<[8, 4, 4, 4]>
// CHECK-NEXT: [[Z:%.*]] = nn.reshape [[Y]]
// CHECK-NEXT: func.return [[Z]]
// An image's columns are 27 * 16 * 4 = 1728 bytes: two images a piece.
// PIECES-LABEL: @relu
// PIECES: [[IMAGES:%.*]] = nn.slice %x, {{.*}} -> tensor<2x3x8x8xf32>
// PIECES-NEXT: blas.im2col [[IMAGES]] {{.*}} -> tensor<2x27x16xf32>
// PIECES-NEXT: blas.matmulrelu {{.*}} -> tensor<2x4x16xf32>
// PIECES-COUNT-3: nn.slice %x, {{.*}} -> tensor<2x3x8x8xf32>
// PIECES-NOT: nn.slice
// PIECES: nn.concat {{.*}} axis = 0 : {{.*}} -> tensor<8x4x16xf32>
func.func @relu(%x: tensor<8x3x8x8xf32>, %w: tensor<4x3x3x3xf32>, %b: tensor<4xf32>) -> tensor<8x4x4x4xf32> {
  %y = nn.conv %x, %w bias %b strides [2, 2] pads [1, 1, 1, 1] activation = relu : (tensor<8x3x8x8xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>) -> tensor<8x4x4x4xf32>
  func.return %y : tensor<8x4x4x4xf32>
}

// -----

// Neither: no third operand, no epilogue.
// CHECK-LABEL: @bare
// CHECK-NOT: blas.broadcast
// CHECK: blas.matmul {{%[^c]*}} : (tensor<4x27xf32>, tensor<8x27x36xf32>) -> tensor<8x4x36xf32>
func.func @bare(%x: tensor<8x3x8x8xf32>, %w: tensor<4x3x3x3xf32>) -> tensor<8x4x6x6xf32> {
  %y = nn.conv %x, %w : (tensor<8x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<8x4x6x6xf32>
  func.return %y : tensor<8x4x6x6xf32>
}

// -----

// Another activation: an operation on the product.
// CHECK-LABEL: @other_activation
// CHECK: blas.matmul {{.*}} -> tensor<8x4x36xf32>
// CHECK: [[Y:%.*]] = nn.reshape
// CHECK-NEXT: nn.leaky_relu [[Y]] alpha = 0.1 : tensor<8x4x6x6xf32>
func.func @other_activation(%x: tensor<8x3x8x8xf32>, %w: tensor<4x3x3x3xf32>) -> tensor<8x4x6x6xf32> {
  %y = nn.conv %x, %w activation = leaky_relu<0.1> : (tensor<8x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<8x4x6x6xf32>
  func.return %y : tensor<8x4x6x6xf32>
}

// -----

// A residual is added between the product and the activation, so ReLU is no epilogue here.
// CHECK-LABEL: @residual
// CHECK-NOT: matmulrelu
// CHECK: blas.matmul {{.*}} c {{.*}} beta = 1.0
// CHECK: [[Y:%.*]] = nn.reshape
// CHECK-NEXT: [[SUM:%.*]] = nn.add [[Y]], %r
// CHECK-NEXT: nn.relu [[SUM]]
func.func @residual(%x: tensor<8x3x8x8xf32>, %w: tensor<4x3x3x3xf32>, %b: tensor<4xf32>, %r: tensor<8x4x6x6xf32>) -> tensor<8x4x6x6xf32> {
  %y = nn.conv %x, %w bias %b residual %r activation = relu : (tensor<8x3x8x8xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>, tensor<8x4x6x6xf32>) -> tensor<8x4x6x6xf32>
  func.return %y : tensor<8x4x6x6xf32>
}

// -----

// 1x1 windows are the image itself, whatever the dilation ...
// CHECK-LABEL: @pointwise
// CHECK-NOT: blas.im2col
// CHECK: [[COLUMNS:%.*]] = nn.reshape %x, {{.*}} -> tensor<8x3x64xf32>
// CHECK: blas.matmul {{%.*}}, [[COLUMNS]]
// PIECES-LABEL: @pointwise
// PIECES-NOT: nn.slice
// PIECES: func.return
func.func @pointwise(%x: tensor<8x3x8x8xf32>, %w: tensor<4x3x1x1xf32>) -> tensor<8x4x8x8xf32> {
  %y = nn.conv %x, %w dilations [2, 2] : (tensor<8x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<8x4x8x8xf32>
  func.return %y : tensor<8x4x8x8xf32>
}

// -----

// ... but not with a stride, or padding.
// CHECK-LABEL: @strided
// CHECK: blas.im2col %x kernel [1, 1] strides [2, 2]
// CHECK: blas.im2col %x kernel [1, 1] pads [0, 0, 1, 0]
func.func @strided(%x: tensor<8x3x8x8xf32>, %w: tensor<4x3x1x1xf32>) -> (tensor<8x4x4x4xf32>, tensor<8x4x9x8xf32>) {
  %y = nn.conv %x, %w strides [2, 2] : (tensor<8x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<8x4x4x4xf32>
  %z = nn.conv %x, %w pads [0, 0, 1, 0] : (tensor<8x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<8x4x9x8xf32>
  func.return %y, %z : tensor<8x4x4x4xf32>, tensor<8x4x9x8xf32>
}

// -----

// Groups are batch dims; what a padding of SAME means is written out.
// CHECK-LABEL: @groups
// CHECK: [[FILTERS:%.*]] = nn.reshape %w, {{.*}} -> tensor<2x3x18xf32>
// CHECK: [[BIAS:%.*]] = nn.reshape %b, {{.*}} -> tensor<2x3xf32>
// CHECK: [[C:%.*]] = blas.broadcast [[BIAS]] axis = 0 shape [2, 3, 64]
// CHECK: [[COLUMNS:%.*]] = blas.im2col %x kernel [3, 3] pads [1, 1, 1, 1] group = 2 : {{.*}} -> tensor<8x2x18x64xf32>
// CHECK: blas.matmulrelu [[FILTERS]], [[COLUMNS]] c [[C]] beta = 1.0 : {{.*}} -> tensor<8x2x3x64xf32>
// CHECK: nn.reshape {{.*}} -> tensor<8x6x8x8xf32>
func.func @groups(%x: tensor<8x4x8x8xf32>, %w: tensor<6x2x3x3xf32>, %b: tensor<6xf32>) -> tensor<8x6x8x8xf32> {
  %y = nn.conv %x, %w bias %b auto_pad = "SAME_UPPER" group = 2 activation = relu : (tensor<8x4x8x8xf32>, tensor<6x2x3x3xf32>, tensor<6xf32>) -> tensor<8x6x8x8xf32>
  func.return %y : tensor<8x6x8x8xf32>
}

// -----

// One and three spatial dims, and a batch that is not known.
// CHECK-LABEL: @ranks
// CHECK: blas.im2col %x kernel [3] : (tensor<?x4x8xf32>) -> tensor<?x12x6xf32>
// CHECK: blas.matmul {{.*}} -> tensor<?x6x6xf32>
// CHECK: blas.im2col %v kernel [2, 2, 2] : (tensor<?x4x2x3x4xf32>) -> tensor<?x32x6xf32>
// CHECK: nn.constant dense<[-1, 6, 1, 2, 3]>
// CHECK: func.return {{.*}} : tensor<?x6x6xf32>, tensor<?x6x1x2x3xf32>
// PIECES-LABEL: @ranks
// PIECES-NOT: nn.slice
// PIECES: func.return
func.func @ranks(%x: tensor<?x4x8xf32>, %v: tensor<?x4x2x3x4xf32>, %w: tensor<6x4x3xf32>, %u: tensor<6x4x2x2x2xf32>) -> (tensor<?x6x6xf32>, tensor<?x6x1x2x3xf32>) {
  %y = nn.conv %x, %w : (tensor<?x4x8xf32>, tensor<6x4x3xf32>) -> tensor<?x6x6xf32>
  %z = nn.conv %v, %u : (tensor<?x4x2x3x4xf32>, tensor<6x4x2x2x2xf32>) -> tensor<?x6x1x2x3xf32>
  func.return %y, %z : tensor<?x6x6xf32>, tensor<?x6x1x2x3xf32>
}

// -----

// Must not be lowered: depthwise (also with two filters a channel), and unknown sizes.
// CHECK-LABEL: @stays
// CHECK-COUNT-3: nn.conv
// CHECK-NOT: blas
// CHECK: func.return
// REMARKS: %y not lowered: it is depthwise
// REMARKS: %z not lowered: it is depthwise
// REMARKS: %u not lowered: the dims of 1x4x?x8 or 8x4x3x3 are not known
func.func @stays(%x: tensor<1x4x8x8xf32>, %s: tensor<1x4x?x8xf32>, %w: tensor<4x1x3x3xf32>, %w2: tensor<8x1x3x3xf32>, %w3: tensor<8x4x3x3xf32>) -> (tensor<1x4x6x6xf32>, tensor<1x8x6x6xf32>, tensor<1x8x?x6xf32>) {
  %y = nn.conv %x, %w group = 4 activation = relu : (tensor<1x4x8x8xf32>, tensor<4x1x3x3xf32>) -> tensor<1x4x6x6xf32>
  %z = nn.conv %x, %w2 group = 4 : (tensor<1x4x8x8xf32>, tensor<8x1x3x3xf32>) -> tensor<1x8x6x6xf32>
  %u = nn.conv %s, %w3 : (tensor<1x4x?x8xf32>, tensor<8x4x3x3xf32>) -> tensor<1x8x?x6xf32>
  func.return %y, %z, %u : tensor<1x4x6x6xf32>, tensor<1x8x6x6xf32>, tensor<1x8x?x6xf32>
}

// -----

// Near miss: one group of one channel is no depthwise convolution.
// CHECK-LABEL: @one_channel
// CHECK: blas.matmul
func.func @one_channel(%x: tensor<1x1x8x8xf32>, %w: tensor<4x1x3x3xf32>) -> tensor<1x4x6x6xf32> {
  %y = nn.conv %x, %w : (tensor<1x1x8x8xf32>, tensor<4x1x3x3xf32>) -> tensor<1x4x6x6xf32>
  func.return %y : tensor<1x4x6x6xf32>
}

// Channels last: the bias is the epilogue's vector, the residual is c, a 1x1 convolution is the product itself.
// CHECK-LABEL: func.func @channels_last
// CHECK-NOT: blas.broadcast
// CHECK-NOT: blas.im2col
// CHECK: blas.gemmrelu %{{.*}}, %{{.*}}, %b c %{{.*}} beta = 1.0 transB = 1 : (tensor<128x16xf32>, tensor<32x16xf32>, tensor<32xf32>, tensor<128x32xf32>) -> tensor<128x32xf32>
func.func @channels_last(%x: tensor<2x8x8x16xf32>, %w: tensor<32x1x1x16xf32>, %b: tensor<32xf32>, %r: tensor<2x8x8x32xf32>) -> tensor<2x8x8x32xf32> {
  %y = nn.conv %x, %w bias %b residual %r layout = "nhwc" activation = relu : (tensor<2x8x8x16xf32>, tensor<32x1x1x16xf32>, tensor<32xf32>, tensor<2x8x8x32xf32>) -> tensor<2x8x8x32xf32>
  func.return %y : tensor<2x8x8x32xf32>
}

// CHECK-LABEL: func.func @channels_last_3x3
// CHECK: blas.im2col %x {{.*}}layout = "nhwc"{{.*}} : (tensor<2x8x8x16xf32>) -> tensor<2x64x144xf32>
// CHECK: blas.matmulrelu %{{.*}}, %{{.*}} transB = 1 : (tensor<128x144xf32>, tensor<32x144xf32>) -> tensor<128x32xf32>
func.func @channels_last_3x3(%x: tensor<2x8x8x16xf32>, %w: tensor<32x3x3x16xf32>) -> tensor<2x8x8x32xf32> {
  %y = nn.conv %x, %w pads [1, 1, 1, 1] layout = "nhwc" activation = relu : (tensor<2x8x8x16xf32>, tensor<32x3x3x16xf32>) -> tensor<2x8x8x32xf32>
  func.return %y : tensor<2x8x8x32xf32>
}
