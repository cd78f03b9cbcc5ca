//===- VulkanRuntime.cpp - Vulkan 1.1 -------------------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One device with one queue, on which batches of commands run one after the
// other: a batch is what a thread records from begin to end. Device memory is
// known by the address at which the host sees it. One lock guards everything.
//
//===----------------------------------------------------------------------===//

#define VK_NO_PROTOTYPES
#include "GPURuntimeImpl.h"
#include <cinttypes>
#include <climits>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <vulkan/vulkan_core.h>

using namespace rope::gpu;

//===----------------------------------------------------------------------===//
// What is kept
//===----------------------------------------------------------------------===//

#define ROPE_VULKAN_INSTANCE_FUNCTIONS(F)                                      \
  F(vkCreateDevice)                                                            \
  F(vkDestroyInstance)                                                         \
  F(vkEnumerateDeviceExtensionProperties)                                      \
  F(vkEnumeratePhysicalDevices)                                                \
  F(vkGetDeviceProcAddr)                                                       \
  F(vkGetPhysicalDeviceFeatures2)                                              \
  F(vkGetPhysicalDeviceMemoryProperties)                                       \
  F(vkGetPhysicalDeviceProperties2)                                            \
  F(vkGetPhysicalDeviceQueueFamilyProperties)
#define ROPE_VULKAN_DEVICE_FUNCTIONS(F)                                        \
  F(vkAllocateCommandBuffers)                                                  \
  F(vkAllocateDescriptorSets)                                                  \
  F(vkAllocateMemory)                                                          \
  F(vkBeginCommandBuffer)                                                      \
  F(vkBindBufferMemory)                                                        \
  F(vkCmdBindDescriptorSets)                                                   \
  F(vkCmdBindPipeline)                                                         \
  F(vkCmdCopyBuffer)                                                           \
  F(vkCmdDispatch)                                                             \
  F(vkCmdPipelineBarrier)                                                      \
  F(vkCmdPushConstants)                                                        \
  F(vkCreateBuffer)                                                            \
  F(vkCreateCommandPool)                                                       \
  F(vkCreateComputePipelines)                                                  \
  F(vkCreateDescriptorPool)                                                    \
  F(vkCreateDescriptorSetLayout)                                               \
  F(vkCreateFence)                                                             \
  F(vkCreatePipelineLayout)                                                    \
  F(vkCreateShaderModule)                                                      \
  F(vkDestroyBuffer)                                                           \
  F(vkDestroyDescriptorSetLayout)                                              \
  F(vkDestroyDevice)                                                           \
  F(vkDestroyPipelineLayout)                                                   \
  F(vkEndCommandBuffer)                                                        \
  F(vkFreeMemory)                                                              \
  F(vkGetBufferMemoryRequirements)                                             \
  F(vkGetDeviceQueue)                                                          \
  F(vkGetFenceStatus)                                                          \
  F(vkMapMemory)                                                               \
  F(vkQueueSubmit)                                                             \
  F(vkResetDescriptorPool)                                                     \
  F(vkResetFences)                                                             \
  F(vkUpdateDescriptorSets)                                                    \
  F(vkWaitForFences)

namespace {
struct Functions {
#define F(name) PFN_##name name;
  ROPE_VULKAN_INSTANCE_FUNCTIONS(F)
  ROPE_VULKAN_DEVICE_FUNCTIONS(F)
#undef F
};

/// Memory with the buffer that covers it.
struct Block {
  char *host;
  size_t bytes;
  VkBuffer buffer;
  VkDeviceMemory memory;
  /// In a list of blocks that are free, now or once a batch is done.
  Block *next;
};

struct DescriptorPool {
  VkDescriptorPool pool;
  DescriptorPool *next;
};

/// Commands that are recorded, run or may be reused.
struct Batch {
  VkCommandBuffer commands;
  VkFence fence;
  DescriptorPool *pools;
  /// The pool that sets come from; those before it are full.
  DescriptorPool *pool;
  /// What was freed after these commands.
  Block *freed;
  Batch *next;
};

struct Kernel {
  VkPipeline pipeline;
  VkPipelineLayout layout;
  VkDescriptorSetLayout setLayout;
  uint32_t block[3];
};

struct Module {
  VkShaderModule shader;
  AddressMap<Kernel> kernels;
  AddressMap<void *> constants;
};

struct Device {
  void *library;
  VkInstance instance;
  VkPhysicalDevice physical;
  VkDevice device;
  VkQueue queue;
  VkCommandPool commandPool;
  VkPhysicalDeviceProperties properties;
  VkPhysicalDeviceMemoryProperties memory;
  /// What is enabled, and what subgroups can do.
  VkPhysicalDeviceFeatures features;
  VkPhysicalDevice16BitStorageFeatures storage16;
  VkPhysicalDevice8BitStorageFeatures storage8;
  VkPhysicalDeviceShaderFloat16Int8Features float16Int8;
  VkPhysicalDeviceVariablePointersFeatures variablePointers;
  VkPhysicalDeviceSubgroupProperties subgroup;
  Functions vk;

  /// Sorted by address.
  Block **blocks;
  size_t numBlocks, maxBlocks;
  /// Temporary memory for later use.
  Block *cached;
  size_t cachedBytes;
  /// Batches in the order in which they were submitted.
  Batch *pending, *lastPending;
  Batch *idle;
};
} // namespace

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static Device gpu;
static std::atomic<bool> isReady;

/// More temporary memory than this is given back to the driver.
static constexpr size_t maxCachedBytes = size_t(256) << 20;
/// Push constants that every device has; longer lists come in a buffer.
static constexpr int64_t maxPushWords = 32;
static constexpr int64_t maxWords = 256;

static const char *getName(VkResult result) {
  switch (result) {
  case VK_ERROR_OUT_OF_HOST_MEMORY:
    return "the host is out of memory";
  case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    return "the device is out of memory";
  case VK_ERROR_INITIALIZATION_FAILED:
    return "the driver could not be initialised";
  case VK_ERROR_DEVICE_LOST:
    return "the device was lost";
  case VK_ERROR_MEMORY_MAP_FAILED:
    return "memory could not be mapped";
  case VK_ERROR_TOO_MANY_OBJECTS:
    return "there are too many objects";
  case VK_ERROR_INCOMPATIBLE_DRIVER:
    return "there is no driver for Vulkan 1.1";
  case VK_ERROR_EXTENSION_NOT_PRESENT:
    return "an extension is missing";
  case VK_ERROR_FEATURE_NOT_PRESENT:
    return "a feature is missing";
  case VK_ERROR_INVALID_SHADER_NV:
    return "the driver rejects the shader";
  default:
    return "an unknown error";
  }
}

