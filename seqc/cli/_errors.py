"""What happens when a command fails: one readable message and an exit code."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from types import FrameType, TracebackType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from seqc.cli._source import MODULE_PREFIX
from seqc.cli._usage import is_usage_error, usage, usage_error
from seqc.errors import SeqcError, VerificationError
from seqc.text import printable, shorten

Debug = Annotated[bool, typer.Option("--debug", help="Show where in the code an error comes from.")]

FAILED, NOT_DONE, STOPPED = 1, 2, 130
# As a shell reports a program that SIGPIPE ended.
READER_GONE = 141
# A message may quote a whole file.
_LONGEST = 4000


class Commands(TyperGroup):
    """The group of commands: turns whatever goes wrong into a message on standard error and an exit code.

    With --json the message is also the one object on standard output, as "error".
    """

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs a command line and ends the process with its exit code."""
        _prepare_streams()
        given = list(sys.argv[1:] if args is None else args)
        given = given[: given.index("--")] if "--" in given else given
        try:
            run = partial(super().main, args, prog_name, complete_var, False, windows_expand_args, **extra)
            with _plain_warnings():
                code = _run(run, given)
            sys.stdout.flush()
        except (BrokenPipeError, SystemExit) as error:
            if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
                raise
            _discard_output()
            code = READER_GONE
        if not standalone_mode:
            return code
        sys.exit(code)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was parsed; a broken pipe is let through, past what the library makes of it."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGoneError from error
        except KeyboardInterrupt as error:
            raise _StoppedError from error


class _ReaderGoneError(Exception):
    pass


class _StoppedError(Exception):
    pass


def _run(call: Any, given: Sequence[str]) -> int:
    """Returns the exit code of a call, once what went wrong has been told."""
    try:
        return int(call() or 0)
    except _ReaderGoneError as error:
        raise BrokenPipeError from error
    except _StoppedError as error:
        text = str(error.__cause__) or "Stopped."
        return _tell(STOPPED, text, text, given)
    except Exception as error:
        if is_usage_error(error):
            text = usage_error(error)
            return _tell(NOT_DONE, text, usage(error) + (f"Error: {text}" if text else ""), given)
        if "--debug" in given:
            typer.echo(printable("".join(_trace(error))), err=True, nl=False)
        text = shorten(_message(error), _LONGEST)
        return _tell(FAILED if isinstance(error, VerificationError) else NOT_DONE, text, f"Error: {text}", given)


def _tell(code: int, text: str, shown: str, given: Sequence[str]) -> int:
    typer.echo(printable(shown), err=True)
    if "--json" in given:
        typer.echo(json.dumps({"error": text}, indent=2))
    return code


def _prepare_streams() -> None:
    """Makes sure that there is somewhere to print, and that no character keeps a message from being printed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started this process
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Lets what is still to be printed go nowhere: nobody reads it, and Python would complain when it ends."""
    with contextlib.suppress(OSError, ValueError):  # no file behind it, as in tests
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Shows warnings of seqc as lines of their own, without the place in the code that runs the commands."""
    others = warnings.formatwarning

    def shown(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        if filename.startswith(os.path.dirname(typer.__file__) + os.sep):
            return f"Warning: {printable(str(message))}\n"
        return others(message, category, filename, lineno, line)

    warnings.formatwarning = shown
    try:
        yield
    finally:
        warnings.formatwarning = others


def _message(error: Exception) -> str:
    if isinstance(error, (SeqcError, *_runtime_errors())):
        return f"{error}"
    if isinstance(error, MemoryError):
        return f"there is not enough memory: {error}".removesuffix(": ") + "."
    own = [(f.f_code.co_filename, line) for f, line in _frames(error.__traceback__) if _is_users(f)]
    if own:
        return f"{own[-1][0]}:{own[-1][1]}: {type(error).__name__}: {error}"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    return (
        f"an unexpected {type(error).__name__}: {error}\nThis is probably a mistake in seqc. Run the command "
        "again with --debug to see where it happens, and report it."
    )


def _runtime_errors() -> tuple[type[Exception], ...]:
    runtime = sys.modules.get("seqc_runtime")
    return () if runtime is None else (runtime.SeqcRuntimeError,)


def _trace(error: Exception) -> list[str]:
    """Returns the traceback from the command on: how the command line was read is of no interest."""
    inside = False
    start = error.__traceback__
    while start is not None:
        module = start.tb_frame.f_globals.get("__name__", "")
        if inside and module.startswith("seqc.") and module != __name__:
            break
        inside = inside or module.split(".")[0] in ("typer", "click")
        start = start.tb_next
    return traceback.format_exception(type(error), error, start or error.__traceback__)


def _frames(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _is_users(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(MODULE_PREFIX)
