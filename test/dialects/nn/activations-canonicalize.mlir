// RUN: fuse-opt %s -p canonicalize | filecheck %s
// RUN: fuse-opt %s -p canonicalize --print-debuginfo | filecheck %s --check-prefix=LOC

// SiLU as exporters write it, in either order; what it came from is kept.

func.func @silu(%x: tensor<?x3xf32>) -> (tensor<?x3xf32>, tensor<?x3xf32>) {
  %g = nn.sigmoid %x : tensor<?x3xf32> loc("gate")
  %0 = nn.mul %x, %g : tensor<?x3xf32> loc("product")
  %h = nn.sigmoid %x : tensor<?x3xf32>
  %1 = nn.mul %h, %x : tensor<?x3xf32>
  func.return %0, %1 : tensor<?x3xf32>, tensor<?x3xf32>
}

// CHECK-LABEL: func.func @silu
// CHECK-NEXT:   %0 = nn.swish %x : tensor<?x3xf32>
// CHECK-NEXT:   %1 = nn.swish %x : tensor<?x3xf32>
// CHECK-NEXT:   func.return %0, %1

// LOC: nn.swish {{.*}} loc(fused["gate", "product"])

// Not where the sigmoid is read elsewhere, or is of something else.

func.func @not_silu(%x: tensor<3xf32>, %y: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) {
  %g = nn.sigmoid %x : tensor<3xf32>
  %0 = nn.mul %x, %g : tensor<3xf32>
  %h = nn.sigmoid %x : tensor<3xf32>
  %1 = nn.mul %y, %h : tensor<3xf32>
  func.return %0, %g, %1 : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
}

// CHECK-LABEL: func.func @not_silu
// CHECK-NOT:    nn.swish
// CHECK:        func.return

// Max with a zero is nn.relu; of floats, where the zero does not enlarge the result.

func.func @max_with_zero(%x: tensor<3xf32>, %i: tensor<3xi32>) -> (tensor<3xf32>, tensor<3xf32>) {
  %zero = nn.constant 0.0 : f32 as tensor<f32>
  %zeros = nn.constant dense<0.0> : tensor<3xf32>
  %0 = nn.max [%x, %zero] : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %1 = nn.max [%zeros, %x] : tensor<3xf32>
  func.return %0, %1 : tensor<3xf32>, tensor<3xf32>
}

// CHECK-LABEL: func.func @max_with_zero
// CHECK-NEXT:   %0 = nn.relu %x : tensor<3xf32>
// CHECK-NEXT:   %1 = nn.relu %x : tensor<3xf32>

func.func @max_with_others(%x: tensor<3xf32>, %i: tensor<3xi32>) -> (tensor<3xf32>, tensor<2x3xf32>, tensor<3xi32>, tensor<3xf32>) {
  %one = nn.constant 1.0 : f32 as tensor<f32>
  %zeros = nn.constant dense<0.0> : tensor<2x1xf32>
  %izero = nn.constant 0 : i32 as tensor<i32>
  %zero = nn.constant 0.0 : f32 as tensor<f32>
  %0 = nn.max [%x, %one] : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %1 = nn.max [%x, %zeros] : (tensor<3xf32>, tensor<2x1xf32>) -> tensor<2x3xf32>
  %2 = nn.max [%i, %izero] : (tensor<3xi32>, tensor<i32>) -> tensor<3xi32>
  %3 = nn.max [%x, %zero, %one] : (tensor<3xf32>, tensor<f32>, tensor<f32>) -> tensor<3xf32>
  func.return %0, %1, %2, %3 : tensor<3xf32>, tensor<2x3xf32>, tensor<3xi32>, tensor<3xf32>
}

// CHECK-LABEL: func.func @max_with_others
// CHECK-NOT:    nn.relu
// CHECK:        func.return

// A slope that is one constant.

func.func @prelu(%x: tensor<1x3x4xf32>) -> (tensor<1x3x4xf32>, tensor<1x3x4xf32>) {
  %one = nn.constant 0.25 : f32 as tensor<1x1xf32>
  %three = nn.constant dense<[[0.25], [0.5], [0.75]]> : tensor<3x1xf32>
  %0 = nn.prelu %x, %one : (tensor<1x3x4xf32>, tensor<1x1xf32>) -> tensor<1x3x4xf32>
  %1 = nn.prelu %x, %three : (tensor<1x3x4xf32>, tensor<3x1xf32>) -> tensor<1x3x4xf32>
  func.return %0, %1 : tensor<1x3x4xf32>, tensor<1x3x4xf32>
}

// CHECK-LABEL: func.func @prelu
// CHECK:        nn.leaky_relu %x alpha = 0.25 : tensor<1x3x4xf32>
// CHECK-NEXT:   nn.prelu %x, %three

// Clips without effect, from 0 to infinity, and with a bound too many.

