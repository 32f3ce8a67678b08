// RUN: fuse-opt %s -p fuse-pointwise | filecheck %s
// RUN: fuse-opt %s -p fuse-pointwise,hoist-parameters,plan-memory | filecheck %s --check-prefix=PLANNED
// RUN: fuse-opt %s -p fuse-pointwise --remarks 2>&1 >/dev/null | filecheck %s --check-prefix=REMARK
// RUN: fuse-opt %s -p fuse-pointwise --print-debuginfo | filecheck %s --check-prefix=LOCATION
// RUN: fuse-opt %s -p fuse-pointwise,fuse-pointwise | filecheck %s

// Fires: a chain; constants of one element go inside, each operand is named once.

// CHECK-LABEL: func.func @chain
// CHECK-NEXT: %z = nn.fused [%x, %s] : (tensor<2x4x8xf32>, tensor<8xf32>) -> tensor<2x4x8xf32> {
// CHECK-NEXT: ^bb0(%x_1: tensor<2x4x8xf32>, %s_1: tensor<8xf32>):
// CHECK-NEXT:   %a = nn.mul %x_1, %s_1
// CHECK-NEXT:   %two = nn.constant 2.000000e+00 : f32 as tensor<f32>
// CHECK-NEXT:   %b = nn.add %a, %two
// CHECK-NEXT:   %z_1 = nn.clip %b min %two
// CHECK-NEXT:   nn.yield %z_1 : tensor<2x4x8xf32>
// CHECK-NEXT: }
// CHECK-NEXT: func.return %z
// REMARK: remark: add_1 fused into clip_1
// REMARK: remark: mul_1 fused into clip_1
// LOCATION: } loc(fused["mul_1", "add_1", "clip_1"])
func.func @chain(%x: tensor<2x4x8xf32>, %s: tensor<8xf32>) -> tensor<2x4x8xf32> {
  %two = nn.constant 2.0 : f32 as tensor<f32>
  %a = nn.mul %x, %s : (tensor<2x4x8xf32>, tensor<8xf32>) -> tensor<2x4x8xf32> loc("mul_1")
  %b = nn.add %a, %two : (tensor<2x4x8xf32>, tensor<f32>) -> tensor<2x4x8xf32> loc("add_1")
  %z = nn.clip %b min %two : (tensor<2x4x8xf32>, tensor<f32>) -> tensor<2x4x8xf32> loc("clip_1")
  func.return %z : tensor<2x4x8xf32>
}

// CHECK-LABEL: func.func @diamond
// CHECK: nn.fused [%x] : tensor<2x8xf16> {
// CHECK-NOT: nn.fused
func.func @diamond(%x: tensor<2x8xf16>) -> tensor<2x8xf16> {
  %e = nn.exp %x : tensor<2x8xf16>
  %l = nn.neg %e : tensor<2x8xf16>
  %r = nn.relu %e : tensor<2x8xf16>
  %z = nn.mul %l, %r : tensor<2x8xf16>
  func.return %z : tensor<2x8xf16>
}

