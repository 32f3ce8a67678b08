// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Constants and parameters, in both forms and back.

func.func @constants() {
  %0 = nn.constant dense<[1, 2]> : tensor<2xi64>
  %1 = nn.constant dense<[1.500000e+00, 2.500000e+00]> : tensor<2xf32>
  %2 = nn.constant 5.000000e-01 : f32 as tensor<f32>
  %3 = nn.constant 0x7f800000 : f32 as tensor<1x1xf32>
  %4 = nn.constant 7 : i64 {place = array<i64: 0>} as tensor<1xi64>
  %5 = nn.constant dense<[true, false]> : tensor<2xi1>
  %6 = nn.constant dense<> : tensor<0xi64>
  %7 = nn.parameter "conv1.weight" : tensor<16x3x3x3xf32>
  %8 = nn.parameter "b" {place = array<i64: 0>} : tensor<16xf16>
  func.return
}

// CHECK-LABEL: func.func @constants
// CHECK-NEXT:   %0 = nn.constant dense<[1, 2]> : tensor<2xi64>
// CHECK-NEXT:   %1 = nn.constant dense<[1.500000e+00, 2.500000e+00]> : tensor<2xf32>
// CHECK-NEXT:   %2 = nn.constant 5.000000e-01 : f32 as tensor<f32>
// CHECK-NEXT:   %3 = nn.constant 0x7f800000 : f32 as tensor<1x1xf32>
// CHECK-NEXT:   %4 = nn.constant 7 : i64 {place = array<i64: 0>} as tensor<1xi64>
// CHECK-NEXT:   %5 = nn.constant dense<[true, false]> : tensor<2xi1>
// CHECK-NEXT:   %6 = nn.constant dense<> : tensor<0xi64>
// CHECK-NEXT:   %7 = nn.parameter "conv1.weight" : tensor<16x3x3x3xf32>
// CHECK-NEXT:   %8 = nn.parameter "b" {place = array<i64: 0>} : tensor<16xf16>
