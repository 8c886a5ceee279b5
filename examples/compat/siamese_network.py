"""Tells whether two images show the same kind of thing: one network sees both, and a contrastive loss compares."""

import keras
import numpy as np
from keras import layers, ops
from made import shapes

from report import report, settle


def make_pairs(count, seed):
    images, kinds = shapes(count, seed=seed)
    rng = np.random.default_rng(seed)
    pairs, labels = [], []
    for place in range(count):
        same = place % 2 == 0
        others = np.flatnonzero((kinds == kinds[place]) == same)
        pairs.append([images[place], images[rng.choice(others)]])
        labels.append(0.0 if same else 1.0)
    return np.array(pairs), np.array(labels, "float32")


pairs_train, labels_train = make_pairs(160, seed=1)
pairs_test, labels_test = make_pairs(60, seed=2)


def euclidean_distance(vects):
    x, y = vects
    sum_square = ops.sum(ops.square(x - y), axis=1, keepdims=True)
    return ops.sqrt(ops.maximum(sum_square, keras.backend.epsilon()))


input = keras.layers.Input((16, 16, 1))
x = keras.layers.BatchNormalization(momentum=0.8)(input)
x = keras.layers.Conv2D(4, (5, 5), activation="tanh")(x)
x = keras.layers.AveragePooling2D(pool_size=(2, 2))(x)
x = keras.layers.Conv2D(8, (5, 5), activation="tanh")(x)
x = keras.layers.AveragePooling2D(pool_size=(2, 2))(x)
x = keras.layers.Flatten()(x)
x = keras.layers.BatchNormalization(momentum=0.8)(x)
x = keras.layers.Dense(10, activation="tanh")(x)
embedding_network = keras.Model(input, x, name="embedding_network")

input_1 = keras.layers.Input((16, 16, 1), name="left")
input_2 = keras.layers.Input((16, 16, 1), name="right")
tower_1 = embedding_network(input_1)
tower_2 = embedding_network(input_2)
merge_layer = layers.Lambda(euclidean_distance, output_shape=(1,))([tower_1, tower_2])
normal_layer = keras.layers.BatchNormalization(momentum=0.8)(merge_layer)
output_layer = keras.layers.Dense(1, activation="sigmoid")(normal_layer)
siamese = settle(keras.Model(inputs=[input_1, input_2], outputs=output_layer))


def loss(margin=1):
    def contrastive_loss(y_true, y_pred):
        square_pred = ops.square(y_pred)
        margin_square = ops.square(ops.maximum(margin - (y_pred), 0))
        return ops.mean((1 - y_true) * square_pred + (y_true) * margin_square)

    return contrastive_loss


siamese.compile(loss=loss(margin=1), optimizer=keras.optimizers.RMSprop(0.005), metrics=["accuracy"])
siamese.summary()
history = siamese.fit(
    [pairs_train[:, 0], pairs_train[:, 1]],
    labels_train,
    validation_data=([pairs_test[:, 0], pairs_test[:, 1]], labels_test),
    batch_size=16,
    epochs=8,
    shuffle=False,
)
results = siamese.evaluate([pairs_test[:, 0], pairs_test[:, 1]], labels_test)
print("test loss, test acc:", results)
assert history.history["loss"][-1] < history.history["loss"][0]
report(
    siamese,
    [pairs_test[:, 0], pairs_test[:, 1]],
    exact={"loss": history.history["loss"][:3], "accuracy": history.history["accuracy"][:2]},
)
