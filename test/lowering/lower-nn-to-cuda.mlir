// RUN: fuse-opt %s -p lower-nn-to-cuda | filecheck %s
// RUN: fuse-opt %s -p 'lower-nn-to-cuda{tf32=true}' | filecheck %s --check-prefix=TF32
// RUN: fuse-opt %s -p lower-nn-to-cuda --remarks 2>&1 >/dev/null | filecheck %s --check-prefix=REMARK
// RUN: fuse-opt %s -p lower-nn-to-cuda | fuse-opt --print-op-generic | fuse-opt | filecheck %s

// Fires: bias, residual and activation go along, auto_pad becomes pads; any activation may.

// CHECK-LABEL: func.func @everything
// CHECK: cuda.conv %x, %w bias %b residual %r layout = "nhwc" strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] activation = leaky_relu<0.1> :
func.func @everything(%x: tensor<2x8x8x16xf16>, %w: tensor<32x3x3x16xf16>, %b: tensor<32xf16>, %r: tensor<2x8x8x32xf16>) -> tensor<2x8x8x32xf16> {
  %y = nn.conv %x, %w bias %b residual %r auto_pad = "SAME_UPPER" layout = "nhwc" activation = leaky_relu<0.1> : (tensor<2x8x8x16xf16>, tensor<32x3x3x16xf16>, tensor<32xf16>, tensor<2x8x8x32xf16>) -> tensor<2x8x8x32xf16>
  func.return %y : tensor<2x8x8x32xf16>
}

// A plain product too: at batch 1 it is faster than a library's.
// CHECK-LABEL: func.func @product
// CHECK: cuda.conv
func.func @product(%x: tensor<1x56x56x64xbf16>, %w: tensor<256x1x1x64xbf16>) -> tensor<1x56x56x256xbf16> {
  %y = nn.conv %x, %w layout = "nhwc" : (tensor<1x56x56x64xbf16>, tensor<256x1x1x64xbf16>) -> tensor<1x56x56x256xbf16>
  func.return %y : tensor<1x56x56x256xbf16>
}

// Three channels are padded to four, in the image and in the filters.
// CHECK-LABEL: func.func @stem
// CHECK: %[[X:.*]] = nn.pad %x, {{.*}} -> tensor<1x8x8x4xf16>
// CHECK: %[[W:.*]] = nn.pad %w, {{.*}} -> tensor<32x3x3x4xf16>
// CHECK: cuda.conv %[[X]], %[[W]]
func.func @stem(%x: tensor<1x8x8x3xf16>, %w: tensor<32x3x3x3xf16>) -> tensor<1x6x6x32xf16> {
  %y = nn.conv %x, %w layout = "nhwc" : (tensor<1x8x8x3xf16>, tensor<32x3x3x3xf16>) -> tensor<1x6x6x32xf16>
  func.return %y : tensor<1x6x6x32xf16>
}

// Windows that pass columns two by two see pairs of them, of eight channels: a column of zeros before the filter.
// CHECK-LABEL: func.func @pairs
// CHECK: %[[X:.*]] = nn.reshape {{.*}} -> tensor<1x8x4x8xf16>
// CHECK: %[[W:.*]] = nn.reshape {{.*}} -> tensor<32x3x2x8xf16>
// CHECK: cuda.conv %[[X]], %[[W]] layout = "nhwc" strides [2, 1] pads [1, 1, 1, 0] dilations [1, 1] :
func.func @pairs(%x: tensor<1x8x8x3xf16>, %w: tensor<32x3x3x3xf16>) -> tensor<1x4x4x32xf16> {
  %y = nn.conv %x, %w strides [2, 2] pads [1, 1, 1, 1] layout = "nhwc" : (tensor<1x8x8x3xf16>, tensor<32x3x3x3xf16>) -> tensor<1x4x4x32xf16>
  func.return %y : tensor<1x4x4x32xf16>
}

// A residual of other dims is added, and the activation comes after it.
// CHECK-LABEL: func.func @broadcast
// CHECK: %[[Y:.*]] = cuda.conv %x, %w
// CHECK-NOT: activation
// CHECK: nn.add %[[Y]], %r
// CHECK: nn.relu
func.func @broadcast(%x: tensor<2x8x8x16xf16>, %w: tensor<32x1x1x16xf16>, %r: tensor<32xf16>) -> tensor<2x8x8x32xf16> {
  %y = nn.conv %x, %w residual %r layout = "nhwc" activation = relu : (tensor<2x8x8x16xf16>, tensor<32x1x1x16xf16>, tensor<32xf16>) -> tensor<2x8x8x32xf16>
  func.return %y : tensor<2x8x8x32xf16>
}

