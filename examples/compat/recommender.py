"""Says which films somebody would like: vectors of people and of films, learned from ratings."""

import keras
import numpy as np
from keras import layers, ops

from report import report, settle

people, films, size = 30, 40, 8
rng = np.random.default_rng(0)
taste, kind = rng.normal(size=(people, 3)), rng.normal(size=(films, 3))
seen = np.stack([rng.integers(0, people, 900), rng.integers(0, films, 900)], axis=1)
liked = (taste[seen[:, 0]] * kind[seen[:, 1]]).sum(axis=1)
rating = (1 / (1 + np.exp(-liked))).astype("float32")
train, val = slice(0, 800), slice(800, 900)


class RecommenderNet(keras.Model):
    def __init__(self, num_users, num_movies, embedding_size, **kwargs):
        super().__init__(**kwargs)
        self.user_embedding = layers.Embedding(
            num_users,
            embedding_size,
            embeddings_initializer="he_normal",
            embeddings_regularizer=keras.regularizers.l2(1e-6),
        )
        self.user_bias = layers.Embedding(num_users, 1)
        self.movie_embedding = layers.Embedding(
            num_movies,
            embedding_size,
            embeddings_initializer="he_normal",
            embeddings_regularizer=keras.regularizers.l2(1e-6),
        )
        self.movie_bias = layers.Embedding(num_movies, 1)

    def call(self, inputs):
        user_vector = self.user_embedding(inputs[:, 0])
        movie_vector = self.movie_embedding(inputs[:, 1])
        together = ops.sum(user_vector * movie_vector, axis=-1, keepdims=True)
        return ops.nn.sigmoid(together + self.user_bias(inputs[:, 0]) + self.movie_bias(inputs[:, 1]))


model = RecommenderNet(people, films, size, name="recommender")
model(seen[:2])
settle(model)
model.compile(
    loss=keras.losses.BinaryCrossentropy(),
    optimizer=keras.optimizers.Adam(learning_rate=0.01),
    metrics=[keras.metrics.RootMeanSquaredError(name="rmse")],
)
history = model.fit(
    x=seen[train],
    y=rating[train],
    batch_size=64,
    epochs=5,
    shuffle=False,
    validation_data=(seen[val], rating[val]),
)

user = 3
not_seen = np.setdiff1d(np.arange(films), seen[seen[:, 0] == user, 1])
pairs = np.stack([np.full(len(not_seen), user), not_seen], axis=1)
ratings = model.predict(pairs).flatten()
top = not_seen[ratings.argsort()[-5:][::-1]]
print("Recommended:", top.tolist())

report(model, seen[val].astype("int32"), {"history": history.history, "top": top.tolist()})
