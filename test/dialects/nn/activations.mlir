// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Activations and softmax, in both forms and back.

func.func @activations(%x: tensor<2x3xf32>, %slope: tensor<3xf32>) {
  %0 = nn.relu %x : tensor<2x3xf32>
  %1 = nn.leaky_relu %x : tensor<2x3xf32>
  %2 = nn.leaky_relu %x alpha = 0.2 : tensor<2x3xf32>
  %3 = nn.prelu %x, %slope : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %4 = nn.elu %x alpha = 2.0 : tensor<2x3xf32>
  %5 = nn.selu %x : tensor<2x3xf32>
  %6 = nn.selu %x alpha = 1.5 gamma = 2.0 : tensor<2x3xf32>
  %7 = nn.sigmoid %x : tensor<2x3xf32>
  %8 = nn.hard_sigmoid %x alpha = 0.5 : tensor<2x3xf32>
  %9 = nn.hard_swish %x : tensor<2x3xf32>
  %10 = nn.tanh %x {place = array<i64: 0>} : tensor<2x3xf32>
  %11 = nn.softplus %x : tensor<2x3xf32>
  %12 = nn.gelu %x : tensor<2x3xf32>
  %13 = nn.gelu %x approximate = "tanh" : tensor<2x3xf32>
  %14 = nn.swish %x : tensor<2x3xf32>
  %15 = nn.swish %x alpha = 1.5 : tensor<2x3xf32>
  %16 = nn.leaky_relu %x alpha = (0x7f800000 : f32) : tensor<2x3xf32>
  %17 = nn.celu %x : tensor<2x3xf32>
  %18 = nn.celu %x alpha = 2.0 : tensor<2x3xf32>
  %19 = nn.thresholded_relu %x alpha = 0.5 : tensor<2x3xf32>
  %20 = nn.shrink %x : tensor<2x3xf32>
  %21 = nn.shrink %x lambd = 1.5 bias = 0.5 : tensor<2x3xf32>
  %22 = nn.softsign %x : tensor<2x3xf32>
  %23 = nn.mish %x : tensor<2x3xf32>
  func.return
}

// CHECK-LABEL: func.func @activations
// CHECK-NEXT:   %0 = nn.relu %x : tensor<2x3xf32>
// CHECK-NEXT:   %1 = nn.leaky_relu %x : tensor<2x3xf32>
// CHECK-NEXT:   %2 = nn.leaky_relu %x alpha = 0.2 : tensor<2x3xf32>
// CHECK-NEXT:   %3 = nn.prelu %x, %slope : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
// CHECK-NEXT:   %4 = nn.elu %x alpha = 2.0 : tensor<2x3xf32>
// CHECK-NEXT:   %5 = nn.selu %x : tensor<2x3xf32>
// CHECK-NEXT:   %6 = nn.selu %x alpha = 1.5 gamma = 2.0 : tensor<2x3xf32>
// CHECK-NEXT:   %7 = nn.sigmoid %x : tensor<2x3xf32>
// CHECK-NEXT:   %8 = nn.hard_sigmoid %x alpha = 0.5 : tensor<2x3xf32>
// CHECK-NEXT:   %9 = nn.hard_swish %x : tensor<2x3xf32>
// CHECK-NEXT:   %10 = nn.tanh %x {place = array<i64: 0>} : tensor<2x3xf32>
// CHECK-NEXT:   %11 = nn.softplus %x : tensor<2x3xf32>
// CHECK-NEXT:   %12 = nn.gelu %x : tensor<2x3xf32>
// CHECK-NEXT:   %13 = nn.gelu %x approximate = "tanh" : tensor<2x3xf32>
// CHECK-NEXT:   %14 = nn.swish %x : tensor<2x3xf32>
// CHECK-NEXT:   %15 = nn.swish %x alpha = 1.5 : tensor<2x3xf32>
// CHECK-NEXT:   %16 = nn.leaky_relu %x alpha = (0x7f800000 : f32) : tensor<2x3xf32>
// CHECK-NEXT:   %17 = nn.celu %x : tensor<2x3xf32>
// CHECK-NEXT:   %18 = nn.celu %x alpha = 2.0 : tensor<2x3xf32>
// CHECK-NEXT:   %19 = nn.thresholded_relu %x alpha = 0.5 : tensor<2x3xf32>
// CHECK-NEXT:   %20 = nn.shrink %x : tensor<2x3xf32>
// CHECK-NEXT:   %21 = nn.shrink %x lambd = 1.5 bias = 0.5 : tensor<2x3xf32>
// CHECK-NEXT:   %22 = nn.softsign %x : tensor<2x3xf32>
// CHECK-NEXT:   %23 = nn.mish %x : tensor<2x3xf32>

func.func @clips(%x: tensor<2x3xf32>, %low: tensor<f32>, %high: tensor<f32>) {
  %0 = nn.clip %x min %low max %high : (tensor<2x3xf32>, tensor<f32>, tensor<f32>) -> tensor<2x3xf32>
  %1 = nn.clip %x min %low : (tensor<2x3xf32>, tensor<f32>) -> tensor<2x3xf32>
  %2 = nn.clip %x max %high : (tensor<2x3xf32>, tensor<f32>) -> tensor<2x3xf32>
  %3 = nn.clip %x : tensor<2x3xf32>
  func.return
}

