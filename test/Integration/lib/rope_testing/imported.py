# Functions of imported modules, as text.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Imported modules are taken apart so that functions of many are compiled
together, which is much faster than one by one."""

import re

from rope_testing.runner import run


def functions(text):
    """The functions of an imported module, by name: each a text without the
    module's aliases of attributes."""
    aliases = dict(re.findall(r"^(#\w+) = (.*)$", text, re.MULTILINE))
    found = re.findall(r"  func\.func @(\w+)(.*?\n  \})", text, re.DOTALL)

    def expand(body):
        return re.sub(r"#\w+\b(?![.<])", lambda m: aliases.get(m.group(), m.group()), body)

    return {name: f"func.func @{name}{expand(rest)}" for name, rest in found}


def import_configuration(path, dtype):
    """The functions of the module of the configuration at `path`."""
    return functions(run("rope-translate", "--import-hf-config", f"--dtype={dtype}", path))


def renamed(text, name):
    """The text of a function, under the name `name`."""
    return re.sub(r"^func\.func @\w+", f"func.func @{name}", text)
