"""The list of commands, and what becomes of their errors: one line on standard error, and an exit code.

Each command is a module of its own and imports what it needs when it runs, so that help comes at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from seqc_runtime import __version__
from seqc_runtime.cli import repository, score, serve
from seqc_runtime.errors import SeqcRuntimeError, printable

NOT_DONE, STOPPED = 2, 130
# As a shell reports a program that SIGPIPE ended.
READER_GONE = 141

EXIT_CODES = (
    "Exit codes: 0 all is well, 2 the command could not be carried out, 130 stopped (Ctrl-C), "
    "141 whoever reads the output is gone."
)


@click.group(
    commands=[serve.serve, score.score, repository.repository],
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(__version__, "--version", "-V", prog_name="seqc-runtime", message="%(prog)s %(version)s")
def app() -> None:
    """Serve ONNX models, run them over files of samples, and write the folders that other servers read."""


def run(arguments: Sequence[str]) -> int:
    """Run a command line, tell what went wrong on standard error, and return the exit code."""
    try:
        code = int(app(list(arguments), prog_name="seqc-runtime", standalone_mode=False) or 0)
        sys.stdout.flush()
        return code
    except (KeyboardInterrupt, click.Abort):
        return STOPPED
    except (BrokenPipeError, SystemExit) as error:
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            raise
        # Python would complain about what it could not print when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except Exception as error:
        print(printable(_message(error)), file=sys.stderr)
        return NOT_DONE


def _message(error: Any) -> str:
    if hasattr(error, "format_message"):  # click's own: an unknown option, a missing argument, a wrong value
        return _usage(error)
    if isinstance(error, SeqcRuntimeError):
        return f"Error: {error}"
    if isinstance(error, MemoryError):
        return f"Error: there is not enough memory: {error}".removesuffix(": ")
    if isinstance(error, OSError) and error.strerror:
        return f"Error: {error.filename or 'the command'}: {error.strerror}"
    trace = "".join(traceback.format_exception(error))
    return f"{trace}Error: an unexpected {type(error).__name__}. This is a mistake in seqc-runtime: please report it."


def _usage(error: Any) -> str:
    said = str(error.format_message())
    if type(error).__name__ == "NoArgsIsHelpError":
        return said
    context = getattr(error, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context else ""
    return f"Error: {said.removesuffix('.')}{hint}"
