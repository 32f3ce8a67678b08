// RUN: fuse-opt %s --split-input-file -p hoist-parameters | filecheck %s
// RUN: fuse-opt %s --split-input-file -p hoist-parameters --print-debuginfo | filecheck %s --check-prefix=LOCATION
// RUN: fuse-opt %s --split-input-file -p hoist-parameters > %t.mlir && fuse-opt %t.mlir --split-input-file -p hoist-parameters | diff %t.mlir -

// Weight-only IR moves to @prepare, whole chains at once; @main reads their end under a name made of a hash. What
// depends on an argument stays, and a parameter that is read as it is too.

// CHECK-LABEL: func.func @prepare
// CHECK-SAME: () -> (tensor<4x27xf32> {nn.name = "prepared.[[HASH:[0-9a-f]+]]"}) {
// CHECK-NEXT: %shape = nn.constant
// CHECK-NEXT: %two = nn.constant
// CHECK-NEXT: %w = nn.parameter "w" : tensor<4x3x3x3xf32>
// CHECK-NEXT: %s = nn.mul %w, %two
// CHECK-NEXT: %r = nn.reshape %s, %shape
// CHECK-NEXT: func.return %r : tensor<4x27xf32>
// CHECK: func.func @main
// CHECK-NEXT: %r = nn.parameter "prepared.[[HASH]]" : tensor<4x27xf32>
// CHECK-NEXT: %b = nn.parameter "b" : tensor<9xf32>
// CHECK-NEXT: %two = nn.constant
// CHECK-NEXT: %y = blas.gemm %r, %x, %b
// CHECK-NEXT: %z = nn.mul %y, %two
// CHECK-NEXT: func.return %z
// LOCATION: nn.reshape {{.*}} loc("packing")
// LOCATION: func.func @main
// LOCATION-NEXT: nn.parameter {{.*}} loc("packing")
func.func @main(%x: tensor<27x9xf32>) -> tensor<4x9xf32> {
  %w = nn.parameter "w" : tensor<4x3x3x3xf32>
  %b = nn.parameter "b" : tensor<9xf32>
  %two = nn.constant 2.0 : f32 as tensor<f32>
  %shape = nn.constant dense<[4, 27]> : tensor<2xi64>
  %s = nn.mul %w, %two : (tensor<4x3x3x3xf32>, tensor<f32>) -> tensor<4x3x3x3xf32>
  %r = nn.reshape %s, %shape : (tensor<4x3x3x3xf32>, tensor<2xi64>) -> tensor<4x27xf32> loc("packing")
  %y = blas.gemm %r, %x, %b : (tensor<4x27xf32>, tensor<27x9xf32>, tensor<9xf32>) -> tensor<4x9xf32>
  %z = nn.mul %y, %two : (tensor<4x9xf32>, tensor<f32>) -> tensor<4x9xf32>
  func.return %z : tensor<4x9xf32>
}

// -----

// Equal IR has one name, whatever its values are called: both transposes are prepared once. A transpose of another
// parameter has another.

// CHECK-LABEL: func.func @prepare
// CHECK-SAME: () -> (tensor<4x4xf32> {nn.name = "prepared.[[A:[0-9a-f]+]]"}, tensor<4x4xf32> {nn.name = "prepared.[[B:[0-9a-f]+]]"}) {
// CHECK-NEXT: nn.parameter "w" : tensor<4x4xf32>
// CHECK-NEXT: nn.transpose
// CHECK-NEXT: nn.parameter "v" : tensor<4x4xf32>
// CHECK-NEXT: nn.transpose
// CHECK-NEXT: func.return
// CHECK: func.func @main
// CHECK-DAG: %[[P:.*]] = nn.parameter "prepared.[[A]]"
// CHECK-DAG: %[[Q:.*]] = nn.parameter "prepared.[[B]]"
// CHECK: %y = blas.matmul %x, %[[P]]
// CHECK-NEXT: %z = blas.matmul %y, %[[P]]
// CHECK-NEXT: %u = blas.matmul %z, %[[Q]]
func.func @main(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %w = nn.parameter "w" : tensor<4x4xf32>
  %v = nn.parameter "v" : tensor<4x4xf32>
  %t = nn.transpose %w perm [1, 0] : tensor<4x4xf32>
  %again = nn.parameter "w" : tensor<4x4xf32>
  %t2 = nn.transpose %again perm [1, 0] : tensor<4x4xf32>
  %t3 = nn.transpose %v perm [1, 0] : tensor<4x4xf32>
  %y = blas.matmul %x, %t : (tensor<2x4xf32>, tensor<4x4xf32>) -> tensor<2x4xf32>
  %z = blas.matmul %y, %t2 : (tensor<2x4xf32>, tensor<4x4xf32>) -> tensor<2x4xf32>
  %u = blas.matmul %z, %t3 : (tensor<2x4xf32>, tensor<4x4xf32>) -> tensor<2x4xf32>
  func.return %u : tensor<2x4xf32>
}

// -----

// What only repeats a parameter stays, but what it repeats is prepared.

