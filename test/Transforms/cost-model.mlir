// RUN: rope-opt %s --split-input-file --rope-fuse-attention --remark-format=emitRemark --remarks-filter=rope-fuse-attention -o /dev/null 2>&1 | FileCheck %s
// RUN: rope-opt %s --split-input-file --rope-fuse-attention=l2-bytes=268435456 --remark-format=emitRemark --remarks-filter=rope-fuse-attention -o /dev/null 2>&1 | FileCheck %s --check-prefix=CACHE
// RUN: rope-opt %s --split-input-file --rope-fuse-attention="vector-bits=512 threads=16" --remark-format=emitRemark --remarks-filter=rope-fuse-attention -o /dev/null 2>&1 | FileCheck %s --check-prefix=WIDE
// RUN: rope-opt %s --split-input-file --rope-fuse-attention=key-rotation=once --remark-format=emitRemark --remarks-filter=rope-fuse-attention -o /dev/null 2>&1 | FileCheck %s --check-prefix=ONCE
// RUN: rope-opt %s --split-input-file --rope-fuse-attention=key-rotation=load --remark-format=emitRemark --remarks-filter=rope-fuse-attention -o /dev/null 2>&1 | FileCheck %s --check-prefix=LOAD

// Where keys are rotated, for each way in which attention is used.

// Prefill: a task has so many rows that its products hide the rotation of keys,
// however fast memory is.

// CHECK: [Passed] fused | Category:rope-fuse-attention | Function=prefill |
// CACHE: [Passed] fused | Category:rope-fuse-attention | Function=prefill |
// WIDE: [Passed] fused | Category:rope-fuse-attention | Function=prefill |
// LOAD: [Passed] fused | Category:rope-fuse-attention | Function=prefill |
// ONCE: [Missed] left | Category:rope-fuse-attention | Function=prefill | {{.*}}keys are to be rotated once
!q = tensor<1x512x32x128xf32>
!k = tensor<1x512x8x128xf32>
!t = tensor<512x64xf32>
func.func @prefill(%q: !q, %k: !k, %v: !k, %c: !t, %s: !t, %init: !q, %ik: !k) -> !q {
  %r = rope.apply ins(%k, %c, %s : !k, !t, !t) outs(%ik : !k) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {causal, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : !q, !k, !k) outs(%init : !q)
  return %a : !q
}

// -----

// CHECK: [Passed] fused | Category:rope-fuse-attention | Function=long_prefill |
// CACHE: [Passed] fused | Category:rope-fuse-attention | Function=long_prefill |
// LOAD: [Passed] fused | Category:rope-fuse-attention | Function=long_prefill |
// ONCE: [Missed] left | Category:rope-fuse-attention | Function=long_prefill | {{.*}}keys are to be rotated once
!q = tensor<1x4096x32x128xf32>
!k = tensor<1x4096x8x128xf32>
!t = tensor<4096x64xf32>
func.func @long_prefill(%q: !q, %k: !k, %v: !k, %c: !t, %s: !t, %init: !q, %ik: !k) -> !q {
  %r = rope.apply ins(%k, %c, %s : !k, !t, !t) outs(%ik : !k) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {causal, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : !q, !k, !k) outs(%init : !q)
  return %a : !q
}

// -----

// 256 rows hide it. Below, cycles decide, which threads share and memory does not.

// CHECK: [Passed] fused | Category:rope-fuse-attention | Function=rows_256 |
// CACHE: [Passed] fused | Category:rope-fuse-attention | Function=rows_256 |
!q = tensor<1x256x32x128xf32>
!k = tensor<1x2048x8x128xf32>
!t = tensor<2048x64xf32>
func.func @rows_256(%q: !q, %k: !k, %v: !k, %c: !t, %s: !t, %init: !q, %ik: !k) -> !q {
  %r = rope.apply ins(%k, %c, %s : !k, !t, !t) outs(%ik : !k) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : !q, !k, !k) outs(%init : !q)
  return %a : !q
}

// -----

