// RUN: fuse-opt %s -p lower-nn-to-cudnn | filecheck %s
// RUN: fuse-opt %s -p 'lower-nn-to-cudnn{tf32=true}' | filecheck %s --check-prefix=TF32
// RUN: fuse-opt %s -p lower-nn-to-cudnn --remarks 2>&1 >/dev/null | filecheck %s --check-prefix=REMARK
// RUN: fuse-opt %s -p lower-nn-to-cudnn | fuse-opt --print-op-generic | fuse-opt | filecheck %s

// Fires: bias, residual and activation go along, auto_pad becomes pads.

// CHECK-LABEL: func.func @everything
// CHECK: cudnn.conv %x, %w bias %b residual %r layout = "nhwc" strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] activation = relu :
func.func @everything(%x: tensor<2x8x8x16xf16>, %w: tensor<32x3x3x16xf16>, %b: tensor<32xf16>, %r: tensor<2x8x8x32xf16>) -> tensor<2x8x8x32xf16> {
  %y = nn.conv %x, %w bias %b residual %r auto_pad = "SAME_UPPER" layout = "nhwc" activation = relu : (tensor<2x8x8x16xf16>, tensor<32x3x3x16xf16>, tensor<32xf16>, tensor<2x8x8x32xf16>) -> tensor<2x8x8x32xf16>
  func.return %y : tensor<2x8x8x32xf16>
}

// Three channels are padded to four, in the image and in the filters.
// CHECK-LABEL: func.func @stem
// CHECK: %[[X:.*]] = nn.pad %x, {{.*}} -> tensor<1x8x8x4xf16>
// CHECK: %[[W:.*]] = nn.pad %w, {{.*}} -> tensor<32x3x3x4xf16>
// CHECK: cudnn.conv %[[X]], %[[W]]
func.func @stem(%x: tensor<1x8x8x3xf16>, %w: tensor<32x3x3x3xf16>) -> tensor<1x6x6x32xf16> {
  %y = nn.conv %x, %w layout = "nhwc" : (tensor<1x8x8x3xf16>, tensor<32x3x3x3xf16>) -> tensor<1x6x6x32xf16>
  func.return %y : tensor<1x6x6x32xf16>
}

// What the precompiled kernels do not end with is compiled; an activation that cuDNN has no nodes for comes after it.
// CHECK-LABEL: func.func @activations
// CHECK: cudnn.conv {{.*}}spelling = "runtime"{{.*}}activation = clip<0.0, 6.0>
// CHECK: cudnn.conv {{.*}}spelling = "runtime"{{.*}}activation = leaky_relu<0.1>
// CHECK: cudnn.conv
// CHECK-NOT: activation
// CHECK-NOT: spelling
// CHECK: nn.softsign
func.func @activations(%x: tensor<1x8x8x16xf16>, %w: tensor<32x3x3x16xf16>) -> (tensor<1x6x6x32xf16>, tensor<1x6x6x32xf16>, tensor<1x6x6x32xf16>) {
  %y = nn.conv %x, %w layout = "nhwc" activation = clip<0.0, 6.0> : (tensor<1x8x8x16xf16>, tensor<32x3x3x16xf16>) -> tensor<1x6x6x32xf16>
  %z = nn.conv %x, %w layout = "nhwc" activation = leaky_relu<0.1> : (tensor<1x8x8x16xf16>, tensor<32x3x3x16xf16>) -> tensor<1x6x6x32xf16>
  %v = nn.conv %x, %w layout = "nhwc" activation = softsign : (tensor<1x8x8x16xf16>, tensor<32x3x3x16xf16>) -> tensor<1x6x6x32xf16>
  func.return %y, %z, %v : tensor<1x6x6x32xf16>, tensor<1x6x6x32xf16>, tensor<1x6x6x32xf16>
}

// A plain product is cuBLASLt's, but not with an activation that its epilogues do not have: it would be read again.
// CHECK-LABEL: func.func @products
// CHECK: nn.conv {{.*}}activation = relu
// CHECK: nn.conv {{.*}}bias {{.*}}activation = gelu_tanh
// CHECK: cudnn.conv {{.*}}spelling = "runtime"{{.*}}activation = clip<0.0, 6.0>
// CHECK: cudnn.conv {{.*}}spelling = "runtime"{{.*}}activation = gelu_tanh
// CHECK: nn.conv {{.*}}activation = softsign
// CHECK: nn.conv {{.*}}residual %r{{.*}}activation = clip<0.0, 6.0>
func.func @products(%x: tensor<1x8x8x16xf16>, %w: tensor<32x1x1x16xf16>, %b: tensor<32xf16>, %r: tensor<1x1x1x32xf16>) -> (tensor<1x8x8x32xf16>, tensor<1x8x8x32xf16>, tensor<1x8x8x32xf16>, tensor<1x8x8x32xf16>, tensor<1x8x8x32xf16>, tensor<1x8x8x32xf16>) {
  %1 = nn.conv %x, %w layout = "nhwc" activation = relu : (tensor<1x8x8x16xf16>, tensor<32x1x1x16xf16>) -> tensor<1x8x8x32xf16>
  %2 = nn.conv %x, %w bias %b layout = "nhwc" activation = gelu_tanh : (tensor<1x8x8x16xf16>, tensor<32x1x1x16xf16>, tensor<32xf16>) -> tensor<1x8x8x32xf16>
  %3 = nn.conv %x, %w layout = "nhwc" activation = clip<0.0, 6.0> : (tensor<1x8x8x16xf16>, tensor<32x1x1x16xf16>) -> tensor<1x8x8x32xf16>
  %4 = nn.conv %x, %w layout = "nhwc" activation = gelu_tanh : (tensor<1x8x8x16xf16>, tensor<32x1x1x16xf16>) -> tensor<1x8x8x32xf16>
  %5 = nn.conv %x, %w layout = "nhwc" activation = softsign : (tensor<1x8x8x16xf16>, tensor<32x1x1x16xf16>) -> tensor<1x8x8x32xf16>
  %6 = nn.conv %x, %w residual %r layout = "nhwc" activation = clip<0.0, 6.0> : (tensor<1x8x8x16xf16>, tensor<32x1x1x16xf16>, tensor<1x1x1x32xf16>) -> tensor<1x8x8x32xf16>
  func.return %1, %2, %3, %4, %5, %6 : tensor<1x8x8x32xf16>, tensor<1x8x8x32xf16>, tensor<1x8x8x32xf16>, tensor<1x8x8x32xf16>, tensor<1x8x8x32xf16>, tensor<1x8x8x32xf16>
}

