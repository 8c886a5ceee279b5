"""A table with numbers and strings, taken in by one model as it is: the preprocessing layers are part of it."""

import keras
import tensorflow as tf
from keras import layers
from made import patients

from report import report, settle

columns, target = patients(240, seed=1)
test_columns, test_target = patients(80, seed=2)

inputs, encoded = {}, []
for name in ("age", "pressure"):
    inputs[name] = keras.Input(shape=(1,), name=name)
    normalizer = layers.Normalization(name=f"{name}_scaled")
    normalizer.adapt(columns[name].reshape(-1, 1))
    encoded.append(normalizer(inputs[name]))

inputs["rooms"] = keras.Input(shape=(1,), name="rooms", dtype="int64")
index = layers.IntegerLookup(name="rooms_index")
index.adapt(columns["rooms"])
encoding = layers.CategoryEncoding(num_tokens=index.vocabulary_size(), output_mode="multi_hot", name="rooms_hot")
encoded.append(encoding(index(inputs["rooms"])))

inputs["pain"] = keras.Input(shape=(1,), name="pain", dtype="string")
lookup = layers.StringLookup(output_mode="one_hot", name="pain_hot")
lookup.adapt(columns["pain"])
encoded.append(lookup(inputs["pain"]))

edges = layers.Discretization(bin_boundaries=[35.0, 50.0, 65.0], name="age_band")
bands = layers.CategoryEncoding(num_tokens=4, output_mode="one_hot", name="age_bands")
encoded.append(bands(edges(inputs["age"])))

x = layers.concatenate(encoded)
x = layers.Dense(16, activation="relu")(x)
output = layers.Dense(1, activation="sigmoid", name="danger")(x)
model = settle(keras.Model(inputs, output))
model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])


def as_dataset(table, labels):
    rows = {name: column.reshape(-1, 1) for name, column in table.items()}
    return tf.data.Dataset.from_tensor_slices((rows, labels)).batch(32)


train_ds, val_ds = as_dataset(columns, target), as_dataset(test_columns, test_target)
history = model.fit(train_ds, epochs=8, validation_data=val_ds, verbose=0)
sample = {"age": 61.0, "pressure": 150.0, "rooms": 3, "pain": "strong"}
input_dict = {name: keras.ops.convert_to_tensor([[value]]) for name, value in sample.items()}
likely = float(model.predict(input_dict, verbose=0)[0, 0])
print(f"This patient is in danger with a probability of {100 * likely:.1f} percent.")
assert history.history["val_accuracy"][-1] > 0.85
report(
    model,
    {name: column.reshape(-1, 1) for name, column in test_columns.items()},
    exact={"history": history.history, "likely": likely, "words": lookup.get_vocabulary()},
    predicted=model.predict(val_ds, verbose=0),
)
