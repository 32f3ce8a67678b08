// RUN: fuse-opt %s -p canonicalize | filecheck %s
// RUN: fuse-opt %s -p canonicalize --print-debuginfo | filecheck %s --check-prefix=LOC

// What a construct holds is read, counted and joined without it.

func.func @construct(%a: tensor<2x3xf32>, %b: tensor<?x3xf32>) -> (tensor<?x3xf32>, tensor<i64>, tensor<?x3xf32>) {
  %last = nn.constant -1 : i64 as tensor<i64>
  %0 = nn.sequence_construct [%a, %b] : (tensor<2x3xf32>, tensor<?x3xf32>) -> !nn.sequence<tensor<?x3xf32>> loc("list")
  %1 = nn.sequence_at %0, %last : (!nn.sequence<tensor<?x3xf32>>, tensor<i64>) -> tensor<?x3xf32>
  %2 = nn.sequence_length %0 : (!nn.sequence<tensor<?x3xf32>>) -> tensor<i64>
  %3 = nn.concat_from_sequence %0 axis = 0 : (!nn.sequence<tensor<?x3xf32>>) -> tensor<?x3xf32> loc("join")
  func.return %1, %2, %3 : tensor<?x3xf32>, tensor<i64>, tensor<?x3xf32>
}

// CHECK-LABEL: func.func @construct
// CHECK-DAG:     %[[N:.*]] = nn.constant 2 : i64 as tensor<i64>
// CHECK-DAG:     %[[C:.*]] = nn.concat [%a, %b] axis = 0
// CHECK-NEXT:    func.return %b, %[[N]], %[[C]]
// LOC: nn.concat {{.*}} loc(fused["list", "join"])

// A new axis is one of each element.

func.func @stack(%a: tensor<2x3xf32>, %b: tensor<2x3xf32>) -> tensor<2x3x2xf32> {
  %0 = nn.sequence_construct [%a, %b] : (tensor<2x3xf32>, tensor<2x3xf32>) -> !nn.sequence<tensor<2x3xf32>>
  %1 = nn.concat_from_sequence %0 axis = -1 new_axis = 1 : (!nn.sequence<tensor<2x3xf32>>) -> tensor<2x3x2xf32>
  func.return %1 : tensor<2x3x2xf32>
}

// CHECK-LABEL: func.func @stack
// CHECK-NEXT:   %[[AXES:.*]] = nn.constant -1 : i64 as tensor<1xi64>
// CHECK-NEXT:   %[[A:.*]] = nn.unsqueeze %a, %[[AXES]]
// CHECK-NEXT:   %[[B:.*]] = nn.unsqueeze %b, %[[AXES]]
// CHECK-NEXT:   nn.concat [%[[A]], %[[B]]] axis = -1
// CHECK-NEXT:   func.return

// A list that is filled and thinned out at known positions is one construct.

func.func @fill(%a: tensor<3xf32>, %b: tensor<3xf32>, %c: tensor<3xf32>) -> !nn.sequence<tensor<3xf32>> {
  %zero = nn.constant 0 : i64 as tensor<i64>
  %0 = nn.sequence_empty : !nn.sequence<f32>
  %1 = nn.sequence_insert %0, %a : (!nn.sequence<f32>, tensor<3xf32>) -> !nn.sequence<tensor<3xf32>>
  %2 = nn.sequence_insert %1, %b : (!nn.sequence<tensor<3xf32>>, tensor<3xf32>) -> !nn.sequence<tensor<3xf32>>
  %3 = nn.sequence_insert %2, %c position %zero : (!nn.sequence<tensor<3xf32>>, tensor<3xf32>, tensor<i64>) -> !nn.sequence<tensor<3xf32>>
  %4 = nn.sequence_erase %3 : !nn.sequence<tensor<3xf32>>
  func.return %4 : !nn.sequence<tensor<3xf32>>
}

// CHECK-LABEL: func.func @fill
// CHECK-NEXT:   %0 = nn.sequence_construct [%c, %a] : (tensor<3xf32>, tensor<3xf32>) -> !nn.sequence<tensor<3xf32>>
// CHECK-NEXT:   func.return %0

// Not where a position is not known or out of range, where others read the shorter list too, or where nothing is left.

