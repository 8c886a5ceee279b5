"""The list of commands, and what becomes of their errors: one line on standard error, and an exit code.

Each command is a module of its own and imports what it needs when it runs, so that help comes at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer

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

app = typer.Typer(
    name="seqc-runtime",
    help="Serve ONNX models, run them over files of samples, and write the folders that other servers read.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"seqc-runtime {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


app.command(epilog=serve.EPILOG)(serve.serve)
app.command()(score.score)
app.command(epilog=repository.EPILOG)(repository.repository)


def run(arguments: Sequence[str]) -> int:
    """Run a command line, tell what went wrong on standard error, and return the exit code."""
    try:
        code = int(app(list(arguments), prog_name="seqc-runtime", standalone_mode=False) or 0)
        sys.stdout.flush()
        return code
    except (KeyboardInterrupt, typer.Abort):
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
    if hasattr(error, "format_message"):  # typer's own: an unknown option, a missing argument, a wrong value
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
