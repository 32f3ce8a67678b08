// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Fourier transforms, windows and determinants, in both forms and back.

func.func @signal(%x: tensor<2x16x1xf32>, %c: tensor<2x9x2xf32>, %w: tensor<8xf32>, %n: tensor<i64>, %e: tensor<f32>, %m: tensor<?x3x3xf32>) {
  %four = nn.constant 4 : i64 as tensor<i64>
  %one = nn.constant 1 : i64 as tensor<i64>
  %0 = nn.dft %x onesided = 1 : (tensor<2x16x1xf32>) -> tensor<2x9x2xf32>
  %1 = nn.dft %c axis %one inverse = 1 onesided = 1 : (tensor<2x9x2xf32>, tensor<i64>) -> tensor<2x16x1xf32>
  %2 = nn.dft %c dft_length %n : (tensor<2x9x2xf32>, tensor<i64>) -> tensor<2x?x2xf32>
  %3 = nn.stft %x, %four window %w : (tensor<2x16x1xf32>, tensor<i64>, tensor<8xf32>) -> tensor<2x3x5x2xf32>
  %4 = nn.hann_window %four : (tensor<i64>) -> tensor<4xf32>
  %5 = nn.hamming_window %n periodic = 0 output_datatype = f64 : (tensor<i64>) -> tensor<?xf64>
  %6 = nn.blackman_window %four : (tensor<i64>) -> tensor<4xf32>
  %7 = nn.mel_weight_matrix %four, %four, %n, %e, %e : (tensor<i64>, tensor<i64>, tensor<i64>, tensor<f32>, tensor<f32>) -> tensor<3x4xf32>
  %8 = nn.det %m : (tensor<?x3x3xf32>) -> tensor<?xf32>
  func.return
}

// CHECK-LABEL: func.func @signal
// CHECK:        %0 = nn.dft %x onesided = 1 : (tensor<2x16x1xf32>) -> tensor<2x9x2xf32>
// CHECK-NEXT:   %1 = nn.dft %c axis %one inverse = 1 onesided = 1 : (tensor<2x9x2xf32>, tensor<i64>) -> tensor<2x16x1xf32>
// CHECK-NEXT:   %2 = nn.dft %c dft_length %n : (tensor<2x9x2xf32>, tensor<i64>) -> tensor<2x?x2xf32>
// CHECK-NEXT:   %3 = nn.stft %x, %four window %w : (tensor<2x16x1xf32>, tensor<i64>, tensor<8xf32>) -> tensor<2x3x5x2xf32>
// CHECK-NEXT:   %4 = nn.hann_window %four : (tensor<i64>) -> tensor<4xf32>
// CHECK-NEXT:   %5 = nn.hamming_window %n periodic = 0 output_datatype = f64 : (tensor<i64>) -> tensor<?xf64>
// CHECK-NEXT:   %6 = nn.blackman_window %four : (tensor<i64>) -> tensor<4xf32>
// CHECK-NEXT:   %7 = nn.mel_weight_matrix %four, %four, %n, %e, %e : (tensor<i64>, tensor<i64>, tensor<i64>, tensor<f32>, tensor<f32>) -> tensor<3x4xf32>
// CHECK-NEXT:   %8 = nn.det %m : (tensor<?x3x3xf32>) -> tensor<?xf32>
