// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Results as long as the data says, in both forms and back.

func.func @selected(%x: tensor<2x3xf32>, %condition: tensor<3xi1>) {
  %0 = nn.non_zero %x : (tensor<2x3xf32>) -> tensor<2x?xi64>
  %1 = nn.compress %x, %condition : (tensor<2x3xf32>, tensor<3xi1>) -> tensor<?xf32>
  %2 = nn.compress %x, %condition axis = 1 : (tensor<2x3xf32>, tensor<3xi1>) -> tensor<2x?xf32>
  %3 = nn.unique %x : (tensor<2x3xf32>) -> tensor<?xf32>
  %4, %5 = nn.unique %x axis = 1 sorted = 0 : (tensor<2x3xf32>) -> (tensor<2x?xf32>, tensor<?xi64>)
  %6, %7, %8, %9 = nn.unique %x : (tensor<2x3xf32>) -> (tensor<?xf32>, tensor<?xi64>, tensor<6xi64>, tensor<?xi64>)
  func.return
}

// CHECK-LABEL: func.func @selected
// CHECK-NEXT:   %0 = nn.non_zero %x : (tensor<2x3xf32>) -> tensor<2x?xi64>
// CHECK-NEXT:   %1 = nn.compress %x, %condition : (tensor<2x3xf32>, tensor<3xi1>) -> tensor<?xf32>
// CHECK-NEXT:   %2 = nn.compress %x, %condition axis = 1 : (tensor<2x3xf32>, tensor<3xi1>) -> tensor<2x?xf32>
// CHECK-NEXT:   %3 = nn.unique %x : (tensor<2x3xf32>) -> tensor<?xf32>
// CHECK-NEXT:   %4, %5 = nn.unique %x axis = 1 sorted = 0 : (tensor<2x3xf32>) -> (tensor<2x?xf32>, tensor<?xi64>)
// CHECK-NEXT:   %6, %7, %8, %9 = nn.unique %x : (tensor<2x3xf32>) -> (tensor<?xf32>, tensor<?xi64>, tensor<6xi64>, tensor<?xi64>)
