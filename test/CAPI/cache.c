/* Keeps compiled code in a folder: entries are found again, damaged ones are
 * compiled again and replaced, and processes share the folder.
 *
 * RUN: rm -rf %t.cache && %c_compile %t && %t %t.cache
 */
#define _XOPEN_SOURCE 700
#include "rope-c/Execution.h"
#include "rope-c/Import.h"
#include "testing.h"
#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *folder;
static MlirContext context;

static const char *const sources[] = {
    "func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {\n"
    "  %y = arith.addf %x, %x : tensor<4xf32>\n"
    "  return %y : tensor<4xf32>\n"
    "}\n",
    "func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {\n"
    "  %y = arith.mulf %x, %x : tensor<4xf32>\n"
    "  return %y : tensor<4xf32>\n"
    "}\n"};

/* Compiles source `which` and checks what it computes of 3, 3, 3, 3. Returns
 * whether it came from the cache, or -1 where it is wrong. */
static int compileAndCall(int which, RopeCompileOptions options) {
  MlirModule module = ropeParseModule(context, str(sources[which]), str("f"));
  RopeFunction function = ropeFunctionCompile(module, str("f"), &options);
  mlirModuleDestroy(module);
  if (ropeFunctionIsNull(function))
    return -1;
  float x[4] = {3, 3, 3, 3}, y[4] = {0};
  int64_t size = 4;
  RopeArray in = {x, ROPE_F32, 1, &size, NULL};
  RopeArray out = {y, ROPE_F32, 1, &size, NULL};
  bool ok =
      mlirLogicalResultIsSuccess(ropeFunctionCall(function, 1, &in, 1, &out));
  for (int i = 0; i < 4; ++i)
    ok &= y[i] == (which ? 9 : 6);
  int result = ok ? ropeFunctionIsFromCache(function) : -1;
  ropeFunctionDestroy(function);
  return result;
}

static RopeCompileOptions in(const char *directory) {
  RopeCompileOptions options = ropeCompileOptionsGetDefault();
  options.cacheDirectory = str(directory);
  return options;
}

/* Paths of the entries. */
static int listEntries(char paths[][512], int room) {
  int n = 0;
  DIR *directory = opendir(folder);
  if (!directory)
    return 0;
  for (struct dirent *entry; (entry = readdir(directory));)
    if (!strncmp(entry->d_name, "llvmcache-", 10)) {
      if (n < room)
        snprintf(paths[n], 512, "%s/%s", folder, entry->d_name);
      ++n;
    }
  closedir(directory);
  return n;
}

static void testEntries(void) {
  /* What differs has an entry of its own. */
  RopeCompileOptions options = in(folder), other = options;
  CHECK(compileAndCall(0, options) == 0);
  CHECK(compileAndCall(0, options) == 1);
  CHECK(compileAndCall(1, options) == 0);
  CHECK(compileAndCall(1, options) == 1);
  other.optLevel = 0;
  CHECK(compileAndCall(0, other) == 0);
  other = options;
  other.singleThreaded = true;
  CHECK(compileAndCall(0, other) == 0);
  other = options;
  other.targetFeatures = str("-avx2");
  CHECK(compileAndCall(0, other) == 0);
  CHECK(compileAndCall(0, options) == 1);
  /* Without a folder nothing is kept. */
  other = options;
  other.cacheDirectory = str("");
  CHECK(compileAndCall(0, other) == 0);
  CHECK(compileAndCall(0, other) == 0);

  struct stat status;
  CHECK(stat(folder, &status) == 0);
  /* Nobody else may put code there. */
  CHECK((status.st_mode & 0777) == 0700);
}

static void writeFile(const char *path, const char *data, size_t size) {
  FILE *file = fopen(path, "wb");
  CHECK(file && fwrite(data, 1, size, file) == size);
  if (file)
    fclose(file);
}

static size_t readFile(const char *path, char *data, size_t room) {
  FILE *file = fopen(path, "rb");
  size_t size = file ? fread(data, 1, room, file) : 0;
  if (file)
    fclose(file);
  return size;
}

