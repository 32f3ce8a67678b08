// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s
// RUN: sed 's/mode = "nearest"/mode = "near"/' %s | not fuse-opt 2>&1 | filecheck %s --check-prefix=MODE

// Ops that read images at places that are data, and that move elements, in both forms and back.

// MODE: mode 'near' of nn.grid_sample is unknown; there are linear, nearest, cubic

func.func @sampling(%x: tensor<1x8x4x4xf32>, %g: tensor<1x?x3x2xf32>, %t: tensor<1x2x3xf32>, %s: tensor<4xi64>, %r: tensor<?x4xf32>, %b: tensor<?xi64>, %bx: tensor<1x5x4xf32>, %sc: tensor<1x3x5xf32>, %one: tensor<1xi64>, %thr: tensor<1xf32>, %w: tensor<3x8x2x2xf32>, %o: tensor<1x8x3x3xf32>, %c: tensor<3xf32>, %q: tensor<?x5xf32>) {
  %0 = nn.grid_sample %x, %g mode = "nearest" padding_mode = "border" : (tensor<1x8x4x4xf32>, tensor<1x?x3x2xf32>) -> tensor<1x8x?x3xf32>
  %1 = nn.affine_grid %t, %s align_corners = 1 : (tensor<1x2x3xf32>, tensor<4xi64>) -> tensor<1x?x?x2xf32>
  %2 = nn.roi_align %x, %r, %b output_height = 3 output_width = 2 : (tensor<1x8x4x4xf32>, tensor<?x4xf32>, tensor<?xi64>) -> tensor<?x8x3x2xf32>
  %3 = nn.non_max_suppression %bx, %sc max_output_boxes_per_class %one score_threshold %thr : (tensor<1x5x4xf32>, tensor<1x3x5xf32>, tensor<1xi64>, tensor<1xf32>) -> tensor<?x3xi64>
  %4 = nn.deform_conv %x, %w, %o bias %c : (tensor<1x8x4x4xf32>, tensor<3x8x2x2xf32>, tensor<1x8x3x3xf32>, tensor<3xf32>) -> tensor<1x3x3x3xf32>
  %5 = nn.max_roi_pool %x, %q pooled_shape [3, 2] spatial_scale = 0.5 : (tensor<1x8x4x4xf32>, tensor<?x5xf32>) -> tensor<?x8x3x2xf32>
  func.return
}

func.func @moves(%x: tensor<1x8x4x4xf32>, %n: tensor<8xi64>, %s: tensor<2xi64>, %i: tensor<1x8x4x4xi64>, %cols: tensor<1x12x9xf32>) {
  %0 = nn.depth_to_space %x blocksize = 2 mode = "CRD" : (tensor<1x8x4x4xf32>) -> tensor<1x2x8x8xf32>
  %1 = nn.space_to_depth %x blocksize = 2 : (tensor<1x8x4x4xf32>) -> tensor<1x32x2x2xf32>
  %2 = nn.reverse_sequence %x, %n : (tensor<1x8x4x4xf32>, tensor<8xi64>) -> tensor<1x8x4x4xf32>
  %3 = nn.center_crop_pad %x, %s axes [2, 3] : (tensor<1x8x4x4xf32>, tensor<2xi64>) -> tensor<1x8x?x?xf32>
  %4 = nn.lp_pool %x kernel_shape [2, 2] p = 1 : (tensor<1x8x4x4xf32>) -> tensor<1x8x3x3xf32>
  %5 = nn.global_lp_pool %x : (tensor<1x8x4x4xf32>) -> tensor<1x8x1x1xf32>
  %6 = nn.max_unpool %x, %i kernel_shape [2, 2] strides [2, 2] : (tensor<1x8x4x4xf32>, tensor<1x8x4x4xi64>) -> tensor<1x8x8x8xf32>
  %7 = nn.col2im %cols, %s, %s : (tensor<1x12x9xf32>, tensor<2xi64>, tensor<2xi64>) -> tensor<1x?x?x?xf32>
  func.return
}

// CHECK-LABEL: func.func @sampling
// CHECK-NEXT:     %0 = nn.grid_sample %x, %g mode = "nearest" padding_mode = "border" : (tensor<1x8x4x4xf32>, tensor<1x?x3x2xf32>) -> tensor<1x8x?x3xf32>
// CHECK-NEXT:     %1 = nn.affine_grid %t, %s align_corners = 1 : (tensor<1x2x3xf32>, tensor<4xi64>) -> tensor<1x?x?x2xf32>
// CHECK-NEXT:     %2 = nn.roi_align %x, %r, %b output_height = 3 output_width = 2 : (tensor<1x8x4x4xf32>, tensor<?x4xf32>, tensor<?xi64>) -> tensor<?x8x3x2xf32>
// CHECK-NEXT:     %3 = nn.non_max_suppression %bx, %sc max_output_boxes_per_class %one score_threshold %thr : (tensor<1x5x4xf32>, tensor<1x3x5xf32>, tensor<1xi64>, tensor<1xf32>) -> tensor<?x3xi64>
// CHECK-NEXT:     %4 = nn.deform_conv %x, %w, %o bias %c : (tensor<1x8x4x4xf32>, tensor<3x8x2x2xf32>, tensor<1x8x3x3xf32>, tensor<3xf32>) -> tensor<1x3x3x3xf32>
// CHECK-NEXT:     %5 = nn.max_roi_pool %x, %q pooled_shape [3, 2] spatial_scale = 0.5 : (tensor<1x8x4x4xf32>, tensor<?x5xf32>) -> tensor<?x8x3x2xf32>
// CHECK-LABEL: func.func @moves
// CHECK-NEXT:     %0 = nn.depth_to_space %x blocksize = 2 mode = "CRD" : (tensor<1x8x4x4xf32>) -> tensor<1x2x8x8xf32>
// CHECK-NEXT:     %1 = nn.space_to_depth %x blocksize = 2 : (tensor<1x8x4x4xf32>) -> tensor<1x32x2x2xf32>
// CHECK-NEXT:     %2 = nn.reverse_sequence %x, %n : (tensor<1x8x4x4xf32>, tensor<8xi64>) -> tensor<1x8x4x4xf32>
// CHECK-NEXT:     %3 = nn.center_crop_pad %x, %s axes [2, 3] : (tensor<1x8x4x4xf32>, tensor<2xi64>) -> tensor<1x8x?x?xf32>
// CHECK-NEXT:     %4 = nn.lp_pool %x p = 1 kernel_shape [2, 2] : (tensor<1x8x4x4xf32>) -> tensor<1x8x3x3xf32>
// CHECK-NEXT:     %5 = nn.global_lp_pool %x : (tensor<1x8x4x4xf32>) -> tensor<1x8x1x1xf32>
// CHECK-NEXT:     %6 = nn.max_unpool %x, %i kernel_shape [2, 2] strides [2, 2] : (tensor<1x8x4x4xf32>, tensor<1x8x4x4xi64>) -> tensor<1x8x8x8xf32>
// CHECK-NEXT:     %7 = nn.col2im %cols, %s, %s : (tensor<1x12x9xf32>, tensor<2xi64>, tensor<2xi64>) -> tensor<1x?x?x?xf32>
