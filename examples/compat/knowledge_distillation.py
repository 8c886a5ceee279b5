"""A small network learns what a larger one thinks of the images, by a loss of the model's own."""

import keras
from keras import layers, ops
from made import shapes

from report import report, settle

keras.utils.set_random_seed(1)


class Distiller(keras.Model):
    def __init__(self, student, teacher):
        super().__init__()
        self.teacher = teacher
        self.student = student

    def compile(self, optimizer, metrics, student_loss_fn, distillation_loss_fn, alpha=0.1, temperature=3):
        super().compile(optimizer=optimizer, metrics=metrics)
        self.student_loss_fn = student_loss_fn
        self.distillation_loss_fn = distillation_loss_fn
        self.alpha = alpha
        self.temperature = temperature

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, allow_empty=False, training=True):
        teacher_pred = self.teacher(x, training=False)
        student_loss = self.student_loss_fn(y, y_pred)
        distillation_loss = self.distillation_loss_fn(
            ops.softmax(teacher_pred / self.temperature, axis=1),
            ops.softmax(y_pred / self.temperature, axis=1),
        ) * (self.temperature**2)
        return self.alpha * student_loss + (1 - self.alpha) * distillation_loss

    def call(self, x):
        return self.student(x)


def convolutional(filters, name):
    return keras.Sequential(
        [
            keras.Input(shape=(16, 16, 1)),
            layers.Conv2D(filters, (3, 3), strides=(2, 2), padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.MaxPooling2D(pool_size=(2, 2), strides=(1, 1), padding="same"),
            layers.Conv2D(filters * 2, (3, 3), strides=(2, 2), padding="same"),
            layers.Flatten(),
            layers.Dense(3),
        ],
        name=name,
    )


teacher, student = settle(convolutional(16, "teacher"), 1), settle(convolutional(4, "student"), 2)
student_scratch = keras.models.clone_model(student)
student_scratch.set_weights(student.get_weights())
(x_train, y_train), (x_test, y_test) = shapes(160, seed=5), shapes(64, seed=6)

teacher.compile(
    optimizer=keras.optimizers.Adam(0.005),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=[keras.metrics.SparseCategoricalAccuracy()],
)
teaching = teacher.fit(x_train, y_train, batch_size=16, epochs=3, shuffle=False, verbose=0)

distiller = Distiller(student=student, teacher=teacher)
distiller.compile(
    optimizer=keras.optimizers.Adam(0.005),
    metrics=[keras.metrics.SparseCategoricalAccuracy()],
    student_loss_fn=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    distillation_loss_fn=keras.losses.KLDivergence(),
    alpha=0.1,
    temperature=10,
)
teacher.trainable = False
learning = distiller.fit(x_train, y_train, batch_size=16, epochs=3, shuffle=False, verbose=0)
distilled = distiller.evaluate(x_test, y_test, verbose=0, return_dict=True)

student_scratch.compile(
    optimizer=keras.optimizers.Adam(0.005),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=[keras.metrics.SparseCategoricalAccuracy()],
)
alone = student_scratch.fit(x_train, y_train, batch_size=16, epochs=3, shuffle=False, verbose=0)
assert distilled["sparse_categorical_accuracy"] > 0.8
report(
    student,
    x_test,
    exact={"teacher": teaching.history, "distiller": learning.history, "test": distilled, "alone": alone.history},
)
