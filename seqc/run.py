"""`python -m seqc.run script.py ...`: runs a script written for Keras, unchanged, with seqc as `keras`."""

from __future__ import annotations

import importlib.util
import io
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

USAGE = "Usage: python -m seqc.run SCRIPT.py [its arguments]\n\nRun a script written for Keras with seqc as `keras`."
# Where processes that a script begins find it.
_SCRIPT = "SEQC_RUN_SCRIPT"


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
    os.environ[_SCRIPT] = str(script.resolve())
    sys.argv = arguments
    sys.path.insert(0, str(script.resolve().parent))
    _executed(str(script), "__main__")
    return 0


def _executed(script: str, name: str) -> dict[str, Any]:
    """Runs a script as the module of a name, and returns what it defined."""
    import seqc.compat  # noqa: F401  # what the script imports as keras

    module, before = ModuleType(name), sys.modules.get(name)
    # Where a script spawns processes, each begins with the module of this name: this one, which runs the script again.
    vars(module).update(__file__=script, __spec__=importlib.util.find_spec("seqc.run"), __cached__=None)
    sys.modules[name] = module
    try:
        with io.open_code(str(Path(script).resolve())) as file:
            code = compile(file.read(), script, "exec")
        exec(code, vars(module))
    finally:
        if before is not None:
            sys.modules[name] = before
    return vars(module)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
if __name__ == "__mp_main__":
    globals().update(_executed(os.environ[_SCRIPT], __name__))