/// Whether a call succeeded; reports where it did not.
static bool check(VkResult result, const char *function) {
  if (result == VK_SUCCESS)
    return true;
  fail("%s failed on the Vulkan device '%s': %s (%d)", function,
       gpu.properties.deviceName, getName(result), result);
  return false;
}

//===----------------------------------------------------------------------===//
// The device
//===----------------------------------------------------------------------===//

static bool hasExtension(VkPhysicalDevice device, const char *name) {
  uint32_t count = 0;
  gpu.vk.vkEnumerateDeviceExtensionProperties(device, nullptr, &count, nullptr);
  auto *list = static_cast<VkExtensionProperties *>(
      calloc(count + 1, sizeof(VkExtensionProperties)));
  if (!list)
    return false;
  gpu.vk.vkEnumerateDeviceExtensionProperties(device, nullptr, &count, list);
  bool found = false;
  for (uint32_t i = 0; i < count; ++i)
    found |= strcmp(list[i].extensionName, name) == 0;
  free(list);
  return found;
}

/// The first queue family that computes; -1 where there is none.
static int findQueueFamily(VkPhysicalDevice device) {
  VkQueueFamilyProperties families[64];
  uint32_t count = 64;
  gpu.vk.vkGetPhysicalDeviceQueueFamilyProperties(device, &count, families);
  for (uint32_t i = 0; i < count; ++i)
    if (families[i].queueCount && families[i].queueFlags & VK_QUEUE_COMPUTE_BIT)
      return static_cast<int>(i);
  return -1;
}

/// What a device lacks; null where it can be used.
static const char *findLack(VkPhysicalDevice device,
                            const VkPhysicalDeviceProperties &properties) {
  if (properties.apiVersion < VK_API_VERSION_1_1)
    return "Vulkan 1.1";
  if (findQueueFamily(device) < 0)
    return "a queue that computes";
  return nullptr;
}

/// Picks the device that ROPE_VULKAN_DEVICE numbers, or else the first that is
/// no processor's, or else the first.
static bool pickDevice() {
  VkPhysicalDevice devices[64];
  uint32_t count = 64;
  VkResult result =
      gpu.vk.vkEnumeratePhysicalDevices(gpu.instance, &count, devices);
  if (result != VK_SUCCESS && result != VK_INCOMPLETE) {
    fail("no Vulkan device was found: vkEnumeratePhysicalDevices failed: %s "
         "(%d)",
         getName(result), result);
    return false;
  }
  if (!count) {
    fail("no Vulkan device was found: the installed drivers list none");
    return false;
  }
  auto getProperties = [](VkPhysicalDevice device) {
    VkPhysicalDeviceProperties2 properties = {};
    properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    gpu.vk.vkGetPhysicalDeviceProperties2(device, &properties);
    return properties.properties;
  };
  const char *wanted = getenv("ROPE_VULKAN_DEVICE");
  uint32_t picked = count;
  if (wanted && *wanted) {
    char *end;
    unsigned long long number = strtoull(wanted, &end, 10);
    if (*end || *wanted == '-' || number >= count) {
      fail("expected a number below %u in ROPE_VULKAN_DEVICE, of that many "
           "Vulkan devices, but got '%s'",
           count, wanted);
      return false;
    }
    picked = static_cast<uint32_t>(number);
  } else {
    for (uint32_t i = 0; i < count; ++i) {
      VkPhysicalDeviceProperties properties = getProperties(devices[i]);
      if (findLack(devices[i], properties))
        continue;
      bool isProcessor = properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
      if (picked == count || !isProcessor)
        picked = i;
      if (!isProcessor)
        break;
    }
    // The reason why it cannot be used is told below.
    if (picked == count)
      picked = 0;
  }
  gpu.physical = devices[picked];
  gpu.properties = getProperties(gpu.physical);
  if (const char *lack = findLack(gpu.physical, gpu.properties)) {
    fail("the Vulkan device '%s' cannot be used: it lacks %s",
         gpu.properties.deviceName, lack);
    return false;
  }
  return true;
}

