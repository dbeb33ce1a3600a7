"""The site of the documents: `make docs`."""

import importlib.metadata
import re

project = "cnnjax"
author = copyright = "The cnnjax authors"
release = importlib.metadata.version("cnnjax")

extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["pictures"]

# In docstrings as in the documents, `x` is code.
default_role = "code"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# What a package takes from its files stands on their pages, once.
autodoc_default_options = {"member-order": "bysource", "ignore-module-all": True}
autodoc_default_options["exclude-members"] = "bias_init, kernel_init, parent, name"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
apidoc_modules = [
    {
        "path": "../cnnjax",
        "destination": "api",
        "exclude_patterns": ["../cnnjax/__main__.py", "../cnnjax/transfer/hdf5_child.py"],
        "separate_modules": True,
        "module_first": True,
        "include_private": False,
        "automodule_options": {"members"},
    }
]

# A field of a record is no link: several records have one of the same name.
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = "cnnjax"
html_copy_source = False
# Blocks of Python show a session; what ends in an error there is shown on purpose.
highlight_language = "none"


def setup(app):
    app.connect("autodoc-process-docstring", as_rst)
    app.connect("autodoc-process-signature", shortened)


def as_rst(app, what, name, it, options, lines):
    """Lets docstrings be read as meant: (batch, *spatial) has no emphasis, `Array`s is a plural."""
    for i, line in enumerate(lines):
        parts = re.split(r"(``.*?``|`[^`]*`)", line)
        parts[::2] = (re.sub(r"(?<!\w)\*(?!\w[\w ]*\*)", r"\*", part) for part in parts[::2])
        parts[2::2] = (f"\\ {part}" if part[:1].isalpha() else part for part in parts[2::2])
        lines[i] = "".join(parts)


def shortened(app, what, name, it, options, signature, returns):
    """Leaves out what every module of Flax takes, and the homes of types that all know."""
    if signature:
        signature = re.sub(r", parent: .*\)$", ")", signature)
        signature = re.sub(r"~?(collections\.abc|typing)\.", "", signature)
        signature = re.sub(r"<function (\w+)[^>]*(<locals>)?[^>]*>", r"\1", signature)
    return signature, returns
