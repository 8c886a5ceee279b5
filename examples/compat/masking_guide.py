"""Masks: where they come from, how layers pass them on, and layers of the program's own that make and use them."""

import keras
import numpy as np
from keras import layers, ops

from report import report, settle

raw_inputs = [[11, 6, 7], [3, 14, 9, 8, 1], [5, 2, 12, 13, 4, 10]]
padded_inputs = keras.utils.pad_sequences(raw_inputs, padding="post")
print(padded_inputs)

embedding = layers.Embedding(input_dim=20, output_dim=8, mask_zero=True)
masked_output = embedding(padded_inputs)
first_mask = ops.convert_to_numpy(embedding.compute_mask(padded_inputs))

masking_layer = layers.Masking()
unmasked_embedding = ops.cast(ops.tile(ops.expand_dims(padded_inputs, axis=-1), [1, 1, 10]), dtype="float32")
second_mask = ops.convert_to_numpy(masking_layer.compute_mask(unmasked_embedding))


@keras.saving.register_keras_serializable(package="masks")
class TemporalSplit(keras.layers.Layer):
    """Splits the time in two; the mask goes with the halves."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        return ops.split(inputs, 2, axis=1)

    def compute_mask(self, inputs, mask=None):
        if mask is None:
            return None
        return ops.split(mask, 2, axis=1)


@keras.saving.register_keras_serializable(package="masks")
class MyActivation(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        return ops.relu(inputs)


@keras.saving.register_keras_serializable(package="masks")
class TemporalSoftmax(keras.layers.Layer):
    """A softmax over the steps that the mask leaves."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        if mask is None:
            raise ValueError("`TemporalSoftmax` layer requires a previous layer to support masking.")
        broadcast_float_mask = ops.expand_dims(ops.cast(mask, "float32"), -1)
        inputs_exp = ops.exp(inputs) * broadcast_float_mask
        inputs_sum = ops.sum(inputs_exp * broadcast_float_mask, axis=1, keepdims=True)
        return inputs_exp / inputs_sum


@keras.saving.register_keras_serializable(package="masks")
class CustomEmbedding(keras.layers.Layer):
    """An embedding that says which of its numbers are zeros of padding."""

    def __init__(self, input_dim, output_dim, mask_zero=False, **kwargs):
        super().__init__(**kwargs)
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.mask_zero = mask_zero

    def build(self, input_shape):
        self.embeddings = self.add_weight(
            shape=(self.input_dim, self.output_dim), initializer="random_normal", dtype="float32"
        )

    def call(self, inputs):
        inputs = ops.cast(inputs, "int32")
        return ops.take(self.embeddings, inputs, axis=0)

    def compute_mask(self, inputs, mask=None):
        if not self.mask_zero:
            return None
        return ops.not_equal(inputs, 0)


halves = TemporalSplit()(masked_output)
inputs = keras.Input(shape=(None,), dtype="int32")
x = CustomEmbedding(20, 12, mask_zero=True)(inputs)
x = MyActivation()(x)
x = layers.GRU(10, return_sequences=True)(x)
weights = TemporalSoftmax()(layers.Dense(1)(x))
x = layers.Multiply()([x, weights])
pooled = layers.GlobalAveragePooling1D()(x)
last = layers.LSTM(6)(x)
outputs = layers.Dense(1)(layers.concatenate([pooled, last]))
model = settle(keras.Model(inputs, outputs))

rng = np.random.default_rng(1)
lengths = rng.integers(2, 7, 64)
x_train = np.where(np.arange(7) < lengths[:, None], rng.integers(1, 20, (64, 7)), 0).astype("int32")
y_train = (x_train.sum(1) / lengths / 10).astype("float32")[:, None]
model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
history = model.fit(x_train, y_train, epochs=4, batch_size=16, shuffle=False, verbose=0)

# What stands behind the end of a text changes nothing.
longer = np.concatenate([x_train, np.zeros((64, 2), "int32")], axis=1)
change = float(np.abs(model.predict(longer, verbose=0) - model.predict(x_train, verbose=0)).max())
print("two more steps of padding change the result by", change)
lstm_only = settle(keras.Sequential([keras.Input((None, 3)), layers.Masking(mask_value=-1.0), layers.LSTM(4)]))
padded = np.where(np.arange(5)[None, :, None] < 3, 0.5, -1.0).astype("float32").repeat(3, axis=2)
np.testing.assert_allclose(lstm_only.predict(padded, verbose=0), lstm_only.predict(padded[:, :3], verbose=0), atol=1e-6)
report(
    model,
    x_train,
    exact={
        "masks": [first_mask.astype(int).tolist(), second_mask.astype(int).tolist()],
        "halves": [list(half.shape) for half in halves],
        "history": history.history,
        "by_call": ops.convert_to_numpy(lstm_only(padded)),
    },
)