/// Opens the device with every feature that kernels may use.
static bool openDevice() {
  const char *extensions[2];
  uint32_t numExtensions = 0;
  VkPhysicalDeviceFeatures2 features = {};
  features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
  auto chain = [&](auto &structure, VkStructureType type) {
    memset(&structure, 0, sizeof(structure));
    structure.sType = type;
    structure.pNext = features.pNext;
    features.pNext = &structure;
  };
  chain(gpu.storage16,
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES);
  chain(gpu.variablePointers,
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VARIABLE_POINTERS_FEATURES);
  memset(&gpu.storage8, 0, sizeof(gpu.storage8));
  memset(&gpu.float16Int8, 0, sizeof(gpu.float16Int8));
  if (hasExtension(gpu.physical, VK_KHR_8BIT_STORAGE_EXTENSION_NAME)) {
    extensions[numExtensions++] = VK_KHR_8BIT_STORAGE_EXTENSION_NAME;
    chain(gpu.storage8,
          VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES);
  }
  if (hasExtension(gpu.physical, VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME)) {
    extensions[numExtensions++] = VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME;
    chain(gpu.float16Int8,
          VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES);
  }
  gpu.vk.vkGetPhysicalDeviceFeatures2(gpu.physical, &features);
  // Checks of every access cost time; the others concern images and drawing.
  VkPhysicalDeviceFeatures has = features.features;
  memset(&features.features, 0, sizeof(features.features));
  features.features.shaderFloat64 = has.shaderFloat64;
  features.features.shaderInt64 = has.shaderInt64;
  features.features.shaderInt16 = has.shaderInt16;
  gpu.features = features.features;

  VkPhysicalDeviceProperties2 properties = {};
  properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
  memset(&gpu.subgroup, 0, sizeof(gpu.subgroup));
  gpu.subgroup.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES;
  properties.pNext = &gpu.subgroup;
  gpu.vk.vkGetPhysicalDeviceProperties2(gpu.physical, &properties);
  gpu.vk.vkGetPhysicalDeviceMemoryProperties(gpu.physical, &gpu.memory);

  float priority = 1;
  VkDeviceQueueCreateInfo queue = {};
  queue.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
  queue.queueFamilyIndex = static_cast<uint32_t>(findQueueFamily(gpu.physical));
  queue.queueCount = 1;
  queue.pQueuePriorities = &priority;
  VkDeviceCreateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
  info.pNext = &features;
  info.queueCreateInfoCount = 1;
  info.pQueueCreateInfos = &queue;
  info.enabledExtensionCount = numExtensions;
  info.ppEnabledExtensionNames = extensions;
  if (!check(gpu.vk.vkCreateDevice(gpu.physical, &info, nullptr, &gpu.device),
             "vkCreateDevice"))
    return false;
#define F(name)                                                                \
  gpu.vk.name = reinterpret_cast<PFN_##name>(                                  \
      gpu.vk.vkGetDeviceProcAddr(gpu.device, #name));                          \
  if (!gpu.vk.name) {                                                          \
    failFunction("Vulkan", #name);                                             \
    return false;                                                              \
  }
  ROPE_VULKAN_DEVICE_FUNCTIONS(F)
#undef F
  gpu.vk.vkGetDeviceQueue(gpu.device, queue.queueFamilyIndex, 0, &gpu.queue);
  VkCommandPoolCreateInfo pool = {};
  pool.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
  pool.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT;
  pool.queueFamilyIndex = queue.queueFamilyIndex;
  return check(
      gpu.vk.vkCreateCommandPool(gpu.device, &pool, nullptr, &gpu.commandPool),
      "vkCreateCommandPool");
}

static bool openInstance() {
  static const char *const names[] = {"libvulkan.so.1", "libvulkan.so",
                                      nullptr};
  if (!gpu.library)
    gpu.library =
        openLibrary("ROPE_VULKAN_LIBRARY", names, "no Vulkan driver was found");
  if (!gpu.library)
    return false;
  auto getProc = reinterpret_cast<PFN_vkGetInstanceProcAddr>(
      dlsym(gpu.library, "vkGetInstanceProcAddr"));
  if (!getProc) {
    failFunction("Vulkan", "vkGetInstanceProcAddr");
    return false;
  }
  auto createInstance = reinterpret_cast<PFN_vkCreateInstance>(
      getProc(nullptr, "vkCreateInstance"));
  auto getVersion = reinterpret_cast<PFN_vkEnumerateInstanceVersion>(
      getProc(nullptr, "vkEnumerateInstanceVersion"));
  uint32_t version = VK_API_VERSION_1_0;
  if (getVersion)
    getVersion(&version);
  if (!createInstance || version < VK_API_VERSION_1_1) {
    fail("the Vulkan driver is too old: expected version 1.1, but it has 1.0");
    return false;
  }
  VkApplicationInfo application = {};
  application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
  application.pApplicationName = "rope-mlir";
  application.apiVersion = VK_API_VERSION_1_1;
  VkInstanceCreateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
  info.pApplicationInfo = &application;
  VkResult result = createInstance(&info, nullptr, &gpu.instance);
  if (result != VK_SUCCESS) {
    gpu.instance = nullptr;
    fail("no Vulkan device was found: vkCreateInstance failed: %s (%d)",
         getName(result), result);
    return false;
  }
#define F(name)                                                                \
  gpu.vk.name = reinterpret_cast<PFN_##name>(getProc(gpu.instance, #name));    \
  if (!gpu.vk.name) {                                                          \
    failFunction("Vulkan", #name);                                             \
    return false;                                                              \
  }
  ROPE_VULKAN_INSTANCE_FUNCTIONS(F)
#undef F
  return true;
}

/// Opens what is there when it is first needed. The caller holds the lock.
static bool open() {
  if (isReady.load(std::memory_order_relaxed))
    return true;
  if (openInstance() && pickDevice() && openDevice()) {
    isReady.store(true, std::memory_order_release);
    return true;
  }
  // A later call may find what was missing.
  if (gpu.device && gpu.vk.vkDestroyDevice)
    gpu.vk.vkDestroyDevice(gpu.device, nullptr);
  gpu.device = nullptr;
  if (gpu.instance && gpu.vk.vkDestroyInstance)
    gpu.vk.vkDestroyInstance(gpu.instance, nullptr);
  gpu.instance = nullptr;
  return false;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// The number of blocks that begin at or before the address.
static size_t countBlocksUpTo(const void *address) {
  size_t begin = 0, end = gpu.numBlocks;
  while (begin < end) {
    size_t middle = (begin + end) / 2;
    if (gpu.blocks[middle]->host <= static_cast<const char *>(address))
      begin = middle + 1;
    else
      end = middle;
  }
  return begin;
}

/// The block that holds the address; null where none does.
static Block *findBlock(const void *address) {
  size_t count = countBlocksUpTo(address);
  if (!count)
    return nullptr;
  Block *block = gpu.blocks[count - 1];
  return static_cast<const char *>(address) < block->host + block->bytes
             ? block
             : nullptr;
}

static bool addBlock(Block *block) {
  if (gpu.numBlocks == gpu.maxBlocks) {
    size_t wanted = gpu.maxBlocks ? 2 * gpu.maxBlocks : 64;
    void *blocks = realloc(gpu.blocks, wanted * sizeof(Block *));
    if (!blocks) {
      fail("the host is out of memory");
      return false;
    }
    gpu.blocks = static_cast<Block **>(blocks);
    gpu.maxBlocks = wanted;
  }
  size_t place = countBlocksUpTo(block->host);
  memmove(gpu.blocks + place + 1, gpu.blocks + place,
          (gpu.numBlocks - place) * sizeof(Block *));
  gpu.blocks[place] = block;
  ++gpu.numBlocks;
  return true;
}

/// Gives a block back to the driver. It may be in the table or not.
static void destroyBlock(Block *block) {
  size_t place = countBlocksUpTo(block->host);
  if (block->host && place && gpu.blocks[place - 1] == block) {
    memmove(gpu.blocks + place - 1, gpu.blocks + place,
            (gpu.numBlocks - place) * sizeof(Block *));
    --gpu.numBlocks;
  }
  gpu.vk.vkDestroyBuffer(gpu.device, block->buffer, nullptr);
  gpu.vk.vkFreeMemory(gpu.device, block->memory, nullptr);
  free(block);
}

/// Allocates memory of the type and maps it.
static VkResult allocateMapped(Block &block, VkDeviceSize bytes,
                               uint32_t type) {
  VkMemoryAllocateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
  info.allocationSize = bytes;
  info.memoryTypeIndex = type;
  VkResult result =
      gpu.vk.vkAllocateMemory(gpu.device, &info, nullptr, &block.memory);
  if (result != VK_SUCCESS) {
    block.memory = VK_NULL_HANDLE;
    return result;
  }
  void *host = nullptr;
  result =
      gpu.vk.vkMapMemory(gpu.device, block.memory, 0, VK_WHOLE_SIZE, 0, &host);
  if (result == VK_SUCCESS)
    result =
        gpu.vk.vkBindBufferMemory(gpu.device, block.buffer, block.memory, 0);
  if (result != VK_SUCCESS) {
    gpu.vk.vkFreeMemory(gpu.device, block.memory, nullptr);
    block.memory = VK_NULL_HANDLE;
    return result;
  }
  block.host = static_cast<char *>(host);
  return VK_SUCCESS;
}

static void reap(bool wait);

static void dropCache() {
  while (Block *block = gpu.cached) {
    gpu.cached = block->next;
    destroyBlock(block);
  }
  gpu.cachedBytes = 0;
}

/// A new block; null after a report.
static Block *createBlock(size_t bytes) {
  // Whole words, so that the last one may be read as such.
  uint32_t limit = gpu.properties.limits.maxStorageBufferRange / 4 * 4;
  if (bytes > limit) {
    fail("a buffer of %zu bytes cannot be made: kernels on the Vulkan device "
         "'%s' reach %u bytes of one",
         bytes, gpu.properties.deviceName, limit);
    return nullptr;
  }
  auto *block = create<Block>();
  if (!block)
    return nullptr;
  block->bytes = bytes < 64 ? 64 : (bytes + 3) / 4 * 4;
  VkBufferCreateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  info.size = block->bytes;
  info.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
               VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
               VK_BUFFER_USAGE_TRANSFER_DST_BIT;
  info.sharingMode = VK_SHARING_MODE_EXCLUSIVE;
  if (!check(gpu.vk.vkCreateBuffer(gpu.device, &info, nullptr, &block->buffer),
             "vkCreateBuffer")) {
    free(block);
    return nullptr;
  }
  VkMemoryRequirements needs;
  gpu.vk.vkGetBufferMemoryRequirements(gpu.device, block->buffer, &needs);
  constexpr VkMemoryPropertyFlags visible =
      VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
      VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  constexpr VkMemoryPropertyFlags preferences[] = {
      visible | VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, visible};
  VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
  // The second time after everything was freed that can be.
  for (int round = 0; round < 2 && !block->host; ++round) {
    if (round) {
      reap(/*wait=*/true);
      dropCache();
    }
    for (VkMemoryPropertyFlags wanted : preferences)
      for (uint32_t i = 0; i < gpu.memory.memoryTypeCount && !block->host; ++i)
        if (needs.memoryTypeBits >> i & 1 &&
            (gpu.memory.memoryTypes[i].propertyFlags & wanted) == wanted)
          result = allocateMapped(*block, needs.size, i);
  }
  if (!block->host) {
    fail("a buffer of %zu bytes cannot be made on the Vulkan device '%s': %s "
         "(%d)",
         bytes, gpu.properties.deviceName, getName(result), result);
    destroyBlock(block);
    return nullptr;
  }
  if (!addBlock(block)) {
    destroyBlock(block);
    return nullptr;
  }
  return block;
}

/// Temporary memory, one that was freed where such is there.
static Block *getTemporary(size_t bytes) {
  reap(/*wait=*/false);
  Block **best = nullptr;
  for (Block **link = &gpu.cached; *link; link = &(*link)->next)
    if ((*link)->bytes >= bytes && (*link)->bytes / 4 <= bytes &&
        (!best || (*link)->bytes < (*best)->bytes))
      best = link;
  if (!best)
    return createBlock(bytes);
  Block *block = *best;
  *best = block->next;
  gpu.cachedBytes -= block->bytes;
  return block;
}

static void cacheBlock(Block *block) {
  if (gpu.cachedBytes + block->bytes > maxCachedBytes)
    return destroyBlock(block);
  gpu.cachedBytes += block->bytes;
  block->next = gpu.cached;
  gpu.cached = block;
}

//===----------------------------------------------------------------------===//
// Batches
//===----------------------------------------------------------------------===//

/// Takes back batches that are done, in their order; waits for all on demand.
/// Of a device that is lost nothing is waited for.
static void reap(bool wait) {
  while (Batch *batch = gpu.pending) {
    VkResult result = wait
                          ? gpu.vk.vkWaitForFences(gpu.device, 1, &batch->fence,
                                                   VK_TRUE, UINT64_MAX)
                          : gpu.vk.vkGetFenceStatus(gpu.device, batch->fence);
    if (result == VK_NOT_READY)
      return;
    check(result, wait ? "vkWaitForFences" : "vkGetFenceStatus");
    gpu.pending = batch->next;
    if (!gpu.pending)
      gpu.lastPending = nullptr;
    while (Block *block = batch->freed) {
      batch->freed = block->next;
      cacheBlock(block);
    }
    for (DescriptorPool *pool = batch->pools; pool; pool = pool->next)
      gpu.vk.vkResetDescriptorPool(gpu.device, pool->pool, 0);
    batch->pool = batch->pools;
    gpu.vk.vkResetFences(gpu.device, 1, &batch->fence);
    batch->next = gpu.idle;
    gpu.idle = batch;
  }
}

static Batch *createBatch() {
  auto *batch = create<Batch>();
  if (!batch)
    return nullptr;
  VkCommandBufferAllocateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
  info.commandPool = gpu.commandPool;
  info.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
  info.commandBufferCount = 1;
  VkFenceCreateInfo fence = {};
  fence.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO;
  if (check(
          gpu.vk.vkAllocateCommandBuffers(gpu.device, &info, &batch->commands),
          "vkAllocateCommandBuffers") &&
      check(gpu.vk.vkCreateFence(gpu.device, &fence, nullptr, &batch->fence),
            "vkCreateFence"))
    return batch;
  free(batch);
  return nullptr;
}

/// The batch that the session records; null after a report.
static Batch *getBatch(Session &session) {
  if (session.state)
    return static_cast<Batch *>(session.state);
  reap(/*wait=*/false);
  Batch *batch = gpu.idle;
  if (batch)
    gpu.idle = batch->next;
  else if (!(batch = createBatch()))
    return nullptr;
  batch->next = nullptr;
  VkCommandBufferBeginInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
  info.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
  if (!check(gpu.vk.vkBeginCommandBuffer(batch->commands, &info),
             "vkBeginCommandBuffer")) {
    batch->next = gpu.idle;
    gpu.idle = batch;
    return nullptr;
  }
  session.state = batch;
  return batch;
}

/// Lets what comes after see what was written before, in earlier batches too.
static void addBarrier(Batch &batch, VkPipelineStageFlags stage,
                       VkAccessFlags access) {
  VkMemoryBarrier barrier = {};
  barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
  barrier.srcAccessMask =
      VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
  barrier.dstAccessMask = access;
  gpu.vk.vkCmdPipelineBarrier(batch.commands,
                              VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT |
                                  VK_PIPELINE_STAGE_TRANSFER_BIT,
                              stage, 0, 1, &barrier, 0, nullptr, 0, nullptr);
}

static void addBarrier(Batch &batch) {
  addBarrier(batch,
             VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT |
                 VK_PIPELINE_STAGE_TRANSFER_BIT,
             VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT |
                 VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT);
}

/// Submits what the session has recorded.
static void submit(Session &session) {
  auto *batch = static_cast<Batch *>(session.state);
  if (!batch)
    return;
  session.state = nullptr;
  addBarrier(*batch, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
  VkSubmitInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
  info.commandBufferCount = 1;
  info.pCommandBuffers = &batch->commands;
  if (!check(gpu.vk.vkEndCommandBuffer(batch->commands),
             "vkEndCommandBuffer") ||
      !check(gpu.vk.vkQueueSubmit(gpu.queue, 1, &info, batch->fence),
             "vkQueueSubmit"))
    // It is out of use for good, and its memory with it.
    return;
  if (gpu.lastPending)
    gpu.lastPending->next = batch;
  else
    gpu.pending = batch;
  gpu.lastPending = batch;
}

/// Waits for all that was queued, by this thread's open session too.
static void finish() {
  if (Session *open = getOpenSession(getVulkanBackend()))
    submit(*open);
  reap(/*wait=*/true);
}

static void copyToBlock(Session &session, Block &to, size_t offset,
                        const void *data, size_t bytes) {
  Block *staging = getTemporary(bytes);
  if (!staging)
    return;
  Batch *batch = getBatch(session);
  if (!batch)
    return cacheBlock(staging);
  memcpy(staging->host, data, bytes);
  staging->next = batch->freed;
  batch->freed = staging;
  addBarrier(*batch);
  VkBufferCopy region = {0, offset, bytes};
  gpu.vk.vkCmdCopyBuffer(batch->commands, staging->buffer, to.buffer, 1,
                         &region);
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

namespace {
/// The words of a module, and a walk over its instructions.
struct Spirv {
  const uint32_t *words;
  size_t count;

  /// Calls `visit(opcode, operands, number)` until it returns false. Returns
  /// whether the module is well formed up to there.
  template <typename Visit>
  bool walk(Visit visit) const {
    for (size_t i = 5; i < count;) {
      size_t length = words[i] >> 16;
      if (!length || length > count - i)
        return false;
      if (!visit(words[i] & 0xffff, words + i + 1, length - 1))
        return true;
      i += length;
    }
    return true;
  }
};

struct Capability {
  uint32_t number;
  const char *name;
  bool has;
};
} // namespace

enum : uint32_t {
  opEntryPoint = 15,
  opExecutionMode = 16,
  opCapability = 17,
  opFunction = 54,
  modeLocalSize = 17,
};

/// Whether the device can run a module; reports what it lacks.
static bool checkCapabilities(const Spirv &spirv) {
  auto subgroups = [](VkSubgroupFeatureFlags operation) {
    return gpu.subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT &&
           gpu.subgroup.supportedOperations & operation;
  };
  const Capability capabilities[] = {
      {0, "Matrix", true},
      {1, "Shader", true},
      {9, "Float16", gpu.float16Int8.shaderFloat16 != 0},
      {10, "Float64", gpu.features.shaderFloat64 != 0},
      {11, "Int64", gpu.features.shaderInt64 != 0},
      {22, "Int16", gpu.features.shaderInt16 != 0},
      {39, "Int8", gpu.float16Int8.shaderInt8 != 0},
      {61, "GroupNonUniform", subgroups(VK_SUBGROUP_FEATURE_BASIC_BIT)},
      {62, "GroupNonUniformVote", subgroups(VK_SUBGROUP_FEATURE_VOTE_BIT)},
      {63, "GroupNonUniformArithmetic",
       subgroups(VK_SUBGROUP_FEATURE_ARITHMETIC_BIT)},
      {64, "GroupNonUniformBallot", subgroups(VK_SUBGROUP_FEATURE_BALLOT_BIT)},
      {65, "GroupNonUniformShuffle",
       subgroups(VK_SUBGROUP_FEATURE_SHUFFLE_BIT)},
      {66, "GroupNonUniformShuffleRelative",
       subgroups(VK_SUBGROUP_FEATURE_SHUFFLE_RELATIVE_BIT)},
      {67, "GroupNonUniformClustered",
       subgroups(VK_SUBGROUP_FEATURE_CLUSTERED_BIT)},
      {68, "GroupNonUniformQuad", subgroups(VK_SUBGROUP_FEATURE_QUAD_BIT)},
      {4433, "StorageBuffer16BitAccess",
       gpu.storage16.storageBuffer16BitAccess != 0},
      {4434, "UniformAndStorageBuffer16BitAccess",
       gpu.storage16.uniformAndStorageBuffer16BitAccess != 0},
      {4435, "StoragePushConstant16", gpu.storage16.storagePushConstant16 != 0},
      {4441, "VariablePointersStorageBuffer",
       gpu.variablePointers.variablePointersStorageBuffer != 0},
      {4442, "VariablePointers", gpu.variablePointers.variablePointers != 0},
      {4448, "StorageBuffer8BitAccess",
       gpu.storage8.storageBuffer8BitAccess != 0},
      {4449, "UniformAndStorageBuffer8BitAccess",
       gpu.storage8.uniformAndStorageBuffer8BitAccess != 0},
      {4450, "StoragePushConstant8", gpu.storage8.storagePushConstant8 != 0},
  };
  bool isSupported = true;
  bool isWellFormed =
      spirv.walk([&](uint32_t opcode, const uint32_t *operands, size_t number) {
        if (opcode != opCapability || !number)
          return opcode != opFunction;
        for (const Capability &capability : capabilities)
          if (capability.number == operands[0]) {
            if (capability.has)
              return true;
            fail("the kernels need %s, which the Vulkan device '%s' lacks",
                 capability.name, gpu.properties.deviceName);
            return isSupported = false;
          }
        fail("the kernels need the SPIR-V capability %u, which the runtime "
             "does not enable",
             operands[0]);
        return isSupported = false;
      });
  if (!isWellFormed)
    fail("the kernels are not well-formed SPIR-V");
  return isWellFormed && isSupported;
}

static Module *loadModule(rope_gpu_module *source) {
  if (auto *module = getState<Module>(source))
    return module;
  auto bytes = static_cast<size_t>(source->image_bytes);
  // The image may lie at any address.
  auto *words = static_cast<uint32_t *>(malloc(bytes + 4));
  if (!words) {
    fail("the host is out of memory");
    return nullptr;
  }
  memcpy(words, source->image, bytes);
  Spirv spirv = {words, bytes / 4};
  Module *module = nullptr;
  VkShaderModule shader = VK_NULL_HANDLE;
  if (spirv.count < 5 || bytes % 4 || words[0] != 0x07230203) {
    fail("the kernels are not SPIR-V");
  } else if (words[1] > 0x00010300) {
    fail("the kernels are SPIR-V %u.%u: the runtime opens Vulkan 1.1, which "
         "takes SPIR-V up to 1.3",
         words[1] >> 16 & 0xff, words[1] >> 8 & 0xff);
  } else if (checkCapabilities(spirv)) {
    VkShaderModuleCreateInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
    info.codeSize = bytes;
    info.pCode = words;
    if (check(gpu.vk.vkCreateShaderModule(gpu.device, &info, nullptr, &shader),
              "vkCreateShaderModule"))
      module = create<Module>();
  }
  free(words);
  if (!module)
    return nullptr;
  module->shader = shader;
  setState(source, module);
  return module;
}

/// Finds the entry point and the size of its blocks; reports where there is
/// none.
static bool findKernel(const rope_gpu_module &module, const char *name,
                       uint32_t block[3]) {
  auto bytes = static_cast<size_t>(module.image_bytes);
  auto *words = static_cast<uint32_t *>(malloc(bytes));
  if (!words) {
    fail("the host is out of memory");
    return false;
  }
  memcpy(words, module.image, bytes);
  Spirv spirv = {words, bytes / 4};
  uint32_t id = 0;
  block[0] = block[1] = block[2] = 1;
  // Modes stand after all entry points. A string ends within its words where a
  // module is valid; it is not read beyond them.
  spirv.walk([&](uint32_t opcode, const uint32_t *operands, size_t number) {
    if (opcode == opEntryPoint && number > 2 &&
        strnlen(name, (number - 2) * 4) < (number - 2) * 4 &&
        strncmp(reinterpret_cast<const char *>(operands + 2), name,
                (number - 2) * 4) == 0)
      id = operands[1];
    if (opcode == opExecutionMode && number >= 5 && id && operands[0] == id &&
        operands[1] == modeLocalSize)
      memcpy(block, operands + 2, 3 * sizeof(uint32_t));
    return opcode != opFunction;
  });
  free(words);
  if (!id)
    fail("the module has no kernel '%s'", name);
  return id;
}

/// Words after the bindings: how far each pointer lies in its own, the numbers,
/// the number of blocks.
static int64_t countWords(const Launch &launch) {
  return launch.numBuffers + launch.numScalars + 1;
}

/// Creates the pipeline of a kernel; null after a report.
static Kernel *createKernel(Module &module, const Launch &launch,
                            size_t shape) {
  Kernel kernel = {};
  if (!findKernel(*launch.module, launch.kernel, kernel.block))
    return nullptr;
  const VkPhysicalDeviceLimits &limits = gpu.properties.limits;
  int64_t threads = 1;
  for (int i = 0; i < 3; ++i) {
    threads *= kernel.block[i];
    if (kernel.block[i] > limits.maxComputeWorkGroupSize[i] ||
        threads > limits.maxComputeWorkGroupInvocations) {
      fail("kernel '%s' runs in blocks of %u x %u x %u threads: the Vulkan "
           "device '%s' takes up to %u x %u x %u, and %u in all",
           launch.kernel, kernel.block[0], kernel.block[1], kernel.block[2],
           gpu.properties.deviceName, limits.maxComputeWorkGroupSize[0],
           limits.maxComputeWorkGroupSize[1], limits.maxComputeWorkGroupSize[2],
           limits.maxComputeWorkGroupInvocations);
      return nullptr;
    }
  }
  int64_t words = countWords(launch);
  auto numBindings =
      static_cast<uint32_t>(launch.numBuffers) + (words > maxPushWords ? 1 : 0);
  if (numBindings > limits.maxPerStageDescriptorStorageBuffers ||
      numBindings > maxWords) {
    fail("kernel '%s' has %u buffers: the Vulkan device '%s' takes %u",
         launch.kernel, numBindings, gpu.properties.deviceName,
         limits.maxPerStageDescriptorStorageBuffers);
    return nullptr;
  }
  VkDescriptorSetLayoutBinding bindings[maxWords];
  for (uint32_t i = 0; i < numBindings; ++i)
    bindings[i] = {i, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1,
                   VK_SHADER_STAGE_COMPUTE_BIT, nullptr};
  VkDescriptorSetLayoutCreateInfo setInfo = {};
  setInfo.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO;
  setInfo.bindingCount = numBindings;
  setInfo.pBindings = bindings;
  VkPushConstantRange range = {VK_SHADER_STAGE_COMPUTE_BIT, 0,
                               static_cast<uint32_t>(words) * 4};
  VkPipelineLayoutCreateInfo layoutInfo = {};
  layoutInfo.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
  layoutInfo.setLayoutCount = 1;
  layoutInfo.pSetLayouts = &kernel.setLayout;
  layoutInfo.pushConstantRangeCount = words > maxPushWords ? 0 : 1;
  layoutInfo.pPushConstantRanges = &range;
  VkComputePipelineCreateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
  info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
  info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
  info.stage.module = module.shader;
  info.stage.pName = launch.kernel;
  if (!check(gpu.vk.vkCreateDescriptorSetLayout(gpu.device, &setInfo, nullptr,
                                                &kernel.setLayout),
             "vkCreateDescriptorSetLayout"))
    return nullptr;
  if (check(gpu.vk.vkCreatePipelineLayout(gpu.device, &layoutInfo, nullptr,
                                          &kernel.layout),
            "vkCreatePipelineLayout")) {
    info.layout = kernel.layout;
    if (check(gpu.vk.vkCreateComputePipelines(gpu.device, VK_NULL_HANDLE, 1,
                                              &info, nullptr, &kernel.pipeline),
              "vkCreateComputePipelines"))
      return module.kernels.insert(launch.kernel, kernel, shape);
    gpu.vk.vkDestroyPipelineLayout(gpu.device, kernel.layout, nullptr);
  }
  gpu.vk.vkDestroyDescriptorSetLayout(gpu.device, kernel.setLayout, nullptr);
  return nullptr;
}

/// A set of the layout; null after a report.
static VkDescriptorSet allocateSet(Batch &batch, VkDescriptorSetLayout layout) {
  VkDescriptorSetAllocateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO;
  info.descriptorSetCount = 1;
  info.pSetLayouts = &layout;
  for (;;) {
    bool isNew = !batch.pool;
    if (isNew) {
      constexpr uint32_t sets = 64;
      VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                   sets * 16};
      VkDescriptorPoolCreateInfo poolInfo = {};
      poolInfo.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
      poolInfo.maxSets = sets;
      poolInfo.poolSizeCount = 1;
      poolInfo.pPoolSizes = &size;
      auto *pool = create<DescriptorPool>();
      if (!pool)
        return VK_NULL_HANDLE;
      if (!check(gpu.vk.vkCreateDescriptorPool(gpu.device, &poolInfo, nullptr,
                                               &pool->pool),
                 "vkCreateDescriptorPool")) {
        free(pool);
        return VK_NULL_HANDLE;
      }
      // At the end of the list: those before are full.
      DescriptorPool **link = &batch.pools;
      while (*link)
        link = &(*link)->next;
      *link = batch.pool = pool;
    }
    info.descriptorPool = batch.pool->pool;
    VkDescriptorSet set = VK_NULL_HANDLE;
    VkResult result = gpu.vk.vkAllocateDescriptorSets(gpu.device, &info, &set);
    if (result == VK_SUCCESS)
      return set;
    if (isNew || (result != VK_ERROR_OUT_OF_POOL_MEMORY &&
                  result != VK_ERROR_FRAGMENTED_POOL)) {
      check(result, "vkAllocateDescriptorSets");
      return VK_NULL_HANDLE;
    }
    batch.pool = batch.pool->next;
  }
}

/// Memory that stands for arrays without elements.
static Block *getEmptyBlock() {
  static Block *empty;
  if (!empty)
    empty = createBlock(0);
  return empty;
}

/// Fills in the binding of a pointer, and how far behind its start it lies.
static bool bind(const Launch &launch, int64_t index,
                 VkDescriptorBufferInfo &info, uint32_t &residue) {
  auto *address = static_cast<const char *>(launch.buffers[index]);
  Block *block = address ? findBlock(address) : getEmptyBlock();
  // Nothing is read at the end of a block.
  if (!block && address)
    if (Block *before = findBlock(address - 1);
        before && address == before->host + before->bytes)
      block = getEmptyBlock();
  if (!block) {
    fail("buffer %" PRId64 " of kernel '%s', at %p, is no memory of the Vulkan "
         "device: rope_gpu_malloc makes such",
         index, launch.kernel, static_cast<const void *>(address));
    return false;
  }
  VkDeviceSize offset = 0;
  if (address >= block->host && address < block->host + block->bytes)
    offset = static_cast<VkDeviceSize>(address - block->host);
  residue = static_cast<uint32_t>(
      offset % gpu.properties.limits.minStorageBufferOffsetAlignment);
  info = {block->buffer, offset - residue, VK_WHOLE_SIZE};
  return true;
}

/// Fills in the words that a kernel reads.
static bool writeWords(const Launch &launch, uint32_t *words) {
  for (int64_t i = 0; i < launch.numScalars; ++i) {
    int64_t value = launch.scalars[i];
    if (value < INT32_MIN || value > INT32_MAX) {
      fail("number %" PRId64 " of kernel '%s' is %" PRId64
           ", which does not fit in the 32 bits that Vulkan kernels count with",
           i, launch.kernel, value);
      return false;
    }
    *words++ = static_cast<uint32_t>(value);
  }
  *words = static_cast<uint32_t>(launch.grid[0]);
  return true;
}

/// Folds a long grid into rows: kernels count blocks row by row and skip those
/// that are too many.
static bool foldGrid(const Launch &launch, uint32_t &columns, uint32_t &rows) {
  const uint32_t *limit = gpu.properties.limits.maxComputeWorkGroupCount;
  int64_t blocks = launch.grid[0];
  if (launch.grid[1] != 1 || launch.grid[2] != 1 ||
      (blocks + limit[0] - 1) / limit[0] > limit[1]) {
    fail("kernel '%s' cannot run on a grid of %" PRId64 " x %" PRId64
         " x %" PRId64 " blocks: the Vulkan device '%s' takes %" PRIu64
         " in one dimension",
         launch.kernel, blocks, launch.grid[1], launch.grid[2],
         gpu.properties.deviceName,
         uint64_t(limit[0]) * limit[1] < INT32_MAX
             ? uint64_t(limit[0]) * limit[1]
             : INT32_MAX);
    return false;
  }
  rows = static_cast<uint32_t>((blocks + limit[0] - 1) / limit[0]);
  columns = static_cast<uint32_t>((blocks + rows - 1) / rows);
  return true;
}

static void launchKernel(Session &session, const Launch &launch) {
  Module *module = loadModule(launch.module);
  if (!module)
    return;
  int64_t words = countWords(launch);
  if (words > maxWords)
    return fail("kernel '%s' has %" PRId64
                " parameters: the runtime takes at most %" PRId64,
                launch.kernel, words - 1, maxWords - 1);
  auto shape = static_cast<size_t>(launch.numBuffers * maxWords * 2 + words);
  Kernel *kernel = module->kernels.find(launch.kernel, shape);
  if (!kernel && !(kernel = createKernel(*module, launch, shape)))
    return;
  for (int i = 0; i < 3; ++i)
    if (launch.block[i] != kernel->block[i])
      return fail(
          "kernel '%s' was compiled for blocks of %u x %u x %u "
          "threads, but launched with %" PRId64 " x %" PRId64 " x %" PRId64,
          launch.kernel, kernel->block[0], kernel->block[1], kernel->block[2],
          launch.block[0], launch.block[1], launch.block[2]);
  uint32_t columns, rows, values[maxWords];
  VkDescriptorBufferInfo buffers[maxWords];
  VkWriteDescriptorSet writes[maxWords];
  if (!foldGrid(launch, columns, rows) ||
      !writeWords(launch, values + launch.numBuffers))
    return;
  for (int64_t i = 0; i < launch.numBuffers; ++i)
    if (!bind(launch, i, buffers[i], values[i]))
      return;
  Batch *batch = getBatch(session);
  if (!batch)
    return;
  auto numBindings = static_cast<uint32_t>(launch.numBuffers);
  if (words > maxPushWords) {
    Block *list = getTemporary(words * 4);
    if (!list)
      return;
    memcpy(list->host, values, words * 4);
    list->next = batch->freed;
    batch->freed = list;
    buffers[numBindings++] = {list->buffer, 0, VK_WHOLE_SIZE};
  }
  VkDescriptorSet set = VK_NULL_HANDLE;
  if (numBindings && !(set = allocateSet(*batch, kernel->setLayout)))
    return;
  for (uint32_t i = 0; i < numBindings; ++i) {
    writes[i] = {};
    writes[i].sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
    writes[i].dstSet = set;
    writes[i].dstBinding = i;
    writes[i].descriptorCount = 1;
    writes[i].descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
    writes[i].pBufferInfo = &buffers[i];
  }
  gpu.vk.vkUpdateDescriptorSets(gpu.device, numBindings, writes, 0, nullptr);
  addBarrier(*batch);
  gpu.vk.vkCmdBindPipeline(batch->commands, VK_PIPELINE_BIND_POINT_COMPUTE,
                           kernel->pipeline);
  if (set)
    gpu.vk.vkCmdBindDescriptorSets(batch->commands,
                                   VK_PIPELINE_BIND_POINT_COMPUTE,
                                   kernel->layout, 0, 1, &set, 0, nullptr);
  if (words <= maxPushWords)
    gpu.vk.vkCmdPushConstants(batch->commands, kernel->layout,
                              VK_SHADER_STAGE_COMPUTE_BIT, 0,
                              static_cast<uint32_t>(words) * 4, values);
  gpu.vk.vkCmdDispatch(batch->commands, columns, rows, 1);
}

//===----------------------------------------------------------------------===//
// The backend
//===----------------------------------------------------------------------===//

static bool begin(Session &session) {
  session.state = nullptr;
  if (session.stream) {
    fail("Vulkan has one stream only: expected null for it");
    return false;
  }
  if (isReady.load(std::memory_order_acquire))
    return true;
  Lock lock(mutex);
  return open();
}

static void end(Session &session) {
  if (!session.state)
    return;
  Lock lock(mutex);
  submit(session);
}

static void launch(Session &session, const Launch &launch) {
  Lock lock(mutex);
  launchKernel(session, launch);
}

static void *constant(Session &session, rope_gpu_module *source,
                      const void *data, size_t bytes) {
  Lock lock(mutex);
  Module *module = loadModule(source);
  if (!module)
    return nullptr;
  if (void **known = module->constants.find(data, bytes))
    return *known;
  Block *block = createBlock(bytes);
  if (!block)
    return nullptr;
  memcpy(block->host, data, bytes);
  if (!module->constants.insert(data, block->host, bytes))
    return nullptr;
  return block->host;
}

static void *allocInOrder(Session &session, size_t bytes) {
  Lock lock(mutex);
  Block *block = getTemporary(bytes);
  return block ? block->host : nullptr;
}

/// The block that begins at the address; null after a report.
static Block *getBlock(const void *memory) {
  Block *block = findBlock(memory);
  if (block && block->host == memory)
    return block;
  fail("%p is no memory of the Vulkan device that could be freed", memory);
  return nullptr;
}

static void freeInOrder(Session &session, void *memory) {
  Lock lock(mutex);
  Block *block = getBlock(memory);
  if (!block)
    return;
  // Batches run in their order: what uses it is done with the last one.
  auto *batch = static_cast<Batch *>(session.state);
  if (!batch)
    batch = gpu.lastPending;
  if (!batch)
    return cacheBlock(block);
  block->next = batch->freed;
  batch->freed = block;
}

/// The block that holds all bytes from an address on; null after a report.
static Block *getBlockOf(const void *memory, size_t bytes) {
  Block *block = findBlock(memory);
  if (!block) {
    fail("%p is no memory of the Vulkan device", memory);
    return nullptr;
  }
  size_t rest = block->host + block->bytes - static_cast<const char *>(memory);
  if (bytes <= rest)
    return block;
  fail("%zu bytes cannot be copied: %zu are left in the buffer at %p", bytes,
       rest, memory);
  return nullptr;
}

static void upload(Session &session, void *memory, const void *data,
                   size_t bytes) {
  Lock lock(mutex);
  if (Block *block = getBlockOf(memory, bytes))
    copyToBlock(session, *block, static_cast<char *>(memory) - block->host,
                data, bytes);
}

static void *allocate(Session &session, size_t bytes) {
  Lock lock(mutex);
  Block *block = createBlock(bytes);
  return block ? block->host : nullptr;
}

static void release(Session &session, void *memory) {
  Lock lock(mutex);
  Block *block = getBlock(memory);
  if (!block)
    return;
  finish();
  destroyBlock(block);
}

static void write(Session &session, void *memory, const void *data,
                  size_t bytes) {
  Lock lock(mutex);
  if (!getBlockOf(memory, bytes))
    return;
  finish();
  memcpy(memory, data, bytes);
}

static void read(Session &session, void *data, const void *memory,
                 size_t bytes) {
  Lock lock(mutex);
  if (!getBlockOf(memory, bytes))
    return;
  finish();
  if (!hasFailed())
    memcpy(data, memory, bytes);
}

static void synchronize(Session &session) {
  Lock lock(mutex);
  finish();
}

static void describe(Session &session, char *name, size_t nameBytes, char *chip,
                     size_t chipBytes) {
  snprintf(name, nameBytes, "%s", gpu.properties.deviceName);
  snprintf(chip, chipBytes, "vulkan1.1");
}

static constexpr Backend backend = {
    "Vulkan", begin,    end,     launch, constant, allocInOrder, freeInOrder,
    upload,   allocate, release, write,  read,     synchronize,  describe,
};

const Backend *rope::gpu::getVulkanBackend() { return &backend; }
