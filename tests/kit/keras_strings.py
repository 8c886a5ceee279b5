"""Models that begin with strings, the same under Keras and under seqc: `python keras_strings.py make|open FOLDER`.

Run it with a Python that has Keras 3 and TensorFlow; the tests do the same with seqc.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

TEXTS = np.array([["the cat; the dog"], ["a cat sat on"], [""], ["The the the"]])
WORDS = np.array([["a", "b"], ["q", "é"], ["", "a"]])
NUMBERS = np.array([[3, -9], [7, 3]])


def models(keras: Any) -> dict[str, tuple[Any, Any]]:
    """Returns models by name, each with what it is called on."""
    layers = keras.layers

    def stack(layer: Any, x: Any, adapted: bool = True) -> tuple[Any, Any]:
        if adapted:
            layer.adapt(x)
        kind = "int64" if x.dtype.kind == "i" else "string"
        return keras.Sequential([keras.Input((x.shape[1],), dtype=kind), layer]), x

    def crossing() -> tuple[Any, Any]:
        inputs = [keras.Input((1,), dtype="string", name="u"), keras.Input((1,), dtype="int64", name="v")]
        model = keras.Model(inputs, layers.HashedCrossing(20, output_mode="one_hot")(inputs))
        return model, [np.array([["a"], ["b"]]), np.array([[1], [2]])]

    given = layers.TextVectorization(vocabulary=["a", "the"], output_sequence_length=5)
    spread = layers.IntegerLookup(vocabulary=[3, 7], num_oov_indices=3, salt=5, oov_method="farmhash")
    weighed = layers.StringLookup(output_mode="tf_idf", vocabulary=["a", "b"], idf_weights=[0.5, 2.0])
    return {
        "texts": stack(layers.TextVectorization(), TEXTS),
        "pairs": stack(layers.TextVectorization(output_mode="tf_idf", ngrams=2), TEXTS),
        "texts_given": stack(given, TEXTS, adapted=False),
        "words": stack(layers.StringLookup(mask_token="", num_oov_indices=2), WORDS),
        "words_given": stack(layers.StringLookup(vocabulary=["a", "b"], output_mode="count"), WORDS, adapted=False),
        "frequencies": stack(layers.StringLookup(output_mode="tf_idf"), WORDS[:2]),
        "frequencies_given": stack(weighed, WORDS, adapted=False),
        "numbers": stack(layers.IntegerLookup(output_mode="multi_hot"), NUMBERS),
        "numbers_given": stack(spread, NUMBERS, adapted=False),
        "hashes": stack(layers.Hashing(50, salt=[1, 2], mask_value=""), WORDS, adapted=False),
        "counts": stack(layers.Hashing(5, output_mode="count"), NUMBERS, adapted=False),
        "crossing": crossing(),
    }


def main(mode: str, folder: Path) -> None:
    """Writes models with their answers, or answers with the models of a folder; what fails is in failures.json."""
    import keras
    import tensorflow as tf

    failures = {}
    for name, (made, x) in models(keras).items():
        tensors = [tf.constant(one) for one in x] if isinstance(x, list) else tf.constant(x)
        try:
            if mode == "make":
                made.save(folder / f"{name}.keras")
            model = made if mode == "make" else keras.saving.load_model(folder / f"{name}.keras")
            np.save(folder / f"{name}.npy", np.asarray(model(tensors)))
        except Exception as error:
            failures[name] = str(error)
    (folder / "failures.json").write_text(json.dumps(failures))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
