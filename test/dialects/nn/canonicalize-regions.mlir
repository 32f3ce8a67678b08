// RUN: fuse-opt %s -p canonicalize | filecheck %s
// RUN: fuse-opt %s -p canonicalize --print-debuginfo | filecheck %s --check-prefix=LOC

// What is rewritten in ops with bodies.

// A captured constant or parameter goes into the bodies that read it, and folds there.
func.func @constants(%c: tensor<i1>, %x: tensor<2xf32>) -> tensor<2xf32> {
  %one = nn.constant 1.0 : f32 as tensor<f32>
  %w = nn.parameter "w" : tensor<2xf32> loc("weight")
  %r = nn.if cond %c : tensor<i1> then captures (%a = %x : tensor<2xf32>, %k = %one : tensor<f32>, %p = %w : tensor<2xf32>) {
    %two = nn.add %k, %k : tensor<f32>
    %v = nn.mul %a, %two : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
    %q = nn.add %v, %p : tensor<2xf32>
    nn.yield %q : tensor<2xf32>
  } else captures (%b = %x : tensor<2xf32>, %unread = %w : tensor<2xf32>) {
    nn.yield %b : tensor<2xf32>
  } : tensor<2xf32>
  func.return %r : tensor<2xf32>
}

// CHECK-LABEL: @constants
// CHECK-NEXT:    %r = nn.if cond %c : tensor<i1> then captures (%a = %x : tensor<2xf32>) {
// CHECK-NEXT:      %w = nn.parameter "w" : tensor<2xf32>
// LOC:               %w = nn.parameter "w" : tensor<2xf32> loc("weight")
// CHECK-NEXT:      %two = nn.constant 2.000000e+00 : f32 as tensor<f32>
// CHECK-NEXT:      %v = nn.mul %a, %two : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
// CHECK-NEXT:      %q = nn.add %v, %w : tensor<2xf32>
// CHECK-NEXT:      nn.yield %q : tensor<2xf32>
// CHECK-NEXT:    } else captures (%b = %x : tensor<2xf32>) {
// CHECK-NEXT:      nn.yield %b : tensor<2xf32>
// CHECK-NEXT:    } : tensor<2xf32>

// What only a dead op of a body reads is captured no more, and what only the capture read is gone.
func.func @dead(%c: tensor<i1>, %x: tensor<2xf32>) -> tensor<2xf32> {
  %y = nn.exp %x : tensor<2xf32>
  %r = nn.if cond %c : tensor<i1> then captures (%a = %x : tensor<2xf32>, %k = %y : tensor<2xf32>) {
    %v = nn.neg %k : tensor<2xf32>
    nn.yield %a : tensor<2xf32>
  } else captures (%b = %x : tensor<2xf32>) {
    nn.yield %b : tensor<2xf32>
  } : tensor<2xf32>
  func.return %r : tensor<2xf32>
}

// CHECK-LABEL: @dead
// CHECK-NEXT:    %r = nn.if cond %c : tensor<i1> then captures (%a = %x : tensor<2xf32>) {
// CHECK-NEXT:      nn.yield %a : tensor<2xf32>
// CHECK-NEXT:    } else captures (%b = %x : tensor<2xf32>) {

// An If with a constant condition is its branch, also an If in a branch.
func.func @known(%c: tensor<i1>, %x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
  %true = nn.constant true as tensor<i1>
  %false = nn.constant 0 : i1 as tensor<1xi1>
  %r = nn.if cond %true : tensor<i1> then captures (%a = %x : tensor<2xf32>) {
    %v = nn.neg %a : tensor<2xf32>
    nn.yield %v : tensor<2xf32>
  } else captures (%b = %x : tensor<2xf32>) {
    nn.yield %b : tensor<2xf32>
  } : tensor<2xf32>
  %s = nn.if cond %c : tensor<i1> then captures (%f = %false : tensor<1xi1>, %i = %x : tensor<2xf32>) {
    %t = nn.if cond %f : tensor<1xi1> then captures (%d = %i : tensor<2xf32>) {
      nn.yield %d : tensor<2xf32>
    } else captures (%e = %i : tensor<2xf32>) {
      %w = nn.abs %e : tensor<2xf32>
      nn.yield %w : tensor<2xf32>
    } : tensor<2xf32>
    nn.yield %t : tensor<2xf32>
  } else captures (%j = %x : tensor<2xf32>) {
    nn.yield %j : tensor<2xf32>
  } : tensor<2xf32>
  func.return %r, %s : tensor<2xf32>, tensor<2xf32>
}