// CHECK: [Missed] left | Category:rope-fuse-attention | Function=rows_192 | {{.*}}keys are rotated once, since each would be rotated 5.0 times as it is loaded: 2.50 cycles for each element more, against 1.33 to store and load it"
// CACHE: [Missed] left | Category:rope-fuse-attention | Function=rows_192 | {{.*}}keys are rotated once, since each would be rotated 5.0 times as it is loaded: 2.50 cycles for each element more, against 0.25 to store and load it"
// WIDE: [Passed] fused | Category:rope-fuse-attention | Function=rows_192 |
// LOAD: [Passed] fused | Category:rope-fuse-attention | Function=rows_192 |
!q = tensor<1x240x32x128xf32>
!k = tensor<1x2048x8x128xf32>
!t = tensor<2048x64xf32>
func.func @rows_192(%q: !q, %k: !k, %v: !k, %c: !t, %s: !t, %init: !q, %ik: !k) -> !q {
  %r = rope.apply ins(%k, %c, %s : !k, !t, !t) outs(%ik : !k) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : !q, !k, !k) outs(%init : !q)
  return %a : !q
}

// -----

// Half the bytes, the same arithmetic.

// CHECK: [Passed] fused | Category:rope-fuse-attention | Function=few_heads |
// CACHE: [Missed] left | Category:rope-fuse-attention | Function=few_heads | {{.*}}keys are rotated once, since each would be rotated 3.0 times as it is loaded: 1.25 cycles for each element more, against 0.25 to store and load it"
!q = tensor<1x48x4x128xf32>
!k = tensor<1x4096x1x128xf32>
!t = tensor<4096x64xf32>
func.func @few_heads(%q: !q, %k: !k, %v: !k, %c: !t, %s: !t, %init: !q, %ik: !k) -> !q {
  %r = rope.apply ins(%k, %c, %s : !k, !t, !t) outs(%ik : !k) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : !q, !k, !k) outs(%init : !q)
  return %a : !q
}

// -----

// CHECK: [Missed] left | Category:rope-fuse-attention | Function=few_heads_bf16 | {{.*}}keys are rotated once, since each would be rotated 3.0 times as it is loaded: 1.25 cycles for each element more, against 0.67 to store and load it"
!q = tensor<1x48x4x128xbf16>
!k = tensor<1x4096x1x128xbf16>
!t = tensor<4096x64xf32>
func.func @few_heads_bf16(%q: !q, %k: !k, %v: !k, %c: !t, %s: !t, %init: !q, %ik: !k) -> !q {
  %r = rope.apply ins(%k, %c, %s : !k, !t, !t) outs(%ik : !k) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : !q, !k, !k) outs(%init : !q)
  return %a : !q
}

// -----

// One step over a cache that is not rotated: one task for each head.

// CHECK: [Passed] fused | Category:rope-fuse-attention | Function=decode |
// CACHE: [Passed] fused | Category:rope-fuse-attention | Function=decode |
// ONCE: [Missed] left | Category:rope-fuse-attention | Function=decode | {{.*}}keys are to be rotated once
!q = tensor<1x1x32x128xf32>
!k = tensor<1x4096x8x128xf32>
!t = tensor<4096x64xf32>
func.func @decode(%q: !q, %k: !k, %v: !k, %c: !t, %s: !t, %init: !q, %ik: !k) -> !q {
  %r = rope.apply ins(%k, %c, %s : !k, !t, !t) outs(%ik : !k) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {causal, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : !q, !k, !k) outs(%init : !q)
  return %a : !q
}

// -----

// A chunk of 512 queries over such a cache, and one of 64.

// CHECK: [Passed] fused | Category:rope-fuse-attention | Function=chunk |
// CACHE: [Passed] fused | Category:rope-fuse-attention | Function=chunk |
!q = tensor<1x512x32x128xf32>
!k = tensor<1x8192x8x128xf32>
!t = tensor<8192x64xf32>
func.func @chunk(%q: !q, %k: !k, %v: !k, %c: !t, %s: !t, %init: !q, %ik: !k, %n: index) -> !q {
  %r = rope.apply ins(%k, %c, %s : !k, !t, !t) outs(%ik : !k) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {causal, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : !q, !k, !k) query_offset(%n : index) outs(%init : !q)
  return %a : !q
}

// -----