func.func @clips(%x: tensor<3xf32>, %low: tensor<f32>) -> (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) {
  %zero = nn.constant 0.0 : f32 as tensor<f32>
  %inf = nn.constant 0x7f800000 : f32 as tensor<f32>
  %minus_inf = nn.constant 0xff800000 : f32 as tensor<f32>
  %0 = nn.clip %x : tensor<3xf32>
  %1 = nn.clip %x min %zero : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %2 = nn.clip %x min %zero max %inf : (tensor<3xf32>, tensor<f32>, tensor<f32>) -> tensor<3xf32>
  %3 = nn.clip %x min %minus_inf max %zero : (tensor<3xf32>, tensor<f32>, tensor<f32>) -> tensor<3xf32>
  %4 = nn.clip %x min %low max %inf : (tensor<3xf32>, tensor<f32>, tensor<f32>) -> tensor<3xf32>
  %5 = nn.clip %x min %inf : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  func.return %0, %1, %2, %3, %4, %5 : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
}

// CHECK-LABEL: func.func @clips
// CHECK:        %[[A:.*]] = nn.relu %x
// CHECK-NEXT:   %[[B:.*]] = nn.relu %x
// CHECK-NEXT:   %[[ZERO:.*]] = nn.constant 0.000000e+00 : f32
// CHECK-NEXT:   %[[C:.*]] = nn.clip %x max %[[ZERO]]
// CHECK-NEXT:   %[[D:.*]] = nn.clip %x min %low max %inf
// CHECK-NEXT:   %[[E:.*]] = nn.clip %x min %inf
// CHECK-NEXT:   func.return %x, %[[A]], %[[B]], %[[C]], %[[D]], %[[E]]

// Clips of clips: the second goes where the first does its work, else both become one.

func.func @nothing_left(%x: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
  %zero = nn.constant 0.0 : f32 as tensor<f32>
  %six = nn.constant 6.0 : f32 as tensor<f32>
  %0 = nn.relu %x : tensor<3xf32>
  %1 = nn.relu %0 : tensor<3xf32>
  %2 = nn.clip %x min %zero max %six : (tensor<3xf32>, tensor<f32>, tensor<f32>) -> tensor<3xf32>
  %3 = nn.relu %2 : tensor<3xf32>
  func.return %1, %3 : tensor<3xf32>, tensor<3xf32>
}

// CHECK-LABEL: func.func @nothing_left
// CHECK:        %[[A:.*]] = nn.relu %x
// CHECK-NEXT:   %[[B:.*]] = nn.clip %x min %zero max %six
// CHECK-NEXT:   func.return %[[A]], %[[B]]

func.func @merged(%x: tensor<3xf32>) -> tensor<3xf32> {
  %low = nn.constant -1.0 : f32 as tensor<f32>
  %six = nn.constant 6.0 : f32 as tensor<f32>
  %0 = nn.relu %x : tensor<3xf32> loc("first")
  %1 = nn.clip %0 min %low max %six : (tensor<3xf32>, tensor<f32>, tensor<f32>) -> tensor<3xf32> loc("second")
  func.return %1 : tensor<3xf32>
}

// CHECK-LABEL: func.func @merged
// CHECK:        %[[LOW:.*]] = nn.constant 0.000000e+00 : f32
// CHECK-NEXT:   %[[HIGH:.*]] = nn.constant 6.000000e+00 : f32
// CHECK-NEXT:   %[[R:.*]] = nn.clip %x min %[[LOW]] max %[[HIGH]]
// CHECK-NEXT:   func.return %[[R]]

// LOC-LABEL: func.func @merged
// LOC: nn.clip {{.*}} loc(fused["first", "second"])

// A first clip that is read elsewhere stays, and so does one whose bounds are crossed or unknown.

func.func @kept(%x: tensor<3xf32>, %b: tensor<f32>) -> (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) {
  %one = nn.constant 1.0 : f32 as tensor<f32>
  %six = nn.constant 6.0 : f32 as tensor<f32>
  %0 = nn.relu %x : tensor<3xf32>
  %1 = nn.clip %0 max %six : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %2 = nn.clip %x min %six max %one : (tensor<3xf32>, tensor<f32>, tensor<f32>) -> tensor<3xf32>
  %3 = nn.relu %2 : tensor<3xf32>
  %4 = nn.clip %x min %b : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %5 = nn.relu %4 : tensor<3xf32>
  func.return %0, %1, %3, %5 : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
}

// CHECK-LABEL: func.func @kept
// CHECK:        %[[A:.*]] = nn.relu %x
// CHECK-NEXT:   nn.clip %[[A]] max %six
// CHECK-NEXT:   %[[B:.*]] = nn.clip %x min %six max %one
// CHECK-NEXT:   nn.relu %[[B]]
// CHECK-NEXT:   %[[C:.*]] = nn.clip %x min %b
// CHECK-NEXT:   nn.relu %[[C]]

func.func @integers(%x: tensor<3xi32>) -> tensor<3xi32> {
  %zero = nn.constant 0 : i32 as tensor<i32>
  %five = nn.constant 5 : i32 as tensor<i32>
  %0 = nn.clip %x min %zero : (tensor<3xi32>, tensor<i32>) -> tensor<3xi32>
  %1 = nn.clip %0 max %five : (tensor<3xi32>, tensor<i32>) -> tensor<3xi32>
  func.return %1 : tensor<3xi32>
}

// CHECK-LABEL: func.func @integers
// CHECK:        nn.clip %x min %{{.*}} max %{{.*}} : (tensor<3xi32>, tensor<i32>, tensor<i32>) -> tensor<3xi32>
// CHECK-NEXT:   func.return
