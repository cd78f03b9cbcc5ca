//===- Passes.td - passes on the rope dialect ---------------*- tablegen -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_TRANSFORMS_PASSES_TD
#define ROPE_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def Raise : Pass<"rope-raise"> {
  let summary = "Find rotations in graphs of other operations";
  let description = [{
    Reads tensors element by element: which elements of other tensors each is a
    sum of products of, and with which signs, whatever slices, concatenations,
    transposes, reshapes, broadcasts, look-ups, conditions on indices, products
    with constant matrices or complex numbers it is written with, in linalg,
    tensor, arith, math, complex or tosa. Where all channels of a tensor are
    copies of those of another, or

    ```
    y[p] = x[p] c - x[q] s,  y[q] = x[q] c + x[p] s
    ```

    with the same cosine and sine in both, and the pairs (p, q) follow each
    other half-split or interleaved, the tensor becomes a `rope.apply`; with the
    other sign, one that is transposed.

    Cosines and sines of one angle, the product of positions and constant
    frequencies, become a `rope.table` that keeps the frequencies' own values
    and computes in f32 as the graph does. So do rows of a constant that is
    looked up by position, if frequencies are found for which it was computed.
    Otherwise the rotation reads the cosines and sines that are there.

    Roundings of intermediate results go away, none is added. A rotation within
    the body of an elementwise operation becomes its operand. Bounds that are
    asserted for a look-up go with it: a table has a row for each position.

    A remark says of each rotation what it was found to be, and of each sum of
    two products that is none, why. Runs best before elementwise operations are
    fused.
  }];
  let options = [
    Option<"exact", "exact", "bool", /*default=*/"false",
           "Make exact tables, from a base where the frequencies have one">,
  ];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::complex::ComplexDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::rope::RopeDialect",
    "::mlir::tensor::TensorDialect", "::mlir::tosa::TosaDialect"];
}

def TileApply : Pass<"rope-tile-apply"> {
  let summary = "Rotate in blocks that threads share";
  let description = [{
    Replaces rotations by an `scf.forall` over blocks of their positions. Those
    on tensors that read the same table, as for query and key, share a loop:

    ```text
    %r:2 = scf.forall (%i) = (0) to (%n) step (%block) shared_outs(..) {
      %cos, %sin = rope.table ins(%positions[%i..], %frequencies) ..
      %0 = rope.apply ins(%q[.., %i.., ..], %cos, %sin) ..
      %1 = rope.apply ins(%k[.., %i.., ..], %cos, %sin) ..
      ..
    }
    ```

    A table that nothing else reads is never stored as a whole: each block makes
    its rows, uses them for all heads, and forgets them. A table that something
    else reads stays as it is.

    A block is what a task should read and write; the size of a dimension that
    is not known is looked at when the code runs. Dimensions that the table does
    not follow, such as heads, are cut only where they are long and all
    rotations of the loop have them in common. Arrays that are not worth a
    second thread are one block. Results are the same for any blocks.

    An x that nothing else reads, and that is made in memory of its own, is
    rotated in place.

    Rotations in parallel loops, in loops that a fusion made (`rope.folded`), or
    of one row are left. A remark says what shares a loop, and where the table is
    made.
  }];
  let options = [
    Option<"taskBytes", "task-bytes", "int64_t", /*default=*/"cost::kTaskBytes",
           "Bytes that a task reads and writes">,
    Option<"oneTaskBytes", "one-task-bytes", "int64_t",
           /*default=*/"cost::kOneTaskBytes",
           "Bytes up to which there is one task">,
  ];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::tensor::TensorDialect"];
}

