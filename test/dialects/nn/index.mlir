// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Ops that join, divide and select, in both forms and back.

func.func @index(%x: tensor<2x6xf32>, %y: tensor<2x?xf32>, %two: tensor<2xi64>, %four: tensor<4xi64>, %i: tensor<3xi32>, %v: tensor<f32>) {
  %0 = nn.concat [%x, %y, %x] axis = 1 : (tensor<2x6xf32>, tensor<2x?xf32>, tensor<2x6xf32>) -> tensor<2x?xf32>
  %1, %2 = nn.split %x axis = 1 num_outputs = 2 : (tensor<2x6xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>)
  %3, %4 = nn.split %x split %two num_outputs = 2 : (tensor<2x6xf32>, tensor<2xi64>) -> (tensor<?x6xf32>, tensor<?x6xf32>)
  %5 = nn.slice %x, %two, %two : (tensor<2x6xf32>, tensor<2xi64>, tensor<2xi64>) -> tensor<?x?xf32>
  %6 = nn.slice %x, %two, %two steps %two : (tensor<2x6xf32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>) -> tensor<1x?xf32>
  %7 = nn.slice %x, %two, %two axes %two steps %two : (tensor<2x6xf32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>) -> tensor<?x?xf32>
  %8 = nn.gather %x, %i axis = 1 : (tensor<2x6xf32>, tensor<3xi32>) -> tensor<2x3xf32>
  %9 = nn.gather %y, %i : (tensor<2x?xf32>, tensor<3xi32>) -> tensor<3x?xf32>
  %10 = nn.pad %x, %four mode = "reflect" : (tensor<2x6xf32>, tensor<4xi64>) -> tensor<?x?xf32>
  %11 = nn.pad %x, %four constant_value %v axes %two : (tensor<2x6xf32>, tensor<4xi64>, tensor<f32>, tensor<2xi64>) -> tensor<?x?xf32>
  func.return
}

// CHECK-LABEL: func.func @index
// CHECK-NEXT:   %0 = nn.concat [%x, %y, %x] axis = 1 : (tensor<2x6xf32>, tensor<2x?xf32>, tensor<2x6xf32>) -> tensor<2x?xf32>
// CHECK-NEXT:   %1, %2 = nn.split %x axis = 1 num_outputs = 2 : (tensor<2x6xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>)
// CHECK-NEXT:   %3, %4 = nn.split %x split %two num_outputs = 2 : (tensor<2x6xf32>, tensor<2xi64>) -> (tensor<?x6xf32>, tensor<?x6xf32>)
// CHECK-NEXT:   %5 = nn.slice %x, %two, %two : (tensor<2x6xf32>, tensor<2xi64>, tensor<2xi64>) -> tensor<?x?xf32>
// CHECK-NEXT:   %6 = nn.slice %x, %two, %two steps %two : (tensor<2x6xf32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>) -> tensor<1x?xf32>
// CHECK-NEXT:   %7 = nn.slice %x, %two, %two axes %two steps %two : (tensor<2x6xf32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>) -> tensor<?x?xf32>
// CHECK-NEXT:   %8 = nn.gather %x, %i axis = 1 : (tensor<2x6xf32>, tensor<3xi32>) -> tensor<2x3xf32>
// CHECK-NEXT:   %9 = nn.gather %y, %i : (tensor<2x?xf32>, tensor<3xi32>) -> tensor<3x?xf32>
// CHECK-NEXT:   %10 = nn.pad %x, %four mode = "reflect" : (tensor<2x6xf32>, tensor<4xi64>) -> tensor<?x?xf32>
// CHECK-NEXT:   %11 = nn.pad %x, %four constant_value %v axes %two : (tensor<2x6xf32>, tensor<4xi64>, tensor<f32>, tensor<2xi64>) -> tensor<?x?xf32>
