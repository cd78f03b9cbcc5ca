//===- HFRotation.cpp - read a Hugging Face configuration -----------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "HFRotation.h"

#include "CheckedJSON.h"
#include "HFModels.h"
#include "HFValues.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace mlir::rope;
namespace json = llvm::json;

static constexpr int64_t maxAxes = 16;

namespace {

/// Reads one configuration. Methods that fail have reported why.
class Reader : private HFValues {
public:
  Reader(Location loc, const json::Object &root)
      : HFValues(loc), builder(loc.getContext()), root{&root, ""},
        text(this->root) {}

  FailureOr<HFRotations> run(StringRef dtype);

private:
  FloatAttr number(double value) { return builder.getF64FloatAttr(value); }

  LogicalResult findText();
  LogicalResult checkRotates();
  FailureOr<FloatType> readElementType(StringRef dtype);
  LogicalResult checkAgreement();
  LogicalResult readOldBlock(std::optional<json::Value> &storage,
                             HFBlock &result);
  LogicalResult readKinds(SmallVectorImpl<HFRotation> &kinds);
  LogicalResult readKind(StringRef kind, const HFBlock &rope,
                         HFRotation &rotation);
  LogicalResult readFlatKinds(const HFBlock &rope,
                              SmallVectorImpl<HFRotation> &kinds);
  LogicalResult readAttention(StringRef kind, const HFBlock &rope,
                              HFRotation &rotation);

  LogicalResult readHeads(StringRef kind, HFRotation &rotation);
  LogicalResult readHeadDim(StringRef kind, HFRotation &rotation);
  LogicalResult readWidth(const HFBlock &rope, HFRotation &rotation);
  LogicalResult readBase(StringRef kind, const HFBlock &rope,
                         HFRotation &rotation);
  LogicalResult readScaling(StringRef kind, const HFBlock &rope,
                            HFRotation &rotation);
  LogicalResult readProportional(const HFBlock &rope, HFRotation &rotation);
  LogicalResult readNtk(const HFBlock &rope, HFRotation &rotation);
  LogicalResult readDynamic(const HFBlock &rope, bool needsFactor,
                            HFRotation &rotation);
  LogicalResult readYarn(const HFBlock &rope, StringRef type, bool isCompress,
                         HFRotation &rotation);
  LogicalResult readLongRope(const HFBlock &rope, HFRotation &rotation);
  LogicalResult readLlama3(const HFBlock &rope, HFRotation &rotation);
  LogicalResult readAxes(const HFBlock &rope, StringRef requiredKey,
                         HFRotation &rotation);
  LogicalResult readMaxLength(int64_t &result);
  LogicalResult readOriginalLength(const HFBlock &rope, int64_t &result);
  LogicalResult readFactorOrRatio(const HFBlock &rope, int64_t original,
                                  double &result);

  Builder builder;
  HFBlock root;
  /// The part that describes the text model.
  HFBlock text;
  const HFModel *model = nullptr;
  /// One block, or none, stands for all kinds of layers.
  bool isFlat = true;
  HFBlock flatRope;

  // Of the kind of layer that is being read.
  std::string baseKey;   ///< where the base came from
  int64_t width = 0;     ///< channels of the head that may turn
  std::string widthKey;  ///< where they came from
  bool isSplit = false;  ///< `width` is fixed, apart from channels at rest
  bool isLatent = false; ///< and the others stand beside it in the file
};

} // namespace

//===----------------------------------------------------------------------===//
// The whole configuration
//===----------------------------------------------------------------------===//

FailureOr<HFRotations> Reader::run(StringRef dtype) {
  std::optional<StringRef> type;
  if (failed(findText()) || failed(readString(text, {"model_type"}, type)) ||
      (!type && failed(readString(root, {"model_type"}, type))))
    return failure();
  model = &lookupHFModel(type.value_or(""));
  if (failed(checkRotates()))
    return failure();

  // Sizes are sizes, needed or not.
  std::optional<int64_t> size;
  for (StringRef name : {"hidden_size", "max_position_embeddings",
                         "original_max_position_embeddings"})
    if (failed(readInteger(text, {name}, 1, maxHFInteger, size)))
      return failure();

  HFRotations rotations;
  FailureOr<FloatType> elementType = readElementType(dtype);
  if (failed(elementType) || failed(readKinds(rotations.kinds)))
    return failure();
  rotations.elementType = *elementType;
  return rotations;
}

/// Multimodal configurations hold that of their language model.
LogicalResult Reader::findText() {
  static constexpr StringRef names[] = {"thinker_config", "text_config",
                                        "llm_config", "language_config"};
  // One may hold another one.
  for (size_t i = 0; i < 2; ++i)
    if (failed(readObject(text, names, text)))
      return failure();
  return success();
}

