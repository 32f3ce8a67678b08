// RUN: fuse-opt %s --split-input-file -p plan-memory | filecheck %s
// RUN: fuse-opt %s --split-input-file -p plan-memory > %t.mlir && fuse-opt %t.mlir --split-input-file -p plan-memory | diff %t.mlir -

// In place: a result takes over the buffer of an operand that dies with the op. Arguments, parameters and constants
// are never written, and the function's results lie outside the arena, where the caller keeps them.

// CHECK-LABEL: func.func @main
// CHECK-SAME: attributes {nn.arena = 256 : i64}
// CHECK: nn.parameter "w" {place = array<i64: -1>}
// CHECK: nn.constant 2.000000e+00 : f32 {place = array<i64: -1>}
// CHECK: %a = nn.add %x, %w {place = array<i64: 0>}
// CHECK-NEXT: %b = nn.relu %a {place = array<i64: 0>}
// CHECK-NEXT: %c = nn.mul %two, %b {place = array<i64: 0>}
// CHECK-NEXT: %d = nn.neg %c {place = array<i64: -1>}
func.func @main(%x: tensor<4x16xf32>) -> tensor<4x16xf32> {
  %w = nn.parameter "w" : tensor<4x16xf32>
  %two = nn.constant 2.0 : f32 as tensor<f32>
  %a = nn.add %x, %w : tensor<4x16xf32>
  %b = nn.relu %a : tensor<4x16xf32>
  %c = nn.mul %two, %b : (tensor<f32>, tensor<4x16xf32>) -> tensor<4x16xf32>
  %d = nn.neg %c : tensor<4x16xf32>
  func.return %d : tensor<4x16xf32>
}

// -----

// Not in place: an operand that is read later (%a), one of another size (%c), one whose op does not allow it (%d, %e).

// CHECK-LABEL: func.func @main
// CHECK-SAME: attributes {nn.arena = 2048 : i64}
// CHECK: %a = nn.relu %x {place = array<i64: 1024>}
// CHECK-NEXT: %b = nn.neg %a {place = array<i64: 0>}
// CHECK-NEXT: %c = nn.add %a, %b {place = array<i64: 1024>}
// CHECK-NEXT: %d = nn.add %c, %y {place = array<i64: 0>}
// CHECK-NEXT: %e = nn.cast %d to = i32 {place = array<i64: 1024>}
// CHECK-NEXT: %f = nn.transpose %e perm [1, 0, 2] {place = array<i64: 0>}
func.func @main(%x: tensor<4x16xf32>, %y: tensor<4x4x16xf32>) -> tensor<4x4x16xi32> {
  %a = nn.relu %x : tensor<4x16xf32>
  %b = nn.neg %a : tensor<4x16xf32>
  %c = nn.add %a, %b : tensor<4x16xf32>
  %d = nn.add %c, %y : (tensor<4x16xf32>, tensor<4x4x16xf32>) -> tensor<4x4x16xf32>
  %e = nn.cast %d to = i32 : (tensor<4x4x16xf32>) -> tensor<4x4x16xi32>
  %f = nn.transpose %e perm [1, 0, 2] : tensor<4x4x16xi32>
  %g = nn.neg %f : tensor<4x4x16xi32>
  func.return %g : tensor<4x4x16xi32>
}

// -----

// A GEMM may be written over its third operand, not over a factor: nor where one value is both.

// CHECK-LABEL: func.func @main
// CHECK-SAME: attributes {nn.arena = 512 : i64}
// CHECK: nn.parameter "w" {place = array<i64: -1>}
// CHECK-NEXT: %c = nn.relu %x {place = array<i64: 0>}
// CHECK-NEXT: %y = blas.matmulrelu %x, %w c %c beta = 1.0 {place = array<i64: 0>}
// CHECK-NEXT: %z = blas.matmul %y, %w {place = array<i64: 256>}
// CHECK-NEXT: %u = blas.matmul %z, %w c %z beta = 1.0 {place = array<i64: 0>}
func.func @main(%x: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %w = nn.parameter "w" : tensor<8x8xf32>
  %c = nn.relu %x : tensor<8x8xf32>
  %y = blas.matmulrelu %x, %w c %c beta = 1.0 : tensor<8x8xf32>
  %z = blas.matmul %y, %w : tensor<8x8xf32>
  %u = blas.matmul %z, %w c %z beta = 1.0 : tensor<8x8xf32>
  %v = nn.neg %u : tensor<8x8xf32>
  func.return %v : tensor<8x8xf32>
}

// -----

// Views are free: a reshape, a slice and pieces along the outermost dim lie inside their operand; the operands of a
// concatenation along it lie inside the result. A piece along an inner dim is a copy.

