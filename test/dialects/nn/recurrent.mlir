// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s
// RUN: sed 's/tensor<3xi32>/tensor<4xi32>/' %s | not fuse-opt 2>&1 | filecheck %s --check-prefix=LENS

// Recurrent layers, in both forms and back.

func.func @recurrent(%x: tensor<5x3x4xf32>, %w: tensor<1x6x4xf32>, %r: tensor<1x6x6xf32>, %b: tensor<1x12xf32>, %h: tensor<1x3x6xf32>, %n: tensor<3xi32>, %wg: tensor<2x18x4xf32>, %rg: tensor<2x18x6xf32>, %wl: tensor<1x24x4xf32>, %rl: tensor<1x24x6xf32>, %p: tensor<1x18xf32>) {
  %0 = nn.rnn %x, %w, %r : (tensor<5x3x4xf32>, tensor<1x6x4xf32>, tensor<1x6x6xf32>) -> tensor<5x1x3x6xf32>
  %1, %h1 = nn.rnn %x, %w, %r bias %b sequence_lens %n initial_h %h hidden_size = 6 direction = "reverse" clip = 3.0 activations = ["Affine"] activation_alpha = array<f32: 0.5> activation_beta = array<f32: 0.25> : (tensor<5x3x4xf32>, tensor<1x6x4xf32>, tensor<1x6x6xf32>, tensor<1x12xf32>, tensor<3xi32>, tensor<1x3x6xf32>) -> (tensor<5x1x3x6xf32>, tensor<1x3x6xf32>)
  %2, %h2 = nn.gru %x, %wg, %rg linear_before_reset = 1 direction = "bidirectional" : (tensor<5x3x4xf32>, tensor<2x18x4xf32>, tensor<2x18x6xf32>) -> (tensor<5x2x3x6xf32>, tensor<2x3x6xf32>)
  %3, %h3, %c3 = nn.lstm %x, %wl, %rl initial_c %h peepholes %p input_forget = 1 : (tensor<5x3x4xf32>, tensor<1x24x4xf32>, tensor<1x24x6xf32>, tensor<1x3x6xf32>, tensor<1x18xf32>) -> (tensor<5x1x3x6xf32>, tensor<1x3x6xf32>, tensor<1x3x6xf32>)
  %4, %h4 = nn.lstm %x, %wl, %rl layout = 1 : (tensor<5x3x4xf32>, tensor<1x24x4xf32>, tensor<1x24x6xf32>) -> (tensor<5x3x1x6xf32>, tensor<5x1x6xf32>)
  %5 = nn.lstm %x, %wl, %rl quantize_state = 1 : (tensor<5x3x4xf32>, tensor<1x24x4xf32>, tensor<1x24x6xf32>) -> tensor<5x1x3x6xf32>
  func.return
}

// CHECK-LABEL: func.func @recurrent
// CHECK-NEXT:   %0 = nn.rnn %x, %w, %r : (tensor<5x3x4xf32>, tensor<1x6x4xf32>, tensor<1x6x6xf32>) -> tensor<5x1x3x6xf32>
// CHECK-NEXT:   %1, %h1 = nn.rnn %x, %w, %r bias %b sequence_lens %n initial_h %h hidden_size = 6 direction = "reverse" clip = 3.0 activations = ["Affine"] activation_alpha = array<f32: 5.000000e-01> activation_beta = array<f32: 2.500000e-01> :
// CHECK-NEXT:   %2, %h2 = nn.gru %x, %wg, %rg linear_before_reset = 1 direction = "bidirectional" : (tensor<5x3x4xf32>, tensor<2x18x4xf32>, tensor<2x18x6xf32>) -> (tensor<5x2x3x6xf32>, tensor<2x3x6xf32>)
// CHECK-NEXT:   %3, %h3, %c3 = nn.lstm %x, %wl, %rl initial_c %h peepholes %p input_forget = 1 : (tensor<5x3x4xf32>, tensor<1x24x4xf32>, tensor<1x24x6xf32>, tensor<1x3x6xf32>, tensor<1x18xf32>) -> (tensor<5x1x3x6xf32>, tensor<1x3x6xf32>, tensor<1x3x6xf32>)
// CHECK-NEXT:   %4, %h4 = nn.lstm %x, %wl, %rl layout = 1 :
// CHECK-NEXT:   %5 = nn.lstm %x, %wl, %rl quantize_state = 1 :

// LENS: sequence_lens is 4 where 3 is needed