// What a tuner chose is followed.
// CHECK-LABEL: func.func @chosen
// CHECK: cudnn.conv {{.*}}spelling = "runtime" plan = "eng7_k2=1"
// CHECK: nn.conv {{.*}}{nn.call = "blas"}
// CHECK: nn.conv {{.*}}{nn.call = "cudnn:precompiled"}
// REMARK: remark: tuned not lowered: blas computes it
// REMARK: remark: ready not lowered: cuDNN has no precompiled kernel for it
func.func @chosen(%x: tensor<1x8x8x16xf16>, %w: tensor<32x1x1x16xf16>, %v: tensor<32x3x3x16xf16>) -> (tensor<1x8x8x32xf16>, tensor<1x6x6x32xf16>, tensor<1x6x6x32xf16>) {
  %y = nn.conv %x, %w layout = "nhwc" {nn.call = "cudnn:runtime:eng7_k2=1"} : (tensor<1x8x8x16xf16>, tensor<32x1x1x16xf16>) -> tensor<1x8x8x32xf16>
  %z = nn.conv %x, %v layout = "nhwc" {nn.call = "blas"} : (tensor<1x8x8x16xf16>, tensor<32x3x3x16xf16>) -> tensor<1x6x6x32xf16> loc("tuned")
  %u = nn.conv %x, %v layout = "nhwc" activation = clip<0.0, 6.0> {nn.call = "cudnn:precompiled"} : (tensor<1x8x8x16xf16>, tensor<32x3x3x16xf16>) -> tensor<1x6x6x32xf16> loc("ready")
  func.return %y, %z, %u : tensor<1x8x8x32xf16>, tensor<1x6x6x32xf16>, tensor<1x6x6x32xf16>
}

// f32 only where it may be rounded to TF32.
// CHECK-LABEL: func.func @single
// CHECK: nn.conv
// TF32-LABEL: func.func @single
// TF32: cudnn.conv
// REMARK: remark: single not lowered: f32 would lose precision
func.func @single(%x: tensor<1x8x8x16xf32>, %w: tensor<32x3x3x16xf32>) -> tensor<1x6x6x32xf32> {
  %y = nn.conv %x, %w layout = "nhwc" : (tensor<1x8x8x16xf32>, tensor<32x3x3x16xf32>) -> tensor<1x6x6x32xf32> loc("single")
  func.return %y : tensor<1x6x6x32xf32>
}

// Must not fire, and near misses.
// CHECK-LABEL: func.func @stays
// CHECK-NOT: cudnn.conv
// REMARK: remark: first not lowered: its channels are first
// REMARK: remark: product not lowered: it is a plain product
// REMARK: remark: depthwise not lowered: it is depthwise
// REMARK: remark: odd not lowered: 3 filters are no multiple of 8 bytes
// REMARK: remark: unknown not lowered: its dims are not known, or 0
func.func @stays(%a: tensor<1x16x8x8xf16>, %x: tensor<1x8x8x16xf16>, %u: tensor<?x8x8x16xf16>, %w: tensor<32x16x3x3xf16>, %p: tensor<32x1x1x16xf16>, %d: tensor<16x3x3x1xf16>, %o: tensor<3x3x3x16xf16>) -> (tensor<1x32x6x6xf16>, tensor<1x8x8x32xf16>, tensor<1x6x6x16xf16>, tensor<1x6x6x3xf16>, tensor<?x6x6x3xf16>) {
  %1 = nn.conv %a, %w : (tensor<1x16x8x8xf16>, tensor<32x16x3x3xf16>) -> tensor<1x32x6x6xf16> loc("first")
  %2 = nn.conv %x, %p layout = "nhwc" : (tensor<1x8x8x16xf16>, tensor<32x1x1x16xf16>) -> tensor<1x8x8x32xf16> loc("product")
  %3 = nn.conv %x, %d group = 16 layout = "nhwc" : (tensor<1x8x8x16xf16>, tensor<16x3x3x1xf16>) -> tensor<1x6x6x16xf16> loc("depthwise")
  %4 = nn.conv %x, %o layout = "nhwc" : (tensor<1x8x8x16xf16>, tensor<3x3x3x16xf16>) -> tensor<1x6x6x3xf16> loc("odd")
  %5 = nn.conv %u, %o layout = "nhwc" : (tensor<?x8x8x16xf16>, tensor<3x3x3x16xf16>) -> tensor<?x6x6x3xf16> loc("unknown")
  func.return %1, %2, %3, %4, %5 : tensor<1x32x6x6xf16>, tensor<1x8x8x32xf16>, tensor<1x6x6x16xf16>, tensor<1x6x6x3xf16>, tensor<?x6x6x3xf16>
}