// CHECK-LABEL: @known
// CHECK-NEXT:    %v = nn.neg %x : tensor<2xf32>
// CHECK-NEXT:    %s = nn.if cond %c : tensor<i1> then captures (%i = %x : tensor<2xf32>) {
// CHECK-NEXT:      %w = nn.abs %i : tensor<2xf32>
// CHECK-NEXT:      nn.yield %w : tensor<2xf32>
// CHECK-NEXT:    } else

// A condition that the network computes stays; so does one that chooses the branch that cannot run.
func.func @near_miss(%c: tensor<i1>, %x: tensor<f32>) -> (tensor<f32>, tensor<f32>) {
  %d = nn.not %c : tensor<i1>
  %r = nn.if cond %d : tensor<i1> then captures (%a = %x : tensor<f32>) {
    nn.yield %a : tensor<f32>
  } else {
    %one = nn.constant 1.0 : f32 as tensor<f32>
    nn.yield %one : tensor<f32>
  } : tensor<f32>
  %false = nn.constant false as tensor<i1>
  %s = nn.if cond %false : tensor<i1> assumed = "then" then captures (%b = %x : tensor<f32>) {
    nn.yield %b : tensor<f32>
  } else {
    nn.yield
  } : tensor<f32>
  func.return %r, %s : tensor<f32>, tensor<f32>
}

// CHECK-LABEL: @near_miss
// CHECK:         %r = nn.if cond %d : tensor<i1> then
// CHECK:         %s = nn.if cond %false : tensor<i1> assumed = "then" then

// A loop that never runs is its initial states; one that stacks slices, or runs, stays.
func.func @loops(%c: tensor<i1>, %x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>, tensor<0x2xf32>, tensor<2xf32>) {
  %zero = nn.constant 0 : i64 as tensor<i64>
  %one = nn.constant 1 : i64 as tensor<i64>
  %false = nn.constant false as tensor<i1>
  %r = nn.loop trip_count %zero : tensor<i64> run (%i : tensor<i64>, %go : tensor<i1>) carried (%a = %x : tensor<2xf32>) {
    %v = nn.neg %a : tensor<2xf32>
    nn.yield %go, %v : tensor<i1>, tensor<2xf32>
  } : tensor<2xf32>
  %s = nn.loop condition %false : tensor<i1> run (%j : tensor<i64>, %do : tensor<i1>) carried (%b = %x : tensor<2xf32>) {
    %w = nn.neg %b : tensor<2xf32>
    nn.yield %do, %w : tensor<i1>, tensor<2xf32>
  } : tensor<2xf32>
  %t = nn.loop trip_count %zero : tensor<i64> run (%k : tensor<i64>, %on : tensor<i1>) captures (%d = %x : tensor<2xf32>) {
    nn.yield %on, %d : tensor<i1>, tensor<2xf32>
  } : tensor<0x2xf32>
  %u = nn.loop trip_count %one : tensor<i64> run (%l : tensor<i64>, %up : tensor<i1>) carried (%e = %x : tensor<2xf32>) {
    %z = nn.neg %e : tensor<2xf32>
    nn.yield %up, %z : tensor<i1>, tensor<2xf32>
  } : tensor<2xf32>
  func.return %r, %s, %t, %u : tensor<2xf32>, tensor<2xf32>, tensor<0x2xf32>, tensor<2xf32>
}

// CHECK-LABEL: @loops
// CHECK:         %t = nn.loop
// CHECK:         %u = nn.loop
// CHECK:         func.return %x, %x, %t, %u

// Nor is a loop dropped whose type says more than that of its initial state.
func.func @narrower(%x: tensor<?xf32>) -> tensor<2xf32> {
  %zero = nn.constant 0 : i64 as tensor<i64>
  %r = nn.loop trip_count %zero : tensor<i64> run (%i : tensor<i64>, %go : tensor<i1>) carried (%a : tensor<2xf32> = %x : tensor<?xf32>) {
    %v = nn.neg %a : tensor<2xf32>
    nn.yield %go, %v : tensor<i1>, tensor<2xf32>
  } : tensor<2xf32>
  func.return %r : tensor<2xf32>
}

// CHECK-LABEL: @narrower
// CHECK:         %r = nn.loop
// CHECK:         func.return %r
