"""What runs in the process that tries a model: it answers in two lines of JSON, how it is protected and how it went."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from seqc_runtime.errors import RuntimeExecutionError, SeqcRuntimeError
from seqc_runtime.model import Model, open_model
from seqc_runtime.sandbox import restrict
from seqc_runtime.source import open_source

_MOST_SAID = 4000


def main(job: dict[str, Any]) -> None:
    """Do a job of `try_model`, and end this process."""
    protection = restrict(
        [Path(path) for path in job["readable"]],
        [Path(path) for path in job["listable"]],
        job["memory"],
        job["cpu"],
    )
    _say({"protection": protection})
    if set(job["require"]) <= set(protection):
        _say(_tried(job))
    # Libraries' threads and destructors have nothing to add.
    os._exit(0)


def _tried(job: dict[str, Any]) -> dict[str, Any]:
    try:
        source = dataclasses.replace(open_source(job["target"]), name=job["name"], config=job["config"])
        return {"loaded": True, "ran": _warmed(open_model(source, "cpu", 1))[:_MOST_SAID]}
    except MemoryError:
        return {"error": "it needs more memory than it may use"}
    except SeqcRuntimeError as error:
        return {"error": str(error)[:_MOST_SAID]}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:_MOST_SAID]}


def _warmed(model: Model) -> str:
    """Run the model on made-up inputs. One that refuses them may take others; no memory for them is no guess."""
    try:
        model.warm_up()
    except RuntimeExecutionError as error:
        if any(word in str(error) for word in ("bad_alloc", "Failed to allocate", "bad allocation")):
            raise
        return str(error)
    return ""


def _say(answer: dict[str, Any]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")