// What a dense layer reads: the pieces, scaled and shifted in f32 by weights that are computed once.
// CHECK-LABEL: func.func @main
// CHECK: %[[SCALE:.*]] = nn.div %s, {{.*}} : tensor<24xf32>
// CHECK: %[[SHIFT:.*]] = nn.sub %s, {{.*}} : tensor<24xf32>
// CHECK: %b = nn.fused [%x, %y, %[[SCALE]], %[[SHIFT]]] : (tensor<2x4x4x8xf16>, tensor<2x4x4x16xf16>, tensor<24xf32>, tensor<24xf32>) -> tensor<2x4x4x24xf16> {
// CHECK-NEXT: ^bb0(
// CHECK-NEXT: nn.concat {{.*}} axis = 3
// CHECK-NEXT: nn.cast {{.*}} to = f32
// CHECK-NEXT: nn.mul
// CHECK-NEXT: nn.add
// CHECK-NEXT: nn.relu
// CHECK-NEXT: nn.cast {{.*}} to = f16
// CHECK-NEXT: nn.yield
// PLANNED-LABEL: func.func @main
// PLANNED-NOT: nn.div
// PLANNED: nn.fused [%x, %y, %{{.*}}, %{{.*}}] {place = array<i64: 0>}
// PLANNED: nn.conv
// REMARK: remark: concat_1 fused into bn_1
func.func @main(%x: tensor<2x4x4x8xf16>, %y: tensor<2x4x4x16xf16>) -> tensor<2x4x4x2xf16> {
  %s = nn.parameter "s" : tensor<24xf32>
  %n = nn.cast %s to = f16 : (tensor<24xf32>) -> tensor<24xf16>
  %w = nn.parameter "w" : tensor<2x1x1x24xf16>
  %t = nn.concat [%x, %y] axis = 3 : (tensor<2x4x4x8xf16>, tensor<2x4x4x16xf16>) -> tensor<2x4x4x24xf16> loc("concat_1")
  %b = nn.batch_normalization %t, %n, %n, %n, %n layout = "nhwc" activation = relu : (tensor<2x4x4x24xf16>, tensor<24xf16>, tensor<24xf16>, tensor<24xf16>, tensor<24xf16>) -> tensor<2x4x4x24xf16> loc("bn_1")
  %z = nn.conv %b, %w layout = "nhwc" : (tensor<2x4x4x24xf16>, tensor<2x1x1x24xf16>) -> tensor<2x4x4x2xf16>
  func.return %z : tensor<2x4x4x2xf16>
}

// Channels first, a lone batch-norm: still scale and shift.
// CHECK-LABEL: func.func @batch_norm
// CHECK: %[[SCALE:.*]] = nn.reshape {{.*}} -> tensor<6x1x1xf32>
// CHECK: %[[SHIFT:.*]] = nn.reshape {{.*}} -> tensor<6x1x1xf32>
// CHECK: nn.fused [%x, %[[SCALE]], %[[SHIFT]]]
func.func @batch_norm(%x: tensor<2x6x4x4xf32>) -> tensor<2x6x4x4xf32> {
  %s = nn.parameter "s" : tensor<6xf32>
  %b = nn.batch_normalization %x, %s, %s, %s, %s : (tensor<2x6x4x4xf32>, tensor<6xf32>, tensor<6xf32>, tensor<6xf32>, tensor<6xf32>) -> tensor<2x6x4x4xf32>
  func.return %b : tensor<2x6x4x4xf32>
}

// Each concatenation of one more piece is read by the next: all read the pieces.
// CHECK-LABEL: func.func @growing
// CHECK-NEXT: %a = nn.fused [%x, %y]
// CHECK: %b = nn.fused [%x, %y, %v]
// CHECK: nn.concat [%x_{{.*}}, %y_{{.*}}, %v_{{.*}}] axis = -1
func.func @growing(%x: tensor<2x8xf16>, %y: tensor<2x8xf16>, %v: tensor<2x8xf16>) -> (tensor<2x16xf16>, tensor<2x24xf16>) {
  %s = nn.constant 2.0 : f16 as tensor<f16>
  %c = nn.concat [%x, %y] axis = 1 : (tensor<2x8xf16>, tensor<2x8xf16>) -> tensor<2x16xf16>
  %a = nn.mul %c, %s : (tensor<2x16xf16>, tensor<f16>) -> tensor<2x16xf16>
  %d = nn.concat [%c, %v] axis = -1 : (tensor<2x16xf16>, tensor<2x8xf16>) -> tensor<2x24xf16>
  %b = nn.mul %d, %s : (tensor<2x24xf16>, tensor<f16>) -> tensor<2x24xf16>
  func.return %a, %b : tensor<2x16xf16>, tensor<2x24xf16>
}

