"""`import seqc.compat` lets the rest of this process import seqc as `keras`.

`import keras`, `from keras.layers import Dense` and, where TensorFlow is not installed, `from tensorflow import keras`
and `import tensorflow.keras` then mean seqc. Import it before anything imports Keras; `python -m seqc.run script.py`
does that for a script that stays as it is.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

import seqc
from seqc._aliases import add_alias
from seqc.errors import ConfigError


def install() -> None:
    """Registers seqc as `keras`, and as `tensorflow.keras` where there is no TensorFlow. Once is enough.

    Raises:
        ConfigError: Keras itself was imported before, and parts of it may be in use.
    """
    there = sys.modules.get("keras")
    if there is not None and there is not seqc:
        raise ConfigError(
            "Keras was imported before seqc.compat, and what uses it goes on using it. Import seqc.compat first, or "
            "run the script with `python -m seqc.run script.py`."
        )
    for name in ("keras", "keras.api", "keras._tf_keras"):  # the last two as editors complete imports
        add_alias(name, "seqc")
    if "tensorflow" not in sys.modules and importlib.util.find_spec("tensorflow") is None:
        add_alias("tensorflow.keras", "seqc")
        sys.modules["tensorflow"] = _without_tensorflow()


def _without_tensorflow() -> ModuleType:
    """Returns a module `tensorflow` in which there is Keras, and nothing else."""
    made = ModuleType("tensorflow", "seqc stands here for tensorflow.keras; TensorFlow is not installed.")
    made.__path__ = []

    def absent(name: str) -> Any:
        if name == "keras":
            return seqc
        if name.startswith("__"):
            raise AttributeError(f"module 'tensorflow' has no attribute '{name}'")
        raise AttributeError(
            f"tensorflow.{name} is not there: TensorFlow is not installed, and seqc stands for tensorflow.keras alone. "
            "Take NumPy or seqc.ops; data may be arrays, generators or a seqc.utils.PyDataset."
        )

    made.__dict__["__getattr__"] = absent
    return made


install()
