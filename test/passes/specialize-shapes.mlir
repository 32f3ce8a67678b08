// RUN: fuse-opt %s -p 'specialize-shapes{dims="N=8,L=5"}' | filecheck %s
// RUN: not fuse-opt %s -p 'specialize-shapes{dims="N=8,Q=5"}' 2>&1 | filecheck %s --check-prefix=UNKNOWN
// RUN: not fuse-opt %s -p 'specialize-shapes{dims="N"}' 2>&1 | filecheck %s --check-prefix=MALFORMED
// RUN: not fuse-opt %s -p 'specialize-shapes{dims="N=-1"}' 2>&1 | filecheck %s --check-prefix=NEGATIVE
// RUN: not fuse-opt %s -p 'specialize-shapes{dims="N=8,L=4"}' 2>&1 | filecheck %s --check-prefix=CONTRADICTION
// RUN: not fuse-opt %s -p 'specialize-shapes{dims="M=4"}' 2>&1 | filecheck %s --check-prefix=DECLARED
// RUN: fuse-opt %s -p 'canonicalize,specialize-shapes{dims="N=8,L=5"},canonicalize' | filecheck %s --check-prefix=CANONICAL
// RUN: fuse-opt %s -p 'specialize-shapes{dims="N=8,L=5"}' > %t.mlir && fuse-opt %t.mlir -p specialize-shapes | diff %t.mlir -

// UNKNOWN: fuse-opt: no input has a dimension named 'Q'
// MALFORMED: fuse-opt: 'N' is no dimension binding (write NAME=SIZE)
// NEGATIVE: fuse-opt: 'N=-1' is no dimension binding (write NAME=SIZE)
// CONTRADICTION: fuse-opt: add_1: shapes 4 and 5 do not broadcast
// DECLARED: fuse-opt: relu_1: the result is declared tensor<5xf32>, but is tensor<4xf32>

// The dims named are bound, in arguments and all that follows from them; the others keep their names.

// CHECK-LABEL: func.func @bind
// CHECK-SAME: (%x: tensor<8x3x?xf32> {nn.name = "x", nn.dims = ["", "", "W"]}) -> (tensor<8x6x?xf32> {nn.dims = ["", "", "W"]}) {
// CHECK-NEXT: %y = nn.concat [%x, %x] axis = 1 : (tensor<8x3x?xf32>, tensor<8x3x?xf32>) -> tensor<8x6x?xf32>
func.func @bind(%x: tensor<?x3x?xf32> {nn.dims = ["N", "", "W"], nn.name = "x"}) -> (tensor<?x6x?xf32> {nn.dims = ["N", "", "W"]}) {
  %y = nn.concat [%x, %x] axis = 1 : (tensor<?x3x?xf32>, tensor<?x3x?xf32>) -> tensor<?x6x?xf32>
  func.return %y : tensor<?x6x?xf32>
}

// An exporter's flatten: Shape, Gather, Unsqueeze, Concat and Reshape become one reshape to a constant.