static void testDamage(void) {
  char paths[16][512];
  static char entry[1 << 20], damaged[1 << 20];
  int n = listEntries(paths, 16);
  CHECK(n == 5);
  /* Whatever is damaged, and however, is found, compiled again and replaced. */
  for (int kind = 0; kind < 8; ++kind) {
    for (int i = 0; i < n && i < 16; ++i) {
      size_t size = readFile(paths[i], entry, sizeof(entry));
      CHECK(size < sizeof(entry));
      /* Damaged before, and not compiled again. */
      if (size < 300)
        continue;
      memcpy(damaged, entry, size);
      switch (kind) {
      case 0: /* Cut off. */
        writeFile(paths[i], damaged, size / 2);
        break;
      case 1: /* Cut off in the checksum. */
        writeFile(paths[i], damaged, 7);
        break;
      case 2: /* Empty. */
        writeFile(paths[i], damaged, 0);
        break;
      case 3: /* One bit of the code. */
        damaged[size - 200] ^= 4;
        writeFile(paths[i], damaged, size);
        break;
      case 4: /* One bit of the checksum. */
        damaged[3] ^= 1;
        writeFile(paths[i], damaged, size);
        break;
      case 5: /* A length that is none. */
        memset(damaged + 32, 0xff, 8);
        writeFile(paths[i], damaged, size);
        break;
      case 6: /* Something behind it. */
        damaged[size] = 0;
        writeFile(paths[i], damaged, size + 1);
        break;
      case 7: /* Zeros. */
        memset(damaged, 0, size);
        writeFile(paths[i], damaged, size);
        break;
      }
    }
    CHECK(compileAndCall(0, in(folder)) == 0);
    CHECK(compileAndCall(0, in(folder)) == 1);
    CHECK(compileAndCall(1, in(folder)) == 0);
    CHECK(compileAndCall(1, in(folder)) == 1);
    CHECK(listEntries(paths, 16) == n);
  }

  /* An entry in the place of another one is not taken for it. */
  size_t size = 0;
  for (int i = 0; i < n && i < 16; ++i) {
    size = readFile(paths[i], entry, sizeof(entry));
    if (i)
      writeFile(paths[i - 1], entry, size);
  }
  if (n)
    writeFile(paths[n - 1], damaged, 0);
  CHECK(compileAndCall(0, in(folder)) == 0);
  CHECK(compileAndCall(1, in(folder)) == 0);
  CHECK(compileAndCall(0, in(folder)) == 1);
  CHECK(compileAndCall(1, in(folder)) == 1);

  /* Not even a file. */
  for (int i = 0; i < n && i < 16; ++i) {
    CHECK(unlink(paths[i]) == 0);
    CHECK(mkdir(paths[i], 0700) == 0);
  }
  CHECK(compileAndCall(0, in(folder)) == 0);
  for (int i = 0; i < n && i < 16; ++i)
    rmdir(paths[i]);
  CHECK(compileAndCall(0, in(folder)) == 0);
  CHECK(compileAndCall(0, in(folder)) == 1);
}

static void testFolders(void) {
  char path[600];
  /* Folders above it are made. */
  snprintf(path, sizeof(path), "%s/a/b", folder);
  CHECK(compileAndCall(0, in(path)) == 0);
  CHECK(compileAndCall(0, in(path)) == 1);
  /* One that cannot be made keeps nothing, and is no error. */
  snprintf(path, sizeof(path), "%s/file", folder);
  writeFile(path, "x", 1);
  strcat(path, "/b");
  forget();
  CHECK(compileAndCall(0, in(path)) == 0);
  CHECK(compileAndCall(0, in(path)) == 0);
  CHECK(numErrors == 0 && numDiagnostics == 0);
}

/* Processes that compile, damage and remove entries at the same time. */
static void testProcesses(void) {
  enum { processes = 3, rounds = 12 };
  char path[600];
  snprintf(path, sizeof(path), "%s/shared", folder);
  folder = path;
  pid_t children[processes];
  for (int p = 0; p < processes; ++p) {
    children[p] = fork();
    CHECK(children[p] >= 0);
    if (children[p])
      continue;
    int wrong = 0;
    for (int round = 0; round < rounds; ++round) {
      char paths[16][512];
      wrong += compileAndCall((p + round) % 2, in(folder)) < 0;
      int n = listEntries(paths, 16);
      if (round % 3 == 0)
        for (int i = 0; i < n && i < 16; ++i) {
          /* The file may be gone by then. */
          if (truncate(paths[i], (p + 1) * 100) == 0 && p == 0)
            unlink(paths[i]);
        }
    }
    _exit(wrong != 0);
  }
  for (int p = 0; p < processes; ++p) {
    int status;
    CHECK(waitpid(children[p], &status, 0) == children[p]);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  compileAndCall(0, in(folder));
  CHECK(compileAndCall(0, in(folder)) == 1);
  /* Nothing that was half written stays. */
  DIR *directory = opendir(folder);
  CHECK(directory);
  for (struct dirent *entry; directory && (entry = readdir(directory));)
    if (entry->d_name[0] != '.' && strncmp(entry->d_name, "llvmcache", 9)) {
      fprintf(stderr, "%s stays\n", entry->d_name);
      ++failures;
    }
  if (directory)
    closedir(directory);
}

int main(int argc, char **argv) {
  if (argc != 2)
    return 1;
  folder = argv[1];
  context = createContext();
  testEntries();
  testDamage();
  testFolders();
  testProcesses();
  mlirContextDestroy(context);
  return finish();
}