LogicalResult Reader::checkRotates() {
  bool alibi = false;
  bool rotary = true;
  std::optional<StringRef> kind;
  if (failed(readString(text, {"position_embedding_type"}, kind)))
    return failure();
  bool saysRotary = kind && (kind->contains_insensitive("rope") ||
                             kind->contains_insensitive("rotary"));
  if (!model->rotates && !saysRotary) {
    HFFound found = find(text, {"model_type"});
    return error(found ? found.key : "model_type")
           << "models of this type have no rotary position embedding";
  }
  HFFound patch = find(text, {"patch_size"});
  if (patch && !find(text, {"vocab_size"}))
    return error(patch.key)
           << "expected a language model: how an encoder of patches lays its "
           << "grid out over the channels does not stand in this file";
  std::optional<int64_t> hidden;
  if (failed(readInteger(text, {"hidden_size"}, 1, maxHFInteger, hidden)))
    return failure();
  if (model->hiddenWithout && hidden == model->hiddenWithout)
    return error(text.keyOf("hidden_size"))
           << "models of this type and size have no rotary position embedding";
  // An object is InternLM's block; `readKinds` reads it.
  HFFound rotaryFound = find(text, {"rotary"});
  bool isBlock = rotaryFound && rotaryFound.value->getAsObject();
  if (failed(readBool(text, "alibi", alibi)) ||
      (!isBlock && failed(readBool(text, "rotary", rotary))))
    return failure();
  bool isScaled = false;
  if (failed(readBool(text, "use_scaled_rope", isScaled)))
    return failure();
  if (isScaled)
    return error(text.keyOf("use_scaled_rope"))
           << "expected false: this file does not say by how much";
  if (alibi)
    return error(text.keyOf("alibi"))
           << "expected false: there is no rotary position embedding beside it";
  if (!rotary)
    return error(text.keyOf("rotary"))
           << "expected true: there is no rotary position embedding otherwise";
  for (StringRef name : {"rope", "attn_config.rope", "attn_config.alibi"}) {
    HFFound found = find(text, {name});
    bool needed = !name.ends_with("alibi");
    if (found && found.value->getAsBoolean() == !needed)
      return error(found.key)
             << "expected " << (needed ? "true" : "false")
             << ": there is no rotary position embedding otherwise";
  }
  if (HFFound found = find(text, {"rotary_emb_scale_base"}))
    return error(found.key) << "expected null: factors that differ between "
                            << "queries and keys are not supported";
  bool hasMemoryRope = true, isPlane = false;
  if (failed(readBool(text, "use_mem_rope", hasMemoryRope)) ||
      failed(readBool(text, "position_encoding_2d", isPlane)))
    return failure();
  if (!hasMemoryRope)
    return error(text.keyOf("use_mem_rope"))
           << "expected true: there is no rotary position embedding otherwise";
  if (isPlane)
    return error(text.keyOf("position_encoding_2d"))
           << "expected false: positions of two axes are not supported here";
  std::optional<double> positionScale;
  if (failed(readPositive(text, {"rope_position_scale"}, positionScale)))
    return failure();
  if (positionScale.value_or(1.0) != 1.0)
    return error(text.keyOf("rope_position_scale"))
           << "expected 1, the only scale that is supported, but got "
           << describe(*positionScale);
  // Published files of classes that always rotate carry a stray `absolute`.
  bool isKnown = *model->types;
  if (kind && !saysRotary && (!isKnown || kind == "nope" || kind == "alibi"))
    return error(text.keyOf("position_embedding_type"))
           << "expected a rotary position embedding, but got "
           << quoteForMessage(*kind);
  return success();
}

FailureOr<FloatType> Reader::readElementType(StringRef dtype) {
  std::string key = "--dtype";
  StringRef name = dtype;
  if (name.empty()) {
    // Parts of multimodal configurations leave it to the whole.
    HFFound found = find(text, {"dtype", "torch_dtype"});
    if (!found)
      found = find(root, {"dtype", "torch_dtype"});
    if (!found)
      return FloatType(builder.getF32Type());
    std::optional<StringRef> value = found.value->getAsString();
    if (!value)
      return InFlightDiagnostic(error(found.key)
                                << "expected a string, but got "
                                << describe(*found.value));
    key = found.key;
    name = *value;
    name.consume_front("torch.");
  }
  FloatType type = llvm::StringSwitch<FloatType>(name)
                       .Cases({"float32", "float", "f32"}, builder.getF32Type())
                       .Cases({"bfloat16", "bf16"}, builder.getBF16Type())
                       .Cases({"float16", "half", "f16"}, builder.getF16Type())
                       .Default(nullptr);
  if (!type)
    return error(key) << "expected float32, bfloat16 or float16, but got "
                      << quoteForMessage(name);
  return type;
}

static bool isKindName(StringRef name) {
  static constexpr StringRef names[] = {"full_attention", "sliding_attention",
                                        "chunked_attention", "main",
                                        "compress"};
  return llvm::is_contained(names, name);
}

/// Whether `object`, in `block`, is the block of the layers called `name`.
static bool isKind(const json::Object &block, StringRef name,
                   const json::Object &object) {
  static constexpr StringRef keys[] = {"rope_theta", "rope_type", "type",
                                       "partial_rotary_factor"};
  if (isKindName(name))
    return true;
  // A block of one rotation may hold objects that are not for us.
  bool isOne = block.get("rope_type") || block.get("type");
  return !isOne &&
         llvm::any_of(keys, [&](StringRef key) { return object.get(key); });
}

/// Two blocks, and a block and what is beside it, say the same.
LogicalResult Reader::checkAgreement() {
  HFBlock scaling, parameters;
  if (failed(readObject(text, {"rope_scaling"}, scaling)) ||
      failed(readObject(text, {"rope_parameters"}, parameters)))
    return failure();
  auto agree = [&](const HFFound &found,
                   const HFFound &other) -> LogicalResult {
    if (!found || !other || *found.value == *other.value)
      return success();
    return error(other.key)
           << "expected " << describe(*found.value) << ", which '" << found.key
           << "' says, but got " << describe(*other.value);
  };
  if (scaling && parameters)
    for (const auto &[key, value] : *scaling.object)
      if (failed(agree(find(scaling, {key}), find(parameters, {key}))))
        return failure();
  for (const HFBlock &block : {scaling, parameters})
    for (StringRef key : {"rope_theta", "partial_rotary_factor"})
      if (failed(agree(find(block, {key}), find(text, {key}))))
        return failure();
  return success();
}