// A gate, which broadcasts, is computed apart.
// CHECK-LABEL: func.func @gate
// CHECK: %h = nn.sigmoid %g
// CHECK: nn.fused [%x, %h, %r] : (tensor<2x4x4x8xf16>, tensor<2x1x1x8xf16>, tensor<2x4x4x8xf16>)
// REMARK: remark: sigmoid_1 not fused into add_2: its result is 2x1x1x8, not 2x4x4x8
func.func @gate(%x: tensor<2x4x4x8xf16>, %g: tensor<2x1x1x8xf16>, %r: tensor<2x4x4x8xf16>) -> tensor<2x4x4x8xf16> {
  %h = nn.sigmoid %g : tensor<2x1x1x8xf16> loc("sigmoid_1")
  %m = nn.mul %x, %h : (tensor<2x4x4x8xf16>, tensor<2x1x1x8xf16>) -> tensor<2x4x4x8xf16> loc("mul_2")
  %z = nn.add %m, %r : tensor<2x4x4x8xf16> loc("add_2")
  func.return %z : tensor<2x4x4x8xf16>
}

// What is read later too is one more result.
// CHECK-LABEL: func.func @two_results
// CHECK: %s, %z = nn.fused [%x, %y] : (tensor<2x8xf16>, tensor<2x8xf16>) -> (tensor<2x8xf16>, tensor<2x8xf16>) {
// CHECK: nn.yield %{{.*}}, %{{.*}} : tensor<2x8xf16>, tensor<2x8xf16>
// CHECK: func.return %s, %z
func.func @two_results(%x: tensor<2x8xf16>, %y: tensor<2x8xf16>) -> (tensor<2x8xf16>, tensor<2x8xf16>) {
  %s = nn.add %x, %y : tensor<2x8xf16>
  %z = nn.relu %s : tensor<2x8xf16>
  func.return %s, %z : tensor<2x8xf16>, tensor<2x8xf16>
}

// Casts between floats.
// CHECK-LABEL: func.func @casts
// CHECK: nn.fused [%x] : (tensor<2x8xf16>) -> tensor<2x8xf32> {
func.func @casts(%x: tensor<2x8xf16>) -> tensor<2x8xf32> {
  %c = nn.cast %x to = f32 : (tensor<2x8xf16>) -> tensor<2x8xf32>
  %z = nn.tanh %c : tensor<2x8xf32>
  func.return %z : tensor<2x8xf32>
}

// Must not fire.

// CHECK-LABEL: func.func @lone
// CHECK-NEXT: nn.relu
// CHECK-NEXT: nn.concat
func.func @lone(%x: tensor<2x8xf16>) -> tensor<2x16xf16> {
  %r = nn.relu %x : tensor<2x8xf16>
  %c = nn.concat [%x, %r] axis = 1 : (tensor<2x8xf16>, tensor<2x8xf16>) -> tensor<2x16xf16>
  func.return %c : tensor<2x16xf16>
}

// The softmax between them needs the first before the last could be computed.
// CHECK-LABEL: func.func @around_a_reduction
// CHECK-NEXT: nn.add
// CHECK-NEXT: nn.softmax
// CHECK-NEXT: nn.mul
// REMARK: remark: add_3 not fused into mul_3: its result is needed before
func.func @around_a_reduction(%x: tensor<2x8xf16>, %y: tensor<2x8xf16>) -> tensor<2x8xf16> {
  %a = nn.add %x, %y : tensor<2x8xf16> loc("add_3")
  %s = nn.softmax %a : tensor<2x8xf16>
  %z = nn.mul %s, %a : tensor<2x8xf16> loc("mul_3")
  func.return %z : tensor<2x8xf16>
}

