"""Make the notebooks and pictures of examples/ again from its scripts: what `make notebooks` runs.

python tools/notebooks.py [NAME ...]

A script is in the percent format. jupytext makes a notebook of it and nbclient runs it, in a folder of its own; what it
printed and drew stays in the notebook, and the picture that it saved goes to docs/pictures. Output that is another at
each run, such as times, is taken out, and so is what a kernel adds for itself.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from shutil import copyfile
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
PICTURES = ROOT / "docs" / "pictures"
# In bytes.
NOTEBOOK_LIMIT, PICTURE_LIMIT = 150_000, 60_000
_TIMES = re.compile(r"^time +[\d.]+ s\n", re.MULTILINE)


def main(names: list[str]) -> None:
    try:
        import jupytext
        import nbformat
        from nbclient import NotebookClient
    except ImportError as error:
        raise SystemExit(f'{error.name} makes notebooks and is not installed: pip install "seqc[examples]"') from None
    for name in names or sorted(file.stem for file in EXAMPLES.glob("*.py")):
        text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
        notebook = jupytext.reads(text, fmt="py:percent")
        with tempfile.TemporaryDirectory() as folder:
            NotebookClient(
                notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": folder}}
            ).execute()
            clean(notebook)
            picture = copyfile(Path(folder, "build", "examples", f"{name}.png"), PICTURES / f"{name}.png")
        file = EXAMPLES / "notebooks" / f"{name}.ipynb"
        nbformat.validate(notebook)
        nbformat.write(notebook, file)
        for written, limit in ((file, NOTEBOOK_LIMIT), (picture, PICTURE_LIMIT)):
            size = written.stat().st_size
            print(f"{written.relative_to(ROOT)} ({size:,} bytes)")
            if size > limit:
                raise SystemExit(f"{written.name} has more than the {limit:,} bytes that the repository has for it.")


def clean(notebook: Any) -> None:
    """Takes out of a notebook what the next run would write differently, or what no reader looks at."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = {}
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = _TIMES.sub("", output.text)
            elif "data" in output:
                output.metadata = {}
                output.data = {
                    kind: data for kind, data in output.data.items() if kind != "text/plain" or len(output.data) == 1
                }


if __name__ == "__main__":
    main(sys.argv[1:])
