// RUN: fuse-opt %s | fuse-opt | filecheck %s
// RUN: fuse-opt %s --print-op-generic | fuse-opt | filecheck %s

// Loop: states, captures and stacks, in both forms and back.

func.func @counted(%m: tensor<i64>, %c: tensor<1xi1>, %x: tensor<?x3xf32>, %w: tensor<3xf32>) -> (tensor<?x3xf32>, tensor<?x?x3xf32>) {
  %r, %s = nn.loop trip_count %m : tensor<i64> condition %c : tensor<1xi1> {key = 1 : i64} run (%i : tensor<i64>, %go : tensor<i1>) carried (%a = %x : tensor<?x3xf32>) captures (%k = %w : tensor<3xf32>) {
    %v = nn.add %a, %k : (tensor<?x3xf32>, tensor<3xf32>) -> tensor<?x3xf32>
    nn.yield %go, %v, %v : tensor<i1>, tensor<?x3xf32>, tensor<?x3xf32>
  } : tensor<?x3xf32>, tensor<?x?x3xf32>
  func.return %r, %s : tensor<?x3xf32>, tensor<?x?x3xf32>
}

func.func @grows(%x: tensor<2xf32>) -> tensor<?xf32> {
  %r = nn.loop run (%i : tensor<1xi64>, %go : tensor<1xi1>) carried (%a : tensor<?xf32> = %x : tensor<2xf32>) {
    %v = nn.concat [%a, %a] axis = 0 : tensor<?xf32>
    nn.yield %go, %v : tensor<1xi1>, tensor<?xf32>
  } : tensor<?xf32>
  func.return %r : tensor<?xf32>
}

// CHECK-LABEL: func.func @counted(%m: tensor<i64>, %c: tensor<1xi1>, %x: tensor<?x3xf32>, %w: tensor<3xf32>) -> (tensor<?x3xf32>, tensor<?x?x3xf32>) {
// CHECK-NEXT:     %r, %s = nn.loop trip_count %m : tensor<i64> condition %c : tensor<1xi1> {key = 1 : i64} run (%i : tensor<i64>, %go : tensor<i1>) carried (%a = %x : tensor<?x3xf32>) captures (%k = %w : tensor<3xf32>) {
// CHECK-NEXT:       %v = nn.add %a, %k : (tensor<?x3xf32>, tensor<3xf32>) -> tensor<?x3xf32>
// CHECK-NEXT:       nn.yield %go, %v, %v : tensor<i1>, tensor<?x3xf32>, tensor<?x3xf32>
// CHECK-NEXT:     } : tensor<?x3xf32>, tensor<?x?x3xf32>
// CHECK-NEXT:     func.return %r, %s : tensor<?x3xf32>, tensor<?x?x3xf32>
// CHECK-NEXT:   }
// CHECK-LABEL: func.func @grows(%x: tensor<2xf32>) -> tensor<?xf32> {
// CHECK-NEXT:     %r = nn.loop run (%i : tensor<1xi64>, %go : tensor<1xi1>) carried (%a : tensor<?xf32> = %x : tensor<2xf32>) {
// CHECK-NEXT:       %v = nn.concat [%a, %a] axis = 0 : tensor<?xf32>
// CHECK-NEXT:       nn.yield %go, %v : tensor<1xi1>, tensor<?xf32>
// CHECK-NEXT:     } : tensor<?xf32>
// CHECK-NEXT:     func.return %r : tensor<?xf32>
// CHECK-NEXT:   }
