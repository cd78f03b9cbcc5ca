//===- RopeAttrs.td - pairings, precisions, scaling rules --*- tablegen -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_IR_ROPEATTRS_TD
#define ROPE_IR_ROPEATTRS_TD

include "Rope/IR/RopeDialect.td"
include "Rope/IR/RopeInterfaces.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

//===----------------------------------------------------------------------===//
// Enumerations
//===----------------------------------------------------------------------===//

def Rope_Pairing : I32Enum<"Pairing", "which two channels form a pair", [
  I32EnumCase<"half", 0>, I32EnumCase<"interleaved", 1>
]> {
  let cppNamespace = "::mlir::rope";
}

def Rope_PairingAttr : EnumAttr<Rope_Dialect, Rope_Pairing, "pairing"> {
  let summary = "Which two channels form a pair";
  let description = [{
    `half`: pair `i` is the channels `(offset + i, offset + i + pair_stride)`.
    `interleaved`: pair `i` is the channels `(offset + 2i, offset + 2i + 1)`.
  }];
  let assemblyFormat = "`<` $value `>`";
}

def Rope_Precision : I32Enum<"Precision", "how angles are computed", [
  I32EnumCase<"exact", 0>, I32EnumCase<"f32", 1>
]> {
  let cppNamespace = "::mlir::rope";
}

def Rope_PrecisionAttr : EnumAttr<Rope_Dialect, Rope_Precision, "precision"> {
  let summary = "How angles are computed";
  let description = [{
    `exact`: cosine and sine of the position times the f64 frequency as real
    numbers, within 3e-7 for every position below 2^31 in magnitude.
    `f32`: what model code in single precision computes: the frequency rounded
    to f32, its f32 product with the position rounded to f32, then cosine and
    sine of that product within one unit in the last place.
  }];
  let assemblyFormat = "`<` $value `>`";
}

//===----------------------------------------------------------------------===//
// Scaling rules
//===----------------------------------------------------------------------===//

