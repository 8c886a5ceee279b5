"""Sorts texts with vectors of words that were learned elsewhere: first as they are, then tuned with the rest."""

import keras
import numpy as np
from keras import layers
from made import reviews

from report import report

texts, labels = reviews(160, seed=1)
labels = np.array(labels, "float32")
vectorizer = layers.TextVectorization(max_tokens=60, output_sequence_length=10)
vectorizer.adapt(np.array(texts))
vocabulary = vectorizer.get_vocabulary()
word_index = dict(zip(vocabulary, range(len(vocabulary))))

# A file of vectors has words that the texts lack, and lacks some of theirs.
rng = np.random.default_rng(7)
embeddings_index = {word: rng.normal(0, 0.5, 12) for word in sorted(vocabulary)[::-1] if len(word) != 4}
num_tokens, hits, misses = len(vocabulary) + 2, 0, 0
embedding_matrix = np.zeros((num_tokens, 12))
for word, i in word_index.items():
    vector = embeddings_index.get(word)
    if vector is not None:
        embedding_matrix[i] = vector
        hits += 1
    else:
        misses += 1
print(f"Converted {hits} words ({misses} misses)")

embedding_layer = layers.Embedding(num_tokens, 12, trainable=False, name="pretrained")
embedding_layer.build((1,))
embedding_layer.set_weights([embedding_matrix])

int_sequences_input = keras.Input(shape=(10,), dtype="int32")
embedded_sequences = embedding_layer(int_sequences_input)
x = layers.Conv1D(16, 3, activation="relu", name="conv")(embedded_sequences)
x = layers.MaxPooling1D(2)(x)
x = layers.Conv1D(16, 3, activation="relu", name="conv_again")(x)
x = layers.GlobalMaxPooling1D()(x)
preds = layers.Dense(1, activation="sigmoid", name="preds")(x)
model = keras.Model(int_sequences_input, preds)
for layer in model.layers:
    if layer.name in ("conv", "conv_again", "preds"):
        kernel, bias = layer.get_weights()
        layer.set_weights([rng.normal(0, 0.2, kernel.shape), bias])

x_train = np.array(vectorizer(np.array(texts))).astype("int32")
model.compile(loss="binary_crossentropy", optimizer="rmsprop", metrics=["acc"])
frozen = model.fit(x_train, labels, batch_size=32, epochs=4, shuffle=False)
kept = bool(np.array_equal(embedding_layer.get_weights()[0], embedding_matrix.astype("float32")))

embedding_layer.trainable = True
model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.SGD(0.05), metrics=["acc"])
tuned = model.fit(x_train, labels, batch_size=32, epochs=3, shuffle=False)

report(
    model,
    x_train[:40],
    {
        "words": [hits, misses],
        "kept": kept,
        "frozen": frozen.history,
        "tuned": tuned.history,
        "vectors": embedding_layer.get_weights()[0],
    },
)
