"""Records what made_applications.py describes, in tests/cases/applications.json: with the interpreter of Keras 3.15.1.

`python tests/kit/record_applications.py` records all of it; `... PART ...` some parts into what is there: `signatures`,
`files`, `answers`, `missing` for the layers of the cases that are not there yet, or the name of a network for all of
its cases. Every case is kept as soon as it is made: large networks take minutes.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from kit.made_applications import ANSWERS, CASES, FAMILIES, FILES, RECORDED, Case, answers, facts, label_of, make
from kit.made_applications import signatures as signatures_of

# What differs from image to image must be this part of the largest answer; otherwise a fault inside would not be seen.
SENSITIVE = 0.02
# By what part of the largest answer those in single and double precision may differ in Keras.
ROUNDING = 3e-6


def begin_with_zeros() -> None:
    """Lets kernels begin with zeros in Keras: random ones are compiled for every shape."""
    from keras.src import backend  # type: ignore[import-not-found,import-untyped,unused-ignore]
    from keras.src.initializers.random_initializers import RandomInitializer  # type: ignore[import-not-found,import-untyped,unused-ignore]

    def zeros(self: Any, shape: Any, dtype: Any = None) -> Any:
        return backend.convert_to_tensor(np.zeros(shape, dtype or "float32"))

    for cls in RandomInitializer.__subclasses__():
        cls.__call__ = zeros


class Anything:
    """Stands for layers, symbols and models where only the files of weights are asked for."""

    shape = (None, 8, 8, 8)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything()

    __add__ = __mul__ = __call__


def files(keras: Any) -> dict[str, list[Any]]:
    """Returns the folder in the cache, the name, the URL and the hash of the files that networks ask for."""
    from importlib import import_module
    from unittest import mock

    from keras.src.utils import file_utils  # type: ignore[import-not-found,import-untyped,unused-ignore]

    found: dict[str, list[Any]] = {}
    fetch = mock.Mock(return_value="")
    for module in FAMILIES:
        held = import_module(f"keras.src.applications.{module}")
        for part in {"layers", "Functional", "Sequential", "LayerScale", "StochasticDepth", "CustomScaleLayer"}:
            if hasattr(held, part):
                setattr(held, part, Anything() if part == "layers" else Anything)
    with mock.patch.object(file_utils, "get_file", fetch), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, options in FILES:
            fetch.reset_mock()
            getattr(keras.applications, name)(weights="imagenet", **options)
            (fname, origin), named = fetch.call_args
            found[label_of((name, options))] = [named["cache_subdir"], fname, origin, named.get("file_hash")]
    return found


def no_files(keras: Any) -> None:
    """Lets models load no weights."""
    from keras.src.utils import file_utils  # type: ignore[import-not-found,import-untyped,unused-ignore]

    file_utils.get_file = lambda fname, *_, **__: fname
    keras.Model.load_weights = lambda self, path: None


def record_layers(keras: Any, held: dict[str, Any], cases: list[Case]) -> None:
    no_files(keras)
    for case in cases:
        found = {**held.get("made", {}), label_of(case): facts(make(keras, case))}
        held["made"] = {label: found[label] for label in map(label_of, CASES) if label in found}
        write(held)
        print(label_of(case), flush=True)


def record_answers(keras: Any, held: dict[str, Any]) -> None:
    """Records what models answer in double precision, if single precision answers the same."""
    held["answers"] = {}
    for case in ANSWERS:
        single, double = (_answers_in(keras, policy, case) for policy in ("float32", "float64"))
        largest = np.abs(double).max()
        rounding = np.abs(single - double).max() / largest
        differ = np.abs(double[0] - double[1]).max() / largest
        print(label_of(case), f"answers differ by {differ:.2g}, by rounding {rounding:.2g}", flush=True)
        if not differ >= SENSITIVE:
            raise SystemExit("It answers different images alike.")
        if not 0 < rounding < ROUNDING:
            raise SystemExit("It amplifies rounding, or there was no double precision.")
        held["answers"][label_of(case)] = [[float(f"{one:.9g}") for one in row[:10]] for row in double]


def _answers_in(keras: Any, policy: str, case: Case) -> np.ndarray:
    keras.config.set_dtype_policy(policy)
    keras.config.set_floatx(policy)
    result: np.ndarray = answers(make(keras, case), case)
    return result


def record(keras: Any, asked: list[str]) -> None:
    """Records everything, or what is asked for."""
    held: dict[str, Any] = {}
    if asked:
        held = json.loads(RECORDED.read_text(encoding="utf-8"))
        assert held["version"] == keras.__version__
    held["version"] = keras.__version__
    if not asked or "signatures" in asked:
        held["signatures"] = signatures_of(keras)
    missing = [case for case in CASES if "missing" in asked and label_of(case) not in held["made"]]
    if cases := missing + [case for case in CASES if not asked or case[0] in asked]:
        record_layers(keras, held, cases)
    if not asked or "answers" in asked:
        record_answers(keras, held)
    if not asked or "files" in asked:
        held["files"] = files(keras)  # the last: it takes the layers away
    write(held)


def write(held: dict[str, Any]) -> None:
    """Writes what is recorded, one line per row, its parts always in the same order."""
    order = ("version", "signatures", "made", "answers", "files")
    lines = [f'"{part}": ' + _table(held[part]) for part in order if part in held]
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _table(value: Any) -> str:
    """Returns JSON with one line per row."""
    if not isinstance(value, dict):
        return json.dumps(value)
    rows = [f"  {json.dumps(key)}: {json.dumps(one)}" for key, one in value.items()]
    return "{\n" + ",\n".join(rows) + "\n}"


def main(asked: list[str]) -> None:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("JAX_ENABLE_X64", "1")  # without which double precision is single in jax
    import keras  # type: ignore[import-not-found,import-untyped,unused-ignore]

    begin_with_zeros()
    record(keras, asked)


if __name__ == "__main__":
    main(sys.argv[1:])
