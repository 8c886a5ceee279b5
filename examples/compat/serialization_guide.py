"""Models, their parts and their weights in files and dictionaries, with classes and functions of the program's own."""

import tempfile
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from report import report, settle

keras.saving.get_custom_objects().clear()


@keras.saving.register_keras_serializable(package="MyLayers")
class CustomLayer(keras.layers.Layer):
    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable(package="my_package", name="custom_fn")
def custom_fn(x):
    return x**2


@keras.saving.register_keras_serializable(package="MyLayers")
class Wrapped(keras.layers.Layer):
    """A layer around another one, which get_config says as plain data."""

    def __init__(self, sublayer, **kwargs):
        super().__init__(**kwargs)
        self.sublayer = sublayer

    def call(self, x):
        return self.sublayer(x) + x

    def get_config(self):
        return {**super().get_config(), "sublayer": keras.saving.serialize_keras_object(self.sublayer)}

    @classmethod
    def from_config(cls, config):
        config["sublayer"] = keras.saving.deserialize_keras_object(config.pop("sublayer"))
        return cls(**config)


@keras.saving.register_keras_serializable(package="MyModels")
class OwnModel(keras.Model):
    def __init__(self, hidden_units, **kwargs):
        super().__init__(**kwargs)
        self.hidden_units = hidden_units
        self.dense_layers = [layers.Dense(u, activation="tanh") for u in hidden_units]

    def call(self, x):
        for layer in self.dense_layers:
            x = layer(x)
        return x

    def get_config(self):
        return {**super().get_config(), "hidden_units": self.hidden_units}


class WithState(keras.layers.Layer):
    """Keeps something in the file beside its weights."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scale = self.add_weight((), initializer="ones", name="scale")
        self.table = np.zeros(3)

    def call(self, x):
        return x * self.scale

    def save_own_variables(self, store):
        super().save_own_variables(store)
        store["table"] = self.table

    def load_own_variables(self, store):
        self.scale.assign(store["0"])
        self.table = np.array(store["table"])

    def get_build_config(self):
        return {"said": [1, 2]}

    def build_from_config(self, config):
        self.said = config["said"]


inputs = keras.Input(shape=(6,), name="numbers")
x = CustomLayer(0.5)(inputs)
x = Wrapped(layers.Dense(6, activation=custom_fn, kernel_regularizer=keras.regularizers.L2(1e-3)))(x)
outputs = layers.Dense(1, name="out")(x)
model = settle(keras.Model(inputs, outputs, name="custom"))
model.compile(optimizer=keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.01, 20, 0.9)), loss="mse")
test_input = np.random.default_rng(1).normal(size=(64, 6)).astype("float32")
test_target = test_input.sum(axis=1, keepdims=True)
first = model.fit(test_input, test_target, epochs=2, batch_size=16, shuffle=False, verbose=0)
expected = model.predict(test_input, verbose=0)
told = {}

with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    model.save(folder / "my_model.keras")
    reconstructed = keras.models.load_model(folder / "my_model.keras")
    np.testing.assert_allclose(expected, reconstructed.predict(test_input, verbose=0), rtol=1e-5)
    told["activation"] = reconstructed.get_layer("wrapped").sublayer.activation is custom_fn
    told["class"] = keras.saving.serialize_keras_object(reconstructed.get_layer("custom_layer"))["registered_name"]
    told["optimizer"] = int(reconstructed.optimizer.iterations)
    # The optimizer goes on where it was: both learn the same from here.
    both = [
        m.fit(test_input, test_target, epochs=1, batch_size=16, shuffle=False, verbose=0).history["loss"]
        for m in (model, reconstructed)
    ]
    np.testing.assert_allclose(both[0], both[1], rtol=1e-4)
    told["goes_on"] = both[1]

    model.save(str(folder / "my_model.h5"))
    from_h5 = keras.models.load_model(str(folder / "my_model.h5"), compile=False)
    np.testing.assert_allclose(model.predict(test_input, verbose=0), from_h5.predict(test_input, verbose=0), rtol=1e-5)

    model.save_weights(folder / "only.weights.h5")
    fresh = keras.Model.from_config(model.get_config())
    fresh.load_weights(folder / "only.weights.h5")
    np.testing.assert_allclose(model.predict(test_input, verbose=0), fresh.predict(test_input, verbose=0), rtol=1e-5)

    from_json = keras.models.model_from_json(model.to_json())
    told["summary"] = [layer.name for layer in from_json.layers]

    own = OwnModel([16, 1], name="own")
    own(test_input[:1])
    own.save(folder / "own.keras")
    own_again = keras.models.load_model(folder / "own.keras")
    np.testing.assert_allclose(own.predict(test_input, verbose=0), own_again.predict(test_input, verbose=0), rtol=1e-5)
    told["own"] = own_again.hidden_units

    stateful = keras.Sequential([keras.Input((6,)), WithState(name="state")])
    stateful.layers[0].table = np.arange(3.0)
    stateful.layers[0].scale.assign(3.0)
    stateful.save(folder / "state.keras")
    with keras.saving.custom_object_scope({"WithState": WithState}):
        state_again = keras.models.load_model(folder / "state.keras")
    told["state"] = [float(np.array(state_again.layers[0].scale)), *state_again.layers[0].table.tolist()]

with keras.saving.custom_object_scope({"CustomLayer": CustomLayer, "custom_fn": custom_fn}):
    cloned = keras.models.clone_model(model)
told["cloned"] = [list(np.shape(w)) for w in cloned.get_weights()]
config = layers.Dense(10, name="ten").get_config()
told["dense"] = [config["units"], config["kernel_initializer"]]
told["same"] = layers.Dense.from_config(config).get_config() == config
told["initializer"] = keras.initializers.serialize(keras.initializers.GlorotNormal(seed=3))
told["loss"] = keras.losses.get("mse")(ops.zeros((1, 2)), ops.ones((1, 2))).shape
told["registered"] = keras.saving.get_registered_name(CustomLayer)
assert keras.saving.get_registered_object("my_package>custom_fn") is custom_fn
report(model, test_input, exact={"first": first.history, "told": told, "expected": expected})