/// Blocks that predate `rope_scaling`, in its words.
LogicalResult Reader::readOldBlock(std::optional<json::Value> &storage,
                                   HFBlock &result) {
  json::Object block;
  std::optional<double> base, factor;
  std::optional<StringRef> type;
  HFBlock rotary;
  HFFound found = find(text, {"rotary"});
  if (found && found.value->getAsObject()) {
    if (failed(readObject(text, {"rotary"}, rotary)) ||
        failed(readPositive(rotary, {"base"}, base)) ||
        failed(readPositive(rotary, {"scaling_factor"}, factor)) ||
        failed(readString(rotary, {"type"}, type)))
      return failure();
    if (!type)
      return missing(rotary, "type");
    block["type"] = *type == "origin" ? "default" : *type;
    block["factor"] = factor.value_or(1.0);
    if (base)
      block["rope_theta"] = *base;
  } else if (failed(readPositive(text, {"rotary_scaling_factor"}, factor))) {
    return failure();
  } else if (factor) {
    rotary.prefix = text.keyOf("rotary_scaling_factor.");
    block["type"] = "dynamic";
    block["factor"] = *factor;
  }
  if (block.empty())
    return success();
  storage = std::move(block);
  result = {storage->getAsObject(), rotary.prefix};
  return success();
}

LogicalResult Reader::readKinds(SmallVectorImpl<HFRotation> &kinds) {
  HFBlock rope;
  if (failed(readObject(text, {"rope_scaling"}, rope)))
    return failure();
  // An empty block is as good as none.
  if ((!rope || rope.object->empty()) &&
      failed(readObject(text, {"rope_parameters"}, rope)))
    return failure();
  if ((!rope || rope.object->empty()) &&
      failed(readObject(text, {"yarn"}, rope)))
    return failure();

  if (failed(checkAgreement()))
    return failure();

  std::optional<json::Value> defaults;
  if ((!rope || rope.object->empty()) && failed(readOldBlock(defaults, rope)))
    return failure();
  if ((!rope || rope.object->empty()) && model->ropeParameters) {
    defaults = llvm::cantFail(json::parse(model->ropeParameters));
    rope = {defaults->getAsObject(), text.keyOf("rope_parameters.")};
  }

  // A block may hold one for each kind of layer; null stands for layers without
  // positions.
  SmallVector<StringRef> nested, resting;
  if (rope) {
    for (const auto &[key, value] : *rope.object) {
      if (value.getAsObject() &&
          isKind(*rope.object, key, *value.getAsObject()))
        nested.push_back(key);
      if (value.kind() == json::Value::Null && isKindName(key))
        resting.push_back(key);
    }
  }
  isFlat = nested.empty();
  // Where the class has these two, one that is not told has the defaults.
  if (!isFlat && model->layers == HFLayers::fullSliding)
    for (StringRef kind : {"full_attention", "sliding_attention"})
      if (!llvm::is_contained(nested, kind) &&
          !llvm::is_contained(resting, kind))
        nested.push_back(kind);
  llvm::sort(nested); // Objects have no order of their own.
  llvm::sort(resting);
  flatRope = isFlat ? rope : HFBlock();

  auto read = [&](StringRef kind, StringRef suffix, const HFBlock &block) {
    HFRotation &rotation = kinds.emplace_back();
    if (!suffix.empty())
      rotation.suffix = ("_" + suffix).str();
    if (failed(readKind(kind, block, rotation)))
      return failure();
    return readAttention(kind, block, rotation);
  };
  if (!isFlat) {
    auto isWord = [](char c) { return llvm::isAlnum(c) || c == '_'; };
    for (StringRef kind : nested) {
      if (kind.empty() || !llvm::all_of(kind, isWord))
        return error(StringRef(rope.prefix).drop_back())
               << "expected names of letters, digits and '_' for kinds of "
               << "layers, but got " << quoteForMessage(kind);
      HFBlock block;
      bool isOnly = nested.size() + resting.size() == 1;
      if (failed(readObject(rope, {kind}, block)) ||
          failed(read(kind, isOnly ? "" : kind, block)))
        return failure();
    }
    for (StringRef kind : resting) {
      HFRotation &rotation = kinds.emplace_back();
      rotation.suffix = ("_" + kind).str();
      rotation.rotates = false;
      if (failed(readAttention(kind, HFBlock(), rotation)))
        return failure();
    }
    return success();
  }
  switch (model->layers) {
  case HFLayers::one:
    return readFlatKinds(rope, kinds);
  case HFLayers::fullSliding:
    if (failed(read("full_attention", "full_attention", rope)))
      return failure();
    return read("sliding_attention", "sliding_attention",
                model->slidingIsScaled ? rope : HFBlock());
  case HFLayers::mainCompress:
    if (failed(read("main", "main", HFBlock())))
      return failure();
    return read("compress", "compress", rope);
  }
  llvm_unreachable("unknown kinds of layers");
}

/// Kinds of layers that share one rotation, or have none.
LogicalResult Reader::readFlatKinds(const HFBlock &rope,
                                    SmallVectorImpl<HFRotation> &kinds) {
  SmallVector<HFLayerKind> layers;
  if (failed(HFAttentionReader(loc, text, *model).readKinds(layers)))
    return failure();
  for (const HFLayerKind &layer : layers) {
    HFRotation &rotation = kinds.emplace_back();
    rotation.rotates = layer.rotates;
    bool isOnly = layers.size() == 1;
    if (!isOnly)
      rotation.suffix = "_" + layer.name;
    if (layer.rotates &&
        failed(readKind(isOnly ? "" : layer.name, rope, rotation)))
      return failure();
    if (failed(readAttention(layer.name, rope, rotation)))
      return failure();
  }
  return success();
}

