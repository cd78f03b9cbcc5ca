# The site that `make docs` builds.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Configuration of Sphinx. Pages are Markdown, as they are read in the repository
as well; nothing that a browser loads lies outside of the site."""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from mlir_lexer import MLIRLexer

ROOT = pathlib.Path(__file__).resolve().parent.parent

project = "rope-mlir"
release = re.search(r"project\([^)]*VERSION\s+([\d.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
author = project
copyright = "the authors of rope-mlir"  # noqa: A001

extensions = ["myst_parser"]
nitpicky = True
exclude_patterns = ["requirements.txt"]
# The anchors of headings are those that a repository's viewer makes.
myst_heading_anchors = 4

html_theme = "furo"
html_title = project
html_use_index = False
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_static_path = ["static"]
html_css_files = ["site.css"]
pygments_style = "friendly"
pygments_dark_style = "github-dark"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b57a4", "color-brand-content": "#0b57a4"},
    "dark_css_variables": {"color-brand-primary": "#79b8ff", "color-brand-content": "#79b8ff"},
}


def setup(app):
    app.add_lexer("mlir", MLIRLexer)
