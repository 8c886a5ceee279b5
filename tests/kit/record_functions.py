"""Records calls of TensorFlow's functions between the layers of tf.keras, in an environment that has `tf_keras`.

    python tests/kit/record_functions.py tests/cases/tensorflow_functions.zip

`functions.json` has each function as a TFOpLambda, `nodes.json` each as a TensorFlowOpLayer around the nodes of
TensorFlow's graph that the function makes, as TensorFlow 2.0 to 2.3 wrote them, their nodes as JSON and as text in
turn. The answers are in `.npz` files of the same names.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from google.protobuf import json_format, text_format
from tf_keras.src.engine.base_layer import TensorFlowOpLayer

# The nodes in the forms in which files have them, by the name of the layer.
WRITTEN: dict[str, Any] = {}
SHAPES = {"x": (4, 6), "z": (4, 6), "image": (4, 4, 4)}


def common(x: Any, z: Any, image: Any) -> dict[str, Any]:
    """Returns what functions make of tensors, by name; all of them can be nodes of a graph too."""
    kernel = np.random.default_rng(7).normal(size=(2, 2, 4, 3)).astype("float32")
    table = np.arange(12, dtype="float32").reshape(4, 3)
    flat = tf.shape(x)
    return {
        "reshape": tf.reshape(x, (flat[0], 24)),
        "reshape_product": tf.reshape(x, (-1, flat[1] * flat[2])),
        "reshape_stack": tf.reshape(z, tf.stack([tf.shape(z)[0], 3, 8])),
        "reshape_concat": tf.reshape(z, tf.concat([tf.shape(z)[:1], [2, 12]], 0)),
        "reshape_like": tf.reshape(tf.reshape(z, (-1, 24)), flat),
        "broadcast": tf.broadcast_to(x[:, :1], flat),
        "zeros": tf.zeros((flat[0], 2)) + x[:, 0, :2],
        "fill": tf.fill((flat[0], 3), 1.5) * x[:, 0, :3],
        "tile": tf.tile(x[:, :1], tf.stack([1, tf.shape(z)[1], 1])),
        "scaled": x / tf.cast(tf.shape(x)[1], "float32"),
        "range": x + tf.cast(tf.range(tf.shape(x)[2]), "float32"),
        "difference": tf.math.squared_difference(x, z),
        "sum": tf.add_n([x, z, x]),
        "norm": tf.norm(x, axis=-1),
        "top": tf.math.top_k(x, k=2)[0],
        "to_depth": tf.nn.space_to_depth(image, 2),
        "to_space": tf.nn.depth_to_space(image, 2),
        "average": tf.nn.avg_pool2d(image, 2, 1, "SAME"),
        "maximum": tf.nn.max_pool2d(image, 2, 2, "VALID"),
        "conv": tf.nn.conv2d(image, kernel, 1, "SAME"),
        "bias": tf.nn.bias_add(image, tf.constant([1.0, 2.0, 3.0, 4.0])),
        "resize": tf.image.resize(image, (7, 6)),
        "nearest": tf.image.resize(image, (8, 3), method="nearest"),
        "slice": tf.slice(x, [0, 1, 2], [-1, 2, 3]),
        "strided": x[:, 1:-1, ::-2],
        "strided_new": x[..., tf.newaxis, 1],
        "roll": tf.roll(x, 1, axis=1),
        "finite": tf.cast(tf.math.is_finite(x), "float32"),
        "angle": tf.math.atan2(x, z),
        "arctan": tf.atan(x),
        "cumprod": tf.math.cumprod(x, axis=1),
        "turned": tf.linalg.matmul(x, tf.linalg.matrix_transpose(z)),
        "tensordot": tf.tensordot(x, table[:, :2].repeat(2, 0)[:6], axes=1),
        "moments": tf.nn.moments(x, axes=[1])[1],
        "leaky": tf.nn.leaky_relu(x, 0.1),
        "softmax": tf.nn.softmax(x),
        "mean": tf.reduce_mean(x, axis=[1], keepdims=True),
        "matmul": tf.matmul(x, z, transpose_b=True),
        "pad": tf.pad(x, [[0, 0], [1, 2], [0, 0]]),
        "mirrored": tf.pad(x, [[0, 0], [1, 2], [0, 0]], mode="REFLECT"),
        "split": tf.split(x, [1, 2, 3], axis=2)[1],
        "halves": tf.split(x, 2, axis=-1)[1],
        "unstack": tf.unstack(x, axis=1)[2],
        "concat": tf.concat([x, z], axis=-1),
        "stack": tf.stack([x, z], axis=2),
        "transpose": tf.transpose(x, [0, 2, 1]),
        "where": tf.where(x > 0.1, x, z),
        "clip": tf.clip_by_value(x, -0.5, 0.5),
        "gather": tf.gather(x, [0, 2], axis=1),
        "one_hot": tf.one_hot(tf.argmax(x, -1), 6),
        "arithmetic": (2.0 * x - z) / (tf.square(z) + 1.0) + tf.maximum(x, 0.5) ** 2.0,
        "modulo": tf.math.floormod(x, 0.3) + tf.math.floordiv(z, 0.3),
        "cast": tf.cast(tf.cast(x * 3.0, "int32"), "float32"),
        "reverse": tf.reverse(x, [1]) + tf.expand_dims(tf.squeeze(z[:, :1], 1), 1),
    }


def only_functions(x: Any, z: Any, image: Any) -> dict[str, Any]:
    """Returns what is one function, and many nodes of a graph."""
    table = tf.constant(np.arange(18, dtype="float32").reshape(6, 3))
    return {
        "sort": tf.sort(x, axis=-1),
        "argsort": tf.cast(tf.argsort(x, axis=-1), "float32"),
        "cubic": tf.image.resize(image, (6, 7), method="bicubic"),
        "diagonal": tf.linalg.diag_part(x[:, :, :4]),
        "embedding": tf.nn.embedding_lookup(table, tf.argmax(x, -1)),
        "batch_dot": keras.backend.batch_dot(x, z, axes=2),
        "dot": keras.backend.dot(x, table),
        "permute": keras.backend.permute_dimensions(x, (0, 2, 1)),
        "resized": keras.backend.resize_images(image, 2, 2, "channels_last"),
    }


def only_nodes(x: Any, z: Any) -> dict[str, Any]:
    """Returns what tf.keras does not keep whole as one function."""
    return {"einsum": tf.einsum("bij,bkj->bik", x, z)}


def by_nodes(inputs: dict[str, Any]) -> list[Any]:
    """Returns the results with a layer for each node of the graph that makes them."""
    with tf.Graph().as_default() as graph:
        given = {n: tf.compat.v1.placeholder("float32", (None, *s), name=n) for n, s in SHAPES.items()}
        wanted = common(**given) | only_nodes(given["x"], given["z"])
    made: dict[str, Any] = dict(inputs)
    found = {}
    for key, y in wanted.items():
        try:
            found[key] = _made(y, made, graph)
        except (ValueError, TypeError) as error:  # of what TensorFlow 2.0 to 2.3 had no need to do
            print("left out:", key, error)
    return list(found.values())


def _made(tensor: Any, made: dict[str, Any], graph: Any) -> Any:
    """Returns a tensor of a graph as one of tf.keras, or as a number; `made` has those that are there."""
    operation = tensor.op
    if operation.name not in made:
        operands = [_made(one, made, graph) for one in operation.inputs]
        constants = {i: one for i, one in enumerate(operands) if isinstance(one, np.ndarray | np.generic)}
        if len(constants) == len(operands):
            with tf.compat.v1.Session(graph=graph) as session:
                made[operation.name] = session.run(list(operation.outputs))
        else:
            layer = TensorFlowOpLayer(_shown(operation.node_def, 0), operation.name, constants)
            made[operation.name] = layer([one for i, one in enumerate(operands) if i not in constants])
            WRITTEN[layer.name] = _shown(operation.node_def, len(made) % 3)
    found = made[operation.name]
    return found[tensor.value_index] if isinstance(found, list | tuple) else found


def _shown(node: Any, how: int) -> Any:
    """Returns a node as JSON, as the text of JSON, or as the text of its protocol buffer."""
    return [json_format.MessageToDict, json_format.MessageToJson, text_format.MessageToString][how](node)


def main(target: str) -> None:
    rng = np.random.default_rng(11)
    xs = {name: rng.normal(size=(3, *shape)).astype("float32") for name, shape in SHAPES.items()}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("functions", "nodes"):
            inputs = {key: keras.Input(shape, name=key) for key, shape in SHAPES.items()}
            if name == "functions":
                outputs = list((common(**inputs) | only_functions(**inputs)).values())
            else:
                outputs = by_nodes(inputs)
            model = keras.Model(list(inputs.values()), outputs, name=name)
            ys = model.predict(list(xs.values()), verbose=0)
            described = json.loads(model.to_json())
            for entry in described["config"]["layers"]:
                if entry["name"] in WRITTEN:
                    entry["config"]["node_def"] = WRITTEN[entry["name"]]
                    for index, value in entry["config"]["constants"].items():  # as lists, which was so then
                        if isinstance(value, dict):
                            entry["config"]["constants"][index] = value["config"]["value"]
            archive.writestr(f"{name}.json", json.dumps(described))
            buffer = io.BytesIO()
            np.savez(buffer, **xs, **{f"y{i:02}": y for i, y in enumerate(ys)})  # type: ignore[arg-type]
            archive.writestr(f"{name}.npz", buffer.getvalue())


if __name__ == "__main__":
    main(sys.argv[1])