LogicalResult Reader::readAttention(StringRef kind, const HFBlock &rope,
                                    HFRotation &rotation) {
  if (!rotation.rotates && (failed(readHeads(kind, rotation)) ||
                            failed(readHeadDim(kind, rotation))))
    return failure();
  HFHeads heads{rotation.heads, rotation.kvHeads, rotation.headDim,
                isLatent ? std::optional(rotation.headDim - width)
                         : std::nullopt};
  return HFAttentionReader(loc, text, *model)
      .read(kind, rotation.rotates, rope, heads, rotation.attention);
}

LogicalResult Reader::readKind(StringRef kind, const HFBlock &rope,
                               HFRotation &rotation) {
  if (failed(readHeads(kind, rotation)) ||
      failed(readHeadDim(kind, rotation)) ||
      failed(readBase(kind, rope, rotation)) ||
      failed(readScaling(kind, rope, rotation)))
    return failure();

  // Parameters that are each in order may still give nonsense together.
  StringRef key = rope ? StringRef(rope.prefix).drop_back() : baseKey;
  for (double magnitude :
       {rotation.magnitude, rotation.longMagnitude.value_or(1.0)}) {
    bool isUsable = magnitude >= std::numeric_limits<float>::min() &&
                    magnitude <= std::numeric_limits<float>::max();
    if (!isUsable)
      return error(key) << "expected parameters that give a positive factor of "
                        << "cosines and sines, but got " << describe(magnitude);
  }
  SmallVector<long double> w;
  double dimension = rotation.dimension.value_or(2 * rotation.pairs);
  for (int64_t i = 0; i < rotation.pairs; ++i)
    w.push_back(std::pow(static_cast<long double>(rotation.base),
                         -2.0L * i / dimension));
  for (double length : {1.0, double(maxHFInteger)})
    for (long double scaled :
         rotation.scaling ? rotation.scaling.scale(w, length) : w)
      if (!(std::abs(scaled) < (1 << 20)))
        return error(key) << "expected parameters that give frequencies below "
                          << "2^20, but got " << describe(scaled);
  return success();
}

//===----------------------------------------------------------------------===//
// Heads
//===----------------------------------------------------------------------===//

LogicalResult Reader::readHeads(StringRef kind, HFRotation &rotation) {
  // Sizes that a part of a multimodal configuration leaves out are those of
  // its class; a configuration of its own must have them.
  bool isPart = text.object != root.object;
  bool isSliding = kind == "sliding_attention";
  std::optional<int64_t> heads, kvHeads;
  if (isSliding && failed(readInteger(text, {"swa_num_attention_heads"}, 1,
                                      maxHFHeads, heads)))
    return failure();
  if (!heads && failed(readInteger(text,
                                   {"num_attention_heads", "n_head", "n_heads",
                                    "num_heads", "decoder_num_attention_heads"},
                                   1, maxHFHeads, heads)))
    return failure();
  if (!heads && isPart && model->heads)
    heads = model->heads;
  if (!heads)
    return missing(text, "num_attention_heads");

  // One key head for all queries, in the models that have a choice.
  bool multiQuery = false, newDecoder = false, groups = true;
  if (failed(readBool(text, "multi_query", multiQuery)) ||
      failed(readBool(text, "new_decoder_architecture", newDecoder)) ||
      failed(readBool(text, "multi_query_attention", groups)))
    return failure();
  SmallVector<StringRef> names;
  if (isSliding)
    names.push_back("swa_num_key_value_heads");
  if (kind == "full_attention") {
    bool keysAreValues = true;
    if (failed(readBool(text, "attention_k_eq_v", keysAreValues)))
      return failure();
    if (keysAreValues)
      names.push_back("num_global_key_value_heads");
  }
  llvm::append_values(
      names, StringRef("num_key_value_heads"), StringRef("num_kv_heads"),
      StringRef("n_head_kv"), StringRef("n_kv_heads"),
      StringRef("decoder_num_key_value_heads"),
      StringRef("attn_config.kv_n_heads"), StringRef("num_attention_groups"));
  if (groups)
    names.push_back("multi_query_group_num");
  HFFound found;
  if (failed(findOfLayers(text, kind, "num_key_value_heads", found)))
    return failure();
  if (!found)
    found = find(text, names);
  if (multiQuery && !newDecoder) {
    kvHeads = 1;
  } else if (found) {
    int64_t value;
    if (failed(toInteger(found, 1, maxHFHeads, value)))
      return failure();
    kvHeads = value;
  } else if (isPart && model->kvHeads && model->heads == *heads) {
    kvHeads = model->kvHeads;
  }
  rotation.heads = *heads;
  rotation.kvHeads = kvHeads.value_or(*heads);
  if (rotation.heads % rotation.kvHeads)
    return error(found ? found.key : text.keyOf("num_key_value_heads"))
           << "expected a divisor of the " << rotation.heads
           << " attention heads, but got " << rotation.kvHeads;
  return success();
}

