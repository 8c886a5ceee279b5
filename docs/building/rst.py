"""Docstrings as reStructuredText, for Sphinx's autodoc: text escaped, names in backticks linked, an argument a line."""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import Any

from building.docstrings import described, parameters, parse
from building.inventory import Entry, function_of, inventory

_NAME = re.compile(r"^[A-Za-z_][\w.]*$")


def docstring_lines(path: str, thing: Any) -> list[str]:
    """Returns the docstring of something public as lines of reStructuredText.

    Args:
        path: where autodoc found it, such as "seqc.layers.Layer.add_weight".
        thing: the class, function, method or property.
    """
    entry, member = _place(path)
    if member:
        thing = function_of(entry.thing, member[1:])
    doc = inspect.getdoc(thing) or ""
    parsed = parse(doc, parameters(thing))
    lines = _paragraphs(parsed.text)
    is_error = isinstance(thing, type) and issubclass(thing, BaseException)
    if not is_error:
        arguments = described(thing, entry.module, f"{entry.name}{member}")
        lines += ["", *(f":param {name}: {inline(said)}" for name, said in arguments.items())]
    if parsed.returns:
        lines.append(f":returns: {inline(parsed.returns)}")
    lines += [f":raises {_error(kind)}: {inline(said)}" for kind, said in parsed.raises]
    for title, body in parsed.sections:
        lines += _section(title, body)
    if entry.aliases and not member:
        lines += ["", "Also " + ", ".join(f"``{alias}``" for alias in sorted(set(entry.aliases))) + "."]
    return [*lines, ""]


def _section(title: str, body: list[str]) -> list[str]:
    """Returns what is said of shapes and sources as a line, and examples as code."""
    if title.startswith(("Shape", "Source")):
        return ["", f"**{title}**: " + inline(" ".join(body))]
    if title.startswith("Example") and not any(line.lstrip().startswith(">>>") for line in body):
        return ["", f"**{title}**", "", ".. code-block:: python", "", *(f"   {line}".rstrip() for line in body)]
    return ["", f"**{title}**", "", *_paragraphs(body)]


def _error(kind: str) -> str:
    homes = ("seqc.errors", "seqc_runtime")
    return next((f"{home}.{kind}" for home in homes if f"{home}.{kind}" in _entries()), kind)


def constructor_signature(kind: type) -> str:
    """Returns the arguments of a class as they are written in a call, without their types."""
    try:
        found = inspect.signature(kind)
    except (TypeError, ValueError):
        return "()"
    bare = [one.replace(annotation=inspect.Parameter.empty) for one in found.parameters.values()]
    return str(found.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def inline(text: str) -> str:
    """Returns text with what reStructuredText would take for markup escaped, and code as code."""
    parts = re.split(r"(``[^`]+``|`[^`\n]+`)", text)
    return "".join(_code(part) if part.startswith("`") else _escaped(part) for part in parts)


def _code(part: str) -> str:
    code = part.strip("`")
    return f"`{code}`\\ " if _NAME.match(code) else f"``{code}``\\ "


def _escaped(text: str) -> str:
    return re.sub(r"(\\|\*|\||(?<=\w)_(?!\w)|`)", r"\\\1", text)


def _paragraphs(lines: list[str]) -> list[str]:
    """Returns paragraphs and lists; what is indented, or begins with ">>>", is an example and stays as it is."""
    result: list[str] = []
    for block in re.split(r"\n\s*\n", "\n".join(lines).strip("\n")):
        if not block.strip():
            continue
        if block.lstrip().startswith(">>>"):
            result += [
                "",
                ".. code-block:: pycon",
                "",
                *(f"   {line}" for line in inspect.cleandoc(block).splitlines()),
            ]
        elif block.startswith("    "):
            code = inspect.cleandoc(block).splitlines()
            result += ["", ".. code-block:: text", "", *(f"   {line}" for line in code)]
        elif re.match(r"\s*- ", block):
            items = re.split(r"(?:^|\n)\s*- ", block)[1:]
            result += ["", *(f"- {inline(' '.join(item.split()))}" for item in items)]
        else:
            result += ["", inline(" ".join(block.split()))]
    return result


@cache
def _entries() -> dict[str, Entry]:
    return {entry.path: entry for entry in inventory()}


def _place(path: str) -> tuple[Entry, str]:
    """Returns the public thing of a path, and ".method" of one of its methods."""
    entries = _entries()
    if path in entries:
        return entries[path], ""
    owner, _, member = path.rpartition(".")
    return entries[owner], f".{member}"
