"""One run of a session: what it costs least to call, what it fails with, and how it is ended early."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from seqc_runtime.errors import RuntimeExecutionError, RuntimeInputError, RuntimeInputTypeError, RuntimeStoppedError
from seqc_runtime.guards import GUARD
from seqc_runtime.inputs import Array, check_text, is_empty, refuse_masked
from seqc_runtime.providers import import_onnxruntime
from seqc_runtime.tensors import TensorInfo

# onnxruntime writes a function out under longer names.
_NOTHING_LEFT = re.compile(f"running Reshape node. Name:'[^']*{re.escape(GUARD)}")


class RunControl:
    """Ends runs from another thread: pass it to `Model.run`, and call `stop` when the answer is no longer wanted.

    A run looks at it between two operators, so one that is inside a long operator ends after that.
    Runs that start later with the same control end at once.
    """

    def __init__(self) -> None:
        self.options = import_onnxruntime().RunOptions()

    def stop(self) -> None:
        """End the runs with this control; they raise RuntimeStoppedError."""
        self.options.terminate = True

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return bool(self.options.terminate)


class Runner:
    """A session and the shortest way to call it."""

    def __init__(self, session: Any) -> None:
        self.session = session
        # The method under `InferenceSession.run` skips what is checked here already; not every release has it there.
        inner = getattr(session, "_sess", None)
        self.call: Callable[[list[str], dict[str, Any], Any], list[Any]] = getattr(inner, "run", session.run)
        # With options of its own a run does not build new ones. Nothing ever changes these.
        self.options = import_onnxruntime().RunOptions()


def run_session(
    runner: Runner, names: list[str], feeds: dict[str, Array], source: str, control: RunControl | None = None
) -> list[Any]:
    """What the session answers. Raises RuntimeStoppedError after `control.stop()`, else RuntimeExecutionError."""
    if control is not None and not isinstance(control, RunControl):
        raise RuntimeInputError(f"control needs a RunControl or None; got {type(control).__name__}")
    try:
        return runner.call(names, feeds, runner.options if control is None else control.options)
    except Exception as error:
        if control is not None and control.stopped:
            raise RuntimeStoppedError(f"the run of {source} was stopped") from error
        if isinstance(error, UnicodeEncodeError):
            raise RuntimeInputError(f"an input holds text that is not Unicode, half of a character: {error}") from error
        if _NOTHING_LEFT.search(str(error)):
            raise RuntimeInputError(
                "inside the model nothing is left of the input for a GRU or LSTM to read, over which onnxruntime would "
                "end the process: pass longer sequences"
            ) from error
        given = ", ".join(f"{name}: {_described(value)}" for name, value in feeds.items())
        raise RuntimeExecutionError(f"onnxruntime failed to run {source} on {given}: {error}") from error


def check_feeds(feeds: dict[str, Array], infos: tuple[TensorInfo, ...]) -> bool:
    """Whether an array of `feeds` is empty.

    Raises RuntimeInputError (RuntimeInputTypeError for dtypes) unless `feeds` holds an array of the declared dtype for
    each input: onnxruntime reads through a null pointer where one is missing, and numbers of another byte order wrong.
    """
    if not isinstance(feeds, dict):
        raise RuntimeInputError(f"feeds needs a dict of arrays by input name; got {type(feeds).__name__}")
    empty = False
    for info in infos:
        array = feeds.get(info.name)
        if info.kind != "tensor":
            _check_list(array, info, info.name in feeds)
            empty = empty or is_empty(array)
            continue
        if not isinstance(array, np.ndarray):
            what = "nothing" if array is None else f"a {type(array).__name__}"
            raise RuntimeInputError(f"input {info.name!r} needs an array of {info}; got {what}")
        _check_array(array, info)
        empty = empty or array.size == 0
    if len(feeds) != len(infos):
        names = [info.name for info in infos]
        unknown = ", ".join(repr(name) for name in feeds if name not in names)
        raise RuntimeInputError(f"the model has no input {unknown}; its inputs are {', '.join(map(repr, names))}")
    return empty


def _check_list(value: object, info: TensorInfo, given: bool) -> None:
    if value is None and given and info.kind.startswith("optional"):
        return
    arrays = [value] if info.kind == "optional" else value
    if not isinstance(arrays, list) or not all(isinstance(one, np.ndarray) for one in arrays):
        raise RuntimeInputError(f"input {info.name!r} needs a {info} as arrays; got {type(value).__name__}")
    for one in arrays:
        _check_array(one, info)


def _check_array(array: Array, info: TensorInfo) -> None:
    if array.dtype is not info.numpy_dtype and array.dtype != info.numpy_dtype:
        raise RuntimeInputTypeError(f"input {info.name!r} needs {info}; got {array.dtype}")
    refuse_masked(array, info)
    if info.dtype == "str":
        check_text(array, info)


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype.name}{list(value.shape)}"
    return type(value).__name__
