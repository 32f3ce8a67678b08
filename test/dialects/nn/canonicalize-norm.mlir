// RUN: fuse-opt %s -p canonicalize | filecheck %s
// RUN: fuse-opt %s -p canonicalize --remarks -o /dev/null 2>&1 | filecheck %s --check-prefix=REMARK

// Over the last dims; the square as Pow, or of another difference; by a division or a reciprocal.

func.func @layer_norm(%x: tensor<?x4x5xf32>) -> (tensor<?x4x5xf32>, tensor<?x4x5xf32>) {
  %s = nn.parameter "s" : tensor<5xf32>
  %b = nn.parameter "b" : tensor<5xf32>
  %w = nn.parameter "w" : tensor<4x5xf32>
  %last = nn.constant dense<-1> : tensor<1xi64>
  %both = nn.constant dense<[2, 1]> : tensor<2xi64>
  %two = nn.constant 2.0 : f32 as tensor<f32>
  %eps = nn.constant 0.01 : f32 as tensor<f32>
  %m = nn.reduce_mean %x axes %last : (tensor<?x4x5xf32>, tensor<1xi64>) -> tensor<?x4x1xf32> loc("mean")
  %d = nn.sub %x, %m : (tensor<?x4x5xf32>, tensor<?x4x1xf32>) -> tensor<?x4x5xf32> loc("centre")
  %p = nn.pow %d, %two : (tensor<?x4x5xf32>, tensor<f32>) -> tensor<?x4x5xf32> loc("square")
  %v = nn.reduce_mean %p axes %last : (tensor<?x4x5xf32>, tensor<1xi64>) -> tensor<?x4x1xf32> loc("variance")
  %e = nn.add %v, %eps : (tensor<?x4x1xf32>, tensor<f32>) -> tensor<?x4x1xf32> loc("epsilon")
  %r = nn.sqrt %e : tensor<?x4x1xf32> loc("root")
  %n = nn.div %d, %r : (tensor<?x4x5xf32>, tensor<?x4x1xf32>) -> tensor<?x4x5xf32> loc("divide")
  %g = nn.mul %n, %s : (tensor<?x4x5xf32>, tensor<5xf32>) -> tensor<?x4x5xf32> loc("scale")
  %0 = nn.add %b, %g : (tensor<5xf32>, tensor<?x4x5xf32>) -> tensor<?x4x5xf32> loc("bias")
  %m1 = nn.reduce_mean %x axes %both : (tensor<?x4x5xf32>, tensor<2xi64>) -> tensor<?x1x1xf32>
  %d1 = nn.sub %x, %m1 : (tensor<?x4x5xf32>, tensor<?x1x1xf32>) -> tensor<?x4x5xf32>
  %d2 = nn.sub %x, %m1 : (tensor<?x4x5xf32>, tensor<?x1x1xf32>) -> tensor<?x4x5xf32>
  %p1 = nn.mul %d1, %d1 : tensor<?x4x5xf32>
  %v1 = nn.reduce_mean %p1 axes %both : (tensor<?x4x5xf32>, tensor<2xi64>) -> tensor<?x1x1xf32>
  %e1 = nn.add %eps, %v1 : (tensor<f32>, tensor<?x1x1xf32>) -> tensor<?x1x1xf32>
  %r1 = nn.sqrt %e1 : tensor<?x1x1xf32>
  %i1 = nn.reciprocal %r1 : tensor<?x1x1xf32>
  %n1 = nn.mul %i1, %d2 : (tensor<?x1x1xf32>, tensor<?x4x5xf32>) -> tensor<?x4x5xf32>
  %1 = nn.mul %w, %n1 : (tensor<4x5xf32>, tensor<?x4x5xf32>) -> tensor<?x4x5xf32>
  func.return %0, %1 : tensor<?x4x5xf32>, tensor<?x4x5xf32>
}

// CHECK-LABEL: func.func @layer_norm
// CHECK:        %0 = nn.layer_normalization %x, %s bias %b epsilon = 0.01
// CHECK:        %1 = nn.layer_normalization %x, %w axis = -2 epsilon = 0.01
// CHECK-NEXT:   func.return %0, %1

// REMARK: remark: mean+centre+square+variance+epsilon+root+divide+scale recognised as nn.layer_normalization
// REMARK: remark: mean+centre+square+variance+epsilon+root+divide+scale+bias recognised as nn.layer_normalization

// By a reciprocal root, however it is written, and in any order of the products.

