"""Settings of the documentation site: `make docs` builds it into build/site, with every warning an error.

The site's sources are the whole repository's pages (Sphinx is told so with -c), so that links between docs/,
benchmarks/ and runtime/ are the same on the site as in a checkout.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "docs"), str(ROOT), str(ROOT / "runtime")]

from seqc import __version__  # noqa: E402  (of this checkout)

project = "seqc"
author = "The seqc authors"
copyright = "the seqc authors, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton", "building.extension"]
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "benchmarks/*.md",
    "runtime/README.md",
    "models/README.md",
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
]
exclude_patterns = [
    ".git",
    ".venv",
    ".*-environments",
    ".old-runtimes",
    "build",
    "docs/building",
    "out",
    "runtime/seqc_runtime",
    "runtime/tests",
    "seqc",
    "tests",
]

myst_enable_extensions = ["attrs_block", "colon_fence", "deflist"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # the change log's own levels

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_display_short_literal_types = True
python_maximum_signature_line_length = 88
add_module_names = False
smartquotes = False
default_role = "py:obj"
nitpicky = True
# Backticks in docstrings are code, and a link where it is the name of something public.
nitpick_ignore_regex = [("py:obj", ".*")]

html_theme = "furo"
html_title = f"seqc {version}"
html_static_path = ["static"]
html_css_files = ["seqc.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
copybutton_exclude = ".linenos, .gp, .go"
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