// CHECK-LABEL: func.func @main
// CHECK: %a = nn.relu %x {place = array<i64: [[A:0]]>}
// CHECK: %r = nn.reshape %a, %shape {place = array<i64: [[A]]>}
// CHECK-NEXT: %p, %q = nn.split %r num_outputs = 2 {place = array<i64: 0, 1024>}
// CHECK-NEXT: %s = nn.slice %r, %one, %two {place = array<i64: 512>}
// CHECK-NEXT: %i, %j = nn.split %r axis = 1 num_outputs = 2 {place = array<i64: 2048, 3072>}
// CHECK-NEXT: %k = nn.neg %i {place = array<i64: 2048>}
func.func @main(%x: tensor<32x16xf32>) -> (tensor<2x128xf32>, tensor<1x128xf32>, tensor<4x64xf32>) {
  %shape = nn.constant dense<[4, 128]> : tensor<2xi64>
  %one = nn.constant 1 : i64 as tensor<1xi64>
  %two = nn.constant 2 : i64 as tensor<1xi64>
  %a = nn.relu %x : tensor<32x16xf32>
  %r = nn.reshape %a, %shape : (tensor<32x16xf32>, tensor<2xi64>) -> tensor<4x128xf32>
  %p, %q = nn.split %r num_outputs = 2 : (tensor<4x128xf32>) -> (tensor<2x128xf32>, tensor<2x128xf32>)
  %s = nn.slice %r, %one, %two : (tensor<4x128xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<1x128xf32>
  %i, %j = nn.split %r axis = 1 num_outputs = 2 : (tensor<4x128xf32>) -> (tensor<4x64xf32>, tensor<4x64xf32>)
  %k = nn.neg %i : tensor<4x64xf32>
  %l = nn.add %k, %j : tensor<4x64xf32>
  %m = nn.add %p, %q : tensor<2x128xf32>
  %n = nn.neg %s : tensor<1x128xf32>
  func.return %m, %n, %l : tensor<2x128xf32>, tensor<1x128xf32>, tensor<4x64xf32>
}

// -----

// Pieces are computed where the concatenation wants them; a piece that is an argument, or stands there already, is
// copied; along an inner dim all are.

// CHECK-LABEL: func.func @main
// CHECK: %a = nn.relu %x {place = array<i64: 8192>}
// CHECK-NEXT: %b = nn.neg %x {place = array<i64: 9216>}
// CHECK-NEXT: %c = nn.concat [%a, %b, %a, %x] axis = 0 {place = array<i64: 8192>}
// CHECK-NEXT: %d = nn.neg %c {place = array<i64: 8192>}
// CHECK-NEXT: %e = nn.concat [%d, %d] axis = 1 {place = array<i64: 0>}
func.func @main(%x: tensor<2x128xf32>) -> tensor<8x256xf32> {
  %a = nn.relu %x : tensor<2x128xf32>
  %b = nn.neg %x : tensor<2x128xf32>
  %c = nn.concat [%a, %b, %a, %x] axis = 0 : (tensor<2x128xf32>, tensor<2x128xf32>, tensor<2x128xf32>, tensor<2x128xf32>) -> tensor<8x128xf32>
  %d = nn.neg %c : tensor<8x128xf32>
  %e = nn.concat [%d, %d] axis = 1 : (tensor<8x128xf32>, tensor<8x128xf32>) -> tensor<8x256xf32>
  %f = nn.neg %e : tensor<8x256xf32>
  func.return %f : tensor<8x256xf32>
}

// -----

// Near miss: a piece of a concatenation is not written in place while the concatenation lives, nor is a view while
// what it is a view of is read later.

// CHECK-LABEL: func.func @main
// CHECK: %c = nn.concat [%a, %b] axis = 0 {place = array<i64: 0>}
// CHECK-NEXT: %d = nn.neg %a {place = array<i64: 4096>}
// CHECK: %r = nn.reshape %c, %shape {place = array<i64: 0>}
// CHECK-NEXT: %e = nn.relu %r {place = array<i64: 2048>}
// CHECK-NEXT: %f = nn.neg %c {place = array<i64: 0>}
func.func @main(%x: tensor<2x128xf32>) -> (tensor<2x128xf32>, tensor<512xf32>, tensor<4x128xf32>) {
  %shape = nn.constant 512 : i64 as tensor<1xi64>
  %a = nn.relu %x : tensor<2x128xf32>
  %b = nn.neg %x : tensor<2x128xf32>
  %c = nn.concat [%a, %b] axis = 0 : (tensor<2x128xf32>, tensor<2x128xf32>) -> tensor<4x128xf32>
  %d = nn.neg %a : tensor<2x128xf32>
  %r = nn.reshape %c, %shape : (tensor<4x128xf32>, tensor<1xi64>) -> tensor<512xf32>
  %e = nn.relu %r : tensor<512xf32>
  %f = nn.neg %c : tensor<4x128xf32>
  %g = nn.abs %d : tensor<2x128xf32>
  %h = nn.abs %e : tensor<512xf32>
  %k = nn.abs %f : tensor<4x128xf32>
  func.return %g, %h, %k : tensor<2x128xf32>, tensor<512xf32>, tensor<4x128xf32>
}

// -----

// Views of an argument or a parameter cost nothing and are not written in place. A result that is a view of another
// result's buffer, of an argument or of a parameter has a buffer of its own.

// CHECK-LABEL: func.func @main
// CHECK-SAME: attributes {nn.arena = 1024 : i64}
// CHECK: %r = nn.reshape %x, %shape {place = array<i64: -1>}
// CHECK-NEXT: %a = nn.relu %r {place = array<i64: 0>}
// CHECK-NEXT: %v = nn.reshape %w, %shape {place = array<i64: -1>}
// CHECK-NEXT: %b = nn.neg %v {place = array<i64: 512>}
// CHECK-NEXT: %c = nn.add %a, %b {place = array<i64: -1>}
// CHECK-NEXT: %d = nn.reshape %c, %back {place = array<i64: -1>}
// CHECK-NEXT: %e = nn.reshape %w, %back {place = array<i64: -1>}
func.func @main(%x: tensor<2x64xf32>) -> (tensor<128xf32>, tensor<2x64xf32>, tensor<2x64xf32>, tensor<2x64xf32>) {
  %shape = nn.constant 128 : i64 as tensor<1xi64>
  %back = nn.constant dense<[2, 64]> : tensor<2xi64>
  %w = nn.parameter "w" : tensor<2x64xf32>
  %r = nn.reshape %x, %shape : (tensor<2x64xf32>, tensor<1xi64>) -> tensor<128xf32>
  %a = nn.relu %r : tensor<128xf32>
  %v = nn.reshape %w, %shape : (tensor<2x64xf32>, tensor<1xi64>) -> tensor<128xf32>
  %b = nn.neg %v : tensor<128xf32>
  %c = nn.add %a, %b : tensor<128xf32>
  %d = nn.reshape %c, %back : (tensor<128xf32>, tensor<2xi64>) -> tensor<2x64xf32>
  %e = nn.reshape %w, %back : (tensor<2x64xf32>, tensor<2xi64>) -> tensor<2x64xf32>
  func.return %c, %d, %e, %x : tensor<128xf32>, tensor<2x64xf32>, tensor<2x64xf32>, tensor<2x64xf32>
}

// -----

// One arena, reused: %a and %c never live together; every place is a multiple of 256 bytes.

// CHECK-LABEL: func.func @main
// CHECK-SAME: attributes {nn.arena = 1024 : i64}
// CHECK: %a = nn.relu %x {place = array<i64: [[LOW:[0-9]+]]>}
// CHECK-NEXT: %b = nn.transpose %a perm [1, 0] {place = array<i64: [[HIGH:[0-9]+]]>}
// CHECK-NEXT: %c = nn.transpose %b perm [1, 0] {place = array<i64: [[LOW]]>}
// CHECK-NEXT: %d = nn.transpose %c perm [1, 0] {place = array<i64: [[HIGH]]>}
func.func @main(%x: tensor<7x11xf32>) -> tensor<7x11xf32> {
  %a = nn.relu %x : tensor<7x11xf32>
  %b = nn.transpose %a perm [1, 0] : (tensor<7x11xf32>) -> tensor<11x7xf32>
  %c = nn.transpose %b perm [1, 0] : (tensor<11x7xf32>) -> tensor<7x11xf32>
  %d = nn.transpose %c perm [1, 0] : (tensor<7x11xf32>) -> tensor<11x7xf32>
  %e = nn.transpose %d perm [1, 0] : (tensor<11x7xf32>) -> tensor<7x11xf32>
  func.return %e : tensor<7x11xf32>
}

// -----

// Sizes that depend on data have no place; what is computed from them neither, until its size is known again. A
// result that nothing reads has a place all the same.

// CHECK-LABEL: func.func @main
// CHECK: %a = nn.expand %x, %shape {place = array<i64: -1>}
// CHECK-NEXT: %b = nn.neg %a {place = array<i64: -1>}
// CHECK-NEXT: %s = nn.reduce_sum %b {place = array<i64: 512>}
// CHECK-NEXT: %c = nn.expand %s, %shape {place = array<i64: 0>}
// CHECK-NEXT: %p, %q = nn.split %c num_outputs = 2 {place = array<i64: 0, 256>}
func.func @main(%x: tensor<1xf32>, %shape: tensor<2xi64>) -> (tensor<1xf32>, tensor<?x?xf32>) {
  %a = nn.expand %x, %shape : (tensor<1xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  %b = nn.neg %a : tensor<?x?xf32>
  %s = nn.reduce_sum %b : (tensor<?x?xf32>) -> tensor<1x1xf32>
  %c = nn.expand %s, %shape : (tensor<1x1xf32>, tensor<2xi64>) -> tensor<2x64xf32>
  %p, %q = nn.split %c num_outputs = 2 : (tensor<2x64xf32>) -> (tensor<1x64xf32>, tensor<1x64xf32>)
  %d = nn.reduce_sum %p keepdims = 0 : (tensor<1x64xf32>) -> tensor<f32>
  %e = nn.add %d, %x : (tensor<f32>, tensor<1xf32>) -> tensor<1xf32>
  %f = nn.neg %b : tensor<?x?xf32>
  func.return %e, %f : tensor<1xf32>, tensor<?x?xf32>
}

// -----

// A sequence lives outside the arena; what is read from it has a place like any other value.

// CHECK-LABEL: func.func @main
// CHECK-NEXT: %r = nn.relu %x {place = array<i64: 0>}
// CHECK-NEXT: %t = nn.sequence_insert %s, %r {place = array<i64: -1>}
// CHECK-NEXT: %a = nn.sequence_at %t, %i {place = array<i64: 0>}
// CHECK-NEXT: %o = nn.optional x %a {place = array<i64: -1>}
func.func @main(%x: tensor<4xf32>, %s: !nn.sequence<tensor<4xf32>>, %i: tensor<i64>) -> !nn.optional<tensor<4xf32>> {
  %r = nn.relu %x : tensor<4xf32>
  %t = nn.sequence_insert %s, %r : (!nn.sequence<tensor<4xf32>>, tensor<4xf32>) -> !nn.sequence<tensor<4xf32>>
  %a = nn.sequence_at %t, %i : (!nn.sequence<tensor<4xf32>>, tensor<i64>) -> tensor<4xf32>
  %o = nn.optional x %a : (tensor<4xf32>) -> !nn.optional<tensor<4xf32>>
  func.return %o : !nn.optional<tensor<4xf32>>
}

// -----

// Pieces of rows: a product (or what is a view of one) is written where its rows belong, 80 bytes apart.

// CHECK-LABEL: func.func @main
// CHECK-SAME: attributes {nn.arena = 512 : i64}
// CHECK: %a = blas.matmul %x, %w {place = array<i64: 0>, pitch = array<i64: 80>}
// CHECK-NEXT: %b = blas.matmul %x, %u {place = array<i64: 32>, pitch = array<i64: 80>}
// CHECK-NEXT: %i = nn.constant {{.*}} {place = array<i64: -1>}
// CHECK-NEXT: %r = nn.reshape %a, %i {place = array<i64: 0>, pitch = array<i64: 80>}
// CHECK-NEXT: %s = nn.reshape %b, %i {place = array<i64: 32>, pitch = array<i64: 80>}
// CHECK-NEXT: %c = nn.concat [%r, %s] axis = 3 {place = array<i64: 0>}
// CHECK-NEXT: %d = nn.neg %c {place = array<i64: -1>}
func.func @main(%x: tensor<6x8xf16>, %w: tensor<8x16xf16>, %u: tensor<8x24xf16>) -> tensor<1x2x3x40xf16> {
  %a = blas.matmul %x, %w : (tensor<6x8xf16>, tensor<8x16xf16>) -> tensor<6x16xf16>
  %b = blas.matmul %x, %u : (tensor<6x8xf16>, tensor<8x24xf16>) -> tensor<6x24xf16>
  %i = nn.constant dense<[1, 2, 3, -1]> : tensor<4xi64>
  %r = nn.reshape %a, %i : (tensor<6x16xf16>, tensor<4xi64>) -> tensor<1x2x3x16xf16>
  %s = nn.reshape %b, %i : (tensor<6x24xf16>, tensor<4xi64>) -> tensor<1x2x3x24xf16>
  %c = nn.concat [%r, %s] axis = 3 : (tensor<1x2x3x16xf16>, tensor<1x2x3x24xf16>) -> tensor<1x2x3x40xf16>
  %d = nn.neg %c : tensor<1x2x3x40xf16>
  func.return %d : tensor<1x2x3x40xf16>
}

// -----

// Of ops that write such rows (%n is a concatenation, %m is none), read by what reads such rows (%e is read by %f too, which
// does not), from 16 bytes to 16 bytes (%o is not), and not in a result of the function (%h). What is left is copied: the
// second %b too, which is in one place only.

// CHECK-LABEL: func.func @main
// CHECK: %a = blas.matmul %x, %w {place = array<i64: [[A:[0-9]+]]>, pitch = array<i64: 160>}
// CHECK-NEXT: %b = blas.matmul %x, %w {place = array<i64: {{[0-9]+}}>, pitch = array<i64: 160>}
// CHECK: %n = nn.concat {{.*}} {place = array<i64: {{[0-9]+}}>, pitch = array<i64: 160>}
// CHECK: %m = nn.neg %n0 {place = array<i64: {{[0-9]+}}>} :
// CHECK-NEXT: %c = nn.concat [%a, %b, %b, %n, %m] axis = 1 {place = array<i64: [[A]]>}
// CHECK: %e = blas.matmul %x, %w {place = array<i64: {{[0-9]+}}>}
// CHECK-NEXT: %o = blas.matmul %x, %v {place = array<i64: {{[0-9]+}}>}
// CHECK-NEXT: %g = nn.concat [%e, %o] axis = 1 {place = array<i64: {{[0-9]+}}>}
// CHECK: %f = nn.neg %e {place = array<i64: -1>}
// CHECK-NEXT: %k = blas.matmul %x, %w {place = array<i64: {{[0-9]+}}>}
// CHECK: %h = nn.concat [%k, %l] axis = 1 {place = array<i64: -1>}
func.func @main(%x: tensor<6x8xf16>, %y: tensor<6x16xf16>, %w: tensor<8x16xf16>, %v: tensor<8x3xf16>) -> (tensor<6x80xf16>, tensor<6x19xf16>, tensor<6x16xf16>, tensor<6x32xf16>) {
  %a = blas.matmul %x, %w : (tensor<6x8xf16>, tensor<8x16xf16>) -> tensor<6x16xf16>
  %b = blas.matmul %x, %w : (tensor<6x8xf16>, tensor<8x16xf16>) -> tensor<6x16xf16>
  %n0 = nn.neg %y : tensor<6x16xf16>
  %n1 = nn.neg %x : tensor<6x8xf16>
  %n = nn.concat [%n1, %n1] axis = 1 : (tensor<6x8xf16>, tensor<6x8xf16>) -> tensor<6x16xf16>
  %m = nn.neg %n0 : tensor<6x16xf16>
  %c = nn.concat [%a, %b, %b, %n, %m] axis = 1 : (tensor<6x16xf16>, tensor<6x16xf16>, tensor<6x16xf16>, tensor<6x16xf16>, tensor<6x16xf16>) -> tensor<6x80xf16>
  %c1 = nn.neg %c : tensor<6x80xf16>
  %e = blas.matmul %x, %w : (tensor<6x8xf16>, tensor<8x16xf16>) -> tensor<6x16xf16>
  %o = blas.matmul %x, %v : (tensor<6x8xf16>, tensor<8x3xf16>) -> tensor<6x3xf16>
  %g = nn.concat [%e, %o] axis = 1 : (tensor<6x16xf16>, tensor<6x3xf16>) -> tensor<6x19xf16>
  %g1 = nn.neg %g : tensor<6x19xf16>
  %f = nn.neg %e : tensor<6x16xf16>
  %k = blas.matmul %x, %w : (tensor<6x8xf16>, tensor<8x16xf16>) -> tensor<6x16xf16>
  %l = blas.matmul %x, %w : (tensor<6x8xf16>, tensor<8x16xf16>) -> tensor<6x16xf16>
  %h = nn.concat [%k, %l] axis = 1 : (tensor<6x16xf16>, tensor<6x16xf16>) -> tensor<6x32xf16>
  func.return %c1, %g1, %f, %h : tensor<6x80xf16>, tensor<6x19xf16>, tensor<6x16xf16>, tensor<6x32xf16>
}

// -----

// Convolutions and pools write such rows, but not cuDNN's ready kernels (%d), nor an engine of its own that errs with them
// (%e): these pieces are copied. What reads an image reads them too, and so do resizes and transposes.

// CHECK-LABEL: func.func @main
// CHECK: %a = cuda.conv {{.*}} {place = array<i64: {{[0-9]+}}>, pitch = array<i64: 80>}
// CHECK-NEXT: %b = cudnn.conv %a, {{.*}} {place = array<i64: {{[0-9]+}}>, pitch = array<i64: 80>}
// CHECK-NEXT: %c = nn.max_pool %b {{.*}} {place = array<i64: {{[0-9]+}}>, pitch = array<i64: 80>}
// CHECK-NEXT: %d = cudnn.conv {{.*}} {place = array<i64: {{[0-9]+}}>} :
// CHECK-NEXT: %e = cudnn.conv {{.*}} {place = array<i64: {{[0-9]+}}>} :
// CHECK: %h = nn.resize %a {{.*}} {place = array<i64: {{[0-9]+}}>, pitch = array<i64: 32>}
// CHECK-NEXT: %j = nn.transpose %h {{.*}} {place = array<i64: {{[0-9]+}}>, pitch = array<i64: 32>}
func.func @main(%x: tensor<2x4x4x8xf16>) -> (tensor<2x4x4x40xf16>, tensor<2x8x8x16xf16>) {
  %w = nn.parameter "w" : tensor<8x1x1x8xf16>
  %a = cuda.conv %x, %w layout = "nhwc" : (tensor<2x4x4x8xf16>, tensor<8x1x1x8xf16>) -> tensor<2x4x4x8xf16>
  %b = cudnn.conv %a, %w residual %x layout = "nhwc" spelling = "runtime" plan = "eng4_k24=10" : (tensor<2x4x4x8xf16>, tensor<8x1x1x8xf16>, tensor<2x4x4x8xf16>) -> tensor<2x4x4x8xf16>
  %c = nn.max_pool %b kernel_shape [3, 3] pads [1, 1, 1, 1] layout = "nhwc" : (tensor<2x4x4x8xf16>) -> tensor<2x4x4x8xf16>
  %d = cudnn.conv %x, %w layout = "nhwc" : (tensor<2x4x4x8xf16>, tensor<8x1x1x8xf16>) -> tensor<2x4x4x8xf16>
  %e = cudnn.conv %x, %w layout = "nhwc" spelling = "runtime" plan = "eng8" : (tensor<2x4x4x8xf16>, tensor<8x1x1x8xf16>) -> tensor<2x4x4x8xf16>
  %f = nn.concat [%a, %b, %c, %d, %e] axis = 3 : (tensor<2x4x4x8xf16>, tensor<2x4x4x8xf16>, tensor<2x4x4x8xf16>, tensor<2x4x4x8xf16>, tensor<2x4x4x8xf16>) -> tensor<2x4x4x40xf16>
  %g = nn.neg %f : tensor<2x4x4x40xf16>
  %s = nn.constant dense<[2.0, 2.0]> : tensor<2xf32>
  %h = nn.resize %a scales %s axes [1, 2] : (tensor<2x4x4x8xf16>, tensor<2xf32>) -> tensor<2x8x8x8xf16>
  %j = nn.transpose %h perm [0, 2, 1, 3] : (tensor<2x8x8x8xf16>) -> tensor<2x8x8x8xf16>
  %k = nn.concat [%h, %j] axis = 3 : (tensor<2x8x8x8xf16>, tensor<2x8x8x8xf16>) -> tensor<2x8x8x16xf16>
  %l = nn.neg %k : tensor<2x8x8x16xf16>
  func.return %g, %l : tensor<2x4x4x40xf16>, tensor<2x8x8x16xf16>
}

// -----

// A cross-stage block: %a goes into %c whole, and its second half, read where it is, goes on to the third piece. A
// concatenation is a piece of another one (%c of %e): all its pieces are.

// CHECK-LABEL: func.func @main
// CHECK: %a = blas.matmul %x, %w {place = array<i64: 0>, pitch = array<i64: 128>}
// CHECK-NEXT: %l, %r = nn.split %a {{.*}} {place = array<i64: 0, 32>, pitch = array<i64: 128, 128>}
// CHECK-NEXT: %b = blas.matmul %r, %v {place = array<i64: 64>, pitch = array<i64: 128>}
// CHECK-NEXT: %c = nn.concat [%a, %b] axis = 1 {place = array<i64: 0>, pitch = array<i64: 128>}
// CHECK-NEXT: %d = blas.matmul %c, %u {place = array<i64: 96>, pitch = array<i64: 128>}
// CHECK-NEXT: %e = nn.concat [%c, %d] axis = 1 {place = array<i64: 0>}
// CHECK-NEXT: %f = blas.matmul %l, %v {place = array<i64: {{[0-9]+}}>} :
func.func @main(%x: tensor<6x8xf16>, %w: tensor<8x32xf16>, %v: tensor<16x16xf16>, %u: tensor<48x16xf16>) -> (tensor<6x64xf16>, tensor<6x16xf16>) {
  %a = blas.matmul %x, %w : (tensor<6x8xf16>, tensor<8x32xf16>) -> tensor<6x32xf16>
  %l, %r = nn.split %a axis = 1 num_outputs = 2 : (tensor<6x32xf16>) -> (tensor<6x16xf16>, tensor<6x16xf16>)
  %b = blas.matmul %r, %v : (tensor<6x16xf16>, tensor<16x16xf16>) -> tensor<6x16xf16>
  %c = nn.concat [%a, %b] axis = 1 : (tensor<6x32xf16>, tensor<6x16xf16>) -> tensor<6x48xf16>
  %d = blas.matmul %c, %u : (tensor<6x48xf16>, tensor<48x16xf16>) -> tensor<6x16xf16>
  %e = nn.concat [%c, %d] axis = 1 : (tensor<6x48xf16>, tensor<6x16xf16>) -> tensor<6x64xf16>
  %f = blas.matmul %l, %v : (tensor<6x16xf16>, tensor<16x16xf16>) -> tensor<6x16xf16>
  %g = nn.neg %e : tensor<6x64xf16>
  %h = nn.neg %f : tensor<6x16xf16>
  func.return %g, %h : tensor<6x64xf16>, tensor<6x16xf16>
}

// -----

// Nor where there is a view of some of the rows, read or not: it would not know of the gaps.

// CHECK-LABEL: func.func @main
// CHECK: %a = blas.matmul %x, %w {place = array<i64: {{[0-9]+}}>} :
// CHECK: %p, %q = nn.split %a num_outputs = 2 {place = array<i64: {{[0-9]+, [0-9]+}}>} :
// CHECK: %b = blas.matmul %x, %w {place = array<i64: {{[0-9]+}}>, pitch = array<i64: 64>} :
func.func @main(%x: tensor<6x8xf16>, %w: tensor<8x16xf16>) -> tensor<6x32xf16> {
  %a = blas.matmul %x, %w : (tensor<6x8xf16>, tensor<8x16xf16>) -> tensor<6x16xf16>
  %p, %q = nn.split %a num_outputs = 2 : (tensor<6x16xf16>) -> (tensor<3x16xf16>, tensor<3x16xf16>)
  %b = blas.matmul %x, %w : (tensor<6x8xf16>, tensor<8x16xf16>) -> tensor<6x16xf16>
  %c = nn.concat [%a, %b] axis = 1 : (tensor<6x16xf16>, tensor<6x16xf16>) -> tensor<6x32xf16>
  %d = nn.neg %c : tensor<6x32xf16>
  func.return %d : tensor<6x32xf16>
}

// -----

// What is returned lies outside the arena, where no rows lie apart: %r is copied.

// CHECK-LABEL: func.func @main
// CHECK: %p = blas.matmul %x, %w {place = array<i64: 0>, pitch = array<i64: 64>}
// CHECK: %c = nn.concat [%p, %q] axis = 1 {place = array<i64: 0>}
// CHECK: %r = nn.reshape %c, {{.*}} {place = array<i64: -1>}
func.func @main(%x: tensor<6x16xf16>, %w: tensor<16x16xf16>) -> tensor<12x16xf16> {
  %p = blas.matmul %x, %w : (tensor<6x16xf16>, tensor<16x16xf16>) -> tensor<6x16xf16>
  %q = blas.matmul %x, %w : (tensor<6x16xf16>, tensor<16x16xf16>) -> tensor<6x16xf16>
  %c = nn.concat [%p, %q] axis = 1 : (tensor<6x16xf16>, tensor<6x16xf16>) -> tensor<6x32xf16>
  %i = nn.constant dense<[12, 16]> : tensor<2xi64>
  %r = nn.reshape %c, %i : (tensor<6x32xf16>, tensor<2xi64>) -> tensor<12x16xf16>
  func.return %r : tensor<12x16xf16>
}

// -----

// Nor is what has such rows put where they would not begin at 16 bytes: %e is %c's, and copied into %f, at 6 bytes.

// CHECK-LABEL: func.func @main
// CHECK: %c = nn.concat [%p, %q] axis = 1 {place = array<i64: 0>}
// CHECK: %e = nn.reshape %c, {{.*}} {place = array<i64: 0>}
// CHECK: %f = nn.concat [%s, %e] axis = 0 {place = array<i64: 512>}
func.func @main(%x: tensor<6x16xf16>, %w: tensor<16x16xf16>, %y: tensor<3xf16>) -> tensor<195xf16> {
  %p = blas.matmul %x, %w : (tensor<6x16xf16>, tensor<16x16xf16>) -> tensor<6x16xf16>
  %q = blas.matmul %x, %w : (tensor<6x16xf16>, tensor<16x16xf16>) -> tensor<6x16xf16>
  %c = nn.concat [%p, %q] axis = 1 : (tensor<6x16xf16>, tensor<6x16xf16>) -> tensor<6x32xf16>
  %j = nn.constant dense<[192]> : tensor<1xi64>
  %e = nn.reshape %c, %j : (tensor<6x32xf16>, tensor<1xi64>) -> tensor<192xf16>
  %s = nn.neg %y : tensor<3xf16>
  %f = nn.concat [%s, %e] axis = 0 : (tensor<3xf16>, tensor<192xf16>) -> tensor<195xf16>
  %g = nn.neg %f : tensor<195xf16>
  func.return %g : tensor<195xf16>
}

// -----

// Pieces of rows that are read: a convolution and (through a view of the same rows) a product find them where they are.
// Nothing is written over the whole (%n is not) before they have.

// CHECK-LABEL: func.func @main
// CHECK: %a = nn.neg %x {place = array<i64: 0>}
// CHECK-NEXT: %p, %q = nn.split %a axis = 3 num_outputs = 2 {place = array<i64: 0, 32>, pitch = array<i64: 64, 64>}
// CHECK: %s = nn.slice %a, {{.*}} {place = array<i64: 16>, pitch = array<i64: 64>}
// CHECK: %r = nn.reshape %q, {{.*}} {place = array<i64: 32>, pitch = array<i64: 64>}
// CHECK-NEXT: %n = nn.abs %a {place = array<i64: 768>}
// CHECK-NEXT: %b = cuda.conv %p, {{.*}} {place = array<i64: {{[0-9]+}}>} :
// CHECK: %e = nn.sub %n, %d {place = array<i64: 768>}
func.func @main(%x: tensor<2x2x3x32xf16>, %w: tensor<16x1x1x16xf16>, %v: tensor<16x16xf16>) -> (tensor<2x2x3x16xf16>, tensor<2x2x3x16xf16>, tensor<2x2x3x32xf16>) {
  %a = nn.neg %x : tensor<2x2x3x32xf16>
  %p, %q = nn.split %a axis = 3 num_outputs = 2 : (tensor<2x2x3x32xf16>) -> (tensor<2x2x3x16xf16>, tensor<2x2x3x16xf16>)
  %k = nn.constant dense<8> : tensor<1xi64>
  %l = nn.constant dense<24> : tensor<1xi64>
  %t = nn.constant dense<3> : tensor<1xi64>
  %s = nn.slice %a, %k, %l axes %t : (tensor<2x2x3x32xf16>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<2x2x3x16xf16>
  %i = nn.constant dense<[12, 16]> : tensor<2xi64>
  %r = nn.reshape %q, %i : (tensor<2x2x3x16xf16>, tensor<2xi64>) -> tensor<12x16xf16>
  %n = nn.abs %a : tensor<2x2x3x32xf16>
  %b = cuda.conv %p, %w layout = "nhwc" : (tensor<2x2x3x16xf16>, tensor<16x1x1x16xf16>) -> tensor<2x2x3x16xf16>
  %c = cuda.conv %s, %w residual %b layout = "nhwc" : (tensor<2x2x3x16xf16>, tensor<16x1x1x16xf16>, tensor<2x2x3x16xf16>) -> tensor<2x2x3x16xf16>
  %m = blas.matmul %r, %v : (tensor<12x16xf16>, tensor<16x16xf16>) -> tensor<12x16xf16>
  %j = nn.constant dense<[2, 2, 3, 16]> : tensor<4xi64>
  %u = nn.reshape %m, %j : (tensor<12x16xf16>, tensor<4xi64>) -> tensor<2x2x3x16xf16>
  %f = nn.add %u, %u : tensor<2x2x3x16xf16>
  %d = nn.concat [%f, %f] axis = 3 : (tensor<2x2x3x16xf16>, tensor<2x2x3x16xf16>) -> tensor<2x2x3x32xf16>
  %e = nn.sub %n, %d : tensor<2x2x3x32xf16>
  %y = nn.neg %e : tensor<2x2x3x32xf16>
  %z = nn.neg %c : tensor<2x2x3x16xf16>
  %g = nn.neg %c : tensor<2x2x3x16xf16>
  func.return %z, %g, %y : tensor<2x2x3x16xf16>, tensor<2x2x3x16xf16>, tensor<2x2x3x32xf16>
}

// -----

// They are copied where one reader cannot (%b's neg, %c as residual, cuDNN for %d, %e transposed, a view of other rows), where
// they are returned (%g) or do not begin at 16 bytes (%h), and out of an argument (%i). The other piece is not.

// CHECK-LABEL: func.func @main
// CHECK: %p, %b = nn.split %a {{.*}}, pitch = array<i64: 64, 0>}
// CHECK-NEXT: %q, %c = nn.split %a {{.*}}, pitch = array<i64: 64, 0>}
// CHECK-NEXT: %r, %d = nn.split %a {{.*}}, pitch = array<i64: 64, 0>}
// CHECK-NEXT: %s, %e = nn.split %a {{.*}}, pitch = array<i64: 64, 0>}
// CHECK-NEXT: %t, %f = nn.split %a {{.*}}, pitch = array<i64: 64, 0>}
// CHECK-NEXT: %u, %g = nn.split %a {{.*}}, -1>, pitch = array<i64: 64, 0>}
// CHECK: %h0, %h = nn.split %a {{.*}}, pitch = array<i64: 64, 0>}
// CHECK-NEXT: %i0, %i = nn.split %x axis = 1 num_outputs = 2 {place = array<i64: {{[0-9]+, [0-9]+}}>} :
func.func @main(%x: tensor<16x32xf16>, %v: tensor<16x16xf16>, %o: tensor<4x1x1x4xf16>, %k: tensor<12x16xf16>, %j: tensor<20x16xf16>, %w: tensor<16x1x1x16xf16>) -> (tensor<16x16xf16>, tensor<16x16xf16>, tensor<16x16xf16>, tensor<16x16xf16>, tensor<16x16xf16>, tensor<16x16xf16>, tensor<32x16xf16>, tensor<1x4x4x16xf16>) {
  %a = nn.neg %x : tensor<16x32xf16>
  %p, %b = nn.split %a axis = 1 num_outputs = 2 : (tensor<16x32xf16>) -> (tensor<16x16xf16>, tensor<16x16xf16>)
  %q, %c = nn.split %a axis = 1 num_outputs = 2 : (tensor<16x32xf16>) -> (tensor<16x16xf16>, tensor<16x16xf16>)
  %r, %d = nn.split %a axis = 1 num_outputs = 2 : (tensor<16x32xf16>) -> (tensor<16x16xf16>, tensor<16x16xf16>)
  %s, %e = nn.split %a axis = 1 num_outputs = 2 : (tensor<16x32xf16>) -> (tensor<16x16xf16>, tensor<16x16xf16>)
  %t, %f = nn.split %a axis = 1 num_outputs = 2 : (tensor<16x32xf16>) -> (tensor<16x16xf16>, tensor<16x16xf16>)
  %u, %g = nn.split %a axis = 1 num_outputs = 2 : (tensor<16x32xf16>) -> (tensor<16x16xf16>, tensor<16x16xf16>)
  %n = nn.constant dense<[20, 12]> : tensor<2xi64>
  %h0, %h = nn.split %a split %n axis = 1 num_outputs = 2 : (tensor<16x32xf16>, tensor<2xi64>) -> (tensor<16x20xf16>, tensor<16x12xf16>)
  %i0, %i = nn.split %x axis = 1 num_outputs = 2 : (tensor<16x32xf16>) -> (tensor<16x16xf16>, tensor<16x16xf16>)
  %b1 = nn.neg %b : tensor<16x16xf16>
  %b2 = blas.matmul %b, %v : (tensor<16x16xf16>, tensor<16x16xf16>) -> tensor<16x16xf16>
  %b3 = blas.matmul %p, %v c %b1 beta = 1.0 : (tensor<16x16xf16>, tensor<16x16xf16>, tensor<16x16xf16>) -> tensor<16x16xf16>
  %c1 = blas.matmul %q, %b2 c %c beta = 1.0 : (tensor<16x16xf16>, tensor<16x16xf16>, tensor<16x16xf16>) -> tensor<16x16xf16>
  %m = nn.constant dense<[1, 4, 4, 16]> : tensor<4xi64>
  %d0 = nn.reshape %d, %m : (tensor<16x16xf16>, tensor<4xi64>) -> tensor<1x4x4x16xf16>
  %d1 = cudnn.conv %d0, %w layout = "nhwc" : (tensor<1x4x4x16xf16>, tensor<16x1x1x16xf16>) -> tensor<1x4x4x16xf16>
  %e1 = blas.matmul %e, %v transA = 1 : (tensor<16x16xf16>, tensor<16x16xf16>) -> tensor<16x16xf16>
  %e2 = blas.matmul %r, %e1 : (tensor<16x16xf16>, tensor<16x16xf16>) -> tensor<16x16xf16>
  %l = nn.constant dense<[32, 8]> : tensor<2xi64>
  %f1 = nn.reshape %f, %l : (tensor<16x16xf16>, tensor<2xi64>) -> tensor<32x8xf16>
  %f2 = nn.concat [%f1, %f1] axis = 1 : (tensor<32x8xf16>, tensor<32x8xf16>) -> tensor<32x16xf16>
  %s1 = blas.matmul %s, %v : (tensor<16x16xf16>, tensor<16x16xf16>) -> tensor<16x16xf16>
  %t1 = blas.matmul %t, %s1 : (tensor<16x16xf16>, tensor<16x16xf16>) -> tensor<16x16xf16>
  %u1 = blas.matmul %u, %t1 : (tensor<16x16xf16>, tensor<16x16xf16>) -> tensor<16x16xf16>
  %h1 = blas.matmul %h, %k : (tensor<16x12xf16>, tensor<12x16xf16>) -> tensor<16x16xf16>
  %h2 = blas.matmul %h0, %j : (tensor<16x20xf16>, tensor<20x16xf16>) -> tensor<16x16xf16>
  %h3 = nn.add %h1, %h2 : tensor<16x16xf16>
  %i1 = blas.matmul %i0, %i : (tensor<16x16xf16>, tensor<16x16xf16>) -> tensor<16x16xf16>
  %i2 = nn.add %i1, %u1 : tensor<16x16xf16>
  func.return %b3, %c1, %e2, %i2, %h3, %g, %f2, %d1 : tensor<16x16xf16>, tensor<16x16xf16>, tensor<16x16xf16>, tensor<16x16xf16>, tensor<16x16xf16>, tensor<16x16xf16>, tensor<32x16xf16>, tensor<1x4x4x16xf16>
}

// -----

// What is returned lies outside the arena, where nothing is apart: %r is copied, %p is not. And what has such pieces is
// not put where they would not begin at 16 bytes (%e is, in %f, %c is not).

// CHECK-LABEL: func.func @main
// CHECK: %a = nn.neg %x {place = array<i64: [[A:[0-9]+]]>}
// CHECK-NEXT: %p, %q = nn.split %a {{.*}} {place = array<i64: [[A]], {{[0-9]+}}>, pitch = array<i64: 64, 64>}
// CHECK: %r = nn.reshape %a, {{.*}} {place = array<i64: -1>}
// CHECK: %c = nn.concat [%p1, %q1] axis = 1 {place = array<i64: 512>}
// CHECK: %e = nn.reshape %c, {{.*}} {place = array<i64: 512>}
// CHECK: %f = nn.concat [%s, %e] axis = 0 {place = array<i64: 0>}
func.func @main(%x: tensor<6x32xf16>, %w: tensor<16x16xf16>, %y: tensor<3xf16>) -> (tensor<12x16xf16>, tensor<195xf16>) {
  %a = nn.neg %x : tensor<6x32xf16>
  %p, %q = nn.split %a axis = 1 num_outputs = 2 : (tensor<6x32xf16>) -> (tensor<6x16xf16>, tensor<6x16xf16>)
  %i = nn.constant dense<[12, 16]> : tensor<2xi64>
  %r = nn.reshape %a, %i : (tensor<6x32xf16>, tensor<2xi64>) -> tensor<12x16xf16>
  %p1 = blas.matmul %p, %w : (tensor<6x16xf16>, tensor<16x16xf16>) -> tensor<6x16xf16>
  %q1 = blas.matmul %q, %w : (tensor<6x16xf16>, tensor<16x16xf16>) -> tensor<6x16xf16>
  %c = nn.concat [%p1, %q1] axis = 1 : (tensor<6x16xf16>, tensor<6x16xf16>) -> tensor<6x32xf16>
  %j = nn.constant dense<[192]> : tensor<1xi64>
  %e = nn.reshape %c, %j : (tensor<6x32xf16>, tensor<1xi64>) -> tensor<192xf16>
  %s = nn.neg %y : tensor<3xf16>
  %f = nn.concat [%s, %e] axis = 0 : (tensor<3xf16>, tensor<192xf16>) -> tensor<195xf16>
  %g = nn.neg %f : tensor<195xf16>
  func.return %r, %g : tensor<12x16xf16>, tensor<195xf16>
}

// -----

// Nor is it written over by what begins elsewhere (%t).

// CHECK-LABEL: func.func @main
// CHECK: %c = nn.concat [%p, %q] axis = 1 {place = array<i64: 0>}
// CHECK: %t = nn.neg %e {place = array<i64: 518>}
// CHECK: %f = nn.concat [%s, %t] axis = 0 {place = array<i64: 512>}
func.func @main(%x: tensor<6x16xf16>, %w: tensor<16x16xf16>, %y: tensor<3xf16>) -> tensor<195xf16> {
  %p = blas.matmul %x, %w : (tensor<6x16xf16>, tensor<16x16xf16>) -> tensor<6x16xf16>
  %q = blas.matmul %x, %w : (tensor<6x16xf16>, tensor<16x16xf16>) -> tensor<6x16xf16>
  %c = nn.concat [%p, %q] axis = 1 : (tensor<6x16xf16>, tensor<6x16xf16>) -> tensor<6x32xf16>
  %j = nn.constant dense<[192]> : tensor<1xi64>
  %e = nn.reshape %c, %j : (tensor<6x32xf16>, tensor<1xi64>) -> tensor<192xf16>
  %s = nn.neg %y : tensor<3xf16>
  %t = nn.neg %e : tensor<192xf16>
  %f = nn.concat [%s, %t] axis = 0 : (tensor<3xf16>, tensor<192xf16>) -> tensor<195xf16>
  %g = nn.neg %f : tensor<195xf16>
  func.return %g : tensor<195xf16>
}
