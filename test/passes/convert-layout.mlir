// RUN: fuse-opt %s -p convert-layout,canonicalize,dce | filecheck %s

// A chain of convolutions has one transpose at each end; filters are transposed as weights.

// CHECK-LABEL: func.func @chain
// CHECK: %[[X:.*]] = nn.transpose %x perm [0, 2, 3, 1] : (tensor<1x3x8x8xf32>) -> tensor<1x8x8x3xf32>
// CHECK: %[[W:.*]] = nn.transpose %w perm [0, 2, 3, 1] : tensor<4x3x3x3xf32>
// CHECK: %y = nn.conv %[[X]], %[[W]] bias %b layout = "nhwc" pads [1, 1, 1, 1] activation = relu
// CHECK-NEXT: %m = nn.max_pool %y kernel_shape [2, 2] strides [2, 2] layout = "nhwc" : (tensor<1x8x8x4xf32>) -> tensor<1x4x4x4xf32>
// CHECK: %z = nn.conv %m, %{{.*}} residual %m layout = "nhwc"
// CHECK-NEXT: %s = nn.sigmoid %z : tensor<1x4x4x4xf32>
// CHECK-NEXT: %[[R:.*]] = nn.transpose %s perm [0, 3, 1, 2]
// CHECK-NEXT: func.return %[[R]]
func.func @chain(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x4x4xf32> {
  %w = nn.parameter "w" : tensor<4x3x3x3xf32>
  %v = nn.parameter "v" : tensor<4x4x1x1xf32>
  %b = nn.parameter "b" : tensor<4xf32>
  %y = nn.conv %x, %w bias %b pads [1, 1, 1, 1] activation = relu : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
  %m = nn.max_pool %y kernel_shape [2, 2] strides [2, 2] : (tensor<1x4x8x8xf32>) -> tensor<1x4x4x4xf32>
  %z = nn.conv %m, %v residual %m : (tensor<1x4x4x4xf32>, tensor<4x4x1x1xf32>, tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>
  %s = nn.sigmoid %z : tensor<1x4x4x4xf32>
  func.return %s : tensor<1x4x4x4xf32>
}

// Axes move with the channels, and so do weights that are broadcast.

// CHECK-LABEL: func.func @axes
// CHECK: nn.mul %y, %{{.*}} : (tensor<1x8x8x4xf32>, tensor<1x1x1x4xf32>) -> tensor<1x8x8x4xf32>
// CHECK: nn.concat [%{{.*}}, %y] axis = 3 : (tensor<1x8x8x4xf32>, tensor<1x8x8x4xf32>) -> tensor<1x8x8x8xf32>
func.func @axes(%x: tensor<1x3x8x8xf32>) -> tensor<1x8x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x3x1x1xf32>
  %k = nn.parameter "k" : tensor<4x1x1xf32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %m = nn.mul %y, %k : (tensor<1x4x8x8xf32>, tensor<4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %c = nn.concat [%m, %y] axis = 1 : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x8x8x8xf32>
  func.return %c : tensor<1x8x8x8xf32>
}

// An exporter's own transposes cancel.

// CHECK-LABEL: func.func @sandwich
// CHECK-NOT: nn.transpose %n
// CHECK: %y = nn.conv %n, %{{.*}} layout = "nhwc"
// CHECK-NEXT: func.return %y
func.func @sandwich(%n: tensor<1x8x8x3xf32>) -> tensor<1x8x8x4xf32> {
  %w = nn.parameter "w" : tensor<4x3x1x1xf32>
  %x = nn.transpose %n perm [0, 3, 1, 2] : (tensor<1x8x8x3xf32>) -> tensor<1x3x8x8xf32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %z = nn.transpose %y perm [0, 2, 3, 1] : (tensor<1x4x8x8xf32>) -> tensor<1x8x8x4xf32>
  func.return %z : tensor<1x8x8x4xf32>
}

// Must not fire: what has its channels last already, pools that no convolution comes before.

// CHECK-LABEL: func.func @stays
// CHECK-NOT: nn.transpose
// CHECK: func.return
func.func @stays(%x: tensor<1x8x8x3xf32>, %p: tensor<1x3x8x8xf32>) -> (tensor<1x8x8x4xf32>, tensor<1x3x7x7xf32>) {
  %w = nn.parameter "w" : tensor<4x1x1x3xf32>
  %y = nn.conv %x, %w layout = "nhwc" : (tensor<1x8x8x3xf32>, tensor<4x1x1x3xf32>) -> tensor<1x8x8x4xf32>
  %m = nn.max_pool %p kernel_shape [2, 2] : (tensor<1x3x8x8xf32>) -> tensor<1x3x7x7xf32>
  func.return %y, %m : tensor<1x8x8x4xf32>, tensor<1x3x7x7xf32>
}

// Near misses: a result of other rank is read channels first, and so is what the positions of maxima are counted in.

// CHECK-LABEL: func.func @other_rank
// CHECK: nn.transpose %y perm [0, 3, 1, 2]
// CHECK: nn.flatten
func.func @other_rank(%x: tensor<2x3x8x8xf32>) -> tensor<2x256xf32> {
  %w = nn.parameter "w" : tensor<4x3x1x1xf32>
  %y = nn.conv %x, %w : (tensor<2x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<2x4x8x8xf32>
  %f = nn.flatten %y : (tensor<2x4x8x8xf32>) -> tensor<2x256xf32>
  func.return %f : tensor<2x256xf32>
}

// CHECK-LABEL: func.func @positions
// CHECK: %[[T:.*]] = nn.transpose %y perm [0, 3, 1, 2]
// CHECK: %m, %i = nn.max_pool %[[T]] kernel_shape [2, 2] :
func.func @positions(%x: tensor<1x3x8x8xf32>) -> (tensor<1x4x7x7xf32>, tensor<1x4x7x7xi64>) {
  %w = nn.parameter "w" : tensor<4x3x1x1xf32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %m, %i = nn.max_pool %y kernel_shape [2, 2] : (tensor<1x4x8x8xf32>) -> (tensor<1x4x7x7xf32>, tensor<1x4x7x7xi64>)
  func.return %m, %i : tensor<1x4x7x7xf32>, tensor<1x4x7x7xi64>
}

// A sequence holds its elements channels first.

// CHECK-LABEL: func.func @sequence
// CHECK: %[[T:.*]] = nn.transpose %y perm [0, 3, 1, 2]
// CHECK: nn.sequence_construct [%[[T]], %x]
func.func @sequence(%x: tensor<1x3x8x8xf32>) -> !nn.sequence<tensor<1x3x8x8xf32>> {
  %w = nn.parameter "w" : tensor<3x3x1x1xf32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<3x3x1x1xf32>) -> tensor<1x3x8x8xf32>
  %s = nn.sequence_construct [%y, %x] : (tensor<1x3x8x8xf32>, tensor<1x3x8x8xf32>) -> !nn.sequence<tensor<1x3x8x8xf32>>
  func.return %s : !nn.sequence<tensor<1x3x8x8xf32>>
}

// The axes of a slice move; one whose indices are not known is read channels first.

// CHECK-LABEL: func.func @slices
// CHECK: %[[AXIS:.*]] = nn.constant 1 : i64 as tensor<1xi64>
// CHECK-NEXT: %a = nn.slice %y, %last, %end axes %[[AXIS]] steps %two {{.*}} -> tensor<1x4x8x4xf32>
// CHECK-NEXT: %[[AXES:.*]] = nn.constant dense<[0, 3]> : tensor<2xi64>
// CHECK-NEXT: %b = nn.slice %y, %first, %to axes %[[AXES]] {{.*}} -> tensor<1x8x8x2xf32>
// CHECK-NEXT: %[[T:.*]] = nn.transpose %y perm [0, 3, 1, 2]
// CHECK-NEXT: %c = nn.slice %[[T]], %s, %last axes %last
func.func @slices(%x: tensor<1x3x8x8xf32>, %s: tensor<1xi64>) -> (tensor<1x4x4x8xf32>, tensor<1x2x8x8xf32>, tensor<1x4x8x?xf32>) {
  %w = nn.parameter "w" : tensor<4x3x1x1xf32>
  %end = nn.constant dense<-100> : tensor<1xi64>
  %last = nn.constant dense<-1> : tensor<1xi64>
  %two = nn.constant dense<-2> : tensor<1xi64>
  %first = nn.constant dense<[0, 1]> : tensor<2xi64>
  %to = nn.constant dense<[1, 3]> : tensor<2xi64>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %a = nn.slice %y, %last, %end axes %two steps %two : (tensor<1x4x8x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1x4x4x8xf32>
  %b = nn.slice %y, %first, %to : (tensor<1x4x8x8xf32>, tensor<2xi64>, tensor<2xi64>) -> tensor<1x2x8x8xf32>
  %c = nn.slice %y, %s, %last axes %last : (tensor<1x4x8x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1x4x8x?xf32>
  func.return %a, %b, %c : tensor<1x4x4x8xf32>, tensor<1x2x8x8xf32>, tensor<1x4x8x?xf32>
}

// So do those of other ops along axes; what takes one index in place of an axis stays.

// CHECK-LABEL: func.func @along_axes
// CHECK: nn.gather %y, %i axis = 3 : (tensor<1x8x8x4xf32>, tensor<2xi64>) -> tensor<1x8x8x2xf32>
// CHECK: nn.tile %y, %{{.*}} -> tensor<1x8x16x12xf32>
// CHECK: nn.expand %p, %{{.*}} -> tensor<1x8x8x4xf32>
// CHECK: nn.lp_normalization %y axis = 3
// CHECK: nn.mean_variance_normalization %y axes [0, 1, 2]
// CHECK: nn.arg_max %y axis = 3 : (tensor<1x8x8x4xf32>) -> tensor<1x8x8x1xi64>
// CHECK: nn.top_k %y, %k axis = 2
// CHECK: nn.quantize_linear %y, %q axis = 3
// CHECK: nn.lp_pool %y kernel_shape [8, 8] layout = "nhwc"
// CHECK: %[[T:.*]] = nn.transpose %y perm [0, 3, 1, 2]
// CHECK: nn.gather %[[T]], %j axis = 1
func.func @along_axes(%x: tensor<1x3x8x8xf32>, %q: tensor<4xf32>) -> (tensor<1x2x8x8xf32>, tensor<1x12x8x16xf32>, tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>, tensor<1x1x8x8xi64>, tensor<1x4x8x2xf32>, tensor<1x4x8x8xui8>, tensor<1x1x1x8x8xf32>, tensor<1x4x1x1xf32>) {
  %w = nn.parameter "w" : tensor<4x3x1x1xf32>
  %i = nn.constant dense<[3, -1]> : tensor<2xi64>
  %j = nn.constant dense<[[3]]> : tensor<1x1xi64>
  %k = nn.constant dense<2> : tensor<1xi64>
  %times = nn.constant dense<[1, 3, 1, 2]> : tensor<4xi64>
  %size = nn.constant dense<[8, 8]> : tensor<2xi64>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %p = nn.global_average_pool %y : (tensor<1x4x8x8xf32>) -> tensor<1x4x1x1xf32>
  %a = nn.gather %y, %i axis = -3 : (tensor<1x4x8x8xf32>, tensor<2xi64>) -> tensor<1x2x8x8xf32>
  %b = nn.tile %y, %times : (tensor<1x4x8x8xf32>, tensor<4xi64>) -> tensor<1x12x8x16xf32>
  %c = nn.expand %p, %size : (tensor<1x4x1x1xf32>, tensor<2xi64>) -> tensor<1x4x8x8xf32>
  %d = nn.lp_normalization %y axis = 1 : tensor<1x4x8x8xf32>
  %e = nn.mean_variance_normalization %y : tensor<1x4x8x8xf32>
  %f = nn.arg_max %y axis = 1 : (tensor<1x4x8x8xf32>) -> tensor<1x1x8x8xi64>
  %g, %h = nn.top_k %y, %k axis = 3 : (tensor<1x4x8x8xf32>, tensor<1xi64>) -> (tensor<1x4x8x2xf32>, tensor<1x4x8x2xi64>)
  %l = nn.quantize_linear %y, %q : (tensor<1x4x8x8xf32>, tensor<4xf32>) -> tensor<1x4x8x8xui8>
  %o = nn.lp_pool %y kernel_shape [8, 8] : (tensor<1x4x8x8xf32>) -> tensor<1x4x1x1xf32>
  %m = nn.gather %y, %j axis = 1 : (tensor<1x4x8x8xf32>, tensor<1x1xi64>) -> tensor<1x1x1x8x8xf32>
  func.return %a, %b, %c, %d, %e, %f, %g, %l, %m, %o : tensor<1x2x8x8xf32>, tensor<1x12x8x16xf32>, tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>, tensor<1x1x8x8xi64>, tensor<1x4x8x2xf32>, tensor<1x4x8x8xui8>, tensor<1x1x1x8x8xf32>, tensor<1x4x1x1xf32>
}

// What takes the positions or the channels away needs no transpose; of one axis of the positions the others change.

// CHECK-LABEL: func.func @rank_reduced
// CHECK: %[[M:.*]] = nn.reduce_mean %y axes %{{.*}} keepdims = 0 : (tensor<1x8x8x4xf32>, tensor<2xi64>) -> tensor<1x4xf32>
// CHECK: %[[A:.*]] = nn.arg_max %y axis = 3 keepdims = 0 : (tensor<1x8x8x4xf32>) -> tensor<1x8x8xi64>
// CHECK: %[[T:.*]] = nn.transpose %y perm [0, 3, 1, 2]
// CHECK-NEXT: %r = nn.arg_max %[[T]] axis = 3 keepdims = 0
// CHECK-NEXT: func.return %[[M]], %[[A]], %r
func.func @rank_reduced(%x: tensor<1x3x8x8xf32>) -> (tensor<1x4xf32>, tensor<1x8x8xi64>, tensor<1x4x8xi64>) {
  %w = nn.parameter "w" : tensor<4x3x1x1xf32>
  %axes = nn.constant dense<[-1, 2]> : tensor<2xi64>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %m = nn.reduce_mean %y axes %axes keepdims = 0 : (tensor<1x4x8x8xf32>, tensor<2xi64>) -> tensor<1x4xf32>
  %a = nn.arg_max %y axis = 1 keepdims = 0 : (tensor<1x4x8x8xf32>) -> tensor<1x8x8xi64>
  %r = nn.arg_max %y axis = 3 keepdims = 0 : (tensor<1x4x8x8xf32>) -> tensor<1x4x8xi64>
  func.return %m, %a, %r : tensor<1x4xf32>, tensor<1x8x8xi64>, tensor<1x4x8xi64>
}

// Blocks are moved by one transpose, which is one with that of a result that is read channels first.

// CHECK-LABEL: func.func @blocks
// CHECK: %[[S:.*]] = nn.reshape %y, %{{.*}} -> tensor<1x8x8x2x2x3xf32>
// CHECK: %[[T:.*]] = nn.transpose %[[S]] perm [0, 1, 3, 2, 4, 5]
// CHECK: %d = nn.reshape %[[T]], %{{.*}} -> tensor<1x16x16x3xf32>
// CHECK: %z = nn.conv %d
// CHECK: %[[F:.*]] = nn.transpose %[[S]] perm [0, 5, 1, 3, 2, 4] : (tensor<1x8x8x2x2x3xf32>) -> tensor<1x3x8x2x8x2xf32>
// CHECK: %[[R:.*]] = nn.reshape %[[F]], %{{.*}} -> tensor<1x3x16x16xf32>
// CHECK: func.return %[[R]]
func.func @blocks(%x: tensor<1x3x8x8xf32>) -> (tensor<1x3x16x16xf32>, tensor<1x4x16x16xf32>) {
  %w = nn.parameter "w" : tensor<12x3x1x1xf32>
  %v = nn.parameter "v" : tensor<4x3x1x1xf32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<12x3x1x1xf32>) -> tensor<1x12x8x8xf32>
  %d = nn.depth_to_space %y blocksize = 2 : (tensor<1x12x8x8xf32>) -> tensor<1x3x16x16xf32>
  %z = nn.conv %d, %v : (tensor<1x3x16x16xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x16x16xf32>
  func.return %d, %z : tensor<1x3x16x16xf32>, tensor<1x4x16x16xf32>
}

// A channel shuffle is one transpose of the last two dims, and what reads it follows.

// CHECK-LABEL: func.func @shuffle
// CHECK: %[[S:.*]] = nn.reshape %y, %{{.*}} -> tensor<1x8x8x2x3xf32>
// CHECK-NEXT: %[[T:.*]] = nn.transpose %[[S]] perm [0, 1, 2, 4, 3]
// CHECK: %c = nn.reshape %[[T]], %{{.*}} -> tensor<1x8x8x6xf32>
// CHECK-NEXT: %p, %q = nn.split %c axis = 3
// CHECK: nn.conv %q
func.func @shuffle(%x: tensor<1x3x8x8xf32>) -> tensor<1x3x8x8xf32> {
  %w = nn.parameter "w" : tensor<6x3x1x1xf32>
  %v = nn.parameter "v" : tensor<3x3x1x1xf32>
  %split = nn.constant dense<[1, 2, 3, 8, 8]> : tensor<5xi64>
  %merged = nn.constant dense<[1, 6, 8, 8]> : tensor<4xi64>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<6x3x1x1xf32>) -> tensor<1x6x8x8xf32>
  %a = nn.reshape %y, %split : (tensor<1x6x8x8xf32>, tensor<5xi64>) -> tensor<1x2x3x8x8xf32>
  %b = nn.transpose %a perm [0, 2, 1, 3, 4] : (tensor<1x2x3x8x8xf32>) -> tensor<1x3x2x8x8xf32>
  %c = nn.reshape %b, %merged : (tensor<1x3x2x8x8xf32>, tensor<4xi64>) -> tensor<1x6x8x8xf32>
  %p, %q = nn.split %c axis = 1 num_outputs = 2 : (tensor<1x6x8x8xf32>) -> (tensor<1x3x8x8xf32>, tensor<1x3x8x8xf32>)
  %z = nn.conv %q, %v residual %p : (tensor<1x3x8x8xf32>, tensor<3x3x1x1xf32>, tensor<1x3x8x8xf32>) -> tensor<1x3x8x8xf32>
  func.return %z : tensor<1x3x8x8xf32>
}

// A transformer's transposes between positions and channels are those of the layout: none is left.

// CHECK-LABEL: func.func @tokens
// CHECK: %[[F:.*]] = nn.reshape %y, %{{.*}} : (tensor<1x8x8x6xf32>, tensor<3xi64>) -> tensor<1x64x6xf32>
// CHECK-NEXT: %n = nn.softmax %[[F]]
// CHECK-NOT: nn.transpose %n
// CHECK: %[[R:.*]] = nn.reshape %n, %{{.*}} -> tensor<1x8x8x6xf32>
// CHECK: nn.conv %[[R]], %{{.*}} layout = "nhwc"
func.func @tokens(%x: tensor<1x3x8x8xf32>) -> tensor<1x3x8x8xf32> {
  %w = nn.parameter "w" : tensor<6x3x1x1xf32>
  %v = nn.parameter "v" : tensor<3x6x1x1xf32>
  %flat = nn.constant dense<[1, 6, 64]> : tensor<3xi64>
  %image = nn.constant dense<[1, 6, 8, 8]> : tensor<4xi64>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<6x3x1x1xf32>) -> tensor<1x6x8x8xf32>
  %a = nn.reshape %y, %flat : (tensor<1x6x8x8xf32>, tensor<3xi64>) -> tensor<1x6x64xf32>
  %t = nn.transpose %a perm [0, 2, 1] : (tensor<1x6x64xf32>) -> tensor<1x64x6xf32>
  %n = nn.softmax %t : tensor<1x64x6xf32>
  %u = nn.transpose %n perm [0, 2, 1] : (tensor<1x64x6xf32>) -> tensor<1x6x64xf32>
  %c = nn.reshape %u, %image : (tensor<1x6x64xf32>, tensor<4xi64>) -> tensor<1x6x8x8xf32>
  %z = nn.conv %c, %v : (tensor<1x6x8x8xf32>, tensor<3x6x1x1xf32>) -> tensor<1x3x8x8xf32>
  func.return %z : tensor<1x3x8x8xf32>
}

// Near misses: reshapes that put channels and positions, or images and channels, into one dim.

// CHECK-LABEL: func.func @mixed
// CHECK: %[[T:.*]] = nn.transpose %y perm [0, 3, 1, 2]
// CHECK: nn.reshape %[[T]], %images
// CHECK: nn.reshape %[[T]], %mixed
func.func @mixed(%x: tensor<2x3x8x8xf32>) -> (tensor<2x3x16x8xf32>, tensor<4x6x8x4xf32>) {
  %w = nn.parameter "w" : tensor<6x3x1x1xf32>
  %mixed = nn.constant dense<[2, 3, 16, 8]> : tensor<4xi64>
  %images = nn.constant dense<[4, 6, 8, 4]> : tensor<4xi64>
  %y = nn.conv %x, %w : (tensor<2x3x8x8xf32>, tensor<6x3x1x1xf32>) -> tensor<2x6x8x8xf32>
  %b = nn.reshape %y, %images : (tensor<2x6x8x8xf32>, tensor<4xi64>) -> tensor<4x6x8x4xf32>
  %a = nn.reshape %y, %mixed : (tensor<2x6x8x8xf32>, tensor<4xi64>) -> tensor<2x3x16x8xf32>
  func.return %a, %b : tensor<2x3x16x8xf32>, tensor<4x6x8x4xf32>
}

// Nor is one worth a transpose that there is: what is read channels first anyhow is reshaped so.

// CHECK-LABEL: func.func @shared
// CHECK: %[[T:.*]] = nn.transpose %y perm [0, 3, 1, 2]
// CHECK-NEXT: %l = nn.lrn %[[T]]
// CHECK-NEXT: %a = nn.reshape %[[T]], %flat
func.func @shared(%x: tensor<1x3x8x8xf32>) -> (tensor<1x6x8x8xf32>, tensor<1x6x64xf32>) {
  %w = nn.parameter "w" : tensor<6x3x1x1xf32>
  %flat = nn.constant dense<[1, 6, 64]> : tensor<3xi64>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<6x3x1x1xf32>) -> tensor<1x6x8x8xf32>
  %l = nn.lrn %y size = 3 : tensor<1x6x8x8xf32>
  %a = nn.reshape %y, %flat : (tensor<1x6x8x8xf32>, tensor<3xi64>) -> tensor<1x6x64xf32>
  func.return %l, %a : tensor<1x6x8x8xf32>, tensor<1x6x64xf32>
}

// Indices that are channels last are no operand to move an axis of.

// CHECK-LABEL: func.func @palette
// CHECK: %[[T:.*]] = nn.transpose %i perm [0, 3, 1, 2]
// CHECK-NEXT: nn.gather %colours, %[[T]]
func.func @palette(%x: tensor<1x3x8x8xf32>, %colours: tensor<4xf32>) -> tensor<1x1x8x8xf32> {
  %w = nn.parameter "w" : tensor<4x3x1x1xf32>
  %y = nn.conv %x, %w : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %i = nn.arg_max %y axis = 1 : (tensor<1x4x8x8xf32>) -> tensor<1x1x8x8xi64>
  %c = nn.gather %colours, %i : (tensor<4xf32>, tensor<1x1x8x8xi64>) -> tensor<1x1x8x8xf32>
  func.return %c : tensor<1x1x8x8xf32>
}

// What is declared stays so, whether it says more than is inferred (%v) or less (%a, %b).

// CHECK-LABEL: func.func @declared
// CHECK: %v, %i = nn.top_k %{{.*}}, %k axis = 2 : (tensor<2x4x6x8xf32>, tensor<1xi64>) -> (tensor<2x4x2x8xf32>, tensor<2x4x2x8xi64>)
// CHECK: nn.arg_max {{.*}} -> tensor<?x?x?xi64>
// CHECK: func.return
func.func @declared(%x: tensor<2x4x4x6xf32>, %k: tensor<1xi64>) -> (tensor<2x8x4x2xf32>, tensor<?x?x?xi64>, tensor<?x?x?x?xf32>) {
  %w = nn.parameter "w" : tensor<8x4x1x1xf32>
  %c = nn.conv %x, %w : (tensor<2x4x4x6xf32>, tensor<8x4x1x1xf32>) -> tensor<2x8x4x6xf32>
  %v, %i = nn.top_k %c, %k : (tensor<2x8x4x6xf32>, tensor<1xi64>) -> (tensor<2x8x4x2xf32>, tensor<2x8x4x2xi64>)
  %a = nn.arg_max %c axis = 1 keepdims = 0 : (tensor<2x8x4x6xf32>) -> tensor<?x?x?xi64>
  %b = nn.depth_to_space %c blocksize = 2 : (tensor<2x8x4x6xf32>) -> tensor<?x?x?x?xf32>
  func.return %v, %a, %b : tensor<2x8x4x2xf32>, tensor<?x?x?xi64>, tensor<?x?x?x?xf32>
}
