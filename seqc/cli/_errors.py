"""What happens when a command fails: one readable message and an exit code."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from seqc.errors import SeqcError, VerificationError


def _remember(context: typer.Context, debug: bool) -> bool:
    context.find_root().meta["debug"] = debug
    return debug


Debug = Annotated[bool, typer.Option("--debug", callback=_remember, help="Show where in the code an error comes from.")]


class Commands(TyperGroup):
    """The group of commands, which turns exceptions into messages on standard error.

    Exit codes: 1 for a failed verification, 2 for everything else that keeps a command from being carried out.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            if _is_control_flow(error):
                raise
            if ctx.find_root().meta.get("debug"):
                traceback.print_exc()
            typer.echo(_message(error), err=True)
            raise typer.Exit(1 if isinstance(error, VerificationError) else 2) from None


def _is_control_flow(error: Exception) -> bool:
    """Tells what typer handles itself: its own exceptions, and a reader of the output who has gone away."""
    return isinstance(error, BrokenPipeError) or type(error).__module__.split(".")[0] in ("typer", "click")


def _message(error: Exception) -> str:
    if isinstance(error, (SeqcError, *_runtime_errors())):
        return f"Error: {error}"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"Error: {where}{error.strerror or error}"
    return (
        f"Error: an unexpected {type(error).__name__}: {error}\nThis is probably a mistake in seqc. Run the command "
        "again with --debug to see where it happens, and report it."
    )


def _runtime_errors() -> tuple[type[Exception], ...]:
    runtime = sys.modules.get("seqc_runtime")
    return () if runtime is None else (runtime.SeqcRuntimeError,)
