// RUN: fuse-opt %s -p canonicalize | filecheck %s

// HardSwish: the constants may stand anywhere in the product; so hard_sigmoid with 1/6.

func.func @hard_swish(%x: tensor<?x3xf32>) -> (tensor<?x3xf32>, tensor<?x3xf32>, tensor<?x3xf32>) {
  %zero = nn.constant 0.0 : f32 as tensor<f32>
  %three = nn.constant 3.0 : f32 as tensor<f32>
  %six = nn.constant 6.0 : f32 as tensor<f32>
  %sixth = nn.constant 0.16666667 : f32 as tensor<f32>
  %a = nn.add %x, %three : (tensor<?x3xf32>, tensor<f32>) -> tensor<?x3xf32>
  %b = nn.clip %a min %zero max %six : (tensor<?x3xf32>, tensor<f32>, tensor<f32>) -> tensor<?x3xf32>
  %c = nn.mul %b, %x : tensor<?x3xf32>
  %0 = nn.div %c, %six : (tensor<?x3xf32>, tensor<f32>) -> tensor<?x3xf32>
  %d = nn.add %three, %x : (tensor<f32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %e = nn.clip %d min %zero max %six : (tensor<?x3xf32>, tensor<f32>, tensor<f32>) -> tensor<?x3xf32>
  %f = nn.mul %sixth, %e : (tensor<f32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %1 = nn.mul %x, %f : tensor<?x3xf32>
  %g = nn.hard_sigmoid %x alpha = 0.16666667 beta = 0.5 : tensor<?x3xf32>
  %2 = nn.mul %x, %g : tensor<?x3xf32>
  func.return %0, %1, %2 : tensor<?x3xf32>, tensor<?x3xf32>, tensor<?x3xf32>
}

// CHECK-LABEL: func.func @hard_swish
// CHECK-NEXT:   %0 = nn.hard_swish %x
// CHECK-NEXT:   %1 = nn.hard_swish %x
// CHECK-NEXT:   %2 = nn.hard_swish %x
// CHECK-NEXT:   func.return %0, %1, %2

func.func @gelu(%x: tensor<?x3xf32>) -> (tensor<?x3xf32>, tensor<?x3xf32>) {
  %root = nn.constant 1.4142135 : f32 as tensor<f32>
  %inverse = nn.constant 0.70710677 : f32 as tensor<f32>
  %one = nn.constant 1.0 : f32 as tensor<f32>
  %half = nn.constant 0.5 : f32 as tensor<f32>
  %a = nn.div %x, %root : (tensor<?x3xf32>, tensor<f32>) -> tensor<?x3xf32>
  %b = nn.erf %a : tensor<?x3xf32>
  %c = nn.add %b, %one : (tensor<?x3xf32>, tensor<f32>) -> tensor<?x3xf32>
  %d = nn.mul %x, %c : tensor<?x3xf32>
  %0 = nn.mul %d, %half : (tensor<?x3xf32>, tensor<f32>) -> tensor<?x3xf32>
  %e = nn.mul %x, %inverse : (tensor<?x3xf32>, tensor<f32>) -> tensor<?x3xf32>
  %f = nn.erf %e : tensor<?x3xf32>
  %g = nn.add %one, %f : (tensor<f32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %h = nn.mul %half, %x : (tensor<f32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %1 = nn.mul %g, %h : tensor<?x3xf32>
  func.return %0, %1 : tensor<?x3xf32>, tensor<?x3xf32>
}

// CHECK-LABEL: func.func @gelu
// CHECK-NEXT:   %0 = nn.gelu %x
// CHECK-NEXT:   %1 = nn.gelu %x
// CHECK-NEXT:   func.return %0, %1

// Not with another constant, nor where the gate or the product inside is read elsewhere, nor of another value.

func.func @near_misses(%x: tensor<3xf32>, %y: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) {
  %zero = nn.constant 0.0 : f32 as tensor<f32>
  %three = nn.constant 3.0 : f32 as tensor<f32>
  %six = nn.constant 6.0 : f32 as tensor<f32>
  %root = nn.constant 1.4142 : f32 as tensor<f32>
  %one = nn.constant 1.0 : f32 as tensor<f32>
  %half = nn.constant 0.5 : f32 as tensor<f32>
  %a = nn.add %x, %three : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %b = nn.clip %a min %zero max %six : (tensor<3xf32>, tensor<f32>, tensor<f32>) -> tensor<3xf32>
  %c = nn.mul %b, %x : tensor<3xf32>
  %d = nn.div %c, %three : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %e = nn.add %x, %three : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %f = nn.clip %e min %zero max %six : (tensor<3xf32>, tensor<f32>, tensor<f32>) -> tensor<3xf32>
  %g = nn.mul %f, %x : tensor<3xf32>
  %h = nn.div %g, %six : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %i = nn.hard_sigmoid %x alpha = 0.16666667 beta = 0.5 : tensor<3xf32>
  %j = nn.mul %i, %y : tensor<3xf32>
  %k = nn.hard_sigmoid %x : tensor<3xf32>
  %l = nn.mul %k, %x : tensor<3xf32>
  %m = nn.div %x, %root : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %n = nn.erf %m : tensor<3xf32>
  %o = nn.add %n, %one : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %p = nn.mul %x, %o : tensor<3xf32>
  %q = nn.mul %p, %half : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  func.return %d, %g, %h, %j, %l, %q, %i : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
}

// CHECK-LABEL: func.func @near_misses
// CHECK-NOT:    nn.hard_swish
// CHECK-NOT:    nn.gelu
// CHECK:        func.return

// The product with the gate is folded, not what it is multiplied by.

func.func @enlarged(%x: tensor<3xf32>, %s: tensor<2x1xf32>) -> tensor<2x3xf32> {
  %g = nn.sigmoid %x : tensor<3xf32>
  %p = nn.mul %x, %g : tensor<3xf32>
  %q = nn.mul %p, %s : (tensor<3xf32>, tensor<2x1xf32>) -> tensor<2x3xf32>
  func.return %q : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @enlarged
// CHECK-NEXT:   %p = nn.swish %x : tensor<3xf32>
// CHECK-NEXT:   nn.mul %p, %s

// SiLU with another slope, Mish, and HardSwish by another line and its bounds; not of another value or with other bounds.

func.func @more_gates(%x: tensor<3xf32>, %y: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) {
  %zero = nn.constant 0.0 : f32 as tensor<f32>
  %half = nn.constant 0.5 : f32 as tensor<f32>
  %one = nn.constant 1.0 : f32 as tensor<f32>
  %sixth = nn.constant 0.16666667 : f32 as tensor<f32>
  %slope = nn.constant 1.702 : f32 as tensor<f32>
  %a = nn.mul %slope, %x : (tensor<f32>, tensor<3xf32>) -> tensor<3xf32>
  %b = nn.sigmoid %a : tensor<3xf32>
  %0 = nn.mul %x, %b : tensor<3xf32>
  %c = nn.softplus %x : tensor<3xf32>
  %d = nn.tanh %c : tensor<3xf32>
  %1 = nn.mul %d, %x : tensor<3xf32>
  %e = nn.mul %x, %sixth : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %f = nn.add %e, %half : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %g = nn.clip %f min %zero max %one : (tensor<3xf32>, tensor<f32>, tensor<f32>) -> tensor<3xf32>
  %2 = nn.mul %x, %g : tensor<3xf32>
  %h = nn.softplus %y : tensor<3xf32>
  %i = nn.tanh %h : tensor<3xf32>
  %3 = nn.mul %i, %x : tensor<3xf32>
  %j = nn.mul %x, %sixth : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %k = nn.add %j, %half : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %l = nn.clip %k min %zero max %half : (tensor<3xf32>, tensor<f32>, tensor<f32>) -> tensor<3xf32>
  %4 = nn.mul %x, %l : tensor<3xf32>
  func.return %0, %1, %2, %3, %4 : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
}

// CHECK-LABEL: func.func @more_gates
// CHECK:        %0 = nn.swish %x alpha = 1.702
// CHECK-NEXT:   %1 = nn.mish %x
// CHECK-NEXT:   %2 = nn.hard_swish %x
// CHECK-NOT:    nn.mish
// CHECK-NOT:    nn.hard_swish
// CHECK:        func.return