LogicalResult Reader::readHeadDim(StringRef kind, HFRotation &rotation) {
  rotation.reversed = model->reversed;

  bool saysNeighbours = model->interleaved;
  if (failed(readBool(text, "rotary_emb_interleaved", saysNeighbours)))
    return failure();
  rotation.pairing = saysNeighbours ? Pairing::interleaved : Pairing::half;

  // Channels with and without positions side by side, as latent attention has.
  bool useLatent = true;
  std::optional<int64_t> rotary, rest;
  if (failed(readBool(text, "use_mla", useLatent)) ||
      failed(
          readInteger(text, {"qk_rope_head_dim"}, 0, maxHFHeadDim, rotary)) ||
      failed(readInteger(text, {"qk_nope_head_dim"}, 0, maxHFHeadDim, rest)))
    return failure();
  isSplit = useLatent && rotary.value_or(0) > 0;
  isLatent = isSplit && rest;
  if (isSplit) {
    bool isInterleaved = model->interleaved;
    if (failed(readBool(text, "rope_interleave", isInterleaved)))
      return failure();
    rotation.pairing = isInterleaved ? Pairing::interleaved : Pairing::half;
  } else if (!useLatent) {
    rotation.pairing = Pairing::half;
  }

  std::optional<int64_t> headDim;
  widthKey = text.keyOf(isSplit ? "qk_rope_head_dim" : "head_dim");
  if (isSplit && rest) {
    headDim = *rest + *rotary;
  } else {
    HFFound found;
    if (failed(findOfLayers(text, kind, "head_dim", found)))
      return failure();
    SmallVector<StringRef> names;
    if (kind == "sliding_attention")
      names.push_back("swa_head_dim");
    if (kind == "full_attention")
      names.push_back("global_head_dim");
    if (!found)
      found = find(text, names);
    bool isFullDefault = !found && kind == "full_attention" &&
                         model->fullHeadDim &&
                         !find(text, {"per_layer_config"});
    if (isFullDefault)
      headDim = model->fullHeadDim;
    else if (!found)
      found = find(text, {"head_dim", "attention_head_dim", "kv_channels"});
    if (found) {
      int64_t value;
      if (failed(toInteger(found, 1, maxHFHeadDim, value)))
        return failure();
      headDim = value;
      if (!isSplit)
        widthKey = found.key;
    }
    // An explicit null asks for the hidden size over the heads.
    if (!headDim && model->headDim && !isNull(text, "head_dim"))
      headDim = model->headDim;
  }
  if (!headDim && isSplit)
    return missing(text, "qk_nope_head_dim");
  if (!headDim) {
    std::optional<int64_t> hidden;
    if (failed(readInteger(text, {"hidden_size", "n_embd", "d_model", "dim"}, 1,
                           maxHFInteger, hidden)))
      return failure();
    if (!hidden && text.object != root.object && model->hiddenSize)
      hidden = model->hiddenSize;
    if (!hidden)
      return missing(text, "hidden_size");
    if (*hidden % rotation.heads)
      return error(text.keyOf("hidden_size"))
             << "expected a multiple of the " << rotation.heads
             << " attention heads where there is no 'head_dim', but got "
             << *hidden;
    headDim = *hidden / rotation.heads;
    widthKey = text.keyOf("hidden_size");
    if (*headDim > maxHFHeadDim)
      return error(text.keyOf("hidden_size"))
             << "expected heads of at most " << maxHFHeadDim
             << " channels, but got " << *headDim;
  }
  if (rotation.heads * *headDim > maxHFInteger)
    return error(text.keyOf("head_dim")) << "expected at most " << maxHFInteger
                                         << " channels in all heads, but got "
                                         << rotation.heads << " x " << *headDim;
  rotation.headDim = *headDim;
  width = isSplit ? *rotary : *headDim;
  if (width > *headDim)
    return error(widthKey) << "expected at most the " << *headDim
                           << " channels of a head, but got " << width;
  rotation.offset = isSplit ? *headDim - width : 0;
  // Files that say `n_heads` but neither of these are not for this library, but
  // beside checkpoints in their original layout.
  if (!find(root, {"model_type", "hidden_size"}) && find(root, {"n_heads"}))
    rotation.pairing = Pairing::interleaved;
  return success();
}

/// Channels that turn, unless `proportional` spreads them.
LogicalResult Reader::readWidth(const HFBlock &rope, HFRotation &rotation) {
  int64_t rotaryDim = width;
  std::string key = widthKey;
  if (!isSplit) {
    HFFound part = find(rope, {"partial_rotary_factor"});
    if (!part)
      part = find(text, {"partial_rotary_factor", "rotary_pct",
                         "rotary_emb_fraction", "rope_pct", "rope_percent"});
    HFFound channels = find(text, {"rotary_dim"});
    double factor = model->partial;
    if (part && (failed(toPositive(part, factor))))
      return failure();
    if (part && factor > 1)
      return error(part.key)
             << "expected a part of the head, at most 1, but got "
             << describe(*part.value);
    // Truncated, as the library does.
    int64_t ofFactor = static_cast<int64_t>(width * factor);
    if (channels) {
      key = channels.key;
      if (failed(toInteger(channels, 1, width, rotaryDim)))
        return failure();
      if (part && ofFactor != rotaryDim)
        return error(channels.key)
               << "expected the " << ofFactor << " channels that '" << part.key
               << "' says, but got " << rotaryDim;
    } else if (!part && model->rotaryDim) {
      key = text.keyOf("rotary_dim");
      rotaryDim = isNull(text, "rotary_dim") ? width : model->rotaryDim;
    } else {
      rotaryDim = ofFactor;
      if (part)
        key = part.key;
    }
  }
  if (rotaryDim > width)
    return error(key) << "expected at most the " << width
                      << " channels of a head, but got " << rotaryDim;
  if (rotaryDim % 2 || rotaryDim == 0)
    return error(key) << "expected an even number of rotated channels, at "
                      << "least 2, but got " << rotaryDim;
  if (model->trailing)
    rotation.offset = rotation.headDim - rotaryDim;
  rotation.pairs = rotation.columns = rotaryDim / 2;
  return success();
}

