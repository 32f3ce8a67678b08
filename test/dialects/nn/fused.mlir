// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | filecheck %s --check-prefix=GENERIC
// RUN: fuse-opt %s -p cse,dce,canonicalize | filecheck %s

// CHECK-LABEL: @concat_and_scale
// CHECK-NEXT: %z = nn.fused [%x, %y, %s] {kept = 1 : i64} : (tensor<2x8xf16>, tensor<2x4xf16>, tensor<12xf16>) -> tensor<2x12xf16> {
// CHECK-NEXT: ^bb0(%x_1: tensor<2x8xf16>, %y_1: tensor<2x4xf16>, %s_1: tensor<12xf16>):
// CHECK-NEXT:   %c = nn.concat [%x_1, %y_1] axis = 1 : (tensor<2x8xf16>, tensor<2x4xf16>) -> tensor<2x12xf16>
// CHECK-NEXT:   %m = nn.mul %c, %s_1 : (tensor<2x12xf16>, tensor<12xf16>) -> tensor<2x12xf16>
// CHECK-NEXT:   nn.yield %m : tensor<2x12xf16>
// CHECK-NEXT: }
// CHECK-NEXT: func.return %z
// GENERIC: %z = "nn.fused"(%x, %y, %s) ({
// GENERIC: "nn.yield"(%m) : (tensor<2x12xf16>) -> ()
func.func @concat_and_scale(%x: tensor<2x8xf16>, %y: tensor<2x4xf16>, %s: tensor<12xf16>) -> tensor<2x12xf16> {
  %z = nn.fused [%x, %y, %s] {kept = 1 : i64} : (tensor<2x8xf16>, tensor<2x4xf16>, tensor<12xf16>) -> tensor<2x12xf16> {
  ^bb0(%x_1: tensor<2x8xf16>, %y_1: tensor<2x4xf16>, %s_1: tensor<12xf16>):
    %c = nn.concat [%x_1, %y_1] axis = 1 : (tensor<2x8xf16>, tensor<2x4xf16>) -> tensor<2x12xf16>
    %m = nn.mul %c, %s_1 : (tensor<2x12xf16>, tensor<12xf16>) -> tensor<2x12xf16>
    nn.yield %m : tensor<2x12xf16>
  }
  func.return %z : tensor<2x12xf16>
}

// CHECK-LABEL: @two_results
// CHECK-NEXT: %s, %r = nn.fused [%x] : (tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
// CHECK: nn.yield %{{.*}}, %{{.*}} : tensor<4xf32>, tensor<4xf32>
func.func @two_results(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %s, %r = nn.fused [%x] : (tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  ^bb0(%a: tensor<4xf32>):
    %e = nn.exp %a : tensor<4xf32>
    %n = nn.neg %e : tensor<4xf32>
    nn.yield %e, %n : tensor<4xf32>, tensor<4xf32>
  }
  func.return %s, %r : tensor<4xf32>, tensor<4xf32>
}
