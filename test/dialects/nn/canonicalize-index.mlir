// RUN: fuse-opt %s -p canonicalize | filecheck %s
// RUN: fuse-opt %s -p canonicalize --print-debuginfo | filecheck %s --check-prefix=LOC

// Concat and Split of one piece vanish.

func.func @one_piece(%x: tensor<?x3xf32>) -> (tensor<?x3xf32>, tensor<?x3xf32>) {
  %0 = nn.concat [%x] axis = 0 : tensor<?x3xf32>
  %1 = nn.split %x axis = 1 num_outputs = 1 : tensor<?x3xf32>
  func.return %0, %1 : tensor<?x3xf32>, tensor<?x3xf32>
}

// CHECK-LABEL: func.func @one_piece
// CHECK-NEXT:   func.return %x, %x

// Pieces of size 0 are left out, but not the last one.

func.func @empty_pieces(%x: tensor<?x3xf32>, %e: tensor<0x3xf32>) -> (tensor<?x3xf32>, tensor<0x3xf32>) {
  %0 = nn.concat [%e, %x, %e] axis = 0 : (tensor<0x3xf32>, tensor<?x3xf32>, tensor<0x3xf32>) -> tensor<?x3xf32>
  %1 = nn.concat [%e, %e] axis = 0 : tensor<0x3xf32>
  func.return %0, %1 : tensor<?x3xf32>, tensor<0x3xf32>
}

// CHECK-LABEL: func.func @empty_pieces
// CHECK-NEXT:   %0 = nn.concat [%e, %e]
// CHECK-NEXT:   func.return %x, %0

// Concats along one axis become one.

func.func @concat(%x: tensor<2x3xf32>, %y: tensor<2x4xf32>) -> tensor<2x14xf32> {
  %0 = nn.concat [%x, %y] axis = -1 : (tensor<2x3xf32>, tensor<2x4xf32>) -> tensor<2x7xf32> loc("first")
  %1 = nn.concat [%y, %x] axis = 1 : (tensor<2x4xf32>, tensor<2x3xf32>) -> tensor<2x7xf32> loc("second")
  %2 = nn.concat [%0, %1] axis = 1 : (tensor<2x7xf32>, tensor<2x7xf32>) -> tensor<2x14xf32> loc("all")
  func.return %2 : tensor<2x14xf32>
}

// CHECK-LABEL: func.func @concat
// CHECK-NEXT:   %0 = nn.concat [%x, %y, %y, %x] axis = 1
// CHECK-NEXT:   func.return %0
// LOC: nn.concat {{.*}} loc(fused["first", "second", "all"])

// Not along another axis, nor where the inner one is used twice.

