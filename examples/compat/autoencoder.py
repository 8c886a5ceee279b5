"""A convolutional autoencoder that learns to draw images without their noise."""

import keras
import numpy as np
from keras import layers
from keras.models import Model
from made import shapes

from report import report, settle

train_data, test_data = shapes(96, seed=1)[0], shapes(32, seed=2)[0]


def noise(array):
    drawn = np.random.default_rng(0).normal(size=array.shape)
    return np.clip(array + 0.3 * drawn, 0.0, 1.0).astype("float32")


noisy_train_data, noisy_test_data = noise(train_data), noise(test_data)

input = layers.Input(shape=(16, 16, 1))
x = layers.Conv2D(16, (3, 3), activation="relu", padding="same")(input)
x = layers.MaxPooling2D((2, 2), padding="same")(x)
x = layers.Conv2D(16, (3, 3), activation="relu", padding="same")(x)
x = layers.MaxPooling2D((2, 2), padding="same")(x)
x = layers.Conv2DTranspose(16, (3, 3), strides=2, activation="relu", padding="same")(x)
x = layers.Conv2DTranspose(16, (3, 3), strides=2, activation="relu", padding="same")(x)
x = layers.Conv2D(1, (3, 3), activation="sigmoid", padding="same")(x)
autoencoder = settle(Model(input, x))
autoencoder.compile(optimizer=keras.optimizers.Adam(0.01), loss="binary_crossentropy")
autoencoder.summary()

history = autoencoder.fit(
    x=noisy_train_data,
    y=train_data,
    epochs=6,
    batch_size=16,
    shuffle=False,
    validation_data=(noisy_test_data, test_data),
)
predictions = autoencoder.predict(noisy_test_data)
assert np.abs(predictions - test_data).mean() < 0.3
report(autoencoder, noisy_test_data, exact={"history": history.history})
