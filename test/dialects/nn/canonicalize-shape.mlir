// RUN: fuse-opt %s -p canonicalize | filecheck %s
// RUN: fuse-opt %s -p canonicalize --print-debuginfo | filecheck %s --check-prefix=LOC

// Identity and Dropout vanish, except for a mask that is used, and where the types differ.

func.func @identity(%x: tensor<?x3xf32>) -> (tensor<?x3xf32>, tensor<?x3xf32>, tensor<?x3xf32>, tensor<?x3xi1>, tensor<2x3xf32>) {
  %0 = nn.identity %x : tensor<?x3xf32>
  %1 = nn.dropout %0 : tensor<?x3xf32>
  %2, %unused = nn.dropout %x : (tensor<?x3xf32>) -> (tensor<?x3xf32>, tensor<?x3xi1>)
  %3, %mask = nn.dropout %x : (tensor<?x3xf32>) -> (tensor<?x3xf32>, tensor<?x3xi1>)
  %4 = nn.identity %x : (tensor<?x3xf32>) -> tensor<2x3xf32>
  func.return %1, %2, %3, %mask, %4 : tensor<?x3xf32>, tensor<?x3xf32>, tensor<?x3xf32>, tensor<?x3xi1>, tensor<2x3xf32>
}

// CHECK-LABEL: func.func @identity
// CHECK-NEXT:   %{{.*}}, %mask = nn.dropout %x : (tensor<?x3xf32>) -> (tensor<?x3xf32>, tensor<?x3xi1>)
// CHECK-NEXT:   %[[I:.*]] = nn.identity %x : (tensor<?x3xf32>) -> tensor<2x3xf32>
// CHECK-NEXT:   func.return %x, %x, %x, %mask, %[[I]]

// Ops that only name new dims vanish where the dims stay.

