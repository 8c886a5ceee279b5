"""Finds the few frauds among many payments: weights of classes, and metrics that count."""

import keras
import numpy as np
from made import rare_frauds

from report import report, settle

features, targets = rare_frauds(640, seed=5)
count_of_validation = int(len(features) * 0.2)
train_features, train_targets = features[:-count_of_validation], targets[:-count_of_validation]
val_features, val_targets = features[-count_of_validation:], targets[-count_of_validation:]

counts = np.bincount(train_targets[:, 0])
print(f"frauds in the training data: {counts[1]} ({100 * float(counts[1]) / len(train_targets):.2f} % of all)")
weight_for_0, weight_for_1 = 1.0 / counts[0], 1.0 / counts[1]

mean = np.mean(train_features, axis=0)
train_features -= mean
val_features -= mean
std = np.std(train_features, axis=0)
train_features /= std
val_features /= std

model = keras.Sequential(
    [
        keras.Input(shape=train_features.shape[1:]),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
)
settle(model)
metrics = [
    keras.metrics.FalseNegatives(name="fn"),
    keras.metrics.FalsePositives(name="fp"),
    keras.metrics.TrueNegatives(name="tn"),
    keras.metrics.TruePositives(name="tp"),
    keras.metrics.Precision(name="precision"),
    keras.metrics.Recall(name="recall"),
]
model.compile(optimizer=keras.optimizers.Adam(1e-2), loss="binary_crossentropy", metrics=metrics)
history = model.fit(
    train_features,
    train_targets,
    batch_size=64,
    epochs=12,
    verbose=2,
    shuffle=False,
    validation_data=(val_features, val_targets),
    class_weight={0: weight_for_0, 1: weight_for_1},
)
assert history.history["recall"][-1] > 0.9
report(model, val_features, exact={"history": history.history, "counts": counts})