// CHECK-LABEL: func.func @prepare
// CHECK-SAME: () -> (tensor<4xf32> {nn.name = "prepared.[[HASH:[0-9a-f]+]]"}) {
// CHECK-NEXT: nn.parameter "b"
// CHECK-NEXT: nn.neg
// CHECK-NEXT: func.return
// CHECK: func.func @main
// CHECK-NEXT: %n = nn.parameter "prepared.[[HASH]]" : tensor<4xf32>
// CHECK-NEXT: nn.parameter "w"
// CHECK-NEXT: %c = blas.broadcast %n axis = 0 shape [4, 9]
// CHECK-NEXT: blas.matmul %w, %x c %c
func.func @main(%x: tensor<27x9xf32>) -> tensor<4x9xf32> {
  %w = nn.parameter "w" : tensor<4x27xf32>
  %b = nn.parameter "b" : tensor<4xf32>
  %n = nn.neg %b : tensor<4xf32>
  %c = blas.broadcast %n axis = 0 shape [4, 9] : (tensor<4xf32>) -> tensor<4x9xf32>
  %y = blas.matmul %w, %x c %c beta = 1.0 : (tensor<4x27xf32>, tensor<27x9xf32>, tensor<4x9xf32>) -> tensor<4x9xf32>
  func.return %y : tensor<4x9xf32>
}

// -----

// Nothing to prepare: parameters and constants as they are, one that is repeated, what depends on an argument.

// CHECK: builtin.module {
// CHECK-NEXT: func.func @main
// CHECK-NOT: @prepare
// CHECK: blas.broadcast %b
// CHECK: nn.neg %x
// CHECK: nn.add %n, %w
func.func @main(%x: tensor<4x9xf32>) -> tensor<4x9xf32> {
  %w = nn.parameter "w" : tensor<4x9xf32>
  %b = nn.parameter "b" : tensor<4xf32>
  %two = nn.constant 2.0 : f32 as tensor<f32>
  %c = blas.broadcast %b axis = 0 shape [4, 9] : (tensor<4xf32>) -> tensor<4x9xf32>
  %n = nn.neg %x : tensor<4x9xf32>
  %y = nn.add %n, %w : tensor<4x9xf32>
  %z = nn.mul %y, %two : (tensor<4x9xf32>, tensor<f32>) -> tensor<4x9xf32>
  %u = nn.add %z, %c : tensor<4x9xf32>
  func.return %u : tensor<4x9xf32>
}

// -----

// A result of the function that only weights make is prepared too; weights that nothing reads are gone.

// CHECK-LABEL: func.func @prepare
// CHECK-NOT: "unread"
// CHECK: func.return %n : tensor<4xf32>
// CHECK: func.func @main
// CHECK-NEXT: %n = nn.parameter "prepared.{{[0-9a-f]+}}" : tensor<4xf32>
// CHECK-NEXT: func.return %n, %x
func.func @main(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %b = nn.parameter "b" : tensor<4xf32>
  %unread = nn.parameter "unread" : tensor<4xf32>
  %t = nn.abs %unread : tensor<4xf32>
  %n = nn.neg %b : tensor<4xf32>
  func.return %n, %x : tensor<4xf32>, tensor<4xf32>
}

// -----

// New IR on a prepared value joins an existing @prepare, which is not computed twice.

// CHECK-LABEL: func.func @prepare
// CHECK-SAME: () -> (tensor<4xf32> {nn.name = "prepared.first"}, tensor<4xf32> {nn.name = "prepared.[[HASH:[0-9a-f]+]]"}) {
// CHECK-NEXT: %b = nn.parameter "b" : tensor<4xf32>
// CHECK-NEXT: %n = nn.neg %b : tensor<4xf32>
// CHECK-NEXT: %e = nn.exp %n : tensor<4xf32>
// CHECK-NEXT: func.return %n, %e
// CHECK: func.func @main
// CHECK-NEXT: %e = nn.parameter "prepared.[[HASH]]"
// CHECK-NEXT: nn.add %x, %e
func.func @prepare() -> (tensor<4xf32> {nn.name = "prepared.first"}) {
  %b = nn.parameter "b" : tensor<4xf32>
  %n = nn.neg %b : tensor<4xf32>
  func.return %n : tensor<4xf32>
}
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %n = nn.parameter "prepared.first" : tensor<4xf32>
  %e = nn.exp %n : tensor<4xf32>
  %y = nn.add %x, %e : tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// -----

// What has a size that depends on data stays: a parameter's type says all its sizes.

// CHECK-NOT: @prepare
// CHECK-LABEL: func.func @main() -> tensor<?x3xi64>
// CHECK-NEXT: %boxes = nn.parameter "boxes"
// CHECK-NEXT: %scores = nn.parameter "scores"
// CHECK-NEXT: %y = nn.non_max_suppression %boxes, %scores
// CHECK-NEXT: func.return %y
func.func @main() -> (tensor<?x3xi64>) {
  %boxes = nn.parameter "boxes" : tensor<1x9x4xf32>
  %scores = nn.parameter "scores" : tensor<1x2x9xf32>
  %y = nn.non_max_suppression %boxes, %scores : (tensor<1x9x4xf32>, tensor<1x2x9xf32>) -> tensor<?x3xi64>
  func.return %y : tensor<?x3xi64>
}

// -----

// Sequences stay, and what is read from them; what is computed before goes.

// CHECK-LABEL: func.func @prepare
// CHECK: nn.relu
// CHECK-NOT: sequence
// CHECK-LABEL: func.func @main
// CHECK: %[[P:.*]] = nn.parameter "prepared.
// CHECK: nn.sequence_construct [%[[P]], %[[P]]]
// CHECK: nn.sequence_at
func.func @main(%i: tensor<i64>) -> (tensor<4xf32>) {
  %w = nn.parameter "w" : tensor<4xf32>
  %r = nn.relu %w : tensor<4xf32>
  %s = nn.sequence_construct [%r, %r] : (tensor<4xf32>, tensor<4xf32>) -> !nn.sequence<tensor<4xf32>>
  %a = nn.sequence_at %s, %i : (!nn.sequence<tensor<4xf32>>, tensor<i64>) -> tensor<4xf32>
  func.return %a : tensor<4xf32>
}