func.func @not_filled(%a: tensor<3xf32>, %s: !nn.sequence<tensor<3xf32>>, %i: tensor<i64>) -> (!nn.sequence<tensor<3xf32>>, !nn.sequence<tensor<3xf32>>, !nn.sequence<tensor<3xf32>>, !nn.sequence<tensor<3xf32>>, !nn.sequence<tensor<3xf32>>) {
  %seven = nn.constant 7 : i64 as tensor<i64>
  %0 = nn.sequence_construct [%a, %a] : (tensor<3xf32>, tensor<3xf32>) -> !nn.sequence<tensor<3xf32>>
  %1 = nn.sequence_insert %0, %a position %i : (!nn.sequence<tensor<3xf32>>, tensor<3xf32>, tensor<i64>) -> !nn.sequence<tensor<3xf32>>
  %2 = nn.sequence_construct [%a] : (tensor<3xf32>) -> !nn.sequence<tensor<3xf32>>
  %3 = nn.sequence_erase %2 : !nn.sequence<tensor<3xf32>>
  %4 = nn.sequence_insert %s, %a : (!nn.sequence<tensor<3xf32>>, tensor<3xf32>) -> !nn.sequence<tensor<3xf32>>
  %5 = nn.sequence_construct [%a, %a, %a] : (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> !nn.sequence<tensor<3xf32>>
  %6 = nn.sequence_erase %5 position %seven : (!nn.sequence<tensor<3xf32>>, tensor<i64>) -> !nn.sequence<tensor<3xf32>>
  %7 = nn.sequence_insert %5, %a : (!nn.sequence<tensor<3xf32>>, tensor<3xf32>) -> !nn.sequence<tensor<3xf32>>
  func.return %1, %3, %4, %7, %6 : !nn.sequence<tensor<3xf32>>, !nn.sequence<tensor<3xf32>>, !nn.sequence<tensor<3xf32>>, !nn.sequence<tensor<3xf32>>, !nn.sequence<tensor<3xf32>>
}

// CHECK-LABEL: func.func @not_filled
// CHECK:         nn.sequence_insert {{.*}} position %i
// CHECK:         nn.sequence_erase
// CHECK:         nn.sequence_insert %s, %a
// CHECK:         %[[TWICE:.*]] = nn.sequence_construct [%a, %a, %a]
// CHECK-NEXT:    nn.sequence_erase %[[TWICE]] position
// CHECK-NEXT:    nn.sequence_insert %[[TWICE]], %a

// Every piece of a split read at its place: one split, of which the pieces are values of their own.

func.func @read_pieces(%x: tensor<5x3xf32>) -> (tensor<1x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>) {
  %size = nn.constant 2 : i64 as tensor<i64>
  %first = nn.constant 0 : i64 as tensor<i64>
  %second = nn.constant 1 : i64 as tensor<i64>
  %last = nn.constant -1 : i64 as tensor<i64>
  %0 = nn.split_to_sequence %x split %size : (tensor<5x3xf32>, tensor<i64>) -> !nn.sequence<tensor<?x3xf32>> loc("pieces")
  %1 = nn.sequence_at %0, %last : (!nn.sequence<tensor<?x3xf32>>, tensor<i64>) -> tensor<1x3xf32>
  %2 = nn.sequence_at %0, %first : (!nn.sequence<tensor<?x3xf32>>, tensor<i64>) -> tensor<2x3xf32>
  %3 = nn.sequence_at %0, %second : (!nn.sequence<tensor<?x3xf32>>, tensor<i64>) -> tensor<2x3xf32>
  func.return %1, %2, %3 : tensor<1x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>
}

// CHECK-LABEL: func.func @read_pieces
// CHECK-NEXT:   %[[SIZES:.*]] = nn.constant dense<[2, 2, 1]> : tensor<3xi64>
// CHECK-NEXT:   %[[A:.*]], %[[B:.*]], %[[C:.*]] = nn.split %x split %[[SIZES]] num_outputs = 3
// CHECK-NEXT:   func.return %[[C]], %[[A]], %[[B]]
// LOC: nn.split {{.*}} loc("pieces")

// Rows without their axis.

func.func @unbind(%x: tensor<3x2xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
  %first = nn.constant 0 : i64 as tensor<i64>
  %second = nn.constant 1 : i64 as tensor<i64>
  %0 = nn.split_to_sequence %x axis = 1 keepdims = 0 : (tensor<3x2xf32>) -> !nn.sequence<tensor<3xf32>>
  %1 = nn.sequence_at %0, %first : (!nn.sequence<tensor<3xf32>>, tensor<i64>) -> tensor<3xf32>
  %2 = nn.sequence_at %0, %second : (!nn.sequence<tensor<3xf32>>, tensor<i64>) -> tensor<3xf32>
  func.return %1, %2 : tensor<3xf32>, tensor<3xf32>
}

// CHECK-LABEL: func.func @unbind
// CHECK:        %[[A:.*]], %[[B:.*]] = nn.split %x split %{{.*}} axis = 1 num_outputs = 2
// CHECK:        %[[ROW:.*]] = nn.squeeze %[[A]]
// CHECK-NEXT:   %[[OTHER:.*]] = nn.squeeze %[[B]]
// CHECK-NEXT:   func.return %[[ROW]], %[[OTHER]]

// Not where a piece is not read, or read at a position that is not known: a split computes all of them.

func.func @not_all_read(%x: tensor<2x3xf32>, %i: tensor<i64>) -> (tensor<1x3xf32>, tensor<1x3xf32>) {
  %first = nn.constant 0 : i64 as tensor<i64>
  %0 = nn.split_to_sequence %x : (tensor<2x3xf32>) -> !nn.sequence<tensor<1x3xf32>>
  %1 = nn.sequence_at %0, %first : (!nn.sequence<tensor<1x3xf32>>, tensor<i64>) -> tensor<1x3xf32>
  %2 = nn.split_to_sequence %x : (tensor<2x3xf32>) -> !nn.sequence<tensor<1x3xf32>>
  %3 = nn.sequence_at %2, %i : (!nn.sequence<tensor<1x3xf32>>, tensor<i64>) -> tensor<1x3xf32>
  func.return %1, %3 : tensor<1x3xf32>, tensor<1x3xf32>
}

// CHECK-LABEL: func.func @not_all_read
// CHECK-NOT:     nn.split %

// A split put together again along its axis is what was split; along another it is not.

func.func @together(%x: tensor<?x4xf32>, %sizes: tensor<2xi64>) -> (tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x?xf32>, tensor<?x4xf32>) {
  %0 = nn.split_to_sequence %x : (tensor<?x4xf32>) -> !nn.sequence<tensor<1x4xf32>>
  %1 = nn.concat_from_sequence %0 axis = -2 : (!nn.sequence<tensor<1x4xf32>>) -> tensor<?x4xf32>
  %2 = nn.split_to_sequence %x axis = 1 keepdims = 0 : (tensor<?x4xf32>) -> !nn.sequence<tensor<?xf32>>
  %3 = nn.concat_from_sequence %2 axis = 1 new_axis = 1 : (!nn.sequence<tensor<?xf32>>) -> tensor<?x4xf32>
  %two = nn.constant dense<[1, 3]> : tensor<2xi64>
  %4 = nn.split_to_sequence %x split %two axis = 1 : (tensor<?x4xf32>, tensor<2xi64>) -> !nn.sequence<tensor<?x?xf32>>
  %5 = nn.concat_from_sequence %4 axis = 1 : (!nn.sequence<tensor<?x?xf32>>) -> tensor<?x4xf32>
  %6 = nn.concat_from_sequence %0 axis = 1 : (!nn.sequence<tensor<1x4xf32>>) -> tensor<?x?xf32>
  %7 = nn.split_to_sequence %x split %sizes : (tensor<?x4xf32>, tensor<2xi64>) -> !nn.sequence<tensor<?x4xf32>>
  %8 = nn.concat_from_sequence %7 axis = 0 : (!nn.sequence<tensor<?x4xf32>>) -> tensor<?x4xf32>
  func.return %1, %3, %5, %6, %8 : tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x?xf32>, tensor<?x4xf32>
}

// CHECK-LABEL: func.func @together
// CHECK:         %[[OTHER:.*]] = nn.concat_from_sequence {{.*}} axis = 1
// CHECK:         %[[UNCHECKED:.*]] = nn.concat_from_sequence {{.*}} axis = 0
// CHECK-NEXT:    func.return %x, %x, %x, %[[OTHER]], %[[UNCHECKED]]

// An optional that is made here says whether it holds something, and what.

func.func @optional(%x: tensor<2xf32>, %o: !nn.optional<tensor<2xf32>>) -> (tensor<2xf32>, tensor<i1>, tensor<i1>, tensor<2xf32>, tensor<i1>) {
  %0 = nn.optional x %x : (tensor<2xf32>) -> !nn.optional<tensor<2xf32>>
  %1 = nn.optional_get_element %0 : (!nn.optional<tensor<2xf32>>) -> tensor<2xf32>
  %2 = nn.optional_has_element %0 : (!nn.optional<tensor<2xf32>>) -> tensor<i1>
  %3 = nn.optional type = tensor<2xf32> : !nn.optional<tensor<2xf32>>
  %4 = nn.optional_has_element %3 : (!nn.optional<tensor<2xf32>>) -> tensor<i1>
  %5 = nn.optional_get_element %o : (!nn.optional<tensor<2xf32>>) -> tensor<2xf32>
  %6 = nn.optional_has_element %o : (!nn.optional<tensor<2xf32>>) -> tensor<i1>
  func.return %1, %2, %4, %5, %6 : tensor<2xf32>, tensor<i1>, tensor<i1>, tensor<2xf32>, tensor<i1>
}

// CHECK-LABEL: func.func @optional
// CHECK-DAG:     %[[YES:.*]] = nn.constant true as tensor<i1>
// CHECK-DAG:     %[[NO:.*]] = nn.constant false as tensor<i1>
// CHECK:         %[[GET:.*]] = nn.optional_get_element %o
// CHECK-NEXT:    %[[HAS:.*]] = nn.optional_has_element %o
// CHECK-NEXT:    func.return %x, %[[YES]], %[[NO]], %[[GET]], %[[HAS]]
