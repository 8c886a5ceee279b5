"""Steps that ask a tape, for seqc and for Keras on TensorFlow: what was recorded, and the forms of its answers.

Run it with a Python that has Keras 3 and TensorFlow; it prints what `tests/test_tapes.py` expects.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

X = np.arange(8, dtype="float32").reshape(4, 2) / 8
Y = np.ones((4, 2), "float32")


def error(tf: Any, y: Any, p: Any) -> Any:
    return tf.keras.ops.mean(tf.keras.ops.square(y - p))


def target_before(tf: Any, m: Any, x: Any, y: Any) -> Any:
    target = y + 0.9 * m(x + 1.0)
    with tf.GradientTape() as t:
        loss = error(tf, target, m(x))
    return t.gradient(loss, m.trainable_variables)


def penalty_after(tf: Any, m: Any, x: Any, y: Any) -> Any:
    with tf.GradientTape() as t:
        loss = error(tf, y, m(x))
    return t.gradient([loss, tf.keras.ops.sum(tf.keras.ops.square(m.dense.kernel))], m.trainable_variables)


def stopped(tf: Any, m: Any, x: Any, y: Any) -> Any:
    with tf.GradientTape() as t:
        with t.stop_recording():
            target = m(x)
        loss = error(tf, y + target, 2 * m(x))
    return t.gradient(loss, m.trainable_variables)


def reset(tf: Any, m: Any, x: Any, y: Any) -> Any:
    with tf.GradientTape() as t:
        target = m(x)
        t.reset()
        loss = error(tf, y + target, 2 * m(x))
    return t.gradient(loss, m.trainable_variables)


def two_spans(tf: Any, m: Any, x: Any, y: Any) -> Any:
    t = tf.GradientTape()
    with t:
        p = m(x)
    between = m(x * 2.0)
    with t:
        loss = error(tf, y + between, 3 * p)
    return t.gradient(loss, m.trainable_variables)


def nested(tf: Any, m: Any, x: Any, y: Any) -> Any:
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            p = tf.keras.ops.tanh(m(x))
        slope = tf.keras.ops.mean(tf.keras.ops.square(inner.gradient(p, x)))
    return outer.gradient(slope, m.trainable_variables)


def slope_of_before(tf: Any, m: Any, x: Any, y: Any) -> Any:
    """The inner gradient is made before the outer tape is on, and constant for it."""
    with tf.GradientTape() as inner:
        inner.watch(x)
        p = tf.keras.ops.tanh(m(x))
    slope = inner.gradient(p, x)
    with tf.GradientTape() as outer:
        loss = tf.keras.ops.mean(tf.keras.ops.square(slope) * m(x))
    return outer.gradient(loss, m.trainable_variables)


def source_on_the_way(tf: Any, m: Any, x: Any, y: Any) -> Any:
    """What was made before may be a source, and what it was made of gets nothing through it."""
    h = m(x)
    with tf.GradientTape() as t:
        t.watch(h)
        loss = error(tf, y, h) + tf.keras.ops.sum(m.dense.bias)
    return t.gradient(loss, [h, m.dense.bias])


def assigned(tf: Any, m: Any, x: Any, y: Any) -> Any:
    """A second step, of the weights that the first one gives."""
    for _ in range(2):
        with tf.GradientTape() as t:
            loss = error(tf, y, m(x))
        found = t.gradient(loss, m.trainable_variables)
        for v, g in zip(m.trainable_variables, found, strict=True):
            v.assign_sub(0.1 * g)
    return found


def own_gradient(tf: Any, m: Any, x: Any, y: Any) -> Any:
    def rule(a: Any) -> Any:
        return a * 1.0, lambda *args, upstream=None: 2.0 * (args[0] if upstream is None else upstream)

    doubled = tf.keras.ops.custom_gradient(rule)
    before = doubled(m(x))
    with tf.GradientTape() as t:
        loss = error(tf, before, doubled(m(x)) * 2.0)
    return t.gradient(loss, m.trainable_variables)


def asked(how: str) -> Any:
    def step(tf: Any, m: Any, x: Any, y: Any) -> Any:
        v = m.trainable_variables
        with tf.GradientTape(persistent=True) as t:
            t.watch(x)
            p = m(x)
            a, b = error(tf, y, p), tf.keras.ops.abs(y - p)
        answers: dict[str, Any] = {
            "list": lambda: t.gradient([a, b], v),
            "dict": lambda: t.gradient({"a": a, "b": {"c": b}}, v),
            "output_gradients": lambda: t.gradient(p, v, output_gradients=p - y),
            "several output_gradients": lambda: t.gradient([p, b], v, output_gradients=[p - y, b * 2.0]),
            "unconnected": lambda: t.gradient(a, [*v, b], unconnected_gradients=tf.UnconnectedGradients.ZERO),
            "jacobian": lambda: t.jacobian(p, v),
            "batch_jacobian": lambda: [t.batch_jacobian(p, x)],
            "clip_by_global_norm": lambda: tf.clip_by_global_norm(t.gradient(a, v), 0.1)[0],
            "global_norm": lambda: [tf.linalg.global_norm(t.gradient(a, v))],
            "clip_by_norm": lambda: [tf.clip_by_norm(g, 0.1, 0) for g in t.gradient(a, v)],
            "clip_by_value": lambda: [tf.clip_by_value(g, -0.1, 0.1) for g in t.gradient(a, v)],
        }
        return answers[how]()

    return step


_OWN = (target_before, penalty_after, stopped, reset, two_spans, nested, slope_of_before, source_on_the_way,
       assigned, own_gradient)  # fmt: skip
_HOWS = ("list", "dict", "output_gradients", "several output_gradients", "unconnected", "jacobian", "batch_jacobian",
        "clip_by_global_norm", "global_norm", "clip_by_norm", "clip_by_value")  # fmt: skip
# Functions from TensorFlow, a model and a batch to gradients, by name.
STEPS: dict[str, Any] = {f.__name__: f for f in _OWN} | {how: asked(how) for how in _HOWS}


def model_of(tf: Any, step: Any) -> Any:
    """Returns a model of one layer whose step logs what the elements of each gradient weigh in, in their order."""
    ops = tf.keras.ops

    class Asking(tf.keras.Model):  # type: ignore[misc]
        def __init__(self, **named: Any) -> None:
            super().__init__(**named)
            self.dense = tf.keras.layers.Dense(2)

        def call(self, x: Any) -> Any:
            return ops.cast(self.dense(x), "float32")

        def train_step(self, data: Any) -> Any:
            found = step(tf, self, *data[:2])
            numbers = [ops.reshape(ops.cast(g, "float32"), (-1,)) for g in found]
            places = [ops.cast(ops.arange(ops.size(g)), "float32") for g in numbers]
            return {str(i): ops.sum(g * ops.cos(places[i] * 1.3)) for i, g in enumerate(numbers)}

    model = Asking()
    model(X)
    model.set_weights([np.array([[0.3, -0.7], [1.1, 0.2]], "float32"), np.array([0.1, -0.2], "float32")])
    model.compile(tf.keras.optimizers.SGD(0.1))
    return model


def run(tf: Any, name: str) -> list[float]:
    """Returns what one step logs."""
    found = model_of(tf, STEPS[name]).train_on_batch(X, Y, return_dict=True)
    return [float(f"{float(found[key]):.5g}") for key in sorted(found)]


def main(tf: ModuleType) -> None:
    for policy in ("float32", "mixed_float16"):
        tf.keras.mixed_precision.set_dtype_policy(policy)
        for name in STEPS if policy == "float32" else ("target_before", "stopped", "assigned"):
            print(f'    ("{policy}", "{name}", {run(tf, name)}),')


if __name__ == "__main__":
    import tensorflow

    main(tensorflow)
