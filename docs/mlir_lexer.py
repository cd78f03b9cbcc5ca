# Colours for MLIR's text.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A lexer of Pygments for MLIR, which has none."""

from pygments.lexer import RegexLexer, words
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Text


class MLIRLexer(RegexLexer):
    name = "MLIR"
    aliases = ["mlir"]
    filenames = ["*.mlir"]
    tokens = {
        "root": [
            (r"\s+", Text),
            (r"//.*", Comment.Single),
            (r'"(\\.|[^"\\])*"', String),
            (r"%[\w$.#-]+|%\d+", Name.Variable),
            (r"@[\w$.]+", Name.Function),
            (r"\^\w+", Name.Label),
            (r"[#!][a-zA-Z_][\w$]*(\.\w+)*", Name.Decorator),
            (r"(tensor|memref|vector|strided|array|dense|affine_map)(?=<)", Keyword.Type),
            # Sizes and the type of elements, as in 4x?x128xbf16.
            (r"(?<=<)((\d+|\?)x)*(index|none|b?f\d+|[su]?i\d+)\b", Keyword.Type),
            (words(("index", "none", "true", "false"), suffix=r"\b"), Keyword.Type),
            (r"(b?f\d+|[su]?i\d+)\b", Keyword.Type),
            (r"-?\d+(\.\d*)?(e[+-]?\d+)?", Number),
            (r"[a-z]\w*(\.\w+)+", Name.Builtin),
            (r"[A-Za-z_]\w*", Keyword.Pseudo),
            (r"->|[=:*+-]", Operator),
            (r".", Punctuation),
        ]
    }
