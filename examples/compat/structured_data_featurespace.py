"""The same table by a FeatureSpace: what is done with each column is said in a dictionary."""

import keras
from keras.utils import FeatureSpace
from made import patients

from report import report, settle

columns, target = patients(240, seed=3)
feature_space = FeatureSpace(
    features={
        "rooms": FeatureSpace.integer_categorical(num_oov_indices=0),
        "pain": FeatureSpace.string_categorical(num_oov_indices=0),
        "age": FeatureSpace.float_discretized(num_bins=6),
        "pressure": FeatureSpace.float_normalized(),
    },
    crosses=[FeatureSpace.cross(feature_names=("rooms", "pain"), crossing_dim=8)],
    output_mode="concat",
)
feature_space.adapt(columns)
preprocessed = keras.ops.convert_to_numpy(feature_space(columns))
print("preprocessed:", preprocessed.shape)

encoded_features = feature_space.get_encoded_features()
x = keras.layers.Dense(16, activation="relu")(encoded_features)
predictions = keras.layers.Dense(1, activation="sigmoid")(x)
training_model = settle(keras.Model(inputs=encoded_features, outputs=predictions))
training_model.compile(keras.optimizers.Adam(0.02), loss="binary_crossentropy", metrics=["accuracy"])
history = training_model.fit(preprocessed, target, epochs=8, batch_size=32, shuffle=False, validation_split=0.2)

dict_inputs = feature_space.get_inputs()
inference_model = keras.Model(inputs=dict_inputs, outputs=training_model(feature_space.get_encoded_features()))
assert history.history["val_accuracy"][-1] > 0.8
report(training_model, preprocessed[:32], exact={"history": history.history, "encoded": preprocessed})
