// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s
// RUN: sed 's/block_size = 2/block_size = 4/' %s | not fuse-opt 2>&1 | filecheck %s --check-prefix=BLOCK

// Quantisation and products of quantised integers, in both forms and back.

// BLOCK: a scale 2x3 does not fit 2x6 along axis 1 with block_size 4

func.func @quantized(%x: tensor<2x6xf32>, %s: tensor<f32>, %z: tensor<i8>, %ss: tensor<2x3xf32>, %i: tensor<1x2x5xi8>, %w: tensor<3x2x3xi8>, %a: tensor<?x3xi8>, %b: tensor<3x4xi8>, %c: tensor<3xi32>) {
  %0 = nn.quantize_linear %x, %s : (tensor<2x6xf32>, tensor<f32>) -> tensor<2x6xui8>
  %1 = nn.quantize_linear %x, %s zero_point %z axis = 0 precision = f16 : (tensor<2x6xf32>, tensor<f32>, tensor<i8>) -> tensor<2x6xi8>
  %2 = nn.quantize_linear %x, %ss block_size = 2 output_dtype = i16 : (tensor<2x6xf32>, tensor<2x3xf32>) -> tensor<2x6xi16>
  %3 = nn.dequantize_linear %2, %s output_dtype = f16 : (tensor<2x6xi16>, tensor<f32>) -> tensor<2x6xf16>
  %4, %5, %6 = nn.dynamic_quantize_linear %x : (tensor<2x6xf32>) -> (tensor<2x6xui8>, tensor<f32>, tensor<ui8>)
  %7 = nn.conv_integer %i, %w w_zero_point %z pads [1, 1] : (tensor<1x2x5xi8>, tensor<3x2x3xi8>, tensor<i8>) -> tensor<1x3x5xi32>
  %8 = nn.qlinear_conv %i, %s, %z, %w, %s, %z, %s, %z bias %c : (tensor<1x2x5xi8>, tensor<f32>, tensor<i8>, tensor<3x2x3xi8>, tensor<f32>, tensor<i8>, tensor<f32>, tensor<i8>, tensor<3xi32>) -> tensor<1x3x3xi8>
  %9 = nn.matmul_integer %a, %b a_zero_point %z : (tensor<?x3xi8>, tensor<3x4xi8>, tensor<i8>) -> tensor<?x4xi32>
  %10 = nn.qlinear_matmul %a, %s, %z, %b, %s, %z, %s, %z : (tensor<?x3xi8>, tensor<f32>, tensor<i8>, tensor<3x4xi8>, tensor<f32>, tensor<i8>, tensor<f32>, tensor<i8>) -> tensor<?x4xi8>
  func.return
}

// CHECK-LABEL: func.func @quantized
// CHECK-NEXT:     %0 = nn.quantize_linear %x, %s : (tensor<2x6xf32>, tensor<f32>) -> tensor<2x6xui8>
// CHECK-NEXT:     %1 = nn.quantize_linear %x, %s zero_point %z precision = f16 axis = 0 : (tensor<2x6xf32>, tensor<f32>, tensor<i8>) -> tensor<2x6xi8>
// CHECK-NEXT:     %2 = nn.quantize_linear %x, %ss block_size = 2 output_dtype = i16 : (tensor<2x6xf32>, tensor<2x3xf32>) -> tensor<2x6xi16>
// CHECK-NEXT:     %3 = nn.dequantize_linear %2, %s output_dtype = f16 : (tensor<2x6xi16>, tensor<f32>) -> tensor<2x6xf16>
// CHECK-NEXT:     %4, %5, %6 = nn.dynamic_quantize_linear %x : (tensor<2x6xf32>) -> (tensor<2x6xui8>, tensor<f32>, tensor<ui8>)
// CHECK-NEXT:     %7 = nn.conv_integer %i, %w w_zero_point %z pads [1, 1] : (tensor<1x2x5xi8>, tensor<3x2x3xi8>, tensor<i8>) -> tensor<1x3x5xi32>
// CHECK-NEXT:     %8 = nn.qlinear_conv %i, %s, %z, %w, %s, %z, %s, %z bias %c : (tensor<1x2x5xi8>, tensor<f32>, tensor<i8>, tensor<3x2x3xi8>, tensor<f32>, tensor<i8>, tensor<f32>, tensor<i8>, tensor<3xi32>) -> tensor<1x3x3xi8>
// CHECK-NEXT:     %9 = nn.matmul_integer %a, %b a_zero_point %z : (tensor<?x3xi8>, tensor<3x4xi8>, tensor<i8>) -> tensor<?x4xi32>
// CHECK-NEXT:     %10 = nn.qlinear_matmul %a, %s, %z, %b, %s, %z, %s, %z : (tensor<?x3xi8>, tensor<f32>, tensor<i8>, tensor<3x4xi8>, tensor<f32>, tensor<i8>, tensor<f32>, tensor<i8>) -> tensor<?x4xi8>