// CHECK-LABEL: func.func @exported_flatten
// CHECK-SAME: (%x: tensor<8x4x5x5xf32>
// CHECK-NEXT: %[[S:.*]] = nn.constant dense<[8, -1]> : tensor<2xi64>
// CHECK-NEXT: %r = nn.reshape %x, %[[S]] : (tensor<8x4x5x5xf32>, tensor<2xi64>) -> tensor<8x100xf32>
// CHECK-NEXT: func.return %r : tensor<8x100xf32>
func.func @exported_flatten(%x: tensor<?x4x?x?xf32> {nn.dims = ["N", "", "L", "L"]}) -> tensor<?x?xf32> {
  %zero = nn.constant 0 : i64 as tensor<i64>
  %axes = nn.constant 0 : i64 as tensor<1xi64>
  %rest = nn.constant -1 : i64 as tensor<1xi64>
  %s = nn.shape %x : (tensor<?x4x?x?xf32>) -> tensor<4xi64>
  %n = nn.gather %s, %zero : (tensor<4xi64>, tensor<i64>) -> tensor<i64>
  %u = nn.unsqueeze %n, %axes : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %c = nn.concat [%u, %rest] axis = 0 : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %r = nn.reshape %x, %c : (tensor<?x4x?x?xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  func.return %r : tensor<?x?xf32>
}

// Between two canonicalizations too, which may spell what is left in another way.

// CANONICAL-LABEL: func.func @exported_flatten
// CANONICAL-NOT: nn.{{shape|gather|unsqueeze|concat}}
// CANONICAL: -> tensor<8x100xf32>
// CANONICAL: func.func @arithmetic

// Sizes that are computed with: half of the channels, in a slice.

// CHECK-LABEL: func.func @arithmetic
// CHECK-NOT: nn.shape
// CHECK-NOT: nn.div
// CHECK: nn.slice %x, {{.*}} -> tensor<4x3xf32>
// CHECK-NEXT: func.return
func.func @arithmetic(%x: tensor<?x3xf32> {nn.dims = ["N", ""]}) -> tensor<?x3xf32> {
  %zero = nn.constant 0 : i64 as tensor<1xi64>
  %two = nn.constant 2 : i64 as tensor<1xi64>
  %s = nn.shape %x : (tensor<?x3xf32>) -> tensor<2xi64>
  %n = nn.gather %s, %zero : (tensor<2xi64>, tensor<1xi64>) -> tensor<1xi64>
  %h = nn.div %n, %two : tensor<1xi64>
  %y = nn.slice %x, %zero, %h axes %zero : (tensor<?x3xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  func.return %y : tensor<?x3xf32>
}

// What is known of a result stays known, though less can be inferred.

// CHECK-LABEL: func.func @declared
// CHECK: nn.reshape %x, %s : (tensor<8x6xf32>, tensor<2xi64>) -> tensor<?x3xf32>
func.func @declared(%x: tensor<?x6xf32> {nn.dims = ["N", ""]}, %s: tensor<2xi64>) -> tensor<?x3xf32> {
  %y = nn.reshape %x, %s : (tensor<?x6xf32>, tensor<2xi64>) -> tensor<?x3xf32>
  func.return %y : tensor<?x3xf32>
}

// Near miss: a Shape of a size that depends on data is no constant; nor is what is computed from data.

// CHECK-LABEL: func.func @data
// CHECK: nn.non_zero
// CHECK: nn.shape
// CHECK: nn.reshape
func.func @data(%x: tensor<?x6xf32> {nn.dims = ["N", ""]}) -> tensor<?x2xi64> {
  %n = nn.non_zero %x : (tensor<?x6xf32>) -> tensor<2x?xi64>
  %s = nn.shape %n : (tensor<2x?xi64>) -> tensor<2xi64>
  %back = nn.constant dense<[1, 0]> : tensor<2xi64>
  %t = nn.gather %s, %back : (tensor<2xi64>, tensor<2xi64>) -> tensor<2xi64>
  %y = nn.reshape %n, %t : (tensor<2x?xi64>, tensor<2xi64>) -> tensor<?x2xi64>
  func.return %y : tensor<?x2xi64>
}

// Must not fire: weights are not read, nor folded.

// CHECK-LABEL: func.func @weights
// CHECK-NEXT: nn.parameter "w" : tensor<3xf32>
// CHECK-NEXT: nn.neg
// CHECK-NEXT: nn.add %x
func.func @weights(%x: tensor<?x3xf32> {nn.dims = ["N", ""]}) -> tensor<?x3xf32> {
  %w = nn.parameter "w" : tensor<3xf32>
  %n = nn.neg %w : tensor<3xf32>
  %y = nn.add %x, %n : (tensor<?x3xf32>, tensor<3xf32>) -> tensor<?x3xf32>
  func.return %y : tensor<?x3xf32>
}

// Five is what this one wants.

// CHECK-LABEL: func.func @five
// CHECK: nn.add %x, %w : tensor<5xf32>
func.func @five(%x: tensor<?xf32> {nn.dims = ["L"]}) -> tensor<?xf32> {
  %w = nn.parameter "w" : tensor<5xf32>
  %y = nn.add %x, %w : (tensor<?xf32>, tensor<5xf32>) -> tensor<?xf32> loc("add_1")
  func.return %y : tensor<?xf32>
}

// What is declared binds too.

// CHECK-LABEL: func.func @declared_five
// CHECK: nn.relu %x : (tensor<?xf32>) -> tensor<5xf32>
func.func @declared_five(%x: tensor<?xf32> {nn.dims = ["M"]}) -> tensor<5xf32> {
  %y = nn.relu %x : (tensor<?xf32>) -> tensor<5xf32> loc("relu_1")
  func.return %y : tensor<5xf32>
}

// Sizes go through sequences and optionals; those that arguments of such types hold stay as they are said to be.

// CHECK-LABEL: func.func @containers
// CHECK-SAME: %s: !nn.sequence<tensor<?x3xf32>> {nn.name = "s"}
// CHECK-SAME: -> (!nn.sequence<tensor<8x?xf32>>, !nn.optional<tensor<8x?xf32>>, tensor<?x3xf32>)
// CHECK-NEXT: nn.split_to_sequence %x split %l axis = 1 : (tensor<8x6xf32>, tensor<i64>) -> !nn.sequence<tensor<8x?xf32>>
// CHECK-NEXT: nn.sequence_at %p, %l : (!nn.sequence<tensor<8x?xf32>>, tensor<i64>) -> tensor<8x?xf32>
// CHECK-NEXT: nn.optional x %a : (tensor<8x?xf32>) -> !nn.optional<tensor<8x?xf32>>
// CHECK-NEXT: nn.sequence_at %s, %l : (!nn.sequence<tensor<?x3xf32>>, tensor<i64>) -> tensor<?x3xf32>
func.func @containers(%x: tensor<?x6xf32> {nn.dims = ["N", ""]}, %s: !nn.sequence<tensor<?x3xf32>> {nn.name = "s"}, %l: tensor<i64>) -> (!nn.sequence<tensor<?x?xf32>>, !nn.optional<tensor<?x?xf32>>, tensor<?x3xf32>) {
  %p = nn.split_to_sequence %x split %l axis = 1 : (tensor<?x6xf32>, tensor<i64>) -> !nn.sequence<tensor<?x?xf32>>
  %a = nn.sequence_at %p, %l : (!nn.sequence<tensor<?x?xf32>>, tensor<i64>) -> tensor<?x?xf32>
  %o = nn.optional x %a : (tensor<?x?xf32>) -> !nn.optional<tensor<?x?xf32>>
  %b = nn.sequence_at %s, %l : (!nn.sequence<tensor<?x3xf32>>, tensor<i64>) -> tensor<?x3xf32>
  func.return %p, %o, %b : !nn.sequence<tensor<?x?xf32>>, !nn.optional<tensor<?x?xf32>>, tensor<?x3xf32>
}
