"""Two bidirectional LSTMs over padded reviews, whose zeros are masked."""

import keras
from keras import layers
from made import numbered_reviews

from report import report, settle

max_features = 40
(x_train, y_train), (x_val, y_val) = numbered_reviews(128, seed=3), numbered_reviews(64, seed=4)
x_train = keras.utils.pad_sequences(x_train, maxlen=12, padding="post", truncating="post")
x_val = keras.utils.pad_sequences(x_val, maxlen=12, padding="post", truncating="post")

inputs = keras.Input(shape=(None,), dtype="int32")
x = layers.Embedding(max_features, 12, mask_zero=True)(inputs)
x = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(x)
x = layers.Bidirectional(layers.LSTM(8))(x)
outputs = layers.Dense(1, activation="sigmoid")(x)
model = settle(keras.Model(inputs, outputs, name="two_directions"))
model.summary()

model.compile(optimizer=keras.optimizers.Adam(0.02), loss="binary_crossentropy", metrics=["accuracy", "auc"])
history = model.fit(x_train, y_train, batch_size=16, epochs=4, shuffle=False, validation_data=(x_val, y_val))
assert history.history["val_accuracy"][-1] > 0.85
report(model, x_val, exact={"history": history.history})
