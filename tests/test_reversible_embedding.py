"""ReversibleEmbedding both ways in one model, against what Keras 3.15.1 trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import seqc as keras
from seqc import layers

# Two epochs of the model below in Keras on JAX: the loss of each, and the sum of what it predicts afterwards.
RECORDED = {
    True: (2.500089406967163, 2.4961676597595215, -10.7013645),
    False: (2.462125539779663, 2.4606308937, -14.430136),
}


def tied(tie_weights: bool) -> tuple[keras.Model, np.ndarray]:
    ids = keras.Input((5,), dtype="int32")
    table = layers.ReversibleEmbedding(11, 4, tie_weights=tie_weights, mask_zero=True, logit_soft_cap=2.0)
    model = keras.Model(ids, table(layers.Dense(4, activation="tanh")(table(ids)), reverse=True))
    random = np.random.RandomState(1)
    model.set_weights([random.randn(*w.shape).astype("float32") * 0.5 for w in model.get_weights()])
    return model, random.randint(0, 11, (8, 5)).astype("int32")


@pytest.mark.parametrize("tie_weights", [True, False])
def test_both_ways_train_and_are_saved_as_in_keras(tie_weights: bool, tmp_path: Path) -> None:
    model, ids = tied(tie_weights)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = model.fit(ids, ids, epochs=2, verbose=0, shuffle=False).history["loss"]
    scores = model.predict(ids, verbose=0)
    np.testing.assert_allclose([*losses, scores.sum()], RECORDED[tie_weights], rtol=1e-5)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras").predict(ids, verbose=0), scores)
    assert len(model.weights) == (3 if tie_weights else 4)
    model.export(tmp_path / "model.onnx")


def test_ids_have_a_mask_and_scores_have_none() -> None:
    table = layers.ReversibleEmbedding(6, 3, mask_zero=True, name="table")
    ids = keras.Input((4,), dtype="int32")
    mean = layers.GlobalAveragePooling1D()
    masked = keras.Model(ids, mean(table(ids)))
    scored = keras.Model(ids, mean(table(table(ids), reverse=True)))
    x = np.array([[1, 2, 0, 0]], "int32")
    rows = table.embeddings.numpy()[x[0]]
    np.testing.assert_allclose(masked.predict(x, verbose=0)[0], rows[:2].mean(0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(
        scored.predict(x, verbose=0)[0], (rows @ table.embeddings.numpy().T).mean(0), rtol=1e-5, atol=1e-7
    )