def StreamApply : Pass<"rope-stream-apply"> {
  let summary = "Choose at run time whether rotations write past the caches";
  let description = [{
    A store to a line that is not in a cache reads it first: a rotation of large
    arrays moves three bytes for each two that it should. Stores past the caches
    (non-temporal ones) do not, but are slower than others where the arrays fit
    in a cache. This pass makes two of each `rope.apply` on memrefs,

    ```text
    scf.if %streams {
      rope.apply .. {rope.streaming = 64 : i64}
    } else {
      rope.apply ..
    }
    ```

    and computes the condition in front of all loops: the arrays that x and the
    results of the loop are parts of have many bytes, x is not the result, and all
    rows of the result start at multiples of `rope.streaming` bytes, which is as
    many as divide a row, at most 64. `rope-vectorize` makes the stores.

    Rotations in place, and of heads that are no multiple of 32 bytes, only read
    ahead where arrays are large (`rope.streaming = 0`). Rotations of heads whose
    size is not known, of arrays that are known to be small, and for processors
    other than x86-64 are left. A fence at the end of the task, or behind the
    loops, makes other threads see what was written. A remark says what was done
    with each.
  }];
  let options = [
    Option<"minBytes", "min-bytes", "int64_t", /*default=*/"8388608",
           "Bytes read and written from which stores go past the caches">,
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect"];
}

def FuseCacheAppend : Pass<"rope-fuse-cache-append"> {
  let summary = "Rotate rows into their place in a cache";
  let description = [{
    Fuses `rope.apply` on tensors, and what casts or quantises its result, into
    the writes to a cache that follow: the rotated tensor is never stored as a
    whole.

    Between the rotation and the writes may stand elementwise operations on
    tensors and linalg operations, as of a cast, or of a quantisation with
    scales that are given or found from the row. Several writes, as of numbers
    and of their scales, become one loop. A write is
    - `tensor.insert_slice`, which gets a loop over rows around it;
    - `tensor.scatter` along dimensions before the head dimension, with
      `indices` such as the page and the slot of each token; each row of it
      becomes a `tensor.insert_slice`;
    - one that stands in a loop that takes another slice of the rotated tensor
      in each round; the slice is rotated there.

    A `rope.table` that the rotation alone uses is made row by row, too; its
    cosine and sine come from two copies, which `cse` makes one.

    A rotation is left where anything but the writes uses its result, where
    rows depend on other tokens or split the head dimension, and where the
    result is one row. A remark says what was done with each rotation and why.

    A place outside of the cache is not defined. Assertions that
    `generate-runtime-verification` inserts after this pass find it.
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"];
}

def FuseMatmul : Pass<"rope-fuse-matmul"> {
  let summary = "Rotate operands of contractions tile by tile";
  let description = [{
    Folds each `rope.apply` on tensors whose result is an operand of a
    contraction over the head dimension, as in QK^T, into loops over the rows of
    that operand: named operations, `linalg.contract` and `linalg.generic` of any
    order of dimensions. The rotated tensor is not stored: a tile of it is
    rotated, multiplied with all rows of the other operand, and forgotten.

    No row is rotated twice. Where both operands are rotated, loops over the
    dimensions that both have (batch, heads) stand outside. In them the one of
    fewer rows is rotated, whole, and the other one, or the first of two equal
    ones, in loops over its own rows inside. Where the two share no dimension,
    only the one of more rows is folded.

    Between rotation and contraction there may be casts, collapsed dimensions,
    and parallel linalg operations such as transposes, conversions and
    broadcasts, which go with the tile. Rotations that have several uses, whose
    head dimension is not contracted, or that are a single tile are left. A
    remark says for each what was done and why.
  }];
  let options = [
    Option<"tileRows", "tile-rows", "int64_t", /*default=*/"0",
           "Rows of a tile; as many as tile-bytes hold where zero">,
    Option<"tileBytes", "tile-bytes", "int64_t", /*default=*/"65536",
           "Size of a rotated tile in bytes">,
  ];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::bufferization::BufferizationDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::scf::SCFDialect",
    "::mlir::tensor::TensorDialect"];
}

def FuseProjection : Pass<"rope-fuse-projection"> {
  let summary = "Rotate the tiles of a projection as they are made";
  let description = [{
    Turns a contraction, what follows it up to a `rope.apply` on tensors, and the
    rotation into one nest of loops over heads and tokens. In it a tile is
    projected, goes through the linalg operations between (bias, conversion,
    transpose, norm over the head), is rotated, and is stored once.

    Reshapes that take heads out of the projected channels, and slices of a
    projection to several things at once, are moved into the contraction first:
    the weights are reshaped and sliced instead. A projection that several
    slices are taken of becomes one contraction for each; they must not overlap.

    The loops are marked by `rope.tasks`: `rope-parallelize-loops` makes
    tasks for threads of them on the way to a processor.

    Neither the head nor the contracted dimension is split. Dimensions that
    something in between reduces, as a norm over all heads does, are not
    either. What has other uses, or is made by no contraction in the same block,
    is left. A remark says for each rotation what was done and why.
  }];
  let options = [
    Option<"tileTokens", "tile-tokens", "int64_t", /*default=*/"512",
           "Tokens of a tile; the weights are read once for each">,
    Option<"tileHeads", "tile-heads", "int64_t", /*default=*/"0",
           "Heads of a tile; as many as have 256 channels where zero">,
  ];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::bufferization::BufferizationDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::scf::SCFDialect",
    "::mlir::tensor::TensorDialect"];
}

def FuseAttention : Pass<"rope-fuse-attention"> {
  let summary = "Fold rotations into attention";
  let description = [{
    Turns products of queries and keys, rotated or not, whose scores go through
    scalar operations and a softmax into a product with values, all written in
    linalg on tensors, into one `rope.attention`. A softmax is `linalg.softmax`
    or powers of e or 2 divided by their sum, with or without a maximum
    subtracted; logits that take part in it and are dropped become sinks. What
    happens to a score goes to its region, masks become score operands, a factor
    becomes its scale, and the comparisons `j <= i + offset` and
    `i + offset - j < window` that select minus infinity become its attributes.
    Heads that `linalg` repeats for groups of query heads are read where they
    are. Scores are then f32 (f64), rounded to narrower types where the graph casts
    them, and a row that sees nothing gets zeros where softmax makes NaN.

    Then folds each `rope.apply` that makes the query or the key of a
    `rope.attention` into it, through casts and transpositions, and the
    `rope.table` that makes the cosine and sine of nothing else. Queries are
    always rotated as they are loaded. Keys are where the cost model says so;
    otherwise the rotation stays, for a projection or a cache that can take it.

    A remark says of each rotation, table and product what was done or why not.
  }];
  let options = [
    Option<"keyRotation", "key-rotation", "::mlir::rope::KeyRotation",
           /*default=*/"::mlir::rope::KeyRotation::automatic",
           "Where keys are rotated", [{::llvm::cl::values(
             clEnumValN(::mlir::rope::KeyRotation::automatic, "auto",
                        "where the cost model says"),
             clEnumValN(::mlir::rope::KeyRotation::once, "once",
                        "before attention"),
             clEnumValN(::mlir::rope::KeyRotation::load, "load",
                        "as attention loads them"))}]>,
    Option<"l2Bytes", "l2-bytes", "int64_t", /*default=*/"0",
           "Size of the second cache; the module's target description where 0">,
    Option<"vectorBits", "vector-bits", "int64_t", /*default=*/"0",
           "Width of a vector register; the module's target description where "
           "0">,
    Option<"threads", "threads", "int64_t", /*default=*/"0",
           "Number of threads; the module's target description where 0">,
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::rope::RopeDialect",
    "::mlir::tensor::TensorDialect"];
}

def Simplify : Pass<"rope-simplify"> {
  let summary = "Rewrite rotations by their algebra";
  let description = [{
    Rewrites rotations on tensors by what holds of rotations, after the
    canonicalizations of `rope.apply`, where that leaves less to do:

    - (simplify_1) Two rotations one after the other, of channels that are
      rotated alike, by tables of the same frequencies become one by the sum of
      their positions, or the difference where one of them has `transpose`.
      Magnitudes are multiplied. Positions are integers and both tables are of
      `exact` precision: in f32 the angle of a sum is not the sum of angles. The
      first rotation has no other use. Either nothing else uses the tables, or
      several heads share a row of the new one, which then is less work than the
      rotation that goes. Narrow integers are added in 64 bits.
    - (simplify_2) A transposition or reshape between two rotations, or one that
      undoes another on the other side of a rotation, moves behind the first of
      them where it leaves the head dimension alone, and each dimension that
      tables follow whole.
    - (simplify_3) A `tensor.concat` of rotations by one table, along a dimension
      that tables do not follow and before the last, becomes one rotation.
    - (simplify_4) A table of which slices alone are used, all the same, is made
      for these positions alone. The slice takes all frequencies, and the
      positions have no axes.
    - (simplify_5) Equal tables and frequencies are one, across layers and
      heads, whatever their destinations hold, which is not read. For that they
      move out of loops, and tables also out of branches if an equal one is made
      elsewhere, as far as what they are made of is known outside, and to the
      front of their block. Tables of another magnitude, precision, type or
      position are not equal.
    - (simplify_6) An integer of 64 bits that is added to all positions of
      queries and keys alike is dropped where the rotated queries and keys meet
      only each other in `rope.attention`, pairs and direction are the same, and
      so are frequencies and axes. Precision is `exact`: in f32, angles and with
      them scores would change. Magnitudes may differ, since they factor out.
    - (simplify_7) An interleaved rotation becomes a half-split one where constant
      weights, and biases, make what it rotates: their channels are put in the
      order of halves. Between them and the rotation may stand a contraction,
      reshapes, and what treats all channels alike, each of a single use. A
      rotation that reads interleaved and writes halves needs nothing else.
      Others need that queries and keys are both rotated so, in the same pairs,
      and used by nothing but their product, a contraction or `rope.attention`,
      which then adds the same products in another order. A constant that is
      used otherwise as well stays, beside a permuted one of the same size.
    - (simplify_8) Tables of one tensor of positions in several spellings become
      equal: integers that are extended with their sign, repeated, transposed,
      or have dimensions of size one. All that use such a table are rotations,
      which follow fewer dimensions then; positions have no axes.

    A table that one `rope.attention` alone reads is not stored where making it
    as it is used is cheaper: `rope-fuse-attention` folds it. A remark says what
    was done.
  }];
  let options = [
    Option<"shareTables", "share-tables", "bool", /*default=*/"true",
           "Move tables out of loops and share equal ones">,
    Option<"permuteWeights", "permute-weights", "bool", /*default=*/"true",
           "Make interleaved rotations half-split by permuting weights">,
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::rope::RopeDialect", "::mlir::tensor::TensorDialect"];
}

def Report : Pass<"rope-report"> {
  let summary = "Print a table of the rotations";
  let description = [{
    Prints, to standard error, a row for each `rope.apply` and each rotation of a
    query or key in `rope.attention`, and a last row that adds them up:

    - the function, and the line of the rotation in its file;
    - what is rotated: `query` or `key` of attention, else `x`;
    - which channels are pairs, `->` in what pairing the result has them, and
      `inverse` where the sine is negated;
    - how many channels turn, from which on, and how many there are;
    - the base that the frequencies have, or fit to within the rounding of f32,
      else `values`; rules of scaling; the table's magnitude if it is not one;
      `f32` where angles are; how many axes positions have. Tables that no
      `rope.table` makes are `given`;
    - a number for the table: rows that read the same one have the same number.
      `on the fly` where attention makes cosines and sines itself;
    - what the rotation was fused into: `attention`, or the loops of a
      `projection`, a `contraction` or a `cache append`;
    - the bytes that do not go through memory for that, `?` where sizes are
      known only at run time: as the remarks of the fusions, the rotated array,
      twice for attention.

    ```
    function  line  operand      pairing  channels    variant     table    fused into  bytes saved
    main      12    x            half     128 of 128  base 10000  1        -           0
    main      14    query        half     128 of 128  base 10000  1        attention   8388608
    total           2 rotations                                   1 table  1 fused     8388608
    ```

    With `format=json` it is an object with an array `rotations` and the same
    sums.
  }];
  let options = [
    Option<"format", "format", "::mlir::rope::ReportFormat",
           /*default=*/"::mlir::rope::ReportFormat::table", "How it is printed",
           [{::llvm::cl::values(
               clEnumValN(::mlir::rope::ReportFormat::table, "table",
                          "a table to be read"),
               clEnumValN(::mlir::rope::ReportFormat::json, "json", "JSON"))}]>,
  ];
}

def LowerFrequencies : Pass<"rope-lower-frequencies"> {
  let summary = "Turn frequency chains into constants and code";
  let description = [{
    Evaluates chains of `rope.frequencies` and `rope.scale_frequencies` whose
    lengths are constants, in extended precision, to a constant. Chains that
    read a length become code that computes them once, where they stand. Exact
    tables of integer positions take their frequencies in turns (i64) after it.
    Known frequencies of a table that are not below 2^20 are an error.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::scf::SCFDialect",
    "::mlir::tensor::TensorDialect"];
}

def ExposeCInterface : Pass<"rope-expose-c-interface", "::mlir::ModuleOp"> {
  let summary = "Give public functions on tensors a C interface on memrefs";
  let description = [{
    Rewrites each public function on tensors that nothing in the module calls to
    one on strided memrefs whose results the caller allocates:

    ```mlir
    func.func @f(%x: tensor<?x4xf32>, %n: i64) -> tensor<?x4xf32> {
      return %x : tensor<?x4xf32>
    }
    ```

    becomes

    ```mlir
    func.func @f(%x: memref<?x4xf32, strided<[?, 1], offset: ?>>, %n: i64,
                 %y: memref<?x4xf32, strided<[?, 1], offset: ?>>)
      attributes {c_signature = (tensor<?x4xf32>, i64) -> tensor<?x4xf32>,
                  c_result_dims = [array<i64: 0, 0>], c_equal_dims = [],
                  llvm.emit_c_interface} {
      // What was returned is written to %y.
      return
    }
    ```

    The innermost dimension has a stride of one. `c_result_dims` holds, for each
    result, the argument and the dimension of it that each dynamic dimension
    equals; `c_equal_dims` the dimensions of arguments that operations of this
    dialect need to be equal, as (argument, dimension, argument, dimension).
    `c_size_bounds`, where there are any, holds what else they need, as
    (argument a, dimension i, factor, constant, argument b, dimension j):
    `factor * size(a, i) + constant` is at most `size(b, j)`. Argument -1 stands
    for a number, that of its dimension.

    Functions with a result whose sizes do not follow from the arguments keep
    their results, and have `c_signature` alone.
  }];
  let dependentDialects = [
    "::mlir::bufferization::BufferizationDialect",
    "::mlir::memref::MemRefDialect", "::mlir::tensor::TensorDialect"];
}

def Vectorize : Pass<"rope-vectorize"> {
  let summary = "Vectorize linalg operations on memrefs";
  let description = [{
    Turns linalg operations on memrefs with an elementwise body into loops over
    vectors:

    - A contraction has one reduction loop and a result that is contiguous in
      its last dimension, as are all operands that change along it. A tile of
      the result stays in registers while the reduction runs; each step reads
      vectors for its columns and scalars for its rows. Where the addition into
      the result is marked `reassoc`, a long reduction is cut into chunks of at
      most 128 steps, which are summed from zero each and added to the result:
      fewer digits are lost than in one chain.
    - With `bf16-dot`, so do contractions of pairs of bf16, `A[m][k][2]` times
      `B[k][n][2]` into f32, two products in an instruction; it takes denormals
      for zeros.
    - Where the reduction loop is the contiguous one of all that it reads, and
      the order of sums is free, each element of a tile of the result has a
      vector of partial sums. As many of these as a vector has lanes become one
      vector of their sums by shuffles and additions.
    - Where the innermost loop is the only reduction of an elementwise body,
      sums in any order and maxima of rows are kept in the lanes of a vector.
    - Otherwise, where the innermost loop is parallel and contiguous in all
      operands that change with it, rows become vectors. Two operands that are
      the even and the odd elements of one memref are read or written as one
      contiguous vector, deinterleaved or interleaved in registers. Operands
      that do not depend on the inner loops are read outside them.
    - A parallel operation whose operands are contiguous in one dimension and
      whose results are in another is done in square blocks that are transposed
      in registers.

    Rows that are no multiple of the vector end in shorter vectors. bf16 that the
    body only extends to f32, and rounds f32 to, is taken in words of 32 bits that
    hold two elements, to nearest and even, with denormals: the even and the odd
    elements of a row become vectors of their own. Operands of i1 are read as
    bytes. Copies between strided memrefs count as elementwise
    operations. Other linalg operations are left as they are. Those that follow
    each other with the attribute `rope.rows`, and write other channels of the same
    rows, become one loop over these.

    An elementwise operation with the attribute `rope.streaming`, in a module
    whose `llvm.target_triple` is x86-64, is written around the cache: by
    non-temporal stores, and what it reads is prefetched a distance ahead. The
    attribute is the alignment in bytes that the first element of every row of its
    results is known to have, and says that these share no memory with what is
    read; rows of a size that is not static, or no multiple of 16 bytes, are
    written as others are, as are all where it is zero. The fence that such stores
    need belongs to whoever sets the attribute.
  }];
  let options = [
    Option<"vectorBits", "vector-bits", "unsigned", /*default=*/"128",
           "Width of a vector register in bits">,
    Option<"registers", "registers", "unsigned", /*default=*/"16",
           "Number of vector registers">,
    Option<"avx512BF16", "avx512-bf16", "bool", /*default=*/"false",
           "Round to bf16 by the instruction of AVX512-BF16, and those rows by "
           "others in which it makes a zero of a denormal">,
    Option<"bf16Dot", "bf16-dot", "bool", /*default=*/"false",
           "Sum products of pairs of bf16 by the instruction of AVX512-BF16">,
    Option<"loops", "loops", "bool", /*default=*/"false",
           "Turn the other linalg operations on memrefs into scalar loops">,
  ];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"];
}

def TileAttention : Pass<"rope-tile-attention"> {
  let summary = "Turn attention on memrefs into loops over tiles";
  let description = [{
    Replaces each `rope.attention` on memrefs by an `scf.parallel` over batches,
    groups of heads and chunks of queries, which holds a loop over tiles of keys
    and in it `rope.online_attention`. Queries are rotated as a task starts, by
    blocks of 64 rows, which are the queries of all heads that share a key.

    Keys that are rotated or widened are so once, in an `scf.parallel` in front:
    the keys and values of a head lie together then. What both loops use is
    allocated in an `scf.execute_region no_inline` around them, which
    `rope-outline-parallel-loops` turns into a task with a workspace. Keys that no
    query of a block can see are not visited, and masks are made for those tiles
    alone of which a row does not see all. What a task needs is allocated in the
    parallel loop, in sizes that depend on the head dimension alone.

    With `pair-product` products of bf16 are those of instructions that take two
    steps of a sum at once and add in f32: what is rotated, and the weights of the
    softmax, are rounded to bf16, sums are not. Keys, values and queries are
    packed for it, padded to what the instructions take. `dot` is vdpbf16ps of
    AVX512-BF16; `amx` asks the system for the tiles of AMX at each call, and has
    products of f32 for processes that do not get them. Other types, and channels
    whose number is not known, have products of f32.

    Up to 16 rows, as in decoding, take another form where the channels of keys
    and values lie side by side: an `scf.parallel` over batches, chunks of heads
    and splits of the keys, and one over batches and chunks of heads that
    combines what the splits have. Where the number of queries is known at the
    call alone, an `scf.if` decides between both. The sizes of splits follow from
    those of the operands, so that results do not depend on who runs the tasks.
    What the splits have is allocated in front of the loops.
  }];
  let options = [
    Option<"vectorBits", "vector-bits", "unsigned", /*default=*/"128",
           "Width of a vector register in bits">,
    Option<"pairProduct", "pair-product", "::mlir::rope::PairProduct",
           /*default=*/"::mlir::rope::PairProduct::none",
           "Instructions for products of bf16, with vectors of 512 bits",
           [{::llvm::cl::values(
             clEnumValN(::mlir::rope::PairProduct::none, "none",
                        "products of f32"),
             clEnumValN(::mlir::rope::PairProduct::dot, "dot",
                        "vdpbf16ps of AVX512-BF16"),
             clEnumValN(::mlir::rope::PairProduct::amx, "amx",
                        "tiles of AMX, where the process may use them"))}]>,
  ];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::amx::AMXDialect",
    "::mlir::arith::ArithDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"];
}

def ExpandSubViews : Pass<"rope-expand-subviews"> {
  let summary = "Say which dimensions a subview drops where that is unclear";
  let description = [{
    Where a `memref.subview` has more dimensions of size one than its result
    drops and their strides do not tell which, the rest of the compiler may take
    the wrong ones. This replaces such subviews by one that drops nothing and a
    `memref.reinterpret_cast`.
  }];
  let dependentDialects = ["::mlir::memref::MemRefDialect"];
}

def ApproximateMath : Pass<"rope-approximate-math"> {
  let summary = "Replace functions of f32 by polynomials";
  let description = [{
    Turns `math.exp`, `math.exp2`, `math.tanh` and `math.log` of f32, scalars and
    vectors, into arithmetic, and those of narrower floats into such of f32. The
    errors are at most 2e-7 of the result for exponentials, whose results below
    the smallest normal number become zero, and 1e-6 for tanh; log takes positive
    denormals for the smallest normal number. Infinities and NaN are respected. f64 is left to the functions of the C library.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
    "::mlir::vector::VectorDialect"];
}

def ExpandBF16 : Pass<"rope-expand-bf16"> {
  let summary = "Convert between f32 and bf16 by integer operations";
  let description = [{
    Turns `arith.truncf` from f32 to bf16 and `arith.extf` back, on scalars and
    vectors, into integer operations. Rounds to nearest and even, NaN stays NaN,
    denormals are kept: the instruction that some processors have for it flushes
    them, on the others every element would be a call, and shuffles of bf16
    vectors are taken apart element by element.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def OutlineParallelLoops : Pass<"rope-outline-parallel-loops", "::mlir::ModuleOp"> {
  let summary = "Give the iterations of parallel loops to the runtime";
  let description = [{
    Moves the body of each outermost `scf.parallel` without reductions, and of
    each `scf.forall` without results, of a function into a private function, and
    calls the runtime with it (`Rope/Runtime/Runtime.h`):

    ```text
    scf.parallel (%i, %j) = (%c0, %c0) to (%m, %n) step (%c1, %c1) {
      %scratch = memref.alloc() : memref<256xf32>
      ..
      memref.dealloc %scratch : memref<256xf32>
    }
    ```

    becomes

    ```text
    %tasks = arith.muli %m, %n : index
    llvm.call @rope_parallel_for(%f_parallel_0, %context, %tasks, %bytes)
      : (!llvm.ptr, !llvm.ptr, i64, i64) -> ()
    ```

    The iterations are numbered, the last dimension fastest; the function takes
    the number of its iteration. Values of the caller are handed over in a
    structure on its stack, constants are made again. Buffers that the body
    allocates and frees at its top level, and whose sizes are known in front of
    the loop, become views of the workspace that the runtime provides, aligned to
    64 bytes, as do those of at most 1 MiB in any iteration, such as the last
    and smaller block of an array; other allocations stay. An
    `scf.execute_region no_inline` of one block, without results, that allocates
    memory for parallel loops in it is one such task, which the runtime is called
    with first: its memory, too, is kept from call to call. Loops with reductions or results, or with a
    value of a type that has no form in memory, are left alone, as are parallel
    loops inside others: the way to the llvm dialect makes them sequential. How
    many threads there are is the runtime's business alone.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::memref::MemRefDialect"];
}

def ParallelizeLoops : Pass<"rope-parallelize-loops"> {
  let summary = "Turn loops whose iterations are independent into parallel ones";
  let description = [{
    Replaces loops on tensors that are marked by `rope.parallel`, such as those
    of `rope-fuse-cache-append`, by `scf.forall`. Nested ones become one. What
    goes around must be tensors of which each iteration replaces a slice. Other
    loops are left. With `tasks` it replaces those that are marked by
    `rope.tasks` instead, whose iterations are long, such as those of
    `rope-fuse-projection`.
  }];
  let options = [
    Option<"tasks", "tasks", "bool", /*default=*/"false",
           "Loops over tasks of processors, not over threads of GPUs">,
  ];
  let dependentDialects = ["::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect"];
}

def TileMatmul : Pass<"rope-tile-matmul"> {
  let summary = "Cut products of matrices into tasks";
  let description = [{
    Puts contractions of floats on tensors, named operations and
    `linalg.generic`, into an `scf.forall` over blocks of 512 rows and 256
    columns of the result. What the result starts from and what is made of it
    element by element, such as a bias or a conversion, is made in the same
    block, so that a block leaves the cache once. Batch dimensions are one block
    each. Columns are what one operand has in common with the innermost dimension
    of the result. Contractions that are in a parallel loop are left, as are
    those of a single block.
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::bufferization::BufferizationDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::scf::SCFDialect",
    "::mlir::tensor::TensorDialect"];
}

def PackMatmul : Pass<"rope-pack-matmul"> {
  let summary = "Pack an operand of products of matrices, block by block";
  let description = [{
    Replaces contractions of floats on memrefs, with one summed dimension k and a
    result that is contiguous in its last dimension n, by loops over blocks of k.
    For each block the operand that n indexes is copied into scratch memory as
    `[panel][k][lane]`, where a panel is as wide as a register tile of
    `rope-vectorize`, and multiplied from there panel by panel: what registers
    are filled from is contiguous, in the cache, and read from memory once. It
    may be stored along n or along k, where it is transposed in registers.
    16-bit floats become f32 on the way, those of the other operand as well, if
    it has a bounded number of rows. With `bf16-dot`, bf16 is packed in pairs
    along k, `[panel][k / 2][lane][2]`, and stays bf16: products are contractions
    over pairs, which become instructions for them.

    Few rows do not pay for a copy. Up to six, the product with what is
    contiguous along n is made in place, in blocks of 8 rows of that operand. Up
    to two, products with what is contiguous along k are dot products in place,
    whose partial sums are the lanes of a vector: their order is another one.
    Where the number of rows is known at run time alone, both forms are made.

    Packed blocks are summed in the order of k where an operation spells its sum
    out, as `linalg.generic` does. Those of named operations may be reordered:
    parts of them start from zero, which loses fewer digits.

    Scratch memory is allocated in the body of the outermost parallel loop around,
    for `rope-outline-parallel-loops` to find. A remark says for each contraction
    that is left why.
  }];
  let options = [
    Option<"vectorBits", "vector-bits", "unsigned", /*default=*/"128",
           "Width of a vector register in bits">,
    Option<"registers", "registers", "unsigned", /*default=*/"16",
           "Number of vector registers">,
    Option<"bf16Dot", "bf16-dot", "bool", /*default=*/"false",
           "Sum products of pairs of bf16 in one instruction">,
  ];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

def SpecializeKernels : Pass<"rope-specialize-kernels", "::mlir::gpu::GPUModuleOp"> {
  let summary = "Turn kernels into what a target's conversions take";
  let description = [{
    Kernels have one form for all targets: parameters are buffers,
    `memref<?xT, strided<[1], offset: ?>>`, and then numbers, `index`;
    workgroup memory is in attributions; blocks are of a known size along x, and
    so is the grid. This pass rewrites what is spelled differently.

    With `api=cuda` and `api=rocm` a buffer becomes `!llvm.ptr<1>`, from which
    the body makes a memref: a kernel takes one pointer for each buffer and then
    64-bit numbers. Parameters that have `llvm.noalias` and are only read get
    `llvm.readonly`, so that loads may use the read-only cache. Functions that
    conversions would make calls of a device library of become intrinsics of
    LLVM, reductions in a subgroup become shuffles.

    With `api=vulkan` buffers become bindings 0, 1, .. of descriptor set 0, of
    element T. Words of 32 bits are push constants, or the next binding where
    they are more than 32:

    - for each buffer, how many bytes its first element lies behind the start of
      its binding;
    - the numbers;
    - the number of blocks. The grid may be folded in two dimensions, since
      devices need not take 65536 blocks in one: block `y * size(x) + x` does
      nothing where it is not below that number.

    The target environment is attached to the `gpu.module`, with just the
    capabilities that the types and operations of its kernels need. Types that
    the conversion to SPIR-V would widen silently are an error, as are accesses
    of more than one element. bf16 that are only handed on become i16.

    With `opencl` as well, buffers are pointers and numbers 64-bit parameters of
    OpenCL, whose drivers and checkers run on processors.

    Functions that no target has without a library, such as `math.exp` of f64,
    are an error that names the operation; see `rope-approximate-math`. Until
    the kernels are a `gpu.binary`, launches of them do not verify: this pass
    and what converts the kernels further belong in one nested pipeline.
  }];
  let options = [
    Option<"api", "api", "std::string", /*default=*/"\"vulkan\"",
           "How kernels reach the device: cuda, rocm or vulkan">,
    Option<"chip", "chip", "std::string", /*default=*/"",
           "Chip as LLVM names it; sm_80, gfx942 or vulkan1.1 where empty">,
    Option<"openCL", "opencl", "bool", /*default=*/"false",
           "Make kernels for vulkan ones of OpenCL">,
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::gpu::GPUDialect",
    "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::spirv::SPIRVDialect"];
}

def ConvertKernelsToSPIRV : Pass<"rope-convert-kernels-to-spirv", "::mlir::gpu::GPUModuleOp"> {
  let summary = "Convert specialized kernels to the spirv dialect";
  let description = [{
    Converts the kernels that `rope-specialize-kernels` made for Vulkan or OpenCL
    to a `spirv.module` in the `gpu.module`, for the `#spirv.target_env` that is
    attached to that. Functions of the kernels' names remain beside it, as
    launches must find them. `spirv-lower-abi-attrs` and `spirv-update-vce`
    on the `spirv.module` complete it.

    Operations on floats are decorated with `NoContraction` in Vulkan, where
    drivers may otherwise take floats for real numbers. Products and sums that
    may be fused have to be `math.fma` before, as `math-uplift-to-fma` makes
    them.
  }];
  let dependentDialects = [
    "::mlir::func::FuncDialect", "::mlir::spirv::SPIRVDialect"];
}

def SerializeKernels : Pass<"rope-serialize-kernels", "::mlir::ModuleOp"> {
  let summary = "Compile modules of kernels to binaries";
  let description = [{
    Replaces each `gpu.module` by a `gpu.binary` with one object:

    | target | `format=isa` | `format=bin` | `format=fatbin` |
    | --- | --- | --- | --- |
    | `#nvvm.target` | PTX | cubin, by ptxas | fat binary, by ptxas and fatbinary |
    | `#rocdl.target` | assembly | code object, by ld.lld | the same |
    | `#spirv.target_env` | SPIR-V | SPIR-V | SPIR-V |

    Programs are looked for below `toolkit` and on the path; a program that is
    missing is reported with what installs it. Text is not zero-terminated.
  }];
  let options = [
    Option<"format", "format", "std::string", /*default=*/"\"isa\"",
           "isa, bin or fatbin">,
    Option<"toolkit", "toolkit", "std::string", /*default=*/"",
           "Folder of the CUDA or ROCm toolkit">,
  ];
  let dependentDialects = [
    "::mlir::gpu::GPUDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::NVVM::NVVMDialect", "::mlir::ROCDL::ROCDLDialect",
    "::mlir::spirv::SPIRVDialect"];
}

def LowerLaunches : Pass<"rope-lower-launches", "::mlir::ModuleOp"> {
  let summary = "Turn launches into calls of the runtime";
  let description = [{
    Replaces what code of the host does with a GPU by calls of
    `Rope/Runtime/GPURuntime.h`:

    | operation | function |
    | --- | --- |
    | `gpu.launch_func` of a kernel in a `gpu.binary` | `rope_gpu_launch` |
    | `gpu.alloc`, `gpu.dealloc` | `rope_gpu_alloc`, `rope_gpu_free` |
    | `gpu.memcpy` to the device | `rope_gpu_upload` |

    `rope_gpu_check_address` is called for each array of the caller that a kernel
    uses. A launch has memrefs, then numbers, as operands. The kernel is given a
    pointer to the first element of each memref, whatever its layout. One that is
    a view of a constant `memref.global` is copied to the device by
    `rope_gpu_constant`, once in the life of the program; other ones must be in
    the device's memory. A memref may go through `unrealized_conversion_cast` to
    one of other elements that the kernel has. The sizes of allocations are
    multiplied with checks; too large ones call `rope_gpu_fail`.

    The binary becomes a constant and a `rope_gpu_module` of the program. Async
    tokens, clusters, and operations on the GPU other than these are errors.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect"];
}

def SetTarget : Pass<"rope-set-target", "::mlir::ModuleOp"> {
  let summary = "Say which machine a module is compiled for";
  let description = [{
    Sets the target triple of the module and, on each `llvm.func`, processor and
    features, from which code generation takes its instructions. Reports a
    triple, processor or feature that LLVM does not know.
  }];
  let options = [
    Option<"targetTriple", "target-triple", "std::string", /*default=*/"",
           "Target triple; the host's where empty">,
    Option<"targetCPU", "target-cpu", "std::string", /*default=*/"",
           "Processor as LLVM names it, or 'host'; the triple's baseline where "
           "empty">,
    Option<"targetFeatures", "target-features", "std::string", /*default=*/"",
           "Features to add or remove, as in '+avx2,-fma', or 'host'">,
  ];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

#endif // ROPE_TRANSFORMS_PASSES_TD
