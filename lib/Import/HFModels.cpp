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
    HFModel("gemma2 vaultgemma")
        .head(256)
        .sizes(2304, 8, 4)
        .sees(HFWindows::mixed, 4096)
        .scaledBy(256.0)
        .capped(50.0),
    HFModel("gemma3 gemma3_text")
        .theta(1e6)
        .kinds(HFLayers::fullSliding, 1e4)
        .head(256)
        .sizes(2304, 8, 4)
        .sees(HFWindows::mixed, 4096)
        .scaledBy(256.0),
    HFModel("gemma3n gemma3n_text")
        .theta(1e6)
        .kinds(HFLayers::fullSliding, 1e4)
        .head(256)
        .sizes(2048, 8, 2)
        .sees(HFWindows::mixed, 512)
        .scaled(1.0),
    HFModel("gemma4 gemma4_text gemma4_unified gemma4_unified_text "
            "diffusion_gemma diffusion_gemma_text")
        .parameters(proportionalQuarter)
        .head(256, 512)
        .sizes(2304, 8, 4)
        .sees(HFWindows::mixed, 512)
        .scaled(1.0),
    HFModel("lfm3").parameters(proportionalHalf).head(128),
    HFModel("laguna")
        .parameters(halfInFull)
        .head(128)
        .sees(HFWindows::mixed, 512),
    HFModel("mimo_v2_flash")
        .theta(5e6)
        .kinds(HFLayers::fullSliding, 1e4)
        .part(0.334)
        .head(192)
        .value(128)
        .sees(HFWindows::mixed, 128)
        .sinks(true, false),
    HFModel("modernbert")
        .theta(160000.0)
        .kinds(HFLayers::fullSliding, 1e4)
        .scalesSliding()
        .looksAhead()
        .sees(HFWindows::mixed, 128),
    HFModel("modernbert-decoder")
        .theta(160000.0)
        .kinds(HFLayers::fullSliding, 1e4)
        .scalesSliding()
        .sees(HFWindows::mixed, 64),
    HFModel("eurobert").theta(250000.0).looksAhead(),
    HFModel("olmo3")
        .theta(5e5)
        .kinds(HFLayers::fullSliding, 0.0)
        .sees(HFWindows::mixed, 4096),
    HFModel("flex_olmo csm bitnet evolla").theta(5e5),
    HFModel("apertus").theta(1.2e7),
    HFModel("phi3 phi4_multimodal").yarnMeansLongRope().original(4096),
    HFModel("phimoe lfm2 lfm2_moe emu3_text_model minimax").theta(1e6),
    HFModel("cwm").theta(1e6).sees(HFWindows::mixed, 8192),
    HFModel("minimax_m2").theta(5e6).head(128),
    HFModel("minimax_m3_vl minimax_m3_vl_text").theta(5e6).head(128).rotary(64),
    HFModel("smollm3").theta(2e6).sees(HFWindows::asked).restsByList(),
    HFModel("solar_open").theta(1e6).head(128),
    HFModel("gpt_oss")
        .theta(150000.0)
        .head(64)
        .sees(HFWindows::mixed, 128)
        .sinks(true, true),
    HFModel("hy_v3").theta(11158840.0).head(128),
    HFModel("gte").theta(160000.0).looksAhead(),
    HFModel("nomic_bert").theta(1000.0).looksAhead(),
    HFModel("jina_embeddings_v3").theta(20000.0).looksAhead(),
    HFModel("qwen2").sizes(4096, 32, 32).sees(HFWindows::asked),
    HFModel("qwen2_moe qwen3_moe").sees(HFWindows::asked),
    HFModel("qwen3").head(128).sizes(4096, 32, 32).sees(HFWindows::asked),
    HFModel("seed_oss internlm3 iquestcoder higgs_audio_v2").head(128),
    HFModel("afmoe").head(128).sees(HFWindows::mixed, 1024).restsInFull(),
    HFModel("exaone4 exaone_moe").sees(HFWindows::mixed, 4096).restsInFull(),
    HFModel("dia").head(128).scaled(1.0),
    HFModel("minicpm3").value(-1),
    HFModel("granite granitemoe granitemoeshared granitemoehybrid").scaled(1.0),
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
        .sizes(8192, 64, 8)
        .sees(HFWindows::asked),
    HFModel("qwen2_5_omni qwen2_5_omni_thinker qwen2_5_omni_text")
        .theta(1e6)
        .axes(HFSections::consecutive, 16, 24, 24)
        .sizes(3584, 28, 4)
        .sees(HFWindows::asked),
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
    HFModel("roformer").neighbours().looksAhead(),
    HFModel("gptj codegen").neighbours().rotary(64),
    HFModel("cohere").neighbours().theta(5e5),
    HFModel("cohere2").neighbours().sees(HFWindows::mixed, 4096).restsInFull(),
    HFModel("cohere2_moe")
        .neighbours()
        .head(128)
        .sees(HFWindows::mixed, 4096)
        .restsInFull(),
    HFModel("chatglm").neighbours().part(0.5),
    HFModel("glm glm4").neighbours().part(0.5).head(128),
    HFModel("helium").neighbours().theta(1e5).head(128),
    HFModel("llama4 llama4_text")
        .neighbours()
        .theta(5e5)
        .head(128)
        .sizes(5120, 40, 8)
        .sees(HFWindows::chunked, 8192)
        .restsByList(),
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
    HFModel("deepseek_v2 deepseek_v3 kimi_k2 kimi_k25 glm4_moe_lite mistral4 "
            "mistral_large4 mistral_large4_text youtu axk1 axk2")
        .neighbours()
        .value(128),
    HFModel("deepseek_v32 glm_moe_dsa").neighbours().value(128).chooses(),
    HFModel("bailing_hybrid").neighbours().theta(6e6).value(128),
    HFModel("longcat_flash").neighbours().theta(1e7).value(128),
    HFModel("deepseek_v4")
        .neighbours()
        .atEnd()
        .kinds(HFLayers::mainCompress, 160000.0)
        .head(512)
        .part(0.125)
        .sees(HFWindows::mixed, 128)
        .sinks(true, true)
        .turnsValues(),

    // No rotary embedding, unless `position_embedding_type` says otherwise.
    HFModel("albert bert big_bird camembert canine convbert data2vec-text "
            "deberta deberta-v2 distilbert electra ernie ernie_m esm flaubert "
            "layoutlm layoutlmv3 longformer megatron-bert mobilebert mpnet "
            "nezha nystromformer qdqbert rembert roberta splinter squeezebert "
            "xlm-roberta xlm-roberta-xl xmod yoso")
        .without()
        .looksAhead(),
    HFModel("bart beit bigbird_pegasus biogpt "
            "blenderbot blenderbot-small blip_text_model bloom "
            "clip_text_model clip_vision_model ctrl deit "
            "falcon_mamba fnet fsmt funnel gpt-sw3 gpt2 "
            "gpt_bigcode gpt_neo gptsan-japanese hubert imagegpt jamba "
            "kimi_linear led longt5 lxmert "
            "m2m_100 mamba mamba2 marian mbart "
            "mpt mt5 mvp nemotron_h nllb-moe "
            "openai-gpt opt pegasus pegasus_x perceiver plbart prophetnet "
            "reformer rwkv rwkv6 rwkv7 "
            "siglip_text_model siglip_vision_model speech_to_text "
            "switch_transformers t5 tapas trocr umt5 unispeech "
            "vit wav2vec2 wavlm whisper xglm xlm xlm-prophetnet "
            "xlnet xlstm zamba")
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