// CHECK: [Missed] left | Category:rope-fuse-attention | Function=short_chunk | {{.*}}keys are rotated once, since each would be rotated 4.0 times as it is loaded: 1.87 cycles for each element more, against 1.33 to store and load it"
// WIDE: [Passed] fused | Category:rope-fuse-attention | Function=short_chunk |
!q = tensor<1x64x32x128xf32>
!k = tensor<1x8192x8x128xf32>
!t = tensor<8192x64xf32>
func.func @short_chunk(%q: !q, %k: !k, %v: !k, %c: !t, %s: !t, %init: !q, %ik: !k, %n: index) -> !q {
  %r = rope.apply ins(%k, %c, %s : !k, !t, !t) outs(%ik : !k) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {causal, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : !q, !k, !k) query_offset(%n : index) outs(%init : !q)
  return %a : !q
}

// -----

// Of a window, few tasks see a key.

// CHECK: [Passed] fused | Category:rope-fuse-attention | Function=window |
// CACHE: [Missed] left | Category:rope-fuse-attention | Function=window | {{.*}}keys are rotated once, since each would be rotated 2.0 times as it is loaded: 0.63 cycles for each element more, against 0.25 to store and load it"
!q = tensor<1x64x32x128xf32>
!k = tensor<1x8192x8x128xf32>
!t = tensor<8192x64xf32>
func.func @window(%q: !q, %k: !k, %v: !k, %c: !t, %s: !t, %init: !q, %ik: !k, %n: index) -> !q {
  %r = rope.apply ins(%k, %c, %s : !k, !t, !t) outs(%ik : !k) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {causal, window = 4096 : i64, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : !q, !k, !k) query_offset(%n : index) outs(%init : !q)
  return %a : !q
}

// -----

// Fewer than one, be it the only one.

// CHECK: [Passed] fused | Category:rope-fuse-attention | Function=window_decode |
// CACHE: [Passed] fused | Category:rope-fuse-attention | Function=window_decode |
!q = tensor<1x1x32x128xf32>
!k = tensor<1x65536x8x128xf32>
!t = tensor<65536x64xf32>
func.func @window_decode(%q: !q, %k: !k, %v: !k, %c: !t, %s: !t, %init: !q, %ik: !k, %n: index) -> !q {
  %r = rope.apply ins(%k, %c, %s : !k, !t, !t) outs(%ik : !k) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {causal, window = 4096 : i64, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : !q, !k, !k) query_offset(%n : index) outs(%init : !q)
  return %a : !q
}

// -----

// So it is with chunks.

// CHECK: [Passed] fused | Category:rope-fuse-attention | Function=attention_chunks |
// CACHE: [Missed] left | Category:rope-fuse-attention | Function=attention_chunks | {{.*}}keys are rotated once, since each would be rotated 2.0 times as it is loaded: 0.63 cycles for each element more, against 0.25 to store and load it"
!q = tensor<1x64x32x128xf32>
!k = tensor<1x8192x8x128xf32>
!t = tensor<8192x64xf32>
func.func @attention_chunks(%q: !q, %k: !k, %v: !k, %c: !t, %s: !t, %init: !q, %ik: !k, %n: index) -> !q {
  %r = rope.apply ins(%k, %c, %s : !k, !t, !t) outs(%ik : !k) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {causal, chunk = 4096 : i64, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : !q, !k, !k) query_offset(%n : index) outs(%init : !q)
  return %a : !q
}

// -----

// A projection makes the keys: its epilogue rotates them once for all tasks.

