// RUN: rope-opt %s --rope-report -o /dev/null 2>&1 | FileCheck %s
// RUN: rope-opt %s --rope-report=format=json -o /dev/null 2>&1 | FileCheck %s --check-prefix=JSON
// RUN: rope-opt %s --rope-report=format=json -o /dev/null 2>&1 | %python -c "import json, sys; print(len(json.load(sys.stdin)['rotations']))" | FileCheck %s --check-prefix=COUNT
// RUN: rope-opt %s --rope-report 2>/dev/null | rope-opt --rope-report -o /dev/null 2>&1 | FileCheck %s --check-prefix=AGAIN

#q = affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>
#k = affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>
#v = affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>
#o = affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>

// CHECK: function line operand pairing channels variant table fused into bytes saved

// Two rotations by one table, and one by another: frequencies that fit a base,
// for some of the channels.

// JSON: "rotations": [
// JSON-NEXT: {
// JSON-NEXT: "function": "tables",
// JSON-NEXT: "file": "{{.*}}report.mlir",
// JSON-NEXT: "line": [[#@LINE+24]],
// JSON-NEXT: "operand": "x",
// JSON-NEXT: "pairing": "half",
// JSON-NEXT: "resultPairing": "half",
// JSON-NEXT: "inverse": false,
// JSON-NEXT: "offset": 0,
// JSON-NEXT: "rotary": 8,
// JSON-NEXT: "channels": 8,
// JSON-NEXT: "base": 500000,
// JSON-NEXT: "scaling": [
// JSON-NEXT: "linear"
// JSON-NEXT: ],
// JSON-NEXT: "magnitude": 1.25,
// JSON-NEXT: "precision": "exact",
// JSON-NEXT: "axes": 1,
// JSON-NEXT: "table": 1,
// JSON-NEXT: "fusedInto": [],
// JSON-NEXT: "bytesSaved": 0
// JSON-NEXT: },
func.func @tables(%x: tensor<5x8xf32>, %p: tensor<5xi64>, %t: tensor<5x4xf32>) -> (tensor<5x8xf32>, tensor<5x8xf32>, tensor<5x8xf32>) {
  %f = rope.frequencies base(5.0e+05) : tensor<4xf64>
  %g = rope.scale_frequencies %f by(#rope.linear<factor = 8.0>) : tensor<4xf64>
  %c, %s = rope.table ins(%p, %g : tensor<5xi64>, tensor<4xf64>) outs(%t, %t : tensor<5x4xf32>, tensor<5x4xf32>) {magnitude = 1.25 : f64}
  // CHECK-NEXT: {{^}}tables [[#@LINE+1]] x half 8 of 8 base 500000, linear, magnitude 1.25 1 - 0{{$}}
  %a = rope.apply ins(%x, %c, %s : tensor<5x8xf32>, tensor<5x4xf32>, tensor<5x4xf32>) outs(%x : tensor<5x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  // CHECK-NEXT: {{^}}tables [[#@LINE+1]] x interleaved -> half, inverse 8 of 8 base 500000, linear, magnitude 1.25 1 - 0{{$}}
  %b = rope.apply ins(%x, %c, %s : tensor<5x8xf32>, tensor<5x4xf32>, tensor<5x4xf32>) outs(%x : tensor<5x8xf32>) {pairing = #rope.pairing<interleaved>, result_pairing = #rope.pairing<half>, transpose, position_dims = array<i64: 0>}
  %v = rope.frequencies values(dense<[1.0, 0.01]> : tensor<2xf64>) : tensor<2xf64>
  %e = tensor.empty() : tensor<5x2xf32>
  %d, %n = rope.table ins(%p, %v : tensor<5xi64>, tensor<2xf64>) outs(%e, %e : tensor<5x2xf32>, tensor<5x2xf32>) {precision = #rope.precision<f32>}
  // CHECK-NEXT: {{^}}tables [[#@LINE+1]] x half 4 of 8 from 4 base 10000, f32 2 - 0{{$}}
  %y = rope.apply ins(%x, %d, %n : tensor<5x8xf32>, tensor<5x2xf32>, tensor<5x2xf32>) outs(%x : tensor<5x8xf32>) {pairing = #rope.pairing<half>, offset = 4 : i64, position_dims = array<i64: 0>}
  return %a, %b, %y : tensor<5x8xf32>, tensor<5x8xf32>, tensor<5x8xf32>
}

// Positions on axes, numbers that no base has, and rules one after the other. A
// part of a table is that table.

func.func @axes(%x: tensor<?x8xf32>, %p: tensor<3x?xi64>, %t: tensor<?x4xf32>, %n: index, %length: i64) -> tensor<?x8xf32> {
  %v = rope.frequencies values(dense<[1.0, 0.5, 0.3, 0.1]> : tensor<4xf64>) : tensor<4xf64>
  %w = rope.scale_frequencies %v by(#rope.factors<divisors = [1.0, 1.0, 2.0, 2.0]>) : tensor<4xf64>
  %f = rope.scale_frequencies %w by(#rope.dynamic_ntk<factor = 4.0, max_position = 2048.0>) at %length : tensor<4xf64>
  %c, %s = rope.table ins(%p, %f : tensor<3x?xi64>, tensor<4xf64>) outs(%t, %t : tensor<?x4xf32>, tensor<?x4xf32>) {axes = array<i64: 0, 1, 2, 2>}
  %c1 = tensor.extract_slice %c[0, 0] [%n, 4] [1, 1] : tensor<?x4xf32> to tensor<?x4xf32>
  %s1 = tensor.extract_slice %s[0, 0] [%n, 4] [1, 1] : tensor<?x4xf32> to tensor<?x4xf32>
  // CHECK-NEXT: {{^}}axes [[#@LINE+1]] x half 8 of 8 values, factors, dynamic_ntk, 3 axes 3 - 0{{$}}
  %a = rope.apply ins(%x, %c1, %s1 : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>) outs(%x : tensor<?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  // CHECK-NEXT: {{^}}axes [[#@LINE+1]] x half 8 of 8 values, factors, dynamic_ntk, 3 axes 3 - 0{{$}}
  %b = rope.apply ins(%a, %c, %s : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?x4xf32>) outs(%a : tensor<?x8xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %b : tensor<?x8xf32>
}

// Tables that are arguments, all sizes unknown; and on memrefs.

func.func @given(%x: tensor<?x?xf32>, %c: tensor<?x?xf32>, %s: tensor<?x?xf32>) -> tensor<?x?xf32> {
  // CHECK-NEXT: {{^}}given [[#@LINE+1]] x half ? of ? given 4 - 0{{$}}
  %a = rope.apply ins(%x, %c, %s : tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>) outs(%x : tensor<?x?xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %a : tensor<?x?xf32>
}
func.func @buffers(%x: memref<5x4xf32>, %p: memref<5xi64>, %f: memref<2xf64>, %c: memref<5x2xf32>, %s: memref<5x2xf32>) {
  rope.table ins(%p, %f : memref<5xi64>, memref<2xf64>) outs(%c, %s : memref<5x2xf32>, memref<5x2xf32>) {magnitude = 0.5 : f64}
  // CHECK-NEXT: {{^}}buffers [[#@LINE+1]] x half 4 of 4 values, magnitude 0.5 5 - 0{{$}}
  rope.apply ins(%x, %c, %s : memref<5x4xf32>, memref<5x2xf32>, memref<5x2xf32>) outs(%x : memref<5x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  // CHECK-NEXT: {{^}}buffers [[#@LINE+1]] x half 4 of 4 values, magnitude 0.5 5 loop 80{{$}}
  rope.apply ins(%x, %c, %s : memref<5x4xf32>, memref<5x2xf32>, memref<5x2xf32>) outs(%x : memref<5x4xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>, rope.folded}
  return
}

// Attention rotates its query by a table that was there, and its key by one of
// its own. What is saved is known of the query alone.

func.func @attention(%q: tensor<1x6x8x16xbf16>, %k: tensor<1x?x2x16xbf16>, %p: tensor<?xi64>, %c: tensor<6x8xf32>, %s: tensor<6x8xf32>, %i: tensor<1x6x8x16xbf16>) -> tensor<1x6x8x16xbf16> {
  %f = rope.frequencies base(1.0e+04) dimension(64) : tensor<4xf64>
  // CHECK-NEXT: {{^}}attention [[#@LINE+2]] query interleaved 16 of 16 given 6 attention 3072{{$}}
  // CHECK-NEXT: {{^}}attention [[#@LINE+1]] key half 8 of 16 from 2 base 10000, magnitude 2, f32 on the fly attention ?{{$}}
  %o = rope.attention {scale = 0.25 : f64, indexing_maps = [#q, #k, #v, #o]}
    ins(%q, %k, %k : tensor<1x6x8x16xbf16>, tensor<1x?x2x16xbf16>, tensor<1x?x2x16xbf16>)
    rotate_query(%c, %s : tensor<6x8xf32>, tensor<6x8xf32>) by <pairing = interleaved, position_dims = [1]>
    rotate_key(%p, %f : tensor<?xi64>, tensor<4xf64>) by <pairing = half, position_dims = [1], offset = 2, angles = <magnitude = 2.0, precision = f32>>
    outs(%i : tensor<1x6x8x16xbf16>)
  return %o : tensor<1x6x8x16xbf16>
}

// CHECK-NEXT: {{^}}total 10 rotations 6 tables 3 fused 3152 + ?{{$}}
// CHECK-NOT: {{.}}

// JSON: "operand": "key"
// JSON: "table": null,
// JSON-NEXT: "fusedInto": [
// JSON-NEXT: "attention"
// JSON-NEXT: ],
// JSON-NEXT: "bytesSaved": null
// JSON-NEXT: }
// JSON-NEXT: ],
// JSON-NEXT: "total": {
// JSON-NEXT: "rotations": 10,
// JSON-NEXT: "tables": 6,
// JSON-NEXT: "fused": 3,
// JSON-NEXT: "bytesSaved": 3152,
// JSON-NEXT: "unknown": 1
// JSON-NEXT: }
// JSON-NEXT: }

// COUNT: 10

// The module is left as it was.
// AGAIN: total 10 rotations 6 tables 3 fused 3152 + ?
