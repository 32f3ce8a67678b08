// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Sequences and their types, in both forms and back: elements share `?` sizes, `*` ranks, and an empty one has neither.

func.func @sequences(%x: tensor<2x3xf32>, %y: tensor<2x?xf32>, %z: tensor<4xf32>, %i: tensor<i64>, %sizes: tensor<2xi64>) {
  %0 = nn.sequence_empty : !nn.sequence<f32>
  %1 = nn.sequence_empty dtype = i64 : !nn.sequence<i64>
  %2 = nn.sequence_construct [%x, %y] : (tensor<2x3xf32>, tensor<2x?xf32>) -> !nn.sequence<tensor<2x?xf32>>
  %3 = nn.sequence_construct [%x, %z] : (tensor<2x3xf32>, tensor<4xf32>) -> !nn.sequence<tensor<*xf32>>
  %4 = nn.sequence_insert %0, %x : (!nn.sequence<f32>, tensor<2x3xf32>) -> !nn.sequence<tensor<2x3xf32>>
  %5 = nn.sequence_insert %4, %y position %i : (!nn.sequence<tensor<2x3xf32>>, tensor<2x?xf32>, tensor<i64>) -> !nn.sequence<tensor<2x?xf32>>
  %6 = nn.sequence_erase %5 : !nn.sequence<tensor<2x?xf32>>
  %7 = nn.sequence_erase %3 position %i : (!nn.sequence<tensor<*xf32>>, tensor<i64>) -> !nn.sequence<tensor<*xf32>>
  %8 = nn.sequence_at %2, %i : (!nn.sequence<tensor<2x?xf32>>, tensor<i64>) -> tensor<2x?xf32>
  %9 = nn.sequence_length %7 : (!nn.sequence<tensor<*xf32>>) -> tensor<i64>
  %10 = nn.split_to_sequence %x split %sizes axis = 1 : (tensor<2x3xf32>, tensor<2xi64>) -> !nn.sequence<tensor<2x?xf32>>
  %11 = nn.split_to_sequence %x axis = 1 keepdims = 0 : (tensor<2x3xf32>) -> !nn.sequence<tensor<2xf32>>
  %12 = nn.concat_from_sequence %10 axis = 1 : (!nn.sequence<tensor<2x?xf32>>) -> tensor<2x?xf32>
  %13 = nn.concat_from_sequence %11 axis = -1 new_axis = 1 : (!nn.sequence<tensor<2xf32>>) -> tensor<2x3xf32>
  func.return
}

// CHECK-LABEL: func.func @sequences
// CHECK-NEXT:   %0 = nn.sequence_empty : !nn.sequence<f32>
// CHECK-NEXT:   %1 = nn.sequence_empty dtype = i64 : !nn.sequence<i64>
// CHECK-NEXT:   %2 = nn.sequence_construct [%x, %y] : (tensor<2x3xf32>, tensor<2x?xf32>) -> !nn.sequence<tensor<2x?xf32>>
// CHECK-NEXT:   %3 = nn.sequence_construct [%x, %z] : (tensor<2x3xf32>, tensor<4xf32>) -> !nn.sequence<tensor<*xf32>>
// CHECK-NEXT:   %4 = nn.sequence_insert %0, %x : (!nn.sequence<f32>, tensor<2x3xf32>) -> !nn.sequence<tensor<2x3xf32>>
// CHECK-NEXT:   %5 = nn.sequence_insert %4, %y position %i : (!nn.sequence<tensor<2x3xf32>>, tensor<2x?xf32>, tensor<i64>) -> !nn.sequence<tensor<2x?xf32>>
// CHECK-NEXT:   %6 = nn.sequence_erase %5 : !nn.sequence<tensor<2x?xf32>>
// CHECK-NEXT:   %7 = nn.sequence_erase %3 position %i : (!nn.sequence<tensor<*xf32>>, tensor<i64>) -> !nn.sequence<tensor<*xf32>>
// CHECK-NEXT:   %8 = nn.sequence_at %2, %i : (!nn.sequence<tensor<2x?xf32>>, tensor<i64>) -> tensor<2x?xf32>
// CHECK-NEXT:   %9 = nn.sequence_length %7 : (!nn.sequence<tensor<*xf32>>) -> tensor<i64>
// CHECK-NEXT:   %10 = nn.split_to_sequence %x split %sizes axis = 1 : (tensor<2x3xf32>, tensor<2xi64>) -> !nn.sequence<tensor<2x?xf32>>
// CHECK-NEXT:   %11 = nn.split_to_sequence %x axis = 1 keepdims = 0 : (tensor<2x3xf32>) -> !nn.sequence<tensor<2xf32>>
// CHECK-NEXT:   %12 = nn.concat_from_sequence %10 axis = 1 : (!nn.sequence<tensor<2x?xf32>>) -> tensor<2x?xf32>
// CHECK-NEXT:   %13 = nn.concat_from_sequence %11 axis = -1 new_axis = 1 : (!nn.sequence<tensor<2xf32>>) -> tensor<2x3xf32>
