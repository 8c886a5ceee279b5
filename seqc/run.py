"""`python -m seqc.run script.py ...`: runs a script written for Keras, unchanged, with seqc as `keras`."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

USAGE = "Usage: python -m seqc.run SCRIPT.py [its arguments]\n\nRun a script written for Keras with seqc as `keras`."


def main(arguments: list[str]) -> int:
    """Runs a script and returns the exit code, which is 2 where there is none to run.

    Args:
        arguments: the script, and what it is to find in `sys.argv`.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    script = Path(arguments[0])
    if not script.is_file():
        print(f"Error: there is no file {script} to run.\n\n{USAGE}", file=sys.stderr)
        return 2
    import seqc.compat  # noqa: F401  # what the script imports as keras

    sys.argv = arguments
    sys.path.insert(0, str(script.resolve().parent))
    runpy.run_path(str(script), run_name="__main__")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
