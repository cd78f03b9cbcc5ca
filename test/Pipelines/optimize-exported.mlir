// Models of two layers, as PyTorch's exporter writes them: a table for each set of
// frequencies, queries and keys rotated in attention, and nothing is left of what
// the rotations were made of.

// DEFINE: %{none} = --implicit-check-not=rope.apply --implicit-check-not=rope.table \
// DEFINE:   --implicit-check-not=rope.frequencies --implicit-check-not=tensor.concat \
// DEFINE:   --implicit-check-not=tensor.extract_slice --implicit-check-not=arith.negf \
// DEFINE:   --implicit-check-not=math.cos --implicit-check-not=math.sin

// Queries, keys and values are slices of one product.
// RUN: rope-opt %test_root/exports/hf_gpt_neox_partial.mlir --rope-optimize | FileCheck %s --check-prefix=NEOX %{none}
// NEOX-LABEL: func.func @main(
// NEOX: %[[F:.*]] = rope.frequencies values({{.*}}) : tensor<4xf64>
// NEOX: %[[COS:.*]], %[[SIN:.*]] = rope.table ins(%arg1, %[[F]] : tensor<?x?xi64>, tensor<4xf64>)
// NEOX-SAME: precision = #rope.precision<f32>
// NEOX-COUNT-3: tensor.extract_slice {{.*}} : tensor<?x2x?x96xf32> to tensor<?x2x?x32xf32>
// NEOX: rope.attention
// NEOX-SAME: rotate_query(%[[COS]], %[[SIN]] : tensor<?x?x4xf32>, tensor<?x?x4xf32>) by <pairing = half, position_dims = [0, 2]>
// NEOX-SAME: rotate_key(%[[COS]], %[[SIN]] : tensor<?x?x4xf32>, tensor<?x?x4xf32>) by <pairing = half, position_dims = [0, 2]>
// NEOX-COUNT-3: tensor.extract_slice {{.*}} : tensor<?x2x?x96xf32> to tensor<?x2x?x32xf32>
// NEOX: rope.attention
// NEOX-SAME: rotate_query(%[[COS]], %[[SIN]] :
// NEOX-SAME: rotate_key(%[[COS]], %[[SIN]] :
// NEOX: return

// Keys of few heads are cheaper rotated once, unless it is asked for otherwise. The
// negations are those of the gated units.
// RUN: rope-opt %test_root/exports/hf_llama_default.mlir --rope-optimize=key-rotation=load | FileCheck %s --check-prefix=LLAMA %{none}
// LLAMA-LABEL: func.func @main(
// LLAMA: %[[F:.*]] = rope.frequencies values({{.*}}) : tensor<8xf64>
// LLAMA: %[[COS:.*]], %[[SIN:.*]] = rope.table ins(%arg1, %[[F]] : tensor<2x5xi64>, tensor<8xf64>)
// LLAMA-SAME: precision = #rope.precision<f32>
// LLAMA: rope.attention
// LLAMA-SAME: rotate_query(%[[COS]], %[[SIN]] : tensor<2x5x8xf32>, tensor<2x5x8xf32>) by <pairing = half, position_dims = [0, 2]>
// LLAMA-SAME: rotate_key(%[[COS]], %[[SIN]] : tensor<2x5x8xf32>, tensor<2x5x8xf32>) by <pairing = half, position_dims = [0, 2]>
// LLAMA: arith.negf
// LLAMA: rope.attention
// LLAMA-SAME: rotate_query(%[[COS]], %[[SIN]] :
// LLAMA-SAME: rotate_key(%[[COS]], %[[SIN]] :
// LLAMA: arith.negf
// LLAMA: return

// The first layer has other frequencies than the second.
// RUN: rope-opt %test_root/exports/hf_gemma3_dynamic.mlir --rope-optimize=key-rotation=load | FileCheck %s --check-prefix=GEMMA %{none}
// GEMMA-LABEL: func.func @main(
// GEMMA: %[[F:.*]] = rope.frequencies values(dense<[1.000000e+00,
// GEMMA: %[[COS:.*]], %[[SIN:.*]] = rope.table ins(%arg1, %[[F]] : tensor<?x?xi64>, tensor<8xf64>)
// GEMMA: %[[SCALED:.*]] = rope.frequencies values(dense<[1.250000e-01,
// GEMMA: %[[COS2:.*]], %[[SIN2:.*]] = rope.table ins(%arg1, %[[SCALED]] : tensor<?x?xi64>, tensor<8xf64>)
// GEMMA: rope.attention
// GEMMA-SAME: rotate_query(%[[COS]], %[[SIN]] :
// GEMMA-SAME: rotate_key(%[[COS]], %[[SIN]] :
// GEMMA: rope.attention
// GEMMA-SAME: rotate_query(%[[COS2]], %[[SIN2]] :
// GEMMA-SAME: rotate_key(%[[COS2]], %[[SIN2]] :
// GEMMA: return

// Exact tables, from the base that the frequencies have.
// RUN: rope-opt %test_root/exports/hf_llama_default.mlir --rope-optimize='exact key-rotation=load' | FileCheck %s --check-prefix=EXACT %{none}
// EXACT: rope.frequencies base(1.000000e+04) : tensor<8xf64>
// EXACT: rope.table
// EXACT-NOT: precision
// EXACT: rope.attention
// EXACT: arith.negf
// EXACT: rope.attention
// EXACT: arith.negf
