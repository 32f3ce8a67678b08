// RUN: fuse-opt %s -p convert-precision | filecheck %s
// RUN: fuse-opt %s -p 'convert-precision{to=bf16}' | filecheck %s --check-prefix=BF16

// Arguments and results stay f32; parameters are cast as weights.

// CHECK-LABEL: func.func @conv(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x8x8xf32>
// CHECK-DAG: nn.cast %x to = f16 : (tensor<1x3x8x8xf32>) -> tensor<1x3x8x8xf16>
// CHECK-DAG: nn.cast %w to = f16
// CHECK-DAG: nn.cast %b to = f16
// CHECK: %y = nn.conv {{.*}} activation = relu : (tensor<1x3x8x8xf16>, tensor<4x3x1x1xf16>, tensor<4xf16>) -> tensor<1x4x8x8xf16>
// CHECK-NEXT: %z = nn.sigmoid %y : tensor<1x4x8x8xf16>
// CHECK-NEXT: %[[Z:.*]] = nn.cast %z to = f32 : (tensor<1x4x8x8xf16>) -> tensor<1x4x8x8xf32>
// CHECK-NEXT: func.return %[[Z]]
// BF16: nn.conv {{.*}} -> tensor<1x4x8x8xbf16>
func.func @conv(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x3x1x1xf32>
  %b = nn.parameter "b" : tensor<4xf32>
  %y = nn.conv %x, %w bias %b activation = relu : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
  %z = nn.sigmoid %y : tensor<1x4x8x8xf32>
  func.return %z : tensor<1x4x8x8xf32>
}

// Weight-only IR is computed in f32 and rounded once.

// CHECK-LABEL: func.func @weights
// CHECK: nn.mul %w, %s : (tensor<4x3x1x1xf32>, tensor<4x1x1x1xf32>) -> tensor<4x3x1x1xf32>
// CHECK: nn.cast {{.*}} to = f16 : (tensor<4x3x1x1xf32>) -> tensor<4x3x1x1xf16>
func.func @weights(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x3x1x1xf32>
  %s = nn.parameter "s" : tensor<4x1x1x1xf32>
  %m = nn.mul %w, %s : (tensor<4x3x1x1xf32>, tensor<4x1x1x1xf32>) -> tensor<4x3x1x1xf32>
  %y = nn.conv %x, %m : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  func.return %y : tensor<1x4x8x8xf32>
}

// Must not fire: other element types; an explicit cast keeps what it asks for; scales that decide a shape stay f32.

// CHECK-LABEL: func.func @others
// CHECK: nn.add %i, %i : tensor<4xi64>
// CHECK: %c = nn.cast %i to = f32 : (tensor<4xi64>) -> tensor<4xf32>
// CHECK: %e = nn.exp %d : tensor<4xf64>
func.func @others(%i: tensor<4xi64>, %d: tensor<4xf64>) -> (tensor<4xi64>, tensor<4xf32>, tensor<4xf64>) {
  %a = nn.add %i, %i : (tensor<4xi64>, tensor<4xi64>) -> tensor<4xi64>
  %c = nn.cast %i to = f32 : (tensor<4xi64>) -> tensor<4xf32>
  %e = nn.exp %d : tensor<4xf64>
  func.return %a, %c, %e : tensor<4xi64>, tensor<4xf32>, tensor<4xf64>
}

// CHECK-LABEL: func.func @resize
// CHECK: nn.resize {{.*}} (tensor<1x1x2x2xf16>, tensor<4xf32>) -> tensor<1x1x4x4xf16>
func.func @resize(%x: tensor<1x1x2x2xf32>) -> tensor<1x1x4x4xf32> {
  %s = nn.constant dense<[1.0, 1.0, 2.0, 2.0]> : tensor<4xf32>
  %y = nn.resize %x scales %s : (tensor<1x1x2x2xf32>, tensor<4xf32>) -> tensor<1x1x4x4xf32>
  func.return %y : tensor<1x1x4x4xf32>
}

// A sequence holds f32, as its type says: what is put in is cast back, what is read is cast.

// CHECK-LABEL: func.func @sequence
// CHECK-SAME: -> (!nn.sequence<tensor<4xf32>>, tensor<4xf32>)
// CHECK: %[[R:.*]] = nn.relu {{.*}} tensor<4xf16>
// CHECK: %[[W:.*]] = nn.cast %[[R]] to = f32
// CHECK: %[[S:.*]] = nn.sequence_insert %s, %[[W]] : {{.*}} -> !nn.sequence<tensor<4xf32>>
// CHECK: %[[A:.*]] = nn.sequence_at %[[S]], %i : {{.*}} -> tensor<4xf32>
// CHECK: %[[N:.*]] = nn.cast %[[A]] to = f16
// CHECK: nn.exp %[[N]] : tensor<4xf16>
func.func @sequence(%x: tensor<4xf32>, %s: !nn.sequence<tensor<4xf32>>, %i: tensor<i64>) -> (!nn.sequence<tensor<4xf32>>, tensor<4xf32>) {
  %r = nn.relu %x : tensor<4xf32>
  %t = nn.sequence_insert %s, %r : (!nn.sequence<tensor<4xf32>>, tensor<4xf32>) -> !nn.sequence<tensor<4xf32>>
  %a = nn.sequence_at %t, %i : (!nn.sequence<tensor<4xf32>>, tensor<i64>) -> tensor<4xf32>
  %e = nn.exp %a : tensor<4xf32>
  func.return %t, %e : !nn.sequence<tensor<4xf32>>, tensor<4xf32>
}
