// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Optionals and their types, in both forms and back.

func.func @optionals(%x: tensor<2x?xf32>, %s: !nn.sequence<tensor<4xi64>>) {
  %0 = nn.optional x %x : (tensor<2x?xf32>) -> !nn.optional<tensor<2x?xf32>>
  %1 = nn.optional x %s : (!nn.sequence<tensor<4xi64>>) -> !nn.optional<!nn.sequence<tensor<4xi64>>>
  %2 = nn.optional type = !nn.sequence<tensor<*xf16>> : !nn.optional<!nn.sequence<tensor<*xf16>>>
  %3 = nn.optional type = tensor<?xi64> : !nn.optional<tensor<?xi64>>
  %4 = nn.optional_has_element %0 : (!nn.optional<tensor<2x?xf32>>) -> tensor<i1>
  %5 = nn.optional_get_element %0 : (!nn.optional<tensor<2x?xf32>>) -> tensor<2x?xf32>
  %6 = nn.optional_get_element %1 : (!nn.optional<!nn.sequence<tensor<4xi64>>>) -> !nn.sequence<tensor<4xi64>>
  func.return
}

// CHECK-LABEL: func.func @optionals
// CHECK-NEXT:   %0 = nn.optional x %x : (tensor<2x?xf32>) -> !nn.optional<tensor<2x?xf32>>
// CHECK-NEXT:   %1 = nn.optional x %s : (!nn.sequence<tensor<4xi64>>) -> !nn.optional<!nn.sequence<tensor<4xi64>>>
// CHECK-NEXT:   %2 = nn.optional type = !nn.sequence<tensor<*xf16>> : !nn.optional<!nn.sequence<tensor<*xf16>>>
// CHECK-NEXT:   %3 = nn.optional type = tensor<?xi64> : !nn.optional<tensor<?xi64>>
// CHECK-NEXT:   %4 = nn.optional_has_element %0 : (!nn.optional<tensor<2x?xf32>>) -> tensor<i1>
// CHECK-NEXT:   %5 = nn.optional_get_element %0 : (!nn.optional<tensor<2x?xf32>>) -> tensor<2x?xf32>
// CHECK-NEXT:   %6 = nn.optional_get_element %1 : (!nn.optional<!nn.sequence<tensor<4xi64>>>) -> !nn.sequence<tensor<4xi64>>
