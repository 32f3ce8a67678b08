// RUN: fuse-opt %s -p canonicalize | filecheck %s
// RUN: fuse-opt %s -p canonicalize --remarks -o /dev/null 2>&1 | filecheck %s --check-prefix=REMARK

// The cube as Pow, as a product or factored out; sums and products in any order.

func.func @gelu_tanh(%x: tensor<?x3xf32>) -> (tensor<?x3xf32>, tensor<?x3xf32>, tensor<?x3xf32>) {
  %half = nn.constant 0.5 : f32 as tensor<f32>
  %one = nn.constant 1.0 : f32 as tensor<f32>
  %three = nn.constant 3.0 : f32 as tensor<f32>
  %k = nn.constant 0.044715 : f32 as tensor<f32>
  %root = nn.constant 0.7978846 : f32 as tensor<f32>
  %a = nn.pow %x, %three : (tensor<?x3xf32>, tensor<f32>) -> tensor<?x3xf32> loc("cube")
  %b = nn.mul %k, %a : (tensor<f32>, tensor<?x3xf32>) -> tensor<?x3xf32> loc("scaled")
  %c = nn.add %x, %b : tensor<?x3xf32> loc("sum")
  %d = nn.mul %root, %c : (tensor<f32>, tensor<?x3xf32>) -> tensor<?x3xf32> loc("root")
  %e = nn.tanh %d : tensor<?x3xf32> loc("tanh")
  %f = nn.add %one, %e : (tensor<f32>, tensor<?x3xf32>) -> tensor<?x3xf32> loc("plus_1")
  %g = nn.mul %half, %x : (tensor<f32>, tensor<?x3xf32>) -> tensor<?x3xf32> loc("half")
  %0 = nn.mul %g, %f : tensor<?x3xf32> loc("product")
  %h = nn.mul %x, %x : tensor<?x3xf32>
  %i = nn.mul %x, %h : tensor<?x3xf32>
  %j = nn.mul %i, %k : (tensor<?x3xf32>, tensor<f32>) -> tensor<?x3xf32>
  %l = nn.add %j, %x : tensor<?x3xf32>
  %m = nn.mul %l, %root : (tensor<?x3xf32>, tensor<f32>) -> tensor<?x3xf32>
  %n = nn.tanh %m : tensor<?x3xf32>
  %o = nn.add %n, %one : (tensor<?x3xf32>, tensor<f32>) -> tensor<?x3xf32>
  %p = nn.mul %o, %x : tensor<?x3xf32>
  %1 = nn.mul %p, %half : (tensor<?x3xf32>, tensor<f32>) -> tensor<?x3xf32>
  %q = nn.mul %x, %root : (tensor<?x3xf32>, tensor<f32>) -> tensor<?x3xf32>
  %r = nn.mul %x, %k : (tensor<?x3xf32>, tensor<f32>) -> tensor<?x3xf32>
  %s = nn.mul %r, %x : tensor<?x3xf32>
  %t = nn.add %s, %one : (tensor<?x3xf32>, tensor<f32>) -> tensor<?x3xf32>
  %u = nn.mul %q, %t : tensor<?x3xf32>
  %v = nn.tanh %u : tensor<?x3xf32>
  %w = nn.add %v, %one : (tensor<?x3xf32>, tensor<f32>) -> tensor<?x3xf32>
  %y = nn.mul %w, %half : (tensor<?x3xf32>, tensor<f32>) -> tensor<?x3xf32>
  %2 = nn.mul %x, %y : tensor<?x3xf32>
  func.return %0, %1, %2 : tensor<?x3xf32>, tensor<?x3xf32>, tensor<?x3xf32>
}

// CHECK-LABEL: func.func @gelu_tanh
// CHECK-NEXT:   %0 = nn.gelu %x approximate = "tanh"
// CHECK-NEXT:   %1 = nn.gelu %x approximate = "tanh"
// CHECK-NEXT:   %2 = nn.gelu %x approximate = "tanh"
// CHECK-NEXT:   func.return %0, %1, %2