//===----------------------------------------------------------------------===//
// Frequencies
//===----------------------------------------------------------------------===//

LogicalResult Reader::readBase(StringRef kind, const HFBlock &rope,
                               HFRotation &rotation) {
  bool isSliding = model->layers == HFLayers::fullSliding &&
                   kind == "sliding_attention" && model->otherBase != 0;
  bool isCompress =
      model->layers == HFLayers::mainCompress && kind == "compress";
  // A block for all kinds of layers does not speak of these two.
  HFFound found;
  if (!isFlat)
    found = find(rope, {"rope_theta"});
  else if (!isSliding && !isCompress)
    found = find(flatRope, {"rope_theta"});

  double ratio = 1.0;
  if (!found && isSliding) {
    found = find(
        text, {"rope_local_base_freq", "local_rope_theta", "swa_rope_theta"});
    rotation.base = model->otherBase;
  } else if (!found && isCompress) {
    found = find(text, {"compress_rope_theta"});
    rotation.base = model->otherBase;
  } else if (!found) {
    found = find(text, {"rope_theta", "global_rope_theta", "rotary_emb_base",
                        "rope_embedding_base", "attn_config.rope_theta"});
    rotation.base = model->base;
    if (!found && (found = find(text, {"rope_ratio"})))
      ratio = 10000.0;
  }
  baseKey = found ? found.key : text.keyOf("rope_theta");
  if (found && failed(toPositive(found, rotation.base)))
    return failure();
  rotation.base *= ratio;
  if (!std::isfinite(rotation.base))
    return error(baseKey) << "expected a finite base, but got "
                          << describe(rotation.base);
  return success();
}

LogicalResult Reader::readMaxLength(int64_t &result) {
  std::optional<int64_t> length;
  if (failed(readInteger(text,
                         {"max_position_embeddings", "n_positions",
                          "seq_length", "max_seq_len", "max_sequence_length",
                          "model_max_length"},
                         1, maxHFInteger, length)))
    return failure();
  if (!length)
    return missing(text, "max_position_embeddings");
  result = *length;
  return success();
}

LogicalResult Reader::readOriginalLength(const HFBlock &rope, int64_t &result) {
  // The key beside the block has precedence over the one in it, except that
  // blocks of single kinds of layers are complete.
  static constexpr StringRef name = "original_max_position_embeddings";
  std::optional<int64_t> length;
  if (isFlat && failed(readInteger(text, {name}, 1, maxHFInteger, length)))
    return failure();
  if (!length && failed(readInteger(rope, {name}, 1, maxHFInteger, length)))
    return failure();
  if (!length && model->originalLength)
    length = model->originalLength;
  if (!length)
    return readMaxLength(result);
  result = *length;
  return success();
}

/// The `factor`, or the ratio of lengths where it is null.
LogicalResult Reader::readFactorOrRatio(const HFBlock &rope, int64_t original,
                                        double &result) {
  if (find(rope, {"factor"}))
    return requirePositive(rope, "factor", result);
  int64_t length;
  if (failed(readMaxLength(length)))
    return failure();
  result = static_cast<double>(length) / original;
  return success();
}

LogicalResult Reader::readScaling(StringRef kind, const HFBlock &rope,
                                  HFRotation &rotation) {
  HFFound found = find(rope, {"rope_type", "type"});
  std::string key = found ? found.key : rope.keyOf("rope_type");
  StringRef type = "default";
  if (found) {
    std::optional<StringRef> name = found.value->getAsString();
    if (!name)
      return error(key) << "expected a string, but got "
                        << describe(*found.value);
    type = *name;
    std::optional<StringRef> old;
    if (failed(readString(rope, {"type"}, old)))
      return failure();
    auto meaning = [&](StringRef name) {
      bool isLong = name == "su" || (name == "yarn" && model->yarnIsLongRope);
      return isLong ? "longrope" : name == "mrope" ? "default" : name;
    };
    if (old && meaning(*old) != meaning(type))
      return error(rope.keyOf("type"))
             << "expected " << quoteForMessage(type) << ", which '" << key
             << "' says, but got " << quoteForMessage(*old);
  } else if (rope.prefix == "yarn.") {
    type = "yarn";
  } else if (find(rope, {"factor", "alpha"})) {
    return missing(rope, "rope_type");
  }
  bool isLongRope = type == "longrope" || type == "su" ||
                    (type == "yarn" && model->yarnIsLongRope);
  StringRef sections = type == "mrope"    ? "mrope_section"
                       : type == "xdrope" ? "xdrope_section"
                                          : "";

  if (type != "proportional" && failed(readWidth(rope, rotation)))
    return failure();
  double factor;
  if (type == "proportional") {
    if (failed(readProportional(rope, rotation)))
      return failure();
  } else if (type == "linear") {
    if (failed(requirePositive(rope, "factor", factor)))
      return failure();
    rotation.scaling = LinearAttr::get(builder.getContext(), number(factor));
  } else if (type == "dynamic" || type == "xdrope") {
    if (failed(readDynamic(rope, type == "dynamic", rotation)))
      return failure();
  } else if (type == "ntk") {
    if (failed(readNtk(rope, rotation)))
      return failure();
  } else if (isLongRope) {
    if (failed(readLongRope(rope, rotation)))
      return failure();
  } else if (type == "yarn" || type == "deepseek_yarn") {
    if (failed(readYarn(rope, type, kind == "compress", rotation)))
      return failure();
  } else if (type == "llama3") {
    if (failed(readLlama3(rope, rotation)))
      return failure();
  } else if (type != "default" && type != "mrope") {
    return error(key) << "unknown kind " << quoteForMessage(type)
                      << ", expected one of default, linear, dynamic, ntk, "
                      << "yarn, deepseek_yarn, longrope, su, llama3, "
                      << "proportional, mrope, xdrope";
  }
  return readAxes(rope, sections, rotation);
}

