"""Finds the pixels of discs with a small U-shaped network; images come from a keras.utils.PyDataset."""

import math

import keras
import numpy as np
from keras import layers

from report import report, settle


class Discs(keras.utils.PyDataset):
    """Batches of noisy images, and of which of their pixels lie in the disc, drawn when they are asked for."""

    def __init__(self, count, batch_size, seed, **kwargs):
        super().__init__(**kwargs)
        self.count, self.batch_size, self.seed = count, batch_size, seed

    def __len__(self):
        return math.ceil(self.count / self.batch_size)

    def __getitem__(self, idx):
        rng = np.random.default_rng([self.seed, idx])
        size = min(self.batch_size, self.count - idx * self.batch_size)
        middle = rng.uniform(4, 12, (size, 2))
        rows, columns = np.mgrid[:16, :16]
        inside = np.hypot(rows - middle[:, :1, None], columns - middle[:, 1:, None]) < 4
        x = inside[..., None] * 0.6 + rng.normal(0.2, 0.1, (size, 16, 16, 1))
        return x.astype("float32"), inside[..., None].astype("uint8")


def get_model(img_size, num_classes):
    inputs = keras.Input(shape=(*img_size, 1))
    x = layers.Conv2D(8, 3, strides=2, padding="same")(inputs)
    x = layers.BatchNormalization(momentum=0.9)(x)
    x = layers.Activation("relu")(x)
    previous_block_activation = x
    for filters in [12]:
        x = layers.SeparableConv2D(filters, 3, padding="same")(layers.Activation("relu")(x))
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(filters, 1, strides=2, padding="same")(previous_block_activation)
        x = layers.add([x, residual])
        previous_block_activation = x
    for filters in [12, 8]:
        x = layers.Conv2DTranspose(filters, 3, padding="same")(layers.Activation("relu")(x))
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.UpSampling2D(2)(x)
        residual = layers.UpSampling2D(2)(previous_block_activation)
        residual = layers.Conv2D(filters, 1, padding="same")(residual)
        x = layers.add([x, residual])
        previous_block_activation = x
    outputs = layers.Conv2D(num_classes, 3, activation="softmax", padding="same")(x)
    return keras.Model(inputs, outputs)


model = settle(get_model((16, 16), num_classes=2))
model.summary()
model.compile(
    optimizer=keras.optimizers.Adam(5e-3),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy", keras.metrics.MeanIoU(num_classes=2, sparse_y_pred=False, name="iou")],
)
train_dataset, valid_dataset = Discs(64, 16, seed=1), Discs(24, 16, seed=2)
history = model.fit(train_dataset, epochs=3, validation_data=valid_dataset, shuffle=False, verbose=0)
val_preds = model.predict(valid_dataset, verbose=0)
mask = np.argmax(val_preds[0], axis=-1)
assert mask.shape == (16, 16)
assert history.history["accuracy"][-1] > 0.8
report(model, valid_dataset[0][0], exact={"history": history.history})
