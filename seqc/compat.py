"""`import seqc.compat` lets the rest of this process import seqc as `keras`.

`import keras`, `from keras.layers import Dense` and, where TensorFlow is not installed, `from tensorflow import keras`
and `import tensorflow.keras` then mean seqc, and `tensorflow` has `GradientTape` and `data.Dataset`, too. Import it
before anything imports Keras; `python -m seqc.run script.py` does that for a script that stays as it is.
"""

from __future__ import annotations

import importlib.util
import sys

import seqc
from seqc._aliases import add_alias
from seqc._tensorflow import stand_in
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
        for name in ("tensorflow.keras", "tensorflow.python.keras"):
            add_alias(name, "seqc")
        sys.modules["tensorflow"] = sys.modules["tensorflow.python"] = stand_in()


install()
