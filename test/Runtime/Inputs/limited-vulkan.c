/* The system's Vulkan with what FAKE_VULKAN says taken away: no-devices,
 * no-features, no-submit, no-memory, or small (tight limits). */
#define VK_NO_PROTOTYPES
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vulkan_core.h>

static PFN_vkGetInstanceProcAddr getInstanceProc;
static PFN_vkGetDeviceProcAddr getDeviceProc;
static PFN_vkGetPhysicalDeviceProperties2 getProperties;

static int is(const char *what) {
  const char *text = getenv("FAKE_VULKAN");
  return text && strcmp(text, what) == 0;
}

static VkResult listNoDevices(VkInstance instance, uint32_t *count,
                              VkPhysicalDevice *devices) {
  (void)instance, (void)devices;
  *count = 0;
  return VK_SUCCESS;
}
static void getNoFeatures(VkPhysicalDevice device,
                          VkPhysicalDeviceFeatures2 *features) {
  (void)device;
  memset(&features->features, 0, sizeof(features->features));
}
static VkResult failSubmit(VkQueue queue, uint32_t count,
                           const VkSubmitInfo *info, VkFence fence) {
  (void)queue, (void)count, (void)info, (void)fence;
  return VK_ERROR_DEVICE_LOST;
}
static VkResult failAllocate(VkDevice device, const VkMemoryAllocateInfo *info,
                             const VkAllocationCallbacks *callbacks,
                             VkDeviceMemory *memory) {
  (void)device, (void)info, (void)callbacks, (void)memory;
  return VK_ERROR_OUT_OF_DEVICE_MEMORY;
}
static void getSmallProperties(VkPhysicalDevice device,
                               VkPhysicalDeviceProperties2 *properties) {
  getProperties(device, properties);
  VkPhysicalDeviceLimits *limits = &properties->properties.limits;
  limits->maxComputeWorkGroupCount[0] = 4;
  limits->maxComputeWorkGroupCount[1] = 3;
  limits->minStorageBufferOffsetAlignment = 256;
  limits->maxStorageBufferRange = 5000;
}

static PFN_vkVoidFunction getDevice(VkDevice device, const char *name) {
  if (is("no-submit") && strcmp(name, "vkQueueSubmit") == 0)
    return (PFN_vkVoidFunction)failSubmit;
  if (is("no-memory") && strcmp(name, "vkAllocateMemory") == 0)
    return (PFN_vkVoidFunction)failAllocate;
  return getDeviceProc(device, name);
}

PFN_vkVoidFunction vkGetInstanceProcAddr(VkInstance instance,
                                         const char *name) {
  if (!getInstanceProc)
    getInstanceProc = (PFN_vkGetInstanceProcAddr)dlsym(
        dlopen("libvulkan.so.1", RTLD_NOW), "vkGetInstanceProcAddr");
  PFN_vkVoidFunction found = getInstanceProc(instance, name);
  if (is("no-devices") && strcmp(name, "vkEnumeratePhysicalDevices") == 0)
    return (PFN_vkVoidFunction)listNoDevices;
  if (is("no-features") && strcmp(name, "vkGetPhysicalDeviceFeatures2") == 0)
    return (PFN_vkVoidFunction)getNoFeatures;
  if (strcmp(name, "vkGetDeviceProcAddr") == 0) {
    getDeviceProc = (PFN_vkGetDeviceProcAddr)found;
    return (PFN_vkVoidFunction)getDevice;
  }
  if (is("small") && strcmp(name, "vkGetPhysicalDeviceProperties2") == 0) {
    getProperties = (PFN_vkGetPhysicalDeviceProperties2)found;
    return (PFN_vkVoidFunction)getSmallProperties;
  }
  return found;
}