LogicalResult Reader::readProportional(const HFBlock &rope,
                                       HFRotation &rotation) {
  std::optional<double> part, factor;
  if (failed(readPositive(rope, {"partial_rotary_factor"}, part)) ||
      failed(readPositive(rope, {"factor"}, factor)))
    return failure();
  if (part.value_or(1.0) > 1)
    return error(rope.keyOf("partial_rotary_factor"))
           << "expected a part of the head, at most 1, but got "
           << describe(*part);
  if (width % 2)
    return error(widthKey) << "expected an even number of channels, but got "
                           << width;
  rotation.columns = width / 2;
  rotation.pairs = std::floor(part.value_or(1.0) * width / 2);
  if (rotation.pairs == 0)
    return error(rope.keyOf("partial_rotary_factor"))
           << "expected at least one pair of " << width
           << " channels to be rotated, but got " << describe(*part);
  // The frequencies are those of the whole width, and pairs keep their places.
  if (rotation.pairs < rotation.columns) {
    rotation.dimension = width;
    if (rotation.pairing == Pairing::half)
      rotation.pairStride = rotation.columns;
  }
  if (factor && *factor != 1.0)
    rotation.scaling = LinearAttr::get(builder.getContext(), number(*factor));
  return success();
}

LogicalResult Reader::readNtk(const HFBlock &rope, HFRotation &rotation) {
  double factor;
  std::optional<double> exponent;
  if (failed(requirePositive(rope, "factor", factor)) ||
      failed(readPositive(rope, {"mixed_b"}, exponent)))
    return failure();
  rotation.scaling = NtkAttr::get(builder.getContext(), number(factor),
                                  exponent ? number(*exponent) : nullptr);
  return success();
}

LogicalResult Reader::readDynamic(const HFBlock &rope, bool needsFactor,
                                  HFRotation &rotation) {
  std::optional<double> alpha;
  std::optional<double> unused;
  if (failed(readPositiveOrZero(rope, {"alpha"}, alpha)) ||
      failed(readPositive(rope, {"factor"}, unused)))
    return failure();
  if (!alpha && !needsFactor)
    return success();
  // Both raise something to the power d / (d - 2).
  if (rotation.pairs < 2)
    return error(rope.keyOf("rope_type"))
           << "expected at least two rotated pairs, but got " << rotation.pairs;
  if (alpha) {
    rotation.scaling = NtkAlphaAttr::get(builder.getContext(), number(*alpha));
    return success();
  }
  double factor;
  std::optional<int64_t> trained;
  if (failed(requirePositive(rope, "factor", factor)) ||
      failed(readInteger(text, {"max_trained_positions"}, 1, maxHFInteger,
                         trained)))
    return failure();
  if (!trained) {
    int64_t length;
    if (failed(readMaxLength(length)))
      return failure();
    trained = length;
  }
  rotation.scaling = DynamicNtkAttr::get(builder.getContext(), number(factor),
                                         number(*trained));
  return success();
}

LogicalResult Reader::readYarn(const HFBlock &rope, StringRef type,
                               bool isCompress, HFRotation &rotation) {
  double factor;
  int64_t original;
  std::optional<double> fast, slow, magnitude, mscale, mscaleAll, multiplier;
  bool truncate = true;
  bool isScaled = true;
  if (!find(rope, {"factor"}) && !isNull(rope, "factor"))
    return missing(rope, "factor");
  // `beta`, `alpha` and `apply_scale` are another publisher's words.
  if (failed(readOriginalLength(rope, original)) ||
      failed(readFactorOrRatio(rope, original, factor)) ||
      failed(readPositiveOrZero(rope, {"beta_fast", "beta"}, fast)) ||
      failed(readPositiveOrZero(rope, {"beta_slow", "alpha"}, slow)) ||
      failed(readPositive(rope, {"attention_factor"}, magnitude)) ||
      failed(readPositiveOrZero(rope, {"mscale"}, mscale)) ||
      failed(readPositiveOrZero(rope, {"mscale_all_dim"}, mscaleAll)) ||
      failed(readPositive(rope, {"attn_factor"}, multiplier)) ||
      failed(readBool(rope, "apply_scale", isScaled)) ||
      failed(readBool(rope, "truncate", truncate)))
    return failure();
  if (fast.value_or(32) < slow.value_or(1))
    return error(rope.keyOf("beta_fast"))
           << "expected at least beta_slow, " << describe(slow.value_or(1))
           << ", but got " << describe(fast.value_or(32));
  if (rotation.base <= 1)
    return error(baseKey) << "expected a base greater than 1 for yarn, but got "
                          << describe(rotation.base);
  rotation.scaling =
      YarnAttr::get(builder.getContext(), number(rotation.base), number(factor),
                    number(original), fast ? number(*fast) : nullptr,
                    slow ? number(*slow) : nullptr, truncate);

  // Several rules are in use for the magnitude; this is the library's, and for
  // `deepseek_yarn` that of the only one that knows it.
  if (type == "deepseek_yarn")
    rotation.magnitude = yarnMagnitude(factor, mscale.value_or(1.0)) /
                         yarnMagnitude(factor, mscaleAll.value_or(0.0)) *
                         multiplier.value_or(1.0);
  else if (magnitude)
    rotation.magnitude = *magnitude;
  else if (isCompress || !isScaled)
    rotation.magnitude = 1.0;
  else if (mscale && mscaleAll)
    rotation.magnitude =
        yarnMagnitude(factor, *mscale) / yarnMagnitude(factor, *mscaleAll);
  else
    rotation.magnitude = yarnMagnitude(factor, 1.0);
  return success();
}

