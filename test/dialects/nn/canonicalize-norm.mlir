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
