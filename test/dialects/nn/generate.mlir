// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Tensors made by rule, in both forms and back.

func.func @generated(%x: tensor<2x?xf32>, %n: tensor<i64>, %indices: tensor<3x?xi32>, %values: tensor<2xf16>) {
  %zero = nn.constant 0 : i64 as tensor<i64>
  %five = nn.constant 5 : i64 as tensor<i64>
  %two = nn.constant 2 : i64 as tensor<i64>
  %0 = nn.range %zero, %five, %two : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<3xi64>
  %1 = nn.range %zero, %n, %two : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %2 = nn.eye_like %x : tensor<2x?xf32>
  %3 = nn.eye_like %x dtype = i1 k = -1 : (tensor<2x?xf32>) -> tensor<2x?xi1>
  %4 = nn.trilu %x : tensor<2x?xf32>
  %5 = nn.trilu %x k %n upper = 0 {place = array<i64: 0>} : (tensor<2x?xf32>, tensor<i64>) -> tensor<2x?xf32>
  %6 = nn.one_hot %indices, %five, %values : (tensor<3x?xi32>, tensor<i64>, tensor<2xf16>) -> tensor<3x?x5xf16>
  %7 = nn.one_hot %indices, %n, %values axis = 0 : (tensor<3x?xi32>, tensor<i64>, tensor<2xf16>) -> tensor<?x3x?xf16>
  func.return
}

// CHECK-LABEL: func.func @generated
// CHECK-NEXT:   %zero = nn.constant 0 : i64 as tensor<i64>
// CHECK-NEXT:   %five = nn.constant 5 : i64 as tensor<i64>
// CHECK-NEXT:   %two = nn.constant 2 : i64 as tensor<i64>
// CHECK-NEXT:   %0 = nn.range %zero, %five, %two : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<3xi64>
// CHECK-NEXT:   %1 = nn.range %zero, %n, %two : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
// CHECK-NEXT:   %2 = nn.eye_like %x : tensor<2x?xf32>
// CHECK-NEXT:   %3 = nn.eye_like %x dtype = i1 k = -1 : (tensor<2x?xf32>) -> tensor<2x?xi1>
// CHECK-NEXT:   %4 = nn.trilu %x : tensor<2x?xf32>
// CHECK-NEXT:   %5 = nn.trilu %x k %n upper = 0 {place = array<i64: 0>} : (tensor<2x?xf32>, tensor<i64>) -> tensor<2x?xf32>
// CHECK-NEXT:   %6 = nn.one_hot %indices, %five, %values : (tensor<3x?xi32>, tensor<i64>, tensor<2xf16>) -> tensor<3x?x5xf16>
// CHECK-NEXT:   %7 = nn.one_hot %indices, %n, %values axis = 0 : (tensor<3x?xi32>, tensor<i64>, tensor<2xf16>) -> tensor<?x3x?xf16>
