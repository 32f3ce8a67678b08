// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Resize, in both forms and back.

func.func @resize(%x: tensor<4x6xf32>, %scales: tensor<2xf32>, %sizes: tensor<1xi64>, %roi: tensor<4xf32>) {
  %0 = nn.resize %x scales %scales : (tensor<4x6xf32>, tensor<2xf32>) -> tensor<?x?xf32>
  %1 = nn.resize %x sizes %sizes mode = "linear" axes [1] keep_aspect_ratio_policy = "not_larger" : (tensor<4x6xf32>, tensor<1xi64>) -> tensor<4x?xf32>
  %2 = nn.resize %x roi %roi scales %scales mode = "cubic" coordinate_transformation_mode = "tf_crop_and_resize" cubic_coeff_a = -0.5 exclude_outside = 1 extrapolation_value = 2.0 antialias = 1 : (tensor<4x6xf32>, tensor<4xf32>, tensor<2xf32>) -> tensor<8x12xf32>
  %3 = nn.resize %x scales %scales coordinate_transformation_mode = "asymmetric" nearest_mode = "floor" : (tensor<4x6xf32>, tensor<2xf32>) -> tensor<?x?xf32>
  func.return
}

// CHECK-LABEL: func.func @resize
// CHECK-NEXT:   %0 = nn.resize %x scales %scales : (tensor<4x6xf32>, tensor<2xf32>) -> tensor<?x?xf32>
// CHECK-NEXT:   %1 = nn.resize %x sizes %sizes mode = "linear" axes [1] keep_aspect_ratio_policy = "not_larger" : (tensor<4x6xf32>, tensor<1xi64>) -> tensor<4x?xf32>
// CHECK-NEXT:   %2 = nn.resize %x roi %roi scales %scales mode = "cubic" coordinate_transformation_mode = "tf_crop_and_resize" cubic_coeff_a = -0.5 exclude_outside = 1 extrapolation_value = 2.0 antialias = 1 : (tensor<4x6xf32>, tensor<4xf32>, tensor<2xf32>) -> tensor<8x12xf32>
// CHECK-NEXT:   %3 = nn.resize %x scales %scales coordinate_transformation_mode = "asymmetric" nearest_mode = "floor" : (tensor<4x6xf32>, tensor<2xf32>) -> tensor<?x?xf32>
