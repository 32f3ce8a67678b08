// RUN: fuse-opt %s -p 'plan-memory{streams=2}' | filecheck %s
// RUN: fuse-opt %s -p 'plan-memory{streams=2},plan-memory' | filecheck %s --check-prefix=ONE
// RUN: not fuse-opt %s -p 'plan-memory{streams=0}' 2>&1 | filecheck %s --check-prefix=NONE

// Two branches: what the second computes may be under way while the first is, so that %c and %d keep clear of %a and
// %b. On one stream they take their places. %e needs both, and %f needs %e: by then %a and %c are done with.

// CHECK-LABEL: func.func @main
// CHECK-SAME: attributes {nn.arena = 1024 : i64, nn.streams = 2 : i64}
// CHECK: %a = nn.transpose %x perm [1, 0] {place = array<i64: 0>}
// CHECK: %b = nn.transpose %a perm [1, 0] {place = array<i64: 256>}
// CHECK: %c = nn.transpose %y perm [1, 0] {place = array<i64: 512>}
// CHECK: %d = nn.transpose %c perm [1, 0] {place = array<i64: 768>}
// CHECK: %e = nn.add %b, %d {place = array<i64: 256>}
// CHECK: %f = nn.transpose %e perm [1, 0] {place = array<i64: 0>}

// ONE-LABEL: func.func @main
// ONE-SAME: attributes {nn.arena = 768 : i64} {

// NONE: 0 is no number of streams (1 to 16)
func.func @main(%x: tensor<8x8xf32>, %y: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %a = nn.transpose %x perm [1, 0] : tensor<8x8xf32>
  %b = nn.transpose %a perm [1, 0] : tensor<8x8xf32>
  %c = nn.transpose %y perm [1, 0] : tensor<8x8xf32>
  %d = nn.transpose %c perm [1, 0] : tensor<8x8xf32>
  %e = nn.add %b, %d : tensor<8x8xf32>
  %f = nn.transpose %e perm [1, 0] : tensor<8x8xf32>
  %g = nn.neg %f : tensor<8x8xf32>
  func.return %g : tensor<8x8xf32>
}
