"""Classifies images that lie in folders: read in batches, changed at random, seen by a small convolutional network."""

import tempfile

import keras
from keras import layers
from made import folder_of_images

from report import report

keras.utils.set_random_seed(3)
image_size, batch_size = (24, 24), 16
data_augmentation_layers = [layers.RandomFlip("horizontal"), layers.RandomRotation(0.02)]


def data_augmentation(images):
    for layer in data_augmentation_layers:
        images = layer(images)
    return images


def make_model(input_shape, num_classes):
    inputs = keras.Input(shape=input_shape)
    x = data_augmentation(inputs)
    x = layers.Rescaling(1.0 / 255)(x)
    x = layers.Conv2D(16, 3, strides=2, padding="same")(x)
    x = layers.BatchNormalization(momentum=0.8)(x)
    x = layers.Activation("relu")(x)
    previous_block_activation = x
    for size in [24, 32]:
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(size, 3, padding="same")(x)
        x = layers.BatchNormalization(momentum=0.8)(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(size, 1, strides=2, padding="same")(previous_block_activation)
        x = layers.add([x, residual])
        previous_block_activation = x
    x = layers.GlobalAveragePooling2D()(x)
    units = 1 if num_classes == 2 else num_classes
    x = layers.Dropout(0.25)(x)
    return keras.Model(inputs, layers.Dense(units, activation=None)(x))


with tempfile.TemporaryDirectory() as folder:
    folder_of_images(folder, 160, seed=1)
    train_ds, val_ds = keras.utils.image_dataset_from_directory(
        folder,
        validation_split=0.2,
        subset="both",
        seed=1337,
        image_size=image_size,
        batch_size=batch_size,
    )
    class_names = train_ds.class_names
    for images, labels in train_ds.take(1):
        first = images[0].numpy().astype("uint8")
        print(first.shape, class_names[int(labels[0])])
    augmented_train_ds = train_ds.map(lambda img, label: (data_augmentation(img), label))
    for images, _ in augmented_train_ds.take(1):
        augmented = images.shape

    model = make_model(input_shape=image_size + (3,), num_classes=3)
    model.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="acc")],
    )
    history = model.fit(train_ds.prefetch(2), epochs=6, validation_data=val_ds, verbose=2)
    loss, acc = model.evaluate(train_ds, verbose=0)

    img = keras.utils.image_dataset_from_directory(folder, labels=None, image_size=image_size, shuffle=False)
    img_array = next(iter(img)).numpy()
    predictions = model.predict(img_array[:4])
    print("scores of the first disc:", keras.ops.convert_to_numpy(keras.ops.softmax(predictions[0])))

report(
    model, img_array, reached={"accuracy": (acc, 0.9), "classes": (len(class_names), 3), "shape": (augmented[1], 24)}
)