func.func @same_dims(%x: tensor<2x3xf32>, %n: tensor<?x3xf32>, %m: tensor<?x?xf32>, %s: tensor<2xi64>) -> (tensor<2x3xf32>, tensor<?x3xf32>, tensor<2x3xf32>, tensor<?x3xf32>, tensor<?x?xf32>) {
  %c = nn.constant dense<[-1, 3]> : tensor<2xi64>
  %copy = nn.constant dense<0> : tensor<2xi64>
  %0 = nn.reshape %x, %s : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<2x3xf32>
  %1 = nn.reshape %n, %c : (tensor<?x3xf32>, tensor<2xi64>) -> tensor<?x3xf32>
  %2 = nn.flatten %x : tensor<2x3xf32>
  %3 = nn.flatten %n : tensor<?x3xf32>
  %4 = nn.reshape %m, %copy : (tensor<?x?xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  func.return %0, %1, %2, %3, %4 : tensor<2x3xf32>, tensor<?x3xf32>, tensor<2x3xf32>, tensor<?x3xf32>, tensor<?x?xf32>
}

// CHECK-LABEL: func.func @same_dims
// CHECK-NEXT:   func.return %x, %n, %x, %n, %m

// Two unknown sizes may trade places, and 0 elements decide nothing.

func.func @not_the_same_dims(%m: tensor<?x?xf32>, %s: tensor<2xi64>, %z: tensor<?x0xf32>) -> (tensor<?x?xf32>, tensor<?x0xf32>) {
  %0 = nn.reshape %m, %s : (tensor<?x?xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  %1 = nn.reshape %z, %s : (tensor<?x0xf32>, tensor<2xi64>) -> tensor<?x0xf32>
  func.return %0, %1 : tensor<?x?xf32>, tensor<?x0xf32>
}

// CHECK-LABEL: func.func @not_the_same_dims
// CHECK-NEXT:   %0 = nn.reshape %m, %s
// CHECK-NEXT:   %1 = nn.reshape %z, %s

// A chain of two becomes one, of which the names of both are kept.

func.func @collapse_static(%x: tensor<2x3x4xf32>) -> tensor<1x6x4xf32> {
  %axes = nn.constant dense<0> : tensor<1xi64>
  %s = nn.constant dense<[6, 4]> : tensor<2xi64>
  %0 = nn.flatten %x : (tensor<2x3x4xf32>) -> tensor<2x12xf32> loc("flat")
  %1 = nn.reshape %0, %s : (tensor<2x12xf32>, tensor<2xi64>) -> tensor<6x4xf32> loc("shaped")
  %2 = nn.unsqueeze %1, %axes : (tensor<6x4xf32>, tensor<1xi64>) -> tensor<1x6x4xf32> loc("wide")
  func.return %2 : tensor<1x6x4xf32>
}

// CHECK-LABEL: func.func @collapse_static
// CHECK-NEXT:   %[[S:.*]] = nn.constant dense<[1, 6, 4]> : tensor<3xi64>
// CHECK-NEXT:   %[[Y:.*]] = nn.reshape %x, %[[S]] : (tensor<2x3x4xf32>, tensor<3xi64>) -> tensor<1x6x4xf32>
// CHECK-NEXT:   func.return %[[Y]]
// LOC: nn.reshape {{.*}} loc(fused["flat", "shaped", "wide"])

func.func @collapse_to_nothing(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %axes = nn.constant dense<1> : tensor<1xi64>
  %0 = nn.unsqueeze %x, %axes : (tensor<2x3xf32>, tensor<1xi64>) -> tensor<2x1x3xf32>
  %1 = nn.squeeze %0 axes %axes : (tensor<2x1x3xf32>, tensor<1xi64>) -> tensor<2x3xf32>
  func.return %1 : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @collapse_to_nothing
// CHECK-NEXT:   func.return %x

// With unknown sizes: those both keep in front are copied, one other is -1.

func.func @collapse_unknown(%x: tensor<?x?x4x1xf32>) -> (tensor<?x?xf32>, tensor<?x8xf32>) {
  %axes = nn.constant dense<3> : tensor<1xi64>
  %s = nn.constant dense<[0, -1]> : tensor<2xi64>
  %t = nn.constant dense<[-1, 8]> : tensor<2xi64>
  %0 = nn.squeeze %x axes %axes : (tensor<?x?x4x1xf32>, tensor<1xi64>) -> tensor<?x?x4xf32>
  %1 = nn.reshape %0, %s : (tensor<?x?x4xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  %2 = nn.reshape %1, %t : (tensor<?x?xf32>, tensor<2xi64>) -> tensor<?x8xf32>
  func.return %1, %2 : tensor<?x?xf32>, tensor<?x8xf32>
}

// CHECK-LABEL: func.func @collapse_unknown
// CHECK:        %[[A:.*]] = nn.constant dense<[0, -1]> : tensor<2xi64>
// CHECK-NEXT:   %[[Y:.*]] = nn.reshape %x, %[[A]] : (tensor<?x?x4x1xf32>, tensor<2xi64>) -> tensor<?x?xf32>
// CHECK-NEXT:   %[[B:.*]] = nn.constant dense<[-1, 8]> : tensor<2xi64>
// CHECK-NEXT:   %[[Z:.*]] = nn.reshape %x, %[[B]] : (tensor<?x?x4x1xf32>, tensor<2xi64>) -> tensor<?x8xf32>
// CHECK-NEXT:   func.return %[[Y]], %[[Z]]

// A shape that says all dims, or -1, without copying one needs nothing of what lies between.

func.func @collapse_same_shape(%x: tensor<?x?x4xf32>, %s: tensor<2xi64>) -> tensor<?x?xf32> {
  %0 = nn.flatten %x axis = 2 : (tensor<?x?x4xf32>) -> tensor<?x4xf32>
  %1 = nn.reshape %0, %s allowzero = 1 : (tensor<?x4xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  func.return %1 : tensor<?x?xf32>
}

// CHECK-LABEL: func.func @collapse_same_shape
// CHECK-NEXT:   %0 = nn.reshape %x, %s allowzero = 1 : (tensor<?x?x4xf32>, tensor<2xi64>) -> tensor<?x?xf32>

func.func @collapse_empty(%x: tensor<0x4xf32>) -> tensor<2x0xf32> {
  %s = nn.constant dense<[2, 0]> : tensor<2xi64>
  %0 = nn.flatten %x axis = 0 : (tensor<0x4xf32>) -> tensor<1x0xf32>
  %1 = nn.reshape %0, %s allowzero = 1 : (tensor<1x0xf32>, tensor<2xi64>) -> tensor<2x0xf32>
  func.return %1 : tensor<2x0xf32>
}

// CHECK-LABEL: func.func @collapse_empty
// CHECK:        nn.reshape %x, %{{.*}} allowzero = 1 : (tensor<0x4xf32>, tensor<2xi64>) -> tensor<2x0xf32>

// Not where a copied size is one of the dims between, nor where two sizes are unknown.

func.func @no_collapse(%x: tensor<?x?x4xf32>, %s: tensor<2xi64>) -> (tensor<?x?xf32>, tensor<?x?x2xf32>) {
  %copy = nn.constant dense<[0, -1, 2]> : tensor<3xi64>
  %0 = nn.flatten %x axis = 2 : (tensor<?x?x4xf32>) -> tensor<?x4xf32>
  %1 = nn.reshape %0, %s : (tensor<?x4xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  %2 = nn.reshape %0, %copy : (tensor<?x4xf32>, tensor<3xi64>) -> tensor<?x?x2xf32>
  func.return %1, %2 : tensor<?x?xf32>, tensor<?x?x2xf32>
}

// CHECK-LABEL: func.func @no_collapse
// CHECK:        %[[F:.*]] = nn.flatten %x
// CHECK-NEXT:   nn.reshape %[[F]], %s
// CHECK-NEXT:   nn.reshape %[[F]], %

// A squeeze that checks what was assumed of its operand stays, where what comes behind would read other dims.

func.func @no_collapse_assumed(%x: tensor<?x3x1xf32>) -> (tensor<?x1x3xf32>, tensor<?x3x1xf32>, tensor<3x?xf32>) {
  %axes = nn.constant dense<2> : tensor<1xi64>
  %copy = nn.constant dense<[0, 1, -1]> : tensor<3xi64>
  %rest = nn.constant dense<[3, -1]> : tensor<2xi64>
  %0 = nn.squeeze %x axes %axes assumed = 1 : (tensor<?x3x1xf32>, tensor<1xi64>) -> tensor<?x3xf32>
  %1 = nn.reshape %0, %copy : (tensor<?x3xf32>, tensor<3xi64>) -> tensor<?x1x3xf32>
  %2 = nn.unsqueeze %0, %axes : (tensor<?x3xf32>, tensor<1xi64>) -> tensor<?x3x1xf32>
  %3 = nn.reshape %0, %rest : (tensor<?x3xf32>, tensor<2xi64>) -> tensor<3x?xf32>
  func.return %1, %2, %3 : tensor<?x1x3xf32>, tensor<?x3x1xf32>, tensor<3x?xf32>
}

// CHECK-LABEL: func.func @no_collapse_assumed
// CHECK:        %[[S:.*]] = nn.squeeze %x axes %{{.*}} assumed = 1
// CHECK:        nn.reshape %[[S]], %
// CHECK:        nn.unsqueeze %[[S]]
// CHECK:        nn.reshape %x, %

// Transposes compose; those that cancel out vanish.

func.func @transpose(%x: tensor<?x3x4x5xf32>) -> (tensor<?x3x4x5xf32>, tensor<5x?x3x4xf32>) {
  %0 = nn.transpose %x perm [0, 2, 3, 1] : (tensor<?x3x4x5xf32>) -> tensor<?x4x5x3xf32> loc("nhwc")
  %1 = nn.transpose %0 perm [0, 3, 1, 2] : (tensor<?x4x5x3xf32>) -> tensor<?x3x4x5xf32> loc("nchw")
  %2 = nn.transpose %0 perm [2, 0, 3, 1] : (tensor<?x4x5x3xf32>) -> tensor<5x?x3x4xf32> loc("last")
  func.return %1, %2 : tensor<?x3x4x5xf32>, tensor<5x?x3x4xf32>
}

// CHECK-LABEL: func.func @transpose
// CHECK-NEXT:   %0 = nn.transpose %x perm [3, 0, 1, 2] : (tensor<?x3x4x5xf32>) -> tensor<5x?x3x4xf32>
// CHECK-NEXT:   func.return %x, %0
// LOC: nn.transpose {{.*}} loc(fused["nhwc", "last"])

func.func @no_transpose(%x: tensor<3x3xf32>) -> (tensor<3x3xf32>, tensor<3x3xf32>) {
  %0 = nn.transpose %x perm [0, 1] : tensor<3x3xf32>
  %1 = nn.transpose %x : tensor<3x3xf32>
  func.return %0, %1 : tensor<3x3xf32>, tensor<3x3xf32>
}

// CHECK-LABEL: func.func @no_transpose
// CHECK-NEXT:   %0 = nn.transpose %x : tensor<3x3xf32>
// CHECK-NEXT:   func.return %x, %0

// Expand and Tile that repeat nothing.

func.func @repeat(%x: tensor<1x3xf32>, %n: tensor<?x3xf32>) -> (tensor<1x3xf32>, tensor<?x3xf32>, tensor<?x3xf32>, tensor<?x3xf32>) {
  %row = nn.constant dense<[1, 3]> : tensor<2xi64>
  %ones = nn.constant dense<1> : tensor<2xi64>
  %size = nn.shape %n : (tensor<?x3xf32>) -> tensor<2xi64>
  %0 = nn.expand %x, %row : (tensor<1x3xf32>, tensor<2xi64>) -> tensor<1x3xf32>
  %1 = nn.expand %n, %row : (tensor<?x3xf32>, tensor<2xi64>) -> tensor<?x3xf32>
  %2 = nn.expand %n, %size : (tensor<?x3xf32>, tensor<2xi64>) -> tensor<?x3xf32>
  %3 = nn.tile %n, %ones : (tensor<?x3xf32>, tensor<2xi64>) -> tensor<?x3xf32>
  func.return %0, %1, %2, %3 : tensor<1x3xf32>, tensor<?x3xf32>, tensor<?x3xf32>, tensor<?x3xf32>
}

// CHECK-LABEL: func.func @repeat
// CHECK:        %[[E:.*]] = nn.expand %n, %{{.*}} : (tensor<?x3xf32>, tensor<2xi64>) -> tensor<?x3xf32>
// CHECK-NEXT:   func.return %x, %n, %[[E]], %n

// The exporters' way to flatten vanishes: wholly for static dims; else into a shape that copies what it copied.

func.func @chain(%x: tensor<2x8x4xf32>) -> tensor<2x32xf32> {
  %zero = nn.constant 0 : i64 as tensor<i64>
  %axes = nn.constant dense<0> : tensor<1xi64>
  %rest = nn.constant dense<-1> : tensor<1xi64>
  %0 = nn.shape %x : (tensor<2x8x4xf32>) -> tensor<3xi64>
  %1 = nn.gather %0, %zero : (tensor<3xi64>, tensor<i64>) -> tensor<i64>
  %2 = nn.unsqueeze %1, %axes : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %3 = nn.concat [%2, %rest] axis = 0 : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %4 = nn.reshape %x, %3 : (tensor<2x8x4xf32>, tensor<2xi64>) -> tensor<2x32xf32>
  func.return %4 : tensor<2x32xf32>
}

// CHECK-LABEL: func.func @chain(
// CHECK-NEXT:   %[[S:.*]] = nn.constant dense<[2, -1]> : tensor<2xi64>
// CHECK-NEXT:   %[[Y:.*]] = nn.reshape %x, %[[S]] : (tensor<2x8x4xf32>, tensor<2xi64>) -> tensor<2x32xf32>
// CHECK-NEXT:   func.return %[[Y]]

func.func @symbolic_chain(%x: tensor<?x8x4xf32>) -> tensor<?x?xf32> {
  %zero = nn.constant 0 : i64 as tensor<i64>
  %axes = nn.constant dense<0> : tensor<1xi64>
  %rest = nn.constant dense<-1> : tensor<1xi64>
  %y = nn.relu %x : tensor<?x8x4xf32>
  %0 = nn.shape %x : (tensor<?x8x4xf32>) -> tensor<3xi64>
  %1 = nn.gather %0, %zero : (tensor<3xi64>, tensor<i64>) -> tensor<i64>
  %2 = nn.unsqueeze %1, %axes : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %3 = nn.concat [%2, %rest] axis = 0 : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %4 = nn.reshape %y, %3 : (tensor<?x8x4xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  func.return %4 : tensor<?x?xf32>
}

// CHECK-LABEL: func.func @symbolic_chain
// CHECK-NEXT:   %[[R:.*]] = nn.relu %x
// CHECK-NEXT:   %[[S:.*]] = nn.constant dense<[0, -1]> : tensor<2xi64>
// CHECK-NEXT:   %[[Y:.*]] = nn.reshape %[[R]], %[[S]] : (tensor<?x8x4xf32>, tensor<2xi64>) -> tensor<?x?xf32>
// CHECK-NEXT:   func.return %[[Y]]

// Not where a size comes from another tensor, or does not stay at its place.

func.func @other_chain(%x: tensor<?x8xf32>, %y: tensor<?x8xf32>) -> (tensor<?x?xf32>, tensor<?x?xf32>) {
  %zero = nn.constant dense<0> : tensor<1xi64>
  %rest = nn.constant dense<-1> : tensor<1xi64>
  %0 = nn.shape %y end = 1 : (tensor<?x8xf32>) -> tensor<1xi64>
  %1 = nn.concat [%0, %rest] axis = 0 : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %2 = nn.reshape %x, %1 : (tensor<?x8xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  %3 = nn.concat [%rest, %0] axis = 0 : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %4 = nn.reshape %y, %3 : (tensor<?x8xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  func.return %2, %4 : tensor<?x?xf32>, tensor<?x?xf32>
}

// CHECK-LABEL: func.func @other_chain
// CHECK:        %[[A:.*]] = nn.concat
// CHECK-NEXT:   nn.reshape %x, %[[A]]
// CHECK-NEXT:   %[[B:.*]] = nn.concat
// CHECK-NEXT:   nn.reshape %y, %[[B]]

// Sizes that are known fold, though others of the tensor are not.

func.func @sizes(%x: tensor<?x8x4xf32>) -> (tensor<2xi64>, tensor<2xi64>, tensor<1xi64>, tensor<3xi64>) {
  %picks = nn.constant dense<[2, -2]> : tensor<2xi64>
  %one = nn.constant dense<1> : tensor<1xi64>
  %end = nn.constant dense<9223372036854775807> : tensor<1xi64>
  %zero = nn.constant dense<0> : tensor<1xi64>
  %0 = nn.shape %x : (tensor<?x8x4xf32>) -> tensor<3xi64>
  %1 = nn.gather %0, %picks : (tensor<3xi64>, tensor<2xi64>) -> tensor<2xi64>
  %2 = nn.slice %0, %one, %end : (tensor<3xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %3 = nn.gather %0, %zero : (tensor<3xi64>, tensor<1xi64>) -> tensor<1xi64>
  func.return %1, %2, %3, %0 : tensor<2xi64>, tensor<2xi64>, tensor<1xi64>, tensor<3xi64>
}

// CHECK-LABEL: func.func @sizes
// CHECK-DAG:    %[[P:.*]] = nn.constant dense<[4, 8]> : tensor<2xi64>
// CHECK-DAG:    %[[T:.*]] = nn.constant dense<[8, 4]> : tensor<2xi64>
// CHECK-DAG:    %[[S:.*]] = nn.shape %x
// CHECK:        %[[G:.*]] = nn.gather %[[S]]
// CHECK-NEXT:   func.return %[[P]], %[[T]], %[[G]], %[[S]]
