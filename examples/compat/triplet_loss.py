"""Lays like images near each other: one network sees three of them, and a triplet loss of the model's own compares."""

import keras
import numpy as np
from keras import layers, ops
from made import shapes

from report import report, settle

images, kinds = shapes(240, seed=4)
rng = np.random.default_rng(4)


def draw(anchors, same):
    return np.array([rng.choice(np.flatnonzero((kinds == kinds[a]) == same)) for a in anchors])


anchors = rng.integers(0, len(images), 128)
triplets = [images[anchors], images[draw(anchors, True)], images[draw(anchors, False)]]


class DistanceLayer(layers.Layer):
    def call(self, anchor, positive, negative):
        ap_distance = ops.sum(ops.square(anchor - positive), -1)
        an_distance = ops.sum(ops.square(anchor - negative), -1)
        return ap_distance, an_distance


inputs = keras.Input((16, 16, 1))
x = layers.Conv2D(6, 3, strides=2, activation="relu")(inputs)
x = layers.Conv2D(8, 3, activation="relu")(x)
x = layers.Flatten()(x)
outputs = layers.UnitNormalization()(layers.Dense(6)(x))
embedding = keras.Model(inputs, outputs, name="embedding")

anchor, positive, negative = (keras.Input((16, 16, 1), name=name) for name in ("anchor", "positive", "negative"))
distances = DistanceLayer()(embedding(anchor), embedding(positive), embedding(negative))
siamese_network = settle(keras.Model([anchor, positive, negative], distances))


class SiameseModel(keras.Model):
    def __init__(self, network, margin=0.5):
        super().__init__()
        self.network = network
        self.margin = margin

    def call(self, inputs):
        return self.network(inputs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **kwargs):
        ap_distance, an_distance = y_pred
        return ops.mean(ops.maximum(ap_distance - an_distance + self.margin, 0.0))


model = SiameseModel(siamese_network)
model.compile(optimizer=keras.optimizers.Adam(0.002))
history = model.fit(triplets, batch_size=16, epochs=4, shuffle=False)

near, far = model.predict(triplets)
cosine_similarity = keras.metrics.CosineSimilarity()
cosine_similarity.update_state(embedding(triplets[0][:20]), embedding(triplets[1][:20]))
print("Positive similarity:", float(cosine_similarity.result()))

report(
    embedding,
    images[:32],
    {
        "loss": history.history["loss"],
        "distances": [near, far],
        "nearer": int((near < far).sum()),
        "similarity": float(cosine_similarity.result()),
    },
)
