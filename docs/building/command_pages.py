"""The page of both command lines, made of what the commands themselves say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from textwrap import dedent
from typing import Any, get_args, get_origin

_HEAD = """# Command line

`pip install seqc` brings `seqc`, `pip install "seqc-runtime[cpu]"` brings `seqc-runtime`. All of this is what
`seqc COMMAND --help` says; this page is made of it.
"""

_KINDS = {
    "path": "FILE", "filename": "FILE", "file": "FILE", "str": "TEXT", "text": "TEXT", "int": "N", "integer": "N",
    "integer range": "N", "float": "NUMBER", "float range": "NUMBER",
}  # fmt: skip


def pages() -> dict[str, str]:
    """Returns the page's text by its name."""
    from typer.main import get_command

    from seqc.cli import app
    from seqc_runtime.cli.commands import app as runtime

    lines = [_HEAD]
    for name, group in (("seqc", get_command(app)), ("seqc-runtime", runtime)):
        lines += [f"## {name}", "", *_paragraphs(group.help or ""), *_paragraphs(group.epilog or "")]
        for path, command in _commands(name, group):
            lines += _command(path, command)
    return {"command-line.md": "\n".join(lines) + "\n"}


def _commands(path: str, group: Any) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(f"{path} {name}", command)
        else:
            yield f"{path} {name}", command


def _command(path: str, command: Any) -> list[str]:
    positional = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    usage = " ".join([path, "[OPTIONS]", *(_metavar(one) for one in positional)])
    lines = [f"### {path}", "", "```text", usage, "```", "", *_paragraphs(command.help or "")]
    rows = [(f"`{_metavar(one)}`", _said(one)) for one in positional]
    rows += [(", ".join(f"`{name}`" for name in _spellings(one)), _said(one)) for one in options]
    if rows:
        lines += ["| argument, option | what it does |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows), ""]
    return lines


def _metavar(one: Any) -> str:
    name = one.metavar or one.name.upper()
    return name if one.required or name.startswith("[") else f"[{name}]"


def _spellings(one: Any) -> list[str]:
    takes = "" if one.is_flag or one.count else f" {one.metavar or _kind(one)}"
    return [f"{name}{takes}" for name in [*one.opts, *one.secondary_opts]]


def _kind(one: Any) -> str:
    """Returns what stands for an option's value: its choices, or what kind of value it is."""
    descriptor = getattr(one, "type_descriptor", None)  # typer's; click has a type
    kind = descriptor.annotation if descriptor else one.type
    if get_origin(kind) is list:
        (kind,) = get_args(kind)
    choices = list(kind) if isinstance(kind, type) and issubclass(kind, Enum) else getattr(kind, "choices", None)
    if choices:
        return "{" + ",".join(str(getattr(choice, "value", choice)) for choice in choices) + "}"
    name = str(getattr(kind, "__name__", None) or getattr(kind, "name", ""))
    return _KINDS.get(name.lower(), name.upper())


def _said(one: Any) -> str:
    text = " ".join((getattr(one, "help", None) or "").split())
    default = getattr(one.default, "value", one.default)
    if one.param_type_name == "option" and not one.is_flag and isinstance(default, str | int | float) and default != "":
        text += f" Default: `{default}`."
    return _escaped(text).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Returns text in which Markdown finds no markup, but that in backticks, which is code."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*_<\[\]{}$])", r"\\\1", part) for part in parts)


def _paragraphs(text: str) -> Iterator[str]:
    """Yields paragraphs of a help text; those that it keeps as they are, behind a form feed, are examples."""
    for block in re.split(r"\n\s*\n", text):
        kept = block.lstrip("\n").startswith("\b")
        lines = [line for line in block.replace("\b", "").splitlines() if line.strip()]
        if not lines:
            continue
        if not kept:
            yield from (_escaped(" ".join(line.strip() for line in lines)), "")
            continue
        if lines[0].rstrip().endswith(":") and not lines[0].startswith("  "):
            yield from (_escaped(lines.pop(0).strip()), "")
        yield from ("```text", *dedent("\n".join(lines)).splitlines(), "```", "")
