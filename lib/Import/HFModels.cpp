//===- HFModels.cpp - what each model type implies ------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "HFModels.h"

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace mlir::rope;

// Full layers turn a part of their pairs, spread over the whole head.
static constexpr const char *proportionalQuarter = R"({
  "full_attention": {"rope_type": "proportional", "rope_theta": 1e6,
                     "partial_rotary_factor": 0.25},
  "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}})";
static constexpr const char *proportionalHalf = R"({
  "full_attention": {"rope_type": "proportional", "rope_theta": 1e6,
                     "partial_rotary_factor": 0.5},
  "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}})";
static constexpr const char *halfInFull = R"({
  "full_attention": {"rope_theta": 5e5, "partial_rotary_factor": 0.5},
  "sliding_attention": {"rope_theta": 1e4}})";

// One line, or a few, for each class of models; types that follow the general
// rules in everything are not listed. Classes that put a de-interleaved result
// out of interleaved pairs are entered as interleaved: queries and keys are
// permuted alike, so that their products, and all that attention makes of
// them, are the same.
static constexpr HFModel models[] = {
    // Half the rotated width apart.
    HFModel("llama").sizes(4096, 32, 0),
    HFModel("mistral ministral").sizes(4096, 32, 8),
    HFModel("ministral3").head(128).sizes(4096, 32, 8),
    HFModel("mixtral").theta(1e6).sizes(4096, 32, 8),
    HFModel("mllama mllama_text_model").theta(5e5).sizes(4096, 32, 8),
    HFModel("gemma").head(256).sizes(3072, 16, 16),
    HFModel("gemma2 vaultgemma").head(256).sizes(2304, 8, 4),
    HFModel("gemma3 gemma3_text")
        .theta(1e6)
        .kinds(HFLayers::fullSliding, 1e4)
        .head(256)
        .sizes(2304, 8, 4),
    HFModel("gemma3n gemma3n_text")
        .theta(1e6)
        .kinds(HFLayers::fullSliding, 1e4)
        .head(256)
        .sizes(2048, 8, 2),
    HFModel("gemma4 gemma4_text gemma4_unified gemma4_unified_text "
            "diffusion_gemma diffusion_gemma_text")
        .parameters(proportionalQuarter)
        .head(256, 512)
        .sizes(2304, 8, 4),
    HFModel("lfm3").parameters(proportionalHalf).head(128),
    HFModel("laguna").parameters(halfInFull).head(128),
    HFModel("mimo_v2_flash")
        .theta(5e6)
        .kinds(HFLayers::fullSliding, 1e4)
        .part(0.334)
        .head(192),
    HFModel("modernbert modernbert-decoder")
        .theta(160000.0)
        .kinds(HFLayers::fullSliding, 1e4)
        .scalesSliding(),
    HFModel("olmo3").theta(5e5).kinds(HFLayers::fullSliding, 0.0),
    HFModel("flex_olmo csm bitnet evolla").theta(5e5),
    HFModel("apertus").theta(1.2e7),
    HFModel("phi3 phi4_multimodal").yarnMeansLongRope().original(4096),
    HFModel("phimoe lfm2 lfm2_moe emu3_text_model cwm minimax").theta(1e6),
    HFModel("minimax_m2").theta(5e6).head(128),
    HFModel("minimax_m3_vl minimax_m3_vl_text").theta(5e6).head(128).rotary(64),
    HFModel("smollm3").theta(2e6),
    HFModel("solar_open").theta(1e6).head(128),
    HFModel("gpt_oss").theta(150000.0).head(64),
    HFModel("hy_v3").theta(11158840.0).head(128),
    HFModel("gte").theta(160000.0),
    HFModel("nomic_bert").theta(1000.0),
    HFModel("jina_embeddings_v3").theta(20000.0),
    HFModel("qwen2").sizes(4096, 32, 32),
    HFModel("qwen3").head(128).sizes(4096, 32, 32),
    HFModel("seed_oss internlm3 iquestcoder dia higgs_audio_v2 afmoe")
        .head(128),
    HFModel("gpt_neox").part(0.25),
    HFModel("stablelm stablelm_epoch").part(0.25),
    HFModel("phi persimmon nemotron bamba recurrent_gemma glm4_moe").part(0.5),
    HFModel("fuyu").theta(25000.0).part(0.5),
    HFModel("qwen3_next").part(0.25).head(256),
    HFModel("nanochat").negated(),
    // The larger model of this type has position biases; only its size tells.
    HFModel("baichuan").withoutAt(5120),

    // Half the rotated width apart, several position axes.
    HFModel("qwen2_vl qwen2_vl_text qwen2_5_vl qwen2_5_vl_text")
        .theta(1e6)
        .axes(HFSections::consecutive, 16, 24, 24)
        .sizes(8192, 64, 8),
    HFModel("qwen2_5_omni qwen2_5_omni_thinker qwen2_5_omni_text")
        .theta(1e6)
        .axes(HFSections::consecutive, 16, 24, 24)
        .sizes(3584, 28, 4),
    HFModel("paddleocr_vl paddleocr_vl_text")
        .theta(5e5)
        .head(128)
        .axes(HFSections::consecutive, 16, 24, 24),
    HFModel("glm4v_moe glm4v_moe_text")
        .part(0.5)
        .axes(HFSections::consecutive, 8, 12, 12),
    HFModel("qwen3_vl qwen3_vl_text")
        .theta(5e5)
        .head(128)
        .axes(HFSections::interleaved, 24, 20, 20)
        .sizes(4096, 32, 32),
    HFModel("qwen3_vl_moe qwen3_vl_moe_text")
        .theta(5e5)
        .axes(HFSections::interleaved, 24, 20, 20)
        .sizes(2048, 16, 16),
    HFModel("qwen3_omni_moe qwen3_omni_moe_thinker qwen3_omni_moe_text")
        .theta(1e6)
        .axes(HFSections::interleaved, 24, 20, 20)
        .sizes(2048, 28, 4),
    HFModel("qwen3_5 qwen3_5_text")
        .part(0.25)
        .head(256)
        .axes(HFSections::interleaved, 11, 11, 10)
        .sizes(4096, 16, 4),
    HFModel("qwen3_5_moe qwen3_5_moe_text")
        .part(0.25)
        .head(256)
        .axes(HFSections::interleaved, 11, 11, 10)
        .sizes(2048, 16, 2),

    // Neighbours.
    HFModel("roformer").neighbours(),
    HFModel("gptj codegen").neighbours().rotary(64),
    HFModel("cohere").neighbours().theta(5e5),
    HFModel("cohere2").neighbours(),
    HFModel("cohere2_moe").neighbours().head(128),
    HFModel("chatglm").neighbours().part(0.5),
    HFModel("glm glm4").neighbours().part(0.5).head(128),
    HFModel("helium").neighbours().theta(1e5).head(128),
    HFModel("llama4 llama4_text")
        .neighbours()
        .theta(5e5)
        .head(128)
        .sizes(5120, 40, 8),
    HFModel("blt blt_local_encoder blt_local_decoder blt_global_transformer "
            "blt_patcher")
        .neighbours()
        .theta(5e5),
    HFModel("moonshine").neighbours().part(0.9),
    HFModel("ernie4_5").neighbours().theta(5e5).head(128),
    HFModel("ernie4_5_moe").neighbours().theta(5e5),
    HFModel("ernie4_5_vl_moe ernie4_5_vl_moe_text ernie4_5_moe_vl")
        .neighbours()
        .theta(5e5)
        .axes(HFSections::heightWidth, 22, 22, 20),
    HFModel("glm4v glm4v_text")
        .neighbours()
        .axes(HFSections::consecutive, 8, 12, 12)
        .sizes(4096, 32, 2),
    HFModel("glm_ocr glm_ocr_text")
        .neighbours()
        .axes(HFSections::consecutive, 8, 12, 12)
        .sizes(1024, 16, 8),

    // Neighbours in the last channels, beside some that carry no position.
    HFModel("deepseek_v2 deepseek_v3 deepseek_v32 kimi_k2 kimi_k25 "
            "glm4_moe_lite glm_moe_dsa mistral4 mistral_large4 "
            "mistral_large4_text youtu axk1 axk2")
        .neighbours(),
    HFModel("bailing_hybrid").neighbours().theta(6e6),
    HFModel("longcat_flash").neighbours().theta(1e7),
    HFModel("deepseek_v4")
        .neighbours()
        .atEnd()
        .kinds(HFLayers::mainCompress, 160000.0)
        .head(512)
        .part(0.125),

    // No rotary embedding, unless `position_embedding_type` says otherwise.
    HFModel("albert bart beit bert big_bird bigbird_pegasus biogpt "
            "blenderbot blenderbot-small blip_text_model bloom camembert "
            "canine clip_text_model clip_vision_model convbert ctrl "
            "data2vec-text deberta deberta-v2 deit distilbert electra ernie "
            "ernie_m falcon_mamba flaubert fnet fsmt funnel gpt-sw3 gpt2 "
            "gpt_bigcode gpt_neo gptsan-japanese hubert imagegpt jamba "
            "kimi_linear layoutlm layoutlmv3 led longformer longt5 lxmert "
            "m2m_100 mamba mamba2 marian mbart megatron-bert mobilebert "
            "mpnet mpt mt5 mvp nemotron_h nezha nllb-moe nystromformer "
            "openai-gpt opt pegasus pegasus_x perceiver plbart prophetnet "
            "qdqbert reformer rembert roberta rwkv rwkv6 rwkv7 "
            "siglip_text_model siglip_vision_model speech_to_text splinter "
            "squeezebert switch_transformers t5 tapas trocr umt5 unispeech "
            "vit wav2vec2 wavlm whisper xglm xlm xlm-prophetnet xlm-roberta "
            "xlm-roberta-xl xlnet xlstm xmod yoso zamba")
        .without(),
};

const HFModel &rope::lookupHFModel(llvm::StringRef modelType) {
  static constexpr HFModel general("");
  for (const HFModel &model : models) {
    SmallVector<StringRef> types;
    llvm::SplitString(model.types, types);
    if (llvm::is_contained(types, modelType))
      return model;
  }
  return general;
}
