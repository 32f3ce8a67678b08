// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Normalisations, in both forms and back.

func.func @normalizations(%x: tensor<2x3x4x4xf32>, %a: tensor<3xf32>, %b: tensor<3xf32>, %c: tensor<3xf32>, %d: tensor<3xf32>, %e: tensor<4xf32>) {
  %0 = nn.batch_normalization %x, %a, %b, %c, %d : (tensor<2x3x4x4xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<2x3x4x4xf32>
  %1 = nn.batch_normalization %x, %a, %b, %c, %d epsilon = 0.001 : (tensor<2x3x4x4xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<2x3x4x4xf32>
  %2 = nn.instance_normalization %x, %a, %b epsilon = 0.1 : (tensor<2x3x4x4xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<2x3x4x4xf32>
  %3 = nn.lrn %x size = 5 : tensor<2x3x4x4xf32>
  %4 = nn.lrn %x size = 3 alpha = 0.5 beta = 0.5 bias = 2.0 : tensor<2x3x4x4xf32>
  %5 = nn.layer_normalization %x, %e : (tensor<2x3x4x4xf32>, tensor<4xf32>) -> tensor<2x3x4x4xf32>
  %6 = nn.layer_normalization %x, %e bias %e epsilon = 0.1 : (tensor<2x3x4x4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<2x3x4x4xf32>
  %7, %mean = nn.layer_normalization %x, %e axis = 3 : (tensor<2x3x4x4xf32>, tensor<4xf32>) -> (tensor<2x3x4x4xf32>, tensor<2x3x4x1xf32>)
  %8, %mean_1, %deviation = nn.layer_normalization %x, %e : (tensor<2x3x4x4xf32>, tensor<4xf32>) -> (tensor<2x3x4x4xf32>, tensor<2x3x4x1xf32>, tensor<2x3x4x1xf32>)
  func.return
}

// CHECK-LABEL: func.func @normalizations
// CHECK-NEXT:   %0 = nn.batch_normalization %x, %a, %b, %c, %d : (tensor<2x3x4x4xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<2x3x4x4xf32>
// CHECK-NEXT:   %1 = nn.batch_normalization %x, %a, %b, %c, %d epsilon = 0.001 : (tensor<2x3x4x4xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<2x3x4x4xf32>
// CHECK-NEXT:   %2 = nn.instance_normalization %x, %a, %b epsilon = 0.1 : (tensor<2x3x4x4xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<2x3x4x4xf32>
// CHECK-NEXT:   %3 = nn.lrn %x size = 5 : tensor<2x3x4x4xf32>
// CHECK-NEXT:   %4 = nn.lrn %x size = 3 alpha = 0.5 beta = 0.5 bias = 2.0 : tensor<2x3x4x4xf32>
// CHECK-NEXT:   %5 = nn.layer_normalization %x, %e : (tensor<2x3x4x4xf32>, tensor<4xf32>) -> tensor<2x3x4x4xf32>
// CHECK-NEXT:   %6 = nn.layer_normalization %x, %e bias %e epsilon = 0.1 : (tensor<2x3x4x4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<2x3x4x4xf32>
// CHECK-NEXT:   %7, %mean = nn.layer_normalization %x, %e axis = 3 : (tensor<2x3x4x4xf32>, tensor<4xf32>) -> (tensor<2x3x4x4xf32>, tensor<2x3x4x1xf32>)
// CHECK-NEXT:   %8, %mean_1, %deviation = nn.layer_normalization %x, %e : (tensor<2x3x4x4xf32>, tensor<4xf32>) -> (tensor<2x3x4x4xf32>, tensor<2x3x4x1xf32>, tensor<2x3x4x1xf32>)
