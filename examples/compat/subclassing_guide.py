"""Layers and models by subclassing: weights made when the input is known, layers in layers, losses added on the way."""

import keras
from keras import ops
from made import shapes

from report import report, settle


class Linear(keras.layers.Layer):
    def __init__(self, units=32, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True, name="w"
        )
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True, name="b")

    def call(self, inputs):
        return ops.matmul(inputs, self.w) + self.b


class ComputeSum(keras.layers.Layer):
    def __init__(self, input_dim):
        super().__init__()
        self.total = self.add_weight(initializer="zeros", shape=(input_dim,), trainable=False)

    def call(self, inputs):
        self.total.assign_add(ops.sum(inputs, axis=0))
        return self.total


class MLPBlock(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.linear_1 = Linear(24)
        self.linear_2 = Linear(24)
        self.linear_3 = Linear(3)

    def call(self, inputs):
        x = self.linear_1(inputs)
        x = keras.activations.relu(x)
        x = self.linear_2(x)
        x = keras.activations.relu(x)
        return self.linear_3(x)


class ActivityRegularizationLayer(keras.layers.Layer):
    def __init__(self, rate=1e-2):
        super().__init__()
        self.rate = rate

    def call(self, inputs):
        self.add_loss(self.rate * ops.mean(ops.square(inputs)))
        return inputs


class CustomDropout(keras.layers.Layer):
    """Does something else in training, but nothing at random here."""

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate

    def call(self, inputs, training=None):
        if training:
            return inputs * (1.0 - self.rate)
        return inputs


class Classifier(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.flat = keras.layers.Flatten()
        self.drop = CustomDropout(0.1)
        self.penalty = ActivityRegularizationLayer()
        self.block = MLPBlock()
        self.tables = {"scale": keras.layers.Rescaling(2.0, offset=-1.0)}

    def call(self, inputs, training=None):
        x = self.tables["scale"](inputs)
        x = self.penalty(self.drop(self.flat(x), training=training))
        return self.block(x)


my_sum = ComputeSum(2)
x = ops.ones((2, 2))
sums = [ops.convert_to_numpy(my_sum(x)), ops.convert_to_numpy(my_sum(x))]
counts = [len(my_sum.weights), len(my_sum.non_trainable_weights), len(my_sum.trainable_weights)]

mlp = MLPBlock()
assert len(mlp.weights) == 0
y = mlp(ops.ones(shape=(3, 64)))
assert (len(mlp.weights), len(mlp.trainable_weights)) == (6, 6)

layer = ActivityRegularizationLayer()
_ = layer(ops.ones((1, 3)))
losses = [float(loss) for loss in layer.losses]
_ = layer(ops.zeros((1, 3)))
losses.append(len(layer.losses))

images, kinds = shapes(128, seed=8)
model = Classifier(name="classifier")
model(images[:1])
settle(model)
model.compile(
    optimizer=keras.optimizers.SGD(learning_rate=0.02, momentum=0.9, nesterov=True, clipnorm=1.0),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
history = model.fit(images, kinds, epochs=4, batch_size=32, shuffle=False, validation_split=0.25, verbose=0)
try:
    model.summary()
    model.get_config()
finally:
    names = [weight.name for weight in model.weights]
frozen = Classifier()
frozen(images[:1])
frozen.block.trainable = False
assert history.history["val_accuracy"][-1] > 0.6
report(
    model,
    images[:40],
    exact={
        "sums": sums,
        "counts": counts,
        "losses": losses,
        "history": history.history,
        "names": names,
        "frozen": [len(frozen.trainable_weights), len(frozen.non_trainable_weights)],
        "by_call": ops.convert_to_numpy(model(images[:3], training=True)),
    },
)