func.func @reciprocal_roots(%x: tensor<?x5xf32>) -> (tensor<?x5xf32>, tensor<?x5xf32>, tensor<?x5xf32>, tensor<?x5xf32>) {
  %s = nn.parameter "s" : tensor<5xf32>
  %b = nn.parameter "b" : tensor<5xf32>
  %last = nn.constant dense<-1> : tensor<1xi64>
  %one = nn.constant 1.0 : f32 as tensor<f32>
  %half = nn.constant 0.5 : f32 as tensor<f32>
  %minus_half = nn.constant -0.5 : f32 as tensor<1xf32>
  %eps = nn.constant 0.01 : f32 as tensor<f32>
  %m = nn.reduce_mean %x axes %last : (tensor<?x5xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %d = nn.sub %x, %m : (tensor<?x5xf32>, tensor<?x1xf32>) -> tensor<?x5xf32>
  %p = nn.mul %d, %d : tensor<?x5xf32>
  %v = nn.reduce_mean %p axes %last : (tensor<?x5xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %e = nn.add %v, %eps : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %i = nn.pow %e, %minus_half : (tensor<?x1xf32>, tensor<1xf32>) -> tensor<?x1xf32> loc("power")
  %n = nn.mul %d, %i : (tensor<?x5xf32>, tensor<?x1xf32>) -> tensor<?x5xf32> loc("first")
  %g = nn.mul %n, %s : (tensor<?x5xf32>, tensor<5xf32>) -> tensor<?x5xf32> loc("second")
  %0 = nn.add %g, %b : (tensor<?x5xf32>, tensor<5xf32>) -> tensor<?x5xf32>
  %m1 = nn.reduce_mean %x axes %last : (tensor<?x5xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %d1 = nn.sub %x, %m1 : (tensor<?x5xf32>, tensor<?x1xf32>) -> tensor<?x5xf32>
  %p1 = nn.mul %d1, %d1 : tensor<?x5xf32>
  %v1 = nn.reduce_mean %p1 axes %last : (tensor<?x5xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %e1 = nn.add %v1, %eps : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %r1 = nn.sqrt %e1 : tensor<?x1xf32>
  %i1 = nn.div %one, %r1 : (tensor<f32>, tensor<?x1xf32>) -> tensor<?x1xf32>
  %k1 = nn.mul %s, %i1 : (tensor<5xf32>, tensor<?x1xf32>) -> tensor<?x5xf32> loc("scaled_root")
  %1 = nn.mul %k1, %d1 : tensor<?x5xf32> loc("product")
  %m2 = nn.reduce_mean %x axes %last : (tensor<?x5xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %d2 = nn.sub %x, %m2 : (tensor<?x5xf32>, tensor<?x1xf32>) -> tensor<?x5xf32>
  %p2 = nn.mul %d2, %d2 : tensor<?x5xf32>
  %v2 = nn.reduce_mean %p2 axes %last : (tensor<?x5xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %e2 = nn.add %v2, %eps : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %q2 = nn.reciprocal %e2 : tensor<?x1xf32>
  %i2 = nn.sqrt %q2 : tensor<?x1xf32>
  %k2 = nn.mul %d2, %s : (tensor<?x5xf32>, tensor<5xf32>) -> tensor<?x5xf32>
  %2 = nn.mul %i2, %k2 : (tensor<?x1xf32>, tensor<?x5xf32>) -> tensor<?x5xf32>
  %m3 = nn.reduce_mean %x axes %last : (tensor<?x5xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %d3 = nn.sub %x, %m3 : (tensor<?x5xf32>, tensor<?x1xf32>) -> tensor<?x5xf32>
  %p3 = nn.mul %d3, %d3 : tensor<?x5xf32>
  %v3 = nn.reduce_mean %p3 axes %last : (tensor<?x5xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %e3 = nn.add %v3, %eps : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %r3 = nn.pow %e3, %half : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %n3 = nn.div %d3, %r3 : (tensor<?x5xf32>, tensor<?x1xf32>) -> tensor<?x5xf32>
  %3 = nn.mul %s, %n3 : (tensor<5xf32>, tensor<?x5xf32>) -> tensor<?x5xf32>
  func.return %0, %1, %2, %3 : tensor<?x5xf32>, tensor<?x5xf32>, tensor<?x5xf32>, tensor<?x5xf32>
}

// CHECK-LABEL: func.func @reciprocal_roots
// CHECK:        %0 = nn.layer_normalization %x, %s bias %b epsilon = 0.01
// CHECK-NEXT:   %1 = nn.layer_normalization %x, %s epsilon = 0.01
// CHECK-NEXT:   %2 = nn.layer_normalization %x, %s epsilon = 0.01
// CHECK-NEXT:   %3 = nn.layer_normalization %x, %s epsilon = 0.01
// CHECK-NEXT:   func.return %0, %1, %2, %3

// REMARK: remark: {{.*}}power+first+second recognised as nn.layer_normalization
// REMARK: remark: {{.*}}scaled_root+product recognised as nn.layer_normalization

// Not by another power, nor by the root itself, nor where the reciprocal or the scaled root is read elsewhere, nor times
// another number, nor by a reciprocal of another number than 1.

func.func @other_roots(%x: tensor<?x5xf32>) -> (tensor<?x5xf32>, tensor<?x5xf32>, tensor<?x5xf32>, tensor<?x1xf32>, tensor<?x5xf32>, tensor<?x5xf32>, tensor<?x5xf32>, tensor<?x5xf32>) {
  %s = nn.parameter "s" : tensor<5xf32>
  %last = nn.constant dense<-1> : tensor<1xi64>
  %two = nn.constant 2.0 : f32 as tensor<f32>
  %minus_one = nn.constant -1.0 : f32 as tensor<f32>
  %eps = nn.constant 0.01 : f32 as tensor<f32>
  %m0 = nn.reduce_mean %x axes %last : (tensor<?x5xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %d0 = nn.sub %x, %m0 : (tensor<?x5xf32>, tensor<?x1xf32>) -> tensor<?x5xf32>
  %p0 = nn.mul %d0, %d0 : tensor<?x5xf32>
  %v0 = nn.reduce_mean %p0 axes %last : (tensor<?x5xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %e0 = nn.add %v0, %eps : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %i0 = nn.pow %e0, %minus_one : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %n0 = nn.mul %d0, %i0 : (tensor<?x5xf32>, tensor<?x1xf32>) -> tensor<?x5xf32>
  %0 = nn.mul %n0, %s : (tensor<?x5xf32>, tensor<5xf32>) -> tensor<?x5xf32>
  %m1 = nn.reduce_mean %x axes %last : (tensor<?x5xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %d1 = nn.sub %x, %m1 : (tensor<?x5xf32>, tensor<?x1xf32>) -> tensor<?x5xf32>
  %p1 = nn.mul %d1, %d1 : tensor<?x5xf32>
  %v1 = nn.reduce_mean %p1 axes %last : (tensor<?x5xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %e1 = nn.add %v1, %eps : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %i1 = nn.sqrt %e1 : tensor<?x1xf32>
  %n1 = nn.mul %d1, %i1 : (tensor<?x5xf32>, tensor<?x1xf32>) -> tensor<?x5xf32>
  %1 = nn.mul %n1, %s : (tensor<?x5xf32>, tensor<5xf32>) -> tensor<?x5xf32>
  %m2 = nn.reduce_mean %x axes %last : (tensor<?x5xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %d2 = nn.sub %x, %m2 : (tensor<?x5xf32>, tensor<?x1xf32>) -> tensor<?x5xf32>
  %p2 = nn.mul %d2, %d2 : tensor<?x5xf32>
  %v2 = nn.reduce_mean %p2 axes %last : (tensor<?x5xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %e2 = nn.add %v2, %eps : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %r2 = nn.sqrt %e2 : tensor<?x1xf32>
  %i2 = nn.reciprocal %r2 : tensor<?x1xf32>
  %n2 = nn.mul %d2, %i2 : (tensor<?x5xf32>, tensor<?x1xf32>) -> tensor<?x5xf32>
  %2 = nn.mul %n2, %s : (tensor<?x5xf32>, tensor<5xf32>) -> tensor<?x5xf32>
  %m3 = nn.reduce_mean %x axes %last : (tensor<?x5xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %d3 = nn.sub %x, %m3 : (tensor<?x5xf32>, tensor<?x1xf32>) -> tensor<?x5xf32>
  %p3 = nn.mul %d3, %d3 : tensor<?x5xf32>
  %v3 = nn.reduce_mean %p3 axes %last : (tensor<?x5xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %e3 = nn.add %v3, %eps : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %r3 = nn.sqrt %e3 : tensor<?x1xf32>
  %i3 = nn.reciprocal %r3 : tensor<?x1xf32>
  %k3 = nn.mul %i3, %s : (tensor<?x1xf32>, tensor<5xf32>) -> tensor<?x5xf32>
  %3 = nn.mul %d3, %k3 : tensor<?x5xf32>
  %m4 = nn.reduce_mean %x axes %last : (tensor<?x5xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %d4 = nn.sub %x, %m4 : (tensor<?x5xf32>, tensor<?x1xf32>) -> tensor<?x5xf32>
  %p4 = nn.mul %d4, %d4 : tensor<?x5xf32>
  %v4 = nn.reduce_mean %p4 axes %last : (tensor<?x5xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %e4 = nn.add %v4, %eps : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %r4 = nn.sqrt %e4 : tensor<?x1xf32>
  %i4 = nn.reciprocal %r4 : tensor<?x1xf32>
  %n4 = nn.mul %d4, %i4 : (tensor<?x5xf32>, tensor<?x1xf32>) -> tensor<?x5xf32>
  %t4 = nn.mul %n4, %two : (tensor<?x5xf32>, tensor<f32>) -> tensor<?x5xf32>
  %4 = nn.mul %t4, %s : (tensor<?x5xf32>, tensor<5xf32>) -> tensor<?x5xf32>
  %m5 = nn.reduce_mean %x axes %last : (tensor<?x5xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %d5 = nn.sub %x, %m5 : (tensor<?x5xf32>, tensor<?x1xf32>) -> tensor<?x5xf32>
  %p5 = nn.mul %d5, %d5 : tensor<?x5xf32>
  %v5 = nn.reduce_mean %p5 axes %last : (tensor<?x5xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %e5 = nn.add %v5, %eps : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %r5 = nn.sqrt %e5 : tensor<?x1xf32>
  %i5 = nn.div %two, %r5 : (tensor<f32>, tensor<?x1xf32>) -> tensor<?x1xf32>
  %n5 = nn.mul %d5, %i5 : (tensor<?x5xf32>, tensor<?x1xf32>) -> tensor<?x5xf32>
  %5 = nn.mul %n5, %s : (tensor<?x5xf32>, tensor<5xf32>) -> tensor<?x5xf32>
  func.return %0, %1, %2, %i2, %3, %k3, %4, %5 : tensor<?x5xf32>, tensor<?x5xf32>, tensor<?x5xf32>, tensor<?x1xf32>, tensor<?x5xf32>, tensor<?x5xf32>, tensor<?x5xf32>, tensor<?x5xf32>
}

// CHECK-LABEL: func.func @other_roots
// CHECK-NOT:    nn.layer_normalization
// CHECK:        func.return

// Not over other dims, nor by a scale of other dims, nor where the difference is read elsewhere, nor around another mean.

func.func @near_misses(%x: tensor<2x5x5xf32>, %z: tensor<2x5x5xf32>) -> (tensor<2x5x5xf32>, tensor<2x5x5xf32>, tensor<2x5x5xf32>, tensor<2x5x5xf32>, tensor<2x5x5xf32>) {
  %s = nn.parameter "s" : tensor<5xf32>
  %t = nn.parameter "t" : tensor<5x1xf32>
  %last = nn.constant dense<2> : tensor<1xi64>
  %middle = nn.constant dense<1> : tensor<1xi64>
  %eps = nn.constant 0.01 : f32 as tensor<f32>
  %m = nn.reduce_mean %x axes %middle : (tensor<2x5x5xf32>, tensor<1xi64>) -> tensor<2x1x5xf32>
  %d = nn.sub %x, %m : (tensor<2x5x5xf32>, tensor<2x1x5xf32>) -> tensor<2x5x5xf32>
  %p = nn.mul %d, %d : tensor<2x5x5xf32>
  %v = nn.reduce_mean %p axes %middle : (tensor<2x5x5xf32>, tensor<1xi64>) -> tensor<2x1x5xf32>
  %e = nn.add %v, %eps : (tensor<2x1x5xf32>, tensor<f32>) -> tensor<2x1x5xf32>
  %r = nn.sqrt %e : tensor<2x1x5xf32>
  %n = nn.div %d, %r : (tensor<2x5x5xf32>, tensor<2x1x5xf32>) -> tensor<2x5x5xf32>
  %0 = nn.mul %n, %s : (tensor<2x5x5xf32>, tensor<5xf32>) -> tensor<2x5x5xf32>
  %m1 = nn.reduce_mean %x axes %last : (tensor<2x5x5xf32>, tensor<1xi64>) -> tensor<2x5x1xf32>
  %d1 = nn.sub %x, %m1 : (tensor<2x5x5xf32>, tensor<2x5x1xf32>) -> tensor<2x5x5xf32>
  %p1 = nn.mul %d1, %d1 : tensor<2x5x5xf32>
  %v1 = nn.reduce_mean %p1 axes %last : (tensor<2x5x5xf32>, tensor<1xi64>) -> tensor<2x5x1xf32>
  %e1 = nn.add %v1, %eps : (tensor<2x5x1xf32>, tensor<f32>) -> tensor<2x5x1xf32>
  %r1 = nn.sqrt %e1 : tensor<2x5x1xf32>
  %n1 = nn.div %d1, %r1 : (tensor<2x5x5xf32>, tensor<2x5x1xf32>) -> tensor<2x5x5xf32>
  %1 = nn.mul %n1, %t : (tensor<2x5x5xf32>, tensor<5x1xf32>) -> tensor<2x5x5xf32>
  %m2 = nn.reduce_mean %x axes %last : (tensor<2x5x5xf32>, tensor<1xi64>) -> tensor<2x5x1xf32>
  %d2 = nn.sub %x, %m2 : (tensor<2x5x5xf32>, tensor<2x5x1xf32>) -> tensor<2x5x5xf32>
  %p2 = nn.mul %d2, %d2 : tensor<2x5x5xf32>
  %v2 = nn.reduce_mean %p2 axes %last : (tensor<2x5x5xf32>, tensor<1xi64>) -> tensor<2x5x1xf32>
  %e2 = nn.add %v2, %eps : (tensor<2x5x1xf32>, tensor<f32>) -> tensor<2x5x1xf32>
  %r2 = nn.sqrt %e2 : tensor<2x5x1xf32>
  %n2 = nn.div %d2, %r2 : (tensor<2x5x5xf32>, tensor<2x5x1xf32>) -> tensor<2x5x5xf32>
  %2 = nn.mul %n2, %s : (tensor<2x5x5xf32>, tensor<5xf32>) -> tensor<2x5x5xf32>
  %m3 = nn.reduce_mean %z axes %last : (tensor<2x5x5xf32>, tensor<1xi64>) -> tensor<2x5x1xf32>
  %d3 = nn.sub %x, %m3 : (tensor<2x5x5xf32>, tensor<2x5x1xf32>) -> tensor<2x5x5xf32>
  %p3 = nn.mul %d3, %d3 : tensor<2x5x5xf32>
  %v3 = nn.reduce_mean %p3 axes %last : (tensor<2x5x5xf32>, tensor<1xi64>) -> tensor<2x5x1xf32>
  %e3 = nn.add %v3, %eps : (tensor<2x5x1xf32>, tensor<f32>) -> tensor<2x5x1xf32>
  %r3 = nn.sqrt %e3 : tensor<2x5x1xf32>
  %n3 = nn.div %d3, %r3 : (tensor<2x5x5xf32>, tensor<2x5x1xf32>) -> tensor<2x5x5xf32>
  %3 = nn.mul %n3, %s : (tensor<2x5x5xf32>, tensor<5xf32>) -> tensor<2x5x5xf32>
  func.return %0, %1, %2, %d2, %3 : tensor<2x5x5xf32>, tensor<2x5x5xf32>, tensor<2x5x5xf32>, tensor<2x5x5xf32>, tensor<2x5x5xf32>
}

// CHECK-LABEL: func.func @near_misses
// CHECK-NOT:    nn.layer_normalization
// CHECK:        func.return

// A bias of other dims than the scale's, or one computed at run time: the norm stays without it.

func.func @bias(%x: tensor<2x5xf32>, %s: tensor<5xf32>, %y: tensor<5xf32>) -> (tensor<2x5xf32>, tensor<2x5xf32>) {
  %one = nn.parameter "one" : tensor<1xf32>
  %l = nn.layer_normalization %x, %s : (tensor<2x5xf32>, tensor<5xf32>) -> tensor<2x5xf32>
  %0 = nn.add %l, %one : (tensor<2x5xf32>, tensor<1xf32>) -> tensor<2x5xf32>
  %l1 = nn.layer_normalization %x, %s : (tensor<2x5xf32>, tensor<5xf32>) -> tensor<2x5xf32>
  %1 = nn.add %l1, %y : (tensor<2x5xf32>, tensor<5xf32>) -> tensor<2x5xf32>
  func.return %0, %1 : tensor<2x5xf32>, tensor<2x5xf32>
}

// CHECK-LABEL: func.func @bias
// CHECK-NOT:    bias
// CHECK:        func.return
