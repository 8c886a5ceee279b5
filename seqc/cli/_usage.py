"""Errors in the command line itself, in plain words."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

# What the library that reads options says of a value, by its name for the kind of error.
_PLAIN: dict[str, Callable[[Any], str]] = {
    "int_parsing": lambda e: f"needs a whole number; got {e['input']!r}.",
    "int_parsing_size": lambda e: f"needs a whole number that is not so long; got {len(str(e['input']))} characters.",
    "int_from_float": lambda e: f"needs a whole number; got {e['input']!r}.",
    "greater_than_equal": lambda e: f"needs a whole number of at least {e['ctx']['ge']}; got {e['input']}.",
    "less_than_equal": lambda e: f"needs a whole number of at most {e['ctx']['le']}; got {e['input']}.",
}
_NOTHING_ASKED = "NoArgsIsHelpError"


def is_usage_error(error: Exception) -> bool:
    """Tells whether an error is the library's own: an unknown option, a missing argument, a value of the wrong kind."""
    return type(error).__module__.split(".")[0] in ("typer", "click") and hasattr(error, "format_message")


def usage(error: Any) -> str:
    """Returns how the command is used, to stand in front of what was wrong; its whole help if nothing was asked."""
    if type(error).__name__ == _NOTHING_ASKED:
        return str(error.format_message())
    context = getattr(error, "ctx", None)
    return f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n\n" if context else ""


def usage_error(error: Any) -> str:
    """Returns what was wrong; nothing if nothing was asked."""
    if type(error).__name__ == _NOTHING_ASKED:
        return ""
    said = str(error.format_message())
    with contextlib.suppress(AttributeError, KeyError, IndexError, TypeError):
        details = error.__cause__.errors()[0]
        if details["type"] in _PLAIN:
            return f"{'/'.join(error.param.opts)} {_PLAIN[details['type']](details)}"
    return said.replace("Value error, ", "").strip()