// What a tuner chose is followed, however large.
// CHECK-LABEL: func.func @chosen
// CHECK: cuda.conv {{.*}}plan = "64x32/4"
// CHECK: nn.conv {{.*}}{nn.call = "cudnn:runtime:eng7_k2=1"}
// REMARK: remark: tuned not lowered: cudnn:runtime:eng7_k2=1 computes it
func.func @chosen(%x: tensor<64x56x56x16xf16>, %w: tensor<32x1x1x16xf16>, %v: tensor<32x1x1x16xf16>) -> (tensor<64x56x56x32xf16>, tensor<64x56x56x32xf16>) {
  %y = nn.conv %x, %w layout = "nhwc" {nn.call = "cuda:64x32/4"} : (tensor<64x56x56x16xf16>, tensor<32x1x1x16xf16>) -> tensor<64x56x56x32xf16>
  %z = nn.conv %x, %v layout = "nhwc" {nn.call = "cudnn:runtime:eng7_k2=1"} : (tensor<64x56x56x16xf16>, tensor<32x1x1x16xf16>) -> tensor<64x56x56x32xf16> loc("tuned")
  func.return %y, %z : tensor<64x56x56x32xf16>, tensor<64x56x56x32xf16>
}

// f32 only where it may be rounded to TF32.
// CHECK-LABEL: func.func @single
// CHECK: nn.conv
// TF32-LABEL: func.func @single
// TF32: cuda.conv
// REMARK: remark: single not lowered: f32 would lose precision
func.func @single(%x: tensor<1x8x8x16xf32>, %w: tensor<32x3x3x16xf32>) -> tensor<1x6x6x32xf32> {
  %y = nn.conv %x, %w layout = "nhwc" : (tensor<1x8x8x16xf32>, tensor<32x3x3x16xf32>) -> tensor<1x6x6x32xf32> loc("single")
  func.return %y : tensor<1x6x6x32xf32>
}

// Must not fire, and near misses.
// CHECK-LABEL: func.func @stays
// CHECK-NOT: cuda.conv
// REMARK: remark: first not lowered: its channels are first
// REMARK: remark: groups not lowered: it has 2 spatial dim(s) and 2 group(s)
// REMARK: remark: flat not lowered: it has 1 spatial dim(s) and 1 group(s)
// REMARK: remark: odd not lowered: 12 filters are no multiple of 16 bytes
// REMARK: remark: large not lowered: 265 tiles are better by a library
func.func @stays(%x: tensor<1x16x8x8xf16>, %w: tensor<32x16x3x3xf16>, %g: tensor<1x8x8x32xf16>, %v: tensor<32x3x3x16xf16>, %f: tensor<1x8x16xf16>, %u: tensor<32x3x16xf16>, %o: tensor<12x3x3x32xf16>, %l: tensor<1x16960x1x32xf16>, %p: tensor<64x1x1x32xf16>) -> (tensor<1x32x6x6xf16>, tensor<1x6x6x32xf16>, tensor<1x6x32xf16>, tensor<1x6x6x12xf16>, tensor<1x16960x1x64xf16>) {
  %a = nn.conv %x, %w : (tensor<1x16x8x8xf16>, tensor<32x16x3x3xf16>) -> tensor<1x32x6x6xf16> loc("first")
  %b = nn.conv %g, %v group = 2 layout = "nhwc" : (tensor<1x8x8x32xf16>, tensor<32x3x3x16xf16>) -> tensor<1x6x6x32xf16> loc("groups")
  %c = nn.conv %f, %u layout = "nhwc" : (tensor<1x8x16xf16>, tensor<32x3x16xf16>) -> tensor<1x6x32xf16> loc("flat")
  %d = nn.conv %g, %o layout = "nhwc" : (tensor<1x8x8x32xf16>, tensor<12x3x3x32xf16>) -> tensor<1x6x6x12xf16> loc("odd")
  %e = nn.conv %l, %p layout = "nhwc" : (tensor<1x16960x1x32xf16>, tensor<64x1x1x32xf16>) -> tensor<1x16960x1x64xf16> loc("large")
  func.return %a, %b, %c, %d, %e : tensor<1x32x6x6xf16>, tensor<1x6x6x32xf16>, tensor<1x6x32xf16>, tensor<1x6x6x12xf16>, tensor<1x16960x1x64xf16>
}

// The last that is small enough.
// CHECK-LABEL: func.func @tiles
// CHECK: cuda.conv
func.func @tiles(%l: tensor<1x16896x1x32xf16>, %p: tensor<64x1x1x32xf16>) -> tensor<1x16896x1x64xf16> {
  %e = nn.conv %l, %p layout = "nhwc" : (tensor<1x16896x1x32xf16>, tensor<64x1x1x32xf16>) -> tensor<1x16896x1x64xf16>
  func.return %e : tensor<1x16896x1x64xf16>
}