LogicalResult Reader::readLongRope(const HFBlock &rope, HFRotation &rotation) {
  SmallVector<double> shortFactors, longFactors;
  int64_t original;
  double factor;
  std::optional<double> magnitude, shortScale, longScale, unused;
  if (failed(readPositive(rope, {"factor"}, unused)) ||
      failed(requirePositives(rope, "short_factor", rotation.pairs,
                              shortFactors)) ||
      failed(
          requirePositives(rope, "long_factor", rotation.pairs, longFactors)) ||
      failed(readOriginalLength(rope, original)) ||
      failed(readPositive(rope, {"attention_factor"}, magnitude)) ||
      failed(readPositive(rope, {"short_mscale"}, shortScale)) ||
      failed(readPositive(rope, {"long_mscale"}, longScale)))
    return failure();
  if (shortScale.has_value() != longScale.has_value())
    return missing(rope, shortScale ? "long_mscale" : "short_mscale");
  rotation.scaling = LongRopeAttr::get(
      builder.getContext(), builder.getDenseF64ArrayAttr(shortFactors),
      builder.getDenseF64ArrayAttr(longFactors), number(original));
  if (shortScale) {
    rotation.magnitude = *shortScale;
    if (*longScale != *shortScale) {
      rotation.longMagnitude = longScale;
      rotation.longFrom = original;
    }
  } else if (magnitude) {
    rotation.magnitude = *magnitude;
  } else {
    if (failed(readFactorOrRatio(rope, original, factor)))
      return failure();
    if (factor > 1)
      rotation.magnitude =
          std::sqrt(1.0 + std::log(factor) / std::log(double(original)));
  }
  return success();
}

LogicalResult Reader::readLlama3(const HFBlock &rope, HFRotation &rotation) {
  double factor, low, high;
  int64_t original;
  static constexpr StringRef name = "original_max_position_embeddings";
  if (failed(requirePositive(rope, "factor", factor)) ||
      failed(requirePositive(rope, "low_freq_factor", low)) ||
      failed(requirePositive(rope, "high_freq_factor", high)))
    return failure();
  // The maximum is no substitute: the rule compares wavelengths with it.
  if (!find(rope, {name}) && !(isFlat && find(text, {name})))
    return missing(rope, name);
  if (failed(readOriginalLength(rope, original)))
    return failure();
  if (low > high)
    return error(rope.keyOf("low_freq_factor"))
           << "expected at most high_freq_factor, " << describe(high)
           << ", but got " << describe(low);
  rotation.scaling =
      Llama3Attr::get(builder.getContext(), number(factor), number(low),
                      number(high), number(original));
  return success();
}

//===----------------------------------------------------------------------===//
// Position axes
//===----------------------------------------------------------------------===//

/// `requiredKey` is empty where there may be one axis alone.
LogicalResult Reader::readAxes(const HFBlock &rope, StringRef requiredKey,
                               HFRotation &rotation) {
  SmallVector<int64_t> sections;
  HFFound found = find(rope, {"mrope_section", "xdrope_section"});
  std::string key = found ? found.key : rope.keyOf("mrope_section");
  if (found) {
    const json::Array *list = found.value->getAsArray();
    if (!list || list->empty() || list->size() > maxAxes)
      return error(key) << "expected a list of 1 to " << maxAxes
                        << " numbers of pairs, but got "
                        << (list ? std::to_string(list->size())
                                 : describe(*found.value));
    for (auto [i, element] : llvm::enumerate(*list))
      if (failed(toInteger({&element, key + "[" + std::to_string(i) + "]"}, 0,
                           rotation.pairs, sections.emplace_back())))
        return failure();
  } else if (model->sections[0]) {
    llvm::append_range(sections, model->sections);
  } else {
    return requiredKey.empty() ? success() : missing(rope, requiredKey);
  }
  int64_t sum = 0;
  for (int64_t section : sections)
    sum += section;
  if (sum != rotation.pairs)
    return error(key) << "expected sections that sum to the " << rotation.pairs
                      << " rotated pairs, but got " << sum;

  bool isInterleaved = model->sectionOrder == HFSections::interleaved;
  if (failed(readBool(rope, "mrope_interleaved", isInterleaved)))
    return failure();
  bool isHeightWidth = model->sectionOrder == HFSections::heightWidth;
  if ((isInterleaved || isHeightWidth) && sections.size() != 3)
    return error(key) << "expected 3 sections, but got " << sections.size();
  if (isHeightWidth && sections[0] != sections[1])
    return error(key) << "expected a first section as large as the second, "
                      << sections[1] << ", but got " << sections[0];

  // The positions of a token are (time, height, width).
  rotation.axisCount = sections.size();
  rotation.axes.assign(rotation.pairs, 0);
  for (int64_t i = 0, section = 0, end = sections[0]; i < rotation.pairs; ++i) {
    if (isHeightWidth) {
      rotation.axes[i] = i < 2 * sections[0] ? 1 + i % 2 : 0;
    } else if (isInterleaved) {
      rotation.axes[i] = i < 3 * sections[i % 3] ? i % 3 : 0;
    } else {
      while (i == end)
        end += sections[++section];
      rotation.axes[i] = section;
    }
  }
  return success();
}

FailureOr<HFRotations>
rope::readHFRotations(Location loc, const json::Object &root, StringRef dtype) {
  return Reader(loc, root).run(dtype);
}