// A concatenation that a softmax reads has to be written in any case.
// CHECK-LABEL: func.func @read_elsewhere
// CHECK-NEXT: nn.concat
// CHECK-NEXT: nn.softmax
// CHECK-NEXT: nn.relu
// REMARK: remark: concat_2 not fused into relu_2: the concatenation is read elsewhere too
func.func @read_elsewhere(%x: tensor<2x8xf16>, %y: tensor<2x8xf16>) -> (tensor<2x16xf16>, tensor<2x16xf16>) {
  %c = nn.concat [%x, %y] axis = 1 : (tensor<2x8xf16>, tensor<2x8xf16>) -> tensor<2x16xf16> loc("concat_2")
  %s = nn.softmax %c : tensor<2x16xf16>
  %r = nn.relu %c : tensor<2x16xf16> loc("relu_2")
  func.return %s, %r : tensor<2x16xf16>, tensor<2x16xf16>
}

// A piece that is computed has to be written; so the concatenation fuses, the exponential does not.
// CHECK-LABEL: func.func @computed_piece
// CHECK-NEXT: %e = nn.exp %x
// CHECK-NEXT: nn.fused [%e, %y]
func.func @computed_piece(%x: tensor<2x8xf16>, %y: tensor<2x8xf16>) -> tensor<4x8xf16> {
  %e = nn.exp %x : tensor<2x8xf16>
  %c = nn.concat [%e, %y] axis = 0 : (tensor<2x8xf16>, tensor<2x8xf16>) -> tensor<4x8xf16>
  %r = nn.relu %c : tensor<4x8xf16>
  func.return %r : tensor<4x8xf16>
}

// Weights are computed once; integers, f64 and unknown sizes are not what the kernel computes.
// CHECK-LABEL: func.func @others
// CHECK-NOT: nn.fused
func.func @others(%i: tensor<4xi64>, %d: tensor<4xf64>, %x: tensor<?xf32>) -> (tensor<4xi64>, tensor<4xf64>, tensor<?xf32>, tensor<4xf32>) {
  %i1 = nn.add %i, %i : tensor<4xi64>
  %i2 = nn.mul %i1, %i : tensor<4xi64>
  %d1 = nn.add %d, %d : tensor<4xf64>
  %d2 = nn.mul %d1, %d : tensor<4xf64>
  %x1 = nn.add %x, %x : tensor<?xf32>
  %x2 = nn.mul %x1, %x : tensor<?xf32>
  %w = nn.parameter "w" : tensor<4xf32>
  %w1 = nn.add %w, %w : tensor<4xf32>
  %w2 = nn.mul %w1, %w : tensor<4xf32>
  func.return %i2, %d2, %x2, %w2 : tensor<4xi64>, tensor<4xf64>, tensor<?xf32>, tensor<4xf32>
}

// A batch-norm whose statistics are computed at run time stays.
// CHECK-LABEL: func.func @run_time_statistics
// CHECK-NEXT: nn.batch_normalization
// CHECK-NEXT: func.return
func.func @run_time_statistics(%x: tensor<2x6x4xf32>, %s: tensor<6xf32>) -> tensor<2x6x4xf32> {
  %b = nn.batch_normalization %x, %s, %s, %s, %s : (tensor<2x6x4xf32>, tensor<6xf32>, tensor<6xf32>, tensor<6xf32>, tensor<6xf32>) -> tensor<2x6x4xf32>
  func.return %b : tensor<2x6x4xf32>
}

// Shape arithmetic stays on the host, in floats too.
// CHECK-LABEL: func.func @scales
// CHECK: nn.mul
// CHECK-NEXT: nn.add
// CHECK-NEXT: nn.resize
func.func @scales(%x: tensor<2x8xf32>, %s: tensor<2xf32>) -> tensor<?x?xf32> {
  %m = nn.mul %s, %s : tensor<2xf32>
  %a = nn.add %m, %s : tensor<2xf32>
  %r = nn.resize %x scales %a : (tensor<2x8xf32>, tensor<2xf32>) -> tensor<?x?xf32>
  func.return %r : tensor<?x?xf32>
}