// A product with a bias vector is a 1x1 convolution of one column; weights are transposed where they must be.
// CHECK-LABEL: func.func @gemm
// CHECK: %[[X:.*]] = nn.reshape %x, {{.*}} -> tensor<1x3x1x16xf16>
// CHECK: %[[V:.*]] = nn.reshape %v, {{.*}} -> tensor<32x1x1x16xf16>
// CHECK: %[[Y:.*]] = cuda.conv %[[X]], %[[V]] bias %b layout = "nhwc" activation = relu : {{.*}} -> tensor<1x3x1x32xf16>
// CHECK: nn.reshape %[[Y]], {{.*}} -> tensor<3x32xf16>
// CHECK: %[[T:.*]] = nn.transpose %w perm [1, 0] : {{.*}} -> tensor<32x16xf16>
// CHECK: nn.reshape %[[T]]
// CHECK: cuda.conv {{.*}}plan = "16x32/1"
func.func @gemm(%x: tensor<3x16xf16>, %v: tensor<32x16xf16>, %b: tensor<32xf16>) -> (tensor<3x32xf16>, tensor<3x32xf16>) {
  %w = nn.parameter "w" : tensor<16x32xf16>
  %y = nn.gemm %x, %v c %b transB = 1 activation = relu : (tensor<3x16xf16>, tensor<32x16xf16>, tensor<32xf16>) -> tensor<3x32xf16>
  %z = nn.gemm %x, %w {nn.call = "cuda:16x32/1"} : (tensor<3x16xf16>, tensor<16x32xf16>) -> tensor<3x32xf16>
  func.return %y, %z : tensor<3x32xf16>, tensor<3x32xf16>
}

// CHECK-LABEL: func.func @other_products
// CHECK-NOT: cuda.conv
// REMARK: remark: whole not lowered: its c is no bias
// REMARK: remark: computed not lowered: its operands are not as the kernel reads them
// REMARK: remark: scaled not lowered: its operands are not as the kernel reads them
// REMARK: remark: odd_columns not lowered: 6 columns are no multiple of 4
func.func @other_products(%x: tensor<3x16xf16>, %v: tensor<32x16xf16>, %c: tensor<3x32xf16>, %u: tensor<16x32xf16>, %s: tensor<3x6xf16>, %t: tensor<32x6xf16>) -> (tensor<3x32xf16>, tensor<3x32xf16>, tensor<3x32xf16>, tensor<3x32xf16>) {
  %p = nn.gemm %x, %v c %c transB = 1 : (tensor<3x16xf16>, tensor<32x16xf16>, tensor<3x32xf16>) -> tensor<3x32xf16> loc("whole")
  %q = nn.gemm %x, %u : (tensor<3x16xf16>, tensor<16x32xf16>) -> tensor<3x32xf16> loc("computed")
  %r = nn.gemm %x, %v alpha = 2.0 transB = 1 : (tensor<3x16xf16>, tensor<32x16xf16>) -> tensor<3x32xf16> loc("scaled")
  %o = nn.gemm %s, %t transB = 1 : (tensor<3x6xf16>, tensor<32x6xf16>) -> tensor<3x32xf16> loc("odd_columns")
  func.return %p, %q, %r, %o : tensor<3x32xf16>, tensor<3x32xf16>, tensor<3x32xf16>, tensor<3x32xf16>
}

// Few tiles, but each of them long.
// CHECK-LABEL: func.func @work
// CHECK: cuda.conv %x
// CHECK: nn.conv %y
// REMARK: remark: long not lowered: 1.0 GFLOP are better by a library
func.func @work(%x: tensor<1x31x31x512xf16>, %y: tensor<1x32x31x512xf16>, %w: tensor<1008x1x1x512xf16>) -> (tensor<1x31x31x1008xf16>, tensor<1x32x31x1008xf16>) {
  %a = nn.conv %x, %w layout = "nhwc" : (tensor<1x31x31x512xf16>, tensor<1008x1x1x512xf16>) -> tensor<1x31x31x1008xf16>
  %b = nn.conv %y, %w layout = "nhwc" : (tensor<1x32x31x512xf16>, tensor<1008x1x1x512xf16>) -> tensor<1x32x31x1008xf16> loc("long")
  func.return %a, %b : tensor<1x31x31x1008xf16>, tensor<1x32x31x1008xf16>
}

// Few filters of few channels, but more elements than 32 bits count.
// CHECK-LABEL: func.func @elements
// CHECK-NOT: cuda.conv
// REMARK: remark: large not lowered: 2147483648 elements are too many for the kernel's numbers
func.func @elements(%x: tensor<4194304x8x8x8xf16>, %w: tensor<8x1x1x8xf16>) -> tensor<4194304x8x8x8xf16> {
  %y = nn.conv %x, %w layout = "nhwc" : (tensor<4194304x8x8x8xf16>, tensor<8x1x1x8xf16>) -> tensor<4194304x8x8x8xf16> loc("large")
  func.return %y : tensor<4194304x8x8x8xf16>
}
