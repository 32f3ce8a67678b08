// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Comparisons, in both forms and back.

func.func @relations(%a: tensor<2x3xf32>, %b: tensor<?x1xf32>) {
  %0 = nn.equal %a, %b : (tensor<2x3xf32>, tensor<?x1xf32>) -> tensor<2x3xi1>
  %1 = nn.less %a, %b : (tensor<2x3xf32>, tensor<?x1xf32>) -> tensor<2x3xi1>
  %2 = nn.less_or_equal %a, %b : (tensor<2x3xf32>, tensor<?x1xf32>) -> tensor<2x3xi1>
  %3 = nn.greater %a, %b : (tensor<2x3xf32>, tensor<?x1xf32>) -> tensor<2x3xi1>
  %4 = nn.greater_or_equal %a, %b : (tensor<2x3xf32>, tensor<?x1xf32>) -> tensor<2x3xi1>
  func.return
}

// CHECK-LABEL: func.func @relations
// CHECK-NEXT:   %0 = nn.equal %a, %b : (tensor<2x3xf32>, tensor<?x1xf32>) -> tensor<2x3xi1>
// CHECK-NEXT:   %1 = nn.less %a, %b : (tensor<2x3xf32>, tensor<?x1xf32>) -> tensor<2x3xi1>
// CHECK-NEXT:   %2 = nn.less_or_equal %a, %b : (tensor<2x3xf32>, tensor<?x1xf32>) -> tensor<2x3xi1>
// CHECK-NEXT:   %3 = nn.greater %a, %b : (tensor<2x3xf32>, tensor<?x1xf32>) -> tensor<2x3xi1>
// CHECK-NEXT:   %4 = nn.greater_or_equal %a, %b : (tensor<2x3xf32>, tensor<?x1xf32>) -> tensor<2x3xi1>

func.func @predicates(%x: tensor<?x3xf16>) {
  %0 = nn.is_nan %x : (tensor<?x3xf16>) -> tensor<?x3xi1>
  %1 = nn.is_inf %x : (tensor<?x3xf16>) -> tensor<?x3xi1>
  %2 = nn.is_inf %x detect_negative = 0 : (tensor<?x3xf16>) -> tensor<?x3xi1>
  %3 = nn.is_inf %x detect_positive = 0 {place = array<i64: 0>} : (tensor<?x3xf16>) -> tensor<?x3xi1>
  func.return
}

// CHECK-LABEL: func.func @predicates
// CHECK-NEXT:   %0 = nn.is_nan %x : (tensor<?x3xf16>) -> tensor<?x3xi1>
// CHECK-NEXT:   %1 = nn.is_inf %x : (tensor<?x3xf16>) -> tensor<?x3xi1>
// CHECK-NEXT:   %2 = nn.is_inf %x detect_negative = 0 : (tensor<?x3xf16>) -> tensor<?x3xi1>
// CHECK-NEXT:   %3 = nn.is_inf %x detect_positive = 0 {place = array<i64: 0>} : (tensor<?x3xf16>) -> tensor<?x3xi1>
