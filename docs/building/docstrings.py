"""Docstrings of seqc, taken apart: what is said, each argument, what is returned and raised.

Their sections are Google's ("Args:", "Returns:", "Raises:"), and short arguments may share a line. "as in `LSTM`" takes
over what is said there; what all of a kind have, such as the initializers of layers, is said once, in arguments.toml.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from building.inventory import Entry, function_of, inventory

_SECTION = re.compile(
    r"^(Args?|Arguments|Attributes|Returns?|Raises|Yields|Shapes?|Examples?|Notes?|Source):(?=\s|$)(.*)"
)
# "rate:", "strides, padding:", "kernel_initializer and bias_initializer:", as the beginning of what is said of them.
_NAMES = re.compile(
    r"(?:^[ ]*|(?<=[.;:)\]]\s))(`?\**\w+`?(?:(?:,\s+| and |/)`?\**\w+`?)*(?:,? and the [a-z ]+)?):(?=\s)", re.MULTILINE
)
# "and the regularizers and constraints" stand for all arguments that end so.
_ENDINGS = {"initializers": "_initializer", "regularizers": "_regularizer", "constraints": "_constraint"}
_LIKE = re.compile(r"(?:as|those) (?:in|of) `([\w.]+)`", re.IGNORECASE)
# Where nothing else is said, the words are brought from there.
_ELSEWHERE = re.compile(r"(?:as in|as for|see) `([\w.]+)`\.?", re.IGNORECASE)


@dataclass
class Parsed:
    """A docstring in its parts; `sections` are those that are not about arguments, returned values and errors."""

    text: list[str] = field(default_factory=list)
    arguments: dict[str, str] = field(default_factory=dict)
    returns: str = ""
    raises: list[tuple[str, str]] = field(default_factory=list)
    sections: list[tuple[str, list[str]]] = field(default_factory=list)


def parameters(thing: Any) -> list[str]:
    """Returns the names of a function's or constructor's arguments."""
    try:
        found = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one.name for one in found if one.kind not in kinds and one.name not in ("self", "cls")]


def parse(doc: str, names: list[str]) -> Parsed:
    """Takes a cleaned docstring apart; `names` are those of the arguments."""
    parsed = Parsed()
    title, lines = "", parsed.text
    sections: list[tuple[str, list[str]]] = []
    for line in doc.splitlines():
        match = _SECTION.match(line)
        if match:
            title, lines = match[1], [match[2].strip()] if match[2].strip() else []
            sections.append((title, lines))
        elif title and line and not line[0].isspace() and not lines[-1:]:
            lines.append(line)
        elif title and line and not line[0].isspace() and lines[-1] == "":
            title, lines = "", parsed.text  # a paragraph after a section
            lines.extend(["", line])
        else:
            lines.append(line)
    for title, body in sections:
        text = inspect.cleandoc("\n".join(["", *body])) if body else ""
        if title in ("Args", "Arg", "Arguments", "Attributes"):
            parsed.arguments.update(_arguments(text, names))
        elif title in ("Returns", "Return", "Yields"):
            parsed.returns = " ".join(text.split())
        elif title == "Raises":
            parsed.raises += [(kind, " ".join(said.split())) for kind, said in _raises(text)]
        else:
            parsed.sections.append((title, text.splitlines()))
    return parsed


def _arguments(text: str, names: list[str]) -> dict[str, str]:
    """Returns what is said of each argument of a section, also where several share a line."""
    marks = []
    for match in _NAMES.finditer(text):
        told = [name.strip("`*") for name in re.split(r",\s+|\s+and\s+the\s+|\s+and\s+|/", match[1])]
        ends = [_ENDINGS[name] for name in told if name in _ENDINGS]
        told += [name for name in names if name.endswith(tuple(ends))] if ends else []
        if any(name in names for name in told) or (match.start() == 0 or text[match.start() - 1] == "\n"):
            marks.append((match.start(), match.end(), told))
    found: dict[str, str] = {}
    stops = [begin for begin, _, _ in marks[1:]]
    for (_, begin, told), end in zip(marks, [*stops, len(text)], strict=False):
        said = " ".join(text[begin:end].split()).rstrip(";")
        found.update((name, said) for name in told if name not in found)
    for match in _LIKE.finditer(text):
        found.setdefault(f"like {match[1]}", "")
    return found


def _raises(text: str) -> list[tuple[str, str]]:
    parts = re.split(r"(?:^|(?<=\s))(\w+(?:Error|Exception|Warning|Interrupt)): ", text)
    return list(zip(parts[1::2], parts[2::2], strict=True))


@cache
def common_arguments() -> dict[str, dict[str, str]]:
    """Returns what is said of arguments that mean the same in all of a module: arguments.toml."""
    return tomllib.loads((Path(__file__).parent / "arguments.toml").read_text(encoding="utf-8"))


@cache
def _documented() -> dict[str, dict[str, str]]:
    """Returns what docstrings of public classes and functions say of their own arguments, by their names."""
    found: dict[str, dict[str, str]] = {}
    for entry in inventory():
        said = parse(inspect.getdoc(entry.thing) or "", parameters(entry.thing)).arguments
        for name in [entry.name, *(alias.rpartition(".")[2] for alias in entry.aliases)]:
            found.setdefault(name, said)
    return found


def described(thing: Any, module: str, name: str = "") -> dict[str, str]:
    """Returns what is said of each argument of a public class, function or method, in their order; "" of none.

    Args:
        thing: the class or function.
        module: the public module that has it.
        name: its own, "Layer.add_weight" of a method.
    """
    names = parameters(thing)
    doc = inspect.getdoc(thing) or ""
    own = parse(doc, names).arguments
    common = common_arguments()
    tables = [common.get(f"{module}.{name}", {}), common.get(module, {}), common.get("everywhere", {})]
    likes = [key.removeprefix("like ") for key in own if key.startswith("like ")]
    likes += [match[1] for match in _LIKE.finditer(doc)]
    result = {}
    for one in names:
        said = own.get(one, "")
        elsewhere = _ELSEWHERE.fullmatch(said)
        if elsewhere:
            said = _documented().get(elsewhere[1].rpartition(".")[2], {}).get(one, "")
        for like in likes:
            said = said or _documented().get(like.rpartition(".")[2], {}).get(one, "")
        if _ELSEWHERE.fullmatch(said):
            said = ""
        for table in tables:
            said = said or table.get(one, "")
        result[one] = said or own.get(one, "")
    return result


@dataclass(frozen=True)
class Gap:
    """What the reference lacks: an argument without a word, or a docstring."""

    path: str
    argument: str = ""


def gaps() -> list[Gap]:
    """Returns everything public that has no docstring, and every argument of which nothing is said."""
    found = []
    for entry in inventory():
        found += _gaps(entry, entry.thing, entry.name)
        for member in entry.members:
            found += _gaps(entry, function_of(entry.thing, member), f"{entry.name}.{member}")
    return found


def _gaps(entry: Entry, thing: Any, name: str) -> list[Gap]:
    path = f"{entry.module}.{name}"
    if not (inspect.getdoc(thing) or "").strip() or (isinstance(thing, type) and not thing.__doc__):
        return [Gap(path)]
    if isinstance(thing, type) and issubclass(thing, BaseException):
        return []
    return [Gap(path, one) for one, said in described(thing, entry.module, name).items() if not said]