// CHECK: [Missed] left | Category:rope-fuse-attention | Function=projected | {{.*}}keys are rotated once, where their projection ends, since each would be rotated 2.5 times as it is loaded
// LOAD: [Passed] fused | Category:rope-fuse-attention | Function=projected |
func.func @projected(%q: tensor<1x512x32x128xf32>, %k: tensor<1x512x8x128xf32>, %v: tensor<1x512x8x128xf32>, %c: tensor<512x64xf32>, %s: tensor<512x64xf32>, %init: tensor<1x512x32x128xf32>, %ik: tensor<1x512x8x128xf32>, %h: tensor<512x4096xf32>, %w: tensor<4096x1024xf32>, %im: tensor<512x1024xf32>) -> tensor<1x512x32x128xf32> {
  %m = linalg.matmul ins(%h, %w : tensor<512x4096xf32>, tensor<4096x1024xf32>) outs(%im : tensor<512x1024xf32>) -> tensor<512x1024xf32>
  %x = tensor.expand_shape %m [[0, 1], [2, 3]] output_shape [1, 512, 8, 128] : tensor<512x1024xf32> into tensor<1x512x8x128xf32>
  %r = rope.apply ins(%x, %c, %s : tensor<1x512x8x128xf32>, tensor<512x64xf32>, tensor<512x64xf32>) outs(%ik : tensor<1x512x8x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {causal, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : tensor<1x512x32x128xf32>, tensor<1x512x8x128xf32>, tensor<1x512x8x128xf32>) outs(%init : tensor<1x512x32x128xf32>)
  return %a : tensor<1x512x32x128xf32>
}

// -----

// With one task it makes no difference.

// CHECK: [Passed] fused | Category:rope-fuse-attention | Function=projected_step |
func.func @projected_step(%q: tensor<1x1x32x128xf32>, %k: tensor<1x1x8x128xf32>, %v: tensor<1x1x8x128xf32>, %c: tensor<1x64xf32>, %s: tensor<1x64xf32>, %init: tensor<1x1x32x128xf32>, %ik: tensor<1x1x8x128xf32>, %h: tensor<1x4096xf32>, %w: tensor<4096x1024xf32>, %im: tensor<1x1024xf32>) -> tensor<1x1x32x128xf32> {
  %m = linalg.matmul ins(%h, %w : tensor<1x4096xf32>, tensor<4096x1024xf32>) outs(%im : tensor<1x1024xf32>) -> tensor<1x1024xf32>
  %x = tensor.expand_shape %m [[0, 1], [2, 3]] output_shape [1, 1, 8, 128] : tensor<1x1024xf32> into tensor<1x1x8x128xf32>
  %r = rope.apply ins(%x, %c, %s : tensor<1x1x8x128xf32>, tensor<1x64xf32>, tensor<1x64xf32>) outs(%ik : tensor<1x1x8x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {causal, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : tensor<1x1x32x128xf32>, tensor<1x1x8x128xf32>, tensor<1x1x8x128xf32>) outs(%init : tensor<1x1x32x128xf32>)
  return %a : tensor<1x1x32x128xf32>
}

// -----

// The rotated keys are a result as well: the cache of the next step.

// CHECK: [Missed] left | Category:rope-fuse-attention | Function=present | {{.*}}others use the rotated tensor, so it is made in any case
// LOAD: [Missed] left | Category:rope-fuse-attention | Function=present | {{.*}}others use the rotated tensor, so it is made in any case
func.func @present(%q: tensor<1x512x32x128xf32>, %k: tensor<1x512x8x128xf32>, %v: tensor<1x512x8x128xf32>, %c: tensor<512x64xf32>, %s: tensor<512x64xf32>, %init: tensor<1x512x32x128xf32>, %ik: tensor<1x512x8x128xf32>) -> (tensor<1x512x32x128xf32>, tensor<1x512x8x128xf32>) {
  %r = rope.apply ins(%k, %c, %s : tensor<1x512x8x128xf32>, tensor<512x64xf32>, tensor<512x64xf32>) outs(%ik : tensor<1x512x8x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {causal, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : tensor<1x512x32x128xf32>, tensor<1x512x8x128xf32>, tensor<1x512x8x128xf32>) outs(%init : tensor<1x512x32x128xf32>)
  return %a, %r : tensor<1x512x32x128xf32>, tensor<1x512x8x128xf32>
}

// -----

// The number of queries is known at the call alone: the cost of rotating on load
// is bounded.

// CHECK: [Passed] fused | Category:rope-fuse-attention | Function=unknown_queries |
func.func @unknown_queries(%q: tensor<1x?x32x128xf32>, %k: tensor<1x?x8x128xf32>, %v: tensor<1x?x8x128xf32>, %c: tensor<?x64xf32>, %s: tensor<?x64xf32>, %init: tensor<1x?x32x128xf32>, %ik: tensor<1x?x8x128xf32>) -> tensor<1x?x32x128xf32> {
  %r = rope.apply ins(%k, %c, %s : tensor<1x?x8x128xf32>, tensor<?x64xf32>, tensor<?x64xf32>) outs(%ik : tensor<1x?x8x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {causal, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : tensor<1x?x32x128xf32>, tensor<1x?x8x128xf32>, tensor<1x?x8x128xf32>) outs(%init : tensor<1x?x32x128xf32>)
  return %a : tensor<1x?x32x128xf32>
}

// -----

// That of keys does not matter if one task sees them.

// CHECK: [Passed] fused | Category:rope-fuse-attention | Function=unknown_keys |
func.func @unknown_keys(%q: tensor<1x1x32x128xf32>, %k: tensor<1x?x8x128xf32>, %v: tensor<1x?x8x128xf32>, %c: tensor<?x64xf32>, %s: tensor<?x64xf32>, %init: tensor<1x1x32x128xf32>, %ik: tensor<1x?x8x128xf32>) -> tensor<1x1x32x128xf32> {
  %r = rope.apply ins(%k, %c, %s : tensor<1x?x8x128xf32>, tensor<?x64xf32>, tensor<?x64xf32>) outs(%ik : tensor<1x?x8x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : tensor<1x1x32x128xf32>, tensor<1x?x8x128xf32>, tensor<1x?x8x128xf32>) outs(%init : tensor<1x1x32x128xf32>)
  return %a : tensor<1x1x32x128xf32>
}

// -----

// Else they may be in cache.

// CHECK: [Missed] left | Category:rope-fuse-attention | Function=unknown_keys_of_chunk | {{.*}}keys are rotated once, since each would be rotated 4.0 times as it is loaded: 1.88 cycles for each element more, against 0.25 to store and load it if all keys are in cache"
!q = tensor<1x64x32x128xf32>
!k = tensor<1x?x8x128xf32>
!t = tensor<?x64xf32>
func.func @unknown_keys_of_chunk(%q: !q, %k: !k, %v: !k, %c: !t, %s: !t, %init: !q, %ik: !k) -> !q {
  %r = rope.apply ins(%k, %c, %s : !k, !t, !t) outs(%ik : !k) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : !q, !k, !k) outs(%init : !q)
  return %a : !q
}

// -----

// Batches have keys of their own, or share them.

// CHECK: [Passed] fused | Category:rope-fuse-attention | Function=unknown_batches |
func.func @unknown_batches(%q: tensor<?x8x32x128xf32>, %k: tensor<?x512x8x128xf32>, %v: tensor<?x512x8x128xf32>, %c: tensor<512x64xf32>, %s: tensor<512x64xf32>, %init: tensor<?x8x32x128xf32>, %ik: tensor<?x512x8x128xf32>) -> tensor<?x8x32x128xf32> {
  %r = rope.apply ins(%k, %c, %s : tensor<?x512x8x128xf32>, tensor<512x64xf32>, tensor<512x64xf32>) outs(%ik : tensor<?x512x8x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {causal, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : tensor<?x8x32x128xf32>, tensor<?x512x8x128xf32>, tensor<?x512x8x128xf32>) outs(%init : tensor<?x8x32x128xf32>)
  return %a : tensor<?x8x32x128xf32>
}

// -----

// CHECK: [Missed] left | Category:rope-fuse-attention | Function=shared_keys | {{.*}}keys are rotated once, since how many batches share them is known only at the call
func.func @shared_keys(%q: tensor<?x8x32x128xf32>, %k: tensor<512x8x128xf32>, %v: tensor<512x8x128xf32>, %c: tensor<512x64xf32>, %s: tensor<512x64xf32>, %init: tensor<?x8x32x128xf32>, %ik: tensor<512x8x128xf32>) -> tensor<?x8x32x128xf32> {
  %r = rope.apply ins(%k, %c, %s : tensor<512x8x128xf32>, tensor<512x64xf32>, tensor<512x64xf32>) outs(%ik : tensor<512x8x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %a = rope.attention {causal, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : tensor<?x8x32x128xf32>, tensor<512x8x128xf32>, tensor<512x8x128xf32>) outs(%init : tensor<?x8x32x128xf32>)
  return %a : tensor<?x8x32x128xf32>
}

// -----

// CHECK: [Passed] fused | Category:rope-fuse-attention | Function=shared_by_two |
// CACHE: [Missed] left | Category:rope-fuse-attention | Function=shared_by_two | {{.*}}keys are rotated once, since each would be rotated 2.0 times as it is loaded: 0.62 cycles for each element more, against 0.25 to store and load it"
func.func @shared_by_two(%q: tensor<2x8x32x128xf32>, %k: tensor<512x8x128xf32>, %v: tensor<512x8x128xf32>, %c: tensor<512x64xf32>, %s: tensor<512x64xf32>, %init: tensor<2x8x32x128xf32>, %ik: tensor<512x8x128xf32>) -> tensor<2x8x32x128xf32> {
  %r = rope.apply ins(%k, %c, %s : tensor<512x8x128xf32>, tensor<512x64xf32>, tensor<512x64xf32>) outs(%ik : tensor<512x8x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %a = rope.attention {causal, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : tensor<2x8x32x128xf32>, tensor<512x8x128xf32>, tensor<512x8x128xf32>) outs(%init : tensor<2x8x32x128xf32>)
  return %a : tensor<2x8x32x128xf32>
}

// -----

// Heads with masks do not share a block.

// CHECK: [Missed] left | Category:rope-fuse-attention | Function=mask_of_heads | {{.*}}keys are rotated once, since each would be rotated 8.0 times as it is loaded: 4.38 cycles for each element more, against 1.33 to store and load it"
// WIDE: [Passed] fused | Category:rope-fuse-attention | Function=mask_of_heads |
func.func @mask_of_heads(%q: tensor<1x64x64x128xf32>, %k: tensor<1x4096x8x128xf32>, %v: tensor<1x4096x8x128xf32>, %c: tensor<4096x64xf32>, %s: tensor<4096x64xf32>, %init: tensor<1x64x64x128xf32>, %ik: tensor<1x4096x8x128xf32>, %mask: tensor<64x4096xf32>) -> tensor<1x64x64x128xf32> {
  %r = rope.apply ins(%k, %c, %s : tensor<1x4096x8x128xf32>, tensor<4096x64xf32>, tensor<4096x64xf32>) outs(%ik : tensor<1x4096x8x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 8, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 8, e)>, affine_map<(b, h, i, j, d, e) -> (i, j)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : tensor<1x64x64x128xf32>, tensor<1x4096x8x128xf32>, tensor<1x4096x8x128xf32>) score_operands(%mask : tensor<64x4096xf32>) outs(%init : tensor<1x64x64x128xf32>) {
  ^bb0(%x: f32, %b: index, %h: index, %i: index, %j: index, %m: f32):
    %y = arith.addf %x, %m : f32
    rope.yield %y : f32
  }
  return %a : tensor<1x64x64x128xf32>
}

// -----

// The module describes the machine: @short_chunk on two threads, on wide vectors;
// @window in a large cache.

// CHECK: [Passed] fused | Category:rope-fuse-attention | Function=described_threads |
!q = tensor<1x64x32x128xf32>
!k = tensor<1x8192x8x128xf32>
!t = tensor<8192x64xf32>
module attributes {dlti.target_system_spec = #dlti.target_system_spec<"CPU" = #dlti.target_device_spec<"num_threads" = 2 : i64>>} {
func.func @described_threads(%q: !q, %k: !k, %v: !k, %c: !t, %s: !t, %init: !q, %ik: !k, %n: index) -> !q {
  %r = rope.apply ins(%k, %c, %s : !k, !t, !t) outs(%ik : !k) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {causal, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : !q, !k, !k) query_offset(%n : index) outs(%init : !q)
  return %a : !q
}
}

// -----

// CHECK: [Passed] fused | Category:rope-fuse-attention | Function=described_width |
!q = tensor<1x64x32x128xf32>
!k = tensor<1x8192x8x128xf32>
!t = tensor<8192x64xf32>
module attributes {dlti.target_system_spec = #dlti.target_system_spec<"CPU" = #dlti.target_device_spec<"max_vector_op_width" = 512 : i64>>} {
func.func @described_width(%q: !q, %k: !k, %v: !k, %c: !t, %s: !t, %init: !q, %ik: !k, %n: index) -> !q {
  %r = rope.apply ins(%k, %c, %s : !k, !t, !t) outs(%ik : !k) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {causal, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : !q, !k, !k) query_offset(%n : index) outs(%init : !q)
  return %a : !q
}
}

// -----

// CHECK: [Missed] left | Category:rope-fuse-attention | Function=described_cache | {{.*}}keys are rotated once, since each would be rotated 2.0 times as it is loaded: 0.63 cycles for each element more, against 0.25 to store and load it"
!q = tensor<1x64x32x128xf32>
!k = tensor<1x8192x8x128xf32>
!t = tensor<8192x64xf32>
module attributes {dlti.target_system_spec = #dlti.target_system_spec<"CPU" = #dlti.target_device_spec<"L2_cache_size_in_bytes" = 268435456 : i64, "num_threads" = "many">>} {
func.func @described_cache(%q: !q, %k: !k, %v: !k, %c: !t, %s: !t, %init: !q, %ik: !k, %n: index) -> !q {
  %r = rope.apply ins(%k, %c, %s : !k, !t, !t) outs(%ik : !k) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {causal, window = 4096 : i64, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : !q, !k, !k) query_offset(%n : index) outs(%init : !q)
  return %a : !q
}
}

// -----

// A cache of rotated keys: the step's own are rotated as they are stored, and
// the keys of attention are no rotation.

// CHECK: [Passed] fused | Category:rope-fuse-attention | Function=rotated_cache | {{.*}}bytesSaved=32768
// CHECK: [Missed] left | Category:rope-fuse-attention | Function=rotated_cache | {{.*}}'tensor.insert_slice' stands between it and the attention
func.func @rotated_cache(%q: tensor<1x1x32x128xf32>, %k: tensor<1x1x8x128xf32>, %cache: tensor<1x4096x8x128xf32>, %v: tensor<1x4096x8x128xf32>, %c: tensor<1x64xf32>, %s: tensor<1x64xf32>, %init: tensor<1x1x32x128xf32>, %ik: tensor<1x1x8x128xf32>, %n: index) -> (tensor<1x1x32x128xf32>, tensor<1x4096x8x128xf32>) {
  %rq = rope.apply ins(%q, %c, %s : tensor<1x1x32x128xf32>, tensor<1x64xf32>, tensor<1x64xf32>) outs(%init : tensor<1x1x32x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %rk = rope.apply ins(%k, %c, %s : tensor<1x1x8x128xf32>, tensor<1x64xf32>, tensor<1x64xf32>) outs(%ik : tensor<1x1x8x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %keys = tensor.insert_slice %rk into %cache[0, %n, 0, 0] [1, 1, 8, 128] [1, 1, 1, 1] : tensor<1x1x8x128xf32> into tensor<1x4096x8x128xf32>
  %a = rope.attention {causal, indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%rq, %keys, %v : tensor<1x1x32x128xf32>, tensor<1x4096x8x128xf32>, tensor<1x4096x8x128xf32>) query_offset(%n : index) outs(%init : tensor<1x1x32x128xf32>)
  return %a, %keys : tensor<1x1x32x128xf32>, tensor<1x4096x8x128xf32>
}

// -----

// Each of 8 heads reads 16 MB of tables, or makes the rows itself.

// WIDE: [Passed] fused | Category:rope-fuse-attention | Function=large_table | {{.*}}rope.attention
// WIDE: [Passed] fused | Category:rope-fuse-attention | Function=large_table | Remark="table folded into rope.attention"
// CACHE: [Missed] left | Category:rope-fuse-attention | Function=large_table | Remark="table left: each row would be made 8.0 times
func.func @large_table(%q: tensor<1x1x32x128xf32>, %k: tensor<1x32768x8x128xf32>, %v: tensor<1x32768x8x128xf32>, %p: tensor<32768xi64>, %f: tensor<64xf64>, %e: tensor<32768x64xf32>, %init: tensor<1x1x32x128xf32>, %ik: tensor<1x32768x8x128xf32>) -> tensor<1x1x32x128xf32> {
  %c, %s = rope.table ins(%p, %f : tensor<32768xi64>, tensor<64xf64>) outs(%e, %e : tensor<32768x64xf32>, tensor<32768x64xf32>)
  %r = rope.apply ins(%k, %c, %s : tensor<1x32768x8x128xf32>, tensor<32768x64xf32>, tensor<32768x64xf32>) outs(%ik : tensor<1x32768x8x128xf32>) {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
  %a = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>, affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>, affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]} ins(%q, %r, %v : tensor<1x1x32x128xf32>, tensor<1x32768x8x128xf32>, tensor<1x32768x8x128xf32>) outs(%init : tensor<1x1x32x128xf32>)
  return %a : tensor<1x1x32x128xf32>
}
