// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s
// RUN: sed 's/kv_num_heads = 2/kv_num_heads = 3/' %s | not fuse-opt 2>&1 | filecheck %s --check-prefix=HEADS

// Attention and rotary embeddings, in both forms and back.

// HEADS: k 2x?x4 does not split into 3 heads

func.func @attention(%q: tensor<2x4x3x6xf32>, %k: tensor<2x2x5x6xf32>, %v: tensor<2x2x5x7xf32>, %m: tensor<3x5xi1>, %n: tensor<2xi64>, %qp: tensor<2x3x8xf32>, %kp: tensor<2x?x4xf32>, %c: tensor<9x3xf32>, %i: tensor<2x3xi64>) {
  %0 = nn.attention %q, %k, %v : (tensor<2x4x3x6xf32>, tensor<2x2x5x6xf32>, tensor<2x2x5x7xf32>) -> tensor<2x4x3x7xf32>
  %1 = nn.attention %q, %k, %v attn_mask %m nonpad_kv_seqlen %n is_causal = 1 softcap = 2.0 softmax_precision = f64 left_window_size = 3 : (tensor<2x4x3x6xf32>, tensor<2x2x5x6xf32>, tensor<2x2x5x7xf32>, tensor<3x5xi1>, tensor<2xi64>) -> tensor<2x4x3x7xf32>
  %2, %pk, %pv, %s = nn.attention %q, %k, %v past_key %k past_value %v : (tensor<2x4x3x6xf32>, tensor<2x2x5x6xf32>, tensor<2x2x5x7xf32>, tensor<2x2x5x6xf32>, tensor<2x2x5x7xf32>) -> (tensor<2x4x3x7xf32>, tensor<2x2x10x6xf32>, tensor<2x2x10x7xf32>, tensor<2x4x3x10xf32>)
  %3 = nn.attention %qp, %kp, %kp q_num_heads = 4 kv_num_heads = 2 : (tensor<2x3x8xf32>, tensor<2x?x4xf32>, tensor<2x?x4xf32>) -> tensor<2x3x8xf32>
  %4 = nn.rotary_embedding %q, %c, %c position_ids %i interleaved = 1 : (tensor<2x4x3x6xf32>, tensor<9x3xf32>, tensor<9x3xf32>, tensor<2x3xi64>) -> tensor<2x4x3x6xf32>
  func.return
}

// CHECK-LABEL: func.func @attention
// CHECK-NEXT:     %0 = nn.attention %q, %k, %v : (tensor<2x4x3x6xf32>, tensor<2x2x5x6xf32>, tensor<2x2x5x7xf32>) -> tensor<2x4x3x7xf32>
// CHECK-NEXT:     %1 = nn.attention %q, %k, %v attn_mask %m nonpad_kv_seqlen %n is_causal = 1 softcap = 2.0 softmax_precision = f64 left_window_size = 3 : (tensor<2x4x3x6xf32>, tensor<2x2x5x6xf32>, tensor<2x2x5x7xf32>, tensor<3x5xi1>, tensor<2xi64>) -> tensor<2x4x3x7xf32>
// CHECK-NEXT:     %2, %pk, %pv, %s = nn.attention %q, %k, %v past_key %k past_value %v : (tensor<2x4x3x6xf32>, tensor<2x2x5x6xf32>, tensor<2x2x5x7xf32>, tensor<2x2x5x6xf32>, tensor<2x2x5x7xf32>) -> (tensor<2x4x3x7xf32>, tensor<2x2x10x6xf32>, tensor<2x2x10x7xf32>, tensor<2x4x3x10xf32>)
// CHECK-NEXT:     %3 = nn.attention %qp, %kp, %kp q_num_heads = 4 kv_num_heads = 2 : (tensor<2x3x8xf32>, tensor<2x?x4xf32>, tensor<2x?x4xf32>) -> tensor<2x3x8xf32>
// CHECK-NEXT:     %4 = nn.rotary_embedding %q, %c, %c position_ids %i interleaved = 1 : (tensor<2x4x3x6xf32>, tensor<9x3xf32>, tensor<9x3xf32>, tensor<2x3xi64>) -> tensor<2x4x3x6xf32>
