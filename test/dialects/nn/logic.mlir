// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Logic on bools and bits, in both forms and back.

func.func @connectives(%a: tensor<2x3xi1>, %b: tensor<3xi1>) {
  %0 = nn.not %a : tensor<2x3xi1>
  %1 = nn.and %a, %b : (tensor<2x3xi1>, tensor<3xi1>) -> tensor<2x3xi1>
  %2 = nn.or %a, %b : (tensor<2x3xi1>, tensor<3xi1>) -> tensor<2x3xi1>
  %3 = nn.xor %a, %b : (tensor<2x3xi1>, tensor<3xi1>) -> tensor<2x3xi1>
  func.return
}

// CHECK-LABEL: func.func @connectives
// CHECK-NEXT:   %0 = nn.not %a : tensor<2x3xi1>
// CHECK-NEXT:   %1 = nn.and %a, %b : (tensor<2x3xi1>, tensor<3xi1>) -> tensor<2x3xi1>
// CHECK-NEXT:   %2 = nn.or %a, %b : (tensor<2x3xi1>, tensor<3xi1>) -> tensor<2x3xi1>
// CHECK-NEXT:   %3 = nn.xor %a, %b : (tensor<2x3xi1>, tensor<3xi1>) -> tensor<2x3xi1>

func.func @bits(%a: tensor<2x3xui8>, %b: tensor<?xui8>) {
  %0 = nn.bitwise_not %a : tensor<2x3xui8>
  %1 = nn.bitwise_and %a, %b : (tensor<2x3xui8>, tensor<?xui8>) -> tensor<2x3xui8>
  %2 = nn.bitwise_or %a, %b : (tensor<2x3xui8>, tensor<?xui8>) -> tensor<2x3xui8>
  %3 = nn.bitwise_xor %a, %b : (tensor<2x3xui8>, tensor<?xui8>) -> tensor<2x3xui8>
  %4 = nn.bit_shift %a, %b direction = "LEFT" : (tensor<2x3xui8>, tensor<?xui8>) -> tensor<2x3xui8>
  %5 = nn.bit_shift %a, %b direction = "RIGHT" {place = array<i64: 0>} : (tensor<2x3xui8>, tensor<?xui8>) -> tensor<2x3xui8>
  func.return
}

// CHECK-LABEL: func.func @bits
// CHECK-NEXT:   %0 = nn.bitwise_not %a : tensor<2x3xui8>
// CHECK-NEXT:   %1 = nn.bitwise_and %a, %b : (tensor<2x3xui8>, tensor<?xui8>) -> tensor<2x3xui8>
// CHECK-NEXT:   %2 = nn.bitwise_or %a, %b : (tensor<2x3xui8>, tensor<?xui8>) -> tensor<2x3xui8>
// CHECK-NEXT:   %3 = nn.bitwise_xor %a, %b : (tensor<2x3xui8>, tensor<?xui8>) -> tensor<2x3xui8>
// CHECK-NEXT:   %4 = nn.bit_shift %a, %b direction = "LEFT" : (tensor<2x3xui8>, tensor<?xui8>) -> tensor<2x3xui8>
// CHECK-NEXT:   %5 = nn.bit_shift %a, %b direction = "RIGHT" {place = array<i64: 0>} : (tensor<2x3xui8>, tensor<?xui8>) -> tensor<2x3xui8>
