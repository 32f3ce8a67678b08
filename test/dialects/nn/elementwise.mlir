// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Elementwise operations, in both forms and back.

func.func @arithmetic(%a: tensor<2x3xf32>, %b: tensor<?x1xf32>, %c: tensor<2x3xf32>, %i: tensor<3xi64>) {
  %0 = nn.add %a, %c : tensor<2x3xf32>
  %1 = nn.add %a, %b : (tensor<2x3xf32>, tensor<?x1xf32>) -> tensor<2x3xf32>
  %2 = nn.sub %a, %c {place = array<i64: 0>} : tensor<2x3xf32>
  %3 = nn.mul %a, %c : tensor<2x3xf32>
  %4 = nn.div %a, %c : tensor<2x3xf32>
  %5 = nn.pow %a, %i : (tensor<2x3xf32>, tensor<3xi64>) -> tensor<2x3xf32>
  %6 = nn.sum [%a, %b, %c] : (tensor<2x3xf32>, tensor<?x1xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  %7 = nn.max [%a, %c] : tensor<2x3xf32>
  %8 = nn.min [%a] : tensor<2x3xf32>
  %9 = nn.mean [%a, %c] : tensor<2x3xf32>
  %10 = nn.mod %a, %c fmod = 1 : tensor<2x3xf32>
  %11 = nn.mod %i, %i : tensor<3xi64>
  func.return
}

// CHECK-LABEL: func.func @arithmetic
// CHECK-NEXT:   %0 = nn.add %a, %c : tensor<2x3xf32>
// CHECK-NEXT:   %1 = nn.add %a, %b : (tensor<2x3xf32>, tensor<?x1xf32>) -> tensor<2x3xf32>
// CHECK-NEXT:   %2 = nn.sub %a, %c {place = array<i64: 0>} : tensor<2x3xf32>
// CHECK-NEXT:   %3 = nn.mul %a, %c : tensor<2x3xf32>
// CHECK-NEXT:   %4 = nn.div %a, %c : tensor<2x3xf32>
// CHECK-NEXT:   %5 = nn.pow %a, %i : (tensor<2x3xf32>, tensor<3xi64>) -> tensor<2x3xf32>
// CHECK-NEXT:   %6 = nn.sum [%a, %b, %c] : (tensor<2x3xf32>, tensor<?x1xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
// CHECK-NEXT:   %7 = nn.max [%a, %c] : tensor<2x3xf32>
// CHECK-NEXT:   %8 = nn.min [%a] : tensor<2x3xf32>
// CHECK-NEXT:   %9 = nn.mean [%a, %c] : tensor<2x3xf32>
// CHECK-NEXT:   %10 = nn.mod %a, %c fmod = 1 : tensor<2x3xf32>
// CHECK-NEXT:   %11 = nn.mod %i, %i : tensor<3xi64>

func.func @selection(%a: tensor<2x3xf32>, %b: tensor<3xf32>) {
  %0 = nn.equal %a, %b : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xi1>
  %1 = nn.where %0, %a, %b : (tensor<2x3xi1>, tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  func.return
}

// CHECK-LABEL: func.func @selection
// CHECK-NEXT:   %0 = nn.equal %a, %b : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xi1>
// CHECK-NEXT:   %1 = nn.where %0, %a, %b : (tensor<2x3xi1>, tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>

func.func @functions(%x: tensor<2x3xf32>) {
  %0 = nn.neg %x : tensor<2x3xf32>
  %1 = nn.abs %x : tensor<2x3xf32>
  %2 = nn.exp %x : tensor<2x3xf32>
  %3 = nn.log %x : tensor<2x3xf32>
  %4 = nn.sqrt %x : tensor<2x3xf32>
  %5 = nn.reciprocal %x : tensor<2x3xf32>
  %6 = nn.erf %x : tensor<2x3xf32>
  %7 = nn.floor %x : tensor<2x3xf32>
  %8 = nn.ceil %x : tensor<2x3xf32>
  %9 = nn.round %x : tensor<2x3xf32>
  %10 = nn.sign %x : tensor<2x3xf32>
  func.return
}

// CHECK-LABEL: func.func @functions
// CHECK-NEXT:   %0 = nn.neg %x : tensor<2x3xf32>
// CHECK-NEXT:   %1 = nn.abs %x : tensor<2x3xf32>
// CHECK-NEXT:   %2 = nn.exp %x : tensor<2x3xf32>
// CHECK-NEXT:   %3 = nn.log %x : tensor<2x3xf32>
// CHECK-NEXT:   %4 = nn.sqrt %x : tensor<2x3xf32>
// CHECK-NEXT:   %5 = nn.reciprocal %x : tensor<2x3xf32>
// CHECK-NEXT:   %6 = nn.erf %x : tensor<2x3xf32>
// CHECK-NEXT:   %7 = nn.floor %x : tensor<2x3xf32>
// CHECK-NEXT:   %8 = nn.ceil %x : tensor<2x3xf32>
// CHECK-NEXT:   %9 = nn.round %x : tensor<2x3xf32>
// CHECK-NEXT:   %10 = nn.sign %x : tensor<2x3xf32>

func.func @casts(%x: tensor<2x3xf32>) {
  %0 = nn.cast %x to = f16 : (tensor<2x3xf32>) -> tensor<2x3xf16>
  %1 = nn.cast %x to = i1 : (tensor<2x3xf32>) -> tensor<2x3xi1>
  %2 = nn.cast %x to = ui8 : (tensor<2x3xf32>) -> tensor<2x3xui8>
  %3 = nn.cast %x to = f32 : tensor<2x3xf32>
  func.return
}

// CHECK-LABEL: func.func @casts
// CHECK-NEXT:   %0 = nn.cast %x to = f16 : (tensor<2x3xf32>) -> tensor<2x3xf16>
// CHECK-NEXT:   %1 = nn.cast %x to = i1 : (tensor<2x3xf32>) -> tensor<2x3xi1>
// CHECK-NEXT:   %2 = nn.cast %x to = ui8 : (tensor<2x3xf32>) -> tensor<2x3xui8>
// CHECK-NEXT:   %3 = nn.cast %x to = f32 : tensor<2x3xf32>
