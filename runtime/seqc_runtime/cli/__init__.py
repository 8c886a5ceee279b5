"""The `seqc-runtime` command. Nothing else of the package imports this one."""

from __future__ import annotations

import os
import signal
import sys

NEEDS_EXTRA = 'the seqc-runtime command needs packages that are not installed: pip install "seqc-runtime[cpu,server]"'


def main() -> None:
    """Run the command line of this process, and end it with the command's exit code."""
    # The first process of a container gets no signal that it does not ask for; and so files are tidied up as well.
    signal.signal(signal.SIGTERM, _end)
    _open_standard_files()
    try:
        import click  # noqa: F401
    except ModuleNotFoundError as error:
        # Without the extra there is no click, and so nothing that could say this more nicely.
        print(f"Error: {NEEDS_EXTRA} (there is no {error.name})", file=sys.stderr)
        sys.exit(2)
    from seqc_runtime.cli.commands import run

    sys.exit(run(sys.argv[1:]))


def _end(number: int, frame: object) -> None:
    sys.exit(128 + number)


def _open_standard_files() -> None:
    """Where standard input, output or error is closed, put nothing there, or the first socket would be in its place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
