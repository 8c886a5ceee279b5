"""Tells good reviews from bad ones by short runs of words, with convolutions; texts become numbers in the program."""

import keras
from keras import layers
from made import reviews

from report import report, settle

(x_train, y_train), (x_test, y_test) = reviews(160, seed=1), reviews(64, seed=2)

vectorize = layers.TextVectorization(max_tokens=40, output_mode="int", output_sequence_length=16)
vectorize.adapt(x_train)
print("the most frequent words:", vectorize.get_vocabulary()[:5])
x_train, x_test = (keras.ops.convert_to_numpy(vectorize(x)) for x in (x_train, x_test))

inputs = keras.Input(shape=(None,), dtype="int64")
x = layers.Embedding(40, 16)(inputs)
x = layers.Conv1D(24, 3, padding="same", activation="relu", strides=1)(x)
x = layers.Conv1D(24, 3, padding="same", activation="relu", strides=2)(x)
x = layers.GlobalMaxPooling1D()(x)
x = layers.Dense(16, activation="relu")(x)
predictions = layers.Dense(1, activation="sigmoid", name="predictions")(x)
model = settle(keras.Model(inputs, predictions))

model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.RMSprop(3e-3), metrics=["accuracy"])
history = model.fit(
    x_train, y_train, validation_data=(x_test, y_test), epochs=6, batch_size=16, shuffle=False, verbose=0
)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
assert accuracy > 0.9
report(
    model,
    x_test,
    exact={"history": history.history, "loss": loss, "words": vectorize.get_vocabulary(), "x_train": x_train},
)
