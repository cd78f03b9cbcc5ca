// A program that has no MLIR, or claims to have another one: loads a plugin as
// MLIR does, without being it.

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

struct Info {
  uint32_t apiVersion;
  const char *name, *version;
  void (*callback)(void);
};

#ifdef OTHER_VERSION
void LLVMGetVersion(unsigned *major, unsigned *minor, unsigned *patch) {
  *major = 19;
  *minor = 1;
  *patch = 7;
}
#endif

int main(int argc, char **argv) {
  const char *names[] = {"mlirGetDialectPluginInfo", "mlirGetPassPluginInfo"};
  void *plugin = dlopen(argv[1], RTLD_LAZY | RTLD_GLOBAL);
  if (!plugin) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  for (int i = 0; i < 2; ++i) {
    struct Info (*get)(void) = (struct Info (*)(void))dlsym(plugin, names[i]);
    fprintf(stderr, "%s: version %u\n", names[i], get().apiVersion);
  }
  return 0;
}
