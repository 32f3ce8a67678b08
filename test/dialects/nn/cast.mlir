// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Casts to and from the types that are stored only, and constants of them, in both forms and back.

func.func @cast(%x: tensor<3xf32>, %i: tensor<3xi8>) {
  %0 = nn.cast %x to = f8E5M2 saturate = 0 : (tensor<3xf32>) -> tensor<3xf8E5M2>
  %1 = nn.cast %x to = f8E8M0FNU round_mode = "down" : (tensor<3xf32>) -> tensor<3xf8E8M0FNU>
  %2 = nn.cast %i to = i4 : (tensor<3xi8>) -> tensor<3xi4>
  %3 = nn.bit_cast %2 to = ui4 : (tensor<3xi4>) -> tensor<3xui4>
  %4 = nn.constant dense<[-8, 7, -1]> : tensor<3xi4>
  %5 = nn.constant dense<[5.000000e-01, 4.480000e+02]> : tensor<2xf8E4M3FN>
  %6 = nn.constant 1.500000e+00 : f4E2M1FN as tensor<1xf4E2M1FN>
  func.return
}

// CHECK-LABEL: func.func @cast
// CHECK-NEXT:   %0 = nn.cast %x to = f8E5M2 saturate = 0 : (tensor<3xf32>) -> tensor<3xf8E5M2>
// CHECK-NEXT:   %1 = nn.cast %x to = f8E8M0FNU round_mode = "down" : (tensor<3xf32>) -> tensor<3xf8E8M0FNU>
// CHECK-NEXT:   %2 = nn.cast %i to = i4 : (tensor<3xi8>) -> tensor<3xi4>
// CHECK-NEXT:   %3 = nn.bit_cast %2 to = ui4 : (tensor<3xi4>) -> tensor<3xui4>
// CHECK-NEXT:   %4 = nn.constant dense<[-8, 7, -1]> : tensor<3xi4>
// CHECK-NEXT:   %5 = nn.constant dense<[5.000000e-01, 4.480000e+02]> : tensor<2xf8E4M3FN>
// CHECK-NEXT:   %6 = nn.constant 1.500000e+00 : f4E2M1FN as tensor<1xf4E2M1FN>
