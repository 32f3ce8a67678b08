// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Ops on dims and order, in both forms and back.

func.func @shape(%x: tensor<1x3x4xf32>, %n: tensor<?x4xf16>, %dims: tensor<2xi64>, %axes: tensor<1xi64>) {
  %0 = nn.reshape %x, %dims : (tensor<1x3x4xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  %1 = nn.reshape %x, %dims allowzero = 1 : (tensor<1x3x4xf32>, tensor<2xi64>) -> tensor<3x?xf32>
  %2 = nn.flatten %x axis = 2 : (tensor<1x3x4xf32>) -> tensor<3x4xf32>
  %3 = nn.flatten %n : tensor<?x4xf16>
  %4 = nn.squeeze %x : (tensor<1x3x4xf32>) -> tensor<3x4xf32>
  %5 = nn.squeeze %x axes %axes : (tensor<1x3x4xf32>, tensor<1xi64>) -> tensor<?x?xf32>
  %6 = nn.unsqueeze %x, %axes {place = array<i64: 64>} : (tensor<1x3x4xf32>, tensor<1xi64>) -> tensor<?x?x?x?xf32>
  %7 = nn.transpose %x : (tensor<1x3x4xf32>) -> tensor<4x3x1xf32>
  %8 = nn.transpose %x perm [0, 2, 1] : (tensor<1x3x4xf32>) -> tensor<1x4x3xf32>
  %9 = nn.expand %n, %dims : (tensor<?x4xf16>, tensor<2xi64>) -> tensor<?x4xf16>
  %10 = nn.tile %n, %dims : (tensor<?x4xf16>, tensor<2xi64>) -> tensor<?x?xf16>
  %11 = nn.shape %x : (tensor<1x3x4xf32>) -> tensor<3xi64>
  %12 = nn.shape %x start = -2 end = 9 : (tensor<1x3x4xf32>) -> tensor<2xi64>
  %size = nn.size %x : (tensor<1x3x4xf32>) -> tensor<i64>
  %13 = nn.constant_of_shape %dims : (tensor<2xi64>) -> tensor<?x?xf32>
  %14 = nn.constant_of_shape %dims value = 3 : (tensor<2xi64>) -> tensor<?x?xi64>
  %15 = nn.constant_of_shape %dims value = (2.5 : f64) : (tensor<2xi64>) -> tensor<?x?xf64>
  %16 = nn.constant_of_shape %dims value = (true) : (tensor<2xi64>) -> tensor<?x?xi1>
  %17 = nn.constant_of_shape %dims value = (0xff800000 : f32) : (tensor<2xi64>) -> tensor<?x?xf32>
  %18 = nn.identity %x : tensor<1x3x4xf32>
  %19 = nn.dropout %x : tensor<1x3x4xf32>
  %20, %21 = nn.dropout %n : (tensor<?x4xf16>) -> (tensor<?x4xf16>, tensor<?x4xi1>)
  %22 = nn.squeeze %n axes %axes assumed = 1 : (tensor<?x4xf16>, tensor<1xi64>) -> tensor<?xf16>
  func.return
}

// CHECK-LABEL: func.func @shape
// CHECK-NEXT:   %0 = nn.reshape %x, %dims : (tensor<1x3x4xf32>, tensor<2xi64>) -> tensor<?x?xf32>
// CHECK-NEXT:   %1 = nn.reshape %x, %dims allowzero = 1 : (tensor<1x3x4xf32>, tensor<2xi64>) -> tensor<3x?xf32>
// CHECK-NEXT:   %2 = nn.flatten %x axis = 2 : (tensor<1x3x4xf32>) -> tensor<3x4xf32>
// CHECK-NEXT:   %3 = nn.flatten %n : tensor<?x4xf16>
// CHECK-NEXT:   %4 = nn.squeeze %x : (tensor<1x3x4xf32>) -> tensor<3x4xf32>
// CHECK-NEXT:   %5 = nn.squeeze %x axes %axes : (tensor<1x3x4xf32>, tensor<1xi64>) -> tensor<?x?xf32>
// CHECK-NEXT:   %6 = nn.unsqueeze %x, %axes {place = array<i64: 64>} : (tensor<1x3x4xf32>, tensor<1xi64>) -> tensor<?x?x?x?xf32>
// CHECK-NEXT:   %7 = nn.transpose %x : (tensor<1x3x4xf32>) -> tensor<4x3x1xf32>
// CHECK-NEXT:   %8 = nn.transpose %x perm [0, 2, 1] : (tensor<1x3x4xf32>) -> tensor<1x4x3xf32>
// CHECK-NEXT:   %9 = nn.expand %n, %dims : (tensor<?x4xf16>, tensor<2xi64>) -> tensor<?x4xf16>
// CHECK-NEXT:   %10 = nn.tile %n, %dims : (tensor<?x4xf16>, tensor<2xi64>) -> tensor<?x?xf16>
// CHECK-NEXT:   %11 = nn.shape %x : (tensor<1x3x4xf32>) -> tensor<3xi64>
// CHECK-NEXT:   %12 = nn.shape %x start = -2 end = 9 : (tensor<1x3x4xf32>) -> tensor<2xi64>
// CHECK-NEXT:   %size = nn.size %x : (tensor<1x3x4xf32>) -> tensor<i64>
// CHECK-NEXT:   %13 = nn.constant_of_shape %dims : (tensor<2xi64>) -> tensor<?x?xf32>
// CHECK-NEXT:   %14 = nn.constant_of_shape %dims value = 3 : (tensor<2xi64>) -> tensor<?x?xi64>
// CHECK-NEXT:   %15 = nn.constant_of_shape %dims value = (2.500000e+00 : f64) : (tensor<2xi64>) -> tensor<?x?xf64>
// CHECK-NEXT:   %16 = nn.constant_of_shape %dims value = (true) : (tensor<2xi64>) -> tensor<?x?xi1>
// CHECK-NEXT:   %17 = nn.constant_of_shape %dims value = (0xff800000 : f32) : (tensor<2xi64>) -> tensor<?x?xf32>
// CHECK-NEXT:   %18 = nn.identity %x : tensor<1x3x4xf32>
// CHECK-NEXT:   %19 = nn.dropout %x : tensor<1x3x4xf32>
// CHECK-NEXT:   %20, %21 = nn.dropout %n : (tensor<?x4xf16>) -> (tensor<?x4xf16>, tensor<?x4xi1>)
// CHECK-NEXT:   %22 = nn.squeeze %n axes %axes assumed = 1 : (tensor<?x4xf16>, tensor<1xi64>) -> tensor<?xf16>
