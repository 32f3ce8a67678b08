// RUN: fuse-opt %s -p fuse-pack | filecheck %s
// RUN: fuse-opt %s -p fuse-pack --remarks 2>&1 >/dev/null | filecheck %s --check-prefix=REMARK
// RUN: fuse-opt %s -p fuse-pack --print-debuginfo | filecheck %s --check-prefix=LOCATION

// Fires: an image of three channels as cuDNN wants it.

// CHECK-LABEL: func.func @image
// CHECK: %p = blas.pack %x perm [0, 2, 3, 1] ends [0, 0, 0, 1] to = f16 : (tensor<2x3x8x8xf32>) -> tensor<2x8x8x4xf16>
// CHECK-NEXT: func.return %p
// REMARK: remark: cast_1 fused into transpose_1
// REMARK: remark: cast_1+transpose_1 fused into pad_1
// LOCATION: blas.pack {{.*}} loc(fused["cast_1", "transpose_1", "pad_1"])
func.func @image(%x: tensor<2x3x8x8xf32>) -> tensor<2x8x8x4xf16> {
  %n = nn.cast %x to = f16 : (tensor<2x3x8x8xf32>) -> tensor<2x3x8x8xf16> loc("cast_1")
  %t = nn.transpose %n perm [0, 2, 3, 1] : (tensor<2x3x8x8xf16>) -> tensor<2x8x8x3xf16> loc("transpose_1")
  %widths = nn.constant dense<[0, 0, 0, 0, 0, 0, 0, 1]> : tensor<8xi64>
  %p = nn.pad %t, %widths : (tensor<2x8x8x3xf16>, tensor<8xi64>) -> tensor<2x8x8x4xf16> loc("pad_1")
  func.return %p : tensor<2x8x8x4xf16>
}

// Zeros at the end of what is transposed then move with their dim.
// CHECK-LABEL: func.func @moved
// CHECK: blas.pack %x perm [2, 0, 1] ends [0, 0, 5] to = f32 : (tensor<2x3x4xf32>) -> tensor<4x2x8xf32>
func.func @moved(%x: tensor<2x3x4xf32>) -> tensor<4x2x8xf32> {
  %widths = nn.constant dense<[0, 0, 0, 0, 5, 0]> : tensor<6xi64>
  %p = nn.pad %x, %widths : (tensor<2x3x4xf32>, tensor<6xi64>) -> tensor<2x8x4xf32>
  %t = nn.transpose %p perm [2, 0, 1] : (tensor<2x8x4xf32>) -> tensor<4x2x8xf32>
  func.return %t : tensor<4x2x8xf32>
}

// Two permutations one after the other, in that order.
// CHECK-LABEL: func.func @turned
// CHECK: blas.pack %x perm [2, 1, 0] ends [0, 0, 1] to = f16 : (tensor<2x3x4xf32>) -> tensor<4x3x3xf16>
func.func @turned(%x: tensor<2x3x4xf32>) -> tensor<4x3x3xf16> {
  %t = nn.transpose %x perm [2, 0, 1] : (tensor<2x3x4xf32>) -> tensor<4x2x3xf32>
  %widths = nn.constant dense<[0, 0, 0, 0, 1, 0]> : tensor<6xi64>
  %p = nn.pad %t, %widths : (tensor<4x2x3xf32>, tensor<6xi64>) -> tensor<4x3x3xf32>
  %n = nn.cast %p to = f16 : (tensor<4x3x3xf32>) -> tensor<4x3x3xf16>
  %y = nn.transpose %n perm [0, 2, 1] : (tensor<4x3x3xf16>) -> tensor<4x3x3xf16>
  func.return %y : tensor<4x3x3xf16>
}

// Must not fire: alone, before another dim, of a weight, of integers, of no zeros.

// CHECK-LABEL: func.func @alone
// CHECK-NOT: blas.pack
func.func @alone(%x: tensor<2x3xf32>, %i: tensor<2x3xi32>) -> (tensor<3x2xf32>, tensor<4x2xf32>, tensor<3x2xf16>, tensor<3x2xf32>, tensor<3x3xf32>) {
  %t = nn.transpose %x perm [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %before = nn.constant dense<[1, 0, 0, 0]> : tensor<4xi64>
  %p = nn.pad %t, %before : (tensor<3x2xf32>, tensor<4xi64>) -> tensor<4x2xf32>
  %w = nn.parameter "w" : tensor<2x3xf32>
  %wt = nn.transpose %w perm [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %wn = nn.cast %wt to = f16 : (tensor<3x2xf32>) -> tensor<3x2xf16>
  %it = nn.transpose %i perm [1, 0] : (tensor<2x3xi32>) -> tensor<3x2xi32>
  %if = nn.cast %it to = f32 : (tensor<3x2xi32>) -> tensor<3x2xf32>
  %after = nn.constant dense<[0, 0, 0, 1]> : tensor<4xi64>
  %one = nn.constant dense<1.0> : tensor<f32>
  %u = nn.transpose %x perm [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %o = nn.pad %u, %after constant_value %one : (tensor<3x2xf32>, tensor<4xi64>, tensor<f32>) -> tensor<3x3xf32>
  func.return %t, %p, %wn, %if, %o : tensor<3x2xf32>, tensor<4x2xf32>, tensor<3x2xf16>, tensor<3x2xf32>, tensor<3x3xf32>
}

// Near misses.

// CHECK-LABEL: func.func @twice
// CHECK-NOT: blas.pack
// REMARK: remark: cast_2 not fused into cast_3: it would be converted twice
func.func @twice(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %n = nn.cast %x to = f16 : (tensor<2x3xf32>) -> tensor<2x3xf16> loc("cast_2")
  %y = nn.cast %n to = f32 : (tensor<2x3xf16>) -> tensor<2x3xf32> loc("cast_3")
  func.return %y : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @used
// CHECK-NOT: blas.pack
// REMARK: remark: cast_4 not fused into transpose_4: its result has 2 uses
func.func @used(%x: tensor<2x3xf32>) -> (tensor<2x3xf16>, tensor<3x2xf16>) {
  %n = nn.cast %x to = f16 : (tensor<2x3xf32>) -> tensor<2x3xf16> loc("cast_4")
  %t = nn.transpose %n perm [1, 0] : (tensor<2x3xf16>) -> tensor<3x2xf16> loc("transpose_4")
  func.return %n, %t : tensor<2x3xf16>, tensor<3x2xf16>
}

// CHECK-LABEL: func.func @unknown
// CHECK-NOT: blas.pack
// REMARK: remark: cast_5 not fused into transpose_5: its dims are not known
func.func @unknown(%x: tensor<?x3xf32>) -> tensor<3x?xf16> {
  %n = nn.cast %x to = f16 : (tensor<?x3xf32>) -> tensor<?x3xf16> loc("cast_5")
  %t = nn.transpose %n perm [1, 0] : (tensor<?x3xf16>) -> tensor<3x?xf16> loc("transpose_5")
  func.return %t : tensor<3x?xf16>
}
