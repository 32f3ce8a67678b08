// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s
// RUN: sed 's/num_groups = 2/num_groups = 4/' %s | not fuse-opt 2>&1 | filecheck %s --check-prefix=GROUPS

// Normalisations along axes and of groups, in both forms and back.

// GROUPS: the channels of ?x6x4 do not split into 4 groups

func.func @norms(%x: tensor<?x6x4xf32>, %s: tensor<6xf32>, %g: tensor<4xf16>) {
  %0 = nn.group_normalization %x, %s, %s num_groups = 2 epsilon = 0.1 : (tensor<?x6x4xf32>, tensor<6xf32>, tensor<6xf32>) -> tensor<?x6x4xf32>
  %1 = nn.rms_normalization %x, %g axis = -1 : (tensor<?x6x4xf32>, tensor<4xf16>) -> tensor<?x6x4xf16>
  %2 = nn.mean_variance_normalization %x axes [0, 2] : tensor<?x6x4xf32>
  %3 = nn.lp_normalization %x axis = 1 p = 1 : tensor<?x6x4xf32>
  func.return
}

// CHECK-LABEL: func.func @norms
// CHECK-NEXT:     %0 = nn.group_normalization %x, %s, %s num_groups = 2 epsilon = 0.1 : (tensor<?x6x4xf32>, tensor<6xf32>, tensor<6xf32>) -> tensor<?x6x4xf32>
// CHECK-NEXT:     %1 = nn.rms_normalization %x, %g : (tensor<?x6x4xf32>, tensor<4xf16>) -> tensor<?x6x4xf16>
// CHECK-NEXT:     %2 = nn.mean_variance_normalization %x axes [0, 2] : tensor<?x6x4xf32>
// CHECK-NEXT:     %3 = nn.lp_normalization %x axis = 1 p = 1 : tensor<?x6x4xf32>
