// RUN: fuse-opt %s -p canonicalize | filecheck %s

// Sum of two is nn.add; variadic operations of one are that one.

func.func @sums(%a: tensor<2x3xf32>, %b: tensor<3xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>) {
  %0 = nn.sum [%a, %b] : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %1 = nn.sum [%a] : tensor<2x3xf32>
  %2 = nn.sum [%a, %b, %b] : (tensor<2x3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  func.return %0, %1, %2 : tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>
}

// CHECK-LABEL: func.func @sums
// CHECK-NEXT:   %0 = nn.add %a, %b
// CHECK-NEXT:   %1 = nn.sum [%a, %b, %b]
// CHECK-NEXT:   func.return %0, %a, %1

func.func @of_one(%a: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) {
  %0 = nn.max [%a] : tensor<2xf32>
  %1 = nn.min [%a] : tensor<2xf32>
  %2 = nn.mean [%a] : tensor<2xf32>
  func.return %0, %1, %2 : tensor<2xf32>, tensor<2xf32>, tensor<2xf32>
}

// CHECK-LABEL: func.func @of_one
// CHECK-NEXT:   func.return %a, %a, %a

// Squares of floats; not other powers, and not where the exponent enlarges the result.

func.func @powers(%x: tensor<3xf32>, %i: tensor<3xi32>) -> (tensor<3xf32>, tensor<3xf32>, tensor<3xi32>, tensor<2x3xf32>) {
  %two = nn.constant 2.0 : f32 as tensor<f32>
  %half = nn.constant 0.5 : f32 as tensor<f32>
  %twos = nn.constant dense<2> : tensor<2x1xi64>
  %0 = nn.pow %x, %two : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %1 = nn.pow %x, %half : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %2 = nn.pow %i, %two : (tensor<3xi32>, tensor<f32>) -> tensor<3xi32>
  %3 = nn.pow %x, %twos : (tensor<3xf32>, tensor<2x1xi64>) -> tensor<2x3xf32>
  func.return %0, %1, %2, %3 : tensor<3xf32>, tensor<3xf32>, tensor<3xi32>, tensor<2x3xf32>
}

// CHECK-LABEL: func.func @powers
// CHECK:        nn.mul %x, %x : tensor<3xf32>
// CHECK-NEXT:   nn.pow %x, %half
// CHECK-NEXT:   nn.pow %i, %two
// CHECK-NEXT:   nn.pow %x, %twos

// A cast to its own type goes; constants are folded.

func.func @casts(%x: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf16>, tensor<2xi64>) {
  %0 = nn.cast %x to = f32 : tensor<3xf32>
  %1 = nn.cast %x to = f16 : (tensor<3xf32>) -> tensor<3xf16>
  %c = nn.constant dense<[1.5, -2.5]> : tensor<2xf32>
  %2 = nn.cast %c to = i64 : (tensor<2xf32>) -> tensor<2xi64>
  func.return %0, %1, %2 : tensor<3xf32>, tensor<3xf16>, tensor<2xi64>
}

// CHECK-LABEL: func.func @casts
// CHECK-NEXT:   %0 = nn.cast %x to = f16
// CHECK-NEXT:   %1 = nn.constant dense<[1, -2]> : tensor<2xi64>
// CHECK-NEXT:   func.return %x, %0, %1

func.func @folds() -> (tensor<2xi64>, tensor<2xi1>, tensor<f32>, tensor<f32>) {
  %a = nn.constant dense<[7, -6]> : tensor<2xi64>
  %b = nn.constant -2 : i64 as tensor<i64>
  %zero = nn.constant 0.0 : f32 as tensor<f32>
  %three = nn.constant 3 : i64 as tensor<i64>
  %0 = nn.div %a, %b : (tensor<2xi64>, tensor<i64>) -> tensor<2xi64>
  %1 = nn.equal %three, %0 : (tensor<i64>, tensor<2xi64>) -> tensor<2xi1>
  %2 = nn.reciprocal %zero : tensor<f32>
  %3 = nn.equal %b, %b : (tensor<i64>, tensor<i64>) -> tensor<i1>
  %4 = nn.where %3, %zero, %2 : (tensor<i1>, tensor<f32>, tensor<f32>) -> tensor<f32>
  func.return %0, %1, %2, %4 : tensor<2xi64>, tensor<2xi1>, tensor<f32>, tensor<f32>
}

// CHECK-LABEL: func.func @folds
// CHECK-NEXT:   %0 = nn.constant dense<[-3, 3]> : tensor<2xi64>
// CHECK-NEXT:   %1 = nn.constant dense<[false, true]> : tensor<2xi1>
// CHECK-NEXT:   %2 = nn.constant 0x7f800000 : f32 as tensor<f32>
// CHECK-NEXT:   %3 = nn.constant 0.000000e+00 : f32 as tensor<f32>
// CHECK-NEXT:   func.return %0, %1, %2, %3