func.func @no_concat(%x: tensor<2x2xf32>, %y: tensor<4x2xf32>) -> (tensor<4x4xf32>, tensor<2x8xf32>) {
  %0 = nn.concat [%x, %x] axis = 0 : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<4x2xf32>
  %1 = nn.concat [%0, %y] axis = 1 : (tensor<4x2xf32>, tensor<4x2xf32>) -> tensor<4x4xf32>
  %2 = nn.concat [%x, %x] axis = 1 : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x4xf32>
  %3 = nn.concat [%2, %2] axis = 1 : (tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<2x8xf32>
  func.return %1, %3 : tensor<4x4xf32>, tensor<2x8xf32>
}

// CHECK-LABEL: func.func @no_concat
// CHECK-NEXT:   %0 = nn.concat [%x, %x] axis = 0
// CHECK-NEXT:   %1 = nn.concat [%0, %y] axis = 1
// CHECK-NEXT:   %2 = nn.concat [%x, %x] axis = 1
// CHECK-NEXT:   %3 = nn.concat [%2, %2] axis = 1

// All the pieces of a split, joined in their order, are what was split; whoever else reads a piece keeps the split.

func.func @join(%x: tensor<2x?xf32>, %y: tensor<2x3xf32>, %sizes: tensor<2xi64>) -> (tensor<2x?xf32>, tensor<2x?xf32>) {
  %p, %q = nn.split %x split %sizes axis = 1 num_outputs = 2 : (tensor<2x?xf32>, tensor<2xi64>) -> (tensor<2x?xf32>, tensor<2x?xf32>) loc("halves")
  %0 = nn.concat [%p, %q] axis = -1 : (tensor<2x?xf32>, tensor<2x?xf32>) -> tensor<2x?xf32>
  %1 = nn.concat [%y, %p, %q, %y, %p, %q] axis = 1 : (tensor<2x3xf32>, tensor<2x?xf32>, tensor<2x?xf32>, tensor<2x3xf32>, tensor<2x?xf32>, tensor<2x?xf32>) -> tensor<2x?xf32> loc("joined")
  func.return %0, %1 : tensor<2x?xf32>, tensor<2x?xf32>
}

// CHECK-LABEL: func.func @join(
// CHECK-NEXT:   %0 = nn.concat [%y, %x, %y, %x] axis = 1 : (tensor<2x3xf32>, tensor<2x?xf32>, tensor<2x3xf32>, tensor<2x?xf32>) -> tensor<2x?xf32>
// CHECK-NEXT:   func.return %x, %0
// LOC: nn.concat [%y, %x, %y, %x] {{.*}} loc(fused["halves", "joined"])

func.func @join_cross_stage(%x: tensor<2x4xf32>) -> tensor<2x6xf32> {
  %p, %q = nn.split %x axis = 1 num_outputs = 2 : (tensor<2x4xf32>) -> (tensor<2x2xf32>, tensor<2x2xf32>) loc("halves")
  %0 = nn.exp %q : tensor<2x2xf32>
  %1 = nn.concat [%p, %q, %0] axis = 1 : (tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x6xf32> loc("joined")
  func.return %1 : tensor<2x6xf32>
}

// CHECK-LABEL: func.func @join_cross_stage
// CHECK-NEXT:   %p, %q = nn.split %x
// CHECK-NEXT:   %0 = nn.exp %q
// CHECK-NEXT:   %1 = nn.concat [%x, %0] axis = 1 : (tensor<2x4xf32>, tensor<2x2xf32>) -> tensor<2x6xf32>
// CHECK-NEXT:   func.return %1
// LOC-LABEL: func.func @join_cross_stage
// LOC: nn.concat [%x, %0] {{.*}} loc("joined")

// Not in another order, along another axis, without one of the pieces, with something between, nor those of two splits.

func.func @no_join(%x: tensor<3x3xf32>, %y: tensor<3x3xf32>) -> (tensor<3x3xf32>, tensor<1x9xf32>, tensor<2x3xf32>, tensor<4x3xf32>, tensor<3x3xf32>) {
  %a, %b, %c = nn.split %x num_outputs = 3 : (tensor<3x3xf32>) -> (tensor<1x3xf32>, tensor<1x3xf32>, tensor<1x3xf32>)
  %d, %e, %f = nn.split %y num_outputs = 3 : (tensor<3x3xf32>) -> (tensor<1x3xf32>, tensor<1x3xf32>, tensor<1x3xf32>)
  %0 = nn.concat [%b, %a, %c] axis = 0 : (tensor<1x3xf32>, tensor<1x3xf32>, tensor<1x3xf32>) -> tensor<3x3xf32>
  %1 = nn.concat [%a, %b, %c] axis = 1 : (tensor<1x3xf32>, tensor<1x3xf32>, tensor<1x3xf32>) -> tensor<1x9xf32>
  %2 = nn.concat [%a, %b] axis = 0 : (tensor<1x3xf32>, tensor<1x3xf32>) -> tensor<2x3xf32>
  %3 = nn.concat [%a, %b, %d, %c] axis = 0 : (tensor<1x3xf32>, tensor<1x3xf32>, tensor<1x3xf32>, tensor<1x3xf32>) -> tensor<4x3xf32>
  %4 = nn.concat [%a, %b, %f] axis = 0 : (tensor<1x3xf32>, tensor<1x3xf32>, tensor<1x3xf32>) -> tensor<3x3xf32>
  func.return %0, %1, %2, %3, %4 : tensor<3x3xf32>, tensor<1x9xf32>, tensor<2x3xf32>, tensor<4x3xf32>, tensor<3x3xf32>
}

// CHECK-LABEL: func.func @no_join
// CHECK:        nn.concat [%b, %a, %c] axis = 0
// CHECK-NEXT:   nn.concat [%a, %b, %c] axis = 1
// CHECK-NEXT:   nn.concat [%a, %b] axis = 0
// CHECK-NEXT:   nn.concat [%a, %b, %d, %c] axis = 0
// CHECK-NEXT:   nn.concat [%a, %b, %f] axis = 0

// A Slice that takes everything vanishes, also along an unknown size.

func.func @slice(%x: tensor<?x4xf32>, %y: tensor<5x1xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>, tensor<5x1xf32>) {
  %zero = nn.constant dense<0> : tensor<1xi64>
  %four = nn.constant dense<4> : tensor<1xi64>
  %end = nn.constant dense<9223372036854775807> : tensor<1xi64>
  %last = nn.constant dense<-1> : tensor<1xi64>
  %start = nn.constant dense<-9223372036854775808> : tensor<1xi64>
  %axis = nn.constant dense<1> : tensor<1xi64>
  %0 = nn.slice %x, %zero, %end : (tensor<?x4xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x4xf32>
  %1 = nn.slice %x, %zero, %four axes %last : (tensor<?x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x4xf32>
  %2 = nn.slice %y, %last, %start axes %axis steps %last : (tensor<5x1xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<5x1xf32>
  func.return %0, %1, %2 : tensor<?x4xf32>, tensor<?x4xf32>, tensor<5x1xf32>
}

// CHECK-LABEL: func.func @slice
// CHECK-NEXT:   func.return %x, %x, %y

func.func @no_slice(%x: tensor<?x4xf32>, %y: tensor<4x4xf32>, %s: tensor<1xi64>) -> (tensor<?x4xf32>, tensor<?x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>) {
  %zero = nn.constant dense<0> : tensor<1xi64>
  %four = nn.constant dense<4> : tensor<1xi64>
  %end = nn.constant dense<9223372036854775807> : tensor<1xi64>
  %last = nn.constant dense<-1> : tensor<1xi64>
  %start = nn.constant dense<-9223372036854775808> : tensor<1xi64>
  %0 = nn.slice %x, %zero, %four : (tensor<?x4xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x4xf32>
  %1 = nn.slice %x, %last, %end : (tensor<?x4xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x4xf32>
  %2 = nn.slice %y, %last, %start axes %zero steps %last : (tensor<4x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4x4xf32>
  %3 = nn.slice %y, %s, %end : (tensor<4x4xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<4x4xf32>
  func.return %0, %1, %2, %3 : tensor<?x4xf32>, tensor<?x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>
}

// CHECK-LABEL: func.func @no_slice
// CHECK:        nn.slice %x
// CHECK-NEXT:   nn.slice %x
// CHECK-NEXT:   nn.slice %y
// CHECK-NEXT:   nn.slice %y

// A Pad by nothing vanishes; one that pads and crops as much does not.

func.func @pad(%x: tensor<?x4xf32>, %v: tensor<f32>) -> (tensor<?x4xf32>, tensor<?x4xf32>) {
  %none = nn.constant dense<0> : tensor<4xi64>
  %shift = nn.constant dense<[0, 1, 0, -1]> : tensor<4xi64>
  %0 = nn.pad %x, %none constant_value %v : (tensor<?x4xf32>, tensor<4xi64>, tensor<f32>) -> tensor<?x4xf32>
  %1 = nn.pad %x, %shift : (tensor<?x4xf32>, tensor<4xi64>) -> tensor<?x4xf32>
  func.return %0, %1 : tensor<?x4xf32>, tensor<?x4xf32>
}

// CHECK-LABEL: func.func @pad
// CHECK:        %[[P:.*]] = nn.pad %x
// CHECK-NEXT:   func.return %x, %[[P]]

// A Resize by 1 vanishes; to another size, cropped, or by an unknown scale it does not.

func.func @resize(%x: tensor<2x4xf32>, %roi: tensor<4xf32>, %s: tensor<2xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>) {
  %ones = nn.constant dense<1.0> : tensor<2xf32>
  %more = nn.constant dense<[1.0, 1.2]> : tensor<2xf32>
  %0 = nn.resize %x scales %ones mode = "cubic" : (tensor<2x4xf32>, tensor<2xf32>) -> tensor<2x4xf32>
  %1 = nn.resize %x scales %more : (tensor<2x4xf32>, tensor<2xf32>) -> tensor<2x4xf32>
  %2 = nn.resize %x roi %roi scales %ones coordinate_transformation_mode = "tf_crop_and_resize" : (tensor<2x4xf32>, tensor<4xf32>, tensor<2xf32>) -> tensor<2x4xf32>
  %3 = nn.resize %x scales %s : (tensor<2x4xf32>, tensor<2xf32>) -> tensor<2x4xf32>
  func.return %0, %1, %2, %3 : tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>
}

// CHECK-LABEL: func.func @resize
// CHECK:        %[[A:.*]] = nn.resize %x
// CHECK-NEXT:   %[[B:.*]] = nn.resize %x roi %roi
// CHECK-NEXT:   %[[C:.*]] = nn.resize %x scales %s
// CHECK-NEXT:   func.return %x, %[[A]], %[[B]], %[[C]]

// Chains on constants fold, up to the size of an inline constant.

func.func @constants() -> (tensor<4xi64>, tensor<2xi64>, tensor<1xi64>, tensor<1xi64>, tensor<2000xi64>) {
  %c = nn.constant dense<[3, 5, 7]> : tensor<3xi64>
  %i = nn.constant dense<[2, 0]> : tensor<2xi64>
  %zero = nn.constant dense<0> : tensor<1xi64>
  %two = nn.constant dense<2> : tensor<1xi64>
  %n = nn.constant dense<2000> : tensor<1xi64>
  %0 = nn.gather %c, %i : (tensor<3xi64>, tensor<2xi64>) -> tensor<2xi64>
  %1 = nn.slice %c, %zero, %two : (tensor<3xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %2 = nn.concat [%0, %1] axis = 0 : (tensor<2xi64>, tensor<2xi64>) -> tensor<4xi64>
  %3, %4 = nn.split %0 num_outputs = 2 : (tensor<2xi64>) -> (tensor<1xi64>, tensor<1xi64>)
  %5 = nn.constant_of_shape %n value = 1 : (tensor<1xi64>) -> tensor<2000xi64>
  func.return %2, %1, %3, %4, %5 : tensor<4xi64>, tensor<2xi64>, tensor<1xi64>, tensor<1xi64>, tensor<2000xi64>
}

// CHECK-LABEL: func.func @constants
// CHECK-DAG:    %[[A:.*]] = nn.constant dense<[7, 3, 3, 5]> : tensor<4xi64>
// CHECK-DAG:    %[[B:.*]] = nn.constant dense<[3, 5]> : tensor<2xi64>
// CHECK-DAG:    %[[C:.*]] = nn.constant 7 : i64 as tensor<1xi64>
// CHECK-DAG:    %[[D:.*]] = nn.constant 3 : i64 as tensor<1xi64>
// CHECK-DAG:    %[[E:.*]] = nn.constant_of_shape
// CHECK:        func.return %[[A]], %[[B]], %[[C]], %[[D]], %[[E]]
