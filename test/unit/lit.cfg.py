"""Configuration of the unit tests: every program here whose name ends in Tests."""

import os

import lit.formats

config.name = "rope-unit"
config.test_format = lit.formats.GoogleTest(".", "Tests")
config.suffixes = []
config.test_source_root = config.unit_binary_dir
config.test_exec_root = config.unit_binary_dir
for name in ["HOME", "TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"]:
    if name in os.environ:
        config.environment[name] = os.environ[name]
if "address" in config.rope_sanitize:
    # See the lit tests' configuration.
    config.environment["ASAN_OPTIONS"] = ":".join(
        filter(None, [os.environ.get("ASAN_OPTIONS"), "allow_user_poisoning=0"]))
