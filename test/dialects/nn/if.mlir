// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// If: branches with what they capture, in both forms and back.

func.func @two_branches(%c: tensor<i1>, %x: tensor<2x3xf32>) -> (tensor<?x3xf32>, tensor<2x3xf32>) {
  %r, %s = nn.if cond %c : tensor<i1> {key = 1 : i64} then captures (%a = %x : tensor<2x3xf32>, %k : tensor<?x3xf32> = %x : tensor<2x3xf32>) {
    %v = nn.add %a, %k : (tensor<2x3xf32>, tensor<?x3xf32>) -> tensor<2x3xf32>
    nn.yield %v, %a : tensor<2x3xf32>, tensor<2x3xf32>
  } else captures (%b = %x : tensor<2x3xf32>) {
    %w = nn.concat [%b, %b] axis = 0 : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<4x3xf32>
    nn.yield %w, %b : tensor<4x3xf32>, tensor<2x3xf32>
  } : tensor<?x3xf32>, tensor<2x3xf32>
  func.return %r, %s : tensor<?x3xf32>, tensor<2x3xf32>
}

func.func @nested(%c: tensor<i1>, %x: tensor<f32>) -> tensor<f32> {
  %r = nn.if cond %c : tensor<i1> then captures (%d = %c : tensor<i1>, %a = %x : tensor<f32>) {
    %s = nn.if cond %d : tensor<i1> then captures (%i = %a : tensor<f32>) {
      nn.yield %i : tensor<f32>
    } else captures (%j = %a : tensor<f32>) {
      %n = nn.neg %j : tensor<f32>
      nn.yield %n : tensor<f32>
    } : tensor<f32>
    nn.yield %s : tensor<f32>
  } else {
    %k = nn.constant 1.0 : f32 as tensor<f32>
    nn.yield %k : tensor<f32>
  } : tensor<f32>
  func.return %r : tensor<f32>
}

func.func @assumed(%c: tensor<i1>, %x: tensor<f32>) -> tensor<f32> {
  %r = nn.if cond %c : tensor<i1> assumed = "then" reason = "the ranks differ" then captures (%a = %x : tensor<f32>) {
    nn.yield %a : tensor<f32>
  } else {
    nn.yield
  } : tensor<f32>
  func.return %r : tensor<f32>
}

// CHECK-LABEL: func.func @two_branches(%c: tensor<i1>, %x: tensor<2x3xf32>) -> (tensor<?x3xf32>, tensor<2x3xf32>) {
// CHECK-NEXT:     %r, %s = nn.if cond %c : tensor<i1> {key = 1 : i64} then captures (%a = %x : tensor<2x3xf32>, %k : tensor<?x3xf32> = %x : tensor<2x3xf32>) {
// CHECK-NEXT:       %v = nn.add %a, %k : (tensor<2x3xf32>, tensor<?x3xf32>) -> tensor<2x3xf32>
// CHECK-NEXT:       nn.yield %v, %a : tensor<2x3xf32>, tensor<2x3xf32>
// CHECK-NEXT:     } else captures (%b = %x : tensor<2x3xf32>) {
// CHECK-NEXT:       %w = nn.concat [%b, %b] axis = 0 : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<4x3xf32>
// CHECK-NEXT:       nn.yield %w, %b : tensor<4x3xf32>, tensor<2x3xf32>
// CHECK-NEXT:     } : tensor<?x3xf32>, tensor<2x3xf32>
// CHECK-NEXT:     func.return %r, %s : tensor<?x3xf32>, tensor<2x3xf32>
// CHECK-NEXT:   }
// CHECK-LABEL: func.func @nested(%c: tensor<i1>, %x: tensor<f32>) -> tensor<f32> {
// CHECK-NEXT:     %r = nn.if cond %c : tensor<i1> then captures (%d = %c : tensor<i1>, %a = %x : tensor<f32>) {
// CHECK-NEXT:       %s = nn.if cond %d : tensor<i1> then captures (%i = %a : tensor<f32>) {
// CHECK-NEXT:         nn.yield %i : tensor<f32>
// CHECK-NEXT:       } else captures (%j = %a : tensor<f32>) {
// CHECK-NEXT:         %n = nn.neg %j : tensor<f32>
// CHECK-NEXT:         nn.yield %n : tensor<f32>
// CHECK-NEXT:       } : tensor<f32>
// CHECK-NEXT:       nn.yield %s : tensor<f32>
// CHECK-NEXT:     } else {
// CHECK-NEXT:       %k = nn.constant 1.000000e+00 : f32 as tensor<f32>
// CHECK-NEXT:       nn.yield %k : tensor<f32>
// CHECK-NEXT:     } : tensor<f32>
// CHECK-NEXT:     func.return %r : tensor<f32>
// CHECK-NEXT:   }
// CHECK-LABEL: func.func @assumed(%c: tensor<i1>, %x: tensor<f32>) -> tensor<f32> {
// CHECK-NEXT:     %r = nn.if cond %c : tensor<i1> assumed = "then" reason = "the ranks differ" then captures (%a = %x : tensor<f32>) {
// CHECK-NEXT:       nn.yield %a : tensor<f32>
// CHECK-NEXT:     } else {
// CHECK-NEXT:       nn.yield
// CHECK-NEXT:     } : tensor<f32>
// CHECK-NEXT:     func.return %r : tensor<f32>
// CHECK-NEXT:   }
