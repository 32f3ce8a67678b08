// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Trigonometric and hyperbolic functions, in both forms and back.

func.func @functions(%x: tensor<2x3xf32>, %y: tensor<?xbf16>) {
  %0 = nn.sin %x : tensor<2x3xf32>
  %1 = nn.cos %x : tensor<2x3xf32>
  %2 = nn.tan %x : tensor<2x3xf32>
  %3 = nn.asin %x : tensor<2x3xf32>
  %4 = nn.acos %x : tensor<2x3xf32>
  %5 = nn.atan %x : tensor<2x3xf32>
  %6 = nn.sinh %x : tensor<2x3xf32>
  %7 = nn.cosh %x : tensor<2x3xf32>
  %8 = nn.asinh %x : tensor<2x3xf32>
  %9 = nn.acosh %x : tensor<2x3xf32>
  %10 = nn.atanh %x : tensor<2x3xf32>
  %11 = nn.sin %y {place = array<i64: 0>} : tensor<?xbf16>
  func.return
}

// CHECK-LABEL: func.func @functions
// CHECK-NEXT:   %0 = nn.sin %x : tensor<2x3xf32>
// CHECK-NEXT:   %1 = nn.cos %x : tensor<2x3xf32>
// CHECK-NEXT:   %2 = nn.tan %x : tensor<2x3xf32>
// CHECK-NEXT:   %3 = nn.asin %x : tensor<2x3xf32>
// CHECK-NEXT:   %4 = nn.acos %x : tensor<2x3xf32>
// CHECK-NEXT:   %5 = nn.atan %x : tensor<2x3xf32>
// CHECK-NEXT:   %6 = nn.sinh %x : tensor<2x3xf32>
// CHECK-NEXT:   %7 = nn.cosh %x : tensor<2x3xf32>
// CHECK-NEXT:   %8 = nn.asinh %x : tensor<2x3xf32>
// CHECK-NEXT:   %9 = nn.acosh %x : tensor<2x3xf32>
// CHECK-NEXT:   %10 = nn.atanh %x : tensor<2x3xf32>
// CHECK-NEXT:   %11 = nn.sin %y {place = array<i64: 0>} : tensor<?xbf16>
