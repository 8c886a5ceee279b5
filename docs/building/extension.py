"""The extension of Sphinx that writes the generated pages of the site and words what it reads from docstrings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes

from building import api_pages, benchmark_pictures, command_pages
from building.rst import constructor_signature, docstring_lines
from building.writing import write_pages

GENERATED = Path(__file__).resolve().parent.parent / "reference"
_FRONT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>seqc</title>
<meta http-equiv="refresh" content="0; url=docs/index.html"><a href="docs/index.html">seqc</a></html>
"""


def setup(app: Any) -> dict[str, Any]:
    """Sphinx calls this: writes the generated pages before it looks for sources, and words docstrings for it."""
    write_pages(GENERATED, {**api_pages.pages(), **command_pages.pages(), **benchmark_pictures.pages()})
    app.connect("autodoc-process-docstring", _word)
    app.connect("autodoc-process-signature", _sign)
    app.connect("doctree-resolved", _set_dashes)
    app.connect("build-finished", _write_front)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _word(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = docstring_lines(name, thing)


def _sign(app: Any, what: str, name: str, thing: Any, options: Any, signature: str | None, returns: str | None) -> Any:
    """Gives classes the arguments of their constructors, which autodoc does not see behind a `__new__` of a base."""
    if what == "class":
        return constructor_signature(thing), None
    return None


def _set_dashes(app: Any, doctree: Any, name: str) -> None:
    """Puts a dash between an argument and what is said of it, where Sphinx leaves two hyphens to smart quotes."""
    for text in list(doctree.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" – "))


def _write_front(app: Any, error: Exception | None) -> None:
    if error is None and app.builder.name == "html":
        (Path(app.outdir) / "index.html").write_text(_FRONT, encoding="utf-8")


__all__ = ["setup"]