class Rope_Scaling<string cppName, string attrMnemonic,
                   list<string> overridden = []>
    : AttrDef<Rope_Dialect, cppName, [
        DeclareAttrInterfaceMethods<Rope_ScalingAttrInterface, overridden>]> {
  let mnemonic = attrMnemonic;
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

class Rope_Number<string description>
    : AttrParameter<"::mlir::FloatAttr", description>;
class Rope_OptionalNumber<string description>
    : OptionalParameter<"::mlir::FloatAttr", description>;
class Rope_Numbers<string description>
    : AttrParameter<"::mlir::DenseF64ArrayAttr", description> {
  // The array attribute itself prints no more than six digits.
  let parser = "parseNumbers($_parser)";
  let printer = "printNumbers($_printer, $_self)";
}

def Rope_LinearAttr : Rope_Scaling<"Linear", "linear"> {
  let summary = "Divides every frequency by a factor";
  let description = [{
    `w'_i = w_i / factor`: position interpolation (Chen et al. 2023,
    arXiv:2306.15595).

    ```mlir
    #rope.linear<factor = 8.0>
    ```
  }];
  let parameters = (ins Rope_Number<"stretch of the context">:$factor);
}

def Rope_NtkAttr : Rope_Scaling<"Ntk", "ntk"> {
  let summary = "Scales low frequencies more than high ones";
  let description = [{
    With `d = 2n` rotated channels, fixed: `w'_i = w_i * factor^(-2(i+1)/d)`,
    so that the last pair is slowed by exactly `factor`. With `mixed_exponent`
    `m`: `w'_i = w_i / exp(a (i+1)^m)`, `a = ln(factor) / n^m`.

    ```mlir
    #rope.ntk<factor = 4.0>
    #rope.ntk<factor = 4.0, mixed_exponent = 0.625>
    ```
  }];
  let parameters = (ins
    Rope_Number<"stretch of the last pair">:$factor,
    Rope_OptionalNumber<"exponent of the mixed form">:$mixed_exponent);
}

def Rope_DynamicNtkAttr : Rope_Scaling<"DynamicNtk", "dynamic_ntk",
                                       ["isLengthDependent", "verifyScaling"]> {
  let summary = "Grows the base with the length in use";
  let description = [{
    `w'_i = w_i * k^(-2i/(d-2))`, `k = factor * T / max_position - (factor - 1)`,
    `T = max(length, max_position)`: the base times `k^(d/(d-2))`. Needs two
    pairs or more.

    ```mlir
    #rope.dynamic_ntk<factor = 4.0, max_position = 2048.0>
    ```
  }];
  let parameters = (ins
    Rope_Number<"stretch for each multiple of max_position">:$factor,
    Rope_Number<"longest length that is left as it is">:$max_position);
}

def Rope_NtkAlphaAttr : Rope_Scaling<"NtkAlpha", "ntk_alpha",
                                     ["verifyScaling"]> {
  let summary = "Multiplies the base by alpha^(d/(d-2))";
  let description = [{
    `w'_i = w_i * alpha^(-2i/(d-2))` at every length. Needs two pairs or more.

    ```mlir
    #rope.ntk_alpha<alpha = 1000.0>
    ```
  }];
  let parameters = (ins Rope_Number<"stretch of the last pair">:$alpha);
}

def Rope_YarnAttr : Rope_Scaling<"Yarn", "yarn"> {
  let summary = "Interpolates low frequencies, keeps high ones, ramps between";
  let description = [{
    YaRN (Peng et al. 2023, arXiv:2309.00071), with `d = 2n`:

    ```
    idx(beta) = d ln(original_max_position / (2 pi beta)) / (2 ln base)
    lo, hi    = idx(beta_fast), idx(beta_slow); floor(lo), ceil(hi) if truncate
    lo, hi    = max(lo, 0), min(hi, d - 1); hi += 0.001 if lo == hi
    r_i       = clamp((i - lo) / (hi - lo), 0, 1)
    w'_i      = w_i (1 - r_i) + (w_i / factor) r_i
    ```

    The upper clamp is `d - 1`, not the last pair, as in every implementation
    of it. The magnitude that goes with it is the table's.

    ```mlir
    #rope.yarn<base = 10000.0, factor = 32.0, original_max_position = 4096.0>
    ```
  }];
  let parameters = (ins
    Rope_Number<"the base the frequencies were made from">:$base,
    Rope_Number<"stretch of the context">:$factor,
    Rope_Number<"length the model was trained on">:$original_max_position,
    Rope_OptionalNumber<"turns above which a pair is kept, 32">:$beta_fast,
    Rope_OptionalNumber<"turns below which a pair is stretched, 1">:$beta_slow,
    DefaultValuedParameter<"bool", "true">:$truncate);
}

def Rope_Llama3Attr : Rope_Scaling<"Llama3", "llama3"> {
  let summary = "Stretches long wavelengths, keeps short ones, blends between";
  let description = [{
    With the wavelength `l_i = 2 pi / w_i` and `L = original_max_position`:
    `w_i` where `l_i < L / high_freq_factor`, `w_i / factor` where
    `l_i > L / low_freq_factor`, else `(1 - t) w_i / factor + t w_i` with
    `t = (L / l_i - low_freq_factor) / (high_freq_factor - low_freq_factor)`.
    Equal edge factors leave no band between: `t = 0` on the edge itself.

    ```mlir
    #rope.llama3<factor = 8.0, low_freq_factor = 1.0, high_freq_factor = 4.0,
                 original_max_position = 8192.0>
    ```
  }];
  let parameters = (ins
    Rope_Number<"stretch of long wavelengths">:$factor,
    Rope_Number<"turns below which a pair is stretched">:$low_freq_factor,
    Rope_Number<"turns above which a pair is kept">:$high_freq_factor,
    Rope_Number<"length the model was trained on">:$original_max_position);
}

def Rope_LongRopeAttr : Rope_Scaling<"LongRope", "longrope",
                                     ["isLengthDependent", "verifyScaling"]> {
  let summary = "Divides by one of two lists of factors, by length";
  let description = [{
    `w'_i = w_i / short_factors[i]`, or `long_factors[i]` where the length is
    strictly greater than `original_max_position` (Ding et al. 2024,
    arXiv:2402.13753).

    ```mlir
    #rope.longrope<short_factors = [1.0, 1.5], long_factors = [1.0, 32.0],
                   original_max_position = 4096.0>
    ```
  }];
  let parameters = (ins
    Rope_Numbers<"a divisor for each pair">:$short_factors,
    Rope_Numbers<"a divisor for each pair">:$long_factors,
    Rope_Number<"longest length of the short list">:$original_max_position);
}

def Rope_FactorsAttr : Rope_Scaling<"Factors", "factors",
                                    ["verifyScaling"]> {
  let summary = "Divides each frequency by a factor of its own";
  let description = [{
    `w'_i = w_i / divisors[i]`.

    ```mlir
    #rope.factors<divisors = [1.0, 1.0, 4.0, 8.0]>
    ```
  }];
  let parameters = (ins Rope_Numbers<"a divisor for each pair">:$divisors);
}

//===----------------------------------------------------------------------===//
// Rotations inside of other operations
//===----------------------------------------------------------------------===//

def Rope_AnglesAttr : AttrDef<Rope_Dialect, "Angles"> {
  let mnemonic = "angles";
  let summary = "How positions and frequencies become tables";
  let description = [{
    The attributes of the `rope.table` that is made inside of an operation.

    ```mlir
    #rope.angles<magnitude = 1.0>
    #rope.angles<magnitude = 1.0, axes = [0, 0, 1, 1], precision = f32>
    ```
  }];
  let parameters = (ins
    Rope_Number<"factor of cosine and sine">:$magnitude,
    OptionalParameter<"::mlir::DenseI64ArrayAttr", "axis of each pair">:$axes,
    DefaultValuedParameter<"::mlir::rope::Precision", "Precision::exact",
                           "how angles are computed">:$precision);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Rope_RotationAttr : AttrDef<Rope_Dialect, "Rotation"> {
  let mnemonic = "rotation";
  let summary = "The rotation of an operand as it is loaded";
  let description = [{
    The attributes of a `rope.apply` that is part of another operation. The
    operands that come with it are cosine and sine; with `angles` they are the
    positions and frequencies of the `rope.table` that makes those.

    ```mlir
    #rope.rotation<pairing = half, position_dims = [1]>
    #rope.rotation<pairing = interleaved, position_dims = [0, 1], offset = 128,
                   angles = <magnitude = 1.0>>
    ```
  }];
  let parameters = (ins
    EnumParameter<Rope_Pairing>:$pairing,
    AttrParameter<"::mlir::DenseI64ArrayAttr",
                  "dimensions that the tables follow">:$position_dims,
    DefaultValuedParameter<"int64_t", "0", "first rotated channel">:$offset,
    OptionalParameter<"std::optional<int64_t>",
                      "distance of two channels">:$pair_stride,
    OptionalParameter<"std::optional<::mlir::rope::Pairing>",
                      "pairing of the result">:$result_pairing,
    DefaultValuedParameter<"bool", "false",
                           "rotate backwards">:$transpose,
    OptionalParameter<"::mlir::rope::AnglesAttr",
                      "how the tables are made">:$angles);
  let assemblyFormat = "`<` struct(params) `>`";
}

#endif // ROPE_IR_ROPEATTRS_TD