// REMARK: remark: cube+scaled+sum+root+tanh+plus_1+half+product recognised as nn.gelu

// Not with another constant or power, nor where a part is read elsewhere, nor of another value.

func.func @near_misses(%x: tensor<3xf32>, %z: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) {
  %half = nn.constant 0.5 : f32 as tensor<f32>
  %one = nn.constant 1.0 : f32 as tensor<f32>
  %three = nn.constant 3.0 : f32 as tensor<f32>
  %four = nn.constant 4.0 : f32 as tensor<f32>
  %k = nn.constant 0.044715 : f32 as tensor<f32>
  %other = nn.constant 0.0447 : f32 as tensor<f32>
  %root = nn.constant 0.7978846 : f32 as tensor<f32>
  %a = nn.pow %x, %three : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %b = nn.mul %other, %a : (tensor<f32>, tensor<3xf32>) -> tensor<3xf32>
  %c = nn.add %x, %b : tensor<3xf32>
  %d = nn.mul %root, %c : (tensor<f32>, tensor<3xf32>) -> tensor<3xf32>
  %e = nn.tanh %d : tensor<3xf32>
  %f = nn.add %one, %e : (tensor<f32>, tensor<3xf32>) -> tensor<3xf32>
  %g = nn.mul %half, %x : (tensor<f32>, tensor<3xf32>) -> tensor<3xf32>
  %0 = nn.mul %g, %f : tensor<3xf32>
  %a1 = nn.pow %x, %four : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %b1 = nn.mul %k, %a1 : (tensor<f32>, tensor<3xf32>) -> tensor<3xf32>
  %c1 = nn.add %x, %b1 : tensor<3xf32>
  %d1 = nn.mul %root, %c1 : (tensor<f32>, tensor<3xf32>) -> tensor<3xf32>
  %e1 = nn.tanh %d1 : tensor<3xf32>
  %f1 = nn.add %one, %e1 : (tensor<f32>, tensor<3xf32>) -> tensor<3xf32>
  %g1 = nn.mul %half, %x : (tensor<f32>, tensor<3xf32>) -> tensor<3xf32>
  %1 = nn.mul %g1, %f1 : tensor<3xf32>
  %a2 = nn.pow %x, %three : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %b2 = nn.mul %k, %a2 : (tensor<f32>, tensor<3xf32>) -> tensor<3xf32>
  %c2 = nn.add %x, %b2 : tensor<3xf32>
  %d2 = nn.mul %root, %c2 : (tensor<f32>, tensor<3xf32>) -> tensor<3xf32>
  %e2 = nn.tanh %d2 : tensor<3xf32>
  %f2 = nn.add %one, %e2 : (tensor<f32>, tensor<3xf32>) -> tensor<3xf32>
  %g2 = nn.mul %half, %x : (tensor<f32>, tensor<3xf32>) -> tensor<3xf32>
  %2 = nn.mul %g2, %f2 : tensor<3xf32>
  %a3 = nn.pow %z, %three : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %b3 = nn.mul %k, %a3 : (tensor<f32>, tensor<3xf32>) -> tensor<3xf32>
  %c3 = nn.add %x, %b3 : tensor<3xf32>
  %d3 = nn.mul %root, %c3 : (tensor<f32>, tensor<3xf32>) -> tensor<3xf32>
  %e3 = nn.tanh %d3 : tensor<3xf32>
  %f3 = nn.add %one, %e3 : (tensor<f32>, tensor<3xf32>) -> tensor<3xf32>
  %g3 = nn.mul %half, %x : (tensor<f32>, tensor<3xf32>) -> tensor<3xf32>
  %3 = nn.mul %g3, %f3 : tensor<3xf32>
  func.return %0, %1, %2, %c2, %3 : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
}

// CHECK-LABEL: func.func @near_misses
// CHECK-NOT:    nn.gelu
// CHECK:        func.return
