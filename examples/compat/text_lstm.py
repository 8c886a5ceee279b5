"""Tells good reviews from bad ones with an embedding and an LSTM, as one does with IMDB."""

import keras
from keras import layers
from keras.models import Sequential
from keras.preprocessing import sequence
from made import numbered_reviews

from report import report, settle

max_features, maxlen, batch_size = 40, 14, 16

(x_train, y_train), (x_test, y_test) = numbered_reviews(160, seed=1), numbered_reviews(64, seed=2)
print(len(x_train), "train sequences")
x_train = sequence.pad_sequences(x_train, maxlen=maxlen)
x_test = sequence.pad_sequences(x_test, maxlen=maxlen)
print("x_train shape:", x_train.shape)

model = Sequential()
model.add(keras.Input(shape=(None,), dtype="int32"))
model.add(layers.Embedding(max_features, 16))
model.add(layers.LSTM(16))
model.add(layers.Dense(1, activation="sigmoid"))
model.summary()
settle(model)

model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.Adam(0.01), metrics=["accuracy"])
history = model.fit(
    x_train, y_train, batch_size=batch_size, epochs=5, shuffle=False, validation_data=(x_test, y_test), verbose=2
)
score, acc = model.evaluate(x_test, y_test, batch_size=batch_size)
print("Test score:", score)
print("Test accuracy:", acc)
assert acc > 0.85
report(model, x_test, exact={"history": history.history, "score": score, "accuracy": acc})
