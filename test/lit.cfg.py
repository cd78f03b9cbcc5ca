"""Configuration of the lit tests.

Tools of this project and of LLVM are found by name, the project's own first.
Substitutions:
  %python         a Python with NumPy
  %test_root      this folder
  %rope_root      the source tree
  %rope_lib_dir   where shared libraries and plugins are built
  %rope_prefix    where everything is installed
  %shlibext       the ending of a shared library's name
  %host_cc, %host_cxx  the compilers the project is built with
  %{vulkan}       env that picks Mesa's software Vulkan driver; more may follow
Features:
  host-avx2, host-avx512, host-neon  what this machine can run
  x86-registered-target, ...         what LLVM can generate code for
  instrumented                       a sanitizer is built in: programs without it cannot load the libraries
  lavapipe                           Mesa's software Vulkan driver and SPIRV-Tools are here
  ptxas, spirv-val                   programs that check kernels
  oclgrind                           another, and llvm-spirv-14, which it needs
"""

import glob
import os
import shutil

import lit.formats
import lit.util

config.name = "rope"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test", ".py", ".c"]
# unit is a suite of its own; exports are what test_exports.py runs.
config.excludes = ["Inputs", "unit", "exports", "lit.cfg.py"]
config.test_source_root = os.path.dirname(os.path.abspath(__file__))
config.test_exec_root = os.path.join(config.rope_binary_dir, "test")


def add_to_path(name, *folders):
    old = config.environment.get(name, "")
    config.environment[name] = os.pathsep.join([*folders, old]).strip(os.pathsep)


add_to_path("PATH", config.rope_tools_dir, config.llvm_tools_dir)
# Helper modules of test scripts.
add_to_path("PYTHONPATH", os.path.join(config.test_source_root, "Inputs"))
for name in ["HOME", "TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"]:
    if name in os.environ:
        config.environment[name] = os.environ[name]
# Nothing is written into the source tree.
config.environment["PYTHONDONTWRITEBYTECODE"] = "1"

config.substitutions += [
    ("%python", config.rope_python),
    ("%test_root", config.test_source_root),
    ("%rope_root", config.rope_source_dir),
    ("%rope_lib_dir", config.rope_lib_dir),
    ("%rope_prefix", os.path.join(config.test_exec_root, "prefix")),
    ("%shlibext", config.shlib_suffix),
    ("%host_cxx", config.host_cxx),
    ("%host_cc", config.host_cc),
]


# No device that is here by chance: what the software driver cannot do would
# otherwise be found by others only.
lavapipe = glob.glob("/usr/share/vulkan/icd.d/lvp_icd*.json")
if lavapipe and shutil.which("spirv-as") and shutil.which("spirv-val"):
    config.available_features.add("lavapipe")
    # The second name is that of older loaders.
    config.substitutions.append(
        ("%{vulkan}", f"env VK_DRIVER_FILES={lavapipe[0]} VK_ICD_FILENAMES={lavapipe[0]}"))


def host_flags():
    """The processor's features by the kernel's names."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            for line in info:
                key, _, value = line.partition(":")
                if key.strip() in ("flags", "Features"):
                    return set(value.split())
    except OSError:
        pass
    return set()


flags = host_flags()
if {"avx2", "fma"} <= flags:
    config.available_features.add("host-avx2")
if {"avx512f", "avx512vl", "avx512bw", "avx512dq"} <= flags:
    config.available_features.add("host-avx512")
if {"avx512f", "avx512vl", "avx512_bf16"} <= flags:
    config.available_features.add("host-avx512bf16")
lit_config.note("tiles of AMX: " + ("executed" if "amx_bf16" in flags else "none here, their code is read and refused permission"))
if config.host_arch in ("aarch64", "arm64"):
    config.available_features.add("host-neon")
# PyPI's package has ptxas in a folder of its own.
for folder in glob.glob(os.path.join(os.path.dirname(config.rope_python), "../lib/python*/site-packages/nvidia/*/bin")):
    add_to_path("PATH", os.path.realpath(folder))
for feature, programs in {"ptxas": ["ptxas"], "spirv-val": ["spirv-val", "spirv-dis"],
                          "oclgrind": ["oclgrind", "llvm-spirv-14"]}.items():
    found = [lit.util.which(program, config.environment["PATH"]) for program in programs]
    if all(found):
        config.available_features.add(feature)
    # What runs kernels and checks them here, and what is left out.
    lit_config.note(f"{feature}: {found[0] if all(found) else 'not found, its checks are skipped'}")
lit_config.note(f"software Vulkan driver: {lavapipe[0] if lavapipe else 'not found, its tests are skipped'}")
lit_config.note("GPU: none is used; PTX is interpreted, test/Integration/GPU/on-device tests a device")
for target in config.llvm_targets:
    config.available_features.add(target.lower() + "-registered-target")
if config.rope_sanitize:
    config.available_features.add("instrumented")
if "address" in config.rope_sanitize:
    # LLVM's allocators poison memory in instrumented code; the packaged library,
    # which is not, does not lift it.
    config.environment["ASAN_OPTIONS"] = ":".join(
        filter(None, [os.environ.get("ASAN_OPTIONS"), "allow_user_poisoning=0"]))
