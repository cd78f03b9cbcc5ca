// RUN: rope-opt %s --rope-expand-subviews | FileCheck %s
// RUN: rope-opt %s --rope-to-llvm | FileCheck %s --check-prefix=LLVM

// LLVM-NOT: memref.

// The fourth dimension is dropped, the first two stay: strides do not say so.

// CHECK-LABEL: @interior(
// CHECK-SAME: %[[M:arg[0-9]+]]: memref<?x?x?x?x?xf32>, %[[I:arg[0-9]+]]: index, %[[N:arg[0-9]+]]: index
// CHECK: %[[WHOLE:.*]] = memref.subview %[[M]][%[[I]], 0, 0, 0, 0] [1, 1, %[[N]], 1, 8] [1, 1, 1, 1, 1] : {{.*}} to memref<1x1x?x1x8xf32,
// CHECK: %[[BASE:.*]], %[[OFFSET:.*]], %{{.*}}:5, %[[STRIDES:.*]]:5 = memref.extract_strided_metadata %[[WHOLE]]
// CHECK: %[[VIEW:.*]] = memref.reinterpret_cast %[[BASE]] to offset: [%[[OFFSET]]], sizes: [1, 1, %[[N]], 8], strides: [%[[STRIDES]]#0, %[[STRIDES]]#1, %[[STRIDES]]#2, 1]
// CHECK-SAME: to memref<1x1x?x8xf32, strided<[?, ?, ?, 1], offset: ?>>
// CHECK: memref.store %{{.*}}, %[[VIEW]]
func.func @interior(%m: memref<?x?x?x?x?xf32>, %i: index, %n: index, %x: f32) {
  %c0 = arith.constant 0 : index
  %view = memref.subview %m[%i, 0, 0, 0, 0] [1, 1, %n, 1, 8] [1, 1, 1, 1, 1]
    : memref<?x?x?x?x?xf32> to memref<1x1x?x8xf32, strided<[?, ?, ?, 1], offset: ?>>
  memref.store %x, %view[%c0, %c0, %c0, %c0] : memref<1x1x?x8xf32, strided<[?, ?, ?, 1], offset: ?>>
  return
}

// A size that is not known stays where it is.

// CHECK-LABEL: @size(
// CHECK-SAME: %[[N:arg[0-9]+]]: index
// CHECK: memref.reinterpret_cast {{.*}} sizes: [1, %[[N]]], strides: [%{{.*}}#0, %{{.*}}#1]
func.func @size(%m: memref<1x33x?x1xf64, strided<[?, ?, ?, 1], offset: ?>>, %n: index, %x: f64) {
  %c0 = arith.constant 0 : index
  %view = memref.subview %m[0, 0, 0, 0] [1, %n, 1, 1] [1, 1, 1, 1]
    : memref<1x33x?x1xf64, strided<[?, ?, ?, 1], offset: ?>> to memref<1x?xf64, strided<[?, ?], offset: ?>>
  memref.store %x, %view[%c0, %c0] : memref<1x?xf64, strided<[?, ?], offset: ?>>
  return
}

// Nothing is unclear: all unit dimensions go, or strides say which.

// CHECK-LABEL: @clear(
// CHECK-COUNT-2: memref.subview
// CHECK-NOT: memref.reinterpret_cast
// CHECK: return
func.func @clear(%m: memref<4x3x8xf32>, %i: index, %x: f32) {
  %c0 = arith.constant 0 : index
  %all = memref.subview %m[%i, 0, 0] [1, 1, 8] [1, 1, 1] : memref<4x3x8xf32> to memref<8xf32, strided<[1], offset: ?>>
  %one = memref.subview %m[%i, 0, 0] [1, 1, 8] [1, 1, 1] : memref<4x3x8xf32> to memref<1x8xf32, strided<[24, 1], offset: ?>>
  memref.store %x, %all[%c0] : memref<8xf32, strided<[1], offset: ?>>
  memref.store %x, %one[%c0, %c0] : memref<1x8xf32, strided<[24, 1], offset: ?>>
  return
}
