"""Forecasts a temperature from windows of what was measured before, with checkpoints and early stopping."""

import tempfile
from pathlib import Path

import keras
from made import series

from report import report, settle

past, future, step, batch_size = 48, 6, 2, 32
data = series(720, seed=6)
split = 504
data = (data - data[:split].mean(axis=0)) / data[:split].std(axis=0)
train, val = data[:split], data[split:]


def windows(part):
    start = past + future
    return keras.preprocessing.timeseries_dataset_from_array(
        part[: len(part) - start],
        part[start:, :1],
        sequence_length=past // step,
        sampling_rate=step,
        batch_size=batch_size,
    )


dataset_train, dataset_val = windows(train), windows(val)
for batch in dataset_train.take(1):
    inputs, targets = batch
print("Input shape:", inputs.numpy().shape)
print("Target shape:", targets.numpy().shape)

inputs = keras.layers.Input(shape=(inputs.shape[1], inputs.shape[2]))
lstm_out = keras.layers.LSTM(16)(inputs)
outputs = keras.layers.Dense(1)(lstm_out)
model = settle(keras.Model(inputs=inputs, outputs=outputs))
model.compile(optimizer=keras.optimizers.Adam(learning_rate=0.01), loss="mse")

with tempfile.TemporaryDirectory() as folder:
    checkpoint = str(Path(folder) / "model_checkpoint.weights.h5")
    history = model.fit(
        dataset_train,
        epochs=6,
        validation_data=dataset_val,
        callbacks=[
            keras.callbacks.EarlyStopping(monitor="val_loss", min_delta=0, patience=2),
            keras.callbacks.ModelCheckpoint(
                monitor="val_loss", filepath=checkpoint, verbose=1, save_weights_only=True, save_best_only=True
            ),
        ],
    )
    model.load_weights(checkpoint)

forecasts = [(x[:4].numpy(), y[:4].numpy(), model.predict(x, verbose=0)[:4]) for x, y in dataset_val.take(2)]
loss = model.evaluate(dataset_val, verbose=0)
assert loss < 0.1
report(
    model,
    forecasts[0][0],
    exact={"history": history.history, "loss": loss, "forecasts": [f[2] for f in forecasts], "y": forecasts[1][1]},
)