// CHECK-LABEL: func.func @clips
// CHECK-NEXT:   %0 = nn.clip %x min %low max %high : (tensor<2x3xf32>, tensor<f32>, tensor<f32>) -> tensor<2x3xf32>
// CHECK-NEXT:   %1 = nn.clip %x min %low : (tensor<2x3xf32>, tensor<f32>) -> tensor<2x3xf32>
// CHECK-NEXT:   %2 = nn.clip %x max %high : (tensor<2x3xf32>, tensor<f32>) -> tensor<2x3xf32>
// CHECK-NEXT:   %3 = nn.clip %x : tensor<2x3xf32>

func.func @softmaxes(%x: tensor<?x3xf32>) {
  %0 = nn.softmax %x : tensor<?x3xf32>
  %1 = nn.softmax %x axis = 0 : tensor<?x3xf32>
  %2 = nn.log_softmax %x axis = 1 : tensor<?x3xf32>
  %3 = nn.hardmax %x axis = 0 : tensor<?x3xf32>
  func.return
}

// CHECK-LABEL: func.func @softmaxes
// CHECK-NEXT:   %0 = nn.softmax %x : tensor<?x3xf32>
// CHECK-NEXT:   %1 = nn.softmax %x axis = 0 : tensor<?x3xf32>
// CHECK-NEXT:   %2 = nn.log_softmax %x axis = 1 : tensor<?x3xf32>
// CHECK-NEXT:   %3 = nn.hardmax %x axis = 0 : tensor<?x3xf32>

func.func @attributes(%x: tensor<1x1x4x4xf32>, %w: tensor<1x1x1x1xf32>) {
  %0 = nn.conv %x, %w activation = relu : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %1 = nn.conv %x, %w activation = leaky_relu<0.1> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %2 = nn.conv %x, %w activation = clip<0.0, 6.0> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %3 = nn.conv %x, %w activation = clip<-inf, 6.0> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %4 = nn.conv %x, %w activation = clip<-1.0, inf> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %5 = nn.conv %x, %w activation = elu<1.0> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %6 = nn.conv %x, %w activation = selu<1.5, 2.0> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %7 = nn.conv %x, %w activation = sigmoid : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %8 = nn.conv %x, %w activation = hard_sigmoid<0.2, 0.5> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %9 = nn.conv %x, %w activation = hard_swish : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %10 = nn.conv %x, %w activation = tanh : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %11 = nn.conv %x, %w activation = softplus : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %12 = nn.conv %x, %w activation = gelu : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %13 = nn.conv %x, %w activation = gelu_tanh : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %14 = nn.conv %x, %w activation = swish<1.0> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %15 = nn.conv %x, %w activation = celu<1.5> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %16 = nn.conv %x, %w activation = thresholded_relu<1.0> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %17 = nn.conv %x, %w activation = shrink<0.5, 0.0> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %18 = nn.conv %x, %w activation = softsign : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %19 = nn.conv %x, %w activation = mish : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  func.return
}

// CHECK-LABEL: func.func @attributes
// CHECK-NEXT:   %0 = nn.conv %x, %w activation = relu : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
// CHECK-NEXT:   %1 = nn.conv %x, %w activation = leaky_relu<0.1> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
// CHECK-NEXT:   %2 = nn.conv %x, %w activation = clip<0.0, 6.0> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
// CHECK-NEXT:   %3 = nn.conv %x, %w activation = clip<-inf, 6.0> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
// CHECK-NEXT:   %4 = nn.conv %x, %w activation = clip<-1.0, inf> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
// CHECK-NEXT:   %5 = nn.conv %x, %w activation = elu<1.0> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
// CHECK-NEXT:   %6 = nn.conv %x, %w activation = selu<1.5, 2.0> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
// CHECK-NEXT:   %7 = nn.conv %x, %w activation = sigmoid : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
// CHECK-NEXT:   %8 = nn.conv %x, %w activation = hard_sigmoid<0.2, 0.5> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
// CHECK-NEXT:   %9 = nn.conv %x, %w activation = hard_swish : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
// CHECK-NEXT:   %10 = nn.conv %x, %w activation = tanh : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
// CHECK-NEXT:   %11 = nn.conv %x, %w activation = softplus : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
// CHECK-NEXT:   %12 = nn.conv %x, %w activation = gelu : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
// CHECK-NEXT:   %13 = nn.conv %x, %w activation = gelu_tanh : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
// CHECK-NEXT:   %14 = nn.conv %x, %w activation = swish<1.0> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
// CHECK-NEXT:   %15 = nn.conv %x, %w activation = celu<1.5> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
// CHECK-NEXT:   %16 = nn.conv %x, %w activation = thresholded_relu<1.0> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
// CHECK-NEXT:   %17 = nn.conv %x, %w activation = shrink<0.5, 0.0> : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
// CHECK-NEXT:   %18 = nn.conv %x, %w activation = softsign : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
// CHECK-NEXT:   %19 = nn.conv %x, %w activation = mish : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
